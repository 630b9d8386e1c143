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
    zero_one_loss,
)

from ..intervals import proportion_interval

# Rates without rows to be measured on are not a number, rather than 0 or 1.
_recall = partial(recall_score, zero_division=np.nan)
_specificity = partial(recall_score, pos_label=0, zero_division=np.nan)


def _complement(rate):
    return lambda y_true, y_pred: 1 - rate(y_true, y_pred)


def _balanced_accuracy(y_true, y_pred):
    return (_recall(y_true, y_pred) + _specificity(y_true, y_pred)) / 2


def _r2(y_true, y_pred):
    return r2_score(y_true, y_pred) if len(np.unique(y_true)) > 1 else np.nan


METRICS = {
    "binaryClassification": {
        "accuracy_score": accuracy_score,
        "balanced_accuracy_score": _balanced_accuracy,
        "precision_score": partial(precision_score, zero_division=np.nan),
        "recall_score": _recall,
        "f1_score": partial(f1_score, zero_division=np.nan),
        "zero_one_loss": zero_one_loss,
        "specificity_score": _specificity,
        "miss_rate": _complement(_recall),
        "fallout_rate": _complement(_specificity),
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
# A rate is the share of the rows "hit" among the rows "of", of true and predicted class 1.
RATES = {
    "accuracy_score": (lambda t, p: t == p, lambda t, p: t | ~t),
    "precision_score": (lambda t, p: t & p, lambda t, p: p),
    "recall_score": (lambda t, p: t & p, lambda t, p: t),
    "zero_one_loss": (lambda t, p: t != p, lambda t, p: t | ~t),
    "specificity_score": (lambda t, p: ~t & ~p, lambda t, p: ~t),
    "miss_rate": (lambda t, p: t & ~p, lambda t, p: t),
    "fallout_rate": (lambda t, p: ~t & p, lambda t, p: ~t),
    "selection_rate": (lambda t, p: p, lambda t, p: t | ~t),
}


def known_metrics(kind, y_true, y_pred, codes):
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
    metrics : dict of str to (float, ndarray of shape (m,))
        Value over all rows, and of each group; NaN where there is nothing to measure on.
    """
    frame = MetricFrame(
        metrics=METRICS[kind], y_true=y_true, y_pred=y_pred, sensitive_features=codes
    )
    return {
        key: (float(frame.overall[key]), frame.by_group[key].to_numpy(dtype=float))
        for key in METRICS[kind]
    }


def rate_limits(key, y_true, y_pred, codes, m, level):
    """Exact interval of a rate in each group.

    Parameters
    ----------
    key : str
        One of `RATES`.
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
    limits : list of (float, float)
        NaN for a group without rows to be measured on.
    """
    hit, of = (rows(y_true == 1, y_pred == 1) for rows in RATES[key])
    hits, trials = (np.bincount(codes[rows], minlength=m) for rows in (hit, of))
    return [
        proportion_interval(k, n, level) if n else (np.nan, np.nan)
        for k, n in zip(hits, trials, strict=True)
    ]
