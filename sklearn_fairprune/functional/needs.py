"""What a function asks for, read from the names of its arguments."""

import inspect
from collections.abc import Callable, Collection


def needs(
    function: Callable, known: Collection[str], argument: str, *, subject: bool = False
) -> tuple[str, ...]:
    """Statistics that a member of a shelf, or a function of the same form, asks for.

    They are its arguments without default, but for the first positional one if that is
    what the function is about.

    Parameters
    ----------
    function : callable
        Member of a shelf, or of the same form.
    known : collection of str
        Names of the statistics that can be had.
    argument : str
        What the function was given as, for the message.
    subject : bool, default=False
        Whether the first positional argument is what the function is about, whatever its
        name.

    Returns
    -------
    names : tuple of str
        In the order of the arguments. Empty for functions that tell no signature.

    Raises
    ------
    ValueError
        If it asks for something that is not known, or cannot be called by name.

    Examples
    --------
    >>> from sklearn_fairprune.functional.needs import needs
    >>> needs(lambda weight, *, gradient: weight * gradient, ["gradient"], "f", subject=True)
    ('gradient',)
    """
    names = [a.name for a in _required(function, subject)]
    if unknown := [name for name in names if name not in known]:
        raise ValueError(
            f"{argument}: {_name(function)} asks for {unknown}; known are {sorted(known)}. "
            "Rename these arguments, or give them a default."
        )
    return tuple(names)


def _required(function: Callable, subject: bool) -> list[inspect.Parameter]:
    """Arguments without default, but for the subject."""
    try:
        arguments = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):  # some functions of C tell no signature
        return []
    if subject and arguments and arguments[0].kind is not inspect.Parameter.KEYWORD_ONLY:
        arguments = arguments[1:]
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [a for a in arguments if a.default is a.empty and a.kind not in variable]


def _name(function: Callable) -> str:
    return getattr(function, "__name__", repr(function))
