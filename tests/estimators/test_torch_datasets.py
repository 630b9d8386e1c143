"""Datasets instead of arrays, and the iterators that make batches of them."""

import numpy as np
import pytest
import torch
from estimator_cases import (
    CODES,
    GROUPS,
    LABELS,
    WEIGHTS,
    Pairs,
    X,
    assert_pruned,
    assert_same,
    make,
    make_net,
)
from skorch import NeuralNetRegressor
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

from sklearn_fairprune import PrunedRegressor

DATASETS = {
    "TensorDataset": lambda: (TensorDataset(torch.tensor(X), torch.tensor(CODES)), None),
    "TensorDataset and y": lambda: (
        TensorDataset(torch.tensor(X), torch.zeros(60)),
        CODES,
    ),
    "float64 pairs": lambda: (Pairs(X.astype(np.float64), CODES), None),
    "lists of labels": lambda: (Pairs(X, CODES.tolist()), None),
    "samples alone": lambda: (Pairs(X), CODES),
    "samples and tensor": lambda: (Pairs(X), torch.tensor(CODES)),
    "skorch": lambda: (SkorchDataset(X, CODES), None),
}


@pytest.mark.parametrize("split", [None, ValidSplit(3)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_gives_the_weights_of_the_array(dataset, shuffle, split):
    net = make_net(iterator_train__shuffle=shuffle, train_split=split, max_epochs=2)
    data, y = DATASETS[dataset]()
    beside = {"sensitive_features": GROUPS, "sample_weight": WEIGHTS * (WEIGHTS > 0.7)}
    a, b = make(net).fit(data, y, **beside), make(net).fit(X, CODES, **beside)
    assert_same(a, b)
    assert a.groups_.tolist() == ["f", "m"]
    np.testing.assert_array_equal(a.predict_proba(data), b.predict_proba(X))
    assert_same(a.prune(data, y, sparsity=0.8), b.prune(X, CODES, sparsity=0.8))


def test_dataset_with_labels_of_any_type():
    est = make().fit(Pairs(X, LABELS))
    assert est.classes_.tolist() == ["no", "yes"]
    assert set(est.predict(Pairs(X))) <= {"no", "yes"}


def test_dataset_of_regression_targets():
    net = make_net(kind=NeuralNetRegressor, module__n_out=2, criterion=nn.MSELoss)
    y = X[:, :2].astype(np.float64)
    a, b = make(net, PrunedRegressor).fit(Pairs(X, y)), make(net, PrunedRegressor).fit(X, y)
    assert_same(a, b)


class Halves:
    """An iterator of the user's, which knows nothing of weights."""

    def __init__(self, dataset, batch_size):
        self.loader = DataLoader(dataset, batch_size=batch_size // 2)

    def __iter__(self):
        return iter(self.loader)


def own_collate(pairs):
    return default_collate(pairs)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 1, "shuffle": True},
        {"collate_fn": own_collate},
        {"shuffle": True},
        {"drop_last": True},
        {"sampler": range(60)},
        {"batch_sampler": [list(range(k, min(k + 16, 60))) for k in range(0, 60, 16)]},
    ],
    ids=lambda options: ", ".join(options),
)
def test_options_of_the_data_loader(options, weights):
    own = {f"iterator_train__{k}": v for k, v in options.items()}
    like = {k: v for k, v in options.items() if k in ("shuffle", "drop_last")}
    same = {f"iterator_train__{k}": v for k, v in like.items()}
    a = make(make_net(**own, max_epochs=1), finetune_epochs=1)
    b = make(make_net(**same, max_epochs=1), finetune_epochs=1)
    data = X if options not in ({"shuffle": True}, {"drop_last": True}) else Pairs(X)
    a.fit(data, CODES, sample_weight=weights)
    assert_same(a, b.fit(X, CODES, sample_weight=weights))
    assert a.history_[0]["train_batch_count"] == 4 - options.get("drop_last", False)


def test_iterator_of_the_user_stays():
    est = make(make_net(iterator_train=Halves)).fit(X, CODES)
    assert est.history_[0]["train_batch_count"] == 8
    assert_pruned(est)
    assert_same(est, make(make_net(batch_size=8)).fit(X, CODES))


def test_iterator_of_the_user_does_not_lose_weights_in_silence():
    with pytest.raises(ValueError, match="iterator_train"):
        make(make_net(iterator_train=Halves)).fit(X, CODES, sample_weight=WEIGHTS)
