"""Loss and prediction of every row, from any estimator of scikit-learn's kind."""

from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d

from ..engine.losses import SMALLEST


def estimator_outcomes(
    estimator: Any, X: Any, y: np.ndarray, *, labels_suffice: bool = False
) -> tuple[Any, np.ndarray]:
    """Loss and prediction of every row.

    Parameters
    ----------
    estimator : fitted classifier or regressor
        Anything of scikit-learn's kind.
    X : array-like
        Features.
    y : ndarray of shape (n,) or (n, 1)
        Targets; of shape (n, k) for a regressor of k targets.
    labels_suffice : bool, default=False
        Whether a classifier may lack probabilities.

    Returns
    -------
    losses : ndarray of shape (n,) or None
        Cross-entropy of the probability of the true class, where a probability of 0 counts
        as 1.2e-38 (the smallest normal float32); or squared error (mean over the targets).
        None of a classifier without probabilities.
    predicted : ndarray of shape (n,)
        Predictions.

    Raises
    ------
    ValueError
        If a classifier lacks probabilities that are needed, or y has labels that the model
        does not know, or another number of targets a row than it predicts.
    """
    predicted = np.asarray(estimator.predict(X))
    if not is_classifier(estimator):
        return _squared_errors(predicted, np.asarray(y)), predicted
    y, classes = column_or_1d(y), np.asarray(estimator.classes_)
    unknown = np.setdiff1d(y, classes)
    if unknown.size:
        raise ValueError(
            f"y has labels that the model does not know: {unknown[:10].tolist()}; its "
            f"classes are {classes[:10].tolist()}."
        )
    of_truth = np.arange(len(y)), np.searchsorted(classes, y)
    if hasattr(estimator, "predict_log_proba"):
        with np.errstate(divide="ignore"):
            logs = np.asarray(estimator.predict_log_proba(X), dtype=np.float64)[of_truth]
        return -np.where(np.isneginf(logs), np.log(SMALLEST), logs), predicted
    if not hasattr(estimator, "predict_proba"):
        if labels_suffice:
            return None, predicted
        raise ValueError(
            f"{type(estimator).__name__} has no predict_proba, which its loss needs; wrap it "
            "in CalibratedClassifierCV."
        )
    probability = np.asarray(estimator.predict_proba(X), dtype=np.float64)[of_truth]
    return -np.log(np.maximum(probability, SMALLEST)), predicted


def _squared_errors(predicted: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared error of every row; a vector is never broadcast to a matrix."""
    columns, targets = predicted.reshape(len(predicted), -1), y.reshape(len(y), -1)
    if columns.shape != targets.shape:
        raise ValueError(
            f"y has {targets.shape[1]} target(s) in {len(targets)} rows, and the model "
            f"predicts {columns.shape[1]} in {len(columns)} rows. Give the targets it was "
            "fitted with."
        )
    return ((columns - targets) ** 2).mean(axis=1)
