"""The reports as plain text."""

from ..measurement.formats import number, with_interval
from ..measurement.groups import group_label, group_names
from ..measurement.measures import shown

PER_CENT = {"scale": 100, "digits": 1}


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
    of_groups, of_models = shown(report.by_group), shown(report.overall)
    header = [f"  {report.grouped_by}", "rows", *(m.heading for m in of_groups.values())]
    lines, starts, groups = [], [], group_names(report.by_group)
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


DIAGNOSIS_COLUMNS = {
    "dense_accuracy": ("accuracy %", PER_CENT),
    "dense_loss": ("loss J", {}),
    "gradient_norm": ("gradient norm", {}),
    "largest_eigenvalue": ("largest eigenvalue", {"digits": 2}),
    "closeness": ("closeness s", {}),
    "margin": ("margin", {}),
}
BOUND_COLUMNS = {
    "gradient_norm_bound": ("of the gradient norm, Proposition 2", {}),
    "eigenvalue_bound": ("of the eigenvalue, Theorem 2", {"digits": 2}),
}
DAMAGE_COLUMNS = {
    "excessive_loss": ("R, fine-tuned", {"sign": "+"}),
    "masked_excessive_loss": ("R, masked only", {"sign": "+"}),
    "second_order": ("estimate R2", {"sign": "+"}),
    "theorem1_bound": ("bound, Theorem 1", {}),
}


def _group_table(frame, columns):
    columns = {k: v for k, v in columns.items() if k in frame}
    header = [" & ".join(frame.index.names), "rows", *(title for title, _ in columns.values())]
    lines = [
        [
            group_label(label),
            int(row["rows"]),
            *(with_interval(row, k, **options) for k, (_, options) in columns.items()),
        ]
        for label, row in frame.iterrows()
    ]
    return table(header, lines)


def _explanation_tables(frame):
    for damage, rows in frame.groupby(level="damage", sort=False):
        header = [f"{damage} against", "expected", "rank correlation", "p", "verdict"]
        lines = [
            [
                name,
                row["expected"],
                with_interval(row, "rank_correlation", digits=2, sign="+"),
                number(row["p_value"], 3),
                row["verdict"],
            ]
            for name, row in rows.droplevel("damage").iterrows()
        ]
        yield from ["", *table(header, lines)]


def diagnosis_as_text(report):
    """Tables, findings and notes of a `DiagnosisReport`, for a terminal."""
    out = ["The dense network", *_group_table(report.by_group, DIAGNOSIS_COLUMNS)]
    if "eigenvalue_bound" in report.by_group:
        out += ["", "Bounds", *_group_table(report.by_group, BOUND_COLUMNS)]
    if "second_order" in report.by_group:
        title = f"What pruning to sparsity {report.about['sparsity']:g} does"
        out += ["", title, *_group_table(report.by_group, DAMAGE_COLUMNS)]
        out += _explanation_tables(report.explanations)
    level = f"{100 * report.about['confidence']:g}%"
    out += ["", f"In brackets: {level} bootstrap intervals over the rows."]
    for title, lines in (("Who pays", report.findings), ("Take care", report.notes)):
        if lines:
            out += ["", title, *(f"- {line}" for line in lines)]
    return "\n".join(out)
