"""Lines and bands are the numbers of the report."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_hex
from report_cases import MODELS, PEOPLE, X, Y, make_report
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import audit
from sklearn_fairprune.report.displays import GroupPathDisplay, TradeOffDisplay

YLABELS = {
    "accuracy": "accuracy, %",
    "loss": "loss J, nats",
    "excessive_loss": "excessive loss R, nats",
    "accuracy_drop": "accuracy drop, points",
}


def corners(band):
    """Heights of a band's corners at every place, lower and upper."""
    vertices = np.concatenate([p.vertices for p in band.get_paths()])
    places = np.unique(vertices[:, 0])
    found = [vertices[vertices[:, 0] == x, 1] for x in places]
    return np.array([[v.min(), v.max()] for v in found])


@pytest.mark.parametrize("measure", YLABELS)
def test_artists_are_the_numbers(report, measure):
    display = GroupPathDisplay.from_report(report, measure=measure)
    factor = 100 if measure.startswith("accuracy") else 1
    kept = 1 - report.overall["sparsity"]
    assert display.ax_.get_ylabel() == YLABELS[measure]
    for group, line, band in zip("fm", display.lines_, display.bands_, strict=True):
        rows = report.by_group.xs(group, level="sex")
        np.testing.assert_allclose(line.get_xdata(), kept)
        np.testing.assert_allclose(line.get_ydata(), factor * rows[measure])
        limits = factor * rows[[f"{measure}_low", f"{measure}_high"]].to_numpy()
        np.testing.assert_allclose(corners(band), limits[::-1], atol=1e-12)
    total = report.overall[measure.replace("excessive_", "").replace("_drop", "")]
    if measure == "excessive_loss":
        total = total - total.iloc[0]
    if measure == "accuracy_drop":
        total = total.iloc[0] - total
    np.testing.assert_allclose(display.overall_line_.get_ydata(), factor * total)
    mean = np.average(display.values, axis=1, weights=report.by_group["rows"].iloc[:2])
    np.testing.assert_allclose(mean, display.overall)
    labels = [t.get_text() for t in display.legend_.get_texts()]
    assert labels == ["f", "m", "all rows"]
    assert display.legend_.get_title().get_text() == "sex"
    assert "95 % intervals" in display.ax_.get_title()


def test_constructors_agree(data, report, path, pruner):
    given = (data.X, data.y)
    options = {"sensitive_features": data.sex, "measure": "loss", "legend": False}
    options |= data.options
    one = GroupPathDisplay.from_report(report, measure="loss")
    two = GroupPathDisplay.from_path(path, *given, **options)
    names = ["dense", "a", "b", "c"]
    models = dict(zip(names, path.estimators, strict=True))
    three = GroupPathDisplay.from_estimators(models, *given, **options)
    for other in (two, three):
        assert other.legend_ is None
        np.testing.assert_array_equal(one.values, other.values)
        np.testing.assert_array_equal(one.low, other.low)
    ticks = [t.get_text() for t in three.ax_.get_xticklabels()]
    assert [t.split("\n")[:2] for t in ticks][:2] == [["dense", "0"], ["a", "50"]]
    assert three.models == names
    scaler = StandardScaler().fit(data.X)
    scaler.mean_, scaler.scale_ = np.zeros(4), np.ones(4)
    piped = make_pipeline(scaler, pruner)
    four = GroupPathDisplay.from_estimator(piped, *given, **options)
    five = GroupPathDisplay.from_estimator(pruner, *given, **options)
    assert four.models == five.models == ["dense", "pruned"]
    np.testing.assert_allclose(four.values, five.values, rtol=1e-5)
    both = {"dense": pruner.dense_estimator_, "pruned": pruner.estimator_}
    loss = [log_loss(data.y, m.predict_proba(data.X)) for m in both.values()]
    np.testing.assert_allclose(five.overall, loss, rtol=1e-4)
    np.testing.assert_allclose(five.sparsities, [0, pruner.sparsity_])


def test_where_the_models_stand(report):
    display = GroupPathDisplay.from_report(report)
    assert display.ax_.get_xscale() == "log"
    left, right = display.ax_.get_xlim()
    assert left > right
    ticks = [t.get_text().split("\n")[0] for t in display.ax_.get_xticklabels()]
    assert ticks == ["0", "50", "75", "89.6"]
    assert "weights removed, %" in display.ax_.get_xlabel()
    display.plot(x="order")
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), [0, 1, 2, 3])
    assert display.ax_.get_xscale() == "linear"
    display.sparsities = np.array([0, 0.01, 0.02, 0.99])  # too near to be read
    display.plot()
    np.testing.assert_array_equal(display.lines_[0].get_xdata(), [0, 1, 2, 3])
    display.plot(x="kept")
    np.testing.assert_allclose(display.lines_[0].get_xdata(), [1, 0.99, 0.98, 0.01])
    for unfit in ([0, 0.5, 0.5, 0.9], [0, np.nan, 0.5, 0.9], [0, 0.5, 0.9, 1]):
        display.sparsities = np.array(unfit)
        assert display.plot().ax_.get_xscale() == "linear"
        with pytest.raises(ValueError, match=r"x='kept' needs .* got .*Use x='order'"):
            display.plot(x="kept")
    with pytest.raises(ValueError, match="x must be 'auto', 'kept' or 'order', got 'log'"):
        display.plot(x="log")


@pytest.mark.parametrize("m", [1, 2, 10, pytest.param(50, marks=pytest.mark.slow)])
def test_any_number_of_groups(data, path, m):
    options = data.options | {"sensitive_features": data.groups(m)}
    display = GroupPathDisplay.from_path(path, data.X, data.y, measure="loss", **options)
    assert len(display.lines_) == len(display.bands_) == m
    coloured = [line for line in display.lines_ if to_hex(line.get_color()) != "#a6a6a6"]
    assert len(coloured) == min(m, 6)
    labels = [t.get_text() for t in display.legend_.get_texts()]
    assert labels[-1] == "all rows"
    assert len(labels) == min(m, 6) + 1 + (m > 6)
    if m > 6:
        assert labels[-2] == f"{m - 6} more groups"
        assert sum(band is not None for band in display.bands_) == 6
    display.figure_.draw_without_rendering()


@pytest.mark.parametrize("measure", YLABELS)
def test_colours_are_for_the_worst_off(data, path, measure):
    options = data.options | {"sensitive_features": data.groups(10)}
    report = audit(path, data.X, data.y, **options)
    display = GroupPathDisplay.from_report(report, measure=measure, max_groups=3)
    last = report.by_group.loc["sparsity 0.9"]
    last = last.loc[last[f"{measure}_low"].notna(), measure]
    worst = set((last if measure == "accuracy" else -last).nsmallest(3, keep="all").index)
    shown = [t.get_text() for t in display.legend_.get_texts()]
    assert set(shown[:3]) <= worst
    assert shown[3:] == ["7 more groups", "all rows"]
    grey = [to_hex(line.get_color()) == "#a6a6a6" for line in display.lines_]
    assert [g for g, is_grey in zip(display.groups, grey, strict=True) if not is_grey] == [
        *shown[:3]
    ]
    display.plot(max_groups=0)
    assert [t.get_text() for t in display.legend_.get_texts()] == [
        "10 more groups",
        "all rows",
    ]
    with pytest.raises(
        ValueError, match="max_groups must be an integer of at least 0, got -1"
    ):
        display.plot(max_groups=-1)


def test_strange_names_and_a_group_of_one_row(data, path):
    options = data.options | {"sensitive_features": {"$a$_": data.hostile()}}
    options |= {"measure": "excessive_loss", "max_groups": 8}
    display = GroupPathDisplay.from_path(path, data.X, data.y, **options)
    texts = display.legend_.get_texts()
    assert len(texts) == 9
    assert all(map(data.same_picture, texts))
    assert data.same_picture(display.ax_.title)
    drawn = {t.get_text().replace(r"\$", "$") for t in texts}
    assert {n for n in data.names if n.isprintable()} <= drawn
    alone = display.groups.index("one row")
    assert display.bands_[alone] is None
    hollow = [line.get_markerfacecolor() == "white" for line in display.lines_]
    assert np.flatnonzero(hollow).tolist() == [alone]
    assert np.isfinite(display.lines_[alone].get_ydata()).all()
    display.figure_.canvas.draw()


def test_one_model_has_its_intervals(data, path):
    models = {"dense": path.estimators[0]}
    options = data.options | {"sensitive_features": data.sex}
    display = GroupPathDisplay.from_estimators(models, data.X, data.y, **options)
    low, high = display.bands_[0].get_segments()[0][:, 1]
    assert (low, high) == pytest.approx((100 * display.low[0, 0], 100 * display.high[0, 0]))
    display.figure_.canvas.draw()


def test_regressors_have_losses_only(of_regressor):
    for measure in ("accuracy", "accuracy_drop"):
        message = rf"^measure must be .*got '{measure}': regressors .*Use measure='loss' or"
        with pytest.raises(ValueError, match=message):
            GroupPathDisplay.from_report(of_regressor, measure=measure)
    assert plt.get_fignums() == []
    display = GroupPathDisplay.from_report(of_regressor, measure="excessive_loss")
    assert display.ax_.get_ylabel() == "excessive loss R, squared error"


def test_models_without_a_network(data):
    models = {k: LogisticRegression(C=c).fit(data.X, data.y) for k, c in [("a", 1), ("b$", 2)]}
    display = GroupPathDisplay.from_estimators(models, data.X, data.y, **data.options)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["a", r"b\$"]
    assert display.ax_.get_xlabel() == "model"
    assert display.groups == ["no", "yes"]


def test_given_axes(report):
    figure, axes = plt.subplots(1, 2)
    display = GroupPathDisplay.from_report(report, ax=axes[1])
    assert display.ax_ is axes[1]
    assert display.figure_ is figure
    assert plt.get_fignums() == [figure.number]
    assert not axes[0].lines
    display.plot(ax=axes[1])  # twice on the same axes: still from left to right
    left, right = axes[1].get_xlim()
    assert left > right
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes"):
        GroupPathDisplay.from_report(report, ax=axes)
    sub = plt.figure().subfigures(1, 2)[0].subplots()
    assert GroupPathDisplay.from_report(report, ax=sub).ax_ is sub


def test_a_broken_model_is_marked(report):
    display = GroupPathDisplay.from_report(report)
    display.broken = np.array([False, False, False, True])
    ticks = [t.get_text() for t in display.plot().ax_.get_xticklabels()]
    assert ticks[-1].endswith("\nbroken")
    assert "broken" not in ticks[0]


def test_errors_before_any_work(data, path, report):
    given = (data.X, data.y)
    with pytest.raises(ValueError, match=r"measure must be one of .* got 'acuracy'"):
        GroupPathDisplay.from_path(path, None, None, measure="acuracy")
    with pytest.raises(ValueError, match=r"measure must be one of .* got 'acuracy'"):
        GroupPathDisplay.from_report(report, measure="acuracy")
    with pytest.raises(TypeError, match=r"report must be an AuditReport.* got str"):
        GroupPathDisplay.from_report("report")
    with pytest.raises(
        TypeError, match=r"path must be what pruning_path .* got dict.*from_est"
    ):
        GroupPathDisplay.from_path({"a": path.estimators[0]}, *given)
    with pytest.raises(TypeError, match="models must be a dict"):
        GroupPathDisplay.from_estimators(path.estimators, *given)
    with pytest.raises(TypeError, match="got LogisticRegression"):
        GroupPathDisplay.from_estimator(LogisticRegression(), *given)
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        GroupPathDisplay.from_report(report, colour="red")
    assert plt.get_fignums() == []


def test_pickle(report):
    display = GroupPathDisplay.from_report(report)
    again = pickle.loads(pickle.dumps(display))
    assert not hasattr(again, "ax_")
    again.plot()
    for one, two in zip(display.lines_, again.lines_, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())


def test_rates_and_metrics_are_drawn():
    options = {"sensitive_features": PEOPLE["sex"], "n_boot": 40, "metrics": {"f1": f1_score}}
    report = make_report(**options)
    for measure, factor, label in (
        ("selection_rate", 100, "selection rate, %"),
        ("f1", 1, "f1"),
    ):
        made = GroupPathDisplay.from_estimators(MODELS, X, Y, **options, measure=measure)
        for display in (report.plot(measure), made):
            assert display.ax_.get_ylabel() == label
            for group, line in zip("fm", display.lines_, strict=True):
                rows = report.by_group.xs(group, level="sex")
                np.testing.assert_allclose(line.get_ydata(), factor * rows[measure])
                low = display.low[:, "fm".index(group)]
                np.testing.assert_array_equal(low, rows[f"{measure}_low"])
            total = display.overall_line_.get_ydata()
            np.testing.assert_allclose(total, factor * report.overall[measure])
    assert pickle.loads(pickle.dumps(display)).measures["f1"].better == 1
    display = TradeOffDisplay.from_report(
        report, performance="f1", disparity="equalized_odds_difference"
    )
    assert display.ax_.get_xlabel() == "f1"
    assert display.ax_.get_ylabel() == "equalized odds difference, points"
    with pytest.raises(ValueError, match=r"measure must be one of .* got 'f2'"):
        report.plot("f2")
    plt.close("all")
