"""The reports as plain text."""

from collections.abc import Sequence
from typing import Any

from ..measurement.groups import group_names
from ..measurement.measures import leading, sections, shown
from ..measurement.negligible import negligible_words


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
        f"In brackets: {level} intervals over the {report.about['rows']} held-out rows.",
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
    if report.findings:
        out += ["", "Who pays", *(f"- {line}" for line in report.findings)]
    if words := negligible_words(report):
        out += ["", words]
    if report.notes:
        out += ["", "Take care", *(f"- {line}" for line in report.notes)]
    return "\n".join(out)


def section_title(report: Any, section: str) -> str:
    """Title of a table below the first one, such as "Rates by sex (positive class: yes)"."""
    rates = any(m.one_class for m in shown(report.overall, report.measures, section).values())
    positive = f" (positive class: {report.about['positive_class']})" if rates else ""
    return f"{section} by {report.grouped_by}{positive}"


def _of_groups(report, measures):
    """Lines of a table of the groups, model by model."""
    header = [f"  {report.grouped_by}", "rows", *(m.heading for m in measures.values())]
    lines: list[list[Any]] = []
    starts, groups = [], group_names(report.by_group)
    for model in report.overall.index:
        starts.append(len(lines))
        for label, row in report.by_group.loc[[model]].iterrows():
            cells = (measure.write(row, name) for name, measure in measures.items())
            lines.append([f"  {groups[label[1:]]}", int(row["rows"]), *cells])
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
