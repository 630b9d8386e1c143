"""Which settings of the multipliers measure best? The choice of the defaults.

Run: python -W ignore benchmarks/dual_defaults.py [--tasks "digits, default; svhn, PCA"]
     python benchmarks/dual_defaults.py --summary      # the choice from the kept runs

Every task (recovery_tasks.py) is split into training, validation and test rows by the seed,
and its test rows are never looked at. One dense network a seed is pruned to both sparsities
in every way of plan.json, with the default fine-tuning of the package, under `equal_loss`,
and measured on the validation rows. By these alone the rule of plan.json chooses. Every
seed's own numbers are kept in results/dual_defaults_runs/, a file for each task, from which
a run that was cut short is taken up again.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from measure import measure
from mitigation import PAPER
from record import RESULTS, figure, keep_runs, kept_runs, planned, save
from recovery_tasks import parts_of
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier

PLAN = planned("dual_defaults")
RUNS = RESULTS / "dual_defaults_runs"
SHOWN = ("accuracy", "loss", "spread", "xi", "worst_accuracy", "worst_loss", "one_class")
ADAPTIVE = {
    "dual_update": "adaptive",
    "dual_lr": 2.0,
    "noise": 2.0,
    "tolerance": None,
    "min_row_weight": 0.5,
    "max_row_weight": 4.0,
}
OLD = {
    "dual_update": "projected",
    "dual_optimizer": "nupi",
    "dual_lr": 0.3,
    "nupi_gain": 3.0,
    "tolerance": 0.05,
    "max_multiplier": 1.0,
}
# At dual_lr=2 no row gains more than 2, so that more than max_row_weight=4 changes nothing.
VARIED = (
    {"dual_lr": 1.0},
    {"dual_lr": 4.0},
    {"noise": 0.0},
    {"noise": 3.0},
    {"tolerance": 0.0},
    {"tolerance": 0.05},
    {"min_row_weight": 0.25},
)
# What stands in the plan by name.
WAYS = {
    "adaptive": ADAPTIVE,
    **{f"adaptive, {k}={v}": ADAPTIVE | {k: v} for own in VARIED for k, v in own.items()},
    "old default": OLD,
    "the paper's, dual_lr=0.1": PAPER | {"dual_lr": 0.1},
    "the paper's, dual_lr=0.3": PAPER | {"dual_lr": 0.3},
}
WEIGHTED = "group weights n^-1/2"
SECONDS = 3  # about what one way takes, with its share of the dense network


def fitted(way, base, X, y, groups):
    """Pruner of a way, fitted; `base` stays as it is."""
    if way in WAYS:
        return GroupConstrainedPruner(base, **WAYS[way]).fit(X, y, sensitive_features=groups)
    weights = None
    if way == WEIGHTED:
        _, codes, sizes = np.unique(groups, return_inverse=True, return_counts=True)
        weights = sizes[codes] ** -0.5
        weights /= weights.mean()
    return clone(base).fit(X, y, sensitive_features=groups, sample_weight=weights)


def thinned(rows, most, seed):
    """At most so many of some rows (X, y, groups), drawn by the seed."""
    if len(rows[1]) <= most:
        return rows
    kept = np.random.default_rng(seed).choice(len(rows[1]), most, replace=False)
    return tuple(values[np.sort(kept)] for values in rows)


def outcomes(train, held, ways, sparsities, seed):
    """Measures of some ways that prune one dense network: {"way; sparsity": outcome}.

    Parameters
    ----------
    train, held : tuple of (X, y, groups)
        Rows that are trained on, and measured on.
    ways : list of str
        "none", and of `WAYS` or `WEIGHTED`.
    sparsities : list of float
        Shares of the weights to remove.
    seed : int
        Of every training.
    """
    X, y, groups = train
    dense = PrunedClassifier(sparsity=0.0, random_state=seed)
    dense.fit(X, y, sensitive_features=groups)
    found = {}
    for sparsity in sparsities:
        frozen = FrozenEstimator(dense.estimator_)
        base = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed)
        for way in ways:
            outcome = measure(fitted(way, base, X, y, groups), dense, *held)
            found[f"{way}; {sparsity}"] = {k: round(float(outcome[k]), 5) for k in SHOWN}
    return found


def run(task, seed):
    """Outcomes of all ways on the validation rows of a task."""
    parts = parts_of(task, seed)
    train = thinned(parts["train"], PLAN["most_rows"], seed)
    return outcomes(train, parts["validation"], PLAN["ways"], PLAN["sparsities"], seed)


def seeds_of(task):
    """Seeds of a task: images are dear."""
    return PLAN["seeds_of_images" if task.endswith("PCA") else "seeds"]


def file_of(folder, task):
    """Where the runs of a task are kept."""
    return folder / f"{task.replace(', ', '_').replace(' ', '_')}.json"


def measure_all(folder, cells, work, fits):
    """Run what is not kept yet, telling how long it will take.

    Parameters
    ----------
    folder : Path
        Of the kept runs.
    cells : list of (str, int)
        Tasks and seeds.
    work : callable
        From task and seed to outcomes by name.
    fits : int
        Networks of a cell.
    """
    left = [(t, s) for t, s in cells if str(s) not in kept_runs(file_of(folder, t))]
    estimate = len(left) * fits * SECONDS / 60
    print(f"{len(left)} cells of {fits} networks, about {estimate:.0f} minutes", flush=True)
    begin = time.process_time()
    for done, (task, seed) in enumerate(left, start=1):
        found = work(task, seed)
        keep_runs(file_of(folder, task), kept_runs(file_of(folder, task)) | {str(seed): found})
        spent = (time.process_time() - begin) / 60
        more = spent / done * (len(left) - done)
        print(f"{task}, seed {seed}: {spent:.1f} CPU minutes, {more:.1f} left", flush=True)


def against_none(found, none):
    """Change of accuracy, and ratio of the spread, of one way's mean to that of none.

    Parameters
    ----------
    found, none : list of dict
        Outcomes of the same runs.
    """
    mean = {
        key: [float(np.mean([o[key] for o in of])) for of in (found, none)] for key in SHOWN
    }
    spread, plain = np.maximum(mean["spread"], PLAN["least_spread"])
    names = ("accuracy", "worst_accuracy", "worst_loss", "loss", "xi")
    return {k: mean[k][0] - mean[k][1] for k in names} | {"ratio": float(spread / plain)}


def unsafe(change):
    """Whether accuracy is lost and the spread is not narrowed for it."""
    return change["accuracy"] < -PLAN["cost"] and change["ratio"] > PLAN["narrowed"]


def changes(runs):
    """Changes against none: one dict a task and way, of its mean and of its single runs.

    Parameters
    ----------
    runs : dict of str to dict
        By task and seed, as from `outcomes`.

    Returns
    -------
    lines : list of dict
        ``task``, ``way``, the mean changes of `against_none` and ``unsafe``; of the single
        runs (seeds and sparsities) ``runs``, ``unsafe_runs`` and ``worst_run``, the lowest
        change of accuracy.
    """
    lines = []
    for task, by_seed in runs.items():
        cells = {}
        for found in by_seed.values():
            for key, outcome in found.items():
                cells.setdefault(key.split("; ")[0], []).append(outcome)
        for way, own in cells.items():
            if way == "none":
                continue
            mean = against_none(own, cells["none"])
            pairs = zip(own, cells["none"], strict=True)
            single = [against_none([o], [n]) for o, n in pairs]
            lines.append(
                {"task": task, "way": way}
                | {k: round(v, 5) for k, v in mean.items()}
                | {
                    "unsafe": bool(unsafe(mean)),
                    "runs": len(single),
                    "unsafe_runs": int(sum(map(unsafe, single))),
                    "worst_run": round(min(c["accuracy"] for c in single), 5),
                    "one_class": int(sum(o["one_class"] for o in own)),
                }
            )
    return lines


def by_way(lines):
    """What the rule looks at: {way: its tallies over the tasks}.

    Parameters
    ----------
    lines : list of dict
        As from `changes`.
    """
    found = {}
    for way in dict.fromkeys(line["way"] for line in lines):
        own = [line for line in lines if line["way"] == way]
        total = {k: sum(line[k] for line in own) for k in ("unsafe_runs", "runs", "one_class")}
        means = {
            k: round(float(np.mean([line[k] for line in own])), 5)
            for k in ("accuracy", "worst_accuracy", "worst_loss", "xi")
        }
        found[way] = (
            {"unsafe_tasks": [line["task"] for line in own if line["unsafe"]]}
            | total
            | {
                "log_ratio": round(float(np.mean(np.log([line["ratio"] for line in own]))), 5),
                "lowest_accuracy": min(line["accuracy"] for line in own),
                "lowest_run": min(line["worst_run"] for line in own),
            }
            | means
        )
    return found


def best_by_the_rule(table):
    """Of the safe candidates the one with the narrowest spread; else the safest."""
    candidates = {way: row for way, row in table.items() if way in WAYS}
    safe = {way: row for way, row in candidates.items() if not row["unsafe_tasks"]}
    if safe:
        return min(safe, key=lambda way: safe[way]["log_ratio"])
    return min(
        candidates, key=lambda w: (candidates[w]["unsafe_runs"], candidates[w]["log_ratio"])
    )


def summarise(*, kept):
    """Choose by the kept runs, and write the record."""
    runs = {task: kept_runs(file_of(RUNS, task)) for task in PLAN["tasks"]}
    runs = {task: by_seed for task, by_seed in runs.items() if by_seed}
    lines = changes(runs)
    table = by_way(lines)
    best = best_by_the_rule(table)
    frame = pd.DataFrame(table).T
    print(frame.assign(unsafe_tasks=frame["unsafe_tasks"].map(len)).round(4).to_string())
    print(f"by the rule: {best}")
    summary = []
    for way, row in table.items():
        ratio, told = np.exp(row["log_ratio"]), f"of {row['runs']} runs"
        summary += [
            figure(f"{way}: unsafe", len(row["unsafe_tasks"]), f"of {len(runs)} tasks"),
            figure(f"{way}: unsafe runs", row["unsafe_runs"], told),
            figure(f"{way}: spread", round(float(ratio), 4), "of none's, over the tasks"),
        ]
    data = {"tasks": list(runs), "best": best, "by_way": table, "by_task": lines}
    save("dual_defaults", summary, seeds=PLAN["seeds"], data=data, kept_runs=kept)


def main():
    """Run what is not kept yet, and choose."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons")
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tasks = arguments.tasks.split("; ") if arguments.tasks else PLAN["tasks"]
    if not arguments.summary:
        cells = [(task, seed) for task in tasks for seed in seeds_of(task)]
        measure_all(RUNS, cells, run, len(PLAN["ways"]) * len(PLAN["sparsities"]))
    summarise(kept=arguments.summary)


if __name__ == "__main__":
    main()
