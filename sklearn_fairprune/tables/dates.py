"""Dates in texts, and as days."""

import re

import numpy as np
import pandas as pd

FEW_WORDS = 0.05  # share of the cells that may be something else

_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_TIME = (
    r"(?:[T ]\s*\d{1,2}:\d{2}(?::\d{2}(?:\.\d+)?)?"
    r"\s*(?:[AaPp][Mm])?\s*(?:Z|UTC|[+-]\d{2}:?\d{2})?)?"
)
_YEAR_FIRST = re.compile(rf"\d{{4}}[-/.]\d{{1,2}}(?:[-/.]\d{{1,2}})?{_TIME}")
_YEAR_LAST = re.compile(rf"(\d{{1,2}})[-/.](\d{{1,2}})[-/.](?:\d{{4}}|\d{{2}}){_TIME}")
_NAMED = re.compile(
    rf"(?:\d{{1,2}}[\s.-]*(?:{_MONTHS})[a-z]*|(?:{_MONTHS})[a-z]*[\s.-]*\d{{1,2}}),?[\s.-]*"
    rf"(?:\d{{4}}|\d{{2}}){_TIME}",
    re.IGNORECASE,
)


class UnclearDates(ValueError):
    """Dates such as 03/04/2020, of which no cell tells the day from the month."""


def days(dates: pd.Series) -> np.ndarray:
    """Days since the first of January 1970.

    Parameters
    ----------
    dates : Series of datetime64
        With or without a time zone.

    Returns
    -------
    days : float ndarray of shape (n,)
        NaN where there is no date.
    """
    if dates.dt.tz is not None:
        dates = dates.dt.tz_convert(None)
    milliseconds = dates.to_numpy().astype("datetime64[ms]")  # holds every year
    days = milliseconds.astype(float) / 86_400_000
    return np.where(np.isnat(milliseconds), np.nan, days)


def read_dates(texts: pd.Series) -> np.ndarray | None:
    """Read a column of texts as dates, in days.

    Parameters
    ----------
    texts : Series of str
        NaN where missing.

    Returns
    -------
    days : float ndarray of shape (n,) or None
        NaN where a cell is no date; None where more than one in twenty is none.

    Raises
    ------
    UnclearDates
        If they are dates, but the order of day and month cannot be told.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.dates import read_dates
    >>> read_dates(pd.Series(["1970-01-02", "1971-01-01"])).tolist()
    [1.0, 365.0]
    >>> read_dates(pd.Series(["clerk", "smith"]))
    """
    codes, unique = pd.factorize(texts)
    orders = [_YEAR_LAST.fullmatch(text) for text in unique]
    like = np.array(
        [
            bool(order or _YEAR_FIRST.fullmatch(text) or _NAMED.fullmatch(text))
            for text, order in zip(unique, orders, strict=True)
        ]
    )
    counts = np.bincount(codes[codes >= 0], minlength=len(unique))
    if not len(unique) or counts[~like].sum() > FEW_WORDS * counts.sum():
        return None
    pairs = [(int(order[1]), int(order[2])) for order in orders if order]
    day_first = any(first > 12 for first, _ in pairs)
    month_first = any(second > 12 for _, second in pairs)
    if pairs and day_first == month_first and any(a != b for a, b in pairs):
        raise UnclearDates("day and month cannot be told apart")
    chosen = pd.Series(unique, dtype=object).where(like)
    read = pd.to_datetime(
        chosen, format="mixed", dayfirst=day_first, errors="coerce", utc=True
    )
    values = np.append(days(read), np.nan)
    if np.isnan(values[:-1][like]).mean() > FEW_WORDS:
        return None
    return values[codes]
