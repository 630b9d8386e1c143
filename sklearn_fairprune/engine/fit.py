"""A fit from beginning to end: dense training, then pruning step by step."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor

from .._compat.torch import BatchNorm
from ..functional.masks import apply_masks, masks_sparsity
from ..functional.params import prunable
from .batches import Rows
from .dual_ascent import DualAscent
from .networks import copy_net, renew_optimizer, restart
from .recipe import Recipe
from .scoring import keep_all, weight_masks
from .training import randomness, train


class Hooks(NamedTuple):
    """What a listener wants of one training.

    Attributes
    ----------
    events : (callable, callable) or None
        Called with the net at the begin and at the end of every epoch; the latter may
        return True to stop.
    dual : DualAscent or None
        Multipliers of a group constraint; None: unconstrained.
    """

    events: tuple[Callable, Callable] | None = None
    dual: DualAscent | None = None


class Listener:
    """Hears what a fit does. This one keeps silent, and constrains nothing.

    A `phase` surrounds the dense training, and then every pruning step. `branch` comes before
    the pruning steps of every network of a path.
    """

    @contextmanager
    def phase(
        self,
        name: str,
        n_epochs: int,
        net: NeuralNet,
        rows: Rows | None,
        dense: NeuralNet | None = None,
    ) -> Iterator[Hooks]:
        """Surround one phase.

        Parameters
        ----------
        name : str
            What the phase does.
        n_epochs : int
            Of its training, at most; 0: none.
        net : skorch.NeuralNet
            That is trained.
        rows : Rows or None
            It trains on.
        dense : skorch.NeuralNet, default=None
            What a pruned network is compared with; None in the dense training.

        Yields
        ------
        hooks : Hooks
        """
        yield Hooks()

    def branch(self) -> "Listener":
        """Listener of one network of a path, whose dense training was heard already."""
        return self


SILENT = Listener()


class Pruned(NamedTuple):
    """What pruning made of a dense network.

    Attributes
    ----------
    net : skorch.NeuralNet
        Removed weights are exactly 0.0.
    masks : dict of str to torch.BoolTensor
        True = kept.
    history : list of dict
        One row per epoch of training after a step.
    """

    net: NeuralNet
    masks: dict[str, Tensor]
    history: list[dict[str, Any]]


def train_dense(
    net: NeuralNet,
    rows: Rows,
    recipe: Recipe,
    listener: Listener = SILENT,
    training: Callable = train,
) -> list[dict[str, Any]]:
    """Train a network before anything is pruned, in place.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.
    recipe : Recipe
        Whose seed counts.
    listener : Listener
        Hears it.
    training : callable, default=train
        Of the form of `train`; may remember what the same training gave before.

    Returns
    -------
    history : list of dict
        One row per epoch; none if the network is trained already.
    """
    if not recipe.trains:
        return []
    with listener.phase("dense training", net.max_epochs, net, rows) as hooks:
        options = {"seed": recipe.dense_seed, **hooks._asdict()}
        history = training(net, rows, net.max_epochs, **options)
        renew_optimizer(net)
    return label(history, "dense", 0, 0.0)


def fit(
    net: NeuralNet,
    rows: Rows,
    recipe: Recipe,
    listener: Listener = SILENT,
    training: Callable = train,
) -> Pruned:
    """Train a network, unless it is trained already, and prune a copy of it.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; the dense network afterwards.
    rows, recipe, listener, training
        See `train_dense`.

    Returns
    -------
    pruned : Pruned
        With the history of the dense training first.
    """
    history = train_dense(net, rows, recipe, listener, training)
    pruned = prune(net, rows, recipe, listener)
    return pruned._replace(history=history + pruned.history)


def prune(
    dense: NeuralNet, rows: Rows | None, recipe: Recipe, listener: Listener = SILENT
) -> Pruned:
    """Prune a copy of a dense network, and train what is left after every step.

    Parameters
    ----------
    dense : skorch.NeuralNet
        Trained; left as it is.
    rows : Rows or None
        Data to fine-tune on; None only masks.
    recipe : Recipe
        The steps.
    listener : Listener
        Hears it.

    Returns
    -------
    pruned : Pruned
    """
    net = copy_net(dense)
    masks, history = keep_all(net.module_), []
    options: dict[str, Any] = {
        "criterion": recipe.criterion,
        "scope": recipe.scope,
        "seed": recipe.seed,
    }
    seeds = zip(recipe.steps, recipe.tuning_seeds, strict=True)
    for number, (step, seed) in enumerate(seeds, start=1):
        if step.sparsity == 0:
            continue
        epochs, name = 0 if rows is None else step.epochs, f"pruning to {step.sparsity:g}"
        with listener.phase(name, epochs, net, rows, dense) as hooks:
            masks = weight_masks(net, rows, sparsity=step.sparsity, kept=masks, **options)
            apply_masks(prunable(net.module_), masks)
            if rows is not None:
                reestimate_batch_norm(net, rows, seed)
            if epochs:
                restart(net)
                tuning: dict[str, Any] = {"seed": seed, "masks": masks, "stage": "Fine-tuning"}
                tuned = train(net, rows, epochs, **tuning, **hooks._asdict())
                history += label(tuned, "finetune", number, masks_sparsity(masks))
    return Pruned(net if not masks_sparsity(masks) else renew_optimizer(net), masks, history)


def label(
    history: list[dict[str, Any]], phase: str, step: int, sparsity: float
) -> list[dict[str, Any]]:
    """Rows of the history of one phase; numbers only."""
    place = {"phase": phase, "step": step, "sparsity": sparsity}
    return [
        place | {k: v for k, v in row.items() if isinstance(v, (int, float))}
        for row in history
    ]


def reestimate_batch_norm(net: NeuralNet, rows: Rows, seed: int) -> None:
    """Recompute the running statistics of batch norm for the weights the net has now.

    One pass over the rows in training order; the statistics become plain averages over
    the batches. Does nothing without batch norm, leaves layers alone that their owner keeps
    in evaluation mode while the rest trains, and keeps the statistics where no batch could
    give any.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    rows : Rows
        Training data.
    seed : int
        For the order of the rows and whatever reading them draws.
    """
    net.module_.train()
    norms = [
        m
        for m in net.module_.modules()
        if isinstance(m, BatchNorm) and m.track_running_stats and m.training
    ]
    net.module_.eval()
    if not norms:
        return
    before = [(norm.momentum, _copied(norm.state_dict())) for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    # One vector has no variance; one image has that of its pixels.
    fewest = 2 if any(isinstance(norm, torch.nn.BatchNorm1d) for norm in norms) else 1
    rows.generator.manual_seed(seed)
    try:
        with torch.no_grad(), randomness(net, seed):
            for batch in net.get_iterator(rows, training=True):
                if len(batch[1]) >= fewest:
                    net.infer(batch[0])
    finally:
        for norm, (momentum, state) in zip(norms, before, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked == 0:
                norm.load_state_dict(state)
        net.module_.eval()


def _copied(state: Any) -> Any:
    return {name: value.clone() for name, value in state.items()}
