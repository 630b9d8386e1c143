"""Numbers, intervals and verdicts from kept results."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_cases import DENSE, ROWS, record
from records import (
    FAILS,
    HOLDS,
    UNSURE,
    interval,
    judge,
    judge_within,
    mostly_broken,
    rank_correlation,
)
from scipy import stats

NUMBERS = st.lists(st.floats(-10, 10), min_size=2, max_size=6, unique=True)
FLAT = {"accuracy": [0.25] * 4, "loss": [1.4] * 4}


def test_numbers_of_a_cell_by_hand():
    cell = "none; 0.9"
    found = {cell: {"accuracy": [0.9, 0.8, 0.6, 0.4], "loss": [0.3, 0.5, 0.8, 1.4]}}
    r = record(cells=found)
    noise = r.cells[cell]["test"]["accuracy"][0] - 0.9
    dense_noise = r.cells["dense; 0"]["test"]["accuracy"][0] - DENSE["accuracy"][0]
    assert r.value(cell, "accuracy") == pytest.approx(0.4 * 0.9 + 0.24 + 0.12 + 0.04 + noise)
    assert r.value(cell, "balanced_accuracy") == pytest.approx(0.675 + noise)
    assert r.value(cell, "worst_accuracy") == pytest.approx(0.4 + noise)
    assert r.value(cell, "spread") == pytest.approx(0.5)
    assert r.value(cell, "xi") == pytest.approx(0.6)  # excessive losses 0, .1, .3, .6
    assert r.value(cell, "loss_gap") == pytest.approx(1.4 - (0.12 + 0.15 + 0.16 + 0.14))
    drops = np.array([0, 0.05, 0.2, 0.3]) + dense_noise - noise
    assert r.value(cell, "psi") == pytest.approx(drops[3] - drops @ [0.4, 0.3, 0.2, 0.1])


def test_shares_are_those_of_the_part():
    shares = record().shares("train")
    assert shares.tolist() == [0.4, 0.3, 0.2, 0.1]


def test_chance_is_broken_and_the_dense_network_is_not():
    r = record(cells={"none; 0.9": FLAT})
    assert r.broken("none; 0.9")
    assert not r.broken("dense; 0")
    assert not r.broken("none; 0.5")


def test_mostly_broken_is_half_of_the_records():
    broken, sound = record(cells={"none; 0.9": FLAT}), record()
    assert mostly_broken([broken, sound], "none; 0.9")
    assert not mostly_broken([broken, sound, sound], "none; 0.9")
    assert mostly_broken([broken], "none; 0.5", "none; 0.9")
    assert not mostly_broken([], "none; 0.9")


@given(NUMBERS)
def test_interval_is_that_of_the_t_test(values):
    mean, low, high = interval(values)
    truth = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((truth.low, truth.high), rel=1e-6, abs=1e-9)
    assert low <= mean <= high


def test_interval_of_one_seed_excludes_nothing():
    assert interval([0.3]) == (0.3, -np.inf, np.inf)


@pytest.mark.parametrize("values", [[], [0.1, np.nan]])
def test_nothing_measured_is_nan(values):
    assert np.isnan(interval(values)).all()


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(-1, 1))
def test_verdict_needs_the_whole_interval(low, width, bound):
    verdict = judge(low, low + width, bound)
    assert (verdict == HOLDS) == (low > bound)
    assert (verdict == FAILS) == (low + width < bound)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.02, HOLDS),
        (0.06, 0.09, FAILS),
        (-0.2, -0.1, FAILS),
        (0.01, 0.06, UNSURE),
        (-1, 1, UNSURE),
    ],
)
def test_about_the_same(low, high, verdict):
    assert judge_within(low, high, 0.05) == verdict


def test_rank_correlation_of_equal_sizes_is_nan():
    assert np.isnan(rank_correlation(np.array([3, 3, 3]), np.array([1, 2, 3])))
    assert rank_correlation(np.array(ROWS["train"]), np.arange(4)) == pytest.approx(-1)
