"""What the audit measures for each model: columns by group and totals, with intervals."""

import numpy as np
import torch
from sklearn.base import is_classifier
from sklearn.utils import Bunch

from ..functional.groups import excessive_loss, group_means, largest_gap
from . import intervals


def row_outcomes(estimator, X, y):
    """Loss and correctness of every row.

    Parameters
    ----------
    estimator : fitted classifier with ``predict_proba``, or fitted regressor
        Anything of scikit-learn's kind.
    X : array-like
        Features.
    y : array-like of shape (n,)
        Targets.

    Returns
    -------
    losses : ndarray of shape (n,)
        Cross-entropy of the probability of the true class, or squared error.
    predicted : ndarray of shape (n,)
        Predictions.
    """
    predicted = np.asarray(estimator.predict(X))
    if not is_classifier(estimator):
        return (predicted - y) ** 2, predicted
    classes = np.asarray(estimator.classes_)
    unknown = np.setdiff1d(y, classes)
    if unknown.size:
        raise ValueError(
            f"y has labels that the model does not know: {unknown[:10].tolist()}; its "
            f"classes are {classes[:10].tolist()}."
        )
    log_probability = np.asarray(estimator.predict_log_proba(X))
    return -log_probability[np.arange(len(y)), np.searchsorted(classes, y)], predicted


class Resampled:
    """Bootstrap means of every row quantity, groups kept apart.

    Attributes
    ----------
    loss, excess : ndarray of shape (n_boot, m, n_models)
        Group losses and excessive losses.
    recall : ndarray of shape (n_boot, n_models, n_classes)
        Recall of each class over all rows, NaN where a sample lacks the class; only for
        classifiers.
    balanced : ndarray of shape (n_models,)
        Balanced accuracy (of the rows themselves); only for classifiers.
    """

    def __init__(self, losses, correct, y, groups, m, n_boot, rng):
        k = losses.shape[1]
        columns = [losses]
        if correct is not None:
            classes, codes = np.unique(y, return_inverse=True)
            member = np.eye(len(classes))[codes]
            columns += [member] + [member * correct[:, [j]] for j in range(k)]
        means = intervals.bootstrap_group_means(
            np.column_stack(columns), groups, m, n_boot, rng
        )
        self.loss = means[:, :, :k]
        self.excess = self.loss - self.loss[:, :, :1]
        share = np.bincount(groups, minlength=m) / len(groups)
        self.overall_loss = np.nansum(self.loss * share[:, None], axis=1)
        if correct is not None:
            pooled = np.nansum(means[:, :, k:] * share[:, None], axis=1)
            pooled = pooled.reshape(n_boot, k + 1, -1)
            with np.errstate(invalid="ignore"):
                self.recall = pooled[:, 1:] / pooled[:, :1]
            self.balanced = (member.T @ correct / member.sum(axis=0)[:, None]).mean(axis=0)


def loss_columns(k, losses, groups, m, resample, confidence):
    """Loss and excessive loss of model k by group, and the fairness violation."""
    codes, values = torch.as_tensor(groups), torch.as_tensor(losses)
    loss = group_means(values[:, k], codes, m).numpy()
    excess = excessive_loss(values[:, 0], values[:, k], codes, m).numpy()
    columns = {"loss": loss, "excessive_loss": excess}
    totals = {
        "loss": losses[:, k].mean(),
        "fairness_violation": float(largest_gap(torch.as_tensor(excess))),
    }
    for name, samples in (("loss", resample.loss), ("excessive_loss", resample.excess)):
        low, high = intervals.percentile_interval(samples[:, :, k], confidence)
        columns |= {f"{name}_low": low, f"{name}_high": high}
    low, high = intervals.percentile_interval(resample.overall_loss[:, k], confidence)
    totals |= {"loss_low": low, "loss_high": high}
    low, high = intervals.gap_interval(resample.excess[:, :, k], excess, confidence)
    totals |= {"fairness_violation_low": low, "fairness_violation_high": high}
    return Bunch(columns=columns, totals=totals)


def accuracy_columns(k, correct, groups, m, resample, confidence):
    """Accuracy and accuracy drop of model k by group, and its spread."""
    sizes = np.bincount(groups, minlength=m)
    right = np.bincount(groups, weights=correct[:, k], minlength=m)
    accuracy = right / sizes
    pairs = np.stack([correct[:, 0] > 0, correct[:, k] > 0], axis=1)
    limits = [
        intervals.proportion_interval(r, n, confidence)
        for r, n in zip(right, sizes, strict=True)
    ]
    drops = [] if k else [(0.0, 0.0)] * m  # the dense model against itself
    for a in range(m if k else 0):
        first, second = pairs[groups == a].T
        cells = [first & second, first & ~second, ~first & second, ~first & ~second]
        drops.append(
            intervals.paired_difference_interval(*(int(c.sum()) for c in cells), confidence)
        )
    columns = {"accuracy": accuracy} | _limits("accuracy", limits)
    columns["accuracy_drop"] = (
        np.bincount(groups, weights=correct[:, 0], minlength=m) / sizes - accuracy
    )
    columns |= _limits("accuracy_drop", drops)

    low, high = intervals.percentile_interval(
        np.nanmean(resample.recall[:, k], axis=1), confidence
    )
    overall = intervals.proportion_interval(right.sum(), sizes.sum(), confidence)
    spread = intervals.spread_interval(right, sizes, confidence)
    totals = {
        "accuracy": right.sum() / sizes.sum(),
        "accuracy_low": overall[0],
        "accuracy_high": overall[1],
        "balanced_accuracy": resample.balanced[k],
        "balanced_accuracy_low": low,
        "balanced_accuracy_high": high,
        "accuracy_spread": accuracy.max() - accuracy.min(),
        "accuracy_spread_low": spread[0],
        "accuracy_spread_high": spread[1],
        "accuracy_ratio": accuracy.min() / accuracy.max() if accuracy.max() > 0 else np.nan,
    }
    return Bunch(columns=columns, totals=totals)


def _limits(name, pairs):
    low, high = np.array(pairs).T
    return {f"{name}_low": low, f"{name}_high": high}
