"""Masks of a number of weights that are all live."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..functional.masks import lowest, ranked, score_masks
from ..functional.pools import Scope, least_kept, pools_of
from .liveness import Liveness

ROUNDS = 100  # attempts to remove weights, each one run of the network


def live_masks(
    liveness: Liveness,
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope = "global",
    kept: Mapping[str, Tensor] | None = None,
    *,
    min_density: float | None = None,
    progress: float = 1.0,
) -> dict[str, Tensor]:
    """Keep the highest scores of live weights.

    Weights go in ascending order of their scores, each together with those that it leaves
    without a path, until exactly as many are gone as `score_masks` removes. A weight that
    would take too many with it stays, and the next one goes. The masks are those of
    `score_masks` where these keep live weights only.

    The count goes first. Weights that are not live stay, by score, where fewer weights are
    live than must stay; where each weight would take too many with it (of two weights in a
    row one cannot go alone); and where `ROUNDS` attempts did not suffice.

    Parameters
    ----------
    liveness : Liveness
        Of the network.
    scores, sparsity, scope, kept, min_density, progress
        See `score_masks`.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept, on the CPU, same shapes as `scores`.

    Raises
    ------
    ValueError
        If a score is NaN, or that many weights cannot go.
    """
    options: dict[str, Any] = {"min_density": min_density, "progress": progress}
    masks = score_masks(scores, sparsity, scope, kept=kept, **options)
    n_dead = _count(masks, list(masks)) - _count(liveness.live(masks), list(masks))
    if not n_dead:
        return masks
    before = kept or {name: torch.ones_like(mask) for name, mask in masks.items()}
    counts = {name: mask.numel() for name, mask in masks.items()}
    pools = [list(pool.names) for pool in pools_of(counts, sparsity, scope, **options)]
    sizes = [sum(int(masks[name].sum()) for name in pool) for pool in pools]
    ranks = _ranks(scores)
    needed = _floors(scores, kept, min_density)
    live = _peeled(liveness, before, ranks, pools, sizes, n_dead, needed)
    n_weights = sum(mask.numel() for mask in masks.values())
    ordered = {name: (rank + n_weights * live[name]).double() for name, rank in ranks.items()}
    return score_masks(ordered, sparsity, scope, kept=kept, **options)


def _floors(
    scores: Mapping[str, Tensor],
    kept: Mapping[str, Tensor] | None,
    min_density: float | None,
) -> dict[str, Tensor]:
    """Weights that a layer keeps in any case, where more than one does."""
    found = {name: torch.zeros(s.shape, dtype=torch.bool) for name, s in scores.items()}
    if not min_density:
        return found
    for name, values in ranked(scores, kept).items():
        free = lowest(values.flatten(), values.size - least_kept(values.size, min_density))
        found[name] = torch.from_numpy(~free).reshape(values.shape)
    return found


def _peeled(
    liveness: Liveness,
    kept: Mapping[str, Tensor],
    ranks: Mapping[str, Tensor],
    pools: list[list[str]],
    sizes: list[int],
    n_dead: int,
    needed: dict[str, Tensor],
) -> dict[str, Tensor]:
    """Live weights, in every pool at least its size if there are as many.

    `n_dead` of them are not live any more where all that are too many go at once. What is
    `needed` does not go first.
    """
    live = liveness.live(kept)
    attempt = 0
    for _ in range(ROUNDS):
        surplus = [_count(live, pool) - size for pool, size in zip(pools, sizes, strict=True)]
        places = _lowest_free(live, needed, ranks, pools, surplus)
        if not len(places):
            break
        attempt = attempt or max(len(places) - n_dead, 1)
        last = places[attempt - 1]
        goes = torch.zeros(_size(ranks), dtype=torch.bool)
        goes[places[:attempt]] = True
        tried = {name: mask & ~goes[ranks[name]] for name, mask in live.items()}
        left = liveness.live(tried)
        lost = [_count(live, pool) - _count(left, pool) for pool in pools]
        if all(n <= max(s, 0) for n, s in zip(lost, surplus, strict=True)):
            live, attempt, n_dead = left, 0, 0
        elif attempt > 1:
            share = min(max(s, 0) / n for n, s in zip(lost, surplus, strict=True) if n)
            attempt = min(max(int(attempt * share), 1), attempt - 1)
        else:
            needed = {name: mask | (ranks[name] == last) for name, mask in needed.items()}
    return live


def _count(masks: Mapping[str, Tensor], names: list[str]) -> int:
    return sum(int(masks[name].sum()) for name in names)


def _lowest_free(
    live: Mapping[str, Tensor],
    needed: Mapping[str, Tensor],
    ranks: Mapping[str, Tensor],
    pools: list[list[str]],
    surplus: list[int],
) -> Tensor:
    """Ranks of the weights that may go, the lowest of every pool, in ascending order."""
    lowest_of_all = torch.zeros(_size(ranks), dtype=torch.bool)
    for pool, count in zip(pools, surplus, strict=True):
        if count > 0:
            free = torch.zeros_like(lowest_of_all)
            for name in pool:
                free[ranks[name][live[name] & ~needed[name]]] = True
            lowest_of_all[free.nonzero()[:count, 0]] = True
    return lowest_of_all.nonzero()[:, 0]


def _size(ranks: Mapping[str, Tensor]) -> int:
    return sum(rank.numel() for rank in ranks.values())


def _ranks(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Places of all scores in ascending order, ties in order of position."""
    flat = [s.detach().cpu().flatten().numpy() for s in scores.values()]
    joined = np.concatenate(flat)
    ranks = np.empty(joined.size, dtype=np.int64)
    ranks[np.argsort(joined, kind="stable")] = np.arange(joined.size)
    pieces = np.split(ranks, np.cumsum([v.size for v in flat])[:-1])
    return {
        name: torch.from_numpy(piece).reshape(score.shape)
        for (name, score), piece in zip(scores.items(), pieces, strict=True)
    }
