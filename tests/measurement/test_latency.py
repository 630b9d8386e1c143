"""Latency: repetitions that take turns, by a clock that is known; and what it leaves alone."""

import functools

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.measurement import latency
from sklearn_fairprune.measurement.latency import (
    LEAST,
    MOST,
    batch_sizes,
    latency_table,
    timed,
)

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(30, 4)).astype("f4"), np.repeat([0, 1], 15)


class Clock:
    """A clock that calls push on."""

    def __init__(self):
        self.now, self.order = 0.0, []

    def __call__(self):
        return self.now

    def call(self, name, *seconds):
        def push():
            self.order.append(name)
            self.now += seconds[self.order.count(name) % len(seconds)]

        return push


def test_times_are_of_one_call_and_calls_take_turns():
    clock = Clock()
    seconds = timed([clock.call("a", 2e-3), clock.call("b", 3e-4)], clock=clock)
    assert seconds.shape == (MOST, 2)
    np.testing.assert_allclose(seconds, np.tile([2e-3, 3e-4], (MOST, 1)), rtol=1e-6)
    warm = clock.order[:8]
    assert warm == ["a"] * 4 + ["b"] * 4
    a, b = ["a"], ["b"] * 4  # at least a millisecond
    assert clock.order[8 : 8 + 20] == [*a, *b, *b, *a, *a, *b, *b, *a]


def test_slow_calls_end_with_the_budget_and_have_the_least_repetitions():
    clock = Clock()
    assert len(timed([clock.call("a", 0.0625)] * 2, budget=1.0, clock=clock)) == 16
    assert len(timed([clock.call("b", 5.0)], budget=1.0, clock=clock)) == LEAST


CLOCK = Clock()


class Sleeper(nn.Module):
    """Takes a given time for one row, and twice that for more."""

    def __init__(self, seconds):
        super().__init__()
        self.layer, self.seconds, self.seen = nn.Linear(4, 2), seconds, []

    def forward(self, X):
        assert not self.training
        assert not torch.is_grad_enabled()
        assert torch.get_num_threads() == 1
        CLOCK.now += self.seconds * (1 + (len(X) > 1))
        return self.layer(X)


def net_of(module):
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss).initialize()


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(latency, "MOST", 10)


def test_a_network_that_takes_a_third_of_the_time_is_three_times_faster(monkeypatch):
    monkeypatch.setattr(latency, "timed", functools.partial(timed, clock=CLOCK))
    models = {"dense": net_of(Sleeper(6e-3)), "none": LogisticRegression().fit(X, y)}
    models["third"] = net_of(Sleeper(2e-3)).set_params(module__seconds=2e-3)
    models["third"].initialize()
    table, notes = latency_table(models, X, (1, 4))
    assert notes == []
    assert table.index.tolist() == [(m, b) for m in ("dense", "third") for b in (1, 4)]
    assert (table.loc["dense"].filter(like="speed_up") == 1).all(axis=None)
    milliseconds, speed_up = (table.loc["third"].filter(like=k) for k in ("mill", "speed"))
    np.testing.assert_allclose(milliseconds, [[2.0] * 3, [4.0] * 3], rtol=1e-6)
    np.testing.assert_allclose(speed_up, 3, rtol=1e-6)


def test_without_a_network_to_compare_with_there_is_no_speed_up(quick):
    models = {"dense": LogisticRegression().fit(X, y), "net": net_of(nn.Linear(4, 2))}
    table, _ = latency_table(models, X, (1,))
    assert table.filter(like="speed_up").isna().all(axis=None)
    assert table["milliseconds"].notna().all()


class Odd(nn.Module):
    """Cannot read one row."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 2)

    def forward(self, X):
        if len(X) == 1:
            raise ValueError("one row is\ntoo few")
        return self.layer(X)


def test_what_cannot_run_is_told(quick):
    models = {"dense": net_of(nn.Linear(4, 2)), "odd": net_of(Odd())}
    table, notes = latency_table(models, X, (1, 4))
    assert notes == ["The latency of odd was not measured: ValueError: one row is too few."]
    assert table.index.unique("model").tolist() == ["dense"]
    empty, notes = latency_table({"odd": net_of(Odd())}, X, (1,))
    assert len(empty) == 0
    assert len(notes) == 1


def test_nothing_is_changed(quick):
    clf = PrunedClassifier(hidden_layer_sizes=(3,), finetune_epochs=1, random_state=0)
    clf.fit(X, y)
    torch.set_num_threads(2)
    try:
        module, state = clf.estimator_.module_, torch.random.get_rng_state()
        module.train()
        latency_table({"dense": clf}, X, (1,))
        assert torch.get_num_threads() == 2
        assert module.training
        assert torch.is_grad_enabled()
        assert torch.equal(torch.random.get_rng_state(), state)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("given", [0, 3, "1,2", [0], [], [1.5], [True], {}], ids=str)
def test_what_are_no_batch_sizes(given):
    with pytest.raises(ValueError, match=r"latency must be True, False, or batch sizes.*got"):
        batch_sizes(given)
    with pytest.raises(ValueError, match="latency must be"):
        audit({}, X, y, latency=given)


def test_batch_sizes():
    assert batch_sizes(None) == batch_sizes(False) == ()
    assert batch_sizes(np.array([8, 2, 8])) == (2, 8)
