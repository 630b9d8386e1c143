"""Does a group constraint lower the gap on held-out rows, and at what accuracy?

Run: python -W ignore benchmarks/mitigation.py [--seeds 10] [--data digits,mortgage]
     python benchmarks/mitigation.py --summary      # table and plot from the kept runs

Six data sets (see tables.py), four sparsities, per seed one split into 70 % training and
30 % test rows and one dense network. Every way below is fitted on the training rows with
the defaults of `GroupConstrainedPruner` (chosen on other splits, dual_defaults.py), and
measured on both. Each is compared with "none", pruning without mitigation, seed by seed:
mean difference, 95 % Student interval, paired t-test. Splits of different seeds share
rows, so the intervals are about these data. A run that is cut short is taken up again.
"""

import argparse
import json
import tempfile

import numpy as np
import torch
from fairlearn.reductions import ErrorRateParity, ExponentiatedGradient
from measure import FEWEST, measure, paired
from record import RESULTS, figure, save
from sklearn.frozen import FrozenEstimator
from tables import available, load, split

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

SPARSITIES = (0.8, 0.9, 0.95, 0.98)
RUNS = RESULTS / "mitigation_runs.json"
KEPT = ("accuracy", "balanced_accuracy", "spread", "xi", "psi", "violation", "one_class")
GAPS = ("spread", "violation", "xi", "psi")
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
        return GroupConstrainedPruner(base, **options).fit(X, y, **data)

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
        reduction = ExponentiatedGradient(
            base, ErrorRateParity(difference_bound=0.02), max_iter=5
        )
        yield (
            "ExponentiatedGradient, after",
            Mixture(reduction.fit(X, y, sensitive_features=groups)),
        )


def paths(seed, memory, X, y, groups):
    """Ways with a dense training of their own: name and one model per sparsity."""
    plain = PrunedClassifier(random_state=seed, memory=memory)
    for stage in ("before", "both"):
        for constraint in ("equal_loss", "minimax"):
            pruner = GroupConstrainedPruner(plain, constraint=constraint, stage=stage)
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
        yield name, GroupConstrainedPruner(plain, **options)


def run(name, seed):
    """Outcomes of all ways on one data set with one seed: {"way, sparsity": numbers}."""
    train, test = split(*load(name), seed)
    X, y, groups = train
    dense = PrunedClassifier(sparsity=0.0, random_state=seed)
    dense.fit(X, y, sensitive_features=groups)
    found = {}

    def note(way, sparsity, model):
        rows = {"train": train, "test": test}
        outcome = {k: measure(model, dense, *part) for k, part in rows.items()}
        found[f"{way}; {sparsity}"] = {
            f"{k} {key}": round(float(outcome[k][key]), 5) for k in rows for key in KEPT
        }

    for sparsity in SPARSITIES:
        frozen = FrozenEstimator(dense.estimator_)
        base = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed)
        none = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed)
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
    return json.loads(RUNS.read_text(encoding="utf-8")) if RUNS.exists() else {}


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
    return sum(sign * cell[metric][bound] > 0 for cell in cells.values())


def summarise(runs):
    """Counts and means over the cells, as lines for the record and as data."""
    lines, data = [], {}
    for way, cells in compare(runs).items():
        if way == "none":
            continue
        row = {"cells": len(cells)}
        for metric in GAPS:
            for part in ("train", "test"):
                key = f"{part} {metric}"
                row[f"{key} lower"] = count(cells, key, -1)
                row[f"{key} higher"] = count(cells, key, 1)
                row[f"{key} change"] = float(np.mean([c[key]["mean"] for c in cells.values()]))
        for key in ("test accuracy", "test balanced_accuracy"):
            row[f"{key} change"] = float(np.mean([c[key]["mean"] for c in cells.values()]))
            row[f"{key} lower"] = count(cells, key, -1)
            row[f"{key} higher"] = count(cells, key, 1)
        better = [c for c in cells.values() if c["test spread"]["high"] < 0]
        gained = [c["test accuracy"]["mean"] for c in better]
        row["accuracy change where spread is lower"] = (
            float(np.mean(gained)) if better else None
        )
        data[way] = row
        text = (
            f"of {len(cells)} cells lower (higher: {row['test spread higher']}); spread "
            f"{100 * row['test spread change']:+.1f}, accuracy "
            f"{100 * row['test accuracy change']:+.2f} points on average"
        )
        lines.append(figure(f"{way}: held-out spread", row["test spread lower"], text))
    return lines, data


def plot(runs, path, sparsity=0.9):
    """Change of held-out accuracy against change of held-out spread, a panel a data set."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = {
        "equal_loss, after": ("o", "#0072B2"),
        "equal_loss, both": ("s", "#0072B2"),
        "accuracy_gap, after": ("o", "#009E73"),
        "minimax, after": ("o", "#D55E00"),
        "the paper's equal_loss, after": ("D", "#CC79A7"),
        "equal_loss, after, held-out multipliers": ("^", "#56B4E9"),
        "group reweighting, after": ("x", "#000000"),
        "ExponentiatedGradient, after": ("+", "#000000"),
    }
    table = compare(runs)
    figure_, axes = plt.subplots(2, 3, figsize=(12, 7), constrained_layout=True)
    for axis, name in zip(axes.flat, runs, strict=False):
        axis.axhline(0, color="0.8", lw=1)
        axis.axvline(0, color="0.8", lw=1)
        for way, (marker, colour) in shown.items():
            cell = table.get(way, {}).get(f"{name}, {sparsity}")
            if cell is None:
                continue
            x, y = (
                {k: 100 * v for k, v in cell[f"test {m}"].items()}
                for m in ("accuracy", "spread")
            )
            errors = [[[v["mean"] - v["low"]], [v["high"] - v["mean"]]] for v in (x, y)]
            axis.errorbar(
                x["mean"],
                y["mean"],
                yerr=errors[1],
                xerr=errors[0],
                fmt=marker,
                color=colour,
                label=way,
                capsize=2,
                lw=1,
            )
        n_seeds = len(runs[name])
        axis.set_title(f"{name} ({n_seeds} seeds)")
    figure_.supxlabel(
        f"change of held-out accuracy against no mitigation, points ({sparsity:.0%})"
    )
    figure_.supylabel("change of held-out accuracy spread, points")
    handles, labels = axes.flat[1].get_legend_handles_labels()
    figure_.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure_.savefig(path, dpi=90)
    print(f"written: {path}")


def main():
    """Run what is missing, then summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--data", default=None, help="comma-separated names")
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    runs = kept_runs()
    names = arguments.data.split(",") if arguments.data else available()
    for seed in range(0 if arguments.summary else arguments.seeds):
        for name in names:
            if str(seed) in runs.get(name, {}):
                continue
            runs.setdefault(name, {})[str(seed)] = run(name, seed)
            RUNS.write_text(json.dumps(runs, separators=(",", ":")), encoding="utf-8")
            print(f"{name}, seed {seed}: done", flush=True)
    lines, data = summarise(runs)
    seeds = {name: sorted(map(int, by_seed)) for name, by_seed in runs.items()}
    data = {"seeds": seeds, "fewest_rows_of_a_group": FEWEST, "ways": data}
    save("mitigation", lines, seeds=sorted({s for v in seeds.values() for s in v}), data=data)
    plot(runs, RESULTS / "mitigation.png")


if __name__ == "__main__":
    main()
