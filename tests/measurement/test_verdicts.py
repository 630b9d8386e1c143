"""Verdicts: what changed, what is broken, and that they are plain text in files."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune.measurement.verdicts import (
    Broken,
    Change,
    broken_models,
    broken_notes,
    change_verdicts,
    flag_broken,
)

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


def overall(n_classes, **columns):
    index = pd.Index(["a", "b", "c"], name="model")
    return flag_broken(pd.DataFrame(columns, index=index), n_classes)


COLUMNS = {
    "classes_predicted": [2, 1, 2],
    "balanced_accuracy": [0.9, 0.5, 0.5],
    "balanced_accuracy_low": [0.8, 0.5, 0.4],
    "balanced_accuracy_high": [0.95, 0.5, 0.51],
}


def test_what_is_broken_and_why():
    table = overall(2, **COLUMNS)
    assert broken_models(table) == {"b": Broken.ONE_CLASS, "c": Broken.NO_BETTER}
    predicted = np.array([["x", "y", "x"], ["y", "y", "y"]])
    means = "it is broken, and its equal treatment of the groups means nothing."
    assert broken_notes(table, predicted) == [
        f"b predicts only y: {means}",
        "c is no better than one class for everybody (balanced accuracy 50.0 [40.0, 51.0] %): "
        f"{means}",
    ]


def test_a_point_above_chance_is_the_limit():
    above = COLUMNS | {"balanced_accuracy_high": [0.95, 0.5, 0.5101]}
    assert list(broken_models(overall(2, **above))) == ["b"]
    assert list(broken_models(overall(3, **COLUMNS))) == ["b"]


def test_nothing_is_broken_without_classes():
    assert broken_models(overall(1, **COLUMNS)) == {}
    assert broken_models(pd.DataFrame({"loss": [1.0]}, index=["a"])) == {}


def test_verdicts_are_their_texts():
    words = {"b": Change.ONLY_IN_A, "c": Broken.NO_BETTER}
    assert json.dumps(words) == ('{"b": "only in A", "c": "no better than one class"}')
    assert pd.Series(words).to_csv(index=False, header=False).split("\n")[0] == "only in A"
