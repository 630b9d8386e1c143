"""Twenty-four rows, a linear net, and its weights."""

import numpy as np
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows

rng = np.random.default_rng(0)
X, Y, TARGETS = rng.normal(size=(24, 4)), rng.integers(0, 3, 24), rng.normal(size=(24, 3))
W = rng.uniform(0.1, 3, 24)


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
