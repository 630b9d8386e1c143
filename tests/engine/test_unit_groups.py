"""Units by kind, heads of attention among them."""

import pytest
import torch
from torch import nn

from sklearn_fairprune.engine.unit_groups import find_units


class Attending(nn.Module):
    """Attention over four places, then the mean."""

    def __init__(self, **options):
        super().__init__()
        self.enter = nn.Linear(3, 8)
        self.attend = nn.MultiheadAttention(8, 4, batch_first=True, **options)
        self.leave = nn.Linear(8, 2)

    def forward(self, X):
        a = self.enter(X)
        return self.leave(self.attend(a, a, a, need_weights=False)[0].mean(1))


def test_neurons_and_channels_are_told_apart():
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(16, 6),
        nn.ReLU(),
        nn.Linear(6, 2),
    )
    found = find_units(net, torch.zeros(2, 1, 4, 4))
    (channels,), (neurons,) = found.groups["channel"], found.groups["neuron"]
    assert (channels.n_units, neurons.n_units) == (4, 6)
    assert set(channels.owners) == {"0.weight", "0.bias", "3.weight"}
    assert channels.entries("3.weight", 1, net[3].weight).sum(1).tolist() == [4] * 6
    assert set(neurons.owners) == {"3.weight", "3.bias", "5.weight"}
    assert found.groups["head"] == []
    assert found.reasons == {"5.weight": "an output"}


@pytest.mark.parametrize("kdim", [None, 8, 5])
def test_heads_are_what_the_attention_computes_apart(kdim):
    """Without the entries of a head, its part of the output is gone and the others' is not."""
    torch.manual_seed(0)
    layer = nn.MultiheadAttention(8, 4, batch_first=True, kdim=kdim, vdim=kdim)
    (group,) = find_units(layer, torch.zeros(2, 3, 8)).groups["head"]
    X, keys = torch.randn(2, 3, 8), torch.randn(2, 5, kdim or 8)
    with torch.no_grad():
        layer.out_proj.weight.copy_(torch.eye(8))
        layer.out_proj.bias.zero_()
        before = layer(X, keys, keys)[0].reshape(2, 3, 4, 2)
        for name, weight in layer.named_parameters():
            if name in group.owners and name != "out_proj.weight":
                weight[group.entries(name, 1, weight)] = 0
        after = layer(X, keys, keys)[0].reshape(2, 3, 4, 2)
    assert torch.allclose(before[:, :, [0, 2, 3]], after[:, :, [0, 2, 3]], atol=1e-6)
    assert (after[:, :, 1] == 0).all()
    read = group.entries("out_proj.weight", 1, layer.out_proj.weight)
    assert read.any(0).nonzero()[:, 0].tolist() == [2, 3]


def test_heads_of_a_network_have_its_names():
    (group,) = find_units(Attending(), torch.zeros(2, 4, 3)).groups["head"]
    assert set(group.owners) == {
        "attend.in_proj_weight", "attend.in_proj_bias", "attend.out_proj.weight"
    }  # fmt: skip
    assert group.n_units == 4


def test_a_network_that_cannot_be_traced_has_no_units_and_says_so():
    class Wild(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(2, 2)

        def forward(self, X):
            return self.layer(X) if X.sum() > 0 else X

    found = find_units(Wild(), torch.zeros(2, 2))
    assert not any(found.groups.values())
    assert "cannot be traced" in found.reasons["network"]
