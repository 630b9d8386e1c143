"""Verdicts: what changed, what is broken, and that they are plain text in files."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune.measurement.verdicts import (
    Change,
    broken_models,
    broken_notes,
    change_verdicts,
    flag_broken,
)
from sklearn_fairprune.statistics.broken import Broken

NAN = float("nan")


@pytest.mark.parametrize(
    ("limits", "better", "verdict"),
    [
        ((0.1, 0.3), 1, Change.BETTER),
        ((0.1, 0.3), -1, Change.WORSE),
        ((-0.3, -0.1), 1, Change.WORSE),
        ((-0.3, -0.1), -1, Change.BETTER),
        ((-0.1, 0.3), 1, Change.CANNOT_TELL),
        ((NAN, NAN), 1, Change.CANNOT_TELL),
        ((0.1, 0.3), 0, Change.CANNOT_TELL),
    ],
)
def test_verdict_of_a_change(limits, better, verdict):
    low, high, better = (np.array([v]) for v in (*limits, better))
    assert change_verdicts(np.array([0.2]), low, high, better).tolist() == [verdict]
    assert change_verdicts(np.array([0.0]), low, high, better).tolist() == [Change.SAME]


TARGETS = np.array(["x", "y"] * 50)


def overall(y=TARGETS, **columns):
    index = pd.Index(["a", "b", "c", "d"], name="model")
    return flag_broken(pd.DataFrame(COLUMNS | columns, index=index), y, True)


COLUMNS = {
    "classes_predicted": [2, 1, 2, 2],
    "balanced_accuracy": [0.9, 0.5, 0.5, 0.9],
    "balanced_accuracy_low": [0.8, 0.5, 0.4, 0.8],
    "balanced_accuracy_high": [0.95, 0.5, 0.51, 0.95],
    "accuracy_spread": [0.1, 0.0, 0.1, 0.1],
    "loss": [0.3, 0.9, 0.9, 0.9],
    "loss_low": [0.2, 0.8, 0.8, 0.71],
    "loss_high": [0.4, 1.0, 1.0, 1.1],
}


def test_what_is_broken_and_why():
    table = overall()
    assert broken_models(table) == {
        "b": Broken.ONE_CLASS,
        "c": Broken.NO_BETTER,
        "d": Broken.ABOVE_CONSTANT,
    }
    predicted = np.array([["x", "y", "x", "x"], ["y", "y", "y", "y"]])
    assert broken_notes(table, predicted) == [
        "b predicts only y: it is broken, and that it treats the groups alike means nothing.",
        "c is no better than one class for everybody (balanced accuracy 50.0 [40.0, 51.0] %): "
        "it is broken.",
        "d has a loss of 0.900 [0.710, 1.100], above that of a constant: it is broken.",
    ]


def test_a_point_above_chance_is_the_limit():
    above = {"balanced_accuracy_high": [0.95, 0.5, 0.5101, 0.95], "loss_low": [0.2] * 4}
    assert list(broken_models(overall(**above))) == ["b"]
    three = np.array(["x", "y", "z"])
    assert list(broken_models(overall(three, **COLUMNS | {"loss_low": [0.2] * 4}))) == ["b"]


def test_a_loss_is_too_high_only_where_its_interval_lies_above_that_of_a_constant():
    limit = 1.01 * np.log(2)
    fine = {"balanced_accuracy_high": [0.95] * 4, "classes_predicted": [2] * 4}
    lows = {"loss_low": [0.2, limit - 1e-9, limit + 1e-9, 0.9]}
    assert list(broken_models(overall(**fine | lows))) == ["c", "d"]


def test_regressors_are_broken_where_their_loss_is_above_the_variance():
    table = pd.DataFrame({"loss_low": [0.5, 1.5]}, index=["a", "b"])
    flagged = flag_broken(table, np.array([1.0, 3.0]), False)
    assert broken_models(flagged) == {"b": Broken.ABOVE_CONSTANT}
    assert "predicts_one_class" not in flagged


def test_nothing_is_broken_without_classes():
    assert broken_models(overall(np.array(["x"] * 5))) == {}
    assert broken_models(pd.DataFrame({"loss": [1.0]}, index=["a"])) == {}


def test_verdicts_are_their_texts():
    words = {"b": Change.ONLY_IN_A, "c": Broken.NO_BETTER}
    assert json.dumps(words) == ('{"b": "only in A", "c": "no better than one class"}')
    assert pd.Series(words).to_csv(index=False, header=False).split("\n")[0] == "only in A"
