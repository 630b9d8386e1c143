"""Which group pays most: the largest against all others, at a level for all of them."""

import numpy as np
from scipy import stats


def top_group(
    values: np.ndarray, samples: np.ndarray, sizes: np.ndarray, confidence: float = 0.95
) -> tuple[int, float, float, float]:
    """Group with the largest value, and its distance to all other rows.

    The interval is Student's, with the bootstrap standard error and n_a - 1 degrees of
    freedom: far in the tails it needs no more bootstrap samples. It holds for all groups at
    once (level 1 - (1 - confidence) / m), for the group was picked because its value is
    the largest.

    Parameters
    ----------
    values : ndarray of shape (m,)
        Group means, at least two.
    samples : ndarray of shape (n_boot, m)
        Their bootstrap samples.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    confidence : float, default=0.95
        Nominal coverage.

    Returns
    -------
    group : int
    distance, low, high : float
        Its value minus the mean of the other rows; NaN limits for one row.
    """
    group, m = int(np.argmax(values)), len(values)
    others = np.arange(m) != group
    weights = sizes[others] / sizes[others].sum()
    rest = np.where(np.isnan(samples), values, samples)[:, others] @ weights
    distance = values[group] - values[others] @ weights
    if sizes[group] < 2:
        return group, distance, np.nan, np.nan
    tail = (1 - confidence) / m / 2
    width = stats.t.isf(tail, sizes[group] - 1) * (samples[:, group] - rest).std()
    return group, distance, distance - width, distance + width
