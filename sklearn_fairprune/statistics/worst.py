r"""Which group has the largest mean, and how sure that is: limits that skewed rows keep.

The observed largest is compared with each other group. Among few rows the tail of a skewed
distribution may be unseen, so a group's variance is at least that of all rows together until
its rows are enough to have seen the tail, and Student's statistic is corrected for skewness.
"""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from .weights import LEAST_KNOWN, effective_rows, weighted_means

LEAST_ROWS = 75
SMALLEST_SKEWNESS = 1e-6  # below it Hall's correction is lost in rounding


class Moments(NamedTuple):
    r"""Moments of the rows of m groups.

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        Effective rows of each group, :math:`n_a`: of equal weights the rows.
    means : ndarray of shape (m,)
        Group means.
    variances : ndarray of shape (m,)
        Variances of the rows with their floor, :math:`\tilde s_a^2`.
    thirds : ndarray of shape (m,)
        Third central moments, :math:`k_a`; :math:`k_a / n_a^2` is that of the mean.
    """

    sizes: np.ndarray
    means: np.ndarray
    variances: np.ndarray
    thirds: np.ndarray


class Worst(NamedTuple):
    """The group with the largest mean of those with enough rows.

    Attributes
    ----------
    group : int
        Its position; -1 if fewer than two groups have enough rows.
    low, high : float
        Limits of its mean.
    eligible : bool ndarray of shape (m,)
        Which groups have enough rows.
    leads, lead_lows : ndarray of shape (m,)
        How far its mean lies above that of each other eligible group, and the lower limit of
        that; NaN for itself and for the others.
    possible : bool ndarray of shape (m,)
        Eligible groups whose true mean may be the largest.
    largest_gap : float
        Upper limit of the largest difference between two eligible groups.
    highest : float
        Largest upper limit of the mean of an eligible group.
    """

    group: int
    low: float
    high: float
    eligible: np.ndarray
    leads: np.ndarray
    lead_lows: np.ndarray
    possible: np.ndarray
    largest_gap: float
    highest: float

    @property
    def beats_all(self) -> bool:
        """Whether its mean is surely larger than that of every other eligible group."""
        others = self.eligible & (np.arange(len(self.eligible)) != self.group)
        return bool(others.any() and (self.lead_lows[others] > 0).all())


def moments(
    values: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    level: float,
    weights: np.ndarray | None = None,
) -> Moments:
    r"""Moments of the rows of each group, with a floor for the variances.

    Over all rows, :math:`s^2` is the pooled variance and :math:`\kappa` the mean of
    :math:`(D_i - x_a)^4 / s^4`. About :math:`r = -\ln(\text{level}) \kappa` rows are needed to
    have seen the tail: :math:`\tilde s_a^2 = \max(s_a^2, s^2 \min(1, r / n_a))`.

    Of weighted rows :math:`n_a` is the effective number (`effective_rows` of the values), to
    which the weights of a group are made to add up; :math:`s_a^2 / n_a` is then at least the
    linearised variance of the weighted mean. The third central moment of that mean is the one
    of the rows times :math:`\sum w_i^3 / (\sum w_i)^3`.

    Parameters
    ----------
    values : ndarray of shape (n,)
        One number a row.
    groups : int ndarray of shape (n,)
        Group codes; no group is empty.
    n_groups : int
        Number of groups m.
    level : float
        Probability with which the tail may stay unseen.
    weights : ndarray of shape (n,), default=None
        Row weights, above 0; None: all are equal.

    Returns
    -------
    moments : Moments
    """

    def sums(rows):
        return np.bincount(groups, weights=rows, minlength=n_groups)

    weights = np.ones(len(values)) if weights is None else weights
    n = effective_rows(weights, groups, n_groups, values)
    means = weighted_means(values, weights, groups, n_groups)
    centred = values - means[groups]
    scaled = weights * (n / sums(weights))[groups]
    squares, cubes = sums(scaled * centred**2), sums(scaled * centred**3)
    freedom = np.maximum(n - 1, LEAST_KNOWN - 1)
    own = squares / freedom
    pooled = squares.sum() / max(np.sum(n - 1), 1)
    floor = np.zeros(n_groups)
    if pooled > 0:
        kurtosis = np.sum(scaled * centred**4) / n.sum() / pooled**2
        floor = pooled * np.minimum(1, -np.log(level) * kurtosis / n)
    # 1 of equal weights: how much more skewed the mean is than that of n rows.
    skewer = sums(scaled**3) / n
    thirds = skewer * cubes * n / (freedom * np.maximum(n - 2, 1))
    return Moments(n, means, np.maximum(own, floor), np.where(n > 2, thirds, 0.0))


def hall_limits(
    difference: np.ndarray,
    variance: np.ndarray,
    third: np.ndarray,
    freedom: np.ndarray,
    tail: float,
) -> tuple[np.ndarray, np.ndarray]:
    r"""Student's limits of a mean or a difference, widened by Hall's correction for skewness.

    With :math:`T = d / \sqrt V`, :math:`\gamma = k / V^{1.5}` and Student's quantile t,
    :math:`H = T + \gamma T^2 / 3 + \gamma^2 T^3 / 27 + \gamma / 6` is inverted by
    :math:`h(y) = \frac3\gamma (\sqrt[3]{1 + \gamma (y - \gamma / 6)} - 1)`. The limits are
    :math:`d - \max(t, h(t)) \sqrt V` and :math:`d + \max(t, -h(-t)) \sqrt V`: the lower is
    above 0 where both T and H are above t. Hall, Journal of the Royal Statistical Society B
    54, 1992.

    Parameters
    ----------
    difference, variance, third : ndarray of shape (...)
        The estimate, the variance of it and its third central moment.
    freedom : ndarray of shape (...)
        Degrees of freedom; without any the limits are NaN.
    tail : float
        Probability on either side.

    Returns
    -------
    low, high : ndarray of shape (...)
    """
    width = np.sqrt(variance)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(freedom > 0, stats.t.isf(tail, np.where(freedom > 0, freedom, 1)), np.nan)
        skewness = np.where(variance > 0, third / width**3, 0.0)

        def inverted(y):
            curved = 3 / skewness * (np.cbrt(1 + skewness * (y - skewness / 6)) - 1)
            return np.where(np.abs(skewness) < SMALLEST_SKEWNESS, y, curved)

        below, above = np.maximum(t, inverted(t)), np.maximum(t, -inverted(-t))
    return difference - below * width, difference + above * width


def mean_limits(found: Moments, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of every group's mean; NaN for a group of one row, or hardly more.

    Parameters
    ----------
    found : Moments
        From `moments`.
    tail : float
        Probability on either side.

    Returns
    -------
    low, high : ndarray of shape (m,)
    """
    n = found.sizes
    freedom = np.where(n >= LEAST_KNOWN, n - 1, 0)
    return hall_limits(found.means, found.variances / n, found.thirds / n**2, freedom, tail)


def group_limits(
    values: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    confidence: float = 0.95,
    weights: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the mean of each group's rows, as an interval is given.

    Parameters
    ----------
    values, groups, n_groups
        As in `moments`.
    confidence : float, default=0.95
        Level of the interval.
    weights : ndarray of shape (n,), default=None
        As in `moments`.

    Returns
    -------
    low, high : ndarray of shape (m,)
    """
    tail = (1 - confidence) / 2
    return mean_limits(moments(values, groups, n_groups, tail, weights), tail)


def lead_limits(found: Moments, tail: float) -> tuple[np.ndarray, np.ndarray]:
    """Limits of the difference between every two group means, by Welch's degrees of freedom.

    Parameters
    ----------
    found : Moments
        From `moments`.
    tail : float
        Probability on either side.

    Returns
    -------
    low, high : ndarray of shape (m, m)
        Of the mean of the group of the row minus that of the column; NaN where one of the two
        has one row only, or hardly more.
    """
    n, several = found.sizes, found.sizes >= LEAST_KNOWN
    parts, skews = found.variances / n, found.thirds / n**2
    variance = parts[:, None] + parts
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(several, parts**2 / np.maximum(n - 1, LEAST_KNOWN - 1), 0.0)
        freedom = variance**2 / (shares[:, None] + shares)
    freedom = np.where(variance > 0, freedom, n.sum())
    freedom = np.where(several[:, None] & several, freedom, 0)
    difference = found.means[:, None] - found.means
    return hall_limits(difference, variance, skews[:, None] - skews, freedom, tail)


def top_share(values: np.ndarray, share: float = 0.01) -> tuple[float, int]:
    """Share of a sum that its largest terms make up.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Terms.
    share : float, default=0.01
        Of the terms that are the largest, rounded up.

    Returns
    -------
    part : float
        More than 1 where the others add up to less than nothing; NaN unless the sum is
        above 0.
    n_top : int
        Number of these terms.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.worst import top_share
    >>> top_share(np.r_[6.0, np.full(199, 0.02)])[1]
    2
    """
    n_top = math.ceil(share * len(values))
    total = float(values.sum())
    if total <= 0:
        return math.nan, n_top
    return float(np.partition(values, -n_top)[-n_top:].sum()) / total, n_top


def worst_group(
    values: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    *,
    least_rows: int = LEAST_ROWS,
    confidence: float = 0.95,
    weights: np.ndarray | None = None,
) -> Worst:
    r"""Group with the largest mean, against each other group.

    Given which mean is observed to be the largest, comparing it with each other at the level
    :math:`\alpha` on two sides names a wrong group with probability at most :math:`\alpha`:
    no correction for the number of groups is needed (Hung, Fithian, "Rank verification for
    exponential families", Annals of Statistics 47, 2019). Here :math:`\alpha` is half of
    ``1 - confidence``, so that what is said of two measures, such as the loss and the
    decisions, holds for both together. Which groups may be the largest is tested with
    Bonferroni's correction.

    Parameters
    ----------
    values : ndarray of shape (n,)
        What a row pays: larger is worse.
    groups : int ndarray of shape (n,)
        Group codes; no group is empty.
    n_groups : int
        Number of groups m.
    least_rows : int, default=75
        Groups of fewer rows are neither named nor ruled out; their rows help to know how long
        the tails are. Of events rarer than 3.7 / n_a that no other group shows, a group of n_a
        rows says nothing. Of weighted rows, fewer effective ones (Kish's number).
    confidence : float, default=0.95
        Of what is said of two measures together.
    weights : ndarray of shape (n,), default=None
        As in `moments`.

    Returns
    -------
    worst : Worst

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.worst import worst_group
    >>> lost = np.r_[np.tile([0, 1], 100), np.zeros(100), np.ones(9)]
    >>> worst = worst_group(lost, np.repeat([0, 1, 2], [200, 100, 9]), 3)
    >>> worst.group, worst.beats_all, worst.eligible.tolist()
    (0, True, [True, True, False])
    """
    level = (1 - confidence) / 2
    found = moments(values, groups, n_groups, level, weights)
    given = np.ones(len(values)) if weights is None else weights
    eligible = effective_rows(given, groups, n_groups) >= least_rows
    nobody = np.full(n_groups, np.nan)
    if eligible.sum() < 2:
        return Worst(-1, np.nan, np.nan, eligible, nobody, nobody, eligible, np.nan, np.nan)
    group = int(np.argmax(np.where(eligible, found.means, -np.inf)))
    others = eligible & (np.arange(n_groups) != group)
    low, high = mean_limits(found, level / 2)
    lead_low, lead_high = lead_limits(found, level / 2)
    strict, _ = lead_limits(found, level / 2 / others.sum())
    pairs = lead_high[np.ix_(eligible, eligible)][~np.eye(eligible.sum(), dtype=bool)]
    return Worst(
        group,
        float(low[group]),
        float(high[group]),
        eligible,
        np.where(others, found.means[group] - found.means, np.nan),
        np.where(others, lead_low[group], np.nan),
        eligible & ~(others & (strict[group] > 0)),
        float(pairs.max()),
        float(high[eligible].max()),
    )
