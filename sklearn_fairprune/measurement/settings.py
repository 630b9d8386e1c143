"""How a report measures; options that are out of their range are refused by name."""

import math
import numbers
from collections.abc import Collection, Mapping
from typing import Any, NamedTuple, TypeGuard

from ..statistics.worst import LEAST_ROWS

EXAMPLES = {
    "max_samples": 200,
    "bound_samples": 100,
    "max_products": 64,
    "n_boot": 2000,
    "min_group_size": 75,
    "random_state": 0,
}


def is_real(value: object) -> TypeGuard[float]:
    """Whether a value is a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_confidence(confidence: object) -> None:
    """Refuse a level of the intervals that is none.

    Parameters
    ----------
    confidence : object
        What a user gave.

    Raises
    ------
    ValueError
        Unless it is a number between 0 and 1.
    """
    if not (is_real(confidence) and 0 < confidence < 1):
        raise ValueError(
            f"confidence must be between 0 and 1, got {confidence!r}. Use 0.95, not 95, for "
            "95 %."
        )


def check_counts(**least: tuple[Any, int]) -> None:
    """Refuse counts that are none.

    Parameters
    ----------
    **least : tuple of (object, int)
        By the name of the argument: what a user gave, and the least it may be.

    Raises
    ------
    ValueError
        Naming the first that is no integer, or less.

    Examples
    --------
    >>> from sklearn_fairprune.measurement.settings import check_counts
    >>> check_counts(n_boot=(0, 2))
    Traceback (most recent call last):
        ...
    ValueError: n_boot must be an integer of at least 2, got 0. Use for example 2000.
    """
    for name, (value, smallest) in least.items():
        whole = isinstance(value, numbers.Integral) and not isinstance(value, bool)
        if not whole or value < smallest:
            raise ValueError(
                f"{name} must be an integer of at least {smallest}, got {value!r}. Use for "
                f"example {EXAMPLES[name]}."
            )


class Settings(NamedTuple):
    """How an audit measures.

    Attributes
    ----------
    confidence : float
        Level of every interval.
    n_boot : int
        Bootstrap samples.
    min_group_size : int
        Smaller groups are listed apart: no verdict, spread or violation counts them.
    random_state : int
        Of the bootstrap.
    negligible : mapping of str to float or None
        By the name of a measure, what is negligible in the place of its own.
    pos_label : object
        Class that rates are about; None is the second of two.
    metrics : mapping of str to callable or str, or None
        Metrics of the user by name.
    batches : tuple of int
        Batch sizes at which the latency of the networks is measured.
    """

    confidence: float = 0.95
    n_boot: int = 2000
    min_group_size: int = LEAST_ROWS
    random_state: int = 0
    negligible: Mapping[str, float] | None = None
    pos_label: Any = None
    metrics: Mapping[str, Any] | None = None
    batches: tuple[int, ...] = ()


def check_settings(settings: Settings, payments: Collection[str] = ()) -> None:
    """Refuse settings out of their range, by name.

    Parameters
    ----------
    settings : Settings
        What a user gave.
    payments : collection of str, default=()
        Measures that tell who pays.

    Raises
    ------
    ValueError
        Naming the argument, what it must be and what was given.
    """
    check_confidence(settings.confidence)
    check_counts(
        n_boot=(settings.n_boot, 2),
        min_group_size=(settings.min_group_size, 0),
        random_state=(settings.random_state, 0),
    )
    for name, value in (settings.negligible or {}).items():
        if name not in payments:
            raise ValueError(
                f"negligible: {name!r} is no measure that tells who pays; known are "
                f"{sorted(payments)}."
            )
        if not (is_real(value) and 0 <= value < math.inf):
            raise ValueError(
                f"negligible[{name!r}] must be finite and at least 0, got {value!r}."
            )
