"""The precomputed dictionary that the Responsible AI front end draws."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ...measurement.held_out import HeldOut
from ...measurement.measures import loss
from ...measurement.rates import balanced_accuracy
from ...measurement.records import Measure
from ...statistics.intervals import bootstrap_group_means
from ..report import _plain
from .bins import FeatureBins
from .costs import custom_measures, custom_metrics
from .known import known_metrics, rate_limits


class Held:
    """What all models did on the held-out rows.

    Parameters
    ----------
    names : list of str
        Names of the models, the dense one first.
    losses : ndarray of shape (n, n_models)
        Loss of every row.
    y : ndarray of shape (n,)
        Targets.
    predicted : list of ndarray of shape (n,)
        Predictions.
    classes : ndarray or None
        All classes; None for regression.
    positive : object, default=None
        Class that counts as 1.

    Attributes
    ----------
    y_true, y_pred
        Targets and predictions, classes as 0 and 1.
    correct : ndarray of shape (n, n_models) or None
        1.0 where the class is right; None for regression.
    one_versus_rest : bool
        Whether there are more than two classes.
    """

    def __init__(
        self,
        names: Sequence[str],
        losses: np.ndarray,
        y: np.ndarray,
        predicted: Any,
        classes: Any,
        positive: Any = None,
    ) -> None:
        self.names, self.losses, self.y, self.predicted = names, losses, y, predicted
        self.kind, self.loss, self.correct = "regression", "squared error", None
        self.one_versus_rest, self.y_true, self.y_pred = False, y, predicted
        if classes is not None:
            self.kind, self.loss = "binaryClassification", "cross-entropy"
            self.correct = np.column_stack([p == y for p in predicted]).astype(float)
            self.one_versus_rest = len(classes) > 2
            self.y_true = (y == positive).astype(int)
            self.y_pred = [(labels == positive).astype(int) for labels in predicted]


def dashboard_dictionary(
    held: Held,
    features: list[FeatureBins],
    confidence: float,
    n_boot: int,
    random_state: Any,
    own: dict[str, Measure] | None = None,
) -> dict[str, Any]:
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
    own : dict of str to Measure, default=None
        Metrics of the user, from `metric_costs`.

    Returns
    -------
    dictionary : dict
        Of schema "dashboardDictionary", version 0; unknown numbers are None.
    """
    custom = custom_measures(held.correct is not None, held.one_versus_rest) | (own or {})
    metrics = Metrics(held, custom, confidence, n_boot, random_state)
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
        "customMetrics": custom_metrics(custom, held.names[0], held.loss),
    }


class Metrics:
    """Entries of "precomputedMetrics".

    Parameters
    ----------
    held : Held
        Outcomes of the models.
    custom : dict of str to Measure
        Those that become metrics, by id.
    confidence, n_boot, random_state
        See `dashboard_dictionary`.
    """

    def __init__(
        self, held: Held, custom: Any, confidence: float, n_boot: int, random_state: Any
    ) -> None:
        self.held, self.custom, self.confidence = held, custom, confidence
        self.n_boot, self.random_state = n_boot, random_state
        everyone = np.zeros(len(held.y), dtype=np.int64)
        self.totals = None
        self.totals, _ = self._rows(everyone, 1)
        self.over_all = self._measured(everyone, 1)

    def of_feature(self, feature: FeatureBins) -> list[dict[str, Any]]:
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

    def _rows(self, codes, m):
        """Rows in m groups, whose intervals hold for all of them at once; the generator."""
        held, level = self.held, 1 - (1 - self.confidence) / m
        rng = np.random.default_rng(self.random_state)
        data = held.losses, held.correct, held.y, codes, m, level, self.n_boot, rng
        predicted = None if held.correct is None else np.column_stack(held.predicted)
        return HeldOut(*data, predicted=predicted, totals=self.totals), rng

    @np.errstate(invalid="ignore")  # infinite losses have no interval
    def _measured(self, codes, m):
        """Values and intervals of all metrics of all models in each of m groups."""
        held, measured = self.held, []
        rows, rng = self._rows(codes, m)
        errors = None
        if held.correct is None:
            absolute = np.column_stack([np.abs(p - held.y) for p in held.predicted])
            errors = bootstrap_group_means(absolute, codes, m, self.n_boot, rng)
        for k, predicted in enumerate(held.y_pred):
            known = known_metrics(held.kind, held.y_true, predicted, codes)
            if errors is None:
                limits = rate_limits(held.y_true, predicted, codes, m, rows.confidence)
                if not held.one_versus_rest:
                    _, *both = balanced_accuracy(rows, k)
                    there = np.isfinite(known["balanced_accuracy_score"])
                    both = np.where(there, both, np.nan)
                    limits["balanced_accuracy_score"] = both.T
            else:
                _, *squared = loss(rows, k)
                limits = {
                    "mean_squared_error": np.transpose(squared),
                    "root_mean_squared_error": np.sqrt(np.transpose(squared)),
                    "mean_absolute_error": np.transpose(rows.percentiles(errors[:, :, k])),
                }
            measured.append(
                {key: _value(measure(rows, k)) for key, measure in self.custom.items()}
            )
            measured[k] |= {key: (bins, limits.get(key)) for key, bins in known.items()}
        return measured


def _value(measured):
    """Values and limits of a measure."""
    values, *limits = measured
    return values, np.transpose(limits)


def _entry(total, total_limits, bins, limits):
    """One metric of one model as the front end takes it; unknown numbers are None."""
    entry = {"global": _plain(total[0]), "bins": [_plain(value) for value in bins]}
    if limits is not None:
        entry["bounds"] = _bounds(*total_limits[0])
        entry["binBounds"] = [_bounds(low, high) for low, high in limits]
    return entry


def _bounds(low, high):
    return {"lower": _plain(low), "upper": _plain(high)}
