"""Reads and checks what is typed on the command line, before anything is trained."""

import argparse
import csv
import math
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..engine.cost_targets import COSTS
from ..functional.granularities import GRANULARITIES, granularity_of
from ..measurement.latency import batch_sizes
from ..measurement.measures import MEASURES, Measures, limit_columns, payments
from ..measurement.metric_functions import check_metrics
from ..measurement.settings import Settings, check_settings
from ..measurement.user_metrics import metric_records
from ..report.displays._style import require_matplotlib
from ..report.gate import check_limit
from ..report.page import charts_library

# The networks of the command line have linear layers alone.
GRANULARITY_NAMES = [name for name, g in GRANULARITIES.items() if g.fits_linear]


def limit_words(measures: Measures | None = None) -> dict[str, str]:
    """Names of the limits on the command line, and in `assert_disparity`."""
    return {name.removeprefix("max_"): name for name in limit_columns(measures)}


def say_limits() -> str:
    """What can be limited, for the help."""
    shown = []
    for word, name in limit_words().items():
        measure = MEASURES[limit_columns()[name]]
        scope = "between groups" if measure.disparity else "of all rows"
        scope = "of each group" if measure.by_group else scope
        share = ", 0 to 1" if measure.scale == 100 else ""
        shown.append(f"{word} ({measure.full_title} {scope}{share})")
    shown.append("of each of --metrics its difference between groups, such as f1_difference")
    return ", ".join(shown).replace("%", "%%")


def limits(text: str) -> dict[str, float]:
    """Read ``spread=0.1,degradation=0.05``."""
    found = {}
    for entry in text.split(","):
        word, _, value = entry.partition("=")
        try:
            found[word] = float(value)
        except ValueError:
            raise argparse.ArgumentTypeError(
                f"{entry!r} has no number; write for example degradation=0.05"
            ) from None
    return found


def known_limits(given: dict[str, float], metrics: dict[str, str] | None) -> dict[str, float]:
    """Limits by their names in `assert_disparity`; those of the metrics are known as well."""
    measures = MEASURES | metric_records(check_metrics(metrics))
    words, found = limit_words(measures), {}
    for word, value in given.items():
        if word not in words:
            raise ValueError(
                f"--fail-above: {word!r} is none of {', '.join(words)}; write for example "
                "degradation=0.05. A metric can be limited if --metrics names it, and only "
                "where less is better."
            )
        try:
            check_limit(words[word], value, measures)
        except ValueError as error:
            text = str(error).removeprefix("max_")
            raise ValueError(f"--fail-above: {text}") from None
        found[words[word]] = value
    return found


def negligible(text: str) -> dict[str, float]:
    """Read ``accuracy_drop=0.01,excessive_loss=0.005``."""
    found = {}
    for entry in text.split(","):
        name, _, value = entry.partition("=")
        try:
            found[name] = float(value)
            check_settings(Settings(negligible=found), payments())
        except ValueError as error:
            raise argparse.ArgumentTypeError(
                f"{entry!r}: {error} Write for example accuracy_drop=0.01"
            ) from None
    return found


def refuse_limits_of_classifiers(limits: dict[str, float]) -> None:
    """Refuse limits of what regressors lack, before anything is trained."""
    words = {word: MEASURES[limit_columns()[name]] for word, name in limit_words().items()}
    lacked = [word for word, measure in words.items() if measure.classifiers_only]
    if given := [word for word in lacked if limit_words()[word] in limits]:
        others = [word for word in words if word not in lacked]
        raise ValueError(
            f"--fail-above: a quantity has no classes, so no {' and no '.join(given)}; "
            f"limit {' or '.join(others)}."
        )


def scorers(text: str) -> dict[str, str]:
    """Read names of scikit-learn's scorers, ``roc_auc,f1``."""
    names = {name: name for name in text.split(",")}
    try:
        check_metrics(names)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return names


def class_called(text: str | None, y: np.ndarray, quantity: bool) -> Any:
    """Class of the targets that is written so; None if nothing is."""
    if text is None:
        return None
    if quantity:
        raise ValueError("--pos-label: the target is a quantity, which has no classes.")
    classes = np.unique(y)
    found = [label for label in classes if str(label) == text]
    if not found:
        raise ValueError(
            f"--pos-label must be one of the classes {list(map(str, classes[:10]))}, got "
            f"{text!r}."
        )
    return found[0]


def share(text: str) -> float:
    """Read a number between 0 and 1, for argparse."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"must be between 0 and 1, got {text}; try 0.3")
    return value


def whole(least: int, most: int | None = None) -> Callable[[str], int]:
    """Return a reader of whole numbers, for argparse."""

    def number(text):
        value = int(text)
        if value < least or (most is not None and value > most):
            limit = f"at least {least}" + (f" and at most {most}" if most else "")
            raise argparse.ArgumentTypeError(f"must be {limit}, got {text}")
        return value

    number.__name__ = "whole number"
    return number


def rate(text: str) -> str | float:
    """Read a learning rate: a positive number, or one of the names that a pruner knows."""
    if text in ("net", "cosine"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(
            f"must be net, cosine or a number above 0, got {text!r}"
        )
    return value


def costs(text: str) -> list[tuple[str, float]]:
    """Read shares of a cost to keep, ``macs=0.5,macs=0.3``, all different."""
    found = []
    for entry in text.split(","):
        of, _, value = entry.partition("=")
        try:
            kept = (of, share(value))
        except ValueError:
            kept = ("", 0.0)
        if kept[0] not in COSTS:
            raise argparse.ArgumentTypeError(
                f"must be {' or '.join(COSTS)} and the share to keep, such as macs=0.3, got "
                f"{entry!r}"
            )
        found.append(kept)
    if len(set(found)) < len(found):
        raise argparse.ArgumentTypeError(f"must be different costs, got {text}")
    return found


def granularity(text: str) -> str:
    """Read a granularity that networks of linear layers can have."""
    try:
        known = granularity_of(text)
    except ValueError:
        known = None
    if known is None or (text in GRANULARITIES and text not in GRANULARITY_NAMES):
        raise argparse.ArgumentTypeError(
            f"must be {', '.join(GRANULARITY_NAMES)} or n:m with n below m, such as 2:4, for "
            f"the network has linear layers alone, got {text!r}"
        )
    return text


def names(text: str) -> list[str]:
    """Read comma-separated names; one with a comma in it stands in quotation marks."""
    found = next(csv.reader([text], skipinitialspace=True), [])
    if not (found and all(name.strip() for name in found)):
        raise argparse.ArgumentTypeError(f"must be names such as sex,age, got {text!r}")
    return [name.strip() for name in found]


def separator(text: str) -> str:
    """Read a separator: one character, or its name."""
    sep = {"tab": "\t", "\\t": "\t", "space": " "}.get(text, text)
    if len(sep) != 1:
        raise argparse.ArgumentTypeError(f"must be one character or 'tab', got {text!r}")
    return sep


def numbers_of(kind: Callable[[str], Any]) -> Callable[[str], list[Any]]:
    """Return a reader of comma-separated numbers, for argparse."""

    def numbers(text):
        return tuple(kind(number) for number in text.split(","))

    numbers.__name__ = f"comma-separated {kind.__name__}"
    return numbers


def batches(text: str) -> tuple[int, ...]:
    """Read batch sizes, ``1,256``."""
    try:
        return batch_sizes([int(number) for number in text.split(",")])
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be batch sizes of at least 1, such as 1,256, got {text!r}"
        ) from None


def budgets(text: str) -> list[int]:
    """Read numbers of epochs, ``5,20,80``, all different."""
    numbers = [whole(0)(number) for number in text.split(",")]
    if len(set(numbers)) < len(numbers):
        raise argparse.ArgumentTypeError(f"must be different numbers of epochs, got {text}")
    return numbers


def check_outputs(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be written, before anything is trained."""
    if arguments.html:
        charts_library()
        check_file("--html", Path(arguments.html), "report.html")
    if arguments.plot:
        require_matplotlib("--plot")
        check_file("--plot", Path(arguments.plot), "accuracy.png")
    if arguments.markdown:
        check_file("--markdown", Path(arguments.markdown), "report.md")
    if arguments.out:
        check_writable(f"--out {arguments.out}", Path(arguments.out))


def check_file(option: str, path: Any, example: str) -> None:
    """Refuse a file that cannot be written."""
    if path.is_dir():
        raise ValueError(f"{option} {path} is a folder; name a file, such as {example}.")
    check_writable(f"{option} {path}", path.parent)


def check_writable(option: str, folder: Any) -> None:
    """Refuse a folder in which, or in whose first existing parent, nothing can be written."""
    folder = folder.absolute()
    there = next(path for path in [folder, *folder.parents] if path.exists())
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise ValueError(f"{option}: {there} is no folder that can be written to.")
