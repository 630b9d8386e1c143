"""What a column of a table is, and what a network gets of it."""

import datetime
import numbers
import re
from dataclasses import dataclass, field
from decimal import Decimal
from enum import StrEnum
from typing import Any

import numpy as np
import pandas as pd

from .dates import UnclearDates, days, read_dates
from .numbers import FEW_VALUES, LARGEST, read_numbers

FREQUENT = 5  # rows of a value that a network can learn something of
_ID = re.compile(r"(^|[^a-z])(id|ids|uuid|guid|index|idx|rownames?|unnamed: \d+)([^a-z]|$)")
_CAMEL_ID = re.compile(r"[a-z](Id|ID)$")


class Kind(StrEnum):
    """What a column holds."""

    NUMBERS = "numbers"
    DATES = "dates, as days"
    CATEGORIES = "categories"
    IDS = "row numbers or ids"
    NAMES = "names or free text"
    ONE_VALUE = "one value in every row"
    EMPTY = "no value in any row"
    NESTED = "lists, records or bytes"
    UNCLEAR_DATES = "dates whose day and month cannot be told apart"
    UNITS = "numbers in several units"

    @property
    def reaches(self) -> bool:
        """Whether a network can use such a column."""
        return self in (Kind.NUMBERS, Kind.DATES, Kind.CATEGORIES)


@dataclass(frozen=True)
class Column:
    """A column of a table as it was understood.

    Attributes
    ----------
    name : str
        Of the column.
    kind : Kind
        What it holds.
    values : Series
        Floats of numbers and of days, texts of all others; NaN where missing or unread.
    missing : int
        Cells that the file leaves empty.
    unread : int
        Cells that hold something else than the kind, and became missing.
    notes : list of str
        How it was read, for the reader of a report.
    examples : list of str
        The first cells that were not read.
    """

    name: str
    kind: Kind
    values: pd.Series
    missing: int
    unread: int = 0
    notes: list[str] = field(default_factory=list)
    examples: list[str] = field(default_factory=list)

    @property
    def all_notes(self) -> list[str]:
        """How it was read, and what was not."""
        if not self.unread:
            return self.notes
        what = "dates" if self.kind is Kind.DATES else "finite numbers"
        return [
            *self.notes,
            f"{self.name}: {self.unread} of {len(self.values)} cells are no {what} "
            f"({', '.join(map(repr, self.examples))}); they count as missing.",
        ]


def plain(column: pd.Series) -> pd.Series:
    """Column of any type as floats, dates or objects that are texts, with NaN where missing.

    Parameters
    ----------
    column : Series
        Of a table; nested values stay as they are.

    Returns
    -------
    column : Series
        Of floats, datetimes, or objects; booleans are texts.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.columns import plain
    >>> plain(pd.Series([b"f", None, b"m"])).tolist()
    ['f', nan, 'm']
    >>> plain(pd.to_timedelta(["36h"]).to_series()).tolist()
    [1.5]
    """
    types = pd.api.types
    if isinstance(column.dtype, pd.CategoricalDtype):
        column = column.astype(column.cat.categories.dtype)
    if isinstance(column.dtype, pd.PeriodDtype):
        return column.dt.to_timestamp()
    if types.is_datetime64_any_dtype(column):
        return column
    if types.is_timedelta64_dtype(column):
        return column.dt.total_seconds() / 86400
    if types.is_numeric_dtype(column) and not types.is_bool_dtype(column):
        return column.astype(float)
    objects = column.astype(object).where(column.notna(), np.nan)
    present = objects[objects.notna()]
    if not len(present):
        return objects
    if all(_is_number(value) for value in present):
        return objects.astype(float)
    if all(isinstance(value, datetime.date) for value in present):
        return pd.to_datetime(objects)
    texts = present.map(_as_text)
    if texts.isna().any():
        return objects  # nested
    texts = texts.str.strip()
    return texts.where(texts != "").reindex(objects.index).astype(object)


def _is_number(value):
    return isinstance(value, (numbers.Real, Decimal)) and not isinstance(value, bool)


def _as_text(value):
    """Text of a cell, None where it has none."""
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return None
    simple = (str, bool, np.bool_, numbers.Real, Decimal, datetime.date, datetime.time)
    return str(value) if isinstance(value, simple) else None


def is_nested(column: pd.Series) -> bool:
    """Whether a plain column has cells that are neither numbers, dates nor texts."""
    if column.dtype != object:
        return False
    return not column.dropna().map(lambda value: isinstance(value, str)).all()


def understood(
    column: pd.Series, name: str, decimal: str | None = None, sep: str = ""
) -> Column:
    """Say what a column holds, and turn it into that.

    Parameters
    ----------
    column : Series
        From `plain`.
    name : str
        Of the column.
    decimal, sep : str
        As in `numbers.read_numbers`.

    Returns
    -------
    column : Column
    """
    missing, present = int(column.isna().sum()), int(column.notna().sum())
    if not present:
        return Column(name, Kind.EMPTY, column, missing)
    if is_nested(column):
        return Column(name, Kind.NESTED, column, missing)
    if pd.api.types.is_datetime64_any_dtype(column):
        return _of_numbers(Kind.DATES, days(column), column, name, [])
    if column.dtype != object:
        return _of_numbers(Kind.NUMBERS, column.to_numpy(dtype=float), column, name, [])
    found = read_numbers(column, decimal, sep)
    if found.are:
        return _of_numbers(Kind.NUMBERS, found.values, column, name, _written(found, name))
    if len(found.kinds_of_units) > 1 and found.unread.sum() <= present / 2:
        return Column(name, Kind.UNITS, column, missing)
    try:
        dates = read_dates(column)
    except UnclearDates:
        return Column(name, Kind.UNCLEAR_DATES, column, missing)
    if dates is not None:
        return _of_numbers(Kind.DATES, dates, column, name, [])
    notes = []
    if found.codes and found.unread.sum() == 0:
        notes.append(f"{name} has codes such as '01': its values are categories as written.")
    return Column(name, _kind_of_texts(column, name), column, missing, notes=notes)


def _of_numbers(kind, values, column, name, notes):
    """Column of numbers or of days; what is none, or infinite, is missing."""
    values = np.where(np.abs(values) <= LARGEST, values, np.nan)
    unread = np.isnan(values) & column.notna().to_numpy()
    if _are_ids(values, name) and kind is Kind.NUMBERS:
        kind = Kind.IDS
    elif len(np.unique(values[~np.isnan(values)])) == 1 and not np.isnan(values).any():
        kind = Kind.ONE_VALUE
    missing, found = int(column.isna().sum()), pd.Series(values, index=column.index)
    examples = list(dict.fromkeys(map(str, column[unread])))[:3]
    return Column(name, kind, found, missing, int(unread.sum()), notes, examples)


def _written(found, name):
    """How numbers were written, where it is not the plain way."""
    ways = [f"in {unit}" for unit in found.units if unit]
    ways += ["with a decimal comma"] if found.comma else []
    ways += ["with separators of thousands"] if found.thousands else []
    return [f"{name} is read as numbers, written {', '.join(ways)}."] if ways else []


def _are_ids(values, name):
    """Whether whole numbers count or name the rows."""
    present = values[~np.isnan(values)]
    n, different = len(present), len(np.unique(present))
    if n < FEW_VALUES or not np.all(present == np.floor(present)):
        return False
    if says_id(name):
        return different > n / 2
    return different == n and present.max() - present.min() < 1.5 * n


def says_id(name: str) -> bool:
    """Whether the name of a column says that it names the rows.

    Examples
    --------
    >>> from sklearn_fairprune.tables.columns import says_id
    >>> says_id("customer_id"), says_id("paid"), says_id("PassengerId")
    (True, False, True)
    """
    return bool(_ID.search(name.lower()) or _CAMEL_ID.search(name))


def _kind_of_texts(column, name):
    counts = column.value_counts()
    rows, different = int(counts.sum()), len(counts)
    if different == 1 and rows == len(column):
        return Kind.ONE_VALUE
    if different == rows > 2 or (says_id(name) and different > rows / 2):
        return Kind.NAMES if _words(column) > 1 and not says_id(name) else Kind.IDS
    if different > FEW_VALUES and counts[counts >= FREQUENT].sum() < rows / 2:
        return Kind.NAMES
    return Kind.CATEGORIES


def _words(column: Any) -> float:
    return float(column.dropna().str.split().str.len().median())
