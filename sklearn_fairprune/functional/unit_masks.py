"""Whole units gone at once: neurons, channels, attention heads, with all their weights."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from .masks import ranked
from .units import UnitGroup

# By how much of all weights the share that is removed may miss the one that was asked for.
TOLERANCE = 0.01


class _Group(NamedTuple):
    """Units of a group, and what they own of the weights that are pruned."""

    n_units: int
    owners: dict[str, tuple[np.ndarray | None, np.ndarray | None]]
    fewest: int


def unit_masks(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: str = "global",
    kept: Mapping[str, Tensor] | None = None,
    *,
    groups: Sequence[UnitGroup],
    min_density: float | None = None,
    costs: Mapping[str, float] | None = None,
) -> dict[str, Tensor]:
    r"""Keep the units with the highest mean scores.

    With a unit go its rows and its columns. Its score is the mean of the scores of the weights
    that it still has,

    .. math:: s_u = \frac{\sum_{w \in W_u} s_w}{\sum_{w \in W_u} c_w}, \quad c_w = 1,

    what is lost for each weight that is gained: so layers of all widths compete. With other
    costs it is what is lost for the cost that is saved. Units go in
    ascending order of their scores until the share of removed weights is nearest to
    `sparsity`.

    Parameters
    ----------
    scores : dict of str to torch.Tensor
        One score per weight, by parameter name; higher = keep.
    sparsity : float in [0, 1)
        Share of all these weights to remove; met up to half a unit.
    scope : {"global", "layerwise"}, default="global"
        Whether units of all groups compete, or each group loses the same share of its own.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks, True = kept: units that have nothing left stay removed.
    groups : sequence of UnitGroup
        The units that can go; weights of none of them stay.
    min_density : float in [0, 1), default=None
        Share of the units of every group that stays; at least one does.
    costs : dict of str to float, default=None
        What a weight of each layer costs, :math:`c_w`; None: all the same.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept, on the CPU, same shapes as `scores`.

    Raises
    ------
    ValueError
        If a score is NaN, or so many weights cannot go.

    References
    ----------
    Units coupled through sums go together, as in Fang, Ma, Song, Mi, Wang, "DepGraph: towards
    any structural pruning", CVPR 2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.structure import Structure
    >>> from sklearn_fairprune.functional.unit_masks import unit_masks
    >>> net = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    >>> scores = {
    ...     "0.weight": torch.tensor([[1.0, 1.0], [2.0, 2.0]]),
    ...     "1.weight": torch.tensor([[1.0, 2.0]]),
    ... }
    >>> groups = Structure(net, torch.zeros(1, 2)).units()
    >>> unit_masks(scores, 0.5, groups=groups)["1.weight"]
    tensor([[False,  True]])
    """
    values = {name: v.astype(float) for name, v in ranked(scores).items()}
    earlier = {
        name: np.ones(v.shape, dtype=bool) if kept is None else kept[name].numpy()
        for name, v in values.items()
    }
    found = [_prepared(group, values, min_density) for group in groups]
    total = sum(v.size for v in values.values())
    order = _order(found, values, earlier, scope, costs)

    def masks_at(count: int) -> dict[str, np.ndarray]:
        return _without(found, order[:count], earlier)

    count = _nearest(masks_at, len(order), round(sparsity * total), total)
    masks = masks_at(count)
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}


def sparsest(
    shapes: Mapping[str, tuple[int, ...]],
    groups: Sequence[UnitGroup],
    min_density: float | None = None,
) -> dict[str, Tensor]:
    """Masks of a network with the fewest units.

    Parameters
    ----------
    shapes : dict of str to tuple of int
        Of the weights that are pruned.
    groups, min_density
        See `unit_masks`.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept.
    """
    values = {name: np.zeros(shape) for name, shape in shapes.items()}
    earlier = {name: np.ones(shape, dtype=bool) for name, shape in shapes.items()}
    found = [_prepared(group, values, min_density) for group in groups]
    masks = _without(found, _order(found, values, earlier, "global"), earlier)
    return {name: torch.from_numpy(mask) for name, mask in masks.items()}


def _prepared(
    group: UnitGroup, values: Mapping[str, np.ndarray], min_density: float | None
) -> _Group:
    """What a group owns of the weights that have scores."""
    owners = {
        name: tuple(None if owner is None else owner.cpu().numpy() for owner in both)
        for name, both in group.owners.items()
        if name in values
    }
    fewest = max(1, math.ceil(group.n_units * (min_density or 0.0) - 1e-9))
    return _Group(group.n_units, owners, fewest)  # type: ignore[arg-type]


def _per_unit(group: _Group, tables: Mapping[str, np.ndarray]) -> np.ndarray:
    """Sums of tables of the weights' shapes over the entries of every unit."""
    sums = np.zeros(group.n_units)
    for name, (rows, columns) in group.owners.items():
        table = tables[name].reshape(*tables[name].shape[:2], -1).sum(-1)
        for owner, line in ((rows, table.sum(1)), (columns, table.sum(0))):
            if owner is not None:
                sums += _binned(owner, line, group.n_units)
        if rows is not None and columns is not None:  # entries in both count once
            i, j = np.nonzero((rows[:, None] == columns) & (rows[:, None] >= 0))
            sums -= _binned(rows[i], table[i, j], group.n_units)
    return sums


def _binned(owner: np.ndarray, line: np.ndarray, n_units: int) -> np.ndarray:
    owned = owner >= 0
    return np.bincount(owner[owned], weights=line[owned], minlength=n_units)


def _order(
    groups: Sequence[_Group],
    values: Mapping[str, np.ndarray],
    earlier: Mapping[str, np.ndarray],
    scope: str,
    costs: Mapping[str, float] | None = None,
) -> np.ndarray:
    """Pairs (group, unit) in the order in which they go; those that must stay are left out."""
    present = {name: np.where(earlier[name], v, 0.0) for name, v in values.items()}
    sizes = {name: mask.astype(float) for name, mask in earlier.items()}
    priced = sizes if costs is None else {k: costs[k] * v for k, v in sizes.items()}
    lines = []
    for number, group in enumerate(groups):
        n_left, sums = _per_unit(group, sizes), _per_unit(group, present)
        saved = _per_unit(group, priced)
        means = np.where(n_left > 0, sums / np.where(saved > 0, saved, 1), -np.inf)
        means[(saved <= 0) & (n_left > 0)] = np.inf  # nothing would be saved
        units = np.argsort(means, kind="stable")[: group.n_units - group.fewest]
        place = means[units]
        if scope == "layerwise":
            place = (np.arange(len(units)) + 1) / group.n_units
            place[np.isneginf(means[units])] = -np.inf
        lines += [(p, number, unit) for p, unit in zip(place, units, strict=True)]
    lines.sort(key=lambda line: line[0])
    return np.array([line[1:] for line in lines], dtype=np.int64).reshape(-1, 2)


def _without(
    groups: Sequence[_Group], removed: np.ndarray, earlier: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Masks without some units."""
    masks = {name: mask.copy() for name, mask in earlier.items()}
    for number, group in enumerate(groups):
        gone = np.zeros(group.n_units + 1, dtype=bool)  # the last one stands for no unit
        gone[removed[removed[:, 0] == number, 1]] = True
        for name, (rows, columns) in group.owners.items():
            if rows is not None:
                masks[name][gone[rows]] = False
            if columns is not None:
                masks[name][:, gone[columns]] = False
    return masks


def _nearest(
    masks_at: Callable[[int], Mapping[str, np.ndarray]], most: int, wanted: int, total: int
) -> int:
    """Number of units with which the number of removed weights is nearest to the wanted."""

    def removed(count: int) -> int:
        return total - sum(int(mask.sum()) for mask in masks_at(count).values())

    low, high = 0, most
    while low < high:  # the fewest units with which enough is gone
        middle = (low + high) // 2
        low, high = (low, middle) if removed(middle) >= wanted else (middle + 1, high)
    reached = removed(low)
    if reached < wanted - TOLERANCE * total:
        raise ValueError(
            f"sparsity asks for {wanted} of {total} weights to go, and whole units that can "
            f"be removed have {reached} of them: at least one unit of every layer stays, and "
            "so do weights that belong to no unit. Set sparsity to at most "
            f"{math.floor(1e4 * reached / total) / 1e4:g}, lower min_density, or use "
            "granularity='weight'."
        )
    if low and wanted - removed(low - 1) < reached - wanted:
        return low - 1
    return low


class Units:
    """Granularity of whole units of some kinds.

    Parameters
    ----------
    summary : str
        One line on it.
    *kinds : {"neuron", "channel", "head"}
        Which: units of linear layers, of convolutions, of attention.
    """

    def __init__(self, summary: str, *kinds: str) -> None:
        self.kinds, self.__doc__ = kinds, summary

    def __call__(
        self,
        scores: Mapping[str, Tensor],
        sparsity: float,
        scope: Any = "global",
        kept: Mapping[str, Tensor] | None = None,
        *,
        unit_groups: Mapping[str, Sequence[UnitGroup]],
        min_density: float | None = None,
        progress: float = 1.0,
        costs: Mapping[str, float] | None = None,
    ) -> dict[str, Tensor]:
        """Remove units; see `unit_masks`.

        Parameters
        ----------
        scores, sparsity, scope, kept, min_density, costs
            See `unit_masks`.
        unit_groups : dict of str to sequence of UnitGroup
            By kind.
        progress : float, default=1.0
            Not used: the order of units does not depend on it.

        Returns
        -------
        masks : dict of str to torch.BoolTensor
        """
        groups = self.of(unit_groups)
        options: dict[str, Any] = {
            "groups": groups,
            "min_density": min_density,
            "costs": costs,
        }
        return unit_masks(scores, sparsity, scope, kept, **options)

    def of(self, unit_groups: Mapping[str, Sequence[UnitGroup]]) -> list[UnitGroup]:
        """Groups of these kinds.

        Parameters
        ----------
        unit_groups : dict of str to sequence of UnitGroup
            By kind.

        Returns
        -------
        groups : list of UnitGroup
        """
        return [group for kind in self.kinds for group in unit_groups[kind]]
