"""How a table is split and scaled."""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_fairprune.tables.preparation import make_preprocessing, split, standardized


def test_split_keeps_groups_and_classes_in_both_parts():
    y = np.array(["yes"] * 90 + ["no"] * 10)
    sensitive = pd.DataFrame({"sex": np.tile(["f", "m"], 50)})
    train, test = split(Bunch(y=y, sensitive=sensitive), 0.3, seed=0)
    assert sorted([*train, *test]) == list(range(100))
    cells = pd.Series(y[test]) + sensitive["sex"].to_numpy()[test]
    counts = cells.value_counts()
    assert counts["nof"] == counts["nom"] == 2
    assert counts["yesf"] == counts["yesm"] == 13
    lonely = Bunch(y=np.append(y[:-1], "maybe"), sensitive=sensitive)
    assert len(split(lonely, 0.3, seed=0)[1]) == 30


def test_targets_are_scaled_by_the_training_rows_alone():
    y = np.array([0.0, 2.0, 100.0])
    scaled, note = standardized(y, np.array([0, 1]))
    np.testing.assert_allclose(scaled, [-1.0, 1.0, 99.0])
    assert "standard deviation, 1" in note


def test_a_column_without_values_in_the_training_rows_stays():
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [np.nan, np.nan, 5.0]})
    preprocessing = make_preprocessing(X).fit(X[:2])
    made = preprocessing.transform(X)
    assert np.isfinite(made).all()
    assert "b" in preprocessing.get_feature_names_out()


def test_a_missing_category_is_another_than_the_word():
    X = pd.DataFrame({"job": ["missing", "nan", np.nan, "clerk"] * 6}, dtype=object)
    made = make_preprocessing(X).fit_transform(X)
    assert len(np.unique(made, axis=0)) == made.shape[1] == 4
