"""What a diagnosis found, in tables and in words: who pays, and what a reader must know."""

import math
from typing import Any

import numpy as np
import pandas as pd

from ..measurement.diagnosis import Evidence, GroupMeans
from ..measurement.formats import number, with_interval
from ..measurement.groups import distinct_labels
from ..measurement.payers import Told, payer_row, payer_sentence
from ..measurement.quantities import DENSE, PRUNED, Section, quantities
from ..statistics.broken import says_broken
from .report import Report
from .text import table


class DiagnosisReport(Report):
    """Result of `diagnose`.

    Parameters
    ----------
    by_group : DataFrame
        One row per group.
    explanations : DataFrame
        One row per quantity that may explain which groups pay.
    findings : list of str
        Who pays most, measured or predicted, and whether the data can tell.
    notes : list of str
        What a reader must know: eigenvalues that did not converge, rows left out.
    about : dict
        Sparsity, size of the displacement, gaps between the groups, settings.

    Attributes
    ----------
    by_group, explanations, findings, notes, about
        As above.
    """

    @property
    def _frames(self) -> tuple[str, ...]:
        return ("by_group", "explanations")

    def __init__(
        self,
        by_group: pd.DataFrame,
        explanations: pd.DataFrame,
        findings: list[str],
        notes: list[str],
        about: dict[str, Any],
    ) -> None:
        self.by_group, self.explanations = by_group, explanations
        self.findings, self.notes, self.about = findings, notes, about

    def __str__(self) -> str:
        """Tables, findings and notes as plain text."""
        return diagnosis_as_text(self)

    def __repr__(self) -> str:
        """Say how many groups there are, and at which sparsity."""
        return f"<DiagnosisReport of {len(self.by_group)} groups, {self.about['sparsity']:g}>"


def columns_of(frame: pd.DataFrame, *sections: Any) -> dict[str, tuple[str, dict[str, Any]]]:
    """Columns of a table: headings and how numbers are written, by name.

    Parameters
    ----------
    frame : DataFrame
        ``by_group`` of a diagnosis.
    *sections : Section
        Which quantities, in this order.

    Returns
    -------
    columns : dict of str to tuple of (str, dict)
        Those that the frame has.
    """
    return {
        name: quantity.column
        for name, quantity in quantities(*sections).items()
        if quantity.heading and name in frame
    }


def damages_of(frame: pd.DataFrame) -> dict[str, str]:
    """Headings of the damages that a table has, by name; the measured one first.

    Parameters
    ----------
    frame : DataFrame
        ``by_group`` of a diagnosis.

    Returns
    -------
    headings : dict of str to str
    """
    return {
        name: quantity.heading
        for name, quantity in quantities(Section.DAMAGE).items()
        if quantity.damage and name in frame
    }


def _group_table(frame, *sections):
    columns = columns_of(frame, *sections)
    header = [" & ".join(frame.index.names), "rows", *(title for title, _ in columns.values())]
    lines = [
        [
            text,
            int(row["rows"]),
            *(with_interval(row, k, **options) for k, (_, options) in columns.items()),
        ]
        for text, (_, row) in zip(distinct_labels(frame.index), frame.iterrows(), strict=True)
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


def diagnosis_as_text(report: DiagnosisReport) -> str:
    """Tables, findings and notes of a `DiagnosisReport`, for a terminal."""
    frame = report.by_group
    out = ["The dense network", *_group_table(frame, *DENSE)]
    if columns_of(frame, Section.BOUNDS):
        out += ["", "Bounds", *_group_table(frame, Section.BOUNDS)]
    if columns_of(frame, *PRUNED):
        title = f"What pruning to sparsity {report.about['sparsity']:g} does"
        out += ["", title, *_group_table(frame, *PRUNED)]
        out += _explanation_tables(report.explanations)
    level = f"{100 * report.about['confidence']:g}%"
    out += ["", f"In brackets: {level} bootstrap intervals over the rows."]
    for title, lines in (("Who pays", report.findings), ("Take care", report.notes)):
        if lines:
            out += ["", title, *(f"- {line}" for line in lines)]
    return "\n".join(out)


def who_pays_most(
    means: GroupMeans, table: pd.DataFrame, labels: Any, least_rows: int
) -> list[str]:
    """Say who pays most, measured and predicted, if the intervals can tell."""
    if len(labels) == 1:
        return ["One group only, nothing to compare."]
    sentences, texts = [], distinct_labels(labels)
    weights, unit = means.weights, "effective rows" if "effective_rows" in table else "rows"
    negligible = 0.01 * float(means.columns["dense_loss"] @ weights / weights.sum())
    for name, quantity in quantities(*PRUNED).items():
        if quantity.phrase and name in table:
            worst, limits = means.worst(name, least_rows), ("", "_low", "_high")
            values = pd.DataFrame({f"value{end}": table[f"{name}{end}"] for end in limits})
            told = Told(quantity.phrase, "", {"sign": "+"}, negligible)
            row = payer_row(worst, texts, means.sizes, values, told)
            others = np.flatnonzero(worst.eligible & ~worst.possible)
            sentence = payer_sentence(row, told, [texts[a] for a in others], least_rows, unit)
            predicted = "Predicted: " * (quantity.section is Section.PREDICTION)
            sentences.append(predicted + sentence)
    order = np.argsort(-table["second_order"], kind="stable")
    ranked = " > ".join(f"{texts[a]} ({table['second_order'][a]:+.3g})" for a in order)
    return [*sentences, f"Predicted order of harm, by R2: {ranked}."]


def notes_on_dense(evidence: Evidence, table: pd.DataFrame, labels: Any) -> list[str]:
    """What a reader must know of the numbers."""
    notes, used, texts = [], table["rows_used"], distinct_labels(labels)
    unsure = [
        f"{text} (residual {residual:.2g})"
        for text, residual, converged in zip(
            texts, table["eigenvalue_residual"], table["eigenvalue_converged"], strict=True
        )
        if not converged
    ]
    if unsure:
        notes.append(
            f"The largest eigenvalue did not converge for {', '.join(unsure)}: it is a lower "
            "bound. Raise max_products or tol, or use dtype='float64'."
        )
    if (used < table["rows"]).any():
        notes.append(
            f"At most {used.max()} rows of a group were used (max_samples). Intervals cover "
            "the drawing; the largest eigenvalue is biased upwards by few rows."
        )
    if single := [text for text, n in zip(texts, used, strict=True) if n == 1]:
        notes.append(
            f"Groups of one row have no intervals and are left out of the rank correlations: "
            f"{', '.join(single)}."
        )
    if _predicts_one_class(evidence):
        notes.append(says_broken("The dense network", "predicts one class only"))
    if evidence.predicted is not None and not evidence.dense.has_logits:
        notes.append(
            "The network's outputs are no probabilities: its own criterion is the loss, "
            "and closeness, margin and the bounds of Proposition 2 and Theorem 2 are left out."
        )
    if evidence.distance is None:
        notes.append(
            "The estimator is dense (sparsity 0), so nothing is said of damage. Give "
            "sparsity= to predict it."
        )
    return notes


def _predicts_one_class(evidence):
    """Whether the dense network predicts one class for rows of several."""
    predicted = evidence.predicted
    if predicted is None or len(np.unique(predicted)) > 1:
        return False
    return not evidence.columns["dense_accuracy"].all()


def too_few_groups(explanations: pd.DataFrame, n_groups: int, confidence: float) -> list[str]:
    """Say that so few groups cannot earn the word "explains"."""
    tested = explanations.groupby(level="damage").size().max()
    if tested / math.factorial(n_groups) < 1 - confidence - 1e-9:
        return []
    return [
        f"{n_groups} groups are too few to say that a quantity explains who pays: a perfect "
        "rank correlation would still be chance."
    ]


def notes_on_bounds(drawn: Any, sizes: np.ndarray, unsure: int) -> list[str]:
    """What a reader must know of the right sides of Proposition 2 and Theorem 2."""
    notes = []
    used = np.array([len(group) for group in drawn])
    if (used < sizes).any():
        notes.append(
            f"gradient_norm_bound and eigenvalue_bound are means over at most {used.max()} "
            "rows of a group (bound_samples); a bound holds for the rows it was taken over."
        )
    if unsure:
        notes.append(
            f"The spectral norm of a logit's Hessian did not converge in {unsure} rows: "
            "eigenvalue_bound may be too small. Raise max_products or tol."
        )
    return notes
