"""Whole units removed to equal multiply-accumulates: what is kept, beside torch-pruning?

Run: python -W ignore benchmarks/structured.py [--tasks "digits, residual; adult, two layers"]
     python benchmarks/structured.py --summary   # tables from the kept runs
     pip install torch-pruning   # the peer, in the test extra; left out where lacking

Every task of plan.json has one dense network a seed. It is pruned by this package
(granularity="unit", target=("macs", share), default recovery, then `shrink`) and by the peer
(global pruning, GroupMagnitudeImportance or GroupTaylorImportance with their defaults), whose
pruning ratio is searched for the same share. The peer's networks then have the same number of
fine-tuning steps, by the same optimizer, with the same cosine. Iterative ones lose their
units while they are fine-tuned, over the same part of the steps as under our schedule, in
equal steps of the width; the optimizer begins anew after each. Measured on the test rows;
every seed's own numbers are kept in results/structured_runs/.
"""

import argparse
import copy
import functools
import importlib.metadata
import itertools
import math
import time

import numpy as np
import pandas as pd
import torch
from measure import measure, paired
from record import RESULTS, figure, keep_runs, kept_runs, planned, save
from recovery_tasks import OPTIONS, parts_of, residual
from skorch import NeuralNetClassifier
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from sklearn_fairprune import Cubic, PrunedClassifier
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.recovery import recovery_epochs
from sklearn_fairprune.engine.tuning import RATE_FACTOR

try:
    import torch_pruning
except ImportError:
    torch_pruning = None

PLAN = planned("structured")
RUNS = RESULTS / "structured_runs"
GOODS = PLAN["goods"]
CELL = ["task", "budget"]
PEER = "torch-pruning "
SIDE = 8  # of the digits
OURS = {
    "magnitude": {},
    "magnitude, one-shot": {"schedule": "one_shot"},
    "taylor": {"criterion": "taylor"},
    "fairgrape": {"criterion": "fairgrape"},
    "worst_group, 6 updates": {"criterion": "worst_group", "schedule": Cubic(n_updates=6)},
}


class Small(nn.Module):
    """Four convolutions with batch norm, two of them with a shortcut around them."""

    def __init__(self, width=32):
        super().__init__()
        self.enter = self.convolution(1, width)
        self.inner = self.convolution(width, width)
        self.back = self.convolution(width, width)
        self.deeper = self.convolution(width, 2 * width, stride=2)
        self.output = nn.Linear(2 * width, 10)

    @staticmethod
    def convolution(n_in, n_out, stride=1):
        """Convolution, batch norm, ReLU."""
        layer = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(n_out), nn.ReLU())

    def forward(self, X):
        """Give the logits."""
        found = self.enter(X.reshape(-1, 1, SIDE, SIDE))
        found = found + self.back(self.inner(found))
        return self.output(self.deeper(found).mean((2, 3)))


class TwoLayers(nn.Sequential):
    """Two hidden layers of 100 units."""

    def __init__(self, n_features, n_classes):
        hidden = [nn.Linear(n_features, 100), nn.ReLU(), nn.Linear(100, 100), nn.ReLU()]
        super().__init__(*hidden, nn.Linear(100, n_classes))


def net_of(task, parts):
    """Untrained net of a task."""
    X, y, _ = parts["train"]
    sizes = X.shape[1], len(np.unique(y))
    options = OPTIONS | {"optimizer": torch.optim.AdamW}
    if task.startswith("digits"):
        options |= {"batch_size": 32, "lr": 0.003, "max_epochs": 12}
        return NeuralNetClassifier(Small, **options)
    if task.startswith("adult"):
        named = dict(zip(("module__n_features", "module__n_classes"), sizes, strict=True))
        return NeuralNetClassifier(TwoLayers, lr=0.001, max_epochs=20, **named, **options)
    return residual(*sizes)


# ---- sizes ---------------------------------------------------------------------------


def macs_of(module, sample):
    """Multiply-accumulates of one row, as `engine.costs.layer_macs` counts them."""
    module.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(sample)
    return counter.get_total_flops() // (2 * len(sample))


def parameters_of(module):
    """Number of parameters."""
    return sum(p.numel() for p in module.parameters())


# ---- the peer ------------------------------------------------------------------------


class Plain:
    """What `measure` asks of a module."""

    def __init__(self, module):
        self.module = module.eval()

    def predict_proba(self, X):
        """Give the probabilities of rows."""
        with torch.no_grad():
            return self.module(torch.from_numpy(X)).softmax(1).double().numpy()


def with_gradients(module, X, y):
    """Give a module the gradient of the mean loss of all rows, in evaluation mode."""
    module.eval().zero_grad(set_to_none=True)
    for rows in torch.arange(len(y)).split(500):
        nn.functional.cross_entropy(module(X[rows]), y[rows], reduction="sum").div(
            len(y)
        ).backward()
    return module


def without_units(module, sample, importance, ratio):
    """Copy of a module that the peer has pruned by a ratio of its units, all layers ranked."""
    smaller = copy.deepcopy(module).eval()
    for old, new in zip(module.parameters(), smaller.parameters(), strict=True):
        new.grad = None if old.grad is None else old.grad.clone()
    output = [part for part in smaller.modules() if isinstance(part, nn.Linear)][-1]
    options = {"global_pruning": True, "pruning_ratio": ratio, "ignored_layers": [output]}
    torch_pruning.pruner.BasePruner(smaller, sample, importance, **options).step()
    return smaller


def nearest(module, sample, importance, goal, grid=8, halvings=6):
    """Module pruned by a ratio whose multiply-accumulates are near a goal.

    Ratios of a grid, then halves of the interval around the nearest: above some ratio the
    peer leaves a layer whole that it would remove entirely, so the cost does not only fall,
    and a nearer ratio can be missed: what was reached is kept with every run.
    """
    tried = {0.0: module}

    def distance(ratio):
        if ratio not in tried:
            tried[ratio] = without_units(module, sample, importance, ratio)
        return abs(macs_of(tried[ratio], sample[:1]) - goal)

    ratios = [k / grid for k in range(grid)]
    best, step = min(ratios, key=distance), 1 / grid
    for _ in range(halvings):
        step /= 2
        around = [r for r in (best - step, best, best + step) if 0 <= r < 1]
        best = min(around, key=distance)
    return tried[best]


def goals(budget, steps):
    """Shares of the cost after each of so many equal steps of the width."""
    side = math.sqrt(budget)
    return [(1 - (1 - side) * k / steps) ** 2 for k in range(1, steps + 1)][:-1] + [budget]


def peer(dense, parts, budget, criterion, steps, epochs, seed):
    """Module that the peer has pruned, in so many steps, and that was fine-tuned.

    Parameters
    ----------
    dense : PrunedClassifier
        Fitted, left as it is.
    parts : dict
        Rows of the task.
    budget : float
        Share of the multiply-accumulates that is left.
    criterion : {"magnitude", "taylor"}
        Of the peer.
    steps, epochs, seed : int
        Of the removals (1: before the fine-tuning), of the fine-tuning, of its batches.

    Returns
    -------
    module : torch.nn.Module
    """
    net, importances = dense.estimator_, torch_pruning.importance
    X, y = torch.from_numpy(parts["train"][0]), torch.from_numpy(parts["train"][1])
    kind = {
        "magnitude": importances.GroupMagnitudeImportance,
        "taylor": importances.GroupTaylorImportance,
    }
    module, generator = copy.deepcopy(net.module_), torch.Generator().manual_seed(seed)
    total, n_batches = macs_of(module, X[:1]), math.ceil(len(y) / net.batch_size)
    at = np.linspace(0, PLAN["ramp"] * epochs * n_batches, steps).round().astype(int)
    removals = dict(zip(at.tolist(), goals(budget, steps), strict=True))
    for step in range(epochs * n_batches):
        if step in removals:
            module = with_gradients(module, X, y) if criterion == "taylor" else module
            module = nearest(module, X[:2], kind[criterion](), removals[step] * total)
            _, options = net.get_params_for_optimizer("optimizer", [])
            optimizer = net.optimizer(module.parameters(), **options)
        if step % n_batches == 0:
            batches = torch.randperm(len(y), generator=generator).split(net.batch_size)
        rate = RATE_FACTOR * net.lr * (1 + math.cos(math.pi * step / (epochs * n_batches))) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        rows = batches[step % n_batches]
        optimizer.zero_grad()
        nn.functional.cross_entropy(module.train()(X[rows]), y[rows]).backward()
        optimizer.step()
    return module


# ---- runs ----------------------------------------------------------------------------


def ours(dense, rows, budget, way):
    """Estimator pruned by this package, and its module after shrinking."""
    X, y, groups = rows
    pruner = copy.copy(dense).set_params(target=("macs", budget), **OURS[way])
    pruner.prune(X, y, sensitive_features=groups)
    smaller = pruner.shrink(X=X[:64], sparse=False)
    return smaller, smaller.estimator_.module_


def run(task, seed, known=None, keep=lambda found: None):
    """Outcomes of every way on the test rows of a task: {cell and way: outcome}.

    Those that are known already are not measured again; `keep` is given all after each.
    """
    parts = parts_of(task, seed)
    X, y, groups = parts["train"]
    options = {"sparsity": 0.0, "granularity": "unit", "random_state": seed}
    dense = PrunedClassifier(net_of(task, parts), **options)
    dense.fit(X, y, sensitive_features=groups)
    module, sample = dense.estimator_.module_, torch.from_numpy(X[:1])
    of = macs_of(module, sample), parameters_of(module)
    epochs = recovery_epochs(dense.estimator_, Rows(X, y))

    def outcome(model, smaller):
        found = measure(model, dense, *parts["test"])
        line = {key: round(float(found[key]), 5) for key in (*GOODS, "one_class")}
        line["macs"] = round(macs_of(smaller, sample) / of[0], 5)
        return line | {"parameters": round(parameters_of(smaller) / of[1], 5)}

    found = {"dense": outcome(dense, module) | {"macs_total": of[0], "epochs": epochs}}
    found |= known or {}
    planned_here = PLAN["tasks"][task]
    for budget, way in itertools.product(planned_here["budgets"], planned_here["ways"]):
        name = f"{budget}; {way}"
        if name in found or (way.startswith(PEER) and torch_pruning is None):
            continue
        start = time.process_time()
        if way.startswith(PEER):
            criterion, schedule = way.removeprefix(PEER).split(", ")
            steps = PLAN["peer_steps"][schedule]
            smaller = peer(dense, parts, budget, criterion, steps, epochs, seed)
            model = Plain(smaller)
        else:
            model, smaller = ours(dense, parts["train"], budget, way)
        seconds = round(time.process_time() - start, 2)
        found[name] = outcome(model, smaller) | {"seconds": seconds}
        keep(found)
    return found


def file_of(task):
    """Where the runs of a task are kept."""
    return RUNS / f"{task.replace(', ', '_').replace(' ', '_')}.json"


def keep_one(task, seed, found):
    """Keep what is found of a seed beside the others."""
    keep_runs(file_of(task), kept_runs(file_of(task)) | {str(seed): found})


# ---- what the runs say ---------------------------------------------------------------


def table_of(runs):
    """All networks as a table: one row a task, budget, way and seed."""
    lines = []
    for task, by_seed in runs.items():
        for seed, found in by_seed.items():
            for name, line in found.items():
                budget, way = ("1", "dense") if name == "dense" else name.split("; ")
                about = {"task": task, "budget": float(budget), "way": way, "seed": seed}
                lines.append(about | line)
    return pd.DataFrame(lines)


def differences(table):
    """Ours minus the peer's, by the pairs of the plan, cell by cell, with Student intervals.

    Returns
    -------
    found : list of dict
        One a pair, cell and measure: ``mean``, ``low``, ``high`` and ``verdict``: "win" or
        "loss" where the interval excludes 0, else "open".
    """
    found = []
    for (task, budget), rows in table.groupby(CELL, sort=False):
        for mine, theirs in PLAN["pairs"]:
            if not {mine, theirs} <= set(rows["way"]):
                continue
            wide = rows.pivot(index="seed", columns="way", values=[*GOODS, "macs"])
            for name in (*GOODS, "macs"):
                both = wide[name][[mine, theirs]].dropna()
                line = paired(both[mine], both[theirs])
                line = {k: round(line[k], 5) for k in ("mean", "low", "high")}
                good = GOODS.get(name, 0)
                verdict = "open"
                if line["low"] * line["high"] > 0 and len(both) > 1 and good:
                    verdict = "win" if good * line["mean"] > 0 else "loss"
                about = {"task": task, "budget": budget, "pair": f"{mine} - {theirs}"}
                found.append(about | {"measure": name} | line | {"verdict": verdict})
    return found


def counted(lines):
    """Sure wins and losses, cells, and mean difference of every pair and measure."""
    found = {}
    for (pair, name), rows in pd.DataFrame(lines).groupby(["pair", "measure"], sort=False):
        sums = rows["verdict"].value_counts()
        own = {"wins": int(sums.get("win", 0)), "losses": int(sums.get("loss", 0))}
        own |= {"cells": len(rows), "mean": round(float(rows["mean"].mean()), 5)}
        found.setdefault(pair, {})[name] = own
    return found


def means(table):
    """Means over the seeds: {task: {way: {budget: {measure: mean}}}}."""
    found = {}
    names = [*GOODS, "one_class", "macs", "parameters"]
    grouped = table.groupby(["task", "way", "budget"], sort=False)[names].mean()
    for (task, way, budget), row in grouped.round(5).iterrows():
        own = found.setdefault(task, {}).setdefault(way, {})
        own[f"{budget:g}"] = row.to_dict()
    return found


SHOWN = {"accuracy": (100, 1), "worst_accuracy": (100, 1), "spread": (100, 1), "xi": (1, 2)}
SHOWN |= {"macs": (1, 3), "parameters": (1, 3)}


def ways_table(data):
    """Markdown: means of every way, at the budgets of its task."""
    head = ["task, way", *(name.replace("_", " ") for name in SHOWN)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for task, ways in data["means"].items():
        for way, budgets in ways.items():
            cells = [f"{task.split(', ')[0]}: {way}"]
            for name, (scale, digits) in SHOWN.items():
                values = [f"{scale * own[name]:.{digits}f}" for own in budgets.values()]
                cells.append(" / ".join(values))
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def pairs_table(data):
    """Markdown: cells in which ours is surely better, and surely worse, by pair."""
    head = ["ours - the peer's", "cells", *(name.replace("_", " ") for name in GOODS)]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for pair, own in data["counted"].items():
        cells = [pair, str(own["accuracy"]["cells"])]
        for name in GOODS:
            scale, digits = SHOWN[name]
            line = own[name]
            mean = f"{scale * line['mean']:+.{digits}f}"
            cells.append(f"{line['wins']} / {line['losses']} ({mean})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def sentences(data):
    """What the README says, of every comparison of a pair and a cell."""
    lines = pd.DataFrame(data["differences"])
    lines = lines[lines["measure"].isin(GOODS)]
    n = len(lines) // len(GOODS)
    sums = [
        f"{name.replace('_', ' ')} {(own == 'win').sum()} and {(own == 'loss').sum()}"
        for name, own in lines.groupby("measure", sort=False)["verdict"]
    ]
    sure = [
        f"{row.pair} on {row.task.split(', ')[0]} at {row.budget:g}, "
        f"{row.measure.replace('_', ' ')} {'better' if row.verdict == 'win' else 'worse'}"
        for row in lines[lines["verdict"] != "open"].itertuples()
    ]
    lowest = []
    for task, ways in data["means"].items():
        found = {
            f"{way} at {budget}": own["accuracy"]
            for way, budgets in ways.items()
            for budget, own in budgets.items()
        }
        least = min(found, key=found.get)
        lowest.append(
            f"{task.split(', ')[0]} {least} ({100 * found[least]:.1f} %, dense "
            f"{100 * ways['dense']['1']['accuracy']:.1f} %)"
        )
    one = [f"{k} of {way}" for way, k in data["one_class"].items() if k]
    off = data["largest_miss"]
    return (
        f"Of {n} comparisons of a pair in a cell ours is surely better and surely worse in so "
        f"many: {', '.join(sums)}; by chance alone about {0.05 * n:.1f} of each measure are "
        f"sure. These are: {'; '.join(sure) if sure else 'none'}. The lowest mean accuracies "
        f"are: {'; '.join(lowest)}. Networks of one predicted class: "
        f"{', '.join(one) if one else 'none'}. The largest miss of a budget, as a share, "
        f"is {100 * off['ours']:.1f} % for ours and {100 * off['peer']:.1f} % for the peer."
    )


def largest_miss(table):
    """Largest distance from a budget, as a share of it, of ours and of the peer."""
    rows = table[table["way"] != "dense"]
    miss = (rows["macs"] / rows["budget"] - 1).abs()
    theirs = rows["way"].str.startswith(PEER)
    return {"ours": round(miss[~theirs].max(), 4), "peer": round(miss[theirs].max(), 4)}


def summarise(runs):
    """Write the record."""
    table = table_of(runs)
    lines = differences(table)
    ones = table[table["way"] != "dense"].groupby("way", sort=False)["one_class"].sum()
    data = {
        "means": means(table),
        "counted": counted(lines),
        "differences": lines,
        "one_class": ones.astype(int).to_dict(),
        "largest_miss": largest_miss(table),
        "seeds_of_tasks": {task: sorted(by_seed) for task, by_seed in runs.items()},
    }
    summary = [
        figure(f"{pair}: {name}, {what}, of {own[name]['cells']}", own[name][what], "cells")
        for pair, own in data["counted"].items()
        for name in ("accuracy", "worst_accuracy")
        for what in ("wins", "losses")
    ]
    seeds = sorted({seed for own in PLAN["tasks"].values() for seed in own["seeds"]})
    save("structured", summary, seeds=seeds, data=data, kept_runs=True)
    print("\n".join([*pairs_table(data), "", *ways_table(data), "", sentences(data)]))


def tell_of_the_peer():
    """Say whether the peer is there, and is that of the plan."""
    wanted = PLAN["peer"].removeprefix(PEER)
    if torch_pruning is None:
        print("torch-pruning is not installed (pip install torch-pruning): it is left out.")
    elif (found := importlib.metadata.version("torch_pruning")) != wanted:
        print(f"torch-pruning {found} is installed; the kept runs are of {wanted}.")


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons")
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    tell_of_the_peer()
    tasks = arguments.tasks.split("; ") if arguments.tasks else list(PLAN["tasks"])
    seeds = sorted({seed for task in tasks for seed in PLAN["tasks"][task]["seeds"]})
    for seed, task in itertools.product(() if arguments.summary else seeds, tasks):
        own = PLAN["tasks"][task]
        by_seed = kept_runs(file_of(task))
        known = by_seed.get(str(seed), {})
        if seed in own["seeds"] and len(known) < 1 + len(own["budgets"]) * len(own["ways"]):
            run(task, seed, known, functools.partial(keep_one, task, seed))
            print(f"{task}, seed {seed}: done", flush=True)
    runs = {task: kept_runs(file_of(task)) for task in PLAN["tasks"]}
    summarise({task: by_seed for task, by_seed in runs.items() if by_seed})


if __name__ == "__main__":
    main()
