"""Rank correlations of group values: by chance, by shared noise, and without noise."""

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

N_PERMUTATIONS = 9999


def rank_correlation(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Spearman's rank correlation along the last axis; NaN where one is constant.

    Parameters
    ----------
    a, b : ndarray of shape (..., m)
        Values by group; leading dimensions are broadcast.

    Returns
    -------
    correlation : ndarray of shape (...)
    """
    a, b = np.asarray(a), np.asarray(b)
    if a.shape[-1] < 2:
        return np.full(np.broadcast_shapes(a.shape[:-1], b.shape[:-1]), np.nan)
    x, y = (np.asarray(stats.rankdata(v, axis=-1)) for v in (a, b))
    x, y = (v - v.mean(axis=-1, keepdims=True) for v in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.sqrt((x**2).sum(-1) * (y**2).sum(-1))
        return (x * y).sum(-1) / both


def permutation_p(target: np.ndarray, values: np.ndarray, random_state: int) -> float:
    """One-sided p-value of the rank correlation; exact where the permutations are few.

    Parameters
    ----------
    target, values : ndarray of shape (m,)
        Values by group.
    random_state : int
        Of the permutations, drawn if there are more than 9999.

    Returns
    -------
    p : float
        NaN without a rank correlation.
    """
    if len(target) < 2 or np.isnan(rank_correlation(target, values)):
        return np.nan
    return stats.permutation_test(
        (np.asarray(target, dtype=float),),
        lambda permuted, axis: rank_correlation(permuted, values),
        permutation_type="pairings",
        vectorized=True,
        n_resamples=N_PERMUTATIONS,
        alternative="greater",
        random_state=np.random.default_rng(random_state),
    ).pvalue


def shared_noise_p(
    target: np.ndarray,
    target_samples: np.ndarray,
    values: np.ndarray,
    samples: np.ndarray,
    random_state: int,
) -> float:
    """One-sided p-value of the rank correlation if only the noise is shared.

    Parameters
    ----------
    target, values : ndarray of shape (m,)
        Values by group.
    target_samples, samples : ndarray of shape (n_boot, m)
        Their bootstrap samples, from the same resampled rows; `samples` may be one.
    random_state : int
        Of the permutations.

    Returns
    -------
    p : float
        NaN without a rank correlation.
    """
    observed = rank_correlation(target, values)
    if len(target) < 2 or np.isnan(observed):
        return np.nan
    rng = np.random.default_rng(random_state)
    truth, noise = _shrunk(target, target_samples)
    other, other_noise = _shrunk(values, samples)
    permuted = rng.permuted(np.tile(truth, (N_PERMUTATIONS, 1)), axis=1)
    draws = rng.integers(len(noise), size=N_PERMUTATIONS)
    null = rank_correlation(
        permuted + noise[draws], other + other_noise[draws % len(other_noise)]
    )
    return (1 + np.sum(null >= observed - 1e-12)) / (1 + N_PERMUTATIONS)


def _shrunk(values: np.ndarray, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Group values with the variance that is surely not noise, and the samples' noise.

    The variance of m groups that are all alike is the noise's times chi-square over m - 1;
    what is above the 95 % quantile of that is not noise.
    """
    noise, deviations = samples - values, values - values.mean()
    variance, freedom = values.var(ddof=1), len(values) - 1
    alike = noise.var(axis=0).mean() * stats.chi2.ppf(0.95, freedom) / freedom
    share = max(0.0, 1 - alike / variance) if variance > 0 else 0.0
    return values.mean() + share**0.5 * deviations, noise


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjust p-values for their number (Holm, 1979).

    Parameters
    ----------
    p_values : array-like of shape (n,)
        NaN is no test.

    Returns
    -------
    adjusted : ndarray of shape (n,)
        NaN stays NaN.
    """
    p_values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    adjusted = np.full(len(p_values), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def reliability(values: np.ndarray, samples: np.ndarray) -> float:
    """Share of the variance of the group ranks that is not sampling noise, 0 to 1.

    With c the correlation of resampled and original ranks, c^2 = V / (V + s^2) for the
    variance V of the original and the noise s^2: the share is (V - s^2) / V = 2 - 1 / c^2.

    Parameters
    ----------
    values : ndarray of shape (m,)
        Values by group.
    samples : ndarray of shape (n_boot, m)
        Their bootstrap samples.

    Returns
    -------
    share : float
    """
    resampled = rank_correlation(samples, values)
    c = resampled.mean() if not np.isnan(resampled).any() else 0.0
    return max(0.0, 2 - 1 / c**2) if c > 0 else 0.0


def reach(
    high: float,
    target: np.ndarray,
    target_samples: np.ndarray,
    values: np.ndarray,
    samples: np.ndarray,
) -> float:
    """Upper limit of the rank correlation without noise.

    Parameters
    ----------
    high : float
        Its upper limit with noise.
    target, target_samples, values, samples
        As in `shared_noise_p`.

    Returns
    -------
    limit : float
        Infinity if noise is all.
    """
    reliable = reliability(target, target_samples) * reliability(values, samples)
    if not reliable:
        return np.inf
    ranks, others = (
        stats.rankdata(s, axis=-1) - stats.rankdata(v)
        for v, s in ((target, target_samples), (values, samples))
    )
    variance = (len(target) ** 2 - 1) / 12
    shared = (ranks * others).mean() / variance
    # The original has this noise once, each resample twice.
    return max(high, (high - 2 * min(shared, 0.0)) / reliable**0.5)
