"""What the audit measures: one record a measure, with everything that is known of it.

A measure is a function of the held-out rows in groups and the position k of a model, and a
record in `MEASURES`. Tables, texts, pages, plots, gates and comparisons read the record when
they are made, so that a measure that is added is in all of them.
"""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..functional.groups import largest_gap
from ..functional.shelf import Member, Shelf
from ..statistics.intervals import gap_interval, spread_interval
from .formats import with_interval
from .held_out import HeldOut

UNITS = ("share", "points", "loss", "count", "")
SUBJECTS = ("groups", "rows", "both", "disparity")


def accuracy(rows: HeldOut, k: int):
    """Share of the rows whose class is right, with Clopper and Pearson's limits."""
    right = rows.right(k)
    return right / rows.sizes, *rows.proportions(right)


def balanced_accuracy(rows: HeldOut, k: int):
    """Mean recall of the classes."""
    return rows.balanced[k], *rows.percentiles(rows.balanced_samples[:, k])


def loss(rows: HeldOut, k: int):
    """Mean loss of the rows."""
    return rows.loss[:, k], *rows.percentiles(np.maximum(rows.loss_samples[:, :, k], 0))


def fairness_violation(rows: HeldOut, k: int):
    """Largest difference between the excessive losses of two groups."""
    excess = rows.excess[:, k]
    limits = gap_interval(rows.excess_samples[:, :, k], excess, rows.confidence)
    return float(largest_gap(torch.as_tensor(excess))), *limits


def accuracy_spread(rows: HeldOut, k: int):
    """Accuracy of the best group minus that of the worst."""
    right = rows.right(k)
    gap = float(largest_gap(torch.as_tensor(right / rows.sizes)))
    return gap, *spread_interval(right, rows.sizes, rows.confidence)


def accuracy_ratio(rows: HeldOut, k: int):
    """Accuracy of the worst group divided by that of the best."""
    shares = rows.right(k) / rows.sizes
    return shares.min() / shares.max() if shares.max() > 0 else np.nan


def excessive_loss(rows: HeldOut, k: int):
    """Loss under the model minus that under the dense one."""
    return rows.excess[:, k], *rows.percentiles(rows.excess_samples[:, :, k])


def accuracy_drop(rows: HeldOut, k: int):
    """Accuracy under the dense model minus that under the model, with Newcombe's limits."""
    drop = rows.right(0) / rows.sizes - rows.right(k) / rows.sizes
    return drop, *rows.paired_differences(k)


def classes_predicted(rows: HeldOut, k: int):
    """Number of classes that are predicted for any row."""
    return len(np.unique(rows.predicted[:, k]))


@dataclass(frozen=True)
class Measure(Member):
    """A measure of the audit.

    Attributes
    ----------
    function : callable
        Of `HeldOut` rows and the position k of a model (the dense one is 0): the value and
        its lower and upper limit, or the value alone without `interval`. One entry a group,
        or numbers if it is about a disparity.
    title : str
        What tables and plots call it, without symbol and unit.
    symbol : str
        Its letter: "J", "R", "xi".
    about : {"groups", "rows", "both", "disparity"}
        Of what there is a value: of each group, of all rows, of both, or of the differences
        between the groups.
    unit : {"share", "points", "loss", "count", ""}
        A share of the rows, shown in per cent; a difference of shares, shown in points; that
        of the loss; a number of something; none.
    better : {1, -1, 0}
        Whether more is better, less is, or neither.
    classifiers_only : bool
        Whether regressors lack it.
    interval : bool
        Whether it has limits. Without them it stands in the tables and files only.
    signed : bool
        Whether it is about a change, so that texts show the sign.
    limit : str
        Name of its limit in `assert_disparity`, if it has one of its own.
    against : str
        What an axis adds to the title: "against the dense model".
    meaning : str
        Sentence for readers, in which {loss} becomes the name of the loss.
    cost : str
        The same for dashboards, with {loss} and {dense}, the name of the dense model.

    Raises
    ------
    ValueError
        If `about` or `unit` is none of these.

    Examples
    --------
    >>> from sklearn_fairprune.measurement import MEASURES
    >>> MEASURES["accuracy_drop"].heading, MEASURES["loss"].heading
    ('accuracy drop, points', 'loss J')
    """

    symbol: str = ""
    about: str = "groups"
    unit: str = ""
    better: int = -1
    classifiers_only: bool = False
    interval: bool = True
    signed: bool = False
    limit: str = ""
    against: str = ""
    meaning: str = ""
    cost: str = ""

    def __post_init__(self) -> None:
        """Refuse what the reports cannot show."""
        for name, known in (("about", SUBJECTS), ("unit", UNITS)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(
                    f"{name} of a measure must be one of {list(known)}, got {value!r}."
                )

    @property
    def by_group(self) -> bool:
        """Whether each group has a value."""
        return self.about in ("groups", "both")

    @property
    def overall(self) -> bool:
        """Whether each model has a value."""
        return self.about != "groups"

    @property
    def disparity(self) -> bool:
        """Whether it is about differences between the groups."""
        return self.about == "disparity"

    @property
    def scale(self) -> int:
        """Factor of the values that are shown."""
        return 100 if self.unit in ("share", "points") else 1

    @property
    def shown_unit(self) -> str:
        """Unit as it is shown; that of the loss is not known here."""
        return {"share": "%", "points": "points"}.get(self.unit, "")

    @property
    def full_title(self) -> str:
        """Title and symbol."""
        return f"{self.label} {self.symbol}".rstrip()

    @property
    def heading(self) -> str:
        """Title of a column of a table."""
        gap = " " if self.unit == "share" else ", "
        return gap.join(filter(None, [self.full_title, self.shown_unit]))

    @property
    def axis(self) -> str:
        """Title of an axis of the page."""
        title = f"{self.full_title} {self.against}".rstrip()
        return ", ".join(filter(None, [title, self.shown_unit]))

    @property
    def format(self) -> dict[str, Any]:
        """Options of `with_interval`."""
        per_cent = {"scale": 100, "digits": 1} if self.scale == 100 else {}
        return per_cent | ({"sign": "+"} if self.signed else {})

    def there_is(self, rows: HeldOut) -> bool:
        """Whether there is such a measure for models of this kind."""
        return rows.correct is not None or not self.classifiers_only

    def columns(self, name: str, rows: HeldOut, k: int) -> dict[str, Any]:
        """Value and limits under model k, as columns called `name`."""
        found = self(rows, k)
        if not self.interval:
            return {name: found}
        if not isinstance(found, tuple) or len(found) != 3:
            raise ValueError(
                f"The measure {name!r} must return three things, its value and its lower and "
                f"upper limit, got {type(found).__name__}. Give its record interval=False if "
                "it has no limits."
            )
        return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))

    def write(self, row: Mapping[str, Any], name: str) -> str:
        """Value of a column with its limits, as text."""
        return with_interval(row, name, **self.format)


_SHARE = {"unit": "share", "better": 1, "classifiers_only": True}
_POINTS = {"unit": "points", "classifiers_only": True}
# In the order of texts; tables have shares first, then losses, then counts.
MEASURES = Shelf(
    Measure,
    Measure(accuracy, about="both", **_SHARE),
    Measure(balanced_accuracy, about="rows", **_SHARE),
    Measure(
        loss,
        symbol="J",
        about="both",
        unit="loss",
        meaning="Mean {loss} of a group's rows.",
        cost="Mean {loss}. Lower is better.",
    ),
    Measure(
        fairness_violation,
        symbol="xi",
        about="disparity",
        unit="loss",
        limit="max_violation",
        meaning="Largest difference between the excessive losses of two groups.",
    ),
    Measure(
        accuracy_spread,
        about="disparity",
        limit="max_spread",
        against="between groups",
        meaning="Accuracy of the best group minus that of the worst.",
        **_POINTS,
    ),
    Measure(accuracy_ratio, about="disparity", interval=False, **_SHARE),
    Measure(
        excessive_loss,
        symbol="R",
        unit="loss",
        signed=True,
        against="against the dense model",
        meaning="Loss of the group under the pruned model minus that under the dense one; "
        "above 0 the group pays.",
        cost="Loss ({loss}) minus that of {dense!r}: the cost of pruning. 0 is none, more is "
        "worse.",
    ),
    Measure(
        accuracy_drop,
        signed=True,
        limit="max_degradation",
        against="against the dense model",
        meaning="Accuracy under the dense model minus that under the pruned one.",
        cost="Accuracy of {dense!r} minus that of the model. 0.05: five points lost.",
        **_POINTS,
    ),
    Measure(
        classes_predicted,
        about="rows",
        unit="count",
        better=0,
        classifiers_only=True,
        interval=False,
    ),
)

Measures = dict[str, Measure]


def shown(columns: Container[str]) -> Measures:
    """Measures with an interval that a table has, in the order of texts.

    Parameters
    ----------
    columns : container of str
        Columns of the table.

    Returns
    -------
    measures : dict of str to Measure
    """
    return {k: m for k, m in MEASURES.items() if m.interval and k in columns}


def by_unit(measures: Mapping[str, Measure]) -> Measures:
    """Order measures by their units: shares, losses, counts, others."""
    ranks = {"share": 0, "points": 0, "loss": 1, "count": 2, "": 3}
    return dict(sorted(measures.items(), key=lambda item: ranks[item[1].unit]))


def performances(columns: Container[str] | None = None) -> Measures:
    """Measures of how good a model is for all rows, with an interval, the first one first.

    Parameters
    ----------
    columns : container of str, default=None
        Of a table of models; None is all there are.

    Returns
    -------
    measures : dict of str to Measure
    """
    return by_unit(
        {
            k: m
            for k, m in shown(MEASURES if columns is None else columns).items()
            if m.overall and not m.disparity and m.better
        }
    )


def disparities(columns: Container[str] | None = None) -> Measures:
    """Measures of the disparity between the groups, with an interval.

    Parameters
    ----------
    columns : container of str, default=None
        Of a table of models; None is all there are.

    Returns
    -------
    measures : dict of str to Measure
    """
    known = shown(MEASURES if columns is None else columns)
    return by_unit({k: m for k, m in known.items() if m.disparity})


def group_measures() -> Measures:
    """Measures of each group with an interval, in the order of texts."""
    return {k: m for k, m in MEASURES.items() if m.by_group and m.interval}


def limit_columns() -> dict[str, str]:
    """Columns that a gate can limit from above, by the names of their limits.

    Returns
    -------
    columns : dict of str to str
        Those of measures of which less is better. The limit of a measure without a name of
        its own is called like the measure, and comes last.
    """
    bounded = [(m, k) for k, m in by_unit(MEASURES).items() if m.better < 0 and m.interval]
    bounded.sort(key=lambda pair: not pair[0].limit)
    return {measure.limit or name: name for measure, name in bounded}


def measure_groups(rows: HeldOut, k: int) -> dict[str, np.ndarray]:
    """Measures of each group under model k, and their limits, as columns of a table.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    k : int
        Position of the model.

    Returns
    -------
    columns : dict of str to ndarray of shape (m,)
    """
    columns = {}
    for name, measure in by_unit(MEASURES).items():
        if measure.by_group and measure.there_is(rows):
            columns |= measure.columns(name, rows, k)
    return columns


def measure_model(rows: HeldOut, k: int) -> dict[str, float]:
    """Measures of model k over all rows and of its disparities, and their limits.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    k : int
        Position of the model.

    Returns
    -------
    cells : dict of str to float
    """
    cells = {}
    for name, measure in by_unit(MEASURES).items():
        if measure.overall and measure.there_is(rows):
            whole = rows if measure.disparity else rows.together
            cells |= measure.columns(name, whole, k)
    return {name: np.asarray(value).item() for name, value in cells.items()}
