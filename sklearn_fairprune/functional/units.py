"""Units of a network that go together with all their weights."""

from typing import NamedTuple

import torch
from torch import Tensor


class UnitGroup(NamedTuple):
    """Units that the same layers make and read; each can be removed, with all its entries.

    Attributes
    ----------
    n_units : int
        How many.
    owners : dict of str to tuple of (torch.LongTensor or None)
        By the name of every parameter that has entries of them: for its first dimension
        (rows), and for its second (columns), the number of the unit at each place, -1 where
        there is none; None for a dimension without places of units.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_fairprune.engine.structure import Structure
    >>> net = nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))
    >>> group, = Structure(net, torch.zeros(2, 3)).units()
    >>> group.n_units, list(group.owners)
    (2, ['0.weight', '0.bias', '2.weight'])
    >>> group.entries("2.weight", 1, net[2].weight)
    tensor([[False,  True]])
    """

    n_units: int
    owners: dict[str, tuple[Tensor | None, Tensor | None]]

    def entries(self, name: str, unit: int, like: Tensor) -> Tensor:
        """Mark what belongs to a unit.

        Parameters
        ----------
        name : str
            Of a parameter.
        unit : int
            Number of the unit.
        like : torch.Tensor
            The parameter: its shape counts.

        Returns
        -------
        entries : torch.BoolTensor
            Of the shape of `like`.
        """
        found = torch.zeros(like.shape, dtype=torch.bool)
        for dim, owner in enumerate(self.owners[name]):
            if owner is not None:
                found |= (owner == unit).reshape(-1, *(1,) * (like.dim() - 1 - dim))
        return found

    def counts(self, name: str, like: Tensor) -> Tensor:
        """Count the entries of every unit.

        Parameters
        ----------
        name : str
            Of a parameter.
        like : torch.Tensor
            The parameter: its shape counts.

        Returns
        -------
        counts : torch.LongTensor of shape (n_units,)
            Of entries, where one that is in a row and in a column of the unit counts once.
        """
        lines = []
        for owner in self.owners[name]:
            owned = torch.zeros(0, dtype=torch.long) if owner is None else owner[owner >= 0]
            lines.append(torch.bincount(owned, minlength=self.n_units))
        rows, columns = lines
        height, width = (*like.shape, 1)[:2]
        places = rows * width + columns * height - rows * columns
        return places * (like.numel() // (height * width))
