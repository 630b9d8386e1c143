"""Names of scikit-learn that it has not made public, and what its versions differ in."""

import copy
import inspect
from operator import attrgetter

from sklearn.base import _fit_context as fit_context
from sklearn.metrics._scorer import _BaseScorer as Scorer
from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metadata_routing import _routing_enabled as routing_enabled
from sklearn.utils.validation import _check_feature_names_in as check_feature_names_in
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _check_y as check_y
from sklearn.utils.validation import _num_samples as num_samples

try:
    from sklearn.callback import CallbackSupportMixin
except ImportError:  # scikit-learn < 1.9

    class SilentContext:
        """Stand-in for the context of a fit that nobody listens to."""

        def subcontext(self, **kwargs):
            """Return the context of a part of the fit."""
            return self

        def call_on_fit_task_begin(self, **kwargs):
            """Say nothing."""
            return self

        def call_on_fit_task_end(self, **kwargs):
            """Say nothing, and never stop."""
            return False

    class CallbackSupportMixin:  # type: ignore[no-redef]
        """Stand-in without callbacks."""

        def _init_callback_context(self, **kwargs):
            return SilentContext()


__all__ = [
    "BaseSearchCV",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "OnShelf",
    "Scorer",
    "StrOptions",
    "callback_context",
    "check_feature_names_in",
    "check_sample_weight",
    "check_y",
    "fit_context",
    "num_samples",
    "routing_enabled",
    "safe_indexing",
    "scorer_weighs",
    "scorer_with",
    "validate_params",
]


class OnShelf(StrOptions):
    """Constraint of a parameter: a name that a shelf has when the parameter is checked."""

    def __init__(self, shelf):
        super().__init__(set(shelf))
        self.shelf = shelf

    def is_satisfied_by(self, val):
        """Whether the shelf has the name now."""
        self.options = set(self.shelf)
        return super().is_satisfied_by(val)


# Method that makes the context of scikit-learn's callbacks for one fit of an estimator.
callback_context = attrgetter("_init_callback_context")


def validate_params(estimator):
    """Refuse parameters of an estimator that are out of their range, by name."""
    estimator._validate_params()


def scorer_with(scorer, pos_label):
    """Return a scorer that is told the positive class, or None if it is told or takes none."""
    parameters = inspect.signature(scorer._score_func).parameters
    if "pos_label" not in parameters or "pos_label" in scorer._kwargs:
        return None
    told = copy.copy(scorer)
    told._kwargs = {**scorer._kwargs, "pos_label": pos_label}
    return told


def scorer_weighs(scorer):
    """Whether the function of a scorer takes the weights of rows, and is not given them."""
    parameters = inspect.signature(scorer._score_func).parameters
    return "sample_weight" in parameters and "sample_weight" not in scorer._kwargs
