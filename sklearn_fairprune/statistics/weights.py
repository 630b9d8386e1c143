r"""What weighted rows are worth: effective numbers of rows, by which all intervals are made.

A share or a mean of weighted rows has the interval of as many rows of equal weight as would
make it as sure. Functions of shares and means need not know of weights: they are given
effective numbers in the place of counts, and of equal weights these are the counts.
"""

from typing import Any

import numpy as np

LEAST_KNOWN = 1.5  # effective rows of which a sampling error can be known: more than one row
EQUAL = 1e-9  # relative: no more than rounding apart


def check_weights(sample_weight: Any, n: int) -> np.ndarray:
    """Row weights as floats.

    Parameters
    ----------
    sample_weight : array-like of shape (n,)
        What a user gave.
    n : int
        Number of rows.

    Returns
    -------
    weights : ndarray of shape (n,)

    Raises
    ------
    ValueError
        Unless it is one finite number of at least 0 a row, and one of them above 0.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.weights import check_weights
    >>> check_weights([1, -2], 2)
    Traceback (most recent call last):
        ...
    ValueError: sample_weight must be finite and at least 0 in every row, got -2.0 in row 1 ...
    """
    rule = "sample_weight must be one number per row"
    if isinstance(sample_weight, (str, bytes)):
        raise ValueError(
            f"{rule}, got the text {sample_weight!r}. Give the column itself, such as "
            f"data[{sample_weight!r}]."
        )
    try:
        weights = np.array(sample_weight, dtype=np.float64)  # torch writes to no Series
    except (TypeError, ValueError) as error:
        raise ValueError(f"{rule}: {error}. Make numbers of the weights.") from error
    if weights.shape != (n,):
        raise ValueError(
            f"{rule}, {n} of them, got shape {weights.shape}. Give the weights of the rows of "
            "X, in their order."
        )
    wrong = np.flatnonzero(~((weights >= 0) & (weights < np.inf)))
    if len(wrong):
        raise ValueError(
            f"sample_weight must be finite and at least 0 in every row, got "
            f"{weights[wrong[0]]} in row {wrong[0]} ({len(wrong)} such rows). Leave rows of "
            "unknown weight out; 0 leaves a row out too."
        )
    if not weights.any():
        raise ValueError(
            "sample_weight must be above 0 in some row, got 0 in every row: nothing is left "
            "to measure."
        )
    if weights.max() > np.finfo(float).max / n:
        raise ValueError(
            f"sample_weight must have a finite sum, got {weights.max():g} in a row. "
            "Divide the weights by it: their unit does not matter."
        )
    return weights


def effective_rows(
    weights: np.ndarray, groups: np.ndarray, n_groups: int, values: np.ndarray | None = None
) -> np.ndarray:
    r"""Effective number of rows of each group.

    Kish's number is :math:`n_a^* = (\sum w_i)^2 / \sum w_i^2`: that of rows of equal weight
    whose mean varies as much, if what is averaged has nothing to do with the weights. Where
    `values` are given, it is at most the ratio of their variance to the linearised variance
    of their weighted mean :math:`\bar v`,
    :math:`\frac{\sum w_i (v_i - \bar v)^2 / \sum w_i}
    {\sum w_i^2 (v_i - \bar v)^2 / (\sum w_i)^2}`, which is smaller where rows of large weight
    vary most.

    Parameters
    ----------
    weights : ndarray of shape (n,)
        Row weights, above 0; their unit does not matter.
    groups : int ndarray of shape (n,)
        Group codes.
    n_groups : int
        Number of groups m.
    values : ndarray of shape (n,), default=None
        What is averaged; None gives Kish's number.

    Returns
    -------
    effective : ndarray of shape (m,)
        At most the number of rows, and exactly that where all weights of a group are equal;
        0 of a group without rows.

    References
    ----------
    Kish, "Survey Sampling", 1965. Korn and Graubard, "Confidence intervals for proportions
    with small expected number of positive counts estimated from survey data", Survey
    Methodology 24, 1998: effective numbers in the place of counts.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.weights import effective_rows
    >>> groups = np.array([0, 0, 1, 1])
    >>> effective_rows(np.array([7.0, 7.0, 1.0, 3.0]), groups, 2).round(3).tolist()
    [2.0, 1.6]
    """

    def sums(rows):
        return np.bincount(groups, weights=rows, minlength=n_groups)

    def ratio(above, below, otherwise):
        return np.divide(above, below, out=otherwise, where=below > 0)

    largest = np.zeros(n_groups)
    np.maximum.at(largest, groups, weights)
    weights = weights / largest[groups]  # equal ones are 1, without rounding
    total = sums(weights)
    kish = ratio(total**2, sums(weights**2), np.zeros(n_groups))
    if values is None:
        return kish
    means = ratio(sums(weights * values), total, np.zeros(n_groups))
    squares = (values - means[groups]) ** 2
    own = ratio(sums(weights * squares) * total, sums(weights**2 * squares), kish.copy())
    return np.where(own < kish * (1 - EQUAL), own, kish)


def weighted_means(
    values: np.ndarray, weights: np.ndarray, groups: np.ndarray, n_groups: int
) -> np.ndarray:
    r"""Weighted mean of each group, :math:`\sum w_i v_i / \sum w_i` (Hajek's ratio).

    Parameters
    ----------
    values, weights : ndarray of shape (n,)
        One number a row, and its weight.
    groups : int ndarray of shape (n,)
        Group codes.
    n_groups : int
        Number of groups m.

    Returns
    -------
    means : ndarray of shape (m,)
        NaN of a group without rows.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.weights import weighted_means
    >>> one = np.zeros(2, dtype=int)
    >>> weighted_means(np.array([0.0, 1.0]), np.array([1.0, 3.0]), one, 1).tolist()
    [0.75]
    """
    above, below = (
        np.bincount(groups, weights=rows, minlength=n_groups)
        for rows in (weights * values, weights)
    )
    return np.divide(above, below, out=np.full(n_groups, np.nan), where=below > 0)
