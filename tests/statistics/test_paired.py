"""The exact paired test against sums of binomial coefficients, and against chance."""

from math import comb

import numpy as np
import pytest
from scipy import stats

from sklearn_fairprune.statistics.paired import exact_paired_p


def by_hand(harmed, helped):
    """Twice the smaller tail of Binomial(n, 1/2), at most 1."""
    n, k = harmed + helped, min(harmed, helped)
    return min(1.0, 2 * sum(comb(n, j) for j in range(k + 1)) / 2**n)


@pytest.mark.parametrize(
    "counts", [(0, 0), (1, 0), (0, 5), (6, 0), (3, 3), (10, 2), (25, 40), (7, 200)]
)
def test_it_is_the_tail_by_hand(counts):
    assert exact_paired_p(*counts) == pytest.approx(by_hand(*counts))
    assert exact_paired_p(*counts) == exact_paired_p(*counts[::-1])


def test_without_a_difference_it_is_small_as_rarely_as_it_says():
    rng = np.random.default_rng(0)
    p = [exact_paired_p(k, 30 - k) for k in rng.binomial(30, 0.5, 2000)]
    assert np.mean(np.array(p) <= 0.05) <= 0.05
    assert stats.binomtest(9, 10).pvalue == exact_paired_p(9, 1)
