"""Confidence intervals: exact where there is an exact one, else bootstrap."""

import numpy as np
from scipy import special, stats

from .weights import LEAST_KNOWN, effective_rows

Limits = tuple[float, float]
Values = float | np.ndarray


def proportion_interval(successes: float, n: float, confidence: float = 0.95) -> Limits:
    """Exact interval of a proportion (Clopper and Pearson, 1934).

    Its ends are quantiles of Beta(k, n - k + 1) and Beta(k + 1, n - k).

    Parameters
    ----------
    successes, n : float
        Number of successes among n trials; of weighted rows effective ones, as Korn and
        Graubard have it (`statistics.weights`).
    confidence : float, default=0.95
        Coverage, at least.

    Returns
    -------
    low, high : float

    References
    ----------
    Clopper and Pearson, Biometrika 26, 1934. Korn and Graubard, "Confidence intervals for
    proportions with small expected number of positive counts estimated from survey data",
    Survey Methodology 24, 1998.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.intervals import proportion_interval
    >>> [round(v, 3) for v in proportion_interval(9, 10)]
    [0.555, 0.997]
    """
    tail, failures = (1 - confidence) / 2, n - successes
    low = special.betaincinv(successes, failures + 1, tail) if successes else 0.0
    high = special.betainccinv(successes + 1, failures, tail) if failures else 1.0
    return float(low), float(high)


def wilson_interval(successes: float, n: float, confidence: float = 0.95) -> Limits:
    r"""Wilson's interval of a proportion, which is inside Clopper and Pearson's.

    With :math:`p = k / n` and the normal quantile z its ends are
    :math:`\frac{p + z^2 / 2n \pm z \sqrt{p (1 - p) / n + z^2 / 4n^2}}{1 + z^2 / n}`.

    Parameters
    ----------
    successes, n : float
        As in `proportion_interval`.
    confidence : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float

    References
    ----------
    Wilson, Journal of the American Statistical Association 22, 1927.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.intervals import wilson_interval
    >>> [round(v, 3) for v in wilson_interval(9, 10)]
    [0.596, 0.982]
    """
    z2, p = stats.norm.isf((1 - confidence) / 2) ** 2, successes / n
    middle, half = p + z2 / (2 * n), (z2 * (p * (1 - p) / n + z2 / (4 * n**2))) ** 0.5
    low, high = (middle - half) / (1 + z2 / n), (middle + half) / (1 + z2 / n)
    return float(low if successes > 0 else 0.0), float(high if successes < n else 1.0)


def paired_difference_interval(
    both: float,
    only_first: float,
    only_second: float,
    neither: float,
    confidence: float = 0.95,
) -> Limits:
    r"""Interval of the difference of two proportions on the same rows.

    The square-and-add interval with the Wilson limits :math:`l_i, u_i` of each
    proportion and the continuity-corrected correlation :math:`\hat\phi` of the pairs:
    :math:`\hat d - \sqrt{(\hat p_1 - l_1)^2 - 2\hat\phi(\hat p_1 - l_1)(u_2 - \hat p_2) +
    (u_2 - \hat p_2)^2}` below, and likewise above. Unlike a bootstrap it has a width
    where no pair differs.

    Parameters
    ----------
    both, only_first, only_second, neither : float
        Number of rows on which both, one or none of the two succeed; effective numbers of
        weighted rows.
    confidence : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        Of the first proportion minus the second.

    References
    ----------
    Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17, 1998, method 10.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.intervals import paired_difference_interval
    >>> [round(v, 4) for v in paired_difference_interval(36, 12, 2, 0)]
    [0.0569, 0.3404]
    """
    n = both + only_first + only_second + neither
    k1, k2 = both + only_first, both + only_second
    p1, p2 = k1 / n, k2 / n
    (l1, u1), (l2, u2) = (wilson_interval(k, n, confidence) for k in (k1, k2))
    product = k1 * (n - k1) * k2 * (n - k2)
    phi = 0.0
    if product > 0:
        covariance: float = both * neither - only_first * only_second
        if covariance > 0:
            covariance = max(covariance - n / 2, 0)
        phi = covariance / product**0.5
    d = p1 - p2
    below = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    above = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    return float(d - max(below, 0.0) ** 0.5), float(d + max(above, 0.0) ** 0.5)


def difference_interval(
    first: tuple[Values, Values, Values], second: tuple[Values, Values, Values]
) -> tuple[Values, Values]:
    r"""Interval of the difference of two independent estimates, from their own intervals.

    With estimates :math:`\hat\theta_i` and limits :math:`l_i, u_i`:
    :math:`\hat\theta_2 - \hat\theta_1 - \sqrt{(\hat\theta_2 - l_2)^2 + (u_1 -
    \hat\theta_1)^2}` below, and likewise above.

    Parameters
    ----------
    first, second : tuple of (value, low, high)
        Floats or arrays; NaN limits give NaN.

    Returns
    -------
    low, high : float or ndarray
        Of the second minus the first.

    Notes
    -----
    Estimates from the same rows go up and down together; the interval is then too wide.

    References
    ----------
    Zou and Donner, "Construction of confidence limits about effect measures: a general
    approach", Statistics in Medicine 27, 2008.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.intervals import difference_interval
    >>> [round(float(v), 6) for v in difference_interval((1, 0.7, 1.4), (2, 1.7, 2.4))]
    [0.5, 1.5]
    """
    (v1, l1, u1), (v2, l2, u2) = first, second
    d = v2 - v1
    return d - np.hypot(v2 - l2, u1 - v1), d + np.hypot(u2 - v2, v1 - l1)


def mean_interval(
    values: np.ndarray, low: np.ndarray, high: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    r"""Interval of the mean of independent estimates, from their own intervals.

    With estimates :math:`\hat\theta_i` and limits :math:`l_i, u_i` of k quantities:
    :math:`\bar\theta - \sqrt{\sum_i(\hat\theta_i - l_i)^2} / k` below, and likewise above.

    Parameters
    ----------
    values, low, high : ndarray of shape (..., k)
        NaN is left out of the mean.

    Returns
    -------
    low, high : ndarray of shape (...)
        NaN where all are.

    References
    ----------
    Zou and Donner, "Construction of confidence limits about effect measures: a general
    approach", Statistics in Medicine 27, 2008.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.intervals import mean_interval
    >>> low, high = mean_interval(*np.array([[0.5, 0.7], [0.2, 0.3], [0.9, 0.7]]))
    >>> round(float(low), 3), round(float(high), 3)
    (0.35, 0.8)
    """
    known = np.isfinite(values)
    k = known.sum(axis=-1)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.where(known, values, 0).sum(axis=-1) / k
        below = np.sqrt((np.where(known, values - low, 0) ** 2).sum(axis=-1)) / k
        above = np.sqrt((np.where(known, high - values, 0) ** 2).sum(axis=-1)) / k
    return mean - below, mean + above


def spread_interval(
    successes: np.ndarray, sizes: np.ndarray, confidence: float = 0.95
) -> Limits:
    """Interval of the largest difference between the proportions of m groups.

    Holds whenever all m exact intervals at level 1 - (1 - confidence) / m hold, so its
    coverage is at least `confidence`.

    Parameters
    ----------
    successes, sizes : ndarray of shape (m,)
        Successes and trials of each group, effective ones of weighted rows.
    confidence : float, default=0.95
        Coverage, at least.

    Returns
    -------
    low, high : float
        Between 0 and 1; both 0 for a single group.
    """
    m = len(sizes)
    if m == 1:
        return 0.0, 0.0
    level = 1 - (1 - confidence) / m
    limits = np.array(
        [proportion_interval(k, n, level) for k, n in zip(successes, sizes, strict=True)]
    )
    low, high = limits.T
    apart = high[:, None] - low[None, :]
    np.fill_diagonal(apart, -np.inf)
    return max(0.0, float(low.max() - high.min())), float(apart.max())


def bootstrap_group_means(
    values: np.ndarray,
    groups: np.ndarray,
    n_groups: int,
    n_boot: int,
    rng: np.random.Generator,
    weights: np.ndarray | None = None,
) -> np.ndarray:
    """Means of each group in bootstrap samples drawn within the groups.

    Deviations from the mean are stretched by sqrt(n_a / (n_a - 1)), which makes their
    variance that of the mean of n_a rows without bias. Weighted rows are drawn with their
    weights, rows being drawn alike; n_a is then the effective number.

    Parameters
    ----------
    values : ndarray of shape (n, k)
        Quantities of each row; rows are drawn whole, so pairs stay pairs.
    groups : int ndarray of shape (n,)
        Group codes.
    n_groups : int
        Number of groups m.
    n_boot : int
        Number of bootstrap samples.
    rng : numpy.random.Generator
        Where they are drawn from.
    weights : ndarray of shape (n,), default=None
        Row weights, above 0; None: all are equal.

    Returns
    -------
    means : ndarray of shape (n_boot, m, k)
        NaN for a group of one effective row, or hardly more: its sampling error cannot be
        known.
    """
    weights = np.ones(len(values)) if weights is None else weights
    effective = effective_rows(weights, groups, n_groups)
    means = np.full((n_boot, n_groups, values.shape[1]), np.nan)
    for a in range(n_groups):
        member = groups == a
        if not effective[a] >= LEAST_KNOWN:
            continue
        mass, n = weights[member], int(member.sum())
        rows = mass[:, None] * values[member]
        centre = rows.sum(axis=0) / mass.sum()
        stretch = (effective[a] / (effective[a] - 1)) ** 0.5
        chunk = max(1, 2_000_000 // n)
        for start in range(0, n_boot, chunk):
            stop = min(start + chunk, n_boot)
            counts = rng.multinomial(n, np.full(n, 1 / n), size=stop - start)
            drawn = counts @ rows / (counts @ mass)[:, None]
            means[start:stop, a] = centre + (drawn - centre) * stretch
    return means


def percentile_interval(
    samples: np.ndarray, confidence: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Percentile interval along the first axis; NaN samples give a NaN interval.

    Parameters
    ----------
    samples : ndarray of shape (n_boot, ...)
        Bootstrap samples.
    confidence : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : ndarray of shape (...)
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return low, high


def median_interval(values: np.ndarray, confidence: float = 0.95) -> Limits:
    r"""Distribution-free interval of a median, between two order statistics.

    With :math:`k = \max \{j : P(B < j) < (1 - confidence) / 2\}`, B binomial of n trials with
    probability 1/2, it is :math:`[x_{(k)}, x_{(n + 1 - k)}]`.

    Parameters
    ----------
    values : ndarray of shape (n,)
        Independent draws from one distribution.
    confidence : float, default=0.95
        Coverage, at least.

    Returns
    -------
    low, high : float
        NaN where the draws are too few: fewer than six at 0.95.

    References
    ----------
    David and Nagaraja, "Order Statistics", 2003, section 7.1.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.intervals import median_interval
    >>> median_interval(np.arange(1.0, 21.0))
    (6.0, 15.0)
    """
    # The smallest k for which P(B <= k) reaches the tail.
    k = int(stats.binom.ppf((1 - confidence) / 2, len(values), 0.5))
    if k < 1:
        return float("nan"), float("nan")
    ordered = np.sort(values)
    return float(ordered[k - 1]), float(ordered[-k])


def gap_interval(
    samples: np.ndarray, estimates: np.ndarray, confidence: float = 0.95
) -> Limits:
    r"""Interval of the largest gap between group values, :math:`\max_{a,a'}|v_a - v_{a'}|`.

    A maximum of absolute values is never negative, so its own percentiles would exclude 0
    always. The band used here holds for all pairs at once: with q the quantile of the
    largest gap between the *errors* :math:`v^*_a - v_a`, the true gap lies within q of
    the estimated one.

    Parameters
    ----------
    samples : ndarray of shape (n_boot, m)
        Bootstrap samples of the group values.
    estimates : ndarray of shape (m,)
        The group values.
    confidence : float, default=0.95
        Nominal coverage.

    Returns
    -------
    low, high : float
        NaN if a group has one row; both 0 for a single group.
    """
    if len(estimates) == 1:
        return 0.0, 0.0
    errors = samples - estimates
    q = np.quantile(errors.max(axis=1) - errors.min(axis=1), confidence)
    gap = np.max(estimates) - np.min(estimates)
    low = gap - q
    return float(max(low, 0.0) if low == low else low), float(gap + q)
