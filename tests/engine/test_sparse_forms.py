"""Layers are sparse where the clock says so, and never where the outputs would differ."""

import pytest
import torch
from torch import nn

from sklearn_fairprune.engine import sparse_forms
from sklearn_fairprune.engine.sparse_forms import close, sparse_form
from sklearn_fairprune.engine.sparse_layers import SparseLinear
from sklearn_fairprune.engine.timing import Clock

torch.set_num_threads(1)
SHORT = {"batch_sizes": (1, 8), "budget": 0.01}


def pruned(*layers, zeros=0.95):
    module = nn.Sequential(*layers)
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            layer.weight.data *= torch.rand_like(layer.weight) > zeros
    return module


def wide(zeros=0.95):
    layers = nn.Linear(130, 160), nn.ReLU(), nn.Linear(160, 128), nn.Tanh(), nn.Linear(128, 3)
    return pruned(*layers, zeros=zeros)


def sparse_names(module):
    return [name for name, m in module.named_modules() if isinstance(m, SparseLinear)]


@pytest.fixture
def times(monkeypatch):
    """Seconds that the clock is to tell: of the layers in turn, then of the network."""

    def tell(*ratios):
        told = iter(ratios)

        def seconds(self, dense, sparse, batch, most):
            dense(batch(2)), sparse(batch(2))
            return {n: (r, 1.0) for n, r in zip((1, 8), next(told), strict=True)}

        monkeypatch.setattr(Clock, "seconds", seconds)

    return tell


def test_faster_layers_are_sparse(times):
    module, X = wide(), torch.randn(9, 130)
    times((1, 3), (0.9, 3), (2, 2))
    form = sparse_form(module, X)
    assert sparse_names(form.module) == ["0"]
    reasons = [row.reason for row in form.table]
    assert reasons == [
        "faster at batches of [8]",
        "slower at batches of [1]",
        "fewer than 16384 weights",
        "not slower",
    ]
    assert form.table[0].ratios == {1: 1, 8: 3}
    assert [row.chosen for row in form.table] == [True, False, False, True]
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))
    assert sparse_names(module) == []
    assert module.training
    assert not form.module.training


def test_a_layer_that_is_nowhere_faster_stays_dense(times):
    times((1.04, 1.04), (0.96, 1.04))
    form = sparse_form(wide(), torch.randn(2, 130))
    assert [row.reason for row in form.table[:2]] == ["not faster", "not faster"]
    assert len(form.table) == 3


def test_a_slower_network_stays_dense(times):
    times((1, 3), (1, 3), (0.94, 2))
    form = sparse_form(wide(), torch.randn(2, 130))
    assert sparse_names(form.module) == []
    assert not any(row.chosen for row in form.table)
    assert form.table[0].reason == "the network is slower with sparse layers"
    assert form.table[-1].reason == "slower at batches of [1]"


def test_unmeasured_takes_all_with_enough_zeros():
    module, X = wide(), torch.randn(3, 130)
    form = sparse_form(module, X, measured=False)
    assert sparse_names(form.module) == ["0", "2", "4"]
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))
    form = sparse_form(wide(zeros=0.5), X, measured=False)
    assert sparse_names(form.module) == []
    assert form.table[0].reason == "fewer than 70 % zeros"


def test_measured_for_real():
    X = torch.randn(3, 130)
    module = wide()
    form = sparse_form(module, X, **SHORT)
    assert form.table[0].seconds
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))


def test_outputs_stay_in_fortran_order_only_before_a_layer_that_bears_it():
    module = pruned(
        nn.Linear(20, 30),
        nn.ReLU(),
        nn.Linear(30, 20),
        nn.LayerNorm(20),
        nn.Linear(20, 9),
        nn.Linear(9, 4),
    )
    module[5].weight.data += 1
    form = sparse_form(module, torch.randn(2, 20), measured=False)
    assert [form.module[i].transposed for i in (0, 2, 4)] == [True, False, False]


class Views(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(8, 24), nn.Linear(6, 2)
        for layer in (self.first, self.second):
            layer.weight.data *= torch.rand_like(layer.weight) > 0.9

    def forward(self, X):
        return self.second(self.first(X).view(len(X), 4, 6)).flatten(1)


def test_a_network_that_views_its_outputs():
    module, X = Views(), torch.randn(5, 8)
    form = sparse_form(module, X, measured=False)
    assert sparse_names(form.module) == ["first", "second"]
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))


class ReadsWeight(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 8)
        self.layer.weight.data.fill_diagonal_(0).triu_(6)

    def forward(self, X):
        return self.layer(X) * self.layer.weight.sum()


def test_a_network_that_reads_the_weight_keeps_its_layer():
    module, X = ReadsWeight(), torch.randn(5, 8)
    form = sparse_form(module, X, measured=False)
    assert form.table[0].reason == "the network needs the dense layer"
    torch.testing.assert_close(form.module(X), module(X))


def test_a_transformer_keeps_what_its_fast_path_reads():
    module = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    for layer in (module.linear1, module.linear2):
        layer.weight.data *= torch.rand_like(layer.weight) > 0.9
    X = torch.randn(2, 3, 8)
    form = sparse_form(module.eval(), X, measured=False)
    assert not any(row.chosen for row in form.table)
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))


def test_left_alone():
    hooked, alone = pruned(nn.Linear(9, 9)), nn.Linear(9, 9)
    hooked[0].register_forward_hook(lambda *_: None)
    alone.weight.data.zero_()
    X = torch.randn(2, 9)
    assert sparse_form(hooked, X, measured=False).table[0].reason == "has hooks"
    assert sparse_form(alone, X, measured=False).table[0].reason == "is the whole network"
    unused = pruned(nn.Linear(9, 9))
    unused[0].unused = nn.Linear(9, 9)
    unused[0].unused.weight.data.zero_()
    table = sparse_form(unused, X, measured=False).table
    assert {row.layer: row.reason for row in table}["0.unused"] == "is not called"
    normed = pruned(nn.utils.parametrizations.weight_norm(nn.Linear(9, 9)))
    assert sparse_form(normed, X, measured=False).table == []
    half = pruned(nn.Linear(9, 9)).to(torch.bfloat16)
    table = sparse_form(half, X.to(torch.bfloat16), measured=False).table
    assert table[0].reason == "of torch.bfloat16 on cpu"


def test_a_layer_that_is_used_twice_is_one_layer():
    layer = nn.Linear(9, 9)
    module = pruned(layer, nn.ReLU(), layer)
    X = torch.randn(4, 9)
    form = sparse_form(module, X, measured=False)
    assert form.module[0] is form.module[2]
    with torch.no_grad():
        torch.testing.assert_close(form.module(X), module(X))


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.look, self.layer = nn.Embedding(5, 9), nn.Linear(9, 9)
        self.layer.weight.data *= torch.rand_like(self.layer.weight) > 0.9

    def forward(self, code, shift):
        return self.layer(self.look(code)) + shift


def test_named_inputs_and_integers():
    module, X = Named(), {"code": torch.tensor([4, 1]), "shift": torch.zeros(2, 1)}
    form = sparse_form(module, X, measured=False)
    assert sparse_names(form.module) == ["layer"]
    with torch.no_grad():
        torch.testing.assert_close(form.module(**X), module(**X))


def test_wrong_products_are_seen(monkeypatch):
    class Wrong(SparseLinear):
        def forward(self, X):
            return super().forward(X) * 1.01

    monkeypatch.setattr(sparse_forms, "SparseLinear", Wrong)
    form = sparse_form(wide(), torch.randn(2, 130), measured=False)
    assert form.table[0].reason == "the sparse form gives other numbers"


def test_close():
    old = torch.tensor([1.0, -1000.0])
    assert close(old * (1 + 1e-6), old)
    assert not close(old * (1 + 1e-3), old)
    assert not close(old[:1], old)
    assert not close(torch.tensor([torch.nan]), torch.tensor([torch.nan]))
    assert not close(torch.tensor([torch.inf, 1]), torch.tensor([torch.inf, 2]))
    assert not close(torch.tensor([1e-9]), torch.tensor([1e-7]))
    assert close(torch.tensor([1, 2]), torch.tensor([1, 2]))
    assert close(torch.zeros(0), torch.zeros(0))
