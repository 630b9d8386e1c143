"""What criteria ask for, by the names of their arguments, measured on the training rows.

Every statistic but the generator is a tensor of the shape of the weight that is scored
(`group_gradients` and `group_hessian_diagonals` have the groups before it, `group_losses` and
`group_shares` the groups only), of the mean loss in evaluation mode: the cross-entropy of a
classifier without class weights, else the net's own criterion. They are taken on a copy of
the network as it is when its weights are scored: no step is made, no gradient is kept.

Add one: a function of a `Scene`, and a record in `STATISTICS`.
"""

import functools
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from .._compat.torch import plain_name
from ..functional.curvature import gradient as gradient_of
from ..functional.params import PRUNABLE_LAYERS, Params
from ..functional.shelf import Member, Shelf
from .evaluation import second_derivatives
from .hessian_diagonals import hessian_diagonals
from .scene import Scene


def generator(scene: Scene) -> torch.Generator:
    """Source of random numbers of this fit; it goes on from layer to layer."""
    return scene.generator()


def gradient(scene: Scene) -> Params:
    r"""Gradient of the mean loss, :math:`\nabla_w J(\theta; D)`."""
    return _gradient(scene, scene.everyone)


def group_gradients(scene: Scene) -> Params:
    r"""Gradients of the groups' mean losses, :math:`\nabla_w J(\theta; D_a)`, stacked."""
    found = [_gradient(scene, index) for index in scene.members]
    return {name: torch.stack([g[name] for g in found]) for name in found[0]}


def group_losses(scene: Scene) -> Tensor:
    r"""Mean losses of the groups, :math:`J(\theta; D_a)`."""
    params = scene.evaluation.params
    with torch.no_grad():
        found = [
            sum(float(loss(params)) for loss in scene.mean_losses(index))
            for index in scene.members
        ]
    return torch.tensor(found, dtype=torch.float64)


def group_shares(scene: Scene) -> Tensor:
    r"""Share of each group in the rows, :math:`n_a / n`, or in their weights."""
    sizes = torch.bincount(scene.rows.groups, weights=scene.rows.weights)
    return sizes.double() / sizes.sum()


@second_derivatives("hessian_diagonal")
def hessian_diagonal(scene: Scene) -> Params:
    r"""Diagonal of the Hessian of the mean loss, :math:`\partial^2 J / \partial w^2`."""
    found = hessian_diagonals(scene, [scene.everyone])
    return {name: diagonal[0] for name, diagonal in found.items()}


@second_derivatives("group_hessian_diagonals")
def group_hessian_diagonals(scene: Scene) -> Params:
    r"""Diagonals of the Hessians of the groups' mean losses, stacked."""
    return hessian_diagonals(scene, scene.members)


def activation_norms(scene: Scene) -> Params:
    r"""Norm over all rows of what each weight is multiplied with, :math:`\|X_j\|_2`."""
    net = scene.evaluation.net
    layers = dict(net.module_.named_modules())
    squares: dict[str, Tensor] = {}

    def note(name: str, layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        values = inputs[0].detach().double().square()
        channel = -1 if isinstance(layer, nn.Linear) else 1
        sums = values.transpose(channel, -1).reshape(-1, values.shape[channel]).sum(0)
        squares[name] = squares.get(name, 0) + sums

    names = {name: plain_name(name) for name in layers}
    hooks = [
        layer.register_forward_pre_hook(
            functools.partial(lambda name, layer, inputs: note(name, layer, inputs), weight)
        )
        for name, layer in layers.items()
        if (weight := f"{names[name]}.weight".lstrip(".")) in scene.names
        and isinstance(layer, PRUNABLE_LAYERS)
    ]
    try:
        with torch.no_grad():
            for _, X, _ in scene.batches(scene.everyone):
                scene.evaluation.outputs(scene.evaluation.params, X)
    finally:
        for hook in hooks:
            hook.remove()
    found = {}
    for name, layer in layers.items():
        weight = f"{names[name]}.weight".lstrip(".")
        if weight in squares:
            found[weight] = _spread(layer, squares[weight].sqrt())
    return found


def _spread(layer: Any, norms: Tensor) -> Tensor:
    """Norms of the inputs in the shape of a layer's weight."""
    weight = layer.weight
    if isinstance(layer, nn.Linear):
        return norms.to(weight).expand_as(weight)
    groups, n_space = layer.groups, weight.dim() - 2
    if layer.transposed:
        return norms.to(weight).reshape(-1, 1, *[1] * n_space).expand_as(weight)
    of_groups = norms.to(weight).reshape(groups, 1, -1)
    per_output = of_groups.expand(groups, weight.shape[0] // groups, -1)
    return per_output.reshape(*weight.shape[:2], *[1] * n_space).expand_as(weight)


def _gradient(scene: Scene, index: Tensor) -> Params:
    params = scene.evaluation.require_params()
    return _sum(gradient_of(loss, params) for loss in scene.mean_losses(index))


def _sum(parts: Any) -> Params:
    total = None
    for part in parts:
        total = part if total is None else {k: total[k] + v for k, v in part.items()}
    return total


@dataclass(frozen=True)
class Statistic(Member):
    """A statistic that criteria can ask for.

    Attributes
    ----------
    function : callable
        From a `Scene` to a dict of tensors by the name of the weight, or to one object for
        all weights.
    title : str
        What tables call it.
    of_rows : bool
        Whether it needs training rows.
    of_targets : bool
        Whether it needs their targets, or groups that may be the classes.
    of_layers : bool
        Whether only weights of linear layers and convolutions have it.
    of_loss : bool
        Whether it needs the loss that the net was trained with.
    """

    of_rows: bool = True
    of_targets: bool = True
    of_layers: bool = False
    of_loss: bool = True


STATISTICS = Shelf(
    Statistic,
    Statistic(generator, of_rows=False, of_targets=False, of_loss=False),
    Statistic(gradient),
    Statistic(group_gradients),
    Statistic(group_losses),
    Statistic(group_shares, of_loss=False),
    Statistic(hessian_diagonal),
    Statistic(group_hessian_diagonals),
    Statistic(activation_norms, of_targets=False, of_layers=True, of_loss=False),
)


def statistics_of(scene: Scene, names: Collection[str]) -> Mapping[str, Any]:
    """Take the statistics of these names.

    Parameters
    ----------
    scene : Scene
        Network, rows, seed.
    names : collection of str
        On the shelf.

    Returns
    -------
    statistics : dict
        Tensors by the name of the weight, or one object for all.

    Raises
    ------
    ValueError
        If one needs training rows and there are none.
    """
    of_rows = [name for name in names if STATISTICS[name].of_rows]
    if of_rows and scene.rows is None:
        raise ValueError(
            f"{of_rows} are measured on training rows, and there are none: pass X and y."
        )
    found = {name: STATISTICS[name](scene) for name in names}
    return {name: _plain_names(value) for name, value in found.items()}


def _plain_names(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {plain_name(name): tensor.detach() for name, tensor in value.items()}
