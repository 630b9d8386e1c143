"""Sizes, the peer's networks and the counts of the comparison of whole units."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import structured
import torch
from record import RESULTS
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine.costs import layer_macs

BUDGET = 0.3
PAIR = ["magnitude", "torch-pruning magnitude, one-shot"]

# The peer is no dependency of the project, so nothing may require it.
with_the_peer = pytest.mark.skipif(
    structured.torch_pruning is None, reason="could not import torch_pruning"
)


class Tiny(nn.Sequential):
    """Two convolutions with batch norm."""

    def __init__(self):
        layers, width = [nn.Unflatten(1, (1, 4))], 1
        for size in (12, 16):
            layers += [nn.Conv2d(width, size, 3, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(size), nn.ReLU()]
            width = size
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 3))


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 4, 4)).astype(np.float32)
    X[:, 0] += 3 * y[:, None]
    rows = (X, y, np.array(["a", "b", "c"])[y])
    return {"train": rows, "test": rows}


def net():
    options = structured.OPTIONS | {"optimizer": torch.optim.AdamW, "batch_size": 30}
    return NeuralNetClassifier(Tiny, lr=0.003, max_epochs=4, **options)


@pytest.fixture(scope="module")
def dense(parts):
    pruner = PrunedClassifier(net(), sparsity=0.0, granularity="unit", random_state=0)
    return pruner.fit(*parts["train"][:2], sensitive_features=parts["train"][2])


def test_the_cost_is_that_of_the_package(dense, parts):
    sample = torch.from_numpy(parts["train"][0][:1])
    found = structured.macs_of(copy.deepcopy(dense.estimator_.module_), sample)
    assert (
        found
        == layer_macs(dense.estimator_, sample).total
        == 12 * 9 * 16 + 16 * 12 * 9 * 16 + 48
    )


def test_goals_fall_in_equal_steps_of_the_width_to_the_budget():
    found = structured.goals(0.25, 5)
    assert np.sqrt(found) == pytest.approx([0.9, 0.8, 0.7, 0.6, 0.5])
    assert structured.goals(0.2, 1) == [0.2]


def test_gradients_are_those_of_the_mean_loss_of_all_rows(dense, parts):
    X, y = (torch.from_numpy(v) for v in parts["train"][:2])
    X, y = X.repeat(8, 1, 1), y.repeat(8)  # more than one piece
    module = copy.deepcopy(dense.estimator_.module_).eval()
    nn.functional.cross_entropy(module(X), y).backward()
    expected = [p.grad.clone() for p in module.parameters()]
    structured.with_gradients(module, X, y)
    for p, gradient in zip(module.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad, gradient, rtol=1e-4, atol=1e-6)


@with_the_peer
@pytest.mark.parametrize("criterion", ["magnitude", "taylor"])
@pytest.mark.parametrize("steps", [1, 3])
def test_the_peer_reaches_the_budget_and_learns(dense, parts, criterion, steps):
    sample = torch.from_numpy(parts["train"][0][:1])
    before = copy.deepcopy(dense.estimator_.module_.state_dict())
    module = structured.peer(dense, parts, BUDGET, criterion, steps, epochs=20, seed=0)
    total = layer_macs(dense.estimator_, sample).total
    assert structured.macs_of(module, sample) / total == pytest.approx(BUDGET, abs=0.07)
    X, y, _ = parts["test"]
    assert (structured.Plain(module).predict_proba(X).argmax(1) == y).mean() > 0.9
    for name, value in dense.estimator_.module_.state_dict().items():
        assert torch.equal(value, before[name]), name


@with_the_peer
def test_the_search_misses_the_goal_by_half_a_unit_at_most(dense, parts):
    sample = torch.from_numpy(parts["train"][0][:2])
    module = dense.estimator_.module_
    goal = BUDGET * structured.macs_of(module, sample)
    importance = structured.torch_pruning.importance.GroupMagnitudeImportance()
    found = structured.nearest(module, sample, importance, goal)
    dearest = 9 * 16 + 16 * 9 * 16  # a channel of the first layer, and what reads it
    assert abs(structured.macs_of(found, sample) - goal) <= dearest / 2


@pytest.mark.filterwarnings("ignore:.*one more whole unit:UserWarning")
def test_every_way_is_run_with_equal_steps(dense, parts, monkeypatch):
    monkeypatch.setattr(structured, "parts_of", lambda task, seed: parts)
    monkeypatch.setattr(structured, "net_of", lambda task, parts: net())
    monkeypatch.setattr(structured, "recovery_epochs", lambda net, rows: 6)
    ways = [*structured.OURS, "torch-pruning magnitude, iterative"]
    monkeypatch.setitem(structured.PLAN, "tasks", {"t": {"budgets": [0.5], "ways": ways}})
    lengths = []

    def ours(dense, rows, budget, way):
        twin = copy.copy(dense).set_params(finetune_epochs=6)
        smaller, module = made(twin, rows, budget, way)
        lengths.append(sum(row["phase"] == "finetune" for row in smaller.history_))
        return smaller, module

    made = structured.ours
    monkeypatch.setattr(structured, "ours", ours)
    found = structured.run("t", 0, {"0.5; taylor": {"accuracy": 0.5}})
    if structured.torch_pruning is None:
        ways = ways[:-1]
    assert sorted(found) == sorted(["dense", *(f"0.5; {way}" for way in ways)])
    assert found["0.5; taylor"] == {"accuracy": 0.5}
    assert set(lengths) == {found["dense"]["epochs"]} == {6}
    assert found["dense"]["xi"] == 0
    for way in set(ways) - {"taylor"}:
        assert 0.3 < found[f"0.5; {way}"]["macs"] < 0.7, way


def test_the_steps_of_the_peer_are_those_of_the_package(dense, parts):
    X, y, groups = parts["train"]
    pruner = copy.copy(dense).prune(X, y, sensitive_features=groups, sparsity=0.5)
    epochs = structured.recovery_epochs(dense.estimator_, structured.Rows(X, y))
    assert sum(row["phase"] == "finetune" for row in pruner.history_) == epochs


def test_a_lacking_peer_is_told(monkeypatch, capsys):
    monkeypatch.setattr(structured, "torch_pruning", None)
    structured.tell_of_the_peer()
    assert "pip install torch-pruning" in capsys.readouterr().out


def table(mine, theirs, **about):
    """Networks of a cell: a list of (accuracy, xi) of every seed, for both of a pair."""
    lines = []
    for way, values in zip(PAIR, (mine, theirs), strict=True):
        for seed, (accuracy, xi) in enumerate(values):
            line = {"task": "t", "budget": 0.5, "way": way, "seed": str(seed)} | about
            line |= {"accuracy": accuracy, "worst_accuracy": accuracy, "spread": xi, "xi": xi}
            lines.append(line | {"macs": 0.5})
    return pd.DataFrame(lines)


def test_sure_wins_and_losses_follow_the_direction_of_a_measure(monkeypatch):
    monkeypatch.setitem(structured.PLAN, "pairs", [PAIR])
    mine = [(0.92, 0.30), (0.93, 0.31), (0.91, 0.33)]
    theirs = [(0.90, 0.20), (0.905, 0.21), (0.895, 0.22)]
    found = structured.differences(table(mine, theirs))
    verdicts = {line["measure"]: line["verdict"] for line in found}
    assert verdicts == {
        "accuracy": "win",
        "worst_accuracy": "win",
        "spread": "loss",
        "xi": "loss",
        "macs": "open",
    }
    other = structured.differences(table(theirs, [(0.80, 0.2), (0.99, 0.3), (0.9, 0.1)]))
    assert {line["verdict"] for line in other} == {"open"}
    counted = structured.counted(found + other)[" - ".join(PAIR)]
    assert counted["accuracy"]["wins"] == 1
    assert counted["xi"] | {"mean": None} == {"wins": 0, "losses": 1, "cells": 2, "mean": None}
    assert counted["accuracy"]["mean"] == pytest.approx((0.02 + 0.0033333) / 2, abs=2e-5)


def test_one_seed_or_a_lacking_peer_decide_nothing(monkeypatch):
    monkeypatch.setitem(structured.PLAN, "pairs", [PAIR])
    found = structured.differences(table([(0.9, 0.1)], [(0.8, 0.2)]))
    assert {line["verdict"] for line in found} == {"open"}
    rows = table([(0.9, 0.1)], [(0.8, 0.2)])
    assert structured.differences(rows[rows["way"] == PAIR[0]]) == []


def test_the_largest_miss_is_a_share_of_the_budget():
    rows = table([(0.9, 0.1)], [(0.8, 0.2)])
    rows["macs"] = [0.45, 0.6]
    assert structured.largest_miss(rows) == {"ours": 0.1, "peer": 0.2}


@pytest.fixture(scope="module")
def kept():
    runs = {t: structured.kept_runs(structured.file_of(t)) for t in structured.PLAN["tasks"]}
    record = json.loads((RESULTS / "structured.json").read_text(encoding="utf-8"))
    return runs, record["data"]


def test_every_cell_of_the_plan_was_run(kept):
    for task, own in structured.planned("structured")["tasks"].items():
        names = {f"{b}; {way}" for b in own["budgets"] for way in own["ways"]} | {"dense"}
        assert list(kept[0][task]) == [str(seed) for seed in own["seeds"]]
        assert all(set(found) == names for found in kept[0][task].values())


def test_the_record_follows_from_the_kept_runs(kept):
    runs, data = kept
    rows = structured.table_of(runs)
    lines = structured.differences(rows)
    assert lines == data["differences"]
    assert structured.counted(lines) == data["counted"]
    assert structured.means(rows) == data["means"]
    assert structured.largest_miss(rows) == data["largest_miss"]


def test_tables_and_sentences_are_what_the_record_gives(kept):
    text = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert "\n".join(structured.pairs_table(kept[1])) in text
    assert "\n".join(structured.ways_table(kept[1])) in text
    assert structured.sentences(kept[1]) in " ".join(text.split())
