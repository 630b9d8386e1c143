"""Does a group constraint lower the gap on held-out rows, and at what accuracy?

Run: python -W ignore benchmarks/mitigation.py [--seeds 10] [--data digits,mortgage]
     python benchmarks/mitigation.py --summary      # table and plot from the kept runs

Six data sets (see tables.py), four sparsities (plan.json), per seed one split into 70 %
training and 30 % test rows and one dense network. Every way below is fitted on the training
rows with the multipliers that were the defaults then (chosen on other splits), and measured
on both; excessive losses and accuracy gaps are those against the one dense network of
"none", also for ways that train a dense network of their own. Each
way is compared with "none", pruning without mitigation, seed by seed: mean difference, 95 %
Student interval, paired t-test, none of them corrected for the number of cells. Splits of
different seeds share rows, so the intervals are about these data. Digits are a case of
their own (ten classes as groups, which pruning breaks first), so nothing is averaged over
data sets; ways are counted on the cells that all of them have.

Every seed's own numbers are kept in results/mitigation_runs/, a file for each data set, from
which a run that was cut short is taken up again, and all tables are made.
"""

import argparse
import json
import tempfile

import numpy as np
import torch
from fairlearn.reductions import ErrorRateParity, ExponentiatedGradient
from measure import FEWEST, PROJECTED, SHORT, measure, paired
from record import RESULTS, figure, planned, save
from sklearn.frozen import FrozenEstimator
from tables import available, load, split

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

PLAN = planned("mitigation")
SPARSITIES = tuple(PLAN["sparsities"])
RUNS = RESULTS / "mitigation_runs"
KEPT = ("accuracy", "balanced_accuracy", "spread", "xi", "psi", "violation", "one_class")
GAPS = ("spread", "violation", "xi", "psi")
SHOWN = ("spread", "violation", "xi", "accuracy")
PARTS = ("train", "test")
PAPER = {
    "dual_update": "absolute",
    "dual_optimizer": "ascent",
    "dual_steps": 1,
    "tolerance": 0.0,
    "max_multiplier": np.inf,
}
HOLDOUT = 0.2


class Mixture:
    """Randomised classifier of `ExponentiatedGradient`, in expectation."""

    def __init__(self, reduction):
        kept = reduction.weights_ > 0
        self.weights = np.asarray(reduction.weights_)[kept]
        self.models = [m for m, k in zip(reduction.predictors_, kept, strict=True) if k]

    def predict_proba(self, X):
        """Weighted mean of the probabilities, for the losses."""
        parts = [m.predict_proba(X) for m in self.models]
        return np.tensordot(self.weights, parts, axes=1)

    def correctness(self, X, y):
        """Probability that the randomised prediction of each row is right."""
        right = [m.predict(X) == y for m in self.models]
        return np.tensordot(self.weights, np.array(right, dtype=float), axes=1)


def after_ways(base, X, y, groups, bound):
    """Ways that fine-tune a given dense network: name and fitted model, one by one."""
    data = {"sensitive_features": groups}

    def constrained(**options):
        return GroupConstrainedPruner(base, **PROJECTED | options).fit(X, y, **data)

    yield "equal_loss, after", constrained()
    yield "equal_excessive_loss, after", constrained(constraint="equal_excessive_loss")
    yield "accuracy_gap, after", constrained(constraint="accuracy_gap", tolerance=0.02)
    bounded = {"constraint": "bounded_group_loss", "tolerance": bound}
    yield "bounded_group_loss, after", constrained(**bounded)
    yield "minimax, after", constrained(constraint="minimax")
    yield "the paper's equal_loss, after", constrained(**PAPER)
    names, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    balanced = len(y) / (len(names) * sizes)
    yield "group reweighting, after", base.fit(X, y, sample_weight=balanced[codes], **data)
    if len(np.unique(y)) == 2:
        reduction = ExponentiatedGradient(base, ErrorRateParity(difference_bound=0.05))
        yield (
            "ExponentiatedGradient, after",
            Mixture(reduction.fit(X, y, sensitive_features=groups)),
        )


def paths(seed, memory, X, y, groups):
    """Ways with a dense training of their own: name and one model per sparsity."""
    plain = PrunedClassifier(random_state=seed, memory=memory, **SHORT)
    for stage in ("before", "both"):
        for constraint in ("equal_loss", "minimax"):
            options = PROJECTED | {"constraint": constraint, "stage": stage}
            pruner = GroupConstrainedPruner(plain, **options)
            yield f"{constraint}, {stage}", pruner
    for constraint, tolerance in (
        ("equal_loss", 0.05),
        ("equal_excessive_loss", 0.05),
        ("accuracy_gap", 0.02),
        ("equal_loss", np.inf),
    ):
        name = f"{constraint}, after, held-out multipliers"
        if tolerance == np.inf:
            name = f"none, on {1 - HOLDOUT:.0%} of the rows"
        options = {"constraint": constraint, "tolerance": tolerance, "holdout": HOLDOUT}
        yield name, GroupConstrainedPruner(plain, **PROJECTED | options)


def run(name, seed):
    """Outcomes of all ways on one data set with one seed."""
    return outcomes(*split(*load(name), seed), seed)


def outcomes(train, test, seed):
    """Fit all ways on the training rows, and measure them on these and on the test rows.

    Parameters
    ----------
    train, test : tuple of (X, y, groups)
        As from `tables.split`.
    seed : int
        Of every training.

    Returns
    -------
    found : dict
        {"way; sparsity": {"train accuracy": ..., "test accuracy": ...}}.
    """
    X, y, groups = train
    dense = PrunedClassifier(sparsity=0.0, random_state=seed)
    dense.fit(X, y, sensitive_features=groups)
    found = {}

    def note(way, sparsity, model):
        rows = zip(PARTS, (train, test), strict=True)
        outcome = {part: measure(model, dense, *data) for part, data in rows}
        found[f"{way}; {sparsity}"] = {
            f"{part} {key}": round(float(outcome[part][key]), 5)
            for part in PARTS
            for key in KEPT
        }

    for sparsity in SPARSITIES:
        frozen = FrozenEstimator(dense.estimator_)
        base = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed, **SHORT)
        none = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed, **SHORT)
        none.fit(X, y, sensitive_features=groups)
        note("none", sparsity, none)
        bound = 0.05 + measure(none, dense, *train)["loss"]
        for way, model in after_ways(base, X, y, groups, bound):
            note(way, sparsity, model)
    with tempfile.TemporaryDirectory() as memory:
        for way, pruner in paths(seed, memory, X, y, groups):
            data = {"sensitive_features": groups, "sparsities": SPARSITIES}
            path = pruner.pruning_path(X, y, **data)
            for sparsity, model in zip(SPARSITIES, path.estimators, strict=True):
                note(way, sparsity, model)
    return found


def kept_runs():
    """Runs done so far: {data set: {seed: outcomes}}."""
    runs = {}
    for path in sorted(RUNS.glob("*.json"), key=lambda p: PLAN["data"].index(p.stem)):
        kept = json.loads(path.read_text(encoding="utf-8"))
        runs[path.stem] = {
            seed: {way: dict(zip(kept["fields"], v, strict=True)) for way, v in cells.items()}
            for seed, cells in kept["seeds"].items()
        }
    return runs


def keep_runs(name, by_seed):
    """Keep the runs of one data set, every seed's own numbers, a line for each seed."""
    fields = [f"{part} {key}" for part in PARTS for key in KEPT]
    lines = [
        f"{json.dumps(seed)}:"
        + json.dumps(
            {way: [values[f] for f in fields] for way, values in found.items()},
            separators=(",", ":"),
        )
        for seed, found in by_seed.items()
    ]
    text = f'{{"fields": {json.dumps(fields)},\n"seeds":{{\n' + ",\n".join(lines) + "\n}}\n"
    RUNS.mkdir(exist_ok=True)
    (RUNS / f"{name}.json").write_text(text, encoding="utf-8")


def compare(runs):
    """Paired differences to "none": {way: {"data, sparsity": {metric: interval}}}."""
    table = {}
    for name, by_seed in runs.items():
        outcomes = list(by_seed.values())
        for key in outcomes[0]:
            way, sparsity = key.split("; ")
            table.setdefault(way, {})[f"{name}, {sparsity}"] = {
                metric: paired(
                    [o[key][metric] for o in outcomes],
                    [o[f"none; {sparsity}"][metric] for o in outcomes],
                )
                | {"value": float(np.mean([o[key][metric] for o in outcomes]))}
                for metric in outcomes[0][key]
            }
    return table


def count(cells, metric, sign):
    """In how many cells the interval of the difference is below (-1) or above (1) zero."""
    bound = {-1: "high", 1: "low"}[sign]
    return int(sum(sign * cell[metric][bound] > 0 for cell in cells.values()))


def kept_cells():
    """Table of differences as from `compare`, and the seeds of each data set."""
    runs = kept_runs()
    return compare(runs), {n: sorted(map(int, by_seed)) for n, by_seed in runs.items()}


def shared_cells(table):
    """Cells that every way has and whose unmitigated network is not broken, and the broken.

    Broken: pruning alone leaves a network that predicts one class in at least half of the
    seeds.
    """
    broken = [k for k, c in table["none"].items() if c["test one_class"]["value"] >= 0.5]
    shared = [
        k for k in table["none"] if k not in broken and all(k in c for c in table.values())
    ]
    return shared, broken


def tally(cells, measures):
    """Held-out changes of some cells: in how many surely lower and higher, and the mean."""
    return {
        f"test {key}": {
            "lower": count(cells, f"test {key}", -1),
            "higher": count(cells, f"test {key}", 1),
            "change": round(
                float(np.mean([c[f"test {key}"]["mean"] for c in cells.values()])), 5
            ),
        }
        for key in measures
    }


def by_data(cells):
    """Number of cells of each data set, and their tally."""
    names = dict.fromkeys(key.split(", ")[0] for key in cells)
    found = {}
    for name in names:
        own = {k: c for k, c in cells.items() if k.split(", ")[0] == name}
        found[name] = {"cells": len(own)} | tally(own, SHOWN)
    return found


def summarise(table):
    """Counts over the cells that all ways share, and tallies of every data set.

    Cells whose unmitigated network is broken are left out of both.

    Returns
    -------
    lines : list of dict
        For the record.
    data : dict
        By way, which cells are shared, and which are broken.
    """
    shared, broken = shared_cells(table)
    lines, ways = [], {}
    for way, cells in table.items():
        if way == "none":
            continue
        kept = {k: c for k, c in cells.items() if k not in broken}
        alike = {k: kept[k] for k in shared}
        row = {"cells": len(alike)}
        row |= tally(alike, ("accuracy", "balanced_accuracy", *GAPS))
        for gap in GAPS:
            row[f"train {gap}"] = {"lower": count(alike, f"train {gap}", -1)}
        ones = [c["test one_class"]["value"] for c in alike.values()]
        row |= {"one_class": float(np.mean(ones)), "by_data": by_data(kept)}
        for gap in ("spread", "violation"):
            better = {k: c for k, c in kept.items() if c[f"test {gap}"]["high"] < 0}
            row[f"cells with lower {gap}"] = {
                k: {
                    key: [
                        round(float(c[f"test {key}"][v]), 4) for v in ("mean", "low", "high")
                    ]
                    for key in (gap, "accuracy")
                }
                for k, c in better.items()
            }
        ways[way] = row
        for gap in ("spread", "violation"):
            found = row[f"test {gap}"]
            text = (
                f"of {len(alike)} cells (higher in {found['higher']}; accuracy "
                f"{100 * row['test accuracy']['change']:+.2f} points on average)"
            )
            lines.append(figure(f"{way}: held-out {gap} lower in", found["lower"], text))
    return lines, {"ways": ways, "shared": shared, "broken": broken}


def changes_table(data):
    """Markdown: mean change of held-out spread and accuracy, in points, by data set."""
    of = next(iter(data["ways"].values()))["by_data"]
    head = ["way", *(f"{n.replace('_', ' ')}, {row['cells']} cells" for n, row in of.items())]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way, row in data["ways"].items():
        cells = ["-"] * len(of)
        for k, name in enumerate(of):
            if name in row["by_data"]:
                tallied = row["by_data"][name]
                changes = (tallied[f"test {m}"]["change"] for m in ("spread", "accuracy"))
                cells[k] = "{:+.1f}, {:+.1f}".format(*(100 * v for v in changes))
        lines.append(f"| {' | '.join([way, *cells])} |")
    return lines


def counts_table(data):
    """Markdown: in how many cells a held-out measure is surely lower / higher.

    Of the cells that all ways have, and of those of the digits.
    """
    names = {"spread": "spread", "violation": "worst loss", "xi": "xi", "accuracy": "accuracy"}
    shared = len(data["shared"])
    digits = next(iter(data["ways"].values()))["by_data"]["digits"]["cells"]
    head = ["way", *(f"{name}, {shared} cells" for name in names.values())]
    head += [f"digits: {name}, {digits} cells" for name in names.values()]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way, row in data["ways"].items():
        cells = []
        for tallied in (row, row["by_data"].get("digits")):
            for key in names:
                both = tallied and tallied[f"test {key}"]
                cells.append(f"{both['lower']} / {both['higher']}" if both else "-")
        lines.append(f"| {' | '.join([way, *cells])} |")
    return lines


def plot(table, seeds, path, sparsity=0.9):
    """Changes of held-out spread, violation and accuracy with intervals, by data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    ways = [way for way in table if way not in ("none", "equal_excessive_loss, after")]
    rows = {"spread": "accuracy spread", "violation": "worst group's loss above the mean"}
    rows |= {"accuracy": "overall accuracy"}
    figure_, axes = plt.subplots(
        len(rows), len(seeds), figsize=(16, 10.5), sharey=True, constrained_layout=True
    )
    for line, metric in zip(axes, rows, strict=True):
        for axis, name in zip(line, seeds, strict=True):
            cells = [table[way].get(f"{name}, {sparsity}") for way in ways]
            found = [None if c is None else c[f"test {metric}"] for c in cells]
            reach = [
                max(abs(v["low"]), abs(v["high"]))
                for way, v in zip(ways, found, strict=True)
                if v is not None and "Gradient" not in way
            ]
            edge = 110 * max(reach) or 1.0
            for k, (way, v) in enumerate(zip(ways, found, strict=True)):
                if v is None:
                    continue
                mean, low, high = (100 * v[f] for f in ("mean", "low", "high"))
                ours = "Gradient" not in way and "reweighting" not in way and "none" not in way
                colour = "#0072B2" if ours else "#D55E00"
                if abs(mean) > edge:
                    side = np.sign(mean)
                    axis.plot(
                        0.95 * side * edge, k, marker="<" if side < 0 else ">", color=colour
                    )
                    axis.annotate(
                        f"{mean:+.0f}", (0.8 * side * edge, k), va="center", fontsize=8
                    )
                    continue
                axis.plot([low, high], [k, k], color=colour, lw=2)
                axis.plot(mean, k, "o", color=colour, ms=5)
            axis.set_xlim(-edge, edge)
            axis.axvline(0, color="0.6", lw=1)
            if metric == "spread":
                axis.set_title(f"{name}\n{len(seeds[name])} seeds")
            if axis is line[0]:
                axis.set_yticks(range(len(ways)), ways, fontsize=8)
            unit = "loss x 100" if metric == "violation" else "points"
            axis.set_xlabel(f"{rows[metric]}, {unit}", fontsize=8)
    axes[0, 0].invert_yaxis()
    figure_.suptitle(
        f"Change against pruning without mitigation, held-out rows, sparsity {sparsity:.0%}: "
        "mean over seeds and 95 % interval (blue: group constraints)"
    )
    figure_.savefig(path, dpi=75)
    print(f"written: {path}")


def main():
    """Run what is missing, then summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=len(PLAN["seeds"]))
    parser.add_argument("--data", default=None, help="comma-separated names")
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not arguments.summary:
        runs = kept_runs()
        names = arguments.data.split(",") if arguments.data else available()
        for seed in range(arguments.seeds):
            for name in names:
                if str(seed) in runs.get(name, {}):
                    continue
                runs.setdefault(name, {})[str(seed)] = run(name, seed)
                keep_runs(name, runs[name])
                print(f"{name}, seed {seed}: done", flush=True)
    table, seeds = kept_cells()
    lines, data = summarise(table)
    data |= {"seeds": seeds, "fewest_rows_of_a_group": FEWEST}
    print("\n".join([*changes_table(data), "", *counts_table(data)]))
    for row in data["ways"].values():
        del row["by_data"]  # follows from the cells
    save(
        "mitigation",
        lines,
        seeds=sorted({s for by_data in seeds.values() for s in by_data}),
        data=data,
        kept_runs=arguments.summary,
    )
    plot(table, seeds, RESULTS / "mitigation.png")


if __name__ == "__main__":
    main()
