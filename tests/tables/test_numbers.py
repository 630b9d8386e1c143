"""Numbers in texts, however they are written."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_fairprune.tables.numbers import read_numbers

SWAP = str.maketrans(",.", ".,")
WAYS = {
    "plain": lambda v: f"{v:.2f}",
    "thousands": lambda v: f"{v:,.2f}",
    "comma": lambda v: f"{v:.2f}".translate(SWAP),
    "comma and thousands": lambda v: f"{v:,.2f}".translate(SWAP),
    "swiss": lambda v: f"{v:,.2f}".replace(",", "'"),
    "spaces": lambda v: f"{v:,.2f}".replace(",", " "),
    "brackets": lambda v: f"({abs(v):,.2f})" if v < 0 else f"{v:,.2f}",
    "dollars": lambda v: f"-${abs(v):,.2f}" if v < 0 else f"${v:,.2f}",
    "dollars first": lambda v: f"$-{abs(v):.2f}" if v < 0 else f"$ {v:.2f}",
    "per cent": lambda v: f"{v:.2f} %",
    "unit": lambda v: f"{v:.2f}kg",
}


@pytest.mark.parametrize("way", WAYS)
@given(cents=st.lists(st.integers(-(10**11), 10**11), min_size=1))
def test_what_is_written_is_read(way, cents):
    values = np.array(cents) / 100
    found = read_numbers(pd.Series([WAYS[way](v) for v in values]))
    np.testing.assert_allclose(found.values, values, atol=1e-6)
    assert found.are
    assert not found.unread.any()
    assert found.thousands == (
        way in ("thousands", "comma and thousands", "swiss", "spaces", "brackets", "dollars")
        and bool((np.abs(values) >= 1000).any())
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "--3",
        "1,2,3",
        "1.2.3.4",
        "12,34,567",
        "1e5.2",
        "3+",
        "Q1",
        "ID7",
        "$",
        "(3",
        "3)",
    ]
    + ["0x10", "1_000", "5 USD $", "$5 USD", "12:30", "2020-01-02", "1/2", "nan", "inf"],
)
def test_what_is_no_number_is_none(text):
    found = read_numbers(pd.Series([text]))
    assert np.isnan(found.values).all()
    assert not found.are


@pytest.mark.parametrize(
    ("texts", "sep", "values"),
    [
        (["1,200", "3,400"], ",", [1200, 3400]),
        (["1,200", "3,400"], ";", [1.2, 3.4]),
        (["1.200", "3.400"], ",", [1.2, 3.4]),
        (["1.200", "3.400"], ";", [1200, 3400]),
        (["1.200", "3.40"], ";", [1.2, 3.4]),  # one cell tells
        (["1,200", "3,40"], ",", [1.2, 3.4]),
    ],
)
def test_a_sign_that_may_be_either(texts, sep, values):
    assert read_numbers(pd.Series(texts), sep=sep).values.tolist() == values


@pytest.mark.parametrize(
    ("texts", "are"),
    [
        (["1"] * 19 + ["word"], True),
        (["1"] * 18 + ["word"] * 2, False),
        ([str(k) for k in range(30)] + ["word"] * 30, True),  # too many numbers for codes
        ([str(k) for k in range(30)] + ["word"] * 31, False),
        ([str(k) for k in range(20)] + ["word"] * 20, False),
        (["01", "2"], False),
        (["0", "0.5", "-0.2"], True),
        (["$5", "5"], True),
        (["$5", "€5"], False),
        (["5 %", "5"], False),
        (["5k", "5"], False),
        ([None, None], False),
    ],
)
def test_when_a_column_is_one_of_numbers(texts, are):
    assert read_numbers(pd.Series(texts, dtype=object)).are == are
