"""What changed from one audit to another, group by group."""

import numpy as np
import pandas as pd
from scipy import stats

from ..measurement.audited import Audited
from ..measurement.formats import with_interval
from ..measurement.measures import MEASURES
from ..measurement.records import Measure
from ..measurement.verdicts import Change, change_verdicts
from ..statistics.intervals import difference_interval
from .text import table

KEYS = ["feature", "model", "about", "group", "measure"]


def compare_reports(first: Audited, second: Audited) -> pd.DataFrame:
    """Compare every measure with an interval that two reports have in common.

    Parameters
    ----------
    first, second : Audited
        Of the same kind of models and groups; names must agree.

    Returns
    -------
    table : DataFrame
        One row per feature, model, group (empty for the model as a whole) and measure:
        ``first`` and ``second`` with ``_low`` and ``_high``, ``change`` with limits, and
        the ``verdict``: "better", "worse", "same" (exactly), "cannot tell", or "only in A",
        "only in B". Its ``attrs["notes"]`` say if the rows of one report alone are weighted.

    Raises
    ------
    ValueError
        If the reports have no model and group in common.

    Notes
    -----
    The two are taken as independent (`difference_interval`); for two audits on the same
    rows the intervals are too wide, and a sure change is all the surer. They hold for all
    comparisons at once: each is widened by the ratio of the normal quantiles at levels
    1 - (1 - confidence) / k and confidence, for k comparisons.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn_fairprune import PrunedClassifier, audit, compare_reports
    >>> X, y = load_iris(return_X_y=True)
    >>> options = {"sensitive_features": X[:, 0] > 6, "n_boot": 200, "min_group_size": 1}
    >>> half = PrunedClassifier(sparsity=0.5, random_state=0).fit(X, y)
    >>> few = PrunedClassifier(sparsity=0.98, random_state=0).fit(X, y)
    >>> reports = [audit({"net": net}, X, y, **options) for net in (half, few)]
    >>> table = compare_reports(*reports)
    >>> table[table["measure"] == "loss"]["verdict"].tolist()
    ['worse', 'worse', 'worse']
    """
    sides = [_measures(first, "first"), _measures(second, "second")]
    both = sides[0].merge(sides[1], on=KEYS, how="outer", indicator="where", sort=False)
    if not (both["where"] == "both").any():
        raise ValueError(
            "The two reports have no model and group in common: A has "
            f"{_named(first)}, B has {_named(second)}."
        )
    values = [
        [both[f"{side}{end}"].to_numpy() for end in ("", "_low", "_high")]
        for side in ("first", "second")
    ]
    both["change"] = values[1][0] - values[0][0]
    wider = _factor(first.about["confidence"], int((both["where"] == "both").sum()))
    low, high = difference_interval(tuple(values[0]), tuple(values[1]))
    both["change_low"] = low = both["change"] - wider * (both["change"] - low)
    both["change_high"] = high = both["change"] + wider * (high - both["change"])
    known = second.measures | first.measures
    better = both["measure"].map({name: m.better for name, m in known.items()})
    judged = change_verdicts(both["change"].to_numpy(), low, high, better.to_numpy())
    both["verdict"] = np.select(
        [both["where"] == "left_only", both["where"] == "right_only"],
        [Change.ONLY_IN_A, Change.ONLY_IN_B],
        judged,
    )
    both = both.drop(columns="where")
    weighted = ["effective_rows" in report.about for report in (first, second)]
    if weighted[0] != weighted[1]:
        a, b = ("weighted" if one else "not weighted" for one in weighted)
        both.attrs["notes"] = [
            f"Rows of A are {a} and those of B {b}: they stand for other populations, and a "
            "change may be that of the weights."
        ]
    return both


def _factor(confidence, n_compared):
    """How much wider an interval is that shall hold for many comparisons at once."""
    tail = (1 - confidence) / 2
    return stats.norm.isf(tail / n_compared) / stats.norm.isf(tail)


def _measures(report, name):
    frame = report.to_frame()
    judged = [k for k, m in report.measures.items() if m.interval and m.better]
    frame = frame[frame["measure"].isin(judged)]
    renamed = {"value": name, "low": f"{name}_low", "high": f"{name}_high"}
    return frame.rename(columns=renamed)[[*KEYS, *renamed.values()]]


def _named(report):
    return f"{list(report.overall.index)} by {list(report.by_feature)}"


def comparison_as_text(compared: pd.DataFrame) -> str:
    """Write a comparison for a terminal, sure changes first.

    Parameters
    ----------
    compared : DataFrame
        From `compare_reports`.

    Returns
    -------
    text : str
    """
    counts = compared["verdict"].value_counts()
    out = [
        "From A to B: "
        + ", ".join(f"{counts[v]} {v}" for v in counts.index)
        + f" of {len(compared)} measures of models and groups."
    ]
    for verdict in (Change.WORSE, Change.BETTER, Change.ONLY_IN_A, Change.ONLY_IN_B):
        rows = compared[compared["verdict"] == verdict]
        if not len(rows):
            continue
        lines = [_line(row) for _, row in rows.iterrows()]
        out += ["", verdict[0].upper() + verdict[1:]]
        out += table(["  model", "group", "measure", "A", "B", "change B - A"], lines)
    if not {Change.WORSE, Change.BETTER} & set(counts.index):
        out += ["", "Nothing became surely better or worse."]
    out += [
        "",
        "Intervals of changes hold for all measures at once, and take the audits as "
        "independent: on the same rows they are too wide.",
        *compared.attrs.get("notes", []),
    ]
    return "\n".join(out)


def _line(row):
    name = row["measure"]  # of the shelf, or a metric that the reports were given
    measure = MEASURES.get(name) or Measure(with_interval, name.replace("_", " "))
    who = f"{row['feature']}: {row['group']}" if row["group"] else f"by {row['feature']}"
    options = measure.format | {"sign": ""}
    numbers = [with_interval(row, side, **options) for side in ("first", "second")]
    change = with_interval(row, "change", **options | {"sign": "+"})
    return [f"  {row['model']}", who, measure.heading, *numbers, change]
