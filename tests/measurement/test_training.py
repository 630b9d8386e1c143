"""Where a constrained training is found, and what is told of it."""

import numpy as np
import pandas as pd
import pytest
from report_cases import PEOPLE, X, Y
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier
from sklearn_fairprune.measurement.training import (
    by_epoch,
    constrained_pruner,
    constraint_table,
    training_table,
)

CLF = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=3, random_state=0)


@pytest.fixture(scope="module")
def held():
    pruner = GroupConstrainedPruner(CLF, stage="both", holdout=0.2, tolerance=5.0)
    return pruner.fit(X[:, :1], Y, sensitive_features=PEOPLE)


def test_the_history_as_it_is(held):
    table = training_table({"plain": CLF, "held": held})
    assert table.index.unique().tolist() == ["held"]
    np.testing.assert_array_equal(table["multiplier"], held.history_["multiplier"])
    assert set(table["group"]) == {"f & 30", "f & 60", "m & 30", "m & 60"}
    assert set(table["stage"]) == {"dense", "finetune"}
    assert (table["tolerance"] == 5).all()


def test_by_epoch_in_the_order_of_the_training(held):
    table = training_table({"held": held})
    wide = by_epoch(table, "held", "violation")
    assert wide.index.tolist() == list(
        dict.fromkeys(zip(table["stage"], table["epoch"], strict=True))
    )
    assert wide.index[0] == ("dense", 1)
    for _, row in table.iterrows():
        assert wide.loc[(row["stage"], row["epoch"]), row["group"]] == row["violation"]


def test_whether_it_is_met(held):
    row = constraint_table({"held": held}).loc["held"]
    assert (row["constraint"], row["stage"], row["tolerance"]) == ("equal_loss", "both", 5.0)
    assert row["measured_on"] == "holdout"
    assert row["largest_violation"] == held.violations_["holdout"].max()
    assert bool(row["satisfied"]) is True
    assert row["outcome"] == held.outcome_


def test_wherever_it_stands(held):
    pipe = make_pipeline(StandardScaler(), held)
    assert constrained_pruner(pipe) is held
    assert constrained_pruner(FrozenEstimator(held)) is held
    search = GridSearchCV(
        GroupConstrainedPruner(CLF, tolerance=5.0), {"dual_lr": [0.1]}, cv=2
    ).fit(X[:, :1], Y)
    assert constrained_pruner(search) is search.best_estimator_
    for other in (CLF.fit(X, Y), LogisticRegression(), held.estimator_):
        assert constrained_pruner(other) is None


def test_nothing_to_tell():
    assert training_table({"plain": CLF}).empty
    assert constraint_table({"plain": CLF}).empty
    assert isinstance(constraint_table({}), pd.DataFrame)


def test_functions_and_minimax_are_told():
    def own(losses):
        return losses - losses.mean()

    for constraint, name, met in ((own, "own", True), ("minimax", "minimax", None)):
        held = GroupConstrainedPruner(CLF, constraint=constraint, tolerance=5.0)
        held.fit(X[:, :1], Y, sensitive_features=PEOPLE["sex"])
        row = constraint_table({"m": held}).loc["m"]
        assert row["constraint"] == name
        assert row["satisfied"] is met or bool(row["satisfied"]) is met
