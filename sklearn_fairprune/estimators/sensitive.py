"""From `sensitive_features` in any container to group codes and group names."""

from collections.abc import Mapping
from typing import Any, NamedTuple

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


def sensitive_columns(sensitive_features: Any) -> dict[str, np.ndarray]:
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
    named = _named_columns(sensitive_features)
    if len({name for name, _ in named}) < len(named) or not all(
        isinstance(name, str) and name for name, _ in named
    ):
        named = [(f"sensitive_feature_{k}", values) for k, (_, values) in enumerate(named)]
    return {name: _as_objects(values) for name, values in named}


def _named_columns(data):
    """Pairs of name and values, one per column."""
    try:
        native = nw.from_native(data, pass_through=True, allow_series=True)
    except Exception as error:
        raise ValueError(f"sensitive_features: {' '.join(str(error).split())}") from error
    if isinstance(native, nw.LazyFrame):
        raise TypeError("sensitive_features must be collected: call .collect() first.")
    if isinstance(data, (str, bytes)) or not hasattr(native, "__len__"):
        raise ValueError(
            "sensitive_features must hold one value per row of X, for example X['sex'], got "
            f"{data!r} of type {type(data).__name__}."
        )
    if isinstance(native, nw.DataFrame):
        return [(series.name, series.to_list()) for series in native.iter_columns()]
    if isinstance(native, nw.Series):
        return [(native.name, native.to_list())]
    if isinstance(data, Mapping):
        return [(name, list(values)) for name, values in data.items()]
    if hasattr(data, "detach"):
        data = data.detach().cpu().numpy()
    if not isinstance(data, np.ndarray):
        data = np.asarray(list(data), dtype=object)
    if data.ndim not in (1, 2):
        raise ValueError(
            "sensitive_features must have one value a row or several columns of them, "
            f"got an array of {data.ndim} dimensions."
        )
    columns = (data[:, None] if data.ndim == 1 else data).astype(object).T
    return list(enumerate(columns))


def _as_objects(values):
    """Array that holds the values as they are, tuples too."""
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return column


def encode_groups(sensitive_features: Any, n_rows: int) -> Groups:
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
        return Groups(codes[0], names[0])
    if not codes:
        raise ValueError("sensitive_features has no columns; give at least one, or None.")
    present, inverse = np.unique(np.stack(codes, 1), axis=0, return_inverse=True)
    tuples = [tuple(v[c] for v, c in zip(names, row, strict=True)) for row in present]
    return Groups(inverse.reshape(-1).astype(np.int64), _as_objects(tuples))


def _number(column):
    """Codes of one column and its values in sorted order (mixed types: by type, text)."""
    kinds = sorted({type(value) for value in column}, key=lambda kind: kind.__name__)
    values = {}
    try:
        for kind in kinds:  # of equal values, 1 and True, the first type gives the name
            values |= {v: v for v in column if type(v) is kind and v not in values}
    except TypeError as error:
        raise TypeError(
            f"sensitive_features must be values that can be compared, such as text or "
            f"numbers: {error}."
        ) from error
    values = list(values)
    try:
        values.sort()
    except TypeError:
        values.sort(key=lambda v: (type(v).__name__, str(v)))
    position = {value: k for k, value in enumerate(values)}
    codes = np.fromiter((position[v] for v in column), dtype=np.int64, count=len(column))
    return codes, _names(values)


def _names(values):
    """Array of group names: of their own type if they share one, else objects."""
    simple = len({type(v) for v in values}) == 1 and np.ndim(values[0]) == 0
    # An array of texts drops the null characters at their ends.
    simple &= not any(isinstance(v, (str, bytes)) and v[-1:] in ("\0", b"\0") for v in values)
    return np.asarray(values) if simple else _as_objects(values)


def merge_names(names: np.ndarray, more: np.ndarray) -> np.ndarray:
    """Union of two arrays of group names, sorted."""
    return _number(_as_objects([*names.tolist(), *more.tolist()]))[1]
