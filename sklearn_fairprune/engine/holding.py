"""Callbacks of a fine-tuning: masks that hold and change, and the rate of learning.

A callback that zeroes gradients comes before the net's own, one that zeroes weights after
them. What a fine-tuning has done so far is counted once, by `Progress`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from .._compat.skorch import is_trimmed
from .._compat.warnings import warn
from ..functional.masks import bits_of, masks_sparsity, zero_removed
from ..functional.params import by_plain_name
from ..functional.schedules import MaskUpdate

Masks = Mapping[str, Tensor]


class Held:
    """Masks that hold, and the weights that they belong to.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        True = kept.
    """

    def __init__(self, masks: Masks) -> None:
        self.masks = dict(masks)
        self.pairs: list[tuple[Tensor, Tensor]] = []

    def change(self, net: NeuralNet, masks: Masks) -> None:
        """Hold other masks, whose removed weights and moments become 0.0 at once.

        A net trimmed for prediction has no moments.

        Parameters
        ----------
        net : skorch.NeuralNet
            Changed in place.
        masks : dict of str to torch.BoolTensor
            True = kept.
        """
        self.masks = dict(masks)
        self.pair(net)
        self.zero_weights()
        moments = {} if is_trimmed(net) else net.optimizer_.state
        for weight, bits in self.pairs:
            for moment in moments.get(weight, {}).values():
                if isinstance(moment, torch.Tensor) and moment.shape == weight.shape:
                    zero_removed(moment, bits)

    def pair(self, net: NeuralNet) -> None:
        """Pair every weight with the bits of its mask."""
        weights = by_plain_name(net.module_)
        self.pairs = [
            (weights[name], bits_of(mask.to(weights[name].device)))
            for name, mask in self.masks.items()
        ]

    def zero_weights(self) -> None:
        """Set the removed weights to exactly 0.0."""
        for weight, bits in self.pairs:
            zero_removed(weight, bits)

    def zero_gradients(self) -> None:
        """Set the gradients of removed weights to 0.0."""
        for weight, bits in self.pairs:
            if weight.grad is not None:
                zero_removed(weight.grad, bits)


class MaskGradients(Callback):
    """Zero the gradients of removed weights, before anybody looks at them.

    Momentum, Adam moments and gradient clipping then never see these weights.

    Parameters
    ----------
    held : Held
        The masks.
    """

    def __init__(self, held: Held) -> None:
        self.held = held

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Pair weights and masks, once per training."""
        self.held.pair(net)

    def on_grad_computed(self, net: NeuralNet, **kwargs: Any) -> None:
        """Zero the gradients."""
        self.held.zero_gradients()


class MaskWeights(Callback):
    """Set removed weights to exactly 0.0 after every step, whatever the optimizer did.

    Parameters
    ----------
    held : Held
        The masks.
    """

    def __init__(self, held: Held) -> None:
        self.held = held

    def on_batch_end(self, net: NeuralNet, training: bool, **kwargs: Any) -> None:
        """Mask the weights after a step."""
        if training:
            self.held.zero_weights()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Mask once more: a callback may have loaded earlier weights."""
        self.held.zero_weights()


class Progress(Callback):
    """Share of a training that has passed.

    Parameters
    ----------
    n_epochs : int
        Of the training.

    Attributes
    ----------
    value : float in [0, 1]
        After the last batch that ended. Where nobody knows how many batches an epoch has,
        as of its begin.
    step : float in (0, 1]
        Share of one batch; where their number is unknown, of one epoch.
    between_epochs : bool
        Whether the next batch begins an epoch.
    """

    def __init__(self, n_epochs: int) -> None:
        self.n_epochs = n_epochs
        self.value, self.between_epochs, self.epoch_ = 0.0, True, -1
        self.step = 1 / n_epochs

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the epoch, and its batches."""
        self.epoch_ += 1
        self.batch_, self.between_epochs = 0, False
        self.value = self.epoch_ / self.n_epochs
        self.n_batches_ = n_batches(net, dataset_train)
        self.step = 1 / (self.n_epochs * max(self.n_batches_, 1))

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Count the batch."""
        if not training or not self.n_batches_:
            return
        self.batch_ += 1
        self.between_epochs = self.batch_ >= self.n_batches_
        passed = min(self.batch_ / self.n_batches_, 1.0)
        self.value = (self.epoch_ + passed) / self.n_epochs


def n_batches(net: NeuralNet, dataset: Any) -> int:
    """Number of training batches of an epoch; 0 if unknown."""
    try:
        return len(net.get_iterator(dataset, training=True))
    except TypeError:  # torch: an IterableDataset has no length
        return 0


class MaskSchedule(Callback):
    """Change the masks while a net trains.

    Parameters
    ----------
    held : Held
        What the new masks go to. Their masks are the first ones.
    progress : Progress
        Counted before this is called.
    updates : list of MaskUpdate
        Still to come.
    masks_of : callable
        From the net, a sparsity and the masks so far to new masks.
    then : callable
        Called with new masks, and whether they are the final ones.

    Attributes
    ----------
    step, sparsity : int, float
        Number of the last step, and what its masks removed.
    """

    def __init__(
        self,
        held: Held,
        progress: Progress,
        updates: Sequence[MaskUpdate],
        masks_of: Callable[[NeuralNet, float, Masks], Masks],
        then: Callable[[Masks, bool], Any],
    ) -> None:
        self.held, self.progress, self.masks_of, self.then = held, progress, masks_of, then
        self.coming, self.step, self.sparsity = list(updates), 1, masks_sparsity(held.masks)

    def on_epoch_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Change the masks between two epochs."""
        self._change(net)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Change the masks inside an epoch; its last batch leaves that to the next one."""
        if training and not self.progress.between_epochs:
            self._change(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Note down what the epoch ended with."""
        net.history.record("step", self.step)
        net.history.record("sparsity", self.sparsity)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Reach the final masks where a callback has stopped the training before."""
        if not self.coming:
            return
        last = self.coming[-1]
        warn(
            f"A callback has stopped the fine-tuning at sparsity {self.sparsity:.3g}, before "
            f"the schedule reached {last.sparsity:.3g}. The final masks are applied, and "
            "nothing is trained after them. Let the callback stop later (patience), or use "
            "schedule='one_shot'."
        )
        self.coming = []
        self._to(net, last.sparsity)

    def _change(self, net: NeuralNet) -> None:
        due, now = None, self.progress.value
        if now + 1.5 * self.progress.step > 1:  # the final masks hold for the last step
            now = 1.0
        while self.coming and self.coming[0].progress <= now + 1e-9:
            due, self.step = self.coming.pop(0), self.step + 1
        if due is not None:
            self._to(net, due.sparsity)

    def _to(self, net: NeuralNet, sparsity: float) -> None:
        self.held.change(net, self.masks_of(net, sparsity, self.held.masks))
        self.sparsity = masks_sparsity(self.held.masks)
        self.then(self.held.masks, not self.coming)


class CosineRate(Callback):
    r"""Learning rate that falls to 0, :math:`\eta_t = f \eta (1 + \cos \pi t) / 2`.

    Parameters
    ----------
    progress : Progress
        Counted before.
    factor : float
        Of the first rate to that of the net, f.

    References
    ----------
    Loshchilov, Hutter, "SGDR: stochastic gradient descent with warm restarts", ICLR 2017,
    equation (5) without restarts.
    """

    def __init__(self, progress: Progress, factor: float) -> None:
        self.progress, self.factor = progress, factor

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Remember the rates of the net."""
        self.rates_ = [group["lr"] for group in net.optimizer_.param_groups]

    def on_grad_computed(self, net: NeuralNet, **kwargs: Any) -> None:
        """Set the rates of the step that comes."""
        scale = self.factor * (1 + math.cos(math.pi * self.progress.value)) / 2
        for group, rate in zip(net.optimizer_.param_groups, self.rates_, strict=True):
            group["lr"] = scale * rate


class Snapshot(Callback):
    """Keeps the weights that a net has after some part of its training.

    Parameters
    ----------
    share : float in [0, 1]
        Of the epochs, rounded to whole ones.
    n_epochs : int
        Of the training.

    Attributes
    ----------
    state : dict of str to torch.Tensor
        Parameters and buffers, on the CPU.
    """

    def __init__(self, share: float, n_epochs: int) -> None:
        self.epoch = math.floor(share * n_epochs + 0.5)
        self.state: dict[str, Tensor] = {}

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Keep the first weights, if they are wanted."""
        self.passed_ = 0
        self._keep(net)

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Count the epoch."""
        self.passed_ += 1
        self._keep(net)

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Keep the last weights of a training that a callback has stopped before."""
        if not self.state:
            self.passed_ = self.epoch
            self._keep(net)

    def _keep(self, net: NeuralNet) -> None:
        if self.passed_ == self.epoch:
            state = net.module_.state_dict()
            self.state = {name: value.detach().cpu().clone() for name, value in state.items()}
