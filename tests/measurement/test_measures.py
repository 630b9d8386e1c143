"""The table of measures: its records, their orders, and values by hand."""

import numpy as np
import pandas as pd
import pytest
from report_cases import make_report, regression_report
from sklearn.metrics import balanced_accuracy_score

from sklearn_fairprune.functional.shelf import Shelf
from sklearn_fairprune.measurement import MEASURES, Measure
from sklearn_fairprune.measurement.held_out import HeldOut
from sklearn_fairprune.measurement.measures import (
    by_unit,
    disparities,
    group_measures,
    leading,
    limit_columns,
    performances,
    sections,
    shown,
)

FIRST = ("accuracy", "balanced_accuracy", "loss", "excessive_loss", "accuracy_drop")
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate", "precision")
DIFFERENCES = (
    "demographic_parity_difference",
    "equal_opportunity_difference",
    "equalized_odds_difference",
)


@pytest.fixture(scope="module")
def report():
    return make_report()


def test_every_record_is_complete():
    assert isinstance(MEASURES, Shelf)
    for name, measure in MEASURES.items():
        assert measure.name == name
        assert measure.summary.endswith(".")
        assert measure.better in (-1, 0, 1)
        assert measure.by_group or measure.overall
        assert not (measure.by_group and measure.disparity)
        assert measure.signed <= bool(measure.meaning)


def test_orders_of_text_tables_and_choices():
    assert list(group_measures()) == [*FIRST, *RATES]
    assert list(performances()) == [
        *("accuracy", "balanced_accuracy", "loss"),
        *("true_positive_rate", "false_positive_rate", "precision"),
    ]
    assert list(disparities()) == ["accuracy_spread", "fairness_violation", *DIFFERENCES]
    assert list(by_unit(MEASURES))[-8:] == ["classes_predicted", *RATES, *DIFFERENCES]
    assert limit_columns() == {
        "max_spread": "accuracy_spread",
        "max_degradation": "accuracy_drop",
        "max_violation": "fairness_violation",
        "loss": "loss",
        "excessive_loss": "excessive_loss",
        "false_positive_rate": "false_positive_rate",
        **{name: name for name in DIFFERENCES},
    }


def test_what_a_table_has_is_what_is_shown(report):
    assert list(shown(report.by_group)) == list(group_measures())
    assert list(shown(report.overall)) == [
        "accuracy",
        "balanced_accuracy",
        "loss",
        "fairness_violation",
        "accuracy_spread",
        *RATES,
        *DIFFERENCES,
    ]
    first = [*FIRST[:1], *FIRST[2:]]
    assert list(shown(report.by_group, section="")) == first
    assert list(leading(report.overall, MEASURES)) == list(shown(report.overall))[:5]
    assert sections(MEASURES, report.by_group, report.overall) == ["Rates"]
    of_regressors = regression_report()
    assert list(shown(of_regressors.by_group)) == ["loss", "excessive_loss"]
    assert list(performances(of_regressors.overall)) == ["loss"]
    assert list(disparities(of_regressors.overall)) == ["fairness_violation"]


def test_columns_of_the_tables(report):
    ends = ("", "_low", "_high")
    first = ("accuracy", "balanced_accuracy", "accuracy_drop", "loss", "excessive_loss")
    names = (*first, *RATES)
    assert list(report.by_group) == ["rows", *(f"{n}{end}" for n in names for end in ends)]
    first = ("accuracy", "balanced_accuracy", "accuracy_spread")
    assert list(report.overall) == [
        *("rows", "sparsity"),
        *(f"{n}{end}" for n in first for end in ends),
        "accuracy_ratio",
        *(f"{n}{end}" for n in ("loss", "fairness_violation") for end in ends),
        "classes_predicted",
        *(f"{n}{end}" for n in (*RATES, *DIFFERENCES) for end in ends),
        *("predicts_one_class", "no_better_than_chance", "loss_above_constant"),
    ]
    assert pd.api.types.is_integer_dtype(report.overall["classes_predicted"])


def test_disparities_by_hand(report):
    for model, row in report.overall.iterrows():
        groups = report.by_group.loc[model]
        assert row["accuracy_spread"] == pytest.approx(np.ptp(groups["accuracy"]))
        ratio = groups["accuracy"].min() / groups["accuracy"].max()
        assert row["accuracy_ratio"] == pytest.approx(ratio)
        assert row["fairness_violation"] == pytest.approx(np.ptp(groups["excessive_loss"]))
        for name in ("accuracy", "loss"):
            mean = np.average(groups[name], weights=groups["rows"])
            assert row[name] == pytest.approx(mean)


def test_no_ratio_of_accuracies_that_are_all_zero():
    y = np.array(["a", "b"] * 20)
    wrong = np.where(y == "a", "b", "a")[:, None]
    rows = HeldOut(
        np.ones((40, 1)),
        np.zeros((40, 1)),
        y,
        np.arange(40) % 2,
        2,
        0.9,
        10,
        np.random.default_rng(0),
        predicted=wrong,
    )
    assert np.isnan(MEASURES["accuracy_ratio"](rows, 0))
    assert MEASURES["classes_predicted"](rows, 0) == 2
    truth = balanced_accuracy_score(y, wrong[:, 0])
    assert MEASURES["balanced_accuracy"](rows.together, 0)[0] == truth


@pytest.mark.parametrize(
    ("unit", "heading", "axis", "cell"),
    [
        ("share", "speed v %", "speed v at night, %", "+12.5 [n/a, +50.0]"),
        ("points", "speed v, points", "speed v at night, points", "+12.5 [n/a, +50.0]"),
        ("loss", "speed v", "speed v at night", "+0.125 [n/a, +0.500]"),
        ("", "speed v", "speed v at night", "+0.125 [n/a, +0.500]"),
    ],
)
def test_titles_and_numbers_follow_the_unit(unit, heading, axis, cell):
    measure = Measure(len, "speed", symbol="v", unit=unit, signed=True, against="at night")
    assert (measure.heading, measure.axis) == (heading, axis)
    row = {"x": 0.125, "x_low": float("nan"), "x_high": 0.5}
    assert measure.write(row, "x") == cell


@pytest.mark.parametrize(
    ("about", "by_group", "overall", "disparity"),
    [
        ("groups", True, False, False),
        ("rows", False, True, False),
        ("both", True, True, False),
        ("disparity", False, True, True),
    ],
)
def test_where_a_measure_lives(about, by_group, overall, disparity):
    measure = Measure(len, about=about)
    assert (measure.by_group, measure.overall, measure.disparity) == (
        by_group,
        overall,
        disparity,
    )
