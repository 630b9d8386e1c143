"""The forest plot of who pays: numbers, order, marks, and nothing cut off."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_hex
from report_cases import MODELS, PEOPLE, X, Y, make_report, regression_report

from sklearn_fairprune.report.displays import ForestDisplay
from sklearn_fairprune.report.displays._style import COLOURS

torch.set_num_threads(1)

TWO = {k: MODELS[k] for k in ("dense", "harmed")}
# 40 groups of five rows, two of which are large.
MANY = [f"group {k % 2 if k < 160 else k}" for k in range(len(Y))]


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def colours(display):
    return [to_hex(point.get_color()) for point in display.points_]


def test_points_and_intervals_are_those_of_the_report():
    report = make_report(TWO)
    display = ForestDisplay.from_report(report)
    table = report.by_group.loc["harmed"]
    assert (display.model, display.measure) == ("harmed", "accuracy_drop")
    for k, (point, bar) in enumerate(zip(display.points_, display.bars_, strict=True)):
        row = table.iloc[k]
        assert point.get_xdata()[0] == pytest.approx(100 * row["accuracy_drop"])
        limits = 100 * row[["accuracy_drop_low", "accuracy_drop_high"]].to_numpy(dtype=float)
        np.testing.assert_allclose(bar.get_xdata(), limits)
    names = [label.get_text() for label in display.ax_.get_yticklabels()]
    assert names[1] == f"f & 60  ({int(table.iloc[1]['rows'])} rows)"
    assert display.zero_.get_xdata()[0] == 0
    x = display.band_.get_x(), display.band_.get_x() + display.band_.get_width()
    np.testing.assert_allclose(x, [-0.5, 0.5])
    heights = [point.get_ydata()[0] for point in display.points_]
    drops = [display.values[a] for a in np.argsort(-np.array(heights))]
    assert drops == sorted(drops, reverse=True)


def test_one_colour_for_the_group_that_pays_most_and_none_without_a_verdict():
    report = make_report(TWO)
    payer = report.payers.loc[("harmed", "decisions")]
    display = ForestDisplay.from_report(report)
    assert payer["verdict"] == "pays most"
    assert display.groups[display.payer] == payer["group"]
    marked = [k for k, colour in enumerate(colours(display)) if colour == COLOURS[1].lower()]
    assert marked == [display.payer]
    assert "f & 60 pays most" in display.ax_.get_title(loc="left")
    untold = ForestDisplay.from_report(make_report(), model="stuck")
    assert set(colours(untold)) == {"#000000"}
    assert "who pays most: cannot tell" in untold.ax_.get_title(loc="left")


@pytest.mark.filterwarnings("ignore:Groups with fewer")
def test_groups_of_few_rows_stand_apart_in_grey():
    report = make_report(TWO, sensitive_features=pd.Series(MANY, name="g"), min_group_size=75)
    display = ForestDisplay.from_report(report)
    heights = np.array([point.get_ydata()[0] for point in display.points_])
    few = ~display.enough
    assert few.sum() == 40
    assert heights[few].max() < heights[~few].min() - 1
    assert {colours(display)[a] for a in np.flatnonzero(few)} == {"#999999"}
    assert any("fewer than 75 rows" in text.get_text() for text in display.ax_.texts)


@pytest.mark.filterwarnings("ignore:Groups with fewer")
@pytest.mark.parametrize(
    "groups", [PEOPLE["sex"], PEOPLE, MANY, ["name " * 30 + m for m in MANY]]
)
def test_nothing_is_cut_off(groups):
    display = ForestDisplay.from_report(make_report(TWO, sensitive_features=groups))
    display.figure_.canvas.draw()
    whole = display.figure_.bbox
    for artist in (*display.ax_.get_yticklabels(), display.ax_.xaxis.label):
        box = artist.get_window_extent()
        assert whole.x0 - 1 <= box.x0
        assert box.x1 <= whole.x1 + 1
        assert whole.y0 - 1 <= box.y0


def test_regressors_pay_by_loss():
    report = regression_report()
    display = ForestDisplay.from_report(report)
    assert display.measure == "excessive_loss"
    assert "squared error" in display.ax_.get_xlabel()
    with pytest.raises(ValueError, match="measure must be a measure that the report has"):
        ForestDisplay.from_report(report, measure="accuracy_drop")


def test_what_is_unusable_is_refused():
    report = make_report(TWO)
    with pytest.raises(ValueError, match=r"model must be one of \['harmed'\], got 'dense'"):
        ForestDisplay.from_report(report, model="dense")
    with pytest.raises(ValueError, match="measure must be one of"):
        ForestDisplay.from_report(report, measure="loss")
    with pytest.raises(ValueError, match="must have a pruned model"):
        ForestDisplay.from_report(make_report({"dense": MODELS["dense"]}))


def test_from_estimators_and_on_axes():
    figure, ax = plt.subplots()
    display = ForestDisplay.from_estimators(
        MODELS, X, Y, sensitive_features=PEOPLE["sex"], model="harmed", n_boot=20, ax=ax
    )
    assert (display.ax_, display.figure_) == (ax, figure)
    assert display.model == "harmed"
