"""What is concluded from the numbers, and in which words: what changed, what is broken."""

from enum import StrEnum

import numpy as np
import pandas as pd

from ..statistics.broken import (
    MARGIN,
    Broken,
    constant_loss,
    no_better_than_chance,
    says_broken,
)
from .formats import with_interval


class Change(StrEnum):
    """What became of a measure from one audit to another."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "same"
    CANNOT_TELL = "cannot tell"
    ONLY_IN_A = "only in A"
    ONLY_IN_B = "only in B"


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


def flag_broken(
    overall: pd.DataFrame, y: np.ndarray, classifies: bool, weights: np.ndarray | None = None
) -> pd.DataFrame:
    """Add to a table of models which of them are broken, and why.

    Parameters
    ----------
    overall : DataFrame
        One row per model, with ``loss_low``, and of classifiers ``classes_predicted`` and
        ``balanced_accuracy_high``.
    y : ndarray of shape (n,) or (n, k)
        Targets; where they are all alike, nothing can be said.
    classifies : bool
        Whether they are classes.
    weights : ndarray of shape (n,), default=None
        Row weights; None: all are equal.

    Returns
    -------
    overall : DataFrame
        With ``loss_above_constant``, and of classifiers ``predicts_one_class`` and
        ``no_better_than_chance``.
    """
    several = len(np.unique(y, axis=0)) > 1
    surely = overall.get("loss_low", pd.Series(-np.inf, overall.index))
    above = several & (surely > (1 + MARGIN) * constant_loss(y, classifies, weights))
    if not classifies:
        return overall.assign(loss_above_constant=above)
    chance = no_better_than_chance(overall["balanced_accuracy_high"], len(np.unique(y)))
    return overall.assign(
        predicts_one_class=several & (overall["classes_predicted"] == 1),
        no_better_than_chance=several & chance,
        loss_above_constant=above,
    )


def broken_models(overall: pd.DataFrame) -> dict[str, Broken]:
    """Models that are broken, with the first reason of each.

    Parameters
    ----------
    overall : DataFrame
        One row per model; without the columns of `flag_broken` none is broken.

    Returns
    -------
    broken : dict of str to Broken
        In the order of the table.
    """
    reasons = {
        "predicts_one_class": Broken.ONE_CLASS,
        "no_better_than_chance": Broken.NO_BETTER,
        "loss_above_constant": Broken.ABOVE_CONSTANT,
    }
    found = {}
    for model, row in overall.iterrows():
        flags = (reason for column, reason in reasons.items() if row.get(column, False))
        if reason := next(flags, None):
            found[model] = reason
    return found


def broken_notes(overall: pd.DataFrame, predicted: np.ndarray | None) -> list[str]:
    """Say of each broken model what it does.

    Parameters
    ----------
    overall : DataFrame
        From `flag_broken`.
    predicted : ndarray of shape (n, n_models) or None
        Labels of classifiers.

    Returns
    -------
    notes : list of str
    """
    notes, positions = [], {name: k for k, name in enumerate(overall.index)}
    for name, reason in broken_models(overall).items():
        row = overall.loc[name]
        match reason:
            case Broken.ONE_CLASS if predicted is not None:
                what = f"predicts only {predicted[0, positions[name]]}"
            case Broken.NO_BETTER:
                value = with_interval(row, "balanced_accuracy", scale=100, digits=1)
                what = "is no better than one class for everybody "
                what += f"(balanced accuracy {value} %)"
            case _:
                what = f"has a loss of {with_interval(row, 'loss')}, above that of a constant"
        notes.append(says_broken(name, what, alike=row.get("accuracy_spread", np.nan) == 0))
    return notes
