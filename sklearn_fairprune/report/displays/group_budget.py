"""What pruning costs every group, along the length of the fine-tuning."""

from typing import Any, Self

import numpy as np

from ...measurement.budgets import budgets_in
from ...measurement.measures import MEASURES, payments
from ...measurement.user_metrics import measures_of
from ...measurement.verdicts import broken_models
from ._audited import AuditedDisplay, axis_of, check_measure, title_of
from ._style import (
    REST,
    canvas,
    check_count,
    distinct_names,
    literal,
    require_matplotlib,
    room_for,
    styles,
    write_legend,
)

COLUMNS = 3  # panels in a row


class GroupBudgetDisplay(AuditedDisplay):
    """What pruning costs every group, along the budgets of fine-tuning: a panel per sparsity.

    The accuracy drop or the excessive loss of every group after 5, 20, 80 epochs, with
    intervals. The dense network is at 0: a line that comes down to it was the short
    fine-tuning, and one that stays above is what pruning costs.

    Parameters
    ----------
    values, low, high : list of ndarray of shape (n_budgets, m)
        Of every sparsity: the measure of every group after each budget, and its limits; NaN
        where there are none.
    epochs : list of ndarray of shape (n_budgets,)
        Of every sparsity: the budgets, rising.
    titles : list of str
        Of the panels, such as "sparsity 0.9".
    groups : list of str
        Names of the groups.
    measure : {"accuracy_drop", "excessive_loss"}, default="accuracy_drop"
        What they are, or any other measure in `MEASURES` that tells who pays.
    broken : list of bool ndarray of shape (n_budgets,), default=None
        Networks that predict one class only, or are no better than that.
    grouped_by : str, default="group"
        What the groups are, such as "race & sex".
    loss : str, default="cross-entropy"
        Which loss.
    confidence : float, default=0.95
        Level of the limits.
    measures : dict of str to Measure, default=None
        Measures of the report beside those in `MEASURES`.

    Attributes
    ----------
    axes_ : list of Axes
        One a panel.
    figure_ : Figure
        Where it is drawn.
    lines_ : list of list of Line2D
        Of every panel one a group; hollow if it has no intervals.
    bands_ : list of list of (Collection or None)
        Likewise; None where there is no interval, or for a group in grey.
    legend_ : Legend or None
        Names.

    See Also
    --------
    sklearn_fairprune.PrunedClassifier.pruning_path : Makes networks with several budgets.
    GroupPathDisplay : Every group along the sparsities.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import GroupBudgetDisplay, PrunedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(random_state=0)
    >>> path = clf.pruning_path(X, y, sparsities=[0, 0.5, 0.9], budgets=[1, 8])
    >>> display = GroupBudgetDisplay.from_path(path, X, y, n_boot=50, min_group_size=50)
    >>> display.titles, [n.tolist() for n in display.epochs]
    (['sparsity 0.5', 'sparsity 0.9'], [[1, 8], [1, 8]])
    >>> plt.close(display.figure_)
    """

    _choices = {"measure": lambda *_: payments()}

    def __init__(
        self,
        values: Any,
        low: Any,
        high: Any,
        *,
        epochs: Any,
        titles: Any,
        groups: Any,
        measure: str = "accuracy_drop",
        broken: Any = None,
        grouped_by: str = "group",
        loss: str = "cross-entropy",
        confidence: float = 0.95,
        measures: Any = None,
    ) -> None:
        self.values, self.low, self.high = values, low, high
        self.epochs, self.titles, self.groups = epochs, titles, groups
        self.measure, self.broken, self.grouped_by = measure, broken, grouped_by
        self.loss, self.confidence, self.measures = loss, confidence, measures

    @classmethod
    def _of_report(cls, report: Any, measure: str | None = None) -> Self:
        by_group, overall = report.by_group, report.overall
        chosen = next(k for k in payments() if k in by_group) if measure is None else measure
        check_measure("measure", chosen, payments(), by_group)
        panels = budgets_in(overall, report.about)
        if not panels:
            raise ValueError(
                "report must be of a path with budgets, which this one is not: its networks "
                "had one length of fine-tuning. Make the path with pruning_path(..., "
                "budgets=[5, 20, 80]), or draw it with GroupPathDisplay."
            )
        broken = broken_models(overall)
        tables = [[by_group.loc[[model]] for model in one.models] for one in panels]
        ends = (
            [
                np.array([t[f"{chosen}{end}"].to_numpy(dtype=float) for t in some])
                for some in tables
            ]
            for end in ("", "_low", "_high")
        )
        return cls(
            *ends,
            epochs=[np.array(one.epochs) for one in panels],
            titles=[one.title for one in panels],
            groups=distinct_names(label[1:] for label in tables[0][0].index),
            measure=chosen,
            broken=[np.array([model in broken for model in one.models]) for one in panels],
            grouped_by=report.grouped_by,
            loss=report.about["loss"],
            confidence=report.about["confidence"],
            measures=measures_of(report.about),
        )

    def plot(self, ax: Any = None, *, max_groups: int = 6, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One a panel; None makes a figure.
        max_groups : int, default=6
            Groups drawn in colour and with intervals: if there are more, those that pay most
            after the longest fine-tuning of the last panel. The others are thin grey lines.
        legend : bool, default=True
            Whether to write one.

        Returns
        -------
        display : GroupBudgetDisplay
            Itself.
        """
        require_matplotlib("GroupBudgetDisplay.plot")
        check_count("max_groups", max_groups)
        measure = (MEASURES | (self.measures or {}))[self.measure]
        shown = sorted(self._payers(measure.better)[:max_groups])
        looks, names = styles(shown), [literal(self.groups[a]) for a in shown]
        n, columns = len(self.titles), min(len(self.titles), COLUMNS)
        size = (
            3.2 * columns + 0.8 + room_for(names) * bool(legend),
            3.4 * -(-n // columns) + 0.4,
        )
        with canvas(ax, size, (n, (-(-n // columns), columns))) as (figure, axes):
            self.lines_: list[list[Any]] = []
            self.bands_: list[list[Any]] = []
            for k, panel in enumerate(axes):
                self._panel(panel, k, measure.scale, looks)
                panel.set_ylabel(axis_of(measure, self.loss) if k % columns == 0 else "")
            low, high = zip(*(panel.get_ylim() for panel in axes), strict=True)
            for panel in axes:
                panel.set_ylim(min(low), max(high))
            if ax is None:
                title = title_of(measure)
                what, level = literal(self.grouped_by), f"{100 * self.confidence:g} %"
                said = f"by {what} and fine-tuning, {level} intervals"
                figure.suptitle(f"{title[0].upper()}{title[1:]} {said}", fontsize=11)
            at = axes[columns - 1]
            self.legend_ = self._legend(at, shown, names, ax is None) if legend else None
        self.axes_, self.figure_ = axes, figure
        return self

    def _payers(self, better):
        """Positions of the groups, those that pay most first; those without interval last."""
        return np.lexsort([better * self.values[-1][-1], np.isnan(self.low[-1][-1])]).tolist()

    def _panel(self, panel, k, factor, looks):
        """Lines and bands of the groups of one sparsity."""
        from matplotlib.ticker import NullLocator

        epochs, values = self.epochs[k], factor * self.values[k]
        low, high = factor * self.low[k], factor * self.high[k]
        panel.axhline(0, color="black", linewidth=1, zorder=1)
        lines, bands = [], []
        for a in range(len(self.groups)):
            look = {"label": literal(self.groups[a])} | REST | {"marker": ".", "markersize": 3}
            band = None
            if a in looks:
                look |= looks[a] | {"linewidth": 1.8, "markersize": 6, "zorder": 3}
                band = _band(panel, epochs, low[:, a], high[:, a], look["color"])
                look |= {"markerfacecolor": "white"} if band is None else {}
            lines += panel.plot(epochs, values[:, a], **look)
            bands.append(band)
        self.lines_.append(lines)
        self.bands_.append(bands)
        scale = {"linthresh": 1} if 0 in epochs else {}  # no logarithm of 0
        panel.set_xscale("symlog" if scale else "log", **scale)
        panel.xaxis.set_minor_locator(NullLocator())
        broken = np.zeros(len(epochs)) if self.broken is None else self.broken[k]
        ticks = [
            f"{n}{chr(10) + 'broken' if bad else ''}"
            for n, bad in zip(epochs, broken, strict=True)
        ]
        panel.set_xticks(epochs, ticks)
        panel.set_xlabel("epochs of fine-tuning (log scale)")
        panel.set_title(literal(self.titles[k]), fontsize=10)
        panel.grid(alpha=0.25)

    def _legend(self, panel, shown, names, outside):
        """Names of the groups with a look, and how many have none."""
        handles, names = [self.lines_[0][a] for a in shown], list(names)
        rest = [line for a, line in enumerate(self.lines_[0]) if a not in shown]
        if rest:
            handles.append(rest[0])
            names.append(f"{len(rest)} more group{'s' * (len(rest) > 1)}")
        title = literal(self.grouped_by)
        return write_legend(
            panel, handles, names, outside=outside, title=title, handlelength=3.5
        )


def _band(panel, epochs, low, high, colour):
    """Draw the intervals of one group, if it has any."""
    if np.isnan(low).all():
        return None
    if len(epochs) == 1:
        return panel.vlines(epochs, low, high, color=colour, linewidth=1.2)
    edge = {"edgecolor": (colour, 0.45), "linewidth": 0.7}
    return panel.fill_between(epochs, low, high, facecolor=(colour, 0.12), **edge)
