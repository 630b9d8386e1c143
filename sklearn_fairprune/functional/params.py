"""The weights that pruning may remove, as a dict of named tensors."""

import torch
from torch import nn

PRUNABLE_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


def plain_name(name):
    """Name of a parameter as it was before ``torch.compile`` wrapped its module."""
    return name.replace("_orig_mod.", "")


def prunable(module):
    """Weights of the linear and convolution layers, never biases or norms.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Returns
    -------
    weights : dict of str to torch.nn.Parameter
        In the order of the network's layers. A weight that two layers share is listed
        once, under its first name.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_fairprune.functional import prunable
    >>> list(prunable(nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 1))))
    ['0.weight', '2.weight']
    """
    weights, seen = {}, set()
    for name, layer in module.named_modules():
        weight = getattr(layer, "weight", None)
        if not isinstance(layer, PRUNABLE_LAYERS) or id(weight) in seen:
            continue
        if isinstance(weight, torch.nn.Parameter) and weight.requires_grad:
            seen.add(id(weight))
            weights[plain_name(f"{name}.weight" if name else "weight")] = weight
    return weights
