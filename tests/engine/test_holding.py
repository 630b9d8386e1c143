"""Masks that change in training, progress, rates and snapshots, on a net of four weights."""

import itertools
import math

import pytest
import torch
from engine_cases import make, rows
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit

from sklearn_fairprune.engine.holding import (
    CosineRate,
    Held,
    MaskSchedule,
    Progress,
    Snapshot,
)
from sklearn_fairprune.engine.training import Extras, train
from sklearn_fairprune.functional import MaskUpdate, masks_sparsity, score_masks

torch.set_num_threads(1)


class Watch(Callback):
    """Notes rates, sparsities and progress of every step down."""

    def __init__(self, progress):
        self.progress, self.rates, self.zeros, self.passed = progress, [], [], []

    def on_batch_end(self, net, training=False, **kwargs):
        self.passed.append(self.progress.value)
        self.rates.append(net.optimizer_.param_groups[0]["lr"])
        self.zeros.append(int((net.module_.weight == 0).sum()))


def smallest_first(net, sparsity, kept):
    """Masks by magnitude, of a net of 12 weights."""
    return score_masks({"weight": net.module_.weight.abs()}, sparsity, kept=kept)


def run(updates, *, epochs=4, lean=True, batch_size=6, factor=None, stop=(), **options):
    """Train with changing masks; returns net, history, watch, schedule."""
    net = make(batch_size=batch_size, callbacks=list(stop), **options)
    held = Held({"weight": torch.ones(3, 4, dtype=torch.bool)})
    progress, heard = Progress(epochs), []
    schedule = MaskSchedule(
        held, progress, updates, smallest_first, lambda masks, last: heard.append(last)
    )
    watch = Watch(progress)
    last = [progress, schedule, watch]
    first = [] if factor is None else [CosineRate(progress, factor)]
    if not lean:
        first.append(type("Own", (Callback,), {"on_batch_end": lambda *a, **k: None})())
        net.callbacks_ += [("own", first.pop())]
    history = train(net, rows(), epochs, seed=0, extras=Extras(held, first, last))
    return net, history, watch, schedule, heard


@pytest.mark.parametrize("lean", [True, False])
def test_masks_change_after_the_share_of_the_training(lean):
    # 24 rows, batches of 6: four steps an epoch, sixteen in all.
    updates = [MaskUpdate(0.25, 0.25), MaskUpdate(0.5 + 1 / 16, 0.5), MaskUpdate(0.75, 0.75)]
    _, history, watch, schedule, heard = run(updates, lean=lean)
    assert watch.passed == pytest.approx([k / 16 for k in range(1, 17)])
    # A change at the end of an epoch is made before the next one's first step.
    assert watch.zeros == [0] * 4 + [3] * 4 + [6] * 4 + [9] * 4
    assert [h["sparsity"] for h in history] == [0, 0.25, 0.5, 0.75]
    assert [h["step"] for h in history] == [1, 2, 3, 4]
    assert heard == [False, False, True]
    assert schedule.coming == []


def test_a_change_inside_an_epoch_is_made_after_that_step():
    _, history, watch, *_ = run([MaskUpdate(1 / 8, 0.5)])
    assert watch.zeros == [0, 6] + [6] * 14
    assert history[0]["sparsity"] == 0.5


def test_updates_closer_than_a_step_are_made_at_once():
    updates = [MaskUpdate(k / 1000, k / 1000) for k in range(1, 501)]
    *_, schedule, heard = run(updates, batch_size=24)
    assert schedule.step == 501
    assert len(heard) == 2  # after the first and the second of four steps


@pytest.mark.parametrize("optimizer", [torch.optim.AdamW, torch.optim.SGD])
def test_removed_weights_and_their_moments_stay_zero(optimizer):
    options = {"momentum": 0.9} if optimizer is torch.optim.SGD else {}
    options = {f"optimizer__{k}": v for k, v in options.items()}
    net, *_ = run([MaskUpdate(0.25, 0.5)], optimizer=optimizer, **options)
    gone = net.module_.weight == 0
    assert gone.sum() == 6
    moments = [
        v
        for v in net.optimizer_.state[net.module_.weight].values()
        if isinstance(v, torch.Tensor) and v.shape == gone.shape
    ]
    assert moments
    assert all((m[gone] == 0).all() and (m[~gone] != 0).all() for m in moments)


def test_masks_nest():
    seen = []

    def masks_of(net, sparsity, kept):
        seen.append(smallest_first(net, sparsity, kept))
        return seen[-1]

    net, progress = make(batch_size=6, lr=1.0), Progress(3)
    held = Held({"weight": torch.ones(3, 4, dtype=torch.bool)})
    updates = [MaskUpdate(k / 10, k / 12) for k in range(1, 10)]
    schedule = MaskSchedule(held, progress, updates, masks_of, lambda *_: None)
    train(net, rows(), 3, seed=0, extras=Extras(held, [], [progress, schedule]))
    assert len(seen) > 5
    for before, after in itertools.pairwise(seen):
        assert (after["weight"] <= before["weight"]).all()


def test_a_callback_that_stops_early_still_gets_the_final_masks():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda *_: 0)
    with pytest.warns(UserWarning, match=r"stopped the fine-tuning at sparsity 0.25, before"):
        net, history, _, schedule, heard = run(
            [MaskUpdate(0.25, 0.25), MaskUpdate(0.9, 0.75)], stop=[("stop", stop)]
        )
    assert len(history) == 2
    assert int((net.module_.weight == 0).sum()) == 9
    assert masks_sparsity(schedule.held.masks) == 0.75
    assert heard == [False, True]


def test_cosine_from_the_factor_to_almost_zero():
    *_, watch, _, _ = run([], factor=3.0)
    expected = [3.0 * 0.1 * (1 + math.cos(math.pi * k / 16)) / 2 for k in range(16)]
    assert watch.rates == pytest.approx(expected)


def test_every_parameter_group_keeps_its_ratio():
    net, progress = make(batch_size=6), Progress(2)
    net.optimizer_.add_param_group({"params": [torch.zeros(1, requires_grad=True)], "lr": 7.0})
    train(net, rows(), 2, seed=0, extras=Extras(None, [CosineRate(progress, 2.0)], [progress]))
    a, b = (group["lr"] for group in net.optimizer_.param_groups)
    assert b / a == pytest.approx(70)


SHARES = {0.0: 0, 0.1: 0, 0.3: 1, 0.5: 2, 1.0: 4}


@pytest.mark.parametrize(("share", "epoch"), SHARES.items())
def test_snapshot_keeps_the_weights_of_its_epoch(share, epoch):
    net, snapshot = make(batch_size=6), Snapshot(share, 4)
    assert snapshot.epoch == epoch
    train(net, rows(), 4, seed=0, snapshot=snapshot)
    twin = make(batch_size=6)
    if epoch:
        train(twin, rows(), epoch, seed=0)
    for name, value in twin.module_.state_dict().items():
        assert torch.equal(snapshot.state[name], value)


def test_snapshot_of_a_training_that_was_stopped_before():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda *_: 0)
    net, snapshot = make(batch_size=6, callbacks=[("stop", stop)]), Snapshot(0.9, 10)
    train(net, rows(), 10, seed=0, snapshot=snapshot)
    assert torch.equal(snapshot.state["weight"], net.module_.weight)


def test_progress_of_a_net_that_keeps_rows_for_itself():
    net, progress = make(batch_size=6, train_split=ValidSplit(2)), Progress(2)
    watch = Watch(progress)
    train(net, rows(), 2, seed=0, extras=Extras(None, [], [progress, watch]))
    # twelve training rows are two steps an epoch; validation batches do not count
    assert sorted(set(watch.passed)) == [0.25, 0.5, 0.75, 1.0]
