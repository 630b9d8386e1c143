"""From a criterion and a sparsity to the masks of a network."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from ..functional.criteria import Criterion
from ..functional.granularities import Granularity
from ..functional.needs import needs
from ..functional.params import Features, by_plain_name, input_dims, prunable
from ..functional.pools import Scope
from .batches import Rows
from .cost_targets import CostTarget
from .live_masks import live_masks
from .liveness import Liveness, sample_of
from .recipe import Recipe, asked_by, criterion_of
from .selection import Selection
from .statistics import STATISTICS, Scene, statistics_of
from .unit_groups import find_units


def _input_dims(module: nn.Module, sample: Features) -> Any:
    """Where the inputs of every weight are."""
    return input_dims(module)


def _unit_groups(module: nn.Module, sample: Features) -> Any:
    """Units that go together."""
    return find_units(module, sample).groups


# What granularities ask for by the names of their arguments: functions of the network and of
# one or two rows.
STRUCTURES: dict[str, Callable[[nn.Module, Features], Any]] = {
    "input_dims": _input_dims,
    "unit_groups": _unit_groups,
}
DEFAULT = Selection()


def keep_all(module: nn.Module, selection: Selection = DEFAULT) -> dict[str, Tensor]:
    """Masks of a network that is not pruned: their names are what can be."""
    weights = selection.weights(module)
    return {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}


def weight_masks(
    net: NeuralNet,
    rows: Rows | None = None,
    *,
    sparsity: float,
    criterion: str | Callable,
    scope: Scope,
    seed: int = 0,
    kept: Mapping[str, Tensor] | None = None,
    liveness: Liveness | None = None,
    selection: Selection = DEFAULT,
    min_density: float = 0.0,
    progress: float = 1.0,
    costs: CostTarget | None = None,
    structures: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Masks that a criterion gives for the weights a net has now.

    Parameters
    ----------
    net : skorch.NeuralNet
        Left as it is.
    rows : Rows, default=None
        Training rows, for criteria that ask for statistics of them.
    sparsity : float in [0, 1)
        Share of prunable weights to remove; of the cost, if there is a target of that.
    criterion : str, callable or Criterion
        From a weight tensor, and the statistics it asks for, to its scores.
    scope : {"global", "layerwise"} or dict of str to float
        See `score_masks`.
    seed : int, default=0
        Of whatever the criterion draws.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks: what they removed stays removed. Their names say what is pruned.
    liveness : Liveness, default=None
        Removes weights first that lie on no path from an input to an output, where the
        granularity lets single weights go.
    selection : Selection
        Which weights go without earlier masks, and how.
    min_density : float in [0, 1), default=0.0
        Share of every layer that stays; at least one weight does.
    progress : float in (0, 1], default=1.0
        `sparsity` over the final one.
    costs : CostTarget, default=None
        What is to be left of the network's cost.
    structures : dict, default=None
        See `structures_of`; None: found here.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept.

    Raises
    ------
    ValueError
        If the module has no prunable layer, a statistic cannot be had, or scores have the
        wrong shape.
    """
    named = by_plain_name(net.module_)
    kept = keep_all(net.module_, selection) if kept is None else kept
    weights = {name: named[name] for name in kept}
    criterion = criterion_of(criterion, rows=rows is not None)
    statistics = statistics_of(Scene(net, rows, seed, weights), asked_by(criterion))
    scores = {}
    for name, weight in weights.items():
        own = _own(criterion, name, statistics)
        scores[name] = criterion(weight.detach().clone(), **own)
        _check_scores(criterion, name, weight, scores[name])
    granularity, options = selection.granularity, {"kept": kept, "min_density": min_density}
    if structures is None:
        structures = structures_of(granularity, net, rows)
    masks_of: Callable = partial(granularity, **structures)
    if granularity.units and costs is not None and criterion.damage:
        masks_of = partial(masks_of, costs=costs.units)
    if liveness is not None and granularity.live:
        masks_of = partial(live_masks, liveness)
    masks_at = partial(masks_of, scores, scope=scope, progress=progress, **options)
    if costs is None:
        return masks_at(sparsity)
    low, high = costs.range(scope, min_density)
    limits = low * progress, high * (progress if isinstance(scope, Mapping) else 1.0)
    return costs.reach(masks_at, 1 - sparsity, limits, final=progress == 1)


def recipe_masks(net: NeuralNet, rows: Rows | None, recipe: Recipe) -> dict[str, Tensor]:
    """Masks that a recipe gives a net at once, whatever its schedule, seed and target."""
    options: dict[str, Any] = {
        "sparsity": recipe.sparsity,
        "criterion": recipe.criterion,
        "scope": recipe.scope,
        "selection": recipe.selection,
        "min_density": recipe.min_density,
    }
    return weight_masks(net, rows, **options)


def structures_of(
    granularity: Granularity, net: NeuralNet, rows: Rows | None
) -> dict[str, Any]:
    """What a granularity asks for, found in a network.

    Parameters
    ----------
    granularity : Granularity
        How weights go.
    net : skorch.NeuralNet
        Initialized; left as it is.
    rows : Rows or None
        Any of the form that the net reads; None where nothing needs one.

    Returns
    -------
    structures : dict
        By the names of the arguments.
    """
    known = {*STRUCTURES, "sparsity"}
    asked = set(needs(granularity.function, known, "granularity", subject=True)) - {"sparsity"}
    sample: Any = sample_of(net, rows) if asked and rows is not None else None
    return {name: STRUCTURES[name](net.module_, sample) for name in asked}


def check_criterion(criterion: Criterion, module: nn.Module, names: Iterable[str]) -> None:
    """Refuse a criterion of activations for weights that have none.

    Parameters
    ----------
    criterion : Criterion
        What the weights are scored by.
    module : torch.nn.Module
        The network.
    names : iterable of str
        Of the weights.

    Raises
    ------
    ValueError
        If one is of a layer that is neither linear nor a convolution.
    """
    lacking = [name for name in asked_by(criterion) if STATISTICS[name].of_layers]
    having = prunable(module) if lacking else {}
    for name in names if lacking else ():
        if name not in having:
            raise _without_statistics(criterion, name, lacking)


def _without_statistics(criterion: Criterion, name: str, lacking: list[str]) -> ValueError:
    return ValueError(
        f"criterion={criterion.name} asks for {lacking}, which {name!r} has none of: its "
        "layer is neither linear nor a convolution, or is not called. Use a criterion "
        "that asks for other statistics, such as 'taylor', or leave the weight out with "
        "layers or ignored_layers."
    )


def _own(criterion: Criterion, name: str, statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics of one weight."""
    lacking = [k for k, v in statistics.items() if isinstance(v, dict) and name not in v]
    if lacking:
        raise _without_statistics(criterion, name, lacking)
    return {k: v[name] if isinstance(v, dict) else v for k, v in statistics.items()}


def _check_scores(criterion: Criterion, name: str, weight: Tensor, scores: object) -> None:
    """Refuse scores that are not one number per weight."""
    if isinstance(scores, torch.Tensor) and scores.shape == weight.shape:
        return
    got = tuple(scores.shape) if isinstance(scores, torch.Tensor) else type(scores).__name__
    raise ValueError(
        f"criterion={criterion.name} must return a torch.Tensor with one score per weight: it "
        f"got {name!r} of shape {tuple(weight.shape)} and returned {got}."
    )
