"""What the audit measures: one record a measure, with everything that is known of it.

A measure is a function of the held-out rows in groups and the position k of a model, and a
record in `MEASURES`. Tables, texts, pages, plots, gates and comparisons read the record when
they are made, so that a measure that is added is in all of them.
"""

from collections.abc import Container, Mapping
from typing import Any

import numpy as np
import torch

from ..functional.groups import largest_gap
from ..functional.shelf import Shelf
from ..statistics.intervals import gap_interval, spread_interval
from .held_out import HeldOut
from .records import Measure, Measured


def accuracy(rows: HeldOut, k: int) -> Measured:
    """Share of the rows whose class is right, with Clopper and Pearson's limits."""
    right = rows.right(k)
    return right / rows.sizes, *rows.proportions(right)


def balanced_accuracy(rows: HeldOut, k: int) -> Measured:
    """Mean recall of the classes."""
    return rows.balanced[k], *rows.percentiles(rows.balanced_samples[:, k])


def loss(rows: HeldOut, k: int) -> Measured:
    """Mean loss of the rows."""
    low, high = rows.mean_limits(rows.losses[:, k])
    return rows.loss[:, k], np.maximum(low, 0), high


def fairness_violation(rows: HeldOut, k: int) -> Measured:
    """Largest difference between the excessive losses of two groups of enough rows."""
    excess = rows.excess[rows.compared, k]
    samples = rows.excess_samples[:, rows.compared, k]
    limits = gap_interval(samples, excess, rows.confidence)
    return float(largest_gap(torch.as_tensor(excess))), *limits


def accuracy_spread(rows: HeldOut, k: int) -> Measured:
    """Accuracy of the best group minus that of the worst, of those with enough rows."""
    right, sizes = rows.right(k)[rows.compared], rows.sizes[rows.compared]
    gap = float(largest_gap(torch.as_tensor(right / sizes)))
    return gap, *spread_interval(right, sizes, rows.confidence)


def accuracy_ratio(rows: HeldOut, k: int) -> Measured:
    """Accuracy of the worst group divided by that of the best, of those with enough rows."""
    shares = (rows.right(k) / rows.sizes)[rows.compared]
    return shares.min() / shares.max() if shares.max() > 0 else np.nan


def excessive_loss(rows: HeldOut, k: int) -> Measured:
    """Loss under the model minus that under the dense one."""
    return rows.excess[:, k], *rows.mean_limits(rows.lost(k))


def accuracy_drop(rows: HeldOut, k: int) -> Measured:
    """Accuracy under the dense model minus that under the model, with Newcombe's limits."""
    drop = rows.right(0) / rows.sizes - rows.right(k) / rows.sizes
    return drop, *rows.paired_differences(k)


def classes_predicted(rows: HeldOut, k: int) -> Measured:
    """Number of classes that are predicted for any row."""
    return len(np.unique(rows.predicted[:, k]))


_SHARE: dict[str, Any] = {"unit": "share", "better": 1, "classifiers_only": True}
_POINTS: dict[str, Any] = {"unit": "points", "classifiers_only": True}
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
        paid=HeldOut.lost,
        told_by="loss",
        negligible=lambda rows: 0.01 * rows.together.loss[0, 0],
    ),
    Measure(
        accuracy_drop,
        signed=True,
        limit="max_degradation",
        against="against the dense model",
        meaning="Accuracy under the dense model minus that under the pruned one.",
        cost="Accuracy of {dense!r} minus that of the model. 0.05: five points lost.",
        paid=HeldOut.harmed,
        told_by="decisions",
        negligible=lambda rows: 0.005,
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


def payments() -> Measures:
    """Measures that tell who pays, the one that leads first: decisions before losses."""
    return by_unit({k: m for k, m in MEASURES.items() if m.paid is not None})


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
