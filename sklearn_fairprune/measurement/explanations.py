"""Does a quantity explain which groups pay? Rank correlations, and words they earn."""

from enum import StrEnum
from typing import NamedTuple

import numpy as np
import pandas as pd

from ..statistics.rank_correlation import (
    holm,
    permutation_p,
    rank_correlation,
    reach,
    shared_noise_p,
)

# Below this rank correlation less than a quarter of the variance of the ranks is shared.
WORTH_MENTIONING = 0.5


class Verdict(StrEnum):
    """What a rank correlation says of a quantity; tables hold its text."""

    EXPLAINS = "explains"
    DOES_NOT_EXPLAIN = "does not explain"
    CANNOT_TELL = "cannot tell"


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


def explain(
    target: np.ndarray,
    target_samples: np.ndarray,
    explanations: dict[str, Explanation],
    *,
    confidence: float = 0.95,
    random_state: int = 0,
) -> pd.DataFrame:
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
            permutation_p(target, e.sign * e.values, random_state),
            shared_noise_p(*pair, random_state),
        )
        p_values.append(max(tests) if not np.isnan(tests).any() else np.nan)
        rows[name] = {
            "rank_correlation": float(rank_correlation(target, e.values)),
            "rank_correlation_low": low,
            "rank_correlation_high": high,
            "expected": "+" if e.sign > 0 else "-",
            "reach": reach(high if e.sign > 0 else -low, *pair),
        }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("explanation")
    table.insert(4, "p_value", holm(p_values))
    table["verdict"] = [_verdict(row, alpha) for _, row in table.iterrows()]
    return table.drop(columns="reach")


def _verdict(row, alpha):
    low = row["rank_correlation_low"]
    if row["expected"] == "-":
        low = -row["rank_correlation_high"]
    if row["p_value"] < alpha - 1e-9 and low > 0:
        return Verdict.EXPLAINS.value
    if row["reach"] < WORTH_MENTIONING:
        return Verdict.DOES_NOT_EXPLAIN.value
    return Verdict.CANNOT_TELL.value
