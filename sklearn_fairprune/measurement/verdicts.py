"""What is concluded from the numbers, and in which words: what changed, what is broken."""

from collections.abc import Iterable
from enum import StrEnum

import numpy as np
import pandas as pd

from ..statistics.broken import no_better_than_chance, says_broken
from .formats import with_interval


class Change(StrEnum):
    """What became of a measure from one audit to another."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    CANNOT_TELL = "cannot tell"
    ONLY_IN_A = "only in A"
    ONLY_IN_B = "only in B"


class Broken(StrEnum):
    """Why a model's equal treatment of the groups means nothing."""

    ONE_CLASS = "predicts one class"
    NO_BETTER = "no better than one class"


# ---- what changed ------------------------------------------------------------------


def change_verdicts(
    change: np.ndarray, low: np.ndarray, high: np.ndarray, better: np.ndarray
) -> np.ndarray:
    """Judge changes from one audit to another.

    Parameters
    ----------
    change, low, high : ndarray of shape (n,)
        Changes and their limits.
    better : ndarray of shape (n,)
        1 where more is better, -1 where less is.

    Returns
    -------
    verdicts : ndarray of shape (n,)
        Texts of `Change`.
    """
    direction = np.where(low > 0, 1, np.where(high < 0, -1, 0)) * better
    return np.select(
        [change == 0, direction > 0, direction < 0],
        [Change.SAME, Change.BETTER, Change.WORSE],
        Change.CANNOT_TELL,
    )


# ---- what is broken ----------------------------------------------------------------

DENSE_IS_BROKEN = "The dense network predicts one class only: it is broken."
CAUTION = (
    "A model that predicts one class for everybody, or is no better, is broken, not fair."
)


def flag_broken(overall: pd.DataFrame, n_classes: int) -> pd.DataFrame:
    """Add to a table of classifiers which of them are broken, and why.

    Parameters
    ----------
    overall : DataFrame
        One row per model, with ``classes_predicted`` and ``balanced_accuracy_high``.
    n_classes : int
        Classes among the rows; of one class nothing can be said.

    Returns
    -------
    overall : DataFrame
        With ``predicts_one_class`` and ``no_better_than_chance``.
    """
    several = n_classes > 1
    return overall.assign(
        predicts_one_class=several & (overall["classes_predicted"] == 1),
        no_better_than_chance=several
        & no_better_than_chance(overall["balanced_accuracy_high"], n_classes),
    )


def broken_models(overall: pd.DataFrame) -> dict[str, Broken]:
    """Models that predict one class, or are no better than that.

    Parameters
    ----------
    overall : DataFrame
        One row per model; without the columns of `flag_broken`, as for regressors, none is
        broken.

    Returns
    -------
    broken : dict of str to Broken
        In the order of the table.
    """
    reasons = {
        "predicts_one_class": Broken.ONE_CLASS,
        "no_better_than_chance": Broken.NO_BETTER,
    }
    found = {}
    for model, row in overall.iterrows():
        flags = (reason for column, reason in reasons.items() if row.get(column, False))
        if reason := next(flags, None):
            found[model] = reason
    return found


def broken_notes(overall: pd.DataFrame, predicted: np.ndarray) -> list[str]:
    """Say of each broken classifier what it does.

    Parameters
    ----------
    overall : DataFrame
        From `flag_broken`.
    predicted : ndarray of shape (n, n_models)
        Labels.

    Returns
    -------
    notes : list of str
    """
    notes, columns = [], dict(zip(overall.index, predicted.T, strict=True))
    for name, reason in broken_models(overall).items():
        what = f"predicts only {columns[name][0]}"
        if reason is Broken.NO_BETTER:
            row = overall.loc[name]
            value = with_interval(row, "balanced_accuracy", scale=100, digits=1)
            what = f"is no better than one class for everybody (balanced accuracy {value} %)"
        notes.append(says_broken(name, what))
    return notes


def broken_failure(model: str) -> str:
    """Say why a broken model passes no gate."""
    return f"{model} predicts one class only, or is no better: it is broken, not fair."


def broken_headline(models: Iterable[str]) -> str:
    """Name the broken models in one sentence."""
    return (
        f"Broken for all, not fair: {', '.join(models)} (one class for everybody, or no "
        "better)."
    )
