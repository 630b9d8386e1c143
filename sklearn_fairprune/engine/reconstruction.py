"""A pruned network made to compute what the dense one does, layer by layer, by least squares.

No gradient step and no learning rate: the inputs of a layer are those of the pruned network
whose earlier layers are done, its targets the outputs of the dense network's same layer
before any activation.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.torch import plain_name
from ..functional.params import PRUNABLE_LAYERS, by_plain_name, prunable
from ..functional.reconstruction import (
    LeastSquares,
    masked_conjugate_gradients,
    masked_least_squares,
)
from .batches import Rows, balanced
from .layer_passes import Block, LayerPasses, Unusable

# Second moments of a layer's inputs in float64, of 5,792 inputs if it has no groups. Layers of
# more inputs are solved without, by passes over the rows, if they have no more weights than
# this: a few float64 copies of them are held.
MAX_GRAM_BYTES = 2**28
MAX_WEIGHTS_WITHOUT_GRAM = 2**24


class Reconstruction(NamedTuple):
    """A network after reconstruction, and what happened to its layers.

    Attributes
    ----------
    net : skorch.NeuralNet
        Changed in place.
    refitted : tuple of str
        Weights that were found by least squares, in the order of the forward pass.
    skipped : dict of str to str
        Weights of layers that were left as they are although they, or layers before them,
        are pruned; and why.
    unsolved : dict of str to int
        Number of units of refitted weights that kept the weights they had, because inputs
        or targets are not finite. Only of weights with such units.
    """

    net: NeuralNet
    refitted: tuple[str, ...]
    skipped: dict[str, str]
    unsolved: dict[str, int]


def reconstruct(
    net: NeuralNet,
    dense: NeuralNet,
    rows: Rows,
    masks: Mapping[str, Tensor],
    *,
    balance: float = 0.0,
    damping: float = 0.01,
    seed: int = 0,
) -> Reconstruction:
    r"""Refit the layers of a pruned network to the outputs of the dense network's.

    Every unit of a layer gets the weights, and the bias, with the least squared error

    .. math::
        \sum_i \omega_i (z_{ij} - w_j^\top x_i - b_j)^2, \qquad
        \omega_i = s_i \, n_{a_i}^{-\text{balance}},

    on the inputs it keeps (see `masked_least_squares`), :math:`s_i` the weight of row i and
    :math:`n_a` the sum of the weights of its group. Layers in front of which nothing is
    pruned, and which are not pruned, stay bit for bit.

    Parameters
    ----------
    net : skorch.NeuralNet
        Pruned copy of `dense`, with the masks applied. Changed in place: weights and biases of
        its linear and convolution layers. Batch norm takes part with the statistics it has,
        which should be those of `dense`.
    dense : skorch.NeuralNet
        The network before weights were removed: the dense one, or what a later removal of a
        schedule found. Left as it is.
    rows : Rows
        To fit on, with groups if `balance` is not 0. Targets are not needed.
    masks : dict of str to torch.BoolTensor
        True = kept. What they remove is 0.0 afterwards.
    balance : float, default=0.0
        0: every row counts the same; 1: every group does.
    damping : float, default=0.01
        Pull towards the weights that the net has.
    seed : int, default=0
        Of the positions that are drawn, if a convolution (or a layer that reads sequences)
        has more than 131,072 positions over all rows.

    Returns
    -------
    reconstruction : Reconstruction

    Raises
    ------
    ValueError
        If an argument is out of its range, the masks are not those of the net, or groups are
        wanted and there are none.

    Notes
    -----
    One pass over the rows for each layer that is refitted, through both networks, each up to
    this layer; for p inputs of q units, of which each keeps k, n p^2 + q k^3 / 3 operations.
    Where a unit has more than 5,792 inputs, up to 21 more passes of the pruned network, of
    4 n p q operations, in place of them.
    """
    _check(net, rows, masks, balance, damping)
    if all(mask.all() for mask in masks.values()):
        return Reconstruction(net, (), {}, {})
    passes = LayerPasses(net, dense, rows, row_weights(rows, balance), seed)
    refitted, skipped, unsolved = [], {}, {}
    for name, layer in _layers(passes, masks):
        try:
            solved = _refit(layer, passes, damping)
        except Unusable as reason:
            skipped[name] = str(reason)
            continue
        refitted.append(name)
        if not solved.all():
            unsolved[name] = int((~solved).sum())
    _copy_parameters(passes.module, net.module_)
    return Reconstruction(net, tuple(refitted), skipped, unsolved)


def _check(
    net: NeuralNet, rows: Rows, masks: Mapping[str, Tensor], balance: float, damping: float
) -> None:
    """Refuse arguments that mean nothing."""
    for name, value in (("balance", balance), ("damping", damping)):
        if not 0 <= value < math.inf:
            raise ValueError(f"{name} must be a finite number of at least 0, got {value!r}.")
    if balance and rows.groups is None:
        raise ValueError(
            f"balance={balance:g} weighs rows by their groups, and rows have none: pass "
            "groups, or balance=0."
        )
    shapes = {name: tuple(w.shape) for name, w in by_plain_name(net.module_).items()}
    given = {name: tuple(mask.shape) for name, mask in masks.items()}
    if not given or any(shapes.get(name) != shape for name, shape in given.items()):
        shapes = {name: shapes[name] for name in prunable(net.module_)}
        raise ValueError(
            "masks must be of prunable weights of the net, and of their shape: "
            f"{shapes}. Got {given}."
        )


def _copy_parameters(source: nn.Module, target: nn.Module) -> None:
    """Write the parameters of one module into another of the same layers."""
    found = {plain_name(name): p for name, p in source.named_parameters()}
    with torch.no_grad():
        for name, parameter in target.named_parameters():
            parameter.copy_(found[plain_name(name)])


def row_weights(rows: Rows, balance: float) -> Tensor:
    r"""Weights of the rows, :math:`s_i \, n_{a_i}^{-\text{balance}}`, rescaled to mean 1.

    Parameters
    ----------
    rows : Rows
        With groups if `balance` is not 0.
    balance : float
        0: as they are; 1: every group has the same sum.

    Returns
    -------
    weights : torch.Tensor of shape (n,)
        In float64.
    """
    own = torch.ones(len(rows)) if rows.weights is None else rows.weights
    weights = own.double()
    if balance:
        weights = weights * balanced(rows, balance)[rows.groups]
    return weights / weights.mean()


@dataclass
class _Layer:
    """A layer that is pruned, or behind one that is."""

    places: tuple[str, ...]  # names of the layers that have it
    module: Any
    mask: Tensor
    n_calls: int
    fits_bias: bool

    @property
    def groups(self) -> int:
        """Groups of channels."""
        return getattr(self.module, "groups", 1)

    def by_group(self, values: Tensor) -> Tensor:
        """From (groups * q, ...) to (groups, q, ...)."""
        return values.reshape(self.groups, len(values) // self.groups, -1)


def _layers(
    passes: LayerPasses, masks: Mapping[str, Tensor]
) -> Iterator[tuple[str, _Layer | str]]:
    """Weights in the order of the forward pass from the first pruned one on, or why not."""
    module, calls = passes.module, passes.calls()
    names = {id(weight): name for name, weight in prunable(module).items()}
    places: dict[str, list[str]] = {}  # of the layers of a weight
    for place, part in module.named_modules():
        if isinstance(part, PRUNABLE_LAYERS):
            name = names.get(id(part.weight), f"{place}.weight")
            places.setdefault(name, []).append(place)
    pruned = {name for name, mask in masks.items() if not mask.all()}
    others = [k for k in masks if k in pruned and k not in places]
    yield from ((name, "neither linear nor a convolution") for name in others)
    called = [k for k in masks if k in pruned and k in places]
    uncalled = [k for k in called if not calls.keys() & places[k]]
    yield from ((name, "the forward pass does not call its layer") for name in uncalled)
    touched = bool(uncalled or others)
    order = {at: name for name, here in places.items() for at in here}
    for name in dict.fromkeys(order[place] for place in calls):
        touched |= name in pruned
        if touched:
            users: list[Any] = [module.get_submodule(place) for place in places[name]]
            n_calls = sum(calls.get(place, 0) for place in places[name])
            bias = users[0].bias
            fits_bias = _trained(bias) and not _others(module, bias, users)
            mask = masks[name] if name in masks else users[0].weight.new_ones(()).bool()
            mask = mask.expand_as(users[0].weight)
            layer = _Layer(tuple(places[name]), users[0], mask, n_calls, fits_bias)
            yield name, _reason(module, users) or layer


def _trained(parameter: Tensor | None) -> bool:
    return isinstance(parameter, nn.Parameter) and parameter.requires_grad


def _others(module: nn.Module, parameter: Tensor, users: list[Any]) -> list[str]:
    """Kinds of parts of a module, but for some, that have a parameter."""
    return [
        type(part).__name__
        for part in module.modules()
        if any(p is parameter for p in part.parameters(recurse=False)) and part not in users
    ]


def _reason(module: nn.Module, users: list[Any]) -> str:
    """Why layers that share a weight cannot be refitted; empty if they can."""
    layer = users[0]
    if not _trained(layer.weight):
        made = not isinstance(layer.weight, nn.Parameter)
        return "made of other parameters" if made else "frozen"
    if getattr(layer, "transposed", False):
        return f"of a {type(layer).__name__}"
    if others := _others(module, layer.weight, users):
        return f"shared with {', '.join(others)}"
    if len({(type(u), u.extra_repr(), id(u.bias)) for u in users}) > 1:
        return "shared by layers with other settings or biases"
    return ""


@torch.no_grad()
def _refit(layer: _Layer | str, passes: LayerPasses, damping: float) -> Tensor:
    """Write the least-squares weights of a layer into it; return which units have some."""
    if isinstance(layer, str):
        raise Unusable(layer)
    weight, bias = layer.module.weight, layer.module.bias
    start, mask = layer.by_group(weight), layer.by_group(layer.mask.to(weight.device))
    fixed = None if bias is None else layer.by_group(bias)
    if layer.fits_bias:
        start = torch.cat([start, fixed], dim=-1)
        mask, fixed = F.pad(mask, (0, 1), value=True), None
    sums = _Sums(layer, passes, start.double(), fixed)
    solve = sums.by_factors
    if layer.groups * start.shape[-1] ** 2 * 8 > MAX_GRAM_BYTES:
        solve = sums.by_steps
        if start.numel() > MAX_WEIGHTS_WITHOUT_GRAM:
            raise Unusable(f"too large, {start.shape[-1]:,} inputs of {len(weight):,} units")
    fitted, solved = solve(mask, damping)
    fitted = fitted.flatten(0, 1)
    width = weight[0].numel()
    weight.copy_(fitted[:, :width].reshape(weight.shape))
    if layer.fits_bias:
        bias.copy_(fitted[:, -1])
    return solved.flatten()


class _Sums:
    """Sums over the rows that the least squares of a layer need, by the groups of channels."""

    def __init__(
        self, layer: _Layer, passes: LayerPasses, start: Tensor, fixed: Tensor | None
    ) -> None:
        self._layer, self._passes, self._start, self._fixed = layer, passes, start, fixed

    def by_factors(self, mask: Tensor, damping: float) -> LeastSquares:
        """Solve with the matrices of second moments."""
        groups, _, width = self._start.shape
        gram, cross = (
            self._start.new_zeros(groups, width, width),
            torch.zeros_like(self._start),
        )

        def add(block: Block) -> None:
            inputs, weighted, targets = self._read(block)
            gram.baddbmm_(weighted.mT, inputs)
            cross.baddbmm_(targets.mT, weighted)

        self._passes.visit(self._layer.places, self._layer.n_calls, add)
        options: dict[str, Any] = {"damping": damping, "bias": self._layer.fits_bias}
        parts = zip(gram, cross, self._start, mask, strict=True)
        found = [masked_least_squares(*part, **options) for part in parts]
        return LeastSquares(*map(torch.stack, zip(*found, strict=True)))

    def by_steps(self, mask: Tensor, damping: float) -> LeastSquares:
        """Solve with products of these matrices only, one pass over the rows each."""
        places, n_calls = self._layer.places, self._layer.n_calls
        diagonal, cross = torch.zeros_like(self._start[:, 0]), torch.zeros_like(self._start)

        def add(block: Block) -> None:
            inputs, weighted, targets = self._read(block)
            diagonal.add_((weighted * inputs).sum(1))
            cross.baddbmm_(targets.mT, weighted)

        def product(vectors: Tensor) -> Tensor:
            found = torch.zeros_like(vectors)

            def add_product(block: Block) -> None:
                inputs, weighted, _ = self._read(block)
                found.baddbmm_((inputs @ vectors.mT).mT, weighted)

            self._passes.visit(places, n_calls, add_product, targets=False)
            return found

        self._passes.visit(places, n_calls, add)
        return masked_conjugate_gradients(
            product, diagonal, cross, self._start, mask, damping, bias=self._layer.fits_bias
        )

    def _read(self, block: Block) -> tuple[Tensor, Tensor, Any]:
        """Inputs (with a 1 for the bias), the same times their weights, and targets."""
        inputs, targets = block.inputs, block.targets
        if self._layer.fits_bias:
            inputs = F.pad(inputs, (0, 1), value=1.0)
        if self._fixed is not None and targets is not None:
            targets = targets - self._fixed.mT
        return inputs, inputs * block.weights[:, None], targets
