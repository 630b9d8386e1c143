"""What the charts of the page draw: the numbers of a report as plain values."""

import math

from ..glance import broken_models, group_order, lead_model
from ..groups import group_names

MEASURES = {
    "accuracy": ("Accuracy", "accuracy, %", 100),
    "accuracy_drop": ("Accuracy drop", "accuracy drop against the dense model, points", 100),
    "excessive_loss": ("Excessive loss R", "excessive loss R against the dense model", 1),
    "loss": ("Loss J", "loss J", 1),
}
DISPARITIES = {
    "accuracy_spread": ("Accuracy spread", "accuracy spread between groups, points", 100),
    "fairness_violation": ("Fairness violation xi", "fairness violation xi", 1),
}


def page_payload(report):
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
    overall, useless = report.overall, broken_models(report)
    return {
        "models": [
            {
                "name": str(model),
                "sparsity": _number(row["sparsity"]),
                "broken": model in useless,
            }
            for model, row in overall.iterrows()
        ],
        "measures": _axes(MEASURES, report.by_group),
        "disparities": _axes(DISPARITIES, overall),
        "quality": _quality(overall),
        "detail": overall.index.tolist().index(lead_model(report)),
        "features": [_feature(name, part) for name, part in report.by_feature.items()],
        "layers": _layers(report.layers, overall.index),
        "training": _training(report.training),
        "confidence": report.about["confidence"],
    }


def _axes(shelf, table):
    return [
        {"id": name, "name": title, "axis": axis, "scale": scale}
        for name, (title, axis, scale) in shelf.items()
        if name in table
    ]


def _quality(overall):
    if "accuracy" in overall:
        return {"id": "accuracy", "axis": "overall accuracy, %", "scale": 100}
    return {"id": "loss", "axis": "overall loss J", "scale": 1}


def _feature(name, part):
    order = {model: k for k, model in enumerate(part.overall.index)}
    measures = [m for m in MEASURES if m in part.by_group]
    names = group_names(part.by_group)
    totals = [m for m in (*DISPARITIES, "accuracy", "loss") if m in part.overall]
    return {
        "name": name,
        "groups": group_order(part),
        "byGroup": [
            {
                "model": order[label[0]],
                "group": names[label[1:]],
                "rows": int(row["rows"]),
                **{m: _interval(row, m) for m in measures},
            }
            for label, row in part.by_group.iterrows()
        ],
        "overall": [
            {m: _interval(row, m) for m in totals} for _, row in part.overall.iterrows()
        ],
    }


def _interval(row, name):
    return [_number(row[key]) for key in (name, f"{name}_low", f"{name}_high")]


def _number(value):
    value = float(value)
    return float(f"{value:.6g}") if math.isfinite(value) else None


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
