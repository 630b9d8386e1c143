"""Who pays: what pruning cost every group of one model, with intervals."""

from typing import Any, Self

import numpy as np

from ...measurement.groups import rows_that_count
from ...measurement.measures import MEASURES, payments
from ...measurement.payers import Payer
from ..summary import lead_model
from ._audited import AuditedDisplay, axis_of, check_measure
from ._style import COLOURS, canvas, distinct_names, literal, require_matplotlib

REST_COLOUR = "0.6"
GAP = 1.2  # rows between the groups that are compared and those that are not


class ForestDisplay(AuditedDisplay):
    """Change of every group against the dense model, with intervals: who pays.

    One row a group, those that pay most above: the accuracy drop, or the excessive loss.
    Groups with too few rows to be compared stand apart below, in grey. One group has a colour
    where the verdict is that it pays most, and none has where one cannot tell.

    Parameters
    ----------
    values, low, high : ndarray of shape (m,)
        Change of each group, and its limits; NaN where there are none.
    rows : int ndarray of shape (m,)
        Rows of each group.
    groups : list of str
        Names of the groups.
    enough : bool ndarray of shape (m,)
        Which have enough rows to be compared.
    payer : int, default=-1
        Position of the group that surely pays most; -1 is none.
    verdict : str, default=""
        What is known of who pays.
    negligible : float, default=nan
        Changes up to this are negligible.
    measure : {"accuracy_drop", "excessive_loss"}, default="accuracy_drop"
        What they are, or any other measure in `MEASURES` that tells who pays.
    model : str, default="pruned"
        Name of the model.
    grouped_by : str, default="group"
        What the groups are, such as "race & sex".
    loss : str, default="cross-entropy"
        Which loss.
    confidence : float, default=0.95
        Level of the limits.
    least_rows : int, default=1
        Rows that a group needs to be compared.
    unit : str, default="rows"
        What they are: "effective rows" of weighted ones.

    Attributes
    ----------
    ax_, figure_ : Axes, Figure
        Where it is drawn.
    order_ : list of int
        Positions of the groups from above.
    points_, bars_ : list of Line2D
        Value and interval of each group, in the order of `groups`; a bar without length where
        there is no interval.
    band_ : Polygon or None
        What is negligible.
    zero_ : Line2D
        No change.

    See Also
    --------
    GroupPathDisplay : A measure of every group along all models.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import ForestDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> path = PrunedClassifier(random_state=0).pruning_path(X, y, sparsities=[0, 0.9])
    >>> options = {"n_boot": 50, "min_group_size": 50}
    >>> display = ForestDisplay.from_path(path, X, y, measure="excessive_loss", **options)
    >>> display.model, display.rows.tolist()
    ('sparsity 0.9', [50, 50, 50])
    >>> plt.close(display.figure_)
    """

    _choices = {"measure": payments}
    _picks = ("model",)

    def __init__(
        self,
        values: Any,
        low: Any,
        high: Any,
        rows: Any,
        *,
        groups: Any,
        enough: Any,
        payer: int = -1,
        verdict: str = "",
        negligible: float = np.nan,
        measure: str = "accuracy_drop",
        model: str = "pruned",
        grouped_by: str = "group",
        loss: str = "cross-entropy",
        confidence: float = 0.95,
        least_rows: int = 1,
        unit: str = "rows",
    ) -> None:
        self.values, self.low, self.high, self.rows = values, low, high, rows
        self.groups, self.enough, self.payer, self.verdict = groups, enough, payer, verdict
        self.negligible, self.measure, self.model = negligible, measure, model
        self.grouped_by, self.loss, self.confidence = grouped_by, loss, confidence
        self.least_rows, self.unit = least_rows, unit

    @classmethod
    def _of_report(
        cls, report: Any, measure: str | None = None, model: str | None = None
    ) -> Self:
        pruned = report.overall.index[1:].tolist()
        if not pruned:
            raise ValueError("report must have a pruned model beside the dense one, got none.")
        model = lead_model(report) if model is None else model
        if model not in pruned:
            raise ValueError(f"model must be one of {pruned}, got {model!r}.")
        known = payments()
        if measure is None:
            measure = next(name for name in known if name in report.by_group)
        check_measure("measure", measure, known, report.by_group)
        table, least = report.by_group.loc[[model]], report.about["min_group_size"]
        enough = rows_that_count(table) >= least
        names = distinct_names(label[1:] for label in table.index)
        payer, verdict, negligible = -1, "", np.nan
        if (key := (model, known[measure].told_by)) in report.payers.index:
            told = report.payers.loc[key]
            verdict, negligible = str(told["verdict"]), float(told["negligible"])
            if verdict == Payer.PAYS_MOST:
                shown = np.where(enough, table[measure], -np.inf)
                payer = int(np.argmax(shown))
        return cls(
            table[measure].to_numpy(dtype=float),
            table[f"{measure}_low"].to_numpy(dtype=float),
            table[f"{measure}_high"].to_numpy(dtype=float),
            table["rows"].to_numpy(),
            groups=names,
            enough=enough.to_numpy(),
            payer=payer,
            verdict=verdict,
            negligible=negligible,
            measure=measure,
            model=str(model),
            grouped_by=report.grouped_by,
            loss=report.about["loss"],
            confidence=report.about["confidence"],
            least_rows=least,
            unit=rows_that_count(table).name.replace("_", " "),
        )

    def plot(self, ax: Any = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        display : ForestDisplay
            Itself.
        """
        require_matplotlib("ForestDisplay.plot")
        measure = MEASURES[self.measure]
        enough = np.asarray(self.enough, dtype=bool)
        # From above: compared groups first; larger changes first.
        self.order_ = np.lexsort((-np.asarray(self.values), ~enough)).tolist()
        apart = GAP if 0 < enough.sum() < len(enough) else 0
        heights = np.zeros(len(enough))
        for k, a in enumerate(self.order_):
            heights[a] = -k - apart * (not enough[a])
        names = [
            f"{literal(name)}  ({n:,} row{'s' * (n > 1)})"
            for name, n in zip(self.groups, map(int, self.rows), strict=True)
        ]
        longest = max(map(len, names))
        size = (4.6 + 0.085 * longest, 1.7 + 0.3 * (len(enough) + apart))
        with canvas(ax, size) as (figure, axes):
            self._draw(axes, heights, measure.scale, enough)
            axes.set_yticks(heights, names)
            for a, label in enumerate(axes.get_yticklabels()):
                label.set_color("black" if enough[a] else "0.4")
                label.set_fontweight("bold" if a == self.payer else "normal")
            axes.set_ylim(heights.min() - 0.7, 0.7)
            self._label(axes, measure, heights, enough)
        self.ax_, self.figure_ = axes, figure
        return self

    def _draw(self, axes, heights, factor, enough):
        """Points and intervals on the band of what is negligible."""
        self.band_ = None
        if np.isfinite(self.negligible):
            end = factor * self.negligible
            self.band_ = axes.axvspan(-end, end, color="0.9", linewidth=0, zorder=0)
        self.zero_ = axes.axvline(0, color="black", linewidth=0.9, zorder=1)
        self.points_, self.bars_ = [], []
        for a, height in enumerate(heights):
            colour = "black" if enough[a] else REST_COLOUR
            colour = COLOURS[1] if a == self.payer else colour
            limits = factor * np.array([self.low[a], self.high[a]])
            wide = 2.4 if a == self.payer else 1.5
            self.bars_ += axes.plot(limits, [height] * 2, color=colour, linewidth=wide)
            look = {"marker": "D" if a == self.payer else "o", "markersize": 6}
            look |= {"linestyle": "none", "color": colour, "zorder": 3}
            look |= {"markerfacecolor": "white"} if np.isnan(limits).any() else {}
            self.points_ += axes.plot([factor * self.values[a]], [height], **look)

    def _label(self, axes, measure, heights, enough):
        """Titles, and what the grey groups are."""
        if (heights[~enough] < 0).any() and enough.any():
            middle = heights[~enough].max() + (1 + GAP) / 2
            axes.axhline(middle, color="0.75", linewidth=0.7, linestyle=":")
            axes.annotate(
                f"fewer than {self.least_rows} {self.unit}: not compared",
                (1, middle),
                (0, -2),
                xycoords=axes.get_yaxis_transform(),
                textcoords="offset points",
                ha="right",
                va="top",
                fontsize=8,
                color="0.4",
            )
        axes.set_xlabel(f"{axis_of(measure, self.loss)}: to the right the group pays")
        who = f"{literal(self.groups[self.payer])} {self.verdict}"
        if self.payer < 0:
            who = f"who pays most: {self.verdict or 'nothing to compare'}"
        level = f"{100 * self.confidence:g} % intervals"
        if self.band_ is not None:
            unit = f" {measure.shown_unit}".rstrip()
            level += f"; shaded: negligible, up to {measure.scale * self.negligible:.3g}{unit}"
        axes.set_title(
            f"{literal(self.model)}, by {literal(self.grouped_by)}: {who}\n{level}",
            fontsize=10,
            loc="left",
            wrap=True,
        )
        axes.grid(axis="x", alpha=0.25)
        axes.tick_params(axis="y", length=0)
