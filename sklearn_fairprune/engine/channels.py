"""Channels of a network, which of them go together, and which have to stay."""

import numpy as np
import torch
from torch import Tensor

OUTPUT = "an output"  # why the last channels stay


class Channels:
    """Sets of channels that can be removed only together; a disjoint-set forest.

    A channel is a number. Channels of one set are positions of tensors that meet in the same
    sums, so that none of them can go without the others. Frozen channels stay, and their
    whole set with them.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}

    def new(self, n: int, reason: str = "") -> Tensor:
        """Make channels, each in a set of its own.

        Parameters
        ----------
        n : int
            How many.
        reason : str, default=""
            Why they are frozen; "" if they are not.

        Returns
        -------
        channels : torch.LongTensor of shape (n,)
        """
        first = len(self._parents)
        self._parents.extend(range(first, first + n))
        if reason:
            self._reasons.update((i, reason) for i in range(first, first + n))
        return torch.arange(first, first + n)

    def join(self, a: Tensor, b: Tensor) -> None:
        """Unite the sets of the channels at the same places of two tensors.

        Parameters
        ----------
        a, b : torch.LongTensor
            Channels, of one shape.
        """
        pairs = torch.unique(a.flatten() * len(self._parents) + b.flatten())
        for pair in pairs.tolist():
            i, j = divmod(pair, len(self._parents))
            i, j = self._root(i), self._root(j)
            self._parents[max(i, j)] = min(i, j)

    def freeze(self, channels: Tensor, reason: str) -> None:
        """Make channels stay; the first reason is kept.

        Parameters
        ----------
        channels : torch.LongTensor
            Of any shape.
        reason : str
            Why.
        """
        for i in torch.unique(channels).tolist():
            self._reasons.setdefault(i, reason)

    def sets(self) -> tuple[Tensor, dict[int, str]]:
        """Name the set of every channel, and the sets that are frozen.

        Returns
        -------
        roots : torch.LongTensor of shape (n_channels,)
            The same number for all channels of a set.
        reasons : dict of int to str
            Why a set is frozen, by its number.
        """
        roots = np.array([self._root(i) for i in range(len(self._parents))], dtype=np.int64)
        reasons: dict[int, str] = {}
        for i, reason in sorted(self._reasons.items()):
            reasons.setdefault(int(roots[i]), reason)
        return torch.from_numpy(roots), reasons

    def _root(self, i: int) -> int:
        while self._parents[i] != i:
            self._parents[i] = self._parents[self._parents[i]]
            i = self._parents[i]
        return i
