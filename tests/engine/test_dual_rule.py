"""Relative steps while a net trains: bounds, chance, units; and the same weights again."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from engine_cases import make
from skorch.callbacks import Callback
from torch import nn

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.dual_ascent import DualAscent
from sklearn_fairprune.engine.dual_replay import DualReplay
from sklearn_fairprune.engine.dual_rule import DualRule
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import CONSTRAINTS, equal_loss, group_weights, minimax

torch.set_num_threads(1)
rng = np.random.default_rng(3)
X, GROUPS = rng.normal(size=(120, 4)), np.arange(120) % 3
Y = 1 * (X[:, 0] > 0)
WRONG = np.where((GROUPS == 2) & (np.arange(120) % 2 == 0), 1 - Y, Y)
RULE = DualRule(
    equal_loss, None, "adaptive", 2.0, 0.0, 0.0, steps=4, window=0.5, total=float("inf")
)


def data(y=WRONG, groups=GROUPS, at=slice(None)):
    return Rows(X[at], y[at], groups=groups[at], dtype=torch.float64)


def fit(rows=None, epochs=5, *, net=None, m=3, callbacks=(), **changes):
    net = make(batch_size=16, callbacks=list(callbacks)) if net is None else net
    rows = data() if rows is None else rows
    dual = DualAscent(replace(RULE, **changes), net, rows, m, n_epochs=epochs)
    train(net, rows, epochs, seed=0, dual=dual)
    return net, dual


def theta(net):
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


def test_the_group_that_is_worse_off_gains_weight_and_is_helped():
    net, dual = fit(epochs=20, lr=6.0)
    plain, _ = fit(epochs=20, tolerance=float("inf"))
    assert dual.extra.argmax() == 2
    assert dual.highest[2] > 1.2
    losses = {}
    for name, one in (("ours", net), ("plain", plain)):
        logits = one.module_(torch.from_numpy(X)).detach()
        each = nn.functional.cross_entropy(logits, torch.from_numpy(WRONG), reduction="none")
        losses[name] = each[torch.from_numpy(GROUPS) == 2].mean()
    assert losses["ours"] < losses["plain"]


@pytest.mark.parametrize("least", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", ["equal_loss", "minimax", "equal_accuracy"])
def test_no_row_weighs_too_little_or_too_much(least, name):
    options = {"constraint": CONSTRAINTS[name], "least": least, "most": 1.5, "lr": 50.0}
    _, dual = fit(noise=0.0, tolerance=0.0, **options)
    assert dual.lowest.min() >= least - 1e-9
    assert dual.highest.max() <= 1.5 + 1e-9
    assert dual.lowest.min() == pytest.approx(least) or dual.extra.max() == pytest.approx(0.5)
    shares = torch.from_numpy(np.bincount(GROUPS) / 120)
    for _, weights in dual.trace:
        assert float(weights @ shares) == pytest.approx(1)


def test_what_chance_can_do_moves_nothing():
    alike = Y ^ (np.arange(120) // 3 % 5 == 0)  # every group has as many wrong labels
    _, dual = fit(data(alike))
    assert dual.weights is None
    assert dual.extra.eq(0).all()
    _, free = fit(data(alike), noise=0.0, tolerance=0.0)
    assert free.extra.max() > 1e-3


def test_a_group_of_one_row_steps_on_no_chance():
    groups = np.where(np.arange(120) == 6, 1, 0)
    options = {"rows": data(groups=groups), "m": 2, "tolerance": 0.0}
    assert fit(**options)[1].extra[1] == 0
    assert fit(**options, noise=0.0)[1].extra[1] > 0


class Scaled(nn.CrossEntropyLoss):
    """A loss in another unit."""

    def forward(self, *args):
        return 1000 * super().forward(*args)


def still(criterion=nn.CrossEntropyLoss):
    """A net that learns nothing, to which group 2 is hard."""
    net = make(lr=0.0, batch_size=16, criterion=criterion)
    with torch.no_grad():
        net.module_.bias.add_(torch.tensor([1.0, 0.0, -1.0]))
    return net


HARD = np.where(GROUPS == 2, 2, 0)


@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_the_unit_of_the_loss_makes_no_difference(noise):
    one, other = (
        fit(data(HARD), net=still(c), noise=noise, lr=0.5)[1]
        for c in (nn.CrossEntropyLoss, Scaled)
    )
    torch.testing.assert_close(one.extra, other.extra)
    assert one.extra.max() > 0


def test_steps_are_parts_of_the_whole_training():
    few, many = (fit(data(HARD), net=still(), epochs=n, lr=0.5)[1].extra for n in (4, 40))
    torch.testing.assert_close(few, many, rtol=0.15, atol=0.01)
    assert few.max() > 0.05


def test_multipliers_of_a_simplex_sum_to_one():
    _, dual = fit(constraint=minimax, noise=0.0)
    assert float(dual.multipliers.sum()) == pytest.approx(1)
    shares = torch.from_numpy(np.bincount(GROUPS) / 120)
    statistics = {"losses": torch.ones(3).double(), "shares": shares}
    weights = group_weights(minimax, dual.multipliers, statistics)
    torch.testing.assert_close(weights, dual.trace[-1][1])
    assert dual.multipliers[2] > shares[2]


def test_what_is_allowed():
    statistics = {
        "losses": torch.tensor([1.0, 3.0]),
        "errors": torch.tensor([0.1, 0.5]),
        "shares": torch.tensor([0.75, 0.25]),
    }
    allowed = {name: replace(RULE, constraint=c) for name, c in CONSTRAINTS.items()}
    assert allowed["equal_loss"].allowed(statistics) == pytest.approx(0.15)
    assert allowed["equal_accuracy"].allowed(statistics) == pytest.approx(0.02)
    assert allowed["minimax"].allowed(statistics) == 0
    assert replace(RULE, tolerance=0.3).allowed(statistics) == 0.3


# ---- once more --------------------------------------------------------------------------


@pytest.mark.parametrize("update", ["adaptive", "projected", "signed"])
@pytest.mark.parametrize("steps", [1, 4])
def test_the_same_rows_again_are_the_same_training(update, steps):
    net, dual = fit(update=update, steps=steps, noise=0.0, tolerance=0.0)
    again = make(batch_size=16)
    replay = DualReplay(dual.trace, again, data(), 5)
    train(again, data(), 5, seed=0, dual=replay)
    assert torch.equal(theta(net), theta(again))
    plain, _ = fit(tolerance=float("inf"))
    assert not torch.equal(theta(net), theta(plain))


def test_more_rows_get_the_weights_of_the_place_they_are_at():
    _, dual = fit(data(at=slice(0, 96)), noise=0.0, tolerance=0.0)
    seen = []

    class Look(Callback):
        def on_batch_begin(self, net, training=False, **kwargs):
            weights = replay.weights
            seen.append(torch.ones(3).double() if weights is None else weights)

    net = make(batch_size=10, callbacks=[Look()])
    replay = DualReplay(dual.trace, net, data(), 5)
    train(net, data(), 5, seed=0, dual=replay)
    shares, weights = zip(*dual.trace, strict=True)
    for k, found in enumerate(seen):
        before = [w for s, w in zip(shares, weights, strict=True) if s <= k / 60 + 1e-9]
        assert torch.equal(found, before[-1] if before else torch.ones(3).double())


def test_an_empty_trace_is_no_constraint():
    net, plain = make(batch_size=16), make(batch_size=16)
    replay = DualReplay([], net, data(), 5)
    train(net, data(), 5, seed=0, dual=replay)
    train(plain, data(), 5, seed=0)
    assert torch.equal(theta(net), theta(plain))
    assert not replay.active


def test_what_is_taken_for_chance_by_hand():
    errors, shares = torch.tensor([0.1, 0.3]), torch.tensor([0.75, 0.25])
    three = replace(RULE, noise=3.0)
    assert three.deviation(errors, shares).tolist() == pytest.approx(
        [0.15, 0.3 * 3 * 0.75**0.5]
    )
    alone = replace(
        three, constraint=CONSTRAINTS["bounded_group_loss"]
    )  # no mean is taken off
    assert alone.deviation(errors, shares).tolist() == pytest.approx([0.3, 0.9])
    unknown = torch.tensor([torch.inf, 0.1])
    assert replace(RULE, noise=0.0).deviation(unknown, shares).tolist() == [0, 0]
