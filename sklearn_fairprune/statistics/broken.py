"""Models that are broken for everybody: decided here, and worded here."""

import numpy as np

# Balanced accuracy that is surely less than this above chance is no better than chance.
NEGLIGIBLE = 0.01
MEANS_NOTHING = "it is broken, and its equal treatment of the groups means nothing"
SHORT = "one class for everybody, or no better"


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


def says_broken(name: object, what: str) -> str:
    """Sentence on a model that is broken.

    Parameters
    ----------
    name : object
        Of the model.
    what : str
        What it does, such as "predicts only yes".

    Returns
    -------
    sentence : str
    """
    return f"{name} {what}: {MEANS_NOTHING}."
