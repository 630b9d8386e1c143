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
from . import rates
from .held_out import HeldOut
from .records import Measure, Measured


def accuracy(rows: HeldOut, k: int) -> Measured:
    """Share of the rows whose class is right, with Clopper and Pearson's limits."""
    right = rows.right(k)
    return right.value, *rows.proportions(right)


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
    right, some = rows.right(k), rows.compared
    gap = float(largest_gap(torch.as_tensor(right.value[some])))
    return gap, *spread_interval(right.hits[some], right.of[some], rows.confidence)


def accuracy_ratio(rows: HeldOut, k: int) -> Measured:
    """Accuracy of the worst group divided by that of the best, of those with enough rows."""
    shares = rows.right(k).value[rows.compared]
    return shares.min() / shares.max() if shares.max() > 0 else np.nan


def excessive_loss(rows: HeldOut, k: int) -> Measured:
    """Loss under the model minus that under the dense one."""
    return rows.excess[:, k], *rows.mean_limits(rows.lost(k))


def accuracy_drop(rows: HeldOut, k: int) -> Measured:
    """Accuracy under the dense model minus that under the model, with Newcombe's limits."""
    return rows.right(0).value - rows.right(k).value, *rows.paired_differences(k)


def classes_predicted(rows: HeldOut, k: int) -> Measured:
    """Number of classes that are predicted for any row."""
    return len(np.unique(rows.predicted[:, k]))


_SHARE: dict[str, Any] = {"unit": "share", "better": 1, "classifiers_only": True}
_POINTS: dict[str, Any] = {"unit": "points", "classifiers_only": True}
RATES = "Rates"
_RATE: dict[str, Any] = {
    "about": "both",
    "unit": "share",
    "classifiers_only": True,
    "one_class": True,
    "section": RATES,
}
_OF_RATES: dict[str, Any] = _RATE | {
    "about": "disparity",
    "unit": "points",
    "against": "between groups",
}
_NO_POSITIVE = "no row is of the positive class; differences leave such groups out"
_NO_OTHER = "every row is of the positive class; differences leave such groups out"
# In the order of texts; tables have shares first, then losses, then counts.
MEASURES = Shelf(
    Measure,
    Measure(accuracy, about="both", **_SHARE),
    Measure(
        rates.balanced_accuracy,
        about="both",
        section=RATES,
        leads=True,
        meaning="Mean of the shares of each class's rows whose class is right, over the "
        "classes that the group has.",
        **_SHARE,
    ),
    Measure(
        loss,
        symbol="J",
        about="both",
        unit="loss",
        needs_loss=True,
        meaning="Mean {loss} of a group's rows.",
        cost="Mean {loss}. Lower is better.",
    ),
    Measure(
        fairness_violation,
        symbol="xi",
        about="disparity",
        unit="loss",
        needs_loss=True,
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
        needs_loss=True,
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
    Measure(
        rates.selection_rate,
        better=0,
        meaning="Share of a group's rows that are predicted {positive}.",
        **_RATE,
    ),
    Measure(
        rates.true_positive_rate,
        better=1,
        lacking=_NO_POSITIVE,
        meaning="Share predicted {positive} of a group's rows that are {positive}.",
        **_RATE,
    ),
    Measure(
        rates.false_positive_rate,
        lacking=_NO_OTHER,
        meaning="Share predicted {positive} of a group's rows that are not {positive}.",
        **_RATE,
    ),
    Measure(
        rates.precision,
        better=1,
        lacking="no row is predicted positive",
        meaning="Share of a group's rows predicted {positive} that are {positive}.",
        **_RATE,
    ),
    Measure(
        rates.demographic_parity_difference,
        meaning="Largest selection rate of a group minus the smallest.",
        **_OF_RATES,
    ),
    Measure(
        rates.equal_opportunity_difference,
        lacking="fewer than two groups have rows of the positive class",
        meaning="Largest true positive rate of a group minus the smallest.",
        **_OF_RATES,
    ),
    Measure(
        rates.equalized_odds_difference,
        lacking="fewer than two groups have rows of both kinds",
        meaning="The larger one of the differences of true and of false positive rates.",
        **_OF_RATES,
    ),
)

Measures = dict[str, Measure]


def shown(
    columns: Container[str],
    measures: Mapping[str, Measure] | None = None,
    section: str | None = None,
) -> Measures:
    """Measures with an interval that a table has, in the order of texts.

    Parameters
    ----------
    columns : container of str
        Columns of the table.
    measures : mapping of str to Measure, default=None
        Of a report; None is `MEASURES`.
    section : str, default=None
        Those that stand in the table of this title alone, "" being the first one.

    Returns
    -------
    measures : dict of str to Measure
    """
    return {
        k: m
        for k, m in (MEASURES if measures is None else measures).items()
        if m.interval and k in columns and section in (None, m.section)
    }


def leading(columns: Container[str], measures: Mapping[str, Measure]) -> Measures:
    """Measures of the first table of models, in the order of texts.

    Parameters
    ----------
    columns : container of str
        Of the table of models.
    measures : mapping of str to Measure
        Of a report.

    Returns
    -------
    measures : dict of str to Measure
    """
    return {k: m for k, m in shown(columns, measures).items() if m.leads or not m.section}


def sections(measures: Mapping[str, Measure], *tables: Container[str]) -> list[str]:
    """Titles of the tables below the first one that a report has.

    Parameters
    ----------
    measures : mapping of str to Measure
        Of a report.
    *tables : container of str
        Columns of its tables.

    Returns
    -------
    titles : list of str
    """
    found = (m for table in tables for m in shown(table, measures).values())
    return list(dict.fromkeys(m.section for m in found if m.section))


def by_unit(measures: Mapping[str, Measure]) -> Measures:
    """Order measures by their tables, and in these by unit: shares, losses, counts, others."""
    ranks = {"share": 0, "points": 0, "loss": 1, "count": 2, "": 3}
    return dict(
        sorted(
            measures.items(),
            key=lambda item: (bool(item[1].section) > item[1].leads, ranks[item[1].unit]),
        )
    )


def performances(
    columns: Container[str] | None = None, measures: Mapping[str, Measure] | None = None
) -> Measures:
    """Measures of how good a model is for all rows, with an interval, the first one first.

    Parameters
    ----------
    columns : container of str, default=None
        Of a table of models; None is all there are.
    measures : mapping of str to Measure, default=None
        Of a report; None is `MEASURES`.

    Returns
    -------
    measures : dict of str to Measure
    """
    known = MEASURES if measures is None else measures
    return by_unit(
        {
            k: m
            for k, m in shown(known if columns is None else columns, known).items()
            if m.overall and not m.disparity and m.better
        }
    )


def disparities(
    columns: Container[str] | None = None, measures: Mapping[str, Measure] | None = None
) -> Measures:
    """Measures of the disparity between the groups, with an interval.

    Parameters
    ----------
    columns : container of str, default=None
        Of a table of models; None is all there are.
    measures : mapping of str to Measure, default=None
        Of a report; None is `MEASURES`.

    Returns
    -------
    measures : dict of str to Measure
    """
    known = MEASURES if measures is None else measures
    there = shown(known if columns is None else columns, known)
    return by_unit({k: m for k, m in there.items() if m.disparity})


def group_measures(measures: Mapping[str, Measure] | None = None) -> Measures:
    """Measures of each group with an interval, in the order of texts."""
    known = MEASURES if measures is None else measures
    return {k: m for k, m in known.items() if m.by_group and m.interval}


def payments() -> Measures:
    """Measures that tell who pays, the one that leads first: decisions before losses."""
    return by_unit({k: m for k, m in MEASURES.items() if m.paid is not None})


def limit_columns(measures: Mapping[str, Measure] | None = None) -> dict[str, str]:
    """Columns that a gate can limit from above, by the names of their limits.

    Parameters
    ----------
    measures : mapping of str to Measure, default=None
        Of a report; None is `MEASURES`.

    Returns
    -------
    columns : dict of str to str
        Those of measures of which less is better. The limit of a measure without a name of
        its own is called like the measure, and comes last.
    """
    known = by_unit(MEASURES if measures is None else measures)
    bounded = [(m, k) for k, m in known.items() if m.better < 0 and m.interval]
    bounded.sort(key=lambda pair: not pair[0].limit)
    return {measure.limit or name: name for measure, name in bounded}
