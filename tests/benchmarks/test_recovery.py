"""Fronts and intervals of the comparison of schedules and recoveries, on made-up networks."""

import json

import numpy as np
import pandas as pd
import pytest
import recovery
from record import PLAN as PLAN_FILE
from record import RESULTS

MEASURES = ["accuracy", "xi"]
AT = {"task": "t", "sparsity": 0.9, "epochs": 3}


def table(values, seeds=3, **about):
    """Networks of one cell: {pair: one (accuracy, xi) a seed, or one for all}."""
    lines = []
    for pair, found in values.items():
        for seed, (accuracy, xi) in enumerate(np.broadcast_to(found, (seeds, 2))):
            named = AT | about | {"pair": pair, "seed": seed, "accuracy": accuracy, "xi": xi}
            lines.append(named)
    return pd.DataFrame(lines)


def front(values, **about):
    return recovery.fronts(table(values, **about), MEASURES).set_index("pair")


def test_a_pair_that_is_worse_in_both_is_off_the_front():
    found = front({"a": (0.9, 0.1), "b": (0.8, 0.2), "c": (0.95, 0.3), "d": (0.7, 0.05)})
    assert found["on"].to_dict() == {"a": True, "b": False, "c": True, "d": True}


def test_equal_pairs_are_both_on_the_front():
    assert front({"a": (0.9, 0.1), "b": (0.9, 0.1), "c": (0.9, 0.2)})["on"].all()


def test_surely_off_needs_intervals_that_exclude_zero_in_both():
    base = np.array([[0.90, 0.10], [0.91, 0.12], [0.89, 0.11]])
    steady = base - [[0.02, -0.03], [0.021, -0.031], [0.019, -0.029]]
    wavering = base - [[0.05, -0.03], [-0.04, -0.03], [0.02, -0.03]]  # mean worse
    found = front({"a": base, "steady": steady, "wavering": wavering})
    assert found["on"].to_dict() == {"a": True, "steady": False, "wavering": False}
    assert found["surely_off"].to_dict() == {"a": False, "steady": True, "wavering": False}


def test_one_seed_makes_nobody_surely_off():
    found = front({"a": (0.9, 0.1), "b": (0.8, 0.2)}, seeds=1)
    assert not found["on"]["b"]
    assert not found["surely_off"].any()


def test_cells_have_fronts_of_their_own():
    rows = pd.concat(
        [table({"a": (0.9, 0.1), "b": (0.8, 0.2)}), table({"a": (0.8, 0.2)}, task="u")]
    )
    found = recovery.fronts(rows, MEASURES)
    assert found.loc[found["task"] == "u", "on"].tolist() == [True]


def test_differences_over_the_tasks_are_those_from_the_base_of_the_same_cell(monkeypatch):
    monkeypatch.setattr(recovery, "GOODS", {"accuracy": 1, "xi": -1})
    steps = {"t": 0.01, "u": 0.03, "v": 0.02}
    rows = pd.concat(
        [
            table({recovery.BASE: (level, 0.5), "a": (level + step, 0.5)}, task=task)
            for level, (task, step) in zip((0.9, 0.6, 0.3), steps.items(), strict=True)
        ]
    ).assign(cost=3.0)
    found = recovery.over_tasks(rows).set_index(["pair", "measure"])
    assert found.loc[("a", "accuracy"), "mean"] == pytest.approx(0.02)
    half = 4.3027 * 0.01 / np.sqrt(3)  # Student, two degrees of freedom
    assert found.loc[("a", "accuracy"), "high"] == pytest.approx(0.02 + half, abs=1e-5)
    assert found.loc[(recovery.BASE, "accuracy"), ["low", "high"]].tolist() == [0, 0]


def test_the_most_accurate_pair_is_counted_cell_by_cell():
    rows = pd.concat(
        [
            table({"a": (0.9, 0.1), "b": (0.8, 0.2)}),
            table({"a": (0.7, 0.1), "b": (0.8, 0.2)}, epochs=6),
            table({"a": (0.9, 0.1), "b": (0.8, 0.2)}, epochs=12),
        ]
    )
    assert recovery.most_accurate(rows) == {"t": {"a": 2, "b": 1}}


def test_distillation_is_held_against_plain_training_of_its_schedule(monkeypatch):
    monkeypatch.setitem(recovery.PLAN, "schedules", ["cubic", "y"])
    xi = {"cubic, plain": 0.5, "cubic, distill": 0.4, "y, plain": 0.3, "y, distill": 0.35}
    rows = table({pair: (0.9, value) for pair, value in xi.items()})
    found = recovery.by_distillation(rows)
    assert found == {"t": {"lower": 1, "cells": 2, "ratio": 0.8}}


def test_every_pair_is_run_at_equal_epochs(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 5)).astype(np.float32)
    X[:, 0] += 3 * y
    rows = (X, y, np.array(["a", "b", "c"])[y])
    monkeypatch.setattr(recovery, "parts_of", lambda task, seed: {"train": rows, "test": rows})
    monkeypatch.setattr(recovery, "net_of", lambda task, parts: None)
    monkeypatch.setitem(recovery.PLAN, "sparsities", [0.8])
    monkeypatch.setitem(recovery.PLAN, "epochs", [3])
    trained = []
    fitted = recovery.PrunedClassifier.prune

    def prune(pruner, *args, **kwargs):
        found = fitted(pruner, *args, **kwargs)
        trained.append(sum(row["phase"] == "finetune" for row in found.history_))
        return found

    monkeypatch.setattr(recovery.PrunedClassifier, "prune", prune)
    found = recovery.run("digits, default", 0)
    cells = [f"0.8; 3; {schedule}, {way}" for schedule, way in recovery.PAIRS]
    assert list(found) == ["dense", *cells]
    assert set(trained) == {3}
    assert found["dense"]["flips"] == found["dense"]["xi"] == 0
    assert all(line["cost"] > 0 for name, line in found.items() if name != "dense")


def test_runs_are_kept_as_they_are(results, monkeypatch):
    monkeypatch.setattr(recovery, "RUNS", results / "runs")
    path = recovery.file_of("svhn, residual")
    found = {"300": {"dense": {"accuracy": 0.9}, "0.9; 3; a, b": {"accuracy": 0.8}}}
    recovery.keep_runs(path, found)
    assert recovery.kept_runs(path) == found
    assert recovery.kept_runs(recovery.file_of("digits, default")) == {}


@pytest.fixture(scope="module")
def kept_table():
    plan = json.loads(PLAN_FILE.read_text(encoding="utf-8"))["recovery"]
    return recovery.table_of(
        {task: recovery.kept_runs(recovery.file_of(task)) for task in plan["tasks"]}
    )


def test_the_record_follows_from_the_kept_runs(kept_table):
    record = json.loads((RESULTS / "recovery.json").read_text(encoding="utf-8"))["data"]
    assert recovery.counts(kept_table).to_dict("index") == record["by_pair"]
    made = recovery.over_tasks(kept_table).round(5).to_dict("records")
    assert made == record["over_tasks"]
    assert recovery.most_accurate(kept_table) == record["most_accurate"]
    assert recovery.by_distillation(kept_table) == record["xi_by_distillation"]


def test_iterative_pairs_are_the_least_accurate_on_the_images(kept_table):
    means = kept_table.groupby([*recovery.CELL, "pair"])["accuracy"].mean().unstack("pair")
    images = [task for task in recovery.PLAN["tasks"] if "residual" in task]
    assert len(images) == 3
    assert all(pair.startswith("iterative") for pair in means.loc[images].idxmin(axis=1))


def test_tables_and_sentences_are_what_the_runs_give():
    data = json.loads((RESULTS / "recovery.json").read_text(encoding="utf-8"))["data"]
    longer = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    assert "\n".join(recovery.pairs_table(data)) in longer
    readme = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    words = " ".join(readme.split())
    assert recovery.sentences(data) in words


def test_every_cell_of_the_plan_was_run(kept_table):
    plan = recovery.planned("recovery")
    seeds = kept_table.groupby([*recovery.CELL, "pair"])["seed"].agg(list)
    expected = len(plan["tasks"]) * len(plan["sparsities"]) * len(plan["epochs"])
    assert len(seeds) == expected * len(recovery.PAIRS)
    assert all(found == [str(seed) for seed in plan["seeds"]] for found in seeds)
