"""The weights that pruning may remove, as a dict of named tensors."""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from .._compat.torch import plain_name

Params = dict[str, Tensor]  # by the names of `torch.nn.Module.named_parameters`
Features = Tensor | dict[str, Tensor]  # what a network reads of rows

PRUNABLE_LAYERS = (
    nn.Linear,
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
# Kinds of layers, and the beginnings or ends of their weights' names.
KINDS: dict[str, tuple[type, ...]] = {
    "linear": (nn.Linear,),
    "conv": PRUNABLE_LAYERS[1:],
    "recurrent": (nn.RNNBase, nn.RNNCellBase),
    "attention": (nn.MultiheadAttention,),
}
DEFAULT_KINDS = ("linear", "conv")


class InputDim(NamedTuple):
    """Where the inputs of a weight are.

    Attributes
    ----------
    dim : int
        Dimension of the tensor.
    size : int
        How many inputs one unit reads: of grouped convolutions, those of a group.
    """

    dim: int
    size: int


class Skipped(NamedTuple):
    """A weight that pruning leaves alone.

    Attributes
    ----------
    size : int
        How many numbers it has.
    reason : str
        Why.
    """

    size: int
    reason: str


def prunable(
    module: nn.Module, layers: Collection[str] = DEFAULT_KINDS
) -> dict[str, nn.Parameter]:
    """Weights that can be pruned, never biases or norms.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    layers : collection of {"linear", "conv", "recurrent", "attention"}
        Kinds of layers: ``recurrent`` are the matrices of LSTM, GRU, RNN and their cells,
        ``attention`` the input projections of MultiheadAttention, whose output projection
        is a linear layer.

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
    >>> list(prunable(nn.RNN(3, 2), layers=["recurrent"]))
    ['weight_ih_l0', 'weight_hh_l0']
    """
    return {name: weight for name, _, weight in _trained_weights(module, layers)}


def _trained_weights(
    module: nn.Module, layers: Collection[str]
) -> Iterator[tuple[str, nn.Module, nn.Parameter]]:
    """Names, layers and weights of some kinds; each weight once."""
    seen = set()
    for name, layer in module.named_modules():
        for part in _weights_of(layer, layers):
            weight = getattr(layer, part, None)
            if not isinstance(weight, nn.Parameter) or id(weight) in seen:
                continue
            if weight.requires_grad:
                seen.add(id(weight))
                yield plain_name(f"{name}.{part}".lstrip(".")), layer, weight


def _weights_of(layer: nn.Module, layers: Collection[str]) -> list[str]:
    """Names of the weights of a layer, none if it is of another kind."""
    if not any(isinstance(layer, KINDS[kind]) for kind in layers):
        return []
    parts = [name for name, _ in layer.named_parameters(recurse=False)]
    if isinstance(layer, KINDS["recurrent"]):
        return [name for name in parts if name.startswith("weight_")]
    if isinstance(layer, KINDS["attention"]):
        return [name for name in parts if name.endswith("proj_weight")]
    return ["weight"]


def by_plain_name(module: nn.Module) -> dict[str, nn.Parameter]:
    """All parameters by all their names, without what compilation puts before these."""
    named = module.named_parameters(remove_duplicate=False)
    return {plain_name(name): parameter for name, parameter in named}


def input_dims(module: nn.Module) -> dict[str, InputDim]:
    """Where the inputs of every weight are that can be pruned.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Returns
    -------
    dims : dict of str to InputDim
        By the names of `prunable`, of all kinds of layers.

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_fairprune.functional.params import input_dims
    >>> input_dims(nn.ConvTranspose1d(6, 4, 3, groups=2))
    {'weight': InputDim(dim=0, size=3)}
    """
    found = {}
    for name, layer, weight in _trained_weights(module, tuple(KINDS)):
        if getattr(layer, "transposed", False):  # (inputs, outputs of a group, ...)
            found[name] = InputDim(0, weight.shape[0] // int(getattr(layer, "groups", 1)))
        else:
            found[name] = InputDim(1, weight.shape[1])
    return found


def skipped(
    module: nn.Module,
    under: Collection[str] | None = None,
    reasons: Mapping[str, str] | None = None,
) -> dict[str, Skipped]:
    """Weights that pruning leaves alone, but for biases and norms.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    under : collection of str, default=None
        Names of the weights that it does not leave alone; None: those of `prunable`.
    reasons : dict of str to str, default=None
        Why, of weights of which that is known.

    Returns
    -------
    weights : dict of str to Skipped
        In the order of the network's layers: weights of linear and convolution layers that
        are frozen, left out, or made of other parameters (weight_norm and the like); and all
        other parameters of two dimensions or more (attention projections, recurrent weights,
        embeddings, one's own).

    Examples
    --------
    >>> from torch import nn
    >>> from sklearn_fairprune.functional.params import skipped
    >>> skipped(nn.Sequential(nn.Embedding(5, 3), nn.Linear(3, 2)))
    {'0.weight': Skipped(size=15, reason='of an Embedding')}
    """
    under, reasons = prunable(module) if under is None else under, reasons or {}
    weights = prunable(module, tuple(KINDS))
    names = {id(weight): name for name, weight in weights.items()}
    covered = {id(weight) for name, weight in weights.items() if name in under}
    found = {}
    for name, layer in module.named_modules():
        parts = dict(layer.named_parameters(recurse=False))
        weight = getattr(layer, "weight", None)
        made = weight is not None and not isinstance(weight, nn.Parameter)
        if weight is not None and made and isinstance(layer, PRUNABLE_LAYERS):
            found[f"{name}.weight"] = Skipped(weight.numel(), "made of other parameters")
            makers = [layer, *getattr(layer, "parametrizations", nn.ModuleDict()).modules()]
            covered |= {id(p) for maker in makers for p in maker.parameters(recurse=False)}
            continue
        for part, parameter in parts.items():
            if id(parameter) in covered or parameter.dim() < 2:
                continue
            covered.add(id(parameter))
            own = names.get(id(parameter), f"{name}.{part}")
            frozen = isinstance(layer, PRUNABLE_LAYERS) and not parameter.requires_grad
            reason = "frozen" if frozen else f"of {_with_article(type(layer).__name__)}"
            found[own] = Skipped(parameter.numel(), reasons.get(own, reason))
    return {plain_name(name).lstrip("."): weight for name, weight in found.items()}


def _with_article(name: str) -> str:
    spelt = name[1:2].isupper() and name[0] in "FHLMNRSX"  # letter by letter, as LSTM
    return f"{'an' if spelt or name[:1] in 'AEIO' else 'a'} {name}"


def share_of(masks: Mapping[str, Tensor], left_out: Mapping[str, Skipped]) -> float:
    """Share of the weights that are under a mask.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        Of the weights that can be pruned.
    left_out : dict of str to Skipped
        The others.

    Returns
    -------
    share : float
        1.0 if pruning can reach them all.
    """
    under = sum(mask.numel() for mask in masks.values())
    return under / (under + sum(weight.size for weight in left_out.values()))


def trainable(module: nn.Module) -> dict[str, Tensor]:
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


def flatten(params: Mapping[str, Tensor]) -> Tensor:
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


def unflatten(vector: Tensor, like: Mapping[str, Tensor]) -> dict[str, Tensor]:
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


def dot(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
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
    return sum(((a[name] * b[name]).sum() for name in a), torch.zeros(()))


def norm(a: Mapping[str, Tensor]) -> Tensor:
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
