"""What a fit leaves behind, as one object; the public attributes are read from it."""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
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
        Before and after pruning; None for a dense network that was let go.
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
    shrunk : dict or None
        What `shrink` did to the net; None before.
    of_dense : dict
        What else is told of the dense network, where it was let go.
    """

    dense: NeuralNet | None
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
    shrunk: dict[str, Any] | None = None
    of_dense: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Compute once what attributes of an estimator may not cost."""
        values = {
            "sparsity": masks_sparsity(self.masks),
            "effective_sparsity": masks_sparsity(self.live),
            "classes": getattr(self.targets, "classes", None),
            **(self.of_dense if self.dense is None else self._told_of(self.dense)),
        }
        for name, value in values.items():
            object.__setattr__(self, name, value)

    def _told_of(self, dense: NeuralNet) -> dict[str, Any]:
        """What is told of the dense network."""
        weights = skipped(dense.module_, self.masks, self.reasons)
        return {
            "dead_units": dead_units(dense.module_, self.live),
            "skipped": {name: reason for name, (_, reason) in weights.items()},
            "share": share_of(self.masks, weights),
        }

    def __getstate__(self) -> dict[str, Any]:
        """Store a mask in bits: it would be a quarter of the network's size."""
        packed = {
            name: {
                k: (np.packbits(mask.numpy()), mask.shape)
                for k, mask in vars(self)[name].items()
            }
            for name in MASKS
        }
        return vars(self) | packed

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Make masks of bits again."""
        unpacked = {
            name: {
                k: torch.from_numpy(
                    np.unpackbits(bits, count=shape.numel()).astype(bool)
                ).reshape(shape)
                for k, (bits, shape) in state[name].items()
            }
            for name in MASKS
        }
        vars(self).update(state | unpacked)

    def change(self, **values: Any) -> "Fitted":
        """Return the state with some fields changed."""
        return replace(self, **values)

    def without_dense(self) -> "Fitted":
        """Return the state without the weights that only pruning again would need."""
        if self.dense is None:
            return self
        return self.change(dense=None, early={}, of_dense=self._told_of(self.dense))

    def restored(self, what: str) -> "Fitted":
        """Return the state as before `shrink`, but for the net, to begin from the dense one.

        Parameters
        ----------
        what : str
            That needs it.

        Raises
        ------
        ValueError
            If the dense network was let go.
        """
        if self.dense is None:
            raise ValueError(f"{what} needs the dense network, and {LET_GO}")
        return self.change(shrunk=None)

    def require_masked(self, what: str) -> None:
        """Raise if the net has been shrunk.

        Parameters
        ----------
        what : str
            That needs the masked network.

        Raises
        ------
        ValueError
            If it has.
        """
        if self.shrunk is not None:
            raise ValueError(
                f"{what} needs the masked network, with a gradient for every weight, and this "
                "estimator was made smaller by shrink(), with its constants folded. Use the "
                "estimator that shrink() was called on; it was left as it is."
            )


MASKS = ("masks", "live")
LET_GO = (
    "this estimator let it go: shrink(drop_dense=True). Use the estimator that shrink() was "
    "called on, or shrink it again without drop_dense."
)
MISSING = {
    "dense": LET_GO,
    "shrunk": "only what shrink() returns has it. Call shrink() first.",
}


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
        value = getattr(state, self.field)
        if value is None and self.field in MISSING:
            kind = type(estimator).__name__
            raise AttributeError(f"{kind} has no {self.name}: {MISSING[self.field]}")
        return value
