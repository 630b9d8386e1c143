"""Does a quantity explain which groups pay? Rank correlations, and words they earn."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

# Below this rank correlation less than a quarter of the variance of the ranks is shared.
WORTH_MENTIONING = 0.5
N_PERMUTATIONS = 9999


class Explanation(NamedTuple):
    """A quantity that might tell which groups pay.

    Attributes
    ----------
    values : ndarray of shape (m,)
        One per group.
    samples : ndarray of shape (n_boot, m) or None
        Bootstrap samples from the same resampled rows as the target's; None for a quantity
        without sampling error.
    sign : {1, -1}
        Whether it should rise or fall with the damage.
    """

    values: np.ndarray
    samples: np.ndarray | None = None
    sign: int = 1


def rank_correlation(a, b):
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
    a, b = (stats.rankdata(v, axis=-1) for v in (a, b))
    a, b = (v - v.mean(axis=-1, keepdims=True) for v in (a, b))
    with np.errstate(invalid="ignore", divide="ignore"):
        both = np.sqrt((a**2).sum(-1) * (b**2).sum(-1))
        return (a * b).sum(-1) / both


def explain(target, target_samples, explanations, *, confidence=0.95, random_state=0):
    r"""Rank correlation over the groups of the damage with each explanation.

    Parameters
    ----------
    target : ndarray of shape (m,)
        Damage of each group, such as the excessive loss R(a).
    target_samples : ndarray of shape (n_boot, m)
        Its bootstrap samples.
    explanations : dict of str to Explanation
        What may explain it.
    confidence : float, default=0.95
        Level of the intervals; tests are at 1 - confidence.
    random_state : int, default=0
        Of the permutations, drawn if there are more than 9999.

    Returns
    -------
    table : DataFrame
        Per explanation: ``rank_correlation`` with its ``_low`` and ``_high`` limit,
        ``expected`` sign, ``p_value`` (adjusted over the explanations by Holm's method)
        and ``verdict``.

    Notes
    -----
    Three things can mislead: chance among few groups, noise in the rows, and noise that
    damage and explanation share because they are measured on the same rows. "explains"
    needs a one-sided permutation test over the groups; the same with the noise of the
    bootstrap put back on group values that were shrunk to their true variance, so that
    shared noise alone is no evidence; and a bootstrap interval over the rows on the right
    side of 0. The larger of both p-values is given, adjusted. "does not explain" needs the
    interval to lie below 0.5 in the expected direction, less than a quarter of the
    variance of the ranks, also when its limit is freed of opposite shared noise and divided by
    the root of both reliabilities (Spearman 1904). All else is "cannot tell".
    """
    alpha = 1 - confidence
    rows, p_values = {}, []
    for name, e in explanations.items():
        samples = e.values[None] if e.samples is None else e.samples
        pair = (target, target_samples, e.sign * e.values, e.sign * samples)
        spread = rank_correlation(target_samples, samples)
        low, high = np.quantile(spread, [alpha / 2, 1 - alpha / 2])
        tests = (
            _permutation_p(target, e.sign * e.values, random_state),
            _shared_noise_p(*pair, random_state),
        )
        p_values.append(max(tests) if not np.isnan(tests).any() else np.nan)
        rows[name] = {
            "rank_correlation": float(rank_correlation(target, e.values)),
            "rank_correlation_low": low,
            "rank_correlation_high": high,
            "expected": "+" if e.sign > 0 else "-",
            "reach": _reach(high if e.sign > 0 else -low, *pair),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("explanation")
    table.insert(4, "p_value", _holm(p_values))
    table["verdict"] = [_verdict(row, alpha) for _, row in table.iterrows()]
    return table.drop(columns="reach")


def _permutation_p(target, values, random_state):
    """One-sided p-value of the rank correlation; exact where the permutations are few."""
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


def _shared_noise_p(target, target_samples, values, samples, random_state):
    """One-sided p-value of the rank correlation if only the noise is shared."""
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


def _shrunk(values, samples):
    """Group values with the variance that is surely not noise, and the samples' noise.

    The variance of m groups that are all alike is the noise's times chi-square over m - 1;
    what is above the 95 % quantile of that is not noise.
    """
    noise, deviations = samples - values, values - values.mean()
    variance, freedom = values.var(ddof=1), len(values) - 1
    alike = noise.var(axis=0).mean() * stats.chi2.ppf(0.95, freedom) / freedom
    share = max(0.0, 1 - alike / variance) if variance > 0 else 0.0
    return values.mean() + share**0.5 * deviations, noise


def _holm(p_values):
    """Adjust p-values for their number (Holm, 1979); NaN stays NaN."""
    p_values = np.asarray(p_values, dtype=float)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    adjusted = np.full(len(p_values), np.nan)
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p_values[order] * factors), 1.0)
    return adjusted


def _reliability(values, samples):
    """Share of the variance of the group ranks that is not sampling noise, 0 to 1.

    With c the correlation of resampled and original ranks, c^2 = V / (V + s^2) for the
    variance V of the original and the noise s^2: the share is (V - s^2) / V = 2 - 1 / c^2.
    """
    resampled = rank_correlation(samples, values)
    c = resampled.mean() if not np.isnan(resampled).any() else 0.0
    return max(0.0, 2 - 1 / c**2) if c > 0 else 0.0


def _reach(high, target, target_samples, values, samples):
    """Upper limit of the rank correlation without noise, or infinity if noise is all."""
    reliable = _reliability(target, target_samples) * _reliability(values, samples)
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


def _verdict(row, alpha):
    low = row["rank_correlation_low"]
    if row["expected"] == "-":
        low = -row["rank_correlation_high"]
    if row["p_value"] < alpha - 1e-9 and low > 0:
        return "explains"
    return "does not explain" if row["reach"] < WORTH_MENTIONING else "cannot tell"
