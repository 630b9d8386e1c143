"""The fitted pruner inside whatever a user hands in."""

import copy

import torch
from sklearn.base import is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted
from skorch import NeuralNet
from torch.utils.data import Dataset

from ..engine.evaluation import Evaluation
from ..engine.row_statistics import row_outcomes
from ._base import BasePruner
from .pruned import PrunedClassifier, PrunedRegressor


def fitted_pruner(estimator, X, y=None):
    """Find the `PrunedClassifier` or `PrunedRegressor`, and X as it sees it.

    Parameters
    ----------
    estimator : fitted estimator
        A pruner, a Pipeline that ends in one (X goes through its other steps), a search
        whose best estimator is one, a FrozenEstimator around any of these, or a fitted
        skorch net, which counts as a dense network.
    X : array-like
        Features, as `estimator` takes them.
    y : array-like, default=None
        Targets; only needed for a skorch net, to know its classes.

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
    if isinstance(estimator, BasePruner):
        check_is_fitted(estimator)
        return estimator, X
    if isinstance(estimator, FrozenEstimator):
        return fitted_pruner(estimator.estimator, X, y)
    if isinstance(estimator, Pipeline):
        check_is_fitted(estimator)
        before = estimator[:-1]
        return fitted_pruner(estimator[-1], before.transform(X) if len(before) else X, y)
    if hasattr(estimator, "best_estimator_"):
        return fitted_pruner(estimator.best_estimator_, X, y)
    if isinstance(estimator, NeuralNet):
        kind = PrunedRegressor if is_regressor(estimator) else PrunedClassifier
        if not estimator.initialized_:
            raise NotFittedError("The skorch net is not fitted yet; call its fit first.")
        dtype = "float32"
        if any(p.dtype == torch.float64 for p in estimator.module_.parameters()):
            dtype = "float64"
        return kind(FrozenEstimator(estimator), sparsity=0.0, dtype=dtype).fit(X, y), X
    raise TypeError(
        "estimator must be a fitted PrunedClassifier or PrunedRegressor, a Pipeline or "
        "search that holds one as its last step, or a fitted skorch net, got "
        f"{type(estimator).__name__}."
    )


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
        rows = pruner._prediction_rows(X)
    else:
        rows, _ = pruner._training_rows(X, y, None, None, reset=False, known=vars(pruner))
    dense, pruned = (
        Evaluation(net, rows, classifies=classifies, dtype=dtype)
        for net in (pruner.dense_estimator_, pruner.estimator_)
    )
    if y is None and not isinstance(X, Dataset):
        _, outputs = row_outcomes(dense, rows, torch.arange(len(rows)))
        rows.y = dense.predictions(outputs)
    return dense, pruned, rows
