"""Fits of a linear layer to rows that are weighted by their groups, all or fold by fold."""

import torch
from torch import Tensor

from ..functional.last_layer import refit_layer, refit_pull
from .last_layer import LayerRows

PULL = 0.3  # back to the layer before, times `refit_pull`
MAX_STEPS = 100  # of L-BFGS
FOLD_STEPS = 20  # the same of a fold, which goes on from where it was at the last call
N_FOLDS = 5


class LayerFit:
    """Rows that a layer is fitted on, and which of its entries may change.

    Parameters
    ----------
    rows : LayerRows
        As the layer sees them.
    free : bool torch.Tensor of shape (q, p + 1)
        Entries that may change, as from `LastLayer.free`.
    """

    def __init__(self, rows: LayerRows, free: Tensor) -> None:
        self.rows, self.free = rows, free
        loss = rows.weights @ rows.losses(rows.outputs) / rows.mass.sum()
        self.pull = PULL * refit_pull(rows.inputs, rows.outputs, rows.mass, float(loss))
        self.starts: dict[int, Tensor] = {}  # what each fold came to, to go on from

    def fit(
        self,
        weights: Tensor,
        start: Tensor,
        kept: Tensor | float = 1.0,
        max_steps: int = MAX_STEPS,
    ) -> Tensor:
        """Change of the layer that is best for rows weighted by their groups.

        Parameters
        ----------
        weights : torch.Tensor of shape (m,)
            Of the rows of each group.
        start : torch.Tensor of shape (q, p + 1)
            Change to begin with.
        kept : torch.Tensor of shape (n,) or float, default=1.0
            0.0 for rows that do not count.
        max_steps : int
            Bound on the steps of L-BFGS.

        Returns
        -------
        change : torch.Tensor of shape (q, p + 1)
        """
        rows = self.rows
        own = kept * rows.weights * weights[rows.groups] / (kept * rows.mass).sum()
        return refit_layer(
            rows.inputs,
            rows.outputs,
            lambda outputs: own @ rows.losses(outputs),
            self.free,
            self.pull,
            start=start,
            max_iter=max_steps,
        )

    def moves(self, weights: Tensor) -> Tensor:
        """What fits add to the outputs of rows that they have not seen, fold by fold.

        A fold goes on from where it was at the last call, for some steps.

        Parameters
        ----------
        weights : torch.Tensor of shape (m,)
            Of the rows of each group.

        Returns
        -------
        move : torch.Tensor of shape (n, q)
            By the fit on the four other folds of each row.
        """
        rows, folds = self.rows, torch.empty_like(self.rows.groups)
        for group in rows.groups.unique():
            at = (rows.groups == group).nonzero()[:, 0]
            folds[at] = torch.arange(len(at)) % N_FOLDS
        move, nothing = torch.zeros_like(rows.outputs), torch.zeros_like(self.free).double()
        for fold in folds.unique().tolist():
            there = folds == fold
            kept, start = (~there).double(), self.starts.get(fold, nothing)
            self.starts[fold] = found = self.fit(weights, start, kept, FOLD_STEPS)
            move[there] = rows.inputs[there] @ found.T
        return move
