"""What multipliers do whatever the problem: laws, ways to train, held rows, errors."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from engine_cases import make
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch.utils.data import DataLoader, TensorDataset

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.dual_ascent import DualAscent
from sklearn_fairprune.engine.dual_rule import DualRule
from sklearn_fairprune.engine.group_statistics import evaluate, means_of, violations_of
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import CONSTRAINTS, bounded_group_loss, equal_loss, minimax

torch.set_num_threads(1)
rng = np.random.default_rng(2)
X, GROUPS = rng.normal(size=(60, 4)), rng.permutation(np.arange(60) % 11 % 4)
Y = 1 * (X[:, 0] * np.where(GROUPS < 2, 2, -1) + rng.normal(size=60) > 0)
W, TIMES = rng.uniform(0.1, 3, 60), rng.integers(1, 4, 60)
INF = float("inf")
RULE = DualRule(equal_loss, 0.0, "projected", 0.5, 1.0, 0.2, steps=1, window=0.5, total=INF)
RULE = replace(RULE, noise=0.0)
UPDATES = ("adaptive", "projected", "signed", "absolute")
EVERY_UPDATE = pytest.mark.parametrize("update", UPDATES)
STEPS = pytest.mark.parametrize("steps", [1, 4])


def data(at=slice(None), *, y=Y, weights=None, groups=GROUPS):
    weights = None if weights is None else weights[at]
    return Rows(X[at], y[at], groups=groups[at], weights=weights, dtype=torch.float64)


def ascent(net, rows, *, m=4, held=None, dense=None, n_epochs=4, **changes):
    rule = replace(RULE, **changes)
    return DualAscent(rule, net, rows, m, held=held, dense=dense, n_epochs=n_epochs)


def fit(rows=None, epochs=4, *, net=None, **rule):
    """Train; returns the net and its multipliers' object."""
    rows, net = data() if rows is None else rows, make(batch_size=16) if net is None else net
    dual = ascent(net, rows, n_epochs=epochs, **rule)
    train(net, rows, epochs, seed=0, dual=dual)
    return net, dual


def theta(net):
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


def same(one, other, tolerance=0.0):
    """Weights and multipliers of two trainings agree."""
    assert one[1].multipliers.abs().max() > 1e-3
    for a, b in [(theta(one[0]), theta(other[0])), (one[1].state, other[1].state)]:
        torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    return True


@EVERY_UPDATE
@STEPS
@pytest.mark.parametrize("weights", [None, W])
def test_infinite_tolerance_is_no_constraint_bit_for_bit(update, steps, weights):
    rows, plain = data(weights=weights), make(batch_size=16)
    net, dual = fit(rows, update=update, steps=steps, tolerance=INF)
    train(plain, rows, 4, seed=0)
    assert torch.equal(theta(net), theta(plain))
    assert dual.state.eq(0).all()
    constrained, _ = fit(rows, update=update, steps=steps)
    assert not torch.equal(theta(constrained), theta(plain))


@EVERY_UPDATE
@STEPS
def test_one_group_is_no_constraint_bit_for_bit(update, steps):
    rows, plain = data(groups=0 * GROUPS), make(batch_size=16)
    net, dual = fit(rows, m=1, update=update, steps=steps)
    train(plain, rows, 4, seed=0)
    assert torch.equal(theta(net), theta(plain))
    assert dual.state.eq(0).all()


@STEPS
def test_signs(steps):
    paths = {}
    for update in UPDATES:
        _, dual = fit(epochs=12, update=update, steps=steps, gain=0.0)
        paths[update] = torch.stack([record["multiplier"] for record in dual.records])
        assert (dual.state >= 0).all()
        assert dual.state.shape == (2 if update == "signed" else 1, 4)
    assert (paths["absolute"].diff(dim=0) >= 0).all()
    assert (paths["projected"] >= 0).all()
    assert (paths["projected"].diff(dim=0) < 0).any()
    assert (paths["signed"] < 0).any()


@pytest.mark.parametrize("update", ["projected", "signed"])
def test_the_sum_is_bounded(update):
    _, dual = fit(update=update, total=0.1, lr=5.0)
    assert float(dual.state.sum()) == pytest.approx(0.1)
    _, dual = fit(constraint=minimax, lr=0.0)
    assert dual.state[0].tolist() == pytest.approx((np.bincount(GROUPS) / 60).tolist())
    _, dual = fit(constraint=minimax)
    assert float(dual.state.sum()) == pytest.approx(1)


@EVERY_UPDATE
@STEPS
@pytest.mark.parametrize("weights", [None, W])
def test_doubled_data_change_nothing(update, steps, weights):
    once, twice = data(weights=weights), data(np.repeat(np.arange(60), 2), weights=weights)
    for size in (-1, 15):
        first = fit(once, net=make(batch_size=size), update=update, steps=steps)
        net = make(batch_size=size if size == -1 else 2 * size)
        assert same(first, fit(twice, net=net, update=update, steps=steps), 1e-9)


@EVERY_UPDATE
@pytest.mark.parametrize("name", CONSTRAINTS)
def test_integer_weights_are_repetitions(update, name):
    rule = {"update": update, "constraint": CONSTRAINTS[name], "dense": make()}
    rule["dense"].module_.bias.data.add_(torch.arange(3.0))
    weighted = fit(data(weights=TIMES.astype(float)), net=make(), **rule)
    repeated = fit(data(np.repeat(np.arange(60), TIMES)), net=make(), **rule)
    assert same(weighted, repeated, 1e-9)


@EVERY_UPDATE
@STEPS
def test_absent_groups_keep_their_multipliers(update, steps):
    net, dual = fit(m=6, update=update, steps=steps)
    assert dual.state[:, 4:].eq(0).all()
    record = dual.records[-1]
    assert record["loss"].isnan().tolist() == record["violation"].isnan().tolist()
    assert record["loss"].isnan().tolist() == [False] * 4 + [True] * 2
    few = fit(update=update, steps=steps)
    torch.testing.assert_close(dual.state[:, :4], few[1].state, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(theta(net), theta(few[0]), rtol=1e-12, atol=1e-12)


@EVERY_UPDATE
def test_a_group_that_does_not_come_up_keeps_its_multiplier(update):
    rows, net, path = data(np.argsort(GROUPS, kind="stable")), make(batch_size=20), []
    dual = ascent(net, rows, update=update, steps=3)

    class Look(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            path.append((torch.bincount(batch.groups, minlength=4) == 0, dual.multipliers))

    net.callbacks_.append(("look", Look()))
    train(net, rows, 3, seed=0, dual=dual)
    for (absent, before), (_, after) in pairwise(path):
        assert absent.any()
        assert torch.equal(after[absent], before[absent])
    assert after.abs().max() > 1e-3


@EVERY_UPDATE
@STEPS
def test_many_small_groups(update, steps):
    net, dual = fit(data(groups=np.arange(60) % 50), m=50, update=update, steps=steps)
    assert theta(net).isfinite().all()
    assert dual.multipliers.isfinite().all()
    assert (dual.multipliers != 0).sum() > 10


# ---- ways to train ------------------------------------------------------------------


class Watch(Callback):
    """Listens to batches: the lean epoch is off."""

    def on_batch_end(self, net, **kwargs):
        self.seen = True


@EVERY_UPDATE
@STEPS
def test_every_way_to_read_the_rows_is_the_same(update, steps):
    rule, shuffle = {"update": update, "steps": steps}, {"iterator_train__shuffle": True}
    lean = fit(data(weights=W), net=make(batch_size=16, **shuffle), **rule)
    watched = make(batch_size=16, callbacks=[Watch()], **shuffle)
    assert same(lean, fit(data(weights=W), net=watched, **rule))
    options = {"iterator_train": DataLoader, "iterator_train__num_workers": 0} | shuffle
    loader = make(batch_size=16, **options)
    assert same(lean, fit(data(weights=W), net=loader, **rule))
    pairs = TensorDataset(torch.from_numpy(X), torch.from_numpy(Y))
    rows = Rows(pairs, Y, groups=GROUPS, weights=W, dtype=torch.float64)
    assert same(lean, fit(rows, net=make(batch_size=16, **shuffle), **rule))


@EVERY_UPDATE
def test_rows_that_are_left_out_do_not_count(update):
    dropped = make(batch_size=16, iterator_train__drop_last=True)
    split = ValidSplit([(np.arange(48), np.arange(48, 60))])
    halved = make(batch_size=16, train_split=split)
    assert same(fit(net=dropped, update=update), fit(net=halved, update=update))
    _, dual = fit(net=make(lr=0.0, batch_size=16, train_split=split), epochs=1, update=update)
    expected = means_of(evaluate(make(), data(slice(48)), 4))[:, 0]
    torch.testing.assert_close(dual.records[0]["loss"], expected)


@EVERY_UPDATE
def test_lbfgs_counts_every_row_once(update):
    net = make(optimizer=torch.optim.LBFGS, optimizer__max_iter=4, batch_size=19)
    rows, moved = data(), []
    dual = ascent(net, rows, update=update, steps=3)
    move = dual.train_window.move
    dual.train_window.move = lambda sums: moved.append(sums[:, 0]) or move(sums)
    train(net, rows, 2, seed=0, dual=dual)
    assert [int(masses.sum()) for masses in moved] == [19, 19, 19, 3] * 2
    assert torch.equal(sum(moved), 2.0 * torch.bincount(rows.groups))


def test_an_iterator_of_the_users_own_is_refused():
    def foreign(dataset, **options):
        return [tuple(dataset.take(slice(0, 5)))]

    with pytest.raises(ValueError, match="a group constraint cannot reach the loss"):
        fit(net=make(iterator_train=foreign))


@pytest.mark.parametrize("total", [INF, 1.0])
def test_overflow_of_the_multipliers_is_an_error(total):
    rows, net = data(y=1e3 * X[:, :3]), make(NeuralNetRegressor)
    with pytest.raises(ValueError, match=r"overflowed at dual_lr=1e\+308: .*Lower dual_lr"):
        fit(rows, net=net, constraint=bounded_group_loss, lr=1e308, total=total)


# ---- records and held rows -----------------------------------------------------------------


def test_records_are_what_an_exact_recomputation_gives():
    _, dual = fit(data(weights=W), net=make())
    for epochs, record in enumerate(dual.records):
        net, _ = fit(data(weights=W), epochs, net=make())
        sums = evaluate(net, data(weights=W), 4)
        torch.testing.assert_close(record["loss"], means_of(sums)[:, 0])
        torch.testing.assert_close(record["violation"], violations_of(equal_loss, sums))
    assert torch.equal(record["multiplier"], dual.multipliers)
    assert len(dual.records) == 4
    assert set(record) == {"loss", "violation", "multiplier"}


def test_an_epoch_cut_short_is_recorded():
    stop = EarlyStopping("train_loss", patience=2, threshold=0.99, sink=lambda text: None)
    net, dual = fit(epochs=9, net=make(callbacks=[stop]))
    assert len(dual.records) == len(net.history) < 9


SEEN, HELD = slice(0, 40), slice(40, 60)


@EVERY_UPDATE
def test_multipliers_step_on_held_rows(update):
    still, held = make(lr=0.0, batch_size=16), data(HELD)
    _, dual = fit(data(SEEN), 3, net=still, held=held, update=update, gain=0.0, window=1.0)
    sums = evaluate(make(), held, 4)
    step = violations_of(equal_loss, sums)
    expected = {"projected": step.clamp(min=0), "signed": step, "absolute": step.abs()}
    if update == "adaptive":  # in units of the mean loss, over the whole of the training
        shares = torch.from_numpy(np.bincount(GROUPS[SEEN], minlength=4) / 40)
        held_shares = sums[:, 0] / sums[:, 0].sum()
        relative = step / (held_shares @ means_of(sums)[:, 0])
        assert relative.abs().max() < 1
        expected[update] = shares * relative.clamp(min=0) / 3
    torch.testing.assert_close(dual.multipliers, 3 * 0.5 * expected[update])


@STEPS
def test_held_rows_come_in_turn_and_are_recorded(steps):
    still, held = make(lr=0.0, batch_size=10), data(HELD, weights=W)
    _, dual = fit(data(SEEN), 3, net=still, held=held, steps=steps)
    sums = evaluate(still, held, 4)
    for record in dual.records:
        torch.testing.assert_close(record["holdout_loss"], means_of(sums)[:, 0])
        violation = violations_of(equal_loss, sums)
        torch.testing.assert_close(record["holdout_violation"], violation)


@EVERY_UPDATE
@STEPS
def test_weights_never_see_held_rows_but_through_multipliers(update, steps):
    helds = data(HELD), data(HELD, y=(Y + 1) % 3)
    rule = {"update": update, "steps": steps}
    free = [fit(data(SEEN), held=held, **rule) for held in helds]
    assert not torch.allclose(free[0][1].state, free[1][1].state)
    fixed = [fit(data(SEEN), held=held, lr=0.0, **rule)[0] for held in (*helds, None)]
    assert torch.equal(theta(fixed[0]), theta(fixed[1]))
    assert torch.equal(theta(fixed[0]), theta(fixed[2]))


@EVERY_UPDATE
def test_groups_without_held_rows_step_on_training_rows(update):
    held = data(np.flatnonzero(GROUPS[40:] != 2) + 40)
    nets = [make(lr=0.0) for _ in range(2)]
    _, mixed = fit(data(SEEN), net=nets[0], held=held, update=update)
    _, plain = fit(data(SEEN), net=nets[1], update=update)
    assert mixed.state[0, 2] == plain.state[0, 2]
    assert not torch.allclose(mixed.state, plain.state)
    assert mixed.records[-1]["holdout_loss"].isnan().tolist() == [False, False, True, False]


def test_rows_that_the_net_keeps_for_validation_do_not_slow_the_multipliers():
    def moved(steps):
        net, rule = make(batch_size=10, train_split=ValidSplit(2), lr=0.0), bounded_group_loss
        return fit(epochs=1, net=net, steps=steps, constraint=rule, gain=0.0)[1].multipliers

    torch.testing.assert_close(moved(3).sum(), moved(1).sum(), rtol=0.1, atol=0)
