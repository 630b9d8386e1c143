"""Sizes of networks against counting by hand."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.estimators.unwrap import dense_twin
from sklearn_fairprune.measurement.sizes import (
    _stored,
    layer_table,
    size_of,
    size_table,
    sparsity_of,
)

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


class Sparse(torch.nn.Module):
    """A layer whose numbers lie in a sparse buffer."""

    def __init__(self, layout):
        super().__init__()
        dense = torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]])
        self.register_buffer("weight", dense.to_sparse(layout=layout))
        self.bias = torch.nn.Parameter(torch.zeros(2))

    def forward(self, X):
        return (self.weight @ X.T).T + self.bias


@pytest.mark.parametrize(
    ("layout", "places"),
    [(torch.sparse_coo, 4), (torch.sparse_csr, 2 + 3), (torch.sparse_csc, 2 + 4)],
    ids=str,
)
@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_buffers_are_stored_with_their_places(layout, places):
    module = Sparse(layout)
    stored = sum(len(_stored(t)) for t in [*module.parameters(), *module.buffers()])
    assert stored == 4 * 2 + 4 * 2 + 8 * places


def trained(module, **options):
    net = NeuralNetClassifier(module, criterion=torch.nn.CrossEntropyLoss, **options)
    return net.initialize()


def test_costs_of_a_row_by_hand(pruned):
    pipe = make_pipeline(StandardScaler().fit(X), pruned)
    held = {"dense": dense_twin(pruned), "pruned": pruned, "pipe": pipe}
    sizes, notes = size_table(held | {"none": LogisticRegression().fit(X, y)}, X)
    assert notes == []
    assert sizes.index.tolist() == list(held)
    assert sizes["macs"].tolist() == [32 + 24] * 3
    assert sizes["nonzero_macs"].tolist() == [56, 14, 14]
    assert sizes["units"].tolist() == [8 + 3] * 3
    dead = sum(n for n, _ in pruned.dead_units_.values())
    assert sizes["dead_units"].tolist() == [0, dead, dead]
    assert sizes["effective_sparsity"].tolist() == [0, *[pruned.effective_sparsity_] * 2]
    assert pruned.effective_sparsity_ > 0  # else the twin would tell nothing


def test_a_convolution_counts_at_every_place():
    torch.manual_seed(0)
    body = [torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.ReLU()]
    module = torch.nn.Sequential(*body, torch.nn.Flatten(), torch.nn.Linear(2 * 4, 3))
    with torch.no_grad():
        module[0].weight[0] = 0  # a channel: 9 weights at 4 places
        module[4].weight[:, 0] = 0
    images = np.zeros((5, 1, 4, 4), dtype="f4")
    sizes, notes = size_table({"cnn": trained(module)}, images)
    row = sizes.loc["cnn"]
    assert notes == []
    assert row["macs"] == 2 * 9 * 4 + 3 * 8
    assert row["nonzero_macs"] == 9 * 4 + 3 * 7
    assert (row["dead_units"], row["units"]) == (1, 5)
    # The other weights that read the channel are on no path.
    assert row["effective_sparsity"] == pytest.approx(1 - (9 + 12) / (18 + 24))


class Raises(torch.nn.Module):
    """Cannot be run."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 3)

    def forward(self, X):
        raise RuntimeError("no kernel")


def test_what_cannot_be_counted_is_unknown_and_said():
    module = Raises()
    with torch.no_grad():
        module.layer.weight[0] = 0
    sizes, notes = size_table({"a": trained(module), "b": trained(module)}, X.astype("f4"))
    assert sizes[["macs", "nonzero_macs"]].isna().all(axis=None)
    assert notes == ["Multiply-accumulates of a, b are not known: RuntimeError: no kernel."]
    assert sizes["weights"].tolist() == [12, 12]
    _, notes = size_table({"a": trained(torch.nn.Linear(4, 3))}, X[:, :2].astype("f4"))
    assert "shapes cannot be multiplied" in notes[0]
