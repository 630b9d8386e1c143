"""The page before a browser sees it: numbers, escaping, and what it needs."""

import base64
import hashlib
import html.parser
import json
import re
import sys

import numpy as np
import pandas as pd
import pytest
from report_cases import MODELS, PEOPLE, N, X, Y, make_report, regression_report
from sklearn.metrics import f1_score

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, audit
from sklearn_fairprune.report.page.payload import page_payload
from sklearn_fairprune.report.page.render import (
    along_sparsities,
    render_page,
    render_summary,
    script_json,
)

HOSTILE = "</script><script>alert(1)</script>\u2028<!--"


class Elements(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.scripts, self.attributes = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_data(self, data):
        if self.tags and self.tags[-1] == "script" and self.scripts[-1][1] == "":
            self.scripts[-1] = (self.scripts[-1][0], data)


@pytest.fixture(scope="module")
def report():
    return make_report()


@pytest.fixture(scope="module")
def hostile():
    groups = [HOSTILE if k % 2 else '"><img src=x onerror=alert(2)>' for k in range(N)]
    models = {HOSTILE: MODELS["dense"], "`${x}\\": MODELS["harmed"]}
    report = make_report(models, sensitive_features={HOSTILE: groups})
    report.notes.append(HOSTILE)
    report.about["data"] = HOSTILE
    return report


def test_payload_has_the_numbers(report):
    payload = json.loads(json.dumps(page_payload(report), allow_nan=False))
    assert [m["name"] for m in payload["models"]] == ["dense", "harmed", "stuck"]
    assert [m["broken"] for m in payload["models"]] == [False, False, True]
    assert payload["models"][0]["sparsity"] is None
    assert payload["detail"] == 1
    first = payload["features"][0]
    assert first["name"] == "sex & age"
    assert first["groups"][0] == "f & 60"
    row = next(r for r in first["byGroup"] if r["model"] == 1 and r["group"] == "f & 60")
    truth = report.by_group.loc[("harmed", "f", 60)]
    for name in ("accuracy", "loss", "excessive_loss", "accuracy_drop"):
        limits = [truth[name], truth[f"{name}_low"], truth[f"{name}_high"]]
        assert row[name] == pytest.approx(limits, rel=1e-5)
    spread = report.by_feature["age"].overall.loc["stuck", "accuracy_spread"]
    assert payload["features"][2]["overall"][2]["accuracy_spread"][0] == pytest.approx(spread)


def test_payload_says_who_pays_in_every_model(report):
    payload = page_payload(report)
    assert payload["leastRows"] == 1
    dense, harmed, stuck = payload["features"][0]["payers"]
    nobody = {"group": "", "pays": False, "verdict": "", "negligible": None}
    assert dense == {"measure": "accuracy_drop"} | nobody
    told = report.payers.loc[("harmed", "decisions")]
    assert harmed == {
        "measure": "accuracy_drop",
        "group": "f & 60",
        "pays": True,
        "verdict": "pays most",
        "negligible": told["negligible"],
    }
    assert not stuck["pays"]
    assert stuck["verdict"] == report.payers.loc[("stuck", "decisions"), "verdict"]
    other = page_payload(regression_report())["features"][0]["payers"]
    assert [payer["measure"] for payer in other] == ["excessive_loss"] * 2


def test_the_table_of_changed_predictions(report):
    pytest.importorskip("vl_convert")
    page = report.to_html()
    table = re.search(r'aria-label="Changed predictions by group">.*?</table>', page, re.S)
    titles = re.findall(r'<th scope="col">(.*?)</th>', table.group())
    assert titles == [
        *("model", "group", "rows", "changed", "worse for", "better for"),
        *("changed %", "worse for %", "better for %"),
        *("exact paired test, p", "p, Holm over the groups", "representation"),
    ]
    cells = re.search(r"<td>f &amp; 60</td>(.*?)</tr>", table.group(), re.S).group(1)
    cells = re.findall(r"<td>(.*?)</td>", cells)
    row = report.changes.loc[("harmed", "f", 60)]
    low, high = (100 * row[f"harmed_share_{end}"] for end in ("low", "high"))
    assert cells[5] == f"{100 * row['harmed_share']:.1f} [{low:.1f}, {high:.1f}]"
    assert cells[7:9] == ["&lt; 0.001"] * 2
    assert row["p_value_holm"] < 0.001


def test_a_report_saved_before_has_a_table_of_changed_predictions():
    pytest.importorskip("vl_convert")
    report = make_report(sensitive_features=PEOPLE["sex"])
    later = [c for c in report.changes if c.startswith(("harmed_", "helped_", "p_"))]
    report.changes = report.changes.drop(columns=later)
    page = report.to_html()
    assert '<th scope="col">changed %</th><th scope="col">representation</th>' in page


def test_payload_of_networks_and_their_training():
    clf = PrunedClassifier(
        hidden_layer_sizes=(4,), finetune_epochs=2, sparsity=0.5, random_state=0
    )
    held = GroupConstrainedPruner(clf, tolerance=9.0)
    held.fit(X, Y, sensitive_features=PEOPLE["sex"])
    report = audit({"held": held}, X, Y, n_boot=10)
    payload = page_payload(report)
    table = report.layers.reset_index()
    for name in ("layer", "weights", "kept", "shape"):
        assert [row[name] for row in payload["layers"]] == table[name].tolist()
    for name in ("multiplier", "violation"):
        truth = report.training[name].tolist()
        assert [row[name] for row in payload["training"]] == pytest.approx(truth, rel=1e-5)
    for name in ("epoch", "group"):
        assert [row[name] for row in payload["training"]] == report.training[name].tolist()


def test_payload_of_a_regressor():
    payload = page_payload(regression_report())
    assert [m["id"] for m in payload["measures"]] == ["excessive_loss", "loss"]
    assert [m["id"] for m in payload["disparities"]] == ["fairness_violation"]
    assert payload["quality"]["id"] == "loss"


@pytest.mark.parametrize(
    ("make", "columns", "loss"),
    [
        (make_report, ["accuracy %", "accuracy spread, points"], "cross-entropy"),
        (regression_report, ["loss J", "fairness violation xi"], "squared error"),
    ],
)
def test_the_first_table_and_the_words(make, columns, loss):
    pytest.importorskip("vl_convert")
    page = make().to_html()
    head = re.search(r'<table class="glance">.*?</thead>', page, flags=re.S).group()
    titles = re.findall(r'<th scope="col">(.*?)</th>', head)
    assert titles == ["model", "sparsity", *columns, "who pays most", "how sure"]
    words = ["Loss J", "Excessive loss R", "Fairness violation xi", "Pays most"]
    if "accuracy %" in columns:
        words = ["Balanced accuracy", *words[:2], "Accuracy drop"]
        words += ["Selection rate", "True positive rate", "False positive rate", "Precision"]
        words += ["Accuracy spread", "Fairness violation xi", "Demographic parity difference"]
        words += ["Equal opportunity difference", "Equalized odds difference", "Pays most"]
        assert "Share of a group&#39;s rows that are predicted yes." in page
    assert re.findall("<dt>(.*?)</dt>", page)[: len(words)] == words
    assert f"Mean {loss} of a group&#39;s rows." in page


def test_unknown_numbers_are_null():
    with pytest.warns(UserWarning, match="tiny"):
        report = make_report(
            sensitive_features=["big"] * (N - 1) + ["tiny"], min_group_size=30
        )
    rows = page_payload(report)["features"][0]["byGroup"]
    assert next(r for r in rows if r["group"] == "tiny")["loss"][1:] == [None, None]


def test_json_in_a_script_cannot_end_it():
    text = script_json([HOSTILE])
    assert json.loads(text) == [HOSTILE]
    assert not set("<>&\u2028\u2029") & set(text)


def test_everything_named_by_a_user_is_escaped(hostile):
    pytest.importorskip("vl_convert")
    page = render_page(hostile)
    elements = Elements(page)
    assert elements.tags.count("script") == 4
    assert "img" not in elements.tags
    assert not [name for name, _ in elements.attributes if name.startswith("on")]
    data = next(text for attrs, text in elements.scripts if attrs.get("id") == "audit")
    assert json.loads(data)["models"][0]["name"] == HOSTILE
    summary = Elements(render_summary(hostile))
    assert "script" not in summary.tags
    assert "img" not in summary.tags


def test_only_its_own_scripts_may_run(report):
    pytest.importorskip("vl_convert")
    page = report.to_html()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    hashes = re.findall(r"'sha256-([^']*)'", policy.replace("&#39;", "'"))
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.S)
    assert len(scripts) == 3
    for script, digest in zip(scripts, hashes, strict=True):
        wanted = hashlib.sha256(script.encode()).digest()
        assert base64.b64encode(wanted).decode() == digest
    assert "default-src 'none'" in policy.replace("&#39;", "'")
    assert not re.search(r"<(link|img|iframe)\b|@import|url\(", page.split("<script")[0])


def test_the_page_is_written(report, tmp_path):
    pytest.importorskip("vl_convert")
    page = report.to_html(tmp_path / "r.html")
    assert (tmp_path / "r.html").read_text(encoding="utf-8") == page
    assert page.startswith("<!DOCTYPE html>")
    assert len(page) < 5e6
    for text in ("Whose predictions changed", "Not measured", "f &amp; 60"):
        assert text in page


def test_without_the_library_of_charts(report, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(ImportError, match=r'pip install "sklearn-fairprune\[html\]"'):
        report.to_html(tmp_path / "r.html")
    assert not list(tmp_path.iterdir())
    assert report._repr_html_()


def test_tables_without_scripts_have_every_group(report):
    page = render_summary(report)
    for feature, part in report.by_feature.items():
        assert f"Groups by {feature.replace('&', '&amp;')}" in page
        assert page.count(f'aria-label="Groups by {feature.replace("&", "&amp;")}"') == 1
        assert len(part.by_group) == len(MODELS) * (4 if "&" in feature else 2)
        assert page.count(f"Rates by {feature.replace('&', '&amp;')} (positive") == 4
    # Of each feature: a table at a glance, one of the groups, one of their rates, and one of
    # the rates of all rows.
    assert page.count("<tr") == 3 * (4 + 2 * len(MODELS)) + 2 * len(MODELS) * (4 + 2 + 2)
    assert list(PEOPLE) == ["sex", "age"]


def test_every_number_of_the_charts_is_in_a_table():
    pytest.importorskip("vl_convert")
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=3, random_state=0)
    held = GroupConstrainedPruner(clf, tolerance=9.0, holdout=0.2)
    held.fit(X, Y, sensitive_features=PEOPLE["sex"])
    dense = clf.set_params(sparsity=0.0).fit(X, Y)
    page = make_report({"dense": dense, "held": held}).to_html()
    tables = re.sub(r"<script.*?</script>", "", page, flags=re.S)
    for column in ("multiplier", "violation", "holdout_violation"):
        for value in held.history_[column]:
            assert f"<td>{value:.3f}</td>" in tables
    for kept in (int(mask.sum()) for mask in held.masks_.values()):
        assert f"<td>{kept:,} of " in tables


@pytest.mark.slow
def test_rates_and_metrics_are_in_the_menus_and_in_tables():
    pytest.importorskip("vl_convert")
    report = make_report(n_boot=40, metrics={"a": f1_score, "<b>": "roc_auc"})
    payload = page_payload(report)
    ids = [m["id"] for m in payload["measures"]]
    assert ids[0] == "accuracy"
    assert ids[-2:] == ["precision", "selection_rate", "true_positive_rate"][-2:]
    assert {"a", "<b>", "balanced_accuracy"} <= set(ids)
    assert payload["disparities"][0]["id"] == "accuracy_spread"
    ids = [m["id"] for m in payload["disparities"]]
    assert {"demographic_parity_difference", "a_difference"} <= set(ids)
    row = payload["features"][0]["byGroup"][0]
    assert row["a"] == [1.0, None, None]
    assert payload["features"][1]["overall"][1]["equalized_odds_difference"][0] > 0.4
    page = report.to_html()
    assert "<b>" not in page
    assert page.count('aria-label="Metrics by sex"') == 1
    number = report.by_feature["sex"].by_group.loc[("harmed", "f"), "a"]
    assert f"<td>{number:.3f} [" in page
    assert "<dt>metrics</dt><dd>a, a_difference, &lt;b&gt;, &lt;b&gt;_difference</dd>" in page
    boxes = re.findall(r'<div class="scroll".*?</div>', page, flags=re.S)
    assert sum("<table class" in box for box in boxes) == page.count("<table class")


@pytest.mark.parametrize(
    ("sparsities", "along"),
    [
        ([0, 0.5, 0.9], True),
        ([0, 0.9, 0.5], False),
        ([0, 0.5, 0.5], False),
        ([0, np.nan, 0.9], False),
        ([np.nan] * 3, False),
        ([0], False),
    ],
)
def test_models_are_along_sparsities_where_these_rise(sparsities, along):
    assert along_sparsities(pd.DataFrame({"sparsity": sparsities})) is along


def with_budgets():
    """A report of a path with budgets, of models that hold no network."""
    report = make_report(
        {"dense": MODELS["dense"], "s, 1": MODELS["stuck"], "s, 9": MODELS["harmed"]}
    )
    for one in report.by_feature.values():
        one.overall = one.overall.assign(sparsity=[0, 0.5, 0.5], finetune_epochs=[0, 1, 9])
        one.about["budgets"] = [1, 9]
    return report


def test_payload_has_the_budgets(report):
    payload = page_payload(with_budgets())
    assert payload["budgets"] == [{"title": "s", "models": [1, 2], "epochs": [1, 9]}]
    assert [model["shorter"] for model in payload["models"]] == [False, True, False]
    assert payload["detail"] == 2
    plain = page_payload(report)
    assert plain["budgets"] == []
    assert not any(model["shorter"] for model in plain["models"])


def test_the_section_of_the_budgets(report):
    pytest.importorskip("vl_convert")
    page = with_budgets().to_html()
    assert 'id="chart-budgets"' in page
    assert "Each group along the sparsities" in page
    assert "<dt>budgets</dt><dd>[1, 9]</dd>" in page
    assert 'id="chart-budgets"' not in report.to_html()


def test_the_heading_of_the_groups(report):
    pytest.importorskip("vl_convert")
    headings = "Each group in every model", "Each group along the sparsities"
    page = report.to_html()
    assert [heading in page for heading in headings] == [True, False]
    path = make_report()
    path.overall["sparsity"] = [0, 0.5, 0.9]
    page = path.to_html()
    assert [heading in page for heading in headings] == [False, True]
