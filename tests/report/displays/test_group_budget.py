"""A panel a sparsity: lines and bands are the numbers of the report, along the budgets."""

import pickle

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sklearn_fairprune import AuditReport, audit
from sklearn_fairprune.report.displays import (
    GroupBudgetDisplay,
    GroupPathDisplay,
    LayerSparsityDisplay,
    TradeOffDisplay,
)

YLABELS = {
    "accuracy_drop": "accuracy drop, points",
    "excessive_loss": "excessive loss R, nats",
}
BUDGETS = [1, 3, 9]


@pytest.fixture(scope="module")
def budgets(data):
    return data.make().pruning_path(data.X, data.y, sparsities=[0, 0.5, 0.9], budgets=BUDGETS)


@pytest.fixture(scope="module")
def report(data, budgets):
    return audit(budgets, data.X, data.y, sensitive_features=data.sex, **data.options)


def heights(band, x):
    vertices = np.concatenate([p.vertices for p in band.get_paths()])
    found = vertices[np.isclose(vertices[:, 0], x), 1]
    return [found.min(), found.max()]


@pytest.mark.parametrize("measure", YLABELS)
def test_artists_are_the_numbers(report, measure):
    display = GroupBudgetDisplay.from_report(report, measure=measure)
    factor = 100 if measure == "accuracy_drop" else 1
    assert len(display.axes_) == 2
    for panel, sparsity, lines, bands in zip(
        display.axes_, (0.5, 0.9), display.lines_, display.bands_, strict=True
    ):
        assert panel.get_title() == f"sparsity {sparsity}"
        for group, line, band in zip("fm", lines, bands, strict=True):
            names = [f"sparsity {sparsity}, {n} epoch{'s' * (n > 1)}" for n in BUDGETS]
            rows = report.by_group.xs(group, level="sex").loc[names]
            assert line.get_xdata().tolist() == BUDGETS
            np.testing.assert_allclose(line.get_ydata(), factor * rows[measure])
            for n, (_, row) in zip(BUDGETS, rows.iterrows(), strict=True):
                limits = factor * row[[f"{measure}_low", f"{measure}_high"]]
                np.testing.assert_allclose(heights(band, n), limits.astype(float))
    assert display.axes_[0].get_ylabel() == YLABELS[measure]
    assert display.axes_[0].get_ylim() == display.axes_[1].get_ylim()
    assert [t.get_text() for t in display.legend_.get_texts()] == ["f", "m"]
    assert "fine-tuning, 95 % intervals" in display.figure_.get_suptitle()


def test_the_axis_is_logarithmic_and_has_the_budgets(report):
    panel = GroupBudgetDisplay.from_report(report).axes_[0]
    assert panel.get_xscale() == "log"
    assert panel.get_xticks().tolist() == BUDGETS
    assert panel.get_xlabel().startswith("epochs of fine-tuning")


def test_no_epoch_at_all_has_a_place(data):
    path = data.make().pruning_path(data.X, data.y, sparsities=[0, 0.5], budgets=[0, 2])
    display = GroupBudgetDisplay.from_path(path, data.X, data.y, **data.options)
    assert display.axes_[0].get_xscale() == "symlog"
    assert display.axes_[0].get_xticks().tolist() == [0, 2]
    display.figure_.draw_without_rendering()


def test_broken_networks_are_named(report):
    broken = {m: m == "sparsity 0.9, 1 epoch" for m in report.overall.index}
    other = AuditReport.of(report)
    for name in ("no_better_than_chance", "loss_above_constant", "predicts_one_class"):
        other.overall = other.overall.assign(**{name: False})
    other.overall["predicts_one_class"] = list(broken.values())
    texts = [
        [t.get_text() for t in panel.get_xticklabels()]
        for panel in GroupBudgetDisplay.from_report(other).axes_
    ]
    assert texts == [["1", "3", "9"], ["1\nbroken", "3", "9"]]


def test_constructors_agree(data, report, budgets):
    given = data.options | {"sensitive_features": data.sex}
    twin = GroupBudgetDisplay.from_path(budgets, data.X, data.y, **given)
    first = GroupBudgetDisplay.from_report(report)
    for one, other in zip(first.values, twin.values, strict=True):
        np.testing.assert_array_equal(one, other)
    again = pickle.loads(pickle.dumps(first))
    assert not hasattr(again, "axes_")
    _, axes = plt.subplots(1, 2)
    assert again.plot(axes, legend=False).legend_ is None
    assert list(again.axes_) == list(axes)
    read = GroupBudgetDisplay.from_report(AuditReport.from_json(report.to_json()))
    np.testing.assert_array_equal(read.values[1], first.values[1])


def test_many_groups_are_grey_but_those_that_pay_most(data, budgets):
    options = data.options | {"sensitive_features": data.groups(12)}
    display = GroupBudgetDisplay.from_path(
        budgets, data.X, data.y, max_groups=2, measure="accuracy_drop", **options
    )
    drawn = [a for a, band in enumerate(display.bands_[1]) if band is not None]
    last = np.where(np.isnan(display.low[-1][-1]), -np.inf, display.values[-1][-1])
    assert sorted(last[drawn]) == sorted(last)[-2:]
    assert [t.get_text() for t in display.legend_.get_texts()][-1] == "10 more groups"


def test_hostile_names(data, budgets):
    options = data.options | {"sensitive_features": data.hostile()}
    display = GroupBudgetDisplay.from_path(budgets, data.X, data.y, **options)
    for text in display.legend_.get_texts():
        assert data.same_picture(text)


def test_a_regressor_shows_its_loss(data):
    from sklearn_fairprune import PrunedRegressor

    reg = data.make(PrunedRegressor)
    path = reg.pruning_path(data.X, data.target, sparsities=[0, 0.5], budgets=[1, 2])
    display = GroupBudgetDisplay.from_path(path, data.X, data.target, **data.options)
    assert display.axes_[0].get_ylabel() == "excessive loss R, squared error"
    with pytest.raises(ValueError, match="measure must be a measure that the report has"):
        GroupBudgetDisplay.from_path(
            path, data.X, data.target, measure="accuracy_drop", **data.options
        )


def test_what_cannot_be_drawn_is_refused(data, path, report):
    plain = audit(path, data.X, data.y, **data.options)
    with pytest.raises(
        ValueError, match=r"path with budgets, .*pruning_path\(\.\.\., budgets="
    ):
        GroupBudgetDisplay.from_report(plain)
    with pytest.raises(ValueError, match=r"measure must be one of \['accuracy_drop', 'exc"):
        GroupBudgetDisplay.from_report(report, measure="accuracy")
    with pytest.raises(ValueError, match="max_groups must be an integer"):
        GroupBudgetDisplay.from_report(report, max_groups=-1)
    with pytest.raises(ValueError, match="2 matplotlib Axes"):
        GroupBudgetDisplay.from_report(report, ax=plt.subplots()[1])


# ---- the other displays --------------------------------------------------------------


def test_the_path_is_that_of_the_longest_fine_tuning(report):
    display = GroupPathDisplay.from_report(report, measure="accuracy_drop")
    longest = ["sparsity 0", "sparsity 0.5, 9 epochs", "sparsity 0.9, 9 epochs"]
    assert display.models == longest
    for group, line in zip("fm", display.lines_, strict=True):
        rows = report.by_group.xs(group, level="sex").loc[longest]
        np.testing.assert_allclose(line.get_ydata(), 100 * rows["accuracy_drop"])
        np.testing.assert_allclose(
            line.get_xdata(), 1 - report.overall.loc[longest, "sparsity"]
        )
    texts = [t.get_text() for t in display.ax_.get_xticklabels()]
    assert [t.split("\n")[0] for t in texts] == ["0", "9 epochs", "9 epochs"]
    assert texts[1].split("\n")[1] == "50"


def test_the_trade_off_joins_the_longest_fine_tunings(report):
    display = TradeOffDisplay.from_report(report)
    points = np.array([p.get_xydata()[0] for p in display.points_])
    assert len(points) == 7
    np.testing.assert_allclose(display.path_.get_xydata(), points[[0, 3, 6]])


def test_layers_of_every_network(budgets):
    display = LayerSparsityDisplay.from_path(budgets)
    assert display.models == budgets.names
