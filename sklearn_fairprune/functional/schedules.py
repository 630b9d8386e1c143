r"""Schedules: how sparse a network is while it recovers from pruning.

A schedule is one pure function :math:`s(t; s_f)` of the progress t, the share of the
fine-tuning that has passed, and of the final sparsity :math:`s_f`, and one record in
`SCHEDULES`. All schedules spend the same fine-tuning.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from .shelf import Member, Shelf


def one_shot(progress: float, sparsity: float) -> float:
    r"""All at once, before the fine-tuning: :math:`s(t) = s_f`.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the fine-tuning that has passed.
    sparsity : float in [0, 1)
        At the end.

    Returns
    -------
    sparsity : float
        Now.

    Examples
    --------
    >>> from sklearn_fairprune.functional import one_shot
    >>> one_shot(0.0, 0.9)
    0.9
    """
    return sparsity


def iterative(progress: float, sparsity: float, *, n_steps: int = 3) -> float:
    r"""In steps with training between, each of which removes the same share of what is left.

    .. math:: s(t) = 1 - (1 - s_f)^{\min(\lfloor n t \rfloor + 1, n) / n}

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the fine-tuning that has passed.
    sparsity : float in [0, 1)
        At the end.
    n_steps : int, default=3
        Number n of steps, at equal distances, the first before the fine-tuning.

    Returns
    -------
    sparsity : float
        Now.

    References
    ----------
    Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural
    networks", NeurIPS 2015.

    Examples
    --------
    >>> from sklearn_fairprune.functional import iterative
    >>> [round(iterative(t, 0.99, n_steps=2), 3) for t in (0.0, 0.49, 0.5, 1.0)]
    [0.9, 0.9, 0.99, 0.99]
    """
    done = min(math.floor(progress * n_steps + 1e-9) + 1, n_steps)
    return sparsity if done == n_steps else 1 - (1 - sparsity) ** (done / n_steps)


def cubic(progress: float, sparsity: float, *, ramp: float = 0.6) -> float:
    r"""Gradually, fast at first: :math:`s(t) = s_f (1 - (1 - \min(1, t / r))^3)`.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the fine-tuning that has passed.
    sparsity : float in [0, 1)
        At the end.
    ramp : float in (0, 1], default=0.6
        Share r of the fine-tuning after which the final mask holds.

    Returns
    -------
    sparsity : float
        Now.

    References
    ----------
    Zhu, Gupta, "To prune, or not to prune: exploring the efficacy of pruning for model
    compression", arXiv:1710.01878, equation (1).

    Examples
    --------
    >>> from sklearn_fairprune.functional import cubic
    >>> [round(cubic(t, 0.8), 3) for t in (0.0, 0.3, 0.6, 1.0)]
    [0.0, 0.7, 0.8, 0.8]
    """
    left = 1 - min(1.0, progress / ramp)
    return sparsity * (1 - left**3)


def rewind(progress: float, sparsity: float) -> float:
    r"""All at once, and the kept weights go back to what they were early in the training.

    The masks are those of the trained weights, :math:`s(t) = s_f`.

    Parameters
    ----------
    progress : float in [0, 1]
        Share of the fine-tuning that has passed.
    sparsity : float in [0, 1)
        At the end.

    Returns
    -------
    sparsity : float
        Now.

    References
    ----------
    Frankle, Dziugaite, Roy, Carbin, "Linear mode connectivity and the lottery ticket
    hypothesis", ICML 2020.
    """
    return sparsity


@dataclass(frozen=True)
class Schedule(Member):
    """A schedule.

    Parameters
    ----------
    function : callable
        From the progress in [0, 1] and the final sparsity to the sparsity now.
    title : str
        What tables call it.
    n_updates : int
        How often it is asked, at equal distances of the progress. 1: before the fine-tuning.
    whole_epochs : bool
        Whether masks change between epochs only.
    live : bool
        Whether weights that lie on no path from an input to an output are removed first.
    rewind_at : float or None
        Share of the dense training whose weights are gone back to.
    """

    n_updates: int = 60
    whole_epochs: bool = False
    live: bool = False
    rewind_at: float | None = None


SCHEDULES = Shelf(
    Schedule,
    Schedule(one_shot, n_updates=1),
    Schedule(iterative, n_updates=3, whole_epochs=True),
    Schedule(cubic, live=True),
    Schedule(rewind, n_updates=1, rewind_at=0.1),
)


class MaskUpdate(NamedTuple):
    """A change of the masks.

    Parameters
    ----------
    progress : float in [0, 1)
        Share of the fine-tuning after which it is made.
    sparsity : float in [0, 1)
        Of the masks from then on.
    """

    progress: float
    sparsity: float


def mask_updates(
    schedule: str | Callable, sparsity: float, n_epochs: int = 0
) -> list[MaskUpdate]:
    """When the masks change during a fine-tuning, and to what sparsity.

    Parameters
    ----------
    schedule : str, callable or Schedule
        A name of `SCHEDULES`, or a function of progress and final sparsity.
    sparsity : float in (0, 1)
        At the end.
    n_epochs : int, default=0
        Of the fine-tuning. Without any the final masks are made at once.

    Returns
    -------
    updates : list of MaskUpdate
        In order. The first is made before the fine-tuning, the last has the final sparsity.

    Raises
    ------
    ValueError
        If there are fewer epochs than steps, or the function gives something else than
        sparsities that rise to the final one.

    Examples
    --------
    >>> from sklearn_fairprune.functional import mask_updates
    >>> for update in mask_updates("iterative", 0.875, n_epochs=6):
    ...     print(round(update.progress, 3), round(update.sparsity, 3))
    0.0 0.5
    0.333 0.75
    0.667 0.875
    """
    schedule = SCHEDULES.find("schedule", schedule)
    if n_epochs == 0:
        return [MaskUpdate(0.0, sparsity)]
    n = schedule.n_updates
    if schedule.whole_epochs and n_epochs < n:
        raise ValueError(
            f"schedule={schedule.name} has {n} steps with training after each, and "
            f"finetune_epochs={n_epochs} are fewer. Raise finetune_epochs, or take fewer "
            "steps."
        )
    found: list[MaskUpdate] = []
    for k in range(n):
        now = _checked(schedule, schedule(k / n, sparsity), k / n, sparsity)
        at = round(k * n_epochs / n) / n_epochs if schedule.whole_epochs else k / n
        if found and now < found[-1].sparsity:
            raise ValueError(
                f"schedule={schedule.name} falls from {found[-1].sparsity:g} to {now:g} at "
                f"progress {k / n:g}: removed weights do not come back. Let it only rise."
            )
        if not found or now > found[-1].sparsity:
            found.append(MaskUpdate(at, now))
    if found[-1].sparsity < sparsity:
        raise ValueError(
            f"schedule={schedule.name} has only reached {found[-1].sparsity:g} at progress "
            f"{(n - 1) / n:g}, where it is asked last; it must reach sparsity={sparsity:g} "
            "before the fine-tuning ends, such as min(1, progress / 0.6) * sparsity."
        )
    return found


def _checked(schedule: Schedule, value: object, progress: float, sparsity: float) -> float:
    """Return the sparsity that a schedule gives, or raise."""
    if isinstance(value, bool) or not hasattr(value, "__float__"):
        number = math.nan
    else:
        number = float(value)
    if not -1e-9 <= number <= sparsity + 1e-9:
        raise ValueError(
            f"schedule={schedule.name} must return a sparsity between 0 and the final one, "
            f"{sparsity:g}; at progress {progress:g} it returned {value!r}."
        )
    return sparsity if number > sparsity - 1e-9 else max(number, 0.0)
