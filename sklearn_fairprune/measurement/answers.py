"""What a model answered to the held-out rows, which is asked for once."""

from functools import cached_property
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.metaestimators import available_if


class Answers(BaseEstimator):
    """The answers of a model, as an estimator whose X are the positions of the rows.

    Scorers ask it for predictions, probabilities or decisions again and again; the model is
    asked once.

    Parameters
    ----------
    model : fitted estimator
        Who answers.
    X : array-like
        Held-out rows.
    y : ndarray
        Their targets.
    predicted : ndarray
        What the model predicted.
    positive : object, default=None
        The positive class, if there is one.
    weights : ndarray, default=None
        Weights of the rows; None if there are none.
    """

    classifies = False

    def __init__(
        self,
        model: Any,
        X: Any,
        y: np.ndarray,
        predicted: np.ndarray,
        positive: Any = None,
        weights: Any = None,
    ) -> None:
        self.model, self.X, self.y = model, X, y
        self.predicted, self.positive, self.weights = predicted, positive, weights

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True

    def fit(self, X: Any, y: Any) -> "Answers":
        """Return itself: the model is fitted."""
        return self

    def predict(self, rows: np.ndarray) -> np.ndarray:
        """Predictions of rows.

        Parameters
        ----------
        rows : int ndarray
            Their positions.

        Returns
        -------
        predicted : ndarray
        """
        return self.predicted[rows]


class AnswersOfRegressor(RegressorMixin, Answers):
    """Answers of a regressor."""


class AnswersOfClassifier(ClassifierMixin, Answers):
    """Answers of a classifier."""

    classifies = True

    @property
    def classes_(self) -> np.ndarray:
        """Classes in the order of the probabilities."""
        return np.asarray(self.model.classes_)

    @cached_property
    def _probabilities(self):
        if hasattr(self.model, "predict_proba"):
            return np.asarray(self.model.predict_proba(self.X), dtype=np.float64)
        return np.exp(np.asarray(self.model.predict_log_proba(self.X), dtype=np.float64))

    @cached_property
    def _decisions(self):
        return np.asarray(self.model.decision_function(self.X))

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        """Probabilities of the classes.

        Parameters
        ----------
        rows : int ndarray
            Positions of rows.

        Returns
        -------
        probabilities : ndarray of shape (n, n_classes)
        """
        return self._probabilities[rows]

    @available_if(lambda self: hasattr(self.model, "decision_function"))
    def decision_function(self, rows: np.ndarray) -> np.ndarray:
        """Decisions, if the model has them.

        Parameters
        ----------
        rows : int ndarray
            Positions of rows.

        Returns
        -------
        decisions : ndarray
        """
        return self._decisions[rows]


def answers_of(
    models: Any,
    X: Any,
    y: np.ndarray,
    predicted: Any,
    classifies: bool,
    positive: Any,
    weights: Any = None,
) -> list[Answers]:
    """Answers of every model.

    Parameters
    ----------
    models : iterable of fitted estimator
        In the order of the report.
    X : array-like
        Held-out rows.
    y : ndarray
        Their targets.
    predicted : sequence of ndarray
        Predictions of every model.
    classifies : bool
        Whether the models are classifiers.
    positive : object
        The positive class, or None.
    weights : ndarray, default=None
        Weights of the rows.

    Returns
    -------
    answers : list of Answers
    """
    kind = AnswersOfClassifier if classifies else AnswersOfRegressor
    pairs = zip(models, predicted, strict=True)
    return [kind(model, X, y, labels, positive, weights) for model, labels in pairs]
