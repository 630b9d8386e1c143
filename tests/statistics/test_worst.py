"""The largest of several means: by hand, its laws, and how often a wrong group is named."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from sklearn_fairprune.statistics.worst import (
    hall_limits,
    lead_limits,
    mean_limits,
    moments,
    worst_group,
)

RNG = np.random.default_rng(0)
SIZES = [300, 100, 80, 9]
GROUPS = np.repeat(np.arange(4), SIZES)
VALUES = RNG.exponential(size=len(GROUPS)) ** 2 + np.array([0, 0.5, 4, 9])[GROUPS]
law = settings(deadline=None, max_examples=40, database=None)


def shifted(values, groups, shifts, scale=1.0):
    return scale * values + np.asarray(shifts)[groups]


def test_moments_by_hand():
    found = moments(VALUES, GROUPS, 4, 0.025)
    parts = [VALUES[a == GROUPS] for a in range(4)]
    pooled = sum(((p - p.mean()) ** 2).sum() for p in parts) / (len(VALUES) - 4)
    fourth = np.mean(np.concatenate([(p - p.mean()) ** 4 for p in parts]))
    needed = -np.log(0.025) * fourth / pooled**2
    for a, part in enumerate(parts):
        n = len(part)
        assert found.means[a] == pytest.approx(part.mean())
        floor = pooled * min(1, needed / n)
        assert found.variances[a] == pytest.approx(max(part.var(ddof=1), floor))
        assert found.thirds[a] == pytest.approx(
            n / ((n - 1) * (n - 2)) * ((part - part.mean()) ** 3).sum()
        )
    assert (found.variances > [p.var(ddof=1) for p in parts]).any()


def test_without_skewness_the_limits_are_student_s():
    low, high = hall_limits(np.array(2.0), np.array(9.0), np.array(0.0), np.array(7), 0.05)
    width = 3 * stats.t.isf(0.05, 7)
    assert (low, high) == (pytest.approx(2 - width), pytest.approx(2 + width))


@pytest.mark.parametrize("third", [-20.0, -1.0, -1e-9, 1e-9, 1.0, 20.0])
@pytest.mark.parametrize("difference", np.linspace(-15, 15, 41))
def test_limits_invert_the_two_statistics(third, difference):
    variance, freedom, tail = 9.0, 12, 0.0125
    arrays = (np.array(v) for v in (difference, variance, third, freedom))
    low, high = hall_limits(*arrays, tail)

    def statistics(d):
        T, gamma = d / variance**0.5, third / variance**1.5
        return T, T + gamma * T**2 / 3 + gamma**2 * T**3 / 27 + gamma / 6

    t = stats.t.isf(tail, freedom)
    assert (low > 0) == (min(statistics(difference)) > t)
    assert (high < 0) == (max(statistics(difference)) < -t)


def test_pairs_use_welch_s_degrees_of_freedom():
    rng = np.random.default_rng(1)
    groups = np.repeat([0, 1], [90, 200])
    values = rng.normal(size=290) * np.array([3.0, 1.0])[groups]
    found = moments(values, groups, 2, 0.025)._replace(thirds=np.zeros(2))
    plain = [values[groups == a].var(ddof=1) for a in (0, 1)]
    found = found._replace(variances=np.array(plain))
    low, high = lead_limits(found, 0.0125)
    interval = stats.ttest_ind(values[:90], values[90:], equal_var=False).confidence_interval(
        0.975
    )
    assert (low[0, 1], high[0, 1]) == (
        pytest.approx(interval.low),
        pytest.approx(interval.high),
    )
    assert low[1, 0] == pytest.approx(-high[0, 1])


def test_own_limits_are_one_sample_limits():
    low, high = mean_limits(moments(VALUES, GROUPS, 4, 0.025), 0.0125)
    worst = worst_group(VALUES, GROUPS, 4)
    assert worst.group == 2
    assert worst.highest == pytest.approx(high[:3].max())
    assert (worst.low, worst.high) == (pytest.approx(low[2]), pytest.approx(high[2]))


def test_small_groups_are_neither_named_nor_in_the_way():
    worst = worst_group(VALUES, GROUPS, 4)
    assert worst.eligible.tolist() == [True, True, True, False]
    assert worst.possible.tolist() == [False, False, True, False]
    assert worst.beats_all
    assert np.isnan(worst.leads).tolist() == [False, False, True, True]
    assert worst_group(VALUES, GROUPS, 4, least_rows=1).group == 3
    nobody = worst_group(VALUES, GROUPS, 4, least_rows=301)
    assert (nobody.group, nobody.beats_all) == (-1, False)
    one = worst_group(VALUES, GROUPS, 4, least_rows=300)
    assert one.group == -1
    assert one.eligible.tolist() == [True, False, False, False]


def pair_low(found, a, b, tail):
    """Lower limit of the lead of one group over another, the numbers one by one."""
    parts = [found.variances[k] / found.sizes[k] for k in (a, b)]
    third = found.thirds[a] / found.sizes[a] ** 2 - found.thirds[b] / found.sizes[b] ** 2
    below = sum(v**2 / (found.sizes[k] - 1) for v, k in zip(parts, (a, b), strict=True))
    lead = found.means[a] - found.means[b]
    numbers = lead, sum(parts), third, sum(parts) ** 2 / below
    return hall_limits(*map(np.array, numbers), tail)[0]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sign", [1, -1])
def test_every_pair_by_hand(seed, sign):
    rng, sizes = np.random.default_rng(seed), [90, 120, 300, 80]
    groups = np.repeat(np.arange(4), sizes)
    values = sign * rng.exponential(size=590) ** 2 * np.array([1, 3, 1, 2])[groups]
    values += np.array([0, 0.9, 1.2, 0.3])[groups]
    worst, found = worst_group(values, groups, 4), moments(values, groups, 4, 0.025)
    for other in set(range(4)) - {worst.group}:
        low = pair_low(found, worst.group, other, 0.0125)
        assert worst.lead_lows[other] == pytest.approx(low)
        strict = pair_low(found, worst.group, other, 0.0125 / 3)
        assert strict < low
        assert worst.possible[other] == (strict <= 0)


def test_to_rule_a_group_out_takes_more_than_to_beat_it():
    rng, differ = np.random.default_rng(0), 0
    groups = np.repeat(np.arange(4), 100)
    for _ in range(60):
        values = rng.normal(size=400) + np.array([0.45, 0, 0, 0.4])[groups]
        worst = worst_group(values, groups, 4)
        differ += bool((worst.possible & (worst.lead_lows > 0)).any())
    assert differ > 0


def test_a_group_of_one_row_has_no_limits_and_is_never_ruled_out():
    values, groups = (
        np.r_[np.zeros(100), np.ones(100), 9.0],
        np.repeat([0, 1, 2], [100, 100, 1]),
    )
    values[::7] += 0.1
    worst = worst_group(values, groups, 3, least_rows=0)
    assert worst.group == 2
    assert np.isnan([worst.low, worst.high]).all()
    assert worst.possible.all()
    assert not worst.beats_all


def test_rows_that_are_all_alike():
    worst = worst_group(np.zeros(200), np.repeat([0, 1], 100), 2)
    assert not worst.beats_all
    assert worst.largest_gap == 0
    apart = worst_group(np.repeat([0.0, 1.0], 100), np.repeat([0, 1], 100), 2)
    assert (apart.group, apart.beats_all, apart.lead_lows[0]) == (1, True, 1.0)


def test_the_lead_is_over_each_group_not_over_their_mean():
    """A few rows of one group must not win because another large group is far below."""
    rng, named = np.random.default_rng(0), []
    groups = np.repeat([0, 1, 2], [3000, 400, 100])
    for _ in range(400):
        values = np.array([0.04, 0, 0.048])[groups] + 0.2 * rng.normal(size=3500)
        worst = worst_group(values, groups, 3)
        named.append(worst.group if worst.beats_all else -1)
    counts = np.bincount(np.array(named) + 1, minlength=4)
    assert counts[1] <= 0.05 * 400  # the first is not the worst
    assert counts[2] == 0


@given(st.integers(0, 2**31), st.floats(0.01, 100), st.floats(-50, 50))
@law
def test_laws(seed, scale, shift):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 200, size=rng.integers(2, 6))
    m = len(sizes)
    groups = np.repeat(np.arange(m), sizes)
    values = rng.exponential(size=len(groups)) ** 2 * rng.choice([-1, 1])
    worst = worst_group(values, groups, m, least_rows=20)
    again = worst_group(scale * values + shift, groups, m, least_rows=20)
    assert again.group == worst.group
    assert again.possible.tolist() == worst.possible.tolist()
    np.testing.assert_allclose(again.lead_lows, scale * worst.lead_lows, rtol=1e-6, atol=1e-9)
    order = rng.permutation(m)  # group a is now called order[a]
    renamed = worst_group(values, order[groups], m, least_rows=20)
    shuffle = rng.permutation(len(groups))
    mixed = worst_group(values[shuffle], groups[shuffle], m, least_rows=20)
    np.testing.assert_allclose(mixed.lead_lows, worst.lead_lows)
    if worst.group >= 0:
        assert renamed.group == order[worst.group]
        assert worst.low <= values[groups == worst.group].mean() <= worst.high
        assert worst.possible[worst.group]
        assert worst.beats_all <= (worst.possible.sum() == worst.possible[worst.group]) or (
            worst.eligible.sum() > 2
        )


@pytest.mark.parametrize("sign", [1, -1])
def test_a_wrong_group_is_named_in_few_reports_however_skewed_the_rows(sign):
    rng, wrong = np.random.default_rng(0), 0
    groups = np.repeat([0, 1, 2], [75, 150, 600])
    for _ in range(300):
        values = sign * rng.exponential(size=825) ** 2
        wrong += worst_group(values, groups, 3).beats_all
    assert wrong <= 0.05 * 300


def test_a_group_that_is_worse_is_named():
    rng, named = np.random.default_rng(0), 0
    groups = np.repeat([0, 1, 2], [300, 300, 300])
    for _ in range(100):
        values = rng.normal(size=900) + np.array([0, 0.5, 0])[groups]
        worst = worst_group(values, groups, 3)
        named += worst.beats_all and worst.group == 1
    assert named > 90
