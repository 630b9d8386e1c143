"""What all reports share: tables as JSON and CSV."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd


class Report:
    """Base of the reports: `_frames` names their tables, which are attributes."""

    _frames = ()

    def to_dict(self):
        """Return everything as plain Python values; unknown numbers are None."""
        tables = {name: _records(getattr(self, name)) for name in self._frames}
        return {
            "about": {name: _plain(value) for name, value in self.about.items()},
            **tables,
            "findings": self.findings,
            "notes": self.notes,
        }

    def to_json(self, path=None):
        """Return the report as JSON text, and write it to `path` if given."""
        text = json.dumps(self.to_dict(), indent=1, allow_nan=False)
        if path is not None:
            Path(path).write_text(text + "\n", encoding="utf-8")
        return text

    def to_csv(self, directory):
        """Write each table as a CSV file of its name into a directory.

        Returns
        -------
        paths : list of Path
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        paths = [directory / f"{name}.csv" for name in self._frames]
        for name, path in zip(self._frames, paths, strict=True):
            _flat(getattr(self, name)).to_csv(path, index=False)
        return paths


def frame_from(records, levels):
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
    renamed = {level: f"{level} (group)" for level in levels}
    keys = [
        renamed[level] if renamed[level] in frame and renamed[level] not in levels else level
        for level in levels
    ]
    frame = frame.set_index(keys).rename_axis(levels)
    unknown = [name for name in frame if frame[name].isna().all() and name != "satisfied"]
    return frame.astype(dict.fromkeys(unknown, float))


def _flat(frame):
    """Return a table whose index has become columns, each with a name of its own."""
    if frame.empty:
        return frame
    names = [f"{name} (group)" if name in frame else name for name in frame.index.names]
    return frame.rename_axis(names).reset_index()


def _records(frame):
    rows = _flat(frame).to_dict("records")
    return [{k: _plain(v) for k, v in row.items()} for row in rows]


def _plain(value):
    """Return a JSON value: NaN becomes None, dates and the like their text."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (str, int, bool)) else str(value)
