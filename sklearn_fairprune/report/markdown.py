"""The audit report as a section of a model card."""

import html
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from ..measurement import measures as shelf
from ..measurement.audited import Audited
from ..measurement.groups import group_names
from ..measurement.measures import sections, shown
from ..measurement.negligible import negligible_words
from ..measurement.payers import Payer, leading
from .costs import cost_tables, cost_words
from .text import effective_column, rows_told, section_title


def as_markdown(report: Audited) -> str:
    """Return a report as Markdown; names of groups and models cannot break it.

    Parameters
    ----------
    report : AuditReport
        What to write.

    Returns
    -------
    text : str
    """
    about = report.about
    out = [
        "## What pruning costs each group",
        "",
        f"{escaped(about.get('data', 'Data'))}: {rows_told(about)}; in brackets "
        f"{100 * about['confidence']:g} % intervals over these rows. {_compared(report)}",
    ]
    for feature, audited in report.by_feature.items():
        out += ["", f"### By {escaped(feature)}", ""]
        out += [*_overall(audited), "", *_groups(audited, "")]
        out += ["", *(f"- {escaped(line)}" for line in audited.findings)]
        if words := negligible_words(audited):
            out += ["", escaped(words)]
        for section in sections(audited.measures, audited.by_group, audited.overall):
            out += ["", f"#### {escaped(section_title(audited, section))}", ""]
            out += _section(audited, section)
    if len(report.sizes):
        out += ["", "### Sparsity, size and speed", "", *cost_section(report)]
    notes = dict.fromkeys(n for audited in report.by_feature.values() for n in audited.notes)
    if notes:
        out += ["", "### Take care", "", *(f"- {escaped(line)}" for line in notes)]
    return "\n".join(out) + "\n"


def cost_section(report: Audited) -> list[str]:
    """Tables and sentences on what the networks of a report cost.

    Parameters
    ----------
    report : AuditReport
        That has ``sizes``.

    Returns
    -------
    lines : list of str
    """
    out: list[str] = []
    for one in cost_tables(report):
        out += [*markdown_table(one.header, one.rows), "", escaped(one.caption), ""]
    return (
        out[:-1]
        + [""] * bool(cost_words(report))
        + [f"- {escaped(line)}" for line in cost_words(report)]
    )


def _compared(report):
    dense = escaped(report.about["dense_model"])
    if len(report.overall) == 1:
        return f"There is one model only, {dense}: nothing to compare it with."
    return f"The first model, {dense}, is the one the others are compared with."


def _overall(audited):
    measures = shelf.leading(audited.overall, audited.measures)
    header = ["model", "sparsity", *(m.heading for m in measures.values()), "who pays most"]
    lines = []
    for model, row in audited.overall.iterrows():
        cells = [measure.write(row, name) for name, measure in measures.items()]
        sparsity = "n/a" if pd.isna(row["sparsity"]) else f"{row['sparsity']:.3g}"
        lines.append([model, sparsity, *cells, _payer(audited.payers, model)])
    return markdown_table(header, lines)


def _payer(payers, model):
    if not len(payers) or model not in payers.index.levels[0]:
        return "-"
    row = leading(payers, model)
    if row["verdict"] in (Payer.PAYS_MOST, Payer.ONE_OF):
        return f"{row['possible']} (by {row['by']})"
    return row["verdict"]


def _section(audited, section):
    """Tables of a section: of the groups, of all rows with the differences."""
    out = []
    if shown(audited.by_group, audited.measures, section):
        out += [*_groups(audited, section), ""]
    measures = shown(audited.overall, audited.measures, section)
    measures = {name: measure for name, measure in measures.items() if not measure.leads}
    lines = [
        [model, *(measure.write(row, name) for name, measure in measures.items())]
        for model, row in audited.overall.iterrows()
    ]
    out += (
        markdown_table(["model", *(m.heading for m in measures.values())], lines)
        if measures
        else []
    )
    return out


def _groups(audited, section):
    measures = shown(audited.by_group, audited.measures, section)
    names = group_names(audited.by_group)
    worth = effective_column(audited.by_group)
    header = ["model", audited.grouped_by, "rows", *worth]
    header += [measure.heading for measure in measures.values()]
    lines = [
        [
            label[0],
            names[label[1:]],
            int(row["rows"]),
            *(write(row) for write in worth.values()),
        ]
        + [measure.write(row, name) for name, measure in measures.items()]
        for label, row in audited.by_group.iterrows()
    ]
    return markdown_table(header, lines)


def markdown_table(header: Sequence[str], lines: Iterable[Sequence[Any]]) -> list[str]:
    """Lines of a table whose cells cannot break it.

    Parameters
    ----------
    header : sequence of str
        Titles of the columns.
    lines : iterable of sequence
        Cells of the rows.

    Returns
    -------
    lines : list of str
    """
    rule = "|" + " --- |" * len(header)
    rows = ["| " + " | ".join(map(escaped, line)) + " |" for line in [header, *lines]]
    return [rows[0], rule, *rows[1:]]


def escaped(value: Any) -> str:
    """Text that Markdown and HTML leave as it is."""
    text = html.escape(" ".join(str(value).split()), quote=False)
    return re.sub(r"([\\`*_\[\]|~#$])", r"\\\1", text)
