"""Performance and limits for groups of persons: what a technical documentation asks for."""

from collections.abc import Iterator
from typing import Any

from ..measurement.audited import Audited
from ..measurement.groups import group_names, rows_that_count
from ..measurement.measures import MEASURES, by_unit, payments, performances
from ..measurement.negligible import negligible_words
from ..measurement.verdicts import broken_models
from ..statistics.broken import CAUTION, SAYS_BROKEN
from .markdown import cost_section, escaped, markdown_table
from .text import effective_column, rows_told

BLANK = "*To be filled in by the author:"
UNCOVERED = (
    "Other data: the numbers are about rows like those that were held out, and nobody else.",
    "Drift: people and data change, and the numbers do not follow; measure again.",
    "Rows that depend on each other, such as several of one person or household: the "
    "intervals take rows as independent, and would be too narrow.",
    "The randomness of training: another training of the same model may cost other groups.",
    "Groups that the data do not name, and parts of the groups that they do.",
    "What follows from a prediction: who is harmed by a wrong one, how much, and who notices.",
)


def as_model_card(report: Audited) -> str:
    """Return the section on performance and limits of a technical documentation.

    Parameters
    ----------
    report : AuditReport
        What to write.

    Returns
    -------
    text : str
        Markdown; what a report cannot know is left open, in words that say so.
    """
    about = report.about
    level = f"{100 * about['confidence']:g} %"
    known = any(m.needs_loss for m in performances(report.overall).values())
    loss = f"; loss is {escaped(about['loss'])}" if known else ""
    out = [
        "## Performance and limits for groups of persons",
        "",
        "Written along point 3 of Annex IV of Regulation (EU) 2024/1689. It holds what an "
        "audit measured and leaves open what it cannot know; whether that is enough is for "
        "the author to judge, not for this text.",
        "",
        f"{BLANK} intended purpose, and the persons and groups on which the system is meant "
        "to be used.*",
        "",
        "### Overall accuracy",
        "",
        f"On {rows_told(about)} of {escaped(about.get('data', 'the data'))}, with "
        f"{level} intervals over these rows{loss}.",
        "",
        *_overall(report),
        "",
        f"{BLANK} the level of accuracy that the intended purpose needs.*",
    ]
    for feature, audited in report.by_feature.items():
        out += ["", f"### Accuracy by {escaped(feature)}", "", *_groups(audited)]
        out += ["", *_findings(audited)]
    if len(report.sizes):
        out += ["", "### Size and speed of the networks", "", *cost_section(report)]
    out += ["", "### Foreseeable limits and sources of risk", "", *_limits(report)]
    out += [
        "",
        f"{BLANK} risks to health, safety and fundamental rights in the intended use, and "
        "what is done about them.*",
        "",
        "### Human oversight",
        "",
        f"{BLANK} who oversees the predictions, with which means, and when they step in.*",
        "",
        "### What was measured",
        "",
        *_digests(report),
    ]
    return "\n".join(out) + "\n"


def _findings(audited):
    if not audited.findings:
        return ["One model only: nothing to compare it with."]
    told = [*audited.findings, *filter(None, [negligible_words(audited)])]
    first = "What pruning changed, and who pays most, as far as the rows can tell:"
    return [first, "", *(f"- {escaped(line)}" for line in told)]


def _overall(report):
    measures = performances(report.overall)
    header = ["model", "sparsity", *(measure.heading for measure in measures.values())]
    lines = []
    for model, row in report.overall.iterrows():
        sparsity = "n/a" if row["sparsity"] != row["sparsity"] else f"{row['sparsity']:.3g}"
        cells = [measure.write(row, name) for name, measure in measures.items()]
        lines.append([model, sparsity, *cells])
    return markdown_table(header, lines)


def _groups(audited):
    """A row per pruned model and group: dense, pruned, the change, and how many got worse."""
    table, names = audited.by_group, group_names(audited.by_group)
    both = {k: m for k, m in MEASURES.items() if m.by_group and m.overall and k in table}
    name, measure = next(iter(by_unit(both).items()))
    paid = {k: m for k, m in payments().items() if k in table}
    dense, *pruned = audited.overall.index
    worth = effective_column(table)
    header = ["model", audited.grouped_by, "rows", *worth]
    if pruned:
        header += [f"{measure.heading}, {which}" for which in ("dense", "pruned")]
        header += [m.heading for m in paid.values()]
        header += ["changed for worse, for better"] if len(audited.changes) else []
    else:
        header.append(measure.heading)
    lines = []
    for model in pruned or [dense]:
        for label, row in table.loc[[model]].iterrows():
            first = table.loc[[(dense, *label[1:])]].iloc[0]
            few = rows_that_count(row) < audited.about["min_group_size"]
            cells = [measure.write(first, name), measure.write(row, name)]
            cells += [m.write(row, k) for k, m in paid.items()]
            cells += _moved(audited, label)
            count = f"{int(row['rows'])}{' (too few to compare)' if few else ''}"
            counts = [count, *(write(row) for write in worth.values())]
            cells = cells if pruned else cells[:1]
            lines.append([model, names[label[1:]], *counts, *cells])
    return markdown_table(header, lines)


def _moved(audited, label):
    """Predictions that became worse and better, in a list; regressors have none."""
    if not len(audited.changes):
        return []
    row = audited.changes.loc[[label]].iloc[0]
    return [f"{int(row['harmed'])}, {int(row['helped'])} of {int(row['rows'])}"]


def _limits(report) -> Iterator[str]:
    notes = [note for audited in report.by_feature.values() for note in audited.notes]
    notes = list(dict.fromkeys(notes))
    for model in broken_models(report.overall):
        own = [note for note in notes if note.startswith(f"{model} ") and SAYS_BROKEN in note]
        for note in sorted(own, key=len)[
            :-1
        ]:  # of one grouping it may tell more than of another
            notes.remove(note)
    for note in notes:
        yield f"- {escaped(note)}"
    if broken_models(report.overall):
        yield f"- {escaped(CAUTION)}"
    yield (
        "- A group whose predictions become worse more often is more often decided about "
        "wrongly: a source of discrimination, also where overall accuracy hardly moves."
    )
    least = report.about["min_group_size"]
    tables = [audited.by_group for audited in report.by_feature.values()]
    if any((rows_that_count(table) < least).any() for table in tables):
        rows = rows_that_count(tables[0]).name.replace("_", " ")
        yield f"- Of groups of fewer than {least} {rows} next to nothing is known."
    if "effective_rows" in report.about:
        yield (
            "- Rows count by the weights that were given; intervals do not know of the strata "
            "and clusters of a survey, nor how the weights were estimated."
        )
    yield "- Not covered by the numbers above:"
    yield from (f"    - {line}" for line in UNCOVERED)


def _digests(report: Any) -> Iterator[str]:
    about, known = report.about, report.overall.iloc[1:].get("finetune_epochs", [])
    epochs = sorted({int(n) for n in known if n == n}) or about.get("finetune_epochs")
    epochs = ", ".join(map(str, epochs)) if isinstance(epochs, list) else epochs
    training = "not recorded" if epochs is None else f"{escaped(epochs)} epochs of fine-tuning"
    if len(report.overall) > 1:
        yield f"- Recovery after pruning: {training}."
    weights = ", with their weights" if "effective_rows" in about else ""
    yield f"- Rows{weights}: SHA-256 {about.get('rows_sha256', 'not recorded')}."
    networks = dict(report.sizes.get("sha256", {}))
    digests = {name: f"SHA-256 {digest}" for name, digest in networks.items()}
    given = about.get("predictions_sha256", {})
    digests |= {name: f"SHA-256 of its predictions {digest}" for name, digest in given.items()}
    for model in report.overall.index:
        digest = digests.get(model, "SHA-256 not recorded: no network inside")
        yield f"- {escaped(model)}: {digest}."
    yield f"- Bootstrap samples and seed: {about.get('n_boot')}, {about.get('random_state')}."
