"""Tests of two models on the same rows."""

from scipy import special


def exact_paired_p(harmed: float, helped: float) -> float:
    r"""Exact two-sided test that a row is as likely harmed as helped (McNemar, 1947).

    Rows on which both models are right, or both wrong, say nothing of their difference: of the
    others the harmed ones are binomial with probability 1/2 if there is none. With n of them,
    k on the larger side, :math:`p = \min(1, 2 I_{1/2}(k, n - k + 1))`, I being the regularised
    incomplete beta function: p is below :math:`\alpha` where 1/2 lies outside the exact
    interval of the share at :math:`1 - \alpha`. That holds of effective numbers too, so
    weighted rows are tested by the interval that they have, and not by counts that their
    weights contradict.

    Parameters
    ----------
    harmed, helped : float
        Rows that are right under the first model only, and under the second only; effective
        numbers of weighted rows.

    Returns
    -------
    p_value : float
        1.0 where no row is either: no change is no evidence of one.

    References
    ----------
    McNemar, Psychometrika 12, 1947; effective numbers as in Korn and Graubard, Survey
    Methodology 24, 1998.

    Examples
    --------
    >>> from sklearn_fairprune.statistics.paired import exact_paired_p
    >>> exact_paired_p(6, 0), exact_paired_p(0, 0)
    (0.03125, 1.0)
    """
    most, least = max(harmed, helped), min(harmed, helped)
    if most == 0:
        return 1.0
    return min(1.0, 2 * float(special.betainc(most, least + 1, 0.5)))
