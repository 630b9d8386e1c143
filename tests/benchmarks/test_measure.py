"""Measures of a model on some rows, against figures by hand."""

import measure
import numpy as np
import pytest


class Fixed:
    """A classifier whose probability of class 1 is given."""

    def __init__(self, probability):
        self.probability = np.asarray(probability, dtype=float)

    def predict_proba(self, X):
        return np.column_stack([1 - self.probability, self.probability])


# Three groups of 10 and one of 9, which is too small to count.
GROUPS = np.repeat(["a", "b", "c", "d"], [10, 10, 10, 9])
Y = np.ones(39, dtype=int)
RIGHT = np.repeat([0.9, 0.9, 0.2, 0.1], [10, 10, 10, 9])


@pytest.fixture
def found():
    return measure.measure(Fixed(RIGHT), Fixed(np.full(39, 0.8)), None, Y, GROUPS)


def test_every_group_of_ten_rows_counts_and_smaller_ones_do_not(found):
    assert found["spread"] == 1.0
    assert found["worst_loss"] == pytest.approx(-np.log(0.2))
    assert found["xi"] == pytest.approx(np.log(0.9) - np.log(0.2))
    assert found["worst_accuracy"] == 0.0


def test_totals_are_over_all_rows(found):
    assert found["accuracy"] == pytest.approx(20 / 39)
    assert found["loss"] == pytest.approx(-np.log(RIGHT).mean())
    assert found["violation"] == pytest.approx(-np.log(0.2) + np.log(RIGHT).mean())
    assert found["psi"] == pytest.approx(1 - 19 / 39)
    assert found["one_class"] == 0.0


@pytest.mark.parametrize("worst", ["a", "b", "c"])
def test_any_group_can_be_the_worst(worst):
    probability = np.where(worst == GROUPS, 0.2, 0.9)
    outcome = measure.measure(Fixed(probability), Fixed(probability), None, Y, GROUPS)
    assert (outcome["spread"], outcome["xi"]) == (1.0, 0.0)


def test_differences_are_paired():
    found = measure.paired([1.0, 2.0, 4.0], [0.0, 1.0, 2.0])
    assert found["mean"] == pytest.approx(4 / 3)
    assert found["low"] < 4 / 3 < found["high"]
    assert measure.paired([2.0, 2.0], [1.0, 1.0])["low"] == 1.0
