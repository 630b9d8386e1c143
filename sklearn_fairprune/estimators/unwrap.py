"""The fitted pruner inside whatever a user hands in, and the same around another network.

Estimators hold estimators in few ways: at the end of a Pipeline, frozen, once for every
calibration fold, or in an attribute of a fitted meta-estimator. `doors` opens them one by
one; everything that must find a pruner, or put its dense twin in its place, walks through.
"""

import copy
import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch.utils.data import Dataset, Subset

from .._compat.sklearn import BaseSearchCV, num_samples, safe_indexing
from ..engine.batches import Rows
from ..engine.evaluation import Evaluation
from ..engine.row_statistics import row_outcomes
from ._base import BasePruner
from ._inputs import read_features, read_fitted
from .pruned_classifier import PrunedClassifier
from .pruned_regressor import PrunedRegressor

# Where fitted meta-estimators of scikit-learn's kind keep what they fitted.
HOLDERS = ("best_estimator_", "estimator_", "regressor_", "classifier_")


class Door(NamedTuple):
    """One step into an estimator.

    Attributes
    ----------
    inside : object
        The estimator that it holds.
    X, y : array-like or None
        As `inside` sees them.
    rebuilt : callable
        From another estimator to a copy of the outer one that holds it; neither is changed.
    """

    inside: Any
    X: Any
    y: Any
    rebuilt: Callable[[Any], Any]


def doors(estimator: Any, X: Any = None, y: Any = None) -> Iterator[Door]:
    """Walk from an estimator to the pruner or skorch net inside it.

    Parameters
    ----------
    estimator : fitted estimator
        Anything.
    X, y : array-like, default=None
        As `estimator` takes them.

    Yields
    ------
    door : Door
        From the outside to the inside; none for a pruner, a net, or what holds nothing.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    ValueError
        If it is a search that kept no fitted estimator, or holds several networks.
    """
    while not isinstance(estimator, (BasePruner, NeuralNet)):
        door = _door(estimator, X, y)
        if door is None:
            return
        yield door
        estimator, X, y = door.inside, door.X, door.y


def _door(estimator, X, y):
    """Step into one estimator, or None if it holds none."""
    for kind, enter in DOORS.items():
        if isinstance(estimator, kind):
            return enter(estimator, X, y)
    for name in HOLDERS:
        held = getattr(estimator, name, None)
        if hasattr(held, "predict"):
            return Door(held, X, y, functools.partial(_replaced, estimator, name))
    return None


def _replaced(estimator, name, new):
    return _copy_with(estimator, **{name: new})


def _copy_with(outer, /, **attributes):
    twin = copy.copy(outer)
    vars(twin).update(attributes)
    return twin


def _into_frozen(frozen, X, y):
    """Estimator that is frozen."""
    return Door(frozen.estimator, X, y, FrozenEstimator)


def _into_pipeline(pipeline, X, y):
    """Last step; samplers resample what is fitted, and let pass what is predicted."""
    check_is_fitted(pipeline)
    *before, (name, last) = pipeline.steps
    for _, step in before if X is not None else []:
        if step is None or isinstance(step, str) or hasattr(step, "fit_resample"):
            continue
        X = step.transform(X)
    return Door(last, X, y, lambda new: _copy_with(pipeline, steps=[*before, (name, new)]))


def _into_search(search, X, y):
    """Best estimator of a search that refitted one."""
    check_is_fitted(search)
    if not hasattr(search, "best_estimator_"):
        raise ValueError(
            f"{type(search).__name__}(refit=False) keeps no fitted estimator. Set "
            "refit=True (or to the name of a score) and fit it again."
        )
    return Door(
        search.best_estimator_, X, y, lambda new: _copy_with(search, best_estimator_=new)
    )


def _into_target(regressor, X, y):
    """Regressor inside, whose targets are transformed."""
    check_is_fitted(regressor)
    if y is not None:
        y = np.asarray(y)
        columns = y.reshape(len(y), -1)
        y = regressor.transformer_.transform(columns).reshape(y.shape)
    return Door(regressor.regressor_, X, y, lambda new: _copy_with(regressor, regressor_=new))


def _into_calibrated(calibrated, X, y):
    """Classifier inside, if all calibrators share one."""
    check_is_fitted(calibrated)
    inside = [member.estimator for member in calibrated.calibrated_classifiers_]
    if any(other is not inside[0] for other in inside):
        raise ValueError(
            f"estimator: CalibratedClassifierCV holds {len(inside)} networks, one for every "
            "fold, and none of them is the pruned one. Calibrate one network: use "
            "CalibratedClassifierCV(FrozenEstimator(fitted)), or ensemble=False."
        )

    def rebuilt(new):
        members = [
            _copy_with(member, estimator=new) for member in calibrated.calibrated_classifiers_
        ]
        return _copy_with(calibrated, calibrated_classifiers_=members)

    return Door(inside[0], X, y, rebuilt)


DOORS = {
    FrozenEstimator: _into_frozen,
    Pipeline: _into_pipeline,
    BaseSearchCV: _into_search,
    TransformedTargetRegressor: _into_target,
    CalibratedClassifierCV: _into_calibrated,
}


class Found(NamedTuple):
    """A pruner and the data as it sees them.

    Attributes
    ----------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted.
    X, y : array-like or None
        Through the transformations before it.
    """

    pruner: BasePruner
    X: Any
    y: Any


def unwrapped(estimator: Any, X: Any = None, y: Any = None) -> tuple[Any, Any, Any]:
    """Find the pruner or skorch net inside, and X and y as it sees them.

    Parameters
    ----------
    estimator : fitted estimator
        As in `fitted_pruner`.
    X, y : array-like, default=None
        Data, as `estimator` takes them.

    Returns
    -------
    inner : PrunedClassifier, PrunedRegressor or skorch.NeuralNet
        Fitted.
    X, y : array-like
        Data, as `inner` takes them.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If there is no pruner and no net inside.
    ValueError
        If it is a search that kept no fitted estimator, or holds several networks.
    """
    inner = estimator
    for door in doors(estimator, X, y):
        inner, X, y = door.inside, door.X, door.y
    if isinstance(inner, NeuralNet):
        if not inner.initialized_:
            raise NotFittedError("The skorch net is not fitted yet; call its fit first.")
        return inner, X, y
    if not isinstance(inner, BasePruner):
        if hasattr(inner, "estimator") and hasattr(inner, "fit"):
            check_is_fitted(inner)
        raise TypeError(
            "estimator must be a fitted PrunedClassifier or PrunedRegressor, a Pipeline or "
            "search that holds one as its last step, a meta-estimator around one, or a fitted "
            f"skorch net, got {type(inner).__name__}."
        )
    check_is_fitted(inner)
    return inner, X, y


def fitted_pruner(estimator: Any, X: Any, y: Any = None) -> Found:
    """Find the `PrunedClassifier` or `PrunedRegressor`, and the data as it sees them.

    Parameters
    ----------
    estimator : fitted estimator
        A pruner; a Pipeline that ends in one (X goes through its other steps, but for
        samplers); a search whose best estimator is one; a TransformedTargetRegressor (y goes
        through its transformer); any meta-estimator that keeps one fitted as
        ``estimator_``, such as a constrained pruner or a tuned threshold; a calibrated
        classifier of one network; a FrozenEstimator; or a fitted skorch net, which counts as
        a dense network.
    X : array-like
        Features, as `estimator` takes them.
    y : array-like, default=None
        Targets, likewise.

    Returns
    -------
    found : Found

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If there is no pruner inside.
    ValueError
        If it is a search that kept no fitted estimator, or holds several networks.
    """
    inner, X, y = unwrapped(estimator, X, y)
    return Found(inner if isinstance(inner, BasePruner) else _dense_pruner(inner, X, y), X, y)


def _dense_pruner(net, X, y):
    """Make a pruner of sparsity 0 of a skorch net."""
    kind = PrunedRegressor if is_regressor(net) else PrunedClassifier
    dtypes = {p.dtype for p in net.module_.parameters()}
    dtype = "float64" if torch.float64 in dtypes else "float32"
    pruner = kind(FrozenEstimator(net), sparsity=0.0, dtype=dtype)
    classes = getattr(net, "classes_", None)
    if classes is None or not num_samples(X):
        return pruner.fit(X, y)
    first = [0] * len(classes)  # one row per class, whatever the classes of these rows
    X = Subset(X, first) if isinstance(X, Dataset) else safe_indexing(X, first)
    return pruner.fit(X, classes)


def dense_twin(estimator: Any) -> Any:
    """Return a copy of a fitted estimator that predicts with its dense network.

    Parameters
    ----------
    estimator : fitted estimator
        As in `fitted_pruner`; whatever stands around the pruner (a threshold, a calibration,
        a transformation of the targets) stands around the twin too. Neither it nor its
        networks are changed.

    Returns
    -------
    twin : estimator
        Of the same type.

    Raises
    ------
    NotFittedError, TypeError, ValueError
        As `fitted_pruner`.
    """
    twin, _, _ = unwrapped(estimator)
    if isinstance(twin, BasePruner):
        twin = _dense_copy(twin)
    for door in reversed(list(doors(estimator))):
        twin = door.rebuilt(twin)
    return twin


def _dense_copy(pruner):
    """Copy of a pruner that has the dense network in the place of the pruned one."""
    twin = copy.copy(pruner)
    state = pruner._fitted.restored("A comparison with the dense network")
    masks = {name: torch.ones_like(mask) for name, mask in state.masks.items()}
    twin._fitted = state.change(net=state.dense, masks=masks, live=masks)
    return twin


def check_networks(pruner: Any, *, pruned: bool = True) -> None:
    """Raise if a network that a diagnosis needs is not there.

    Parameters
    ----------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted.
    pruned : bool, default=True
        Whether the pruned network counts, and not the dense one alone.

    Raises
    ------
    ValueError
        If the pruned network has been shrunk, or the dense one was let go.
    """
    state = pruner._fitted
    if pruned:
        state.require_masked("This diagnosis")
    state.restored("This diagnosis")


def evaluations(
    pruner: Any, X: Any, y: Any = None, dtype: Any = None
) -> tuple[Evaluation, Evaluation, Rows]:
    """Make the dense and the pruned network of a fitted pruner ready for diagnostics.

    Parameters
    ----------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted.
    X : array-like or torch Dataset
        Features, as `pruner` takes them.
    y : array-like of shape (n,), default=None
        Targets; None is what the dense network predicts, for classifiers.
    dtype : {"float32", "float64"}, default=None
        What to compute in; None is the dtype of the pruner.

    Returns
    -------
    dense, pruned : Evaluation
    rows : Rows
        Validated, with the codes of the targets.

    Raises
    ------
    ValueError
        If the pruned network has been shrunk.
    """
    check_networks(pruner)
    dtype, classifies = getattr(torch, dtype or pruner.dtype), is_classifier(pruner)
    if y is None and not isinstance(X, Dataset):
        rows = read_features(pruner, X)
    else:
        rows = read_fitted(pruner, X, y)
    dense, pruned = (
        Evaluation(net, rows, classifies=classifies, dtype=dtype)
        for net in (pruner.dense_estimator_, pruner.estimator_)
    )
    if y is None and not isinstance(X, Dataset):
        _, outputs = row_outcomes(dense, rows, torch.arange(len(rows)))
        rows.y = dense.predictions(outputs)
    return dense, pruned, rows
