"""What an audit measures: one table, from which every other table, text and picture reads.

A measure is a function of the outcomes on the held-out rows and the number k of a model; it
returns values and limits by group, over all rows, or both. Add one: a function, and a record
in `MEASURES`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch

from ..functional.groups import largest_gap
from ..functional.shelf import Member, Shelf
from ..statistics import intervals
from .held_out import HeldOut


class Values(NamedTuple):
    """A value and its limits.

    Attributes
    ----------
    value : float or ndarray of shape (m,)
        Of all rows, or of every group.
    low, high : float or ndarray of shape (m,), or None
        Limits; None where there are none.
    """

    value: Any
    low: Any = None
    high: Any = None

    def columns(self, name: str) -> dict[str, Any]:
        """Columns of a table, under the name of the measure."""
        limits = (
            {} if self.low is None else {f"{name}_low": self.low, f"{name}_high": self.high}
        )
        return {name: self.value} | limits


class Measured(NamedTuple):
    """What a measure is of one model.

    Attributes
    ----------
    groups, total : Values or None
        By group; and of all rows, or between the groups.
    """

    groups: Values | None = None
    total: Values | None = None


def accuracy(rows: HeldOut, k: int) -> Measured:
    """Share of the rows that are predicted right."""
    right = rows.right(k)
    return Measured(
        Values(right / rows.sizes, *rows.proportion_limits(right)),
        Values(
            right.sum() / rows.sizes.sum(), *rows.proportion(right.sum(), rows.sizes.sum())
        ),
    )


def balanced_accuracy(rows: HeldOut, k: int) -> Measured:
    """Mean of the classes' recalls."""
    samples = rows.balanced_samples[:, k]
    return Measured(total=Values(rows.balanced[k], *rows.percentiles(samples)))


def loss(rows: HeldOut, k: int) -> Measured:
    """Mean loss: cross-entropy, or squared error."""
    groups, total = (
        np.maximum(samples[..., k], 0)
        for samples in (rows.loss_samples, rows.total_loss_samples)
    )
    return Measured(
        Values(rows.loss[:, k], *rows.percentiles(groups)),
        Values(rows.losses[:, k].mean(), *rows.percentiles(total)),
    )


def excessive_loss(rows: HeldOut, k: int) -> Measured:
    """Loss minus that of the first model, R(a): the cost of pruning. More is worse."""
    samples = rows.excess_samples[:, :, k]
    return Measured(Values(rows.excess[:, k], *rows.percentiles(samples)))


def accuracy_drop(rows: HeldOut, k: int) -> Measured:
    """Accuracy of the first model minus that of the model: 0.05 is five points lost."""
    drop = rows.right(0) / rows.sizes - rows.right(k) / rows.sizes
    return Measured(Values(drop, *rows.drop_limits(k)))


def fairness_violation(rows: HeldOut, k: int) -> Measured:
    """Largest difference between two groups' excessive losses."""
    excess, samples = rows.excess[:, k], rows.excess_samples[:, :, k]
    limits = intervals.gap_interval(samples, excess, rows.confidence)
    return Measured(total=Values(float(largest_gap(torch.as_tensor(excess))), *limits))


def accuracy_spread(rows: HeldOut, k: int) -> Measured:
    """Largest difference between two groups' accuracies."""
    right = rows.right(k)
    gap = float(largest_gap(torch.as_tensor(right / rows.sizes)))
    limits = intervals.spread_interval(right, rows.sizes, rows.confidence)
    return Measured(total=Values(gap, *limits))


def accuracy_ratio(rows: HeldOut, k: int) -> Measured:
    """Lowest accuracy of a group divided by the highest."""
    of_groups = rows.right(k) / rows.sizes
    best = of_groups.max()
    return Measured(total=Values(of_groups.min() / best if best > 0 else np.nan))


@dataclass(frozen=True)
class Measure(Member):
    """A measure of the audit.

    Parameters
    ----------
    function : callable
        From `HeldOut` and the number of a model to `Measured`.
    title : str
        What tables and plots call it.
    unit : {"%", "points"} or None
        Of what is shown; None is that of the loss, or none.
    better : {1, -1}
        Whether more is better or worse.
    by_group : bool
        Whether it has a value for every group.
    total : bool
        Whether it has one for all rows, or between the groups.
    disparity : bool
        Whether the total is a difference between groups.
    classifiers_only : bool
        Whether regressors have none.
    of_loss : bool
        Whether it is in units of the loss.
    signed : bool
        Whether tables show its sign.
    shown : bool
        Whether texts and pages show it; tables of data always do.
    limit : str
        Its name among the limits of the gate; its own, if empty.
    """

    unit: str | None = None
    better: int = -1
    by_group: bool = False
    total: bool = False
    disparity: bool = False
    classifiers_only: bool = False
    of_loss: bool = False
    signed: bool = False
    shown: bool = True
    limit: str = ""

    @property
    def scale(self) -> int:
        """What a value is multiplied with to be shown."""
        return 100 if self.unit in ("%", "points") else 1

    @property
    def heading(self) -> str:
        """Title and unit, for the head of a column."""
        between = {"%": " ", "points": ", "}.get(self.unit or "", "")
        return f"{self.label}{between}{self.unit or ''}"

    def axis(self, loss_unit: str | None = None) -> str:
        """Title and unit, for an axis."""
        unit = loss_unit if self.of_loss and loss_unit else self.unit
        return f"{self.label}, {unit}" if unit else self.label

    @property
    def form(self) -> dict[str, Any]:
        """How `with_interval` writes it."""
        per_cent = {"scale": 100, "digits": 1} if self.scale == 100 else {}
        return per_cent | ({"sign": "+"} if self.signed else {})

    def cell(self, row: Mapping[str, Any]) -> str:
        """Value and limits of a table's row, as text."""
        return with_interval(row, self.name, **self.form)


_RIGHT = {"classifiers_only": True}
MEASURES = Shelf(
    Measure,
    Measure(accuracy, unit="%", better=1, by_group=True, total=True, **_RIGHT),
    Measure(balanced_accuracy, unit="%", better=1, total=True, **_RIGHT),
    Measure(loss, "loss J", by_group=True, total=True, of_loss=True),
    Measure(excessive_loss, "excessive loss R", by_group=True, signed=True, of_loss=True),
    Measure(
        accuracy_drop,
        unit="points",
        by_group=True,
        signed=True,
        limit="max_degradation",
        **_RIGHT,
    ),
    Measure(
        fairness_violation,
        "fairness violation xi",
        total=True,
        disparity=True,
        of_loss=True,
        limit="max_violation",
    ),
    Measure(
        accuracy_spread,
        unit="points",
        total=True,
        disparity=True,
        limit="max_spread",
        **_RIGHT,
    ),
    Measure(accuracy_ratio, total=True, shown=False, better=1, **_RIGHT),
)


def shown_in(table: Any, *, disparity: bool | None = None) -> dict[str, Measure]:
    """Measures with limits that a table has columns of, by name, in the order of the shelf.

    Parameters
    ----------
    table : DataFrame
        Of an audit: ``by_group`` or ``overall``.
    disparity : bool, default=None
        Only those that are (or are not) differences between groups.

    Returns
    -------
    measures : dict of str to Measure
    """
    return {
        name: measure
        for name, measure in MEASURES.items()
        if measure.shown
        and f"{name}_low" in table
        and (disparity is None or measure.disparity == disparity)
    }


def with_interval(
    row: Mapping[str, Any], name: str, *, scale: float = 1.0, digits: int = 3, sign: str = ""
) -> str:
    """Text of a value and its limits, such as "0.903 [0.874, 0.930]"."""
    value, low, high = (
        number(row[key] * scale, digits, sign) for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{value} [{low}, {high}]"


def number(value: float | None, digits: int, sign: str = "") -> str:
    """Text of a number; "n/a" where there is none."""
    return "n/a" if value is None or np.isnan(value) else f"{value:{sign}.{digits}f}"
