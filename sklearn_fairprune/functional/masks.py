"""From scores and a sparsity to boolean masks (True = kept), and masks to weights."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor


def n_pruned(sparsity: float, n_weights: int) -> int:
    """Number of weights that `sparsity` removes, never all of them.

    ``min(round(sparsity * n_weights), n_weights - 1)``, rounded to the nearest integer.
    """
    return min(round(sparsity * n_weights), n_weights - 1)


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
    if count == 0:
        return np.zeros(scores.shape, dtype=bool)
    threshold = np.partition(scores, count - 1)[count - 1]
    marked = scores < threshold
    tied = np.flatnonzero(scores == threshold)[: count - np.count_nonzero(marked)]
    marked[tied] = True
    return marked


def score_masks(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: str = "global",
    kept: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Keep the highest scores.

    Parameters
    ----------
    scores : dict of str to torch.Tensor
        One score per weight, by parameter name; higher = keep.
    sparsity : float in [0, 1)
        Share of weights to remove; see `n_pruned` for the rounding.
    scope : {"global", "layerwise"}, default="global"
        Whether scores compete across all layers, or within each layer so that every
        layer reaches `sparsity`.
    kept : dict of str to torch.BoolTensor, default=None
        Earlier masks, True = kept: what they removed counts, and stays removed.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
        True = kept, on the CPU, same shapes as `scores`.

    Raises
    ------
    ValueError
        If a score is NaN: an unusable score must not decide what is kept.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import score_masks
    >>> scores = {"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0, 3.0])}
    >>> score_masks(scores, 0.5)
    {'a': tensor([False,  True]), 'b': tensor([False,  True])}
    """
    flat = {k: s.detach().cpu().flatten().numpy() for k, s in scores.items()}
    for name, values in flat.items():
        if np.isnan(values).any():
            raise ValueError(
                f"The criterion gave NaN scores for {name!r}; scores must be numbers. "
                "Check the weights and the data that the criterion saw."
            )
    if kept is not None:
        flat = {k: _removed_first(v, kept[k].flatten().numpy()) for k, v in flat.items()}
    if scope == "global":
        joined = np.concatenate(list(flat.values()))
        gone = lowest(joined, n_pruned(sparsity, joined.size))
        removed = np.split(gone, np.cumsum([v.size for v in flat.values()])[:-1])
    elif scope == "layerwise":
        removed = [lowest(v, n_pruned(sparsity, v.size)) for v in flat.values()]
    else:
        raise ValueError(f"scope must be 'global' or 'layerwise', got {scope!r}.")
    masks = {
        name: torch.from_numpy(~gone).reshape(scores[name].shape)
        for name, gone in zip(flat, removed, strict=True)
    }
    return masks if kept is None else {name: m & kept[name] for name, m in masks.items()}


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
    with torch.no_grad():
        for name, mask in masks.items():
            weight = weights[name]
            weight.masked_fill_(~mask.to(weight.device), 0.0)


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
