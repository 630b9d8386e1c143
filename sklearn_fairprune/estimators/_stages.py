"""The stages of a group constraint: which trainings it is on, and what comes after."""

from typing import NamedTuple


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


STAGES = {
    "before": Stage(("dense",)),
    "after": Stage(("finetune",)),
    "both": Stage(("dense", "finetune")),
    "shift": Stage((), "shift"),
    "last_layer": Stage((), "last_layer"),
    "after+shift": Stage(("finetune",), "shift"),
    "after+last_layer": Stage(("finetune",), "last_layer"),
}
