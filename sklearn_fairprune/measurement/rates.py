"""Rates of one class, the positive one, and their differences between the groups.

Names and definitions are those of scikit-learn and fairlearn. The limits of a rate are Clopper
and Pearson's for the rows that it is a share of; a group without such rows has no rate, and
differences leave it out.
"""

from typing import Any

import numpy as np

from ..statistics.intervals import mean_interval, spread_interval
from .held_out import HeldOut, Rate

Measured = tuple[Any, Any, Any] | Any


def selected(rows: HeldOut, k: int) -> Rate:
    """Rows that model k predicts positive, of all."""
    return rows.rate(rows.predicted[:, k] == rows.positive)


def found(rows: HeldOut, k: int) -> Rate:
    """Rows that model k predicts positive, of those that are."""
    return rows.rate(rows.predicted[:, k] == rows.positive, rows.y == rows.positive)


def mistaken(rows: HeldOut, k: int) -> Rate:
    """Rows that model k predicts positive, of those that are not."""
    return rows.rate(rows.predicted[:, k] == rows.positive, rows.y != rows.positive)


def confirmed(rows: HeldOut, k: int) -> Rate:
    """Rows that are positive, of those that model k predicts so."""
    return rows.rate(rows.y == rows.positive, rows.predicted[:, k] == rows.positive)


def with_limits(rows: HeldOut, rate: Rate) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Value of a rate of each group and its exact limits; NaN where it is of no rows.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    rate : Rate
        Of these groups.

    Returns
    -------
    value, low, high : ndarray of shape (m,)
    """
    low, high = (np.where(rate.of > 0, end, np.nan) for end in rows.proportions(rate))
    return rate.value, low, high


def difference(rows: HeldOut, rate: Rate, confidence: float) -> tuple[float, float, float]:
    """Largest difference of a rate between two groups of enough rows, with its limits.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    rate : Rate
        Of these groups. Those where it is of no rows are left out.
    confidence : float
        Coverage, at least.

    Returns
    -------
    value, low, high : float
        NaN if that leaves one of several groups; all 0 for a single group.
    """
    known = rows.compared & (rate.of > 0)
    if rows.m > 1 and known.sum() < 2:
        return np.nan, np.nan, np.nan
    if rows.m == 1:
        return 0.0, 0.0, 0.0
    limits = spread_interval(rate.hits[known], rate.of[known], confidence)
    return float(np.ptp(rate.value[known])), *limits


def selection_rate(rows: HeldOut, k: int) -> Measured:
    """Share of the rows that are predicted positive."""
    return with_limits(rows, selected(rows, k))


def true_positive_rate(rows: HeldOut, k: int) -> Measured:
    """Share of the positive rows that are predicted positive."""
    return with_limits(rows, found(rows, k))


def false_positive_rate(rows: HeldOut, k: int) -> Measured:
    """Share of the other rows that are predicted positive."""
    return with_limits(rows, mistaken(rows, k))


def precision(rows: HeldOut, k: int) -> Measured:
    """Share of the rows predicted positive that are positive."""
    return with_limits(rows, confirmed(rows, k))


def demographic_parity_difference(rows: HeldOut, k: int) -> Measured:
    """Largest selection rate of a group minus the smallest."""
    return difference(rows, selected(rows, k), rows.confidence)


def equal_opportunity_difference(rows: HeldOut, k: int) -> Measured:
    """Largest true positive rate of a group minus the smallest."""
    return difference(rows, found(rows, k), rows.confidence)


def equalized_odds_difference(rows: HeldOut, k: int) -> Measured:
    """Larger one of the differences of the true and of the false positive rates.

    Both intervals hold at once, so the larger value lies between the larger of their lower
    limits and the larger of their upper ones.
    """
    level = 1 - (1 - rows.confidence) / 2
    both = [difference(rows, of(rows, k), level) for of in (found, mistaken)]
    value, low, high = np.max(both, axis=0)  # NaN if one of them is
    return value, low, high


def balanced_accuracy(rows: HeldOut, k: int) -> Measured:
    """Mean recall of the classes that occur, as scikit-learn has it.

    The limits of all rows are those of a percentile bootstrap, which tells what is no better
    than chance; those of a group come from the exact limits of its recalls, which have a
    width where a bootstrap has none.
    """
    if rows.whole:
        return rows.balanced[k], *rows.percentiles(rows.balanced_samples[:, k])
    recalls = []
    for label in np.unique(rows.y):
        own = rows.y == label
        recalls.append(with_limits(rows, rows.rate(rows.correct[:, k] > 0, own)))
    value, low, high = np.transpose(recalls, (1, 2, 0))
    return np.nanmean(value, axis=1), *mean_interval(value, low, high)
