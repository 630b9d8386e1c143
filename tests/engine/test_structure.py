"""Channels of networks against what their layers say, and against removing units by hand."""

import pytest
import torch
from compaction_cases import CASES, cnn, make, mlp, outputs
from torch import nn

from sklearn_fairprune.engine.structure import Structure

torch.set_num_threads(1)


def structure(name):
    module, X = make(name)
    return Structure(module, X), module, X


def told(found):
    return [(s.n_units, [*s.rows], [*s.columns], [*s.through], s.reason) for s in found.spaces]


def test_a_chain():
    found, *_ = structure("norm")
    assert found.reason == ""
    assert told(found) == [
        (8, ["0"], ["3"], ["1"], ""),
        (7, ["3"], ["6"], ["4"], ""),
        (3, ["6"], [], [], "an output"),
    ]


def test_a_flattened_channel_is_a_block():
    first, second, last = structure("cnn")[0].spaces
    assert second.columns["8"].tolist() == [i // 16 for i in range(80)]
    assert first.through["1"].tolist() == list(range(6))
    assert last.frozen


def test_a_sum_ties_what_is_added():
    first, branch, wide, _ = structure("residual")[0].spaces
    assert (list(first.rows), list(first.columns)) == (
        ["stem", "two"],
        ["one", "wide", "short"],
    )
    assert (list(branch.rows), branch.n_units) == (["one"], 5)
    assert (list(wide.rows), list(wide.columns)) == (["wide", "short"], ["last"])


def test_a_concatenation_shifts_columns():
    one, two, three, _ = structure("dense")[0].spaces
    assert one.columns["two"].tolist() == [-1, -1, 0, 1, 2, 3]
    assert one.columns["three"].tolist() == [-1] * 7 + [0, 1, 2, 3]
    assert two.columns["last"].tolist() == [0, 1, 2, 3, 4] + [-1] * 10
    assert list(one.through) == ["norm"]
    assert three.columns["last"].tolist() == [-1] * 11 + [0, 1, 2, 3]


def test_a_depthwise_convolution_ties_both_sides():
    first, second, last, _ = structure("separable")[0].spaces
    assert list(first.through) == ["1", "3", "4"]
    assert second.through["8"].tolist() == [i // 2 for i in range(16)]
    assert second.columns["11"].tolist() == [i // 2 for i in range(16)]
    assert list(last.columns) == ["14"]


@pytest.mark.parametrize("name", ["transformer", "norm first", "silu"])
def test_the_hidden_units_of_a_transformer_layer(name):
    free = [s for s in structure(name)[0].spaces if not s.frozen]
    assert [list(s.rows) for s in free] == [
        ["1.layers.0.linear1"],
        ["1.layers.1.linear1"],
        ["3"],
    ]
    assert [s.n_units for s in free] == [9, 9, 6]


def frozen(name, layer):
    (reason,) = {s.reason for s in structure(name)[0].spaces if layer in s.rows}
    return reason


def test_what_stays_and_why():
    assert frozen("recurrent", "first") == "lstm (LSTM) reads it"
    assert frozen("viewed, written", "conv") == "view has a fixed size or place"
    assert frozen("viewed", "conv") == frozen("viewed, written", "hidden") == ""
    assert frozen("halved", "one") == "chunk has a fixed size or place"
    assert "how many" in frozen("halved", "two")
    assert frozen("gated", "map") == "it meets every channel of another layer"
    assert frozen("gated", "conv") == frozen("shared", "free") == ""
    assert not {"one", "two", "twice"} & {
        n for s in structure("shared")[0].spaces for n in s.rows
    }


def test_a_gate_goes_with_its_channel():
    space = structure("gated")[0].spaces[0]
    assert (list(space.rows), list(space.columns)) == (["conv", "gate"], ["gate", "last"])


def test_conditions_on_numbers_are_refused():
    found, *_ = structure("decides")
    assert found.reason.startswith("The network cannot be traced: TraceError")
    assert found.spaces == found.units() == []


@pytest.mark.parametrize(
    "layer",
    [
        nn.LayerNorm(8),
        nn.Softmax(1),
        nn.BatchNorm1d(8, track_running_stats=False),
        nn.utils.parametrizations.weight_norm(nn.Linear(8, 8)),
        nn.Sequential(nn.Unflatten(1, (8, 1)), nn.Conv1d(8, 8, 1, groups=2), nn.Flatten()),
        nn.GLU(),
    ],
)
def test_layers_without_a_rule_freeze(layer):
    wide = 4 if isinstance(layer, nn.GLU) else 8
    module = nn.Sequential(nn.Linear(6, 8), layer, nn.Linear(wide, 3)).eval()
    found = Structure(module, torch.randn(2, 6))
    assert found.reason == ""
    assert found.units() == []


class Positions(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.last = nn.Linear(6, 8), nn.Linear(8, 3)
        self.scale, self.places = nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(8))

    def forward(self, X):
        return self.last(self.one(X) * self.scale + self.places)


def test_parameters_of_ones_own_freeze():
    first, _ = Structure(Positions(), torch.randn(2, 6)).spaces
    assert first.reason == "it meets places, which is not a part of a layer"


class Bare(nn.Module):
    def __init__(self):
        super().__init__()
        self.one, self.last = nn.Linear(6, 8), nn.Linear(8, 3)

    def forward(self, X):
        hidden = torch.nn.functional.linear(X, self.one.weight)
        return self.last(self.one(X) + hidden)


def test_a_weight_that_is_read_elsewhere_is_left_alone():
    assert Structure(Bare(), torch.randn(2, 6)).units() == []


def without(module, group, unit):
    """Set all that belongs to a unit to 0."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name in group.owners:
                parameter.masked_fill_(group.entries(name, unit, parameter), 0)


@pytest.mark.parametrize("name", CASES)
def test_a_unit_without_its_entries_is_silent(name):
    """Nothing that comes to it matters any more, and its batch norm neither."""
    found, module, X = structure(name)
    for group in found.units():
        without(module, group, group.n_units - 1)
        before = outputs(module, X)
        with torch.no_grad():
            for key, parameter in module.named_parameters():
                owner = group.owners.get(key, (None, None))[0]
                if owner is not None:
                    parameter[owner == group.n_units - 1] += 1.0
        torch.testing.assert_close(outputs(module, X), before, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", CASES)
def test_counts_are_those_of_the_entries(name):
    found, module, _ = structure(name)
    parameters = dict(module.named_parameters())
    for group in found.units():
        for key in group.owners:
            counts = [
                group.entries(key, u, parameters[key]).sum() for u in range(group.n_units)
            ]
            assert group.counts(key, parameters[key]).tolist() == [int(c) for c in counts]
            assert min(counts) > 0


def test_the_network_is_left_as_it_is():
    module = cnn().train()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    Structure(module, torch.randn(2, 2, 8, 8))
    assert module.training
    for name, value in module.state_dict().items():
        assert torch.equal(value, before[name])


def test_a_broken_sample_is_told():
    assert "cannot be traced" in Structure(mlp(), torch.randn(2, 5)).reason
    assert "no parameters called ['x']" in Structure(mlp(), {"x": torch.randn(2, 6)}).reason
