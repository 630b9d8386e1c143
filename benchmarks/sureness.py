"""How often a wrong group is said to pay most, how often the right one, and what limits miss.

Row values of groups of many sizes are drawn from distributions of unit variance: normal; few
rows that lose or gain a lot; decisions (a right prediction lost, kept or won). All groups are
alike, or the smallest, the largest or two of those that can be named are worse. A name is
wrong unless that group alone is the worst; two that are tied are both wrong. Sizes,
distributions, targets and the rule stand in plan.json.

With --weighted the rows have lognormal weights of coefficient of variation 1, which have
nothing to do with the values, or make those of rows of large weight vary more.

Run: python benchmarks/sureness.py [--weighted] [--reports 1000]
"""

import argparse

import numpy as np
from record import figure, planned, save
from scipy.stats import binomtest

from sklearn_fairprune.statistics.worst import (
    LEAST_ROWS,
    group_limits,
    worst_group,
)

NAME = "sureness"
PLAN = planned(NAME)
WEIGHTED = f"{NAME}_weighted"
PLAN_OF_WEIGHTED = planned(WEIGHTED)
CONFIDENCE = 0.95
LOST, WON = 0.04, 0.03  # shares of the rows whose decision pruning turns, without any shift
DRAW = {
    "normal": lambda rng, n: rng.normal(size=n),
    "few rows lose a lot": lambda rng, n: (rng.exponential(size=n) ** 2 - 2) / 20**0.5,
    "few rows gain a lot": lambda rng, n: -(rng.exponential(size=n) ** 2 - 2) / 20**0.5,
    "decisions": lambda rng, n: decisions(rng, np.zeros(n)),
}


def decisions(rng, shift):
    """Predictions lost, won or kept, in standard deviations; `shift` more are lost."""
    mean, second = LOST - WON, LOST + WON
    scale = (second - mean**2) ** 0.5
    u = rng.random(len(shift))
    lost = u < LOST + shift * scale
    return (lost.astype(float) - (u > 1 - WON) - mean) / scale


def shifts(sizes, truth):
    """By how much each group is worse, and which one alone is the worst (None: none)."""
    named = [a for a, n in enumerate(sizes) if n >= LEAST_ROWS]
    by_size = sorted(named, key=lambda a: sizes[a])
    worse = {
        "all alike": [],
        "the smallest is worse": by_size[:1],
        "the largest is worse": by_size[-1:],
        "two are worse": by_size[-2:],
    }[truth]
    shift = np.zeros(len(sizes))
    shift[worse] = PLAN["shift"]
    return shift, worse[0] if len(worse) == 1 else None


def draw(name, rng, groups, shift):
    """One value a row."""
    if name == "decisions":
        return decisions(rng, shift[groups])
    return DRAW[name](rng, len(groups)) + shift[groups]


def name_of(values, groups, n_groups):
    """Group that is named, or None."""
    worst = worst_group(values, groups, n_groups, confidence=CONFIDENCE)
    return worst.group if worst.beats_all and worst.low > 0 else None


def count(sizes, name, truth, reports):
    """Reports of one cell: with a wrong name, with the right one, with a mean outside.

    Returns
    -------
    wrong, right : int
    outside : list of int
        By group.
    """
    rng, groups = np.random.default_rng(0), np.repeat(np.arange(len(sizes)), sizes)
    shift, worst = shifts(sizes, truth)
    wrong = right = 0
    outside = np.zeros(len(sizes), dtype=int)
    for _ in range(reports):
        values = draw(name, rng, groups, shift)
        found = name_of(values, groups, len(sizes))
        right += found is not None and found == worst
        wrong += found is not None and found != worst
        low, high = group_limits(values, groups, len(sizes), CONFIDENCE)
        outside += (shift < low) | (high < shift)
    return wrong, right, outside.tolist()


def count_weighted(sizes, name, truth, kind, reports):
    """The same as `count`, of weighted rows."""
    rng, groups = np.random.default_rng(2), np.repeat(np.arange(len(sizes)), sizes)
    shift, worst = shifts(sizes, truth)
    wrong = right = 0
    outside = np.zeros(len(sizes), dtype=int)
    for _ in range(reports):
        weights = rng.lognormal(0, np.log(1 + PLAN_OF_WEIGHTED["cv"] ** 2) ** 0.5, len(groups))
        values = draw(name, rng, groups, shift)
        if kind == "large weights vary more":
            values = (
                shift[groups] + (values - shift[groups]) * (weights / weights.mean()) ** 0.5
            )
        given = {"confidence": CONFIDENCE, "weights": weights}
        found = worst_group(values, groups, len(sizes), **given)
        named = found.beats_all and found.low > 0
        right += bool(named and found.group == worst)
        wrong += bool(named and found.group != worst)
        low, high = group_limits(values, groups, len(sizes), **given)
        outside += (shift < low) | (high < shift)
    return wrong, right, outside.tolist()


def count_together(sizes, name, reports):
    """Reports in which loss or decisions name one of groups that are all alike."""
    rng, groups = np.random.default_rng(1), np.repeat(np.arange(len(sizes)), sizes)
    shift, wrong = np.zeros(len(sizes)), 0
    for _ in range(reports):
        draws = (draw(kind, rng, groups, shift) for kind in (name, "decisions"))
        wrong += any(name_of(v, groups, len(sizes)) is not None for v in draws)
    return wrong


def share(what, n, reports, target=None):
    """Line of the summary: a share of the reports with its exact interval."""
    low, high = binomtest(int(n), reports).proportion_ci(0.95, "exact")
    goal = None if target is None else f"{target:.3f}"
    unit = f"[{low:.4f}, {high:.4f}]"
    return figure(
        what, int(n) / reports, unit, goal, None if target is None else low <= target
    )


def summarise(counted, together, reports):
    """Lines of the worst cells, of each kind of truth and distribution, and of the power.

    Parameters
    ----------
    counted : dict
        {(groups, distribution, truth): (wrong, right, outside)}.
    together : dict
        {distribution: wrong}.
    reports : int
        Of each cell.
    """
    lines = []
    for name in PLAN["draws"]:
        cells = {key: found for key, found in counted.items() if key[1] == name}
        for truth in PLAN["truths"]:
            wrong = {key[0]: found[0] for key, found in cells.items() if key[2] == truth}
            where = max(wrong, key=wrong.get)
            what = f"{name}, {truth}: wrong name, at most ({where})"
            lines.append(share(what, wrong[where], reports, PLAN["wrong_name"]))
        power = [f[1] for key, f in cells.items() if key[2].endswith("is worse")]
        what = f"{name}, one is worse: named, mean of {len(power)} cells"
        lines.append(share(what, sum(power), reports * len(power)))
        for enough in (True, False):
            missed = {
                (*key, n): found[2][a]
                for key, found in cells.items()
                for a, n in enumerate(PLAN["sizes"][key[0]])
                if (n >= LEAST_ROWS) == enough
            }
            where = max(missed, key=missed.get)
            rows = f"{LEAST_ROWS} rows or more" if enough else "fewer rows"
            what = f"{name}: mean of a group of {rows} outside its limits, at most"
            what += f" ({where[0]}, {where[2]}, {where[3]} rows)"
            target = PLAN["outside"] if enough else None
            lines.append(share(what, missed[where], reports, target))
    for name, wrong in together.items():
        what = f"{name} beside decisions, three groups, all alike: wrong name by either"
        lines.append(share(what, wrong, reports, PLAN["wrong_name"]))
    return lines


def summarise_weighted(counted, reports):
    """Lines of the worst cell of each kind of weights and distribution, and of the power.

    Parameters
    ----------
    counted : dict
        {(groups, distribution, truth, kind of weights): (wrong, right, outside)}.
    reports : int
        Of each cell.
    """
    lines = []
    for kind, draws in PLAN_OF_WEIGHTED["kinds"].items():
        for name in draws:
            cells = {key: f for key, f in counted.items() if (key[1], key[3]) == (name, kind)}
            where = max(cells, key=lambda key: cells[key][0])
            what = f"{kind}: {name}: wrong name, at most ({where[0]}, {where[2]})"
            target = PLAN_OF_WEIGHTED["wrong_name"]
            lines.append(share(what, cells[where][0], reports, target))
            power = [f[1] for key, f in cells.items() if key[2].endswith("is worse")]
            what = f"{kind}: {name}, one is worse: named, mean of {len(power)} cells"
            lines.append(share(what, sum(power), reports * len(power)))
            missed = {key: max(found[2]) for key, found in cells.items()}
            where = max(missed, key=missed.get)
            what = f"{kind}: {name}: mean of a group outside its limits, at most"
            lines.append(share(f"{what} ({where[0]}, {where[2]})", missed[where], reports))
    return lines


def main_weighted(reports):
    """Count with weights, and keep every cell."""
    plan = PLAN_OF_WEIGHTED
    counted = {
        (groups, name, truth, kind): count_weighted(sizes, name, truth, kind, reports)
        for kind, draws in plan["kinds"].items()
        for groups, sizes in plan["sizes"].items()
        for name in draws
        for truth in PLAN["truths"]
    }
    data = {"cells": {", ".join(key): found for key, found in counted.items()}}
    save(WEIGHTED, summarise_weighted(counted, reports), seeds=[2], data=data)


def main():
    """Count, and keep every cell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--reports", type=int, default=PLAN["reports"])
    parser.add_argument("--weighted", action="store_true")
    arguments = parser.parse_args()
    reports = arguments.reports
    if arguments.weighted:
        main_weighted(reports)
        return
    counted = {
        (groups, name, truth): count(sizes, name, truth, reports)
        for groups, sizes in PLAN["sizes"].items()
        for name in PLAN["draws"]
        for truth in PLAN["truths"]
    }
    three = PLAN["sizes"]["three groups"]
    together = {
        name: count_together(three, name, reports)
        for name in PLAN["draws"]
        if name != "decisions"
    }
    data = {"cells": {", ".join(key): found for key, found in counted.items()}}
    save(NAME, summarise(counted, together, reports), seeds=[0, 1], data=data)


if __name__ == "__main__":
    main()
