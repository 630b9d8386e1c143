"""Names beside points, placed so that they cover each other as little as can be."""

from collections.abc import Sequence
from typing import Any

import numpy as np

DIRECTIONS = np.deg2rad([0, 90, 180, 270, 45, 135, 225, 315, 20, 160, 200, 340])
DISTANCES = (7, 14, 24, 36, 50, 66, 84, 104)


def write_names(
    ax: Any,
    points: np.ndarray,
    names: Sequence[str],
    *,
    bars: Sequence[np.ndarray] = (),
    fontsize: float = 9,
) -> list[Any]:
    """Write each name beside its point, with a thin line to it if it stands far off.

    Parameters
    ----------
    ax : Axes
        Whose limits are final.
    points : ndarray of shape (n, 2)
        In data units.
    names : list of str
        From `literal`.
    bars : sequence of ndarray of shape (2, 2), default=()
        Ends of lines that names had better not cross, in data units.
    fontsize : float, default=9
        Of the names.

    Returns
    -------
    annotations : list of Annotation
        One a point.
    """
    figure = ax.get_figure()
    while figure.get_figure() not in (None, figure):
        figure = figure.get_figure()  # a subfigure cannot lay itself out
    figure.draw_without_rendering()
    pixels = ax.transData.transform(np.asarray(points, dtype=float))
    unit = figure.dpi / 72
    inside = ax.get_window_extent()
    inside = np.array([inside.x0, inside.y0, inside.x1, inside.y1])
    obstacles = [np.array([*p - 5 * unit, *p + 5 * unit]) for p in pixels]
    lines = [_box(ax.transData.transform(bar), unit) for bar in bars]
    annotations = []
    for name, point, pixel in zip(names, points, pixels, strict=True):
        probe = ax.text(*point, name, fontsize=fontsize)
        extent = probe.get_window_extent()
        probe.remove()
        size = np.array([extent.width, extent.height])
        offset, box, far = _best(pixel, size, obstacles, lines, inside, unit)
        obstacles.append(box)
        leader = {"arrowstyle": "-", "color": "0.6", "linewidth": 0.7, "shrinkB": 4}
        note = ax.annotate(
            name,
            point,
            offset / unit,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=fontsize,
            arrowprops=leader if far else None,
            zorder=5,
        )
        note.set_in_layout(False)
        annotations.append(note)
    return annotations


def _best(pixel, size, obstacles, lines, inside, unit):
    """Offset of the middle of a name, its box, and whether it is far from its point."""
    best = None
    for distance in DISTANCES:
        for angle in DIRECTIONS:
            way = np.array([np.cos(angle), np.sin(angle)])
            middle = np.clip(1.42 * way, -1, 1) * size / 2 + way * distance * unit
            low, high = pixel + middle - size / 2, pixel + middle + size / 2
            box = np.array([*low, *high])
            cost = 10 * sum(_shared(box, other) for other in obstacles) / size.prod()
            cost += sum(_shared(box, line) > 0 for line in lines) * 0.15
            outside = np.maximum(inside[:2] - low, 0) + np.maximum(high - inside[2:], 0)
            cost += 10 * (outside / size).sum() + 0.004 * distance
            if best is None or cost < best[0]:
                best = (cost, middle, box, distance > DISTANCES[1])
    return best[1:]


def _shared(one, other):
    """Area that two boxes share."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    return float(np.prod(sides)) if (sides > 0).all() else 0.0


def _box(ends, unit):
    """Box around a line."""
    return np.array([*ends.min(axis=0) - unit, *ends.max(axis=0) + unit])
