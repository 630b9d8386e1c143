"""Claims get the verdict that the made-up records were made for."""

import numpy as np
import pytest
from claims import balances, explanations, halves, judgements, regimes, relations, who_loses
from record_cases import DENSE, QUANTITIES, record
from records import BROKEN, FAILS, HOLDS, UNSURE
from ways import HIGH_SPARSITIES, SPARSITIES

EVEN = {"accuracy": [0.8, 0.8, 0.8, 0.8 + 1e-9], "loss": [0.6] * 4}
NARROW = {"accuracy": [0.8, 0.75, 0.75, 0.7], "loss": [0.6] * 4}
FLAT = {"accuracy": [0.25] * 4, "loss": [1.4] * 4}


def records(**options):
    return [record(seed, **options) for seed in range(3)]


def verdicts(rows):
    return {(r["statement"], r["sparsity"]): r["verdict"] for r in rows}


def test_small_groups_that_lose_are_found():
    found = verdicts(who_loses("svhn", records(harm=0.05)))
    assert {found["small groups lose more", s] for s in SPARSITIES} == {HOLDS}
    assert {found["accuracy of small groups falls", s] for s in SPARSITIES} == {HOLDS}
    assert {found["accuracy of large groups stays", s] for s in SPARSITIES} == {FAILS}


def test_no_harm_does_not_hold():
    found = verdicts(who_loses("svhn", records(harm=0.0)))
    assert HOLDS not in {found["accuracy of small groups falls", s] for s in SPARSITIES}
    assert {found["accuracy of large groups stays", s] for s in SPARSITIES} == {HOLDS}


def test_turned_round_it_does_not_hold():
    found = verdicts(who_loses("svhn", records(harm=-0.05)))
    assert {found["small groups lose more", s] for s in SPARSITIES} == {FAILS}


def test_classes_of_one_size_are_ordered_by_accuracy_alone():
    statements = {s for s, _ in verdicts(who_loses("cifar10", records()))}
    assert statements
    assert not any("small" in s or "large" in s for s in statements)


def test_halves_leave_the_middle_out_and_do_not_look_at_test_rows():
    r = record()
    r.cells["dense; 0"]["test"] = {"accuracy": DENSE["accuracy"][::-1], "loss": DENSE["loss"]}
    upper, lower = halves(r, "accuracy")
    assert (set(upper), set(lower)) == ({0, 1}, {2, 3})


def test_broken_networks_are_not_judged():
    found = verdicts(who_loses("svhn", records(cells={"none; 0.98": FLAT})))
    assert found["small groups lose more", 0.98] == BROKEN
    assert found["small groups lose more", 0.95] != BROKEN


def test_relations_keep_the_sign_of_what_is_there():
    rows = list(relations("svhn", records()))
    size = next(r for r in rows if r["statement"].startswith("group size"))
    assert (size["mean"], size["paper"], size["verdict"]) == (pytest.approx(-1), "-", HOLDS)
    assert {r["verdict"] for r in rows} == {HOLDS}
    assert all(-1 <= r["low"] <= r["mean"] <= r["high"] <= 1 for r in rows)


def test_relations_the_other_way_do_not_hold():
    turned = records()
    for r in turned:
        r.diagnoses["dense, none"] = QUANTITIES | {"gradient_norm": [4.0, 3.0, 2.0, 1.0]}
    found = verdicts(relations("svhn", turned))
    assert found["group size and gradient norm", 0.0] == FAILS
    assert found["gradient norm and largest eigenvalue", 0.0] == FAILS
    assert found["closeness to the boundary and largest eigenvalue", 0.0] == HOLDS


def test_relations_of_equal_sizes_are_left_out():
    assert not any("size" in r["statement"] for r in relations("cifar10", records()))


def test_damage_that_follows_the_gradient_norm_is_explained_by_it():
    found = verdicts(explanations("svhn", records(harm=0.05)))
    for part in ("training rows", "held-out rows"):
        for what in ("gradient norm", "dense accuracy", "largest eigenvalue"):
            assert found[f"{what} and R(a), fine-tuned, {part}", 0.9] == HOLDS
    assert found["estimate R2 and R(a), masked only", 0.9] == HOLDS


def test_gaps_are_ratios():
    balanced = records()
    for r, part in zip(balanced, (2, 2.1, 1.9), strict=True):
        half = (np.array(QUANTITIES["gradient_norm"]) / part).tolist()
        r.diagnoses["pruned, paper, after"] = QUANTITIES | {"gradient_norm": half}
    rows = list(balances("svhn", balanced))
    gap = next(
        r
        for r in rows
        if r["statement"]
        == "gap in gradient norm, pruned network, the paper's update, training rows"
    )
    assert gap["mean"] == pytest.approx(0.5, rel=0.01)
    assert gap["low"] < gap["mean"] < gap["high"]
    assert gap["verdict"] == HOLDS
    others = [r["mean"] for r in rows if r is not gap]
    assert others == pytest.approx([1.0] * len(others))


def test_gaps_in_accuracy_are_told_apart_by_their_rows():
    kept = records(cells={"paper, after; 0.9": EVEN}, harm=0.05)
    for r in kept:
        r.cells["paper, after; 0.9"]["test"] = r.cells["none; 0.9"]["test"]
    found = {r["statement"]: r for r in balances("svhn", kept)}
    gap = "gap in accuracy, pruned network, the paper's update, {} rows"
    assert found[gap.format("training")]["mean"] < 1e-6
    assert found[gap.format("training")]["verdict"] == HOLDS
    assert found[gap.format("held-out")]["mean"] == pytest.approx(1)
    assert found[gap.format("held-out")]["verdict"] == UNSURE
    for name, row in found.items():
        assert name.endswith("training rows") or "gap in accuracy" in name
        assert (row["sparsity"] == 0) == ("dense network" in name)


def test_a_dense_gap_is_that_of_the_dense_networks():
    even = {"dense, equal_loss, before; 0": NARROW}
    found = {r["statement"]: r["mean"] for r in balances("svhn", records(cells=even))}
    for rows in ("training", "held-out"):
        gap = f"gap in accuracy, dense network, {{}}, {rows} rows"
        assert found[gap.format("the package's defaults")] == pytest.approx(0.5)
        assert found[gap.format("the paper's update")] == pytest.approx(1)


def test_gaps_of_broken_networks_are_not_judged():
    flat = {"accuracy": [0.25, 0.26, 0.24, 0.25], "loss": [1.4] * 4}
    rows = balances("svhn", records(cells={"paper, after; 0.9": flat}))
    for row in rows:
        broken = "pruned network, the paper's update" in row["statement"]
        assert (row["verdict"] == BROKEN) == broken


def test_a_regime_that_evens_out_holds_and_costs():
    even = {f"equal_loss, after; {s:g}": EVEN for s in SPARSITIES}
    found = verdicts(regimes("svhn", records(harm=0.05, cells=even)))
    name = "the package's defaults"
    for sparsity in SPARSITIES:
        assert found[f"spread of none >= after, {name}", sparsity] == HOLDS
        assert found[f"spread of none >= before, {name}", sparsity] == UNSURE
        assert found[f"spread of both about that of after, {name}", sparsity] == FAILS
    assert {found[f"spread of before >= after, {name}", s] for s in HIGH_SPARSITIES} == {HOLDS}
    assert (f"spread of before >= after, {name}", 0.5) not in found


def test_accuracy_more_than_a_point_lower_is_worse():
    worse = {"accuracy": np.array(DENSE["accuracy"]) - 0.05, "loss": DENSE["loss"]}
    cells = {f"paper, after; {s:g}": worse for s in SPARSITIES}
    found = verdicts(regimes("svhn", records(harm=0.0, cells=cells)))
    assert found["accuracy of after no worse than none, the paper's update", 0.9] == FAILS
    assert found["accuracy of before no worse than none, the paper's update", 0.9] == HOLDS


def test_even_because_broken_is_not_fair():
    broken = {f"paper, both; {s:g}": FLAT for s in SPARSITIES}
    found = verdicts(regimes("svhn", records(harm=0.05, cells=broken)))
    assert found["spread of none >= both, the paper's update", 0.9] == BROKEN
    assert found["spread of none >= after, the paper's update", 0.9] != BROKEN


def test_every_judgement_says_what_it_is_about():
    rows = judgements({"svhn": records(), "cifar10": records(task="cifar10")})
    assert {r["claim"] for r in rows} == {1, 2, 3, 4, 5, 6}
    assert {r["task"] for r in rows} == {"svhn", "cifar10"}
    assert {r["seeds"] for r in rows} == {3}
    keys = [(r["task"], r["statement"], r["sparsity"]) for r in rows]
    assert len(keys) == len(set(keys))
