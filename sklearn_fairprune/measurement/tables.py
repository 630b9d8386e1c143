"""The tables of an audit: outcomes of every model, measured group by group."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .._compat.warnings import warn
from ..estimators.sensitive import sensitive_columns
from ..statistics.worst import Worst, top_share
from .answers import answers_of
from .audited import Audited
from .budgets import budget_notes
from .changes import change_columns, changed_rows
from .digests import rows_digest
from .groups import (
    as_tuple,
    distinct_labels,
    feature_levels,
    group_label,
    group_rows,
    small_groups,
)
from .held_out import HeldOut
from .lacking import lacking_notes
from .latency import latency_table
from .measures import MEASURES, Measures, by_unit, payments
from .metric_functions import Metric, check_metrics
from .negligible import gather_retrained, negligible_of
from .outcomes import Outcomes, gather_outcomes
from .payers import Told, payer_row, payer_sentence, too_few_sentence
from .predictions import given_digests
from .records import Measure
from .recovered import recovery_notes
from .settings import Settings, check_settings
from .sizes import layer_table, notes_on_skipped, size_table
from .training import constraint_table, training_table
from .user_metrics import (
    Resampled,
    descriptors,
    metric_measures,
    metric_notes,
    notes_on_unweighted,
)
from .verdicts import broken_notes, flag_broken
from .weights import Given

LISTED = "They are listed, not compared: no verdict, spread or violation counts them."
NOT_ENOUGH = (
    "They are listed, not compared: no verdict counts them, and spreads are over all groups."
)


def feature_columns(sensitive_features: Any) -> dict[str, Any]:
    """Groupings of the rows: by all sensitive features, then by each of several.

    Parameters
    ----------
    sensitive_features : array-like or None
        As in `audit`.

    Returns
    -------
    groupings : dict of str to (dict of str to ndarray, or None)
        Columns by name; an intersection is named "race & sex". None are the classes.
    """
    if sensitive_features is None:
        return {"class": None}
    columns = sensitive_columns(sensitive_features)
    groupings = {group_label(tuple(columns)): columns}
    if len(columns) > 1:
        groupings |= {name: {name: column} for name, column in columns.items()}
    return groupings


def measure_models(
    models: Any, given: Given, settings: Settings, retrained: Any = None
) -> tuple[Audited, Outcomes]:
    """Measure models on held-out rows, for every way to group them.

    Parameters
    ----------
    models : dict of str to fitted estimator, or Bunch
        As in `audit`.
    given : Given
        Held-out rows, their groups and weights.
    settings : Settings
        How to measure.
    retrained : sequence of fitted estimator, default=None
        Dense networks of other seeds, as in `audit`.

    Returns
    -------
    audited : Audited
        For all sensitive features together, with those of each alone.
    outcomes : Outcomes

    Warns
    -----
    UserWarning
        Naming small groups; to the caller of the caller.
    """
    check_settings(settings, payments())
    metrics = check_metrics(settings.metrics)
    outcomes = gather_outcomes(models, given.X, given.y, given.sensitive_features, settings)
    networks = gather_retrained(
        retrained, outcomes, given.X, given.sensitive_features, settings
    )
    own, resampled = metrics_of(outcomes, given, metrics, settings)
    rated = given.sensitive_features is not None or settings.pos_label is not None
    rng = np.random.default_rng(settings.random_state)
    about = told_about(outcomes, given, settings, own)
    audited, small, rows = {}, [], None
    for feature, columns in feature_columns(given.sensitive_features).items():
        names, codes, labels = group_rows(columns, outcomes.y, outcomes.predicted is not None)
        names = feature_levels(names)
        rows = HeldOut(
            outcomes.losses,
            outcomes.correct,
            outcomes.y,
            codes,
            len(labels),
            settings.confidence,
            settings.n_boot,
            rng,
            predicted=outcomes.predicted,
            totals=rows,
            least_rows=settings.min_group_size,
            positive=outcomes.positive if rated else None,
            scored=not outcomes.labels_only,
            weights=given.weights,
        )
        texts = distinct_labels(labels)
        negligible = negligible_of(rows, networks, settings.negligible)
        amounts = {name: one["amount"] for name, one in negligible.items()}
        told = settings._replace(negligible=amounts)
        tables = grouped_tables(outcomes, rows, names, labels, told, own)
        tables["notes"] += metric_notes(resampled, rows, texts, list(outcomes.models))
        meaning = LISTED if sum(rows.enough) > 1 else NOT_ENOUGH
        worth = rows.effective if rows.weighted else None
        least = settings.min_group_size
        found = small_groups(texts, rows.sizes, least, meaning, worth)
        tables["notes"][:0] = found
        small.append(found)
        grouped = {"sensitive_features": names, "negligible": negligible}
        audited[feature] = tables | {"about": about | grouped}
    if small[0]:
        warn(small[0][0])
    first, *others = audited
    audited[first]["notes"] += [*outcomes.notes, *(networks.notes if networks else [])]
    sizes, of_costs = network_tables(outcomes.models, given.X, settings)
    audited[first]["notes"] += notes_on_skipped(outcomes.models)
    audited[first]["notes"] += recovery_notes(audited[first]["overall"], sizes["sizes"])
    audited[first]["notes"] += [*of_costs, *given.notes, *notes_on_unweighted(resampled)]
    alone = {feature: Audited(**audited[feature]) for feature in others}
    return Audited(**audited[first], **sizes, other_features=alone), outcomes


def told_about(
    outcomes: Outcomes, given: Given, settings: Settings, own: Measures
) -> dict[str, Any]:
    """What a report keeps of how it was measured, and of what, whatever the groups."""
    weights = () if given.weights is None else (given.weights,)
    about = {
        "confidence": settings.confidence,
        "min_group_size": settings.min_group_size,
        "n_boot": settings.n_boot,
        "random_state": settings.random_state,
        "rows": len(outcomes.y),
        "rows_sha256": rows_digest(given.X, outcomes.y, given.sensitive_features, *weights),
        "dense_model": next(iter(outcomes.models)),
        "loss": outcomes.loss_name,
    }
    about |= {"budgets": outcomes.budgets} if outcomes.budgets else {}
    about |= {"positive_class": outcomes.positive} if outcomes.positive is not None else {}
    about |= {"metrics": descriptors(own)} if own else {}
    digests = given_digests(outcomes.models)
    about |= {"predictions_sha256": digests} if digests else {}
    return about | given.about


def metrics_of(
    outcomes: Outcomes, given: Given, metrics: dict[str, Metric], settings: Settings
) -> tuple[Measures, list[Resampled]]:
    """Measures of the user's metrics, and what they read."""
    if not metrics:
        return {}, []
    answers = answers_of(
        outcomes.models.values(),
        given.X,
        outcomes.y,
        outcomes.answers,
        outcomes.predicted is not None,
        outcomes.positive,
        given.weights,
    )
    return metric_measures(metrics, answers, settings.n_boot, settings.random_state)


def grouped_tables(
    outcomes: Outcomes,
    rows: HeldOut,
    names: Sequence[str],
    labels: Any,
    settings: Settings,
    own: Measures,
) -> dict[str, Any]:
    """Tables, findings and notes for one way to group the rows, by name."""
    tables, totals, measures = [], [], MEASURES | own
    known = not np.isnan(outcomes.epochs).all()
    for k, sparsity in enumerate(outcomes.sparsities):
        counts, whole = rows_counted(rows), rows_counted(rows.together)
        tables.append(pd.DataFrame(counts | measure_groups(rows, k, measures)))
        first = {name: value.item() for name, value in whole.items()} | {"sparsity": sparsity}
        first |= {"finetune_epochs": outcomes.epochs[k]} if known else {}
        totals.append(first | measure_model(rows, k, measures))
    models = list(outcomes.models)
    overall = pd.DataFrame(totals, index=pd.Index(models, name="model"))
    overall = flag_broken(overall, outcomes.y, outcomes.predicted is not None, rows.weights)
    notes = broken_notes(overall, outcomes.predicted)
    amounts, about = settings.negligible or {}, {"budgets": outcomes.budgets}
    notes += budget_notes(rows, overall, about, distinct_labels(labels), amounts)
    payers, findings = who_pays(models, labels, rows, settings)
    changes, changed = changed_tables(outcomes, rows, names, labels)
    by_group = pd.concat(tables).set_index(group_index(models, names, labels))
    notes += lacking_notes(by_group, overall, measures, distinct_labels(labels))
    return {
        "by_group": by_group,
        "overall": overall.copy(),  # many columns in one block
        "payers": payers,
        "changes": changes,
        "changed_rows": changed,
        "findings": findings,
        "notes": notes,
    }


def rows_counted(rows: HeldOut) -> dict[str, np.ndarray]:
    """Rows of each group, and of weighted rows the effective ones and the share of weight."""
    if not rows.weighted:
        return {"rows": rows.sizes}
    more = {} if rows.whole else {"weight_share": rows.shares}
    return {"rows": rows.sizes, "effective_rows": rows.effective} | more


def measure_groups(
    rows: HeldOut, k: int, measures: Measures = MEASURES
) -> dict[str, np.ndarray]:
    """Measures of each group under model k, and their limits, as columns of a table.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    k : int
        Position of the model.
    measures : dict of str to Measure, default=MEASURES
        Of the audit.

    Returns
    -------
    columns : dict of str to ndarray of shape (m,)
    """
    columns: dict[str, np.ndarray] = {}
    for name, measure in by_unit(measures).items():
        if measure.by_group and measure.there_is(rows):
            columns |= measure.columns(name, rows, k)
    return columns


def measure_model(rows: HeldOut, k: int, measures: Measures = MEASURES) -> dict[str, float]:
    """Measures of model k over all rows and of its disparities, and their limits.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    k : int
        Position of the model.
    measures : dict of str to Measure, default=MEASURES
        Of the audit.

    Returns
    -------
    cells : dict of str to float
    """
    cells: dict[str, float] = {}
    for name, measure in by_unit(measures).items():
        if measure.overall and measure.there_is(rows):
            whole = rows if measure.disparity else rows.together
            cells |= measure.columns(name, whole, k)
    return {name: np.asarray(value).item() for name, value in cells.items()}


def group_index(models: Any, names: Sequence[str], labels: Any) -> pd.MultiIndex:
    """Index of a table with a row per model and group."""
    index = [(model, *as_tuple(label)) for model in models for label in labels]
    return pd.MultiIndex.from_tuples(index, names=["model", *names])


def who_pays(
    models: Any, labels: Any, rows: HeldOut, settings: Settings
) -> tuple[pd.DataFrame, list[str]]:
    """Table and findings: which group pays most in each pruned model, if one can tell.

    Told by each of `measures.payments`, of groups with enough rows; the others are named with
    their numbers.
    """
    table, findings, texts = {}, [], distinct_labels(labels)
    least, few = settings.min_group_size, ~rows.enough
    for k, name in enumerate(models):
        if k == 0:
            continue
        if rows.m == 1:
            findings.append(f"{name}: one group only, nothing to compare.")
            continue
        told_of, apart = [], []
        for key, measure in payments().items():
            if measure.there_is(rows):
                told, worst, values = told_payments(key, rows, k, settings)
                row = payer_row(worst, texts, rows.sizes, values, told)
                paid = measure.paid(rows, k) * rows.weights
                row |= few_rows(paid[rows.groups == worst.group], measure)
                others = np.flatnonzero(worst.eligible & ~worst.possible)
                sentence = payer_sentence(
                    row, told, [texts[a] for a in others], least, rows.unit
                )
                told_of.append(f"{name}, by {measure.told_by}: {sentence}")
                table[name, measure.told_by] = row | {"sentence": sentence}
                apart.append(too_few_sentence(texts, rows.sizes, values, few, told))
        findings += told_of if sum(~few) > 1 else []
        findings += [f"{name}: {apart[0]}"] if few.any() else []
    frame = pd.DataFrame.from_dict(table, orient="index")
    frame.index = pd.MultiIndex.from_tuples(table, names=["model", "by"]) if table else []
    return frame, findings


def few_rows(paid: np.ndarray, measure: Measure) -> dict[str, float]:
    """How much of what the payer pays comes from how many of its rows; of losses alone."""
    if not (measure.needs_loss and len(paid)):
        return {"top_share": np.nan, "top_rows": 0}
    part, n_top = top_share(paid)
    return {"top_share": part, "top_rows": n_top}


def told_payments(
    name: str, rows: HeldOut, k: int, settings: Settings
) -> tuple[Told, Worst, pd.DataFrame]:
    """How a measure of who pays is told, what it finds, and its values with limits."""
    measure = MEASURES[name]
    told = Told.of(measure, (settings.negligible or {})[name])
    values = pd.DataFrame(measure.columns("value", rows, k))
    return told, rows.worst(measure.paid(rows, k)), values


def changed_tables(
    outcomes: Outcomes, rows: HeldOut, names: Sequence[str], labels: Any
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Changed predictions of every pruned classifier by group, and the rows themselves."""
    pruned = list(outcomes.models)[1:]
    if outcomes.predicted is None or not pruned:
        return pd.DataFrame(), pd.DataFrame()
    tables, listed, dense = [], {}, outcomes.predicted[:, 0]
    for k, name in enumerate(pruned, start=1):
        moved = (dense, outcomes.predicted[:, k], outcomes.y, rows.groups)
        columns = change_columns(rows, k)
        tables.append(pd.DataFrame(columns))
        listed[name] = changed_rows(
            *moved, labels, names, columns["representation"], outcomes.row_names
        )
    changes = pd.concat(tables).set_index(group_index(pruned, names, labels))
    changed = pd.concat(listed, names=["model", None]).reset_index(level=1, drop=True)
    return changes, changed


def network_tables(
    models: dict[str, Any], X: Any, settings: Settings
) -> tuple[dict[str, Any], list[str]]:
    """Tables of networks and constrained training, and notes on what is unknown."""
    sizes, notes = size_table(models, X)
    latency, unmeasured = latency_table(models, X, settings.batches, settings.confidence)
    layers = {name: t for name, model in models.items() if len(t := layer_table(model))}
    tables = {
        "sizes": sizes,
        "latency": latency,
        "layers": pd.concat(layers, names=["model"]) if layers else pd.DataFrame(),
        "constraints": constraint_table(models),
        "training": training_table(models),
    }
    return tables, [*notes, *unmeasured]
