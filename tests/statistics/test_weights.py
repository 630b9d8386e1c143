"""Effective rows: what they are of equal weights, of repeated rows, and what they cover."""

import numpy as np
import pytest

from sklearn_fairprune.statistics.intervals import (
    bootstrap_group_means,
    proportion_interval,
)
from sklearn_fairprune.statistics.paired import exact_paired_p
from sklearn_fairprune.statistics.weights import effective_rows, weighted_means
from sklearn_fairprune.statistics.worst import (
    group_limits,
    lead_limits,
    moments,
    worst_group,
)

RNG = np.random.default_rng(0)
N, M = 300, 3
GROUPS = RNG.choice(M, N, p=[0.5, 0.3, 0.2])
VALUES = RNG.exponential(size=N) ** 2 + (GROUPS == 1)
SKEWED = RNG.lognormal(0, np.log(2) ** 0.5, N)  # of coefficient of variation 1
ONE = np.zeros(N, dtype=int)


def test_effective_rows_are_kish_s_of_every_group():
    for a, found in enumerate(effective_rows(SKEWED, GROUPS, M)):
        w = SKEWED[a == GROUPS]
        assert found == pytest.approx(w.sum() ** 2 / (w**2).sum())
        assert 1 < found < len(w)


@pytest.mark.parametrize("scale", [1, 7, 1 / 3, 1e-200, 1e200])
def test_equal_weights_are_the_rows_exactly(scale):
    weights = scale * np.array([1.0, 3.0, 0.1])[GROUPS]
    assert effective_rows(weights, GROUPS, M).tolist() == np.bincount(GROUPS).tolist()
    assert effective_rows(weights, GROUPS, M, VALUES).tolist() == np.bincount(GROUPS).tolist()


def test_a_group_without_rows_has_none_and_no_mean():
    assert effective_rows(SKEWED, GROUPS, M + 1, VALUES)[-1] == 0
    assert np.isnan(weighted_means(VALUES, SKEWED, GROUPS, M + 1)[-1])


def test_a_mean_is_at_least_as_unsure_as_its_linearised_error():
    values = VALUES * SKEWED  # rows of large weight vary most
    (kish,) = effective_rows(SKEWED, ONE, 1)
    (own,) = effective_rows(SKEWED, ONE, 1, values)
    mean = np.average(values, weights=SKEWED)
    linear = (SKEWED**2 * (values - mean) ** 2).sum() / SKEWED.sum() ** 2
    plain = np.average((values - mean) ** 2, weights=SKEWED)
    assert own == pytest.approx(plain / linear)
    assert own < 0.8 * kish
    found = moments(values, ONE, 1, 0.025, SKEWED)
    assert found.variances[0] / found.sizes[0] == pytest.approx(linear * own / (own - 1))


def test_rows_of_large_weight_that_vary_less_are_worth_no_more():
    values = RNG.normal(size=N) / SKEWED
    assert effective_rows(SKEWED, ONE, 1, values) == effective_rows(SKEWED, ONE, 1)


@pytest.mark.parametrize("weight", [1.0, 7.0, 0.1])
def test_who_is_worst_is_the_same_with_equal_weights(weight):
    weights = np.full(N, weight)
    ours, theirs = (worst_group(VALUES, GROUPS, M, weights=w) for w in (weights, None))
    for name, one, other in zip(ours._fields, ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12, err_msg=name)
    limits = (group_limits(VALUES, GROUPS, M, weights=w) for w in (weights, None))
    np.testing.assert_allclose(*limits, rtol=1e-12)


def test_unweighted_moments_are_those_of_the_formulas():
    found = moments(VALUES, GROUPS, M, 0.025)
    for a in range(M):
        v = VALUES[a == GROUPS]
        n, c = len(v), v - v.mean()
        assert found.sizes[a] == n
        assert found.thirds[a] == pytest.approx(n / ((n - 1) * (n - 2)) * (c**3).sum())
        assert found.variances[a] >= v.var(ddof=1) * (1 - 1e-12)


def test_the_third_moment_of_a_weighted_mean_is_that_of_its_terms():
    found = moments(VALUES, ONE, 1, 0.025, SKEWED)
    n = found.sizes[0]
    third = np.average((VALUES - found.means[0]) ** 3, weights=SKEWED)
    exact = third * (SKEWED**3).sum() / SKEWED.sum() ** 3
    assert found.thirds[0] / n**2 == pytest.approx(exact * n**2 / ((n - 1) * (n - 2)))


def test_whole_weights_move_means_like_repeated_rows_but_are_no_surer():
    counts = RNG.integers(1, 5, N)
    again = np.repeat(np.arange(N), counts)
    ours = moments(VALUES, GROUPS, M, 0.025, counts.astype(float))
    theirs = moments(VALUES[again], GROUPS[again], M, 0.025)
    np.testing.assert_allclose(ours.means, theirs.means, rtol=1e-12)
    assert (ours.sizes <= np.bincount(GROUPS)).all()
    for w in (counts.astype(float), None):
        low, high = group_limits(VALUES, GROUPS, M, weights=w)
        assert (high - low > 0).all()
    narrow = np.subtract(*group_limits(VALUES[again], GROUPS[again], M)[::-1])
    wide = np.subtract(*group_limits(VALUES, GROUPS, M, weights=counts * 1.0)[::-1])
    assert (wide > narrow).all()


def test_groups_need_enough_effective_rows():
    weights = np.where(np.arange(N) % 2, 1.0, 1e-6)  # half of the rows count
    few = np.bincount(GROUPS) / 2
    worst = worst_group(VALUES, GROUPS, M, least_rows=40, weights=weights)
    assert (few >= 40).any()
    assert (few < 40).any()
    kish = effective_rows(weights, GROUPS, M)
    assert worst.eligible.tolist() == (kish >= 40).tolist()
    assert worst.eligible.sum() < (np.bincount(GROUPS) >= 40).sum()


def test_a_group_that_one_row_outweighs_has_no_limits():
    weights = np.ones(N)
    weights[np.flatnonzero(GROUPS == 2)[0]] = 1e4
    low, high = group_limits(VALUES, GROUPS, M, weights=weights)
    assert np.isnan([low[2], high[2]]).all()
    assert np.isfinite([low[:2], high[:2]]).all()
    lead = lead_limits(moments(VALUES, GROUPS, M, 0.025, weights), 0.025)[0]
    assert np.isnan(lead[2]).all()
    assert np.isfinite(lead[:2, :2]).all()
    samples = bootstrap_group_means(
        VALUES[:, None], GROUPS, M, 20, np.random.default_rng(0), weights
    )
    assert np.isnan(samples[:, 2]).all()
    assert np.isfinite(samples[:, :2]).all()


def test_bootstrap_samples_vary_as_the_weighted_mean_does():
    rng = np.random.default_rng(3)
    samples = bootstrap_group_means(VALUES[:, None], ONE, 1, 4000, rng, SKEWED)[:, 0, 0]
    assert samples.mean() == pytest.approx(np.average(VALUES, weights=SKEWED), abs=0.05)
    (own,) = effective_rows(SKEWED, ONE, 1)
    mean = np.average(VALUES, weights=SKEWED)
    linear = (SKEWED**2 * (VALUES - mean) ** 2).sum() / SKEWED.sum() ** 2
    assert samples.std() == pytest.approx((linear * own / (own - 1)) ** 0.5, rel=0.06)
    again = bootstrap_group_means(
        VALUES[:, None], ONE, 1, 50, np.random.default_rng(3), SKEWED * 5
    )
    same = bootstrap_group_means(VALUES[:, None], ONE, 1, 50, np.random.default_rng(3), SKEWED)
    np.testing.assert_allclose(again, same, rtol=1e-12)


def covered(draw, truth, reports=1000, n=120):
    """Share of the intervals of a weighted share that miss it, of `reports`."""
    rng, one, missed = np.random.default_rng(0), np.zeros(n, dtype=int), 0
    for _ in range(reports):
        w = rng.lognormal(0, np.log(2) ** 0.5, n)
        hit = (rng.random(n) < draw(w)).astype(float)
        (of,) = effective_rows(w, one, 1, hit)
        low, high = proportion_interval(np.average(hit, weights=w) * of, of)
        missed += not low <= truth <= high
    return missed / reports


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.05, 0.2, 0.5, 0.8])
def test_exact_intervals_cover_whether_or_not_weights_tell_of_the_outcome(share):
    assert covered(lambda w: np.full(len(w), share), share) <= 0.05
    mean = 2**0.5  # of the weights; rows of large weight are hit more often
    w = np.random.default_rng(9).lognormal(0, np.log(2) ** 0.5, 2_000_000)
    truth = np.average(np.clip(share * w / mean / 2, 0, 1), weights=w)
    missed = covered(lambda w: np.clip(share * w / mean / 2, 0, 1), truth)
    assert missed <= 0.065  # 0.081 without the linearised error, at 0.2


@pytest.mark.slow
def test_the_paired_test_rejects_rarely_what_is_so():
    rng, rejected = np.random.default_rng(1), 0
    for _ in range(2000):
        w = rng.lognormal(0, np.log(2) ** 0.5, 40)
        harmed = (rng.random(40) < 0.5).astype(float)
        (of,) = effective_rows(w, np.zeros(40, dtype=int), 1, harmed)
        k = np.average(harmed, weights=w) * of
        rejected += exact_paired_p(k, of - k) < 0.05
    assert rejected / 2000 <= 0.05


def test_bootstrap_samples_are_ratios_stretched_by_the_effective_rows():
    rng, ones = np.random.default_rng(0), np.ones((N, 1))
    same = bootstrap_group_means(ones, GROUPS, M, 9, rng, SKEWED)
    np.testing.assert_allclose(same, 1, rtol=1e-12)  # whatever weights are drawn
    values, weights = np.array([[0.0], [1.0]]), np.array([1.0, 3.0])
    drawn = bootstrap_group_means(values, np.zeros(2, dtype=int), 1, 50, rng, weights)
    stretch = (1.6 / 0.6) ** 0.5
    possible = {round(0.75 + (mean - 0.75) * stretch, 9) for mean in (0, 0.75, 1)}
    assert {round(v, 9) for v in drawn.ravel()} == possible
