"""Sensitive features as the dashboard's bins: a name, a code per row, a text per group."""

from typing import Any, NamedTuple

import numpy as np

from ...estimators.sensitive import encode_groups, sensitive_columns
from ...measurement.groups import distinct_labels, group_label


class FeatureBins(NamedTuple):
    """Groups of one sensitive feature, or of the intersection of all.

    Attributes
    ----------
    name : str
        Name of the feature.
    codes : int64 ndarray of shape (n,)
        Position of every row's group in `labels`.
    labels : list of str
        Names of the groups, all different.
    """

    name: str
    codes: np.ndarray
    labels: list


def feature_bins(sensitive_features: Any, n_rows: int) -> list[FeatureBins]:
    """Bins of every sensitive feature, and of their intersection if there are several.

    Parameters
    ----------
    sensitive_features : list, array, Series, DataFrame or dict
        See `sensitive_columns`.
    n_rows : int
        Number of rows of X.

    Returns
    -------
    features : list of FeatureBins
        The intersection last, called for example "race & sex".
    """
    crossed = encode_groups(sensitive_features, n_rows)
    columns = sensitive_columns(sensitive_features)
    features = []
    for name, column in columns.items():
        codes, values = encode_groups({name: column}, n_rows)
        features.append(FeatureBins(name, codes, distinct_labels(values)))
    if len(columns) > 1:
        name = group_label(tuple(columns))  # longer than the name of any column
        features.append(FeatureBins(name, crossed.codes, distinct_labels(crossed.names)))
    return features
