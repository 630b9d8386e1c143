"""What the plots share: colours, markers and dashes, literal names, figures, legends."""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from ...measurement.groups import distinct_labels

# Okabe and Ito's palette without black, which is for the whole, and without yellow, which
# nobody reads on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P", "<", "X", ">", "p", "h")
DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (9, 2)))
REST = {"color": "0.65", "linewidth": 0.8, "zorder": 1.5}
LONGEST_NAME = 60
LOSS_UNITS = {"cross-entropy": "nats", "squared error": "squared error"}


class Display:
    """Base of the displays: data in the attributes, artists in those that end in "_"."""

    def __getstate__(self) -> dict[str, Any]:
        """Pickle the data, not the drawing."""
        return {k: v for k, v in vars(self).items() if not k.endswith("_")}


def require_matplotlib(caller: str) -> None:
    """Refuse to plot without matplotlib, and say how to get it.

    Parameters
    ----------
    caller : str
        What needs it.

    Raises
    ------
    ImportError
        If it is not installed.
    """
    try:
        import matplotlib.pyplot  # noqa: F401
    except ImportError as error:
        raise ImportError(
            f'{caller} needs matplotlib: pip install "sklearn-fairprune[plot]"'
        ) from error


def style(k: int) -> dict[str, Any]:
    """Colour, marker and dashes of the k-th group: each alone tells neighbours apart."""
    return {
        "color": COLOURS[k % len(COLOURS)],
        "marker": MARKERS[k % len(MARKERS)],
        "linestyle": DASHES[k % len(DASHES)],
    }


def styles(positions: Iterable[int]) -> dict[int, dict[str, Any]]:
    """Looks of the groups that are drawn in colour, the same in every plot if it can be.

    Parameters
    ----------
    positions : iterable of int
        Of the groups among all.

    Returns
    -------
    looks : dict of int to dict
        Markers and dashes are those of the position; so is the colour, unless another group
        has it and there are others.
    """
    looks: dict[int, dict[str, Any]] = {}
    late: list[int] = []
    for k in sorted(positions):
        taken = {look["color"] for look in looks.values()}
        looks[k] = style(k)
        late += [k] if looks[k]["color"] in taken else []
    taken = {look["color"] for look in looks.values()}
    free = (colour for colour in COLOURS if colour not in taken)
    for k, colour in zip(late, free, strict=False):
        looks[k]["color"] = colour
    return looks


def literal(name: object) -> str:
    """Text that matplotlib draws as it is: no mathematics, no control characters.

    Parameters
    ----------
    name : object
        Anything; its text counts.

    Returns
    -------
    text : str
    """
    text = "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(name)
    )
    return text.replace("$", r"\$")


def distinct_names(labels: Iterable[Any]) -> list[str]:
    """Names of groups or models as texts that differ, none too long for a legend.

    Parameters
    ----------
    labels : iterable of object
        Values, or tuples of values for intersections.

    Returns
    -------
    names : list of str
        See `distinct_labels`; two that look alike when cut have their position added.
    """
    names = distinct_labels(labels)
    names = [
        name if len(name) <= LONGEST_NAME else f"{name[:39]}...{name[42 - LONGEST_NAME :]}"
        for name in names
    ]
    while len(counts := Counter(names)) < len(names):
        names = [f"{n} (#{k})" if counts[n] > 1 else n for k, n in enumerate(names, start=1)]
    return names


def check_choice(
    argument: str, value: Any, choices: Iterable[str], has: Container[str], what: str
) -> None:
    """Refuse a measure that does not exist, or that a report does not have.

    Parameters
    ----------
    argument : str
        Its name.
    value : object
        What was given.
    choices : iterable of str
        What there is.
    has : container of str
        What the report has.
    what : str
        Why a report may lack it.

    Raises
    ------
    ValueError
        Naming the argument, the rule, the value and what to use.
    """
    choices = list(choices)
    if value not in choices:
        raise ValueError(f"{argument} must be one of {choices}, got {value!r}.")
    if value not in has:
        rest = [choice for choice in choices if choice in has]
        raise ValueError(
            f"{argument} must be a measure that the report has, got {value!r}: {what}. Use "
            f"{argument}={' or '.join(map(repr, rest))}."
        )


def check_count(argument: str, value: Any) -> None:
    """Refuse what is no count."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 0:
        raise ValueError(f"{argument} must be an integer of at least 0, got {value!r}.")


@contextmanager
def canvas(
    ax: Any, size: tuple[float, float], n: tuple[int, tuple[int, int]] | None = None
) -> Iterator[tuple[Any, Any]]:
    """Axes to draw on: those given, or of a new figure, which an error closes again.

    Parameters
    ----------
    ax : Axes, array-like of Axes or None
        None makes a figure.
    size : tuple of two floats
        Its width and height in inches.
    n : tuple of (int, (int, int)), default=None
        Number of panels, and rows and columns of a new figure; None is one plain Axes.

    Yields
    ------
    figure : Figure
    axes : Axes, or list of Axes if `n` is given
    """
    import matplotlib.pyplot as plt
    from matplotlib.axes import Axes

    if ax is not None:
        wanted = 1 if n is None else n[0]
        given = [ax] if n is None or isinstance(ax, Axes) else list(np.ravel(ax))
        if len(given) < wanted or not all(isinstance(a, Axes) for a in given):
            rule, way, got = "a matplotlib Axes", "subplots()", type(ax).__name__
            if n is not None:
                rule, way = f"{wanted} matplotlib Axes", f"subplots({wanted})"
                got = f"{sum(isinstance(a, Axes) for a in given)} of {len(given)}"
            raise ValueError(
                f"ax must be {rule}, or None for a new figure, got {got}. plt.{way} makes it."
            )
        yield given[0].figure, given[0] if n is None else given[:wanted]
        return
    grid = (1, 1) if n is None else n[1]
    figure, axes = plt.subplots(*grid, figsize=size, squeeze=False, layout="constrained")
    try:
        axes = axes.ravel()
        for spare in axes[1 if n is None else n[0] :]:
            spare.remove()
        for a in axes:
            a.spines[["top", "right"]].set_visible(False)
        yield figure, axes[0] if n is None else list(axes[: n[0]])
    except BaseException:
        plt.close(figure)
        raise


def room_for(names: Sequence[str]) -> float:
    """Width in inches that a legend of these names takes."""
    return 0.9 + 0.075 * max(map(len, names), default=0)


def write_legend(
    ax: Any,
    handles: list[Any],
    names: Sequence[str],
    *,
    outside: bool,
    title: str | None = None,
    **options: Any,
) -> Any:
    """Legend whose names are drawn as they are, also those that begin with "_".

    Parameters
    ----------
    ax : Axes
        Where.
    handles : list of Artist
        What.
    names : list of str
        From `literal`.
    outside : bool
        To the right of the axes; else where it covers least.
    title : str, default=None
        Title of the legend.
    **options
        Of ``Axes.legend``.

    Returns
    -------
    legend : Legend
    """
    where = {"loc": "best", "framealpha": 0.8}
    if outside:
        where = {"loc": "upper left", "bbox_to_anchor": (1.01, 1), "borderaxespad": 0}
        where["frameon"] = False
    options = (
        {"fontsize": 9, "title": title, "title_fontsize": 9, "alignment": "left"}
        | where
        | options
    )
    legend = ax.legend(handles, [f"name {k}" for k in range(len(names))], **options)
    for text, name in zip(legend.get_texts(), names, strict=True):
        text.set_text(name)
    return legend


def per_cent(share: float) -> str:
    """Share as per cent, with as many digits as tell it from 100."""
    value = 100 * share
    digits = 1
    while value < 100 and round(value, digits) >= 100 and digits < 9:
        digits += 1
    return f"{value:.{digits}f}".rstrip("0").rstrip(".")
