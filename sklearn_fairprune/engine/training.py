"""Training a skorch net: masks that hold, divergence and Ctrl-C noticed."""

import dis
import math
from contextlib import contextmanager

import torch
from skorch.callbacks import Callback

from ..functional.params import prunable
from .epochs import LeanEpoch, trains_like_skorch, watches_batches
from .networks import randomness
from .row_weights import RowWeightedLoss


class HoldsMasks(Callback):
    """Base of the two callbacks that keep removed weights at 0.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        True = kept.
    """

    def __init__(self, masks):
        self.masks = masks

    def on_train_begin(self, net, **kwargs):
        """Pair every weight with what is removed from it, once per training."""
        weights = prunable(net.module_)
        self.removed_ = [
            (weights[name], ~mask.to(weights[name].device))
            for name, mask in self.masks.items()
        ]


class MaskGradients(HoldsMasks):
    """Zero the gradients of removed weights, before anybody looks at them.

    Momentum, Adam moments and gradient clipping then never see these weights.
    """

    def on_grad_computed(self, net, **kwargs):
        """Zero the gradients."""
        for weight, removed in self.removed_:
            if weight.grad is not None:
                weight.grad.masked_fill_(removed, 0.0)


class MaskWeights(HoldsMasks):
    """Set removed weights to exactly 0.0 after every step, whatever the optimizer did."""

    def on_batch_end(self, net, training, **kwargs):
        """Mask the weights after a step."""
        if training:
            self.on_train_end(net)

    def on_train_end(self, net, **kwargs):
        """Mask once more: a callback may have loaded earlier weights."""
        with torch.no_grad():
            for weight, removed in self.removed_:
                weight.masked_fill_(removed, 0.0)


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
def hooked(net, first, last, weighted, dual=None):
    """Add callbacks to an initialized net for a while, and its row-weighted loss.

    Parameters
    ----------
    net : skorch.NeuralNet
        Put back as it was at the end.
    first, last : list of Callback
        Called before and after the net's own callbacks.
    weighted : bool
        Whether the training rows have weights.
    dual : DualAscent, default=None
        One of `last`, which the loss tells of every batch.
    """
    loss, own = RowWeightedLoss(weighted, dual), net.callbacks_
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


def train(net, rows, epochs, *, seed, masks=None, events=None, stage="Training", dual=None):
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
    dual : DualAscent, default=None
        Multipliers of a group constraint on this training.

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
    last += [] if dual is None else [dual]
    last += [] if masks is None else [MaskWeights(masks)]
    last += [] if events is None else [events]
    y, done = rows.y.numpy(), len(net.history)
    rows.generator.manual_seed(seed)
    with randomness(net, seed), hooked(net, first, last, rows.weights is not None, dual):
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
