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
    Two things can mislead: chance among few groups, and noise in the rows. "explains"
    needs both a permutation test over the groups, one-sided in the expected direction
    and adjusted, and a bootstrap interval over the rows on that side of 0. "does not
    explain" needs the interval, corrected for attenuation (its limit divided by
    the root of both reliabilities, Spearman 1904), to lie below 0.5 in the expected
    direction: less than a quarter of the variance of the ranks. All else is "cannot
    tell"; with fewer than five groups that, or "does not explain", is all there can be
    for one explanation at the 95 % level.
    """
    alpha = 1 - confidence
    rows, p_values = {}, []
    for name, e in explanations.items():
        rho = float(rank_correlation(target, e.values))
        samples = e.values if e.samples is None else e.samples
        spread = rank_correlation(target_samples, samples)
        low, high = np.quantile(spread, [alpha / 2, 1 - alpha / 2])
        p_values.append(_permutation_p(target, e.sign * e.values, random_state))
        reliable = _reliability(target, target_samples)
        reliable *= 1.0 if e.samples is None else _reliability(e.values, e.samples)
        rows[name] = {
            "rank_correlation": rho,
            "rank_correlation_low": low,
            "rank_correlation_high": high,
            "expected": "+" if e.sign > 0 else "-",
            "reliability": reliable,
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("explanation")
    table.insert(4, "p_value", _holm(p_values))
    table["verdict"] = [_verdict(row, alpha) for _, row in table.iterrows()]
    return table.drop(columns="reliability")


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
    c = np.nanmean(rank_correlation(samples, values)) if len(values) > 1 else np.nan
    return max(0.0, 2 - 1 / c**2) if c > 0 else 0.0


def _verdict(row, alpha):
    low, high = row["rank_correlation_low"], row["rank_correlation_high"]
    if row["expected"] == "-":
        low, high = -high, -low
    if row["p_value"] <= alpha and low > 0:
        return "explains"
    reach = high / row["reliability"] ** 0.5 if row["reliability"] > 0 else np.inf
    if max(high, reach) < WORTH_MENTIONING:
        return "does not explain"
    return "cannot tell"
