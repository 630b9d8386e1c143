"""Pruning a trained net: score, mask, re-estimate batch norm, fine-tune."""

import copy

import torch
from torch.nn.modules.batchnorm import _BatchNorm

from ..functional.criteria import CRITERIA
from ..functional.masks import apply_masks, score_masks
from ..functional.params import prunable
from .networks import copy_net, randomness, renew_optimizer, restart
from .training import train


def prunable_or_raise(module):
    """Return the weights that can be pruned; an error if there are none."""
    weights = prunable(module)
    if not weights:
        layers = sorted({type(m).__name__ for m in module.modules() if m is not module})
        raise ValueError(
            "The network has no prunable layer: pruning removes weights of Linear and Conv "
            f"layers that can be trained, and this module holds {layers or 'no layers'}."
        )
    return weights


def keep_all(module):
    """Masks of a network that is not pruned."""
    weights = prunable_or_raise(module)
    return {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}


def weight_masks(module, *, sparsity, criterion, scope):
    """Masks that a criterion gives for the weights a module has now.

    Parameters
    ----------
    module : torch.nn.Module
        The dense network.
    sparsity : float in [0, 1)
        Share of prunable weights to remove.
    criterion : str or callable
        A name in `CRITERIA`, or a function from a weight tensor to its scores.
    scope : {"global", "layerwise"}
        Whether scores compete across layers or within each.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept.

    Raises
    ------
    ValueError
        If the module has no prunable layer, or scores have the wrong shape.
    """
    weights = prunable_or_raise(module)
    score = CRITERIA.find("criterion", criterion)
    scores = {name: score(weight.detach().clone()) for name, weight in weights.items()}
    for name, value in scores.items():
        if not isinstance(value, torch.Tensor) or value.shape != weights[name].shape:
            got = (
                tuple(value.shape) if isinstance(value, torch.Tensor) else type(value).__name__
            )
            raise ValueError(
                f"criterion={criterion!r} must return a torch.Tensor with one score per "
                f"weight: it got {name!r} of shape {tuple(weights[name].shape)} and returned "
                f"{got}."
            )
    return score_masks(scores, sparsity, scope)


def reestimate_batch_norm(net, rows, seed):
    """Recompute the running statistics of batch norm for the weights the net has now.

    One pass over the rows in training order; the statistics become plain averages over
    the batches. Does nothing without batch norm, and keeps the statistics where no batch
    could give any.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    rows : Rows
        Training data.
    seed : int
        For the order of the rows and whatever reading them draws.
    """
    norms = [
        m for m in net.module_.modules() if isinstance(m, _BatchNorm) and m.track_running_stats
    ]
    if not norms:
        return
    before = [(norm.momentum, copy.deepcopy(norm.state_dict())) for norm in norms]
    net.module_.eval()
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


def prune(
    dense, rows, *, sparsity, criterion, scope, finetune_epochs, seed, events=None, dual=None
):
    """Prune a copy of a dense net and fine-tune what is left.

    Parameters
    ----------
    dense : skorch.NeuralNet
        Trained; left as it is.
    rows : Rows or None
        Data to fine-tune on; None only masks.
    sparsity : float in [0, 1)
        Share of prunable weights to remove; 0 returns an unchanged copy.
    criterion, scope : str
        See `weight_masks`.
    finetune_epochs : int
        Epochs after masking.
    seed : int
        For whatever fine-tuning draws.
    events : EpochEvents, default=None
        Who wants to know about epochs.
    dual : callable of net, default=None
        Makes the `DualAscent` of the fine-tuning.

    Returns
    -------
    net : skorch.NeuralNet
        Removed weights are exactly 0.0.
    masks : dict of str to torch.BoolTensor
        True = kept.
    history : list of dict
        One entry per epoch of fine-tuning.
    """
    net = copy_net(dense)
    masks = weight_masks(net.module_, sparsity=sparsity, criterion=criterion, scope=scope)
    if sparsity == 0:
        return net, masks, []
    apply_masks(prunable(net.module_), masks)
    history = []
    if rows is not None:
        reestimate_batch_norm(net, rows, seed)
        if finetune_epochs:
            restart(net)
            history = train(
                net,
                rows,
                finetune_epochs,
                seed=seed,
                masks=masks,
                events=events,
                stage="Fine-tuning",
                dual=None if dual is None else dual(net),
            )
    return renew_optimizer(net), masks, history
