"""What all reports share: tables as JSON and CSV."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..measurement.changes import feature_columns
from ..measurement.groups import distinct_labels, file_labels, free_name
from .writing import inert, write_whole


class Report:
    """Base of the reports: `_frames` names their tables, which are attributes."""

    about: dict[str, Any]
    findings: list[str]
    notes: list[str]
    by_group: pd.DataFrame
    _listed: tuple[str, ...] = ()  # tables of rows, in which the groups are columns

    @property
    def _frames(self) -> tuple[str, ...]:
        raise NotImplementedError

    @property
    def _every_frame(self) -> tuple[str, ...]:
        """Names of all tables that such a report can have."""
        return self._frames

    def _filed(self, name: str, write: Any = None) -> pd.DataFrame:
        """Table whose index has become columns, with names of groups that stay apart."""
        frame, index = getattr(self, name), self.by_group.index
        flat = _flat(frame)
        if frame.empty:
            return flat
        for level in (n for n in index.names if n != "model"):
            if level in frame.index.names:
                column = flat.columns[frame.index.names.index(level)]
            elif name in self._listed:
                names = [n for n in index.names if n != "model"]
                column = feature_columns(names, flat)[names.index(level)]
            else:
                continue
            values = index.unique(level).tolist()
            labels = file_labels(values)
            if write is not None and (texts := write(values)) != [*map(str, values)]:
                labels = dict(zip(values, texts, strict=True))
            flat[column] = flat[column].map(labels)
        return flat

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain Python values; unknown numbers are None."""
        tables = {name: _records(self._filed(name)) for name in self._frames}
        return {
            "about": {name: _plain(value) for name, value in self.about.items()},
            **tables,
            "findings": self.findings,
            "notes": self.notes,
        }

    def to_json(self, path: str | Path | None = None) -> str:
        """Return the report as JSON text, and write it to `path` if given.

        Parameters
        ----------
        path : str or Path, default=None
            File to write.

        Returns
        -------
        text : str
            What `from_json` reads.
        """
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is not None:
            write_whole(path, text + "\n")
        return text

    def to_csv(self, directory: str | Path) -> list[Path]:
        """Write each table as a CSV file of its name into a directory.

        Texts that a spreadsheet would run get a ``'`` before them.

        Parameters
        ----------
        directory : str or Path
            Made if it does not exist; tables of an older report that this one lacks are
            removed.

        Returns
        -------
        paths : list of Path
            The files.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / f"{name}.csv" for name in self._frames]
        for name, path in zip(self._frames, paths, strict=True):
            text = inert(self._filed(name, distinct_labels)).to_csv(index=False)
            write_whole(path, text, newline="")
        for name in set(self._every_frame) - set(self._frames):
            (directory / f"{name}.csv").unlink(missing_ok=True)
        return paths


WORDS = ("satisfied", "outcome")  # columns that hold no number


def frame_from(records: list[dict[str, Any]], levels: list[str]) -> pd.DataFrame:
    """Return the table that `to_dict` made records of.

    Parameters
    ----------
    records : list of dict
        Rows; None is an unknown number.
    levels : list of str
        Names of the index.

    Returns
    -------
    frame : DataFrame
    """
    frame = pd.DataFrame(records)
    if frame.empty:
        return frame
    frame = frame.set_index(level_columns(levels, frame)).rename_axis(levels)
    unknown = [name for name in frame if frame[name].isna().all() and name not in WORDS]
    return frame.astype(dict.fromkeys(unknown, float)).copy()  # columns in one block


def level_columns(levels: list[str], columns: Iterable[str]) -> list[str]:
    """Columns that the levels of an index became: the names they had to take, if they had to.

    Parameters
    ----------
    levels : list of str
        Names of the index, the models first.
    columns : iterable of str
        Of the flat table.

    Returns
    -------
    names : list of str
    """
    columns = list(columns)
    found = {levels[0]: levels[0]}  # the models, whose name no column has
    for level in sorted(levels[1:], key=len):
        name = found[level] = level
        while (name := f"{name} (group)") in {*columns, *levels}:
            if name not in {*levels, *found.values()}:
                found[level] = name
    return [found[level] for level in levels]


def _flat(frame):
    """Return a table whose index has become columns, each with a name of its own."""
    if frame.empty:
        return frame
    levels = frame.index.names
    names = [free_name(n, {*frame, *levels}) if n in frame else n for n in levels]
    return frame.rename_axis(names).reset_index()


def _records(flat):
    rows = flat.to_dict("records")
    return [{k: _plain(v) for k, v in row.items()} for row in rows]


def _plain(value):
    """Return a JSON value: NaN becomes None, dates and the like their text."""
    if isinstance(value, (np.float16, np.float32)):
        value = float(str(value))  # 0.1, not 0.10000000149
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
