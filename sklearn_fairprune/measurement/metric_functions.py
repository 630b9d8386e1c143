"""Metrics of the user: functions of fairlearn's kind, and scikit-learn's scorers."""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from sklearn.metrics import d2_log_loss_score, get_scorer, get_scorer_names, log_loss

from .._compat.sklearn import Scorer, scorer_weighs, scorer_with
from ..functional.shelf import Member
from .answers import Answers
from .measures import MEASURES

PROBABILITIES = ("y_score", "y_proba", "y_prob", "probas_pred")
OTHER_COLUMNS = (
    *("rows", "effective_rows", "weight_share", "sparsity", "model", "group", "feature"),
    "finetune_epochs",
    *("predicts_one_class", "no_better_than_chance", "loss_above_constant"),
)


@dataclass(frozen=True)
class Metric(Member):
    """A metric of the user.

    Attributes
    ----------
    wants : {"predictions", "probabilities", "answers"}
        What its function is given; the last are an estimator, for a scorer.
    better : {1, -1}
        Whether more is better, or less.
    takes_pos_label : bool
        Whether it must be told the positive class.
    takes_weights : bool
        Whether it takes the weights of the rows, as ``sample_weight``.
    """

    wants: str = "predictions"
    better: int = 1
    takes_pos_label: bool = False
    takes_weights: bool = False

    def told(self, positive: Any) -> "Metric":
        """The same, a scorer being told the positive class if it takes one."""
        if self.wants != "answers" or not self.takes_pos_label or positive is None:
            return self
        return replace(self, function=scorer_with(self.function, positive))

    def of(self, answers: Answers, rows: np.ndarray) -> Any:
        """Value on some rows.

        Parameters
        ----------
        answers : Answers
            Of a model.
        rows : int ndarray
            Which rows.

        Returns
        -------
        value : object
            What the function returns.
        """
        y, positive, options = answers.y[rows], answers.positive, {}
        if self.takes_weights and answers.weights is not None:
            options["sample_weight"] = answers.weights[rows]
        if self.wants == "answers":
            return self.function(answers, rows, y, **options)
        named = positive is not None and self.takes_pos_label
        options |= {"pos_label": positive} if named else {}
        if self.wants == "predictions" or not answers.classifies:
            return self.function(y, answers.predict(rows), **options)
        probabilities = answers.predict_proba(rows)
        if len(answers.classes_) != 2:
            return self.function(y, probabilities, **options)
        if not named and positive != answers.classes_[1]:
            y = (y == positive).astype(int)
        chosen = answers.classes_ == positive
        return self.function(y, probabilities[:, chosen].sum(axis=1), **options)


def check_metrics(metrics: Any) -> dict[str, Metric]:
    """Metrics by name, refused by name where they are none.

    Parameters
    ----------
    metrics : mapping of str to callable or str, or None
        As in `audit`.

    Returns
    -------
    metrics : dict of str to Metric

    Raises
    ------
    ValueError
        Naming what was given and what to give.
    """
    if metrics is None:
        return {}
    if not isinstance(metrics, Mapping):
        raise ValueError(
            "metrics must be a dict of names to functions of (y_true, y_pred) or scorers, "
            f"such as {{'f1': f1_score}} or {{'auc': 'roc_auc'}}, got {metrics!r}."
        )
    taken = {c for k in MEASURES for c in _columns(k)} | {*OTHER_COLUMNS}
    for name in metrics:
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"metrics must have names that are text, got {name!r}. Call it for example "
                "'f1'."
            )
        columns = {*_columns(name), *_columns(f"{name}_difference")}
        if columns & taken:
            raise ValueError(
                f"metrics: the name {name!r} must be free, and {sorted(columns & taken)} "
                f"are columns of the report. Call it for example 'my_{name}'."
            )
        taken |= columns
    return {name: _metric(name, value) for name, value in metrics.items()}


def _columns(name):
    return name, f"{name}_low", f"{name}_high"


def _metric(name, value):
    """Read one metric."""
    what = f"metrics[{name!r}]"
    if isinstance(value, str):
        if value not in get_scorer_names():
            raise ValueError(
                f"{what} must be a function or the name of a scorer of scikit-learn, got "
                f"{value!r}. sklearn.metrics.get_scorer_names() lists them."
            )
        value = get_scorer(value)
    title = name.replace("_", " ")
    if isinstance(value, Scorer):
        told = scorer_with(value, None) is not None
        weighs = scorer_weighs(value)
        return Metric(value, title, "answers", takes_pos_label=told, takes_weights=weighs)
    names = _parameters(what, value)
    asks = names[1] in PROBABILITIES or any(value is f for f in (log_loss, d2_log_loss_score))
    bound = value.keywords if isinstance(value, partial) else {}
    return Metric(
        value,
        title,
        "probabilities" if asks else "predictions",
        _better(name, value),
        takes_pos_label="pos_label" in names and "pos_label" not in bound,
        takes_weights="sample_weight" in names and "sample_weight" not in bound,
    )


def _parameters(what, function):
    """Names of a function's parameters; refuse what cannot be called with two arguments."""
    rule = f"{what} must be a function of (y_true, y_pred) or a scorer"
    if not callable(function) or isinstance(function, type):
        raise ValueError(
            f"{rule}, got {function!r}. Give for example sklearn.metrics.f1_score, or 'f1'."
        )
    try:
        signature = inspect.signature(function)
    except ValueError:  # some that are written in C have none
        return ["y_true", "y_pred"]
    names = list(signature.parameters)
    try:
        signature.bind(None, None)
    except TypeError as error:
        raise ValueError(
            f"{rule}, got one with the parameters {names}: {error}. Bind the others with "
            "functools.partial."
        ) from error
    if names[0] == "estimator":
        raise ValueError(
            f"{rule}, got a function of an estimator. Make it one with "
            "sklearn.metrics.make_scorer."
        )
    return [*names, "", ""]


def _better(name, function):
    """1 where more is better, -1 where less is, by what is known of a function."""
    if isinstance(known := getattr(function, "greater_is_better", None), bool):
        return 1 if known else -1
    function = function.func if isinstance(function, partial) else function
    called = (name, getattr(function, "__name__", ""))
    less = any(text.endswith(("_error", "_loss", "difference")) for text in called)
    return -1 if less and not name.startswith("neg_") else 1
