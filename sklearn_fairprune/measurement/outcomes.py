"""What all models of an audit make of the held-out rows."""

import functools
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.utils import check_consistent_length

from ..estimators.outcomes import estimator_outcomes
from .adapters import adapted, is_randomised
from .models import (
    budgets_of,
    check_kinds,
    held_out_targets,
    named_models,
    positive_class,
)
from .settings import Settings
from .sizes import finetuning_epochs


class Outcomes(NamedTuple):
    """What all models make of the held-out rows.

    Attributes
    ----------
    models : dict of str to fitted estimator
        The dense model first.
    sparsities : list of float
        As achieved; NaN for a model without a network.
    y : ndarray of shape (n,)
        Targets.
    losses : ndarray of shape (n, n_models)
        Loss of every row; 0 or 1 where the labels alone are known.
    predicted, correct : ndarray of shape (n, n_models) or None
        Labels, and 1.0 where they are right; None for regression.
    row_names : Index or None
        Names of the rows, if X has them.
    answers : list of ndarray
        Predictions of every model, labels or numbers.
    positive : object
        Class that rates are about, or None.
    labels_only : list of str
        Models without probabilities: if there are any, no loss is known.
    epochs : list of float
        Of the fine-tuning of every model; NaN where unknown.
    budgets : list of int
        Numbers of epochs that a path asked for; empty for other models.
    """

    models: dict
    sparsities: list
    y: np.ndarray
    losses: np.ndarray
    predicted: np.ndarray | None
    correct: np.ndarray | None
    row_names: pd.Index | None
    answers: list
    positive: Any
    labels_only: list
    epochs: list
    budgets: list

    @property
    def loss_name(self) -> str:
        """What the losses are."""
        if self.labels_only:
            return "zero-one loss"
        return "squared error" if self.predicted is None else "cross-entropy"

    @property
    def notes(self) -> list[str]:
        """What a reader must know of how the models answered."""
        drawn = [name for name, model in self.models.items() if is_randomised(model)]
        notes = []
        if self.labels_only:
            notes.append(
                f"No probabilities of {', '.join(self.labels_only)}: losses are not known, "
                "and who pays is told by decisions alone."
            )
        if drawn:
            notes.append(
                f"Predictions of {', '.join(drawn)} are drawn at random, here once; the "
                "intervals do not cover that."
            )
        return notes


def gather_outcomes(
    models: Any, X: Any, y: Any, sensitive_features: Any, settings: Settings
) -> Outcomes:
    """Predict every row with every model.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        As in `audit`.
    X, y, sensitive_features : array-like
        Held-out rows.
    settings : Settings
        How to measure.

    Returns
    -------
    outcomes : Outcomes
    """
    adapt = functools.partial(
        adapted, X=X, y=y, sensitive_features=sensitive_features, seed=settings.random_state
    )
    budgets = budgets_of(models)
    models, sparsities = named_models(models, adapt)
    classifies = check_kinds(models)
    positive = positive_class(models, settings.pos_label, classifies)
    y = held_out_targets(y, classifies)
    check_consistent_length(X, y)
    outcomes = [
        estimator_outcomes(model, X, y, labels_suffice=True) for model in models.values()
    ]
    predicted = correct = None
    if classifies:
        predicted = np.column_stack([labels for _, labels in outcomes])
        correct = (predicted == y[:, None]).astype(float)
    unscored = [n for n, (loss, _) in zip(models, outcomes, strict=True) if loss is None]
    if unscored:
        losses = (predicted != y[:, None]).astype(float)
    else:
        losses = np.column_stack([loss for loss, _ in outcomes])
    index = getattr(X, "index", None)
    index = index if isinstance(index, pd.Index) else None
    answers = [labels for _, labels in outcomes]
    return Outcomes(
        models,
        sparsities,
        y,
        losses,
        predicted,
        correct,
        index,
        answers,
        positive,
        unscored,
        [finetuning_epochs(model) for model in models.values()],
        budgets,
    )
