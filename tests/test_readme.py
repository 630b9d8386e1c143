"""The numbers in the README are those kept beside the scripts that made them."""

import json
import statistics
from pathlib import Path

import pandas as pd
import pytest

from sklearn_fairprune.report.text import GROUP_COLUMNS, with_interval

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("sparsity", ["0.9", "0.95", "0.98"])
def test_table_of_the_demo(sparsity):
    rows = pd.read_csv(ROOT / "examples/mortgage_audit/by_group.csv")
    for _, row in rows[rows["model"] == f"sparsity {sparsity}"].iterrows():
        cells = [
            with_interval(row, name, **GROUP_COLUMNS[name][1])
            for name in ("accuracy", "excessive_loss", "accuracy_drop")
        ]
        assert f"| {row['race']} | {row['rows']} | {' | '.join(cells)} |" in README


def test_sentences_about_the_demo():
    report = json.loads((ROOT / "examples/mortgage_audit/audit.json").read_text())
    findings = dict(line.split(": ", 1) for line in report["findings"])
    assert findings["sparsity 0.98"].startswith("black (59 rows) pays most")
    assert findings["sparsity 0.95"].startswith("cannot tell who pays most")
    overall = {row["model"]: 100 * row["accuracy"] for row in report["overall"]}
    assert f"from {overall['sparsity 0']:.1f} %" in README
    assert f"to {overall['sparsity 0.98']:.1f} %" in README


def test_ratios_of_the_grid_search():
    result = json.loads((ROOT / "benchmarks/results/grid_memory.json").read_text())
    ratios = [line["value"] for line in result["summary"] if "memory" in line["name"]]
    assert f"takes {ratios[0]:.2f} of the time" in README
    assert f"and {ratios[1]:.2f} with 5 fine-tuning" in README


def test_figures_over_seeds():
    result = json.loads((ROOT / "benchmarks/results/who_pays.json").read_text())
    drops = {
        line["name"].split(":")[0]: line
        for line in result["summary"]
        if "accuracy drop" in line["name"]
    }
    for model in ("sparsity 0.95", "sparsity 0.98"):
        low, high = json.loads(drops[model]["unit"])
        assert f"{100 * drops[model]['value']:.1f}" in README
        assert f"[{100 * low:.1f}, {100 * high:.1f}]" in README
    assert len(result["seeds"]) == 20
    assert (
        f"{result['data']['sparsity 0.98']['predicts_one_class']} of the 20 networks" in README
    )
    named = sum("pays most:" in f for f in result["data"]["sparsity 0.95"]["finding"])
    assert f"({named} of 20 at 0.95)" in README


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
    mean = {
        r["sparsity"]: r["mean"] for r in kept["digits"] if r["prediction"] == "gradient_norm"
    }
    words = " ".join(README.split())
    assert f"correlation of {mean[0.7]:+.2f} at sparsity 0.7 and {mean[0.8]:+.2f} at" in words
    assert f"but {mean[0.5]:+.2f} at 0.5 and {mean[0.95]:+.2f} at 0.95" in words
    assert all(r["low"] < 0.2 for r in kept["mortgage"])
    assert kept["seeds"] == 10


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
