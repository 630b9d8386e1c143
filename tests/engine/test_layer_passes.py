"""What a layer of the pruned network reads, beside what the dense network's gives."""

import numpy as np
import pytest
import torch
from architecture_cases import fitted
from torch import nn

from sklearn_fairprune.engine import layer_passes as module
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.layer_passes import LayerPasses, Unusable
from sklearn_fairprune.engine.networks import copy_net

torch.set_num_threads(1)
X = np.random.default_rng(0).normal(size=(11, 2, 5, 4))
W = torch.arange(11.0).double() % 4  # rows 0, 4 and 8 count nothing
COUNTED = W > 0


def image():
    """Grouped strided convolution, in-place activation, and a layer that is called twice."""

    class Image(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(2, 4, 2, stride=2, groups=2)
            self.act, self.twice = nn.ReLU(inplace=True), nn.Linear(4, 4)

        def forward(self, X):
            hidden = self.act(self.first(X)).flatten(2).mT
            return self.twice(input=self.act(self.twice(hidden))).mean(1)

    return Image()


@pytest.fixture
def nets():
    dense = fitted(image)
    net = copy_net(dense)
    with torch.no_grad():
        for p in net.module_.parameters():
            p.mul_(torch.rand(p.shape) < 0.5)
    return net, dense


def blocks(net, dense, *places, weights=W, **options):
    """Blocks of a layer, joined."""
    found = []
    passes = LayerPasses(net, dense, Rows(X, dtype=torch.float64), weights, 0)
    passes.visit(places, passes.calls()[places[0]], found.append, **options)
    inputs, targets, weights = zip(*found, strict=True)
    wanted = None if targets[0] is None else torch.cat(targets, dim=1)
    return torch.cat(inputs, dim=1), wanted, torch.cat(weights)


def test_calls_come_in_the_order_of_the_forward_pass(nets):
    passes = LayerPasses(*nets, Rows(X, dtype=torch.float64), W, 0)
    assert list(passes.calls().items()) == [("first", 1), ("twice", 2)]


def test_inputs_times_weights_are_outputs_and_targets_are_the_dense_ones(nets):
    net, dense = nets
    inputs, targets, weights = blocks(net, dense, "first")
    kernel = net.module_.first.weight.reshape(2, 2, 4)
    mine, theirs = (
        twin.module_.first(torch.from_numpy(X)[COUNTED]).flatten(2).mT.reshape(-1, 2, 2)
        for twin in nets
    )
    out = (inputs @ kernel.mT).transpose(0, 1) + net.module_.first.bias.reshape(2, 2)
    torch.testing.assert_close(out, mine)
    torch.testing.assert_close(targets.transpose(0, 1), theirs)
    assert weights.tolist() == W[COUNTED].repeat_interleave(4).tolist()


def test_all_calls_of_a_layer_are_taken_before_they_are_changed_in_place(nets):
    net, dense = nets
    inputs, targets, _ = blocks(net, dense, "twice")
    assert inputs.shape == (1, 2 * 8 * 4, 4)
    twice = dense.module_.twice
    hidden = dense.module_.first(torch.from_numpy(X)[COUNTED]).relu().flatten(2).mT
    first = twice(hidden)
    theirs = torch.cat([first, twice(first.relu())]).flatten(0, 1)
    torch.testing.assert_close(targets[0].sort(dim=0).values, theirs.sort(dim=0).values)
    assert blocks(net, dense, "twice", targets=False)[1] is None


def test_positions_are_drawn_where_there_are_too_many(nets, monkeypatch):
    whole = blocks(*nets, "first")
    monkeypatch.setattr(module, "MAX_POSITIONS", 22)
    for _ in range(2):
        inputs, targets, weights = blocks(*nets, "first")
        assert inputs.shape == (2, 16, 4)
        assert weights.sum() == whole[2].sum()
        pairs = torch.cat([inputs, targets], dim=2)[0]
        all_pairs = torch.cat(whole[:2], dim=2)[0]
        assert all((pair == all_pairs).all(1).any() for pair in pairs)
        again = blocks(*nets, "first")
        assert torch.equal(inputs, again[0])
        assert torch.equal(inputs, blocks(*nets, "first", targets=False)[0])
    assert len(torch.unique(pairs, dim=0)) == 16
    monkeypatch.setattr(module, "MAX_POSITIONS", 1)
    assert blocks(*nets, "first")[0].shape == (2, 8, 4)


def test_blocks_are_small(nets, monkeypatch):
    whole = blocks(*nets, "first")
    monkeypatch.setattr(module, "BLOCK_BYTES", 3 * 8 * 8)
    sizes = []
    passes = LayerPasses(*nets, Rows(X, dtype=torch.float64), W, 0)
    passes.visit(["first"], 1, lambda block: sizes.append(len(block.weights)))
    assert max(sizes) == 3
    assert all(torch.equal(a, b) for a, b in zip(blocks(*nets, "first"), whole, strict=True))


def test_the_pass_ends_behind_the_layer(nets):
    net, dense = nets
    for twin in nets:
        twin.module_.twice.register_forward_pre_hook(lambda *_: pytest.fail("called"))
    LayerPasses(net, dense, Rows(X, dtype=torch.float64), W, 0).visit(["first"], 1, id)


class Sequence(nn.Module):
    """Hands its layer all steps of all rows at once."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, X):
        return self.layer(X.flatten(0, 2)).reshape(len(X), -1, 3).mean(1)


def test_entries_that_are_not_rows_count_the_same_or_not_at_all():
    net = fitted(Sequence)
    inputs, _, weights = blocks(net, net, "layer", weights=torch.ones(11).double())
    assert inputs.shape == (1, 110, 4)
    assert (weights == 1).all()
    with pytest.raises(Unusable, match="not one entry a row"):
        blocks(net, net, "layer")


class Cosine(nn.Linear):
    def forward(self, X):
        return super().forward(nn.functional.normalize(X, dim=-1))


def test_layers_that_do_something_else_are_told():
    net = fitted(lambda: nn.Sequential(nn.Flatten(), Cosine(40, 3)))
    with pytest.raises(Unusable, match="not its weights times"):
        blocks(net, net, "1")


class Choosy(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.layer = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, X):
        hidden = self.first(X).mean((1, 2))
        return hidden if (self.first.weight == 0).any() else self.layer(hidden)


def test_networks_that_call_layers_differently_are_told():
    dense = fitted(Choosy)
    net = copy_net(dense)
    with torch.no_grad():
        net.module_.first.weight[0, 0] = 0.0
    with pytest.raises(Unusable, match="otherwise"):
        LayerPasses(net, dense, Rows(X, dtype=torch.float64), W, 0).visit(["layer"], 1, id)
    with pytest.raises(Unusable, match="otherwise"):
        LayerPasses(dense, net, Rows(X, dtype=torch.float64), W, 0).visit(["layer"], 1, id)
