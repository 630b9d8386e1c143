"""Outcomes of all models on held-out rows in groups, and their bootstrap samples."""

import copy
from functools import cached_property
from typing import Any

import numpy as np
import torch

from ..functional.groups import excessive_loss, group_means
from ..statistics import intervals
from ..statistics.worst import Worst, group_limits, worst_group


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

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        Rows of each group.
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
    ) -> None:
        self.losses, self.correct, self.y, self.groups = losses, correct, y, groups
        self.predicted, self.m = predicted, n_groups
        self.positive, self.whole, self.scored = positive, False, scored
        self.confidence, self.n_boot, self.least_rows = confidence, n_boot, least_rows
        self.sizes = np.bincount(groups, minlength=n_groups)
        codes, values = torch.as_tensor(groups), torch.as_tensor(losses)
        self.loss = group_means(values, codes, n_groups).numpy()
        self.excess = np.stack(
            [
                excessive_loss(values[:, 0], values[:, k], codes, n_groups).numpy()
                for k in range(losses.shape[1])
            ],
            axis=1,
        )
        samples = intervals.bootstrap_group_means(losses, groups, n_groups, n_boot, rng)
        self.loss_samples = samples
        self.excess_samples = samples - samples[:, :, :1]
        if totals is None:
            self._resample_totals(rng)
        else:
            self.total_loss_samples = totals.total_loss_samples
            if correct is not None:
                self.balanced, self.balanced_samples = totals.balanced, totals.balanced_samples

    def _resample_totals(self, rng):
        """Bootstrap over all rows: mean losses, and the recall of every class."""
        n_models, columns = self.losses.shape[1], [self.losses]
        if self.correct is not None:
            classes, codes = np.unique(self.y, return_inverse=True)
            member = np.eye(len(classes))[codes]
            columns += [member] + [member * right[:, None] for right in self.correct.T]
        one = np.zeros(len(self.y), dtype=np.int64)
        means = intervals.bootstrap_group_means(
            np.column_stack(columns), one, 1, self.n_boot, rng
        )[:, 0]
        self.total_loss_samples = means[:, :n_models]
        if self.correct is not None:
            shares = means[:, n_models:].reshape(self.n_boot, n_models + 1, -1)
            with np.errstate(invalid="ignore", divide="ignore"):
                recall = shares[:, 1:] / shares[:, :1]
            recall[~np.isfinite(recall)] = np.nan  # the sample lacks the class
            self.balanced_samples = np.nanmean(recall, axis=2)
            recall = member.T @ self.correct / member.sum(axis=0)[:, None]
            self.balanced = recall.mean(axis=0)

    @cached_property
    def together(self) -> "HeldOut":
        """The same rows as one group."""
        whole = copy.copy(self)
        whole.groups, whole.m, whole.whole = np.zeros_like(self.groups), 1, True
        whole.sizes = np.array([len(self.y)])
        whole.loss = np.array([[column.mean() for column in self.losses.T]])
        whole.excess = whole.loss - whole.loss[:, :1]
        whole.loss_samples = self.total_loss_samples[:, None]
        whole.excess_samples = whole.loss_samples - whole.loss_samples[:, :, :1]
        return whole

    def count(self, chosen: np.ndarray) -> np.ndarray:
        """Rows of each group that are chosen.

        Parameters
        ----------
        chosen : bool ndarray of shape (n,)
            Which.

        Returns
        -------
        counts : int ndarray of shape (m,)
        """
        return np.bincount(self.groups[chosen], minlength=self.m)

    def right(self, k: int) -> np.ndarray:
        """Rows of each group that model k predicts right."""
        return np.bincount(self.groups, weights=self.correct[:, k], minlength=self.m)

    def proportions(
        self, successes: np.ndarray, trials: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Exact limits of the share of each group's rows that are successes.

        Parameters
        ----------
        successes : ndarray of shape (m,)
            Their numbers.
        trials : ndarray of shape (m,), default=None
            Among how many of the rows; None is all.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        pairs = zip(successes, self.sizes if trials is None else trials, strict=True)
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

    def paired_differences(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Limits of the dense model's share of right rows minus that of model k.

        Parameters
        ----------
        k : int
            Position of the model; the dense one has no difference to itself.

        Returns
        -------
        low, high : ndarray of shape (m,)
        """
        if k == 0:
            return np.zeros(self.m), np.zeros(self.m)
        limits = []
        for a in range(self.m):
            first, second = self.correct[self.groups == a][:, [0, k]].T > 0
            cells = [first & second, first & ~second, ~first & second, ~first & ~second]
            both, one, other, none = (int(cell.sum()) for cell in cells)
            limits.append(
                intervals.paired_difference_interval(both, one, other, none, self.confidence)
            )
        low, high = np.transpose(limits)
        return low, high

    @property
    def compared(self) -> np.ndarray:
        """Groups that spreads are over: those of enough rows, or all if that leaves one."""
        enough = self.sizes >= self.least_rows
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
        return group_limits(values, self.groups, self.m, self.confidence)

    def worst(self, values: np.ndarray) -> Worst:
        """Group with the largest mean of row values, of those with enough rows."""
        least, level = self.least_rows, self.confidence
        return worst_group(values, self.groups, self.m, least_rows=least, confidence=level)
