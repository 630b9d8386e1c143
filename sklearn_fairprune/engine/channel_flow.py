"""A network run once with its numbers, its channels, and what does not depend on the input.

Every tensor of the run has two companions of its shape: the channel at each place, and
whether the number there is the same for all inputs. Operations that only move numbers are
applied to the companions as they are; for the others there are rules. What no rule knows
freezes the channels that it reads.
"""

import operator
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, fx, nn

from .._compat.torch import BatchNorm
from . import channel_operations as operations
from .channel_values import Extent, Flow, Use, exchanged, parts, plain_layers
from .channels import OUTPUT, Channels


class ChannelFlow(fx.Interpreter):
    """Runs the graph of a network and finds the channels of its layers.

    Parameters
    ----------
    module : torch.nn.Module
        The network on the CPU, in evaluation mode.
    graph : torch.fx.Graph
        What it does.

    Attributes
    ----------
    channels : Channels
        What the labels mean.
    uses : dict of str to Use
        The layers whose units are understood, by their names, in the order of the run.
    """

    def __init__(self, module: nn.Module, graph: fx.Graph) -> None:
        super().__init__(module, graph=graph)
        self.channels = Channels()
        self.uses: dict[str, Use] = {}
        self._plain = plain_layers(module, graph)

    def frozen(self, value: Tensor, reason: str, known: bool = False) -> Flow:
        """Give a tensor channels that stay.

        Parameters
        ----------
        value : torch.Tensor
            The tensor.
        reason : str
            Why they stay.
        known : bool, default=False
            Whether it is the same for all inputs.

        Returns
        -------
        flow : Flow
        """
        label = self.channels.new(1, reason)[0].expand(value.shape)
        return Flow(value, label, torch.full(value.shape, known))

    def _wrapped(self, structure: Any, reason: str, known: bool = False) -> Any:
        """Give all tensors of a structure channels that stay."""
        return exchanged(structure, Tensor, lambda t: self.frozen(t, reason, known))

    def placeholder(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Take an input of the network."""
        return self._wrapped(super().placeholder(target, args, kwargs), "an input")

    def get_attr(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Take a parameter or buffer that the network's own code reads."""
        value = self.fetch_attr(target)
        reason = f"it meets {target}, which is not a part of a layer"
        return self._wrapped(value, reason, known=True)

    def output(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Freeze the outputs of the network."""
        for flow in parts(args, Flow):
            self.channels.freeze(flow.labels, OUTPUT)
        return args[0]

    def call_function(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Follow a function."""
        if target is getattr and isinstance(args[0], Flow):
            found = self._asked(args[0], args[1])
            if found is not None:
                return found
        name = operations.NAMES.get(target, "")
        if target is operator.getitem and not isinstance(args[0], Flow):
            return args[0][args[1]]
        return self._operation(
            name, str(getattr(target, "__name__", target)), target, args, kwargs
        )

    def call_method(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Follow a method of a tensor."""
        if isinstance(args[0], Flow):
            found = self._asked(args[0], target)
            if found is not None:
                return found[args[1]] if len(args) > 1 else found
        name = target.removesuffix("_") if not target.endswith("__") else target

        def method(tensor: Any, *rest: Any, **options: Any) -> Any:
            return getattr(tensor, target)(*rest, **options)

        return self._operation(name, target, method, args, kwargs)

    def _asked(self, flow: Flow, name: str) -> Any:
        """Tell what the network asks of a tensor, None if that is another tensor."""
        value, labels = flow.value, flow.labels
        if name in ("shape", "size"):
            changing = [operations.varies(labels, d) for d in range(value.dim())]
            return tuple(
                Extent.of(size, labels if changes else labels.flatten()[:0])
                for size, changes in zip(value.shape, changing, strict=True)
            )
        if name in ("numel", "nelement"):
            return Extent.of(value.numel(), labels)
        if name in ("dim", "ndim", "ndimension"):
            return value.dim()
        if name in operations.TRAITS:
            found = getattr(value, name)
            return found() if callable(found) else found
        return None

    def _operation(
        self, name: str, told: str, function: Callable, args: tuple, kwargs: dict
    ) -> Any:
        """Choose the rule of an operation."""
        flows = parts((args, kwargs), Flow)
        extents = parts((args, kwargs), Extent)
        if not flows:
            return self._number(function, args, kwargs, extents)

        def call(pick: Callable[[Flow], Tensor]) -> Any:
            return function(*exchanged(args, Flow, pick), **exchanged(kwargs, Flow, pick))

        if name in operations.SHAPES:
            return self._moved(name, told, flows[0].labels, call, args[1:], kwargs)
        for extent in extents:
            self.channels.freeze(extent.labels, f"{told} computes with how many there are")
        if name in operations.ELEMENTWISE and operations.is_certain(
            name, args, kwargs, len(flows)
        ):
            found = self._elementwise(flows, call)
            if told.endswith("_") or told in operations.IN_PLACE:
                flows[0].known = found.known
            return found
        if name in operations.REDUCTIONS:
            return self._reduced(told, flows[0], call, *operations.reduced(args[1:], kwargs))
        if name in operations.POOLS:
            return self._reduced(told, flows[0], call, operations.spatial(name), True)
        return self._unknown(told, flows, call)

    def _number(self, function: Callable, args: tuple, kwargs: dict, extents: list) -> Any:
        """Compute without tensors; what comes of sizes is a size."""
        found = function(*args, **kwargs)
        if extents:
            labels = torch.cat([extent.labels.flatten() for extent in extents])
            if isinstance(found, int) and not isinstance(found, bool):
                return Extent.of(found, labels)
            self.channels.freeze(labels, "the network computes with how many there are")
        return self._wrapped(found, "it meets a tensor made on the way")

    def _moved(
        self, name: str, told: str, before: Tensor, call: Callable, args: tuple, kwargs: dict
    ) -> Any:
        """Apply an operation that only moves numbers."""
        values = call(operator.attrgetter("value"))
        labels, known = (
            call(lambda flow, part=part: getattr(flow, part).contiguous())
            for part in ("labels", "known")
        )
        if operations.SHAPES[name](before, labels, args, kwargs):
            self.channels.freeze(before, f"{told} has a fixed size or place")
        if isinstance(values, Tensor):
            return Flow(values, labels, known)
        return tuple(Flow(*parts) for parts in zip(values, labels, known, strict=True))

    def _elementwise(self, flows: list[Flow], call: Callable) -> Flow:
        """Apply an operation to every place by itself, with broadcasting."""
        value = call(operator.attrgetter("value"))
        shape = value.shape
        labels, known = None, torch.ones(shape, dtype=torch.bool)
        for flow in flows:
            known = known & flow.known.expand(shape)
            labels = flow.labels if labels is None else self._met(labels, flow.labels)
        return Flow(value, labels.expand(shape), known)

    def _met(self, a: Tensor, b: Tensor) -> Tensor:
        """Channels of what two tensors give together."""
        shape = torch.broadcast_shapes(a.shape, b.shape)
        a, b = (t.reshape((1,) * (len(shape) - t.dim()) + t.shape) for t in (a, b))
        thin = [operations.is_spread(one, other) for one, other in ((a, b), (b, a))]
        for one, is_thin in zip((a, b), thin, strict=True):
            if is_thin:
                self.channels.freeze(one, "it meets every channel of another layer")
        if all(thin):
            return self.channels.new(1, "an outer product")[0].expand(shape)
        if thin[0] or thin[1]:
            return (b if thin[0] else a).expand(shape)
        a, b = a.expand(shape), b.expand(shape)
        self.channels.join(a, b)
        return a

    def _reduced(self, told: str, flow: Flow, call: Callable, dims: Any, expand: bool) -> Flow:
        """Apply a sum, mean, maximum or pooling over places of one channel."""
        value = call(operator.attrgetter("value"))
        if not isinstance(value, Tensor) or value.dtype == torch.bool:
            return self._unknown(told, [flow], call)
        unknown = call(lambda f: (~f.known).double())
        dims = tuple(range(flow.value.dim())) if dims is None else dims
        low, high = (f(flow.labels, dims, keepdim=True) for f in (torch.amin, torch.amax))
        if (low != high).any():
            self.channels.freeze(flow.labels, f"{told} puts channels together")
            return Flow(value, self.frozen(value, "a mixture").labels, unknown == 0)
        labels = low if expand else low.reshape(value.shape)
        return Flow(value, labels.expand(value.shape), unknown == 0)

    def _unknown(self, told: str, flows: list[Flow], call: Callable) -> Any:
        """Freeze what an operation without a rule reads and gives."""
        for flow in flows:
            self.channels.freeze(flow.labels, f"{told} reads it")
        found = call(operator.attrgetter("value"))
        if not parts(found, Tensor):
            raise TypeError(f"{told} takes a number out of a tensor")
        return self._wrapped(found, f"made by {told}")

    def call_module(self, target: Any, args: tuple, kwargs: dict) -> Any:
        """Follow a layer."""
        layer, flows = self.fetch_attr(target), parts((args, kwargs), Flow)

        def call(pick: Callable[[Flow], Tensor]) -> Any:
            return layer(*exchanged(args, Flow, pick), **exchanged(kwargs, Flow, pick))

        told = f"{target} ({type(layer).__name__})"
        if len(flows) == 1 and self._has_rule(target, layer):
            return self._layer(target, layer, flows[0])
        if len(flows) == 1 and type(layer) in operations.ELEMENTWISE_LAYERS:
            return self._elementwise(flows, call)
        if len(flows) == 1 and isinstance(layer, nn.Flatten):
            return self._moved("flatten", told, flows[0].labels, call, (), {})
        if len(flows) == 1 and isinstance(layer, operations.POOLING_LAYERS):
            return self._reduced(
                told, flows[0], call, operations.spatial(type(layer).__name__), True
            )
        found = self._unknown(told, flows, call)
        blocks = getattr(layer, "layers", [layer])
        for i, block in enumerate(blocks if type(layer) in operations.STACKS else [layer]):
            if type(block) in operations.TRANSFORMERS:
                name = target if block is layer else f"{target}.layers.{i}"
                self._feed_forward(name, block, flows[0].value)
        return found

    def _has_rule(self, name: str, layer: nn.Module) -> bool:
        return name in self._plain and isinstance(layer, operations.LAYERS)

    def _layer(self, name: str, layer: Any, flow: Flow) -> Any:
        """Apply a layer with weights."""
        if isinstance(layer, nn.Linear):
            return self._weighted(name, layer, flow, -1)
        if isinstance(layer, nn.PReLU) and layer.num_parameters == 1:
            return self._elementwise([flow], lambda pick: layer(pick(flow)))
        if isinstance(layer, (BatchNorm, nn.PReLU)):
            return self._channelwise(name, layer, flow, 1)
        dim = -1 - len(layer.kernel_size)
        if layer.groups == 1:
            return self._weighted(name, layer, flow, dim)
        if layer.groups == layer.in_channels:
            return self._channelwise(name, layer, flow, dim)
        return self._unknown(f"{name} (grouped convolution)", [flow], lambda f: layer(f(flow)))

    def _columns(self, name: str, flow: Flow, dim: int) -> Tensor:
        """Channels along a dimension, if they are the same everywhere else."""
        labels = flow.labels.movedim(dim, -1).reshape(-1, flow.value.shape[dim])
        if (labels != labels[:1]).any():
            self.channels.freeze(flow.labels, f"{name} reads channels along other dimensions")
            return self.channels.new(1, "channels along other dimensions").expand(
                labels.shape[1]
            )
        return labels[0]

    def _weighted(self, name: str, layer: Any, flow: Flow, dim: int) -> Flow:
        """Linear layers and convolutions: every unit reads every channel."""
        columns, rows = self._columns(name, flow, dim), self.channels.new(len(layer.weight))
        constants, foldable = operations.constants(flow.value, flow.known, dim)
        if dim < -1 and operations.pads_with_zeros(layer):
            foldable &= constants == 0
        value = layer(flow.value)
        unknown = operations.reached(layer, ~flow.known)
        self.uses[name] = Use(layer, rows, columns, constants, foldable)
        labels = rows.reshape(-1, *(1,) * (-1 - dim)).expand(value.shape)
        return Flow(value, labels, ~unknown)

    def _channelwise(self, name: str, layer: Any, flow: Flow, dim: int) -> Flow:
        """Batch norm and depthwise convolutions: every channel by itself."""
        value, channels = layer(flow.value), self._columns(name, flow, dim)
        rows = channels.repeat_interleave(value.shape[dim] // len(channels))
        dim = dim - value.dim() if dim > 0 else dim
        shape = (-1, *(1,) * (-1 - dim))
        if isinstance(layer, BatchNorm):
            constant = torch.zeros(len(rows), dtype=torch.bool)
            if layer.weight is not None:
                constant = layer.weight == 0
            known = flow.known | constant.reshape(shape)
        elif isinstance(layer, nn.PReLU):
            known = flow.known
        else:
            known = ~operations.reached(layer, ~flow.known)
        nothing = torch.zeros(0)
        self.uses[name] = Use(layer, rows, None, nothing, nothing.bool())
        return Flow(value, rows.reshape(shape).expand(value.shape), known)

    def _feed_forward(self, name: str, block: Any, value: Tensor) -> None:
        """Follow the two linear layers of a transformer layer, between frozen channels."""
        one, two = f"{name}.linear1", f"{name}.linear2"
        act, plain = block.activation, {one, two} <= self._plain
        simple = operations.NAMES.get(act) if not isinstance(act, nn.Module) else ""
        if plain and (
            simple in operations.ELEMENTWISE or type(act) in operations.ELEMENTWISE_LAYERS
        ):
            read = self.frozen(value, f"{name} reads it")
            hidden = self._weighted(one, block.linear1, read, -1)
            hidden.value = act(hidden.value)
            out = self._weighted(two, block.linear2, hidden, -1)
            self.channels.freeze(out.labels, f"made by {name}")
