"""Fronts, duels and verdicts of the comparison of criteria, on made-up networks."""

import json

import criteria
import numpy as np
import pandas as pd
import pytest
import recovery_tasks
import torch
from record import PLAN as PLAN_FILE
from record import RESULTS
from torch import nn

from sklearn_fairprune.functional import CRITERIA, magnitude, prunable, score_masks

MEASURES = list(criteria.GOODS)


def table(values, seeds=3, **about):
    """Networks of one cell: {way: one worst-group accuracy a seed, or one for all}."""
    lines = []
    for way, found in values.items():
        for seed, value in enumerate(np.broadcast_to(found, seeds)):
            line = {"task": "t", "sparsity": 0.9} | about | {"way": way, "seed": seed}
            lines.append(line | dict.fromkeys(MEASURES, 0.5) | {"worst_accuracy": value})
    return pd.DataFrame(lines)


def with_rivals(ours, rival=0.5, **about):
    """Networks of one cell in which all rivals are alike."""
    others = dict.fromkeys(criteria.PLAN["rivals"], rival)
    return table({criteria.OURS: ours} | others, **about)


def verdict_of(tables, measure="worst_accuracy"):
    found = criteria.verdicts(criteria.duels(pd.concat(tables)))
    return found.set_index(["rival", "measure"]).loc["magnitude", measure]


STEADY = np.array([0.60, 0.61, 0.62])


def test_steadily_better_in_all_tasks_wins():
    found = verdict_of([with_rivals(STEADY, task=task) for task in "tuv"])
    assert (found["wins"], found["losses"], found["neither"]) == (3, 0, 0)
    assert found["mean"] == pytest.approx(0.11)
    assert found["verdict"] == "wins"


def test_steadily_worse_in_all_tasks_loses():
    found = verdict_of([with_rivals(1 - STEADY, task=task) for task in "tuv"])
    assert (found["wins"], found["losses"]) == (0, 3)
    assert found["verdict"] == "loses"


def test_of_measures_of_which_less_is_better_the_lower_wins():
    rows = [
        with_rivals(STEADY, task=task).assign(worst_loss=lambda t: t["worst_accuracy"])
        for task in "tuv"
    ]
    assert verdict_of(rows, "worst_loss")["verdict"] == "loses"


def test_a_wavering_cell_is_neither():
    found = verdict_of([with_rivals([0.4, 0.7, 0.6])])
    assert (found["wins"], found["losses"], found["neither"]) == (0, 0, 1)


def test_tasks_that_differ_give_no_verdict():
    rows = [with_rivals(STEADY, task="t"), with_rivals(1 - STEADY, task="u")]
    found = verdict_of([*rows, with_rivals(STEADY, task="v")])
    assert (found["wins"], found["losses"]) == (2, 1)
    assert found["verdict"] == "neither"


def test_one_seed_is_sure_of_nothing():
    found = verdict_of([with_rivals(0.9, seeds=1, task=task) for task in "tuv"])
    assert found["neither"] == 3


def test_differences_over_the_tasks_are_those_from_magnitude():
    rows = [
        table({"magnitude": 0.5, "taylor": 0.5 + d}, task=t)
        for t, d in zip("tu", (0, 2), strict=True)
    ]
    found = criteria.over_tasks(pd.concat(rows)).set_index(["way", "measure"])
    assert found.loc[("taylor", "worst_accuracy"), "mean"] == pytest.approx(1)
    assert found.loc[("magnitude", "worst_accuracy"), ["low", "high"]].tolist() == [0, 0]


def test_every_criterion_of_the_package_is_compared():
    options = [criteria.options_of(way) for way in criteria.PLAN["ways"]]
    compared = {o["criterion"] for o in options if o.get("scope") == "global"}
    assert compared == set(CRITERIA)
    layerwise = {o["criterion"] for o in options if o.get("scope") == "layerwise"}
    assert layerwise == {"wanda", "fairgrape"}


@pytest.mark.parametrize("sparsity", [0.5, 0.9, 0.98])
def test_masks_of_the_peer_are_those_of_one_shot_magnitude(sparsity):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 7))
    theirs = criteria.torch_masks(module, sparsity)
    weights = prunable(module)
    ours = score_masks({name: magnitude(w) for name, w in weights.items()}, sparsity)
    assert list(theirs) == list(ours)
    assert all(torch.equal(theirs[name], mask) for name, mask in ours.items())
    assert not hasattr(module[0], "weight_mask")


def test_every_way_is_run_from_one_dense_network(monkeypatch):
    rng = np.random.default_rng(0)
    y = np.arange(90) % 3
    X = rng.normal(size=(90, 5)).astype(np.float32)
    X[:, 0] += 3 * y
    rows = (X, y, np.array(["a", "b", "c"])[y])
    monkeypatch.setattr(criteria, "parts_of", lambda task, seed: {"train": rows, "test": rows})
    monkeypatch.setattr(criteria, "net_of", lambda task, parts: None)
    monkeypatch.setitem(criteria.PLAN, "sparsities", [0.8])
    ways = ["magnitude", "fairgrape, layerwise", criteria.PEER]
    monkeypatch.setitem(criteria.PLAN, "ways", ways)
    known = {"0.8; magnitude": {"accuracy": 2.0}}
    found = criteria.run("digits, default", 0, known)
    assert list(found) == ["dense", *(f"0.8; {way}" for way in ways)]
    assert found["0.8; magnitude"] == {"accuracy": 2.0}  # not measured again
    assert found[f"0.8; {criteria.PEER}"]["masks_are_torch's"] is True
    assert found["dense"]["xi"] == 0


def test_training_rows_are_thinned_together(monkeypatch):
    monkeypatch.setitem(criteria.PLAN, "most_rows", 4)
    found = criteria.thinned((np.arange(9.0)[:, None], np.arange(9), np.arange(9)), 0)
    assert [len(np.unique(values)) for values in found] == [4, 4, 4]
    assert (found[0][:, 0] == found[1]).all()
    assert (found[1] == found[2]).all()
    assert criteria.thinned(found, 1) is found


def test_components_know_the_training_images_alone():
    rng = np.random.default_rng(0)
    spread = np.linspace(5, 1, 100).reshape(1, 10, 10)
    parts = {
        part: ((rng.normal(size=(n, 1, 10, 10)) * spread + shift), np.zeros(n), np.zeros(n))
        for part, n, shift in (("train", 300, 0), ("test", 50, 3))
    }
    found = recovery_tasks.projected(parts)
    assert found["train"][0].shape == (300, recovery_tasks.N_COMPONENTS)
    assert found["train"][0].mean(0) == pytest.approx(0, abs=1e-5)
    assert found["train"][0].std(0) == pytest.approx(1, abs=1e-4)
    assert np.abs(found["test"][0].mean(0)).max() > 0.3
    assert found["test"][1] is parts["test"][1]


@pytest.fixture(scope="module")
def kept_table():
    plan = json.loads(PLAN_FILE.read_text(encoding="utf-8"))["criteria"]
    return criteria.table_of(
        {task: criteria.kept_runs(criteria.file_of(task)) for task in plan["tasks"]}
    )


def test_every_cell_of_the_plan_was_run(kept_table):
    plan = criteria.planned("criteria")
    seeds = kept_table.groupby([*criteria.CELL, "way"])["seed"].agg(list)
    assert len(seeds) == len(plan["tasks"]) * len(plan["sparsities"]) * len(plan["ways"])
    assert all(found == [str(seed) for seed in plan["seeds"]] for found in seeds)
    assert kept_table.loc[kept_table["way"] == criteria.PEER, "masks_are_torch's"].all()


def test_the_record_follows_from_the_kept_runs(kept_table):
    record = json.loads((RESULTS / "criteria.json").read_text(encoding="utf-8"))["data"]
    assert criteria.counts(kept_table).to_dict("index") == record["by_way"]
    found = criteria.duels(kept_table)
    assert found.round(5).to_dict("records") == record["duels"]
    judged = criteria.verdicts(found).round(5).to_dict("records")
    assert judged == list(record["verdicts"].values())
    made = criteria.over_tasks(kept_table).round(5).to_dict("records")
    assert made == record["over_tasks"]
    fronts = criteria.front_of_cells(kept_table, ["accuracy", "worst_accuracy"])
    assert fronts == record["fronts"]


def test_tables_and_sentences_are_what_the_runs_give():
    data = json.loads((RESULTS / "criteria.json").read_text(encoding="utf-8"))["data"]
    longer = (RESULTS.parent / "README.md").read_text(encoding="utf-8")
    for lines in (criteria.ways_table, criteria.duels_table, criteria.cells_table):
        assert "\n".join(lines(data)) in longer
    readme = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    words = " ".join(readme.split())
    assert criteria.sentences(data) in words
    assert "it wins and loses none of five measures against any of them" in words
    assert {row["verdict"] for row in data["verdicts"].values()} == {"neither"}
    assert len(criteria.PLAN["duelled"]) == 5
