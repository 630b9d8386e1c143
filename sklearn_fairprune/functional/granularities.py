"""Granularities: whether weights go one by one, in patterns, or as whole units.

A granularity is one function from scores to masks, and one record in `GRANULARITIES`. All take
``(scores, sparsity, scope, kept, *, min_density, progress)`` as `score_masks` does; further
arguments without default name what the engine finds in the network's structure
(`engine.scoring.STRUCTURES`).
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .masks import ranked, score_masks
from .params import InputDim
from .pools import Scope
from .shelf import Member, Shelf
from .unit_masks import Units


def weight(
    scores: Mapping[str, Tensor],
    sparsity: float,
    scope: Scope = "global",
    kept: Mapping[str, Tensor] | None = None,
    *,
    min_density: float | None = None,
    progress: float = 1.0,
) -> dict[str, Tensor]:
    """Single weights, those of the lowest scores.

    Parameters
    ----------
    scores, sparsity, scope, kept, min_density, progress
        See `score_masks`.

    Returns
    -------
    masks : dict of str to torch.BoolTensor
    """
    options: dict[str, Any] = {"min_density": min_density, "progress": progress}
    return score_masks(scores, sparsity, scope, kept, **options)


@dataclass(frozen=True)
class BlockPattern:
    """n weights kept of each m inputs in a row.

    Parameters
    ----------
    n, m : int
        0 < n < m.
    """

    n: int
    m: int

    def __call__(
        self,
        scores: Mapping[str, Tensor],
        sparsity: float,
        scope: Scope = "global",
        kept: Mapping[str, Tensor] | None = None,
        *,
        input_dims: Mapping[str, InputDim],
        min_density: float | None = None,
        progress: float = 1.0,
    ) -> dict[str, Tensor]:
        """Keep the n highest scores of each m along the inputs.

        Of every block go the ``floor(progress * (m - n))`` lowest scores, ties in order of
        position.

        Parameters
        ----------
        scores, kept
            See `score_masks`.
        sparsity, scope, min_density
            Nothing to choose: every block of every layer is pruned alike.
        input_dims : dict of str to InputDim
            Dimension of the inputs of every weight.
        progress : float in [0, 1], default=1.0
            Sparsity now over the final one.

        Returns
        -------
        masks : dict of str to torch.BoolTensor
        """
        count = math.floor(progress * (self.m - self.n) + 1e-9)
        masks = {}
        for name, values in ranked(scores, kept).items():
            rows = np.moveaxis(values, input_dims[name].dim, -1)
            blocks = rows.reshape(-1, self.m)
            stay = np.ones(blocks.shape, dtype=bool)
            first = np.argsort(blocks, axis=1, kind="stable")[:, :count]
            np.put_along_axis(stay, first, False, axis=1)
            mask = np.moveaxis(stay.reshape(rows.shape), -1, input_dims[name].dim)
            masks[name] = torch.from_numpy(np.ascontiguousarray(mask))
        return masks if kept is None else {name: m & kept[name] for name, m in masks.items()}


@dataclass(frozen=True)
class Granularity(Member):
    """How weights go.

    Parameters
    ----------
    function : callable
        From scores and a sparsity to masks.
    title : str
        What tables call it.
    live : bool
        Whether weights that lie on no path from an input to an output may go first, one by
        one.
    pattern : str
        Its name, where that is not the function's.
    sparsity : float or None
        The only one that it can have; None: any.
    unfit : callable or None
        From the `InputDim` of a weight to why the weight is left alone; "" if it is not.
    units : tuple of str
        Kinds of units that go as a whole, among "neuron", "channel" and "head"; none: weights
        go without their units.
    layers : tuple of str
        Kinds of layers that it cannot do without.
    """

    live: bool = False
    pattern: str = ""
    sparsity: float | None = None
    unfit: Callable[[InputDim], str] | None = None
    units: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Pattern, or name of the function."""
        return self.pattern or super().name

    @property
    def fits_linear(self) -> bool:
        """Whether linear layers have what it removes."""
        return not self.units or "neuron" in self.units


def of_units(
    pattern: str, summary: str, *kinds: str, layers: tuple[str, ...] = ()
) -> Granularity:
    """Granularity of whole units.

    Parameters
    ----------
    pattern : str
        Its name.
    summary : str
        One line.
    *kinds : {"neuron", "channel", "head"}
        Which units go.
    layers : tuple of str
        Kinds of layers that must be pruned for it.

    Returns
    -------
    granularity : Granularity
    """
    return Granularity(Units(summary, *kinds), pattern=pattern, units=kinds, layers=layers)


GRANULARITIES = Shelf(
    Granularity,
    Granularity(weight, live=True),
    of_units("neuron", "Neurons of hidden linear layers, with all their weights.", "neuron"),
    of_units("channel", "Channels of convolutions, with all their weights.", "channel"),
    of_units("unit", "Neurons and channels, with all their weights.", "neuron", "channel"),
    of_units(
        "head", "Heads of attention, with all their weights.", "head", layers=("attention",)
    ),
)


def of_blocks(n: int, m: int) -> Granularity:
    """Granularity that keeps n of each m weights in a row along the inputs.

    Parameters
    ----------
    n, m : int
        0 < n < m.

    Returns
    -------
    granularity : Granularity

    References
    ----------
    Zhou, Ma, Zhu, Liu, Zhang, Yuan, Sun, Li, "Learning N:M fine-grained structured sparse
    neural networks from scratch", ICLR 2021.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.granularities import of_blocks
    >>> from sklearn_fairprune.functional.params import InputDim
    >>> scores = {"a": torch.tensor([[3.0, 1.0, 2.0, 4.0]])}
    >>> of_blocks(2, 4)(scores, 0.5, input_dims={"a": InputDim(1, 4)})
    {'a': tensor([[ True, False, False,  True]])}
    """

    def unfit(inputs: InputDim) -> str:
        if inputs.size % m == 0:
            return ""
        return f"input dimension {inputs.size} is not a multiple of {m}"

    pattern = f"{n}:{m}"
    return Granularity(BlockPattern(n, m), pattern, False, pattern, 1 - n / m, unfit)


def granularity_of(value: str | Granularity) -> Granularity:
    """Record of a granularity.

    Parameters
    ----------
    value : str or Granularity
        A name of `GRANULARITIES`, or a pattern such as "2:4".

    Returns
    -------
    granularity : Granularity

    Raises
    ------
    ValueError
        If there is none.
    """
    if isinstance(value, Granularity):
        return value
    if isinstance(value, str) and value in GRANULARITIES:
        return GRANULARITIES[value]
    found = re.fullmatch(r"(\d+):(\d+)", value) if isinstance(value, str) else None
    if found and 0 < int(found[1]) < int(found[2]):
        return of_blocks(int(found[1]), int(found[2]))
    raise ValueError(
        f"The 'granularity' parameter must be a str among {sorted(GRANULARITIES)}, or 'n:m' "
        f"with 0 < n < m, such as '2:4', to keep n of each m weights. Got {value!r} instead."
    )
