"""The loss of a batch as a weighted mean of its rows."""

from contextlib import contextmanager

import torch
from skorch.callbacks import Callback
from torch import nn


class RowWeightedLoss(Callback):
    r"""Loss of a batch as the weighted mean of its rows, :math:`\sum w_i l_i / \sum w_i`.

    Wraps the net's own ``get_loss`` while it trains. Without weights the net's loss is
    left as it is. Targets take the shape of the predictions, so that a regression on a
    vector is never broadcast to a matrix.

    Parameters
    ----------
    weighted : bool
        Whether the training rows have weights; a batch without them is then an error.
    """

    def __init__(self, weighted):
        self.weighted = weighted

    def attach(self, net):
        """Put this object in the place of ``net.get_loss``."""
        self.net_, self.own_loss_, self.batch_ = net, net.get_loss, None
        self.set_by_hand_ = "get_loss" in vars(net)
        net.__dict__["get_loss"] = self

    def detach(self):
        """Give the net its own ``get_loss`` back."""
        del self.net_.__dict__["get_loss"]
        if self.set_by_hand_:
            self.net_.__dict__["get_loss"] = self.own_loss_

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Remember the batch: its weights are not part of (X, y)."""
        self.batch_ = batch
        if self.weighted and training and not hasattr(batch, "weights"):
            raise ValueError(
                f"sample_weight cannot reach the loss through iterator_train="
                f"{net.iterator_train.__name__}, whose batches are not the package's own. "
                "Leave iterator_train at its default, or drop sample_weight."
            )

    def __call__(self, y_pred, y_true, *args, **kwargs):
        """Compute the loss of the current batch."""
        raw = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        floating = isinstance(y_true, torch.Tensor) and y_true.is_floating_point()
        if floating and raw.shape != y_true.shape:
            if raw.numel() != y_true.numel():
                raise ValueError(
                    f"The network gives outputs of shape {tuple(raw.shape[1:])} a row, "
                    f"but y has shape {tuple(y_true.shape[1:])} a row."
                )
            y_true = y_true.reshape(raw.shape)
        weights = getattr(self.batch_, "weights", None)
        if weights is None:
            return self.own_loss_(y_pred, y_true, *args, **kwargs)
        criterion = self.net_.criterion_
        summed = getattr(criterion, "reduction", None) == "sum"
        with per_row(criterion):
            losses = self.own_loss_(y_pred, y_true, *args, **kwargs)
        losses = losses.reshape(len(weights), -1)
        weights = weights.to(losses.device)
        if summed:
            return (weights * losses.sum(dim=1)).sum()
        total = (weights * label_weights(criterion, y_true).to(losses.device)).sum()
        return (weights * losses.mean(dim=1)).sum() / total


def label_weights(criterion, y_true):
    """What torch divides a mean by, row by row: class weights, and 0 for ignored labels."""
    if not isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return torch.ones(len(y_true))
    kept = y_true != criterion.ignore_index
    if criterion.weight is None:
        return kept.float()
    weight = criterion.weight.cpu()
    return weight[torch.where(kept, y_true, 0).cpu()] * kept.cpu()


@contextmanager
def per_row(criterion):
    """Switch a criterion to ``reduction="none"`` for a while.

    Raises
    ------
    ValueError
        If it has no reduction to switch: a mean cannot be weighted row by row.
    """
    own = getattr(criterion, "reduction", None)
    if own not in ("mean", "sum", "none"):
        raise ValueError(
            "The loss of every row is needed (for sample_weight or diagnostics), but the "
            f"criterion {type(criterion).__name__} has no `reduction` to set to 'none'. "
            "Use a torch criterion, or give yours that attribute."
        )
    criterion.reduction = "none"
    try:
        yield
    finally:
        criterion.reduction = own
