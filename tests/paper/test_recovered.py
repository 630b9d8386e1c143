"""What is said of the claims at two budgets, on made-up records and on the kept ones."""

import dataclasses
import json

import pytest
import recovered
import report
from page import page as full_page
from record_cases import DENSE, record
from records import BROKEN, FAILS, HERE, HOLDS, UNSURE, load

ALIVE = {f"none; {s:g}": DENSE for s in recovered.RECOVERED_SPARSITIES}


def budgets(short=0.05, long=None):
    """Three seeds at both budgets; after recovery nothing is lost."""
    old = [record(seed, harm=short) for seed in range(3)]
    new = [record(seed, cells=ALIVE if long is None else long) for seed in range(3)]
    return {"svhn": old}, {"svhn": new}


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (HOLDS, HOLDS, "survives"),
        (FAILS, FAILS, "survives"),
        (HOLDS, UNSURE, "lost"),
        (HOLDS, FAILS, "lost"),
        (UNSURE, HOLDS, "new"),
        (UNSURE, FAILS, "new"),
        (FAILS, HOLDS, "new"),
        (BROKEN, HOLDS, "new"),
        (FAILS, UNSURE, "no longer refuted"),
        (FAILS, BROKEN, "no longer refuted"),
        (HOLDS, BROKEN, "lost"),
        (UNSURE, UNSURE, "cannot be told at either"),
        (UNSURE, BROKEN, "cannot be told at either"),
    ],
)
def test_fates(old, new, expected):
    assert recovered.fate(old, new) == expected


def test_damage_that_goes_with_the_recovery_is_lost_as_a_claim():
    rows = recovered.claims_at_both(*budgets())
    found = {(r["statement"], r["sparsity"]): r for r in rows}
    small = found["small groups lose more", 0.9]
    assert small["old"]["mean"] == pytest.approx(0.1, abs=1e-6)
    assert small["fate"] == "lost"
    assert found["accuracy of small groups falls", 0.9]["new"]["verdict"] != HOLDS


def test_damage_that_stays_survives():
    worse = {"accuracy": [0.9, 0.85, 0.7, 0.5], "loss": DENSE["loss"]}
    rows = recovered.claims_at_both(*budgets(long={"none; 0.9": worse}))
    found = {(r["statement"], r["sparsity"]): r for r in rows}
    assert found["small groups lose more", 0.9]["fate"] == "survives"


def test_statements_on_the_dense_network_are_not_judged_twice():
    rows = recovered.claims_at_both(*budgets())
    assert {r["claim"] for r in rows} == {1, 3, 5, 6}
    assert not any("masked only" in r["statement"] for r in rows)


def test_damage_is_against_the_dense_network_of_the_same_seed():
    found = recovered.damage(*budgets())
    row = next(r for r in found if (r["sparsity"], r["metric"]) == (0.9, "worst_accuracy"))
    assert row["old"][0] == pytest.approx(-0.15, abs=2e-3)
    assert row["new"][0] == pytest.approx(0.0, abs=2e-3)


def test_a_way_that_was_not_run_at_a_budget_has_no_number():
    found = recovered.mitigated(*budgets())
    row = next(r for r in found if r["way"] == "distill")
    assert row["old"] is None
    assert recovered.shown(None, "xi") == "-"


def test_bold_are_differences_that_exclude_zero():
    assert recovered.shown((0.1, 0.02, 0.18), "accuracy") == "**+10.0 [+2.0, +18.0]**"
    assert recovered.shown((0.1, -0.02, 0.18), "xi") == "+0.10 [-0.02, +0.18]"


def test_other_dense_networks_are_refused(monkeypatch):
    old, new = record(0), record(1)
    new = dataclasses.replace(new, about=new.about | {"seed": 0})
    monkeypatch.setattr(
        recovered, "load", lambda folder=None: {"svhn": [new if folder else old]}
    )
    with pytest.raises(SystemExit, match="svhn, seed 0: the dense networks"):
        recovered.both()


def test_kept_verdicts_are_what_the_results_give():
    made = report.rounded(recovered.verdicts(*recovered.both()))
    kept = json.loads((recovered.RECOVERED / "verdicts.json").read_text(encoding="utf-8"))
    assert json.loads(json.dumps(made)) == kept


@pytest.fixture(scope="module")
def kept():
    return recovered.verdicts(*recovered.both())


def test_sentences_on_damage_and_on_who_loses(kept):
    last = [r for r in kept["damage"] if (r["metric"], r["sparsity"]) == ("accuracy", 0.98)]
    assert len(last) == 4
    assert all(r["new"][2] < 0 for r in last)
    held = {
        (r["task"], r["sparsity"], r["statement"])
        for r in kept["claims"]
        if r["claim"] == 1 and r["new"]["verdict"] == HOLDS
    }
    assert not [h for h in held if h[1] == 0.9 and "stays" not in h[2]]
    more = {h[:2] for h in held if h[2] == "small groups lose more"}
    assert more == {("utkface_age", 0.98), ("svhn", 0.98)}
    lost = {
        (r["task"])
        for r in kept["claims"]
        if r["claim"] == 1 and r["fate"] == "lost" and r["sparsity"] == 0.9
    }
    assert lost == {"cifar10", "svhn"}


def test_sentences_on_what_tells_who_pays(kept):
    rows = [r for r in kept["claims"] if r["claim"] == 3 and r["new"]["verdict"] == HOLDS]
    assert not [r for r in rows if "held-out" in r["statement"]]
    assert {r["task"] for r in rows} == {"utkface_ethnicity", "utkface_age", "svhn"}
    assert {r["sparsity"] for r in rows} == {0.95, 0.98}
    assert {r["sparsity"] for r in rows if r["task"] == "svhn"} == {0.98}
    held_out = [
        r["fate"]
        for r in kept["claims"]
        if "held-out rows" in r["statement"]
        and r["claim"] == 3
        and r["old"]["verdict"] == FAILS
    ]
    assert held_out.count("no longer refuted") > len(held_out) / 2


def test_sentences_on_the_constraint_and_on_distillation(kept):
    found = {(r["way"], r["metric"], r["task"]): r for r in kept["mitigated"]}
    tasks = list(kept["runs"])
    three = [task for task in tasks if task != "svhn"]
    for task in three:
        assert found["paper, after", "spread", task]["new"][2] < 0
        assert found["paper, after", "accuracy", task]["new"][2] < 0
    for task in tasks:
        assert found["distill", "xi", task]["new"][2] < 0
        assert found["distill", "accuracy", task]["new"][2] > 0
        assert found["distill", "spread", task]["new"][2] > 0
        for way in ("paper, after", "equal_loss, after", "equal_excessive_loss, after"):
            for budget in ("old", "new"):
                assert found[way, "xi", task][budget][2] > 0


def test_sentences_on_last_layers(kept):
    rows = {(r["task"], r["family"]): r for r in kept["last_layers"]}
    assert len(rows) == 12
    goals = {"utkface_ethnicity": 0.5, "utkface_age": 0.7, "cifar10": 0.7, "svhn": 0.5}
    for task, goal in goals.items():
        ours, lead = rows[task, "last_layer"], rows[task, "balanced last layer"]["lead"]
        assert rows[task, "last_layer"]["lead"]["spread"] == (0.0, 0.0, 0.0)
        assert not (lead["accuracy"][1] > 0 and lead["spread"][1] > 0)
        assert not (lead["accuracy"][2] < 0 and lead["spread"][2] < 0)
        assert ours["spread"][2] > ours["spread"][0] > goal
        assert (ours["spread"][1] > goal or ours["accuracy"][2] < -0.01) == (
            task == "utkface_ethnicity"
        )
    assert rows["utkface_age", "last_layer"]["accuracy"][0] < -0.01
    for task, records in recovered.both()[1].items():
        seen, unseen = (
            sum(
                r.value("last_layer (0.01); 0.9", "spread", part)
                / r.value("distill; 0.9", "spread", part)
                for r in records
            )
            for part in ("train", "test")
        )
        assert (seen < unseen) == (task != "cifar10")


def test_the_readme_shows_both_budgets(kept):
    readme = (HERE.parents[1] / "README.md").read_text(encoding="utf-8")
    assert "\n".join(recovered.short_table(kept)) in readme


def test_the_page_has_the_tables_of_both_budgets():
    page = (HERE / "README.md").read_text(encoding="utf-8")
    found = recovered.verdicts(*recovered.both())
    for lines in recovered.sections(found).values():
        assert "\n".join(lines) in page
    assert page == full_page(report.verdicts(load()), more=recovered.sections(found))
    assert "two budgets -->" not in page
