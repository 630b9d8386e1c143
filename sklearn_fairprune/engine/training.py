"""Training a skorch net: row weights, masks that hold, divergence and Ctrl-C noticed."""

import dis
import math
from contextlib import contextmanager

import torch
from skorch.callbacks import Callback
from torch import nn

from ..functional.params import prunable
from .epochs import LeanEpoch, trains_like_skorch, watches_batches
from .networks import randomness


class MaskGradients(Callback):
    """Zero the gradients of removed weights, before anybody looks at them.

    Momentum, Adam moments and gradient clipping then never see these weights.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        True = kept.
    """

    def __init__(self, masks):
        self.masks = masks

    def on_train_begin(self, net, **kwargs):
        """Look the weights up once per training."""
        self.removed_ = removed_weights(net, self.masks)

    def on_grad_computed(self, net, **kwargs):
        """Zero the gradients."""
        for weight, removed in self.removed_:
            if weight.grad is not None:
                weight.grad.masked_fill_(removed, 0.0)


class MaskWeights(Callback):
    """Set removed weights to exactly 0.0 after every step, whatever the optimizer did.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        True = kept.
    """

    def __init__(self, masks):
        self.masks = masks

    def on_train_begin(self, net, **kwargs):
        """Look the weights up once per training."""
        self.removed_ = removed_weights(net, self.masks)

    def on_batch_end(self, net, training, **kwargs):
        """Mask the weights after a step."""
        if training:
            self.on_train_end(net)

    def on_train_end(self, net, **kwargs):
        """Mask once more: a callback may have loaded earlier weights."""
        with torch.no_grad():
            for weight, removed in self.removed_:
                weight.masked_fill_(removed, 0.0)


def removed_weights(net, masks):
    """Pairs of weight and the mask of what is removed from it, on the weight's device."""
    weights = prunable(net.module_)
    return [(weights[name], ~mask.to(weights[name].device)) for name, mask in masks.items()]


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
            "sample_weight needs the loss of every row, but the criterion "
            f"{type(criterion).__name__} has no `reduction` attribute to set to 'none'. "
            "Use a torch criterion, or give yours that attribute."
        )
    criterion.reduction = "none"
    try:
        yield
    finally:
        criterion.reduction = own


class StopOnDivergence(Callback):
    """Raise as soon as a training loss is NaN or infinite.

    Parameters
    ----------
    stage : str
        What diverged, for the message.
    """

    def __init__(self, stage):
        self.stage = stage

    def on_batch_end(self, net, training, loss=None, **kwargs):
        """Check the loss of the batch."""
        if training and not math.isfinite(loss.item()):
            raise_diverged(self.stage, net, f"the loss is {loss.item()}")

    def on_train_end(self, net, **kwargs):
        """Check the weights: the last step may have broken them."""
        for name, parameter in net.module_.named_parameters():
            if not torch.isfinite(parameter).all():
                raise_diverged(self.stage, net, f"{name} has weights that are NaN or infinite")


def raise_diverged(stage, net, what):
    """Raise the error that names epoch and learning rate."""
    rates = sorted({float(g["lr"]) for g in net.optimizer_.param_groups})
    raise ValueError(
        f"{stage} diverged in epoch {len(net.history)} at learning rate "
        f"{', '.join(f'{r:g}' for r in rates)}: {what}. Scale the inputs "
        "(StandardScaler), lower the learning rate, or clip gradients "
        "(skorch.callbacks.GradientNormClipping)."
    )


class EpochEvents(Callback):
    """Report the begin and end of every epoch to somebody outside; True stops training.

    Parameters
    ----------
    begin, end : callable of net
        ``end`` may return True to stop.
    """

    def __init__(self, begin, end):
        self.begin, self.end = begin, end

    def on_train_begin(self, net, **kwargs):
        """No epoch is open yet."""
        self.open_ = False

    def on_epoch_begin(self, net, **kwargs):
        """Report the begin."""
        self.open_ = True
        self.begin(net)

    def on_epoch_end(self, net, **kwargs):
        """Report the end; stop where asked, in the way skorch's EarlyStopping does."""
        self.open_ = False
        if self.end(net):
            raise KeyboardInterrupt

    def on_train_end(self, net, **kwargs):
        """Close an epoch whose end another callback cut short."""
        if self.open_:
            self.end(net)


def asked_by_callback(interrupt):
    """Whether a KeyboardInterrupt is a skorch callback's way to stop, not a Ctrl-C.

    A callback stops with a ``raise`` statement; a Ctrl-C arrives at any other instruction.
    """
    traceback = interrupt.__traceback__
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    raised = frame.f_code.co_code[traceback.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return raised and isinstance(frame.f_locals.get("self"), Callback)


@contextmanager
def hooked(net, first, last, weighted):
    """Add callbacks to an initialized net for a while, and its row-weighted loss.

    Parameters
    ----------
    net : skorch.NeuralNet
        Put back as it was at the end.
    first, last : list of Callback
        Called before and after the net's own callbacks.
    weighted : bool
        Whether the training rows have weights.
    """
    loss, own = RowWeightedLoss(weighted), net.callbacks_
    lean = trains_like_skorch(net) and not any(watches_batches(c) for _, c in own)
    loss.attach(net)
    named = [
        [(type(hook).__name__, hook) for hook in hooks] for hooks in ([loss, *first], last)
    ]
    net.callbacks_ = named[0] + own + named[1]
    if lean:
        net.__dict__["run_single_epoch"] = LeanEpoch(net, loss, first, last)
    try:
        yield
    finally:
        net.__dict__.pop("run_single_epoch", None)
        net.callbacks_ = own
        loss.detach()


def train(net, rows, epochs, *, seed, masks=None, events=None, stage="Training"):
    """Train an initialized net for some epochs, from the weights it has.

    skorch's ``partial_fit`` does the same but swallows a Ctrl-C and goes on with a
    half-trained net; here it is raised. Stops asked for by callbacks (early stopping)
    are honoured.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    rows : Rows
        Training data.
    epochs : int
        At most this many.
    seed : int
        For whatever the training draws.
    masks : dict of str to torch.BoolTensor, default=None
        Weights to keep at 0.0 where False.
    events : EpochEvents, default=None
        Who wants to know about epochs.
    stage : str, default="Training"
        How messages call it.

    Returns
    -------
    history : list of dict
        One entry an epoch: its number, losses and scores.

    Raises
    ------
    ValueError
        If the loss or the weights become NaN or infinite.
    """
    first = [] if masks is None else [MaskGradients(masks)]
    last = [StopOnDivergence(stage)]
    last += [] if masks is None else [MaskWeights(masks)]
    last += [] if events is None else [events]
    y, done = rows.y.numpy(), len(net.history)
    rows.generator.manual_seed(seed)
    with randomness(net, seed), hooked(net, first, last, rows.weights is not None):
        net.notify("on_train_begin", X=rows, y=y)
        try:
            net.fit_loop(rows, y, epochs=epochs)
        except KeyboardInterrupt as interrupt:
            if not asked_by_callback(interrupt):
                raise
        net.notify("on_train_end", X=rows, y=y)
    return epoch_records(net)[done:]


def epoch_records(net):
    """Return what skorch's history holds per epoch, without the entries per batch."""
    return [
        {key: value for key, value in epoch.items() if isinstance(value, (int, float))}
        for epoch in net.history
    ]
