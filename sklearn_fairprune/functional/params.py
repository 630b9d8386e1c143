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


def trainable(module):
    r"""All parameters that training moves: the vector :math:`\theta` of the diagnostics.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Returns
    -------
    params : dict of str to torch.Tensor
        Detached, sharing the module's memory; a shared parameter is listed once.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_fairprune.functional import trainable
    >>> list(trainable(nn.Linear(3, 2)))
    ['weight', 'bias']
    """
    return {name: p.detach() for name, p in module.named_parameters() if p.requires_grad}


def flatten(params):
    """Join a dict of tensors to one vector, in the order of the dict.

    Parameters
    ----------
    params : dict of str to torch.Tensor
        Of any shapes.

    Returns
    -------
    vector : torch.Tensor of shape (n_params,)
        A copy.
    """
    return torch.cat([p.flatten() for p in params.values()])


def unflatten(vector, like):
    """Cut a vector into a dict of tensors; the inverse of `flatten`.

    Parameters
    ----------
    vector : torch.Tensor of shape (..., n_params)
        What to cut.
    like : dict of str to torch.Tensor
        Names and shapes.

    Returns
    -------
    params : dict of str to torch.Tensor
        Views of `vector`, of shape (..., *shape of the parameter).
    """
    pieces = vector.split([p.numel() for p in like.values()], dim=-1)
    return {
        name: piece.unflatten(-1, p.shape) if p.dim() else piece.squeeze(-1)
        for (name, p), piece in zip(like.items(), pieces, strict=True)
    }


def dot(a, b):
    """Inner product of two dicts of tensors.

    Parameters
    ----------
    a, b : dict of str to torch.Tensor
        With the same names and shapes.

    Returns
    -------
    product : torch.Tensor of shape ()
        Sum over all entries.
    """
    return sum((a[name] * b[name]).sum() for name in a)


def norm(a):
    """Euclidean norm of a dict of tensors.

    Parameters
    ----------
    a : dict of str to torch.Tensor
        Read as one vector.

    Returns
    -------
    norm : torch.Tensor of shape ()
        Root of the sum of squares.
    """
    return torch.stack([torch.linalg.vector_norm(v) for v in a.values()]).norm()
