"""The mitigation after recovery is that of its plan, and beside it stand the same cells."""

import itertools
import json

import mitigation
import mitigation_recovered as recovered
import numpy as np
import pytest
from record import RESULTS

from sklearn_fairprune import PrunedClassifier

PLAN = recovered.PLAN


def runs_of(values):
    """Two seeds of one data set: {way: (spread of seed 0, of seed 1)}."""
    return {
        "digits": {
            str(seed): {
                f"{way}; 0.9": dict.fromkeys(recovered.SHOWN, 0.5) | {"spread": spreads[seed]}
                for way, spreads in values.items()
            }
            for seed in range(2)
        }
    }


def test_differences_are_paired_by_seed():
    runs = runs_of({"none": (0.1, 0.9), "distillation": (0.001, 0.799)})
    cells = [c for c in recovered.cells_of(runs) if c["measure"] == "spread"]
    found = {c["way"]: c for c in cells}
    assert found["distillation"]["mean"] == pytest.approx(-0.1)
    assert found["distillation"]["high"] == pytest.approx(-0.1 + 12.706 * 0.001, abs=1e-5)
    assert recovered.tally(cells)["distillation"]["spread"]["lower"] == 1


def test_a_cell_that_wavers_is_neither_lower_nor_higher():
    runs = runs_of({"none": (0.5, 0.5), "distillation": (0.0, 0.8)})
    tallied = recovered.tally(recovered.cells_of(runs))["distillation"]["spread"]
    assert (tallied["lower"], tallied["higher"], tallied["cells"]) == (0, 0, 1)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_ways_are_those_of_the_plan_on_the_given_dense_network():
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.normal(size=(60, 4)).astype(np.float32)
    X[:, 0] += 3 * y
    data = X, y, np.repeat(["a", "b", "c"], 20)
    dense = PrunedClassifier(sparsity=0.0, random_state=0).fit(
        X, y, sensitive_features=data[2]
    )
    models = dict(recovered.models_of(dense, data, 0, 0.5))
    assert list(models) == PLAN["ways"]
    assert models["distillation"].recovery.share == 1.0
    assert models["group-balanced distillation"].recovery.balance == 1.0
    for name in ("none", "distillation", "group reweighting, after"):
        first = next(iter(models[name].dense_estimator_.module_.state_dict().values()))
        assert first.equal(next(iter(dense.estimator_.module_.state_dict().values()))), name


def test_kept_runs_are_those_of_the_plan():
    for name in PLAN["data"]:
        by_seed = recovered.kept_runs(recovered.file_of(name))
        assert list(by_seed) == [str(seed) for seed in PLAN["seeds"]]
        keys = [f"{w}; {s}" for s, w in itertools.product(PLAN["sparsities"], PLAN["ways"])]
        for found in by_seed.values():
            assert list(found) == keys


def test_the_record_follows_from_the_kept_runs_of_both_budgets():
    data = json.loads((RESULTS / "mitigation_recovered.json").read_text())["data"]
    runs = {name: recovered.kept_runs(recovered.file_of(name)) for name in PLAN["data"]}
    before = {name: recovered.short(name, by_seed) for name, by_seed in runs.items()}
    for budget, of in (("recovered", runs), ("5 epochs", before)):
        assert recovered.tally(recovered.cells_of(of)) == data["tallies"][budget]
    first = mitigation.kept_runs()["adult"]["0"]["none; 0.9"]["test spread"]
    assert before["adult"]["0"]["none; 0.9"]["spread"] == first
