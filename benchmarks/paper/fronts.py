"""Fronts of accuracy against disparity at one sparsity, and what beats what on them.

A way is picked, seed by seed, by what it does on the validation rows of that seed, and then
measured on the test rows. The ways to pick from are those of `ways.front`; those of
`ways.added` came after a look at the test fronts, and are compared apart.
"""

import numpy as np
from claims import row
from records import having, interval, judge
from ways import FRONT_SPARSITY, PLAN, SPARSITIES, added, beyond, front, regimes

BUDGETS = tuple(PLAN["budgets"])
GOAL = (PLAN["goal"]["accuracy"], PLAN["goal"]["spread"])
WITH_ADDED = "constraints and those added"
BASELINES = ("weights", "sampling", "group DRO")
FREE = ("none", "none, on the rows that held-out multipliers leave")


def families():
    """{family: names of its ways} of everything run at the sparsity of the fronts."""
    found = {}
    for way in [*regimes(), *beyond(), *front(), *added()]:
        found.setdefault(way.family, []).append(way.name)
    return found


def late():
    """Families of constraints that were added after a look at the test fronts."""
    return list(dict.fromkeys(way.family for way in added()))


def constraints():
    """Families of constraints named beforehand: no baselines, not pruning alone."""
    others = (*BASELINES, *FREE, *late())
    return [name for name in families() if name not in others]


def ways_of(names):
    """All ways of some families."""
    return [way for name in names for way in families()[name]]


def cell(way):
    """Name of a way's cell at the sparsity of the fronts."""
    return f"{way}; {FRONT_SPARSITY:g}"


def pick(record, ways, budget, metric):
    """Way with the least disparity on validation rows within a budget of accuracy there.

    Parameters
    ----------
    record : Record
        Of one seed.
    ways : list of str
        To choose from; pruning alone is always one of them.
    budget : float
        How much validation accuracy may be lost against pruning alone.
    metric : str
        "spread" or "xi".
    """
    least = record.value(cell("none"), "accuracy", "validation") - budget
    allowed = [
        way
        for way in ways
        if cell(way) in record.cells
        and record.value(cell(way), "accuracy", "validation") >= least
        and not record.broken(cell(way), "validation")
    ]
    return min(
        ["none", *allowed], key=lambda way: record.value(cell(way), metric, "validation")
    )


def complete(records):
    """Records in which every way of the fronts has been run."""
    return having(records, *(cell(way) for way in ways_of(families())))


def chosen(records, metric):
    """What is picked for every budget, and what that does on test rows.

    Returns
    -------
    rows : list of dict
        One a budget and set of families: ways picked, and mean with interval of the
        change of test accuracy, of the metric as part of that of pruning alone, and (for
        the constraints) of the metric's difference to the best of the baselines.
    """
    kept, sets = complete(records), {"constraints": constraints(), "baselines": BASELINES}
    sets |= {WITH_ADDED: [*constraints(), *late()]}
    sets |= {name: (name,) for name in (*constraints(), *late(), *BASELINES)}
    rows = []
    for budget in BUDGETS if kept else ():
        picked = {
            name: [pick(r, ways_of(names), budget, metric) for r in kept]
            for name, names in sets.items()
        }
        values = {
            name: np.array(
                [
                    [r.value(cell(way), what) for what in ("accuracy", metric)]
                    for r, way in zip(kept, ways, strict=True)
                ]
            )
            for name, ways in picked.items()
        }
        base = np.array(
            [[r.value(cell("none"), w) for w in ("accuracy", metric)] for r in kept]
        )
        for name, found in values.items():
            about = {
                "metric": metric,
                "budget": budget,
                "family": name,
                "picked": picked[name],
            }
            changes = {
                "accuracy": found[:, 0] - base[:, 0],
                "ratio": found[:, 1] / base[:, 1],
                "against_baselines": found[:, 1] - values["baselines"][:, 1],
                "accuracy_against_baselines": found[:, 0] - values["baselines"][:, 0],
            }
            for what, v in changes.items():
                about[what] = list(interval(v))
            rows.append(about | {"seeds": len(kept)})
    return rows


def goal(rows, family="constraints"):
    """Verdicts on the goal: at most a point of accuracy for 0.6 of the spread."""
    budget, ratio = GOAL
    for found in rows:
        if found["budget"] == budget and found["family"] == family:
            accuracy, spread = found["accuracy"], found["ratio"]
            return {
                "accuracy within a point": judge(accuracy[1], accuracy[2], -budget),
                "spread at most 0.6": judge(-spread[2], -spread[1], -ratio),
                "accuracy": accuracy,
                "ratio": spread,
            }
    return {}


def held_out(task, records):
    """Which ways lower which disparity on held-out rows, and at what accuracy.

    Ways with held-out multipliers train on fewer rows; they are compared with pruning
    alone on those rows too.
    """
    for way in [*regimes()[1:], *beyond()]:
        control = "none"
        if (way.options or {}).get("holdout"):
            control = "none, on the rows that held-out multipliers leave"
        for sparsity in SPARSITIES:
            for base in dict.fromkeys(["none", control]):
                cells = [f"{name}; {sparsity:g}" for name in (way.name, base)]
                kept = having(records, *cells)
                if way.name == base or not kept:
                    continue
                for metric in ("spread", "xi", "psi", "worst_accuracy", "accuracy"):
                    for part in ("train", "test"):
                        both = [[r.value(c, metric, part) for c in cells] for r in kept]
                        change = [a - b for a, b in both]
                        statement = f"{metric} of {way.name} against {base}, {part}"
                        yield row("beyond", "", task, statement, sparsity, change) | {
                            "way": way.name,
                            "base": base,
                            "metric": metric,
                            "part": part,
                            "value": float(np.mean([a for a, _ in both])),
                            "broken": sum(r.broken(cells[0]) for r in kept),
                        }
