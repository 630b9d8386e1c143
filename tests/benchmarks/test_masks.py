"""The benchmark of the masks compares like with like."""

import json

import masks
import pytest
import torch
from record import RESULTS
from torch import nn
from torch.nn.utils import prune


@pytest.fixture
def layers():
    torch.manual_seed(0)
    return nn.ModuleList([nn.Conv2d(3, 8, 3, bias=False), nn.Linear(8, 50)])


def test_both_remove_the_same_and_the_weights_are_put_back(layers):
    dense = [layer.weight.detach().clone() for layer in layers]
    seconds, disagreements = masks.compare(layers, 2)
    assert disagreements == 0
    assert {name: len(values) for name, values in seconds.items()} == {"ours": 2, "torch": 2}
    assert not any(prune.is_pruned(layer) for layer in layers)
    assert all(torch.equal(a, layer.weight) for a, layer in zip(dense, layers, strict=True))


def test_other_masks_are_noticed(layers, monkeypatch):
    reversed_scores = lambda weight: -weight.detach().abs()  # noqa: E731
    monkeypatch.setattr(masks, "magnitude", reversed_scores)
    assert masks.compare(layers, 1)[1] > 0


def test_ties_at_the_threshold_are_no_disagreement(layers):
    with torch.no_grad():
        for layer in layers:
            layer.weight.copy_((layer.weight * 20).round() / 20)
    assert masks.compare(layers, 1)[1] == 0


def test_layers_are_those_of_a_residual_network():
    with torch.device("meta"):
        sizes = [
            sum(layer.weight.numel() for layer in masks.resnet_layers(widened))
            for widened in masks.WIDENED.values()
        ]
    assert sizes == [11_678_912, 101_981_760]


def test_the_sentence_is_what_was_measured():
    record = json.loads((RESULTS / "masks.json").read_text(encoding="utf-8"))
    longer = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert masks.sentence(record["summary"]) in " ".join(longer.split())
    found = {line["name"]: line for line in record["summary"]}
    assert all(line["met"] for name, line in found.items() if "disagree" in name)
    assert set(record["data"]) == {*map(str, masks.PLAN["weights"]), "step"}
