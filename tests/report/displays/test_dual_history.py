"""Lines are the numbers of `history_`."""

import pickle
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupConstrainedPruner, PrunedRegressor
from sklearn_fairprune.report.displays import DualHistoryDisplay


def fitted(data, pruner=None, y=None, sensitive_features=None, **options):
    estimator = data.make(finetune_epochs=3) if pruner is None else pruner
    constrained = GroupConstrainedPruner(estimator, **options)
    groups = data.sex if sensitive_features is None else sensitive_features
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return constrained.fit(data.X, data.y if y is None else y, sensitive_features=groups)


@pytest.fixture(scope="module")
def both(data):
    return fitted(data, stage="both", holdout=0.3, tolerance=0.05)


def drawn(line):
    """Heights of a line without the gap between two trainings."""
    x, y = line.get_data()
    return np.asarray(y)[~np.isnan(x)]


def test_artists_are_the_numbers(both):
    display = DualHistoryDisplay.from_estimator(both)
    for k, group in enumerate(both.groups_):
        rows = both.history_[both.history_["group"] == group]
        np.testing.assert_allclose(drawn(display.multiplier_lines_[k]), rows["multiplier"])
        np.testing.assert_allclose(drawn(display.violation_lines_[k]), rows["violation"])
        held = drawn(display.holdout_lines_[k])
        np.testing.assert_allclose(held, rows["holdout_violation"])
    assert len(display.multiplier_lines_) == len(display.holdout_lines_) == 2
    above, below = display.axes_
    assert above.get_ylabel() == "multiplier"
    assert below.get_ylabel() == "violation g, nats"
    assert below.get_xlabel() == "epoch"
    assert [line.get_ydata()[0] for line in display.tolerance_lines_] == [0.05]
    texts = [t.get_text() for t in display.legend_.get_texts()]
    assert texts == ["f", "m", "tolerance 0.05", "held-out rows"]


def test_the_boundary_of_the_trainings(both, data):
    display = DualHistoryDisplay.from_estimator(both)
    n_dense = both.history_.loc[both.history_["stage"] == "dense", "epoch"].max()
    assert [line.get_xdata()[0] for line in display.boundaries_] == [n_dense + 0.5] * 2
    assert [t.get_text() for t in display.axes_[0].texts] == [
        "before pruning",
        "after pruning",
    ]
    assert np.isnan(display.multiplier_lines_[0].get_xdata()).sum() == 1
    after = DualHistoryDisplay.from_estimator(fitted(data))
    assert after.boundaries_ == []
    assert after.holdout_lines_ == []
    assert [t.get_text() for t in after.axes_[0].texts] == ["after pruning"]
    np.testing.assert_array_equal(after.epochs, [1, 2, 3])
    before = DualHistoryDisplay.from_estimator(fitted(data, stage="before"))
    assert set(before.stages) == {"dense"}


def test_what_is_satisfied(data):
    options = {"dual_update": "signed", "tolerance": 0.1}
    display = DualHistoryDisplay.from_estimator(fitted(data, **options))
    assert [line.get_ydata()[0] for line in display.tolerance_lines_] == [0.1, -0.1]
    for options in ({"tolerance": np.inf}, {"constraint": "minimax"}):
        display = DualHistoryDisplay.from_estimator(fitted(data, **options))
        assert display.tolerance_lines_ == []
        assert "tolerance" not in "".join(t.get_text() for t in display.legend_.get_texts())
    display = DualHistoryDisplay.from_estimator(fitted(data, constraint="accuracy_gap"))
    assert display.axes_[1].get_ylabel() == "violation g, share"
    assert display.axes_[0].get_title() == "Constraint accuracy_gap"

    def half_loss(losses):
        return losses / 2

    display = DualHistoryDisplay.from_estimator(fitted(data, constraint=half_loss))
    assert display.axes_[1].get_ylabel() == "violation g"
    assert display.axes_[0].get_title() == "Constraint half_loss"


def test_regressors(data):
    pruner = data.make(PrunedRegressor, finetune_epochs=2)
    display = DualHistoryDisplay.from_estimator(fitted(data, pruner, data.target))
    assert display.axes_[1].get_ylabel() == "violation g, units of the loss"


@pytest.mark.parametrize("m", [1, 2, 10, pytest.param(50, marks=pytest.mark.slow)])
def test_any_number_of_groups(data, m):
    display = DualHistoryDisplay.from_estimator(
        fitted(data, sensitive_features=data.groups(m), holdout=0.3)
    )
    assert len(display.multiplier_lines_) == m
    texts = [t.get_text() for t in display.legend_.get_texts()]
    assert (f"{m - 6} more groups" in texts) == (m > 6)
    display.figure_.canvas.draw()
    shown = DualHistoryDisplay.from_estimator(
        fitted(data, sensitive_features=data.groups(m)), max_groups=1, legend=False
    )
    assert shown.legend_ is None


def test_strange_names_and_a_group_of_one_row(data):
    model = fitted(data, sensitive_features=data.hostile(), holdout=0.3)
    display = DualHistoryDisplay.from_estimator(model, max_groups=8)
    texts = display.legend_.get_texts()
    assert len(texts) == 10
    assert all(map(data.same_picture, texts))
    alone = display.groups.index("one row")
    assert np.isnan(display.holdout_violations[:, alone]).all()
    assert np.isfinite(display.violations[:, alone]).all()
    display.figure_.canvas.draw()


def test_one_epoch_is_a_point(data):
    model = fitted(data, data.make(finetune_epochs=1), sensitive_features=data.groups(10))
    display = DualHistoryDisplay.from_estimator(model, max_groups=2)
    assert all(line.get_marker() != "None" for line in display.multiplier_lines_)


def test_wherever_the_pruner_stands(data):
    model = fitted(data)
    inside = make_pipeline(StandardScaler().fit(data.X), model)
    search = GridSearchCV(inside, {})
    search.best_estimator_ = inside
    for estimator in (inside, FrozenEstimator(model), search):
        display = DualHistoryDisplay.from_estimator(estimator)
        np.testing.assert_array_equal(
            display.multipliers.ravel(), model.history_["multiplier"]
        )


def test_given_axes_and_errors(data, pruner, both):
    figure, axes = plt.subplots(2)
    display = DualHistoryDisplay.from_estimator(both, ax=axes)
    assert display.axes_ == list(axes)
    assert plt.get_fignums() == [figure.number]
    plt.close("all")
    with pytest.raises(ValueError, match=r"ax must be 2 matplotlib Axes.*got 1 of 1"):
        DualHistoryDisplay.from_estimator(both, ax=axes[0])
    with pytest.raises(TypeError, match=r"must be a fitted GroupCons.*got PrunedClassifier"):
        DualHistoryDisplay.from_estimator(pruner)
    with pytest.raises(NotFittedError):
        DualHistoryDisplay.from_estimator(GroupConstrainedPruner(pruner))
    idle = fitted(data, data.make(finetune_epochs=0))
    with pytest.raises(ValueError, match=r"its history_ is empty.*finetune_epochs"):
        DualHistoryDisplay.from_estimator(idle)
    with pytest.raises(ValueError, match="max_groups must be an integer"):
        DualHistoryDisplay.from_estimator(both, max_groups=None)
    assert plt.get_fignums() == []


def test_pickle(both):
    display = DualHistoryDisplay.from_estimator(both)
    again = pickle.loads(pickle.dumps(display)).plot()
    for one, two in zip(display.violation_lines_, again.violation_lines_, strict=True):
        np.testing.assert_array_equal(one.get_xydata(), two.get_xydata())
