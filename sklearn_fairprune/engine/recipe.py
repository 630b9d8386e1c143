"""What a fit does to a network, decided before it begins."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..functional.criteria import CRITERIA, Criterion
from ..functional.granularities import Granularity, granularity_of
from ..functional.needs import needs
from ..functional.params import DEFAULT_KINDS
from ..functional.pools import TOLERANCE, Scope
from ..functional.schedules import SCHEDULES, Schedule
from .cost_targets import Target, target_of
from .randomness import derive_seeds
from .recovery import RECOVERIES, Recovery
from .selection import Selection
from .statistics import STATISTICS


@dataclass(frozen=True)
class Recipe:
    """How a network is pruned, and what it gets back.

    Attributes
    ----------
    sparsity : float
        Share of the prunable weights that are gone in the end, or of the cost if there is a
        target; 0 does nothing.
    epochs : int or None
        Of the training after pruning; None is `recovery_epochs`.
    schedule : Schedule
        When the weights go.
    recovery : Recovery
        What those left are fitted to.
    rate : {"net", "cosine"} or float
        Learning rate of the fine-tuning; see `engine.tuning.rate_of`.
    criterion : Criterion
        What the weights are scored by.
    scope : {"global", "layerwise"} or dict of str to float
        Whether scores compete across layers or within each; shares of some layers.
    seed : int
        Of whatever the criterion draws.
    dense_seed : int
        Of the first weights and of the dense training.
    tuning_seed : int
        Of the training after pruning.
    trains : bool
        Whether the dense network is trained, or is trained already.
    selection : Selection
        Which weights go, and in which patterns.
    min_density : float
        Share of every layer that stays.
    target : Target or None
        What is kept of the network's cost, in the place of a sparsity.
    """

    sparsity: float
    epochs: int | None
    schedule: Schedule
    recovery: Recovery
    rate: Any
    criterion: Criterion
    scope: Scope
    seed: int
    dense_seed: int
    tuning_seed: int
    trains: bool
    selection: Selection
    min_density: float
    target: Target | None


def make_recipe(
    sparsity: float,
    epochs: int | None,
    *,
    criterion: str | Callable = "magnitude",
    scope: Scope = "global",
    granularity: str | Granularity = "weight",
    target: Any = None,
    layers: Sequence[str] = DEFAULT_KINDS,
    ignored_layers: Sequence[str] = (),
    min_density: float = 0.0,
    schedule: str | Callable = "one_shot",
    recovery: str | Callable | Recovery = "plain",
    rate: Any = "net",
    seed: int = 0,
    trains: bool = True,
    rows: bool = True,
) -> Recipe:
    """Recipe whose criterion can be had, and whose seeds follow from one.

    Parameters
    ----------
    sparsity, epochs, scope, min_density, rate, seed, trains
        See `Recipe`.
    granularity, target, layers, ignored_layers
        As the user gave them; a target takes the place of `sparsity`.
    criterion, schedule : str, callable or record
        As the user gave them.
    recovery : str, callable or Recovery
        Likewise.
    rows : bool, default=True
        Whether there are training rows to measure statistics on.

    Returns
    -------
    recipe : Recipe

    Raises
    ------
    ValueError
        If something is unknown, or asks for what there is not.
    """
    dense_seed, tuning_seed = derive_seeds(seed, 2)
    cost, pattern = target_of(target), granularity_of(granularity)
    selection = Selection(tuple(layers), tuple(ignored_layers), pattern)
    _check_pattern(pattern, sparsity, scope, cost, min_density)
    if cost is not None:
        sparsity = 1 - cost.share
    elif pattern.sparsity is not None and sparsity:
        sparsity = pattern.sparsity
    return Recipe(
        sparsity,
        epochs,
        SCHEDULES.find("schedule", schedule),
        recovery_of(recovery, rows=rows),
        rate,
        criterion_of(criterion, rows=rows),
        scope,
        seed,
        dense_seed,
        tuning_seed,
        trains,
        selection,
        min_density,
        cost,
    )


def _check_pattern(
    pattern: Granularity,
    sparsity: float,
    scope: Scope,
    target: Target | None,
    min_density: float,
) -> None:
    """Refuse what a granularity of one sparsity cannot have."""
    own = pattern.sparsity
    if own is None:
        return
    name = f"granularity={pattern.name!r}"
    if isinstance(scope, Mapping):
        raise ValueError(
            f"{name} prunes every layer alike, and scope={dict(scope)!r} gives them shares. "
            "Use scope='layerwise' and ignored_layers, or granularity='weight'."
        )
    if target is not None:
        raise ValueError(
            f"{name} removes {own:g} of the weights, whatever they cost, and "
            f"target={tuple(target)!r} asks for a cost. Use target=None, or "
            "granularity='weight'."
        )
    if sparsity and abs(sparsity - own) > TOLERANCE:
        raise ValueError(
            f"{name} removes {own:g} of the weights, and sparsity={sparsity:g} asks for "
            f"another share: set sparsity={own:g} for {pattern.name}, or 0 for the dense "
            "network."
        )
    if min_density > 1 - own:
        raise ValueError(
            f"{name} keeps {1 - own:g} of the weights of every layer, and min_density="
            f"{min_density:g} asks for more. Lower it."
        )


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
        what = "X and y" if any(STATISTICS[name].of_targets for name in missing) else "X"
        raise ValueError(
            f"criterion: {criterion.name} asks for {missing}, which are measured on training "
            f"rows, and there are none: pass {what}."
        )
    return criterion


def recovery_of(value: str | Callable | Recovery, *, rows: bool = True) -> Recovery:
    """Record of a recovery.

    Parameters
    ----------
    value : str, callable or Recovery
        As the user gave it.
    rows : bool, default=True
        Whether there are training rows.

    Returns
    -------
    recovery : Recovery

    Raises
    ------
    ValueError
        If it is unknown, or there are no rows to reconstruct on.
    """
    found = value if isinstance(value, Recovery) else RECOVERIES.find("recovery", value)()
    if not isinstance(found, Recovery):
        raise ValueError(
            f"recovery={value!r} must return a Recovery, and returned {found!r}. Use one of "
            f"{sorted(RECOVERIES)}, Distill(...) or Reconstruct(...)."
        )
    if found.reconstructs and not rows:
        raise ValueError(
            "recovery='reconstruct' fits the kept weights to the dense network's outputs on "
            "training rows, and there are none: pass X, or use recovery='plain'."
        )
    return found


def asked_by(criterion: Criterion) -> tuple[str, ...]:
    """Names of the statistics that a criterion asks for."""
    return needs(criterion.function, STATISTICS, "criterion", subject=True)
