"""Row weights of an audit: checked, and rows of weight 0 left out."""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import check_consistent_length
from torch.utils.data import Dataset, Subset

from .._compat.sklearn import num_samples, safe_indexing
from ..estimators.sensitive import encode_groups, sensitive_columns
from ..statistics.weights import check_weights, effective_rows
from .groups import distinct_labels


class Given(NamedTuple):
    """Rows that are measured.

    Attributes
    ----------
    X, y, sensitive_features : object
        As they were given, without the rows of weight 0.
    weights : ndarray of shape (n,) or None
        Weights of these rows; None if none were given.
    kept : int ndarray of shape (n,) or None
        Their positions among all rows; None if that is all.
    left_out : int
        Rows of weight 0.
    """

    X: Any
    y: Any
    sensitive_features: Any
    weights: np.ndarray | None = None
    kept: np.ndarray | None = None
    left_out: int = 0

    @property
    def about(self) -> dict[str, Any]:
        """What a report keeps of the weights."""
        if self.weights is None:
            return {}
        one = np.zeros(len(self.weights), dtype=np.int64)
        effective = float(effective_rows(self.weights, one, 1)[0])
        left_out = {"rows_of_weight_0": self.left_out} if self.left_out else {}
        return {"effective_rows": effective} | left_out

    @property
    def notes(self) -> list[str]:
        """What a reader must know of the weights, as a list of no or one note."""
        if self.weights is None:
            return []
        n, effective = len(self.weights), self.about["effective_rows"]
        told = (
            f"Rows are weighted: shares, means, intervals and who pays are by weight; the {n} "
            f"rows are worth {effective:.1f} effective rows (Kish). Counts are of rows."
        )
        rows = "row has" if self.left_out == 1 else "rows have"
        return [told + (f" {self.left_out} more {rows} weight 0." if self.left_out else "")]


def given_rows(X: Any, y: Any, sensitive_features: Any, sample_weight: Any) -> Given:
    """Check row weights, and leave out rows of weight 0, which stand for nobody.

    Parameters
    ----------
    X, y, sensitive_features : array-like
        As in `audit`.
    sample_weight : array-like of shape (n,) or None
        Row weights, by position whatever their index.

    Returns
    -------
    given : Given

    Raises
    ------
    ValueError
        If these are no weights of these rows, or all rows of a group have weight 0.
    """
    if sample_weight is None:
        return Given(X, y, sensitive_features)
    check_consistent_length(X, y)
    n = num_samples(X)
    weights = check_weights(sample_weight, n)
    if weights.all():
        return Given(X, y, sensitive_features, weights)
    if sensitive_features is not None:
        _refuse_empty_groups(encode_groups(sensitive_features, n), weights)
        columns = sensitive_columns(sensitive_features).items()
        sensitive_features = {name: column[weights > 0] for name, column in columns}
    kept = np.flatnonzero(weights)
    X = Subset(X, kept.tolist()) if isinstance(X, Dataset) else safe_indexing(X, kept)
    y = None if y is None else safe_indexing(y, kept)
    return Given(X, y, sensitive_features, weights[kept], kept, n - len(kept))


def _refuse_empty_groups(groups, weights):
    """A group that vanishes without a word would pass every gate."""
    codes, labels = groups
    mass = np.bincount(codes, weights=weights, minlength=len(labels))
    if lost := [t for t, m in zip(distinct_labels(labels), mass, strict=True) if m == 0]:
        raise ValueError(
            f"sample_weight must be above 0 in some row of each group, got 0 in every row of "
            f"{', '.join(lost)}: nothing can be told of such a group. Leave its rows out, or "
            "give them their weights."
        )
