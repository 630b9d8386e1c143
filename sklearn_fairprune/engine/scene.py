"""A network and the rows that statistics are taken on."""

import functools
from collections.abc import Callable, Collection, Iterator
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from ..functional.params import Features, Params, prunable
from .batches import Rows
from .evaluation import Evaluation, read

BATCH_SIZE = 1024


class Scene:
    """A network and the rows that statistics are taken on.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted; left as it is.
    rows : Rows or None
        Training rows, left as they are.
    seed : int
        Of whatever is drawn.
    names : collection of str, default=None
        Of the weights that are scored; None: of `prunable`.
    """

    def __init__(
        self,
        net: NeuralNet,
        rows: Rows | None,
        seed: int,
        names: Collection[str] | None = None,
    ) -> None:
        self.net, self.rows, self.seed = net, rows, seed
        self.names = set(prunable(net.module_) if names is None else names)

    @functools.cached_property
    def evaluation(self) -> Evaluation:
        """The network as a function of its parameters."""
        binary = isinstance(self.net.criterion_, (nn.BCELoss, nn.BCEWithLogitsLoss))
        classifies = binary or not self.rows.y.is_floating_point()
        return Evaluation(self.net, self.rows, classifies=classifies)

    @property
    def everyone(self) -> Tensor:
        """Numbers of all rows."""
        return torch.arange(len(self.rows))

    @property
    def members(self) -> list[Tensor]:
        """Numbers of the rows of every group."""
        groups = self.rows.groups
        return [torch.nonzero(groups == a)[:, 0] for a in range(int(groups.max()) + 1)]

    @property
    def mass(self) -> Tensor:
        """Weight of every row, 1 if they have none."""
        weights = self.rows.weights
        return (torch.ones(len(self.rows)) if weights is None else weights).double()

    def generator(self) -> torch.Generator:
        """Generator of random numbers on the CPU, the same every time."""
        return torch.Generator().manual_seed(self.seed)

    def batches(self, index: Tensor) -> Iterator[tuple[Tensor, Features, Tensor]]:
        """Numbers, features and targets of some rows, batch by batch."""
        for chunk in index.split(BATCH_SIZE):
            at = 0
            for X, y in read(self.evaluation, self.rows, chunk, BATCH_SIZE):
                yield chunk[at : at + len(y)], X, y
                at += len(y)

    def mean_losses(self, index: Tensor) -> Iterator[Callable[[Params], Tensor]]:
        """Mean loss of some rows, as a sum of functions of the parameters, one a batch."""
        mass = self.mass
        total = float(mass[index].sum()) or 1.0  # rows of weight 0 have a mean of 0
        for part, X, y in self.batches(index):
            yield functools.partial(self._weighted, X, y, mass[part] / total)

    def _weighted(self, X: Any, y: Tensor, share: Tensor, params: Params) -> Tensor:
        losses = self.evaluation.losses(params, X, y)
        return (losses * share.to(losses)).sum()
