"""A leaner training epoch, for nets that nobody watches batch by batch.

skorch notifies every callback three times a batch and writes a history entry for each.
For small networks that costs as much as the arithmetic. Where no callback listens to
batches and the net's class trains the way skorch does, the epoch below takes the same
steps to the same weights without it; any other net goes skorch's own way.
"""

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochScoring, LRScheduler
from skorch.dataset import get_len, unpack_data

BATCH_EVENTS = ("on_batch_begin", "on_grad_computed", "on_batch_end")
STEPS = (
    *BATCH_EVENTS,
    "notify",
    "run_single_epoch",
    "train_step",
    "train_step_single",
    "get_train_step_accumulator",
    "_set_training",
    "_zero_grad_optimizer",
    "_step_optimizer",
)


def watches_batches(callback):
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


def trains_like_skorch(net):
    """Whether class and optimizer of a net leave skorch's training step as it is."""
    own = (getattr(type(net), step) is getattr(NeuralNet, step) for step in STEPS)
    known = type(net.optimizer_).__module__.startswith("torch.optim.")
    closure = isinstance(net.optimizer_, torch.optim.LBFGS)
    return all(own) and len(net._optimizers) == 1 and known and not closure


class LeanEpoch:
    """Stands in for ``net.run_single_epoch`` while training.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    loss : RowWeightedLoss
        Told of every batch.
    before_step, after_step : list of Callback
        Whose ``on_grad_computed`` or ``on_batch_end`` takes part in every step.
    """

    def __init__(self, net, loss, before_step, after_step):
        self.net, self.loss = net, loss
        self.before_step, self.after_step = before_step, after_step

    def __call__(self, iterator, training, prefix, step_fn, **fit_params):
        """Run one epoch; its mean loss becomes the only batch entry of the history."""
        net = self.net
        if not training or fit_params:
            own = type(net).run_single_epoch
            own(net, iterator, training, prefix, step_fn, **fit_params)
            return
        net._set_training(True)
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

    def step(self, batch):
        """Take one optimizer step; returns the features and the loss."""
        net = self.net
        self.loss.on_batch_begin(net, batch=batch, training=True)
        X, y = unpack_data(batch)
        net._zero_grad_optimizer()
        loss = net.get_loss(net.infer(X), y, X=X, training=True)
        loss.backward()
        for hook in self.before_step:
            hook.on_grad_computed(net, named_parameters=None)
        net._step_optimizer(None)
        for hook in self.after_step:
            hook.on_batch_end(net, batch=batch, training=True, loss=loss)
        return X, loss.item()
