"""Settings are compared on validation rows; the test rows are never looked at."""

import json

import dual_defaults
import numpy as np
import pandas as pd
import pytest

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SETTINGS = {"weak": {"dual_lr": 0.01}}


@pytest.fixture
def found(monkeypatch):
    """Return a cell on a table whose validation rows are all labelled wrong."""
    split, calls = dual_defaults.split, []

    def spied(X, y, groups, seed):
        train, held = split(X, y, groups, seed)
        calls.append(len(y))
        if len(calls) == 1:
            return train, None  # to look at the test rows is an error
        X, y, groups = held
        return train, (X, 1 - y, groups)

    rng = np.random.default_rng(0)
    y = np.arange(200) % 2
    X = pd.DataFrame({"a": 3.0 * (2 * y - 1) + 0.3 * rng.normal(size=200)})
    monkeypatch.setattr(dual_defaults, "split", spied)
    monkeypatch.setattr(dual_defaults, "load", lambda name: (X, y, np.repeat(["a", "b"], 100)))
    monkeypatch.setattr(dual_defaults, "settings", lambda: SETTINGS)
    monkeypatch.setattr(dual_defaults, "SPARSITIES", (0.5,))
    outcome = dual_defaults.cell("toy", 0)
    assert calls == [200, 140]
    return outcome


def test_settings_are_measured_on_validation_rows(found):
    assert list(found) == [0.5]
    assert list(found[0.5]) == ["none", "weak"]
    assert all(outcome["accuracy"] < 0.2 for outcome in found[0.5].values())


def outcome(accuracy, worst):
    """Figures of a setting."""
    return dict.fromkeys(dual_defaults.SHOWN, 0.0) | {
        "accuracy": accuracy,
        "worst_accuracy": worst,
    }


CELLS = {
    name: [{"none": outcome(0.8, 0.5), "safe": outcome(0.8, 0.6), "bold": outcome(0.7, 0.9)}]
    * 2
    for name in ("x, 0.9", "y, 0.9")
}


def test_the_rule_takes_nothing_that_costs_accuracy():
    table = dual_defaults.changes(CELLS)
    assert table["bold"]["accuracy"] == pytest.approx(-0.1)
    assert table["safe"]["worst_accuracy"] == pytest.approx(0.1)
    assert dual_defaults.best_by_the_rule(table) == "safe"


def test_runs_of_every_seed_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(dual_defaults, "RESULTS", tmp_path)
    dual_defaults.keep_runs(CELLS, [100, 101])
    kept = json.loads((tmp_path / "dual_defaults_runs.json").read_text())
    assert [run[:2] for run in kept["runs"]] == [
        ["x, 0.9", 100],
        ["x, 0.9", 101],
        ["y, 0.9", 100],
        ["y, 0.9", 101],
    ]
    place = kept["fields"].index("worst_accuracy")
    assert kept["runs"][0][2]["bold"][place] == 0.9
