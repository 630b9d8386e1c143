"""What users get wrong or name strangely: refused by name, or shown as it is."""

import numpy as np
import pandas as pd
import pytest
from report_cases import MODELS, PEOPLE, Column, N, Value, X, Y, make_report
from sklearn.utils import Bunch

from sklearn_fairprune import AuditReport, PrunedClassifier, audit
from sklearn_fairprune.measurement.models import path_names
from sklearn_fairprune.report import compare_reports
from sklearn_fairprune.report.compare import comparison_as_text
from sklearn_fairprune.report.displays import GroupPathDisplay

TWO = {"dense": MODELS["dense"], "harmed": MODELS["harmed"]}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"confidence": 95}, "confidence must be between 0 and 1, got 95. Use 0.95, not 95"),
        ({"confidence": 0}, "confidence must be .* got 0"),
        ({"confidence": 1.0}, "confidence must be .* got 1.0"),
        ({"confidence": True}, "confidence must be .* got True"),
        ({"confidence": "95 %"}, "confidence must be .* got '95 %'"),
        (
            {"n_boot": 1},
            "n_boot must be an integer of at least 2, got 1. Use for example",
        ),
        ({"n_boot": 99.5}, "n_boot must be .* got 99.5"),
        ({"n_boot": None}, "n_boot must be .* got None"),
        ({"min_group_size": -1}, "min_group_size must be an integer of at least 0, got -1"),
        ({"min_group_size": "30"}, "min_group_size must be .* got '30'"),
        ({"random_state": None}, "random_state must be an integer of at least 0, got None"),
        ({"random_state": -1}, "random_state must be .* got -1"),
        ({"explain": 1}, "explain must be True, False or a dict .* got 1"),
        ({"explain": None}, "explain must be .* got None"),
        ({"explain": "yes"}, "explain must be .* got 'yes'"),
        ({"explain": {"sparsity": 0.5}}, r"explain has unknown options \['sparsity'\]"),
        ({"explain": {"n_boot": 1}}, "n_boot must be .* got 1"),
        ({"explain": {"max_samples": 0}}, "max_samples must be an integer of at least 1"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        make_report(TWO, **options)


def test_displays_refuse_the_same():
    with pytest.raises(ValueError, match="confidence must be between 0 and 1, got 95"):
        GroupPathDisplay.from_estimators(TWO, X, Y, confidence=95)


@pytest.mark.parametrize("yes", [True, np.True_, {}])
def test_ways_to_ask_for_an_explanation(yes):
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=0, random_state=0)
    path = clf.pruning_path(X, Y, sparsities=[0, 0.5])
    assert len(audit(path, X, Y, n_boot=10, explain=yes).why) == 2
    assert audit(path, X, Y, n_boot=10, explain=np.False_).why.empty


@pytest.mark.parametrize(
    ("models", "y", "message"),
    [
        (TWO, None, "y must hold one target per row of X, got None"),
        ({"dense": Value(0), "pruned": Column(1)}, Y, r"\['dense'\] are no classifiers"),
        ({"dense": Value(0)}, np.full(N, np.nan), "y must be finite numbers"),
        ({"dense": Value(0)}, Y, "y must be finite numbers"),
    ],
)
def test_targets_and_kinds_are_checked(models, y, message):
    with pytest.raises(ValueError, match=message):
        audit(models, X, y)


def test_models_that_cannot_be_measured():
    for wrong in (Column, None, "dense"):
        with pytest.raises(TypeError, match="models must be fitted estimators, and 'a' is"):
            audit({"a": wrong}, X, Y)
    with pytest.raises(ValueError, match="X and y have no rows"):
        audit(TWO, X[:0], Y[:0])


def test_names_of_models_become_text_that_differs():
    models = {0: MODELS["dense"], 0.5: Column(1), "0": Column(1), ("a", 1): Column(1)}
    report = make_report(models)
    assert report.overall.index.tolist() == ["0", "0.5", "'0'", "a & 1"]
    before = make_report({0: MODELS["dense"], 0.5: MODELS["dense"]})
    assert "  0.5" in comparison_as_text(compare_reports(before, report))


def test_sparsities_that_look_alike_stay_two_models():
    assert path_names([0, 0.5, 0.9]) == ["sparsity 0", "sparsity 0.5", "sparsity 0.9"]
    assert path_names([0, 0.5, 0.50000001]) == [
        "sparsity 0.0",
        "sparsity 0.5",
        "sparsity 0.50000001",
    ]
    path = Bunch(sparsities=[0, 0.5, 0.50000001], estimators=[Column(0), Column(1), Column(2)])
    assert len(audit(path, X, Y, n_boot=10).overall) == 3


NAMES = ["rows", "model", "accuracy", "loss", "row", "index", "feature", "measure", "true"]


FEW = ["model", "rows", "row", "", "sex & age"]  # the others clash in the same ways


@pytest.mark.parametrize(
    "name",
    [
        *FEW,
        *(
            pytest.param(name, marks=pytest.mark.slow)
            for name in [*NAMES, "model (group)", "../x"]
            if name not in FEW
        ),
    ],
)
def test_features_named_like_columns_survive_every_form(name, tmp_path):
    people = pd.DataFrame({name: PEOPLE["sex"], f"{name} (group)": PEOPLE["age"]})
    for given in (people[[name]], people):
        report = make_report(TWO, sensitive_features=given, n_boot=20)
        again = AuditReport.from_json(report.to_json())
        assert again.to_json() == report.to_json()
        assert str(again) == str(report)
        pd.testing.assert_frame_equal(again.to_frame(), report.to_frame(), check_dtype=False)
        assert set(compare_reports(report, again)["verdict"]) == {"same"}
        report.to_csv(tmp_path)
        changed = pd.read_csv(tmp_path / "changed_rows.csv")
        assert set(changed["model"]) == {"harmed"}
        assert changed.shape[1] == 6 + given.shape[1]
        assert len(pd.read_csv(tmp_path / "by_group.csv").columns) == 29 + given.shape[1]


def test_why_of_features_named_like_columns():
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=0, random_state=0)
    path = clf.pruning_path(X, Y, sparsities=[0, 0.5])
    people = PEOPLE.rename(columns={"sex": "model", "age": "rows"})
    options = {"explain": True, "min_group_size": 1, "n_boot": 10}
    report = audit(path, X, Y, sensitive_features=people, **options)
    assert report.why.index.names == ["model", "model (group)", "rows"]
    again = AuditReport.from_json(report.to_json())
    assert again.why.index.equals(report.why.index)


def test_groups_that_look_alike_are_told_apart_in_every_text():
    groups = [1 if s == "f" else "1" for s in PEOPLE["sex"]]
    with pytest.warns(UserWarning, match=r"1 \(\d+\), '1' \(\d+\)"):
        report = make_report(TWO, sensitive_features=groups, min_group_size=N)
    for text in (str(report).split("all groups")[0], report.to_markdown(), report.notes[0]):
        assert "'1'" in text


@pytest.mark.parametrize(
    "text", ['{"about": {"sensitive_features": []}, "by_group": 3}', "[]"]
)
def test_what_is_no_report_is_said_to_be_none(text, tmp_path):
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(ValueError, match="no audit report written by to_json"):
        AuditReport.from_json(tmp_path / "a.json")
    (tmp_path / "a.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="no audit report written by to_json"):
        AuditReport.from_json(tmp_path / "a.json")


def test_held_out_rows_of_one_class_make_no_model_broken():
    yes = Y == "yes"
    options = {"sensitive_features": PEOPLE[yes], "n_boot": 20, "min_group_size": 1}
    report = audit(MODELS, X[yes], Y[yes], **options)
    assert not report.overall["predicts_one_class"].any()
    assert not [note for note in report.notes if "broken" in note]


def test_broken_models_are_named_with_their_own_class():
    models = {"dense": Column(0), "always": Column(2), "never": Column(3)}
    report = audit(models, np.column_stack([X, 1 - X[:, 2]]), Y, n_boot=20)
    told = [note.split(":")[0] for note in report.notes]
    assert told == ["always predicts only yes", "never predicts only no"]


def test_small_groups_are_warned_about_once():
    with pytest.warns(UserWarning, match="min_group_size") as caught:
        report = make_report(TWO, min_group_size=N)
    assert len(caught) == 1
    assert all("min_group_size" in part.notes[0] for part in report.by_feature.values())


def test_what_holds_for_all_rows_is_the_same_by_every_feature():
    report = make_report(TWO)
    for part in report.by_feature.values():
        for name in ("loss_low", "loss_high", "balanced_accuracy_low"):
            assert part.overall[name].equals(report.overall[name])


def test_a_path_with_a_sparsity_twice_loses_no_model():
    path = Bunch(sparsities=[0.0, 0.5, 0.5], estimators=[Column(0)] * 3)
    with pytest.raises(ValueError, match=r"has a sparsity twice: \[0.0, 0.5, 0.5\]"):
        audit(path, X, Y)
