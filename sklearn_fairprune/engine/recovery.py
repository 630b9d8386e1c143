"""How a pruned network gets back what it lost: the ways, their budget, the dense teacher."""

import math
from dataclasses import dataclass, replace
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.skorch import evaluation_mode, predict_nonlinearity
from ..functional.distillation import distillation_losses, squared_distances
from ..functional.shelf import Member, Shelf
from .batches import Batch, Rows, balanced
from .holding import n_batches
from .losses import has_logits, logit_form
from .networks import raw_outputs

# Steps of the optimizer that a fine-tuning takes if nobody says how many.
FEWEST_STEPS, MOST_STEPS = 500, 1000


@dataclass(frozen=True)
class Recovery:
    r"""What the kept weights are fitted to after pruning.

    Attributes
    ----------
    share : float in [0, 1]
        Of the divergence from the dense network in the loss, k; the rest is the net's own
        loss.
    temperature : float
        Of the divergence, T > 0.
    balance : float in [0, 1]
        Rows of a group count :math:`n_a^{-s}` times; only their ratios matter.
    reconstructs : bool
        Whether every layer is first refitted to the dense network's outputs of that layer.
    damping, layer_balance : float
        Of that least-squares problem; the latter as `balance`.
    """

    share: float = 0.0
    temperature: float = 1.0
    balance: float = 0.0
    reconstructs: bool = False
    damping: float = 0.01
    layer_balance: float = 0.0


def plain() -> Recovery:
    """Train the kept weights on the net's own loss."""
    return Recovery()


def distill(*, temperature: float = 1.0, share: float = 1.0, balance: float = 0.0) -> Recovery:
    """Train them towards the outputs of the dense network, which is the teacher."""
    return Recovery(share, temperature, balance)


def reconstruct(*, balance: float = 0.0, damping: float = 0.01) -> Recovery:
    """Refit them to the dense outputs layer by layer (least squares), then train as plain."""
    return Recovery(reconstructs=True, damping=damping, layer_balance=balance)


def reconstruct_distill() -> Recovery:
    """Refit them to the dense outputs layer by layer, then distill."""
    return replace(reconstruct(), share=distill().share)


RECOVERIES = Shelf(
    Member, Member(plain), Member(distill), Member(reconstruct), Member(reconstruct_distill)
)


def recovery_epochs(net: NeuralNet, rows: Rows) -> int:
    r"""Epochs of a fine-tuning that lets a pruned network recover.

    :math:`N = \max(\min(1000, \max(500, 2 N^*)), N^* / 4)` steps of the optimizer, for
    :math:`N^*` steps of the dense training; in whole epochs.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        It trains on.

    Returns
    -------
    n_epochs : int
        At least 1.
    """
    steps = n_batches(net, rows)
    if not steps:  # unknown: as long as the dense training
        return max(1, net.max_epochs)
    dense = net.max_epochs * steps
    wanted = max(min(MOST_STEPS, max(FEWEST_STEPS, 2 * dense)), dense / 4)
    return math.ceil(wanted / steps)


class Distillation:
    r"""The dense network as teacher of one training.

    The loss of a batch is :math:`(1 - k) J + k D`, of the net's own loss J and the weighted
    mean D of the rows' divergences (`distillation_losses`). Of networks whose outputs are no
    probabilities it is the squared distance of the outputs.

    Parameters
    ----------
    recovery : Recovery
        Share, temperature and balance.
    dense : skorch.NeuralNet
        Left as it is.
    rows : Rows
        Training rows.

    Attributes
    ----------
    rows : Rows
        The same with the dense outputs beside, computed once. Of a torch Dataset, whose
        samples may be random, they are computed batch by batch.
    """

    def __init__(self, recovery: Recovery, dense: NeuralNet, rows: Rows) -> None:
        self.dense, self.share, self.temperature = dense, recovery.share, recovery.temperature
        self.rows = rows
        if self.share and rows.sliceable:
            self.rows = rows.beside_outputs(raw_outputs(dense, rows).to(rows.dtype))
        self.group_weights = None
        if recovery.balance:
            self.group_weights = balanced(rows, recovery.balance).to(rows.dtype)
        self.diverges = self.share > 0 and _gives_probabilities(dense, rows)

    def row_losses(self, batch: Any, y_pred: Any) -> Tensor:
        """Divergence of every row of a batch.

        Parameters
        ----------
        batch : Batch or pair
            Of the training.
        y_pred : torch.Tensor
            Raw outputs of the net.

        Returns
        -------
        losses : torch.Tensor of shape (n,)
        """
        raw = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        target = getattr(batch, "dense_outputs", None)
        if target is None:
            evaluation_mode(self.dense)
            with torch.no_grad():
                target = self.dense.infer(batch[0])
            target = target[0] if isinstance(target, tuple) else target
        target = target.to(raw)
        if not self.diverges:
            return squared_distances(raw, target.reshape(raw.shape))
        logits = logit_form(self.dense)
        return distillation_losses(logits(raw), logits(target), temperature=self.temperature)

    def row_weights(self, batch: Batch) -> Tensor | None:
        """How often the rows of a batch count for their groups; None if all alike."""
        if self.group_weights is None:
            return None
        return self.group_weights.index_select(0, batch.groups)


def _gives_probabilities(net: NeuralNet, rows: Rows) -> bool:
    """Whether the outputs of a net are probabilities after its nonlinearity."""
    binary = isinstance(net.criterion_, (nn.BCELoss, nn.BCEWithLogitsLoss))
    if rows.y.is_floating_point() and not binary:
        return False
    if has_logits(net):
        return True
    values = predict_nonlinearity(net)(raw_outputs(net, rows.head()))
    in_range = bool((values >= 0).all()) and bool((values <= 1).all())
    return in_range and bool(torch.allclose(values.sum(dim=1), torch.ones(()).to(values)))
