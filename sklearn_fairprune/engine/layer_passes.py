"""Inputs of one layer of a pruned network beside the outputs of the dense one."""

import functools
import math
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.skorch import evaluation_mode
from .._compat.torch import without_compilation
from ..functional.params import PRUNABLE_LAYERS
from ..functional.patches import patches
from .batches import Rows
from .networks import adapt, copy_net, read_in_order
from .randomness import seeded

# Positions of a convolution (or of sequences) that a layer is fitted on, over all rows; at
# least one of each row. Where there are more, those of each row are drawn.
MAX_POSITIONS = 2**17
# Inputs that are worked on at once, as float64.
BLOCK_BYTES = 2**26

_OTHERWISE = "the dense network calls it otherwise"
Index = tuple[Tensor, ...]


class Unusable(Exception):
    """Why the inputs of a layer cannot be had, or say nothing of its weights."""


class _Reached(Exception):
    """The last call of a layer is over, and what comes after it is not wanted."""


class Block(NamedTuple):
    """Some inputs of a layer, apart for the groups of its channels (one, if it has none).

    Attributes
    ----------
    inputs : torch.Tensor of shape (groups, m, p)
        Of the pruned network, in float64.
    targets : torch.Tensor of shape (groups, m, q) or None
        Outputs of the dense network, in float64; None if they were not asked for.
    weights : torch.Tensor of shape (m,)
        Of the rows, in float64.
    """

    inputs: Tensor
    targets: Tensor | None
    weights: Tensor


class LayerPasses:
    """Two networks of the same layers that read the same rows, in evaluation mode.

    Parameters
    ----------
    net, dense : skorch.NeuralNet
        Fitted; copies are read, they stay as they are.
    rows : Rows
        Read in order, in the batches of the net.
    weights : torch.Tensor of shape (n,)
        Of the rows, in float64; rows of weight 0 are left out.
    seed : int
        Of the positions that are drawn, and of whatever reading the rows draws.

    Attributes
    ----------
    module : torch.nn.Module
        Of the copied pruned network, without compilation. What is written into its weights
        is there for the next pass.
    """

    def __init__(
        self, net: NeuralNet, dense: NeuralNet, rows: Rows, weights: Tensor, seed: int
    ) -> None:
        self._net, self._dense = _reader(net), _reader(dense)
        self.module: nn.Module = self._net.module_
        self._rows = adapt(rows.of_dtype(rows.dtype), net)
        self._weights, self._seed = weights, seed
        self._uniform = bool((weights == weights[0]).all())

    def calls(self) -> dict[str, int]:
        """Linear and convolution layers in the order of their first calls, and how often.

        Returns
        -------
        calls : dict of str to int
            By the name of the layer; calls in a forward pass of the first batch.
        """
        names: dict[nn.Module, str] = {
            layer: name
            for name, layer in self.module.named_modules()
            if isinstance(layer, PRUNABLE_LAYERS)
        }
        found: dict[str, int] = {}

        def note(layer: nn.Module, *call: Tensor) -> None:
            found[names[layer]] = found.get(names[layer], 0) + 1

        with self._reading():
            batch, _ = next(self._batches())
            _forward(self._net, names.values(), batch, note)
        return found

    def visit(
        self,
        names: Collection[str],
        n_calls: int,
        take: Callable[[Block], None],
        *,
        targets: bool = True,
    ) -> None:
        """Hand all inputs of a layer over, block by block; one pass over the rows.

        Parameters
        ----------
        names : collection of str
            The layer; several names if layers share one weight.
        n_calls : int
            Calls in a forward pass; what comes after the last is not computed.
        take : callable
            Of a `Block`; they come in the same order every time.
        targets : bool, default=True
            Whether the dense network is read, too.

        Raises
        ------
        Unusable
            If the entries of its inputs are not those of rows, if they are not the same in
            both networks, or if its outputs are not its weights times its inputs.
        """
        draws = [torch.Generator().manual_seed(self._seed) for _ in range(2)]
        with self._reading():
            for batch, weights in self._batches():
                aside: list[Tensor] | None = [] if targets else None
                if targets:
                    keep = functools.partial(self._keep, aside, weights, draws[0])
                    _forward(self._dense, names, batch, keep, n_calls)
                hand = functools.partial(self._hand, aside, weights, draws[1], take)
                _forward(self._net, names, batch, hand, n_calls)
                if aside:
                    raise Unusable(_OTHERWISE)

    def _keep(
        self, aside: list, weights: Tensor, draws: torch.Generator, layer: Any, *call: Tensor
    ) -> None:
        """Put the outputs of one call of a layer of the dense network aside."""
        outputs = _by_position(layer, *call)[1]
        at, _ = self._pick(outputs, weights, draws)
        aside.append(outputs[at])

    def _hand(
        self,
        aside: list | None,
        weights: Tensor,
        draws: torch.Generator,
        take: Callable,
        layer: Any,
        *call: Tensor,
    ) -> None:
        """Hand the inputs of one call over, with the outputs that were put aside for it."""
        inputs, outputs = _by_position(layer, *call)
        at, mass = self._pick(outputs, weights, draws)
        wanted = None
        if aside is not None:
            wanted = aside.pop(0) if aside else outputs[:0]
            if wanted.shape != (len(mass), outputs.shape[-1]):
                raise Unusable(_OTHERWISE)
        groups = getattr(layer, "groups", 1)
        block_size = max(1, BLOCK_BYTES // (8 * math.prod(inputs.shape[len(at) :])))
        for part in torch.arange(len(mass)).split(block_size) if len(mass) else ():
            here = tuple(index[part] for index in at)
            block = Block(
                _by_group(inputs[here], groups),
                None if wanted is None else _by_group(wanted[part], groups),
                mass[part].to(inputs.device),
            )
            if not part[0]:
                _check_outputs(layer, block.inputs, outputs[here])
            take(block)

    def _pick(
        self, outputs: Tensor, weights: Tensor, draws: torch.Generator
    ) -> tuple[Index, Tensor]:
        """Rows and positions that count, and their weights."""
        n, positions = len(outputs), outputs.shape[1:-1]
        share = MAX_POSITIONS * len(weights) / max(1, len(self._rows) * n)
        if n != len(weights):
            if not self._uniform:
                raise Unusable("its inputs are not one entry a row, and rows have weights")
            weights = weights[:1].expand(n)
        n_positions = math.prod(positions)
        n_drawn = min(n_positions, max(1, math.ceil(share)))
        places = torch.arange(n_positions).expand(n, -1)
        if n_drawn < n_positions:
            places = torch.rand(n, n_positions, generator=draws).topk(n_drawn).indices
        at = (torch.arange(n)[:, None] * n_positions + places).flatten()
        mass = (weights * n_positions / max(1, n_drawn)).repeat_interleave(n_drawn)
        index = torch.unravel_index(at[mass > 0].to(outputs.device), (n, *positions))
        return index, mass[mass > 0]

    def _batches(self) -> Iterator[tuple[Any, Tensor]]:
        """Batches of the rows, and the weights of their rows."""
        at = 0
        for batch in self._net.get_iterator(self._rows, training=False):
            n = len(batch[1])
            yield batch, self._weights[at : at + n]
            at += n

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Make reading repeatable, and have transformers call every layer of theirs."""
        fast = torch.backends.mha.get_fastpath_enabled()
        torch.backends.mha.set_fastpath_enabled(False)
        try:
            with seeded(self._seed), torch.no_grad():
                yield
        finally:
            torch.backends.mha.set_fastpath_enabled(fast)


def _reader(net: NeuralNet) -> NeuralNet:
    """Copy of a net that reads rows in order."""
    twin = copy_net(net)
    twin.module_ = without_compilation(twin.module_)
    evaluation_mode(twin)
    return read_in_order(twin)


def _forward(
    net: NeuralNet,
    names: Collection[str],
    batch: Any,
    note: Callable[..., None],
    n_calls: float = math.inf,
) -> None:
    """Forward pass until layers of these names were called so often; calls are noted."""
    left = n_calls

    def hook(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
        nonlocal left
        note(layer, args[0] if args else kwargs["input"], output)
        left -= 1
        if left <= 0:
            raise _Reached

    hooks = [
        net.module_.get_submodule(name).register_forward_hook(
            hook, prepend=True, with_kwargs=True
        )
        for name in names
    ]
    try:
        net.evaluation_step(batch)
    except _Reached:
        pass
    finally:
        for handle in hooks:
            handle.remove()


def _by_position(layer: Any, inputs: Tensor, outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Views of shapes (n, *positions, *what a unit reads) and (n, *positions, units)."""
    if isinstance(layer, nn.Linear):
        return (inputs[None], outputs[None]) if inputs.dim() == 1 else (inputs, outputs)
    if inputs.dim() == len(layer.kernel_size) + 1:
        inputs, outputs = inputs[None], outputs[None]
    asked = ("stride", "padding", "dilation", "padding_mode")
    options = {name: getattr(layer, name) for name in asked}
    return patches(inputs, layer.kernel_size, **options), outputs.movedim(1, -1)


def _by_group(values: Tensor, groups: int) -> Tensor:
    """From (m, groups * k, ...) to float64 of shape (groups, m, k * ...)."""
    return values.reshape(len(values), groups, -1).double().transpose(0, 1)


def _check_outputs(layer: Any, inputs: Tensor, outputs: Tensor) -> None:
    """Refuse a layer whose outputs are not its weights times these inputs."""
    groups, _, width = inputs.shape
    weight = layer.weight.double().reshape(groups, -1, width)
    found = (inputs @ weight.mT).transpose(0, 1).reshape(outputs.shape)
    size = (inputs.abs() @ weight.abs().mT).max()
    if layer.bias is not None:
        found, size = found + layer.bias, torch.maximum(size, layer.bias.abs().max())
    off = (found - outputs).abs().max()
    if off > torch.finfo(outputs.dtype).eps ** 0.5 * size:
        raise Unusable("its outputs are not its weights times its inputs")
