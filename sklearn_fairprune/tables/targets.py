"""Targets from a column: classes as written, or numbers."""

import numpy as np
import pandas as pd

from .columns import FREQUENT, Kind, is_nested, understood
from .numbers import FEW_VALUES

TRUTHS = {"True": True, "False": False}


def target_values(
    column: pd.Series, name: str, decimal: str | None = None, sep: str = ""
) -> tuple[pd.Series, np.ndarray, list[str]]:
    """Targets of the rows, and which rows have one.

    Parameters
    ----------
    column : Series
        From `columns.plain`.
    name : str
        Of the column.
    decimal, sep : str
        As in `numbers.read_numbers`.

    Returns
    -------
    y : Series
        Integers or floats where the column is one of numbers, booleans where it says True and
        False, else texts as written.
    known : bool ndarray of shape (n,)
        Rows with a target.
    notes : list of str
        How many rows are left out, and why.

    Raises
    ------
    ValueError
        If the column holds nothing that can be predicted.
    """
    if is_nested(column) or not column.notna().any():
        kind = Kind.NESTED if is_nested(column) else Kind.EMPTY
        raise ValueError(f"The target {name} cannot be predicted: it has {kind}.")
    notes, y = [], column
    if pd.api.types.is_datetime64_any_dtype(column):
        raise ValueError(_refusal(name, Kind.DATES, column))
    found = understood(column, name, decimal, sep)
    if column.dtype != object or _is_quantity(found):
        y = found.values
        notes += found.notes
        if found.unread:
            notes.append(
                f"Left out {found.unread} rows whose {name} is no finite number "
                f"({', '.join(map(repr, found.examples))})."
            )
    elif found.kind in (Kind.DATES, Kind.UNCLEAR_DATES) or _too_many(found):
        raise ValueError(_refusal(name, found.kind, column))
    if missing := int(column.isna().sum()):
        notes.append(f"Left out {missing} rows without a value of {name}.")
    known = y.notna().to_numpy()
    if not known.any():
        raise ValueError(f"The target {name} cannot be predicted: it has {Kind.EMPTY}.")
    return _typed(y, known), known, notes


def _is_quantity(found):
    """Whether texts are numbers: all of them, or all but a few words among many numbers."""
    if found.values.dtype != float or found.kind is Kind.DATES:
        return False
    return not found.unread or found.values.nunique() > FEW_VALUES


def _too_many(found):
    """Whether most values are too rare to be classes."""
    counts = found.values.value_counts()
    many = len(counts) > FEW_VALUES and counts.median() < FREQUENT
    return many and found.kind not in (Kind.CATEGORIES, Kind.ONE_VALUE)


def _typed(y, known):
    values = y[known]
    if y.dtype == float:
        whole = (values == np.floor(values)).all() and values.abs().max() < 2**53
        return y.fillna(0).astype(np.int64) if whole else y
    if set(values) <= set(TRUTHS):
        return y.map(TRUTHS).fillna(False).astype(bool)
    return y


def _refusal(name, kind, column):
    first = ", ".join(map(repr, column.dropna().map(str)[:3]))
    return (
        f"The target {name} cannot be predicted: it has {kind} ({first} ...). Name a column "
        "of classes or of numbers."
    )
