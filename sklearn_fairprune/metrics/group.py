"""One number for all groups: worst accuracy, spread, violation, excess accuracy gap."""

from typing import Any

import numpy as np
from fairlearn.metrics import (
    MetricFrame,
    accuracy_score_difference,
    accuracy_score_group_min,
    make_derived_metric,
)


def worst_group_accuracy(
    y_true: Any, y_pred: Any, *, sensitive_features: Any, sample_weight: Any = None
) -> float:
    """Accuracy of the group with the lowest.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Labels and predicted labels.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row; several columns mean their intersections.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    accuracy : float
        fairlearn's ``accuracy_score_group_min``.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import worst_group_accuracy
    >>> worst_group_accuracy([0, 1, 1, 1], [0, 1, 1, 0], sensitive_features=list("ffmm"))
    0.5
    """
    return float(
        accuracy_score_group_min(
            y_true, y_pred, sensitive_features=sensitive_features, sample_weight=sample_weight
        )
    )


def accuracy_spread(
    y_true: Any, y_pred: Any, *, sensitive_features: Any, sample_weight: Any = None
) -> float:
    r"""Largest difference between two groups' accuracies, :math:`\max acc_a - \min acc_a`.

    What the figures of Tran et al., NeurIPS 2022, call "fairness violation".

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n,)
        Labels and predicted labels.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row; several columns mean their intersections.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    spread : float
        fairlearn's ``accuracy_score_difference``.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import accuracy_spread
    >>> accuracy_spread([0, 1, 1, 1], [0, 1, 1, 0], sensitive_features=list("ffmm"))
    0.5
    """
    return float(
        accuracy_score_difference(
            y_true, y_pred, sensitive_features=sensitive_features, sample_weight=sample_weight
        )
    )


def mean_excess(dense: Any, pruned: Any, sample_weight: Any = None) -> float:
    """Mean of pruned minus dense row values, weighted if there are weights."""
    more = np.asarray(pruned, dtype=float) - np.asarray(dense, dtype=float)
    return float(np.average(more, weights=sample_weight))


def mean_drop(dense: Any, pruned: Any, sample_weight: Any = None) -> float:
    """Mean of dense minus pruned row values, weighted if there are weights."""
    return -mean_excess(dense, pruned, sample_weight)


_violation = make_derived_metric(metric=mean_excess, transform="difference")


def fairness_violation(
    dense_losses: Any,
    pruned_losses: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
) -> float:
    r"""Fairness violation, :math:`\xi = \max_{a,a'} |R(a) - R(a')|`.

    Parameters
    ----------
    dense_losses, pruned_losses : array-like of shape (n,)
        Loss of every row under the dense and under the pruned network.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row; several columns mean their intersections.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    violation : float
        In units of the loss.

    References
    ----------
    Tran et al., "Pruning has a disparate impact on model accuracy", NeurIPS 2022.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import fairness_violation
    >>> fairness_violation([0.0, 0.0], [0.25, 1.0], sensitive_features=["f", "m"])
    0.75
    """
    return float(
        _violation(
            dense_losses,
            pruned_losses,
            sensitive_features=sensitive_features,
            sample_weight=sample_weight,
        )
    )


def excess_accuracy_gap(
    dense_correct: Any,
    pruned_correct: Any,
    *,
    sensitive_features: Any,
    sample_weight: Any = None,
) -> float:
    r"""Largest excess accuracy gap, :math:`\max_a \psi_a = \max_a (\Delta_a - \Delta)`.

    :math:`\Delta_a` is the group's accuracy under the dense network minus that under the
    pruned one, :math:`\Delta` the same over all rows.

    Parameters
    ----------
    dense_correct, pruned_correct : array-like of shape (n,)
        1 where the network is right, 0 where it is wrong.
    sensitive_features : array-like of shape (n,) or (n, k)
        Group of every row; several columns mean their intersections.
    sample_weight : array-like of shape (n,), default=None
        Row weights.

    Returns
    -------
    gap : float
        Never negative: the weighted mean of all gaps is 0.

    References
    ----------
    Hashemizadeh et al., "Balancing Act: Constraining Disparate Impact in Sparse Models",
    ICLR 2024.

    Examples
    --------
    >>> from sklearn_fairprune.metrics import excess_accuracy_gap
    >>> excess_accuracy_gap([1, 1, 1, 1], [1, 1, 0, 1], sensitive_features=list("ffmm"))
    0.25
    """
    frame = MetricFrame(
        metrics=mean_drop,
        y_true=dense_correct,
        y_pred=pruned_correct,
        sensitive_features=sensitive_features,
        sample_params=None if sample_weight is None else {"sample_weight": sample_weight},
    )
    return float(frame.group_max() - frame.overall)
