"""Which weights of a network are pruned, and why the others are not."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import nn

from ..functional.granularities import GRANULARITIES, Granularity
from ..functional.params import DEFAULT_KINDS, KINDS, input_dims, prunable
from ..functional.pools import fitting
from .networks import prunable_or_raise


@dataclass(frozen=True)
class Selection:
    """Which weights are pruned, and how they go.

    Attributes
    ----------
    layers : tuple of str
        Kinds of layers, among "linear", "conv", "recurrent" and "attention".
    ignored : tuple of str
        Names or patterns of weights or layers that stay whole.
    granularity : Granularity
        Some leave weights alone that do not fit them.
    """

    layers: tuple[str, ...] = DEFAULT_KINDS
    ignored: tuple[str, ...] = ()
    granularity: Granularity = GRANULARITIES["weight"]

    def __post_init__(self) -> None:
        """Refuse kinds that do not exist."""
        unknown = [kind for kind in self.layers if kind not in KINDS]
        if unknown or not self.layers:
            raise ValueError(
                f"layers must name some of {list(KINDS)}, got {list(self.layers)}."
            )

    def weights(self, module: nn.Module) -> dict[str, nn.Parameter]:
        """Weights of a network that are pruned.

        Parameters
        ----------
        module : torch.nn.Module
            The network.

        Returns
        -------
        weights : dict of str to torch.nn.Parameter
            In the order of the layers.

        Raises
        ------
        ValueError
            If there are none, or a name to ignore is unknown.
        """
        weights = prunable_or_raise(module, self.layers)
        reasons = self.reasons(module)
        found = {name: weight for name, weight in weights.items() if name not in reasons}
        if not found and set(reasons.values()) == {"ignored"}:
            raise ValueError(
                f"ignored_layers={list(self.ignored)} leaves nothing to prune: it fits all of "
                f"{list(weights)}."
            )
        if not found:
            told = ", ".join(f"{name}: {reason}" for name, reason in reasons.items())
            raise ValueError(
                f"granularity={self.granularity.name!r} fits no layer ({told}). Use another "
                "one, or granularity='weight'."
            )
        return found

    def reasons(self, module: nn.Module) -> dict[str, str]:
        """Why weights of the kinds of layers that are pruned are left alone.

        Parameters
        ----------
        module : torch.nn.Module
            The network.

        Returns
        -------
        reasons : dict of str to str
            By the name of the weight; of those that are left alone.
        """
        known = prunable(module, tuple(KINDS))
        ignored = set(fitting(self.ignored, known, "ignored_layers"))
        unfit = self._unfit(module)
        own = prunable(module, self.layers)
        found = {name: "ignored" if name in ignored else unfit.get(name, "") for name in own}
        return {name: reason for name, reason in found.items() if reason}

    def _unfit(self, module: nn.Module) -> Mapping[str, str]:
        """Why weights do not fit the granularity, "" where they do."""
        unfit = self.granularity.unfit
        if unfit is None:
            return {}
        return {name: unfit(inputs) for name, inputs in input_dims(module).items()}
