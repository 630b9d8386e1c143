"""What the mitigation benchmarks measure of a model, overall and between groups."""

import numpy as np
from scipy import stats

# The fine-tuning that was the default when the kept results of older benchmarks were made.
SHORT = {
    "schedule": "one_shot",
    "recovery": "plain",
    "finetune_epochs": 5,
    "finetune_lr": "net",
}
# The multipliers that were the default when the kept results of older benchmarks were made.
PROJECTED = {"dual_update": "projected", "dual_lr": 0.3, "tolerance": 0.05}
FEWEST = 10  # held-out rows of a group, for it to count in the differences


def measure(model, dense, X, y, groups):
    """Accuracy and group gaps of a pruned classifier on some rows.

    Returns
    -------
    outcome : dict of str to float
        ``accuracy``, ``balanced_accuracy``, ``loss``; over the groups ``spread`` (of
        accuracies), ``xi`` (of excessive losses), ``psi`` (largest excess accuracy gap),
        ``violation`` (largest excess of a group's loss over the mean), ``worst_accuracy``
        and ``worst_loss``; ``one_class`` is 1 if it predicts one class only.
    """
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    counted = sizes >= FEWEST

    def by_group(values):
        return (np.bincount(codes, values, len(names)) / sizes)[counted]

    rows = np.arange(len(y))
    tiny = np.finfo(np.float64).tiny
    p, q = model.predict_proba(X), dense.predict_proba(X)
    loss, dense_loss = (-np.log(np.maximum(v[rows, y], tiny)) for v in (p, q))
    right, dense_right = ((v.argmax(axis=1) == y).astype(float) for v in (p, q))
    if hasattr(model, "correctness"):  # a randomised classifier: in expectation
        right = model.correctness(X, y)
    accuracy, excess = by_group(right), by_group(loss - dense_loss)
    drop = by_group(dense_right - right) - (dense_right - right).mean()
    return {
        "accuracy": right.mean(),
        "balanced_accuracy": np.mean([right[y == k].mean() for k in np.unique(y)]),
        "loss": loss.mean(),
        "spread": np.ptp(accuracy),
        "xi": np.ptp(excess),
        "psi": drop.max(),
        "violation": (by_group(loss) - loss.mean()).max(),
        "worst_accuracy": accuracy.min(),
        "worst_loss": by_group(loss).max(),
        "one_class": float(len(np.unique(p.argmax(axis=1))) == 1),
    }


def paired(values, base, confidence=0.95):
    """Mean of the differences over seeds, with its Student interval and p-value."""
    difference = np.asarray(values, dtype=float) - np.asarray(base, dtype=float)
    mean, n = float(difference.mean()), len(difference)
    if n < 2 or np.ptp(difference) == 0:
        return {"mean": mean, "low": mean, "high": mean, "p": float(mean == 0)}
    width = stats.t.isf((1 - confidence) / 2, n - 1) * stats.sem(difference)
    p = stats.ttest_1samp(difference, 0).pvalue
    return {
        "mean": mean,
        "low": float(mean - width),
        "high": float(mean + width),
        "p": float(p),
    }
