"""Files that are written whole or not at all, and cells that no spreadsheet runs."""

import os
from pathlib import Path
from typing import Any

import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes for the start of one


def write_whole(path: str | Path, text: str, newline: str | None = None) -> Path:
    """Write a file beside its place, then put it there: a failure leaves the old one.

    Parameters
    ----------
    path : str or Path
        File to write; one that is no ordinary file, such as ``/dev/stdout``, is written to.
    text : str
        What to write, as UTF-8.
    newline : str or None, default=None
        As in `open`.

    Returns
    -------
    path : Path
    """
    path = Path(path)
    if path.exists() and not path.is_file():
        path.write_text(text, encoding="utf-8", newline=newline)
        return path
    place = path.resolve()  # a link stays a link
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline=newline)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return path


def inert(frame: pd.DataFrame) -> pd.DataFrame:
    """Copy of a table whose texts no spreadsheet takes for formulas.

    Parameters
    ----------
    frame : DataFrame
        Without an index of its own.

    Returns
    -------
    frame : DataFrame
        Texts that begin with ``=``, ``+``, ``-``, ``@`` or a tab have a ``'`` before it, in
        cells and in names of columns.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.report.writing import inert
    >>> inert(pd.DataFrame({"group": ["=1+1", "f"], "change": [-1, 2]}))["group"].tolist()
    ["'=1+1", 'f']
    """
    texts = [name for name in frame if not pd.api.types.is_numeric_dtype(frame[name])]
    frame = frame.assign(**{name: frame[name].map(_quoted) for name in texts})
    return frame.rename(columns=_quoted)


def _quoted(value: Any) -> Any:
    formula = isinstance(value, str) and len(value) > 1 and value.startswith(FORMULA)
    return f"'{value}" if formula else value
