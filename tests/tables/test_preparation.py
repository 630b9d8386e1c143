"""How a table is split and scaled."""

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_fairprune.tables.preparation import split, standardized


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
