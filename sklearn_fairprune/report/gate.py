"""A gate for continuous integration: no group may lose more than is allowed."""

import numpy as np
import pandas as pd

from .checks import is_real
from .glance import broken_models
from .groups import group_names


class DisparityError(AssertionError):
    """A model costs a group more than is allowed.

    Parameters
    ----------
    failures : list of str
        Every limit that is not kept, with model, group and number.

    Attributes
    ----------
    failures : list of str
        As above.
    """

    def __init__(self, failures):
        super().__init__("\n".join(failures))
        self.failures = failures


LIMITS = {
    "max_spread": ("accuracy_spread", "accuracy spread"),
    "max_degradation": ("accuracy_drop", "accuracy drop"),
    "max_violation": ("fairness_violation", "fairness violation xi"),
}
JUDGED_BY = {
    "estimate": ("", "is"),
    "low": ("_low", "is surely at least"),
    "high": ("_high", "may be as high as"),
}


def disparity_failures(parts, limits, *, models=None, judge_by="estimate"):
    """List every limit that a pruned model does not keep, for every way to group the rows.

    Parameters
    ----------
    parts : dict of str to AuditReport
        By the name of the sensitive feature.
    limits : dict of str to float
        ``max_spread`` and ``max_degradation`` as shares (0.05 is 5 points of accuracy),
        ``max_violation`` in units of the loss. None is no limit.
    models : sequence of str, default=None
        Names of the models to judge; None is all but the dense one.
    judge_by : {"estimate", "low", "high"}, default="estimate"
        The number itself; its lower limit, so that only a sure excess fails; or its upper
        limit, so that only a surely kept limit passes.

    Returns
    -------
    failures : list of str
        Empty if all is well. A model that is broken and a number that is unknown are failures
        too.

    Raises
    ------
    ValueError
        If a limit or a name is unusable.
    """
    limits = {name: value for name, value in limits.items() if value is not None}
    if judge_by not in list(JUDGED_BY):
        raise ValueError(f"judge_by must be one of {list(JUDGED_BY)}, got {judge_by!r}.")
    first = next(iter(parts.values()))
    for name, value in limits.items():
        check_limit(name, value)
        _check_measured(name, first)
    chosen = _chosen(first.overall.index, models)
    failures = []
    for model in chosen:
        if model in broken_models(first):
            failures.append(
                f"{model} predicts one class only, or is no better: it is broken, not fair."
            )
        for feature, part in parts.items():
            for name, value in limits.items():
                column, what = LIMITS[name]
                rows = _rows(part, model, column)
                failures += _over(rows, column, what, model, feature, name, value, judge_by)
    return failures


def check_limit(name, value):
    """Refuse a limit that is none.

    Parameters
    ----------
    name : str
        Of `LIMITS`.
    value : object
        What a user gave.

    Raises
    ------
    ValueError
        Unless it is a share, or for ``max_violation`` a finite number of at least 0.
    """
    share = name != "max_violation"
    if not is_real(value) or not 0 <= value <= (1 if share else np.finfo(float).max):
        rule = "a share from 0 to 1, such as 0.05 for 5 points"
        rule = rule if share else "at least 0 and finite"
        raise ValueError(f"{name} must be {rule}, got {value!r}.")


def _check_measured(name, report):
    column, what = LIMITS[name]
    if column not in report.overall and column not in report.by_group:
        raise ValueError(
            f"{name} limits the {what}, and these models are regressors, which have no "
            "accuracy; use max_violation."
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


def _rows(part, model, column):
    """Numbers of a model by what they are about: a group's name, or the feature."""
    if column in part.overall:
        return {"": part.overall.loc[model]}
    names = group_names(part.by_group)
    return {names[label[1:]]: row for label, row in part.by_group.loc[[model]].iterrows()}


def _over(rows, column, what, model, feature, name, limit, judge_by):
    suffix, verb = JUDGED_BY[judge_by]
    found = []
    for group, row in rows.items():
        value, who = row[column + suffix], f" of {group}" if group else ""
        size = f" ({int(row['rows'])} rows)" if group else ""
        if pd.isna(value):
            found.append(
                f"{model}, by {feature}: the {what}{who}{size} is unknown (too few rows), so "
                f"{name}={limit:g} cannot be judged."
            )
        elif value > limit:
            found.append(
                f"{model}, by {feature}: the {what}{who}{size} {verb} {value:.3f}, more than "
                f"{name}={limit:g}; interval [{row[column + '_low']:.3f}, "
                f"{row[column + '_high']:.3f}]."
            )
    return found
