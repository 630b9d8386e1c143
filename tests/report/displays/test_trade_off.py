"""Points and intervals are the numbers of the report; names do not cover each other."""

import itertools
import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import audit
from sklearn_fairprune.report.displays import TradeOffDisplay
from sklearn_fairprune.report.displays._names import write_names

UNITS = {
    "accuracy": (100, "accuracy, %"),
    "balanced_accuracy": (100, "balanced accuracy, %"),
    "loss": (1, "loss J, nats"),
    "accuracy_spread": (100, "accuracy spread, points"),
    "fairness_violation": (1, "fairness violation ξ, nats"),
}


@pytest.mark.parametrize("disparity", ["accuracy_spread", "fairness_violation"])
@pytest.mark.parametrize("performance", ["accuracy", "balanced_accuracy", "loss"])
def test_artists_are_the_numbers(report, performance, disparity):
    options = {"performance": performance, "disparity": disparity}
    display = TradeOffDisplay.from_report(report, **options)
    across, up = (
        UNITS[name][0] * report.overall[[name, f"{name}_low", f"{name}_high"]].to_numpy()
        for name in (performance, disparity)
    )
    points = np.array([p.get_xydata()[0] for p in display.points_])
    np.testing.assert_allclose(points, np.column_stack([across[:, 0], up[:, 0]]))
    flat, upright = (np.array(bars.get_segments()) for bars in display.bars_)
    np.testing.assert_allclose(flat[:, :, 0], across[:, 1:])
    np.testing.assert_allclose(flat[:, 0, 1], up[:, 0])
    np.testing.assert_allclose(upright[:, :, 1], up[:, 1:])
    np.testing.assert_allclose(upright[:, 0, 0], across[:, 0])
    assert display.ax_.get_xlabel() == UNITS[performance][1]
    assert display.ax_.get_ylabel() == UNITS[disparity][1]
    assert [n.get_text() for n in display.names_] == list(report.overall.index)
    np.testing.assert_allclose(display.path_.get_xydata(), points)


def test_the_dense_model_is_marked(report):
    display = TradeOffDisplay.from_report(report)
    markers = [p.get_marker() for p in display.points_]
    assert markers[0] == "*"
    assert set(markers[1:]) == {"o"}
    assert [t.get_text() for t in display.legend_.get_texts()][:2] == ["dense", "pruned"]
    assert TradeOffDisplay.from_report(report, legend=False).legend_ is None


class Stuck(LogisticRegression):
    def predict(self, X):
        return np.full(len(X), "yes")


def test_a_model_that_predicts_one_class(data):
    fine, stuck = (kind().fit(data.X, data.y) for kind in (LogisticRegression, Stuck))
    options = data.options | {"sensitive_features": data.sex}
    models = {"dense": fine, "stuck": stuck}
    display = TradeOffDisplay.from_estimators(models, data.X, data.y, **options)
    assert display.points_[1].get_markerfacecolor() == "white"
    assert display.points_[0].get_markerfacecolor() == "black"
    np.testing.assert_array_equal(display.marks_.get_xydata(), display.points_[1].get_xydata())
    assert display.marks_.get_marker() == "x"
    texts = [t.get_text() for t in display.legend_.get_texts()]
    assert texts == ["dense", "broken"]
    assert display.path_ is None  # models without sparsities are no path
    right = np.flatnonzero(data.y == "yes")  # one class in the rows: nobody is broken
    options["sensitive_features"] = data.sex.iloc[right]
    display = TradeOffDisplay.from_estimators(
        {"stuck": stuck}, data.X[right], data.y[right], **options
    )
    assert not display.broken.any()


def test_constructors_agree(data, report, path, pruner):
    options = data.options | {"sensitive_features": data.sex}
    one = TradeOffDisplay.from_report(report)
    two = TradeOffDisplay.from_path(path, data.X, data.y, **options)
    models = dict(zip("abcd", path.estimators, strict=True))
    three = TradeOffDisplay.from_estimators(models, data.X, data.y, **options)
    for other in (two, three):
        np.testing.assert_array_equal(one.x, other.x)
        np.testing.assert_array_equal(one.y, other.y)
    four = TradeOffDisplay.from_estimator(pruner, data.X, data.y, **options)
    models = {"dense": pruner.dense_estimator_, "pruned": pruner.estimator_}
    accuracy = [np.mean(m.predict(data.X) == (data.y == "yes")) for m in models.values()]
    np.testing.assert_allclose(four.x[:, 0], accuracy)


@pytest.mark.parametrize("spread", [0, 0.01, 0.1, 1])
@pytest.mark.parametrize("n", [2, 6, 10])
def test_names_of_many_models_do_not_overlap(spread, n):
    rng = np.random.default_rng(n)
    x, y = 0.5 + spread * rng.uniform(-0.4, 0.4, (2, n, 1)) + [0, -0.01, 0.01]
    names = [f"sparsity {k / n:.2f}" for k in range(n)]
    display = TradeOffDisplay(x, y, models=names).plot()
    display.figure_.draw_without_rendering()
    texts = [plt.Text.get_window_extent(note) for note in display.names_]
    area = [
        max(min(a.x1, b.x1) - max(a.x0, b.x0), 0) * max(min(a.y1, b.y1) - max(a.y0, b.y0), 0)
        for a, b in itertools.combinations(texts, 2)
    ]
    assert max(area) == 0
    inside = display.ax_.get_window_extent()
    for text in texts:
        assert inside.x0 - 1 <= text.x0 <= text.x1 <= inside.x1 + 1


def test_a_far_name_has_a_line_to_its_point():
    _, ax = plt.subplots()
    notes = write_names(ax, np.full((12, 2), 0.5), [f"name {k}" for k in range(12)])
    assert notes[0].arrow_patch is None
    assert notes[-1].arrow_patch is not None


@pytest.mark.parametrize("m", [1, 2, 10, pytest.param(50, marks=pytest.mark.slow)])
def test_any_number_of_groups(data, path, m):
    options = data.options | {"sensitive_features": data.groups(m)}
    for disparity in ("accuracy_spread", "fairness_violation"):
        display = TradeOffDisplay.from_path(
            path, data.X, data.y, disparity=disparity, **options
        )
        display.figure_.draw_without_rendering()
        assert len(display.points_) == len(display.models) == len(path.estimators)


def test_strange_names_of_models(data, path):
    models = dict(zip(data.names[:3] + data.names[4:5], path.estimators, strict=True))
    display = TradeOffDisplay.from_estimators(models, data.X, data.y, **data.options)
    assert all(map(data.same_picture, display.names_))
    display.figure_.canvas.draw()


def test_regressors_have_losses_only(of_regressor):
    with pytest.raises(ValueError, match=r"performance must be .* Use performance='loss'\."):
        TradeOffDisplay.from_report(of_regressor)
    message = r"disparity must be .*'accuracy_spread': .* Use disparity='fairness_violation'\."
    with pytest.raises(ValueError, match=message):
        TradeOffDisplay.from_report(of_regressor, performance="loss")
    assert plt.get_fignums() == []
    options = {"performance": "loss", "disparity": "fairness_violation"}
    display = TradeOffDisplay.from_report(of_regressor, **options)
    assert display.ax_.get_xlabel() == "loss J, squared error"


def test_given_axes_and_errors(data, report, path):
    figure, ax = plt.subplots()
    display = TradeOffDisplay.from_report(report, ax=ax)
    assert display.ax_ is ax
    assert plt.get_fignums() == [figure.number]
    sub = plt.figure().subfigures(1, 2)[0].subplots()
    assert TradeOffDisplay.from_report(report, ax=sub).ax_ is sub
    plt.close("all")
    for bad in ({"disparity": "xi"}, {"performance": "speed"}):
        (argument,) = bad
        with pytest.raises(ValueError, match=f"{argument} must be one of"):
            TradeOffDisplay.from_path(path, data.X, data.y, **bad)
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes"):
        TradeOffDisplay.from_report(report, ax="here")
    assert plt.get_fignums() == []


def test_pickle(data, path):
    report = audit(path, data.X, data.y, **data.options)
    display = TradeOffDisplay.from_report(report)
    again = pickle.loads(pickle.dumps(display)).plot()
    np.testing.assert_array_equal(display.x, again.x)
    assert again.models == list(report.overall.index)
