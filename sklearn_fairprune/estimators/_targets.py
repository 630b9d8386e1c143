"""What the targets decide: labels as codes, numbers as rows of numbers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.utils.multiclass import check_classification_targets

from .sensitive import Groups


@dataclass(frozen=True)
class ClassTargets:
    """Labels, as positions in the classes.

    Attributes
    ----------
    classes : ndarray
        Labels in sorted order.
    n_outputs : int
        Outputs that a network needs for them.
    """

    classes: np.ndarray
    n_outputs: int = field(init=False)
    classifies: ClassVar[bool] = True
    checks: ClassVar[Mapping[str, Any]] = {}

    def __post_init__(self):
        """Count the classes."""
        object.__setattr__(self, "n_outputs", len(self.classes))

    @classmethod
    def learn(cls, pruner, y, classes=None):
        """Find the classes: those given, those of a frozen network, or those of y."""
        if classes is not None:
            return cls(np.unique(classes))
        check_classification_targets(y)
        found = np.unique(y)
        if isinstance(pruner.estimator, FrozenEstimator):
            found = np.asarray(getattr(pruner.estimator.estimator, "classes_", found))
        return cls(found)

    def encode(self, y):
        """Code of every label.

        Raises
        ------
        ValueError
            If a label is unknown.
        """
        unknown = np.setdiff1d(y, self.classes)
        if unknown.size:
            raise ValueError(
                f"y has labels that are not among the classes {some(self.classes)}: "
                f"{some(unknown)}. All labels must be known from the first fit."
            )
        return np.searchsorted(self.classes, y).astype(np.int64)

    def default_groups(self, codes):
        """Groups where no sensitive features are given: the classes."""
        return Groups(codes, self.classes)

    def unknown(self, n_rows):
        """Codes of rows whose labels nobody knows: of no class, so that no loss takes them."""
        return np.full(n_rows, -1, dtype=np.int64)

    def check_trainable(self, codes):
        """Refuse one class only."""
        if len(np.unique(codes)) < 2:
            raise ValueError(
                "A classifier needs at least 2 classes in y (with a positive "
                f"sample_weight), got 1 class: {some(self.classes[codes[:1]])}."
            )

    def check_outputs(self, shape):
        """Refuse a network whose predictions have another shape a row."""
        if shape != (self.n_outputs,):
            raise ValueError(
                f"y has {self.n_outputs} classes {some(self.classes)}, but the network gives "
                f"predictions of shape {shape} a row. Give its last layer {self.n_outputs} "
                "outputs."
            )


@dataclass(frozen=True)
class RegressionTargets:
    """Numbers, one or several a row.

    Attributes
    ----------
    shape : tuple
        Of the targets of a row: () or (k,).
    dtype : {"float32", "float64"}
        What the network computes in.
    n_outputs : int
        Outputs that a network needs for them.
    """

    shape: tuple
    dtype: str
    n_outputs: int = field(init=False)
    classifies: ClassVar[bool] = False
    checks: ClassVar[Mapping[str, Any]] = {"y_numeric": True, "multi_output": True}

    def __post_init__(self):
        """Count the targets of a row."""
        object.__setattr__(self, "n_outputs", int(np.prod(self.shape)))

    @classmethod
    def learn(cls, pruner, y, classes=None):
        """Remember the shape of a row's targets."""
        return cls(y.shape[1:], pruner.dtype)

    def encode(self, y):
        """Targets as a matrix.

        Raises
        ------
        ValueError
            If they have another shape than in `fit`, or do not fit the dtype.
        """
        if y.shape[1:] != self.shape:
            raise ValueError(
                f"y has targets of shape {y.shape[1:]} a row, fit had {self.shape}."
            )
        with np.errstate(over="ignore"):
            targets = y.reshape(len(y), -1).astype(self.dtype)
        if not np.isfinite(targets).all():
            raise ValueError(
                f"y has values too large for dtype={self.dtype!r}; scale it, for example with "
                "TransformedTargetRegressor."
            )
        return targets

    def default_groups(self, targets):
        """Groups where no sensitive features are given: one of all rows."""
        return Groups(np.zeros(len(targets), dtype=np.int64), np.array(["all"]))

    def unknown(self, n_rows):
        """Targets of rows whose targets nobody knows: no numbers."""
        return np.full((n_rows, self.n_outputs), np.nan, dtype=self.dtype)

    def check_trainable(self, targets):
        """Any numbers will do."""

    def check_outputs(self, shape):
        """Refuse a network that gives another number of outputs a row."""
        if int(np.prod(shape)) != self.n_outputs:
            raise ValueError(
                f"y has {self.n_outputs} target(s) a row, but the network gives predictions "
                f"of shape {shape} a row. Give its last layer {self.n_outputs} output(s)."
            )


def some(labels, most=10):
    """First labels as text."""
    shown = ", ".join(repr(v) for v in np.asarray(labels)[:most].tolist())
    return f"[{shown}{', ...' if len(labels) > most else ''}]"


def check_probabilities(probability: np.ndarray) -> None:
    """Refuse outputs that are no class probabilities."""
    sums = probability.sum(axis=1)
    if probability.min() < -1e-3 or np.abs(sums - 1).max() > 1e-3:
        raise ValueError(
            "The network's outputs are not probabilities: the smallest is "
            f"{probability.min():.3g} and rows sum to {sums.min():.3g} at least and "
            f"{sums.max():.3g} at most. Train with a cross-entropy, or give the net a "
            "predict_nonlinearity."
        )
