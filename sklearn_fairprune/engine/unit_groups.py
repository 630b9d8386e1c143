"""The units of a network by kind: neurons, channels, attention heads."""

from collections.abc import Collection
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._compat.torch import plain_name
from ..functional.params import Features
from ..functional.units import UnitGroup
from .channels import OUTPUT
from .structure import Structure

KINDS = ("neuron", "channel", "head")
UNFOLLOWED = "called more than once, shared, or made of other parameters"


class FoundUnits(NamedTuple):
    """Units of a network that can be removed.

    Attributes
    ----------
    groups : dict of str to list of UnitGroup
        By kind.
    reasons : dict of str to str
        Why others have to stay, by the name of the weight that makes them, or of the network.
    kinds : dict of str to str
        What kind of unit each weight makes.
    """

    groups: dict[str, list[UnitGroup]]
    reasons: dict[str, str]
    kinds: dict[str, str]

    def staying(self, kinds: tuple[str, ...], names: Collection[str]) -> dict[str, str]:
        """Why weights have no units that can go, but for those that make the outputs.

        Parameters
        ----------
        kinds : tuple of str
            Some of `KINDS`; weights that make units of other kinds are left out.
        names : collection of str
            Of the weights.

        Returns
        -------
        reasons : dict of str to str
            By the name of the weight; or of the network, if it could not be traced.
        """
        owned = {k for kind in kinds for group in self.groups[kind] for k in group.owners}
        told = {k: v for k, v in self.reasons.items() if k not in self.kinds}
        for name in names:
            reason = self.reasons.get(name, UNFOLLOWED)
            if name not in owned and self.kinds[name] in kinds and reason != OUTPUT:
                told[name] = reason
        return told


def find_units(module: nn.Module, sample: Features) -> FoundUnits:
    """Find the units of a network that can be removed, by kind.

    Neurons are made by linear layers, channels by convolutions; those that are added to each
    other go together, and go by the convolution. Heads are those of torch's attention: with a
    head go its rows of the input projections and its columns of the output projection.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it is.
    sample : torch.Tensor or dict of them
        One or two rows as the network reads them.

    Returns
    -------
    found : FoundUnits

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_fairprune.engine.unit_groups import find_units
    >>> net = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
    >>> found = find_units(net, torch.zeros(2, 3))
    >>> [group.n_units for group in found.groups["neuron"]], found.reasons
    ([5], {'2.weight': 'an output'})
    """
    structure = Structure(module, sample)
    weights = {plain_name(name): p for name, p in module.named_parameters()}
    groups: dict[str, list[UnitGroup]] = {kind: [] for kind in KINDS}
    for group in structure.units():
        made_by = [
            weights[k].dim() for k, (rows, _) in group.owners.items() if rows is not None
        ]
        groups["channel" if max(made_by) > 2 else "neuron"].append(group)
    groups["head"] = heads_of(module)
    reasons = {"network": structure.reason} if structure.reason else {}
    for space in structure.spaces:
        if space.frozen:
            reasons |= {f"{name}.weight": space.reason for name in space.rows}
    kinds = {name: "channel" if w.dim() > 2 else "neuron" for name, w in weights.items()}
    return FoundUnits(groups, reasons, kinds)


def heads_of(module: nn.Module) -> list[UnitGroup]:
    """Heads of every attention layer of torch, a group for each layer.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it is.

    Returns
    -------
    groups : list of UnitGroup
    """
    found = []
    for name, layer in module.named_modules():
        if not isinstance(layer, nn.MultiheadAttention):
            continue
        place = f"{plain_name(name)}." if name else ""
        head = torch.arange(layer.num_heads).repeat_interleave(layer.head_dim)
        parts: dict[str, tuple[Tensor | None, Tensor | None]] = {
            "in_proj_weight": (head.repeat(3), None),
            "in_proj_bias": (head.repeat(3), None),
            "q_proj_weight": (head, None),
            "k_proj_weight": (head, None),
            "v_proj_weight": (head, None),
            "out_proj.weight": (None, head),
        }
        known = dict(layer.named_parameters())
        owners = {f"{place}{k}": both for k, both in parts.items() if k in known}
        found.append(UnitGroup(layer.num_heads, owners))
    return found
