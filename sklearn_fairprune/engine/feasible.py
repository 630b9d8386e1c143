"""Whether a network has the masks that a recipe asks for, asked before it is trained."""

from collections.abc import Mapping

from skorch import NeuralNet
from torch import Tensor

from .._compat.warnings import warn
from ..functional.masks import masks_sparsity
from ..functional.pools import TOLERANCE, pools_of
from ..functional.unit_masks import sparsest
from .batches import Rows
from .cost_targets import CostTarget
from .liveness import sample_of
from .networks import check_untrimmed
from .recipe import Recipe, asked_by
from .scoring import check_criterion
from .statistics import STATISTICS
from .unit_groups import find_units


def check_masks(recipe: Recipe, net: NeuralNet, rows: Rows) -> CostTarget | None:
    """Refuse what a recipe removes if there are no such masks of a network.

    Parameters
    ----------
    recipe : Recipe
        How it is pruned.
    net : skorch.NeuralNet
        Initialized; left as it is.
    rows : Rows
        Any of the form that the net reads.

    Returns
    -------
    costs : CostTarget or None
        What the masks are to leave, if the recipe has a target.

    Raises
    ------
    ValueError
        If a name is unknown, the criterion is not one for these weights, or sparsity or
        target cannot be met.
    """
    weights = recipe.selection.weights(net.module_)
    if not recipe.sparsity:
        return None
    check_criterion(recipe.criterion, net.module_, weights)
    sizes = {name: weight.numel() for name, weight in weights.items()}
    fewest = fewest_units(recipe, net, rows)
    if recipe.target is not None:
        costs = CostTarget(net, sample_of(net, rows), recipe.target, sizes, fewest)
        costs.check(recipe.scope, recipe.min_density)
        return costs
    if fewest is None and recipe.selection.granularity.sparsity is None:
        pools_of(sizes, recipe.sparsity, recipe.scope, min_density=recipe.min_density)
    return None


def check_parts(recipe: Recipe, net: NeuralNet, rows: Rows | None) -> None:
    """Refuse a pruning that needs what a net trimmed for prediction has not.

    Parameters
    ----------
    recipe : Recipe
        How it is pruned.
    net : skorch.NeuralNet
        Initialized.
    rows : Rows or None
        It is pruned with; None only masks.

    Raises
    ------
    ValueError
        If it is to be fine-tuned, or the criterion asks for its loss.
    """
    if not recipe.sparsity or rows is None:
        return
    if recipe.epochs != 0:
        what = f"finetune_epochs={recipe.epochs} trains the pruned network"
        check_untrimmed(net, what, ", or finetune_epochs=0")
    asked = [name for name in asked_by(recipe.criterion) if STATISTICS[name].of_loss]
    if asked:
        what = f"criterion={recipe.criterion.name} asks for {asked}, which are of the loss"
        check_untrimmed(net, what, ", or use a criterion such as 'magnitude' or 'wanda'")


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
    name = f"granularity={granularity.name!r}"
    if isinstance(recipe.scope, Mapping):
        raise ValueError(
            f"{name} removes whole units, and scope={dict(recipe.scope)!r} gives layers "
            "shares of their weights. Use scope='global' or 'layerwise', and ignored_layers."
        )
    pruned = recipe.selection.layers
    exist = any(found.groups[kind] for kind in granularity.units)
    if exist and (lacking := tuple(kind for kind in granularity.layers if kind not in pruned)):
        raise ValueError(
            f"{name} removes weights of {' and '.join(lacking)}, which layers={list(pruned)} "
            f"leaves alone. Use layers={(*pruned, *lacking)}."
        )
    groups = [
        group
        for kind in granularity.units
        for group in found.groups[kind]
        if not set(weights).isdisjoint(group.owners)
    ]
    if not groups:
        reasons = found.staying(granularity.units, weights)
        told = "; ".join(f"{k}: {why}" for k, why in reasons.items())
        raise ValueError(
            f"{name} finds no {' or '.join(granularity.units)} that can be removed from the "
            f"network ({told or 'it has no such layers'}). Use granularity='weight'."
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


def tell_what_stays(recipe: Recipe, net: NeuralNet, rows: Rows) -> None:
    """Say which layers a granularity leaves dense.

    Parameters
    ----------
    recipe, net, rows
        See `check_masks`.

    Warns
    -----
    UserWarning
        If there are some that nobody asked to ignore.
    """
    selection = recipe.selection
    reasons = dict(selection.reasons(net.module_))
    if selection.granularity.units and recipe.sparsity:
        found = find_units(net.module_, sample_of(net, rows))
        weights = selection.weights(net.module_)
        reasons |= found.staying(selection.granularity.units, weights)
    told = [f"{name} ({why})" for name, why in reasons.items() if why != "ignored"]
    if told:
        name = selection.granularity.name
        warn(f"granularity={name!r} leaves layers dense: {', '.join(told)}.")
