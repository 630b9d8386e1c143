"""The reports as plain text."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pandas as pd

from ..measurement.groups import group_names
from ..measurement.measures import leading, sections, shown
from ..measurement.negligible import negligible_words
from .costs import cost_tables, cost_words


def table(header: Sequence[str], lines: Any) -> Any:
    """Align columns: the first to the left, the others to the right."""
    widths = [max(len(str(row[k])) for row in [header, *lines]) for k in range(len(header))]
    return [
        "  ".join(
            str(cell).ljust(w) if k == 0 else str(cell).rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in [header, *lines]
    ]


def as_text(report: Any) -> str:
    """Tables, findings and notes of an `AuditReport`, for a terminal."""
    measures, level = report.measures, f"{100 * report.about['confidence']:g}%"
    of_groups = shown(report.by_group, measures, "")
    out = [*_of_groups(report, of_groups), ""]
    out += _of_models(report, leading(report.overall, measures), "all groups")
    out += [
        "",
        f"In brackets: {level} intervals over the {rows_told(report.about)}.",
    ]
    for section in sections(measures, report.by_group, report.overall):
        groups, models = (
            shown(t, measures, section) for t in (report.by_group, report.overall)
        )
        models = {k: m for k, m in models.items() if not m.leads}
        out += ["", section_title(report, section)]
        out += _of_groups(report, groups) if groups else []
        for what, disparity in (("all groups", False), ("between groups", True)):
            some = {k: m for k, m in models.items() if m.disparity is disparity}
            out += ["", *_of_models(report, some, what)] if some else []
    for one in cost_tables(report):
        out += ["", *table(["networks", *one.header[1:]], one.rows), "", one.caption]
    out += [f"- {line}" for line in cost_words(report)]
    if report.findings:
        out += ["", "Who pays", *(f"- {line}" for line in report.findings)]
    if words := negligible_words(report):
        out += ["", words]
    if report.notes:
        out += ["", "Take care", *(f"- {line}" for line in report.notes)]
    return "\n".join(out)


def rows_told(about: Mapping[str, Any]) -> str:
    """How many rows a report is about, such as "995 held-out rows (worth 612.3)"."""
    worth = about.get("effective_rows")
    told = f"{about['rows']} held-out rows"
    return told if worth is None else f"{told} (weighted: {worth:.1f} effective rows)"


def effective_column(by_group: pd.DataFrame) -> dict[str, Callable[[Any], str]]:
    """Column beside the rows if these are weighted: its heading, and what writes a cell."""
    if "effective_rows" not in by_group:
        return {}
    return {"effective": lambda row: f"{row['effective_rows']:.1f}"}


def section_title(report: Any, section: str) -> str:
    """Title of a table below the first one, such as "Rates by sex (positive class: yes)"."""
    rates = any(m.one_class for m in shown(report.overall, report.measures, section).values())
    positive = f" (positive class: {report.about['positive_class']})" if rates else ""
    return f"{section} by {report.grouped_by}{positive}"


def _of_groups(report, measures):
    """Lines of a table of the groups, model by model."""
    worth = effective_column(report.by_group)
    header = [f"  {report.grouped_by}", "rows", *worth]
    header += [measure.heading for measure in measures.values()]
    lines: list[list[Any]] = []
    starts, groups = [], group_names(report.by_group)
    for model in report.overall.index:
        starts.append(len(lines))
        for label, row in report.by_group.loc[[model]].iterrows():
            cells = (measure.write(row, name) for name, measure in measures.items())
            counts = [int(row["rows"]), *(write(row) for write in worth.values())]
            lines.append([f"  {groups[label[1:]]}", *counts, *cells])
    aligned = table(header, lines)
    out = [aligned[0]]
    for start, stop, model in zip(
        starts, [*starts[1:], len(lines)], report.overall.index, strict=True
    ):
        out += [str(model), *aligned[1 + start : 1 + stop]]
    return out


def _of_models(report, measures, what):
    """Lines of a table of the models."""
    lines = [
        [str(model), *(measure.write(row, name) for name, measure in measures.items())]
        for model, row in report.overall.iterrows()
    ]
    return table([what, *(m.heading for m in measures.values())], lines)
