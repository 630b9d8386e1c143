"""The column of a table that says how much every row counts."""

import numpy as np
import pandas as pd

from .numbers import read_numbers


def weight_values(
    column: pd.Series, name: str, decimal: str | None = None, sep: str = ""
) -> np.ndarray:
    """Row weights of a column, each of them a number of at least 0.

    Parameters
    ----------
    column : Series
        From `columns.plain`; of the rows that have a target.
    name : str
        Of the column.
    decimal, sep : str
        As in `numbers.read_numbers`.

    Returns
    -------
    weights : ndarray of shape (n,)

    Raises
    ------
    ValueError
        Naming the column and the first cell that is no weight.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.weights import weight_values
    >>> weight_values(pd.Series(["1.200,5", "0"], dtype=object), "w").tolist()
    [1200.5, 0.0]
    """
    if pd.api.types.is_datetime64_any_dtype(column):
        raise ValueError(f"The weights in {name!r} must be numbers, and it holds dates.")
    if pd.api.types.is_numeric_dtype(column):
        values = column.to_numpy(dtype=float)
    else:
        values = read_numbers(column, decimal, sep).values
    wrong = np.flatnonzero(~((values >= 0) & (values < np.inf)))
    if len(wrong):
        cell = column.iloc[wrong[0]]
        got = "an empty cell" if pd.isna(cell) else repr(getattr(cell, "item", lambda: cell)())
        raise ValueError(
            f"The weights in {name!r} must be finite numbers of at least 0, got {got} "
            f"({len(wrong)} of {len(column)} cells are none). Leave these rows out of the "
            "file; 0 leaves a row out of the report."
        )
    return values
