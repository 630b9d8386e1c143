"""What a fit does to a network, decided before it begins."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ..functional.criteria import CRITERIA, Criterion
from ..functional.needs import needs
from .randomness import derive_seeds
from .statistics import STATISTICS


class Step(NamedTuple):
    """One pruning step: remove weights, then train what is left.

    Attributes
    ----------
    sparsity : float
        Share of the prunable weights that are gone after it; 0 does nothing.
    epochs : int
        Of the training after it.
    """

    sparsity: float
    epochs: int


@dataclass(frozen=True)
class Recipe:
    """How a network is pruned.

    Attributes
    ----------
    steps : tuple of Step
        In order; each respects what earlier ones removed.
    criterion : Criterion
        What the weights are scored by.
    scope : {"global", "layerwise"}
        Whether scores compete across layers or within each.
    seed : int
        Of whatever the criterion draws.
    dense_seed : int
        Of the first weights and of the dense training.
    tuning_seeds : tuple of int
        Of the training after each step.
    trains : bool
        Whether the dense network is trained, or is trained already.
    """

    steps: tuple[Step, ...]
    criterion: Criterion
    scope: str
    seed: int
    dense_seed: int
    tuning_seeds: tuple[int, ...]
    trains: bool


def make_recipe(
    steps: Sequence[Step],
    criterion: str | Callable = "magnitude",
    scope: str = "global",
    seed: int = 0,
    *,
    trains: bool = True,
    rows: bool = True,
) -> Recipe:
    """Recipe whose criterion can be had, and whose seeds follow from one.

    Parameters
    ----------
    steps, scope, seed, trains
        See `Recipe`.
    criterion : str, callable or Criterion
        As the user gave it.
    rows : bool, default=True
        Whether there are training rows to measure statistics on.

    Returns
    -------
    recipe : Recipe

    Raises
    ------
    ValueError
        If the criterion is unknown, or asks for what there is not.
    """
    found = criterion_of(criterion, rows=rows)
    dense_seed, *tuning_seeds = derive_seeds(seed, 1 + len(steps))
    return Recipe(tuple(steps), found, scope, seed, dense_seed, tuple(tuning_seeds), trains)


def criterion_of(value: str | Callable, *, rows: bool = True) -> Criterion:
    """Record of a criterion, refused if it asks for what there is not.

    Parameters
    ----------
    value : str, callable or Criterion
        As the user gave it.
    rows : bool, default=True
        Whether there are training rows to measure statistics on.

    Returns
    -------
    criterion : Criterion

    Raises
    ------
    ValueError
        If it is unknown, or asks for a statistic that is unknown or cannot be had.
    """
    criterion = CRITERIA.find("criterion", value)
    asked = needs(criterion.function, STATISTICS, "criterion", subject=True)
    if not rows and (missing := [name for name in asked if STATISTICS[name].of_rows]):
        raise ValueError(
            f"criterion: {criterion.name} asks for {missing}, which are measured on training "
            "rows, and there are none: pass X and y."
        )
    return criterion


def asked_by(criterion: Criterion) -> tuple[str, ...]:
    """Names of the statistics that a criterion asks for."""
    return needs(criterion.function, STATISTICS, "criterion", subject=True)
