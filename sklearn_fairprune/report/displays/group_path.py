"""A measure of every group along the pruning path."""

import re
from typing import Any, Self

import numpy as np

from ...measurement.budgets import along_path
from ...measurement.measures import MEASURES, group_measures
from ...measurement.user_metrics import measures_of
from ...measurement.verdicts import broken_models
from ._audited import AuditedDisplay, axis_of, check_measure, title_of
from ._style import (
    REST,
    canvas,
    check_count,
    distinct_names,
    literal,
    per_cent,
    require_matplotlib,
    room_for,
    styles,
    write_legend,
)

# Neighbours on the logarithmic axis that are nearer than this part of it are not readable.
NARROWEST = 0.04


class GroupPathDisplay(AuditedDisplay):
    r"""A measure of every group along the pruning path, with intervals.

    :math:`R(a)`, the loss :math:`J(D_a)`, the accuracy or its drop of every group a for
    every model, from the dense one to the sparsest; the value of all rows together is a
    thick dashed line. Of a path with several budgets of fine-tuning the longest is drawn.

    Parameters
    ----------
    values, low, high : ndarray of shape (n_models, m)
        Measure of every group, and its limits; NaN where there are none.
    overall : ndarray of shape (n_models,)
        Measure of all rows together.
    sparsities : ndarray of shape (n_models,)
        Shares of weights removed; NaN for a model that has none.
    models : list of str
        Names of the models.
    groups : list of str
        Names of the groups.
    measure : {"accuracy", "loss", "excessive_loss", "accuracy_drop"}, default="accuracy"
        What they are, or any other measure of each group in `MEASURES`.
    grouped_by : str, default="group"
        What the groups are, such as "race & sex".
    loss : str, default="cross-entropy"
        Which loss.
    confidence : float, default=0.95
        Level of the limits.
    broken : bool ndarray of shape (n_models,), default=None
        Models that predict one class only, or are no better than that.
    measures : dict of str to Measure, default=None
        Measures of the report beside those in `MEASURES`, for its metrics.

    Attributes
    ----------
    ax_, figure_ : Axes, Figure
        Where it is drawn.
    lines_ : list of Line2D
        One a group; hollow if it has no intervals.
    bands_ : list of Collection or None
        One a group; None where there is no interval, or for a group in grey.
    overall_line_ : Line2D
        All rows together.
    legend_ : Legend or None
        Names.

    See Also
    --------
    sklearn_fairprune.audit : Measures what is drawn.
    GroupBudgetDisplay : Every group along the budgets of fine-tuning.
    TradeOffDisplay : Accuracy against disparity.

    Notes
    -----
    Sparsities such as 0, 0.5, 0.8, 0.9, 0.95, 0.98 crowd at the right end of a linear axis.
    The default axis is logarithmic in the weights *kept*: every halving of the network is
    a step of the same width, and these six are nearly evenly spaced.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import GroupPathDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> path = PrunedClassifier(random_state=0).pruning_path(X, y, sparsities=[0, 0.5, 0.9])
    >>> options = {"n_boot": 50, "min_group_size": 50}
    >>> display = GroupPathDisplay.from_path(path, X, y, measure="loss", **options)
    >>> display.groups, display.values.shape
    (['0', '1', '2'], (3, 3))
    >>> plt.close(display.figure_)
    """

    _choices = {"measure": group_measures}

    def __init__(
        self,
        values: Any,
        low: Any,
        high: Any,
        overall: Any,
        *,
        sparsities: Any,
        models: Any,
        groups: Any,
        measure: str = "accuracy",
        grouped_by: str = "group",
        loss: str = "cross-entropy",
        confidence: float = 0.95,
        broken: Any = None,
        measures: Any = None,
    ) -> None:
        self.values, self.low, self.high, self.overall = values, low, high, overall
        self.sparsities, self.models, self.groups = sparsities, models, groups
        self.measure, self.grouped_by, self.loss = measure, grouped_by, loss
        self.confidence, self.broken, self.measures = confidence, broken, measures

    @classmethod
    def _of_report(cls, report: Any, measure: str = "accuracy") -> Self:
        by_group, overall = report.by_group, report.overall
        check_measure("measure", measure, group_measures(report.measures), by_group)
        path = along_path(overall, report.about)
        by_group = by_group[by_group.index.get_level_values("model").isin(path)]
        overall = overall.loc[path]
        shape = (len(overall), -1)
        columns = (measure, f"{measure}_low", f"{measure}_high")
        values, low, high = (
            by_group[name].to_numpy(dtype=float).reshape(shape) for name in columns
        )
        if measure in overall:
            total = overall[measure].to_numpy()
        else:
            sizes = by_group["rows"].to_numpy(dtype=float).reshape(shape)
            total = np.average(values, axis=1, weights=sizes)
        labels = by_group.index[: len(by_group) // len(overall)]
        return cls(
            values,
            low,
            high,
            total,
            sparsities=overall["sparsity"].to_numpy(dtype=float),
            models=distinct_names(overall.index),
            groups=distinct_names(label[1:] for label in labels),
            measure=measure,
            grouped_by=report.grouped_by,
            loss=report.about["loss"],
            confidence=report.about["confidence"],
            broken=overall.index.isin(broken_models(overall)),
            measures=measures_of(report.about),
        )

    def plot(
        self, ax: Any = None, *, x: str = "auto", max_groups: int = 6, legend: bool = True
    ) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        x : {"auto", "kept", "order"}, default="auto"
            "kept" is a logarithmic axis of the weights kept, "order" puts the models at
            equal distances; "auto" is "kept" if the sparsities are known, rise, and are
            far enough apart to be read.
        max_groups : int, default=6
            Groups drawn in colour and with intervals: if there are more, those that are
            worst off in the last model. The others are thin grey lines.
        legend : bool, default=True
            Whether to write one.

        Returns
        -------
        display : GroupPathDisplay
            Itself.
        """
        require_matplotlib("GroupPathDisplay.plot")
        check_count("max_groups", max_groups)
        positions, logarithmic = self._positions(x)
        measure = (MEASURES | (self.measures or {}))[self.measure]
        title, factor = title_of(measure), measure.scale
        shown = self._worst_off(measure.better)[:max_groups]
        shown, looks = sorted(shown), styles(shown)
        names = [literal(self.groups[a]) for a in shown]
        with canvas(ax, (6.0 + room_for(names) * bool(legend), 4.4)) as (figure, axes):
            self._draw_groups(axes, positions, factor, looks)
            self.overall_line_ = axes.plot(
                positions,
                factor * self.overall,
                color="black",
                linestyle=(0, (4, 2)),
                linewidth=3,
                zorder=2.5,
                label="all rows",
            )[0]
            self._label(axes, positions, logarithmic, axis_of(measure, self.loss))
            what, level = literal(self.grouped_by), f"{100 * self.confidence:g} %"
            axes.set_title(
                f"{title[0].upper()}{title[1:]} by {what}, {level} intervals", fontsize=11
            )
            self.legend_ = self._legend(axes, shown, names, ax is None) if legend else None
        self.ax_, self.figure_ = axes, figure
        return self

    def _draw_groups(self, axes, positions, factor, looks):
        """A line and a band for every group that has a look, a thin grey line for others."""
        self.lines_, self.bands_ = [], []
        for a in range(len(self.groups)):
            look = {"label": literal(self.groups[a])} | REST
            look |= {"marker": ".", "markersize": 3}
            band = None
            if a in looks:
                look |= looks[a] | {"linewidth": 1.8, "markersize": 6, "zorder": 3}
                band = self._band(axes, positions, a, factor, look["color"])
                look |= {"markerfacecolor": "white"} if band is None else {}
            self.lines_ += axes.plot(positions, factor * self.values[:, a], **look)
            self.bands_.append(band)

    def _legend(self, axes, shown, names, outside):
        """Names of the groups with a look, how many have none, and all rows together."""
        handles, names = [self.lines_[a] for a in shown], list(names)
        rest = [line for a, line in enumerate(self.lines_) if a not in shown]
        if rest:
            handles.append(rest[0])
            names.append(f"{len(rest)} more group{'s' * (len(rest) > 1)}")
        return write_legend(
            axes,
            [*handles, self.overall_line_],
            [*names, "all rows"],
            outside=outside,
            title=literal(self.grouped_by),
            handlelength=3.5,
        )

    def _worst_off(self, better):
        """Positions of the groups, the worst off first; those without an interval last."""
        unknown = np.isnan(self.low[-1])
        return np.lexsort([better * self.values[-1], unknown]).tolist()

    def _band(self, axes, positions, a, factor, colour):
        """Draw the intervals of one group, if it has any."""
        low, high = factor * self.low[:, a], factor * self.high[:, a]
        if np.isnan(low).all():
            return None
        if len(positions) == 1:
            return axes.vlines(positions, low, high, color=colour, linewidth=1.2)
        edge = {"edgecolor": (colour, 0.45), "linewidth": 0.7}
        return axes.fill_between(positions, low, high, facecolor=(colour, 0.12), **edge)

    def _positions(self, x):
        """Where the models stand, and whether on a logarithmic axis."""
        if x not in ["auto", "kept", "order"]:
            raise ValueError(f"x must be 'auto', 'kept' or 'order', got {x!r}.")
        kept = 1 - np.asarray(self.sparsities, dtype=float)
        known = bool(
            np.isfinite(kept).all() and (kept > 0).all() and (np.diff(kept) < 0).all()
        )
        if x == "kept" and not known:
            raise ValueError(
                "x='kept' needs models whose sparsities are known, below 1 and rising, got "
                f"{np.round(self.sparsities, 4).tolist()}. Use x='order'."
            )
        if x == "auto" and known and len(kept) > 1:
            steps = -np.diff(np.log(kept))
            known = steps.min() >= NARROWEST * steps.sum()
        if x == "order" or not known:
            return np.arange(len(kept)), False
        return kept, True

    def _label(self, axes, positions, logarithmic, ylabel):
        """Ticks at the models, titles of the axes."""
        from matplotlib.ticker import NullLocator

        label = "weights removed, %"
        if logarithmic:
            axes.set_xscale("log")
            axes.xaxis.set_inverted(True)
            axes.xaxis.set_minor_locator(NullLocator())
            label += " (log scale of the weights kept)"
        ticks = []
        broken = np.zeros(len(self.models)) if self.broken is None else self.broken
        for name, sparsity, bad in zip(self.models, self.sparsities, broken, strict=True):
            usual = re.fullmatch(r"sparsity [\d.e-]+(?:, (\d+ epochs?))?", name)
            lines = [literal(name)] if usual is None else list(filter(None, usual.groups()))
            lines += [] if np.isnan(sparsity) else [per_cent(sparsity)]
            ticks.append([*lines, *(["broken"] if bad else [])])
        longest = max((len(line) for tick in ticks for line in tick), default=0)
        turned = {"rotation": 30, "ha": "right"} if longest * len(ticks) > 70 else {}
        ticks = [(", " if turned else "\n").join(lines) for lines in ticks]
        axes.set_xticks(positions, ticks, **turned)
        axes.set_xlabel("model" if np.isnan(self.sparsities).all() else label)
        axes.set_ylabel(ylabel)
        axes.grid(alpha=0.25)
