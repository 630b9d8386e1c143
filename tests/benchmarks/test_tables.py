"""Splits of the tables: nothing of the test rows is in what training sees."""

import numpy as np
import pandas as pd
import pytest
import tables


@pytest.fixture
def table():
    """Rows with a number of their own, a missing value, a word, two groups."""
    frame = pd.DataFrame({"number": np.arange(200.0), "word": np.tile(["x", "y"], 100)})
    frame.loc[3, "number"] = np.nan
    return frame, np.tile([0, 1, 1, 0], 50), np.repeat(["a", "b"], 100)


def test_no_row_is_on_both_sides(table):
    (X, y, groups), (X_test, y_test, groups_test) = tables.split(*table, seed=0)
    assert (len(X), len(X_test)) == (140, 60)
    assert len(np.unique(np.r_[X[:, 0], X_test[:, 0]])) >= 199
    assert sorted(np.r_[groups, groups_test]) == sorted(table[2])
    assert sorted(np.r_[y, y_test]) == sorted(table[1])


def test_preparation_knows_training_rows_alone(table):
    (X, *_), (X_test, *_) = tables.split(*table, seed=0)
    assert X[:, 0].mean() == pytest.approx(0, abs=1e-5)
    assert X[:, 0].std() == pytest.approx(1, abs=1e-5)
    assert abs(X_test[:, 0].mean()) > 1e-3


def test_seeds_split_differently(table):
    first, second = (tables.split(*table, seed=seed)[1][0] for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_packaged_data_have_their_groups():
    X, y, groups = tables.load("digits")
    assert len(X) == len(y) == len(groups)
    assert np.array_equal(y.astype(str), groups)
    assert set(tables.load("mortgage")[2]) == {"black", "hispanic", "white"}
