"""Reports as dict, JSON, CSV and in one line; what a diagnosis tells its reader."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_cases import GROUPS, LABELS, Net, X, make, make_net
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import AuditReport, DiagnosisReport, PrunedRegressor, diagnose
from sklearn_fairprune.estimators.unwrap import dense_twin
from sklearn_fairprune.report.report import Report

NAN = float("nan")


def frame(names, labels, **columns):
    index = pd.MultiIndex.from_tuples(labels, names=names)
    index = index if len(names) > 1 else index.droplevel([])
    return pd.DataFrame(columns, index=index)


def diagnosis(name="region", labels=("a & b", "c"), **about):
    labels = [(label,) for label in labels]
    by_group = frame([name], labels, rows=[3, 1], loss=[0.5, NAN], sure=[True, False])
    names, pairs = ["damage", "explanation"], [("excessive_loss", "margin")]
    table = frame(names, pairs, p_value=[np.inf], verdict=["cannot tell"])
    about = {"sparsity": 0.75, "displacement_norm": None} | about
    return DiagnosisReport(by_group, table, ["found"], ["noted"], about)


def audit_report():
    names, labels = ["model", "sex", "old"], [("dense", "f", True), ("dense", "m", False)]
    by_group = frame(names, labels, rows=[3, 1], loss=[0.5, NAN])
    overall = frame(["model"], [("dense",)], sparsity=[NAN], accuracy=[1.0])
    return AuditReport(by_group, overall, [], ["noted"], {"confidence": 0.95})


REPORTS = {"diagnosis": diagnosis, "audit": audit_report}


def test_dict_of_a_diagnosis():
    assert diagnosis().to_dict() == {
        "about": {"sparsity": 0.75, "displacement_norm": None},
        "by_group": [
            {"region": "a & b", "rows": 3, "loss": 0.5, "sure": True},
            {"region": "c", "rows": 1, "loss": None, "sure": False},
        ],
        "explanations": [
            {
                "damage": "excessive_loss",
                "explanation": "margin",
                "p_value": None,
                "verdict": "cannot tell",
            }
        ],
        "findings": ["found"],
        "notes": ["noted"],
    }


def test_dict_of_an_audit():
    assert audit_report().to_dict() == {
        "about": {"confidence": 0.95},
        "by_group": [
            {"model": "dense", "sex": "f", "old": True, "rows": 3, "loss": 0.5},
            {"model": "dense", "sex": "m", "old": False, "rows": 1, "loss": None},
        ],
        "overall": [{"model": "dense", "sparsity": None, "accuracy": 1.0}],
        "findings": [],
        "notes": ["noted"],
    }


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
def test_json_is_the_dict_and_a_file(report, tmp_path):
    text = report().to_json(tmp_path / "report.json")

    def refuse(constant):
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(text, parse_constant=refuse) == report().to_dict()
    assert (tmp_path / "report.json").read_text(encoding="utf-8") == text + "\n"
    assert report().to_json() == text


def test_json_keeps_letters_in_a_file(tmp_path):
    diagnosis(labels=("Ærø", "日本")).to_json(tmp_path / "r.json")
    read = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert [row["region"] for row in read["by_group"]] == ["Ærø", "日本"]


@pytest.mark.parametrize("report", REPORTS.values(), ids=REPORTS)
@pytest.mark.parametrize("make", [str, lambda path: path], ids=["text", "path"])
def test_csv_is_one_file_for_each_table(report, make, tmp_path):
    for _ in range(2):  # the directory may exist
        paths = report().to_csv(make(tmp_path / "a" / "b"))
    assert [path.name for path in paths] == [f"{name}.csv" for name in report()._frames]
    for path, name in zip(paths, report()._frames, strict=True):
        table = getattr(report(), name)
        read = pd.read_csv(path, index_col=list(range(table.index.nlevels)))
        pd.testing.assert_frame_equal(read, table, check_dtype=False)


def test_numpy_numbers_are_plain_in_json():
    labels = np.array([7, 8])
    read = json.loads(diagnosis("region", labels).to_json())
    assert [row["region"] for row in read["by_group"]] == [7, 8]


def test_a_report_says_itself_in_one_line():
    assert repr(diagnosis()).startswith("<DiagnosisReport of 2 groups")
    assert "0.75" in repr(diagnosis())
    assert repr(audit_report()) == "<AuditReport of 1 models and 2 groups>"


def test_parts_are_attributes():
    report = diagnosis()
    assert isinstance(report, Report)
    assert report.findings == ["found"]
    assert report.notes == ["noted"]
    assert report.about["sparsity"] == 0.75
    assert list(report.by_group["rows"]) == [3, 1]
    assert report.explanations["verdict"].tolist() == ["cannot tell"]


def test_without_tables():
    with pytest.raises(NotImplementedError):
        Report().to_dict()
    report = diagnosis()
    report.explanations = pd.DataFrame()
    assert report.to_dict()["explanations"] == []


@pytest.mark.parametrize("value", [np.float32(0.5), np.int64(9), NAN], ids=repr)
def test_settings_from_numpy_are_plain_in_json(value):
    about = json.loads(diagnosis(n_boot=value).to_json())["about"]
    assert about["n_boot"] == (None if value != value else value)


def test_settings_that_are_lists_stay_lists():
    about = json.loads(diagnosis(n_boot=(1, np.int64(2), NAN)).to_json())["about"]
    assert about["n_boot"] == [1, 2, None]


def test_groups_named_by_dates():
    days = [datetime.date(2020, 1, 1), datetime.date(2021, 1, 1)]
    read = json.loads(diagnosis("birth", days).to_json())
    assert [row["birth"] for row in read["by_group"]] == ["2020-01-01", "2021-01-01"]


def test_a_sensitive_feature_may_be_called_like_a_column():
    read = json.loads(diagnosis("rows").to_json())
    assert read["by_group"][0]["loss"] == 0.5


# What a diagnosis tells its reader


@pytest.fixture(scope="module")
def clf():
    return make(make_net(max_epochs=20)).fit(X, LABELS)


def run(estimator, X=X, y=LABELS, **options):
    given = {"sensitive_features": GROUPS, "n_boot": 20, "bound_samples": 0} | options
    return diagnose(estimator, X, y, **given)


def test_a_diagnosis_in_all_its_forms(clf, tmp_path):
    report = run(clf, bound_samples=3, sensitive_features=pd.Series(GROUPS, name="sex"))
    text, read = str(report), json.loads(report.to_json())
    for line in (*report.findings, *report.notes):
        assert f"- {line}" in text
    for part in ("The dense network", "What pruning to sparsity 0.5 does", "Who pays"):
        assert part in text
    assert text.count("cannot tell\n") + text.count("explain\n") >= 18
    assert [row["sex"] for row in read["by_group"]] == ["f", "m"]
    assert set(read["by_group"][0]) == {"sex", *report.by_group}
    assert len(read["explanations"]) == len(report.explanations) == 18
    assert read["about"] == report.about
    first, second = report.to_csv(tmp_path)
    np.testing.assert_allclose(
        pd.read_csv(first, index_col=0)["second_order"], report.by_group["second_order"]
    )
    assert len(pd.read_csv(second)) == 18


def test_about(clf):
    report = run(clf, confidence=0.9, random_state=3, max_samples=20, n_boot=30)
    dense = dict(clf.dense_estimator_.module_.named_parameters())
    removed = [dense[name][~mask] for name, mask in clf.masks_.items()]
    assert report.about == {
        "sparsity": clf.sparsity_,
        "predicted": False,
        "n_parameters": sum(p.numel() for p in dense.values()),
        "displacement_norm": pytest.approx(torch.cat(removed).norm().item()),
        "rows": 60,
        "loss": "cross-entropy",
        "confidence": 0.9,
        "n_boot": 30,
        "random_state": 3,
    }
    damages = ["excessive_loss", "masked_excessive_loss"]
    assert report.explanations.index.unique("damage").tolist() == damages


@pytest.mark.parametrize("max_products", [1, 2])
def test_an_eigenvalue_that_did_not_converge_is_flagged(clf, max_products):
    report, sure = run(clf, max_products=max_products), run(clf)
    table, note = report.by_group, report.notes[0]
    assert (table["hessian_products"] == max_products).all()
    assert not table["eigenvalue_converged"].any()
    residuals = [f"{g} (residual {table.loc[g, 'eigenvalue_residual']:.2g})" for g in "fm"]
    said = f"The largest eigenvalue did not converge for {', '.join(residuals)}: it is a lower"
    assert note.startswith(said)
    assert "Raise max_products or tol, or use dtype='float64'." in note
    assert (table["second_order"] <= table["theorem1_bound"]).all()
    assert "did not converge" not in str(sure.notes)
    assert sure.by_group["eigenvalue_converged"].all()


def test_a_loose_tolerance_needs_fewer_products(clf):
    spent = [run(clf, tol=tol).by_group["hessian_products"].sum() for tol in (0.5, 0)]
    assert spent[0] < spent[1]


def test_bounds_that_did_not_converge_are_counted():
    net = make_net(nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Linear(6, 2)))
    report = run(make(net).fit(X, LABELS), bound_samples=10, max_products=2)
    note = "The spectral norm of a logit's Hessian did not converge in 20 rows: "
    assert report.notes[-1].startswith(note)
    assert "in 0 rows" not in str(run(make(net).fit(X, LABELS), bound_samples=10).notes)


def test_a_network_that_predicts_one_class_is_called_broken(clf):
    stuck = make().fit(X, LABELS)
    with torch.no_grad():
        stuck.dense_estimator_.module_.body[2].bias += torch.tensor([9.0, -9.0])
    note = "The dense network predicts one class only: it is broken."
    assert note in run(stuck, sparsity=0.5).notes
    assert note not in run(clf).notes


def test_rows_of_one_class_do_not_break_a_network(clf):
    rows = (LABELS == "yes") & (dense_twin(clf).predict(X) == "yes")
    report = run(clf, X[rows], LABELS[rows], sensitive_features=GROUPS[rows])
    assert "broken" not in str(report)


def test_outputs_that_are_no_probabilities_are_told():
    class Margin(nn.MultiMarginLoss):
        def forward(self, z, y):
            losses = (1 + z - z.gather(1, y[:, None])).clamp(min=0).square().mean(1)
            return losses if self.reduction == "none" else losses.mean()

    report = run(make(make_net(criterion=Margin)).fit(X, LABELS), bound_samples=10)
    assert any(
        n.startswith("The network's outputs are no probabilities") for n in report.notes
    )
    assert not {"closeness", "margin", "eigenvalue_bound"} & set(report.by_group)
    assert "dense_accuracy" in report.by_group
    assert report.about["loss"] == "criterion of the net"
    assert "margin" not in report.explanations.index.unique("explanation")


def test_the_words_and_the_note_on_few_groups_agree():
    net = make_net(Net, NeuralNetRegressor, criterion=nn.MSELoss, module__n_out=1)
    group = np.repeat(np.arange(5), 12)
    rows = X * (1 + group[:, None])
    reg = make(net, PrunedRegressor, finetune_epochs=0).fit(rows, rows[:, 0] ** 2 / 10)
    report = run(reg, rows, rows[:, 0] ** 2 / 10, sensitive_features=group, n_boot=200)
    told = "explains" in set(report.explanations["verdict"])
    assert told != any("too few to say that" in note for note in report.notes)
