"""Training a skorch net: masks that hold, divergence and Ctrl-C noticed.

skorch notifies every callback three times a batch and writes a history entry for each.
For small networks that costs as much as the arithmetic. Where no callback listens to
batches and the net's class trains the way skorch does, `LeanEpoch` takes the same steps to
the same weights without it; any other net goes skorch's own way.
"""

import math
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType
from typing import Any, NamedTuple, NoReturn

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochScoring, LRScheduler, PrintLog
from skorch.dataset import get_len, unpack_data
from torch import Tensor

from .._compat.skorch import (
    optimizer_names,
    step_optimizer,
    steps_of,
    training_mode,
    zero_gradients,
)
from .batches import BatchIterator, Rows
from .holding import Held, MaskGradients, MaskWeights, Snapshot
from .losses import RowWeightedLoss, overridden
from .networks import MLP, check_untrimmed
from .randomness import seeded


class StopOnDivergence(Callback):
    """Raise as soon as a training loss is NaN or infinite.

    Parameters
    ----------
    stage : str
        What diverged, for the message.
    """

    def __init__(self, stage: str) -> None:
        self.stage = stage

    def on_batch_end(
        self, net: NeuralNet, training: bool, loss: Tensor | None = None, **kwargs: Any
    ) -> None:
        """Check the loss of the batch."""
        if training and not math.isfinite(loss.item()):
            raise_diverged(self.stage, net, f"the loss is {loss.item()}")

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Check the weights: the last step may have broken them."""
        for name, parameter in net.module_.named_parameters():
            if not torch.isfinite(parameter).all():
                raise_diverged(self.stage, net, f"{name} has weights that are NaN or infinite")


def raise_diverged(stage: str, net: NeuralNet, what: str) -> NoReturn:
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

    def __init__(self, begin: Callable, end: Callable) -> None:
        self.begin, self.end = begin, end

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """No epoch is open yet."""
        self.open_ = False

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Report the begin."""
        self.open_ = True
        self.begin(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Report the end; stop where asked, in the way skorch's EarlyStopping does."""
        self.open_ = False
        if self.end(net):
            raise KeyboardInterrupt

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Close an epoch whose end another callback cut short."""
        if self.open_:
            self.end(net)


BATCH_EVENTS = ("on_batch_begin", "on_grad_computed", "on_batch_end")


def may_be_lean(net: NeuralNet) -> bool:
    """Whether a net trains as skorch does, and nobody watches its batches."""
    return trains_like_skorch(net) and not any(watches_batches(c) for _, c in net.callbacks_)


def watches_batches(callback: Callback) -> bool:
    """Whether a callback does anything on the batches of a training epoch."""
    if isinstance(callback, EpochScoring) and not callback.on_train:
        return False
    if isinstance(callback, LRScheduler) and callback.step_every == "epoch":
        return False
    return any(
        getattr(type(callback), event) is not getattr(Callback, event)
        or event in vars(callback)
        for event in BATCH_EVENTS
    )


def trains_like_skorch(net: NeuralNet) -> bool:
    """Whether class and optimizer of a net leave skorch's training step as it is."""
    as_skorch = steps_of(type(net)) == steps_of(NeuralNet)
    known = type(net.optimizer_).__module__.startswith("torch.optim.")
    closure = isinstance(net.optimizer_, torch.optim.LBFGS)
    return as_skorch and len(optimizer_names(net)) == 1 and known and not closure


class LeanEpoch:
    """Stands in for ``net.run_single_epoch`` while training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; its ``get_loss`` is a `RowWeightedLoss`.
    before_step, after_step : list of Callback
        Whose ``on_grad_computed`` or ``on_batch_end`` takes part in every step.
    """

    def __init__(
        self, net: NeuralNet, before_step: list[Callback], after_step: list[Callback]
    ) -> None:
        self.net = net
        self.before_step, self.after_step = before_step, after_step

    def __call__(
        self, iterator: Any, training: bool, prefix: str, step_fn: Callable, **fit_params: Any
    ) -> None:
        """Run one epoch; its mean loss becomes the only batch entry of the history."""
        net = self.net
        if not training or fit_params:
            own = type(net).run_single_epoch
            own(net, iterator, training, prefix, step_fn, **fit_params)
            return
        training_mode(net)
        total = n_rows = n_batches = 0
        for batch in iterator:
            X, loss = self.step(batch)
            size = get_len(X)
            total, n_rows, n_batches = total + loss * size, n_rows + size, n_batches + 1
        if n_batches:
            net.history.new_batch()
            net.history.record_batch(f"{prefix}_loss", total / n_rows)
            net.history.record_batch(f"{prefix}_batch_size", n_rows)
        net.history.record(f"{prefix}_batch_count", n_batches)

    def step(self, batch: Any) -> tuple[Any, Tensor]:
        """Take one optimizer step; returns the features and the loss."""
        net = self.net
        net.get_loss.on_batch_begin(net, batch=batch, training=True)
        X, y = unpack_data(batch)
        zero_gradients(net)
        loss = net.get_loss(net.infer(X), y, X=X, training=True)
        loss.backward()
        for hook in self.before_step:
            hook.on_grad_computed(net, named_parameters=None)
        step_optimizer(net)
        for hook in self.after_step:
            hook.on_batch_end(net, batch=batch, training=True, loss=loss)
        return X, loss.item()


class Interrupts:
    """Tells a Ctrl-C from a callback's way to stop, which raises the same exception.

    A Ctrl-C is a signal, and signals are noted while the block lasts; callbacks raise
    without one. Python handles signals in the main thread only: elsewhere none comes.
    """

    def __init__(self) -> None:
        self.pressed = False

    def __enter__(self) -> "Interrupts":
        """Begin to note signals."""
        self.own = signal.getsignal(signal.SIGINT)
        self.noting = (
            callable(self.own) and threading.current_thread() is threading.main_thread()
        )
        if self.noting:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *error: Any) -> None:
        """Leave signals to whoever had them before."""
        if self.noting:
            signal.signal(signal.SIGINT, self.own)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.pressed = True
        if callable(self.own):
            self.own(number, frame)

    def asked_by_callback(self, interrupt: BaseException) -> bool:
        """Whether the innermost frame of an exception is a callback's, and no key was hit."""
        traceback = interrupt.__traceback__
        while traceback.tb_next is not None:
            traceback = traceback.tb_next
        inside = isinstance(traceback.tb_frame.f_locals.get("self"), Callback)
        return inside and not self.pressed


@contextmanager
def hooked(
    net: NeuralNet,
    first: list[Callback],
    last: list[Callback],
    weighted: bool,
    dual: Any = None,
    distillation: Any = None,
) -> Iterator[None]:
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
    distillation : Distillation, default=None
        The dense network as teacher.
    """
    own, lean = net.callbacks_, may_be_lean(net)
    epoch = {"run_single_epoch": LeanEpoch(net, first, last)} if lean else {}
    before, after = (
        [(type(hook).__name__, hook) for hook in hooks] for hooks in (first, last)
    )
    loss = RowWeightedLoss(net, weighted, dual, distillation)
    with overridden(net, get_loss=loss, **epoch):
        heard = [(name, hook) for name, hook in own if not is_mute(net, hook)]
        net.callbacks_ = [("RowWeightedLoss", loss)] + before + heard + after
        try:
            yield
        finally:
            net.callbacks_ = own


def is_mute(net: NeuralNet, callback: Callback) -> bool:
    """Whether a callback is the log of a net that prints none: it formats it all the same."""
    return type(callback) is PrintLog and callback.sink is print and not net.verbose


def randomness(net: NeuralNet, seed: int) -> AbstractContextManager:
    """Guard for training: the default network needs no global random state, others may.

    Dropout, random augmentation and data loaders draw from the global state, so other nets
    train inside `seeded`, one thread at a time.
    """
    quiet = type(net.module_) is MLP and not net.train_split
    own_batches = net.iterator_train is net.iterator_valid is BatchIterator
    return nullcontext() if quiet and own_batches else seeded(seed)


class Extras(NamedTuple):
    """What a fine-tuning does besides training.

    Attributes
    ----------
    held : Held or None
        Masks that hold, and may change.
    first, last : sequence of Callback
        Called before and after the net's own callbacks.
    distillation : Distillation or None
        The dense network as teacher.
    """

    held: Held | None = None
    first: Sequence[Callback] = ()
    last: Sequence[Callback] = ()
    distillation: Any = None


def train(
    net: NeuralNet,
    rows: Rows,
    epochs: int,
    *,
    seed: int,
    masks: Mapping[str, Tensor] | None = None,
    events: tuple[Callable, Callable] | None = None,
    stage: str = "Training",
    dual: Any = None,
    snapshot: Snapshot | None = None,
    extras: Any = None,
) -> list[dict[str, Any]]:
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
    events : (callable, callable), default=None
        Who wants to know of the begin and end of epochs, see `EpochEvents`.
    stage : str, default="Training"
        How messages call it.
    dual : DualAscent, default=None
        Multipliers of a group constraint on this training.
    snapshot : Snapshot, default=None
        Keeps the weights of one of the epochs.
    extras : Extras, default=None
        What a fine-tuning does besides: masks that change, rates, a teacher.

    Returns
    -------
    history : list of dict
        One entry an epoch: its number, losses and scores.

    Raises
    ------
    ValueError
        If the loss or the weights become NaN or infinite, or the net was trimmed for
        prediction.
    """
    check_untrimmed(net, f"{stage} needs an optimizer")
    extras = Extras() if extras is None else extras
    held = extras.held if masks is None else Held(masks)
    first = [] if held is None else [MaskGradients(held)]
    first += extras.first
    last = [StopOnDivergence(stage)]
    last += [] if dual is None else [dual]
    last += [] if held is None else [MaskWeights(held)]
    last += extras.last
    last += [] if snapshot is None else [snapshot]
    last += [] if events is None else [EpochEvents(*events)]
    y, done = rows.y.numpy(), len(net.history)
    rows.generator.manual_seed(seed)
    weighted, interrupts = rows.weights is not None, Interrupts()
    hooks = hooked(net, first, last, weighted, dual, extras.distillation)
    with randomness(net, seed), hooks, interrupts:
        net.notify("on_train_begin", X=rows, y=y)
        try:
            net.fit_loop(rows, y, epochs=epochs)
        except KeyboardInterrupt as interrupt:
            if not interrupts.asked_by_callback(interrupt):
                raise
        net.notify("on_train_end", X=rows, y=y)
    return epoch_records(net)[done:]


def epoch_records(net: NeuralNet) -> list[dict[str, Any]]:
    """Return what skorch's history holds per epoch, without the entries per batch."""
    return [
        {key: value for key, value in epoch.items() if isinstance(value, (int, float))}
        for epoch in net.history
    ]
