"""How often a group is said to pay most though all groups are alike.

Excessive losses of three groups are drawn from one distribution; the third group has few
rows. "pays most" is then false whenever it is said, of whichever group. The interval is to
name each group in at most 2.5 % / 3 of the reports, any of them in 2.5 %; a target is missed
where the exact interval of the share lies above it. Losses of which a few rows fall a lot and
most rise a little are the hard case: among few rows those that gain are easily missed.

Run: python benchmarks/sureness.py [--reports 400]
"""

import argparse

import numpy as np
import torch
from record import figure, planned, save
from scipy.stats import binomtest

from sklearn_fairprune.measurement.held_out import HeldOut

torch.set_num_threads(1)
NAME = "sureness"
PLAN = planned(NAME)
SIZES, LARGE = PLAN["sizes"], PLAN["large"]
DRAW = {
    "normal": lambda rng, n: rng.normal(size=n),
    "few rows lose a lot": lambda rng, n: rng.exponential(size=n) ** 2,
    "few rows gain a lot": lambda rng, n: -(rng.exponential(size=n) ** 2),
}


def named(draw, size, reports):
    """Reports in which each group is named, of groups that are alike."""
    rng, counts = np.random.default_rng(0), np.zeros(3, dtype=int)
    groups = np.repeat([0, 1, 2], [*LARGE, size])
    for _ in range(reports):
        losses = np.column_stack([np.zeros(len(groups)), draw(rng, len(groups))])
        rows = HeldOut(losses, None, groups, groups, 3, 0.95, 300, rng)
        group, _, low, _ = rows.payer(1)
        counts[group] += low > 0
    return counts


def share(what, count, reports, target):
    """Line of the summary: a share of the reports with its exact interval."""
    low, high = binomtest(int(count), reports).proportion_ci(0.95, "exact")
    unit = f"[{low:.4f}, {high:.4f}]"
    return figure(what, int(count) / reports, unit, f"{target:.4f}", low <= target)


def summarise(counted, reports):
    """Lines for every group of every cell, and for any of the three.

    Parameters
    ----------
    counted : dict
        {(distribution, rows of the small group): reports that name each group}.
    reports : int
        Of each cell.
    """
    lines, target = [], PLAN["any_group"]
    for (name, size), counts in counted.items():
        cell = f"{name}, beside a group of {size}"
        for rows, count in zip((*LARGE, size), counts, strict=True):
            what = f"{cell}: group of {rows} rows falsely named"
            lines.append(share(what, count, reports, target / len(counts)))
        lines.append(share(f"{cell}: any group falsely named", sum(counts), reports, target))
    return lines


def main():
    """Count, and keep the shares with exact intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=PLAN["reports"])
    reports = parser.parse_args().reports
    counted = {
        (name, size): named(draw, size, reports)
        for name, draw in DRAW.items()
        for size in SIZES
    }
    data = {f"{name}, {size} rows": c.tolist() for (name, size), c in counted.items()}
    save(NAME, summarise(counted, reports), seeds=[0], data=data)


if __name__ == "__main__":
    main()
