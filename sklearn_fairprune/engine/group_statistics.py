"""Losses and errors of groups: summed by batch, over a data set, or as running means."""

from contextlib import nullcontext
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor
from torch.utils.data import Subset

from .._compat.skorch import evaluation_mode, training_mode
from ..functional.lagrangian import violations
from .batches import Batch, BatchIterator, Rows
from .losses import measured_losses, row_losses, row_mass, shaped_like
from .networks import predicted_codes
from .randomness import seeded

N_SUMS = 4


def group_sums(
    losses: Tensor, errors: Tensor, groups: Tensor, mass: Tensor, n_groups: int
) -> Tensor:
    """Sums over the rows of each group.

    Parameters
    ----------
    losses, errors : torch.Tensor of shape (n,)
        Loss of each row times its weight, error (0 or 1) times its mass.
    groups : torch.LongTensor of shape (n,)
        Group codes.
    mass : torch.Tensor of shape (n,)
        What a mean is divided by, row by row.
    n_groups : int
        Number of groups m.

    Returns
    -------
    sums : float64 torch.Tensor of shape (m, 4)
        Of mass, loss, error and, for the deviation of the losses, mass times the square of
        a row's loss per mass; on the CPU.
    """
    columns = torch.stack([mass, losses, errors], dim=1).double()
    squares = torch.where(mass > 0, columns[:, 1] ** 2 / columns[:, 0], 0.0)
    columns = torch.cat([columns, squares[:, None]], dim=1)
    return columns.new_zeros(n_groups, N_SUMS).index_add_(0, groups, columns)


class RowValues:
    """Losses, errors and groups of rows that were seen batch by batch, not yet summed.

    Parameters
    ----------
    net : skorch.NeuralNet
        Whose criterion and predictions count.
    n_groups : int
        Number of groups m.
    errors : bool
        Whether to count wrong predictions, which only classifiers have.
    """

    def __init__(self, net: NeuralNet, n_groups: int, errors: bool) -> None:
        self.net, self.m, self.errors = net, n_groups, errors
        self.batches: list[tuple[Tensor, ...]] = []

    def of(self, batch: Batch, y_pred: Any, losses: Tensor) -> tuple[Tensor, ...]:
        """Columns of one batch: what `add` takes in."""
        wrong = None
        if self.errors:
            y = batch[1].reshape(len(losses), -1)[:, 0].to(losses.device)
            wrong = predicted_codes(self.net, y_pred) != y
        return batch[1], batch.groups, batch.weights, losses, wrong

    def add(self, columns: tuple[Tensor, ...]) -> None:
        """Keep the columns of one batch."""
        self.batches.append(columns)

    def sums(self) -> Tensor:
        """Group sums of all that was kept, which is then forgotten."""
        if not self.batches:
            return torch.zeros(self.m, N_SUMS, dtype=torch.float64)
        return group_sums(*self.columns(), self.m)

    def columns(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Losses, errors, groups and masses of all that was kept, which is then forgotten.

        Of shape (n,), losses and errors times what a row counts, as `group_sums` takes them.
        """
        columns = zip(*self.batches, strict=True)
        self.batches = []
        y, groups, weights, losses, wrong = (
            None if column[0] is None else torch.cat(column).cpu() for column in columns
        )
        mass = row_mass(self.net.criterion_, y, weights)
        losses = losses if weights is None else losses * weights
        wrong = torch.zeros_like(losses) if wrong is None else wrong * mass
        return losses, wrong, groups, mass


def evaluate(
    net: NeuralNet,
    rows: Rows,
    n_groups: int,
    index: Tensor | None = None,
    errors: bool = False,
) -> Tensor:
    """Group sums of some rows in evaluation mode.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; left in the mode it is in.
    rows : Rows
        With groups.
    n_groups : int
        Number of groups m.
    index : torch.LongTensor, default=None
        Which rows; None for all.
    errors : bool, default=False
        Whether to count wrong predictions, which only classifiers have.

    Returns
    -------
    sums : float64 torch.Tensor of shape (m, 4)
        As from `group_sums`.
    """
    return _seen(net, rows, n_groups, index, errors).sums()


def row_values(net: NeuralNet, rows: Rows, errors: bool = False) -> tuple[Tensor, ...]:
    """Loss, error, group and mass of every row in evaluation mode.

    Parameters
    ----------
    net, rows, errors
        See `evaluate`.

    Returns
    -------
    losses, errors, groups, mass : torch.Tensor of shape (n,)
        Losses and errors are times what a row counts, as `group_sums` takes them.
    """
    return _seen(net, rows, 0, None, errors).columns()


def _seen(
    net: NeuralNet, rows: Rows, n_groups: int, index: Tensor | None, errors: bool
) -> RowValues:
    """What a net makes of rows in evaluation mode."""
    options = {} if rows.sliceable else net.get_params_for("iterator_valid")
    for name in ("batch_size", "shuffle", "drop_last", "sampler", "batch_sampler"):
        options.pop(name, None)
    part: Any = rows if index is None else Subset(rows, index.tolist())
    seen, mode = RowValues(net, n_groups, errors), net.module_.training
    evaluation_mode(net)
    with torch.no_grad(), nullcontext() if rows.sliceable else seeded(0):
        for batch in BatchIterator(part, 1024, **options):
            y_pred = net.infer(batch[0])
            y = shaped_like(y_pred, batch[1].to(net.device))
            losses = row_losses(net, y_pred, y, X=batch[0], training=False)
            losses = measured_losses(net, y_pred, y, losses)
            seen.add(seen.of(batch, y_pred, losses))
    if mode:
        training_mode(net)
    return seen


def means_of(sums: Tensor) -> Tensor:
    """Mean loss and error of each group, of shape (m, 2); 0 where a group is absent."""
    return _means(sums)[:, :2]


def _means(sums: Tensor) -> Tensor:
    """All means of a group: of losses, errors and squared losses."""
    return torch.where(sums[:, :1] > 0, sums[:, 1:] / sums[:, :1].clamp(min=1e-300), 0.0)


def named(means: Tensor, masses: Tensor, dense: Tensor | None = None) -> dict[str, Tensor]:
    """Group statistics under the names that constraints ask for.

    A group without mass gets the mean of all others, so that it moves no constraint.

    Parameters
    ----------
    means : torch.Tensor of shape (m, 2)
        Mean loss and error.
    masses : torch.Tensor of shape (m,)
        Of each group; the shares follow.
    dense : torch.Tensor of shape (m, 2), default=None
        Mean loss and error under the dense network.

    Returns
    -------
    statistics : dict of str to torch.Tensor of shape (m,)
    """
    shares = masses / masses.sum()

    def filled(means):
        mean = shares @ torch.where(masses[:, None] > 0, means, 0.0)
        return torch.where(masses[:, None] > 0, means, mean).T

    statistics = dict(zip(("losses", "errors"), filled(means), strict=True))
    if dense is not None:
        statistics |= dict(zip(("dense_losses", "dense_errors"), filled(dense), strict=True))
    return statistics | {"shares": shares}


def violations_of(constraint: Any, sums: Tensor, dense: Tensor | None = None) -> Tensor:
    """Violation of each group by sums over rows; NaN for groups that have none."""
    masses = sums[:, 0]
    violation = violations(constraint, named(means_of(sums), masses, dense)).detach()
    return torch.where(masses > 0, violation, torch.nan)


class GroupWindow:
    """Running mean loss and error of each group over the rows it had last.

    A group's mean goes back a part of its own rows, so small groups are averaged over as
    large a part of an epoch as large ones, and absent groups keep what they had.

    Parameters
    ----------
    masses : torch.Tensor of shape (m,)
        Mass of each group in a whole epoch.
    window : float
        Part of an epoch in (0, 1].
    dense : torch.Tensor of shape (m, 2), default=None
        Mean loss and error under the dense network.
    sizes : torch.Tensor of shape (m,), default=None
        Effective number of rows of each group; None: its mass.
    """

    def __init__(
        self,
        masses: Tensor,
        window: float,
        dense: Tensor | None = None,
        sizes: Tensor | None = None,
    ) -> None:
        self.masses, self.window, self.dense = masses, window, dense
        self.sizes = masses if sizes is None else sizes
        self.means = masses.new_zeros(len(masses), N_SUMS - 1)
        self.seen = torch.zeros(len(masses), dtype=torch.bool)

    def move(self, sums: Tensor) -> Tensor:
        """Take in the sums of some rows; returns which groups have any."""
        present = sums[:, 0] > 0
        rate = (sums[:, 0] / (self.window * self.masses).clamp(min=1e-300)).clamp(max=1)
        rate = torch.where(self.seen, rate, 1.0)[:, None]
        moved = self.means + rate * (_means(sums) - self.means)
        self.means = torch.where(present[:, None], moved, self.means)
        self.seen |= present
        return present

    def statistics(self) -> dict[str, Tensor]:
        """Statistics of the groups seen so far; the others have the share 0."""
        return named(self.means[:, :2], self.masses * self.seen, self.dense)

    def errors(self, subject: str) -> Tensor:
        """Standard error of each group's mean of "losses" or "errors", by its own rows.

        Infinite for a group of one row, or none so far.
        """
        losses, wrong, squares = self.means.T
        variance = wrong * (1 - wrong) if subject == "errors" else squares - losses**2
        variance = variance.clamp(min=0) / (self.sizes - 1)
        return torch.where(self.seen & (self.sizes > 1), variance.sqrt(), torch.inf)
