"""Which damage stays when the fine-tuning gets longer: several budgets of one sparsity."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from ..statistics.weights import weighted_means
from .formats import epochs_told
from .held_out import HeldOut
from .measures import payments
from .payers import Told
from .records import Measure
from .verdicts import broken_models

Interval = tuple[float, float, float]  # value, lower and upper limit


class Damage(StrEnum):
    """What became of the damage of a group from the shortest fine-tuning to the longest."""

    STAYS = "stays"
    PARTLY = "part of it went"
    WENT = "went"
    GREW = "grew"
    NONE = "none"
    CANNOT_TELL = "cannot tell"


def damage_verdict(
    short: Interval, long: Interval, went: Interval, negligible: float
) -> Damage:
    r"""Judge what became of the damage of a group when the fine-tuning got longer.

    With the damage :math:`d_s` after the shortest fine-tuning, :math:`d_l` after the longest,
    what is negligible :math:`\nu`, and sure what holds within the limits: damage *stays* if
    surely :math:`d_l > \nu`; it *went*, or a part of it, if surely :math:`d_s > \nu` and
    :math:`d_s - d_l > 0`; it *grew* if it stays and surely :math:`d_s - d_l < 0`; there is
    *none* if surely :math:`d_s \le \nu` and :math:`d_l \le \nu`.

    Parameters
    ----------
    short, long : (float, float, float)
        Damage after the shortest and after the longest fine-tuning, with limits.
    went : (float, float, float)
        The first minus the second, with the limits of that difference on the same rows.
    negligible : float
        Damage up to this is.

    Returns
    -------
    verdict : Damage
        Where a limit is unknown nothing is claimed.

    Notes
    -----
    Each claim is of one group of one sparsity, at the level of its interval: of many groups
    and sparsities some are wrong by chance. They are about one training and the drawing of
    the held-out rows.

    Examples
    --------
    >>> from sklearn_fairprune.measurement.budgets import damage_verdict
    >>> print(damage_verdict((0.2, 0.1, 0.3), (0.0, -0.1, 0.1), (0.2, 0.1, 0.3), 0.005))
    went
    >>> print(damage_verdict((0.2, 0.1, 0.3), (0.2, 0.1, 0.3), (0.0, -0.1, 0.1), 0.005))
    stays
    """
    damaged, stays = short[1] > negligible, long[1] > negligible
    if stays and went[2] < 0:
        return Damage.GREW
    if damaged and went[1] > 0:
        return Damage.PARTLY if stays else Damage.WENT
    if stays:
        return Damage.STAYS
    if short[2] <= negligible and long[2] <= negligible:
        return Damage.NONE
    return Damage.CANNOT_TELL


class Budgets(NamedTuple):
    """Models of one sparsity whose fine-tuning had several lengths.

    Attributes
    ----------
    title : str
        Their name without the length.
    models : list of str
        From the shortest to the longest.
    epochs : list of int
        Of the fine-tuning of each, rising.
    """

    title: str
    models: list[str]
    epochs: list[int]


def budgets_in(overall: pd.DataFrame, about: Mapping[str, Any]) -> list[Budgets]:
    """Models of a path that differ in the length of the fine-tuning, by sparsity.

    Parameters
    ----------
    overall : DataFrame
        One row per model, the dense one first, with ``sparsity`` and ``finetune_epochs``.
    about : dict
        Of the report; without ``budgets`` models are no such path, whatever they had.

    Returns
    -------
    budgets : list of Budgets
        In the order of the table; neighbours of equal sparsity and rising epochs.
    """
    if not about.get("budgets"):
        return []
    found: list[Budgets] = []
    before = (np.nan, np.nan)
    for model, row in overall.iloc[1:].iterrows():
        sparsity, epochs = float(row["sparsity"]), float(row["finetune_epochs"])
        if epochs >= 0:
            if sparsity != before[0] or not epochs > before[1]:
                found.append(Budgets(str(model).rpartition(", ")[0] or str(model), [], []))
            found[-1].models.append(str(model))
            found[-1].epochs.append(int(epochs))
        before = (sparsity, epochs)
    return found


def along_path(overall: pd.DataFrame, about: Mapping[str, Any]) -> list[str]:
    """Models that make a path along the sparsities: of each the longest fine-tuning.

    Parameters
    ----------
    overall : DataFrame
        One row per model.
    about : dict
        Of the report.

    Returns
    -------
    models : list of str
        In the order of the table; all of them, unless the report has several budgets.
    """
    shorter = {model for one in budgets_in(overall, about) for model in one.models[:-1]}
    return [model for model in overall.index if model not in shorter]


def damage_gone(rows: HeldOut, measure: Measure, short: int, long: int) -> np.ndarray:
    """Damage of each group under one model minus that under another, with limits.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    measure : Measure
        One that tells who pays.
    short, long : int
        Positions of the two models.

    Returns
    -------
    went : ndarray of shape (m, 3)
        Value and limits of the difference on the same rows: Newcombe's of paired
        proportions for decisions, else those of the mean of the rows' differences.
    """
    paid = measure.paid(rows, short) - measure.paid(rows, long)
    value = weighted_means(paid, rows.weights, rows.groups, rows.m)
    decisions = measure.paid is HeldOut.harmed
    limits = rows.paired_differences(short, long) if decisions else rows.mean_limits(paid)
    return np.column_stack([value, *limits])


def budget_notes(
    rows: HeldOut,
    overall: pd.DataFrame,
    about: Mapping[str, Any],
    texts: Sequence[str],
    negligible: Mapping[str, float],
) -> list[str]:
    """Say of each sparsity with several budgets which group's damage stays.

    Of the accuracy drop, or where there is none of the excessive loss; of the groups of
    enough rows only.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    overall : DataFrame
        One row per model, in their order.
    about : dict
        Of the report.
    texts : sequence of str
        Names of the m groups.
    negligible : dict of str to float
        What is, by measure.

    Returns
    -------
    notes : list of str
        One for each group of which something is sure, one for the rest of each sparsity.
    """
    name, measure = next((k, m) for k, m in payments().items() if m.there_is(rows))
    told, broken, notes = Told.of(measure, negligible[name]), broken_models(overall), []
    for one in budgets_in(overall, about):
        if len(one.models) < 2:
            continue
        ends = [overall.index.get_loc(one.models[k]) for k in (0, -1)]
        short, long = (_table(measure.columns("value", rows, k)) for k in ends)
        went = damage_gone(rows, measure, *ends)
        rest: dict[Damage, list[str]] = {Damage.CANNOT_TELL: [], Damage.NONE: []}
        for a in np.flatnonzero(rows.enough).tolist():
            limits = [(t[a, 0], t[a, 1], t[a, 2]) for t in (short, long, went)]
            verdict = damage_verdict(limits[0], limits[1], limits[2], told.negligible)
            after = [told.interval(_row(t[a])) for t in (short, long)]
            if verdict in rest:
                rest[verdict].append(f"{texts[a]} ({after[0]} and {after[1]})")
                continue
            first, last = (epochs_told(one.epochs[k]) for k in (0, -1))
            notes.append(
                f"{one.title}: the {told.title} of {texts[a]} is {after[0]} after {first} of "
                f"fine-tuning and {after[1]} after {last}: "
                f"{_sentence(verdict, long[a], went[a], told)}"
                f"{', in a network that is broken' if one.models[-1] in broken else ''}."
            )
        notes += _rest(one, rest, told)
    return notes


def _sentence(verdict, long, went, told):
    """What became of the damage, in words."""
    least = told.size(went[1])
    match verdict:
        case Damage.STAYS:
            return "damage stays"
        case Damage.GREW:
            return f"it grew by at least {told.size(-went[2])} with the longer fine-tuning"
        case Damage.PARTLY:
            return f"at least {least} of it went with the longer fine-tuning, and damage stays"
    if long[2] <= told.negligible:
        what = f"no more than {told.size(told.negligible)} stay"
    else:
        what = "that any stays is not sure"
    return f"at least {least} of it were the short fine-tuning, and {what}"


def _rest(one, rest, told):
    """Groups of which nothing is sure, and those without damage, in a sentence each."""
    where = (
        f"{one.title}, {one.epochs[0]} against {epochs_told(one.epochs[-1])} of fine-tuning"
    )
    words = {
        Damage.CANNOT_TELL: "cannot tell whether damage stays for",
        Damage.NONE: f"no {told.title} above {told.size(told.negligible)} after either, for",
    }
    return [f"{where}: {words[v]} {', '.join(who)}." for v, who in rest.items() if who]


def _table(columns):
    return np.column_stack([columns[name] for name in ("value", "value_low", "value_high")])


def _row(values):
    return dict(zip(("value", "value_low", "value_high"), values, strict=True))
