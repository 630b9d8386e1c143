"""A shelf holds a family of functions by name, each with everything that is known of it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

# The unit of what is measured in that of the loss.
LOSS = "loss"


@dataclass(frozen=True)
class Member:
    """A function and what is known of it; called, it is the function.

    Attributes
    ----------
    function : callable
        The formula.
    title : str
        What tables and plots call it. Its name, if empty.
    """

    function: Callable
    title: str = ""

    @property
    def name(self) -> str:
        """Name of the function."""
        return getattr(self.function, "__name__", type(self.function).__name__)

    @property
    def label(self) -> str:
        """Title, or else the name."""
        return self.title or self.name.replace("_", " ")

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        lines = (self.function.__doc__ or "").strip().splitlines()
        return lines[0] if lines else ""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return self.function(*args, **kwargs)


M = TypeVar("M", bound=Member)


class Shelf(dict[str, M], Generic[M]):
    """Members of one kind by name.

    Parameters
    ----------
    kind : subclass of Member
        Of the records.
    *members : Member
        In the order in which they are listed.

    Examples
    --------
    >>> from sklearn_fairprune.functional import CONSTRAINTS, minimax
    >>> CONSTRAINTS.find("constraint", "minimax").simplex
    True
    >>> CONSTRAINTS.find("constraint", minimax) is CONSTRAINTS["minimax"]
    True
    """

    def __init__(self, kind: type[M], *members: M) -> None:
        self.kind = kind
        super().__init__({member.name: member for member in members})

    def find(self, argument: str, value: Any) -> M:
        """Record of a name, a function or a record.

        Parameters
        ----------
        argument : str
            Name of the parameter that was given, for the message.
        value : str, callable or Member
            A function of the shelf is known as such; any other is wrapped.

        Returns
        -------
        member : Member

        Raises
        ------
        ValueError
            If it is none of these.
        """
        if isinstance(value, str) and value in self:
            return self[value]
        if isinstance(value, self.kind):
            return value
        if not callable(value) or isinstance(value, (str, type)):
            raise ValueError(
                f"The {argument!r} parameter must be a str among {sorted(self)} or a "
                f"callable. Got {value!r} instead."
            )
        same = (member for member in self.values() if member.function is value)
        return next(same, None) or self.kind(value)

    def lines(self) -> Iterator[str]:
        """One line for every member: its name and what it is."""
        for name, member in self.items():
            yield f'``"{name}"``: {member.summary}'


def lists_members(**shelves: Shelf) -> Callable[[type], type]:
    """Decorator that puts what a parameter can be after the summary of a class docstring.

    Parameters
    ----------
    **shelves : Shelf
        By the name of the parameter.

    Returns
    -------
    decorate : callable
    """

    def decorate(cls: type) -> type:
        summary, rest = (cls.__doc__ or "").split("\n\n", 1)
        lists = [
            "\n".join(
                [f"    `{name}` can be", "", *(f"    - {line}" for line in shelf.lines())]
            )
            for name, shelf in shelves.items()
        ]
        cls.__doc__ = "\n\n".join([summary, *lists, rest])
        return cls

    return decorate
