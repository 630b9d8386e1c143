"""Verdicts of an audit: who pays most, and which models are broken."""

from enum import StrEnum

import numpy as np

from ..statistics.broken import no_better_than_chance, only_value, says_broken
from .groups import group_label
from .measures import MEASURES


class Payer(StrEnum):
    """What can be said of the group with the largest value."""

    PAYS_MOST = "pays most"
    CANNOT_TELL = "cannot tell"
    NO_LOSS_ROSE = "no loss rose"


# Columns of the overall table that say that a model is broken.
BROKEN = ("predicts_one_class", "no_better_than_chance")


def payer_sentence(label, n_rows, excess, top, what, *, few=False):
    """Say whether a group pays most, or why the data cannot tell.

    Parameters
    ----------
    label : object
        The group with the largest value.
    n_rows : int
        Its rows.
    excess : float
        Its value.
    top : tuple of (int, float, float, float)
        From `worst.top_group`.
    what : str
        Name of the value.
    few : bool, default=False
        Whether its rows are too few to name it.

    Returns
    -------
    sentence : str
    """
    _, distance, low, high = top
    who, loss = f"{group_label(label)} ({n_rows} rows)", f"{what} {excess:+.3f}"
    if np.isnan(low):
        return f"cannot tell who pays most. {who} has the largest {loss}, from one row."
    against = f"{distance:+.3f} against the others, interval [{low:+.3f}, {high:+.3f}]"
    verdict = payer_verdict(excess, low, few=few)
    if verdict is Payer.NO_LOSS_ROSE:
        return f"no group's loss rose; {who} gained least ({loss}; {against})."
    if verdict is Payer.PAYS_MOST:
        return f"{who} pays most: {loss}; {against}."
    why = "comes from too few rows" if low > 0 else "is too wide: it includes 0"
    return f"cannot tell who pays most. {who} has the largest {loss}; {against}, {why}."


def payer_verdict(excess, low, *, few=False):
    """Say in two or three words what is known of the group with the largest value.

    Parameters
    ----------
    excess : float
        Its value.
    low : float
        Lower limit of its distance to the others; NaN if unknown.
    few : bool, default=False
        Whether its rows are too few to name it.

    Returns
    -------
    verdict : Payer
    """
    if excess <= 0 and not np.isnan(low):
        return Payer.NO_LOSS_ROSE
    return Payer.PAYS_MOST if low > 0 and not few else Payer.CANNOT_TELL


def broken_columns(overall, predicted, y):
    """Columns that say which classifiers are broken.

    Parameters
    ----------
    overall : DataFrame
        One row per model, with its balanced accuracy.
    predicted : ndarray of shape (n, n_models)
        Labels.
    y : ndarray of shape (n,)
        True labels.

    Returns
    -------
    columns : dict of str to ndarray of bool
        All False where the rows have one class only.
    """
    n_classes = len(np.unique(y))
    one = np.array([only_value(column) is not None for column in predicted.T])
    useless = no_better_than_chance(overall["balanced_accuracy_high"].to_numpy(), n_classes)
    several = n_classes > 1
    return dict(zip(BROKEN, (several & one, several & useless), strict=True))


def broken_notes(overall, predicted):
    """Name the classifiers that are broken, and say how.

    Parameters
    ----------
    overall : DataFrame
        With `broken_columns`.
    predicted : ndarray of shape (n, n_models)
        Labels.

    Returns
    -------
    notes : list of str
    """
    notes = []
    for (name, row), column in zip(overall.iterrows(), predicted.T, strict=True):
        if row["predicts_one_class"]:
            notes.append(says_broken(name, f"predicts only {only_value(column)}"))
        elif row["no_better_than_chance"]:
            cell = MEASURES["balanced_accuracy"].cell(row)
            what = f"is no better than one class for everybody (balanced accuracy {cell} %)"
            notes.append(says_broken(name, what))
    return notes


def broken_models(overall):
    """Names of the models that are broken.

    Parameters
    ----------
    overall : DataFrame
        Of an audit.

    Returns
    -------
    names : list
    """
    flags = [flag for flag in BROKEN if flag in overall]
    return overall.index[overall[flags].any(axis=1)].tolist() if flags else []
