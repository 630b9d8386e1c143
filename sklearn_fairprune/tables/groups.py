"""Groups of people from a column: as written, or cut into bins that do not overlap."""

import numpy as np
import pandas as pd

from .columns import Kind, is_nested, understood

MOST_NUMERIC_GROUPS = 12  # numbers and dates of more values are cut
MOST_GROUPS = 20  # more need enough rows each
ENOUGH_ROWS = 75
BINS = 4


def group_values(
    column: pd.Series, name: str, decimal: str | None = None, sep: str = ""
) -> tuple[pd.Series, list[str]]:
    """Group of every row, as text.

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
    groups : Series of str
        Values as they are written. Those of numbers and dates with more than 12 values are
        bins, named by the smallest and the largest value in them. Rows without a value are a
        group with a name of its own.
    notes : list of str
        What was done.

    Raises
    ------
    ValueError
        If there are no values, they are no texts, numbers or dates, or more than 20 of mostly
        fewer than 75 rows each.
    """
    if is_nested(column):
        raise ValueError(f"{name} makes no groups: its cells are {Kind.NESTED}.")
    if not column.notna().any():
        raise ValueError(f"{name} makes no groups: it has {Kind.EMPTY}.")
    notes, groups = [], _as_written(column)
    if column.nunique() > MOST_NUMERIC_GROUPS:
        found = understood(column, name, decimal, sep)
        if found.kind in (Kind.NUMBERS, Kind.DATES, Kind.IDS) and found.values.dtype == float:
            groups = cut(found.values, dates=found.kind is Kind.DATES)
            names = groups[found.values.sort_values().index].dropna().unique()
            notes += [*found.all_notes, f"Cut {name} at its quartiles: {', '.join(names)}."]
    sizes = groups.value_counts()
    if len(sizes) > MOST_GROUPS and sizes.median() < ENOUGH_ROWS:
        raise ValueError(
            f"{name} makes {len(sizes)} groups, half of them of at most {sizes.median():g} "
            f"rows ({', '.join(map(repr, sizes.index[:3]))} ...): too many to compare. Merge "
            "its values into a few in a column of their own, or name another column."
        )
    if missing := int(groups.isna().sum()):
        label = missing_label(set(groups))
        groups = groups.fillna(label)
        notes.append(f"{missing} rows without {name} form the group {label!r}.")
    return groups, notes


def missing_label(taken: set[object]) -> str:
    """Name of the group of the rows without a value, which no value has.

    Examples
    --------
    >>> from sklearn_fairprune.tables.groups import missing_label
    >>> missing_label({"f", "m"}), missing_label({"f", "missing"})
    ('missing', 'missing (no value)')
    """
    label = "missing"
    while label in taken:
        label += " (no value)"
    return label


def _as_written(column):
    if pd.api.types.is_datetime64_any_dtype(column):
        texts = column.dt.strftime("%Y-%m-%d %H:%M:%S").str.removesuffix(" 00:00:00")
    elif column.dtype != object:
        texts = column.map(_number, na_action="ignore")
    else:
        texts = column
    return texts.astype(object).where(column.notna(), np.nan)


def cut(values: pd.Series, dates: bool = False) -> pd.Series:
    """Bins of about as many rows, named by what is in them.

    Parameters
    ----------
    values : Series of float
        NaN where missing.
    dates : bool, default=False
        Whether they are days since 1970.

    Returns
    -------
    bins : Series of str
        Names such as "19 to 32" and "33 to 46"; of a value that most rows have, and of those
        below and above it, if that is what there is to tell. NaN where missing.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.groups import cut
    >>> cut(pd.Series(range(16))).unique().tolist()
    ['0 to 3', '4 to 7', '8 to 11', '12 to 15']
    """
    codes = pd.qcut(values, BINS, labels=False, duplicates="drop")
    most = values.mode().iloc[0]
    if codes.nunique() < 2 and values.nunique() > 1:
        codes = np.sign(values - most)
    ends = values.groupby(codes).agg(["min", "max"])
    write = _date if dates else _number
    names = {
        code: write(low) if low == high else f"{write(low)} to {write(high)}"
        for code, low, high in ends.itertuples()
    }
    return codes.map(names).astype(object)


def _number(value):
    whole = abs(value) < 1e15 and value == int(value)
    return f"{value:.0f}" if whole else repr(float(value))


def _date(day):
    return str(np.datetime64(0, "D") + int(np.floor(day)))
