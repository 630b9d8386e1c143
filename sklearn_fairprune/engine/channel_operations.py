"""What operations of torch do with channels: which move, keep, mix or join them."""

import operator
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .._compat.torch import BatchNorm


def _words(text: str) -> set[str]:
    return set(text.split())


# Every number by itself, or with those at the same place of other tensors.
ELEMENTWISE = _words(
    """
    relu relu6 leaky_relu elu celu selu gelu silu mish hardswish hardsigmoid hardtanh
    tanh sigmoid logsigmoid softplus softsign tanhshrink exp log log1p expm1 sqrt rsqrt
    square abs neg pos sin cos erf clamp clip add sub subtract mul multiply div divide
    true_divide truediv pow maximum minimum dropout dropout1d dropout2d dropout3d
    alpha_dropout feature_alpha_dropout to float double half bfloat16 type contiguous
    clone detach reciprocal sign floor round threshold identity
    """
)
IN_PLACE = {"iadd", "isub", "imul", "itruediv", "ipow"}
REDUCTIONS = {"mean", "sum", "amax", "amin"}
POOLS = {
    f"{name}{d}d"
    for name in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool")
    for d in (1, 2, 3)
}
ELEMENTWISE_LAYERS = {
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.LogSigmoid, nn.Softplus,
    nn.Softsign, nn.Tanhshrink, nn.Softshrink, nn.Hardshrink, nn.Threshold, nn.Identity,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout,
    nn.FeatureAlphaDropout,
}  # fmt: skip
POOLING_LAYERS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d, nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d,
    nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d,
    nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.AdaptiveMaxPool3d,
)  # fmt: skip
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
LAYERS = (nn.Linear, *CONVOLUTIONS, BatchNorm, nn.PReLU)
TRANSFORMERS = {nn.TransformerEncoderLayer, nn.TransformerDecoderLayer}
STACKS = {nn.TransformerEncoder, nn.TransformerDecoder}


def varies(labels: Tensor, dim: int) -> bool:
    """Whether channels differ along a dimension.

    Parameters
    ----------
    labels : torch.LongTensor
        Channels.
    dim : int
        The dimension.

    Returns
    -------
    varies : bool
    """
    return bool((labels != labels.narrow(dim, 0, 1)).any()) if labels.numel() else False


def is_spread(a: Tensor, b: Tensor) -> bool:
    """Whether one place of a tensor meets several channels of another by broadcasting.

    Parameters
    ----------
    a, b : torch.LongTensor
        Channels, with equally many dimensions.

    Returns
    -------
    is_spread : bool
    """
    thin = [d for d in range(a.dim()) if a.shape[d] == 1 and b.shape[d] > 1]
    return any(varies(b, d) for d in thin)


def _nothing(labels: Tensor, found: Any, args: tuple, kwargs: dict) -> bool:
    """No sizes and no places."""
    return False


def _written_sizes(labels: Tensor, found: Tensor, args: tuple, kwargs: dict) -> bool:
    """Sizes that are written down in the network's code cannot shrink."""
    sizes = kwargs.get("shape", kwargs.get("size", args))
    if len(args) == 1 and isinstance(args[0], (tuple, list)):
        sizes = args[0]
    if len(sizes) != found.dim():
        return True
    written = [d for d, size in enumerate(sizes) if type(size) is int and size != -1]
    return any(varies(found, d) for d in written)


def _cut(position: int, default: int | None = None) -> Callable[..., bool]:
    """Places along one dimension, which is an argument at a position."""

    def rule(labels: Tensor, found: Any, args: tuple, kwargs: dict) -> bool:
        """Places along one dimension."""
        dim = args[position] if len(args) > position else kwargs.get("dim", default)
        return varies(labels, dim)

    return rule


def _indexed(labels: Tensor, found: Any, args: tuple, kwargs: dict) -> bool:
    """Places by index: those of channels would be others after a removal."""
    index = args[0] if isinstance(args[0], tuple) else (args[0],)
    if not all(i is None or i is Ellipsis or isinstance(i, (int, slice)) for i in index):
        return True
    n_real = sum(i is not None and i is not Ellipsis for i in index)
    dim = 0
    for i in index:
        if i is Ellipsis:
            dim += labels.dim() - n_real
        elif i is not None:
            if i != slice(None) and varies(labels, dim):
                return True
            dim += 1
    return False


# Operations that only move numbers: whether they rest on a size or a place that removing
# channels changes, by the channels before and after, and the arguments.
SHAPES: dict[str, Callable[..., bool]] = {
    **dict.fromkeys(
        _words(
            """
            flatten unsqueeze squeeze transpose swapaxes swapdims permute
            movedim moveaxis t cat concat concatenate stack flip
            """
        ),
        _nothing,
    ),
    **dict.fromkeys(["view", "reshape", "expand"], _written_sizes),
    **dict.fromkeys(("chunk", "split"), _cut(1, 0)),
    "unbind": _cut(0, 0),
    "select": _cut(0),
    "narrow": _cut(0),
    "getitem": _indexed,
}


def _names() -> dict[Any, str]:
    """Names of the functions that have a rule."""
    named = {*ELEMENTWISE, *REDUCTIONS, *POOLS, *SHAPES}
    found = {
        getattr(place, name): name
        for place in (torch, F, operator)
        for name in named
        if hasattr(place, name)
    }
    return found | {getattr(operator, name): name[1:] for name in IN_PLACE}


NAMES = _names()
# What a network may ask of a tensor that its numbers and sizes do not decide.
TRAITS = {"dtype", "device", "is_cuda", "layout", "requires_grad", "is_floating_point"}


def is_certain(name: str, args: tuple, kwargs: dict, n_tensors: int) -> bool:
    """Whether an elementwise operation draws nothing, and reads no tensor for its type.

    Parameters
    ----------
    name : str
        Of the operation.
    args : tuple
        Its arguments.
    kwargs : dict
        By name.
    n_tensors : int
        How many tensors are among them.

    Returns
    -------
    is_certain : bool
    """
    if "dropout" in name:
        training = args[2] if len(args) > 2 else kwargs.get("training", kwargs.get("train"))
        return training is False
    return n_tensors == 1 or name not in ("to", "type")


def reduced(args: tuple, kwargs: dict) -> tuple[Any, bool]:
    """Dimensions that a sum or mean goes over, None for all, and whether they are kept.

    Parameters
    ----------
    args : tuple
        Arguments, after the tensor.
    kwargs : dict
        By name.

    Returns
    -------
    dims : int, tuple of int or None
    kept : bool
    """
    dims = args[0] if args else kwargs.get("dim", kwargs.get("axis"))
    kept = args[1] if len(args) > 1 else kwargs.get("keepdim", False)
    return (dims if isinstance(dims, int) or dims is None else tuple(dims)), kept


def spatial(name: str) -> tuple[int, ...]:
    """Dimensions that a pooling goes over, by its name, which ends with how many.

    Parameters
    ----------
    name : str
        Of the function or class.

    Returns
    -------
    dims : tuple of int
        Negative.
    """
    return tuple(range(-int(name[-2]), 0))


def is_plain(layer: nn.Module) -> bool:
    """Whether a layer is one of `LAYERS` as torch made it.

    Parameters
    ----------
    layer : torch.nn.Module
        Any.

    Returns
    -------
    is_plain : bool
        False if its weight is made of other parameters, if its forward was replaced, or if
        it computes with statistics of the batch.
    """
    if isinstance(layer, BatchNorm):
        return type(layer).forward is BatchNorm.forward and layer.running_mean is not None
    kinds = [kind for kind in LAYERS if isinstance(layer, kind)]
    own = dict(layer.named_parameters(recurse=False))
    return (
        bool(kinds)
        and type(layer).forward is kinds[0].forward
        and own.get("weight") is not None
    )


def pads_with_zeros(layer: Any) -> bool:
    """Whether a convolution reads zeros around its input.

    Parameters
    ----------
    layer : torch.nn.Conv1d, Conv2d or Conv3d
        The layer.

    Returns
    -------
    pads : bool
    """
    padding = layer.padding
    none = padding == "valid" or (not isinstance(padding, str) and not any(padding))
    return layer.padding_mode == "zeros" and not none


def reached(layer: Any, marked: Tensor) -> Tensor:
    """Units that a marked place reaches through a weight that is not 0.

    Parameters
    ----------
    layer : torch.nn.Module
        Linear layer or convolution.
    marked : torch.BoolTensor
        Of the shape of the layer's input.

    Returns
    -------
    reached : torch.BoolTensor
        Of the shape of its output.
    """
    weight = layer.weight
    ones = {"weight": (weight != 0).to(weight.dtype)}
    if layer.bias is not None:
        ones["bias"] = torch.zeros_like(layer.bias)
    return torch.func.functional_call(layer, ones, marked.to(weight.dtype)) > 0.5


def constants(value: Tensor, known: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Numbers along a dimension that are the same everywhere else, and for all inputs.

    Parameters
    ----------
    value : torch.Tensor
        Numbers.
    known : torch.BoolTensor
        Whether they do not depend on the input.
    dim : int
        The dimension, of size n.

    Returns
    -------
    constants : torch.DoubleTensor of shape (n,)
        0 where there is none.
    found : torch.BoolTensor of shape (n,)
        Whether there is one.
    """
    rows = value.double().movedim(dim, -1).reshape(-1, value.shape[dim])
    certain = known.movedim(dim, -1).reshape(rows.shape).all(0)
    low, high = rows.amin(0), rows.amax(0)
    tolerance = 16 * torch.finfo(value.dtype).eps * torch.maximum(low.abs(), high.abs())
    found = certain & (high - low <= tolerance) & torch.isfinite(high)
    return torch.where(found, (low + high) / 2, torch.zeros_like(low)), found
