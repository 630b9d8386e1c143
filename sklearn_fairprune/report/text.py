"""The reports as plain text."""

from collections.abc import Sequence
from typing import Any

from ..measurement.groups import group_names
from ..measurement.measures import shown


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
    of_groups, of_models = shown(report.by_group), shown(report.overall)
    header = [f"  {report.grouped_by}", "rows", *(m.heading for m in of_groups.values())]
    lines: list[list[Any]] = []
    starts, groups = [], group_names(report.by_group)
    for model in report.overall.index:
        starts.append(len(lines))
        for label, row in report.by_group.loc[[model]].iterrows():
            cells = (measure.write(row, name) for name, measure in of_groups.items())
            lines.append([f"  {groups[label[1:]]}", int(row["rows"]), *cells])
    aligned = table(header, lines)
    out = [aligned[0]]
    for start, stop, model in zip(
        starts, [*starts[1:], len(lines)], report.overall.index, strict=True
    ):
        out += [str(model), *aligned[1 + start : 1 + stop]]
    overall = [
        [str(model), *(measure.write(row, name) for name, measure in of_models.items())]
        for model, row in report.overall.iterrows()
    ]
    out += ["", *table(["all groups", *(m.heading for m in of_models.values())], overall)]
    level = f"{100 * report.about['confidence']:g}%"
    out += [
        "",
        f"In brackets: {level} intervals over the {report.about['rows']} held-out rows.",
    ]
    out += ["", "Who pays", *(f"- {line}" for line in report.findings)]
    if report.notes:
        out += ["", "Take care", *(f"- {line}" for line in report.notes)]
    return "\n".join(out)
