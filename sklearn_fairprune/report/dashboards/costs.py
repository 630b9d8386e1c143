"""What pruning costs, as metrics of the dashboard with names of our own."""

import numpy as np

from ...statistics.intervals import (
    bootstrap_group_means,
    paired_difference_interval,
    percentile_interval,
    proportion_interval,
)


def custom_metrics(classifies, dense, one_versus_rest):
    """Name and describe our metrics, in the order they are shown in.

    The dashboard calls the model with the lowest value of such a metric the best one, so
    lower must be better.

    Parameters
    ----------
    classifies : bool
        Whether the models are classifiers.
    dense : str
        Name of the dense model.
    one_versus_rest : bool
        Whether the dashboard's own metrics are about one of several classes.

    Returns
    -------
    metrics : list of dict
        With id, name and description.
    """
    what = "cross-entropy" if classifies else "squared error"
    shown = [
        (
            "excessive_loss",
            "Excessive loss",
            f"Loss ({what}) minus that of {dense!r}: the cost of pruning. 0 is none, more is "
            "worse.",
        ),
        ("loss", "Loss", f"Mean {what}. Lower is better."),
    ]
    if classifies:
        drop = f"Accuracy of {dense!r} minus that of the model. 0.05: five points lost."
        shown.insert(1, ("accuracy_drop", "Accuracy drop", drop))
    if one_versus_rest:
        whole = "Share of the rows whose class is wrong, among all classes. Lower is better."
        shown.append(("error_all_classes", "Error over all classes", whole))
    return [{"id": i, "name": n, "description": text} for i, n, text in shown]


class Costs:
    """Values and intervals of the custom metrics over one way to group the rows.

    Parameters
    ----------
    losses : ndarray of shape (n, n_models)
        Loss of every row, the dense model first.
    correct : bool ndarray of shape (n, n_models) or None
        Whether the class is right; None for regression.
    codes : int ndarray of shape (n,)
        Group of every row.
    m : int
        Number of groups.
    level : float
        Of each interval.
    n_boot : int
        Bootstrap samples, for the losses.
    rng : numpy.random.Generator
        Where they are drawn from.
    """

    def __init__(self, losses, correct, codes, m, level, n_boot, rng):
        self.correct, self.codes, self.m, self.level = correct, codes, m, level
        self.sizes = np.bincount(codes, minlength=m)
        self.loss = self._means(losses)
        with np.errstate(invalid="ignore"):  # infinite losses have no interval
            self.samples = bootstrap_group_means(losses, codes, m, n_boot, rng)

    def values(self, key, k):
        """Values of model k in each group, and their intervals.

        Parameters
        ----------
        key : str
            Id of a custom metric.
        k : int
            Position of the model.

        Returns
        -------
        values : ndarray of shape (m,)
        limits : list of (float, float)
        """
        return getattr(self, f"_{key}")(k)

    def _means(self, values):
        columns = (np.bincount(self.codes, weights=v, minlength=self.m) for v in values.T)
        return np.column_stack(list(columns)) / self.sizes[:, None]

    def _loss(self, k):
        return self.loss[:, k], self._percentiles(self.samples[:, :, k])

    def _excessive_loss(self, k):
        with np.errstate(invalid="ignore"):  # nor a difference
            excess = self.loss[:, k] - self.loss[:, 0]
            samples = self.samples[:, :, k] - self.samples[:, :, 0]
        return excess, self._percentiles(samples)

    def _accuracy_drop(self, k):
        accuracy = self._means(self.correct.astype(float))
        limits = (
            [(0.0, 0.0)] * self.m if k == 0 else [self._paired(k, a) for a in range(self.m)]
        )
        return accuracy[:, 0] - accuracy[:, k], limits

    def _error_all_classes(self, k):
        wrong = np.bincount(self.codes[~self.correct[:, k]], minlength=self.m)
        pairs = zip(wrong, self.sizes, strict=True)
        return wrong / self.sizes, [proportion_interval(*p, self.level) for p in pairs]

    def _paired(self, k, a):
        first, second = self.correct[self.codes == a][:, [0, k]].T
        cells = [first & second, first & ~second, ~first & second, ~first & ~second]
        return paired_difference_interval(*(int(c.sum()) for c in cells), self.level)

    def _percentiles(self, samples):
        return list(zip(*percentile_interval(samples, self.level), strict=True))
