"""The lean epoch takes skorch's steps, and gives way where somebody watches batches."""

import numpy as np
import pytest
import torch
from engine_cases import TARGETS, W, make, rows, weight
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EpochScoring, GradientNormClipping, LRScheduler
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_fairprune.engine import training as epochs
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import prunable, score_masks

torch.set_num_threads(1)

CASES = {
    "plain": ({}, {}),
    "batches": ({"batch_size": 5, "iterator_train__shuffle": True}, {}),
    "adam": ({"optimizer": torch.optim.Adam, "batch_size": 7}, {}),
    "weights": ({"batch_size": 5}, {"weights": W}),
    "regression": ({"kind": NeuralNetRegressor, "batch_size": 5}, {"y": TARGETS}),
    "validation": ({"train_split": ValidSplit(3), "batch_size": 5}, {}),
    "schedule": ({"callbacks": [LRScheduler("StepLR", step_size=1)], "batch_size": 5}, {}),
}


def trained(lean, monkeypatch, options, data, masked):
    """Train twice three epochs; `lean` says which epoch is used."""
    calls = []
    step = epochs.LeanEpoch.step
    monkeypatch.setattr(
        epochs.LeanEpoch, "step", lambda self, batch: calls.append(1) or step(self, batch)
    )
    if not lean:
        monkeypatch.setattr(
            "sklearn_fairprune.engine.training.trains_like_skorch", lambda net: False
        )
    net = make(**options)
    masks = None
    if masked:
        masks = score_masks({k: w.abs() for k, w in prunable(net.module_).items()}, 0.5)
    record = train(net, rows(**data), 3, seed=0, masks=masks)
    assert bool(calls) == lean
    return weight(net), record


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(("options", "data"), CASES.values(), ids=CASES)
def test_same_weights_and_same_history_as_skorch(options, data, masked):
    results = []
    for lean in (True, False):
        with pytest.MonkeyPatch.context() as patch:
            results.append(trained(lean, patch, options, data, masked))
    (lean_weight, lean_record), (own_weight, own_record) = results
    assert torch.equal(lean_weight, own_weight)
    for lean, own in zip(lean_record, own_record, strict=True):
        assert lean.keys() == own.keys()
        for key in ("epoch", "train_batch_count"):
            assert lean[key] == own[key]
        for key in {"train_loss", "valid_loss"} & lean.keys():
            assert lean[key] == pytest.approx(own[key], rel=1e-12)


class Watcher(Callback):
    def on_batch_end(self, net, **kwargs):
        """Watch."""


def by_hand():
    callback = Callback()
    callback.on_batch_begin = lambda net, **kwargs: None
    return callback


@pytest.mark.parametrize(
    ("callback", "watches"),
    [
        (Callback(), False),
        (EpochScoring("accuracy"), False),
        (LRScheduler("StepLR", step_size=1), False),
        (Watcher(), True),
        (by_hand(), True),
        (GradientNormClipping(1.0), True),
        (EpochScoring("accuracy", on_train=True), True),
        (LRScheduler("StepLR", step_size=1, step_every="batch"), True),
    ],
    ids=lambda v: type(v).__name__,
)
def test_who_watches_batches(callback, watches):
    assert epochs.watches_batches(callback) is watches


class OwnStep(NeuralNetClassifier):
    def train_step(self, batch, **fit_params):
        return super().train_step(batch, **fit_params)


class OwnZero(NeuralNetClassifier):
    def _zero_grad_optimizer(self, set_to_none=None):
        super()._zero_grad_optimizer(set_to_none=True)


class OwnOptimizer(torch.optim.SGD):
    """Not torch's: it may need the closure that skorch gives."""


@pytest.mark.parametrize(
    ("options", "like_skorch"),
    [
        ({}, True),
        ({"kind": OwnStep, "criterion": nn.CrossEntropyLoss}, False),
        ({"kind": OwnZero, "criterion": nn.CrossEntropyLoss}, False),
        ({"optimizer": torch.optim.LBFGS}, False),
        ({"optimizer": OwnOptimizer}, False),
    ],
)
def test_who_trains_like_skorch(options, like_skorch):
    net = make(**options)
    assert epochs.trains_like_skorch(net) is like_skorch
    train(net, rows(), 1, seed=0)
    assert "run_single_epoch" not in vars(net)


def test_every_batch_event_reaches_a_watcher():
    seen = []

    class Events(Callback):
        def on_batch_begin(self, net, batch=None, training=None, **kwargs):
            seen.append(("begin", len(batch[0])))

        def on_grad_computed(self, net, named_parameters, **kwargs):
            seen.append(("grad", len(list(named_parameters))))

    train(make(callbacks=[Events()], batch_size=20), rows(), 1, seed=0)
    assert seen == [("begin", 20), ("grad", 2), ("begin", 4), ("grad", 2)]


def test_mean_loss_weighs_batches_by_their_rows():
    net = make(batch_size=20, lr=0.0)
    (record,) = train(net, rows(), 1, seed=0)
    whole = make(lr=0.0)
    (expected,) = train(whole, rows(), 1, seed=0)
    np.testing.assert_allclose(record["train_loss"], expected["train_loss"], rtol=1e-12)
