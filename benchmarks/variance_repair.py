"""Is rescaling the units of a pruned network a recovery without training?

Run: python -W ignore benchmarks/variance_repair.py [--tasks "digits, default"] [--summary]

After pruning, what a unit hands on has another mean and variance than in the dense network.
The repair gives every unit of a linear or convolution layer both back, on the training rows
and from inputs to outputs, by one factor for the unit's weights and a new bias: removed
weights stay 0 (Jordan et al. 2022, arXiv:2211.08403, for merged networks; arXiv:2605.21426 for
pruned ones). Units that batch norm normalises are left to its statistics, which are corrected
after pruning in any case: it is the same repair.

One dense network a task (recovery_tasks.py) and seed is pruned to every sparsity in every way
of plan.json, none of which takes a gradient step, and measured on validation rows; test rows
are not looked at. Every seed's own accuracies are kept.
"""

import argparse
import itertools
import json

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from record import RESULTS, figure, planned, save
from recovery_tasks import net_of, parts_of
from torch import nn

from sklearn_fairprune import PrunedClassifier

PLAN = planned("variance_repair")
BATCH = 512
LAYERS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
# What stands in the plan by name: the recovery of `prune`, and which moments are repaired.
WAYS = {
    "masked": ("plain", 0),
    "mean repair": ("plain", 1),
    "variance repair": ("plain", 2),
    "reconstruct": ("reconstruct", 0),
    "reconstruct, variance repair": ("reconstruct", 2),
}


def repair(module, dense, X, n_moments=2):
    """Give the units of a pruned module the mean and variance that they had, in place.

    Parameters
    ----------
    module, dense : torch.nn.Module
        Pruned, and before; in evaluation mode.
    X : torch.Tensor
        Training rows.
    n_moments : {0, 1, 2}
        Of every unit: none, its mean, or its variance too. A unit that is constant in either
        network gets its mean only; a layer without bias its variance only.

    Returns
    -------
    names : list of str
        Layers that were repaired, from the inputs on.
    """
    names = not_normalised(module, X[:2]) if n_moments else []
    layers = dict(module.named_modules())
    with torch.no_grad():
        for name in names:
            (mean, var), (wanted, wanted_var) = (moments(m, name, X) for m in (module, dense))
            factor = torch.ones_like(mean)
            if n_moments == 2:
                varies = (var > 1e-12 * wanted_var) & (wanted_var > 0)
                factor = torch.where(varies, (wanted_var / var).sqrt(), factor)
            layer = layers[name]
            layer.weight *= factor.to(layer.weight).reshape(
                -1, *[1] * (layer.weight.dim() - 1)
            )
            if layer.bias is not None:
                shifted = (layer.bias.double() - mean) * factor + wanted
                layer.bias.copy_(shifted)
    return names


def not_normalised(module, X):
    """Layers in the order of the forward pass, but for those that feed batch norm alone."""
    order, outputs, normalised = [], {}, set()

    def note(name, layer, inputs, output):
        if isinstance(layer, NORMS):
            normalised.add(outputs.get(id(inputs[0])))
        else:
            order.append(name)
            outputs[id(output)] = name
            kept.append(output)

    kept = []  # so that no other output gets the same id
    hooks = [
        layer.register_forward_hook(lambda *call, name=name: note(name, *call))
        for name, layer in module.named_modules()
        if isinstance(layer, LAYERS + NORMS)
    ]
    run(module, X, hooks)
    return [name for name in order if name not in normalised]


def moments(module, name, X):
    """Mean and variance of every unit of a layer before any activation, over all positions."""
    sums = []

    def add(layer, inputs, output):
        units = output.double().movedim(1, -1).flatten(0, -2)
        sums.append((len(units), units.sum(0), units.square().sum(0)))

    run(module, X, [dict(module.named_modules())[name].register_forward_hook(add)])
    n, first, second = (sum(values) for values in zip(*sums, strict=True))
    mean = first / n
    return mean, (second / n - mean.square()).clamp_min(0)


def run(module, X, hooks):
    """Forward pass in batches, with hooks that go again."""
    with torch.no_grad():
        for batch in X.split(BATCH):
            module(batch)
    for hook in hooks:
        hook.remove()


def thinned(rows, seed):
    """At most so many training rows of images."""
    X, y, groups = rows
    if X.ndim == 2 or len(y) <= PLAN["most_images"]:
        return rows
    kept = np.random.default_rng(seed).choice(len(y), PLAN["most_images"], replace=False)
    return X[kept], y[kept], groups[kept]


def run_task(task, seed):
    """Validation accuracy of the dense network and of every way, by way and sparsity."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    parts = parts_of(task, seed)
    X, y, _ = parts["train"] = thinned(parts["train"], seed)
    X_seen, y_seen, _ = parts["validation"]
    options = {"sparsity": 0.0, "finetune_epochs": 0, "random_state": seed}
    model = PrunedClassifier(net_of(task, parts), **options).fit(X, y)
    found = {"dense": accuracy(model, X_seen, y_seen), "ways": {}}
    tensor = torch.from_numpy(np.asarray(X, dtype=np.float32))
    for sparsity in PLAN["sparsities"]:
        for way in PLAN["ways"]:
            recovery, n_moments = WAYS[way]
            model.set_params(recovery=recovery).prune(X, sparsity=sparsity)
            modules = model.estimator_.module_, model.dense_estimator_.module_
            for module in modules:
                module.eval()
            repair(*modules, tensor, n_moments)
            found["ways"][f"{way}; {sparsity}"] = accuracy(model, X_seen, y_seen)
    return found


def accuracy(model, X, y):
    """Share of right predictions."""
    return round(float((model.predict(X) == y).mean()), 5)


def table_of(runs):
    """Accuracy and change against the dense network in points, means over the seeds."""
    lines = [
        {
            "task": task,
            "way": key.split("; ")[0],
            "sparsity": float(key.split("; ")[1]),
            "accuracy": 100 * value,
            "change": 100 * (value - found["dense"]),
        }
        for task, by_seed in runs.items()
        for found in by_seed.values()
        for key, value in found["ways"].items()
    ]
    keys = ["task", "way", "sparsity"]
    return pd.DataFrame(lines).groupby(keys, sort=False).mean().reset_index()


def margins(table):
    """Points by which the candidate is above each way that the rule compares it with."""
    mean = table.groupby("way")["accuracy"].mean()
    return {way: float(mean[PLAN["candidate"]] - mean[way]) for way in PLAN["compared_with"]}


def finish(runs):
    """Write the record, and print the tables."""
    table = table_of(runs)
    rows = ["task", "sparsity"]
    wide = table.pivot_table(index=rows, columns="way", values="change", sort=False)
    print(wide[PLAN["ways"]].round(1).to_string())
    by_sparsity = table.groupby(["sparsity", "way"])["accuracy"].mean().unstack("way")
    print(by_sparsity[PLAN["ways"]].round(2).to_string())
    name, least = PLAN["candidate"], PLAN["better_by"]
    summary = [
        figure(f"{name} above {way}", value, "points", f"> {least}", value > least)
        for way, value in margins(table).items()
    ]
    mean = table.groupby("way")["accuracy"].mean()
    summary += [figure(f"{way}: mean accuracy", mean[way], "%") for way in PLAN["ways"]]
    data = {"runs": runs, "table": table.round(3).to_dict("records")}
    save("variance_repair", summary, seeds=PLAN["seeds"], data=data)


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons; not saved")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--summary", action="store_true", help="from the kept runs")
    arguments = parser.parse_args()
    if arguments.summary:
        kept = json.loads((RESULTS / "variance_repair.json").read_text(encoding="utf-8"))
        print(pd.DataFrame(kept["data"]["table"]).to_string())
        return
    tasks = arguments.tasks.split("; ") if arguments.tasks else PLAN["tasks"]
    cells = list(itertools.product(tasks, PLAN["seeds"]))
    work = Parallel(arguments.jobs, verbose=5)(delayed(run_task)(*cell) for cell in cells)
    runs = {task: {} for task in tasks}
    for (task, seed), found in zip(cells, work, strict=True):
        runs[task][str(seed)] = found
    if arguments.tasks:
        print(table_of(runs).round(1).to_string())
    else:
        finish(runs)


if __name__ == "__main__":
    main()
