"""A table as a task: targets, groups, what a network sees, and what became of the rest."""

from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from .columns import Kind, plain, understood
from .files import FileOptions, read_file
from .groups import group_values
from .leaks import follows, is_copy
from .targets import target_values
from .weights import weight_values

# What R, pandas and others write where a value is missing.
MISSING_WORDS = ("NA", "N/A", "n/a", "NaN", "nan", "null", "NULL", "?", "#N/A")
READING = ("column", "used_as", "holds", "rows", "missing", "unread", "why")


def read_table(
    path: Path,
    target: str,
    sensitive: Sequence[str] = (),
    *,
    keep_sensitive: bool = False,
    sample_weight: str | None = None,
    options: FileOptions = FileOptions(),  # noqa: B008 (immutable)
) -> Bunch:
    """Read a file as a task; see `sklearn_fairprune.datasets.read_table`."""
    frame, notes, sep = read_file(path, options)
    weight = [] if sample_weight is None else [sample_weight]
    named = [target, *sensitive, *weight]
    frame, twice = without_twins(frame, named)
    check_columns(path.name, frame, named)
    if target in sensitive:
        raise ValueError(f"The target {target!r} cannot be a sensitive column as well.")
    if sample_weight in [target, *sensitive]:
        raise ValueError(f"The weights {sample_weight!r} cannot be target or group as well.")
    frame = pd.DataFrame({name: plain(frame[name]) for name in frame})
    style = (options.decimal, sep)
    y, known, more = target_values(frame[target], target, *style)
    left = account(target, "target", frame[target], y)
    frame, y = frame[known].reset_index(drop=True), y[known].reset_index(drop=True)
    notes += more
    groups = {}
    for name in sensitive:
        groups[name], more = group_values(frame[name], name, *style)
        notes += more
    weights, accounts = weights_of(frame, weight, *style)
    features = frame.drop(columns=named)
    columns = {name: understood(features[name], name, *style) for name in features}
    reasons = _reasons(columns, y, target, {} if keep_sensitive else groups)
    seen = {name: column for name, column in columns.items() if name not in reasons}
    if keep_sensitive:
        seen |= {name: understood(frame[name], name, *style) for name in sensitive}
    if not seen:
        raise ValueError(_nothing_left(path.name, reasons))
    for column in seen.values():
        notes += column.all_notes
    X = pd.DataFrame({name: column.values for name, column in seen.items()}, index=frame.index)
    reading = [left, *twice, *accounts]
    for name in sensitive:
        use = "group, seen" if keep_sensitive else "group"
        reading.append(account(name, use, frame[name], pd.Series(groups[name])))
    for name, column in columns.items():
        reading.append(_account_of_feature(name, column, reasons.get(name, "")))
    notes += left_out_notes(reading, sensitive, keep_sensitive)
    texts = dict.fromkeys([target, *sensitive, *_categories(seen)])
    notes += _words_for_missing(frame[list(texts)])
    return Bunch(
        X=X,
        y=y.to_numpy() if y.dtype != object else np.asarray(y.tolist()),
        sensitive=pd.DataFrame(groups) if sensitive else None,
        sample_weight=weights,
        name=path.stem,
        notes=notes,
        reading=pd.DataFrame(reading, columns=list(READING)).set_index("column"),
    )


def weights_of(
    frame: pd.DataFrame, names: Sequence[str], decimal: str | None = None, sep: str = ""
) -> tuple[np.ndarray | None, list[dict[str, Any]]]:
    """Row weights of a table, and the account of their column; None and none without one."""
    weights, accounts = None, []
    for name in names:
        weights = weight_values(frame[name], name, decimal, sep)
        accounts.append(account(name, "weight", frame[name], pd.Series(weights)))
    return weights, accounts


def check_columns(file: str, frame: pd.DataFrame, names: Iterable[str]) -> None:
    """Refuse names of columns that a table lacks."""
    for name in names:
        if name not in frame:
            message = f"{file} has no column {name!r}; it has {', '.join(map(repr, frame))}."
            if any("," in column and name.strip() in column for column in frame):
                message += " Quote a name with a comma in it: --sensitive '\"a, b\",c'."
            raise ValueError(message)


def without_twins(
    frame: pd.DataFrame, named: Collection[str]
) -> tuple[pd.DataFrame, list[dict[str, Any]]]:
    """Columns of different names, and an account of those that are there twice."""
    kept: dict[str, pd.Series] = {}
    twice = []
    for k, name in enumerate(frame.columns):
        column, label = frame.iloc[:, k], name
        if name in kept:
            if _same(column, kept[name]):
                twice.append(_line(name, "left out", "", column, why="it is there twice"))
                continue
            if name in named:
                raise ValueError(
                    f"The column {name!r} is there twice, with other values. Give one of them "
                    "another name."
                )
            label = _free(name, {*frame.columns, *kept})
        kept[label] = column
    return pd.DataFrame(kept), twice


def _same(first, second):
    return bool(
        (first.isna() == second.isna()).all() and first.dropna().equals(second.dropna())
    )


def _free(name, taken):
    k = 2
    while f"{name} ({k})" in taken:
        k += 1
    return f"{name} ({k})"


def _reasons(columns, y, target, groups):
    """Why columns are left out, by name."""
    reasons = {}
    of = y.astype(float) if y.dtype.kind in "iuf" else y.astype(str)
    for name, column in columns.items():
        if not column.kind.reaches:
            reasons[name] = str(column.kind)
        elif is_copy(column.values, of):
            reasons[name] = f"it is {target} in other words"
        elif any(is_copy(column.values, group) for group in groups.values()):
            reasons[name] = "it is a sensitive column in other words"
        elif groups and any(follows(column.values, some) for some in _choices(groups)):
            reasons[name] = "it has one value in each group"
    return reasons


def _choices(groups):
    alone = [[column] for column in groups.values()]
    return [*alone, list(groups.values())] if len(alone) > 1 else alone


def _categories(seen):
    return [name for name, column in seen.items() if column.kind is Kind.CATEGORIES]


def account(name: str, used_as: str, column: pd.Series, values: pd.Series) -> dict[str, Any]:
    """Line of the reading of a column that is no feature."""
    holds = "numbers" if values.dtype.kind in "iuf" else "values as written"
    unread = int((values.isna() & column.notna().to_numpy()).sum())
    return _line(name, used_as, holds, column, unread)


def _account_of_feature(name, column, why):
    used = "left out" if why else "seen"
    line = _line(name, used, column.kind, column.values, column.unread, why)
    return line | {"missing": column.missing}


def _line(name, used_as, holds, column, unread=0, why=""):
    counts = {"rows": len(column), "missing": int(column.isna().sum()), "unread": unread}
    return {"column": name, "used_as": used_as, "holds": str(holds), **counts, "why": why}


def left_out_notes(
    reading: list[dict[str, Any]], sensitive: Sequence[str], keep_sensitive: bool
) -> list[str]:
    """Say which columns no network sees, and why."""
    names: dict[str, list[str]] = {}
    for line in reading:
        if line["used_as"] == "left out":
            names.setdefault(line["why"], []).append(line["column"])
    notes = [f"Left out {', '.join(found)}: {why}." for why, found in names.items()]
    if sensitive and not keep_sensitive:
        make = "makes" if len(sensitive) == 1 else "make"
        notes.append(
            f"Left out {', '.join(sensitive)}, which {make} the groups; other columns may "
            "still tell them."
        )
    return notes


def _words_for_missing(frame):
    """Say which texts mean a missing value elsewhere, and that here they do not."""
    notes = []
    for name in frame:
        counts = frame[name].value_counts() if frame[name].dtype == object else {}
        for word in MISSING_WORDS:
            if word in counts:
                notes.append(
                    f"{name}: {word!r} ({counts[word]} cells) is a value like others; if it "
                    f"means missing, say so: na={word!r} (--na {word})."
                )
    return notes


def _nothing_left(file, reasons):
    why = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    why = why or "no other column"
    return f"{file} has no column that a network could learn from ({why})."
