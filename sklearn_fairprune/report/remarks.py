"""What a diagnosis says in words: who pays, and what a reader must know."""

import math

import numpy as np

from ..measurement.groups import group_label
from ..measurement.verdicts import payer_sentence
from ..statistics.worst import top_group


def who_pays_most(means, table, labels):
    """Say who pays most, measured and predicted, if the intervals can tell."""
    if len(labels) == 1:
        return ["One group only, nothing to compare."]
    said = {
        "excessive_loss": "excessive loss",
        "masked_excessive_loss": "excessive loss before fine-tuning",
        "second_order": "second-order estimate R2",
    }
    sentences = []
    for name, what in said.items():
        if name in table:
            top = top_group(
                table[name], means.samples[name], table["rows_used"], means.confidence
            )
            size = table["rows_used"][top[0]]
            sentence = payer_sentence(labels[top[0]], size, table[name][top[0]], top, what)
            sentences.append(("Predicted: " if name == "second_order" else "") + sentence)
    order = np.argsort(-table["second_order"], kind="stable")
    ranked = " > ".join(
        f"{group_label(labels[a])} ({table['second_order'][a]:+.3g})" for a in order
    )
    return [*sentences, f"Predicted order of harm, by R2: {ranked}."]


def notes_on_dense(evidence, table, labels):
    """What a reader must know of the numbers."""
    notes, used = [], table["rows_used"]
    unsure = [
        f"{group_label(label)} (residual {residual:.2g})"
        for label, residual, converged in zip(
            labels, table["eigenvalue_residual"], table["eigenvalue_converged"], strict=True
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
    if single := [group_label(v) for v, n in zip(labels, used, strict=True) if n == 1]:
        notes.append(
            f"Groups of one row have no intervals and are left out of the rank correlations: "
            f"{', '.join(single)}."
        )
    if _predicts_one_class(evidence):
        notes.append("The dense network predicts one class only: it is broken.")
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


def too_few_groups(explanations, n_groups, confidence):
    """Say that so few groups cannot earn the word "explains"."""
    tested = explanations.groupby(level="damage").size().max()
    if tested / math.factorial(n_groups) < 1 - confidence - 1e-9:
        return []
    return [
        f"{n_groups} groups are too few to say that a quantity explains who pays: a perfect "
        "rank correlation would still be chance."
    ]


def notes_on_bounds(few, sizes, unsure):
    """What a reader must know of the right sides of Proposition 2 and Theorem 2."""
    notes = []
    used = np.array([len(group) for group in few])
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
