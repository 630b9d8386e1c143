"""From scores and a sparsity to boolean masks (True = kept), and masks to weights."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .pools import Scope, least_kept, n_pruned, pools_of

__all__ = ["apply_masks", "lowest", "masks_sparsity", "n_pruned", "ranked", "score_masks"]

# Integers as wide as the numbers of each size in bytes.
INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
SAMPLE, BLOCK = 100_000, 1 << 16  # numbers that bounds are taken from; that are read at once


def lowest(scores: np.ndarray, count: int) -> np.ndarray:
    """Mark the `count` lowest entries of a vector; ties go in order of position.

    Removing in the fixed order (score, position) makes the count exact and the sets
    nested: what is removed at one count is removed at every larger one.

    Parameters
    ----------
    scores : ndarray of shape (n,)
        No NaN.
    count : int
        Between 0 and n.

    Returns
    -------
    marked : bool ndarray of shape (n,)
        Exactly `count` entries are True.
    """
    return lowest_of([scores], count)[0]


def lowest_of(parts: Sequence[np.ndarray], count: int) -> list[np.ndarray]:
    """Mark the `count` lowest entries of several vectors, as if they were one.

    Parameters
    ----------
    parts : sequence of ndarray of shape (n_i,)
        No NaN.
    count : int
        Between 0 and the number of all entries.

    Returns
    -------
    marked : list of bool ndarray
        As `lowest` of the joined vectors, cut as these are.
    """
    if count == 0:
        return [np.zeros(part.shape, dtype=bool) for part in parts]
    threshold = _threshold(parts, count)
    marked = [part < threshold for part in parts]
    left = count - sum(int(np.count_nonzero(mark)) for mark in marked)
    for part, mark in zip(parts, marked, strict=True):
        if left:
            tied = np.flatnonzero(part == threshold)[:left]
            mark[tied] = True
            left -= len(tied)
    return marked


def _threshold(parts: Sequence[np.ndarray], count: int) -> Any:
    """Find the `count`-th lowest entry of several vectors, in about two passes.

    A sample gives two bounds that it almost surely lies between: only what does is sorted out,
    and everything if it does not.
    """
    n = sum(part.size for part in parts)
    if n >= 2 * SAMPLE:
        sample = np.sort(np.concatenate([part[:: (n // SAMPLE) | 1] for part in parts]))
        share = count / n
        wide = 6 * math.sqrt(sample.size * share * (1 - share)) + 2
        low, high = (math.floor(share * sample.size + side * wide) for side in (-1, 1))
        first = sample[low] if low >= 0 else -np.inf
        last = sample[high] if high < sample.size else np.inf
        place, between = count - 1, []
        for part in parts:
            for start in range(0, part.size, BLOCK):
                block = part[start : start + BLOCK]
                inside = block >= first
                place -= block.size - int(np.count_nonzero(inside))
                inside &= block <= last
                between.append(block[inside])
        found = np.concatenate(between)
        if 0 <= place < found.size:
            return np.partition(found, place)[place]
    return np.partition(np.concatenate(parts), count - 1)[count - 1]


def score_masks(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope = "global",
    kept: Mapping[str, Tensor] | None = None,
    *,
    min_density: float | None = None,
    progress: float = 1.0,
) -> dict[str, Tensor]:
    """Keep the highest scores.

    Parameters
    ----------
    scores : dict of str to torch.Tensor
        One score per weight, by parameter name; higher = keep.
    sparsity : float in [0, 1)
        Share of weights to remove, rounded to a number of weights, and never all of them.
    scope : {"global", "layerwise"} or dict of str to float, default="global"
        Whether scores compete across all layers, or within each layer so that every
        layer reaches `sparsity`; a dict gives layers, by name or pattern, shares of their
        own, and the others compete for what is left of `sparsity` over all.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks, True = kept: what they removed counts, and stays removed.
    min_density : float in [0, 1), default=None
        Share of the weights of every layer that stays; at least one does. What a layer does
        not lose, others do. None: with ``scope="global"`` a layer may lose all.
    progress : float in [0, 1], default=1.0
        `sparsity` over the final one; a dict's layers lose this part of their shares.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept, on the CPU, same shapes as `scores`.

    Raises
    ------
    ValueError
        If a score is NaN: an unusable score must not decide what is kept; or if that many
        weights cannot go.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import score_masks
    >>> scores = {"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0, 3.0])}
    >>> score_masks(scores, 0.5)
    {'a': tensor([False,  True]), 'b': tensor([False,  True])}
    >>> scores = {"a": torch.tensor([1.0, 1.5]), "b": torch.tensor([2.0, 3.0])}
    >>> score_masks(scores, 0.5, min_density=0.0)
    {'a': tensor([False,  True]), 'b': tensor([False,  True])}
    """
    flat = {k: v.flatten() for k, v in ranked(scores, kept).items()}
    sizes = {name: v.size for name, v in flat.items()}
    gone: dict[str, np.ndarray] = {}
    for pool in pools_of(sizes, sparsity, scope, min_density=min_density, progress=progress):
        parts = [flat[name] for name in pool.names]
        least = [least_kept(part.size, min_density) for part in parts]
        gone |= dict(zip(pool.names, _lowest_of(parts, pool.n_gone, least), strict=True))
    masks = {
        name: torch.from_numpy(~gone[name]).reshape(score.shape)
        for name, score in scores.items()
    }
    return masks if kept is None else {name: m & kept[name] for name, m in masks.items()}


def ranked(
    scores: Mapping[str, Tensor], kept: Mapping[str, Tensor] | None = None
) -> dict[str, np.ndarray]:
    """Scores as arrays that can be put in order, with those of removed weights first.

    Parameters
    ----------
    scores : dict of str to torch.Tensor
        Higher = keep.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks.

    Returns
    -------
    scores : dict of str to ndarray
        Of the same shapes; -inf where a weight was removed, and only there.

    Raises
    ------
    ValueError
        If one is NaN.
    """
    found = {k: s.detach().cpu().numpy() for k, s in scores.items()}
    for name, values in found.items():
        if np.isnan(values).any():
            raise ValueError(
                f"The criterion gave NaN scores for {name!r}; scores must be numbers. "
                "Check the weights and the data that the criterion saw."
            )
    if kept is None:
        return found
    return {k: _removed_first(v, kept[k].numpy()) for k, v in found.items()}


def _lowest_of(parts: list[np.ndarray], count: int, least: list[int]) -> list[np.ndarray]:
    """Mark the `count` lowest of all parts, but not the highest `least` of each."""
    gone = lowest_of(parts, count)
    left = (part.size - np.count_nonzero(part) for part in gone)
    if all(k >= n for k, n in zip(left, least, strict=True)):
        return gone
    joined, cuts = np.concatenate(parts), np.cumsum([v.size for v in parts])[:-1]
    pairs = zip(parts, least, strict=True)
    free = np.concatenate([lowest(part, part.size - n) for part, n in pairs])
    marked = np.zeros(joined.shape, dtype=bool)
    marked[free] = lowest(joined[free], count)
    return np.split(marked, cuts)


def _removed_first(scores: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Scores with those of removed weights below all others."""
    lowest_kept = np.where(np.isneginf(scores), np.finfo(scores.dtype).min, scores)
    return np.where(kept, lowest_kept, -np.inf)


def apply_masks(weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Set the removed weights to exactly 0.0, in place.

    Parameters
    ----------
    weights : dict of str to torch.nn.Parameter
        As from `prunable`.
    masks : dict of str to torch.BoolTensor
        True = kept.
    """
    for name, mask in masks.items():
        zero_removed(weights[name], bits_of(mask.to(weights[name].device)))


def bits_of(mask: Tensor) -> Tensor:
    """All bits of a byte set where a mask is True, and none where it is not.

    Parameters
    ----------
    mask : torch.BoolTensor
        True = kept.

    Returns
    -------
    bits : torch.CharTensor
        -1 and 0, of the same shape.
    """
    return mask.view(torch.int8).neg()


def zero_removed(values: Tensor, bits: Tensor) -> None:
    """Set what a mask removes to exactly 0.0, in place, even if it is not finite.

    Numbers are masked by their bits, which takes a fraction of the time of filling them.

    Parameters
    ----------
    values : torch.Tensor
        Weights, gradients or moments; not tracked by autograd.
    bits : torch.CharTensor
        From `bits_of`, of the same shape, on the same device.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.masks import bits_of, zero_removed
    >>> values = torch.tensor([-1.5, float("nan"), 2.0])
    >>> zero_removed(values, bits_of(torch.tensor([True, False, True])))
    >>> values
    tensor([-1.5000,  0.0000,  2.0000])
    """
    values = values.detach()
    if values.is_complex():
        values = torch.view_as_real(values)
        bits = bits.unsqueeze(-1)
    values.view(INTEGERS[values.element_size()]).bitwise_and_(bits)


def masks_sparsity(masks: Mapping[str, Tensor]) -> float:
    """Share of weights that the masks remove.

    Parameters
    ----------
    masks : dict of str to torch.BoolTensor
        True = kept.

    Returns
    -------
    sparsity : float
        Removed weights divided by all weights under a mask.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import masks_sparsity
    >>> masks_sparsity({"a": torch.tensor([True, False, False, False])})
    0.75
    """
    total = sum(mask.numel() for mask in masks.values())
    return sum(int((~mask).sum()) for mask in masks.values()) / total
