"""Masks that hold, seeds, divergence, Ctrl-C, and what is left behind."""

import signal

import pytest
import torch
from engine_cases import TARGETS, W, make, rows, weight
from skorch import NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping
from torch import nn

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import apply_masks, prunable, score_masks

torch.set_num_threads(1)


def masked(**options):
    """A net with half of its weights at zero."""
    net = make(**options)
    masks = score_masks({k: w.abs() for k, w in prunable(net.module_).items()}, 0.5)
    apply_masks(prunable(net.module_), masks)
    return networks.renew_optimizer(net), masks


class Restore(Callback):
    """Loads dense weights at the end, as a checkpoint might."""

    def on_epoch_end(self, net, **kwargs):
        self.seen = weight(net)

    def on_train_end(self, net, **kwargs):
        net.module_.weight.data.fill_(1.0)


OPTIMIZERS = {
    "momentum": (torch.optim.SGD, {"momentum": 0.9, "weight_decay": 0.1}),
    "adam": (torch.optim.Adam, {"amsgrad": True}),
    "adamw": (torch.optim.AdamW, {"weight_decay": 0.5}),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5, "centered": True}),
    "lbfgs": (torch.optim.LBFGS, {"max_iter": 5}),
}


@pytest.mark.parametrize(("optimizer", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_masks_hold_after_every_batch(optimizer, options):
    seen = []

    class Look(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(weight(net))

    options = {f"optimizer__{k}": v for k, v in options.items()}
    net, masks = masked(optimizer=optimizer, callbacks=[Look()], batch_size=10, **options)
    kept = masks["weight"]
    net.optimizer_.zero_grad()
    train(net, rows(), 3, seed=0, masks=masks)
    assert len(seen) == 3
    assert all((w[~kept] == 0).all() and (w[kept] != 0).all() for w in seen)
    state = [v for s in net.optimizer_.state.values() for v in s.values()]
    moments = [v for v in state if isinstance(v, torch.Tensor) and v.shape == kept.shape]
    assert all((m[~kept] == 0).all() for m in moments)


def test_masks_hold_against_earlier_moments_and_restored_weights():
    restore = Restore()
    net = make(optimizer=torch.optim.Adam, callbacks=[("restore", restore)])
    train(net, rows(), 2, seed=0)
    masks = score_masks({"weight": net.module_.weight}, 0.5)
    train(net, rows(), 1, seed=0, masks=masks)
    assert torch.equal(weight(net), masks["weight"].double())
    assert (restore.seen[~masks["weight"]] == 0).all()


def test_gradient_clipping_does_not_see_removed_weights():
    net, masks = masked(lr=1.0, callbacks=[GradientNormClipping(1e-3)])
    before = [p.detach().clone() for p in net.module_.parameters()]
    train(net, rows(), 1, seed=0, masks=masks)
    steps = [p.detach() - b for p, b in zip(net.module_.parameters(), before, strict=True)]
    assert sum(float(s.square().sum()) for s in steps) ** 0.5 == pytest.approx(1e-3, rel=1e-3)


def test_same_seed_same_weights():
    nets = [make(batch_size=5, iterator_train__shuffle=True) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        train(net, rows(), 2, seed=seed)
    assert torch.equal(weight(nets[0]), weight(nets[1]))
    assert not torch.equal(weight(nets[0]), weight(nets[2]))


class Dropped(nn.Linear):
    def forward(self, X):
        return super().forward(nn.functional.dropout(X, training=self.training))


def test_dropout_follows_the_seed_and_leaves_the_global_state():
    nets = [make(module=Dropped) for _ in range(3)]
    for net, seed in zip(nets, (1, 1, 2), strict=True):
        torch.manual_seed(id(net) % 2**31)
        before = torch.get_rng_state()
        train(net, rows(), 2, seed=seed)
        assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weight(nets[0]), weight(nets[1]))
    assert not torch.equal(weight(nets[0]), weight(nets[2]))


def test_history_records_the_new_epochs():
    net = make(batch_size=10)
    first, second = train(net, rows(), 2, seed=0), train(net, rows(), 3, seed=0)
    assert [r["epoch"] for r in first + second] == [1, 2, 3, 4, 5]
    assert all({"train_loss", "dur"} <= r.keys() and "batches" not in r for r in first)
    assert first[0]["train_loss"] == net.history[0, "train_loss"]
    assert first[1]["train_loss"] < first[0]["train_loss"]
    assert train(net, rows(), 0, seed=0) == []


def test_an_epoch_cut_short_is_closed():
    told = []

    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise KeyboardInterrupt

    events = (lambda net: told.append("begin"), lambda net: told.append("end"))
    assert len(train(make(callbacks=[Stop()]), rows(), 3, seed=0, events=events)) == 1
    assert told == ["begin", "end"]


def test_divergence_names_epoch_and_learning_rate():
    net = make(NeuralNetRegressor, lr=1e200)
    with pytest.raises(ValueError, match=r"epoch 2 at learning rate 1e\+200: the loss is"):
        train(net, rows(TARGETS), 5, seed=0)


def test_last_step_may_break_the_weights():
    with pytest.raises(ValueError, match="epoch 1 at learning rate inf: weight has weights"):
        train(make(lr=float("inf")), rows(), 1, seed=0)


class CountEnds(Callback):
    ends = 0

    def on_train_end(self, net, **kwargs):
        self.ends += 1


def test_early_stopping_is_honoured():
    stop = EarlyStopping("train_loss", patience=2, threshold=0.999, sink=lambda text: None)
    net = make(callbacks=[stop, ("count", CountEnds())])
    assert len(train(net, rows(), 9, seed=0)) == 3
    assert dict(net.callbacks_)["count"].ends == 1


def test_events_report_epochs_and_stop():
    told = []

    def end(net):
        told.append(("end", len(net.history)))
        return len(net.history) == 2

    events = (lambda net: told.append(("begin", len(net.history))), end)
    assert len(train(make(), rows(), 5, seed=0, events=events)) == 2
    assert told == [("begin", 1), ("end", 1), ("begin", 2), ("end", 2)]


class CtrlC(Callback):
    def on_batch_end(self, net, **kwargs):
        signal.raise_signal(signal.SIGINT)


class CtrlCForward(nn.Linear):
    def forward(self, X):
        if self.training:
            signal.raise_signal(signal.SIGINT)
        return super().forward(X)


@pytest.mark.parametrize("options", [{"module": CtrlCForward}, {"callbacks": [CtrlC()]}])
def test_ctrl_c_is_raised_wherever_it_comes(options):
    net = make(**options)
    with pytest.raises(KeyboardInterrupt):
        train(net, rows(weights=W), 1, seed=0)
    assert "get_loss" not in vars(net)


@pytest.mark.parametrize("epochs", [1, 3])
@pytest.mark.parametrize("lr", [0.1, 1e200])
def test_nothing_is_left_behind(epochs, lr):
    net = make(NeuralNetRegressor, lr=lr)
    callbacks, before = list(net.callbacks_), torch.get_rng_state()
    try:
        train(net, rows(TARGETS, W), epochs, seed=0, masks={})
    except ValueError:
        assert lr > 1
    assert net.callbacks_ == callbacks
    assert "get_loss" not in vars(net)
    assert net.criterion_.reduction == "mean"
    assert torch.equal(torch.get_rng_state(), before)
