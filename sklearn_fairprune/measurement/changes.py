"""Rows whose prediction changed with pruning, and the groups they belong to."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..statistics.paired import exact_paired_p
from ..statistics.rank_correlation import holm
from .groups import as_tuple, free_name
from .held_out import HeldOut


def change_columns(rows: HeldOut, k: int) -> dict[str, np.ndarray]:
    r"""Count the changed predictions of every group.

    Representation is the share of the group among the rows that changed, divided by its
    share :math:`\pi_a` of all rows: 1 if changes fall on the groups in proportion, 2 if
    the group has twice its share. Its interval is the exact one of the binomial share among
    the changed rows. Of weighted rows these are shares of the weight.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    k : int
        Position of the model that the dense one is compared with.

    Returns
    -------
    columns : dict of str to ndarray of shape (m,)
        ``rows``, ``changed``, ``harmed`` (right before, wrong now), ``helped`` (wrong
        before, right now), ``changed_share``, ``harmed_share``, ``helped_share`` and
        ``representation`` with exact ``_low`` and ``_high`` limits; representation is NaN
        where no row changed. ``p_value`` of the exact paired test of harmed against helped (1
        where there is neither), and the same corrected for the number of groups
        (``p_value_holm``).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.measurement.changes import change_columns
    >>> from sklearn_fairprune.measurement.held_out import HeldOut
    >>> y, groups = np.array([1, 1, 1, 0]), np.array([0, 0, 1, 1])
    >>> predicted = np.array([[1, 0], [1, 1], [0, 1], [0, 0]])
    >>> right, rng = (predicted == y[:, None]) * 1.0, np.random.default_rng(0)
    >>> rows = HeldOut(1 - right, right, y, groups, 2, 0.95, 9, rng, predicted=predicted)
    >>> columns = change_columns(rows, 1)
    >>> columns["harmed"].tolist(), columns["helped"].tolist()
    ([1, 0], [0, 1])
    >>> columns["representation"].tolist()
    [1.0, 1.0]
    """
    dense, pruned = rows.predicted[:, 0], rows.predicted[:, k]
    moved = dense != pruned
    harmed, helped = moved & (dense == rows.y), moved & (pruned == rows.y)
    cases = {"changed": moved, "harmed": harmed, "helped": helped}
    columns = {"rows": rows.sizes}
    columns |= {
        name: np.bincount(rows.groups[v], minlength=rows.m) for name, v in cases.items()
    }
    for name, chosen in cases.items():
        share = rows.rate(chosen)
        columns |= _with_limits(f"{name}_share", share.value, *rows.proportions(share))
    worse = rows.rate(harmed, harmed | helped)
    pairs = zip(worse.hits, worse.of - worse.hits, strict=True)
    columns["p_value"] = np.array([exact_paired_p(*pair) for pair in pairs])
    columns["p_value_holm"] = holm(columns["p_value"])
    among = [rows.together.rate(rows.groups == a, moved) for a in range(rows.m)]
    limits = np.array([np.ravel([r.value, *rows.together.proportions(r)]) for r in among])
    if not moved.any():
        limits[:] = np.nan
    return columns | _with_limits("representation", *np.transpose(limits) / rows.shares)


def _with_limits(name, value, low, high):
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def changed_rows(
    dense: np.ndarray,
    pruned: np.ndarray,
    y: Any,
    groups: np.ndarray,
    labels: Any,
    names: Sequence[str],
    representation: np.ndarray,
    index: Any = None,
) -> pd.DataFrame:
    """List the rows whose prediction changed, over-represented groups first.

    Parameters
    ----------
    dense, pruned, y : ndarray of shape (n,)
        Predicted and true labels.
    groups : int ndarray of shape (n,)
        Group codes.
    labels : sequence
        Names of the m groups; tuples for intersections.
    names : list of str
        Names of the sensitive features.
    representation : ndarray of shape (m,)
        From `change_columns`; its descending order is the order of the groups.
    index : Index, default=None
        Names of the rows in the user's table.

    Returns
    -------
    table : DataFrame
        ``row`` (position from 0), ``index`` if given, a column per sensitive feature,
        ``true``, ``dense_prediction``, ``prediction`` and ``outcome`` ("harmed",
        "helped", or "wrong both times").
    """
    rows = np.flatnonzero(dense != pruned)
    rank = np.argsort(np.argsort(-np.nan_to_num(representation), kind="stable"))
    rows = rows[np.lexsort((rows, rank[groups[rows]]))]
    table = {"row": rows} | ({} if index is None else {"index": index[rows]})
    values = [as_tuple(labels[a]) for a in groups[rows]]
    members = {name: [value[k] for value in values] for k, name in enumerate(names)}
    outcome = np.select(
        [dense[rows] == y[rows], pruned[rows] == y[rows]],
        ["harmed", "helped"],
        "wrong both times",
    )
    predictions = {
        "true": y[rows],
        "dense_prediction": dense[rows],
        "prediction": pruned[rows],
        "outcome": outcome,
    }
    taken = {*table, *predictions}
    free = {n: free_name(n, {*taken, *members}) if n in taken else n for n in members}
    return pd.DataFrame(table | {free[n]: v for n, v in members.items()} | predictions)


CLASSES = ("true", "dense_prediction", "prediction")
LISTED = {"row", "index", *CLASSES, "outcome"}


def feature_columns(names: Sequence[str], columns: Iterable[str]) -> list[str]:
    """Columns of the sensitive features in the table of `changed_rows`.

    Parameters
    ----------
    names : list of str
        Names of the features.
    columns : iterable of str
        Of the table.

    Returns
    -------
    columns : list of str
        The names, and where another column has the name, the one that was free.
    """
    taken = set(LISTED)
    if free_name("index", {*LISTED, *names}) not in [*columns]:
        taken -= {"index"} & {*names}  # rows without names leave theirs to the feature
    return [free_name(n, {*taken, *names}) if n in taken else n for n in names]
