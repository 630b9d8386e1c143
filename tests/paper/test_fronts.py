"""Ways are picked on validation rows and measured on test rows."""

import numpy as np
import pytest
from fronts import (
    BASELINES,
    BUDGETS,
    WITH_ADDED,
    cell,
    chosen,
    constraints,
    families,
    goal,
    held_out,
    late,
    pick,
    ways_of,
)
from record_cases import DENSE, measured, record
from records import HOLDS
from ways import added, beyond, front, regimes

EVEN = {"accuracy": [0.8, 0.79, 0.78, 0.77], "loss": DENSE["loss"]}
CHEAP = {"accuracy": [0.9, 0.83, 0.74, 0.7], "loss": DENSE["loss"]}
FLAT = {"accuracy": [0.25] * 4, "loss": [1.4] * 4}
WAY = "equal_loss, after (dual_lr=0.01)"


def test_every_way_has_one_family():
    names = [name for ways in families().values() for name in ways]
    run = (*regimes(), *beyond(), *front(), *added())
    assert sorted(names) == sorted({w.name for w in run})
    assert not set(constraints()) & {*BASELINES, *late(), "none"}


def test_ways_that_were_added_later_have_families_of_their_own():
    assert set(ways_of(late())) == {w.name for w in added()}
    assert not set(ways_of([*constraints(), *BASELINES])) & {w.name for w in added()}


def test_ways_that_were_added_later_have_no_say_in_the_comparison():
    best = {cell(added()[0].name): CHEAP}
    records = [record(seed, cells=best) for seed in range(3)]
    rows = {(r["budget"], r["family"]): r for r in chosen(records, "spread")}
    late_ones = {w.name for w in added()}
    assert not late_ones & set(rows[0.05, "constraints"]["picked"])
    assert set(rows[0.05, WITH_ADDED]["picked"]) == {added()[0].name}
    assert goal(rows.values(), WITH_ADDED)["ratio"] != goal(rows.values())["ratio"]


def test_the_least_spread_within_the_budget_is_picked():
    r = record(cells={cell(WAY): CHEAP, cell("weights (1)"): EVEN})
    assert pick(r, [WAY, "weights (1)"], 0.01, "spread") == WAY
    assert pick(r, [WAY, "weights (1)"], 0.5, "spread") == "weights (1)"


def test_nothing_better_means_pruning_alone():
    assert pick(record(cells={cell(WAY): FLAT}), [WAY], 0.0, "spread") == "none"


def test_broken_is_never_picked():
    r = record(cells={cell(WAY): FLAT})
    assert pick(r, [WAY], 1.0, "spread") == "none"


def test_test_rows_have_no_say():
    r = record(cells={cell(WAY): CHEAP})
    before = pick(r, [WAY, "weights (1)"], 0.01, "spread")
    rng = np.random.default_rng(0)
    for name in r.cells:
        r.cells[name]["test"] = measured(rng.random(4), rng.random(4), 0.0)["test"]
    assert pick(r, [WAY, "weights (1)"], 0.01, "spread") == before == WAY


def test_chosen_is_measured_against_pruning_alone_and_baselines():
    found = {cell(WAY): CHEAP}
    records = [record(seed, cells=found, harm=0.02) for seed in range(3)]
    rows = {(r["budget"], r["family"]): r for r in chosen(records, "spread")}
    assert {budget for budget, _ in rows} == set(BUDGETS)
    row = rows[0.01, "constraints"]
    assert set(row["picked"]) == {WAY}
    spread = np.ptp(DENSE["accuracy"]) + 0.06
    assert row["ratio"][0] == pytest.approx(0.2 / spread)
    assert row["against_baselines"][0] == pytest.approx(0.2 - spread)
    assert rows[0.01, "baselines"]["against_baselines"] == [0.0, 0.0, 0.0]


def test_fronts_need_every_way():
    records = [record(seed) for seed in range(3)]
    for r in records:
        del r.cells[cell("group DRO (0.1)")]
    assert chosen(records, "spread") == []
    assert goal([]) == {}


def test_goal_is_judged_by_both_intervals():
    even = {"accuracy": [0.85, 0.84, 0.83, 0.82], "loss": DENSE["loss"]}
    records = [record(seed, cells={cell(WAY): even}) for seed in range(3)]
    verdict = goal(chosen(records, "spread"))
    assert verdict["accuracy within a point"] == HOLDS
    assert verdict["spread at most 0.6"] == HOLDS
    records = [record(seed) for seed in range(3)]
    assert goal(chosen(records, "spread"))["spread at most 0.6"] != HOLDS


def test_held_out_compares_with_pruning_alone_on_the_same_rows_too():
    rows = list(held_out("svhn", [record(seed) for seed in range(3)]))
    bases = {r["base"] for r in rows if r["way"] == "equal_loss, held-out multipliers"}
    assert bases == {"none", "none, on the rows that held-out multipliers leave"}
    assert {r["base"] for r in rows if r["way"] == "equal_loss, after"} == {"none"}
    assert {r["part"] for r in rows} == {"train", "test"}
    assert all(abs(r["mean"]) < 0.01 for r in rows)
