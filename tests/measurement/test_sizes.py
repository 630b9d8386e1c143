"""Sizes of networks against counting by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.measurement.sizes import layer_table, size_of, sparsity_of

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, y = rng.normal(size=(60, 4)), np.repeat([0, 1, 2], 20)


@pytest.fixture(scope="module")
def pruned():
    clf = PrunedClassifier(
        sparsity=0.75, hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0
    )
    return clf.fit(X, y)


def test_layers_by_hand(pruned):
    table = layer_table(pruned)
    assert table["shape"].tolist() == ["8x4", "3x8"]
    assert table["weights"].tolist() == [32, 24]
    assert table["kept"].sum() == 14
    nonzero = [int(m.sum()) for m in pruned.masks_.values()]
    assert table["kept"].tolist() == nonzero
    np.testing.assert_allclose(table["sparsity"], 1 - table["kept"] / table["weights"])
    assert table.index.tolist() == list(pruned.masks_)


def test_size_by_hand(pruned):
    size = size_of(pruned)
    assert (size["weights"], size["kept"], size["parameters"]) == (56, 14, 56 + 11)
    assert size["nonzero"] == 14 + 11
    assert size["bytes"] == 4 * 67
    # 42 zeros of 4 bytes nearly vanish
    assert size["zipped_bytes"] < 4 * (14 + 11) + 60
    assert size["zipped_bytes"] < size_of(pruned.dense_estimator_)["zipped_bytes"]


def test_wherever_the_network_stands(pruned):
    pipe = make_pipeline(StandardScaler(), pruned)
    pipe[0].fit(X)
    assert sparsity_of(pipe) == sparsity_of(pruned) == pruned.sparsity_ == 0.75
    assert layer_table(pipe).equals(layer_table(pruned))
    assert sparsity_of(pruned.dense_estimator_) == 0


def test_without_a_network_nothing_is_invented():
    model = LogisticRegression().fit(X, y)
    assert np.isnan(sparsity_of(model))
    assert layer_table(model).empty
    assert size_of(model) == {}


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2)])
def test_buffers_are_stored_too(dtype, width):
    module = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3)).to(dtype)
    net = NeuralNetClassifier(module, criterion=torch.nn.CrossEntropyLoss).initialize()
    size = size_of(net)
    assert (size["weights"], size["parameters"]) == (12, 12 + 3 + 3 + 3)
    assert size["bytes"] == width * (21 + 3 + 3) + 8  # mean, variance, batches counted
