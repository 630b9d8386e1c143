"""Dates in texts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sklearn_fairprune.tables.dates import UnclearDates, read_dates

WAYS = ["%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d %B %Y", "%b %d, %Y"]


@pytest.mark.parametrize("way", WAYS)
@given(dates=st.lists(st.dates(pd.Timestamp(1700, 1, 1).date()), min_size=1))
def test_what_is_written_is_read(way, dates):
    """The thirty-first tells the day from the month, wherever it stands."""
    dates = [*dates, pd.Timestamp(1999, 12, 31).date()]
    days = np.array(dates, dtype="datetime64[D]").astype(float)
    assert read_dates(pd.Series([date.strftime(way) for date in dates])).tolist() == [*days]


def test_the_order_must_be_told_by_some_cell():
    with pytest.raises(UnclearDates):
        read_dates(pd.Series(["03/04/2020", "05/06/2020"]))
    with pytest.raises(UnclearDates):  # cells that contradict each other
        read_dates(pd.Series(["13/04/2020", "05/16/2020"]))
    assert read_dates(pd.Series(["04/04/2020", "05/05/2020"])) is not None


def test_times_and_zones():
    found = read_dates(pd.Series(["1970-01-01T12:00:00Z", "1970-01-01T12:00:00+02:00"]))
    np.testing.assert_allclose(found, [0.5, 10 / 24])


@pytest.mark.parametrize("texts", [["clerk", "smith"], ["1.2", "3.4"], ["12:30"], ["2020"]])
def test_what_is_no_date_is_none(texts):
    assert read_dates(pd.Series(texts)) is None


def test_one_word_in_twenty_is_missing():
    texts = pd.Series(["2020-01-02"] * 19 + ["unknown"])
    assert np.isnan(read_dates(texts)).tolist() == [False] * 19 + [True]
    assert read_dates(texts[1:]) is None
    assert read_dates(pd.Series(["2020-02-30", "2020-01-01"])) is None
