"""Predictions that were made elsewhere, as estimators that have made them."""

import copy
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import column_or_1d
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import type_of_target

from .digests import predictions_digest
from .groups import distinct_labels
from .negligible import check_retrained

MANY_NUMBERS = 20  # more different whole numbers are a quantity
SUM_SLACK = 1e-3


class _Given(BaseEstimator):
    """An estimator that has predicted already."""

    def __init__(self, predicted: np.ndarray) -> None:
        self.predicted = predicted

    def __sklearn_is_fitted__(self) -> bool:
        """Say that there is nothing to fit."""
        return True

    @property
    def sha256(self) -> str:
        """Digest of the predictions."""
        return predictions_digest(self.predicted)

    def predict(self, X: Any) -> np.ndarray:
        """Return the predictions, of all rows in their order."""
        return self.predicted

    def of(self, kept: np.ndarray) -> Self:
        """The same of some rows.

        Parameters
        ----------
        kept : int ndarray
            Their positions.

        Returns
        -------
        given : object of this class
        """
        some = copy.copy(self)
        some.predicted = self.predicted[kept]
        return some


class GivenNumbers(RegressorMixin, _Given):
    """Numbers that were predicted elsewhere.

    Parameters
    ----------
    predicted : ndarray of shape (n,)
        Of all rows.
    """


class GivenClasses(ClassifierMixin, _Given):
    """Classes that were predicted elsewhere, and their probabilities where they are known.

    Parameters
    ----------
    predicted : ndarray of shape (n,)
        Labels of all rows.
    classes_ : ndarray of shape (n_classes,)
        In the order of the probabilities.
    probabilities : ndarray of shape (n, n_classes), default=None
        Of all rows.
    """

    def __init__(
        self, predicted: np.ndarray, classes_: np.ndarray, probabilities: Any = None
    ) -> None:
        super().__init__(predicted)
        self.classes_, self.probabilities = classes_, probabilities

    @property
    def sha256(self) -> str:
        """Digest of the probabilities, or of the labels where they are all that is known."""
        known = self.predicted if self.probabilities is None else self.probabilities
        return predictions_digest(known)

    @available_if(lambda self: self.probabilities is not None)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities, of all rows in their order."""
        return self.probabilities

    def of(self, kept: np.ndarray) -> Self:
        """The same of some rows, with their probabilities."""
        some = super().of(kept)
        if self.probabilities is not None:
            some.probabilities = self.probabilities[kept]
        return some


Given = GivenClasses | GivenNumbers


def given_digests(models: Mapping[str, Any]) -> dict[str, str]:
    """Digests of the predictions of models that were made elsewhere.

    Parameters
    ----------
    models : mapping of str to estimator
        Others, which are known by their networks, are passed over.

    Returns
    -------
    digests : dict of str to str
        By the name of the model; see `digests.predictions_digest`.
    """
    return {name: model.sha256 for name, model in models.items() if isinstance(model, Given)}


def is_quantity(y: Any) -> bool:
    """Whether targets are a quantity: fractions, or more than 20 different numbers.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Targets.

    Returns
    -------
    quantity : bool
    """
    if not len(y):
        return False
    kind = type_of_target(y)
    return kind == "continuous" or (y.dtype.kind in "iuf" and len(np.unique(y)) > MANY_NUMBERS)


def given_models(
    y: Any, predictions: Any, classes: Any = None, retrained: Any = None
) -> tuple[dict[str, Given], list[Given] | None]:
    """Estimators that have made the predictions.

    Parameters
    ----------
    y : array-like of shape (n,)
        Targets.
    predictions : dict of str to array-like
        As in `audit_predictions`.
    classes : array-like, default=None
        Order of the columns of probabilities; None: sorted.
    retrained : list of array-like, default=None
        Those of dense networks of other seeds.

    Returns
    -------
    models : dict of str to estimator
    retrained : list of estimator or None

    Raises
    ------
    ValueError
        Naming what is no prediction of these targets.
    """
    if not isinstance(predictions, Mapping) or not predictions:
        raise ValueError(
            "predictions must be a dict of names to labels or probabilities, the dense model "
            f"first, such as {{'dense': p0, 'pruned': p1}}, got {type(predictions).__name__}."
        )
    if retrained is not None:
        check_retrained(retrained)
    y, names = column_or_1d(y), distinct_labels(predictions)
    places = [f"predictions[{name!r}]" for name in names]
    places += [f"retrained[{k}]" for k in range(len(retrained or []))]
    every = [*predictions.values(), *(retrained or [])]
    found = _estimators(y, dict(zip(places, map(_flat, every), strict=True)), classes)
    models = dict(zip(names, found[: len(names)], strict=True))
    return models, None if retrained is None else found[len(names) :]


def _estimators(y, given, classes):
    """Estimators of predictions by what errors call them."""
    for name, values in given.items():
        if len(values) != len(y):
            raise ValueError(
                f"{name} must have one row per target, {len(y)}, got {len(values)}."
            )
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            odd = int((~np.isfinite(values)).any(axis=tuple(range(1, values.ndim))).sum())
            raise ValueError(
                f"{name} must be finite, and is not in {odd} rows. Leave these "
                "rows out of y, predictions and sensitive_features."
            )
    if classes is None and is_quantity(y):
        return [_numbers(name, values) for name, values in given.items()]
    known = np.unique(y) if classes is None else np.asarray(classes)
    if unknown := np.setdiff1d(y, known)[:10].tolist():
        raise ValueError(f"classes must have every label of y, and lack {unknown}.")
    labels = [v for v in given.values() if not _are_probabilities(v, known)]
    if classes is None:
        known = _union(known, labels, given)
    return [_classified(name, values, known) for name, values in given.items()]


def _flat(values):
    values = np.asarray(values)
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values


def _numbers(name, values):
    if values.ndim != 1 or values.dtype.kind not in "biuf":
        raise ValueError(
            f"{name} must be numbers, one per row, for y is a quantity; got "
            f"shape {values.shape} of {values.dtype}. If y has classes, give classes=."
        )
    return GivenNumbers(values.astype(float))


def _are_probabilities(values, classes):
    """Whether values are probabilities; 0 and 1 are labels where they are classes."""
    if values.ndim == 2:
        return True
    if values.dtype.kind != "f" or not ((values >= 0) & (values <= 1)).all():
        return False
    return not (classes.dtype.kind in "biuf" and np.isin(values, classes).all())


def _union(known, labels, given):
    """Classes of the targets and of the labels that were predicted."""
    for name, values in given.items():
        texts = values.dtype.kind in "OUS"
        if any(values is one for one in labels) and texts != (known.dtype.kind in "OUS"):
            raise ValueError(
                f"{name} must be labels such as those of y, "
                f"{known[:5].tolist()}, or probabilities, got {values[:3].tolist()}."
            )
    return np.unique(np.concatenate([known, *labels])) if labels else known


def _classified(name, values, classes):
    if not _are_probabilities(values, classes):
        return GivenClasses(values, classes)
    if values.ndim == 1 and len(classes) != 2:
        raise ValueError(
            f"{name} must have a column per class, {len(classes)}, for only of "
            "two classes one probability tells the other; or give labels."
        )
    if values.ndim == 1:
        values = np.column_stack([1 - values, values])
    if values.ndim != 2 or values.shape[1] != len(classes):
        raise ValueError(
            f"{name} must have a column for each of the classes "
            f"{classes[:10].tolist()}, got shape {values.shape}. Give classes= in the order "
            "of the columns."
        )
    sums = values.sum(axis=1)
    if (values < 0).any() or (abs(sums - 1) > SUM_SLACK).any():
        raise ValueError(
            f"{name} must be probabilities that add up to 1 in every row, got "
            f"sums from {sums.min():g} to {sums.max():g} and a least value of "
            f"{values.min():g}. Of logits take the softmax."
        )
    order = np.argsort(classes)
    values, classes = values[:, order].astype(float), classes[order]
    return GivenClasses(classes[values.argmax(axis=1)], classes, values)
