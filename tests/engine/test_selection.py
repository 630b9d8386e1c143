"""Which weights are pruned: kinds of layers, ignored ones, and those that do not fit."""

import pytest
import torch
from torch import nn

from sklearn_fairprune.engine.scoring import keep_all
from sklearn_fairprune.engine.selection import Selection
from sklearn_fairprune.functional.granularities import granularity_of
from sklearn_fairprune.functional.params import KINDS, prunable, skipped

torch.set_num_threads(1)


class Everything(nn.Module):
    """A layer of every kind."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(2, 4, 1)
        self.rnn = nn.LSTM(4, 6, proj_size=4, bidirectional=True)
        self.cell = nn.GRUCell(8, 8)
        self.packed = nn.MultiheadAttention(8, 2)
        self.apart = nn.MultiheadAttention(8, 2, kdim=4, vdim=6, add_bias_kv=True)
        self.frozen = nn.Linear(8, 8).requires_grad_(False)
        self.last = nn.Linear(8, 3)


OF_KIND = {
    "linear": ["packed.out_proj.weight", "apart.out_proj.weight", "last.weight"],
    "conv": ["conv.weight"],
    "recurrent": [
        *(
            f"rnn.weight_{part}_l0{end}"
            for end in ("", "_reverse")
            for part in ("ih", "hh", "hr")
        ),
        "cell.weight_ih",
        "cell.weight_hh",
    ],
    "attention": [
        "packed.in_proj_weight",
        *(f"apart.{part}_proj_weight" for part in "qkv"),
    ],
}


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_every_kind(kind):
    module = Everything()
    assert list(prunable(module, [kind])) == OF_KIND[kind]
    masks = keep_all(module, Selection((kind,)))
    assert list(masks) == OF_KIND[kind]
    named = dict(module.named_parameters())
    assert all(masks[name].shape == named[name].shape for name in masks)


def test_all_kinds_together_and_the_default():
    module = Everything()
    every = [name for kind in KINDS for name in OF_KIND[kind]]
    assert sorted(prunable(module, tuple(KINDS))) == sorted(every)
    assert sorted(keep_all(module)) == sorted(OF_KIND["linear"] + OF_KIND["conv"])


def test_names_are_those_without_compilation():
    module = nn.Sequential(torch.compile(nn.GRU(2, 2), backend="eager"), nn.Linear(2, 2))
    assert "0.weight_ih_l0" in keep_all(module, Selection(("recurrent",)))


@pytest.mark.parametrize("wrong", [("dense",), ("linear", "lstm"), ()])
def test_kinds_that_do_not_exist(wrong):
    with pytest.raises(ValueError, match=r"layers must name some of \['linear', 'conv', 'rec"):
        Selection(wrong)


def test_ignored_layers_have_no_masks_and_a_reason():
    module, chosen = Everything(), Selection(tuple(KINDS), ("rnn", "*out_proj", "last.weight"))
    masks = keep_all(module, chosen)
    assert not {name for name in masks if name.startswith("rnn") or "out_proj" in name}
    assert "last.weight" not in masks
    told = skipped(module, masks, chosen.reasons(module))
    assert told["rnn.weight_hr_l0_reverse"] == (24, "ignored")
    assert told["frozen.weight"] == (64, "frozen")
    assert told["apart.bias_k"].reason == "of a MultiheadAttention"
    assert len(told) == 6 + 2 + 1 + 3


def test_kinds_that_are_not_chosen_are_told():
    told = skipped(Everything(), keep_all(Everything(), Selection(("conv",))))
    assert told["last.weight"] == (24, "of a Linear")
    assert told["cell.weight_ih"].reason == "of a GRUCell"


def test_nothing_left_to_prune():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"ignored_layers=\['\*'\] leaves nothing to prune"):
        keep_all(module, Selection(ignored=("*",)))
    with pytest.raises(
        ValueError, match=r"ignored_layers names '2'.*known are 0\.weight, 1\.w"
    ):
        keep_all(module, Selection(ignored=("2",)))
    with pytest.raises(ValueError, match=r"weights of recurrent.*layers=\['linear'\] can be"):
        keep_all(module, Selection(("recurrent",)))
    with pytest.raises(
        ValueError, match=r"weights of Linear and Conv.*\['recurrent'\] can be"
    ):
        keep_all(nn.Sequential(nn.GRU(2, 2)))


def test_layers_that_do_not_fit_a_pattern_are_left_alone():
    module = nn.Sequential(nn.Linear(10, 8), nn.Linear(8, 4), nn.Linear(4, 4))
    chosen = Selection(granularity=granularity_of("2:4"), ignored=("2",))
    assert list(keep_all(module, chosen)) == ["1.weight"]
    why = "input dimension 10 is not a multiple of 4"
    assert chosen.reasons(module) == {"0.weight": why, "2.weight": "ignored"}
    with pytest.raises(
        ValueError, match=rf"granularity='2:4' fits no layer \(0\.weight: {why}"
    ):
        keep_all(nn.Sequential(nn.Linear(10, 8), nn.Linear(7, 4)), chosen.__class__(
            granularity=granularity_of("2:4")))  # fmt: skip
