"""What became of a constraint: errors by hand, how often a claim is false, every outcome."""

import numpy as np
import pytest
from scipy import stats

from sklearn_fairprune.statistics.constraint_outcomes import (
    Errors,
    Outcome,
    judge,
    violation_errors,
)
from sklearn_fairprune.statistics.worst import moments

M = 3
PLAIN = np.ones(M)
SIZES = np.array([60, 200, 740])


def to_mean(shares, *columns):
    """Slopes of each group's mean minus that of all rows, one column with each sign."""
    return (np.eye(len(shares)) - shares)[:, :, None] * np.array(columns, dtype=float)


def means_of(values, codes, m, weights=None):
    weights = np.ones(len(codes)) if weights is None else weights
    sums = np.bincount(codes, weights, m)
    return np.stack([np.bincount(codes, weights * v, m) / sums for v in values.T], axis=1)


def known(values, variances=1e-4, freedom=50.0):
    """Violations with errors that are given."""
    m = len(values)
    full = np.broadcast_to(np.asarray(variances, dtype=float), m)
    return np.array(values, dtype=float), Errors(
        full, np.zeros(m), np.full(m, freedom), np.full(m, 51)
    )


def outcome_of(values, tolerance, weights=(1, 1, 1), variances=1e-4, **options):
    violations, errors = known(values, variances)
    return judge(violations, errors, tolerance, np.array(weights, dtype=float), **options)


# ---- errors by hand ----------------------------------------------------------------


def test_errors_of_one_column_by_hand():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(M), SIZES)
    losses = rng.normal(size=1000) * np.array([1, 1.2, 1.1])[codes]
    shares = SIZES / 1000
    found = violation_errors(losses[:, None], codes, None, to_mean(shares, 1))
    own = moments(losses, codes, M, 0.05)
    for a in range(M):
        slopes = [(a == b) - shares[b] for b in range(M)]
        parts = [slopes[b] ** 2 * own.variances[b] / SIZES[b] for b in range(M)]
        below = sum(part**2 / (n - 1) for part, n in zip(parts, SIZES, strict=True))
        thirds = sum(slopes[b] ** 3 * own.thirds[b] / SIZES[b] ** 2 for b in range(M))
        assert found.variances[a] == pytest.approx(sum(parts))
        assert found.freedom[a] == pytest.approx(sum(parts) ** 2 / below)
        assert found.thirds[a] == pytest.approx(thirds)
    assert found.sizes.tolist() == SIZES.tolist()


def test_the_variance_of_many_rows_is_their_own():
    codes = np.repeat([0, 1], 500)
    losses = np.random.default_rng(0).uniform(size=1000)
    losses[500:] *= 3
    found = violation_errors(losses[:, None], codes, None, np.eye(2)[:, :, None])
    assert found.variances[1] == pytest.approx(losses[500:].var(ddof=1) / 500)
    assert found.freedom[1] == pytest.approx(499)


def test_paired_columns_vary_as_their_difference():
    rng = np.random.default_rng(0)
    codes = np.repeat(np.arange(M), SIZES)
    dense = rng.exponential(size=1000)
    values = np.stack([dense + 0.1 * rng.normal(size=1000), dense], axis=1)
    slopes = to_mean(SIZES / 1000, 1, -1)
    paired = violation_errors(values, codes, None, slopes)
    one = values @ np.array([[1.0], [-1.0]])
    single = violation_errors(one, codes, None, to_mean(SIZES / 1000, 1))
    for ours, theirs in zip(paired, single, strict=True):
        np.testing.assert_allclose(ours, theirs)
    alone = violation_errors(values[:, :1], codes, None, to_mean(SIZES / 1000, 1))
    assert (alone.variances > 20 * paired.variances).all()


def test_a_ratio_by_its_slopes():
    """Slopes that differ between the groups in their direction: J_a / dense J_a - 1."""
    rng = np.random.default_rng(0)
    codes = np.repeat([0, 1], [400, 600])
    dense = rng.uniform(1, 2, size=1000) * np.array([1, 3])[codes]
    values = np.stack([dense * rng.uniform(1, 1.4, size=1000), dense], axis=1)
    mean = means_of(values, codes, 2)
    slopes = np.zeros((2, 2, 2))
    for a in (0, 1):
        slopes[a, a] = 1 / mean[a, 1], -mean[a, 0] / mean[a, 1] ** 2
    found = violation_errors(values, codes, None, slopes)
    for a, n in enumerate([400, 600]):
        part = np.cov(values[codes == a].T)
        assert found.variances[a] == pytest.approx(slopes[a, a] @ part @ slopes[a, a] / n)


def test_violations_may_be_about_different_columns():
    rng, codes = np.random.default_rng(0), np.repeat([0, 1], 500)
    values = rng.uniform(size=(1000, 2)) * np.array([1, 5])
    slopes = to_mean(np.array([0.5, 0.5]), 1, 0)
    slopes[1] = slopes[1, :, ::-1]
    found = violation_errors(values, codes, None, slopes)
    for a in (0, 1):
        parts = [values[codes == b, a].var(ddof=1) / 500 for b in (0, 1)]
        assert found.variances[a] == pytest.approx(sum(parts) / 4)


@pytest.mark.parametrize("weighted", [False, True])
def test_errors_are_those_of_a_bootstrap(weighted):
    rng, sizes = np.random.default_rng(1), np.array([120, 300, 580])
    codes = np.repeat(np.arange(M), sizes)
    values = rng.gamma(2, size=(1000, 2)) + rng.gamma(2, size=(1000, 1))
    weights = rng.uniform(0.3, 3, size=1000) if weighted else np.ones(1000)
    shares = np.bincount(codes, weights) / weights.sum()
    slopes = to_mean(shares, 1, -1)
    found = violation_errors(values, codes, weights if weighted else None, slopes)
    draws = []
    for _ in range(1000):
        picked = np.concatenate(
            [rng.choice(np.flatnonzero(codes == a), n) for a, n in enumerate(sizes)]
        )
        means = means_of(values[picked], codes[picked], M, weights[picked])
        draws.append(np.einsum("abk,bk->a", slopes, means))
    np.testing.assert_allclose(found.variances, np.var(draws, axis=0), rtol=0.2)


def test_the_unit_of_the_weights_does_not_matter_and_of_equal_ones_there_are_none():
    rng, codes = np.random.default_rng(0), np.repeat(np.arange(M), SIZES)
    values, slopes = rng.exponential(size=(1000, 1)), to_mean(SIZES / 1000, 1)
    plain = violation_errors(values, codes, None, slopes)
    for masses in (np.full(1000, 7.0), np.full(1000, 0.1)):
        for ours, theirs in zip(
            violation_errors(values, codes, masses, slopes), plain, strict=True
        ):
            np.testing.assert_allclose(ours, theirs)
    masses = rng.uniform(0.1, 2, size=1000)
    once, again = (violation_errors(values, codes, f * masses, slopes) for f in (1, 30))
    np.testing.assert_allclose(again.variances, once.variances)
    assert (once.variances > plain.variances).all()


def test_rows_without_weight_are_no_rows():
    rng, codes = np.random.default_rng(0), np.tile(np.arange(M), 100)
    values, slopes = rng.exponential(size=(300, 1)), to_mean(np.full(M, 1 / M), 1)
    masses = np.r_[np.ones(150), np.zeros(150)]
    dropped = violation_errors(values, codes, masses, slopes)
    fewer = violation_errors(values[:150], codes[:150], None, slopes)
    for ours, theirs in zip(dropped, fewer, strict=True):
        np.testing.assert_allclose(ours, theirs)


def test_groups_in_another_order():
    rng, codes = np.random.default_rng(0), np.repeat(np.arange(M), SIZES)
    values, shares = rng.exponential(size=(1000, 1)), SIZES / 1000
    order = np.array([2, 0, 1])  # group a is now called order[a]
    plain = violation_errors(values, codes, None, to_mean(shares, 1))
    renamed = violation_errors(
        values, order[codes], None, to_mean(shares[np.argsort(order)], 1)
    )
    for ours, theirs in zip(renamed, plain, strict=True):
        np.testing.assert_allclose(ours[order], theirs)
    violations, weights = np.array([0.3, -0.1, 0.01]), np.array([0.8, 1.2, 1])
    found = judge(violations, plain, 0.02, weights, cancels=True)
    back = np.argsort(order)
    again = judge(violations[back], renamed, 0.02, weights[back], cancels=True)
    assert again.outcome == found.outcome
    for name in ("over", "harmed", "favoured", "undecided"):
        assert sorted(order[getattr(found, name)]) == getattr(again, name).tolist()


# ---- what is not known -------------------------------------------------------------


def test_a_group_of_one_row_is_never_known_to_meet_anything():
    rng, codes = np.random.default_rng(0), np.r_[np.repeat([0, 1], 500), 2]
    values = rng.uniform(size=(1001, 1))
    errors = violation_errors(values, codes, None, np.eye(M)[:, :, None])
    found = judge(np.zeros(M), errors, 10.0, PLAIN)
    assert found.unknown.tolist() == found.undecided.tolist() == [2]
    assert found.outcome == Outcome.CANNOT_TELL
    assert np.isfinite(found.high[:2]).all()
    assert np.isnan([found.low[2], found.high[2]]).all()


def test_a_group_of_one_row_counts_in_the_violations_of_others():
    rng, codes = np.random.default_rng(0), np.r_[np.repeat([0, 1], 500), 2]
    values, shares = rng.uniform(size=(1001, 1)), np.array([500, 500, 1]) / 1001
    errors = violation_errors(values, codes, None, to_mean(shares, 1))
    found = judge(np.zeros(M), errors, 10.0, PLAIN)
    assert found.unknown.tolist() == [2]
    assert errors.freedom[0] > 900
    larger = to_mean(np.array([0.25, 0.25, 0.5]), 1)
    assert violation_errors(values, codes, None, larger).freedom[0] < 2


def test_a_group_without_rows_is_unknown_and_so_is_what_depends_on_it():
    rng, codes = np.random.default_rng(0), np.repeat([0, 1], 500)
    values = rng.uniform(size=(1000, 1))
    apart = to_mean(np.array([0.5, 0.5, 0]), 1)
    apart[2, 2] = 1
    found = judge(
        np.array([0, 0, np.nan]), violation_errors(values, codes, None, apart), 10.0, PLAIN
    )
    assert (found.unknown.tolist(), found.outcome) == ([2], Outcome.CANNOT_TELL)
    errors = violation_errors(values, codes, None, to_mean(np.array([0.4, 0.4, 0.2]), 1))
    assert errors.freedom.tolist() == [0, 0, 0]
    assert judge(np.zeros(M), errors, 10.0, PLAIN).unknown.tolist() == [0, 1, 2]
    none = violation_errors(values[:0], codes[:0], None, apart)
    assert judge(np.full(M, np.nan), none, 10.0, PLAIN).unknown.tolist() == [0, 1, 2]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(value):
    codes, values = np.repeat(np.arange(M), 50), np.random.default_rng(0).uniform(size=150)
    values[0] = value
    errors = violation_errors(values[:, None], codes, None, np.eye(M)[:, :, None])
    found = judge(np.array([value, 0.0, 0.0]), errors, 1.0, PLAIN)
    assert 0 in found.unknown
    assert found.outcome == Outcome.CANNOT_TELL


def test_another_group_that_is_surely_over_is_told_beside_an_unknown_one():
    found = outcome_of([np.nan, 0.3, 0], 0.05)
    assert found.outcome == Outcome.NOT_MET
    assert (found.over.tolist(), found.unknown.tolist()) == ([1], [0])


def test_few_rows_that_are_all_right_may_have_missed_the_errors():
    codes = np.repeat([0, 1], [8, 400])
    wrong = np.r_[np.zeros(8), np.tile([0, 0, 0, 1], 100)][:, None]
    errors = violation_errors(wrong, codes, None, np.eye(2)[:, :, None])
    assert errors.variances[0] == pytest.approx(0.1875 / 8, rel=0.2)
    assert judge(np.zeros(2), errors, 0.1, np.ones(2)).undecided.tolist() == [0]


def test_bad_input_is_refused():
    violations, errors = known([0, 0, 0])
    with pytest.raises(ValueError, match="weights must be of the 3 groups"):
        judge(violations, errors, 0.1, np.ones(2))
    with pytest.raises(ValueError, match="errors must be of the 2 groups"):
        judge(violations[:2], errors, 0.1, np.ones(2))
    for tolerance in (-0.1, np.nan):
        with pytest.raises(ValueError, match="tolerance must be at least 0"):
            judge(violations, errors, tolerance, PLAIN)


# ---- the outcome by its limits -----------------------------------------------------

T95, SURE = stats.t.isf(0.05, 50) / 100, stats.t.isf(0.05 / M, 50) / 100
BOTH = stats.t.isf(0.05 / M / 2, 50) / 100
E = 1e-6


@pytest.mark.parametrize(
    ("values", "weights", "options", "outcome"),
    [
        ([0.1 - T95 - E, -9, 0], (1, 1, 1), {}, "met_by_pruning_alone"),
        ([0.1 - T95 - E, -9, 0], (1.05, 0.95, 1), {}, "met_by_pruning_alone"),
        ([0.1 - T95 - E, -9, 0], (1.051, 1, 1), {}, "met"),
        ([0.1 - T95 - E, -9, 0], (1, 0.949, 1), {}, "met"),
        ([0.1 - T95 + E, 0, 0], (1, 1, 1), {}, "cannot_tell"),
        ([0.1 + SURE - E, 0, 0], (2, 1, 1), {}, "cannot_tell"),
        ([0.1 + SURE + E, 0, 0], (2, 1, 1), {}, "not_met"),
        ([0.1 + SURE + E, 0, 0], (1, 1, 1), {}, "not_met"),
        ([0.1 + SURE + E, 0, 0], (0.96, 1, 1), {}, "not_met"),
        ([0.1 + SURE + E, 0, 0], (0.94, 1, 1), {}, "overshot"),
        ([0.1 + SURE - E, 0, 0], (0.94, 1, 1), {}, "cannot_tell"),
        ([0.1 + SURE + E, 0, 0], (1, 0.5, 1), {}, "not_met"),
        # below minus the tolerance
        ([0.1, -0.1 - SURE - E, 0], (1, 2, 1), {}, "cannot_tell"),
        ([0.1, -0.1 - SURE - E, 0], (1, 2, 1), {"cancels": True}, "overshot"),
        ([0.1, -0.1 - SURE - E, 0], (1, 1.04, 1), {"cancels": True}, "cannot_tell"),
        ([0.1, -0.1 - SURE + E, 0], (1, 2, 1), {"cancels": True}, "cannot_tell"),
        ([0.3, -0.1 - SURE - E, 0], (1, 2, 1), {"cancels": True}, "overshot"),
        ([0.0, -0.1 - SURE - E, 0], (1, 2, 1), {"cancels": True}, "met"),
        # signed
        ([0.1 - T95 - E, -0.1 + T95 + E, 0], (2, 1, 1), {"signed": True}, "met"),
        ([0.1 - T95 - E, -0.1 + T95 - E, 0], (2, 1, 1), {"signed": True}, "cannot_tell"),
        ([0.1 - T95 + E, -0.1 + T95 + E, 0], (2, 1, 1), {"signed": True}, "cannot_tell"),
        ([0, -0.1 - BOTH - E, 0], (1, 1, 1), {"signed": True}, "not_met"),
        ([0, -0.1 - BOTH + E, 0], (1, 1, 1), {"signed": True}, "cannot_tell"),
        ([0.1 + BOTH - E, 0, 0], (1, 1, 1), {"signed": True}, "cannot_tell"),
        ([0, -0.1 - BOTH - E, 0], (1, 0.5, 1), {"signed": True}, "not_met"),
        ([0, -0.1 - BOTH - E, 0], (1, 1.5, 1), {"signed": True}, "overshot"),
        ([0.1 + BOTH + E, 0, 0], (0.5, 1, 1), {"signed": True}, "overshot"),
    ],
)
def test_outcomes_at_their_limits(values, weights, options, outcome):
    found = outcome_of(values, 0.1, weights, **options)
    assert found.outcome == outcome
    assert found.active == any(not 0.95 <= w <= 1.05 for w in weights)


def test_every_outcome_is_reached_by_the_table():
    (mark,) = [m for m in test_outcomes_at_their_limits.pytestmark if m.name == "parametrize"]
    assert {row[3] for row in mark.args[1]} == set(Outcome)


def test_groups_by_position():
    weights = (0.5, 2.0, 2.0, 1.0, 1.0)
    found = outcome_of([0.4, 0.3, -0.3, 0.1, np.nan], 0.1, weights, cancels=True)
    assert found.outcome == Outcome.OVERSHOT
    told = found.over, found.harmed, found.favoured, found.stuck, found.undecided
    assert [list(t) for t in told] == [[0, 1], [0], [2], [1], [3, 4]]
    assert found.unknown.tolist() == [4]
    assert found.high[3] == pytest.approx(0.1 + T95)
    assert found.low[3] == pytest.approx(0.1 - T95)
    both = outcome_of([0.4, -0.3, 0.3, -0.4, 0], 0.1, (2, 0.5, 1, 2, 1), signed=True)
    told = both.over, both.harmed, both.favoured, both.stuck
    assert [list(t) for t in told] == [[0, 1, 2, 3], [], [3], [0, 1]]


def test_errors_of_nothing_leave_the_violations():
    found = outcome_of([0.1, 0, 0], 0.1, variances=0)
    assert found.outcome == Outcome.MET_BY_PRUNING_ALONE
    assert outcome_of([0.1 + E, 0, 0], 0.1, variances=0).outcome == Outcome.NOT_MET


# ---- how often a claim is false ----------------------------------------------------

DRAWS = 2000


def shares_of(outcomes):
    return {outcome: np.mean([o == outcome for o in outcomes]) for outcome in Outcome}


def simulate(draw, means, sizes, tolerance, *, weights=None, own=False, n=DRAWS, **options):
    """Shares of outcomes over data sets whose groups have these true means."""
    m, codes = len(sizes), np.repeat(np.arange(len(sizes)), sizes)
    slopes = np.eye(m)[:, :, None] if own else to_mean(np.array(sizes) / sum(sizes), 1)
    weights = np.ones(m) if weights is None else np.array(weights)
    means, outcomes = np.array(means)[codes], []
    for _ in range(n):
        values = draw(means)
        violations = slopes[:, :, 0] @ means_of(values[:, None], codes, m)[:, 0]
        errors = violation_errors(values[:, None], codes, None, slopes)
        outcomes.append(judge(violations, errors, tolerance, weights, **options).outcome)
    return shares_of(outcomes)


def draws(kind, seed=0):
    rng = np.random.default_rng(seed)
    return {
        "normal": lambda means: means + 0.3 * rng.normal(size=len(means)),
        "wrong": lambda means: (rng.random(len(means)) < means).astype(float),
        "lognormal": lambda means: (
            means * np.exp(1.5 * rng.normal(size=len(means)) - 1.5**2 / 2)
        ),
    }[kind]


FEW, MANY = [40, 200, 760], [200, 200, 200]


def at_tolerance(sizes, base, tolerance):
    """Means of which the first group is exactly at the tolerance from the mean of all."""
    means = np.full(len(sizes), base)
    means[0] += tolerance / (1 - sizes[0] / sum(sizes))
    return means


@pytest.mark.parametrize(("kind", "sizes"), [("wrong", FEW), ("lognormal", MANY)])
def test_claims_are_seldom_made_where_a_group_is_at_the_tolerance(kind, sizes):
    means = at_tolerance(sizes, 0.2, 0.1)
    weights = [0.8, 1.1, 1.1]
    found = simulate(draws(kind), means, sizes, 0.1, weights=weights, cancels=True)
    assert 0.01 < found[Outcome.MET] <= 0.08
    assert found[Outcome.OVERSHOT] <= 0.03
    assert found[Outcome.NOT_MET] <= 0.02


def test_a_point_test_would_say_met_half_of_the_time():
    rng, sizes = np.random.default_rng(0), np.array(FEW)
    met = rng.normal(size=(2000, 3)) / np.sqrt(sizes) * 0.3
    assert 0.45 < np.mean(met[:, 0] <= 0) < 0.55


@pytest.mark.parametrize(("kind", "signed"), [("normal", False), ("wrong", True)])
def test_not_met_is_seldom_said_where_all_are_at_the_tolerance(kind, signed):
    found = simulate(draws(kind), np.full(3, 0.3), FEW, 0.3, own=True, signed=signed)
    assert found[Outcome.NOT_MET] <= 0.06  # 1 - (1 - .05 / 3)^3, and chance
    assert found[Outcome.MET_BY_PRUNING_ALONE] <= 0.01


def test_no_difference_at_all_and_no_tolerance():
    found = simulate(draws("normal"), np.full(3, 0.3), FEW, 0.0, signed=True)
    assert 0.01 < found[Outcome.NOT_MET] <= 0.06
    assert found[Outcome.CANNOT_TELL] > 0.9


def test_overshot_is_seldom_said_of_a_group_at_minus_the_tolerance():
    means = at_tolerance(MANY, 0.3, -0.1)
    options = {"weights": [1.5, 0.8, 0.8], "cancels": True}
    found = simulate(draws("normal"), means, MANY, 0.01, n=200, **options)
    assert found[Outcome.OVERSHOT] > 0.7
    found = simulate(draws("normal"), means, MANY, 0.1, **options)
    assert found[Outcome.OVERSHOT] <= 0.03


def test_what_is_far_is_found():
    sizes = [300, 300, 300]
    far, same = at_tolerance(sizes, 0.3, 0.25), np.full(3, 0.3)
    options = {"cancels": True, "n": 200}
    raised, lowered = [1.5, 0.8, 0.8], [0.8, 1.1, 1.1]
    for weights, outcome in ((raised, "not_met"), (lowered, "overshot")):
        found = simulate(draws("wrong"), far, sizes, 0.1, weights=weights, **options)
        assert found[outcome] > 0.95
    found = simulate(draws("wrong"), same, sizes, 0.1, weights=raised, **options)
    assert found[Outcome.MET] > 0.95
    few = simulate(draws("wrong"), same, [15, 15, 15], 0.1, weights=raised, **options)
    assert few[Outcome.CANNOT_TELL] > 0.9
