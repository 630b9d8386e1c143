"""The precomputed dictionary that the Responsible AI front end draws."""

import numpy as np

from ..report import _plain
from .costs import Costs, custom_metrics
from .known import known_metrics, rate_limits


class Held:
    """What all models did on the held-out rows.

    Parameters
    ----------
    names : list of str
        Names of the models, the dense one first.
    losses : ndarray of shape (n, n_models)
        Loss of every row.
    correct : bool ndarray of shape (n, n_models) or None
        Whether the class is right; None for regression.
    y_true : ndarray of shape (n,)
        Targets, classes as 0 and 1.
    y_pred : list of ndarray of shape (n,)
        Predictions, likewise.
    one_versus_rest : bool
        Whether there are more than two classes.
    """

    def __init__(self, names, losses, correct, y_true, y_pred, one_versus_rest):
        self.names, self.losses, self.correct = names, losses, correct
        self.y_true, self.y_pred, self.one_versus_rest = y_true, y_pred, one_versus_rest
        self.kind = "regression" if correct is None else "binaryClassification"


def dashboard_dictionary(held, features, confidence, n_boot, random_state):
    """Everything that the front end draws, as plain Python values.

    Parameters
    ----------
    held : Held
        Outcomes of the models.
    features : list of FeatureBins
        From `feature_bins`.
    confidence : float
        Level of the intervals over all rows, and of those of all groups at once.
    n_boot : int
        Bootstrap samples.
    random_state : int
        Of the bootstrap.

    Returns
    -------
    dictionary : dict
        Of schema "dashboardDictionary", version 0; unknown numbers are None.
    """
    custom = custom_metrics(held.correct is not None, held.names[0], held.one_versus_rest)
    metrics = Metrics(held, [c["id"] for c in custom], confidence, n_boot, random_state)
    return {
        "schemaType": "dashboardDictionary",
        "schemaVersion": 0,
        "predictionType": held.kind,
        "trueY": held.y_true.tolist(),
        "predictedY": [predicted.tolist() for predicted in held.y_pred],
        "modelNames": held.names,
        "precomputedFeatureBins": [
            {
                "featureBinName": feature.name,
                "binVector": feature.codes.tolist(),
                "binLabels": feature.labels,
            }
            for feature in features
        ],
        "precomputedMetrics": [metrics.of_feature(feature) for feature in features],
        "customMetrics": custom,
    }


class Metrics:
    """Entries of "precomputedMetrics".

    Parameters
    ----------
    held : Held
        Outcomes of the models.
    custom : list of str
        Ids of the custom metrics.
    confidence, n_boot, random_state
        See `dashboard_dictionary`.
    """

    def __init__(self, held, custom, confidence, n_boot, random_state):
        self.held, self.custom, self.confidence = held, custom, confidence
        self.n_boot, self.random_state = n_boot, random_state
        everyone = np.zeros(len(held.y_true), dtype=np.int64)
        self.over_all = self._measured(everyone, 1)

    def of_feature(self, feature):
        """Metrics over the groups of one feature.

        Parameters
        ----------
        feature : FeatureBins
            Its groups.

        Returns
        -------
        metrics : list of dict
            One of metric key to values per model.
        """
        pairs = zip(
            self.over_all, self._measured(feature.codes, len(feature.labels)), strict=True
        )
        return [
            {key: _entry(*total[key], *groups[key]) for key in groups}
            for total, groups in pairs
        ]

    def _measured(self, codes, m):
        """Values and intervals of all metrics of all models in each of m groups."""
        held, level = self.held, 1 - (1 - self.confidence) / m  # so that all m hold at once
        rng = np.random.default_rng(self.random_state)
        costs = Costs(held.losses, held.correct, codes, m, level, self.n_boot, rng)
        errors = None
        if held.kind == "regression":
            absolute = np.column_stack([np.abs(p - held.y_true) for p in held.y_pred])
            errors = Costs(absolute, None, codes, m, level, self.n_boot, rng)
        measured = []
        for k, predicted in enumerate(held.y_pred):
            values = {key: costs.values(key, k) for key in self.custom}
            known = known_metrics(held.kind, held.y_true, predicted, codes)
            if errors is None:
                limits = rate_limits(held.y_true, predicted, codes, m, level)
            else:
                squared = np.array(costs.values("loss", k)[1])
                limits = {
                    "mean_squared_error": squared,
                    "root_mean_squared_error": np.sqrt(np.maximum(squared, 0)),
                    "mean_absolute_error": errors.values("loss", k)[1],
                }
            values |= {key: (bins, limits.get(key)) for key, bins in known.items()}
            measured.append(values)
        return measured


def _entry(total, total_limits, bins, limits):
    """One metric of one model as the front end takes it; unknown numbers are None."""
    entry = {"global": _plain(total[0]), "bins": [_plain(value) for value in bins]}
    if limits is not None:
        entry["bounds"] = _bounds(*total_limits[0])
        entry["binBounds"] = [_bounds(low, high) for low, high in limits]
    return entry


def _bounds(low, high):
    return {"lower": _plain(low), "upper": _plain(high)}
