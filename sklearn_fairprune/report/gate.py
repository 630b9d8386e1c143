"""A gate for continuous integration: no group may lose more than is allowed."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..measurement.groups import group_names, rows_that_count
from ..measurement.measures import MEASURES, Measures, limit_columns
from ..measurement.records import Measure
from ..measurement.recovered import WHY, unrecovered
from ..measurement.settings import is_real
from ..measurement.verdicts import broken_models
from ..statistics.broken import says_not_fair


class DisparityError(AssertionError):
    """A model costs a group more than is allowed.

    Parameters
    ----------
    failures : list of str
        Every limit that is not kept, with model, group and number.
    undecided : list of str, default=()
        Every limit that too few rows leave open.

    Attributes
    ----------
    failures, undecided : list of str
        As above.
    """

    def __init__(self, failures: list[str], undecided: Sequence[str] = ()) -> None:
        super().__init__("\n".join([*failures, *undecided]))
        self.failures, self.undecided = failures, list(undecided)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with both lists."""
        return type(self), (self.failures, self.undecided)


class UndecidedError(DisparityError):
    """No limit is surely broken, but too few rows leave one or more open.

    Parameters
    ----------
    failures : list of str
        Empty.
    undecided : list of str
        Every limit that is open, with model, group and number.
    """


JUDGED_BY = {
    "estimate": ("", "is"),
    "low": ("_low", "is surely at least"),
    "high": ("_high", "may be as high as"),
    "interval": ("_low", "is surely at least"),
}


class Judged(NamedTuple):
    """What a gate finds.

    Attributes
    ----------
    failures : list of str
        Limits that are not kept.
    undecided : list of str
        Limits that too few rows leave open.
    """

    failures: list[str]
    undecided: list[str]


def judged(
    reports: dict[str, Any],
    limits: Mapping[str, float | None],
    *,
    models: Sequence[str] | None = None,
    judge_by: str = "estimate",
) -> Judged:
    """Judge every limit of every pruned model, for every way to group the rows.

    Parameters
    ----------
    reports : dict of str to AuditReport
        By the name of the sensitive feature.
    limits : dict of str to float
        ``max_spread`` and ``max_degradation`` as shares (0.05 is 5 points of accuracy),
        ``max_violation`` in units of the loss, and those of other measures by their names.
        None is no limit.
    models : sequence of str, default=None
        Names of the models to judge; None is all but the dense one.
    judge_by : {"estimate", "low", "high", "interval"}, default="estimate"
        The number itself; its lower limit, so that only a sure excess fails; its upper limit,
        so that only a surely kept limit passes; or both, so that a limit inside the interval
        is undecided. Groups of fewer rows than the audit compares are judged by their interval
        in the place of the number.

    Returns
    -------
    judged : Judged
        A model that is broken fails; a number that is unknown is undecided.

    Raises
    ------
    ValueError
        If a limit or a name is unusable.
    """
    limits = {name: value for name, value in limits.items() if value is not None}
    if judge_by not in list(JUDGED_BY):
        raise ValueError(f"judge_by must be one of {list(JUDGED_BY)}, got {judge_by!r}.")
    first = next(iter(reports.values()))
    for name, value in limits.items():
        check_limit(name, value, first.measures)
        _check_measured(name, first)
    found, broken = Judged([], []), broken_models(first.overall)
    lacking = unrecovered(first.overall, first.sizes)
    for model in _chosen(first.overall.index, models):
        before = len(found.failures)
        if model in broken:
            found.failures.append(says_not_fair({model: broken[model]}))
        for feature, report in reports.items():
            for name, value in limits.items():
                over, open_ = _over(report, model, feature, name, value, judge_by)
                found.failures.extend(over)
                found.undecided.extend(open_)
        if len(found.failures) > before and model in lacking:
            found.failures.append(f"{model}: part of this may be {WHY}: {lacking[model]}.")
    return found


def limited(name: str, measures: Measures | None = None) -> tuple[str, Measure]:
    """Measure that a limit is about, and the column of its values.

    Parameters
    ----------
    name : str
        Of the limit, or of the measure.
    measures : dict of str to Measure, default=None
        Of the report; None is `MEASURES`.

    Returns
    -------
    column : str
    measure : Measure

    Raises
    ------
    ValueError
        If there is no such limit.
    """
    known = limit_columns(measures)
    column = known.get(name, name)
    if column not in known.values():
        raise ValueError(
            f"limits must be of measures of which less is better, {list(known)}, got {name!r}."
        )
    return column, (MEASURES if measures is None else measures)[column]


def check_limit(name: str, value: object, measures: Measures | None = None) -> None:
    """Refuse a limit that is none.

    Parameters
    ----------
    name : str
        Of the limit, or of the measure.
    value : object
        What a user gave.
    measures : dict of str to Measure, default=None
        Of the report; None is `MEASURES`.

    Raises
    ------
    ValueError
        Unless it is a share, or for other units a finite number of at least 0.
    """
    share = limited(name, measures)[1].scale == 100
    if not is_real(value) or not 0 <= value <= (1 if share else np.finfo(float).max):
        rule = "a share from 0 to 1, such as 0.05 for 5 points"
        rule = rule if share else "at least 0 and finite"
        raise ValueError(f"{name} must be {rule}, got {value!r}.")


def _check_measured(name, report):
    column, measure = limited(name, report.measures)
    if column in report.overall or column in report.by_group:
        return
    others = {k: limited(k, report.measures)[1] for k in limit_columns(report.measures)}
    classifies = any(
        m.classifiers_only and c in report.overall for c, m in report.measures.items()
    )
    if measure.one_class and classifies:
        raise ValueError(
            f"{name} limits the {measure.full_title}, and this report has no rates: they are "
            "about one class, and about groups of people. Audit with sensitive_features and, "
            "for more than two classes, with pos_label."
        )
    if not measure.classifiers_only:
        raise ValueError(
            f"{name} limits the {measure.full_title}, which was added after the report was "
            "made; audit the models again."
        )
    others = [k for k, other in others.items() if not other.classifiers_only]
    raise ValueError(
        f"{name} limits the {measure.full_title}, and these models are regressors, which "
        f"have no accuracy; use {' or '.join(others)}."
    )


def _chosen(names, models):
    if models is None:
        if len(names) < 2:
            raise ValueError(
                f"The report has only the dense model {names[0]!r}, so there is nothing to "
                "judge. Audit it together with pruned models, or name it in models."
            )
        return list(names[1:])
    models = [models] if isinstance(models, str) or not hasattr(models, "__iter__") else models
    if not (models := list(models)):
        raise ValueError(f"models is empty, so nothing is judged; choose from {list(names)}.")
    if unknown := [m for m in models if m not in names]:
        raise ValueError(f"models has unknown names {unknown}; the report has {list(names)}.")
    return models


def _rows(report, model, column):
    """Numbers of a model by what they are about: a group's name, or the feature."""
    if column in report.by_group:
        names = group_names(report.by_group)
        rows = report.by_group.loc[[model]].iterrows()
        return {names[label[1:]]: row for label, row in rows}
    return {"": report.overall.loc[model]}


def _over(report, model, feature, name, limit, judge_by):
    """Judge one model under one limit, for one way to group the rows."""
    column, measure = limited(name, report.measures)
    found, least = Judged([], []), report.about.get("min_group_size", 0)
    for group, row in _rows(report, model, column).items():
        few = bool(group) and judge_by == "estimate" and rows_that_count(row) < least
        by = "interval" if few else judge_by
        (suffix, verb), what = (
            JUDGED_BY[by],
            f"{model}, by {feature}: the {measure.full_title}",
        )
        what += f" of {group} ({int(row['rows'])} rows)" if group else ""
        value, high = row[column + suffix], row[f"{column}_high"]
        limits = f"[{row[column + '_low']:.3f}, {high:.3f}]"
        if pd.isna(value):
            found.undecided.append(
                f"{what} is unknown (too few rows), so {name}={limit:g} cannot be judged."
            )
        elif value > limit:
            found.failures.append(
                f"{what} {verb} {value:.3f}, more than {name}={limit:g}; interval {limits}."
            )
        elif by == "interval" and not high <= limit:
            found.undecided.append(
                f"{what} is {row[column]:.3f}, and its interval {limits} includes "
                f"{name}={limit:g}: too few rows to tell."
            )
    return found
