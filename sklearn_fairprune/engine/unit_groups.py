"""The units of a network by kind: neurons, channels, attention heads."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._compat.torch import plain_name
from ..functional.params import Features
from ..functional.units import UnitGroup
from .structure import Structure

KINDS = ("neuron", "channel", "head")


class FoundUnits(NamedTuple):
    """Units of a network that can be removed.

    Attributes
    ----------
    groups : dict of str to list of UnitGroup
        By kind.
    reasons : list of str
        Why others have to stay.
    """

    groups: dict[str, list[UnitGroup]]
    reasons: list[str]


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
    ([5], ['2.weight: an output'])
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
    reasons = [structure.reason] if structure.reason else []
    for space in structure.spaces:
        if space.frozen:
            reasons += [f"{name}.weight: {space.reason}" for name in space.rows]
    return FoundUnits(groups, list(dict.fromkeys(reasons)))


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
