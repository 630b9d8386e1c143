"""An audit as frame, JSON and back, Markdown, and a summary; several features."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
from report_cases import MODELS, PEOPLE, X, Y, make_report, regression_report

from sklearn_fairprune import (
    AuditReport,
    GroupConstrainedPruner,
    PrunedClassifier,
    audit,
    diagnose,
)
from sklearn_fairprune.report.report import Report


@pytest.fixture(scope="module")
def report():
    return make_report()


@pytest.fixture(scope="module")
def full():
    """A report with every table."""
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=5, random_state=0)
    held = GroupConstrainedPruner(clf, tolerance=9.0)
    frame = pd.DataFrame(X[:, :2], index=[f"row {k}" for k in range(len(X))])
    path = clf.pruning_path(frame, Y, sparsities=[0, 0.5])
    models = {"dense": path.estimators[0], "half": path.estimators[1]}
    models["held"] = held.fit(frame, Y, sensitive_features=PEOPLE["sex"])
    models["other"] = MODELS["harmed"]
    return audit(
        models, frame, Y, sensitive_features=PEOPLE, explain=True, min_group_size=1, n_boot=50
    )


def test_each_feature_alone_is_what_it_alone_gives(report):
    assert list(report.by_feature) == ["sex & age", "sex", "age"]
    assert report.by_feature["sex & age"] is report
    for name in PEOPLE:
        alone = make_report(sensitive_features=PEOPLE[name])
        assert list(alone.by_feature) == [name]
        exact = ["rows", "accuracy", "accuracy_low", "loss", "excessive_loss", "accuracy_drop"]
        part = report.by_feature[name]
        pd.testing.assert_frame_equal(part.by_group[exact], alone.by_group[exact])
        exact = ["loss", "accuracy_spread", "accuracy_spread_low", "fairness_violation"]
        pd.testing.assert_frame_equal(part.overall[exact], alone.overall[exact])
        assert part.about["sensitive_features"] == [name]


def test_who_pays_is_a_table_too(report):
    assert report.payers.index.names == ["model", "by"]
    assert report.payers.loc["harmed"].index.tolist() == ["decisions", "loss"]
    for by, measure in (("decisions", "accuracy_drop"), ("loss", "excessive_loss")):
        row = report.payers.loc["harmed", by]
        assert (row["group"], row["verdict"]) == ("f & 60", "pays most")
        assert row["rows"] == ((PEOPLE["sex"] == "f") & (PEOPLE["age"] == 60)).sum()
        own = report.by_group.loc[("harmed", "f", 60)]
        assert row["value"] == own[measure]
        assert row["value_high"] == own[f"{measure}_high"]
        assert row["lead_low"] > row["negligible"] > 0
    assert "dense" not in report.payers.index.get_level_values("model")
    same = make_report({"dense": MODELS["dense"], "same": MODELS["dense"]})
    assert set(same.payers["verdict"]) == {"no group pays"}


def test_what_is_negligible_is_the_user_s_choice(report):
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    dense_loss = report.overall.loc["dense", "loss"]
    assert report.payers["negligible"].iloc[:2].tolist() == [
        0.005,
        pytest.approx(dense_loss / 100),
    ]
    lax = make_report(models, negligible={"accuracy_drop": 0.95})
    assert lax.payers["verdict"].tolist()[1] == "pays most"
    assert lax.payers.loc[("harmed", "decisions"), "negligible"] == 0.95
    for wrong in (-1, np.inf, "much", True):
        with pytest.raises(ValueError, match=r"negligible\['accuracy_drop'\] must be finite"):
            make_report(models, negligible={"accuracy_drop": wrong})
    with pytest.raises(ValueError, match=r"negligible: 'spread' .*known are .*accuracy_drop"):
        make_report(models, negligible={"spread": 0.1})


def test_changed_predictions(report):
    changed = report.changed_rows.loc[["harmed"]]
    women = np.flatnonzero((PEOPLE["sex"] == "f") & (PEOPLE["age"] == 60))
    assert changed["row"].tolist() == women.tolist()
    assert set(changed["outcome"]) == {"harmed"}
    assert report.changes.loc[("harmed", "f", 60), "changed_share"] == 1


def test_broken_models_are_flagged(report):
    assert report.overall["predicts_one_class"].tolist() == [False, False, True]


def test_one_long_frame(report):
    frame = report.to_frame()
    assert list(frame) == [
        "feature",
        "model",
        "sparsity",
        "about",
        "group",
        "rows",
        "measure",
        "value",
        "low",
        "high",
    ]
    assert not frame.duplicated(["feature", "model", "about", "group", "measure"]).any()
    row = frame[
        (frame["feature"] == "sex & age")
        & (frame["model"] == "harmed")
        & (frame["group"] == "f & 60")
        & (frame["measure"] == "accuracy_drop")
    ].squeeze()
    truth = report.by_group.loc[("harmed", "f", 60)]
    assert row["value"] == truth["accuracy_drop"]
    assert (row["low"], row["high"]) == (
        truth["accuracy_drop_low"],
        truth["accuracy_drop_high"],
    )
    spread = frame.query(
        "feature == 'age' and model == 'stuck' and measure=='accuracy_spread'"
    )
    assert (
        spread["value"].item()
        == report.by_feature["age"].overall.loc["stuck", "accuracy_spread"]
    )
    n_groups = {"sex & age": 4, "sex": 2, "age": 2}
    groups = frame[frame["about"] == "group"].groupby("feature")["group"].nunique()
    assert groups.to_dict() == n_groups
    assert not frame["value"].isna().any()


TABLES = (
    "by_group",
    "overall",
    "payers",
    "changes",
    "changed_rows",
    "why",
    "explanations",
    "sizes",
    "layers",
    "constraints",
    "training",
)


def test_json_and_back(full):
    text = full.to_json()
    again = AuditReport.from_json(text)
    assert again.to_json() == text
    assert list(again.by_feature) == list(full.by_feature)
    assert (again.findings, again.notes) == (full.findings, full.notes)
    for feature, part in full.by_feature.items():
        for name in TABLES:
            ours, theirs = getattr(part, name), getattr(again.by_feature[feature], name)
            if len(ours):
                pd.testing.assert_frame_equal(
                    ours, theirs, check_dtype=False, check_index_type=False
                )
    assert set(json.loads(text)) == {"about", *TABLES, "findings", "notes", "features"}
    pd.testing.assert_frame_equal(again.to_frame(), full.to_frame(), check_dtype=False)
    assert again.to_markdown() == full.to_markdown()
    assert again._repr_html_() == full._repr_html_()


def test_from_a_file(report, tmp_path):
    report.to_json(tmp_path / "audit.json")
    for path in (tmp_path / "audit.json", str(tmp_path / "audit.json")):
        assert AuditReport.from_json(path).findings == report.findings


@pytest.mark.parametrize("text", ["{}", '{"about": {}}', "{nonsense", '{"about": 3}'])
def test_other_json_is_refused(text):
    with pytest.raises(ValueError, match="no audit report written by to_json"):
        AuditReport.from_json(text)


def test_one_csv_for_each_table(full, tmp_path):
    paths = full.to_csv(tmp_path)
    assert sorted(p.stem for p in paths) == sorted(TABLES)
    read = pd.read_csv(tmp_path / "changed_rows.csv")
    assert read["index"].str.startswith("row ").all()
    assert len(read) == len(full.changed_rows)


def test_tables_of_networks(full):
    assert full.sizes.index.tolist() == ["dense", "half", "held"]
    assert full.overall.loc["half", "sparsity"] == pytest.approx(0.5)
    assert np.isnan(full.overall.loc["other", "sparsity"])
    assert full.layers.loc["half", "kept"].sum() == full.sizes.loc["half", "kept"]
    assert full.constraints.index.tolist() == ["held"]
    assert bool(full.constraints.loc["held", "satisfied"])
    assert set(full.training["group"]) == {"f", "m"}
    assert (full.training["tolerance"] == 9).all()


def test_explanations_of_every_pruned_network(full):
    assert full.why.index.unique("model").tolist() == ["half", "held"]
    assert full.why.index.names == ["model", "sex", "age"]
    assert full.by_feature["sex"].why.index.names == ["model", "sex"]
    assert {"gradient_norm", "largest_eigenvalue", "second_order"} <= set(full.why)
    assert "eigenvalue_bound" not in full.why
    assert any("other: there is no pruned network inside" in note for note in full.notes)


def test_options_of_the_explanation():
    clf = PrunedClassifier(hidden_layer_sizes=(8,), random_state=0).fit(X, Y)
    report = audit(
        {"a": clf, "b": clf}, X, Y, min_group_size=1, n_boot=10, explain={"max_samples": 20}
    )
    assert report.why["rows_used"].tolist() == [20, 20]
    with pytest.raises(ValueError, match="no_such_option"):
        audit({"a": clf, "b": clf}, X, Y, n_boot=10, explain={"no_such_option": 1})


def test_what_cannot_be_explained_is_noted(monkeypatch):
    def refuse(*args, **options):
        raise ValueError("no logits")

    monkeypatch.setattr(sys.modules[diagnose.__module__], "diagnose", refuse)
    clf = PrunedClassifier(hidden_layer_sizes=(8,), random_state=0).fit(X, Y)
    report = audit({"a": clf, "b": clf}, X, Y, min_group_size=1, n_boot=10, explain=True)
    assert "b could not be explained: no logits" in report.notes[-1]
    assert report.why.empty


def test_summary_for_notebooks(report):
    html = report._repr_html_()
    assert "<script" not in html
    assert "f &amp; 60" in html
    assert "broken: predicts one class" in html
    assert "regress" not in regression_report()._repr_html_()


def test_small_groups_warn_once():
    with pytest.warns(UserWarning, match="f & 30") as caught:
        make_report(min_group_size=60)
    assert len(caught) == 1


def test_a_feature_called_model():
    groups = pd.Series(PEOPLE["sex"].to_numpy(), name="model")
    report = make_report(sensitive_features=groups)
    assert report.by_group.index.names == ["model", "model (group)"]
    assert AuditReport.from_json(report.to_json()).to_json() == report.to_json()
    assert "pays most" in str(report)


def test_rows_keep_their_names_only_in_pandas(report):
    assert "index" not in report.changed_rows
    assert isinstance(report, Report)


def test_models_must_be_named():
    with pytest.raises(TypeError, match=r"dict of names to fitted estimators, .* got list"):
        make_report(list(MODELS.values()))


def test_no_better_than_one_class_is_broken_too():
    nearly = np.full(len(X), 0.9)
    nearly[np.flatnonzero(Y == "yes")[:3]] = 0.1  # says "no" three times, wrongly
    rows = np.column_stack([X[:, 0], nearly])
    models = {"dense": MODELS["dense"], "nearly": MODELS["harmed"]}
    report = audit(models, rows, Y, sensitive_features=PEOPLE["sex"], n_boot=200)
    assert report.overall["no_better_than_chance"].tolist() == [False, True]
    assert not report.overall["predicts_one_class"].any()
    assert "nearly is no better than one class for everybody (balanced accuracy" in str(report)
    assert "broken: no better than one class" in report._repr_html_()
    with pytest.raises(AssertionError, match=r"not fair: nearly \(no better than one class\)"):
        report.assert_disparity(max_spread=1)


def test_a_group_of_few_rows_is_not_said_to_pay_most():
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    sizes = make_report(models).by_group.loc["harmed", "rows"]
    with pytest.warns(UserWarning, match="f & 60"):
        few = make_report(models, min_group_size=int(sizes["f", 60]) + 1)
    assert few.payers.loc[("harmed", "decisions"), "verdict"] == "no group pays"
    assert any("harmed: too few rows to compare: " in line for line in few.findings)
    assert "f & 60 (45 rows, accuracy drop +100.0" in str(few)
    assert few.overall.loc["harmed", ["accuracy_spread", "fairness_violation"]].tolist() == [
        0,
        0,
    ]
    everybody = make_report(models, min_group_size=1)
    assert everybody.overall.loc["harmed", "accuracy_spread"] == 1


def test_where_no_two_groups_have_enough_rows_spreads_are_over_all():
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    with pytest.warns(UserWarning, match="spreads are over all groups"):
        few = make_report(models, min_group_size=1000)
    assert few.overall.loc["harmed", "accuracy_spread"] == 1
    assert set(few.payers["verdict"]) == {"too few rows"}
    assert "too few rows to compare, so that nothing is: f &amp; 30" in few._repr_html_()
