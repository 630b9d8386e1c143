"""Tests of two models on the same rows."""

from scipy import stats


def exact_paired_p(harmed: int, helped: int) -> float:
    """Exact two-sided test that a row is as likely harmed as helped (McNemar, 1947).

    Rows on which both models are right, or both wrong, say nothing of their difference: of the
    others the harmed ones are binomial with probability 1/2 if there is none.

    Parameters
    ----------
    harmed, helped : int
        Rows that are right under the first model only, and under the second only.

    Returns
    -------
    p_value : float
        1.0 where no row is either: no change is no evidence of one.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.paired import exact_paired_p
    >>> exact_paired_p(6, 0), exact_paired_p(0, 0)
    (0.03125, 1.0)
    """
    if harmed + helped == 0:
        return 1.0
    return float(stats.binomtest(int(harmed), int(harmed + helped)).pvalue)
