"""A net without what does nothing gives the same outputs, and every step is verified."""

import copy

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune.engine import shrinking
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.networks import default_net, initialize, prepare, raw_outputs
from sklearn_fairprune.engine.shrinking import shrink_net, stored
from sklearn_fairprune.engine.sparse_layers import SparseLinear

torch.set_num_threads(1)


def rows_of(*shape):
    return Rows(np.random.default_rng(0).normal(size=shape).astype(np.float32))


def pruned_net(net=None, rows=None, zeros=0.9):
    rows = rows_of(40, 6) if rows is None else rows
    net = default_net(True, 40, 6, 3, (30, 20)) if net is None else net
    net = prepare(initialize(net, rows.dtype, 0), rows, rows.dtype)
    generator = torch.Generator().manual_seed(0)
    for layer in net.module_.modules():
        if isinstance(layer, (nn.Linear, nn.Conv2d)):
            kept = torch.rand(layer.weight.shape, generator=generator) > zeros
            layer.weight.data *= kept
    return net, rows


def removed(record):
    return sum(row["removed"] for row in record["layers"])


@pytest.mark.parametrize("sparse", ["auto", True, False])
def test_outputs_are_the_same_and_the_net_is_left_alone(sparse):
    net, rows = pruned_net()
    before, weights = raw_outputs(net, rows), copy.deepcopy(net.module_.state_dict())
    small = shrink_net(net, rows, sparse=sparse, budget=0.01)
    torch.testing.assert_close(raw_outputs(small.net, rows), before, rtol=1e-5, atol=1e-6)
    assert type(small.net.module_) is type(net.module_)
    assert removed(small.record) > 10
    for name, weight in net.module_.state_dict().items():
        assert torch.equal(weight, weights[name])
    assert small.net.optimizer_ is None
    assert net.optimizer_ is not None


def test_the_record():
    net, rows = pruned_net()
    small = shrink_net(net, rows, sparse=True)
    layers = {name: m for name, m in small.net.module_.named_modules() if hasattr(m, "bias")}
    assert [row["units"] for row in small.record["layers"]] == [30, 20, 3]
    for row in small.record["layers"]:
        layer = layers[row["layer"].removesuffix(".weight")]
        assert row["units"] - row["removed"] == layer.out_features
        assert row["form"] == ("sparse" if isinstance(layer, SparseLinear) else "dense")
    numbers = sum(t.numel() for t in stored(small.net.module_))
    assert small.record["parameters"] == {"before": 6 * 30 + 30 + 620 + 63, "after": numbers}
    assert small.record["threads"] == 1


def test_stored_counts_the_numbers_of_sparse_layers():
    layer = nn.Linear(5, 4)
    layer.weight.data.zero_()[0, 0] = 1
    module = nn.Sequential(nn.Linear(2, 5), SparseLinear(layer))
    assert sum(t.numel() for t in stored(module)) == 10 + 5 + 1 + 4


def test_convolutions():
    module = nn.Sequential(
        nn.Conv2d(1, 8, 3),
        nn.ReLU(),
        nn.Conv2d(8, 6, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(24, 3),
    )
    net = NeuralNetClassifier(module, train_split=None, verbose=0)
    net, rows = pruned_net(net, rows_of(20, 1, 6, 6), zeros=0.8)
    net.module_[0].weight.data[:3] = 0
    before = raw_outputs(net, rows)
    small = shrink_net(net, rows, sparse=False)
    assert small.record["layers"][0]["removed"] >= 3
    torch.testing.assert_close(raw_outputs(small.net, rows), before, rtol=1e-5, atol=1e-6)
    assert small.net.module is small.net.module_  # the masked one is not kept beside it


def test_nothing_to_shrink():
    net, rows = pruned_net(zeros=-1)
    small = shrink_net(net, rows, sparse=True)
    assert small.net is net
    assert small.record["notes"][-1].startswith("Nothing was removed")
    assert small.record["parameters"]["before"] == small.record["parameters"]["after"]


def test_compiled_networks_are_shrunk_without_compilation():
    net, rows = pruned_net()
    before = raw_outputs(net, rows)
    net.module_ = torch.compile(net.module_, backend="eager")
    small = shrink_net(net, rows, sparse=True)
    assert hasattr(net.module_, "_orig_mod")
    assert not hasattr(small.net.module_, "_orig_mod")
    torch.testing.assert_close(raw_outputs(small.net, rows), before, rtol=1e-5, atol=1e-6)


def broken(module):
    for parameter in module.parameters():
        parameter.data.mul_(1.01)
    return module


def test_units_stay_if_the_outputs_differ_without_them(monkeypatch):
    net, rows = pruned_net()
    compact = shrinking.compact

    def wrong(module, sample):
        found = compact(module, sample)
        return found._replace(module=broken(found.module), changed=True)

    monkeypatch.setattr(shrinking, "compact", wrong)
    small = shrink_net(net, rows, sparse=True)
    assert removed(small.record) == 0
    assert any("Units were not removed" in note for note in small.record["notes"])
    torch.testing.assert_close(raw_outputs(small.net, rows), raw_outputs(net, rows))


def test_layers_stay_dense_if_the_outputs_differ(monkeypatch):
    net, rows = pruned_net()
    sparse_form = shrinking.sparse_form

    def wrong(*args, **options):
        found = sparse_form(*args, **options)
        found.module.layers[1] = nn.Linear(6, 1)  # has an error for the next layer
        return found

    monkeypatch.setattr(shrinking, "sparse_form", wrong)
    small = shrink_net(net, rows, sparse=True)
    assert {row["form"] for row in small.record["layers"]} == {"dense"}
    assert any("No layer is sparse: the outputs" in note for note in small.record["notes"])
    torch.testing.assert_close(
        raw_outputs(small.net, rows), raw_outputs(net, rows), rtol=1e-5, atol=1e-6
    )


def test_networks_elsewhere_stay_dense(monkeypatch):
    net, rows = pruned_net()
    monkeypatch.setattr(shrinking, "_elsewhere", lambda module: True)
    small = shrink_net(net, rows, sparse=True)
    assert {row["form"] for row in small.record["layers"]} == {"dense"}
    assert any("not on the CPU" in note for note in small.record["notes"])
    assert removed(small.record) > 0
