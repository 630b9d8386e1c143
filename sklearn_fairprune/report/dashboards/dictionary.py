"""The precomputed dictionary that the Responsible AI front end draws."""

import numpy as np

from ..report import _plain
from .costs import Costs, custom_metrics
from .known import METRICS, RATES, known_metrics, rate_limits


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
        self.one = np.zeros(len(held.y_true), dtype=np.int64)  # all rows are one group
        self.over_all = self._tables(self.one, 1)

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
        m = len(feature.labels)
        groups = self._tables(feature.codes, m)
        return [self._model(k, feature.codes, m, groups) for k in range(len(self.held.names))]

    def _level(self, m):
        """Level of one group's interval that makes all m hold at once."""
        return 1 - (1 - self.confidence) / m

    def _tables(self, codes, m):
        """Our metrics and, for regression, the absolute errors, over groups."""
        held, level = self.held, self._level(m)
        rng = np.random.default_rng(self.random_state)
        costs = Costs(held.losses, held.correct, codes, m, level, self.n_boot, rng)
        if held.kind != "regression":
            return costs, None
        errors = np.column_stack([np.abs(p - held.y_true) for p in held.y_pred])
        return costs, Costs(errors, None, codes, m, level, self.n_boot, rng)

    def _model(self, k, codes, m, groups):
        held = self.held
        known = known_metrics(held.kind, held.y_true, held.y_pred[k], codes)
        entries = {}
        for key in self.custom:
            total, _ = self.over_all[0].values(key, k)
            bins, _ = groups[0].values(key, k)
            entries[key] = self._entry(total[0], bins)
        for key in METRICS[held.kind]:
            entries[key] = self._entry(*known[key])
        for key, entry in entries.items():
            everywhere = self._limits(key, k, self.one, 1, self.over_all)
            if everywhere is not None:
                entry["bounds"] = everywhere[0]
                entry["binBounds"] = self._limits(key, k, codes, m, groups)
        return entries

    def _limits(self, key, k, codes, m, tables):
        """Intervals of one metric in each group; None if it has none."""
        costs, errors = tables
        if key in self.custom:
            _, limits = costs.values(key, k)
        elif key in RATES:
            truth, predicted = self.held.y_true, self.held.y_pred[k]
            limits = rate_limits(key, truth, predicted, codes, m, self._level(m))
        elif key in ("mean_squared_error", "root_mean_squared_error"):
            limits = np.array(costs.values("loss", k)[1])
            limits = limits if key == "mean_squared_error" else np.sqrt(np.maximum(limits, 0))
        elif key == "mean_absolute_error":
            _, limits = errors.values("loss", k)
        else:
            return None
        return [{"lower": _plain(low), "upper": _plain(high)} for low, high in limits]

    @staticmethod
    def _entry(total, bins):
        return {"global": _plain(total), "bins": [_plain(value) for value in bins]}
