"""Multipliers and violations of a constrained pruner, epoch by epoch."""

from typing import Any, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.utils.validation import check_is_fitted

from ...functional.constraints import CONSTRAINTS
from ...measurement.training import constrained_pruner
from ._style import (
    REST,
    Display,
    canvas,
    check_count,
    distinct_names,
    literal,
    require_matplotlib,
    room_for,
    styles,
    write_legend,
)

STAGES = {"dense": "before pruning", "finetune": "after pruning"}


class DualHistoryDisplay(Display):
    r"""Multipliers and violations of every group by epoch.

    :math:`\lambda_a` above, :math:`g_a` below with the tolerance :math:`\epsilon`: whether
    the multipliers have settled, and whether the constraint holds on rows that the weights
    have not seen.

    Parameters
    ----------
    epochs : ndarray of shape (n,)
        1, 2, ... over both trainings.
    stages : list of str
        "dense" or "finetune" for every epoch.
    multipliers, violations : ndarray of shape (n, m)
        By epoch and group.
    groups : list of str
        Names of the groups.
    holdout_violations : ndarray of shape (n, m), default=None
        Of rows that the weights have not seen.
    tolerance : float, default=None
        :math:`\epsilon`; None if there is nothing to satisfy.
    two_sided : bool, default=False
        Whether :math:`|g_a|` is constrained.
    constraint : str, default="equal_loss"
        Name of the constraint.
    unit : str or None, default="nats"
        Unit of the violations.

    Attributes
    ----------
    axes_ : list of two Axes
        Multipliers, violations.
    figure_ : Figure
        Where it is drawn.
    multiplier_lines_, violation_lines_, holdout_lines_ : list of Line2D
        One a group; the last is empty without held-out rows.
    tolerance_lines_ : list of Line2D
        In the second panel.
    boundaries_ : list of Line2D
        Where fine-tuning begins; empty if only one training was constrained.
    legend_ : Legend or None
        Names.

    See Also
    --------
    sklearn_fairprune.GroupConstrainedPruner : Has the history.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier
    >>> from sklearn_fairprune.report.displays import DualHistoryDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(finetune_epochs=4, random_state=0)
    >>> pruner = GroupConstrainedPruner(clf, tolerance=1.0).fit(X, y)
    >>> display = DualHistoryDisplay.from_estimator(pruner)
    >>> display.groups, display.multipliers.shape
    (['0', '1', '2'], (4, 3))
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        epochs: Any,
        stages: Any,
        multipliers: Any,
        violations: Any,
        groups: Any,
        *,
        holdout_violations: Any = None,
        tolerance: float | None = None,
        two_sided: bool = False,
        constraint: str = "equal_loss",
        unit: str | None = "nats",
    ) -> None:
        self.epochs, self.stages = epochs, stages
        self.multipliers, self.violations, self.groups = multipliers, violations, groups
        self.holdout_violations, self.tolerance = holdout_violations, tolerance
        self.two_sided, self.constraint, self.unit = two_sided, constraint, unit

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None, **options: Any) -> Self:
        """Plot the history of a fitted `GroupConstrainedPruner`.

        Parameters
        ----------
        estimator : GroupConstrainedPruner
            Fitted; or a Pipeline that ends in one, or a search that found one.
        ax : pair of matplotlib Axes, default=None
            For multipliers and violations; None makes a figure.
        **options
            Arguments of `plot`.

        Returns
        -------
        display : DualHistoryDisplay
            Drawn.
        """
        require_matplotlib("DualHistoryDisplay.from_estimator")
        pruner = constrained_pruner(estimator)
        if pruner is None:
            raise TypeError(
                "estimator must be a fitted GroupConstrainedPruner, or a Pipeline or search "
                f"that holds one, got {type(estimator).__name__}, which has no multipliers."
            )
        check_is_fitted(pruner)
        history = pruner.history_
        if history.empty:
            raise ValueError(
                "estimator must have been trained under its constraint for at least one "
                "epoch, and its history_ is empty. Fit it with finetune_epochs of at least 1."
            )
        rows, epochs = _numbered(zip(history["stage"], history["epoch"], strict=True))
        columns, groups = _numbered(history["group"])
        table = {}
        for measure in ("multiplier", "violation", "holdout_violation"):
            if measure in history:
                table[measure] = np.full((len(epochs), len(groups)), np.nan)
                table[measure][rows, columns] = history[measure]
        constraint = CONSTRAINTS.find("constraint", pruner.constraint)
        of_loss = "nats" if is_classifier(pruner) else "units of the loss"
        unit = of_loss if constraint.of_loss else constraint.unit
        return cls(
            np.arange(1, len(epochs) + 1),
            [stage for stage, _ in epochs],
            table["multiplier"],
            table["violation"],
            distinct_names(groups),
            holdout_violations=table.get("holdout_violation"),
            tolerance=None if constraint.simplex else float(pruner.tolerance_),
            two_sided=pruner.dual_update in ("signed", "absolute"),
            constraint=constraint.name,
            unit=unit,
        ).plot(ax=ax, **options)

    def plot(self, ax: Any = None, *, max_groups: int = 6, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : pair of matplotlib Axes, default=None
            For multipliers and violations; None makes a figure.
        max_groups : int, default=6
            Groups drawn in colour: if there are more, those of the largest last
            multipliers. The others are thin grey lines.
        legend : bool, default=True
            Whether to write one.

        Returns
        -------
        display : DualHistoryDisplay
            Itself.
        """
        require_matplotlib("DualHistoryDisplay.plot")
        check_count("max_groups", max_groups)
        largest = np.argsort(-np.abs(self.multipliers[-1]), kind="stable")
        shown = sorted(largest[:max_groups].tolist())
        names = [literal(self.groups[a]) for a in shown]
        width = 6.0 + room_for(names) * bool(legend)
        with canvas(ax, (width, 5.6), (2, (2, 1))) as (figure, axes):
            above, below = axes
            self.multiplier_lines_ = self._lines(above, self.multipliers, shown)
            self.violation_lines_ = self._lines(below, self.violations, shown)
            self.holdout_lines_ = []
            if self.holdout_violations is not None:
                held = self.holdout_violations
                self.holdout_lines_ = self._lines(below, held, shown, held_out=True)
            tolerance = self.tolerance
            bounds = [] if tolerance is None or np.isinf(tolerance) else [tolerance]
            bounds += [-bound for bound in bounds if self.two_sided]
            look = {"color": "black", "linewidth": 1.5, "linestyle": (0, (6, 3))}
            self.tolerance_lines_ = [below.axhline(b, **look) for b in bounds]
            self._label(above, below)
            self.legend_ = self._legend(above, shown, names, ax is None) if legend else None
        self.axes_, self.figure_ = axes, figure
        return self

    def _lines(self, panel, values, shown, held_out=False):
        """One line a group, broken where another training begins."""
        lines, change = [], self._changes()
        epochs = np.insert(self.epochs.astype(float), change, np.nan)
        values = np.insert(values, change, np.nan, axis=0)
        looks = styles(shown)
        for a in range(len(self.groups)):
            look = {"label": literal(self.groups[a])} | REST
            if a in shown:
                look |= looks[a] | {"linewidth": 1.6, "zorder": 3}
                look |= {"markersize": 5, "markevery": max(1, len(self.epochs) // 10)}
                look["linestyle"] = "-"
            if held_out:
                look |= {"linestyle": ":", "markerfacecolor": "white"}
            elif len(self.epochs) == 1:
                look.setdefault("marker", ".")
            lines += panel.plot(epochs, values[:, a], **look)
        return lines

    def _changes(self):
        """Positions of the epochs at which another training begins."""
        stages = self.stages
        return [k for k in range(1, len(stages)) if stages[k] != stages[k - 1]]

    def _label(self, above, below):
        """Titles, units, and where fine-tuning begins."""
        from matplotlib.ticker import MaxNLocator

        above.set_ylabel("multiplier")
        above.margins(y=0.12)
        unit = f", {self.unit}" if self.unit else ""
        below.set_ylabel(f"violation g{unit}")
        below.set_xlabel("epoch")
        above.set_title(f"Constraint {literal(self.constraint)}", fontsize=11)
        change = [
            k for k in range(1, len(self.stages)) if self.stages[k] != self.stages[k - 1]
        ]
        self.boundaries_ = []
        for panel in (above, below):
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.grid(alpha=0.25)
            look = {"color": "0.4", "linewidth": 1, "linestyle": "-."}
            self.boundaries_ += [panel.axvline(k + 0.5, **look) for k in change]
        for k in [0, *change]:
            above.annotate(
                STAGES[self.stages[k]],
                (self.epochs[k] - (0.5 if k else 0), 1),
                (3, -3),
                xycoords=("data", "axes fraction"),
                textcoords="offset points",
                va="top",
                fontsize=8,
                color="0.35",
            )

    def _legend(self, above, shown, names, outside):
        """Groups, what dots mean, tolerance."""
        from matplotlib.lines import Line2D

        handles, names = [self.multiplier_lines_[a] for a in shown], list(names)
        rest = [line for a, line in enumerate(self.multiplier_lines_) if a not in shown]
        if rest:
            handles.append(rest[0])
            names.append(f"{len(rest)} more group{'s' * (len(rest) > 1)}")
        if self.tolerance_lines_:
            handles.append(self.tolerance_lines_[0])
            names.append(f"tolerance {self.tolerance:g}")
        if self.holdout_lines_:
            hollow = {"marker": "o", "markerfacecolor": "white", "linestyle": ":"}
            handles.append(Line2D([], [], color="0.3", **hollow))
            names.append("held-out rows")
        return write_legend(above, handles, names, outside=outside, handlelength=3)


def _numbered(values):
    """Position of every value among the different ones, and these in their order."""
    values = list(values)
    different = {value: k for k, value in enumerate(dict.fromkeys(values))}
    return [different[value] for value in values], list(different)
