"""The audit report as plain text."""

import numpy as np

from .groups import group_label, group_names


def _number(value, digits, sign=""):
    return "n/a" if value is None or np.isnan(value) else f"{value:{sign}.{digits}f}"


def with_interval(row, name, *, scale=1.0, digits=3, sign=""):
    """Format a value with its limits, for example ``90.3 [87.4, 92.8]``."""
    value, low, high = (
        _number(row[key] * scale, digits, sign)
        for key in (name, f"{name}_low", f"{name}_high")
    )
    return f"{value} [{low}, {high}]"


def payer_sentence(label, n_rows, excess, top, what, *, few=False):
    """Say whether a group pays most, or why the data cannot tell.

    Parameters
    ----------
    label : object
        The group with the largest value.
    n_rows : int
        Its rows.
    excess : float
        Its value.
    top : tuple of (int, float, float, float)
        From `intervals.top_group`.
    what : str
        Name of the value.
    few : bool, default=False
        Whether its rows are too few to name it.

    Returns
    -------
    sentence : str
    """
    _, distance, low, high = top
    who, loss = f"{group_label(label)} ({n_rows} rows)", f"{what} {excess:+.3f}"
    if np.isnan(low):
        return f"cannot tell who pays most. {who} has the largest {loss}, from one row."
    against = f"{distance:+.3f} against the others, interval [{low:+.3f}, {high:+.3f}]"
    verdict = payer_verdict(excess, low, few=few)
    if verdict == "no loss rose":
        return f"no group's loss rose; {who} gained least ({loss}; {against})."
    if verdict == "pays most":
        return f"{who} pays most: {loss}; {against}."
    why = "comes from too few rows" if low > 0 else "is too wide: it includes 0"
    return f"cannot tell who pays most. {who} has the largest {loss}; {against}, {why}."


def payer_verdict(excess, low, *, few=False):
    """Say in two or three words what is known of the group with the largest value.

    Parameters
    ----------
    excess : float
        Its value.
    low : float
        Lower limit of its distance to the others; NaN if unknown.
    few : bool, default=False
        Whether its rows are too few to name it.

    Returns
    -------
    verdict : {"pays most", "no loss rose", "cannot tell"}
    """
    if excess <= 0 and not np.isnan(low):
        return "no loss rose"
    return "pays most" if low > 0 and not few else "cannot tell"


PER_CENT = {"scale": 100, "digits": 1}
GROUP_COLUMNS = {
    "accuracy": ("accuracy %", PER_CENT),
    "loss": ("loss J", {}),
    "excessive_loss": ("excessive loss R", {"sign": "+"}),
    "accuracy_drop": ("accuracy drop, points", PER_CENT | {"sign": "+"}),
}
OVERALL_COLUMNS = {
    "accuracy": ("accuracy %", PER_CENT),
    "balanced_accuracy": ("balanced accuracy %", PER_CENT),
    "loss": ("loss J", {}),
    "fairness_violation": ("fairness violation xi", {}),
    "accuracy_spread": ("accuracy spread, points", PER_CENT),
}


def table(header, lines):
    """Align columns: the first to the left, the others to the right."""
    widths = [max(len(str(row[k])) for row in [header, *lines]) for k in range(len(header))]
    return [
        "  ".join(
            str(cell).ljust(w) if k == 0 else str(cell).rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *lines]
    ]


def as_text(report):
    """Tables, findings and notes of an `AuditReport`, for a terminal."""
    group_columns = {k: v for k, v in GROUP_COLUMNS.items() if k in report.by_group}
    overall_columns = {k: v for k, v in OVERALL_COLUMNS.items() if k in report.overall}
    names = report.by_group.index.names[1:]
    header = [" & ".join(names), "rows", *(title for title, _ in group_columns.values())]
    lines, starts, groups = [], [], group_names(report.by_group)
    for model in report.overall.index:
        starts.append(len(lines))
        for label, row in report.by_group.loc[[model]].iterrows():
            cells = (with_interval(row, k, **o) for k, (_, o) in group_columns.items())
            lines.append([f"  {groups[label[1:]]}", int(row["rows"]), *cells])
    aligned = table(["  " + header[0], *header[1:]], lines)
    out = [aligned[0]]
    for start, stop, model in zip(
        starts, [*starts[1:], len(lines)], report.overall.index, strict=True
    ):
        out += [str(model), *aligned[1 + start : 1 + stop]]
    overall = [
        [str(model), *(with_interval(row, k, **o) for k, (_, o) in overall_columns.items())]
        for model, row in report.overall.iterrows()
    ]
    out += ["", *table(["all groups", *(t for t, _ in overall_columns.values())], overall)]
    level = f"{100 * report.about['confidence']:g}%"
    out += [
        "",
        f"In brackets: {level} intervals over the {report.about['rows']} held-out rows.",
    ]
    out += ["", "Who pays", *(f"- {line}" for line in report.findings)]
    if report.notes:
        out += ["", "Take care", *(f"- {line}" for line in report.notes)]
    return "\n".join(out)
