"""Losses with a weight per row, and batches and losses that cannot carry one."""

import numpy as np
import pytest
import torch
from engine_cases import TARGETS, W, X, Y, make, rows, weight
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_fairprune.engine.losses import RowWeightedLoss, overridden
from sklearn_fairprune.engine.training import train

torch.set_num_threads(1)
TIMES = np.random.default_rng(0).integers(1, 4, 24)
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 5.0])


class Softmax(nn.Linear):
    def forward(self, X):
        return super().forward(X).softmax(dim=1)


def loss_of(net, data):
    """What a net with the row-weighted loss attached says of one full batch."""
    hook = RowWeightedLoss(net, weighted=data.weights is not None)
    batch = data.take(slice(0, len(data)))
    with overridden(net, get_loss=hook):
        hook.on_batch_begin(net, batch=batch)
        return net.get_loss(net.infer(batch[0]), batch[1]).item()


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


def test_batches_without_weights_are_refused():
    class Foreign:
        def __init__(self, dataset, **options):
            self.dataset = dataset

        def __iter__(self):
            yield tuple(self.dataset.take(slice(0, 5)))

    assert train(make(iterator_train=Foreign), rows(), 1, seed=0)
    with pytest.raises(ValueError, match="cannot reach the loss through iterator_train"):
        train(make(iterator_train=Foreign), rows(weights=W), 1, seed=0)


def test_a_loss_of_the_users_own_instance_comes_back():
    net = make()
    own = net.get_loss
    net.get_loss = lambda *args, **kwargs: 2 * own(*args, **kwargs)
    mine = net.get_loss
    (record,) = train(net, rows(), 1, seed=0)
    assert net.get_loss is mine
    assert record["train_loss"] == pytest.approx(2 * loss_of(make(), rows()))
