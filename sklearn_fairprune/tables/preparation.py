"""From a table of data to what a network can be trained on, and held-out rows."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from ..measurement.predictions import is_quantity
from .columns import FREQUENT


def as_texts(frame: pd.DataFrame) -> pd.DataFrame:
    """Turn categories, booleans and mixed columns into texts, with NaN where missing."""
    return frame.astype(object).map(str, na_action="ignore").where(frame.notna(), np.nan)


def make_preprocessing(X: pd.DataFrame) -> Pipeline:
    """Pipeline that makes numbers of a table: impute, scale, one-hot encode."""
    if not hasattr(X, "columns"):
        return FunctionTransformer()
    numbers = make_pipeline(
        SimpleImputer(strategy="median", add_indicator=True, keep_empty_features=True),
        StandardScaler(),
    )
    categories = make_pipeline(
        FunctionTransformer(as_texts, feature_names_out="one-to-one"),
        OneHotEncoder(
            handle_unknown="infrequent_if_exist", min_frequency=FREQUENT, sparse_output=False
        ),
    )
    return make_column_transformer(
        (numbers, make_column_selector(dtype_include="number")),
        (categories, make_column_selector(dtype_exclude="number")),
        verbose_feature_names_out=False,
    )


def split(data: Any, test_size: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Training and held-out row numbers, with every group and class in both if it can be."""
    if len(data.y) < 2:
        raise ValueError(f"The table has {len(data.y)} rows with a target; give more.")
    strata = [data.y.astype(str)]
    if data.sensitive is not None:
        strata += [data.sensitive[c].astype(str).to_numpy() for c in data.sensitive]
    rows = np.arange(len(data.y))
    continuous = is_quantity(data.y)
    for keys in [] if continuous else [strata, strata[:1]]:
        cells = np.array(["\x1f".join(cell) for cell in zip(*keys, strict=True)])
        if np.unique(cells, return_counts=True)[1].min() >= 2:
            return train_test_split(
                rows, test_size=test_size, random_state=seed, stratify=cells
            )
    return train_test_split(rows, test_size=test_size, random_state=seed)


def check_rows(data: Any, train: np.ndarray, test: np.ndarray, regression: bool) -> None:
    """Refuse what cannot be trained or measured, in the words of the table."""
    if regression:
        if np.ptp(data.y[train]) == 0:
            raise ValueError(f"The target is {data.y[0]:g} in every training row.")
        return
    if unknown := np.setdiff1d(data.y[test], data.y[train])[:10].tolist():
        raise ValueError(
            f"The target has values in the held-out rows that no training row has: {unknown}. "
            "Merge rare values, or take another column."
        )


def steps_of(preprocessing: Any) -> str:
    """Fitted preprocessing in one line: which steps for how many columns."""
    parts = [
        f"{len(columns)} columns: {' > '.join(type(step).__name__ for _, step in pipe.steps)}"
        for _, pipe, columns in getattr(preprocessing, "transformers_", [])
        if hasattr(pipe, "steps") and len(columns)
    ]
    return "; ".join(parts) or "none"


def merged_levels(preprocessing: Any) -> list[str]:
    """Notes on the values of categories that fitted preprocessing made one of."""
    notes = []
    for _, pipe, columns in getattr(preprocessing, "transformers_", []):
        encoder = pipe[-1] if hasattr(pipe, "steps") else None
        if isinstance(encoder, OneHotEncoder) and len(columns):
            for name, rare in zip(columns, encoder.infrequent_categories_, strict=True):
                if rare is not None and len(rare) > 1:
                    notes.append(
                        f"{name}: {len(rare)} values with fewer than {FREQUENT} training rows "
                        "count as one."
                    )
    return notes


def standardized(y: np.ndarray, train: np.ndarray) -> tuple[np.ndarray, str]:
    """Regression targets in standard deviations from their mean, and a note saying so."""
    centre, scale = y[train].mean(), y[train].std()
    note = f"Losses are in squares of the target's standard deviation, {scale:.4g}."
    return (y - centre) / scale, note
