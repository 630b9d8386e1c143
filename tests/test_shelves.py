"""A criterion or constraint that is put on its shelf is picked up everywhere.

Measures and diagnostics: test_shelf_of_measures.py, test_shelf_of_diagnostics.py.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import r2_score

from sklearn_fairprune import (
    DualHistoryDisplay,
    GroupConstrainedPruner,
    PrunedClassifier,
<<<<<<< HEAD
=======
    PrunedRegressor,
    TradeOffDisplay,
>>>>>>> h-b1
    audit,
)
from sklearn_fairprune.functional import CONSTRAINTS, CRITERIA, Constraint, Criterion

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

<<<<<<< HEAD
    for constraint, unit in (("equal_loss", "nats"), ("accuracy_gap", "share"), (ratio, None)):
        est = GroupConstrainedPruner(inner, constraint=constraint, tolerance=10.0)
        display = DualHistoryDisplay.from_estimator(est.fit(X, Y, sensitive_features=SEX))
        assert display.unit == unit
    plt.close("all")
=======
def selection_rate(rows, k):
    """Share of the rows for which "yes" is predicted."""
    chosen = (rows.predicted[:, k] == "yes").astype(float)
    chosen = np.bincount(rows.groups, weights=chosen, minlength=rows.m)
    return chosen / rows.sizes, *rows.proportions(chosen)


@on(MEASURES)
def test_a_measure_may_look_at_predictions_and_at_all_rows(shelf, path):
    options = {"about": "both", "unit": "share", "classifiers_only": True}
    shelf["selected"] = Measure(selection_rate, better=0, **options)
    report = audit(path, X, Y, sensitive_features=SEX, n_boot=20)
    for model, clf in zip(report.overall.index, path.estimators, strict=True):
        chosen = clf.predict(X) == "yes"
        assert report.overall.loc[model, "selected"] == pytest.approx(chosen.mean())
        for group in ("f", "m"):
            share = report.by_group.loc[(model, group), "selected"]
            assert share == pytest.approx(chosen[SEX.eq(group)].mean())
    assert "selection rate %" in str(report)
    assert "selected" not in set(compare_reports(report, report)["measure"])
    for refused in (
        lambda: TradeOffDisplay.from_report(report, performance="selected"),
        lambda: report.assert_disparity(limits={"selected": 0.5}),
    ):
        with pytest.raises(ValueError, match="got 'selected'"):
            refused()


def explained(rows, k):
    """Share of the variance of the targets that is explained."""
    share = 1 - rows.loss[0, k] / np.var(rows.y)
    return share, share - 0.5, share + 0.5


@on(MEASURES)
def test_a_performance_may_come_before_the_loss(shelf):
    shelf["explained"] = Measure(explained, about="rows", unit="share", better=1)
    pruner = PrunedRegressor(hidden_layer_sizes=(8,), random_state=0).fit(X, X[:, 0])
    models = {"dense": pruner.dense_estimator_, "pruned": pruner}
    report = audit(models, X, X[:, 0], sensitive_features=SEX, n_boot=20)
    payload = page_payload(report)
    assert payload["quality"] == {
        "id": "explained",
        "axis": "overall explained, %",
        "scale": 100,
        "better": 1,
    }
    row = payload["features"][0]["overall"][1]
    truth = r2_score(X[:, 0], pruner.predict(X))
    assert row["explained"][0] == pytest.approx(truth, rel=1e-4)
    assert "explained %" in str(report)


@on(MEASURES)
def test_a_measure_that_came_late_is_not_in_an_older_report(shelf, path):
    report = audit(path, X, Y, sensitive_features=SEX, n_boot=20)
    shelf["mine"] = Measure(largest_loss)
    assert "mine" not in str(report) + report.to_markdown() + report._repr_html_()
    with pytest.raises(ValueError, match="'mine': it was added after the report was made"):
        report.plot("mine")
    with pytest.raises(ValueError, match="mine limits the largest loss, which was added aft"):
        report.assert_disparity(limits={"mine": 1})


@on(MEASURES)
def test_a_measure_that_is_gone_leaves_a_report_readable(shelf, measured):
    text = measured.to_json()
    del shelf["mine"], shelf["ours"]
    report = AuditReport.from_json(text)
    assert "mine" in report.by_group
    assert "largest loss" not in str(report)
    assert "mine" in set(report.to_frame()["measure"])


@on(MEASURES)
def test_a_measure_that_returns_something_else_is_refused_by_name(shelf, path):
    shelf["mine"] = Measure(lambda rows, k: rows.loss[:, k])
    with pytest.raises(ValueError, match="measure 'mine' must return three things"):
        audit(path, X, Y, n_boot=20)
    shelf["mine"] = Measure(lambda rows, k: rows.loss[:, k], interval=False)
    report = audit(path, X, Y, n_boot=20)
    np.testing.assert_array_equal(report.by_group["mine"], report.by_group["loss"])
    for name, value in (("about", "people"), ("unit", "kg")):
        with pytest.raises(ValueError, match=f"{name} of a measure must be one of .* got"):
            Measure(largest_loss, **{name: value})
>>>>>>> h-b1
