"""Groups of the rows in a report: codes, names, index, small ones."""

import numpy as np

from ..estimators.sensitive import encode_groups, sensitive_columns


def group_rows(sensitive_features, y, classifies):
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


def as_tuple(label):
    """Return a group's name as a tuple of values, one per sensitive feature."""
    return label if isinstance(label, tuple) else (label,)


def group_label(label):
    """Name of a group as text; the parts of an intersection are joined by " & "."""
    return " & ".join(map(str, label)) if isinstance(label, tuple) else str(label)


def small_groups(labels, sizes, min_group_size):
    """Name the groups that are small, as a list of no or one note.

    Parameters
    ----------
    labels : sequence
        Names of the m groups.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    min_group_size : int
        Smaller ones are small.

    Returns
    -------
    notes : list of str
    """
    small = [
        f"{group_label(label)} ({n})"
        for label, n in zip(labels, sizes, strict=True)
        if n < min_group_size
    ]
    if not small:
        return []
    return [
        f"Groups with fewer than min_group_size={min_group_size} rows: {', '.join(small)}. "
        "Read their numbers with their intervals."
    ]
