"""What the charts of the page draw: the numbers of a report as plain values."""

import math
from typing import Any

from ...measurement.audited import Audited
from ...measurement.budgets import Budgets, along_path, budgets_in
from ...measurement.groups import group_names, rows_that_count
from ...measurement.measures import disparities, payments, performances, shown
from ...measurement.payers import Payer, leading
from ...measurement.verdicts import broken_models
from ...statistics.broken import CAUTION
from ..summary import group_order, lead_model


def page_payload(report: Audited) -> dict[str, Any]:
    """Return the numbers that the charts of the page draw.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    payload : dict
        Plain values only; unknown numbers are None.
    """
    overall, broken = report.overall, broken_models(report.overall)
    known, path = report.measures, along_path(overall, report.about)
    return {
        "models": [
            {
                "name": str(model),
                "sparsity": _number(row["sparsity"]),
                "broken": model in broken,
                "shorter": model not in path,
            }
            for model, row in overall.iterrows()
        ],
        "measures": _axes(shown(report.by_group, known)),
        "disparities": _axes(disparities(overall, known)),
        "quality": _quality(overall, known),
        "caution": CAUTION,
        "detail": overall.index.tolist().index(lead_model(report)),
        "features": [_feature(name, one) for name, one in report.by_feature.items()],
        "budgets": _budgets(report),
        "layers": _layers(report.layers, overall.index),
        "training": _training(report.training),
        "confidence": report.about["confidence"],
        "leastRows": report.about["min_group_size"],
        "rowsWord": rows_that_count(report.by_group).name.replace("_", " "),
    }


def _axes(measures):
    return [
        {"id": name, "name": _title(measure), "axis": measure.axis, "scale": measure.scale}
        for name, measure in sorted(measures.items(), key=lambda i: (i[1].section, i[0]))
    ]


def _title(measure):
    return measure.full_title[0].upper() + measure.full_title[1:]


def _quality(overall, known):
    name, measure = next(iter(performances(overall, known).items()))
    axis = f"overall {measure.axis}"
    return {"id": name, "axis": axis, "scale": measure.scale, "better": measure.better}


def _feature(name, audited):
    order = {model: k for k, model in enumerate(audited.overall.index)}
    names = group_names(audited.by_group)
    overall, known = audited.overall, audited.measures
    measures = sorted(shown(audited.by_group, known))
    totals = [*disparities(overall, known), *(m for m in measures if m in overall)]
    totals = dict.fromkeys([*totals, next(iter(performances(overall, known)))])
    return {
        "name": name,
        "groups": group_order(audited),
        "payers": [_payer(audited, model) for model in overall.index],
        "byGroup": [
            {
                "model": order[label[0]],
                "group": names[label[1:]],
                "rows": int(row["rows"]),
                "worth": _number(rows_that_count(row)),
                **{m: _interval(row, m) for m in measures},
            }
            for label, row in audited.by_group.iterrows()
        ],
        "overall": [{m: _interval(row, m) for m in totals} for _, row in overall.iterrows()],
    }


def _payer(audited, model):
    """Who pays in a model, by the measure that leads: what the forest is about."""
    told, known = audited.payers, payments()
    if not len(told) or model not in told.index.levels[0]:
        first = next(name for name in known if name in audited.by_group)
        nobody = {"group": "", "pays": False, "verdict": "", "negligible": None}
        return {"measure": first} | nobody
    row = leading(told, model)
    return {
        "measure": next(name for name, m in known.items() if m.told_by == row["by"]),
        "group": str(row["group"]),
        "pays": bool(row["verdict"] == Payer.PAYS_MOST),
        "verdict": str(row["verdict"]),
        "negligible": _number(row["negligible"]),
    }


def _interval(row, name):
    return [_number(row[key]) for key in (name, f"{name}_low", f"{name}_high")]


def _number(value):
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _budgets(report):
    """Positions of the models of one sparsity and several lengths of fine-tuning."""
    order = report.overall.index.tolist()
    return [
        {
            "title": one.title,
            "models": [order.index(model) for model in one.models],
            "epochs": one.epochs,
        }
        for one in several_budgets(report)
    ]


def several_budgets(report: Audited) -> list[Budgets]:
    """Sparsities of a report whose networks had fine-tunings of several lengths."""
    found = budgets_in(report.overall, report.about)
    return [one for one in found if len(one.models) > 1]


def _layers(layers, models):
    order = {model: k for k, model in enumerate(models)}
    return [
        {
            "model": order[model],
            "layer": str(layer),
            "shape": row["shape"],
            "weights": int(row["weights"]),
            "kept": int(row["kept"]),
            "sparsity": _number(row["sparsity"]),
        }
        for (model, layer), row in layers.iterrows()
    ]


def _training(training):
    columns = ["multiplier", "violation", "holdout_violation", "tolerance"]
    columns = [c for c in columns if c in training]
    return [
        {
            "model": str(model),
            "epoch": int(row["epoch"]),
            "stage": str(row["stage"]),
            "group": str(row["group"]),
            **{c: _number(row[c]) for c in columns},
        }
        for model, row in training.iterrows()
    ]
