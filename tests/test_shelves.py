"""A member that is put on a shelf is picked up everywhere, with no other line changed."""

import html
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_fairprune import (
    AuditReport,
    DisparityError,
    DualHistoryDisplay,
    GroupConstrainedPruner,
    GroupPathDisplay,
    PrunedClassifier,
    TradeOffDisplay,
    audit,
    compare_reports,
)
from sklearn_fairprune.__main__ import main
from sklearn_fairprune.functional import CONSTRAINTS, CRITERIA, Constraint, Criterion
from sklearn_fairprune.measurement.measures import MEASURES, Measure

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 5)).astype(np.float32)
Y = np.where(X[:, 0] + 0.5 * rng.normal(size=200) > 0, "yes", "no")
SEX = np.where(X[:, 1] > 0.3, "f", "m")


@pytest.fixture
def added(monkeypatch):
    """Puts members on shelves for the length of a test."""

    def add(shelf, member):
        monkeypatch.setitem(shelf, member.name, member)

    return add


def mistakes(rows, k):
    """Share of the rows that are predicted wrong."""
    wrong = 1 - rows.right(k) / rows.sizes
    return wrong, wrong / 2, wrong * 2


def loss_gap(rows, k):
    """Largest difference between two groups' losses."""
    gap = float(np.ptp(rows.loss[:, k]))
    return gap, gap / 2, 2 * gap


def error(rows, k):
    """Share of all rows that are predicted wrong."""
    wrong = float(1 - rows.right(k).sum() / rows.sizes.sum())
    return wrong, wrong / 2, wrong * 2


OF_CLASSES = {"unit": "share", "classifiers_only": True}
MISTAKES = Measure(mistakes, "mistakes made", **OF_CLASSES)
ERROR = Measure(error, "errors in all", about="rows", **OF_CLASSES)
GAP = Measure(loss_gap, "gap of the losses", about="disparity", unit="loss")


@pytest.fixture(scope="module")
def path():
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    return clf.pruning_path(X, Y, sparsities=[0, 0.5, 0.8])


@pytest.fixture
def report(added, path):
    added(MEASURES, MISTAKES)
    added(MEASURES, GAP)
    added(MEASURES, ERROR)
    return audit(path, X, Y, sensitive_features=pd.Series(SEX, name="sex"), n_boot=20)


def test_a_measure_is_in_the_tables_and_their_files(report, tmp_path):
    right = report.by_group["accuracy"]
    np.testing.assert_allclose(report.by_group["mistakes"], 1 - right)
    assert {"error", "loss_gap", "loss_gap_low"} <= set(report.overall)
    again = AuditReport.from_json(report.to_json())
    pd.testing.assert_frame_equal(again.by_group, report.by_group, check_dtype=False)
    paths = report.to_csv(tmp_path)
    assert "mistakes_low" in pd.read_csv(next(p for p in paths if p.stem == "by_group"))
    measured = set(report.to_frame()["measure"])
    assert {"mistakes", "loss_gap"} <= measured


def test_a_measure_is_in_the_texts(report):
    for text in (str(report), report.to_markdown()):
        assert "mistakes made %" in text
        assert "gap of the losses" in text
        cell = MISTAKES.write(report.by_group.loc[("sparsity 0.8", "f")], "mistakes")
        assert cell in text.replace("\\", "")


def test_a_measure_is_on_the_page(report):
    page = report.to_html()
    assert html.escape("mistakes made %") in page
    payload = page[page.index('type="application/json"') :]
    payload = json.loads(payload[payload.index(">") + 1 : payload.index("</script>")])
    assert "mistakes" in [measure["id"] for measure in payload["measures"]]
    assert "loss_gap" in [measure["id"] for measure in payload["disparities"]]
    of_groups = payload["features"][0]["byGroup"]
    assert all(len(entry["mistakes"]) == 3 for entry in of_groups)
    assert all(len(entry["loss_gap"]) == 3 for entry in payload["features"][0]["overall"])


def test_a_measure_can_be_plotted(report, path):
    by_group = GroupPathDisplay.from_report(report, measure="mistakes")
    assert by_group.ax_.get_ylabel() == "mistakes made, %"
    np.testing.assert_allclose(
        by_group.values, 1 - report.by_group["accuracy"].to_numpy().reshape(3, 2)
    )
    front = TradeOffDisplay.from_report(report, disparity="loss_gap")
    assert front.ax_.get_ylabel() == "gap of the losses, nats"
    TradeOffDisplay.from_path(path, X, Y, performance="error", n_boot=20, min_group_size=1)
    plt.close("all")


def test_a_measure_is_compared_and_limited(report):
    compared = compare_reports(report, report)
    assert {"mistakes", "loss_gap"} <= set(compared["measure"])
    assert report.assert_disparity(limits={"mistakes": 1.0, "loss_gap": 1e9}) is report
    with pytest.raises(DisparityError, match=r"the mistakes made of . \(\d+ rows\) is"):
        report.assert_disparity(limits={"mistakes": 0.0})
    with pytest.raises(ValueError, match=r"'mistakes', .*got 'mistake'"):
        report.assert_disparity(limits={"mistake": 0.1})


def test_a_measure_is_a_limit_of_the_command_line(added, tmp_path, capsys):
    added(MEASURES, MISTAKES)
    pd.DataFrame(X).assign(sex=SEX, label=Y).to_csv(tmp_path / "t.csv", index=False)
    options = ["audit", "--data", str(tmp_path / "t.csv"), "--target", "label", "--quiet"]
    options += ["--sensitive", "sex", "--sparsities", "0.5", "--hidden", "4"]
    assert main([*options, "--fail-above", "mistakes=1"]) == 0
    assert main([*options, "--fail-above", "mistakes=0"]) == 1
    assert "mistakes made" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main([*options, "--fail-above", "mistake=0"])
    assert "mistakes" in capsys.readouterr().err


def farthest(weight, *, generator):
    """Distance from the mean weight, with noise."""
    return (weight - weight.mean()).abs() + 0 * torch.rand(weight.shape, generator=generator)


def test_a_criterion_is_a_name_everywhere(added):
    with pytest.raises(ValueError, match=r"'criterion' parameter .*'magnitude'") as before:
        PrunedClassifier(criterion="farthest").fit(X, Y)
    assert "farthest'" not in str(before.value).split("Got")[0]
    added(CRITERIA, Criterion(farthest))
    with pytest.raises(ValueError, match=r"'criterion' parameter .*'farthest'"):
        PrunedClassifier(criterion="fartest").fit(X, Y)
    named, given = (
        PrunedClassifier(criterion=c, finetune_epochs=0, random_state=0).fit(X, Y)
        for c in ("farthest", farthest)
    )
    assert all(torch.equal(named.masks_[k], given.masks_[k]) for k in named.masks_)
    assert any("farthest" in line for line in CRITERIA.lines())


def squared(losses, *, shares):
    """Square of the loss above that of all rows."""
    return (losses - shares @ losses).square()


def test_a_constraint_is_a_name_everywhere(added):
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=r"'constraint' parameter .*'equal_loss'"):
        GroupConstrainedPruner(inner, constraint="squared").fit(X, Y)
    added(CONSTRAINTS, Constraint(squared, "squared gap", unit="share"))
    est = GroupConstrainedPruner(inner, constraint="squared", tolerance=10.0)
    est.fit(X, Y, sensitive_features=SEX)
    display = DualHistoryDisplay.from_estimator(est)
    assert display.unit == "share"
    assert "squared" in display.axes_[0].get_title()
    plt.close("all")
    table = audit({"dense": est, "pruned": est}, X, Y, n_boot=20).constraints
    assert set(table["constraint"]) == {"squared"}
    assert any("squared" in line for line in CONSTRAINTS.lines())


def test_docstrings_list_the_members_of_the_shelves():
    for name in CRITERIA:
        assert f'``"{name}"``: ' in PrunedClassifier.__doc__
    for name in CONSTRAINTS:
        assert f'``"{name}"``: ' in GroupConstrainedPruner.__doc__


def test_the_function_minimax_is_the_constraint_minimax():
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    named, given = (
        GroupConstrainedPruner(inner, constraint=c).fit(X, Y, sensitive_features=SEX)
        for c in ("minimax", CONSTRAINTS["minimax"].function)
    )
    assert given.multipliers_.sum() == pytest.approx(1)
    pd.testing.assert_series_equal(named.multipliers_, given.multipliers_)
    assert named.constraint_satisfied_ is given.constraint_satisfied_ is None


def test_the_unit_of_a_constraint_is_on_its_plot():
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0)

    def ratio(losses, *, shares):
        return losses / (shares @ losses) - 1

    for constraint, unit in (("equal_loss", "nats"), ("accuracy_gap", "share"), (ratio, None)):
        est = GroupConstrainedPruner(inner, constraint=constraint, tolerance=10.0)
        display = DualHistoryDisplay.from_estimator(est.fit(X, Y, sensitive_features=SEX))
        assert display.unit == unit
    plt.close("all")
