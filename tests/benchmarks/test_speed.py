"""Scripts that time something do the same work in every way, and write their figures."""

import json
from types import SimpleNamespace

import constrained_epoch
import fit_speed
import grid_memory
import group_scores
import numpy as np
import pandas as pd
import pytest
import record

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_ways_take_turns_and_ratios_are_medians():
    calls = []
    ways = {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}
    seconds, _ = record.interleaved(ways, 3)
    assert calls == ["a", "b"] * 3
    assert {len(v) for v in seconds.values()} == {3}
    assert record.ratio({"a": [1, 2, 9], "b": [1, 1, 1]}, "a", "b") == 2


def test_the_constrained_epoch_runs_for_every_way(results, monkeypatch):
    problem = constrained_epoch.problem
    monkeypatch.setattr(constrained_epoch, "problem", lambda hidden: problem(hidden, n=300))
    monkeypatch.setattr(constrained_epoch, "SIZES", {"100-32-2": (4,)})
    monkeypatch.setattr(constrained_epoch, "GROUPS", [2])
    monkeypatch.setattr("sys.argv", ["", "--repetitions", "1"])
    constrained_epoch.main()
    kept = json.loads((results / "constrained_epoch.json").read_text())
    assert len(kept["summary"]) == len(constrained_epoch.WAYS)
    assert [line["target"] for line in kept["summary"]] == [1.3, None, None, None]


@pytest.mark.usefixtures("few_epochs")
def test_a_search_with_memory_scores_the_same(results, monkeypatch):
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.normal(size=(60, 3)), columns=list("abc"))
    data = SimpleNamespace(X=X, y=np.arange(60) % 2)
    monkeypatch.setattr(grid_memory, "load_mortgage", lambda: data)
    monkeypatch.setattr(grid_memory, "SPARSITIES", [0, 0.5])
    monkeypatch.setattr("sys.argv", ["", "--repetitions", "1"])
    grid_memory.main()
    kept = json.loads((results / "grid_memory.json").read_text())
    same = [line["value"] for line in kept["summary"] if "identical" in line["name"]]
    assert same == [1, 1]


def test_all_ways_of_training_learn(monkeypatch):
    monkeypatch.setattr(fit_speed, "ROWS", 2000)
    monkeypatch.setattr(fit_speed, "FEATURES", 8)
    monkeypatch.setattr(fit_speed, "BATCH", 50)
    monkeypatch.setattr(fit_speed, "EPOCHS", 12)
    X, y = fit_speed.make_data()
    fitted = {name: fit() for name, fit in fit_speed.fit_ways(X, y, (8,)).items()}
    module = fitted.pop("bare loop").eval()
    probabilities = {name: model.predict_proba(X) for name, model in fitted.items()}
    probabilities["bare loop"] = fit_speed.forward(module, X)
    for name, probability in probabilities.items():
        assert np.mean(probability.argmax(axis=1) == y) > 0.7, name


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_eigenvalues_are_those_of_two_others():
    import diagnostics  # curvlinops warns when it is imported

    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3)).astype(np.float32)
    y, codes = np.arange(60) % 2, np.arange(60) // 30
    lines = []
    kept = diagnostics.exactness("toy", X, y, codes, lines)
    assert [line["met"] for line in lines] == [True] * 4
    assert {len(v["eigenvalues"]) for v in kept.values()} == {2}


def test_scores_of_groups_are_timed_beside_their_plain_forms(results, monkeypatch):
    problem = group_scores.problem
    monkeypatch.setattr(group_scores, "problem", lambda: problem(n=400))
    monkeypatch.setattr(group_scores, "HIDDEN", (4,))
    monkeypatch.setattr("sys.argv", ["", "--repetitions", "1"])
    group_scores.main()
    kept = json.loads((results / "group_scores.json").read_text())
    n_pairs = len(group_scores.PLAN["statistics"]) + len(group_scores.PLAN["criteria"])
    assert len(kept["summary"]) == n_pairs * len(group_scores.PLAN["groups"])
    targets = {line["name"].split()[0]: line["target"] for line in kept["summary"]}
    assert targets["group_gradients"] == 1.3
    assert targets["worst_group"] is None
