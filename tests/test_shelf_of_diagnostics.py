"""A diagnostic that is added to its shelf at run time is found wherever there are any."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune import (
    GroupDiagnosticsDisplay,
    PrunedClassifier,
    PrunedRegressor,
    SampleDiagnostics,
    audit,
    diagnose,
    diagnostic_metrics,
)
from sklearn_fairprune.functional import DIAGNOSTICS, Diagnostic
from sklearn_fairprune.report.page.render import render_page

RNG = np.random.default_rng(0)
GROUPS = np.repeat(["a", "b", "c", "d"], [40, 30, 20, 10])
X = RNG.normal(size=(100, 4)) + (GROUPS == "c")[:, None]
Y = np.where(X[:, 0] + X[:, 1] ** 2 + RNG.normal(size=100) > 0.5, "yes", "no")
TARGET = X[:, 0] + X[:, 1] ** 2
FAST = {"n_boot": 20, "bound_samples": 0}
OPTIONS = {"sensitive_features": GROUPS, "min_group_size": 1, **FAST}
SMALL = {"hidden_layer_sizes": (8,), "finetune_epochs": 2, "random_state": 0, "sparsity": 0.8}
NEW = {
    "certainty": Diagnostic(
        lambda *, dense_outputs: dense_outputs.max(dim=1).values,
        "certainty of the dense network",
        of_probabilities=True,
        sign=-1,
        heading="certainty",
    ),
    "moved": Diagnostic(
        lambda *, dense_outputs, pruned_outputs: (pruned_outputs - dense_outputs)[:, 0],
        "move of the first class",
        of_probabilities=True,
        sign=1,
        signed=True,
    ),
    "size": Diagnostic(
        lambda *, dense_outputs: dense_outputs.flatten(1).abs().sum(dim=1),
        unit="loss",
        classifiers=False,
        regressors=True,
        sign=1,
    ),
}


@pytest.fixture
def shelf(monkeypatch):
    for name, member in NEW.items():
        monkeypatch.setitem(DIAGNOSTICS, name, member)
    yield DIAGNOSTICS
    plt.close("all")


@pytest.fixture(scope="module")
def clf():
    return PrunedClassifier(**SMALL).fit(X, Y)


@pytest.fixture(scope="module")
def reg():
    return PrunedRegressor(**SMALL).fit(X, TARGET)


@pytest.fixture(scope="module")
def truth(clf):
    """Row values of the new diagnostics of the classifier."""
    nets = clf.dense_estimator_, clf.estimator_
    dense, pruned = (net.predict_proba(X.astype(np.float32)).astype(float) for net in nets)
    return pd.DataFrame({"certainty": dense.max(axis=1), "moved": (pruned - dense)[:, 0]})


# Where it is found


def test_diagnose_measures_and_explains(shelf, clf, truth):
    report = diagnose(clf, X, Y, **OPTIONS)
    means = truth.groupby(GROUPS).mean()
    for name in truth:
        np.testing.assert_allclose(report.by_group[name], means[name], rtol=1e-4, atol=1e-6)
        assert (report.by_group[f"{name}_low"] <= report.by_group[name]).all()
        assert (report.by_group[name] <= report.by_group[f"{name}_high"]).all()
    assert "size" not in report.by_group
    names = report.by_group.columns.tolist()
    assert names.index("margin") < names.index("certainty") < names.index("excessive_loss")
    assert names.index("excessive_loss") < names.index("moved")
    for damage in ("excessive_loss", "masked_excessive_loss"):
        table = report.explanations.loc[damage]
        assert table.loc[["certainty", "moved"], "expected"].tolist() == ["-", "+"]
    assert {"certainty", "moved"} <= set(report.to_dict()["by_group"][0])


def test_the_text_has_a_column_and_a_row_of_it(shelf, clf):
    report = diagnose(clf, X, Y, **OPTIONS)
    dense, damage = str(report).split("\n\n")[:2]
    assert " certainty" in dense.splitlines()[1]
    assert " move of the first class" in damage.splitlines()[1]
    value = report.by_group.loc["a", "moved"]
    assert f" {value:+.3f} [" in damage  # signed
    assert str(report).count("\ncertainty ") == str(report).count("\nmoved ") == 2


def test_before_pruning_there_is_what_the_dense_network_has(shelf, clf):
    report = diagnose(clf, X, Y, sparsity=0.5, **OPTIONS)
    assert "certainty" in report.by_group
    assert "moved" not in report.by_group
    assert "moved" not in report.explanations.loc["masked_excessive_loss"].index


def test_regressors_have_their_own(shelf, reg):
    report = diagnose(reg, X, TARGET, **OPTIONS)
    predicted = np.abs(reg.dense_estimator_.predict(X.astype(np.float32))).ravel()
    means = pd.Series(predicted).groupby(GROUPS).mean()
    np.testing.assert_allclose(report.by_group["size"], means, rtol=1e-4)
    assert not {"certainty", "moved"} & set(report.by_group)
    assert report.explanations.loc[("excessive_loss", "size"), "expected"] == "+"
    display = GroupDiagnosticsDisplay.from_report(report)
    assert display.axes_[-1].get_xlabel() == "size, units of the criterion"
    columns = SampleDiagnostics(reg).fit(X, TARGET).get_feature_names_out()
    assert "size" in columns


def test_the_audit_and_its_page_show_it(shelf, clf):
    models = {"dense": clf, "pruned": clf}
    options = {"n_boot": 20, "explain": True, "min_group_size": 1}
    report = audit(models, X, Y, sensitive_features=GROUPS, **options)
    assert {"certainty", "moved_low"} <= set(report.why)
    assert ("pruned", "excessive_loss", "certainty") in report.explanations.index
    assert {"certainty", "moved"} <= set(report.to_dict()["why"][0])
    damage = ("pruned", "excessive_loss")
    report.explanations.loc[(*damage, "certainty"), "verdict"] = "explains"
    report.explanations.loc[(*damage, "moved"), "verdict"] = "does not explain"
    page = render_page(report)
    why = page[page.index('id="h-why"') :]
    for heading in ("certainty", "move of the first class"):
        assert f'<th scope="col">{heading}</th>' in why
    assert why.index(">R, fine-tuned<") < why.index(">accuracy %<") < why.index(">certainty<")
    value = report.why["moved"].iloc[0]
    assert f"<td>{value:+.3f} [" in why
    chips = why[why.index("explains R, fine-tuned?") :]
    row = chips[: chips.index("</tr>")]
    assert row.count('<span class="chip') == len(report.explanations.loc[damage].drop("rows"))
    assert '<span class="chip sure">explains</span>' in row
    assert '<span class="chip none">does not explain</span>' in row


def test_the_plot_draws_it_after_the_others(shelf, clf):
    display = GroupDiagnosticsDisplay.from_estimator(clf, X, Y, **OPTIONS)
    assert list(display.points_)[-3:] == ["excessive_loss", "certainty", "moved"]
    labels = [panel.get_xlabel() for panel in display.axes_[-2:]]
    assert labels == ["certainty of the dense network", "move of the first class"]
    lines = [len(panel.lines) for panel in display.axes_[-2:]]
    assert lines[1] == lines[0] + 1  # the line at 0
    with pytest.raises(ValueError, match=r"'certainty', 'size', 'moved'.* got 'speed'"):
        GroupDiagnosticsDisplay.from_estimator(clf, X, Y, diagnostics=["speed"])
    one = GroupDiagnosticsDisplay.from_estimator(clf, X, Y, diagnostics=["moved"], **OPTIONS)
    assert list(one.points_) == ["moved"]


def test_rows_and_metrics_have_it(shelf, clf, truth):
    transformer = SampleDiagnostics(clf, quantities=["certainty", "moved"]).fit(X, Y)
    assert transformer.get_feature_names_out().tolist() == ["certainty", "moved"]
    values = transformer.transform(X, y_true=Y)
    np.testing.assert_allclose(values, truth, rtol=1e-4, atol=1e-6)
    metrics = diagnostic_metrics(clf, X, Y).metrics
    for name in truth:
        value = metrics[name](Y, Y, index=np.arange(100))
        assert value == pytest.approx(truth[name].mean(), rel=1e-4, abs=1e-6)
    with pytest.raises(ValueError, match=r"known for this network: \[.*'certainty', 'moved'"):
        diagnostic_metrics(clf, X, Y, quantities=["speed"])
    with pytest.raises(ValueError, match=r"known for this network: \[.*'certainty', 'moved'"):
        SampleDiagnostics(clf, quantities=["speed"]).fit(X, Y).transform(X)


def test_one_with_a_phrase_is_a_damage(monkeypatch, clf):
    worst = Diagnostic(
        lambda *, dense_losses, pruned_losses: (pruned_losses - dense_losses).clamp(min=0),
        "loss gained",
        unit="loss",
        phrase="gained loss",
    )
    monkeypatch.setitem(DIAGNOSTICS, "gain", worst)
    report = diagnose(clf, X, Y, **OPTIONS)
    damages = ["excessive_loss", "gain", "masked_excessive_loss"]
    assert report.explanations.index.unique("damage").tolist() == damages
    assert any("gained loss is +" in finding for finding in report.findings)
    assert "gain against" in str(report)
    display = GroupDiagnosticsDisplay.from_report(report)
    assert display.damage == "excessive_loss"
    assert list(display.points_)[-2:] == ["excessive_loss", "gain"]
    plt.close("all")


# What is refused


def forbidden(*args, **options):
    raise AssertionError("something was computed")


CALLS = {
    "diagnose": lambda clf: diagnose(clf, X, Y, **OPTIONS),
    "explain": lambda clf: audit({"a": clf, "b": clf}, X, Y, n_boot=20, explain=True),
    "transform": lambda clf: SampleDiagnostics(clf).fit(X, Y).transform(X),
    "metrics": lambda clf: diagnostic_metrics(clf, X, Y),
    "plot": lambda clf: GroupDiagnosticsDisplay.from_estimator(clf, X, Y, **OPTIONS),
}


@pytest.fixture
def nothing_is_computed(monkeypatch, clf):
    for name in ("predict", "predict_proba"):
        monkeypatch.setattr(PrunedClassifier, name, forbidden)
    for module in ("engine.row_statistics", "measurement.diagnosis"):
        monkeypatch.setattr(f"sklearn_fairprune.{module}.row_outcomes", forbidden)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.usefixtures("nothing_is_computed")
def test_an_unknown_statistic_is_refused_before_anything_is_computed(monkeypatch, clf, call):
    wrong = Diagnostic(lambda *, dense_losses, speeds: dense_losses * speeds)
    monkeypatch.setitem(DIAGNOSTICS, "mine", wrong)
    message = r"^diagnostic 'mine': .*asks for \['speeds'\]; known are \['dense_losses', .*"
    with pytest.raises(ValueError, match=message + "'pruned_predictions'"):
        CALLS[call](clf)


@pytest.mark.parametrize("call", ["diagnose", "explain", "plot"])
@pytest.mark.parametrize("name", ["rows", "gradient_norm", "second_order"])
@pytest.mark.usefixtures("nothing_is_computed")
def test_a_name_of_another_column_is_refused(monkeypatch, clf, name, call):
    monkeypatch.setitem(DIAGNOSTICS, name, NEW["certainty"])
    with pytest.raises(ValueError, match=rf"diagnostics \['{name}'\] have names of other"):
        CALLS[call](clf)


@pytest.mark.parametrize("call", CALLS)
def test_what_is_no_record_is_refused(monkeypatch, clf, call):
    monkeypatch.setitem(DIAGNOSTICS, "mine", NEW["certainty"].function)
    with pytest.raises(ValueError, match=r"'mine' must be a Diagnostic, .*Diagnostic\(func"):
        CALLS[call](clf)


@pytest.mark.parametrize("call", ["diagnose", "transform", "plot"])
@pytest.mark.parametrize(
    ("function", "shape"),
    [
        (lambda *, dense_outputs: dense_outputs, r"\(100, 2\)"),
        (lambda *, dense_losses: dense_losses.mean(), r"\(\)"),
        (lambda *, dense_losses: 1.0, r"\(\)"),
    ],
    ids=["matrix", "mean", "number"],
)
def test_anything_but_one_number_a_row_is_refused(monkeypatch, clf, function, shape, call):
    monkeypatch.setitem(DIAGNOSTICS, "mine", Diagnostic(function))
    message = rf"'mine' must give .* one number a row, shape \(100,\), got shape {shape}"
    with pytest.raises(ValueError, match=message):
        CALLS[call](clf)
