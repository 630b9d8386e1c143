"""What is broken for everybody, and how it is said."""

import numpy as np
import pytest
from sklearn.dummy import DummyClassifier
from sklearn.metrics import log_loss

from sklearn_fairprune.statistics.broken import (
    Broken,
    constant_loss,
    no_better_than_chance,
    only_value,
    says_broken,
    says_not_fair,
)


def test_the_one_value_that_is_predicted():
    assert only_value(np.array(["a", "a"])) == "a"
    assert only_value(np.array(["a", "b"])) is None


def test_a_point_above_chance_is_no_better():
    assert no_better_than_chance(0.51, 2)
    assert not no_better_than_chance(0.5101, 2)
    found = no_better_than_chance(np.array([0.34, 0.35]), 3)
    assert found.tolist() == [True, False]


def test_the_constant_is_the_best_there_is():
    y = np.random.default_rng(0).choice(list("abc"), 200, p=[0.6, 0.3, 0.1])
    X = np.zeros((200, 1))
    constant = DummyClassifier(strategy="prior").fit(X, y)
    assert constant_loss(y, True) == pytest.approx(log_loss(y, constant.predict_proba(X)))
    values = np.random.default_rng(0).normal(size=(50, 2))
    assert constant_loss(values[:, 0], False) == pytest.approx(values[:, 0].var())
    assert constant_loss(values, False) == pytest.approx(
        ((values - values.mean(axis=0)) ** 2).mean()
    )
    assert constant_loss(np.array(["a"] * 3), True) == 0


def test_equal_treatment_is_spoken_of_only_where_there_is_no_gap():
    assert says_broken("m", "predicts only a") == "m predicts only a: it is broken."
    assert "alike means nothing" in says_broken("m", "predicts only a", alike=True)


def test_every_broken_model_is_named_with_its_reason():
    broken = {"a": Broken.ONE_CLASS, "b": Broken.ABOVE_CONSTANT}
    assert says_not_fair(broken) == (
        "Broken for all, not fair: a (predicts one class), b (loss above a constant's)."
    )
