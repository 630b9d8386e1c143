"""Metrics of the user as measures, with bootstrap samples.

They belong to the report they were given for, which keeps what is known of them in its
``about``, so that a report that is read again shows them without the functions.
"""

import warnings
import weakref
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from ..statistics.intervals import gap_interval
from .answers import Answers
from .held_out import HeldOut
from .metric_functions import Metric
from .records import Measure, Measured

METRICS = "Metrics"
MOST_SAMPLES = 200
KEPT = ("title", "about", "unit", "better", "section", "meaning")


class Resampled:
    """Values of a metric under every model, with bootstrap samples drawn within the groups.

    Parameters
    ----------
    name : str
        Of the metric.
    metric : Metric
        What is computed.
    answers : sequence of Answers
        Of every model.
    n_boot, random_state : int
        Samples and where they come from; the same rows are drawn for every model and metric.
    """

    def __init__(
        self,
        name: str,
        metric: Metric,
        answers: Sequence[Answers],
        n_boot: int,
        random_state: int,
    ) -> None:
        self.name, self.answers = name, answers
        self.metric = metric.told(answers[0].positive)
        self.n_boot, self.random_state = n_boot, random_state
        self._known: Any = weakref.WeakKeyDictionary()
        self._whole: dict[int, Any] = {}

    def of(self, rows: HeldOut, k: int) -> tuple[np.ndarray, np.ndarray, list[str]]:
        """Values of the groups under model k, their samples, and what is to be said of each.

        Parameters
        ----------
        rows : HeldOut
            Held-out rows in groups.
        k : int
            Position of the model.

        Returns
        -------
        values : ndarray of shape (m,)
            NaN where the metric raises an error or is no finite number.
        samples : ndarray of shape (n_boot, m)
        reasons : list of str
            Empty where there is nothing to say.
        """
        known = self._whole if rows.whole else self._known.setdefault(rows, {})
        if k not in known:
            found = [self._group(rows, a, k) for a in range(rows.m)]
            values, samples, reasons = zip(*found, strict=True)
            known[k] = np.array(values), np.column_stack(samples), list(reasons)
        return known[k]

    def _group(self, rows, a, k):
        members = np.flatnonzero(rows.groups == a)
        value, reason = self._value(k, members)
        samples = np.full(self.n_boot, np.nan)
        if np.isnan(value) or len(members) < 2:
            return value, samples, reason
        rng = np.random.default_rng([self.random_state, a])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for b in range(self.n_boot):
                drawn = members[rng.integers(len(members), size=len(members))]
                samples[b] = self._sample(k, drawn)
        return value, samples, reason

    def _value(self, k, rows):
        """Value on some rows, and what is to be said of it."""
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            try:
                found = self.metric.of(self.answers[k], rows)
            except Exception as error:
                return np.nan, _first_line(f"{type(error).__name__}: {error}")
        value = self._number(found)
        undefined = [w for w in told if issubclass(w.category, UndefinedMetricWarning)]
        if undefined:
            return value, _first_line(f"{undefined[0].message}")
        return value, "" if np.isfinite(value) else f"it is {found}"

    def _sample(self, k, rows):
        try:
            return self._number(self.metric.of(self.answers[k], rows))
        except Exception:
            return np.nan

    def _number(self, found):
        """One number; infinite ones are unknown."""
        try:
            (value,) = np.asarray(found, dtype=float).reshape(-1)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"metrics[{self.name!r}] must return one number, got "
                f"{type(found).__name__}{np.shape(found) or ''}. Wrap it in a function that "
                "takes one of them."
            ) from error
        return float(value) if np.isfinite(value) else np.nan

    def values(self, rows: HeldOut, k: int) -> Measured:
        """Value of each group, with the percentile limits that its samples give.

        Parameters
        ----------
        rows : HeldOut
            Held-out rows in groups.
        k : int
            Position of the model.

        Returns
        -------
        values, low, high : ndarray of shape (m,)
            The limits are NaN where half of the samples have no value, or all have the same.
        """
        values, samples, _ = self.of(rows, k)
        return values, *self._limits(samples, rows.confidence)

    def drop(self, rows: HeldOut, k: int) -> Measured:
        """Value of each group under the dense model minus that under model k, with limits.

        Parameters
        ----------
        rows : HeldOut
            Held-out rows in groups.
        k : int
            Position of the model.

        Returns
        -------
        drops, low, high : ndarray of shape (m,)
            The same rows are drawn for both models; limits are unknown as those of `values`.
        """
        (dense, of_dense, _), (values, samples, _) = self.of(rows, 0), self.of(rows, k)
        if k == 0:
            return (dense - dense,) * 3
        return dense - values, *self._limits(of_dense - samples, rows.confidence)

    def _limits(self, samples, confidence):
        """Percentile limits of samples of shape (n_boot, m)."""
        tail = (1 - confidence) / 2
        low, high = np.full((2, samples.shape[1]), np.nan)
        for a, column in enumerate(samples.T):
            known = column[np.isfinite(column)]
            if len(known) >= max(self.n_boot / 2, 1) and np.ptp(known) > 0:
                low[a], high[a] = np.quantile(known, [tail, 1 - tail])
        return low, high

    def difference(self, rows: HeldOut, k: int) -> Measured:
        """Largest difference between two groups of enough rows, of those that have a value.

        Parameters
        ----------
        rows : HeldOut
            Held-out rows in groups.
        k : int
            Position of the model.

        Returns
        -------
        gap, low, high : float
            The limits are NaN where half of the samples have no value, or all have the same.
        """
        values, samples, _ = self.of(rows, k)
        known = rows.compared & np.isfinite(values)
        if rows.m == 1:
            return 0.0, 0.0, 0.0
        if known.sum() < 2:
            return np.nan, np.nan, np.nan
        values, samples = values[known], samples[:, known]
        samples = samples[np.isfinite(samples).all(axis=1)]
        gap = float(np.ptp(values))
        if len(samples) < max(self.n_boot / 2, 1) or not np.ptp(samples, axis=0).any():
            return gap, np.nan, np.nan
        return gap, *gap_interval(samples, values, rows.confidence)


def _first_line(text):
    line = " ".join(text.split("\n")[0].split())
    return line if len(line) <= 200 else f"{line[:197]}..."


def metric_records(metrics: Mapping[str, Metric]) -> dict[str, Measure]:
    """Records of the metrics and of their differences between groups, without functions.

    Parameters
    ----------
    metrics : mapping of str to Metric
        From `check_metrics`.

    Returns
    -------
    measures : dict of str to Measure
        Each metric, followed by its difference.
    """
    records: dict[str, Measure] = {}
    for name, metric in metrics.items():
        own = Measure(_gone, metric.title, about="both", better=metric.better, section=METRICS)
        title = f"{metric.title} difference"
        gap = Measure(_gone, title, about="disparity", section=METRICS)
        records |= {name: own, f"{name}_difference": gap}
    return records


def metric_measures(
    metrics: Mapping[str, Metric],
    answers: Sequence[Answers],
    n_boot: int,
    random_state: int,
) -> tuple[dict[str, Measure], list[Resampled]]:
    """Measures of the metrics and of their differences between groups.

    Parameters
    ----------
    metrics : mapping of str to Metric
        From `check_metrics`.
    answers : sequence of Answers
        Of every model.
    n_boot, random_state : int
        Of the audit; at most 200 samples are drawn.

    Returns
    -------
    measures : dict of str to Measure
    resampled : list of Resampled
        What they read.
    """
    measures, resampled = metric_records(metrics), []
    for name, metric in metrics.items():
        one = Resampled(name, metric, answers, min(n_boot, MOST_SAMPLES), random_state)
        resampled.append(one)
        for key, function in ((name, one.values), (f"{name}_difference", one.difference)):
            measures[key] = replace(measures[key], function=function)
    return measures, resampled


def metric_notes(
    resampled: Sequence[Resampled], rows: HeldOut, texts: Sequence[str], models: Sequence[str]
) -> Iterator[str]:
    """Say of every metric where it is unknown or doubtful, and why.

    Parameters
    ----------
    resampled : sequence of Resampled
        From `metric_measures`.
    rows : HeldOut
        Held-out rows in groups.
    texts, models : sequence of str
        Names of the groups and of the models.

    Yields
    ------
    note : str
    """
    for one in resampled:
        told: dict[tuple[str, bool, str], list[str]] = {}
        for k, model in enumerate(models):
            for part, names in ((rows, [*texts]), (rows.together, ["all rows"])):
                values, _, reasons = one.of(part, k)
                for value, reason, group in zip(values, reasons, names, strict=True):
                    if reason:
                        told.setdefault((group, bool(np.isnan(value)), reason), []).append(
                            model
                        )
        merged: dict[tuple[tuple[str, ...], bool, str], list[str]] = {}
        for (group, unknown, reason), where in told.items():
            merged.setdefault((tuple(where), unknown, reason), []).append(group)
        for (which, unknown, reason), groups in merged.items():
            every = "every model" if len(which) == len(models) else ", ".join(which)
            is_so = "is unknown for" if unknown else "is in doubt for"
            yield f"{one.name} {is_so} {', '.join(groups)} in {every}: {reason.rstrip('.')}."


def notes_on_unweighted(resampled: Sequence[Resampled]) -> list[str]:
    """Name the metrics that do not know of the weights of the rows, as no or one note.

    Parameters
    ----------
    resampled : sequence of Resampled
        From `metric_measures`.

    Returns
    -------
    notes : list of str
    """
    names = [
        one.name
        for one in resampled
        if one.answers[0].weights is not None and not one.metric.takes_weights
    ]
    if not names:
        return []
    has, each = ("has", "it counts") if len(names) == 1 else ("have", "they count")
    return [
        f"Not weighted: {', '.join(names)} {has} no parameter sample_weight, so {each} every "
        "row once, unlike the rest of the report."
    ]


def descriptors(measures: Mapping[str, Measure]) -> dict[str, dict[str, Any]]:
    """What a report keeps of the measures of its metrics, as plain values."""
    return {k: {key: getattr(m, key) for key in KEPT} for k, m in measures.items()}


def measures_of(about: Mapping[str, Any]) -> dict[str, Measure]:
    """Measures of the metrics that a report was given, as far as they are known without them.

    Parameters
    ----------
    about : mapping
        Of the report.

    Returns
    -------
    measures : dict of str to Measure
        To be shown; their functions are gone.

    Raises
    ------
    TypeError, ValueError
        If it is not what `descriptors` gave.
    """
    return {k: Measure(_gone, **known) for k, known in about.get("metrics", {}).items()}


def _gone(rows, k):
    """Say that a report that is read again has no functions."""
    raise TypeError("This metric was measured when the report was made; audit again with it.")
