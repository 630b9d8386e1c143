"""fairlearn's comparison of models, and its bars of diagnostics."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    demographic_parity_difference,
    selection_rate,
)
from fairlearn.metrics import plot_model_comparison as fairlearns
from sklearn.metrics import accuracy_score, balanced_accuracy_score, mean_squared_error

from sklearn_fairprune import diagnostic_metrics
from sklearn_fairprune.report.displays import plot_model_comparison


def points(ax):
    return np.asarray(ax.collections[0].get_offsets())


def truth(models, data, groups, y=None):
    frames = [
        MetricFrame(
            metrics=accuracy_score,
            y_true=data.y if y is None else y,
            y_pred=model.predict(data.X),
            sensitive_features=groups,
        )
        for model in models
    ]
    return [[frame.overall, frame.difference()] for frame in frames]


def test_points_are_accuracy_and_its_difference(data, path):
    models = dict(zip("abcd", path.estimators, strict=True))
    for given, names in ((models, list("abcd")), (path, ["sparsity 0", "sparsity 0.5"])):
        for groups in (data.sex, data.both):
            ax = plot_model_comparison(given, data.X, data.y, sensitive_features=groups)
            np.testing.assert_allclose(points(ax), truth(path.estimators, data, groups))
            assert [t.get_text() for t in ax.texts][: len(names)] == names
            assert ax.get_xlabel() == "accuracy"
            assert ax.get_ylabel() == "accuracy, difference between the groups"


@pytest.mark.parametrize("kind", [str, bool, int, object, "one group"])
def test_labels_of_any_type(data, kind):
    y = data.y == "yes"
    if kind is object:
        y = np.where(y, "a, b", "$_").astype(object)
    elif kind != "one group":
        y = np.where(y, 7, 3).astype(kind) if kind is not bool else y
    model = data.make().fit(data.X, y)
    groups = np.zeros(300) if kind == "one group" else data.hostile()
    ax = plot_model_comparison({"a": model}, data.X, y, sensitive_features=groups)
    np.testing.assert_allclose(points(ax), truth([model], data, groups, y))
    again = plot_model_comparison({"a": model}, data.X, y, sensitive_features=None)
    recall = [(model.predict(data.X) == y)[y == c].mean() for c in model.classes_]
    np.testing.assert_allclose(points(again)[0, 1], np.ptp(recall))


def test_several_classes_and_own_metrics(data, path):
    y = np.array(["low", "mid", "top"])[np.digitize(data.X[:, 0], [-0.5, 0.5])]
    model = data.make().fit(data.X, y)
    options = {"sensitive_features": data.sex, "x_axis_metric": balanced_accuracy_score}
    ax = plot_model_comparison({"m": model}, data.X, y, **options)
    score = balanced_accuracy_score(y, model.predict(data.X))
    assert points(ax)[0, 0] == pytest.approx(score)
    assert ax.get_xlabel() == "balanced accuracy score"
    options["y_axis_metric"] = demographic_parity_difference
    models = {"a": path.estimators[0], "b": path.estimators[1]}
    ax = plot_model_comparison(models, data.X, data.y, **options)
    codes = (data.y == "yes").astype(int)
    predicted = [(m.predict(data.X) == "yes").astype(int) for m in models.values()]
    _, own = plt.subplots()
    metrics = {"x_axis_metric": balanced_accuracy_score}
    metrics["y_axis_metric"] = demographic_parity_difference
    fairlearns(y_preds=predicted, y_true=codes, sensitive_features=data.sex, ax=own, **metrics)
    np.testing.assert_allclose(points(ax), points(own))
    assert ax.get_ylabel() == own.get_ylabel()


def test_metrics_see_the_second_class_as_1(data, path):
    options = {"sensitive_features": data.sex, "x_axis_metric": selection_rate}
    model = path.estimators[0]
    ax = plot_model_comparison({"m": model}, data.X, data.y, **options)
    assert points(ax)[0, 0] == pytest.approx((model.predict(data.X) == "yes").mean())


def test_regressors(data, regressor):
    ax = plot_model_comparison(
        {"pruned": regressor}, data.X, data.target, sensitive_features=data.sex
    )
    predicted = regressor.predict(data.X)
    errors = [
        mean_squared_error(data.target[data.sex == g], predicted[data.sex == g]) for g in "fm"
    ]
    error = mean_squared_error(data.target, predicted)
    np.testing.assert_allclose(points(ax)[0], [error, np.ptp(errors)], rtol=1e-5)
    assert ax.get_xlabel() == "mean squared error"


def test_options_of_fairlearn_and_matplotlib(data, path):
    models = {"$a_": path.estimators[0], "_b": path.estimators[-1]}
    options = {"sensitive_features": data.sex}
    given = (models, data.X, data.y)
    ax = plot_model_comparison(
        *given, **options, axis_labels=("x", "y"), marker="s", label="all", legend=True
    )
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("x", "y")
    assert ax.get_legend() is not None
    assert all(map(data.same_picture, ax.texts))
    moved = plot_model_comparison(*given, **options, point_labels_position=(0.01, 0))
    assert [t.get_text() for t in moved.texts] == [r"\$a_", "_b"]
    np.testing.assert_allclose(moved.texts[0].get_position()[0], points(moved)[0, 0] + 0.01)
    assert not plot_model_comparison(*given, **options, point_labels=False).texts


def test_given_axes_and_errors(data, path):
    figure, ax = plt.subplots()
    ax.scatter([0.1], [0.1])
    options = {"sensitive_features": data.sex}
    drawn = plot_model_comparison(path, data.X, data.y, ax=ax, **options)
    assert drawn is ax
    assert len(ax.texts) == 4
    assert plt.get_fignums() == [figure.number]
    plt.close("all")

    def broken(y_true, y_pred, sensitive_features=None):
        raise RuntimeError("broken metric")

    with pytest.raises(RuntimeError, match="broken metric"):
        plot_model_comparison(path, data.X, data.y, x_axis_metric=broken, **options)
    with pytest.raises(ValueError, match="one entry per row"):
        plot_model_comparison(path, data.X, data.y, sensitive_features=["f"])
    with pytest.raises(ValueError, match="models is empty"):
        plot_model_comparison({}, data.X, data.y, **options)
    with pytest.raises(ValueError, match="ax must be a matplotlib Axes"):
        plot_model_comparison(path, data.X, data.y, ax=3, **options)
    assert plt.get_fignums() == []


def test_bars_of_diagnostics(data, pruner):
    source = diagnostic_metrics(pruner, data.X, data.y)
    frame = MetricFrame(**source, y_true=data.y, y_pred=data.y, sensitive_features=data.both)
    axes = frame.by_group.plot.bar(subplots=True)
    assert [ax.get_title() for ax in axes] == list(source.metrics)
    for ax, name in zip(axes, source.metrics, strict=True):
        np.testing.assert_allclose([b.get_height() for b in ax.patches], frame.by_group[name])
