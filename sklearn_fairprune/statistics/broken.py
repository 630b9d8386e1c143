"""Models that are broken for everybody: decided here, and worded here."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import numpy as np

# Balanced accuracy that is surely less than this above chance is no better than chance.
NEGLIGIBLE = 0.01
# A loss that is surely more than this share above that of the best constant is too high: flat
# probabilities whose decisions are right are not.
MARGIN = 0.01
SAYS_BROKEN = ": it is broken"
CAUTION = (
    "A model that predicts one class for everybody, is no better than that, or has a loss "
    "above that of a constant, is broken, not fair."
)


class Broken(StrEnum):
    """Why a model is broken, whatever the groups."""

    ONE_CLASS = "predicts one class"
    NO_BETTER = "no better than one class"
    ABOVE_CONSTANT = "loss above a constant's"


def only_value(predicted: np.ndarray) -> object | None:
    """The one value that is predicted for every row, or None.

    Parameters
    ----------
    predicted : ndarray of shape (n,)
        Labels or numbers.

    Returns
    -------
    value : object or None
    """
    values = np.unique(predicted)
    return values[0] if len(values) == 1 else None


def no_better_than_chance(upper: float | np.ndarray, n_classes: int) -> bool | np.ndarray:
    """Whether balanced accuracy is surely less than a point above that of guessing.

    Parameters
    ----------
    upper : float or ndarray
        Upper limit of the balanced accuracy.
    n_classes : int
        Of the rows.

    Returns
    -------
    useless : bool or ndarray of bool
    """
    return upper <= 1 / n_classes + NEGLIGIBLE


def constant_loss(y: np.ndarray, classifies: bool, weights: np.ndarray | None = None) -> float:
    r"""Loss of the constant that fits the targets best.

    Parameters
    ----------
    y : ndarray of shape (n,) or (n, k)
        Targets.
    classifies : bool
        Whether they are classes.
    weights : ndarray of shape (n,), default=None
        Row weights; None: all are equal.

    Returns
    -------
    loss : float
        Of classes with the shares p_c the cross-entropy :math:`-\sum p_c \log p_c`, of
        numbers the variance.
    """
    if not classifies:
        mean = np.average(y, axis=0, weights=weights)
        return float(np.average((y - mean) ** 2, axis=0, weights=weights).mean())
    _, codes = np.unique(y, return_inverse=True)
    shares = np.bincount(codes, weights=weights) / (
        len(y) if weights is None else weights.sum()
    )
    return float(-(shares * np.log(shares)).sum())


def says_broken(name: object, what: str, *, alike: bool = False) -> str:
    """Sentence on a model that is broken.

    Parameters
    ----------
    name : object
        Of the model.
    what : str
        What it does, such as "predicts only yes".
    alike : bool, default=False
        Whether no gap between the groups is left: then that is said to mean nothing.

    Returns
    -------
    sentence : str
    """
    nothing = ", and that it treats the groups alike means nothing" if alike else ""
    return f"{name} {what}{SAYS_BROKEN}{nothing}."


def says_not_fair(broken: Mapping[Any, Broken]) -> str:
    """Name the broken models, and why each is.

    Parameters
    ----------
    broken : mapping of object to Broken
        By name.

    Returns
    -------
    sentence : str
    """
    named = ", ".join(f"{name} ({reason})" for name, reason in broken.items())
    return f"Broken for all, not fair: {named}."
