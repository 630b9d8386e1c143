"""Why a group pays: one panel for each diagnostic, the groups in the order of the damage."""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np

from ...measurement.explanations import Verdict
from ...measurement.quantities import EXPLAINING, quantities
from ..diagnose import diagnose
from ..diagnosis_report import DiagnosisReport, damages_of
from ._style import (
    COLOURS,
    LOSS_UNITS,
    Display,
    canvas,
    check_choice,
    distinct_names,
    literal,
    require_matplotlib,
)

VERDICT_COLOURS = {Verdict.EXPLAINS: COLOURS[2], Verdict.DOES_NOT_EXPLAIN: COLOURS[1]}
LAST = np.inf
UNITS = LOSS_UNITS | {"criterion of the net": "units of the criterion"}


class GroupDiagnosticsDisplay(Display):
    r"""Diagnostics of every group in small panels, beside the damage.

    :math:`\|g_a\|`, :math:`\lambda(H_a)`, :math:`s`, :math:`R_2(a)`, the bound of Theorem
    1 and the excessive loss :math:`R(a)` of every group a, with intervals; the group that
    pays most is on top. The title of a panel says whether it explains who pays.

    Parameters
    ----------
    values, low, high : dict of str to ndarray of shape (m,)
        Each diagnostic by group, and its limits; NaN where there are none.
    groups : list of str
        Names of the groups.
    damage : str, default=None
        Which of the values is the damage; None if nothing was pruned.
    verdicts : dict of str to tuple of (str, float), default=None
        "explains", "does not explain" or "cannot tell", and the rank correlation with the
        damage.
    grouped_by : str, default="group"
        What the groups are, such as "race & sex".
    loss : str, default="cross-entropy"
        Which loss.
    confidence : float, default=0.95
        Level of the limits.

    Attributes
    ----------
    axes_ : list of Axes
        One a panel.
    figure_ : Figure
        Where it is drawn.
    points_ : dict of str to Line2D
        Values by diagnostic, the group that pays least first (at the bottom).
    bars_ : dict of str to LineCollection
        Intervals by diagnostic.
    hollow_ : dict of str to Line2D
        Values without interval by diagnostic, such as those of a group of one row: hollow.

    See Also
    --------
    sklearn_fairprune.diagnose : Measures what is drawn.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import GroupDiagnosticsDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(hidden_layer_sizes=(8,), random_state=0).fit(X, y)
    >>> display = GroupDiagnosticsDisplay.from_estimator(
    ...     clf, X, y, n_boot=50, bound_samples=0
    ... )
    >>> list(display.values)[:3], len(display.axes_)
    (['gradient_norm', 'largest_eigenvalue', 'closeness'], 6)
    >>> plt.close(display.figure_)
    """

    def __init__(
        self,
        values: Any,
        low: Any,
        high: Any,
        groups: Any,
        *,
        damage: Any = None,
        verdicts: Any = None,
        grouped_by: str = "group",
        loss: str = "cross-entropy",
        confidence: float = 0.95,
    ) -> None:
        self.values, self.low, self.high, self.groups = values, low, high, groups
        self.damage, self.verdicts, self.grouped_by = damage, verdicts, grouped_by
        self.loss, self.confidence = loss, confidence

    @classmethod
    def from_report(
        cls,
        report: DiagnosisReport,
        *,
        diagnostics: Sequence[str] | None = None,
        ax: Any = None,
    ) -> Self:
        """Plot what a `DiagnosisReport` holds.

        Parameters
        ----------
        report : DiagnosisReport
            From `diagnose`.
        diagnostics : sequence of str, default=None
            Columns of ``report.by_group`` to show; None is gradient norm, largest
            eigenvalue, closeness, second-order estimate, bound of Theorem 1 and the
            damage, as far as the report has them; then other diagnostics on the shelf.
        ax : array-like of matplotlib Axes, default=None
            One a panel; None makes a figure.

        Returns
        -------
        display : GroupDiagnosticsDisplay
            Drawn.
        """
        require_matplotlib("GroupDiagnosticsDisplay.from_report")
        if not hasattr(report, "explanations"):
            raise TypeError(
                "report must be a DiagnosisReport, which diagnose(estimator, X, y) returns, "
                f"got {type(report).__name__}."
            )
        frame, explanations = report.by_group, report.explanations
        damages, panels = list(damages_of(frame)), _panels()
        damage = damages[0] if damages else None
        if diagnostics is None:
            same = {n for n in damages[1:] if panels[n].panel == panels[damage].panel}
            shown = [n for n in panels if n in frame and panels[n].panel is not None]
            diagnostics = [name for name in shown if name not in same]
        _check_names(diagnostics, panels, frame)
        verdicts = {}
        if damage and len(explanations):
            table = explanations.loc[damage]
            verdicts = {
                name: (row["verdict"], float(row["rank_correlation"]))
                for name, row in table.iterrows()
            }
        values, low, high = (
            {name: frame[name + end].to_numpy(dtype=float) for name in columns}
            for end in ("", "_low", "_high")
            for columns in [dict.fromkeys([*diagnostics, *damages[:1]])]
        )
        return cls(
            values,
            low,
            high,
            distinct_names(frame.index),
            damage=damage,
            verdicts=verdicts,
            grouped_by=" & ".join(map(str, frame.index.names)),
            loss=report.about["loss"],
            confidence=report.about["confidence"],
        ).plot(ax=ax, diagnostics=list(diagnostics))

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: Any = None,
        *,
        sensitive_features: Any = None,
        diagnostics: Sequence[str] | None = None,
        ax: Any = None,
        **options: Any,
    ) -> Self:
        """Diagnose a fitted estimator and plot it.

        Parameters
        ----------
        estimator : fitted estimator
            A pruner, or a Pipeline or search that holds one, or a fitted skorch net.
        X : array-like or torch Dataset
            Features.
        y : array-like of shape (n,), default=None
            Targets; may be None if X is a Dataset.
        sensitive_features : array-like of shape (n,) or (n, k), default=None
            Group of every row; several columns mean their intersections. Without it the
            classes are the groups.
        diagnostics : sequence of str, default=None
            As in `from_report`.
        ax : array-like of matplotlib Axes, default=None
            One a panel; None makes a figure.
        **options
            Of `diagnose`, such as `sparsity`, `n_boot` and `confidence`.

        Returns
        -------
        display : GroupDiagnosticsDisplay
            Drawn.
        """
        require_matplotlib("GroupDiagnosticsDisplay.from_estimator")
        if diagnostics is not None:  # a diagnosis may take long
            _check_names(diagnostics, _panels(), _panels())
        options["sensitive_features"] = sensitive_features
        report = diagnose(estimator, X, y, **options)
        return cls.from_report(report, diagnostics=diagnostics, ax=ax)

    def plot(self, ax: Any = None, *, diagnostics: Sequence[str] | None = None) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : array-like of matplotlib Axes, default=None
            One a panel; None makes a figure.
        diagnostics : sequence of str, default=None
            Keys of ``values`` to show; None is all.

        Returns
        -------
        display : GroupDiagnosticsDisplay
            Itself.
        """
        require_matplotlib("GroupDiagnosticsDisplay.plot")
        shown = list(self.values) if diagnostics is None else diagnostics
        _check_names(shown, self.values, self.values)
        order = np.arange(len(self.groups))[::-1]
        if self.damage:
            order = np.argsort(self.values[self.damage], kind="stable")
        columns = min(len(shown), 3 if len(self.groups) <= 20 else 6)
        rows = -(-len(shown) // columns)
        names = [literal(self.groups[a]) for a in order]
        height = max(1.0, 0.17 * len(names)) + 1.0
        width = 2.9 * columns + 0.07 * max(map(len, names))
        with canvas(ax, (width, rows * height + 0.4), (len(shown), (rows, columns))) as drawn:
            figure, axes = drawn
            self.points_: dict[str, Any] = {}
            self.bars_: dict[str, Any] = {}
            self.hollow_: dict[str, Any] = {}
            for k, (name, panel) in enumerate(zip(shown, axes, strict=True)):
                self._panel(panel, name, order)
                named = ax is not None or k % columns == 0
                panel.set_yticks(range(len(names)), names if named else [], fontsize=8)
            if ax is None:
                said = f"by {literal(self.grouped_by)}, {100 * self.confidence:g} % intervals"
                pays = "; who pays most is on top" if self.damage else ""
                figure.suptitle(f"Diagnostics {said}{pays}", fontsize=11)
        self.axes_, self.figure_ = axes, figure
        return self

    def _panel(self, panel, name, order):
        """Points and intervals of one diagnostic, and what it explains."""
        values, low, high = (t[name][order] for t in (self.values, self.low, self.high))
        heights = np.arange(len(order))
        colour = "black" if name == self.damage else COLOURS[0]
        self.bars_[name] = panel.hlines(heights, low, high, color=colour, linewidth=1.5)
        self.points_[name] = panel.plot(
            values, heights, linestyle="none", marker="o", color=colour, markersize=4.5
        )[0]
        alone = np.isnan(low)
        hollow = {"marker": "o", "color": colour, "markersize": 4.5, "linestyle": "none"}
        self.hollow_[name] = panel.plot(
            values[alone], heights[alone], markerfacecolor="white", **hollow
        )[0]
        quantity = quantities()[name]
        units = {"loss": f", {UNITS.get(self.loss, self.loss)}", "share": " (share)"}
        panel.set_xlabel(f"{quantity.title}{units.get(quantity.unit, '')}", fontsize=9)
        panel.tick_params(axis="x", labelsize=8)
        panel.locator_params(axis="x", nbins=5)
        panel.grid(alpha=0.25)
        panel.set_ylim(-0.6, len(order) - 0.4)
        if quantity.signed:
            panel.axvline(0, color="0.5", linewidth=0.8, linestyle="--", zorder=1)
        text, look = "", {"color": "0.35"}
        if name == self.damage:
            text, look = "the damage", {"color": "black"}
        elif name in (self.verdicts or {}):
            verdict, correlation = self.verdicts[name]
            known = (
                ""
                if np.isnan(correlation)
                else f" (rank corr. {correlation:+.2f})".replace("-", "\N{MINUS SIGN}")
            )
            text, look["color"] = verdict + known, VERDICT_COLOURS.get(verdict, "0.35")
        panel.set_title(text, fontsize=9, **look)


def _panels():
    """Quantities that can be drawn, in the order of their panels."""
    known = {name: q for name, q in quantities(*EXPLAINING).items() if q.heading}
    places = {name: LAST if q.panel is None else q.panel for name, q in known.items()}
    return dict(sorted(known.items(), key=lambda item: places[item[0]]))


def _check_names(diagnostics, choices, has):
    """Refuse names of diagnostics that there are not."""
    if isinstance(diagnostics, str):
        raise ValueError(
            f"diagnostics must be a list of names, got {diagnostics!r}. Use [{diagnostics!r}]."
        )
    if not len(diagnostics):
        raise ValueError("diagnostics is empty; name a column, or leave it out.")
    why = "it depends on the network, and on whether anything is pruned"
    for name in diagnostics:
        check_choice("diagnostics", name, choices, has, why)
