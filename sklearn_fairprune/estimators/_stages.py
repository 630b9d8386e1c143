"""The stages of a group constraint: which trainings it is on, and what comes after."""

from typing import NamedTuple

HELD_OUT = 0.2  # share of the rows that a last step looks at, where nothing else is said


class Stage(NamedTuple):
    """When a constraint acts.

    Attributes
    ----------
    trainings : tuple of str
        Phases that are constrained, of "dense" and "finetune".
    last : {"shift", "last_layer"} or None
        What is adjusted after all training.
    """

    trainings: tuple[str, ...]
    last: str | None = None

    @property
    def holdout(self):
        """Share of the rows that are held out where nothing else is said."""
        return 0.0 if self.last is None else HELD_OUT


STAGES = {
    "before": Stage(("dense",)),
    "after": Stage(("finetune",)),
    "both": Stage(("dense", "finetune")),
    "shift": Stage((), "shift"),
    "last_layer": Stage((), "last_layer"),
    "after+shift": Stage(("finetune",), "shift"),
    "after+last_layer": Stage(("finetune",), "last_layer"),
}
