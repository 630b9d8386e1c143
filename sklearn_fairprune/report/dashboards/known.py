"""Metrics that the dashboard knows by their keys, with their intervals."""

from functools import partial

import numpy as np
from fairlearn.metrics import MetricFrame, mean_prediction, selection_rate
from sklearn.metrics import (
    accuracy_score,
    f1_score,
    mean_absolute_error,
    mean_squared_error,
    precision_score,
    r2_score,
    recall_score,
    root_mean_squared_error,
)

from ...statistics.intervals import proportion_interval


def _r2(y_true, y_pred):
    return r2_score(y_true, y_pred) if len(np.unique(y_true)) > 1 else np.nan


# Rates without rows to be measured on are not a number, rather than 0 or 1.
MEASURED = {
    "binaryClassification": {
        "accuracy_score": accuracy_score,
        "precision_score": partial(precision_score, zero_division=np.nan),
        "recall_score": partial(recall_score, zero_division=np.nan),
        "f1_score": partial(f1_score, zero_division=np.nan),
        "specificity_score": partial(recall_score, pos_label=0, zero_division=np.nan),
        "selection_rate": selection_rate,
    },
    "regression": {
        "mean_squared_error": mean_squared_error,
        "mean_absolute_error": mean_absolute_error,
        "root_mean_squared_error": root_mean_squared_error,
        "r2_score": _r2,
        "average": mean_prediction,
    },
}
COMPLEMENTS = {
    "zero_one_loss": "accuracy_score",
    "miss_rate": "recall_score",
    "fallout_rate": "specificity_score",
}
KEYS = {key for known in MEASURED.values() for key in known} | {*COMPLEMENTS}
KEYS.add("balanced_accuracy_score")
# A rate is the share of the first rows among the second, of true and predicted class 1.
RATES = {
    "accuracy_score": (lambda t, p: t == p, lambda t, p: t | ~t),
    "precision_score": (lambda t, p: t & p, lambda t, p: p),
    "recall_score": (lambda t, p: t & p, lambda t, p: t),
    "specificity_score": (lambda t, p: ~t & ~p, lambda t, p: ~t),
    "selection_rate": (lambda t, p: p, lambda t, p: t | ~t),
}


def known_metrics(
    kind: str, y_true: np.ndarray, y_pred: np.ndarray, codes: np.ndarray
) -> dict[str, np.ndarray]:
    """Metrics of one model that the dashboard has its own names for.

    Parameters
    ----------
    kind : {"binaryClassification", "regression"}
        What is predicted.
    y_true, y_pred : ndarray of shape (n,)
        Targets and predictions; classes as 0 and 1.
    codes : int ndarray of shape (n,)
        Group of every row.

    Returns
    -------
    metrics : dict of str to ndarray of shape (m,)
        Value in each group; NaN where there is nothing to measure on.
    """
    metrics = MEASURED[kind]
    frame = MetricFrame(
        metrics=metrics, y_true=y_true, y_pred=y_pred, sensitive_features=codes
    )
    values = {key: frame.by_group[key].to_numpy(dtype=float) for key in metrics}
    if kind == "binaryClassification":
        for key, other in COMPLEMENTS.items():
            values[key] = 1 - values[other]
        recalls = values["recall_score"] + values["specificity_score"]
        values["balanced_accuracy_score"] = recalls / 2
    return values


def rate_limits(
    y_true: np.ndarray, y_pred: np.ndarray, codes: np.ndarray, m: int, level: float
) -> dict[str, list[tuple[float, float]]]:
    """Exact intervals of the rates in each group.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n,)
        Classes as 0 and 1.
    codes : int ndarray of shape (n,)
        Group of every row.
    m : int
        Number of groups.
    level : float
        Of each interval.

    Returns
    -------
    limits : dict of str to list of (float, float)
        By metric key; NaN for a group without rows to be measured on.
    """
    truth, predicted, limits = y_true == 1, y_pred == 1, {}
    for key, (hit, of) in RATES.items():
        rows = hit(truth, predicted), of(truth, predicted)
        hits, trials = (np.bincount(codes[r], minlength=m) for r in rows)
        limits[key] = [
            proportion_interval(k, n, level) if n else (np.nan, np.nan)
            for k, n in zip(hits, trials, strict=True)
        ]
    for key, other in COMPLEMENTS.items():
        limits[key] = [(1 - high, 1 - low) for low, high in limits[other]]
    return limits
