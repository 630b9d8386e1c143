"""The numbers in the README are those kept beside the scripts that made them."""

import functools
import json
import math
import statistics
from pathlib import Path

import criteria
import mitigation
import mitigation_fronts
import mitigation_recovered
import numpy as np
import pandas as pd
import pytest
import recovery_defaults
import shrink

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier
from sklearn_fairprune.measurement import MEASURES

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def csv_of(folder, table="by_group"):
    """Table of a kept audit."""
    return pd.read_csv(ROOT / "examples" / folder / f"{table}.csv")


@pytest.mark.parametrize("sparsity", ["0.9", "0.95", "0.98", "0.995"])
def test_table_of_the_demo(sparsity):
    rows, short = (csv_of(f"mortgage_audit{end}") for end in ("", "_short"))
    short = short[short["model"] == f"sparsity {sparsity}"].set_index("race")
    for _, row in rows[rows["model"] == f"sparsity {sparsity}"].iterrows():
        cells = [MEASURES[name].write(row, name) for name in ("accuracy", "accuracy_drop")]
        cells.append(MEASURES["accuracy_drop"].write(short.loc[row["race"]], "accuracy_drop"))
        assert f"| {row['race']} | {row['rows']} | {' | '.join(cells)} |" in README


def test_sentences_about_the_demo():
    report = json.loads((ROOT / "examples/mortgage_audit/audit.json").read_text())
    words = " ".join(README.split())
    assert {row["verdict"] for row in report["payers"]} == {"cannot tell"}
    assert len(report["overall"]) == 8
    assert "Nobody can be said to pay for pruning, up to 99.5 % of the weights" in words
    warned = [note for note in report["notes"] if "its damage" in note or "broken" in note]
    assert len(warned) == 1
    above = warned[0].split("held-out loss is ")[1].split(" above the dense one's")[0]
    assert warned[0].startswith("sparsity 0.5:")
    rise = report["overall"][1]["loss"] - report["overall"][0]["loss"]
    assert f"{rise:.3f} above the dense one's" in words
    assert float(above) == pytest.approx(rise, abs=1e-3)
    short = csv_of("mortgage_audit_short", "payers").set_index(["model", "by"])
    row = short.loc[("sparsity 0.95", "decisions")]
    assert (row["verdict"], row["group"]) == ("pays most", "black")
    numbers = 100 * row[["value", "value_low", "value_high", "lead_low"]]
    told = "lose {:.1f} points [{:.1f}, {:.1f}], at least {:.1f} more than white ones"
    assert told.format(*numbers) in words
    sizes = csv_of("mortgage_audit_short", "sizes").set_index("model")
    live = sizes["weights"] * (1 - sizes["effective_sparsity"])
    idle = (100 * (1 - live / sizes["kept"])).round()
    assert f"for {idle['sparsity 0.95']:.0f} % of the weights that were kept at 0.95" in words
    overall = csv_of("mortgage_audit_short", "overall").set_index("model")
    alone = overall.index[overall["predicts_one_class"]].tolist()
    assert alone == ["sparsity 0.98", "sparsity 0.99", "sparsity 0.995"]
    sizes = {row["race"]: row["rows"] for row in report["by_group"]}
    assert f"The {sizes['hispanic']} hispanic applicants are fewer than the 75" in words
    assert f"the {report['about']['rows']} others" in words
    accuracy = {row["model"]: 100 * row["accuracy"] for row in report["overall"]}
    told = "overall accuracy is {:.1f} % before and {:.1f} % after the last"
    assert told.format(accuracy["sparsity 0"], accuracy["sparsity 0.995"]) in words


def test_ratios_of_the_grid_search():
    result = json.loads((ROOT / "benchmarks/results/grid_memory.json").read_text())
    ratios = [line["value"] for line in result["summary"] if "memory" in line["name"]]
    assert f"takes {ratios[0]:.2f} of the time" in README
    assert f"and {ratios[1]:.2f} with 5 fine-tuning" in README


def test_figures_over_seeds():
    result = json.loads((ROOT / "benchmarks/results/who_pays.json").read_text())
    words = " ".join(README.split())
    lines = {line["name"]: line for line in result["summary"]}

    def told(way, sparsity):
        name = f"{way}, sparsity {sparsity}: accuracy drop of black minus mean of the others"
        low, high = json.loads(lines[name]["unit"])
        return 100 * lines[name]["value"], 100 * low, 100 * high

    assert len(result["seeds"]) == 20
    ((a, a_low, a_high), (b, b_low, b_high)) = (told("short", s) for s in ("0.95", "0.98"))
    text = f"{a:.1f} points more than the mean of the other groups at 0.95 [{a_low:.1f}, "
    assert f"{text}{a_high:.1f}] and {b:.1f} at 0.98 [{b_low:.1f}, {b_high:.1f}]" in words
    for sparsity in ("0.95", "0.98", "0.995"):
        value, low, high = told("recovered", sparsity)
        assert f"{value:.1f} at {sparsity} [{low:.1f}, {high:.1f}]" in words
    assert (
        f"(by {told('recovered', '0.5')[0]:.1f} at 0.5, where training on overfits)" in words
    )
    short, recovered = result["data"]["short"], result["data"]["recovered"]
    assert f"{short['sparsity 0.98']['predicts_one_class']} of the 20 networks" in words
    found = [f for f in short["sparsity 0.95"]["finding"] if "pays most:" in f]
    by_decisions = sum("by decisions: black" in f for f in found)
    assert f"names them by decisions in {by_decisions} of 20 seeds at 0.95" in words
    findings = [f for cell in recovered.values() for f in cell["finding"]]
    assert not any("pays most:" in f for f in findings), "README: in none, at no sparsity"


def test_ratios_of_speed():
    result = json.loads((ROOT / "benchmarks/results/fit_speed.json").read_text())
    value = {(line["name"], line["unit"]): line["value"] for line in result["summary"]}
    large, small = "MLP (256, 256)", "MLP (32,)"
    fits = [value[f"fit, {net}", "of plain skorch"] for net in (large, small)]
    predictions = [value[f"predict_proba, {net}", "of plain skorch"] for net in (large, small)]
    assert f"takes {fits[0]:.2f} of the time of plain skorch" in README
    assert f"and {fits[1]:.2f} for" in README
    assert f"`predict_proba` {predictions[0]:.2f} and {predictions[1]:.2f}" in README
    sklearn = value[f"fit, {small}", "of scikit-learn MLP"]
    assert f"takes {sklearn:.2f} of its time" in README
    missed = sum(line["met"] is False for line in result["summary"])
    judged = sum(line["met"] is not None for line in result["summary"])
    assert (missed, judged) == (5, 9)
    assert "five of nine targets are missed" in README


def test_relations_that_explain():
    kept = [
        json.loads((ROOT / f"examples/why_a_group_pays_{name}.json").read_text())
        for name in ("digits", "utkface")
    ]
    for pair in zip(*(k["relations"] for k in kept), strict=True):
        cells = [
            f"{r['mean']:+.2f} [{r['low']:+.2f}, {r['high']:+.2f}], {r['verdict']}"
            for r in pair
        ]
        line = f"({pair[0]['figure']}, paper: {pair[0]['paper']}) | {' | '.join(cells)} |"
        assert line in README
    assert {len(k["groups"]) for k in kept} == {5}
    loose = [
        statistics.median(
            g["theorem1_bound"] / g["masked_excessive_loss"] for t in k["groups"] for g in t
        )
        for k in kept
    ]
    words = " ".join(README.split())
    text = "{:.0f} times the damage on the digits above, {:.0f} times on UTKFace"
    assert text.format(*loose) in words


def test_predictions_before_pruning():
    kept = json.loads((ROOT / "examples/predicted_damage.json").read_text())
    assert kept.pop("seeds") == 10
    found = {}
    for name, rows in kept.items():
        for row in rows:
            known = [rho for rho in row["by_seed"] if rho is not None]
            assert len(row["by_seed"]) == 10
            assert row["mean"] == pytest.approx(statistics.mean(known), abs=1e-6)
            found[name, row["prediction"], row["sparsity"]] = row
    words = " ".join(README.split())

    def shown(data, recovery, prediction, sparsity):
        row = found[f"{data}, {recovery} recovery", prediction, sparsity]
        return "{mean:+.2f} [{low:+.2f}, {high:+.2f}]".format(**row)

    for text, sparsities in (
        ("{:+.2f} at sparsity 0.7 and {:+.2f} at 0.8", (0.7, 0.8)),
        ("but {:+.2f} at 0.5 and {:+.2f} at 0.95", (0.5, 0.95)),
    ):
        rows = [found["digits, short recovery", "gradient_norm", s] for s in sparsities]
        assert text.format(*(row["mean"] for row in rows)) in words
    of = "digits", "default", "gradient_norm"
    assert f"{shown(*of, 0.9)} at 0.9 and {shown(*of, 0.95)} at 0.95" in words
    assert f"({shown(*of, 0.5)} at 0.5, {shown(*of, 0.7)} at 0.7)" in words
    assert found["digits, default recovery", "gradient_norm", 0.7]["high"] < 0
    assert f"({shown('digits', 'default', 'masked_excessive_loss', 0.95)} at 0.95)" in words
    of = "mortgage", "default", "masked_excessive_loss"
    assert f"at 0.5 ({shown(*of, 0.5)}) to 0.8" in words
    for sparsity in (0.5, 0.7, 0.8, 0.9, 0.95):
        row = found["mortgage, default recovery", "masked_excessive_loss", sparsity]
        assert (row["low"] > 0) == (sparsity <= 0.8)
        row = found["mortgage, default recovery", "gradient_norm", sparsity]
        assert row["low"] < 0 < row["high"]


def test_figures_of_the_diagnostics():
    result = json.loads((ROOT / "benchmarks/results/diagnostics.json").read_text())
    value = {line["name"]: line["value"] for line in result["summary"]}
    taken = [v for name, v in value.items() if "time relative to PyHessian (" in name]
    taken += [v for name, v in value.items() if "time relative to curvlinops" in name]
    words = " ".join(README.split())
    assert f"take {taken[0]:.2f} of the time of PyHessian and {taken[1]:.2f} of that" in words
    passes = [value[f"group gradients, {m} groups"] for m in (2, 10, 50)]
    text = "take {:.2f}, {:.2f} and {:.2f} of one gradient pass".format(*passes)
    assert text in words
    every = [value[f"diagnose, {m} groups"] for m in (2, 10, 50)]
    assert f"intervals included, {min(every):.0f} to {max(every):.0f} " in words
    errors = [v for name, v in value.items() if name.endswith(": eigenvalue")]
    assert max(errors) <= 1e-3
    products = [v for name, v in value.items() if "Hessian-vector product" in name[-30:]]
    assert len(errors) == 4
    assert max(v for v in products if v < 1) <= 1e-14


def test_figures_of_the_mitigation():
    kept = json.loads((ROOT / "benchmarks/results/mitigation.json").read_text())["data"]
    data = mitigation.summarise(mitigation.kept_cells()[0])[1]
    for way, row in kept["ways"].items():
        assert {k: v for k, v in data["ways"][way].items() if k != "by_data"} == row
    assert "\n".join(mitigation.changes_table(data)) in README
    longer = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    assert "\n".join(mitigation.counts_table(data)) in longer
    words = " ".join(README.split())
    assert {len(seeds) for seeds in kept["seeds"].values()} == {10}
    assert len(kept["seeds"]) == 6
    assert "In four of the 24 cells (0.98 on four of the tables)" in words
    assert {cell.split(", ")[1] for cell in data["broken"]} == {"0.98"}
    assert len(data["broken"]) == 4
    assert len(data["shared"]) == 16
    assert not any(cell.startswith("digits") for cell in data["shared"])
    ways = data["ways"]
    plain, minimax = ways["equal_loss, after"], ways["minimax, after"]
    assert f"under `equal_loss` in {plain['test violation']['lower']} of the 16 cells" in words
    tables = {k: v for k, v in plain["by_data"].items() if k != "digits"}
    assert max(abs(row["test accuracy"]["change"]) for row in tables.values()) < 0.0045
    assert f"under `minimax` in {minimax['test violation']['lower']};" in words
    for way in (plain, minimax):
        assert way["by_data"]["digits"]["test violation"]["lower"] == 4
    cell = plain["cells with lower spread"]["digits, 0.9"]
    mean, low, high = (-100 * v for v in cell["spread"])
    text = f"(at 0.9 by {mean:.0f} points [{high:.0f}, {low:.0f}], with accuracy "
    assert text + f"{100 * cell['accuracy'][0]:.1f} points *higher*)" in words
    paper = ways["the paper's equal_loss, after"]
    assert f"({paper['test violation']['lower']} of 16 cells)" in words
    assert f"xi rises in {paper['test xi']['higher']} of them" in words
    assert f"accuracy falls in {paper['test accuracy']['lower']}." in words
    held = ways["equal_loss, after, held-out multipliers"]["test violation"]["lower"]
    seen, unseen = (plain[f"{part} violation"]["lower"] for part in ("train", "test"))
    text = (
        f"training rows in {seen} of 16 cells it lowers on held-out rows in {unseen} without"
    )
    assert f"{text} them (with them in {held};" in words
    weights = ways["group reweighting, after"]["test spread"]
    text = f"narrows it in {weights['lower']} and widens it in {weights['higher']}."
    assert text in words
    before = ways["equal_loss, before"]
    assert f"spread surely lower in {before['test spread']['lower']} of 16 cells" in words
    assert before["by_data"]["digits"]["cells"] == 4
    digits = before["by_data"]["digits"]["test spread"]
    assert (digits["lower"], digits["higher"]) == (0, 2)
    reduction = ways["ExponentiatedGradient, after"]
    assert f"the spread in {reduction['test spread']['lower']} of 16 cells" in words
    assert f"by {-100 * reduction['test spread']['change']:.1f} points on average" in words
    assert f"costs {-100 * reduction['test accuracy']['change']:.1f} points" in words
    others = ("adult", "german_credit", "bank_marketing", "credit_default")
    narrowed = [
        change["spread"][0]
        for way, row in ways.items()
        if "Gradient" not in way and "reweighting" not in way
        for name, change in row["cells with lower spread"].items()
        if name.split(",")[0] in others
    ]
    assert f"{-100 * min(narrowed):.1f} points at most" in words


def test_figures_of_the_mitigation_after_recovery():
    path = ROOT / "benchmarks/results/mitigation_recovered.json"
    data = json.loads(path.read_text())["data"]
    assert "\n".join(mitigation_recovered.counts_table(data)) in README
    words, counts = " ".join(README.split()), data["tallies"]["recovered"]
    models = [len(cells) // 4 * 6 for cells in data["cells"].values()]
    ones = [data["one_class"][budget] for budget in data["cells"]]
    text = f"({ones[0]} of the {models[0]:,} networks predicts one class, {ones[1]} of"
    assert f"{text} {models[1]} did after five epochs)" in words
    (cell,) = (
        c
        for c in data["cells"]["recovered"]
        if (c["way"], c["measure"]) == ("equal_loss, after", "spread") and c["high"] < 0
    )
    (price,) = (
        c
        for c in data["cells"]["recovered"]
        if (c["way"], c["measure"]) == ("equal_loss, after", "accuracy")
        and (c["data"], c["sparsity"]) == (cell["data"], cell["sparsity"])
    )
    text = f"in one cell ({cell['data']} at {cell['sparsity']}, by {-100 * cell['mean']:.1f}"
    assert f"{text} points, for {-100 * price['mean']:.1f} points of accuracy)" in words
    assert data["tallies"]["5 epochs"]["equal_loss, after"]["spread"]["lower"] == 4
    violation = {way: row["violation"]["lower"] for way, row in counts.items()}
    text = f"in {violation['equal_loss, after']} cells, and in"
    assert f"{text} {violation['minimax, after']} under `minimax`" in words
    ours = [way for way in counts if "distill" not in way and "reweighting" not in way]
    lower, higher = (sum(counts[w]["accuracy"][k] for w in ours) for k in ("lower", "higher"))
    text = f"raise in {higher} of their {18 * len(ours)} cells, and lower in {lower}."
    assert f"six constraints surely {text}" in words
    assert all(counts[way]["xi"]["lower"] == 0 for way in ours)
    assert counts["distillation"]["xi"] | {"change": 0} == {
        "lower": 8,
        "higher": 0,
        "cells": 18,
        "change": 0,
    }
    assert counts["distillation"]["spread"]["lower"] == 0


def test_cost_of_the_constrained_epoch():
    result = json.loads((ROOT / "benchmarks/results/constrained_epoch.json").read_text())
    value = {line["name"]: line["value"] for line in result["summary"]}
    words = " ".join(README.split())

    def text(way, size, groups):
        return f"{value[f'{way}: epoch of {size}, {groups} groups']:.2f}"

    large, small = "100-256-256-2", "100-32-2"
    of_large, of_small = (
        "{}, {} and {}".format(*(text("equal_loss", size, m) for m in (2, 5, 50)))
        for size in (large, small)
    )
    assert f"takes {of_large} of the plain one on a {large} network" in words
    assert f"and {of_small} on {small}" in words
    paper = "the paper's, violations of every batch"
    assert f"every batch, {text(paper, large, 50)} and {text(paper, small, 50)}" in words


def test_what_the_multipliers_do_where_nothing_differs():
    data = json.loads((ROOT / "benchmarks/results/dual_null.json").read_text())["data"]
    words = " ".join(README.split())
    rows = {f"{n} groups": (f"{n} groups", "identical groups", n) for n in (2, 5, 9, 50)}
    rows["50 groups of 12 to 6,000 rows"] = ("50 groups", "Zipf's sizes", 50)
    rows["5 groups of 10 to 100,000 rows"] = ("5 groups", "all sizes", 5)
    for title, (key, world, n) in rows.items():
        cells = []
        for way in ("adaptive", "old default"):
            found = data[world][key][way]
            weights = f"{abs(found['lowest_weight']):.2f} to {found['highest_weight']:.2f}"
            cells.append(
                f"{100 * found['accuracy']:+.1f}, {found['most_harmed']:.0f} of {n}, {weights}"
            )
        assert f"| {title} | {cells[0]} | {cells[1]} |" in README
    alike = [
        of["adaptive"] for w in data if w != "planted difference" for of in data[w].values()
    ]
    assert max(abs(found["accuracy"]) for found in alike) < 0.0015
    assert not any(found["most_harmed"] for found in alike)
    gains = [
        100 * of["adaptive"]["first_accuracy"] for of in data["planted difference"].values()
    ]
    assert f"those rows gain {min(gains):.1f} to {max(gains):.1f} points" in words
    assert [k.split()[0] for k in data["planted difference"]] == ["2", "5", "9", "50"]


def test_what_settings_of_the_multipliers_measured():
    data = json.loads((ROOT / "benchmarks/results/dual_defaults.json").read_text())["data"]
    shown = {
        "adaptive": "adaptive, the default",
        "adaptive, dual_lr=1.0": "adaptive, `dual_lr=1`",
        "adaptive, dual_lr=4.0": "adaptive, `dual_lr=4`",
        "adaptive, noise=0.0": "adaptive, `noise=0`",
        "adaptive, tolerance=0.0": "adaptive, `tolerance=0`",
        "old default": "the default of before",
        "the paper's, dual_lr=0.1": "the paper's, `dual_lr=0.1`",
        "the paper's, dual_lr=0.3": "the paper's, `dual_lr=0.3`",
        "group weights n^-1/2": "group weights n^-1/2, without a constraint",
    }
    for way, name in shown.items():
        row = data["by_way"][way]
        points = (row[k] for k in ("accuracy", "lowest_accuracy", "lowest_run"))
        cells = [
            name,
            f"{row['unsafe_runs']} of {row['runs']}",
            ", ".join(f"{100 * v:+.1f}" for v in points),
            f"{math.exp(row['log_ratio']):.2f}",
            f"{100 * row['worst_accuracy']:+.1f}",
        ]
        assert f"| {' | '.join(cells)} |" in README
    assert data["best"] == "the paper's, dual_lr=0.1"
    assert "names the paper's update at 0.1" in " ".join(README.split())
    assert min(row["unsafe_runs"] for row in data["by_way"].values()) > 0
    paper = data["by_way"][data["best"]]
    assert f"a default that costs {-100 * paper['lowest_accuracy']:.0f} points" in README
    own = GroupConstrainedPruner(None).get_params()
    assert (own["dual_update"], own["dual_lr"], own["tolerance"]) == ("adaptive", None, None)
    assert (own["noise"], own["min_row_weight"], own["max_row_weight"]) == (2.0, 0.5, 4.0)


def test_the_default_on_tasks_that_chose_nothing():
    data = json.loads((ROOT / "benchmarks/results/dual_test.json").read_text())["data"][
        "by_way"
    ]
    ways = [data[way] for way in ("adaptive", "old default", "the paper's, dual_lr=0.1")]
    words = " ".join(README.split())
    assert {row["runs"] for row in ways} == {40}
    unsafe = "unsafe in {}, the one of before in {}, the paper's update in {}."
    assert unsafe.format(*(row["unsafe_runs"] for row in ways)) in words
    left = (f"{math.exp(row['log_ratio']):.2f}" for row in ways)
    assert "Of the spread {}, {} and {} is left".format(*left) in words
    points = (f"{100 * row['accuracy']:+.1f}" for row in ways)
    assert "{}, {} and {} points of accuracy: there is little".format(*points) in words


IMAGES = [f"{name}, PCA" for name in ("utkface_ethnicity", "svhn", "utkface_age", "cifar10")]


def fronts():
    """What the comparison of mitigations came to, and its rows over all sparsities."""
    path = ROOT / "benchmarks/results/mitigation_fronts.json"
    data = json.loads(path.read_text())["data"]
    rows = {
        (by, r["task"], r["family"]): r
        for by, found in data["changes"].items()
        for r in found
        if r["sparsity"] == "all"
    }
    return data, rows


def test_tables_of_mitigations():
    data, _ = fronts()
    beside = (ROOT / "benchmarks/README.md").read_text()
    made = functools.partial(mitigation_fronts.front_table, data["changes"]["spread"])
    assert "\n".join(made()) in README
    assert "\n".join(made(classes=False)) in beside
    assert "\n".join(made(measure="worst_loss", classes=False)) in beside
    for classes in (True, False):
        by_xi = mitigation_fronts.front_table(data["changes"]["xi"], "xi", classes)
        assert "\n".join(by_xi) in beside
    assert list(data["seeds_of_tasks"]) == mitigation_fronts.PLAN["tasks"]
    assert {len(seeds) for seeds in data["seeds_of_tasks"].values()} == {5}


def test_fronts_of_mitigations_on_images():
    data, rows = fronts()
    words = " ".join(README.split())

    def told(by, family):
        found = [rows[by, task, family] for task in IMAGES]
        left = ", ".join(f"{r[by][0]:.2f}" for r in found)
        return left, ", ".join(f"{100 * r['accuracy'][0]:+.1f}" for r in found)

    sentences = ("{} of it is left (by", "{} is, at {};", "published, {}, at {}.")
    families = ("last_layer", "balanced last layer", "group DRO")
    for sentence, family in zip(sentences, families, strict=True):
        assert sentence.format(*told("spread", family)) in words
    assert "CIFAR-10) at {} points. With".format(told("spread", "last_layer")[1]) in words
    means = {
        family: np.mean([rows["spread", task, family]["spread"][0] for task in IMAGES])
        for family in mitigation_fronts.PLAN["families"]
        if family != "thresholds"
    }
    costs = {
        family: np.mean([rows["spread", task, family]["accuracy"][0] for task in IMAGES])
        for family in means
    }
    assert sorted(means, key=means.get)[:2] == ["group DRO", "last_layer"]
    assert costs["group DRO"] < costs["last_layer"]
    assert f"to {told('xi', 'distill')[0]} of plain pruning's (the same order" in words
    assert f"distillation, leaves more: {told('xi', 'last_layer')[0]}. What" in words
    for task in IMAGES:
        left = [rows["xi", task, family]["xi"][0] for family in ("distill", "last_layer")]
        assert left[0] < left[1]
    digits = {
        family: row["spread"]
        for (by, task, family), row in rows.items()
        if (by, task) == ("spread", "digits, default")
    }
    assert min(high for _, _, high in digits.values()) >= 1
    assert sum(mean <= 1 for mean, _, _ in digits.values()) == 2
    goals = {g["task"]: g for g in data["goals"] if g["measure"] == "spread"}
    verdicts = [goals[task]["verdict"] for task in IMAGES]
    assert [goals[task]["sparsity"] for task in IMAGES] == ["all"] * 4
    assert verdicts == ["does not hold", "cannot tell", "does not hold", "holds"]
    ours = [rows["spread", task, "ours, mixed"] for task in IMAGES]
    left = [f"{r['spread'][0]:.2f}" for r in ours]
    points = [f"{100 * r['accuracy'][0]:+.1f}" for r in ours]
    assert f"within a point: {left[3]} is, which holds" in words
    assert f"a point *more*: {left[1]} is, at {points[1]} points: cannot tell" in words
    assert f"by age: {left[0]} and {left[2]} are, missed, by age at {points[2]}" in words
    best = {r["task"]: f"{r['spread'][0]:.2f}" for r in limits_of(data, 0.9)}
    assert "would leave {}, {}, {}, {} (".format(*(best[task] for task in IMAGES)) in words
    for goal in data["goals"]:
        if goal["measure"] in ("xi", "psi") and goal["sparsity"] == "all":
            assert goal["verdict"] != "holds"


def limits_of(data, sparsity):
    """Limits of class offsets of the networks that were pruned plainly."""
    wanted = {"sparsity": sparsity, "recovery": "plain"}
    return [r for r in data["limits"] if {k: r[k] for k in wanted} == wanted]


def test_fronts_of_mitigations_on_tables_and_who_is_in_front():
    data, rows = fronts()
    words = " ".join(README.split())
    pairs = data["rivals"]["spread"]
    assert {row["front"] for row in pairs} == {"neither"}
    assert f"in {len(pairs)} pairs" in words
    leaning = [row["leaning"] for row in pairs]
    counts = (leaning.count("ours"), leaning.count("rival"))
    assert "are ours in {}, the rival in {}.".format(*counts) in words
    tables = [t for t in data["seeds_of_tasks"] if t not in {*IMAGES, "digits, default"}]
    assert len(tables) == 5
    families = {family for _, task, family in rows if task in tables}
    for family in families:
        found = [rows["spread", task, family] for task in tables]
        assert not all(r["spread"][2] < 1 and r["accuracy"][1] >= -0.01 for r in found)
    ours = [rows["spread", task, "ours, mixed"]["worst_loss"] for task in tables]
    span = (min(r[0] for r in ours), max(r[0] for r in ours))
    assert "{:.2f} to {:.2f} of plain pruning's under".format(*span) in words
    assert all(r[2] >= 1 for r in ours)
    told = {row["task"]: row["outcomes"] for row in data["outcomes"]}
    unsure = sum(counts.get("cannot_tell", 0) for counts in told.values())
    n = sum(sum(counts.values()) for counts in told.values())
    assert f'is "cannot tell" in {unsure} of {n} runs' in words
    for task in ("adult, default", "bank_marketing, default"):
        assert set(told[task]) == {"not_met"}


def test_a_dearer_last_layer_narrows_more():
    for task in IMAGES:
        path = mitigation_fronts.file_of(task)
        cells = json.loads(path.read_text()).values()
        at = {key: mitigation_fronts.MEASURES.index(key) for key in ("accuracy", "spread")}
        cheap, dear = (
            {
                key: np.mean(
                    [
                        found[f"{s}; last_layer; equal_accuracy, {name}"]["test"][k]
                        for found in cells
                        for s in mitigation_fronts.PLAN["sparsities"]
                    ]
                )
                for key, k in at.items()
            }
            for name in ("0.003", "0.03, wide")
        )
        assert dear["spread"] < cheap["spread"]
        assert dear["accuracy"] < cheap["accuracy"]


def test_how_sure_pays_most_is():
    result = json.loads((ROOT / "benchmarks/results/sureness.json").read_text())
    lines, words = result["summary"], " ".join(README.split())

    def said(line):
        low, high = json.loads(line["unit"])
        return f"{100 * line['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"

    def worst(text):
        return max((line for line in lines if text in line["name"]), key=lambda n: n["value"])

    names = worst(": wrong name, at most")
    assert names["met"]
    assert "in at most {} % of the reports {}".format(*said(names).split(" % ")) in words
    assert len(result["data"]["cells"]) == 128
    assert f"in at most {said(worst('wrong name by either'))} where three groups" in words
    power = [line["value"] for line in lines if "named, mean of" in line["name"]]
    assert f"named in {100 * min(power):.0f} to {100 * max(power):.0f} % of them" in words
    missed = [line for line in lines if line["target"] and not line["met"]]
    assert missed == [worst("75 rows or more outside")]
    assert f"of decisions it misses in up to {said(missed[0])} (groups of 400 rows)" in words


def test_how_sure_weighted_rows_are():
    result = json.loads((ROOT / "benchmarks/results/sureness_weighted.json").read_text())
    words = " ".join(README.split())
    told = ("wrong name, at most", "is named in at most"), ("outside its limits", "in up to")
    for text, before in told:
        lines = [line for line in result["summary"] if text in line["name"]]
        line = max(lines, key=lambda line: line["value"])
        low, high = json.loads(line["unit"])
        share = f"{100 * line['value']:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"
        assert f"{before} {share}" in words
    assert f"any of {len(result['data']['cells'])} cells" in words


def test_defaults_of_the_recovery_are_those_of_the_rule():
    words = " ".join(README.split())
    kept = json.loads((ROOT / "benchmarks/results/recovery_defaults.json").read_text())["data"]
    validation = pd.DataFrame(kept["validation"])
    rows = recovery_defaults.by_way(validation)
    assert recovery_defaults.chosen_by_the_rule(rows) == kept["chosen"] == "cubic, plain, N"
    defaults = PrunedClassifier().get_params()
    chosen = {"schedule": "cubic", "recovery": "plain"}
    chosen |= {"finetune_epochs": None, "finetune_lr": "cosine"}
    assert {name: defaults[name] for name in chosen} == chosen
    within = rows["cells within"].astype(int)
    old, new = recovery_defaults.OLD, kept["chosen"]
    told = (
        "are {} of {} cells with the chosen one ({} if half of the loss is distilled), {} with"
    )
    counts = within[new], rows.loc[new, "cells"], within["cubic, half distill, N"], within[old]
    assert told.format(*counts) in words
    assert f"and {within['one-shot, plain, 80 epochs']} with 80 epochs after that" in words
    test = pd.DataFrame(kept["test"])
    for task, part in test.groupby("task"):
        cells = part.pivot(index="way", columns="sparsity", values="change")
        lines = [" / ".join(f"{v:+.1f}" for v in cells.loc[way]) for way in (old, new)]
        assert f"| {task} | {' | '.join(lines)} |" in README
    one = test.groupby("way")["one_class"].sum()
    n = 3 * len(test) // 2
    assert f"predict {one[old]} of {n} networks before and {one[new]} now" in words
    below = test.groupby("way")["below_constant"].sum()
    text = f"most frequent class are {below[old]} before and {below[new]} now"
    assert text in words
    named = set(test.loc[(test["way"] == new) & (test["below_constant"] > 0), "task"])
    assert named == {"german_credit, SGD", "bank_marketing, batch norm"}
    judged = test[(test["way"] == new) & test["sparsity"].isin([0.9, 0.95])]
    near = (judged["change"] >= -0.5).sum()
    assert f"{near} of {len(judged)} cells are within 0.5 points of the dense" in words
    costs = rows.loc[new, "cost"], test.loc[test["way"] == new, "cost"].median()
    told = "costs {:.1f} times the dense training in the median of the validation tasks, and"
    assert (told + " {:.1f} times in that").format(*costs) in words


def test_figures_of_shrunk_networks():
    data = json.loads((ROOT / "benchmarks/results/shrink.json").read_text())["data"]
    assert " ".join(shrink.sentences(data).split()) in " ".join(README.split())
    table = (ROOT / "benchmarks/README.md").read_text(encoding="utf-8")
    assert "\n".join(shrink.table(data["networks"])) in table


def test_figures_of_the_example_that_shrinks():
    kept = json.loads((ROOT / "examples/shrink.json").read_text())
    words = " ".join(README.split())
    for row in kept["latency"]:
        if row["model"] == "shrunk":
            low, high = row["speed_up_low"], row["speed_up_high"]
            assert f"{row['speed_up']:.1f} times [{low:.1f}, {high:.1f}]" in words
    worst = max(kept["accuracy_drop"], key=lambda row: row["accuracy_drop"])
    points = [f"{100 * worst[f'accuracy_drop{end}']:+.1f}" for end in ("", "_low", "_high")]
    said = f"loses most of its accuracy is {worst['class']}: {points[0]} points "
    assert f"{said}[{points[1]}, {points[2]}], one training, {worst['rows']} rows" in words
    share = kept["sizes"]["shrunk"]["macs"] / kept["sizes"]["dense"]["macs"]
    assert f"with {100 * share:.0f} % of its multiply-accumulates left" in words


def test_cost_of_scores_that_look_at_the_groups():
    kept = json.loads((ROOT / "benchmarks/results/group_scores.json").read_text())["summary"]
    found = {line["name"]: line["value"] for line in kept}
    name = "{} with 50 groups, time relative to {}"
    gradients = found[name.format("group_gradients", "gradient")]
    curvatures = found[name.format("group_hessian_diagonals", "hessian_diagonal")]
    fairgrape = found[name.format("fairgrape", "taylor")]
    words = " ".join(README.split())
    said = (
        f"50 groups take {gradients:.2f} (gradients) and {curvatures:.2f} (second derivatives)"
    )
    assert said in words
    assert f"FairGRAPE {fairgrape:.1f} times as long" in words


def test_criteria_of_groups_beside_magnitude():
    runs = {
        task: criteria.kept_runs(criteria.file_of(task)) for task in criteria.PLAN["tasks"]
    }
    cells = ["task", "sparsity"]
    wide = criteria.table_of(runs).pivot_table("worst_accuracy", [*cells, "seed"], "way")
    told = []
    for way in ("fairgrape", "fairgrape, layerwise", "fairprune", "worst_group"):
        change = wide[way] - wide["magnitude"]
        found = [criteria.limits(own) for _, own in change.groupby(level=cells)]
        counts = sum(low > 0 for _, low, _ in found), sum(high < 0 for _, _, high in found)
        told.append(f"{way} {counts[0]} and {counts[1]}")
        assert criteria.limits(change.groupby(level="task").mean())[1] <= 0
    assert f"in so many cells: {', '.join(told)})" in " ".join(README.split())


def test_magnitudes_beside_torch_pruning():
    kept = json.loads((ROOT / "benchmarks/results/structured.json").read_text())["summary"]
    own = [line for line in kept if line["name"].startswith("magnitude")]
    assert own
    assert {line["value"] for line in own} == {0}
    assert "neither is surely better with magnitudes" in " ".join(README.split())


def test_what_is_judged_of_shrunk_networks():
    kept = json.loads((ROOT / "benchmarks/results/shrink.json").read_text())["summary"]
    gone, half, most, slowest = (line["value"] for line in kept)
    words = " ".join((ROOT / "benchmarks/README.md").read_text(encoding="utf-8").split())
    assert f"the perceptron is {gone:.1f} times faster at batches of 64 (target 12)" in words
    assert f"{half:.1f} and {most:.1f} times (targets 3 and 8: missed)" in words
    assert slowest >= 0.95
