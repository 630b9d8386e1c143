"""Columns that say what is to be predicted, or whose group a row is in."""

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.metrics import mutual_info_score

from .columns import FREQUENT

BINS = 20  # of numbers
MUCH = 0.5  # share of the entropy; 9 of 10 right about a fair coin
ROWS_PER_VALUE = 20  # fewer, and chance makes columns agree
SAME_LINE = 1 - 1e-9


def is_copy(column: pd.Series, of: pd.Series) -> bool:
    """Whether each value of a column goes with one value of another, and the other way round.

    Parameters
    ----------
    column, of : Series
        Floats or texts of the same rows.

    Returns
    -------
    copy : bool
        Of numbers with about as many values as rows: whether they lie on a line.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.leaks import is_copy
    >>> is_copy(pd.Series(["y", "n"] * 40), pd.Series([1.0, 0.0] * 40))
    True
    """
    both = column.notna() & of.notna()
    if both.sum() < max(len(of) / 2, 2):
        return False
    first, second = column[both], of[both]
    if _few(second) and _few(first):
        pairs = pd.MultiIndex.from_arrays([first, second]).nunique()
        return bool(first.nunique() == second.nunique() == pairs > 1)
    if first.dtype == second.dtype == float and min(first.nunique(), second.nunique()) > 2:
        with np.errstate(over="ignore", invalid="ignore"):
            return bool(abs(np.corrcoef(first, second)[0, 1]) > SAME_LINE)
    return False


def follows(column: pd.Series, groups: Iterable[pd.Series]) -> bool:
    """Whether a column has one value in each group, such as an indicator of one of them.

    Parameters
    ----------
    column : Series
        Floats or texts.
    groups : iterable of Series of str
        Values of the sensitive columns; of several their intersections count.

    Returns
    -------
    follows : bool
    """
    cells = pd.MultiIndex.from_arrays(list(groups))
    codes = pd.factorize(column, use_na_sentinel=False)[0]
    if len(column) < ROWS_PER_VALUE * cells.nunique() or codes.max() == 0:
        return False
    return bool(pd.Series(codes).groupby(pd.factorize(cells)[0]).nunique().max() == 1)


def share_told(column: pd.Series, of: pd.Series) -> float:
    r"""Share of what is not known of one column that another tells, between 0 and 1.

    .. math:: U = I(column; of) / H(of)

    with the mutual information and the entropy of values of at least 5 rows (the others are
    one) and of numbers in 20 bins of about as many rows.

    Parameters
    ----------
    column, of : Series
        Floats or texts of the same rows.

    Returns
    -------
    share : float
        NaN where there is nothing to tell.
    """
    given, wanted = _binned(column), _binned(of)
    entropy = mutual_info_score(wanted, wanted)
    return float(mutual_info_score(wanted, given) / entropy) if entropy > 0 else np.nan


def telling(X: pd.DataFrame, of: dict[str, pd.Series]) -> list[str]:
    """Notes on the columns that tell much of the target or of a group.

    Parameters
    ----------
    X : DataFrame
        What a network sees of the training rows.
    of : dict of str to Series
        Targets and groups of the same rows, by name.

    Returns
    -------
    notes : list of str
        One a column of `of`, naming those that tell half of it or more.
    """
    notes = []
    for name, values in of.items():
        shares = {column: share_told(X[column], values) for column in X}
        much = sorted(
            (k for k in shares if shares[k] >= MUCH), key=lambda k: shares[k], reverse=True
        )
        if much:
            listed = ", ".join(f"{column} {100 * shares[column]:.0f} %" for column in much)
            notes.append(
                f"Columns that alone tell much of {name} (share of its entropy on the "
                f"training rows): {listed}. Are they known at the time of the decision, and "
                "may they be used?"
            )
    return notes


def _few(values):
    return len(values) >= ROWS_PER_VALUE / 2 * values.nunique()


def _binned(column):
    if column.dtype == float and column.nunique() > BINS:
        return pd.qcut(column, BINS, labels=False, duplicates="drop").fillna(-1).to_numpy()
    codes = pd.factorize(column, use_na_sentinel=False)[0]
    return np.where(np.bincount(codes)[codes] < FREQUENT, -1, codes)
