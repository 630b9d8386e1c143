"""Columns that say the target or the group."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import entropy

from sklearn_fairprune.tables.leaks import follows, is_copy, share_told, telling

rng = np.random.default_rng(0)
N = 2000
GROUP = pd.Series(rng.choice(["a", "b", "c"], N, p=[0.5, 0.3, 0.2]))
FAIR = pd.Series(rng.choice(["y", "n"], N))


def test_a_copy_has_one_value_for_each_of_the_other():
    codes = GROUP.map({"a": 3.0, "b": 1.0, "c": 2.0})
    assert is_copy(codes, GROUP)
    assert is_copy(GROUP, codes)
    assert not is_copy((GROUP == "a").astype(float), GROUP)  # an indicator is none
    once = codes.copy()
    once.iloc[0] = 1.0 if codes.iloc[0] != 1 else 2.0
    assert not is_copy(once, GROUP)
    assert not is_copy(pd.Series(["x"] * N), pd.Series(["y"] * N))


def test_numbers_on_a_line_are_copies_and_noise_is_none():
    price = pd.Series(rng.normal(size=N))
    assert is_copy(3 - 2 * price, price)
    assert not is_copy(price + 1e-3 * rng.normal(size=N), price)
    assert not is_copy(pd.Series(rng.permutation(N).astype(float)), price)


def test_a_copy_with_gaps_is_a_copy_and_an_empty_one_is_none():
    codes = GROUP.map({"a": 3.0, "b": 1.0, "c": 2.0})
    assert is_copy(codes.where(rng.random(N) > 0.1), GROUP)
    assert not is_copy(codes.where(rng.random(N) > 0.9), GROUP)


def test_an_indicator_follows_the_groups_and_chance_does_not():
    assert follows((GROUP == "a").astype(float), [GROUP])
    both = ((GROUP == "a") & (FAIR == "y")).astype(float)
    assert follows(both, [GROUP, FAIR])
    assert not follows(both, [GROUP])
    assert not follows(FAIR, [GROUP])
    assert not follows(pd.Series(["x"] * N), [GROUP])
    few = pd.Series(list("aabbcc"))
    assert not follows(pd.Series(list("xxyyxx")), [few])  # so few rows agree by chance


@pytest.mark.parametrize("right", [0.5, 0.8, 0.9, 1.0])
def test_the_share_told_of_a_coin(right):
    """1 - H(right) of a fair coin that is told with so many right."""
    told = FAIR.where(rng.random(N) < right, FAIR.map({"y": "n", "n": "y"}))
    expected = 1 - entropy([right, 1 - right], base=2)
    assert share_told(told, FAIR) == pytest.approx(expected, abs=0.03)


def test_numbers_and_rare_values_tell_little_by_chance():
    assert share_told(pd.Series(rng.normal(size=N)), FAIR) < 0.02
    assert share_told(pd.Series(np.arange(N).astype(str)), FAIR) == 0
    shifted = pd.Series(rng.normal(size=N) + 6 * (FAIR == "y"))
    assert share_told(shifted, FAIR) > 0.9
    assert np.isnan(share_told(FAIR, pd.Series(["x"] * N)))


def test_what_tells_half_is_named_the_most_telling_first():
    nine = FAIR.where(rng.random(N) < 0.95, "n")
    X = pd.DataFrame({"noise": rng.normal(size=N), "nine": nine, "same": FAIR})
    (note,) = telling(X, {"the target": FAIR, "race": GROUP})
    assert note.startswith("Columns that alone tell much of the target (share of its entropy")
    assert "): same 100 %, nine 86 %" in note
    assert "noise" not in note
    assert telling(X[["noise"]], {"race": GROUP}) == []
