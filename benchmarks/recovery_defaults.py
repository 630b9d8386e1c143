"""Which schedule, recovery and budget does a pruned network need? The choice of the defaults.

Run: python -W ignore benchmarks/recovery_defaults.py [--tasks "digits, default"] [--seeds 3]
     python benchmarks/recovery_defaults.py --summary   # the choice from the kept runs
     python -W ignore benchmarks/recovery_defaults.py --test   # the chosen way on test rows

Every task (recovery_tasks.py) is split into training, validation and test rows by the seed.
One dense network a seed is pruned to every sparsity in every way of plan.json, and measured on
the validation rows; by these alone the rule chooses. Then, once, the chosen way and the old
default are measured on test rows, of the same tasks and of others.

A shortfall is the accuracy of the dense network, or of the best of all ways and budgets if
that is better, minus that of the way: means over the seeds. N is `recovery_epochs`. Every
seed's own numbers are kept in results/recovery_defaults_runs/, a file for each task.
"""

import argparse
import json
import time

import numpy as np
import pandas as pd
import torch
from measure import measure
from record import RESULTS, figure, planned, save
from recovery_tasks import net_of, parts_of
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import Cubic, Distill, Iterative, PrunedClassifier, Reconstruct
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.recovery import recovery_epochs

PLAN = planned("recovery_defaults")
RUNS = RESULTS / "recovery_defaults_runs"
KEPT = ("accuracy", "balanced_accuracy", "loss", "spread", "xi", "psi", "one_class")
BUDGETED = {"finetune_epochs": None, "finetune_lr": "cosine"}
WHOLE = Distill(share=1.0)
BASE = {"schedule": "one_shot", "recovery": "plain", "finetune_lr": "net"}
# What stands in the plan by name. The epochs are a number, None for N, or a multiple as text.
WAYS = {
    "one-shot, plain, 5 epochs": {"finetune_epochs": 5},
    "one-shot, plain, 20 epochs": {"finetune_epochs": 20},
    "one-shot, plain, 80 epochs": {"finetune_epochs": 80},
    "one-shot, plain, N, net's rate": {"finetune_epochs": None},
    "one-shot, plain, N": BUDGETED,
    "one-shot, distill, N": BUDGETED | {"recovery": WHOLE},
    "iterative, distill, N": BUDGETED | {"schedule": Iterative(4), "recovery": WHOLE},
    "cubic, plain, N": BUDGETED | {"schedule": Cubic()},
    "cubic, distill, N, net's rate": {
        "schedule": Cubic(),
        "recovery": WHOLE,
        "finetune_epochs": None,
    },
    "cubic, distill, N": BUDGETED | {"schedule": Cubic(), "recovery": WHOLE},
    "cubic, half distill, N": BUDGETED | {"schedule": Cubic(), "recovery": Distill(share=0.5)},
    "cubic, distill, N, all masks": BUDGETED
    | {"schedule": Cubic(live=False), "recovery": WHOLE},
    "cubic, distill, N, 10 masks": BUDGETED
    | {"schedule": Cubic(n_updates=10), "recovery": WHOLE},
    "cubic, reconstruct and distill, N": BUDGETED
    | {"schedule": Cubic(), "recovery": Reconstruct(distill=WHOLE)},
    "cubic, distill, 4 N": {
        "schedule": Cubic(),
        "recovery": WHOLE,
        "finetune_epochs": "4 N",
        "finetune_lr": "cosine",
    },
}
OLD = "one-shot, plain, 5 epochs"


def fit_dense(task, parts, seed):
    """Dense network of a task, and the seconds that it took."""
    X, y, groups = parts["train"]
    dense = PrunedClassifier(net_of(task, parts), sparsity=0.0, random_state=seed)
    start = time.perf_counter()
    dense.fit(X, y, sensitive_features=groups)
    return dense, time.perf_counter() - start


def fit_way(way, dense, parts, sparsity, seed):
    """Prune the dense network in a way; returns the estimator and the seconds."""
    X, y, groups = parts["train"]
    options = BASE | WAYS[way]
    if options["finetune_epochs"] == "4 N":
        options["finetune_epochs"] = 4 * recovery_epochs(dense.estimator_, Rows(X, y))
    frozen = FrozenEstimator(dense.estimator_)
    pruner = PrunedClassifier(frozen, sparsity=sparsity, random_state=seed, **options)
    start = time.perf_counter()
    pruner.fit(X, y, sensitive_features=groups)
    return pruner, time.perf_counter() - start


def outcome(model, dense, rows):
    """What is kept of a model on some rows."""
    found = measure(model, dense, *rows)
    return {key: round(float(found[key]), 5) for key in KEPT}


def constant(train, rows):
    """Accuracy of the most frequent class of the training rows."""
    label = np.bincount(train[1]).argmax()
    return round(float((rows[1] == label).mean()), 5)


def run(task, seed, ways, part):
    """Outcomes of some ways, and of the dense network, on one part of the rows of a task."""
    parts = parts_of(task, seed)
    dense, seconds = fit_dense(task, parts, seed)
    rows = parts[part]
    found = {"dense": outcome(dense, dense, rows), "constant": constant(parts["train"], rows)}
    found["ways"] = {}
    for sparsity in sparsities_of(task):
        for way in ways:
            model, took = fit_way(way, dense, parts, sparsity, seed)
            line = outcome(model, dense, rows)
            line["cost"] = round(took / seconds, 3)
            line["effective_sparsity"] = round(float(model.effective_sparsity_), 5)
            found["ways"][f"{way}; {sparsity}"] = line
    return found


def sparsities_of(task):
    """Sparsities of a task: images are dear."""
    return PLAN["sparsities_of_images" if "residual" in task else "sparsities"]


def seeds_of(task):
    """Seeds of a task."""
    return PLAN["seeds_of_images" if "residual" in task else "seeds"]


def file_of(task, part):
    """Where the runs of a task are kept."""
    return RUNS / f"{part}_{task.replace(', ', '_').replace(' ', '_')}.json"


def kept_runs(part, tasks):
    """Runs done so far: {task: {seed: outcomes}}."""
    found = {}
    for task in tasks:
        path = file_of(task, part)
        if path.exists():
            found[task] = json.loads(path.read_text(encoding="utf-8"))
    return found


def keep(task, part, by_seed):
    """Keep the runs of one task, a line for each way."""
    RUNS.mkdir(parents=True, exist_ok=True)
    lines = []
    for seed, found in by_seed.items():
        rest = {key: value for key, value in found.items() if key != "ways"}
        ways = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in found["ways"].items()]
        head = json.dumps(rest)[:-1]
        lines.append(f'"{seed}": {head}, "ways": {{\n' + ",\n".join(ways) + "}}")
    text = "{" + ",\n".join(lines) + "}\n"
    file_of(task, part).write_text(text, encoding="utf-8")


def shortfalls(runs):
    """Table of every way's shortfall in points, by task and sparsity, and its facts.

    Parameters
    ----------
    runs : dict of str to dict
        By task and seed, as from `run`.

    Returns
    -------
    table : DataFrame
        One row a task, sparsity and way: ``shortfall`` and ``change`` (against the dense
        network) in points, means over the seeds; ``cost`` as part of the dense training;
        ``below_constant``, seeds whose accuracy is below the most frequent class; and
        ``one_class``, seeds that predict one class.
    """
    lines = []
    for task, by_seed in runs.items():
        cells = {key for found in by_seed.values() for key in found["ways"]}
        for sparsity in sorted({float(key.split("; ")[1]) for key in cells}):
            ways = sorted({k.split("; ")[0] for k in cells if k.endswith(f"; {sparsity}")})
            values = {
                way: [found["ways"][f"{way}; {sparsity}"] for found in by_seed.values()]
                for way in ways
            }
            mean = {w: np.mean([v["accuracy"] for v in rows]) for w, rows in values.items()}
            dense = np.mean([found["dense"]["accuracy"] for found in by_seed.values()])
            floor = [found["constant"] for found in by_seed.values()]
            best = max(dense, *mean.values())
            for way, rows in values.items():
                below = [v["accuracy"] < c for v, c in zip(rows, floor, strict=True)]
                lines.append(
                    {
                        "task": task,
                        "sparsity": sparsity,
                        "way": way,
                        "change": 100 * (mean[way] - dense),
                        "shortfall": 100 * (best - mean[way]),
                        "cost": np.median([v["cost"] for v in rows]),
                        "below_constant": int(np.sum(below)),
                        "one_class": int(sum(v["one_class"] for v in rows)),
                    }
                )
    return pd.DataFrame(lines)


def by_way(table):
    """What the rule looks at: one row a way."""
    judged = table[table["sparsity"].isin(PLAN["judged_at"])]
    judged = judged.assign(near=judged["shortfall"] <= PLAN["within"])
    groups = judged.groupby("way", sort=False)
    return pd.DataFrame(
        {
            "cells within": groups["near"].sum(),
            "cells": groups.size(),
            "mean shortfall": groups["shortfall"].mean(),
            "largest": groups["shortfall"].max(),
            "cost": groups["cost"].median(),
            "below constant": table.groupby("way", sort=False)["below_constant"].sum(),
            "one class": table.groupby("way", sort=False)["one_class"].sum(),
        }
    )


def chosen_by_the_rule(rows):
    """Of the candidates that never fail, the way with the most cells within the limit."""
    candidates = rows.loc[[way for way in PLAN["candidates"] if way in rows.index]]
    failures = candidates["below constant"] + candidates["one class"]
    candidates = candidates[failures == failures.min()]
    order = candidates.sort_values(
        ["cells within", "mean shortfall"], ascending=[False, True], kind="stable"
    )
    return order.index[0]


def measure_all(part, tasks, ways):
    """Run what is not kept yet."""
    for task in tasks:
        by_seed = kept_runs(part, [task]).get(task, {})
        for seed in seeds_of(task):
            if str(seed) not in by_seed:
                by_seed[str(seed)] = run(task, seed, ways, part)
                keep(task, part, by_seed)
                print(f"{part}, {task}, seed {seed}: done", flush=True)


def main():
    """Measure, choose and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons")
    parser.add_argument("--summary", action="store_true")
    parser.add_argument("--test", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    asked = arguments.tasks.split("; ") if arguments.tasks else None
    if not arguments.summary and not arguments.test:
        measure_all("validation", asked or PLAN["tasks"], PLAN["ways"])
    table = shortfalls(kept_runs("validation", PLAN["tasks"]))
    rows = by_way(table)
    print(rows.round(2).to_string())
    chosen = chosen_by_the_rule(rows)
    print(f"by the rule: {chosen}")
    tested = [*PLAN["tasks"], *PLAN["other_tasks"]]
    if arguments.test:
        measure_all("test", asked or tested, dict.fromkeys([OLD, chosen]))
    finish(table, rows, chosen, shortfalls(kept_runs("test", tested)))


def finish(table, rows, chosen, test):
    """Write the record."""
    summary = [
        figure(f"{way}: cells within {PLAN['within']} points", row["cells within"], "cells")
        for way, row in rows.iterrows()
    ]
    data = {
        "chosen": chosen,
        "by_way": rows.round(4).to_dict("index"),
        "validation": table.round(4).to_dict("records"),
        "test": test.round(4).to_dict("records"),
    }
    seeds = sorted({*PLAN["seeds"], *PLAN["seeds_of_images"]})
    save("recovery_defaults", summary, seeds=seeds, data=data, kept_runs=True)


if __name__ == "__main__":
    main()
