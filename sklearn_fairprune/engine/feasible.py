"""Whether a network has the masks that a recipe asks for, asked before it is trained."""

from collections.abc import Mapping

from skorch import NeuralNet
from torch import Tensor

from ..functional.masks import masks_sparsity
from ..functional.pools import TOLERANCE
from ..functional.unit_masks import sparsest
from .batches import Rows
from .liveness import sample_of
from .recipe import Recipe
from .unit_groups import find_units


def fewest_units(recipe: Recipe, net: NeuralNet, rows: Rows) -> dict[str, Tensor] | None:
    """Masks of a network with the fewest units, if whole units are to go.

    Parameters
    ----------
    recipe, net, rows
        See `check_masks`.

    Returns
    -------
    masks : dict of str to torch.BoolTensor or None
        None if the granularity is another.

    Raises
    ------
    ValueError
        If the network has no such units, or they are too few for the sparsity.
    """
    granularity = recipe.selection.granularity
    if not granularity.units:
        return None
    weights = recipe.selection.weights(net.module_)
    found = find_units(net.module_, sample_of(net, rows))
    groups = [
        group
        for kind in granularity.units
        for group in found.groups[kind]
        if not set(weights).isdisjoint(group.owners)
    ]
    name = f"granularity={granularity.name!r}"
    if isinstance(recipe.scope, Mapping):
        raise ValueError(
            f"{name} removes whole units, and scope={dict(recipe.scope)!r} gives layers "
            "shares of their weights. Use scope='global' or 'layerwise', and ignored_layers."
        )
    if "head" in granularity.units and "attention" not in recipe.selection.layers:
        raise ValueError(
            f"{name} removes rows of attention's input projections, which "
            f"layers={list(recipe.selection.layers)} leaves alone. Use "
            "layers=('linear', 'conv', 'attention')."
        )
    if not groups:
        told = "; ".join(found.reasons) or "it has no such layers"
        raise ValueError(
            f"{name} finds no {' or '.join(granularity.units)} that can be removed from the "
            f"network ({told}). Use granularity='weight'."
        )
    masks = sparsest(
        {name: tuple(w.shape) for name, w in weights.items()}, groups, recipe.min_density
    )
    most = masks_sparsity(masks)
    if recipe.target is None and recipe.sparsity > most + TOLERANCE:
        raise ValueError(
            f"{name} can remove {most:.4g} of the weights at most, and sparsity="
            f"{recipe.sparsity:g} asks for more: at least one unit of every layer stays, and "
            "so do weights that belong to no unit. Lower sparsity or min_density, or use "
            "granularity='weight'."
        )
    return masks
