"""How a report measures; options that are out of their range are refused by name."""

import numbers
from typing import Any, NamedTuple, TypeGuard

EXAMPLES = {
    "max_samples": 200,
    "bound_samples": 100,
    "max_products": 64,
    "n_boot": 2000,
    "min_group_size": 30,
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
        Smaller groups are warned about.
    random_state : int
        Of the bootstrap.
    """

    confidence: float = 0.95
    n_boot: int = 2000
    min_group_size: int = 30
    random_state: int = 0


def check_settings(settings: Settings) -> None:
    """Refuse settings out of their range, by name.

    Parameters
    ----------
    settings : Settings
        What a user gave.

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
