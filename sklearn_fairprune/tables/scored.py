"""A table in which predictions stand beside the targets."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .columns import plain
from .files import FileOptions, read_file
from .groups import group_values
from .numbers import read_numbers
from .table import account, check_columns, left_out_notes, weights_of, without_twins
from .targets import target_values


def read_scored(
    path: Path,
    target: str,
    predictions: Sequence[str],
    sensitive: Sequence[str] = (),
    sample_weight: str | None = None,
    options: FileOptions = FileOptions(),  # noqa: B008 (immutable)
) -> Bunch:
    """Read a file with targets, groups, and columns of predictions.

    Parameters
    ----------
    path : Path
        As in `sklearn_fairprune.datasets.read_table`.
    target : str
        Column of the targets.
    predictions : sequence of str
        Columns of labels, of probabilities of the second of two classes, or of numbers; that
        of the dense model first.
    sensitive : sequence of str, default=()
        Columns that make the groups.
    sample_weight : str, default=None
        Column of the weights of the rows.
    options : FileOptions
        Of a text file.

    Returns
    -------
    data : Bunch
        ``y``, ``predictions`` (dict of arrays), ``sensitive`` (DataFrame or None),
        ``sample_weight`` (array or None), ``name``, ``notes`` and ``reading``.

    Raises
    ------
    ValueError
        If a column is missing, is used twice, or lacks predictions.
    """
    weight = [] if sample_weight is None else [sample_weight]
    named = [target, *predictions, *sensitive, *weight]
    if len(set(named)) < len(named):
        raise ValueError(f"A column can be used once only, got {', '.join(map(repr, named))}.")
    frame, notes, sep = read_file(path, options)
    frame, twice = without_twins(frame, named)
    check_columns(path.name, frame, named)
    frame = pd.DataFrame({name: plain(frame[name]) for name in frame})
    style = (options.decimal, sep)
    y, known, more = target_values(frame[target], target, *style)
    reading = [account(target, "target", frame[target], y), *twice]
    frame, y = frame[known].reset_index(drop=True), y[known].reset_index(drop=True)
    notes += more
    groups, given = {}, {}
    for name in sensitive:
        groups[name], more = group_values(frame[name], name, *style)
        reading.append(account(name, "group", frame[name], pd.Series(groups[name])))
        notes += more
    for name in predictions:
        given[name] = _predicted(frame[name], name, y, *style)
        reading.append(account(name, "prediction", frame[name], pd.Series(given[name])))
    weights, accounts = weights_of(frame, weight, *style)
    reading += accounts
    for name in frame.columns.difference(named, sort=False):
        why = "no network is trained"
        reading.append(account(name, "left out", frame[name], frame[name]) | {"why": why})
    return Bunch(
        y=np.asarray(y.tolist()),
        predictions=given,
        sensitive=pd.DataFrame(groups) if sensitive else None,
        sample_weight=weights,
        name=path.stem,
        notes=notes + left_out_notes(reading, (), False),
        reading=pd.DataFrame(reading).set_index("column"),
    )


def _predicted(column, name, y, decimal, sep):
    """Predictions of a model: labels as they are written in the targets, or numbers."""
    if missing := int(column.isna().sum()):
        raise ValueError(
            f"{name} has no prediction in {missing} of {len(column)} rows. Leave these rows "
            "out of the file."
        )
    labels = dict(zip(y.astype(str), y, strict=True))
    if column.dtype == object and set(column) <= labels.keys():
        return np.asarray(column.map(labels).tolist())
    if column.dtype != object:
        return column.to_numpy()
    found = read_numbers(column, decimal, sep)
    return np.asarray(column.tolist()) if found.unread.any() else found.values
