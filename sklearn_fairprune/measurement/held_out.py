"""What the audit measures for each model: columns by group and totals, with intervals."""

import numpy as np
import torch

from ..functional.groups import excessive_loss, group_means
from ..statistics import intervals
from ..statistics.worst import top_group


class HeldOut:
    """Outcomes of all models on the held-out rows, and what follows for model k.

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
    totals : HeldOut, default=None
        The same rows in other groups, whose samples over all rows are shared.

    Attributes
    ----------
    sizes : ndarray of shape (m,)
        Rows of each group.
    loss, excess : ndarray of shape (m, n_models)
        Group losses and excessive losses.
    loss_samples, excess_samples : ndarray of shape (n_boot, m, n_models)
        Their bootstrap samples, drawn within the groups.
    """

    def __init__(
        self, losses, correct, y, groups, n_groups, confidence, n_boot, rng, totals=None
    ):
        self.losses, self.correct, self.y, self.groups = losses, correct, y, groups
        self.m, self.confidence, self.n_boot = n_groups, confidence, n_boot
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

    def right(self, k):
        """Rows of every group that model k predicts right, or their weight."""
        return np.bincount(self.groups, weights=self.correct[:, k], minlength=self.m)

    def payer(self, k):
        """Group with the largest excessive loss; see `worst.top_group`."""
        return top_group(
            self.excess[:, k], self.excess_samples[:, :, k], self.sizes, self.confidence
        )

    def drop_limits(self, k):
        """Limits of every group's accuracy drop; the dense model has none to itself."""
        if k == 0:
            return np.zeros(self.m), np.zeros(self.m)
        limits = []
        for a in range(self.m):
            first, second = self.correct[self.groups == a][:, [0, k]].T > 0
            cells = [first & second, first & ~second, ~first & second, ~first & ~second]
            counts = (int(cell.sum()) for cell in cells)
            limits.append(intervals.paired_difference_interval(*counts, self.confidence))
        return np.transpose(limits)

    def proportion_limits(self, successes):
        """Limits of every group's proportion."""
        pairs = zip(successes, self.sizes, strict=True)
        return np.transpose([self.proportion(k, n) for k, n in pairs])

    def proportion(self, successes, n):
        """Limits of one proportion."""
        return intervals.proportion_interval(successes, n, self.confidence)

    def percentiles(self, samples):
        """Limits from bootstrap samples along the first axis."""
        return intervals.percentile_interval(samples, self.confidence)
