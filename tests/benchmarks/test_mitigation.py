"""Ways are fitted on training rows and measured on the test rows, of every group."""

import json
from functools import partial

import measure
import mitigation
import numpy as np
import pytest
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import PrunedClassifier

SPARSITY = 0.5
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore:Setting a"),
]


def rows(seed, n=90):
    """Two classes that the first feature tells apart, three groups of a size."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 2
    X = rng.normal(size=(n, 4)).astype(np.float32)
    X[:, 0] = 3 * (2 * y - 1) + 0.3 * X[:, 0]
    return X, y, np.repeat(["a", "b", "c"], n // 3)


@pytest.fixture(scope="module")
def toy():
    """Training rows, and test rows of which group "c" has every label the other way."""
    X, y, groups = rows(1)
    return rows(0), (X, np.where(groups == "c", 1 - y, y), groups)


@pytest.fixture(scope="module")
def found(toy):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mitigation, "SPARSITIES", (SPARSITY,))
        short = partial(mitigation.ExponentiatedGradient, max_iter=2)
        patch.setattr(mitigation, "ExponentiatedGradient", short)
        return mitigation.outcomes(*toy, seed=0)


def test_every_way_of_the_plan_is_measured(found):
    assert list(found) == [f"{way}; {SPARSITY}" for way in sorted_as(found)]
    assert {key.split("; ")[0] for key in found} == set(mitigation.PLAN["ways"])
    for values in found.values():
        assert set(values) == {f"{p} {k}" for p in ("train", "test") for k in mitigation.KEPT}


def sorted_as(found):
    return [key.split("; ")[0] for key in found]


def test_training_and_test_rows_are_not_taken_for_each_other(found):
    for way, values in found.items():
        assert values["train accuracy"] > 0.9, way
        assert values["test accuracy"] == pytest.approx(2 / 3, abs=0.1), way
        assert values["train spread"] < 0.2 < 0.8 < values["test spread"], way
        assert values["train violation"] < 0.5 < values["test violation"], way


def test_figures_of_pruning_alone_are_those_by_hand(found, toy):
    (X, y, groups), test = toy
    dense = PrunedClassifier(sparsity=0.0, random_state=0).fit(X, y, sensitive_features=groups)
    pruned = PrunedClassifier(
        FrozenEstimator(dense.estimator_), sparsity=SPARSITY, random_state=0, **measure.SHORT
    ).fit(X, y, sensitive_features=groups)
    X, y, groups = test
    right = pruned.predict(X) == y
    losses = [-np.log(m.predict_proba(X)[np.arange(len(y)), y]) for m in (pruned, dense)]
    accuracy = [right[groups == g].mean() for g in "abc"]
    loss, excess = (
        [v[groups == g].mean() for g in "abc"] for v in (losses[0], np.subtract(*losses))
    )
    values = found[f"none; {SPARSITY}"]
    assert values["test accuracy"] == pytest.approx(right.mean(), abs=1e-5)
    assert values["test spread"] == pytest.approx(np.ptp(accuracy), abs=1e-5)
    assert values["test xi"] == pytest.approx(np.ptp(excess), abs=1e-4)
    assert values["test violation"] == pytest.approx(max(loss) - losses[0].mean(), abs=1e-4)


def cell(spread, accuracy=0.0, one_class=0.0):
    """Values of one way, sparsity and seed."""
    kept = {f"{p} {k}": 0.5 for p in ("train", "test") for k in mitigation.KEPT}
    return kept | {
        "test spread": spread,
        "test accuracy": accuracy,
        "test one_class": one_class,
    }


@pytest.fixture
def runs():
    """Digits, whose spread a way halves, and a table where it does nothing; three seeds.

    At 0.98 the table's network predicts one class; "other" has not been run on the digits.
    """
    found = {}
    for name in ("digits", "adult"):
        for seed in range(3):
            noise = 0.001 * seed
            of = {f"none; {s}": cell(0.8, 0.5) for s in (0.9, 0.98)}
            if name == "digits":
                of |= {f"way; {s}": cell(0.4 + noise, 0.6 + noise) for s in (0.9, 0.98)}
            else:
                of["none; 0.98"] = cell(0.8, 0.5, one_class=1.0)
                shift = (0.02, -0.01, -0.01)[seed]
                of |= {f"way; {s}": cell(0.8 + shift, 0.5 + shift) for s in (0.9, 0.98)}
                of |= {f"other; {s}": cell(0.7 + noise, 0.5) for s in (0.9, 0.98)}
            found.setdefault(name, {})[str(seed)] = of
    return found


def test_differences_are_to_pruning_alone_seed_by_seed(runs):
    found = mitigation.compare(runs)["way"]["digits, 0.9"]["test spread"]
    assert found["mean"] == pytest.approx(-0.399)
    assert found["low"] < found["mean"] < found["high"] < 0
    assert found["value"] == pytest.approx(0.401)


def test_digits_stand_apart_and_cells_are_equal(runs):
    lines, data = mitigation.summarise(mitigation.compare(runs))
    assert data["broken"] == ["adult, 0.98"]
    assert data["shared"] == ["adult, 0.9"]
    assert {row["cells"] for row in data["ways"].values()} == {1}
    way = data["ways"]["way"]
    assert way["test spread"] == {"lower": 0, "higher": 0, "change": 0.0}
    assert way["by_data"]["digits"]["test spread"]["lower"] == 2
    assert way["by_data"]["digits"]["test spread"]["change"] == pytest.approx(-0.399)
    assert data["ways"]["other"]["test spread"]["lower"] == 1
    assert "digits" not in data["ways"]["other"]["by_data"]
    assert {line["name"].split(":")[0] for line in lines} == {"way", "other"}


def test_tables_say_cells_and_data(runs):
    _, data = mitigation.summarise(mitigation.compare(runs))
    head, _, *lines = mitigation.changes_table(data)
    assert head == "| way | digits, 2 cells | adult, 1 cells |"
    assert lines == ["| way | -39.9, +10.1 | +0.0, +0.0 |", "| other | - | -9.9, +0.0 |"]
    head, _, *lines = mitigation.counts_table(data)
    assert head.startswith("| way | spread, 1 cells | worst loss, 1 cells | xi, 1 cells |")
    assert (
        lines[0] == "| way | 0 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | 2 / 0 | 0 / 0 | 0 / 0 | 0 / 2 |"
    )
    assert lines[1] == "| other | 1 / 0 | 0 / 0 | 0 / 0 | 0 / 0 | - | - | - | - |"


@pytest.fixture
def folder(results, monkeypatch):
    """Return where the script writes, with nothing in it."""
    monkeypatch.setattr(mitigation, "RESULTS", results)
    monkeypatch.setattr(mitigation, "RUNS", results / "runs")
    monkeypatch.setattr(mitigation, "plot", lambda table, seeds, path: None)
    return results


def test_runs_of_every_seed_are_kept(folder, runs):
    for name, by_seed in runs.items():
        mitigation.keep_runs(name, by_seed)
    assert {p.name for p in (folder / "runs").iterdir()} == {"digits.json", "adult.json"}
    assert mitigation.kept_runs() == runs


def test_a_run_that_was_cut_short_is_taken_up(folder, runs, monkeypatch):
    mitigation.keep_runs("digits", {"0": runs["digits"]["0"]})
    asked = []

    def run(name, seed):
        asked.append((name, seed))
        return runs[name][str(seed)]

    monkeypatch.setattr(mitigation, "run", run)
    monkeypatch.setattr("sys.argv", ["", "--seeds", "2", "--data", "digits,adult"])
    mitigation.main()
    assert asked == [("adult", 0), ("digits", 1), ("adult", 1)]
    assert {n: list(v) for n, v in mitigation.kept_runs().items()} == {
        "digits": ["0", "1"],
        "adult": ["0", "1"],
    }
    kept = json.loads((folder / "mitigation.json").read_text())
    assert kept["plan"] == mitigation.PLAN
    assert kept["data"]["seeds"] == {"digits": [0, 1], "adult": [0, 1]}


def test_a_summary_leaves_the_machine_of_the_runs(folder, runs, monkeypatch):
    for name, by_seed in runs.items():
        mitigation.keep_runs(name, by_seed)
    old = {"python": "3", "versions": {"torch": "2"}, "processor": "another"}
    (folder / "mitigation.json").write_text(json.dumps(old))
    monkeypatch.setattr("sys.argv", ["", "--summary"])
    mitigation.main()
    kept = json.loads((folder / "mitigation.json").read_text())
    assert {k: kept[k] for k in old} == old
    assert kept["data"]["broken"] == ["adult, 0.98"]


def test_plot_is_drawn(runs, tmp_path):
    names = {name: [0, 1, 2] for name in runs}
    mitigation.plot(mitigation.compare(runs), names, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 0
