"""Kept weights that can do nothing: their share, and what is said of it."""

import pytest

from sklearn_fairprune.statistics.idle import IDLE, idle_share, says_idle


def test_counts_and_shares_give_the_same():
    assert idle_share(kept=10, live=6) == pytest.approx(0.4)
    assert idle_share(kept=1 - 0.9, live=1 - 0.94) == pytest.approx(0.4)
    assert idle_share(kept=5, live=5) == 0
    assert idle_share(kept=0, live=0) == 0


def test_a_tenth_is_worded_in_percent():
    assert IDLE == 0.1
    assert says_idle(0.124) == (
        "12 % of the weights that it keeps lie on no path from an input to an output, where "
        "no training can use them"
    )
