"""The models of a report by name, the dense one first."""

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils import Bunch, column_or_1d

from ..estimators.path import path_names
from ..estimators.unwrap import dense_twin
from .groups import distinct_labels
from .sizes import sparsity_of


def named_models(
    models: Any, adapt: Callable[[Any], Any] = lambda model: model
) -> tuple[dict[str, Any], list[float]]:
    """Return the models of a report by name, and the sparsity of each.

    Parameters
    ----------
    models : dict of str to fitted estimator, Bunch, or fitted estimator
        The dense model first; or what ``pruning_path`` returned; or one pruned estimator,
        which is compared with its own dense network.
    adapt : callable, default=none
        Of each model: an estimator that stands for it.

    Returns
    -------
    models : dict of str to fitted estimator
        Names that are no text have become text.
    sparsities : list of float
        As achieved; NaN for a model that has none.

    Raises
    ------
    TypeError
        If they are neither, or one of them cannot predict.
    ValueError
        If there is none, or a path does not begin with the dense network or has a sparsity
        twice with the same budget.
    """
    if isinstance(models, Bunch):
        if models.sparsities[0] != 0:
            raise ValueError(
                "The path must begin with sparsity 0, the dense network to compare with; it "
                f"begins with {models.sparsities[0]:g}."
            )
        names = path_names(models.sparsities, models.get("budgets"))
        if len(set(names)) < len(names):
            asked = list(map(float, models.sparsities))
            told = f" with budgets {budgets_of(models)}" if budgets_of(models) else ""
            raise ValueError(
                f"The path has a sparsity twice: {asked}{told}. Make it with each once; "
                "several networks of one sparsity need different budgets."
            )
        models = dict(zip(names, models.estimators, strict=True))
    if hasattr(models, "predict") and not isinstance(models, type):
        try:
            models = {"dense": dense_twin(models), "pruned": models}
        except TypeError as error:
            raise TypeError(_expected(models)) from error
    if not hasattr(models, "items"):
        raise TypeError(_expected(models))
    if not models:
        raise ValueError("models is empty; give the dense model first, then pruned ones.")
    names = distinct_labels(models)
    models = dict(zip(names, map(adapt, models.values()), strict=True))
    for name, model in models.items():
        if isinstance(model, type) or not hasattr(model, "predict"):
            raise TypeError(f"models must be fitted estimators, and {name!r} is {model!r}.")
    return models, [sparsity_of(model) for model in models.values()]


def budgets_of(models: Any) -> list[int]:
    """Numbers of epochs of fine-tuning that a path asked for, rising.

    Parameters
    ----------
    models : object
        As in `named_models`.

    Returns
    -------
    budgets : list of int
        Empty for what is no path, or a path without budgets.
    """
    asked = models.get("budgets") if isinstance(models, Bunch) else None
    given = np.unique(np.asarray([] if asked is None else asked, dtype=float))
    return [int(budget) for budget in given[np.isfinite(given)]]


def _expected(models):
    return (
        "models must be a dict of names to fitted estimators, the dense one first, such as "
        "{'dense': a, 'pruned': b}, or what pruning_path returned, or one estimator that "
        f"holds a pruned network, got {type(models).__name__}."
    )


def check_kinds(models: dict[str, Any]) -> bool:
    """Say whether the models are classifiers, and refuse what cannot be measured.

    Parameters
    ----------
    models : dict of str to fitted estimator
        By name.

    Returns
    -------
    classifies : bool

    Raises
    ------
    ValueError
        If some are classifiers and some are not.
    """
    kinds = {name: is_classifier(model) for name, model in models.items()}
    if len(set(kinds.values())) > 1:
        others = [name for name, classifies in kinds.items() if not classifies]
        raise ValueError(
            f"models must be all classifiers or all regressors; {others} are no classifiers."
        )
    return next(iter(kinds.values()))


def positive_class(models: dict[str, Any], pos_label: Any, classifies: bool) -> Any:
    """Class that rates are about.

    Parameters
    ----------
    models : dict of str to fitted estimator
        By name.
    pos_label : object
        What a user named; None is the second of two classes in sorted order.
    classifies : bool
        Whether the models are classifiers.

    Returns
    -------
    positive : object
        None of regressors, and of several classes without `pos_label`.

    Raises
    ------
    ValueError
        If `pos_label` is no class of the models.
    """
    if not classifies:
        if pos_label is not None:
            raise ValueError(
                f"pos_label must be None for regressors, which have no classes, got "
                f"{pos_label!r}."
            )
        return None
    classes = np.unique(np.concatenate([np.asarray(m.classes_) for m in models.values()]))
    if pos_label is None:
        return classes[1] if len(classes) == 2 else None
    same = [c for c in classes if c == pos_label]
    if not same:
        raise ValueError(
            f"pos_label must be one of the classes {classes[:10].tolist()}, got {pos_label!r}."
        )
    return same[0]


def held_out_targets(y: Any, classifies: bool) -> np.ndarray:
    """Targets as an array, refused by name where nothing can be measured with them.

    Parameters
    ----------
    y : array-like
        As in `audit`.
    classifies : bool
        Whether they are classes.

    Returns
    -------
    y : ndarray

    Raises
    ------
    ValueError
        If there are none, or those of regressors are no finite numbers.
    """
    if y is None:
        raise ValueError("y must hold one target per row of X, got None.")
    y = column_or_1d(y) if classifies else np.asarray(y)
    if not len(y):
        raise ValueError("X and y have no rows; give held-out rows to measure on.")
    if not classifies and not (y.dtype.kind in "biuf" and np.isfinite(y).all()):
        raise ValueError("y must be finite numbers, for the models are regressors.")
    return y
