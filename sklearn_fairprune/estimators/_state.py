"""What a fit leaves behind, as one object; the public attributes are read from it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from skorch import NeuralNet
from torch import Tensor

from ..engine.liveness import dead_units
from ..functional.masks import masks_sparsity
from ..functional.params import share_of, skipped
from ._targets import ClassTargets, RegressionTargets


@dataclass(frozen=True)
class Fitted:
    """State of a fitted pruner.

    Attributes
    ----------
    dense, net : skorch.NeuralNet
        Before and after pruning.
    masks, live : dict of str to torch.BoolTensor
        True = kept; True = kept, and on a path from an input to an output.
    history : list of dict
        One row per epoch.
    targets : ClassTargets or RegressionTargets
        Of `fit`.
    groups : ndarray
        Names of the groups.
    sample_shape : tuple
        Of one sample of X.
    seed : int
        Of everything that was drawn.
    early : dict of str to torch.Tensor
        Weights early in the dense training; empty if they were not asked for.
    reasons : dict of str to str
        Why weights are left alone that could be pruned otherwise.
    n_partial_fits : int
        Calls of `partial_fit` since the last `fit` or `prune`.
    """

    dense: NeuralNet
    net: NeuralNet
    masks: dict[str, Tensor]
    live: dict[str, Tensor]
    history: list[dict[str, Any]]
    targets: ClassTargets | RegressionTargets
    groups: np.ndarray
    sample_shape: tuple
    seed: int
    early: dict[str, Tensor] = field(default_factory=dict)
    n_partial_fits: int = 0
    reasons: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compute once what attributes of an estimator may not cost."""
        weights = skipped(self.dense.module_, self.masks, self.reasons)
        values = {
            "sparsity": masks_sparsity(self.masks),
            "effective_sparsity": masks_sparsity(self.live),
            "dead_units": dead_units(self.dense.module_, self.live),
            "classes": getattr(self.targets, "classes", None),
            "skipped": {name: reason for name, (_, reason) in weights.items()},
            "share": share_of(self.masks, weights),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def change(self, **values: Any) -> "Fitted":
        """Return the state with some fields changed."""
        return replace(self, **values)


class FromState:
    """Attribute that a fitted estimator reads from its state.

    Parameters
    ----------
    field : str
        Of `Fitted`.
    """

    def __init__(self, field: str) -> None:
        self.field = field

    def __set_name__(self, owner: type, name: str) -> None:
        """Remember the attribute's name, for the message."""
        self.name = name

    def __get__(self, estimator: Any, owner: type | None = None) -> Any:
        """Read it; before `fit` there is none."""
        if estimator is None:
            return self
        state = vars(estimator).get("_fitted")
        if state is None:
            raise AttributeError(f"{type(estimator).__name__} has no {self.name} before fit.")
        return getattr(state, self.field)
