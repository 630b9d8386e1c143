"""Row weights, masks that hold, divergence, Ctrl-C, and what is left behind."""

import signal

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping, GradientNormClipping
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.training import EpochEvents, RowWeightedLoss, train
from sklearn_fairprune.functional import apply_masks, prunable, score_masks

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, Y, TARGETS = rng.normal(size=(24, 4)), rng.integers(0, 3, 24), rng.normal(size=(24, 3))
W, TIMES = rng.uniform(0.1, 3, 24), rng.integers(1, 4, 24)
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 5.0])


class Softmax(nn.Linear):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


def make(kind=NeuralNetClassifier, **options):
    criterion = nn.CrossEntropyLoss if kind is NeuralNetClassifier else nn.MSELoss
    options = {
        "module": nn.Linear,
        "module__in_features": 4,
        "module__out_features": 3,
        "criterion": criterion,
        "batch_size": -1,
        "train_split": None,
        "verbose": 0,
    } | options
    net = networks.with_fast_batches(kind(lr=options.pop("lr", 0.1), **options))
    return networks.initialize(net, torch.float64, 0)


def rows(y=Y, weights=None, times=1):
    times = np.broadcast_to(times, len(y))
    repeated = np.repeat(X[: len(y)], times, axis=0), np.repeat(y, times, axis=0)
    return Rows(*repeated, weights=weights, dtype=torch.float64)


def weight(net):
    return net.module_.weight.detach().clone()


def loss_of(net, data):
    """What a net with the row-weighted loss attached says of one full batch."""
    hook = RowWeightedLoss(weighted=data.weights is not None)
    batch = data.take(slice(0, len(data)))
    hook.attach(net)
    hook.on_batch_begin(net, batch=batch)
    loss = net.get_loss(net.infer(batch[0]), batch[1])
    hook.detach()
    return loss.item()


CASES = {
    "cross entropy": ({}, Y),
    "class weights": ({"criterion__weight": CLASS_WEIGHT}, Y),
    "label smoothing": (
        {"criterion__label_smoothing": 0.3, "criterion__weight": CLASS_WEIGHT},
        Y,
    ),
    "ignored class": ({"criterion__ignore_index": 1}, Y),
    "sum": ({"criterion__reduction": "sum"}, Y),
    "sum of squares": (
        {"kind": NeuralNetRegressor, "criterion__reduction": "sum"},
        TARGETS,
    ),
    "log likelihood": (
        {"module": Softmax, "criterion": nn.NLLLoss, "criterion__weight": CLASS_WEIGHT},
        Y,
    ),
    "squared error": ({"kind": NeuralNetRegressor}, TARGETS),
    "absolute error": ({"kind": NeuralNetRegressor, "criterion": nn.L1Loss}, TARGETS),
}
EVERY_LOSS = pytest.mark.parametrize(("options", "y"), CASES.values(), ids=CASES)


@EVERY_LOSS
def test_equal_weights_are_no_weights(options, y):
    net = make(**options)
    own = net.get_loss(net.infer(torch.from_numpy(X)), torch.from_numpy(y)).item()
    assert loss_of(net, rows(y)) == pytest.approx(own, rel=1e-12)
    assert loss_of(net, rows(y, np.ones(24))) == pytest.approx(own, rel=1e-12)


@EVERY_LOSS
def test_integer_weights_are_repetitions(options, y):
    net = make(**options)
    weighted = loss_of(net, rows(y, TIMES.astype(float)))
    reduction = options.get("criterion__reduction", "mean")
    repeated = loss_of(net, rows(y, times=TIMES))
    repeated /= TIMES.mean() if reduction == "sum" else 1  # weights have the mean 1
    assert weighted == pytest.approx(repeated, rel=1e-12)
    assert weighted == pytest.approx(loss_of(net, rows(y, TIMES * 7.0)), rel=1e-12)
    assert net.criterion_.reduction == reduction


@pytest.mark.parametrize("c", [None, CLASS_WEIGHT])
def test_weighted_cross_entropy_by_hand(c):
    net = make(criterion__weight=c)
    logp = net.infer(torch.from_numpy(X)).log_softmax(dim=1).detach().numpy()
    factor = np.ones(24) if c is None else c.numpy()[Y]
    expected = -sum(W * factor * logp[range(24), Y]) / sum(W * factor)
    assert loss_of(net, rows(weights=W)) == pytest.approx(expected, rel=1e-12)


def test_weighted_squared_error_by_hand():
    net = make(NeuralNetRegressor)
    error = (net.infer(torch.from_numpy(X)).detach().numpy() - TARGETS) ** 2
    expected = sum(W * error.mean(axis=1)) / sum(W)
    assert loss_of(net, rows(TARGETS, W)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("kind", [NeuralNetClassifier, NeuralNetRegressor])
def test_training_on_integer_weights_is_training_on_repetitions(kind):
    y = Y if kind is NeuralNetClassifier else TARGETS
    weighted, repeated, ignored = make(kind), make(kind), make(kind)
    train(weighted, rows(y, TIMES.astype(float)), 5, seed=0)
    train(repeated, rows(y, times=TIMES), 5, seed=0)
    train(ignored, rows(y), 5, seed=0)
    torch.testing.assert_close(weight(weighted), weight(repeated), rtol=1e-10, atol=1e-12)
    assert (weight(weighted) - weight(ignored)).abs().max() > 1e-4


def test_validation_loss_is_weighted_too():
    split = ValidSplit([(np.arange(16), np.arange(16, 24))])
    net = make(lr=0.0, train_split=split)
    logp = net.infer(torch.from_numpy(X)).log_softmax(dim=1).detach().numpy()
    losses = -W * logp[range(24), Y]
    (record,) = train(net, rows(weights=W), 1, seed=0)
    assert record["train_loss"] == pytest.approx(losses[:16].sum() / W[:16].sum())
    assert record["valid_loss"] == pytest.approx(losses[16:].sum() / W[16:].sum())


def test_vector_targets_are_not_broadcast():
    net, y = make(NeuralNetRegressor, module__out_features=1), TARGETS[:, 0]
    error = (net.infer(torch.from_numpy(X)).detach().numpy()[:, 0] - y) ** 2
    assert loss_of(net, rows(y)) == pytest.approx(error.mean(), rel=1e-12)
    assert loss_of(net, rows(y, W)) == pytest.approx(sum(W * error) / sum(W), rel=1e-12)


def test_targets_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"outputs of shape \(3,\) .* y has shape \(2,\)"):
        train(make(NeuralNetRegressor), rows(TARGETS[:, :2]), 1, seed=0)


def test_criterion_without_reduction_cannot_be_weighted():
    class Mine(nn.Module):
        def forward(self, y_pred, y):
            return nn.functional.cross_entropy(y_pred, y)

    assert train(make(criterion=Mine), rows(), 1, seed=0)
    with pytest.raises(ValueError, match="Mine has no `reduction`"):
        train(make(criterion=Mine), rows(weights=W), 1, seed=0)


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


def test_batches_without_weights_are_refused():
    class Foreign:
        def __init__(self, dataset, **options):
            self.dataset = dataset

        def __iter__(self):
            yield tuple(self.dataset.take(slice(0, 5)))

    assert train(make(iterator_train=Foreign), rows(), 1, seed=0)
    with pytest.raises(ValueError, match="cannot reach the loss through iterator_train"):
        train(make(iterator_train=Foreign), rows(weights=W), 1, seed=0)


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

    events = EpochEvents(lambda net: told.append("begin"), lambda net: told.append("end"))
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

    events = EpochEvents(lambda net: told.append(("begin", len(net.history))), end)
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


def test_a_loss_of_the_users_own_instance_comes_back():
    net = make()
    own = net.get_loss
    net.get_loss = lambda *args, **kwargs: 2 * own(*args, **kwargs)
    mine = net.get_loss
    (record,) = train(net, rows(), 1, seed=0)
    assert net.get_loss is mine
    assert record["train_loss"] == pytest.approx(2 * loss_of(make(), rows()))
