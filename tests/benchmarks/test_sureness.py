"""Wrong and right names are told apart, and every group of every cell is scored."""

import json

import numpy as np
import pytest
import sureness

SIZES = {"two groups": [400, 100], "two beside one of 9 rows": [300, 200, 9]}


@pytest.mark.parametrize("name", sureness.DRAW)
def test_distributions_have_mean_0_and_variance_1(name):
    values = sureness.DRAW[name](np.random.default_rng(0), 400_000)
    assert abs(values.mean()) < 0.01
    assert values.std() == pytest.approx(1, abs=0.03)


def test_decisions_are_shifted_as_the_others_are():
    values = sureness.decisions(np.random.default_rng(0), np.full(400_000, 0.3))
    assert values.mean() == pytest.approx(0.3, abs=0.01)
    assert len(np.unique(values)) == 3


@pytest.mark.parametrize(
    ("truth", "shift", "worst"),
    [
        ("all alike", [0, 0, 0], None),
        ("the smallest is worse", [0, 0.3, 0], 1),
        ("the largest is worse", [0.3, 0, 0], 0),
        ("two are worse", [0.3, 0.3, 0], None),
    ],
)
def test_only_groups_that_can_be_named_are_worse(truth, shift, worst):
    found = sureness.shifts([300, 200, 9], truth)
    assert found[0].tolist() == shift
    assert found[1] == worst


def test_a_name_is_right_only_if_that_group_alone_is_the_worst(monkeypatch):
    sizes, three = [300, 200, 9], np.array([0, 3.0, 0])
    monkeypatch.setitem(sureness.PLAN, "shift", 3.0)
    for truth in ("the smallest is worse", "the largest is worse"):
        assert sureness.count(sizes, "normal", truth, 3)[:2] == (0, 3)
    for worst in (0, None):
        monkeypatch.setattr(sureness, "shifts", lambda s, t, worst=worst: (three, worst))
        assert sureness.count(sizes, "normal", "", 3)[:2] == (3, 0)


def test_means_outside_their_limits_are_counted(monkeypatch):
    limits = np.array([-9, 1]), np.array([9, 2])
    monkeypatch.setattr(sureness, "group_limits", lambda *rows: limits)
    assert sureness.count([300, 200], "normal", "all alike", 4)[2] == [0, 4]


@pytest.mark.parametrize(
    ("given", "wrong"), [([None, None] * 2, 0), ([1, None] * 2, 2), ([None, 0] * 2, 2)]
)
def test_either_name_makes_a_report_wrong(monkeypatch, given, wrong):
    names = iter(given)
    monkeypatch.setattr(sureness, "name_of", lambda values, groups, m: next(names, None))
    assert sureness.count_together([100, 100], "normal", 1) == min(wrong, 1)


def test_the_worst_cell_is_told(monkeypatch):
    monkeypatch.setitem(sureness.PLAN, "sizes", SIZES)
    monkeypatch.setitem(sureness.PLAN, "draws", ["normal"])
    counted = {
        (groups, "normal", truth): (1, 2, [0] * len(sizes))
        for groups, sizes in SIZES.items()
        for truth in sureness.PLAN["truths"]
    }
    counted["two beside one of 9 rows", "normal", "all alike"] = (80, 0, [0, 90, 300])
    first, _, _, _, power, enough, few, together = sureness.summarise(
        counted, {"normal": 3}, 1000
    )
    assert first["name"].endswith("all alike: wrong name, at most (two beside one of 9 rows)")
    assert (first["value"], first["met"]) == (0.08, False)
    assert (power["value"], power["target"]) == (8 / 4000, None)
    assert "two beside one of 9 rows, all alike, 200 rows" in enough["name"]
    assert (enough["value"], enough["met"]) == (0.09, False)
    assert (few["value"], few["target"]) == (0.3, None)
    assert "9 rows)" in few["name"]
    assert (together["value"], together["met"]) == (0.003, True)
    low, high = json.loads(first["unit"])
    assert low < 0.08 < high


def test_the_script_writes_what_it_counted(results, monkeypatch):
    monkeypatch.setitem(sureness.PLAN, "sizes", SIZES | {"three groups": [80, 90, 100]})
    monkeypatch.setattr("sys.argv", ["", "--reports", "2"])
    sureness.main()
    kept = json.loads((results / "sureness.json").read_text())
    assert len(kept["data"]["cells"]) == 3 * len(sureness.DRAW) * 4
    assert len(kept["summary"]) == 7 * len(sureness.DRAW) + 3


def test_weighted_cells_are_counted_and_kept(results, monkeypatch):
    plan = {
        "cv": 1,
        "sizes": {"two": [300, 200]},
        "kinds": {"apart": ["normal"], "large weights vary more": ["normal", "decisions"]},
        "wrong_name": 0.05,
    }
    monkeypatch.setattr(sureness, "PLAN_OF_WEIGHTED", plan)
    monkeypatch.setattr("sys.argv", ["", "--weighted", "--reports", "3"])
    sureness.main()
    kept = json.loads((results / "sureness_weighted.json").read_text())
    assert len(kept["data"]["cells"]) == 3 * 4
    assert len(kept["summary"]) == 3 * 3
    monkeypatch.setitem(sureness.PLAN, "shift", 3.0)
    one = sureness.count_weighted([300, 200], "normal", "the smallest is worse", "apart", 3)
    assert one[:2] == (0, 3)
    monkeypatch.setattr(sureness, "shifts", lambda s, t: (np.array([0, 3.0]), 0))
    assert sureness.count_weighted([300, 200], "normal", "", "apart", 3)[:2] == (3, 0)
