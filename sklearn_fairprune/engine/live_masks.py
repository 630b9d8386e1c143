"""Masks of a number of weights that are all live."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ..functional.masks import score_masks
from .liveness import Liveness

ROUNDS = 100  # attempts to remove weights, each one run of the network


def live_masks(
    liveness: Liveness,
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: str = "global",
    kept: Mapping[str, Tensor] | None = None,
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
    scores, sparsity, scope, kept
        See `score_masks`.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept, on the CPU, same shapes as `scores`.

    Raises
    ------
    ValueError
        If a score is NaN.
    """
    masks = score_masks(scores, sparsity, scope, kept=kept)
    n_dead = _count(masks, list(masks)) - _count(liveness.live(masks), list(masks))
    if not n_dead:
        return masks
    before = kept or {name: torch.ones_like(mask) for name, mask in masks.items()}
    pools = [list(masks)] if scope == "global" else [[name] for name in masks]
    sizes = [sum(int(masks[name].sum()) for name in pool) for pool in pools]
    ranks = _ranks(scores)
    live = _peeled(liveness, before, ranks, pools, sizes, n_dead)
    n_weights = sum(mask.numel() for mask in masks.values())
    ordered = {name: rank + n_weights * live[name] for name, rank in ranks.items()}
    return score_masks(ordered, sparsity, scope, kept=kept)


def _peeled(
    liveness: Liveness,
    kept: Mapping[str, Tensor],
    ranks: Mapping[str, Tensor],
    pools: list[list[str]],
    sizes: list[int],
    n_dead: int,
) -> dict[str, Tensor]:
    """Live weights, in every pool at least its size if there are as many.

    `n_dead` of them are not live any more where all that are too many go at once.
    """
    live = liveness.live(kept)
    needed = {name: torch.zeros_like(mask) for name, mask in live.items()}
    attempt = 0
    for _ in range(ROUNDS):
        surplus = [_count(live, pool) - size for pool, size in zip(pools, sizes, strict=True)]
        places = _lowest_free(live, needed, ranks, pools, surplus)
        if not len(places):
            break
        attempt = attempt or max(len(places) - n_dead, 1)
        last = places[attempt - 1]
        tried = {}
        for name, mask in live.items():
            goes = torch.from_numpy(np.isin(ranks[name].numpy(), places[:attempt]))
            tried[name] = mask & ~goes
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
) -> np.ndarray:
    """Ranks of the weights that may go, the lowest of every pool, in ascending order."""
    found = []
    for pool, count in zip(pools, surplus, strict=True):
        free = [ranks[name][live[name] & ~needed[name]] for name in pool]
        found.append(np.sort(torch.cat(free).numpy())[: max(count, 0)])
    return np.sort(np.concatenate(found))


def _ranks(scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Places of all scores in ascending order, ties in order of position."""
    flat = [s.detach().cpu().flatten().numpy() for s in scores.values()]
    joined = np.concatenate(flat)
    ranks = np.empty(joined.size)
    ranks[np.argsort(joined, kind="stable")] = np.arange(joined.size)
    pieces = np.split(ranks, np.cumsum([v.size for v in flat])[:-1])
    return {
        name: torch.from_numpy(piece).reshape(score.shape)
        for (name, score), piece in zip(scores.items(), pieces, strict=True)
    }
