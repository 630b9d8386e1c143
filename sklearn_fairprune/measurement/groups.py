"""Groups of the rows in a report: codes, names, index, small ones."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import zip_longest
from typing import Any

import numpy as np
import pandas as pd

from ..estimators.sensitive import encode_groups, sensitive_columns


def group_rows(
    sensitive_features: Any, y: np.ndarray, classifies: bool
) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of the sensitive features, group code of every row, names of the groups.

    Parameters
    ----------
    sensitive_features : array-like or None
        See `sensitive_columns`. None: the classes are the groups.
    y : ndarray of shape (n,)
        Targets.
    classifies : bool
        Whether they are classes.

    Returns
    -------
    names : list of str
    codes : int64 ndarray of shape (n,)
    labels : ndarray of shape (m,)
    """
    if sensitive_features is not None:
        codes, labels = encode_groups(sensitive_features, len(y))
        return list(sensitive_columns(sensitive_features)), codes, labels
    if classifies:
        labels, codes = np.unique(y, return_inverse=True)
        return ["class"], codes, labels
    return ["group"], np.zeros(len(y), dtype=np.int64), np.array(["all"])


def free_name(name: str, taken: Any) -> str:
    """Return a name that no other column has: "rows" or "rows (group)"."""
    while name in taken:
        name += " (group)"
    return name


def feature_levels(names: Sequence[str]) -> list[str]:
    """Names of the sensitive features beside the models of a table.

    Parameters
    ----------
    names : sequence of str
        Names of the sensitive features, all different.

    Returns
    -------
    levels : list of str
        The same but for "model", which is the name of another level.
    """
    return [free_name(n, {*names}) if n == "model" else n for n in names]


def as_tuple(label: Any) -> tuple[Any, ...]:
    """Return a group's name as a tuple of values, one per sensitive feature."""
    return label if isinstance(label, tuple) else (label,)


def group_label(label: Any) -> str:
    """Name of a group as text; the parts of an intersection are joined by " & "."""
    return " & ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def distinct_labels(labels: Iterable[Any]) -> list[str]:
    """Names of groups as texts that differ to the eye: 1 and "1" would else look alike.

    Parameters
    ----------
    labels : iterable of object
        Values, or tuples of values for intersections; all different.

    Returns
    -------
    texts : list of str
        Those that would look alike are written as Python writes them, with escapes for what
        has no ink.

    Examples
    --------
    >>> from sklearn_fairprune.measurement.groups import distinct_labels
    >>> distinct_labels([("black", "f"), ("white", "m")])
    ['black & f', 'white & m']
    >>> distinct_labels([1, "1", "a"])
    ['1', "'1'", 'a']
    """
    labels = [as_tuple(label) for label in labels]
    texts = [_texts_of(values) for values in zip_longest(*labels)]  # models may be ragged
    mixed = [
        " & ".join(
            level[type(value), value] for level, value in zip(texts, label, strict=False)
        )
        for label in labels
    ]
    if len(set(map(_look, mixed))) == len(mixed):
        return mixed
    return [" & ".join(map(_literal, label)) for label in labels]


def _texts_of(values):
    """Texts by type and value, none of which looks like another."""
    kept = {(type(value), value): value for value in values}
    counts = Counter(_look(str(value)) for value in kept.values())
    texts = {
        key: str(value) if counts[_look(str(value))] == 1 else _literal(value)
        for key, value in kept.items()
    }
    if len(set(map(_look, texts.values()))) < len(texts):
        texts = {key: ascii(_plain(value)) for key, value in kept.items()}
    return texts


def _look(text):
    """What is seen of a text: no control and format characters, and one kind of space."""
    seen = (c for c in text if unicodedata.category(c) != "Cf" and (c.isspace() or c >= " "))
    text = "".join(c for c in seen if not "\x7f" <= c < "\x85" and not "\x85" < c < "\xa0")
    return unicodedata.normalize("NFC", " ".join(text.split()))


def _literal(value):
    return repr(_plain(value))


def _plain(value):
    return value.item() if isinstance(value, np.generic) else value


def file_labels(values: Iterable[Any]) -> dict[Any, Any]:
    """Values of a sensitive feature as files hold them, all different.

    Parameters
    ----------
    values : iterable of object
        Some may be the same.

    Returns
    -------
    plain : dict of object to (str, bool, int or float)
        Texts, numbers and truth values that are finite stay; of the rest, and of those that
        it would be mistaken for, the text that `distinct_labels` gives.
    """
    values = list(dict.fromkeys(values))
    found = [_plain(value) for value in values]
    kept = [isinstance(v, (str, int)) or (type(v) is float and abs(v) < np.inf) for v in found]
    mistaken = {str(v) for v, stays in zip(found, kept, strict=True) if not stays}
    return {
        value: plain if stays and plain not in mistaken else text
        for value, plain, stays, text in zip(
            values, found, kept, distinct_labels(values), strict=True
        )
    }


def group_names(by_group: pd.DataFrame) -> dict[tuple[Any, ...], str]:
    """Texts of the groups of a table with a row per model and group.

    Parameters
    ----------
    by_group : DataFrame
        Indexed by model and sensitive features.

    Returns
    -------
    names : dict of tuple to str
        All different; by the values of the sensitive features.
    """
    labels = list(dict.fromkeys(label[1:] for label in by_group.index))
    return dict(zip(labels, distinct_labels(labels), strict=True))


def rows_that_count(table: Any) -> Any:
    """Rows by which groups are compared: of weighted rows the effective ones.

    Parameters
    ----------
    table : DataFrame, Series or dict
        With ``rows``, and ``effective_rows`` if they are weighted.

    Returns
    -------
    rows : Series or float
    """
    return table["effective_rows" if "effective_rows" in table else "rows"]


def small_groups(
    labels: Sequence[Any],
    sizes: np.ndarray,
    min_group_size: int,
    meaning: str,
    effective: np.ndarray | None = None,
) -> list[str]:
    """Name the groups that are small, as a list of no or one note.

    Parameters
    ----------
    labels : sequence
        Names of the m groups.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    min_group_size : int
        Smaller ones are small.
    meaning : str
        Sentence that says what becomes of them.
    effective : ndarray of shape (m,), default=None
        Effective rows of each group, if rows are weighted: by these they are small.

    Returns
    -------
    notes : list of str
    """
    worth, rows = (sizes, "rows") if effective is None else (effective, "effective rows")
    small = [
        f"{group_label(label)} ({n if effective is None else f'{some:.1f} of {n}'})"
        for label, n, some in zip(labels, sizes, worth, strict=True)
        if some < min_group_size
    ]
    if not small:
        return []
    return [
        f"Groups with fewer than min_group_size={min_group_size} {rows}: "
        f"{', '.join(small)}. "
        f"{meaning}"
    ]
