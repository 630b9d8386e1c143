"""Containers and types of X, y and weights; images, sequences, memory maps."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from estimator_cases import BITS, CODES, GROUPS, WEIGHTS, X, assert_same, make, make_net
from scipy import sparse
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import PrunedRegressor
from sklearn_fairprune.engine import batches

RNG = np.random.default_rng(0)


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.out = nn.Linear(64, 2)

    def forward(self, X):
        return self.out(self.norm(self.conv(X)).relu().flatten(1))


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(20, 6), nn.Linear(6, 2)

    def forward(self, X):
        return self.out(self.table(X).mean(dim=1))


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


FLOATS = {
    "float64": lambda a: a.astype(np.float64),
    "list": lambda a: a.tolist(),
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "reversed view": lambda a: a[::-1].copy()[::-1],
    "strided view": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "big-endian": lambda a: a.astype(">f4"),
    "object": lambda a: a.astype(object),
    "pandas": lambda a: pd.DataFrame(a, columns=list("abcd"), index=range(len(a), 0, -1)),
    "polars": lambda a: pl.DataFrame(a, schema=list("abcd")),
    "torch": torch.tensor,
    "torch with gradient": lambda a: torch.tensor(a, requires_grad=True),
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "csc": sparse.csc_matrix,
}
WHOLE = {
    **{
        t: lambda a, t=t: a.astype(t)
        for t in ["float16", "int64", "int8", "uint8", "uint16", "uint32", "uint64", "bool"]
    },
    "int list": lambda a: a.tolist(),
    "pandas int and float": lambda a: pd.DataFrame(a).astype({0: float, 1: "float32"}),
    "pandas int and bool": lambda a: pd.DataFrame(a).astype({0: bool}),
    "pandas bool and float": lambda a: pd.DataFrame(a).astype({0: bool, 1: float}),
    "pandas nullable": lambda a: pd.DataFrame(a).astype({0: "Int64", 1: "boolean"}),
    "polars int and bool": lambda a: pl.DataFrame(a).with_columns(pl.col("column_0") == 1),
    "torch bool": lambda a: torch.tensor(a, dtype=torch.bool),
    "csr int": lambda a: sparse.csr_matrix(a),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("container", FLOATS)
def test_any_container_gives_the_same_estimator(container, shuffle):
    est = make(make_net(iterator_train__shuffle=shuffle))
    data = FLOATS[container](X)
    a = est.fit(data, CODES, sensitive_features=GROUPS, sample_weight=WEIGHTS)
    b = make(make_net(iterator_train__shuffle=shuffle)).fit(X, CODES, sample_weight=WEIGHTS)
    assert_same(a, b, atol=1e-6)  # column-major arrays are multiplied in another order
    np.testing.assert_allclose(a.predict_proba(data), b.predict_proba(X), rtol=1e-5)
    assert a.n_features_in_ == 4


@pytest.mark.parametrize("container", WHOLE)
def test_whole_numbers_of_any_type(container):
    data = WHOLE[container](BITS)
    a, b = make().fit(data, CODES), make().fit(BITS.astype(np.float32), CODES)
    assert_same(a, b, atol=1e-6)
    np.testing.assert_array_equal(a.predict(data), b.predict(BITS.astype(np.float32)))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_column_names_are_kept_and_checked(container):
    data = FLOATS[container](X)
    est = make().fit(data, CODES)
    assert est.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        est.predict(data[["b", "a", "c", "d"]])


def test_inputs_are_left_as_they_were():
    data = (X.copy(), CODES.copy(), GROUPS.copy(), WEIGHTS.copy())
    est = make().fit(data[0], data[1], sensitive_features=data[2], sample_weight=data[3])
    est.prune(data[0], data[1], sparsity=0.9).predict(data[0])
    for kept, given in zip((X, CODES, GROUPS, WEIGHTS), data, strict=True):
        np.testing.assert_array_equal(kept, given)


@pytest.mark.parametrize("view", [read_only, lambda a: a[::-1].copy()[::-1], pd.Series, list])
def test_containers_of_weights_and_targets(view):
    y = X[:, 0] * 2
    net = make_net(kind=NeuralNetRegressor, module__n_out=1, criterion=nn.MSELoss)
    a = make(net, PrunedRegressor).fit(X, view(y), sample_weight=view(WEIGHTS))
    assert_same(a, make(net, PrunedRegressor).fit(X, y, sample_weight=WEIGHTS))


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_memory_map_is_read_batch_by_batch(tmp_path, monkeypatch, dtype, mode):
    monkeypatch.setattr(batches, "EPOCH_COPY_BYTES", 0)
    big = np.memmap(tmp_path / "x", dtype, "w+", shape=(2_000, 500))
    big[:] = np.random.default_rng(0).integers(0, 3, big.shape)
    big.flush()
    y = np.asarray(big[:, 0] > 0)
    mapped = np.memmap(tmp_path / "x", dtype, mode, shape=big.shape)

    def fit(data):
        net = make_net(module__n_in=500, max_epochs=1, lr=0.01, iterator_train__shuffle=True)
        return make(net, finetune_epochs=1).fit(data, y)

    tracemalloc.start()
    a = fit(mapped)
    probability = a.predict_proba(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < big.nbytes / 2
    b = fit(np.array(big))
    assert_same(a, b)
    np.testing.assert_array_equal(probability, b.predict_proba(np.array(big)))


@pytest.mark.parametrize("finetune_epochs", [0, 2])
def test_images_and_batch_norm(finetune_epochs):
    images = RNG.normal(size=(40, 1, 6, 6)).astype(np.float32)
    est = make(make_net(ConvNet), sparsity=0.8, finetune_epochs=finetune_epochs)
    est.fit(images, images.mean(axis=(1, 2, 3)) > 0)
    assert est.predict(images).shape == (40,)
    assert est.predict_proba(images[:1]).shape == (1, 2)
    assert "norm.weight" not in est.masks_
    module, before = est.estimator_.module_, est.dense_estimator_.module_
    assert not torch.equal(module.norm.running_var, before.norm.running_var)
    assert module.norm.momentum == before.norm.momentum == 0.1


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_sequences_of_integers(dtype):
    words = RNG.integers(0, 20, (60, 5)).astype(dtype)
    est = make(make_net(Lookup, lr=1.0)).fit(words, words[:, 0] > 9)
    assert list(est.masks_) == ["out.weight"]
    np.testing.assert_array_equal(est.predict(torch.tensor(words)), est.predict(words))
    np.testing.assert_array_equal(est.predict(words.tolist()), est.predict(words))
