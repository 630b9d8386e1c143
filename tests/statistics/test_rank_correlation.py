"""Rank correlations, p-values and reliabilities against brute force."""

import itertools

import numpy as np
import pytest
from scipy.stats import spearmanr

from sklearn_fairprune.statistics.rank_correlation import (
    holm,
    permutation_p,
    rank_correlation,
    reliability,
)


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlation_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 5, (3, 8)), rng.normal(size=(3, 8)).round(0)
    slow = [spearmanr(x, y).statistic for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(rank_correlation(a, b), slow)
    np.testing.assert_allclose(rank_correlation(a, b[0])[0], slow[0])
    assert rank_correlation([1, 2, 3], [5, 6, 9]) == pytest.approx(1)


def test_rank_correlation_of_constants_is_unknown():
    assert np.isnan(rank_correlation([1.0, 1.0, 1.0], [1.0, 2.0, 3.0]))
    assert np.isnan(rank_correlation([1.0], [2.0]))


def test_holm_by_hand():
    adjusted = holm([0.01, 0.04, np.nan, 0.03, 0.005])
    np.testing.assert_allclose(adjusted, [0.03, 0.06, np.nan, 0.06, 0.02])
    np.testing.assert_allclose(holm([0.5, 0.6]), [1, 1])
    np.testing.assert_allclose(holm([0.02, 0.02]), [0.04, 0.04])
    assert np.isnan(holm([np.nan, np.nan])).all()


@pytest.mark.parametrize("m", [2, 3, 4, 5])
@pytest.mark.parametrize("seed", range(3))
def test_permutation_p_value_is_exact_for_few_groups(m, seed):
    rng = np.random.default_rng(seed)
    a, b = rng.integers(0, 4, m) + np.arange(m) % 2, rng.integers(0, 6, m)
    if len(set(a)) == 1 or len(set(b)) == 1:
        a, b = np.arange(m), np.arange(m) ** 2
    there = spearmanr(a, b).statistic
    every = [spearmanr(a[list(p)], b).statistic for p in itertools.permutations(range(m))]
    slow = np.mean(np.array(every) >= there - 1e-9)
    assert permutation_p(a, b, 0) == pytest.approx(slow)


def test_permutation_p_value_of_many_groups_is_near_that_of_student():
    rng = np.random.default_rng(5)
    a = rng.normal(size=40)
    b = a + 3 * rng.normal(size=40)
    truth = spearmanr(a, b, alternative="greater").pvalue
    assert 0.01 < truth < 0.1
    assert permutation_p(a, b, 0) == pytest.approx(truth, rel=0.2)
    assert permutation_p(a, b, 0) == permutation_p(a, b, 0) != permutation_p(a, b, 1)


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0, 2.0])
def test_reliability_is_the_share_of_the_variance_that_is_not_noise(noise):
    rng = np.random.default_rng(0)
    seen = rng.normal(size=2000) * (1 + noise**2) ** 0.5
    samples = seen + noise * rng.normal(size=(50, 2000))
    truth = 1 / (1 + noise**2)  # ranks: a little less, which denies less
    assert truth - 0.1 < reliability(seen, samples) < truth + 0.01


def test_reliability_of_noise_alone_is_none():
    rng = np.random.default_rng(0)
    seen = rng.normal(size=30)
    assert reliability(seen, 20 * rng.normal(size=(50, 30))) < 0.1
    assert reliability(np.array([1.0]), np.ones((5, 1))) == 0
