"""Numbers with their intervals, as text."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def number(value: float | None, digits: int, sign: str = "") -> str:
    """Format a value, for example ``+0.12``; "n/a" if it is unknown."""
    return "n/a" if value is None or np.isnan(value) else f"{value:{sign}.{digits}f}"


def with_interval(
    row: Mapping[str, Any], name: str, *, scale: float = 1.0, digits: int = 3, sign: str = ""
) -> str:
    """Format a value with its limits, for example ``90.3 [87.4, 92.8]``.

    Parameters
    ----------
    row : mapping
        Values of a row of a table by column.
    name : str
        Column; its limits are in those that end in ``_low`` and ``_high``.
    scale : float, default=1.0
        Factor, such as 100 for per cent.
    digits : int, default=3
        After the point.
    sign : {"", "+"}, default=""
        Whether positive values have a sign.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_fairprune.measurement.formats import with_interval
    >>> with_interval({"x": 0.5, "x_low": 0.25, "x_high": float("nan")}, "x", digits=2)
    '0.50 [0.25, n/a]'
    """
    value, low, high = (
        number(row[key] * scale, digits, sign) for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{value} [{low}, {high}]"


def epochs_told(epochs: float) -> str:
    """Write a number of epochs, such as "1 epoch" or "20 epochs"."""
    return f"{epochs:.0f} epoch{'' if epochs == 1 else 's'}"


def counted(count: float) -> str:
    """Write a large count, such as "6,300" or "12.3 M"; "n/a" if it is unknown.

    Parameters
    ----------
    count : float
        A whole number, or NaN.

    Returns
    -------
    text : str

    Examples
    --------
    >>> from sklearn_fairprune.measurement.formats import counted
    >>> counted(6300), counted(12_345_678), counted(4.1e9), counted(float("nan"))
    ('6,300', '12.3 M', '4.1 G', 'n/a')
    """
    if count is None or np.isnan(count):
        return "n/a"
    for unit, name in ((1e9, " G"), (1e6, " M")):
        if count >= unit:
            return f"{count / unit:.3g}{name}"
    return f"{count:,.0f}"
