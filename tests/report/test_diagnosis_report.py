"""A diagnosis as plain text."""

import re

import pandas as pd

from sklearn_fairprune.report.diagnosis_report import DiagnosisReport

NAN = float("nan")


def limits(name, values):
    return {name: values, f"{name}_low": [v - 0.1 for v in values], f"{name}_high": values}


def diagnosis(labels=("a & b", "c"), names=("region",), damage=True, notes=(), **about):
    """Return a report of two groups, made by hand."""
    columns = {"rows": [20, 1000]} | limits("dense_loss", [0.5, 0.25])
    columns |= limits("gradient_norm", [1.0, 2.0]) | limits("largest_eigenvalue", [3.0, NAN])
    columns |= limits("dense_accuracy", [0.9, 0.8]) | limits("margin", [0.4, 0.3])
    if damage:
        for name in ("excessive_loss", "masked_excessive_loss"):
            columns |= limits(name, [0.125, -0.5])
        columns |= limits("second_order", [0.375, 0.0]) | limits("theorem1_bound", [7.0, 8.0])
    labels = [label if isinstance(label, tuple) else (label,) for label in labels]
    index = pd.MultiIndex.from_tuples(labels, names=names)
    index = index if len(names) > 1 else index.droplevel([])
    explanations = pd.DataFrame()
    if damage:
        rows = limits("rank_correlation", [1.0, NAN])
        rows |= {"expected": ["+", "-"], "p_value": [0.0123, NAN]}
        rows["verdict"] = ["explains", "cannot tell"]
        one = pd.DataFrame(rows, index=pd.Index(["margin", "rows"], name="explanation"))
        both = {"excessive_loss": one, "masked_excessive_loss": one}
        explanations = pd.concat(both, names=["damage"])
    about = {"sparsity": 0.75, "confidence": 0.9} | about
    by_group = pd.DataFrame(columns, index=index)
    findings = ["c pays."] if damage else []
    return DiagnosisReport(by_group, explanations, findings, list(notes), about)


def test_diagnosis_in_full():
    text = str(diagnosis(notes=["Mind the gap."]))
    dense, damage, first, second, foot, pays, care = text.split("\n\n")
    title, *lines = dense.splitlines()
    assert title == "The dense network"
    assert [re.split("  +", line) for line in lines] == [
        ["region", "rows", "accuracy %", "loss J", "gradient norm", "largest eigenvalue"]
        + ["margin"],
        ["a & b", "20", "90.0 [80.0, 90.0]", "0.500 [0.400, 0.500]"]
        + ["1.000 [0.900, 1.000]", "3.00 [2.90, 3.00]", "0.400 [0.300, 0.400]"],
        ["c", "1000", "80.0 [70.0, 80.0]", "0.250 [0.150, 0.250]"]
        + ["2.000 [1.900, 2.000]", "n/a [n/a, n/a]", "0.300 [0.200, 0.300]"],
    ]
    assert damage.splitlines()[0] == "What pruning to sparsity 0.75 does"
    assert damage.splitlines()[1].split("  ")[0] == "region"
    for column in ("R, fine-tuned", "R, masked only", "estimate R2", "bound, Theorem 1"):
        assert column in damage
    assert "+0.125 [+0.025, +0.125]" in damage
    assert "-0.500 [-0.600, -0.500]" in damage
    assert "7.000 [6.900, 7.000]" in damage
    assert first.splitlines()[0].startswith("excessive_loss against")
    assert second.splitlines()[0].startswith("masked_excessive_loss against")
    for part in (first, second):
        _, margin, rows = part.splitlines()
        seen = [re.split("  +", line)[1:] for line in (margin, rows)]
        assert seen[0] == ["+", "+1.00 [+0.90, +1.00]", "0.012", "explains"]
        assert seen[1] == ["-", "n/a [n/a, n/a]", "n/a", "cannot tell"]
    assert foot == "In brackets: 90% bootstrap intervals over the rows."
    assert pays.splitlines() == ["Who pays", "- c pays."]
    assert care.splitlines() == ["Take care", "- Mind the gap."]


def test_all_lines_of_a_table_have_one_width():
    for part in str(diagnosis()).split("\n\n")[:2]:
        assert len({len(line) for line in part.splitlines()[1:]}) == 1


def test_diagnosis_of_a_dense_network_speaks_of_no_damage():
    text = str(diagnosis(damage=False, notes=["Dense."], sparsity=0.0))
    assert [part.splitlines()[0] for part in text.split("\n\n")] == [
        "The dense network",
        "In brackets: 90% bootstrap intervals over the rows.",
        "Take care",
    ]


def test_bounds_have_a_table_of_their_own():
    report = diagnosis()
    assert "Bounds" not in str(report)
    columns = limits("gradient_norm_bound", [1.0, 2.0]) | limits(
        "eigenvalue_bound", [3.0, NAN]
    )
    report.by_group = report.by_group.assign(**columns)
    title, _, first, second = str(report).split("\n\n")[1].splitlines()
    assert title == "Bounds"
    assert re.split("  +", first)[2:] == ["1.000 [0.900, 1.000]", "3.00 [2.90, 3.00]"]
    assert re.split("  +", second)[2:] == ["2.000 [1.900, 2.000]", "n/a [n/a, n/a]"]


def test_without_notes_nothing_is_said_of_care():
    assert "Take care" not in str(diagnosis())
    assert "n/a" in str(diagnosis())


def test_intersections_and_columns_that_are_missing():
    report = diagnosis(labels=[("f", 20), ("m", 30)], names=["sex", "age"])
    report.by_group = report.by_group.drop(columns=["margin", "excessive_loss"])
    text = str(report)
    assert "sex & age  rows" in text
    assert "f & 20       20" in text
    assert "R, fine-tuned" not in text
    assert "R, masked only" in text


def test_a_high_level_is_not_called_certainty():
    assert "99.5%" in str(diagnosis(confidence=0.995))
