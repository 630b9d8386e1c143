"""A network run so that gradients show paths: through which weights inputs reach outputs.

SynFlow (H. Tanaka et al., "Pruning neural networks without any data by iteratively conserving
synaptic flow", NeurIPS 2020) runs a network with the absolute values of its weights, so that
nothing on the way from inputs to outputs cancels. Here torch's functions are exchanged while
a network runs, whatever modules call them: what could hide a path at the point where it is
tried (a saturated activation, the losers of a maximum, a normalisation) lets everything pass.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from .._compat.torch import forward_mode
from ..functional.params import Features


class PathTracing(TorchFunctionMode):
    r"""Inside it the gradient of a layer's weight is a sum over paths from inputs to outputs.

    A layer :math:`z = W a + b` gives :math:`W` the gradient :math:`\delta \dot a^T`, with
    :math:`\delta` the gradient of the output by z and :math:`\dot a` how a moves with the
    inputs of the network. So a weight counts only if it is moved by an input *and* moves an
    output; constants, such as those that biases bring, move nothing but keep factors of
    products from being 0. Only what is 0 counts: after every layer all other values, movements
    and gradients are drawn anew, so that none vanishes in a deep network.

    Parameters
    ----------
    generator : torch.Generator
        Source of random numbers, on the CPU.
    forwards : bool, default=True
        Whether to follow movements (forward-mode derivatives, which not every operation of
        torch has). False: weights count if they move an output.
    """

    def __init__(self, generator: torch.Generator, forwards: bool = True) -> None:
        super().__init__()
        self.generator, self.forwards = generator, forwards

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Call a function of torch, or what stands for it."""
        kwargs = kwargs or {}
        if func in LAYERS:
            return self._layer(func, *args, **kwargs)
        if func in LOOKUPS:
            return self.source(func(*args, **kwargs))
        stand_in: Callable | None = STAND_INS.get(func)
        moves = args and isinstance(args[0], torch.Tensor) and args[0].requires_grad
        if stand_in is None or not moves:
            return func(*args, **kwargs)
        return stand_in(func, *args, **kwargs)

    def source(self, values: Tensor) -> Tensor:
        """Let paths begin here."""
        if not values.requires_grad:
            # No leaf: networks change their activations in place.
            values = values.detach().requires_grad_().clone()
        return (
            forward_mode().make_dual(values, torch.ones_like(values))
            if self.forwards
            else values
        )

    def inputs(self, sample: Features) -> Any:
        """Positive random numbers in the place of a sample's; integers stay."""
        if isinstance(sample, dict):
            return {name: self.inputs(part) for name, part in sample.items()}
        if not isinstance(sample, torch.Tensor) or not sample.is_floating_point():
            return sample
        return self.source(positive(sample, self.generator))

    def _layer(
        self, func: Any, input: Tensor, weight: Tensor, bias: Tensor | None = None,
        *args: Any, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        # A weight that was computed carries paths of its own.
        if not self.forwards or not weight.is_leaf:
            return self._renewed(func(input, weight, bias, *args, **kwargs))
        values, moved = forward_mode().unpack_dual(input)
        out = func(values, weight.detach(), bias, *args, **kwargs)
        if moved is None:
            return self._renewed(out)
        carried = func(moved.detach(), weight, None, *args, **kwargs)
        moved = self._anew(carried.detach())
        return forward_mode().make_dual(self._renewed(out, carried), moved)

    def _renewed(self, *parts: Tensor) -> Tensor:
        """Numbers with the zeros of the first part, and the gradient of the sum of all."""
        total = sum(parts)
        out = total + (self._anew(parts[0].detach()) - total).detach()
        if out.requires_grad:
            out.register_hook(self._anew)
        return out

    def _anew(self, values: Tensor) -> Tensor:
        return positive(values, self.generator) * (values != 0)


def positive(like: Tensor, generator: torch.Generator) -> Tensor:
    """Random numbers between 0.5 and 1.5, drawn on the CPU."""
    drawn = torch.rand(like.shape, generator=generator)
    return drawn.add_(0.5).to(like.device, like.dtype)


def _same(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Let x through as it is."""
    return x


def _raised(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Let x through; without it there is something, too."""
    return x + 1


def _glu(func: Any, x: Tensor, dim: int = -1) -> Tensor:
    """Multiply by gates that are never shut."""
    values, gates = x.chunk(2, dim)
    return values * (gates + 1)


def _over_last(func: Any, x: Tensor, normalized_shape: Any, *args: Any, **kwargs: Any) -> Any:
    """Connect what a normalisation over the last dimensions connects."""
    return x + x.mean(tuple(range(-len(normalized_shape), 0)), keepdim=True) + 1


def _over_groups(func: Any, x: Tensor, num_groups: int, *args: Any, **kwargs: Any) -> Tensor:
    """Connect the channels of a group."""
    grouped = x.reshape(x.shape[0], num_groups, -1)
    return x + grouped.mean(-1, keepdim=True).expand_as(grouped).reshape(x.shape) + 1


def _over_space(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """Connect the places of a channel."""
    return x + x.flatten(2).mean(-1).reshape(*x.shape[:2], *[1] * (x.dim() - 2)) + 1


def _pooled(average: Callable) -> Callable:
    def pool(
        func: Any,
        x: Tensor,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Any:
        """Mean over windows."""
        spread = any(d != 1 for d in (dilation if isinstance(dilation, tuple) else [dilation]))
        if spread or return_indices:
            rest = (stride, padding, dilation, ceil_mode, return_indices)
            return func(x, kernel_size, *rest[: 5 if return_indices else 4])
        return average(x, kernel_size, stride or None, padding, ceil_mode)

    return pool


def _pooled_to(average: Callable) -> Callable:
    def pool(func: Any, x: Tensor, output_size: Any, return_indices: bool = False) -> Any:
        """Mean over as many windows."""
        return func(x, output_size, True) if return_indices else average(x, output_size)

    return pool


def _extreme(func: Any, x: Tensor, *args: Any, **kwargs: Any) -> Any:
    """Mean for a maximum over a dimension, sum for one of two tensors."""
    found = func(x, *args, **kwargs)
    other = args[0] if args else kwargs.get("other")
    if isinstance(other, torch.Tensor):
        return x + other
    if isinstance(found, torch.Tensor):
        return x.mean(*args, **kwargs)
    return type(found)((x.mean(*args, **kwargs), found[1]))


def _in_double(func: Any, x: Tensor, *args: Any) -> Any:
    """Call a recurrent layer with doubles: that of oneDNN has no forward derivative."""
    found = func(*_cast((x, *args), torch.float64))
    return _cast(found, x.dtype)


def _cast(values: Any, dtype: torch.dtype) -> Any:
    if isinstance(values, (tuple, list)):
        return type(values)(_cast(v, dtype) for v in values)
    is_float = isinstance(values, torch.Tensor) and values.is_floating_point()
    return values.to(dtype) if is_float else values


LAYERS = frozenset(
    (
        F.linear,
        F.conv1d,
        F.conv2d,
        F.conv3d,
        F.conv_transpose1d,
        F.conv_transpose2d,
        F.conv_transpose3d,
    )
)
LOOKUPS = frozenset((F.embedding, F.embedding_bag))
# Functions of any name of these, in any of torch's namespaces, in place or not.
ZERO_AT_ZERO = (
    "abs alpha_dropout celu clamp clamp_max clamp_min clip dropout dropout1d dropout2d "
    "dropout3d elu erf feature_alpha_dropout feature_dropout gelu hardshrink hardswish "
    "hardtanh leaky_relu mish prelu relu relu6 rrelu selu silu softshrink softsign tanh "
    "tanhshrink threshold"
)
POSITIVE_AT_ZERO = "batch_norm expit hardsigmoid logsigmoid sigmoid softplus"
NAMED: dict[str, Any] = {
    **dict.fromkeys(ZERO_AT_ZERO.split(), _same),
    **dict.fromkeys(POSITIVE_AT_ZERO.split(), _raised),
    **dict.fromkeys(("max", "min", "amax", "amin", "maximum", "minimum"), _extreme),
    **dict.fromkeys(("gru", "lstm", "rnn_relu", "rnn_tanh"), _in_double),
    "glu": _glu,
    "layer_norm": _over_last,
    "rms_norm": _over_last,
    "group_norm": _over_groups,
    "instance_norm": _over_space,
}
for _n in (1, 2, 3):
    NAMED[f"max_pool{_n}d"] = _pooled(getattr(F, f"avg_pool{_n}d"))
    NAMED[f"adaptive_max_pool{_n}d"] = _pooled_to(getattr(F, f"adaptive_avg_pool{_n}d"))
STAND_INS: dict[Any, Callable] = {
    getattr(place, name + ending): stand_in
    for name, stand_in in NAMED.items()
    for place in (F, torch, torch.Tensor, torch.special)
    for ending in ("", "_")
    if hasattr(place, name + ending)
}
