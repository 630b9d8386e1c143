"""How often a group is said to pay most though all groups are alike.

Excessive losses of three groups are drawn from one distribution; the third group has few rows.
"pays most" is then false whenever it is said. The interval is to name each group in at most
2.5 % / 3 of the reports, any of them in 2.5 %. Losses of which a few rows fall a lot and most
rise a little are the hard case: among few rows those that gain are easily missed.

Run: python benchmarks/sureness.py [--reports 400]
"""

import argparse

import numpy as np
import torch
from record import figure, save

from sklearn_fairprune.measurement.held_out import HeldOut
from sklearn_fairprune.statistics.intervals import proportion_interval

torch.set_num_threads(1)
SIZES = (9, 30, 60, 200)
LARGE = (185, 801)
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


def main():
    """Count, and keep the shares with exact intervals."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=400)
    reports = parser.parse_args().reports
    summary, data = [], {}
    for name, draw in DRAW.items():
        for size in SIZES:
            counts = named(draw, size, reports)
            low, high = proportion_interval(counts[2], reports)
            what = f"{name}: group of {size} rows falsely named"
            summary.append(
                figure(
                    what,
                    counts[2] / reports,
                    f"[{low:.3f}, {high:.3f}]",
                    "0.008",
                    low <= 0.025 / 3,
                )
            )
            data[f"{name}, {size} rows"] = counts.tolist()
    save("sureness", summary, seeds=[0], data=data)


if __name__ == "__main__":
    main()
