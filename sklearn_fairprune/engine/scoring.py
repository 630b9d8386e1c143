"""From a criterion and a sparsity to the masks of a network."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from ..functional.criteria import Criterion
from ..functional.masks import score_masks
from .batches import Rows
from .live_masks import live_masks
from .liveness import Liveness
from .networks import prunable_or_raise
from .recipe import asked_by, criterion_of
from .statistics import Scene, statistics_of


def keep_all(module: nn.Module) -> dict[str, Tensor]:
    """Masks of a network that is not pruned."""
    weights = prunable_or_raise(module)
    return {name: torch.ones(w.shape, dtype=torch.bool) for name, w in weights.items()}


def weight_masks(
    net: NeuralNet,
    rows: Rows | None = None,
    *,
    sparsity: float,
    criterion: str | Callable,
    scope: str,
    seed: int = 0,
    kept: Mapping[str, Tensor] | None = None,
    liveness: Liveness | None = None,
) -> dict[str, Tensor]:
    """Masks that a criterion gives for the weights a net has now.

    Parameters
    ----------
    net : skorch.NeuralNet
        Left as it is.
    rows : Rows, default=None
        Training rows, for criteria that ask for statistics of them.
    sparsity : float in [0, 1)
        Share of prunable weights to remove.
    criterion : str, callable or Criterion
        From a weight tensor, and the statistics it asks for, to its scores.
    scope : {"global", "layerwise"}
        Whether scores compete across layers or within each.
    seed : int, default=0
        Of whatever the criterion draws.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks: what they removed stays removed.
    liveness : Liveness, default=None
        Removes weights first that lie on no path from an input to an output.

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
    weights = prunable_or_raise(net.module_)
    criterion = criterion_of(criterion, rows=rows is not None)
    statistics = statistics_of(Scene(net, rows, seed), asked_by(criterion))
    scores = {}
    for name, weight in weights.items():
        own = _own(criterion, name, statistics)
        scores[name] = criterion(weight.detach().clone(), **own)
        _check_scores(criterion, name, weight, scores[name])
    if liveness is None:
        return score_masks(scores, sparsity, scope, kept=kept)
    return live_masks(liveness, scores, sparsity, scope, kept=kept)


def _own(criterion: Criterion, name: str, statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Statistics of one weight."""
    lacking = [k for k, v in statistics.items() if isinstance(v, dict) and name not in v]
    if lacking:
        raise ValueError(
            f"criterion={criterion.name} asks for {lacking}, which {name!r} has none of: the "
            "network uses this weight without calling its layer. Use a criterion that asks "
            "for other statistics, such as 'taylor', or freeze the weight."
        )
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
