"""Which settings of the multipliers measure best? The choice of the defaults.

Run: python -W ignore benchmarks/dual_defaults.py [--seeds 5] [--data digits,mortgage]
Every data set is split as in mitigation.py; its test rows are never looked at. The training
rows are split again, and settings compared on the validation part. One dense network a
seed is pruned to .9 and .95 and fine-tuned for 5 epochs under `equal_loss`.
The rule of choice (plan.json): of the settings whose mean accuracy does not fall, the one
that raises the accuracy of the worst group most. Every seed's own numbers are kept in
results/dual_defaults_runs.json.
"""

import argparse
import json

import numpy as np
import pandas as pd
import torch
from measure import SHORT, measure
from record import RESULTS, figure, planned, save
from sklearn.frozen import FrozenEstimator
from tables import available, load, split

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

PLAN = planned("dual_defaults")
SPARSITIES = PLAN["sparsities"]
SHOWN = ("accuracy", "spread", "violation", "worst_accuracy", "worst_loss", "xi")
WINDOWS, GAINS = (0.05, 0.1, 0.5, 1.0), (0.3, 1.0, 3.0)
PAPER = {
    "dual_update": "absolute",
    "dual_steps": 1,
    "tolerance": 0.0,
    "dual_optimizer": "ascent",
    "max_multiplier": np.inf,
}
COMMON = {"dual_steps": 10, "window": 0.5, "nupi_gain": 1.0, "tolerance": 0.05}
FREE = {"dual_update": "signed", "max_multiplier": np.inf}


def settings():
    """Name and parameters of every way that is compared."""
    ways = {}
    for lr in (0.1, 0.3, 1.0):
        for optimizer in ("ascent", "nupi"):
            own = COMMON | {"dual_lr": lr, "dual_optimizer": optimizer}
            ways[f"projected, {optimizer}, dual_lr={lr}"] = own
            ways[f"signed, {optimizer}, dual_lr={lr}"] = FREE | own
    for lr in (0.1, 0.3, 1.0):
        ways[f"absolute (the paper's), dual_lr={lr}"] = PAPER | {"dual_lr": lr}
    base = COMMON | {"dual_lr": 0.3, "dual_optimizer": "nupi"}
    for options in (
        *({"dual_steps": steps} for steps in (1, 3, 30)),
        *({"window": window, "nupi_gain": gain} for window in WINDOWS for gain in GAINS),
        *({"nupi_smoothing": smoothing} for smoothing in (0.5, 0.9)),
        *({"max_multiplier": total} for total in (0.5, np.inf)),
        *({"tolerance": tolerance} for tolerance in (0.0, 0.1)),
    ):
        text = ", ".join(f"{name}={value}" for name, value in options.items())
        ways[f"projected, nupi, dual_lr=0.3, {text}"] = base | options
    return ways


def cell(name, seed):
    """Outcomes of all settings at all sparsities on one data set with one seed."""
    (X, y, groups), _ = split(*load(name), seed)
    frame = pd.DataFrame(X).add_prefix("x")
    (X, y, groups), held = split(frame, y, groups, seed)
    data = {"sensitive_features": groups}
    dense = PrunedClassifier(sparsity=0.0, random_state=seed).fit(X, y, **data)
    found = {}
    for sparsity in SPARSITIES:
        frozen = FrozenEstimator(dense.estimator_)
        base = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed, **SHORT)
        models = {"none": base.fit(X, y, **data)}
        for way, options in settings().items():
            models[way] = GroupConstrainedPruner(base, **options).fit(X, y, **data)
        found[sparsity] = {way: measure(m, dense, *held) for way, m in models.items()}
    return found


def changes(cells):
    """Mean change of every setting against pruning alone: {setting: {measure: change}}.

    Parameters
    ----------
    cells : dict
        {cell: outcomes of all settings, a dict a seed}.
    """
    return {
        way: {
            key: round(
                float(
                    np.mean(
                        [
                            [o[way][key] - o["none"][key] for o in runs]
                            for runs in cells.values()
                        ]
                    )
                ),
                5,
            )
            for key in SHOWN
        }
        for way in next(iter(cells.values()))[0]
        if way != "none"
    }


def best_by_the_rule(table):
    """Of the settings that cost no accuracy, the one that helps the worst group most."""
    unharmed = {way: row for way, row in table.items() if row["accuracy"] >= 0}
    return max(unharmed, key=lambda way: unharmed[way]["worst_accuracy"])


def keep_runs(cells, seeds):
    """Keep every seed's own numbers, a line for each cell and seed."""
    lines = [
        json.dumps(
            [name, seed, {w: [round(float(o[k]), 5) for k in SHOWN] for w, o in of.items()}]
        )
        for name, runs in cells.items()
        for seed, of in zip(seeds, runs, strict=True)
    ]
    text = '{"fields": ' + json.dumps(SHOWN) + ',\n"runs": [\n' + ",\n".join(lines) + "\n]}\n"
    (RESULTS / "dual_defaults_runs.json").write_text(text, encoding="utf-8")


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=len(PLAN["seeds"]))
    parser.add_argument("--data", default=None, help="comma-separated names")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.data.split(",") if arguments.data else available()
    first = PLAN["seeds"][0]
    seeds = list(range(first, first + arguments.seeds))
    cells = {}
    for name in names:
        for seed in seeds:
            for sparsity, outcomes in cell(name, seed).items():
                cells.setdefault(f"{name}, {sparsity}", []).append(outcomes)
        print(f"{name}: done", flush=True)
    keep_runs(cells, seeds)
    table = changes(cells)
    print(pd.DataFrame(table).T.round(4).to_string())
    best = best_by_the_rule(table)
    print(f"by the rule: {best}")
    summary = [
        figure(f"{way}: change of {key}", value, "mean over data sets, sparsities, seeds")
        for way, row in table.items()
        for key, value in row.items()
        if key in ("accuracy", "spread", "violation")
    ]
    save(
        "dual_defaults",
        summary,
        seeds=seeds,
        data={"data_sets": names, "change": table, "best": best},
    )


if __name__ == "__main__":
    main()
