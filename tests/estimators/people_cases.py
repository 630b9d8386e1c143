"""Two hundred people with sex and age, nets for them, and estimators around these."""

import numpy as np
import pandas as pd
from estimator_cases import SHORT, make_net
from sklearn.model_selection import GridSearchCV
from torch import nn
from torch.utils.data import DataLoader

from sklearn_fairprune import PrunedClassifier

RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)).astype(np.float32)
FRAME = pd.DataFrame(X.astype(np.float64), columns=list("abcde"))
SEX = pd.Series(np.where(X[:, 2] + 0.3 * RNG.normal(size=200) > 0, "m", "f"), name="sex")
AGE = pd.Series(np.where(X[:, 3] > 0, "old", "young"), name="age")
BOTH = pd.DataFrame({"sex": SEX, "age": AGE})
CODES = (X[:, 0] - X[:, 1] + X[:, 2] + 0.3 * RNG.normal(size=200) > 0).astype(np.int64)
LABELS = np.array(["no", "yes"])[CODES]


class PlainNet(nn.Module):
    def __init__(self, hidden=6, dropout=0.0):
        super().__init__()
        self.hidden, self.out = nn.Linear(5, hidden), nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, X):
        return self.out(self.dropout(self.hidden(X).relu()))


class Net(PlainNet):
    """With dropout and batch norm."""

    def __init__(self, hidden=8, dropout=0.3):
        super().__init__(hidden, dropout)
        self.norm = nn.BatchNorm1d(hidden)

    def forward(self, X):
        return self.out(self.dropout(self.norm(self.hidden(X)).relu()))


class Loader(DataLoader):
    """A user's own iterator, which the fast one does not replace."""


def net(module=Net, **options):
    """Return a small, fast skorch net."""
    return make_net(module, **({"max_epochs": 4, "lr": 0.3, "batch_size": 32} | options))


def default(**params):
    return PrunedClassifier(**(SHORT | {"random_state": 0, "finetune_epochs": 2} | params))


def with_dropout(**params):
    return default(estimator=net(), **params)


def with_instance(**params):
    module = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    return default(estimator=net(module), **params)


def with_loader(**params):
    return default(estimator=net(iterator_train=Loader, iterator_valid=Loader), **params)


MODELS = [default, with_dropout, with_instance]


def pruned(module=PlainNet, *, memory=None, sparsity=0.3, random_state=0, **options):
    """Return a `PrunedClassifier` around `net`."""
    return PrunedClassifier(
        net(module, **options),
        sparsity=sparsity,
        finetune_epochs=1,
        memory=memory,
        random_state=random_state,
        **SHORT,
    )


def search(estimator, grid=None, **options):
    """Return a grid search that never hides an error."""
    grid = grid or {"sparsity": [0.0, 0.3, 0.6]}
    return GridSearchCV(estimator, grid, **({"cv": 3, "error_score": "raise"} | options))
