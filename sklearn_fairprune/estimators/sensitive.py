"""From `sensitive_features` in any container to group codes and group names."""

from collections.abc import Mapping
from typing import NamedTuple

import narwhals.stable.v2 as nw
import numpy as np
import pandas as pd


class Groups(NamedTuple):
    """Group of every row.

    Attributes
    ----------
    codes : int64 ndarray of shape (n,)
        Position in `names`.
    names : ndarray of shape (m,)
        The values themselves for one sensitive feature, tuples of values for several.
    """

    codes: np.ndarray
    names: np.ndarray


def sensitive_columns(sensitive_features):
    """Split `sensitive_features` into named columns.

    Parameters
    ----------
    sensitive_features : list, array, Series, DataFrame or dict
        One value a row, or several columns of them; pandas, polars and everything else
        that narwhals reads, torch tensors too.

    Returns
    -------
    columns : dict of str to object ndarray of shape (n,)
        Unnamed columns are called "sensitive_feature_0" and so on, as in fairlearn.

    Examples
    --------
    >>> from sklearn_fairprune.estimators.sensitive import sensitive_columns
    >>> list(sensitive_columns([["f", "old"], ["m", "young"]]))
    ['sensitive_feature_0', 'sensitive_feature_1']
    """
    native = nw.from_native(sensitive_features, pass_through=True, allow_series=True)
    if isinstance(native, nw.DataFrame):
        named = {str(name): native[name].to_list() for name in native.columns}
    elif isinstance(native, nw.Series):
        named = {native.name: native.to_list()}
    elif isinstance(sensitive_features, Mapping):
        named = dict(sensitive_features)
    else:
        if hasattr(sensitive_features, "detach"):
            sensitive_features = sensitive_features.detach().cpu().numpy()
        if not isinstance(sensitive_features, np.ndarray):
            sensitive_features = np.asarray(list(sensitive_features), dtype=object)
        values = sensitive_features.astype(object)
        if values.ndim not in (1, 2):
            raise ValueError(
                "sensitive_features must have one value a row or several columns of them, "
                f"got an array of {values.ndim} dimensions."
            )
        named = dict(enumerate(values.reshape(len(values), -1).T))
    columns = {}
    for k, (name, values) in enumerate(named.items()):
        column = np.empty(len(values), dtype=object)
        column[:] = list(values)
        known = isinstance(name, str) and name
        columns[name if known else f"sensitive_feature_{k}"] = column
    return columns


def encode_groups(sensitive_features, n_rows):
    """Number the groups; several columns mean their intersections.

    Parameters
    ----------
    sensitive_features : list, array, Series, DataFrame or dict
        See `sensitive_columns`.
    n_rows : int
        Number of rows of X.

    Returns
    -------
    groups : Groups
        Names in sorted order, as they were given: numbers stay numbers, and a comma in a
        value merges nothing.

    Raises
    ------
    ValueError
        If the length is not `n_rows`, or values are missing.

    Examples
    --------
    >>> from sklearn_fairprune.estimators.sensitive import encode_groups
    >>> encode_groups(["f", "m", "f"], 3)
    Groups(codes=array([0, 1, 0]), names=array(['f', 'm'], dtype='<U1'))
    """
    codes, names = [], []
    for name, column in sensitive_columns(sensitive_features).items():
        if len(column) != n_rows:
            raise ValueError(
                f"sensitive_features must have one entry per row of X: {name!r} has "
                f"{len(column)} and X has {n_rows} rows."
            )
        if missing := int(pd.isna(column).sum()):
            raise ValueError(
                f"sensitive_features must not be missing: {name!r} is missing in {missing} "
                f"of {n_rows} rows. Drop these rows, or name the group they form, for "
                "example with fillna('unknown')."
            )
        column_codes, values = _number(column)
        codes.append(column_codes)
        names.append(values)
    if len(codes) == 1:
        return Groups(codes[0], np.asarray(names[0]))
    if not codes:
        raise ValueError("sensitive_features has no columns; give at least one, or None.")
    present, inverse = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)
    tuples = np.empty(len(present), dtype=object)
    tuples[:] = [tuple(v[c] for v, c in zip(names, row, strict=True)) for row in present]
    return Groups(inverse.reshape(-1).astype(np.int64), tuples)


def _number(column):
    """Codes of one column and its values in sorted order (mixed types: by type, text)."""
    values = list(dict.fromkeys(column.tolist()))
    try:
        values.sort()
    except TypeError:
        values.sort(key=lambda v: (type(v).__name__, str(v)))
    position = {value: k for k, value in enumerate(values)}
    codes = np.fromiter((position[v] for v in column), dtype=np.int64, count=len(column))
    kinds = {type(value) for value in values}
    return codes, values if len(kinds) == 1 else np.array(values, dtype=object)


def merge_names(names, more):
    """Union of two arrays of group names, sorted."""
    everything = np.empty(len(names) + len(more), dtype=object)
    everything[:] = [*names, *more]
    merged = _number(everything)[1]
    if not isinstance(merged[0], tuple):
        return np.asarray(merged)
    tuples = np.empty(len(merged), dtype=object)
    tuples[:] = merged
    return tuples
