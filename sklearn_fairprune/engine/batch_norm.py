from typing import Any

import torch
from skorch import NeuralNet

from .._compat.torch import BatchNorm
from .batches import Rows
from .training import randomness


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


def correct_batch_norm(net, dense, rows, seed):
    reestimate_batch_norm(net, rows, seed)
