"""Running statistics of batch norm in a network that lost weights."""

from typing import NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor

from .._compat.torch import BatchNorm
from .batches import Rows
from .networks import copy_net
from .training import randomness


class Averages(NamedTuple):
    """Statistics of a layer's batches in one pass.

    Attributes
    ----------
    mean, var : torch.Tensor of shape (n_channels,)
        Plain averages over the batches; variances are unbiased within a batch.
    n_batches : torch.Tensor of shape ()
        How many.
    """

    mean: Tensor
    var: Tensor
    n_batches: Tensor


def correct_batch_norm(net: NeuralNet, dense: NeuralNet, rows: Rows, seed: int) -> None:
    r"""Carry over to the running statistics of batch norm what pruning changed.

    .. math::
        r = \frac{v + \epsilon}{v_0 + \epsilon}, \qquad
        \mu \leftarrow m + \sqrt r \, (\mu_0 - m_0), \qquad
        \sigma^2 + \epsilon \leftarrow r \, (\sigma_0^2 + \epsilon)

    for every channel, with the running statistics :math:`\mu_0, \sigma_0^2` of the dense
    network, and :math:`m, v` of the pruned and :math:`m_0, v_0` of the dense network averaged
    over the same batches of one pass over the rows, in which every layer normalises with the
    batch's statistics. The passes differ in nothing but the weights: what distinguishes a pass
    from the training (the weights of its last epochs, its batches, dropout) stays as it was,
    in units of the channel's spread: a channel that pruning only shrinks and shifts comes out
    of the layer unchanged. Without a removed weight the statistics are those of the dense
    network bit for bit, and in any case those of layers that nothing pruned feeds.

    The layer's :math:`\epsilon` guards the ratio: variances far below it, 0 or rounding of a
    constant channel, count as equal, as they do when the layer divides by them. No variance
    falls below 0.

    Left alone are layers without running statistics, those that their owner keeps in
    evaluation mode while the rest trains, and all for which there is no batch. Without batch
    norm nothing is read.

    Parameters
    ----------
    net : skorch.NeuralNet
        A copy of `dense` with other weights; only running statistics change. A layer that
        averages over all batches (``momentum=None``) goes on from those of this pass.
    dense : skorch.NeuralNet
        Left as it is.
    rows : Rows
        Training data.
    seed : int
        For the order of the rows and whatever reading them draws.
    """
    if not any(isinstance(part, BatchNorm) for part in net.module_.modules()):
        return
    before, after = (averages(copy_net(one), rows, seed) for one in (dense, net))
    layers, own = (dict(one.module_.named_modules()) for one in (net, dense))
    for name in before.keys() & after.keys():
        layer, old, new = layers[name], before[name], after[name]
        mean, var = own[name].running_mean, own[name].running_var
        ratio = (new.var + layer.eps) / (old.var + layer.eps)
        moved = new.mean + (mean - old.mean) * ratio.sqrt()
        scaled = ((var + layer.eps) * ratio - layer.eps).clamp_min(0)
        # Where nothing changed: no rounding, and not even the sign of a zero.
        same = (new.mean == old.mean) & (new.var == old.var)
        layer.running_mean.copy_(torch.where(same, mean, moved))
        layer.running_var.copy_(torch.where(same, var, scaled))
        if layer.momentum is None:
            layer.num_batches_tracked.copy_(new.n_batches)


def averages(net: NeuralNet, rows: Rows, seed: int) -> dict[str, Averages]:
    """Average what batch norm sees over one pass in training order.

    Parameters
    ----------
    net : skorch.NeuralNet
        A copy; its running statistics and its mode are lost.
    rows, seed
        See `correct_batch_norm`.

    Returns
    -------
    averages : dict of str to Averages
        By the name of the layer; none of layers that saw no batch. Batches of one row are
        left out where a ``BatchNorm1d`` would see no variance in them.
    """
    net.module_.train()
    norms = {
        name: layer
        for name, layer in net.module_.named_modules()
        if isinstance(layer, BatchNorm) and layer.track_running_stats and layer.training
    }
    net.module_.eval()
    for layer in norms.values():
        layer.reset_running_stats()
        layer.momentum = None
        layer.train()
    # One vector has no variance; one image has that of its pixels.
    fewest = 2 if any(isinstance(norm, torch.nn.BatchNorm1d) for norm in norms.values()) else 1
    rows.generator.manual_seed(seed)
    if norms:
        with torch.no_grad(), randomness(net, seed):
            for batch in net.get_iterator(rows, training=True):
                if len(batch[1]) >= fewest:
                    net.infer(batch[0])
    return {
        name: Averages(layer.running_mean, layer.running_var, layer.num_batches_tracked)
        for name, layer in norms.items()
        if layer.num_batches_tracked > 0
    }
