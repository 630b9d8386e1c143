"""Refuses options of the reports that are out of their range, by name."""

import numbers

EXAMPLES = {
    "max_samples": 200,
    "bound_samples": 100,
    "max_products": 64,
    "n_boot": 2000,
    "min_group_size": 30,
    "random_state": 0,
}


def is_real(value):
    """Whether a value is a real number; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def check_confidence(confidence):
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


def check_counts(**least):
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
