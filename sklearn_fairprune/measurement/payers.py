"""Who pays most: what is concluded of the groups of a model, and in which words."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd

from ..statistics.worst import Worst
from .formats import number, with_interval
from .records import Measure

MUCH = 0.5  # share of a loss that is worth a word, if few rows make it up


class Payer(StrEnum):
    """What is known of the group that pays most."""

    PAYS_MOST = "pays most"
    PERHAPS_NEGLIGIBLE = "the most, perhaps negligible"
    ONE_OF = "one of several"
    CANNOT_TELL = "cannot tell"
    NO_MORE = "no group pays more"
    NOBODY = "no group pays"
    TOO_FEW = "too few rows"


class Told(NamedTuple):
    """How a measure is told: its name, its numbers, and how they are written.

    Attributes
    ----------
    title : str
        What sentences call it.
    unit : str
        Written after its numbers.
    format : dict
        Options of `formats.with_interval`.
    negligible : float
        Differences up to this are negligible.
    """

    title: str
    unit: str
    format: dict[str, Any]
    negligible: float

    @classmethod
    def of(cls, measure: Measure, negligible: float) -> Self:
        """How a measure is told.

        Parameters
        ----------
        measure : Measure
            One that tells who pays.
        negligible : float
            Differences up to this are.

        Returns
        -------
        told : Told
        """
        return cls(measure.label, measure.shown_unit, measure.format, negligible)

    def size(self, value: float) -> str:
        """A number with its unit."""
        scale, digits = (self.format.get(k, d) for k, d in (("scale", 1), ("digits", 3)))
        return f"{number(value * scale, digits)} {self.unit}".rstrip()

    def interval(self, row: dict[str, float]) -> str:
        """A value with its limits and unit."""
        return f"{with_interval(row, 'value', **self.format)} {self.unit}".rstrip()


def payer_verdict(worst: Worst, negligible: float) -> Payer:
    """Judge the group with the largest mean.

    Parameters
    ----------
    worst : Worst
        From `statistics.worst.worst_group`.
    negligible : float
        Differences up to this are negligible.

    Returns
    -------
    verdict : Payer
    """
    if worst.group < 0:
        return Payer.TOO_FEW
    if worst.highest <= negligible:
        return Payer.NOBODY
    if worst.largest_gap <= negligible:
        return Payer.NO_MORE
    if worst.beats_all:
        return Payer.PAYS_MOST if worst.low > negligible else Payer.PERHAPS_NEGLIGIBLE
    several = worst.possible.sum() < worst.eligible.sum()
    return Payer.ONE_OF if several else Payer.CANNOT_TELL


def payer_row(
    worst: Worst, texts: Sequence[str], sizes: np.ndarray, values: pd.DataFrame, told: Told
) -> dict[str, Any]:
    """What is known of the payer, as a row of a table.

    Parameters
    ----------
    worst : Worst
        From `statistics.worst.worst_group`.
    texts : sequence of str
        Names of the m groups.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    values : DataFrame
        ``value``, ``value_low`` and ``value_high`` of each group.
    told : Told
        How the measure is told.

    Returns
    -------
    row : dict
        ``group``, ``rows``, its ``value`` with limits, the ``rival`` that comes nearest, the
        lead over it with its lower limit (``lead``, ``lead_low``), ``negligible``, the
        ``verdict``, and the groups that may be the worst (``possible``).
    """
    verdict = payer_verdict(worst, told.negligible)
    if verdict is Payer.TOO_FEW:
        row: dict[str, Any] = {"group": "", "rows": 0, "rival": ""}
        row |= dict.fromkeys(["value", "value_low", "value_high", "lead", "lead_low"], np.nan)
    else:
        rival = nearest(worst)
        row = {"group": texts[worst.group], "rows": sizes[worst.group], "rival": texts[rival]}
        row |= values.iloc[worst.group].to_dict()
        lead, reach = worst.leads[rival], row["value"] - row["value_low"]
        # No surer than its own value is: rows that are all alike have no variance.
        row |= {"lead": lead, "lead_low": np.fmin(worst.lead_lows[rival], lead - reach)}
    names = [texts[a] for a in np.flatnonzero(worst.possible).tolist()]
    return row | {
        "negligible": told.negligible,
        "verdict": verdict.value,
        "possible": " or ".join(names),
    }


def nearest(worst: Worst) -> int:
    """Position of the group whose distance to the largest is least sure."""
    unsure = np.where(np.isnan(worst.lead_lows), np.inf, worst.lead_lows)
    if not np.isfinite(unsure).any():  # groups of one row have no limits
        unsure = np.where(np.isnan(worst.leads), np.inf, worst.leads)
    return int(np.argmin(unsure))


def payer_sentence(
    row: dict[str, Any],
    told: Told,
    ruled_out: Sequence[str],
    least_rows: int,
    unit: str = "rows",
) -> str:
    """Say which group pays most, or why one cannot tell.

    Parameters
    ----------
    row : dict
        From `payer_row`.
    told : Told
        How the measure is told.
    ruled_out : sequence of str
        Names of the groups with enough rows that are surely not the worst.
    least_rows : int
        Rows that make a group eligible.
    unit : str, default="rows"
        What they are; "effective rows" of weighted ones.

    Returns
    -------
    sentence : str
    """
    who, value = f"{row['group']} ({row['rows']} rows)", told.interval(row)
    largest = f"The largest {told.title} is {value}, of {who}.{concentration(row)}"
    enough = f" of {least_rows} {unit} or more" if least_rows > 1 else ""
    match row["verdict"]:
        case Payer.TOO_FEW:
            return f"fewer than two groups have {least_rows} {unit}: nothing to compare."
        case Payer.NOBODY:
            return f"no group pays more than {told.size(told.negligible)}. {largest}"
        case Payer.NO_MORE:
            return (
                f"no group pays more than {told.size(told.negligible)} above another. "
                f"{largest}"
            )
        case Payer.PAYS_MOST:
            lead = told.size(row["lead_low"])
            sentence = (
                f"{who} pays most: {told.title} {value}; at least {lead} more than any "
                f"other group{enough}."
            )
            if row["lead_low"] <= told.negligible:
                sentence += f" Its lead over {row['rival']} may be negligible."
            return sentence + concentration(row)
        case Payer.PERHAPS_NEGLIGIBLE:
            return (
                f"{who} has the largest {told.title}, {value}, but not surely more "
                f"than {told.size(told.negligible)}, which is negligible."
                f"{concentration(row)}"
            )
        case Payer.ONE_OF:
            return (
                f"{row['possible']}: cannot tell between them; not {', '.join(ruled_out)}. "
                f"{largest}"
            )
    return f"cannot tell who pays most. {largest}"


def concentration(row: dict[str, Any]) -> str:
    """Say that half or more of what is paid comes from few rows, if it does.

    Parameters
    ----------
    row : dict
        With ``top_share`` and ``top_rows``, if they are known.

    Returns
    -------
    sentence : str
        With a blank before it, or empty.
    """
    if not row.get("top_share", np.nan) >= MUCH:
        return ""
    part = "more than all" if row["top_share"] > 1 else f"{100 * row['top_share']:.0f} %"
    rows = f"{row['top_rows']} of its rows" if row["top_rows"] > 1 else "one of its rows"
    return f" Of this {part} comes from {rows}."


def too_few_sentence(
    texts: Sequence[str], sizes: np.ndarray, values: pd.DataFrame, few: np.ndarray, told: Told
) -> str:
    """Name the groups whose rows are too few to be compared, with their numbers.

    Parameters
    ----------
    texts, sizes, values, told
        As in `payer_row`.
    few : bool ndarray of shape (m,)
        Which they are; at least one.

    Returns
    -------
    sentence : str
    """
    listed = [
        f"{texts[a]} ({sizes[a]} rows, {told.title} {told.interval(values.iloc[a].to_dict())})"
        for a in np.flatnonzero(few).tolist()
    ]
    nothing = "" if sum(~few) > 1 else ", so that nothing is"
    return f"too few rows to compare{nothing}: {'; '.join(listed)}."


def leading(payers: pd.DataFrame, model: str) -> pd.Series:
    """Of the verdicts on a model, the one that leads.

    That of the first measure, unless that one names nobody and another does.

    Parameters
    ----------
    payers : DataFrame
        Indexed by model and by what is measured.
    model : str
        One that has verdicts.

    Returns
    -------
    row : Series
        With ``by``, what is measured.
    """
    rows = payers.loc[[model]].reset_index(level="by")
    named = rows[rows["verdict"] == Payer.PAYS_MOST]
    return (named if len(named) else rows).iloc[0]
