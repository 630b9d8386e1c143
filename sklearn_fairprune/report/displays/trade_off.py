"""Performance of every model against the disparity between the groups."""

from typing import Any, Self

import numpy as np

from ...measurement.budgets import along_path
from ...measurement.measures import MEASURES, disparities, performances
from ...measurement.user_metrics import measures_of
from ...measurement.verdicts import broken_models
from ._audited import AuditedDisplay, axis_of, check_measure, title_of
from ._names import write_names
from ._style import (
    COLOURS,
    canvas,
    distinct_names,
    literal,
    require_matplotlib,
    write_legend,
)

BROKEN = "broken"


class TradeOffDisplay(AuditedDisplay):
    r"""Accuracy of every model against the disparity between the groups.

    The disparity is the accuracy spread :math:`\max_a acc_a - \min_a acc_a` or the fairness
    violation :math:`\xi = \max_{a,a'}|R(a) - R(a')|`; both axes have intervals.

    Parameters
    ----------
    x, y : ndarray of shape (n_models, 3)
        Performance and disparity of every model: value, lower and upper limit.
    models : list of str
        Names of the models, the dense one first.
    sparsities : ndarray of shape (n_models,), default=None
        Shares of weights removed; a thin line joins the models if they rise.
    broken : bool ndarray of shape (n_models,), default=None
        Models that predict one class only, or are no better than that.
    joined : bool ndarray of shape (n_models,), default=None
        Models that the line joins, of several budgets of fine-tuning the longest; None: all.
    performance : {"accuracy", "balanced_accuracy", "loss"}, default="accuracy"
        What x is, or any other performance in `MEASURES`.
    disparity : {"accuracy_spread", "fairness_violation"}, default="accuracy_spread"
        What y is, or any other disparity in `MEASURES`.
    grouped_by : str, default="group"
        What the groups are, such as "race & sex".
    loss : str, default="cross-entropy"
        Which loss.
    confidence : float, default=0.95
        Level of the limits.
    measures : dict of str to Measure, default=None
        Measures of the report beside those in `MEASURES`, for its metrics.

    Attributes
    ----------
    ax_, figure_ : Axes, Figure
        Where it is drawn.
    points_ : list of Line2D
        One a model; hollow if it is broken.
    marks_ : Line2D
        Crosses in those.
    bars_ : list of LineCollection
        Intervals along x, along y.
    names_ : list of Annotation
        One a model.
    path_ : Line2D or None
        Joins the models.
    legend_ : Legend or None
        What the markers mean.

    See Also
    --------
    sklearn_fairprune.audit : Measures what is drawn.
    GroupPathDisplay : Every group along the path.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier
    >>> from sklearn_fairprune.report.displays import TradeOffDisplay
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = PrunedClassifier(random_state=0).fit(X, y)
    >>> display = TradeOffDisplay.from_estimator(clf, X, y, min_group_size=50)
    >>> display.models, display.ax_.get_xlabel(), display.ax_.get_ylabel()
    (['dense', 'pruned'], 'accuracy, %', 'accuracy spread, points')
    >>> plt.close(display.figure_)
    """

    _choices = {"performance": performances, "disparity": disparities}

    def __init__(
        self,
        x: Any,
        y: Any,
        *,
        models: Any,
        sparsities: Any = None,
        broken: Any = None,
        joined: Any = None,
        performance: str = "accuracy",
        disparity: str = "accuracy_spread",
        grouped_by: str = "group",
        loss: str = "cross-entropy",
        confidence: float = 0.95,
        measures: Any = None,
    ) -> None:
        self.x, self.y, self.models = x, y, models
        self.sparsities, self.broken, self.joined = sparsities, broken, joined
        self.performance, self.disparity = performance, disparity
        self.grouped_by, self.loss, self.confidence = grouped_by, loss, confidence
        self.measures = measures

    @classmethod
    def _of_report(
        cls, report: Any, performance: str = "accuracy", disparity: str = "accuracy_spread"
    ) -> Self:
        overall = report.overall
        known = report.measures
        check_measure("performance", performance, performances(None, known), overall)
        check_measure("disparity", disparity, disparities(None, known), overall)
        x, y = (
            overall[[name, f"{name}_low", f"{name}_high"]].to_numpy(dtype=float)
            for name in (performance, disparity)
        )
        return cls(
            x,
            y,
            models=distinct_names(overall.index),
            sparsities=overall["sparsity"].to_numpy(dtype=float),
            broken=overall.index.isin(broken_models(report.overall)),
            joined=overall.index.isin(along_path(overall, report.about)),
            performance=performance,
            disparity=disparity,
            grouped_by=report.grouped_by,
            loss=report.about["loss"],
            confidence=report.about["confidence"],
            measures=measures_of(report.about),
        )

    def plot(self, ax: Any = None, *, legend: bool = True) -> Self:
        """Draw it.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.
        legend : bool, default=True
            Whether to write one.

        Returns
        -------
        display : TradeOffDisplay
            Itself.
        """
        require_matplotlib("TradeOffDisplay.plot")
        known = MEASURES | (self.measures or {})
        across, up = known[self.performance], known[self.disparity]
        x, y = across.scale * np.asarray(self.x), up.scale * np.asarray(self.y)
        with canvas(ax, (6.4 + 2.0 * bool(legend), 4.8)) as (figure, axes):
            self.bars_ = [
                axes.hlines(y[:, 0], x[:, 1], x[:, 2], color="0.7", linewidth=1, zorder=1.6),
                axes.vlines(x[:, 0], y[:, 1], y[:, 2], color="0.7", linewidth=1, zorder=1.6),
            ]
            self.path_ = None
            on = slice(None) if self.joined is None else np.asarray(self.joined, dtype=bool)
            given = self.sparsities
            sparsities: Any = [] if given is None else np.asarray(given)[on]
            if len(sparsities) > 2 and (np.diff(sparsities) > 0).all():
                look = {"color": COLOURS[0], "linewidth": 0.8, "alpha": 0.5, "zorder": 2}
                self.path_ = axes.plot(x[on, 0], y[on, 0], linestyle=":", **look)[0]
            places = np.column_stack([x[:, 0], y[:, 0]])
            self._draw_points(axes, places)
            self._label(axes, across, up)
            if ax is None and np.nanmin(y) >= 0:  # no disparity is below 0
                axes.set_ylim(bottom=max(axes.get_ylim()[0], -0.04 * axes.get_ylim()[1]))
            axes.grid(alpha=0.25)
            self.legend_ = self._legend(axes, ax is None) if legend else None
            names = [literal(name) for name in self.models]
            self.names_ = write_names(axes, places, names, bars=self._bars(x, y))
        self.ax_, self.figure_ = axes, figure
        return self

    def _draw_points(self, axes, places):
        """One point a model; broken ones are crossed out."""
        look = {"linestyle": "none", "zorder": 4}
        kinds, kind = self._kinds(), self._kind()
        self.points_ = [
            axes.plot(*at, label=literal(name), **look, **kinds[k])[0]
            for at, name, k in zip(places, self.models, kind, strict=True)
        ]
        cross = {"marker": "x", "color": COLOURS[1], "markersize": 6, "markeredgewidth": 1.5}
        crossed = places[np.array(kind) == BROKEN].T
        self.marks_ = axes.plot(*crossed, **look | {"zorder": 4.5}, **cross)[0]

    def _label(self, axes, across, up):
        """Titles and units."""
        axes.set_xlabel(axis_of(across, self.loss))
        axes.set_ylabel(axis_of(up, self.loss))
        title = title_of(across)
        axes.set_title(
            f"{title[0].upper()}{title[1:]} and {title_of(up)} by "
            f"{literal(self.grouped_by)}, {100 * self.confidence:g} % intervals",
            fontsize=11,
        )
        axes.margins(0.12)

    @staticmethod
    def _kinds():
        """How each kind of model is drawn, by its name in the legend."""
        return {
            "dense": {"marker": "*", "color": "black", "markersize": 13},
            "pruned": {"marker": "o", "color": COLOURS[0], "markersize": 7},
            BROKEN: {
                "marker": "o",
                "color": COLOURS[1],
                "markersize": 11,
                "markerfacecolor": "white",
                "markeredgewidth": 1.5,
            },
        }

    def _kind(self):
        """Kind of each model."""
        broken = np.zeros(len(self.models)) if self.broken is None else self.broken
        kinds = ["dense", *["pruned"] * (len(self.models) - 1)]
        return [BROKEN if b else k for b, k in zip(broken, kinds, strict=True)]

    def _legend(self, axes, outside):
        """What the markers mean."""
        first = dict(zip(reversed(self._kind()), reversed(self.points_), strict=True))
        shown = [kind for kind in self._kinds() if kind in first]
        handles = [(first[k], self.marks_) if k == BROKEN else first[k] for k in shown]
        return write_legend(axes, handles, shown, outside=outside)

    @staticmethod
    def _bars(x, y):
        """Ends of the intervals that are known."""
        bars = [np.array([[a[1], b[0]], [a[2], b[0]]]) for a, b in zip(x, y, strict=True)]
        bars += [np.array([[a[0], b[1]], [a[0], b[2]]]) for a, b in zip(x, y, strict=True)]
        return [bar for bar in bars if np.isfinite(bar).all()]
