"""The kept results, and the numbers, intervals and verdicts that are made from them."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats
from tasks import FILES

HERE = Path(__file__).parent
RESULTS = HERE / "results"
HOLDS, FAILS, UNSURE = "holds", "does not hold", "cannot tell"
BROKEN = "broken"
LEAD = 0.1  # of what the dense network's balanced accuracy is above chance


@dataclass(frozen=True)
class Record:
    """Everything measured of one task with one seed.

    Parameters
    ----------
    about : dict
        Task, seed, settings, names of the groups, rows of each group in each part.
    cells : dict
        {"way; sparsity": {part: {"accuracy", "loss"}: one number a group}}; the network
        before pruning is "dense; 0".
    diagnoses : dict
        {"dense, way" or "pruned, way": {quantity: one number a group}}.
    """

    about: dict
    cells: dict
    diagnoses: dict

    def shares(self, part):
        """Share of each group in the rows of a part."""
        rows = np.array(self.about["rows"][part], dtype=float)
        return rows / rows.sum()

    def by_group(self, cell, part, what):
        """Group means: "accuracy", "loss", or "excessive_loss" against the dense network."""
        if what == "excessive_loss":
            found = [self.by_group(c, part, "loss") for c in (cell, "dense; 0")]
            return found[0] - found[1]
        return np.array(self.cells[cell][part][what])

    def value(self, cell, metric, part="test"):
        """One number of a cell.

        Parameters
        ----------
        cell : str
            "way; sparsity".
        metric : str
            "accuracy" of all rows, "balanced_accuracy", "worst_accuracy", "spread" of the
            groups' accuracies, "xi" of their excessive losses, "loss_gap" (largest loss of
            a group above the mean), "psi" (largest excess accuracy gap).
        part : str
            "train", "validation" or "test".
        """
        accuracy, shares = self.by_group(cell, part, "accuracy"), self.shares(part)
        if metric == "accuracy":
            return float(shares @ accuracy)
        if metric == "balanced_accuracy":
            return float(accuracy.mean())
        if metric == "worst_accuracy":
            return float(accuracy.min())
        if metric == "spread":
            return float(np.ptp(accuracy))
        if metric == "xi":
            return float(np.ptp(self.by_group(cell, part, "excessive_loss")))
        if metric == "loss_gap":
            loss = self.by_group(cell, part, "loss")
            return float((loss - shares @ loss).max())
        if metric == "psi":
            drop = self.by_group("dense; 0", part, "accuracy") - accuracy
            return float((drop - shares @ drop).max())
        raise KeyError(metric)

    def broken(self, cell, part="test"):
        """Whether hardly anything is left of a network: it is not fair, it is broken.

        Its balanced accuracy is above chance by less than `LEAD` of what that of the dense
        network is.
        """
        chance = 1 / len(self.shares(part))
        dense, left = (
            self.value(c, "balanced_accuracy", part) - chance for c in ("dense; 0", cell)
        )
        return left < LEAD * dense


def load(results=RESULTS):
    """Records of all tasks, in the order of the seeds: {task: [Record]}."""
    found = {}
    for task in FILES:
        paths = results.glob(f"{task}-*.json")
        records = [Record(**json.loads(p.read_text(encoding="utf-8"))) for p in paths]
        if records:
            found[task] = sorted(records, key=lambda r: r.about["seed"])
    return found


def having(records, *cells):
    """Those records that have all of some cells."""
    return [r for r in records if all(c in r.cells for c in cells)]


def mostly_broken(records, *cells):
    """Whether any of some cells is broken in at least half of the records."""
    return any(np.mean([r.broken(c) for r in records]) >= 0.5 for c in cells if records)


def interval(values, confidence=0.95):
    """Mean over the seeds with its Student interval.

    Returns
    -------
    mean, low, high : float
        NaN without a value; infinite limits with a single one.
    """
    values = np.asarray(values, dtype=float)
    if len(values) == 0 or np.isnan(values).any():
        return np.nan, np.nan, np.nan
    mean = float(values.mean())
    if len(values) == 1:
        return mean, -np.inf, np.inf
    width = stats.t.isf((1 - confidence) / 2, len(values) - 1) * stats.sem(values)
    return mean, float(mean - width), float(mean + width)


def judge(low, high, above=0.0):
    """Verdict on the statement that the true mean is above a bound.

    Returns
    -------
    verdict : str
        "holds" if the whole interval is above, "does not hold" if the whole interval is
        below, else "cannot tell".
    """
    if low > above:
        return HOLDS
    return FAILS if high < above else UNSURE


def judge_within(low, high, margin):
    """Verdict on the statement that the true mean is between -margin and margin."""
    if -margin < low and high < margin:
        return HOLDS
    return FAILS if high < -margin or low > margin else UNSURE


def rank_correlation(x, y):
    """Spearman's coefficient over the groups; NaN if all values of one are the same."""
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(stats.spearmanr(x, y).statistic)
