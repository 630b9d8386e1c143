"""What is run on every task: pruning alone, the paper's regimes, what goes beyond, fronts.

A way has a name, and options of `GroupConstrainedPruner`, or a baseline and its strength,
or both: a constraint on row-weighted losses. All fine-tune for the same epochs. The groups
are the classes. What is run, and what it is judged by, stands in plan.json first.
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

PLAN = json.loads((Path(__file__).parent / "plan.json").read_text(encoding="utf-8"))
SPARSITIES = (0.5, 0.8, 0.9, 0.95, 0.98)
FRONT_SPARSITY = 0.9
RECOVERED_SPARSITIES = (0.8, 0.9, 0.95, 0.98)  # of pruning alone; of the others FRONT_SPARSITY
HIGH_SPARSITIES = tuple(s for s in SPARSITIES if s >= FRONT_SPARSITY)
HOLDOUT = 0.2
PAPER = {  # problem (8) and its dual update, word for word; the step size is not known
    "dual_update": "absolute",
    "dual_optimizer": "ascent",
    "dual_steps": 1,
    "tolerance": 0.0,
    "max_multiplier": np.inf,
    "dual_lr": 0.1,
}
# The multipliers that were the package's defaults when these results were made.
PROJECTED = {"dual_update": "projected", "dual_lr": 0.3, "tolerance": 0.05}
STAGES = ("before", "after", "both")
LAST_LAYER = {
    "stage": "last_layer",
    "constraint": "equal_accuracy",
    "tolerance": 0.0,
    "noise": 1.0,
    "min_row_weight": 0.25,
    "max_row_weight": 8.0,
}


@dataclass(frozen=True)
class Way:
    """One way to make a pruned network.

    Parameters
    ----------
    name : str
        In results and figures.
    family : str
        What it is drawn as.
    options : dict, default=None
        Of `GroupConstrainedPruner`; None is pruning alone.
    baseline : str, default=None
        A name in `baselines.BASELINES`.
    strength : float, default=None
        Of the baseline.
    recovery : str, default=None
        What the kept weights are fitted to, if it is not the net's own loss.
    """

    name: str
    family: str
    options: dict | None = field(default=None, hash=False)
    baseline: str | None = None
    strength: float | None = None
    recovery: str | None = None


def constrained(family, **options):
    """Way under a constraint; its name says which options differ from the defaults."""
    shown = ", ".join(f"{k}={v:g}" for k, v in options.items() if isinstance(v, float))
    return Way(f"{family} ({shown})" if shown else family, family, options)


def regimes():
    """No mitigation, and the three regimes: the package's defaults and the paper's update."""
    ways = [Way("none", "none")]
    for stage in STAGES:
        ways.append(Way(f"equal_loss, {stage}", f"equal_loss, {stage}", {"stage": stage}))
    for stage in STAGES:
        name = f"paper, {stage}"
        ways.append(Way(name, name, PAPER | {"stage": stage}))
    return ways


def beyond():
    """Constraints that the paper does not have, and multipliers that step on held-out rows."""
    gaps = {
        "equal_excessive_loss": {"constraint": "equal_excessive_loss"},
        "accuracy_gap": {"constraint": "accuracy_gap", "tolerance": 0.02},
    }
    ways = [Way(f"{name}, after", f"{name}, after", options) for name, options in gaps.items()]
    for name, options in ({"equal_loss": {}} | gaps).items():
        name = f"{name}, held-out multipliers"
        ways.append(Way(name, name, options | {"holdout": HOLDOUT}))
    name = "none, on the rows that held-out multipliers leave"
    return ways + [Way(name, name, {"tolerance": np.inf, "holdout": HOLDOUT})]


def front():
    """Sweeps of `dual_lr` and `tolerance`, and baselines of growing strength."""
    ways = []
    for stage, rates in (
        ("after", (0.003, 0.01, 0.03, 0.1)),
        ("before", (0.01, 0.03, 0.1)),
        ("both", (0.01, 0.03, 0.1)),
    ):
        family = f"equal_loss, {stage}"
        ways += [constrained(family, stage=stage, dual_lr=rate) for rate in rates]
    for tolerance in (0.2, 0.5):
        ways.append(constrained("equal_loss, after", dual_lr=0.1, tolerance=tolerance))
    for rate, tolerance in ((0.03, 0.05), (0.1, 0.05), (1.0, 0.05), (0.3, 0.2)):
        options = {"constraint": "equal_excessive_loss"}
        options |= {"dual_lr": rate, "tolerance": tolerance}
        ways.append(constrained("equal_excessive_loss, after", **options))
    for rate, tolerance in ((0.1, 0.02), (1.0, 0.02), (3.0, 0.02), (1.0, 0.1)):
        options = {"constraint": "accuracy_gap", "dual_lr": rate, "tolerance": tolerance}
        ways.append(constrained("accuracy_gap, after", **options))
    for rate in (0.01, 0.03, 0.3):
        family = "paper, after"
        ways.append(Way(f"{family} (dual_lr={rate:g})", family, PAPER | {"dual_lr": rate}))
    for rate in (0.03, 0.1, 0.3):
        ways.append(constrained("minimax, after", constraint="minimax", dual_lr=rate))
    for rate in (0.01, 0.03, 0.1):
        family = "equal_loss, held-out multipliers"
        options = {"holdout": HOLDOUT, "dual_lr": rate}
        ways.append(Way(f"{family} (dual_lr={rate:g})", family, options))
    for baseline, strengths in (
        ("weights", (0.25, 0.5, 0.75, 1.0)),
        ("sampling", (0.25, 0.5, 0.75, 1.0)),
        ("group DRO", (0.0003, 0.003, 0.03, 0.1)),
    ):
        for strength in strengths:
            name = f"{baseline} ({strength:g})"
            ways.append(Way(name, baseline, baseline=baseline, strength=strength))
    return ways


def added():
    """Ways that were added after a look at the test fronts of the others."""
    ways = []
    for stage, bound in (("after", 0.25), ("after", 0.5), ("both", 0.25)):
        way = constrained(f"equal_loss, {stage}", stage=stage, max_multiplier=bound)
        ways.append(replace(way, family="equal_loss, smaller bound"))
    for strength in (0.5, 1.0):
        for rate in (0.01, 0.03, 0.1):
            family = "equal_loss on weights"
            name = f"{family} ({strength:g}, dual_lr={rate:g})"
            ways.append(Way(name, family, {"dual_lr": rate}, "weights", strength))
    return ways


def recovered():
    """Ways that are run once more with the recovered budget."""
    paper = {"stage": "after"}
    return [
        Way("none", "none"),
        Way("distill", "distill", recovery="distill"),
        Way("equal_loss, after", "equal_loss, after", paper),
        Way("paper, after", "paper, after", PAPER | paper),
        Way(
            "equal_excessive_loss, after",
            "equal_excessive_loss, after",
            {"constraint": "equal_excessive_loss"},
        ),
    ]


def last():
    """Last layers of a distilled network: under a constraint, and the cheapest instead."""
    ways, options = [], LAST_LAYER
    for lost in (0.003, 0.01, 0.03):
        own = options | {"max_accuracy_loss": lost}
        ways.append(Way(f"last_layer ({lost:g})", "last_layer", own, recovery="distill"))
    for strength in (0.25, 0.5, 1.0):
        family = "balanced last layer"
        own = {"baseline": family, "strength": strength, "recovery": "distill"}
        ways.append(Way(f"{family} ({strength:g})", family, **own))
    return ways


def plan(sets):
    """All (way, sparsity) of some sets, in the order in which they run."""
    cells = []
    if "main" in sets:
        cells += [(way, sparsity) for way in regimes() for sparsity in SPARSITIES]
    if "beyond" in sets:
        cells += [(way, sparsity) for way in beyond() for sparsity in SPARSITIES]
    if "front" in sets:
        cells += [(way, FRONT_SPARSITY) for way in front()]
    if "added" in sets:
        cells += [(way, FRONT_SPARSITY) for way in added()]
    if "recovered" in sets:
        for way in recovered():
            at = RECOVERED_SPARSITIES if way.name == "none" else (FRONT_SPARSITY,)
            cells += [(way, sparsity) for sparsity in at]
    if "last" in sets:
        cells += [(way, FRONT_SPARSITY) for way in last()]
    return cells


def as_planned(way):
    """Return what plan.json says of a way: its options, its baseline and the strength."""
    options = {k: "inf" if v == np.inf else v for k, v in (way.options or {}).items()}
    baseline = {"baseline": way.baseline, "strength": way.strength} if way.baseline else {}
    recovery = {"recovery": way.recovery} if way.recovery else {}
    return options | baseline | recovery


def unplanned(sets):
    """Names of the ways of some sets that plan.json does not have as they are."""
    ways = {(name, way.name): way for name in sets for way, _ in plan([name])}
    return [
        way.name
        for (name, _), way in ways.items()
        if PLAN["ways"][name].get(way.name) != as_planned(way)
    ]


SETS = ("main", "beyond", "front", "added")
RECOVERED_SETS = ("recovered", "last")
