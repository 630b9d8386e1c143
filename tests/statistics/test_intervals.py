"""Intervals: published numbers, coverage by simulation, and what they must never hide."""

import numpy as np
import pytest
from scipy import stats

from sklearn_fairprune.statistics.intervals import (
    bootstrap_group_means,
    difference_interval,
    gap_interval,
    mean_interval,
    median_interval,
    paired_difference_interval,
    percentile_interval,
    proportion_interval,
    spread_interval,
)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
@pytest.mark.parametrize("n", [1, 7, 300, 40_000])
def test_exact_interval_is_that_of_scipy(n, confidence):
    for k in sorted({0, 1, n // 3, n - 1, n}):
        interval = stats.binomtest(k, n).proportion_ci(confidence)
        found = proportion_interval(k, n, confidence)
        np.testing.assert_allclose(found, (interval.low, interval.high), atol=1e-9)


def test_interval_of_a_mean_is_that_of_differences_and_leaves_nan_out():
    first, second = (0.2, 0.1, 0.5), (0.6, 0.3, 0.7)
    low, high = mean_interval(*np.transpose([first, second]))
    v, l1, u1 = first
    turned = (-v, -u1, -l1)  # the sum is the difference to its negative
    expected = np.array(difference_interval(turned, second)) / 2
    np.testing.assert_allclose((low, high), expected)
    one, unknown = [*first], [np.nan] * 3
    alone = mean_interval(*np.transpose([one, unknown]))
    np.testing.assert_allclose(alone, first[1:])
    assert np.isnan(mean_interval(*np.transpose([unknown, unknown]))).all()


def test_exact_interval_has_at_least_its_level():
    n, p = 20, 0.9
    rng = np.random.default_rng(0)
    limits = np.array([proportion_interval(k, n) for k in range(n + 1)])
    low, high = limits[rng.binomial(n, p, size=4000)].T
    assert ((low <= p) & (p <= high)).mean() >= 0.95


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        # Newcombe (1998), table II, method 10, columns (e, f, g, h) as 36, 12, 2, 0.
        ((36, 12, 2, 0), (0.0569, 0.3404)),
    ],
)
def test_paired_interval_agrees_with_the_published_example(cells, expected):
    np.testing.assert_allclose(paired_difference_interval(*cells), expected, atol=5e-5)


@pytest.mark.parametrize(
    "cells", [(36, 12, 2, 0), (30, 6, 3, 25), (5, 9, 4, 1), (3, 0, 1, 40)]
)
def test_paired_interval_agrees_with_its_formula(cells):
    a, b, c, d = cells
    n, z = sum(cells), 1.959963984540054

    def wilson(k):
        centre, half = k + z**2 / 2, z * (k * (n - k) / n + z**2 / 4) ** 0.5
        return (centre - half) / (n + z**2), (centre + half) / (n + z**2)

    (l1, u1), (l2, u2) = wilson(a + b), wilson(a + c)
    p1, p2 = (a + b) / n, (a + c) / n
    product = (a + b) * (c + d) * (a + c) * (b + d)
    top = a * d - b * c
    top = top if top <= 0 else max(top - n / 2, 0)
    phi = top / product**0.5 if product else 0.0
    low = (p1 - l1) ** 2 - 2 * phi * (p1 - l1) * (u2 - p2) + (u2 - p2) ** 2
    high = (u1 - p1) ** 2 - 2 * phi * (u1 - p1) * (p2 - l2) + (p2 - l2) ** 2
    expected = p1 - p2 - low**0.5, p1 - p2 + high**0.5
    np.testing.assert_allclose(paired_difference_interval(*cells), expected, atol=1e-12)


def test_paired_interval_is_antisymmetric_and_never_without_width():
    low, high = paired_difference_interval(30, 6, 3, 5)
    np.testing.assert_allclose(paired_difference_interval(30, 3, 6, 5), (-high, -low))
    low, high = paired_difference_interval(10, 0, 0, 0)
    assert low < 0 < high


@pytest.mark.slow
def test_paired_interval_covers():
    rng = np.random.default_rng(0)
    cells = np.array([0.7, 0.12, 0.05, 0.13])
    truth = cells[1] - cells[2]
    draws = rng.multinomial(60, cells, size=1500)
    limits = np.array([paired_difference_interval(*d) for d in draws.tolist()])
    assert ((limits[:, 0] <= truth) & (truth <= limits[:, 1])).mean() > 0.93


@pytest.mark.slow
def test_spread_interval_covers_small_groups():
    rng = np.random.default_rng(0)
    sizes, p = np.array([5, 30, 200]), np.array([0.6, 0.8, 0.9])
    right = rng.binomial(sizes, p, size=(500, 3))
    limits = np.array([spread_interval(r, sizes) for r in right])
    truth = p.max() - p.min()
    assert ((limits[:, 0] <= truth) & (truth <= limits[:, 1])).mean() >= 0.95
    assert spread_interval([3], [4]) == (0.0, 0.0)


def test_spread_interval_holds_for_all_groups_at_once():
    (l1, u1), (l2, u2) = (proportion_interval(k, 20, 0.975) for k in (19, 3))
    low, high = spread_interval(np.array([19, 3]), np.array([20, 20]))
    np.testing.assert_allclose([low, high], [l1 - u2, u1 - l2])


def test_bootstrap_of_a_group_of_one_row_is_unknown_not_certain():
    values = np.array([[1.0], [2.0], [3.0], [9.0]])
    groups = np.array([0, 0, 0, 1])
    means = bootstrap_group_means(values, groups, 2, 50, np.random.default_rng(0))
    assert np.isnan(means[:, 1]).all()
    assert np.isfinite(means[:, 0]).all()
    assert np.isnan(gap_interval(means[:, :, 0], np.array([2.0, 9.0]))).all()


def test_bootstrap_has_the_variance_of_the_mean_and_keeps_pairs():
    rng = np.random.default_rng(0)
    x = rng.normal(size=8)
    values = np.column_stack([x, 2 * x + 1])
    means = bootstrap_group_means(values, np.zeros(8, int), 1, 40_000, rng)[:, 0]
    np.testing.assert_allclose(means[:, 1], 2 * means[:, 0] + 1)
    np.testing.assert_allclose(means[:, 0].var(), x.var(ddof=1) / 8, rtol=0.03)
    np.testing.assert_allclose(means[:, 0].mean(), x.mean(), atol=0.01)


def test_gap_interval_covers_and_includes_zero_where_groups_are_equal():
    rng = np.random.default_rng(0)
    n, m, hits, zeros = 60, 3, 0, 0
    groups = np.repeat(np.arange(m), n)
    for shift in np.repeat([0.0, 1.0], 100):
        values = rng.normal(size=(n * m, 1)) + shift * (groups[:, None] == 0)
        samples = bootstrap_group_means(values, groups, m, 200, rng)[:, :, 0]
        estimates = values.reshape(m, n).mean(axis=1)
        low, high = gap_interval(samples, estimates)
        hits += low <= shift <= high
        zeros += low == 0 and shift == 0
    assert hits / 200 > 0.93
    assert zeros / 100 > 0.93


def test_percentile_interval():
    samples = np.linspace(0, 1, 1001)[:, None] * [1.0, 2.0]
    low, high = percentile_interval(samples, 0.9)
    np.testing.assert_allclose(low, [0.05, 0.1])
    np.testing.assert_allclose(high, [0.95, 1.9])


@pytest.mark.parametrize(("n", "k"), [(5, 0), (6, 1), (10, 2), (20, 6), (100, 40)])
def test_interval_of_a_median_is_between_the_ranks_of_the_sign_test(n, k):
    low, high = median_interval(np.random.default_rng(0).permutation(np.arange(1.0, n + 1)))
    if not k:
        assert np.isnan([low, high]).all()
        return
    assert (low, high) == (k, n + 1 - k)
    missed = 2 * stats.binom.cdf(k - 1, n, 0.5)
    assert missed <= 0.05 < missed + 2 * stats.binom.pmf(k, n, 0.5)


def test_interval_of_a_median_covers_whatever_the_distribution():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        low, high = median_interval(rng.exponential(size=41))
        hits += low <= np.log(2) <= high
    assert hits / 400 > 0.93
