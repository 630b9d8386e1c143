"""What the charts of the page draw: the numbers of a report as plain values."""

import math

from ...measurement.groups import group_names
from ...measurement.measures import MEASURES, shown_in
from ...measurement.verdicts import broken_models
from ..summary import group_order, lead_model


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
    overall, useless = report.overall, broken_models(report.overall)
    return {
        "models": [
            {
                "name": str(model),
                "sparsity": _number(row["sparsity"]),
                "broken": model in useless,
            }
            for model, row in overall.iterrows()
        ],
        "measures": _axes(shown_in(report.by_group)),
        "disparities": _axes(shown_in(overall, disparity=True)),
        "quality": _quality(overall),
        "detail": overall.index.tolist().index(lead_model(report)),
        "features": [_feature(name, part) for name, part in report.by_feature.items()],
        "layers": _layers(report.layers, overall.index),
        "training": _training(report.training),
        "confidence": report.about["confidence"],
    }


def _axes(measures):
    """What a measure is called, and what its numbers are multiplied with."""
    return [
        {
            "id": name,
            "name": measure.label[:1].upper() + measure.label[1:],
            "axis": measure.axis(),
            "scale": measure.scale,
        }
        for name, measure in measures.items()
    ]


def _quality(overall):
    """Measure that the trade-off sets the disparity against."""
    name = "accuracy" if "accuracy" in overall else "loss"
    measure = MEASURES[name]
    return {"id": name, "axis": f"overall {measure.axis()}", "scale": measure.scale}


def _feature(name, part):
    order = {model: k for k, model in enumerate(part.overall.index)}
    measures = shown_in(part.by_group)
    names = group_names(part.by_group)
    totals = shown_in(part.overall)
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
