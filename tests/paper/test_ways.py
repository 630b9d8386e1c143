"""What is run, and that it is what its name says."""

import re

import numpy as np
import pytest
from baselines import BASELINES
from records import LEAD, load
from ways import (
    FRONT_SPARSITY,
    PAPER,
    PLAN,
    RECOVERED_SETS,
    RECOVERED_SPARSITIES,
    SETS,
    SPARSITIES,
    STAGES,
    added,
    as_planned,
    beyond,
    front,
    last,
    plan,
    recovered,
    regimes,
    unplanned,
)

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

WAYS = [*regimes(), *beyond(), *front(), *added()]


def test_names_are_unique_at_every_sparsity():
    names = [(way.name, sparsity) for way, sparsity in plan(SETS)]
    assert len(names) == len(set(names))


def test_sets_add_up():
    assert sum(len(plan([name])) for name in SETS) == len(plan(SETS))
    assert {s for _, s in plan(["main"])} == set(SPARSITIES)
    assert {s for _, s in plan(["front"])} == {FRONT_SPARSITY}
    assert len(SPARSITIES) >= 5


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_way_is_a_constraint_or_a_known_baseline_or_nothing(way):
    if way.options is not None:
        pruner = GroupConstrainedPruner(PrunedClassifier(), **way.options)
        assert pruner.get_params()["stage"] in STAGES
    if way.baseline is not None:
        assert way.baseline in BASELINES
        assert way.strength > 0
    assert (way.options, way.baseline) != (None, None) or way.name == "none"


def test_the_papers_update_is_the_papers():
    pruner = GroupConstrainedPruner(PrunedClassifier(), **PAPER)
    assert (pruner.constraint, pruner.dual_update) == ("equal_loss", "absolute")
    assert (pruner.dual_optimizer, pruner.dual_steps) == ("ascent", 1)
    assert (pruner.tolerance, pruner.max_multiplier) == (0, np.inf)
    papers = [way for way in WAYS if way.name.startswith("paper")]
    for way in papers:
        differ = {k for k, _ in way.options.items() ^ PAPER.items()}
        assert differ == ({"dual_lr"} if "dual_lr" in way.name else {"stage"})


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.name)
def test_a_name_says_stage_and_held_out_rows(way):
    options = way.options or {}
    stages = [stage for stage in STAGES if f", {stage}" in way.name]
    assert stages in ([], [options.get("stage", "after")])
    assert ("held-out" in way.name) == bool(options.get("holdout"))


@pytest.mark.parametrize("option", ["dual_lr", "tolerance", "max_multiplier"])
def test_a_name_says_the_numbers_of_its_options(option):
    told = [way for way in WAYS if f"{option}=" in way.name]
    assert told
    for way in told:
        assert re.search(rf"{option}=([\d.]+)", way.name)[1] == f"{way.options[option]:g}"


def test_a_set_has_its_ways_and_no_others():
    sets = {"main": regimes(), "beyond": beyond(), "front": front(), "added": added()}
    sets |= {"recovered": recovered(), "last": last()}
    for name, ways in sets.items():
        assert {way.name for way, _ in plan([name])} == {way.name for way in ways}
    assert set(sets) == {*SETS, *RECOVERED_SETS}


def test_the_plan_has_the_ways_as_they_are_run():
    assert unplanned([*SETS, *RECOVERED_SETS]) == []
    for name in (*SETS, *RECOVERED_SETS):
        found = {way.name: as_planned(way) for way, _ in plan([name])}
        assert PLAN["ways"][name] == found
    assert tuple(PLAN["sparsities"]) == SPARSITIES
    assert tuple(PLAN["recovered_sparsities"]) == RECOVERED_SPARSITIES
    assert (PLAN["front_sparsity"], PLAN["broken_below"]) == (FRONT_SPARSITY, LEAD)


def test_kept_results_are_those_of_the_plan():
    planned = {name for ways in PLAN["ways"].values() for name in ways}
    for records in load().values():
        assert [r.about["seed"] for r in records] == PLAN["seeds"]
        for r in records:
            cells = {cell.rpartition("; ")[0] for cell in r.cells if cell[:5] != "dense"}
            assert cells <= planned


def test_a_way_with_other_options_is_not_planned(monkeypatch):
    monkeypatch.setitem(PLAN["ways"]["main"], "equal_loss, after", {"stage": "both"})
    assert unplanned(["main", "front"]) == ["equal_loss, after"]


def test_all_stages_of_both_updates_are_run():
    names = {way.name for way in regimes()}
    assert names == {"none"} | {f"{u}, {s}" for u in ("equal_loss", "paper") for s in STAGES}
