"""What the words of a diagnosis mean, and how often each verdict is wrong."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from sklearn_fairprune.measurement.explanations import Explanation, Verdict, explain
from sklearn_fairprune.statistics import rank_correlation as statistics
from sklearn_fairprune.statistics.intervals import bootstrap_group_means
from sklearn_fairprune.statistics.rank_correlation import (
    holm,
    permutation_p,
    shared_noise_p,
)

EMPTY = "numpy warns of a mean of nothing in _reliability"
N_SIMULATIONS = 200
SLACK = 2 * (0.05 * 0.95 / N_SIMULATIONS) ** 0.5  # two standard errors of a rate of 5 %


def exactly(values, n_boot=60, noise=1e-6, seed=0):
    """Bootstrap samples of group values that are almost without error."""
    rng = np.random.default_rng(seed)
    return np.asarray(values) + noise * rng.normal(size=(n_boot, len(values)))


def of(values, sign=1):
    return Explanation(np.asarray(values, dtype=float), exactly(values, seed=1), sign)


def observed(rng, truth, noise, n_rows=20, n_boot=100, correlation=0.0):
    """Explain column 0 of the true group values by the others, from noisy rows.

    `noise` is the standard error of the group means; `correlation` that of the row noise
    of column 0 with the row noise of the others.
    """
    m, k = truth.shape
    rows = rng.normal(size=(m, n_rows, k))
    rows[:, :, 1:] *= (1 - correlation**2) ** 0.5
    rows[:, :, 1:] += correlation * rows[:, :, :1]
    rows = (truth[:, None] + noise * n_rows**0.5 * rows).reshape(m * n_rows, k)
    means = rows.reshape(m, n_rows, k).mean(axis=1)
    groups = np.repeat(np.arange(m), n_rows)
    samples = bootstrap_group_means(rows, groups, m, n_boot, rng)
    others = {f"q{j}": Explanation(means[:, j], samples[:, :, j]) for j in range(1, k)}
    seed = int(rng.integers(2**31))
    return explain(means[:, 0], samples[:, :, 0], others, random_state=seed)["verdict"]


@pytest.fixture
def few_permutations(monkeypatch):
    monkeypatch.setattr(statistics, "N_PERMUTATIONS", 499)


# The numbers


def test_limits_and_p_value_of_an_explanation():
    rng = np.random.default_rng(0)
    target, other = np.arange(7.0), np.array([1.0, 0, 2, 3, 5, 4, 6])
    samples, more = (v + rng.normal(size=(300, 7)) for v in (target, other))
    down = Explanation(-other, -more, -1)
    rows = {"up": Explanation(other, more), "down": down, "exact": Explanation(target)}
    table = explain(target, samples, rows, confidence=0.9)
    slow = [spearmanr(a, b).statistic for a, b in zip(samples, more, strict=True)]
    low, high = np.quantile(slow, [0.05, 0.95])
    rho = spearmanr(target, other).statistic
    limits = [f"rank_correlation{end}" for end in ("", "_low", "_high")]
    np.testing.assert_allclose(table.loc["up", limits].astype(float), [rho, low, high])
    np.testing.assert_allclose(table.loc["down", limits].astype(float), [-rho, -high, -low])
    exact = [spearmanr(a, target).statistic for a in samples]
    np.testing.assert_allclose(table.loc["exact", limits[1]], np.quantile(exact, 0.05))
    assert table["expected"].tolist() == ["+", "-", "+"]
    noisy = shared_noise_p(target, samples, other, more, 0)
    alone = shared_noise_p(target, samples, target, target[None], 0)
    p = [permutation_p(target, v, 0) for v in (other, other, target)]
    p = np.maximum(p, [noisy, noisy, alone])
    np.testing.assert_allclose(table["p_value"], holm(p))
    assert list(table.columns) == [*limits, "expected", "p_value", "verdict"]
    assert table.index.name == "explanation"


# What the words mean


@pytest.mark.parametrize("m", [8, 9, 20])
@pytest.mark.parametrize("sign", [1, -1])
def test_a_perfect_relation_explains(m, sign):
    target = np.arange(m) ** 2.0
    rows = {"it": of(sign * target, sign), "opposite": of(-sign * target, sign)}
    table = explain(target, exactly(target), rows)
    assert table["verdict"].tolist() == [*Verdict][:2]
    assert [type(word) for word in table["verdict"]] == [str, str]
    assert table["rank_correlation"].tolist() == pytest.approx([sign, -sign])
    assert table.loc["opposite", "p_value"] == 1


def test_noise_in_the_rows_takes_the_word_away():
    target = np.arange(9.0)
    noisy = Explanation(target, exactly(target, noise=6))
    table = explain(target, exactly(target), {"noisy": noisy})
    assert table.loc["noisy", "p_value"] <= 0.001
    assert table.loc["noisy", "rank_correlation_low"] < 0
    assert table.loc["noisy", "verdict"] == "cannot tell"


def test_the_level_is_that_of_the_caller():
    target, other = np.arange(7.0), np.array([0.0, 1, 5, 3, 2, 4, 6])
    p = permutation_p(target, other, 0)
    assert 0.01 < p < 0.05
    args = target, exactly(target), {"it": of(other)}
    assert explain(*args, confidence=0.95)["verdict"].item() == "explains"
    assert explain(*args, confidence=0.99)["verdict"].item() == "cannot tell"


def test_more_explanations_need_more_evidence():
    target, other = np.arange(7.0), np.array([0.0, 1, 5, 3, 2, 4, 6])
    alone = explain(target, exactly(target), {"it": of(other)})
    nothing = {f"no{k}": of(np.roll(target, 3)) for k in range(5)}
    among = explain(target, exactly(target), {"it": of(other)} | nothing)
    assert alone.loc["it", "verdict"] == "explains"
    assert among.loc["it", "verdict"] == "cannot tell"
    assert among.loc["it", "p_value"] == pytest.approx(6 * alone.loc["it", "p_value"])


@pytest.mark.parametrize("m", [2, 3])
def test_two_or_three_groups_never_explain(m):
    target = np.arange(float(m))
    table = explain(target, exactly(target), {"it": of(target)})
    assert table["verdict"].item() == "cannot tell"
    assert table["p_value"].item() >= 1 / 6


def test_a_weak_relation_is_told_from_none_by_one_half():
    target = np.arange(9.0)
    weak, strong = [1.0, 6, 0, 3, 7, 2, 4, 8, 5], [2.0, 5, 0, 3, 7, 1, 4, 8, 6]
    table = explain(target, exactly(target), {"weak": of(weak), "strong": of(strong)})
    weak, strong = table["rank_correlation"]
    assert 0.48 < weak < 0.5 < strong < 0.52
    assert table["verdict"].tolist() == ["does not explain", "cannot tell"]


def test_one_group_tells_nothing():
    table = explain(np.ones(1), np.ones((60, 1)), {"it": of([3.0])})
    assert table[["rank_correlation", "p_value"]].isna().all(axis=None)
    assert table["verdict"].item() == "cannot tell"


def test_sizes_without_sampling_error_may_be_constant():
    target = np.arange(9.0)
    table = explain(target, exactly(target), {"rows": Explanation(np.full(9, 20), None, -1)})
    assert table["rank_correlation"].isna().item()
    assert table["p_value"].isna().item()
    assert table["verdict"].item() == "cannot tell"


@pytest.mark.parametrize("constant", ["target", "explanation"])
def test_constants_tell_nothing(constant):
    rising, flat = np.arange(9.0), np.ones(9)
    target = flat if constant == "target" else rising
    other = flat if constant == "explanation" else rising
    samples, more = np.tile(target, (50, 1)), np.tile(other, (50, 1))
    table = explain(target, samples, {"it": Explanation(other, more)})
    assert table["rank_correlation"].isna().item()
    assert table["verdict"].item() == "cannot tell"


# How often the words are wrong


@pytest.mark.slow
@pytest.mark.parametrize("noise", [0.01, 0.5])
def test_chance_among_the_groups_explains_at_most_at_the_level(few_permutations, noise):
    rng, wrong = np.random.default_rng(1), 0
    for _ in range(N_SIMULATIONS):
        words = observed(rng, rng.normal(size=(10, 7)), noise, n_boot=40)
        wrong += (words == "explains").any()  # of six explanations
    assert wrong / N_SIMULATIONS <= 0.05 + SLACK


@pytest.mark.slow
@pytest.mark.parametrize(("m", "noise"), [(10, 1.0), (10, 3.0), (50, 1.0), (50, 3.0)])
def test_a_true_relation_hidden_in_noise_is_not_denied(monkeypatch, m, noise):
    monkeypatch.setattr(statistics, "N_PERMUTATIONS", 19)
    rng, denied = np.random.default_rng(2), 0
    for _ in range(N_SIMULATIONS):
        truth = np.repeat(rng.normal(size=(m, 1)), 2, axis=1)
        denied += (observed(rng, truth, noise) == "does not explain").item()
    assert denied / N_SIMULATIONS <= 0.05 + SLACK


@pytest.mark.slow
def test_fifty_unrelated_groups_are_told(few_permutations):
    rng = np.random.default_rng(3)
    words = [observed(rng, rng.normal(size=(50, 2)), 0.01).item() for _ in range(60)]
    assert words.count("does not explain") > 50


def test_a_strong_relation_seen_clearly_is_told(few_permutations):
    rng, told = np.random.default_rng(4), 0
    for _ in range(40):
        truth = np.repeat(rng.normal(size=(20, 1)), 2, axis=1)
        told += (observed(rng, truth, 0.3) == "explains").item()
    assert told > 36


SHARED = "the rows that err in the damage err in the explanation, too"


@pytest.mark.slow
@pytest.mark.parametrize(("m", "correlation"), [(10, 0.8), (50, 0.5)])
def test_groups_that_are_all_alike_have_nothing_to_explain(few_permutations, m, correlation):
    rng, wrong = np.random.default_rng(5), 0
    for _ in range(100):
        words = observed(rng, np.zeros((m, 2)), 1.0, correlation=correlation)
        wrong += (words == "explains").item()
    assert wrong / 100 <= 0.1


@pytest.mark.slow
def test_a_true_relation_is_not_denied_where_rows_err_in_opposite_ways(few_permutations):
    rng, denied = np.random.default_rng(6), 0
    for _ in range(100):
        truth = np.repeat(rng.normal(size=(50, 1)), 2, axis=1)
        denied += (observed(rng, truth, 1.0, correlation=-0.5) == "does not explain").item()
    assert denied / 100 <= 0.1
