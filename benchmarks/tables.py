"""Data of the benchmarks on people: features, labels and groups, split by seed.

Mortgage and digits ship inside Python packages. The other tables (UCI: Adult, German
credit, bank marketing, credit default) are read as parquet files from the folder in
SKLEARN_FAIRPRUNE_DATA, and left out, saying so, where that folder lacks them.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from sklearn_fairprune.datasets import load_digits, load_mortgage

ROOT = Path(__file__).parent.parent
FOLDER = Path(os.environ.get("SKLEARN_FAIRPRUNE_DATA", ROOT.parent / "shared" / "data"))
# file: label, columns that are the groups, columns to leave out
TABLES = {
    "adult": ("income_gt_50k", ["sex", "race"], ["is_test", "fnlwgt"]),
    "german_credit": ("bad_credit", ["sex", "age"], []),
    "bank_marketing": ("subscribed", ["age_group", "marital"], ["age", "duration"]),
    "credit_default": ("default_next_month", ["SEX", "EDUCATION"], []),
}
NAMES = ("digits", "mortgage", *TABLES)


def digits():
    """Classes as groups; digits 5 to 9 thinned to 30 %, as in the paper's image data."""
    data = load_digits()
    y = np.asarray(data.y)
    X = np.asarray(data.X).reshape(len(y), -1)
    kept = np.random.default_rng(0).random(len(y)) < np.where(y.astype(int) > 4, 0.3, 1)
    return pd.DataFrame(X[kept]).add_prefix("pixel"), y[kept].astype(int), y[kept].astype(str)


def mortgage():
    """Boston mortgage applications, by race."""
    data = load_mortgage()
    return data.X, np.asarray(data.y), data.sensitive["race"].astype(str).to_numpy()


def table(name):
    """One of the UCI tables; the network sees none of the columns that are the groups."""
    label, sensitive, left_out = TABLES[name]
    frame = pd.read_parquet(FOLDER / f"{name}.parquet")
    groups = frame[sensitive].copy()
    if name == "german_credit":
        groups["age"] = np.where(frame["age"] <= 25, "25 or less", "over 25")
        left_out = [*left_out, "marital-status"]  # it holds the sex
    if name == "credit_default":
        levels = {1: "graduate", 2: "university", 3: "school"}
        groups["EDUCATION"] = frame["EDUCATION"].map(levels).fillna("other")
    if name == "adult":
        left_out = [*left_out, "relationship"]  # husband, wife
    joined = groups.astype(str).agg(", ".join, axis=1).to_numpy()
    X = frame.drop(columns=[label, *sensitive, *left_out])
    return X, frame[label].to_numpy(), joined


def available():
    """Names of the data sets that can be read here."""
    missing = [n for n in TABLES if not (FOLDER / f"{n}.parquet").exists()]
    if missing:
        print(f"left out, no file in {FOLDER}: {', '.join(missing)}")
    return [n for n in NAMES if n not in missing]


def load(name):
    """Features (DataFrame), labels (0, 1, ...) and groups (text) of a data set."""
    X, y, groups = {"digits": digits, "mortgage": mortgage}.get(name, lambda: table(name))()
    return X, np.unique(y, return_inverse=True)[1], groups


def split(X, y, groups, seed, test_size=0.3):
    """Split, then prepare the features by what the training rows say.

    Returns
    -------
    train, test : tuple of (X, y, groups)
        X is a float32 array.
    """
    cells = pd.Series([f"{g} {label}" for g, label in zip(groups, y, strict=True)])
    cells = np.where(cells.map(cells.value_counts()) >= 4, cells, "rare")
    rows = train_test_split(
        np.arange(len(y)), test_size=test_size, stratify=cells, random_state=seed
    )
    prepare = make_column_transformer(
        (
            make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
            make_column_selector(dtype_include="number"),
        ),
        (
            OneHotEncoder(handle_unknown="ignore", sparse_output=False, min_frequency=20),
            make_column_selector(dtype_exclude="number"),
        ),
    ).fit(X.iloc[rows[0]])
    return [(prepare.transform(X.iloc[r]).astype(np.float32), y[r], groups[r]) for r in rows]
