"""Targets of the models, and which class counts as 1."""

from typing import Any

import numpy as np
from sklearn.utils import column_or_1d

from ...measurement.models import check_kinds
from ...statistics.broken import says_broken


def targets(models: dict[str, Any], y: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Targets as one column, and the classes of all models.

    Parameters
    ----------
    models : dict of str to fitted estimator
        All classifiers or all regressors.
    y : array-like
        Targets.

    Returns
    -------
    y : ndarray of shape (n,)
    classes : ndarray or None
        In sorted order; None for regressors.
    """
    if not check_kinds(models):
        y = np.asarray(y)
        if y.size != len(y):
            raise ValueError(
                f"y must have one target for the dashboard, got shape {y.shape}. Make one "
                "dashboard per target, with models that predict that target only."
            )
        return y.reshape(-1), None
    y = column_or_1d(y)
    return y, np.unique(np.concatenate([np.asarray(m.classes_) for m in models.values()]))


def refuse_positive_class(positive_class: Any) -> None:
    """Refuse to name a class for regressors."""
    if positive_class is not None:
        raise ValueError(
            f"positive_class={positive_class!r} is for classifiers, and these models are "
            "regressors. Leave it None."
        )


def choose_positive_class(positive_class: Any, classes: np.ndarray) -> Any:
    """Class that is coded as 1."""
    shown = classes[:10].tolist()
    if positive_class is None:
        if len(classes) <= 2:
            return classes[-1]
        raise ValueError(
            f"positive_class must be given for more than two classes, got None with "
            f"{len(classes)}: {shown}. The dashboard knows two classes only: name the one "
            f"to hold against the rest, for example positive_class={shown[-1]!r}."
        )
    found = [c for c in classes if c == positive_class]
    if not found:
        raise ValueError(
            f"positive_class must be one of the classes {shown}, got {positive_class!r}."
        )
    return found[0]


def say_classes(
    names: list[str], predicted: list[np.ndarray], positive: Any, classes: np.ndarray
) -> tuple[list[str], list[str]]:
    """What the labels 1 and 0 stand for, and which models do not use both.

    Parameters
    ----------
    names : list of str
        Of the models.
    predicted : list of ndarray of shape (n,)
        Their predictions.
    positive : object
        Class that is coded as 1.
    classes : ndarray
        All classes.

    Returns
    -------
    names : list of str
        To be shown.
    notes : list of str
        What a reader must know.
    """
    shown, notes = [], [_say_label(positive, classes)]
    for name, values in zip(names, map(np.unique, predicted), strict=True):
        what = None
        if len(values) == 1:
            what = f"predicts only {values[0]}"
            note = says_broken(name, what, alike=True)
        elif positive not in values:
            what = f"never predicts {positive}"
            note = f"{name} {what}: its equal rates of label 1 in all groups mean nothing."
        shown.append(f"{name} ({what})" if what else name)
        notes += [note] if what else []
    return shown, notes


def say_constant(names: list[str], predicted: list[np.ndarray]) -> tuple[list[str], list[str]]:
    """Names of regressors, and notes, that tell which predict the same for all rows.

    Parameters
    ----------
    names : list of str
        Of the models.
    predicted : list of ndarray of shape (n,)
        Their predictions.

    Returns
    -------
    names : list of str
        To be shown.
    notes : list of str
        What a reader must know.
    """
    pairs = zip(names, predicted, strict=True)
    broken = {name for name, values in pairs if np.ptp(values) == 0}
    shown = [f"{name} (predicts one value only)" if name in broken else name for name in names]
    notes = [
        says_broken(name, "predicts one value only", alike=True)
        for name in names
        if name in broken
    ]
    return shown, notes


def _say_label(positive, classes):
    if len(classes) <= 2:
        others = [str(c) for c in classes if c != positive] or ["no class"]
        return f"Label 1 is {positive}, label 0 is {others[0]}."
    return (
        f"Label 1 is {positive}, label 0 is every other class. Excessive loss, accuracy drop, "
        "loss and error over all classes are about all the classes."
    )
