"""Scorers that read the groups from a column of X, or from metadata routing."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame, accuracy_score_group_min
from sklearn.base import BaseEstimator
from sklearn.metrics import accuracy_score

from sklearn_fairprune import GroupScorer

FRAME = pd.DataFrame(
    {"x": [1, 1, 0, 0, 1, 0], "sex": list("ffffmm"), "old": [0, 0, 1, 1, 0, 1]}
)
Y = np.array([1, 0, 0, 0, 1, 1])


class Copy(BaseEstimator):
    """Predicts the first column."""

    def predict(self, X):
        return np.asarray(X)[:, 0].astype(int)


def spread(y_true, y_pred, *, sensitive_features):
    frame = MetricFrame(
        metrics=accuracy_score,
        y_true=y_true,
        y_pred=y_pred,
        sensitive_features=sensitive_features,
    )
    return frame.difference()


@pytest.mark.parametrize(
    ("X", "column"),
    [(FRAME, "sex"), (pl.from_pandas(FRAME), "sex"), (FRAME.to_numpy(), 1)],
    ids=["pandas", "polars", "array"],
)
def test_column_of_any_table(X, column):
    assert GroupScorer(accuracy_score_group_min, column)(Copy(), X, Y) == 0.5


def test_several_columns_are_intersections():
    score = GroupScorer(accuracy_score_group_min, ["sex", "old"])(Copy(), FRAME, Y)
    assert score == 0.0  # the only old man is wrong


def test_a_gap_is_a_loss():
    gap = GroupScorer(spread, "sex", greater_is_better=False)(Copy(), FRAME, Y)
    assert gap == -0.25


def test_it_pickles_and_names_itself():
    scorer = pickle.loads(pickle.dumps(GroupScorer(spread, "sex")))
    assert scorer(Copy(), FRAME, Y) == 0.25
    assert "columns='sex'" in repr(scorer)
