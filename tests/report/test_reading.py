"""Saved audits that are damaged are refused in plain words, or the damage is harmless."""

import functools
import json
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from damages import at, damaged_texts, damages_at, one_of_each, put, read, told, use
from report_cases import MODELS, PEOPLE, X, Y, make_report, regression_report

from sklearn_fairprune import AuditReport, GroupConstrainedPruner, PrunedClassifier, audit
from sklearn_fairprune.__main__ import main
from sklearn_fairprune.report.page import render

torch.set_num_threads(1)

ANOTHER_VALUE = "another value that every rule allows; nothing else in the file tells it"
# Damages that are accepted although the report then tells something else, and why.
ACCEPTED = {
    "a fraction for float": ANOTHER_VALUE,
    "too large for float": ANOTHER_VALUE,
    "negative for float": ANOTHER_VALUE,
    "true for bool": ANOTHER_VALUE,
    "text for str": "another text: of a note, of what a caller said of the data",
    "empty text for str": "the same",
    "renamed": "the same",
    "lone surrogate for NoneType": "the same",
    "a fraction for int": "a measure that counts may be a mean of counts",
    "number as float": "the same",
    "too large for int": "another number of bootstrap samples, or another seed",
    "null for float": "unknown is told as unknown",
    "null for int": "the same",
    "null for bool": "the same",
    "negative for int": ANOTHER_VALUE,
    "column of null": "the same for a measure without limits",
    "column dropped": "the measure is not told, as in a report from before it was added",
    "column renamed": "the same, and a column that nobody reads",
    "column as text": "the same for a column that nobody reads",
    "dropped str": "a setting, a table that an audit need not have",
    "dropped int": "a note less, of several",
    "first row gone": "the same",
    "row twice": "a note twice",
    "reversed": "notes, findings or layers in another order",
    "shuffled": "the same",
    "a name more": "settings of a caller, columns that nobody reads",
    "names reversed": "columns in another order",
}
# Where an accepted damage leaves the text as it is.
ORDER = {"a name more", "names reversed"}


@functools.cache
def full():
    """A report with every table."""
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=5, random_state=0)
    held = GroupConstrainedPruner(clf, tolerance=9.0)
    frame = pd.DataFrame(X[:, :2], index=[f"row {k}" for k in range(len(X))])
    path = clf.pruning_path(frame, Y, sparsities=[0, 0.5])
    models = {"dense": path.estimators[0], "half": path.estimators[1]}
    models["held"] = held.fit(frame, Y, sensitive_features=PEOPLE["sex"])
    models["other"] = MODELS["harmed"]
    options = {"explain": True, "min_group_size": 1, "n_boot": 50, "latency": (1, 2)}
    return audit(models, frame, Y, sensitive_features=PEOPLE, **options)


REPORTS = {
    "one feature": lambda: make_report(sensitive_features=PEOPLE["sex"]),
    "intersections": make_report,
    "regressors": regression_report,
    "weighted": lambda: make_report(sample_weight=np.arange(len(X)) % 5),
    "every table": full,
}


def drawn(report):
    report.plot("loss")
    plt.close("all")


def judge(name, folder, monkeypatch, share=None):
    """Damage a report; count what is refused, harmless, and told otherwise."""
    original = REPORTS[name]()
    text = original.to_json()
    values, rng = json.loads(text), np.random.default_rng(0)
    if hasattr(render, "charts_library"):  # 1 MB that is the same in all pages
        monkeypatch.setattr(render, "charts_library", lambda: "/* charts */")
    (folder / "csv").mkdir(exist_ok=True)
    whole = use(AuditReport.from_json(text), original, folder / "csv", drawn)
    counts = Counter()
    cases = [
        (path, kind, damaged)
        for path in one_of_each(values, rng, 1)
        for kind, damaged in damages_at(values, path, rng)
    ]
    texts = [((), kind, damaged) for kind, damaged in damaged_texts(text, 40)]
    chosen = range(len(cases))
    if share is not None:
        chosen = sorted(rng.choice(len(cases), share, replace=False))
    for path, kind, damaged in [*(cases[k] for k in chosen), *texts]:
        if not isinstance(damaged, str):
            damaged = json.dumps(damaged)
        report = read(damaged, folder)
        counts["damaged"] += 1
        counts["refused" if report is None else "accepted"] += 1
        if report is None:
            continue
        got = use(report, original, folder / "csv", drawn if share else None)
        same = all(got[key] == whole[key] for key in whole.keys() & got.keys() - {"json"})
        counts["tell the same" if same else "tell something else"] += 1
        row_name = path[-1:] == ("index",)  # of the user's table: may be anything
        label = path == ("about", "positive_class")  # which nothing else tells
        assert same or row_name or label or kind in ACCEPTED, (path, kind)
        assert kind not in ORDER or got["text"] == whole["text"], (path, kind)
    return counts


@pytest.mark.slow
def test_a_damaged_report_is_refused_or_the_damage_is_harmless(tmp_path, monkeypatch):
    counts = judge("one feature", tmp_path, monkeypatch, share=150)
    assert counts["refused"] > 0.8 * counts["damaged"]


@pytest.mark.slow
@pytest.mark.parametrize("name", REPORTS)
def test_many_damages_are_refused_or_harmless(name, tmp_path, monkeypatch):
    counts = judge(name, tmp_path, monkeypatch, share=400)
    print(name, dict(counts))
    assert counts["refused"] > 0.8 * counts["damaged"]


@pytest.mark.parametrize("name", REPORTS)
def test_a_whole_report_is_read_as_it_was(name):
    report = REPORTS[name]()
    again = AuditReport.from_json(report.to_json())
    assert again.to_json() == report.to_json()
    assert str(again) == str(report)


def test_a_report_of_an_earlier_release_is_read(pytestconfig):
    path = pytestconfig.rootpath / "examples/mortgage_audit/audit.json"
    report = json.loads(path.read_text(encoding="utf-8"))
    for row in report["sizes"]:
        del row["effective_sparsity"]
    for late in ("negligible", "schedule", "recovery", "finetune_lr", "sample_weight"):
        del report["about"][late]
    read = AuditReport.from_json(json.dumps(report))
    assert len(read.overall) == 8
    assert "Sizes of the networks" in read.to_html()


ONE = ("by_group", 1)
WRONG = [
    (
        (*ONE, "accuracy"),
        1.5,
        r"by_group\[1\]\['accuracy'\] must be a number from 0 to 1, or n",
    ),
    ((*ONE, "accuracy"), "0.5", r"by_group\[1\]\['accuracy'\] must be .*, got '0.5'"),
    (
        (*ONE, "accuracy"),
        put.gone,
        r"by_group\[1\] has other columns than by_group\[0\]: \['a",
    ),
    ((*ONE, "accuracy"), None, r"by_group\[1\]: accuracy None with limits"),
    ((*ONE, "loss_low"), 99.0, r"by_group\[1\]: loss .*: the value must lie within them"),
    ((*ONE, "rows"), 3, r"by_group: groups and rows|rows must add up"),
    (
        (*ONE, "rows"),
        3.0,
        r"by_group\[1\]\['rows'\] must be a whole number of at least 0, got",
    ),
    ((*ONE, "sex"), "w", r"by_group: groups and rows of 'harmed' must be those of the first"),
    ((*ONE, "sex"), "f", r"by_group has a row twice: \('dense', 'f'\)"),
    (
        ("overall", 1, "model"),
        "new",
        r"must have models of overall in order, \['dense', 'new'",
    ),
    (("overall",), put.gone, "the report lacks 'overall'"),
    (("payers",), put.gone, "payers must be of the models"),
    (("changes",), [], "changes must be a list of rows"),
    (("changed_rows",), put.gone, "changed_rows of .* must have .* changed, as in changes"),
    (("changed_rows", 0, "outcome"), "helped", "outcome 'helped' must agree"),
    (("payerz",), [{"a": 1}], "the report has 'payerz', and may have only"),
    (("payers", 0, "group"), "m", "rows and value must be those of 'm' in by_group"),
    (("payers", 0, "sentence"), "?", "findings must have what payers tell: 'harmed, by deci"),
    (("about", "dense_model"), "other", r"about\['dense_model'\] must be the first model"),
    (("about", "sensitive_features"), ["age"], "lacks 'age'"),
    (("about", "confidence"), 1, r"about\['confidence'\] must be a number from 0 to 1, got 1"),
    (("overall", 0, "extra?"), 3, r"overall\[1\] has other columns"),
    (("findings", 0), 3, r"findings\[0\] must be a text, got 3"),
    (("notes",), [], "notes must tell of 'stuck', which is broken"),
    (("features",), {"sex": {}}, "features must have a report for each of several"),
]


@pytest.mark.parametrize(("path", "value", "words"), WRONG)
def test_what_is_wrong_is_said(path, value, words):
    values = json.loads(make_report(sensitive_features=PEOPLE["sex"]).to_json())
    with pytest.raises(ValueError, match=words) as caught:
        AuditReport.from_json(json.dumps(put(values, path, value)))
    assert str(caught.value).endswith("or audit the models again.")


OF_FEATURE = [
    (("about", "rows"), 7, r"features\['age'\].by_group: rows must add up to 7"),
    (("about", "n_boot"), 7, r"features\['age'\].about\['n_boot'\] must be 100, as in the"),
    (("overall", 0, "sparsity"), 0.25, r"features\['age'\].overall must be about the models"),
    (("sizes",), [{"model": "a"}], r"features\['age'\] has 'sizes', and may have only"),
]


@pytest.mark.parametrize(("path", "value", "words"), OF_FEATURE)
def test_features_must_be_of_the_same_models_and_rows(path, value, words):
    values = json.loads(make_report().to_json())
    with pytest.raises(ValueError, match=words):
        AuditReport.from_json(json.dumps(put(values, ("features", "age", *path), value)))


def test_rows_of_a_feature_are_those_of_its_intersections():
    values = json.loads(make_report().to_json())
    for table in ("by_group", "changes"):
        for row in at(values, ("features", "age", table)):
            row["rows"] += 1 if row["age"] == 30 else -1
    with pytest.raises(ValueError, match=r"\['age'\].(by_group: rows must|changes|payers)"):
        AuditReport.from_json(json.dumps(values))


NETWORKS = [
    (("layers", 0, "kept"), 1, "sizes of 'dense' must be"),
    (("sizes",), put.gone, "sizes of 'dense' must be"),
    (("overall", 1, "sparsity"), 0.75, "overall: sparsity of 'half' must be 0.5, got 0.75"),
    (("why", 0, "hessian_products"), "x", r"why\['hessian_products'\] must be of one kind"),
    (("why", 0, "eigenvalue_converged"), 1, r"why\['eigenvalue_converged'\] must be of one"),
    (("training",), put.gone, "training lacks 'held', which constraints has"),
    (("explanations",), put.gone, r"explanations must be of the models of why, \['half', 'h"),
    (("why", 0, "rows"), 1, "why: rows_used|why: by_group has no|must be at most rows"),
]


@pytest.mark.parametrize(("path", "value", "words"), NETWORKS)
def test_networks_must_add_up(path, value, words):
    with pytest.raises(ValueError, match=words):
        AuditReport.from_json(json.dumps(put(json.loads(full().to_json()), path, value)))


def of_tables(values, path=()):
    """Paths to the tables, those of the features too."""
    for name, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            yield (*path, name)
    for name, one in values.get("features", {}).items():
        yield from of_tables(one, (*path, "features", name))


def test_without_a_table_or_a_model_in_it_it_is_refused_or_used():
    values = json.loads(full().to_json())
    used = 0
    for path in of_tables(values):
        rows = at(values, path)
        models = dict.fromkeys(row["model"] for row in rows if "model" in row)
        fewer = [[row for row in rows if row.get("model") != model] for model in models]
        for rest in (put.gone, *(rest for rest in fewer if rest)):
            try:
                report = AuditReport.from_json(json.dumps(put(values, path, rest)))
            except ValueError:
                continue
            assert told(report)["page"], path
            used += 1
    assert used >= 3  # times and constraints may be missing


def test_compare_on_the_command_line_says_it_in_one_line(tmp_path, capsys):
    text = make_report(sensitive_features=PEOPLE["sex"]).to_json()
    (tmp_path / "a.json").write_text(text)
    for kind, damaged in [*damaged_texts(text, 3), ("gone", text.replace("rows", "row"))]:
        (tmp_path / "b.json").write_text(damaged)
        status = main(["compare", str(tmp_path / "a.json"), str(tmp_path / "b.json")])
        told = capsys.readouterr()
        assert (status, told.out) == (2, ""), kind
        assert len(told.err.strip().splitlines()) == 1, kind
        assert "b.json" in told.err
