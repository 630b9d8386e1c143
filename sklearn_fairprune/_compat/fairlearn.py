"""Mitigators of fairlearn, which are classifiers and do not say so."""

import inspect
from typing import Any

import numpy as np
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import ClassificationMoment, ExponentiatedGradient, GridSearch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.metaestimators import available_if


def is_mitigator(model: Any) -> bool:
    """Whether a model is a classifier of fairlearn that does not say so."""
    if isinstance(model, (ExponentiatedGradient, GridSearch)):
        return isinstance(model.constraints, ClassificationMoment)
    return isinstance(model, ThresholdOptimizer)


class Mitigated(ClassifierMixin, BaseEstimator):
    """A fitted mitigator of fairlearn as a classifier of the classes 0 and 1.

    Parameters
    ----------
    estimator_ : ExponentiatedGradient, GridSearch or ThresholdOptimizer
        Fitted, with constraints on classes.
    sensitive_features : array-like, default=None
        Of the rows that are predicted, for those that need them.
    random_state : int, default=0
        Of predictions that are drawn at random.
    """

    def __init__(
        self, estimator_: Any, sensitive_features: Any = None, random_state: Any = 0
    ) -> None:
        self.estimator_, self.random_state = estimator_, random_state
        self.sensitive_features = sensitive_features
        self.classes_ = np.array([0, 1])

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True

    @property
    def draws(self) -> bool:
        """Whether predictions are drawn at random."""
        return "random_state" in inspect.signature(self.estimator_.predict).parameters

    def predict(self, X: Any) -> np.ndarray:
        """Predict classes; drawn with the seed where they are drawn.

        Parameters
        ----------
        X : array-like
            Features.

        Returns
        -------
        predicted : ndarray of shape (n,)
        """
        found = self._ask(self.estimator_.predict, X, random_state=self.random_state)
        return np.asarray(found).ravel().astype(int)

    @available_if(lambda self: not self.draws)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities; those of a draw are no forecast, and are not given.

        Parameters
        ----------
        X : array-like
            Features.

        Returns
        -------
        probabilities : ndarray of shape (n, 2)
        """
        return np.asarray(self._ask(self.estimator_.predict_proba, X), dtype=float)

    def _ask(self, method, X, **options):
        """Call a method with what it takes."""
        options["sensitive_features"] = self.sensitive_features
        known = inspect.signature(method).parameters
        if "sensitive_features" in known and self.sensitive_features is None:
            raise ValueError(
                f"{type(self.estimator_).__name__} predicts with the groups of the rows; give "
                "sensitive_features."
            )
        return method(X, **{k: v for k, v in options.items() if k in known})
