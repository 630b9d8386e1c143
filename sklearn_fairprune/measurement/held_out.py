"""Outcomes of all models on held-out rows in groups, and their bootstrap samples."""

import copy
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch

from ..functional.groups import group_means
from ..statistics import intervals
from ..statistics.weights import effective_rows, weighted_means
from ..statistics.worst import Worst, group_limits, worst_group


class Rate(NamedTuple):
    """A share of some rows of each group.

    Attributes
    ----------
    value : ndarray of shape (m,)
        Weighted share; NaN where it is of no rows.
    of : ndarray of shape (m,)
        Among how many rows, effective ones.
    """

    value: np.ndarray
    of: np.ndarray

    @property
    def hits(self) -> np.ndarray:
        """How many of these rows count, effective ones; 0 where there are none."""
        return np.where(self.of > 0, self.value, 0) * self.of


class HeldOut:
    """Outcomes of all models on the held-out rows in groups.

    Parameters
    ----------
    losses : ndarray of shape (n, n_models)
        Loss of every row, the dense model first.
    correct : ndarray of shape (n, n_models) or None
        1.0 where right, 0.0 where wrong; None for regression.
    y : ndarray of shape (n,)
        Targets.
    groups : int ndarray of shape (n,)
        Group codes.
    n_groups : int
        Number of groups m.
    confidence : float
        Level of the intervals.
    n_boot : int
        Bootstrap samples.
    rng : numpy.random.Generator
        Where they are drawn from.
    predicted : ndarray of shape (n, n_models), default=None
        Predicted labels; None for regression.
    totals : HeldOut, default=None
        The same rows in other groups, whose samples over all rows are shared.
    least_rows : int, default=0
        Groups of fewer rows are not compared.
    scored : bool, default=True
        Whether the losses are known; without probabilities they are not.
    positive : object, default=None
        Class that rates are about; None if there are none.
    weights : ndarray of shape (n,), default=None
        Row weights, above 0; None: all are equal. Every mean and share below is weighted, and
        every interval is that of the effective rows (`statistics.weights`).

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        Rows of each group.
    effective : ndarray of shape (m,)
        Effective rows of each group, Kish's number: the same if all weights are equal.
    shares : ndarray of shape (m,)
        Share of each group of the weight of all rows.
    weighted : bool
        Whether weights were given.
    loss, excess : ndarray of shape (m, n_models)
        Group losses and excessive losses.
    loss_samples, excess_samples : ndarray of shape (n_boot, m, n_models)
        Their bootstrap samples, drawn within the groups.
    balanced : ndarray of shape (n_models,)
        Mean recall of the classes over all rows; ``balanced_samples`` of shape
        (n_boot, n_models) are its samples. Classifiers only.
    together : HeldOut
        The same rows as one group.
    whole : bool
        Whether this is such a group of all rows.
    """

    def __init__(
        self,
        losses: np.ndarray,
        correct: Any,
        y: np.ndarray,
        groups: np.ndarray,
        n_groups: int,
        confidence: float,
        n_boot: int,
        rng: np.random.Generator,
        predicted: Any = None,
        totals: Any = None,
        least_rows: int = 0,
        positive: Any = None,
        scored: bool = True,
        weights: Any = None,
    ) -> None:
        self.losses, self.correct, self.y, self.groups = losses, correct, y, groups
        self.predicted, self.m = predicted, n_groups
        self.positive, self.whole, self.scored = positive, False, scored
        self.confidence, self.n_boot, self.least_rows = confidence, n_boot, least_rows
        self.weighted = weights is not None
        self.weights = np.ones(len(y)) if weights is None else weights
        self._count()
        mass = torch.as_tensor(self.weights)
        codes, values = torch.as_tensor(groups), torch.as_tensor(losses)
        self.loss = group_means(values, codes, n_groups, mass).numpy()
        self.excess = group_means(values - values[:, :1], codes, n_groups, mass).numpy()
        samples = intervals.bootstrap_group_means(
            losses, groups, n_groups, n_boot, rng, self.weights
        )
        self.loss_samples = samples
        self.excess_samples = samples - samples[:, :, :1]
        if totals is None:
            self._resample_totals(rng)
        else:
            self.total_loss_samples = totals.total_loss_samples
            if correct is not None:
                self.balanced, self.balanced_samples = totals.balanced, totals.balanced_samples

    def _count(self):
        """Count the rows of the groups, the effective ones, and their shares of the weight."""
        self.sizes = np.bincount(self.groups, minlength=self.m)
        self.effective = effective_rows(self.weights, self.groups, self.m)
        mass = np.bincount(self.groups, weights=self.weights, minlength=self.m)
        self.shares = mass / mass.sum()

    def _resample_totals(self, rng):
        """Bootstrap over all rows: mean losses, and the recall of every class."""
        n_models, columns = self.losses.shape[1], [self.losses]
        if self.correct is not None:
            classes, codes = np.unique(self.y, return_inverse=True)
            member = np.eye(len(classes))[codes]
            columns += [member] + [member * right[:, None] for right in self.correct.T]
        one = np.zeros(len(self.y), dtype=np.int64)
        means = intervals.bootstrap_group_means(
            np.column_stack(columns), one, 1, self.n_boot, rng, self.weights
        )[:, 0]
        self.total_loss_samples = means[:, :n_models]
        if self.correct is not None:
            shares = means[:, n_models:].reshape(self.n_boot, n_models + 1, -1)
            with np.errstate(invalid="ignore", divide="ignore"):
                recall = np.minimum(shares[:, 1:] / shares[:, :1], 1)  # rounding
            recall[~np.isfinite(recall)] = np.nan  # the sample lacks the class
            self.balanced_samples = np.nanmean(recall, axis=2)
            member *= self.weights[:, None]
            recall = member.T @ self.correct / member.sum(axis=0)[:, None]
            self.balanced = np.minimum(recall, 1).mean(axis=0)

    @cached_property
    def together(self) -> "HeldOut":
        """The same rows as one group."""
        whole = copy.copy(self)
        whole.groups, whole.m, whole.whole = np.zeros_like(self.groups), 1, True
        whole._count()
        whole.loss = np.average(self.losses, axis=0, weights=self.weights)[None]
        whole.excess = whole.loss - whole.loss[:, :1]
        whole.loss_samples = self.total_loss_samples[:, None]
        whole.excess_samples = whole.loss_samples - whole.loss_samples[:, :, :1]
        return whole

    def rate(self, chosen: np.ndarray, among: np.ndarray | None = None) -> Rate:
        """Share of each group's rows that are chosen.

        Parameters
        ----------
        chosen : bool ndarray of shape (n,)
            Which.
        among : bool ndarray of shape (n,), default=None
            Rows that it is a share of; None is all.

        Returns
        -------
        rate : Rate
        """
        inside = np.ones(len(chosen), dtype=bool) if among is None else among
        groups, weights = self.groups[inside], self.weights[inside]
        values = chosen[inside].astype(float)
        share = weighted_means(values, weights, groups, self.m)
        return Rate(share, effective_rows(weights, groups, self.m, values))

    def right(self, k: int) -> Rate:
        """Share of each group's rows that model k predicts right."""
        return self.rate(self.correct[:, k] > 0)

    def proportions(self, rate: Rate) -> tuple[np.ndarray, np.ndarray]:
        """Exact limits of a share of each group's rows.

        Parameters
        ----------
        rate : Rate
            From `rate`; one that is of no rows has the limits 0 and 1.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        pairs = zip(rate.hits, rate.of, strict=True)
        limits = [intervals.proportion_interval(k, n, self.confidence) for k, n in pairs]
        low, high = np.transpose(limits)
        return low, high

    def percentiles(self, samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Limits from bootstrap samples along the first axis.

        Parameters
        ----------
        samples : ndarray of shape (n_boot, ...)
            Such as columns of `loss_samples`.

        Returns
        -------
        low, high : ndarray of shape (...)
        """
        return intervals.percentile_interval(samples, self.confidence)

    def paired_differences(self, k: int, best: int = 0) -> tuple[np.ndarray, np.ndarray]:
        """Limits of one model's share of right rows minus that of model k.

        Parameters
        ----------
        k : int
            Position of the model; none has a difference to itself.
        best : int, default=0
            Position of the model that it is compared with, the dense one if not given.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        if k == best:
            return np.zeros(self.m), np.zeros(self.m)
        first, second = (self.correct[:, j] > 0 for j in (best, k))
        moved = self.harmed(k) - self.harmed(best)
        of = effective_rows(self.weights, self.groups, self.m, moved)
        cells = [first & second, first & ~second, ~first & second, ~first & ~second]
        counts = np.array([self.rate(cell).value for cell in cells]) * of
        limits = [
            intervals.paired_difference_interval(both, one, other, none, self.confidence)
            for both, one, other, none in counts.T
        ]
        low, high = np.transpose(limits)
        return low, high

    @property
    def unit(self) -> str:
        """What a group needs enough of, in words."""
        return "effective rows" if self.weighted else "rows"

    @property
    def enough(self) -> np.ndarray:
        """Groups of enough effective rows."""
        return self.effective >= self.least_rows

    @property
    def compared(self) -> np.ndarray:
        """Groups that spreads are over: those of enough rows, or all if that leaves one."""
        enough = self.enough
        return enough if enough.sum() > 1 else np.ones(self.m, dtype=bool)

    def lost(self, k: int) -> np.ndarray:
        """What each row loses under model k: its loss minus that under the dense model."""
        return self.losses[:, k] - self.losses[:, 0]

    def harmed(self, k: int) -> np.ndarray:
        """Each row's right prediction lost: 1, 0, or -1 where model k alone is right."""
        return self.correct[:, 0] - self.correct[:, k]

    def mean_limits(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the group means of row values; see `statistics.worst`.

        Parameters
        ----------
        values : ndarray of shape (n,)
            One number a row.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        return group_limits(values, self.groups, self.m, self.confidence, self.weights)

    def worst(self, values: np.ndarray) -> Worst:
        """Group with the largest mean of row values, of those with enough rows."""
        return worst_group(
            values,
            self.groups,
            self.m,
            least_rows=self.least_rows,
            confidence=self.confidence,
            weights=self.weights,
        )
