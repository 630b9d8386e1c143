"""The fitted pruner inside whatever a user hands in."""

import copy

import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils import _safe_indexing
from sklearn.utils.validation import _num_samples, check_is_fitted
from skorch import NeuralNet
from torch.utils.data import Dataset, Subset

from ..engine.evaluation import Evaluation
from ..engine.row_statistics import row_outcomes
from ._base import BasePruner
from ._inputs import read_features, read_fitted
from .pruned import PrunedClassifier, PrunedRegressor


def unwrapped(estimator, X=None):
    """Find the pruner or skorch net inside, and X as it sees it.

    Parameters
    ----------
    estimator : fitted estimator
        As in `fitted_pruner`.
    X : array-like, default=None
        Features, as `estimator` takes them.

    Returns
    -------
    inner : PrunedClassifier, PrunedRegressor or skorch.NeuralNet
        Fitted.
    X : array-like
        Features, as `inner` takes them.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If there is no pruner and no net inside.
    ValueError
        If it is a search that kept no fitted estimator.
    """
    if isinstance(estimator, FrozenEstimator):
        return unwrapped(estimator.estimator, X)
    if isinstance(estimator, NeuralNet):
        if not estimator.initialized_:
            raise NotFittedError("The skorch net is not fitted yet; call its fit first.")
        return estimator, X
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        before = estimator[:-1]
        moved = X is not None and len(before)
        return unwrapped(estimator[-1], before.transform(X) if moved else X)
    if isinstance(estimator, BasePruner):
        check_is_fitted(estimator)
        return estimator, X
    if isinstance(getattr(estimator, "estimator_", None), BasePruner):
        return unwrapped(estimator.estimator_, X)
    if isinstance(estimator, BaseSearchCV):
        check_is_fitted(estimator)
        if not hasattr(estimator, "best_estimator_"):
            raise ValueError(
                f"{type(estimator).__name__}(refit=False) keeps no fitted estimator. Set "
                "refit=True (or to the name of a score) and fit it again."
            )
    if hasattr(estimator, "best_estimator_"):
        return unwrapped(estimator.best_estimator_, X)
    raise TypeError(
        "estimator must be a fitted PrunedClassifier or PrunedRegressor, a Pipeline or "
        "search that holds one as its last step, or a fitted skorch net, got "
        f"{type(estimator).__name__}."
    )


def fitted_pruner(estimator, X, y=None):
    """Find the `PrunedClassifier` or `PrunedRegressor`, and X as it sees it.

    Parameters
    ----------
    estimator : fitted estimator
        A pruner, a meta-estimator whose ``estimator_`` is one, a Pipeline that ends in one
        (X goes through its other steps), a search whose best estimator is one, a
        FrozenEstimator around any of these, or a fitted skorch net, which counts as a
        dense network.
    X : array-like
        Features, as `estimator` takes them.
    y : array-like, default=None
        Targets; only needed for a skorch net that does not know its classes.

    Returns
    -------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted.
    X : array-like
        Features, as `pruner` takes them.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If there is no pruner inside.
    """
    inner, X = unwrapped(estimator, X)
    return inner if isinstance(inner, BasePruner) else _dense_pruner(inner, X, y), X


def _dense_pruner(net, X, y):
    """Make a pruner of sparsity 0 of a skorch net."""
    kind = PrunedRegressor if is_regressor(net) else PrunedClassifier
    dtypes = {p.dtype for p in net.module_.parameters()}
    dtype = "float64" if torch.float64 in dtypes else "float32"
    pruner = kind(FrozenEstimator(net), sparsity=0.0, dtype=dtype)
    classes = getattr(net, "classes_", None)
    if classes is None or not _num_samples(X):
        return pruner.fit(X, y)
    first = [0] * len(classes)  # one row per class, whatever the classes of these rows
    X = Subset(X, first) if isinstance(X, Dataset) else _safe_indexing(X, first)
    return pruner.fit(X, classes)


def dense_twin(pruner):
    """Return a copy of a fitted pruner that predicts with its dense network.

    Parameters
    ----------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted; both share their networks.

    Returns
    -------
    twin : PrunedClassifier or PrunedRegressor
    """
    twin = copy.copy(pruner)
    twin.estimator_ = pruner.dense_estimator_
    twin.masks_ = {name: torch.ones_like(mask) for name, mask in pruner.masks_.items()}
    twin.sparsity_ = 0.0
    return twin


def evaluations(pruner, X, y=None, dtype=None):
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
    """
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
