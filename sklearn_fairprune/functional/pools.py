"""How many weights go, and from which layers: pools of layers whose weights compete."""

import fnmatch
import math
from collections.abc import Collection, Iterable, Mapping
from typing import NamedTuple

Scope = str | Mapping[str, float]

# Counts may miss what was asked for by this share of all weights where shares are given.
TOLERANCE = 0.01


class Pool(NamedTuple):
    """Layers whose weights compete.

    Attributes
    ----------
    names : tuple of str
        Of their weights.
    n_gone : int
        How many of all these weights are removed.
    """

    names: tuple[str, ...]
    n_gone: int


def n_pruned(sparsity: float, n_weights: int) -> int:
    """Number of weights that `sparsity` removes, never all of them.

    ``min(round(sparsity * n_weights), n_weights - 1)``, rounded to the nearest integer.
    """
    return min(round(sparsity * n_weights), n_weights - 1)


def least_kept(n_weights: int, min_density: float | None) -> int:
    """Number of weights of a layer that stay at least.

    Parameters
    ----------
    n_weights : int
        Of the layer.
    min_density : float in [0, 1) or None
        Share that stays; one weight in any case. None: all may go.

    Returns
    -------
    count : int
    """
    if min_density is None:
        return 0
    return max(1, math.ceil(min_density * n_weights - 1e-9))


def pools_of(
    sizes: Mapping[str, int],
    sparsity: float,
    scope: Scope = "global",
    *,
    min_density: float | None = None,
    progress: float = 1.0,
) -> list[Pool]:
    """Which weights compete, and how many of them go.

    Parameters
    ----------
    sizes : dict of str to int
        Number of weights of every layer.
    sparsity : float in [0, 1)
        Share of all weights to remove.
    scope : {"global", "layerwise"} or dict of str to float, default="global"
        All weights compete; those of each layer; or the layers of these names (or patterns)
        lose these shares, and the others compete for what is left.
    min_density : float in [0, 1), default=None
        Share of every layer that stays, and at least one weight; None: a layer may go.
    progress : float in [0, 1], default=1.0
        `sparsity` over the final one: named layers have lost this part of their shares.

    Returns
    -------
    pools : list of Pool

    Raises
    ------
    ValueError
        If that many weights cannot go, or a name is unknown.

    Examples
    --------
    >>> from sklearn_fairprune.functional.pools import pools_of
    >>> pools_of({"a": 10, "b": 20, "c": 10}, 0.5, {"a": 0.1})
    [Pool(names=('a',), n_gone=1), Pool(names=('b', 'c'), n_gone=19)]
    """
    if scope == "layerwise":
        found = [Pool((name,), n_pruned(sparsity, n)) for name, n in sizes.items()]
    elif scope == "global":
        found = [Pool(tuple(sizes), n_pruned(sparsity, sum(sizes.values())))]
    elif isinstance(scope, Mapping):
        return _with_shares(sizes, sparsity, scope, min_density, progress)
    else:
        raise ValueError(
            f"scope must be 'global' or 'layerwise', got {scope!r}. A dict gives layers "
            "shares of their own."
        )
    return [_within(pool, sizes, min_density, sparsity) for pool in found]


def _within(
    pool: Pool, sizes: Mapping[str, int], min_density: float | None, sparsity: float
) -> Pool:
    """Leave what must stay, if that costs at most the rounding of every layer."""
    room = sum(sizes[name] - least_kept(sizes[name], min_density) for name in pool.names)
    if pool.n_gone - room > len(pool.names) and min_density:
        n_weights = sum(sizes[name] for name in pool.names)
        raise ValueError(
            f"min_density={min_density:g} leaves too many weights for sparsity={sparsity:g}: "
            f"at most {room / n_weights:.4g} of the weights can go. Lower one of the two."
        )
    return pool._replace(n_gone=min(pool.n_gone, room))


def _with_shares(
    sizes: Mapping[str, int],
    sparsity: float,
    scope: Mapping[str, float],
    min_density: float | None,
    progress: float,
) -> list[Pool]:
    """Pools of the layers that have shares, and one of the others."""
    if sparsity == 0 or progress == 0:
        return [Pool(tuple(sizes), 0)]
    counts, low, high = _counts_of_shares(sizes, scope, min_density)
    n_weights = sum(sizes.values())
    wanted = round(sparsity / progress * n_weights)
    nearest = min(max(wanted, low), high)
    if abs(nearest - wanted) > TOLERANCE * n_weights:
        raise ValueError(
            f"sparsity={sparsity / progress:.4g} cannot be met with scope={dict(scope)!r}: "
            f"with these shares{_and_floor(min_density)} it can be from "
            f"{low / n_weights:.4g} to {high / n_weights:.4g}. Change one of them."
        )
    pools = [Pool((name,), round(progress * count)) for name, count in counts.items()]
    rest = tuple(name for name in sizes if name not in counts)
    if rest:
        pools.append(Pool(rest, round(progress * (nearest - low))))
    return pools


def _and_floor(min_density: float | None) -> str:
    return f" and min_density={min_density:g}" if min_density else ""


def _counts_of_shares(
    sizes: Mapping[str, int], scope: Mapping[str, float], min_density: float | None
) -> tuple[dict[str, int], int, int]:
    """Removed weights of the named layers, and the least and the most of all layers."""
    counts = {}
    for name, share in shares_of(sizes, scope).items():
        counts[name] = min(
            round(share * sizes[name]), sizes[name] - least_kept(sizes[name], min_density or 0)
        )
        if round(share * sizes[name]) - counts[name] > 1:
            raise ValueError(
                f"scope removes the share {share:g} of {name!r}, and min_density="
                f"{min_density:g} lets at most {counts[name] / sizes[name]:.4g} of it go. "
                "Lower one of the two."
            )
    low = sum(counts.values())
    room = sum(
        n - least_kept(n, min_density or 0) for name, n in sizes.items() if name not in counts
    )
    return counts, low, low + room


def sparsity_range(
    sizes: Mapping[str, int], scope: Scope, min_density: float | None = None
) -> tuple[float, float]:
    """Least and highest sparsity above 0 that a scope and a floor leave possible.

    Parameters
    ----------
    sizes, scope, min_density
        See `pools_of`.

    Returns
    -------
    low, high : float
    """
    n_weights = sum(sizes.values())
    if isinstance(scope, Mapping):
        _, low, high = _counts_of_shares(sizes, scope, min_density)
        return low / n_weights, high / n_weights
    rooms = {name: n - least_kept(n, min_density) for name, n in sizes.items()}
    if scope == "layerwise":  # the share that every layer can lose
        return 0.0, min(1 - (min_density or 0.0), 1 - 1 / (2 * n_weights))
    return 0.0, sum(rooms.values()) / n_weights


def shares_of(names: Collection[str], scope: Mapping[str, float]) -> dict[str, float]:
    """Shares of the layers that a scope names; the first name that fits a layer counts.

    Parameters
    ----------
    names : collection of str
        Of the weights.
    scope : dict of str to float
        By name or pattern.

    Returns
    -------
    shares : dict of str to float

    Raises
    ------
    ValueError
        If a name fits nothing, or a share is no share.
    """
    shares: dict[str, float] = {}
    for pattern, share in scope.items():
        if isinstance(share, bool) or not hasattr(share, "__float__") or not 0 <= share < 1:
            raise ValueError(
                f"scope: the share of {pattern!r} that goes must be a number in [0, 1), got "
                f"{share!r}. Use 0.9, not 90, for 90 %; ignored_layers keeps layers whole."
            )
        for name in fitting([pattern], names, "scope"):
            shares.setdefault(name, float(share))
    return {name: shares[name] for name in names if name in shares}


def fitting(patterns: Iterable[str], names: Collection[str], argument: str) -> list[str]:
    """Find the weights that patterns mean.

    Parameters
    ----------
    patterns : iterable of str
        Names of weights or of their layers, with ``*``, ``?`` and ``[...]`` as in file names.
    names : collection of str
        Of all weights.
    argument : str
        What the patterns were given as, for the message.

    Returns
    -------
    found : list of str
        In the order of `names`.

    Raises
    ------
    ValueError
        If a pattern fits nothing.

    Examples
    --------
    >>> from sklearn_fairprune.functional.pools import fitting
    >>> fitting(["body.*"], ["body.0.weight", "head.weight"], "ignored_layers")
    ['body.0.weight']
    """
    found: set[str] = set()
    for pattern in patterns:
        fits = {name for name in names if _fits(str(pattern), name)}
        if not fits:
            raise ValueError(
                f"{argument} names {pattern!r}, which no weight or layer fits; known are "
                f"{', '.join(names)}. Use one of these names, their layers, or a pattern."
            )
        found |= fits
    return [name for name in names if name in found]


def _fits(pattern: str, name: str) -> bool:
    layer = name.rpartition(".")[0]
    return pattern in (name, layer) or any(
        fnmatch.fnmatchcase(text, pattern) for text in (name, layer) if text
    )
