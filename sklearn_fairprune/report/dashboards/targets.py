"""Targets of the models, and which class counts as 1."""

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import column_or_1d


def targets(models, y):
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
    kinds = {name: is_classifier(model) for name, model in models.items()}
    if len(set(kinds.values())) > 1:
        regressors = [name for name, classifies in kinds.items() if not classifies]
        raise ValueError(
            f"models must be all classifiers or all regressors; {regressors} are no "
            "classifiers, the others are. Make one dashboard for each kind."
        )
    if not all(kinds.values()):
        y = np.asarray(y)
        if y.size != len(y):
            raise ValueError(
                f"y must have one target for the dashboard, got shape {y.shape}. Make one "
                "dashboard per target, with models that predict that target only."
            )
        return y.reshape(-1), None
    y = column_or_1d(y)
    return y, np.unique(np.concatenate([np.asarray(m.classes_) for m in models.values()]))


def refuse_positive_class(positive_class):
    """Refuse to name a class for regressors."""
    if positive_class is not None:
        raise ValueError(
            f"positive_class={positive_class!r} is for classifiers, and these models are "
            "regressors. Leave it None."
        )


def choose_positive_class(positive_class, classes):
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


def say_label(positive, classes):
    """What the dashboard's labels 1 and 0 stand for."""
    if len(classes) <= 2:
        others = [str(c) for c in classes if c != positive] or ["no class"]
        return f"Label 1 is {positive}, label 0 is {others[0]}."
    return (
        f"Label 1 is {positive}, label 0 is every other class. Excessive loss, accuracy drop, "
        "loss and accuracy over all classes are about all the classes."
    )


def say_broken(name, predicted, positive):
    """Name of a model, with a word if it predicts one class only."""
    values = np.unique(predicted)
    if len(values) == 1:
        return f"{name} (predicts only {values[0]})"
    if positive not in values:
        return f"{name} (never predicts {positive})"
    return name
