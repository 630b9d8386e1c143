"""Plan, scripts and kept results say the same."""

import itertools
import json
import subprocess
from pathlib import Path

import constrained_epoch
import mitigation
import pytest
import record
import sureness
import tables

PLAN = json.loads(record.PLAN.read_text(encoding="utf-8"))
RESULTS = Path(record.PLAN).parent / "results"


def kept(name):
    """Return a kept result."""
    return json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))


def leaves(value):
    """Numbers anywhere in a part of the plan."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return {leaf for v in value for leaf in leaves(v)}
    return {value}


@pytest.mark.parametrize("name", [name for name in PLAN if name != "note"])
def test_results_were_made_under_the_committed_plan(name):
    found = kept(name)
    if "plan" in found:  # those without one are older than it
        assert found["plan"] == PLAN[name]
        assert found["plan_committed"] is True
    else:
        assert name not in ("mitigation", "sureness")


@pytest.mark.parametrize(
    "name", ["constrained_epoch", "grid_memory", "fit_speed", "diagnostics"]
)
def test_targets_of_kept_results_are_planned(name):
    targets = [line["target"] for line in kept(name)["summary"]]
    targets = {str(t).removeprefix("<= ") for t in targets if t is not None} - {"1"}
    assert targets
    assert {float(t) for t in targets} <= {
        float(v) for v in leaves(PLAN[name]) if v is not None
    }


def test_the_mitigation_is_that_of_the_plan():
    plan, (ways, seeds) = PLAN["mitigation"], mitigation.kept_cells()
    assert set(ways) == set(plan["ways"])
    assert seeds == {name: plan["seeds"] for name in plan["data"]}
    for way, found in ways.items():
        names = [n for n in plan["data"] if n != "digits" or "Gradient" not in way]
        expected = {f"{name}, {s}" for name in names for s in plan["sparsities"]}
        assert set(found) == expected, way
    assert tuple(plan["data"]) == tables.NAMES
    assert plan["compared_with"] == "none"


def test_every_group_of_every_cell_of_the_sureness_is_kept():
    plan, found = PLAN["sureness"], kept("sureness")
    assert plan["draws"] == list(sureness.DRAW)
    counted = {tuple(key.split(", ")): cell for key, cell in found["data"]["cells"].items()}
    assert set(counted) == set(itertools.product(plan["sizes"], plan["draws"], plan["truths"]))
    lines = sureness.summarise(counted, {}, plan["reports"])
    assert lines == found["summary"][: len(lines)]
    assert len(found["summary"]) == len(lines) + 3


def test_seeds_and_groups_are_planned():
    assert len(kept("who_pays")["seeds"]) == PLAN["who_pays"]["seeds"]
    assert set(constrained_epoch.TARGETS) == set(constrained_epoch.SIZES)


def test_a_plan_that_git_does_not_have_is_noticed(tmp_path):
    path = tmp_path / "plan.json"
    path.write_text("{}")
    assert record.committed(path) is None  # no repository
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    assert record.committed(path) is False
    assert record.committed(Path(record.__file__).parent / "no such file") is True
