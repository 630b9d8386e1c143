"""The paper's claims, judged one by one from the kept results.

Every judgement is a row: claim, figure, task, statement, sparsity, mean over the seeds with
95 % Student interval, and verdict. Intervals are not corrected for their number.
"""

import numpy as np
from records import (
    BROKEN,
    UNSURE,
    having,
    interval,
    judge,
    judge_within,
    mostly_broken,
    rank_correlation,
)
from ways import FRONT_SPARSITY, HIGH_SPARSITIES, PLAN, SPARSITIES, STAGES

MARGIN_ACCURACY = PLAN["margins"]["accuracy"]  # "no worse", "stays": at most so much lower
MARGIN_SPREAD = PLAN["margins"]["spread"]  # "about the same": at most so far apart
DIAGNOSIS = "dense, none"
UPDATES = {"equal_loss": "the package's defaults", "paper": "the paper's update"}


def row(
    claim, figure, task, statement, sparsity, values, verdict=judge, broken=False, **options
):
    """One judgement of the values of all seeds; none where networks are `broken`."""
    mean, low, high = interval(values)
    found = UNSURE if np.isnan(mean) else verdict(low, high, **options)
    found = BROKEN if broken else found
    return {
        "claim": claim,
        "figure": figure,
        "task": task,
        "statement": statement,
        "sparsity": sparsity,
        "seeds": len(values),
        "mean": mean,
        "low": low,
        "high": high,
        "verdict": found,
    }


# ---- claim 1: who loses accuracy ---------------------------------------------------------


def halves(record, by):
    """Numbers of the groups in the upper and in the lower half of an order.

    By "size" (training rows), or by dense "accuracy" on validation rows: not on the test
    rows, where the best groups would be those that were lucky, and fall by that alone.
    """
    if by == "size":
        values = np.array(record.about["rows"]["train"])
    else:
        values = record.by_group("dense; 0", "validation", "accuracy")
    order, half = np.argsort(values, kind="stable"), len(values) // 2
    return order[-half:], order[:half]


def change(record, cell, groups):
    """Mean change of the held-out accuracy of some groups by pruning."""
    found = [record.by_group(c, "test", "accuracy")[groups] for c in (cell, "dense; 0")]
    return float((found[0] - found[1]).mean())


def who_loses(task, records):
    """Fig. 1: large accurate groups keep their accuracy, small ones lose theirs."""
    orders = ("accuracy",) if task == "cifar10" else ("size", "accuracy")
    for by in orders:
        names = ("large", "small") if by == "size" else ("accurate", "inaccurate")
        for sparsity in SPARSITIES:
            cell = f"none; {sparsity:g}"
            kept = having(records, cell)
            pairs = [halves(r, by) for r in kept]
            upper = np.array([change(r, cell, p[0]) for r, p in zip(kept, pairs, strict=True)])
            lower = np.array([change(r, cell, p[1]) for r, p in zip(kept, pairs, strict=True)])
            broken = mostly_broken(kept, cell)
            for statement, values, above in (
                (f"accuracy of {names[0]} groups stays", upper, -MARGIN_ACCURACY),
                (f"accuracy of {names[1]} groups falls", -lower, 0.0),
                (f"{names[1]} groups lose more", upper - lower, 0.0),
            ):
                about = (1, "Fig. 1", task, statement, sparsity, values)
                yield row(*about, broken=broken, above=above)


# ---- claims 2 to 4: what goes with what --------------------------------------------------


def quantity(record, name):
    """A quantity of the dense network by group, on training rows."""
    if name == "size":
        return np.array(record.about["rows"]["train"])
    if name == "accuracy":
        return record.by_group("dense; 0", "train", "accuracy")
    return np.array(record.diagnoses[DIAGNOSIS][name])


NAMES = {
    "size": "group size",
    "accuracy": "dense accuracy",
    "gradient_norm": "gradient norm",
    "largest_eigenvalue": "largest eigenvalue",
    "closeness": "closeness to the boundary",
    "second_order": "estimate R2",
}
RELATIONS = [  # claim, figure, x, y, sign in the paper
    (2, "Fig. 2", "size", "gradient_norm", -1),
    (2, "Fig. 3", "accuracy", "gradient_norm", -1),
    (4, "Fig. 5", "closeness", "largest_eigenvalue", 1),
    (4, "Fig. 5", "accuracy", "largest_eigenvalue", -1),
    (4, "Fig. 6", "gradient_norm", "largest_eigenvalue", 1),
]
EXPLAIN = [("accuracy", -1), ("gradient_norm", 1), ("largest_eigenvalue", 1)]
EXPLAIN_R2 = [*EXPLAIN, ("second_order", 1)]


def signed(claim, figure, task, statement, sparsity, rhos, sign, broken=False):
    """Judge correlations that the paper shows with a sign; keep them as they are."""
    values = [sign * r for r in rhos]
    found = row(claim, figure, task, statement, sparsity, values, broken=broken)
    if sign < 0:
        low, high = -found["high"], -found["low"]
        found |= {"mean": -found["mean"], "low": low, "high": high}
    found["low"], found["high"] = max(found["low"], -1.0), min(found["high"], 1.0)
    return found | {"paper": "+" if sign > 0 else "-"}


def relations(task, records):
    """Figs. 2, 3, 5, 6: rank correlations over the groups, at the dense network."""
    records = [r for r in records if DIAGNOSIS in r.diagnoses]
    for claim, figure, x, y, sign in RELATIONS:
        if x == "size" and task == "cifar10":
            continue  # its classes are of one size
        rhos = [rank_correlation(quantity(r, x), quantity(r, y)) for r in records]
        yield signed(claim, figure, task, f"{NAMES[x]} and {NAMES[y]}", 0.0, rhos, sign)


def explanations(task, records):
    """Fig. 4: what is said to order the groups by their damage, against that damage."""
    records = [r for r in records if DIAGNOSIS in r.diagnoses]
    for x, sign in EXPLAIN_R2:
        masked = [
            rank_correlation(quantity(r, x), quantity(r, "masked_excessive_loss"))
            for r in records
        ]
        statement = f"{NAMES[x]} and R(a), masked only"
        yield signed(3, "Fig. 4", task, statement, FRONT_SPARSITY, masked, sign)
    for part, name in (("train", "training rows"), ("test", "held-out rows")):
        for x, sign in EXPLAIN:
            for sparsity in SPARSITIES:
                cell = f"none; {sparsity:g}"
                kept = having(records, cell)
                rhos = [
                    rank_correlation(quantity(r, x), r.by_group(cell, part, "excessive_loss"))
                    for r in kept
                ]
                statement = f"{NAMES[x]} and R(a), fine-tuned, {name}"
                about = (3, "Fig. 4", task, statement, sparsity, rhos, sign)
                yield signed(*about, broken=mostly_broken(kept, cell))


# ---- claim 5: what the constraint balances -----------------------------------------------


def ratio_of_gaps(task, statement, sparsity, pairs, broken):
    """Judgement on gaps as parts of others; a pair of values by group for each seed."""
    logs = [np.log(np.ptp(base)) - np.log(np.ptp(values)) for values, base in pairs]
    found = row(5, "Fig. 7", task, statement, sparsity, logs, broken=broken)
    ends = np.exp([-found["mean"], -found["high"], -found["low"]])
    return found | dict(zip(("mean", "low", "high"), ends.tolist(), strict=True))


def balances(task, records):
    """Fig. 7: the gap between the groups with the constraint, as part of that without.

    Accuracy is that of all training and of all held-out rows; gradient norm and closeness
    are kept of training rows alone, of at most ``diagnosed_rows`` a group.
    """
    for network, stage in (("dense", "before"), ("pruned", "after")):
        sparsity = FRONT_SPARSITY if network == "pruned" else 0.0
        base = f"none; {sparsity:g}" if network == "pruned" else "dense; 0"
        for update, name in UPDATES.items():
            about, way = f"{network} network, {name}", f"{update}, {stage}"
            cell = f"{way}; {sparsity:g}" if network == "pruned" else f"dense, {way}; 0"
            kept = having(records, cell, base)
            broken = mostly_broken(kept, cell, base)
            for part, rows in (("train", "training rows"), ("test", "held-out rows")):
                statement = f"gap in accuracy, {about}, {rows}"
                pairs = [[r.by_group(c, part, "accuracy") for c in (cell, base)] for r in kept]
                yield ratio_of_gaps(task, statement, sparsity, pairs, broken)
            kept = [r for r in records if f"{network}, {way}" in r.diagnoses]
            for measured in ("gradient_norm", "closeness"):
                pairs = [
                    [r.diagnoses[f"{network}, {w}"][measured] for w in (way, "none")]
                    for r in kept
                ]
                label = measured.replace("_", " ")
                statement = f"gap in {label}, {about}, training rows"
                yield ratio_of_gaps(task, statement, sparsity, pairs, broken)


# ---- claim 6: the regimes ----------------------------------------------------------------


def compared(task, records, statement, sparsity, metric, first, second, **options):
    """Judgement of a held-out metric of one way minus that of another."""
    cells = [f"{way}; {sparsity:g}" for way in (first, second)]
    kept = having(records, *cells)
    values = [r.value(cells[0], metric) - r.value(cells[1], metric) for r in kept]
    figure = "Fig. 9" if task == "utkface_age" else "Fig. 8"
    options["broken"] = mostly_broken(kept, *cells)
    found = row(6, figure, task, statement, sparsity, values, **options)
    return found | {"by_seed": values}


def regimes(task, records):
    """Figs. 8 and 9: violations of the regimes, ordered, and their overall accuracy."""
    for update, name in UPDATES.items():
        before, after, both = (f"{update}, {stage}" for stage in STAGES)
        about = {"verdict": judge_within, "margin": MARGIN_SPREAD}
        worse = {"above": -MARGIN_ACCURACY}
        statements = [
            (f"{metric} of none >= {stage}, {name}", metric, "none", f"{update}, {stage}", {})
            for metric in ("spread", "xi")
            for stage in STAGES
        ]
        statements += [
            (f"spread of before >= after, {name}", "spread", before, after, {}),
            (f"spread of both about that of after, {name}", "spread", both, after, about),
        ]
        statements += [
            (
                f"accuracy of {stage} no worse than none, {name}",
                "accuracy",
                f"{update}, {stage}",
                "none",
                worse,
            )
            for stage in STAGES
        ]
        for statement, *of, options in statements:
            for sparsity in HIGH_SPARSITIES if "before >=" in statement else SPARSITIES:
                yield compared(task, records, statement, sparsity, *of, **options)


CLAIMS = [who_loses, relations, explanations, balances, regimes]


def judgements(records):
    """All rows of all claims and tasks."""
    return [
        found
        for judged in CLAIMS
        for task, kept in records.items()
        for found in judged(task, kept)
    ]
