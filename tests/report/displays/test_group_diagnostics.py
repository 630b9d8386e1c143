"""Panels show the columns of the diagnosis, the groups in the order of the damage."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import diagnose
from sklearn_fairprune.report.displays import GroupDiagnosticsDisplay

FAST = {"n_boot": 30, "bound_samples": 0}
DEFAULT = ["gradient_norm", "largest_eigenvalue", "closeness", "second_order"]
DEFAULT += ["theorem1_bound", "excessive_loss"]


@pytest.fixture(scope="module")
def diagnosis(data, pruner):
    return diagnose(pruner, data.X, data.y, sensitive_features=data.groups(5), **FAST)


def test_artists_are_the_numbers(diagnosis):
    display = GroupDiagnosticsDisplay.from_report(diagnosis)
    frame = diagnosis.by_group.sort_values("excessive_loss", kind="stable")
    assert list(display.points_) == DEFAULT
    assert len(display.axes_) == 6
    for name in DEFAULT:
        values, heights = display.points_[name].get_data()
        np.testing.assert_allclose(values, frame[name])
        np.testing.assert_array_equal(heights, np.arange(5))
        segments = np.array(display.bars_[name].get_segments())
        limits = frame[[f"{name}_low", f"{name}_high"]]
        np.testing.assert_allclose(segments[:, :, 0], limits)
    names = [t.get_text() for t in display.axes_[0].get_yticklabels()]
    assert names == frame.index.tolist()
    assert "95 % intervals" in display.figure_.get_suptitle()
    assert "on top" in display.figure_.get_suptitle()
    assert display.axes_[5].get_xlabel() == "excessive loss R, nats"


def test_titles_carry_the_verdicts(diagnosis):
    display = GroupDiagnosticsDisplay.from_report(diagnosis)
    table = diagnosis.explanations.loc["excessive_loss"]
    for name, panel in zip(DEFAULT[:-1], display.axes_, strict=False):
        title = panel.get_title().replace("\N{MINUS SIGN}", "-")
        correlation = table.loc[name, "rank_correlation"]
        assert title == f"{table.loc[name, 'verdict']} (rank corr. {correlation:+.2f})"
    assert display.axes_[5].get_title() == "the damage"
    display.verdicts = {
        "closeness": ("explains", 0.9),
        "second_order": ("cannot tell", np.nan),
    }
    display.plot()
    titles = [panel.get_title() for panel in display.axes_]
    assert titles == ["", "", "explains (rank corr. +0.90)", "cannot tell", "", "the damage"]
    colours = {panel.title.get_color() for panel in display.axes_}
    assert len(colours) == 3


def test_from_estimator_and_chosen_diagnostics(data, pruner, diagnosis):
    options = {"sensitive_features": data.groups(5), **FAST}
    scaler = StandardScaler().fit(data.X)
    scaler.mean_, scaler.scale_ = np.zeros(4), np.ones(4)
    for estimator in (pruner, make_pipeline(scaler, pruner)):
        display = GroupDiagnosticsDisplay.from_estimator(
            estimator, data.X, data.y, diagnostics=["margin", "dense_loss"], **options
        )
        assert list(display.points_) == ["margin", "dense_loss"]
        np.testing.assert_allclose(display.values["margin"], diagnosis.by_group["margin"])
        order = np.argsort(diagnosis.by_group["excessive_loss"], kind="stable")
        drawn = display.points_["margin"].get_xdata()
        np.testing.assert_allclose(drawn, diagnosis.by_group["margin"].iloc[order])


def test_units_and_the_line_at_zero(diagnosis):
    labels = {
        "dense_accuracy": "dense accuracy (share)",
        "dense_loss": "dense loss J, nats",
        "margin": "margin",
        "second_order": "second-order estimate R2, nats",
    }
    display = GroupDiagnosticsDisplay.from_report(diagnosis, diagnostics=list(labels))
    assert [panel.get_xlabel() for panel in display.axes_] == list(labels.values())
    lines = [len(panel.lines) for panel in display.axes_]
    assert lines == [lines[0]] * 3 + [lines[0] + 1]


def test_before_pruning_the_damage_is_predicted(data, pruner):
    options = {"sensitive_features": data.both, "sparsity": 0.5, **FAST}
    display = GroupDiagnosticsDisplay.from_estimator(pruner, data.X, data.y, **options)
    assert display.damage == list(display.values)[-1] == "masked_excessive_loss"
    assert display.axes_[-1].get_xlabel() == "excessive loss R, masked only, nats"
    names = {t.get_text() for t in display.axes_[0].get_yticklabels()}
    assert names == {"f & old", "f & young", "m & old", "m & young"}
    assert "sex & age" in display.figure_.get_suptitle()


def test_a_dense_network_has_no_damage(data):
    display = GroupDiagnosticsDisplay.from_estimator(
        data.make(sparsity=0).fit(data.X, data.y), data.X, data.y, **FAST
    )
    assert list(display.points_) == DEFAULT[:3]
    assert [t.get_text() for t in display.axes_[0].get_yticklabels()] == ["yes", "no"]
    assert [panel.get_title() for panel in display.axes_] == [""] * 3
    assert "pays" not in display.figure_.get_suptitle()


def test_regressors(data, regressor):
    options = {"sensitive_features": data.sex, **FAST}
    display = GroupDiagnosticsDisplay.from_estimator(regressor, data.X, data.target, **options)
    assert list(display.points_) == [name for name in DEFAULT if name != "closeness"]
    assert display.axes_[-1].get_xlabel() == "excessive loss R, units of the criterion"
    with pytest.raises(
        ValueError, match=r"diagnostics must be .*got 'closeness': .* Use diag"
    ):
        GroupDiagnosticsDisplay.from_estimator(
            regressor, data.X, data.target, diagnostics=["closeness"], **options
        )


@pytest.mark.parametrize("m", [1, 2, 10, pytest.param(50, marks=pytest.mark.slow)])
def test_any_number_of_groups(data, pruner, m):
    display = GroupDiagnosticsDisplay.from_estimator(
        pruner, data.X, data.y, sensitive_features=data.groups(m), **FAST
    )
    assert len(display.points_["closeness"].get_xdata()) == m
    display.figure_.canvas.draw()
    height = display.axes_[0].get_window_extent().height / display.figure_.dpi
    assert height / m > 0.12  # inches a name


def test_strange_names_and_a_group_of_one_row(data, pruner):
    display = GroupDiagnosticsDisplay.from_estimator(
        pruner, data.X, data.y, sensitive_features={"$a$_": data.hostile()}, **FAST
    )
    texts = display.axes_[0].get_yticklabels()
    assert len(texts) == 8
    assert all(map(data.same_picture, texts))
    assert data.same_picture(display.figure_.texts[0] if display.figure_.texts else texts[0])
    at = [t.get_text() for t in texts].index("one row")
    assert np.isfinite(display.points_["excessive_loss"].get_xdata()[at])
    assert len(display.bars_["excessive_loss"].get_segments()[at]) == 0
    np.testing.assert_array_equal(display.hollow_["excessive_loss"].get_ydata(), [at])
    display.figure_.canvas.draw()


def test_given_axes_and_errors(data, pruner, diagnosis):
    figure, axes = plt.subplots(2, 3)
    display = GroupDiagnosticsDisplay.from_report(diagnosis, ax=axes)
    assert display.axes_ == list(axes.ravel())
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    for panel in axes.ravel():  # each is named: nobody knows where they stand
        assert len(panel.get_yticklabels()) == 5
    display.plot(ax=axes[0, 0], diagnostics=["closeness"])
    plt.close("all")
    with pytest.raises(ValueError, match=r"ax must be 6 matplotlib Axes.*subplots\(6\)"):
        GroupDiagnosticsDisplay.from_report(diagnosis, ax=axes[0])
    with pytest.raises(TypeError, match=r"report must be a DiagnosisReport.* got DataFrame"):
        GroupDiagnosticsDisplay.from_report(pd.DataFrame())
    with pytest.raises(ValueError, match=r"diagnostics must be one of .* got 'speed'"):
        GroupDiagnosticsDisplay.from_report(diagnosis, diagnostics=["speed"])
    with pytest.raises(ValueError, match="diagnostics is empty"):
        GroupDiagnosticsDisplay.from_report(diagnosis, diagnostics=[])
    with pytest.raises(ValueError, match="diagnostics must be a list of names, got 'margin'"):
        GroupDiagnosticsDisplay.from_report(diagnosis, diagnostics="margin")
    with pytest.raises(ValueError, match=r"diagnostics must be one of .* got 'margin'"):
        display.plot(diagnostics=["margin"])
    with pytest.raises(ValueError, match=r"diagnostics must be one of .* got 'speed'"):
        GroupDiagnosticsDisplay.from_estimator(pruner, None, diagnostics=["speed"])
    assert plt.get_fignums() == []


def test_pickle(diagnosis):
    display = GroupDiagnosticsDisplay.from_report(diagnosis)
    again = pickle.loads(pickle.dumps(display)).plot()
    for name in DEFAULT:
        one, two = (d.points_[name].get_xydata() for d in (display, again))
        np.testing.assert_array_equal(one, two)
