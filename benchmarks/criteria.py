"""Pruning criteria side by side: which is on the front of accuracy and of the worst group?

Run: python -W ignore benchmarks/criteria.py [--tasks "digits, default; adult, default"]
     python benchmarks/criteria.py --summary   # tables and picture from the kept runs

Every task (recovery_tasks.py) has one dense network a seed; it is pruned to every sparsity of
plan.json by every way there, each with the package's own schedule, recovery, epochs and
learning rate, and measured on the test rows. Nothing is chosen. Faces are seen as 64 principal
components of the training images by the package's own network: second derivatives of a
residual network at every change of the masks are too dear here. Training rows are thinned for
the same reason, test rows are not.

The peer is ``torch.nn.utils.prune.global_unstructured`` with ``L1Unstructured``, all at once,
then the same fine-tuning. Its masks are those of ``schedule="one_shot"`` and
``criterion="magnitude"``, through which it is run; every run checks that they are.
Every seed's own numbers are kept in results/criteria_runs/.
"""

import argparse
import copy
import itertools

import numpy as np
import pandas as pd
import torch
from measure import measure
from record import RESULTS, figure, keep_runs, kept_runs, planned, save
from recovery import fronts, limits
from recovery_tasks import net_of, parts_of
from torch.nn.utils import prune

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.functional import prunable

PLAN = planned("criteria")
RUNS = RESULTS / "criteria_runs"
GOODS = PLAN["goods"]
OURS, BASE, PEER = "worst_group", "magnitude", "torch, one-shot"
CELL = ["task", "sparsity"]
# Of the picture, in the order of the plan; filled markers look at the groups or at magnitude.
COLOURS = ("k", "0.5", "C0", "C0", "C9", "C2", "C2", "C1", "C4", "C4", "C3", "k")
MARKERS = ("o", "x", "+", "1", "2", "v", "^", "s", "<", ">", "D", "*")


def options_of(way):
    """What a way of the plan sets: "criterion", or "criterion, scope"."""
    if way == PEER:
        return {"criterion": "magnitude", "schedule": "one_shot"}
    criterion, *scope = way.split(", ")
    return {"criterion": criterion, "scope": scope[0] if scope else "global"}


def torch_masks(module, sparsity):
    """Masks that torch's own global pruning by magnitude gives: {name: mask}."""
    pruned = copy.deepcopy(module)
    names = list(prunable(pruned))
    layers = [(pruned.get_submodule(name.removesuffix(".weight")), "weight") for name in names]
    prune.global_unstructured(layers, pruning_method=prune.L1Unstructured, amount=sparsity)
    return {
        name: layer.weight_mask.bool() for name, (layer, _) in zip(names, layers, strict=True)
    }


def outcome(model, dense, rows):
    """What is kept of a model on some rows."""
    found = measure(model, dense, *rows)
    return {key: round(float(found[key]), 5) for key in (*GOODS, "one_class")}


def thinned(rows, seed):
    """At most so many training rows: second derivatives are measured on all of them."""
    if len(rows[1]) <= PLAN["most_rows"]:
        return rows
    rng = np.random.default_rng(seed)
    kept = np.sort(rng.choice(len(rows[1]), PLAN["most_rows"], replace=False))
    return tuple(values[kept] for values in rows)


def run(task, seed, known=None):
    """Outcomes of every way on the test rows of a task: {sparsity and way: outcome}.

    Those that are known already are not measured again.
    """
    parts = parts_of(task, seed)
    X, y, groups = thinned(parts["train"], seed)
    dense = PrunedClassifier(net_of(task, parts), sparsity=0.0, random_state=seed)
    dense.fit(X, y, sensitive_features=groups)
    found = {"dense": outcome(dense, dense, parts["test"])} | (known or {})
    for sparsity, way in itertools.product(PLAN["sparsities"], PLAN["ways"]):
        name = f"{sparsity}; {way}"
        if name in found:
            continue
        pruner = copy.copy(dense).set_params(**options_of(way))
        pruner.prune(X, y, sensitive_features=groups, sparsity=sparsity)
        found[name] = outcome(pruner, dense, parts["test"])
        found[name]["effective_sparsity"] = round(float(pruner.effective_sparsity_), 5)
        if way == PEER:
            theirs = torch_masks(dense.estimator_.module_, sparsity)
            same = all(torch.equal(mask, pruner.masks_[k]) for k, mask in theirs.items())
            found[name]["masks_are_torch's"] = same
    return found


def file_of(task):
    """Where the runs of a task are kept."""
    return RUNS / f"{task.replace(', ', '_').replace(' ', '_')}.json"


def table_of(runs):
    """All networks as a table.

    Parameters
    ----------
    runs : dict of str to dict
        By task and seed, as from `run`.

    Returns
    -------
    table : DataFrame
        One row a task, sparsity, way and seed.
    """
    lines = []
    for task, by_seed in runs.items():
        for seed, found in by_seed.items():
            for name, line in found.items():
                if name != "dense":
                    sparsity, way = name.split("; ")
                    about = {"task": task, "sparsity": float(sparsity), "way": way}
                    lines.append(about | {"seed": seed} | line)
    return pd.DataFrame(lines)


def counts(table):
    """In how many cells each way is on a front, and surely off it: one row a way."""
    found = {}
    for measures in PLAN["fronts"]:
        front = fronts(table, measures, cell=CELL, by="way", goods=GOODS)
        grouped = front.groupby("way", sort=False)[["on", "surely_off"]].sum()
        name = " and ".join(measures)
        found |= {f"on {name}": grouped["on"], f"surely off {name}": grouped["surely_off"]}
    one_class = table.groupby("way")["one_class"].sum().astype(int)
    return pd.DataFrame(found | {"one class": one_class}).loc[PLAN["ways"]]


def front_of_cells(table, measures):
    """Ways on the front of every cell: {"task, sparsity": list of ways}."""
    front = fronts(table, measures, cell=CELL, by="way", goods=GOODS)
    on = front[front["on"]].groupby(CELL)["way"].agg(list)
    order = {way: k for k, way in enumerate(PLAN["ways"])}
    return {f"{task}, {s:g}": sorted(ways, key=order.get) for (task, s), ways in on.items()}


def over_tasks(table):
    """Differences from the base of the same cell, over the tasks, with Student intervals.

    Returns
    -------
    differences : DataFrame
        One row a sparsity, way and measure: ``mean``, ``low``, ``high``.
    """
    means = table.groupby([*CELL, "way"])[list(GOODS)].mean()
    base = means.xs(BASE, level="way").reindex(means.index.droplevel("way"))
    difference = means - base.to_numpy()
    lines = []
    for (sparsity, way), rows in difference.groupby(level=["sparsity", "way"]):
        for name in GOODS:
            mean, low, high = limits(rows[name])
            about = {"sparsity": sparsity, "way": way, "measure": name}
            lines.append(about | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(lines)


def duels(table, ours=OURS):
    """Paired differences over the seeds between a way and its rivals, cell by cell.

    Returns
    -------
    differences : DataFrame
        One row a rival, measure and cell: ``mean``, ``low``, ``high`` of ours minus theirs,
        and ``sign``: 1 if ours is surely better, -1 if worse, 0 if neither.
    """
    lines = []
    for at, rows in table.groupby(CELL):
        wide = rows.pivot(index="seed", columns="way", values=list(GOODS))
        for rival, name in itertools.product(PLAN["rivals"], PLAN["duelled"]):
            mean, low, high = limits(wide[name][ours] - wide[name][rival])
            sign = GOODS[name] * (int(low > 0) - int(high < 0))
            about = {"rival": rival, "measure": name} | dict(zip(CELL, at, strict=True))
            lines.append(about | {"mean": mean, "low": low, "high": high, "sign": sign})
    return pd.DataFrame(lines)


def verdicts(found):
    """Sure wins and losses by rival and measure, the mean over the tasks, and a verdict.

    Parameters
    ----------
    found : DataFrame
        See `duels`.

    Returns
    -------
    verdicts : DataFrame
        One row a rival and measure: ``wins``, ``losses``, ``neither``, ``mean``, ``low``,
        ``high`` (over the tasks), ``verdict``: "wins", "loses" or "neither", by the rule.
    """
    lines = []
    for (rival, name), rows in found.groupby(["rival", "measure"], sort=False):
        mean, low, high = limits(rows.groupby("task")["mean"].mean())
        wins, losses = int((rows["sign"] > 0).sum()), int((rows["sign"] < 0).sum())
        better = GOODS[name] * (int(low > 0) - int(high < 0))
        verdict = "neither"
        if better > 0 and wins > losses:
            verdict = "wins"
        elif better < 0 and losses > wins:
            verdict = "loses"
        line = {"rival": rival, "measure": name, "wins": wins, "losses": losses}
        line |= {"neither": len(rows) - wins - losses, "mean": mean, "low": low, "high": high}
        lines.append(line | {"verdict": verdict})
    return pd.DataFrame(lines)


def ways_table(data):
    """Markdown: every way against the base, over the tasks, and the fronts."""
    shown = ("accuracy", "worst_accuracy")
    found = {(row["way"], row["sparsity"], row["measure"]): row for row in data["over_tasks"]}
    head = ["criterion"]
    head += [f"{n.replace('_', ' ')}, {s:g}" for n in shown for s in PLAN["sparsities"]]
    head += [f"{' and '.join(m).replace('_', ' ')}: on, off" for m in PLAN["fronts"]]
    lines = [f"| {' | '.join([*head, 'one class'])} |", "|---" * (len(head) + 1) + "|"]
    for way, counted in data["by_way"].items():
        cells = [way]
        for name, sparsity in itertools.product(shown, PLAN["sparsities"]):
            row = found[way, sparsity, name]
            mean, low, high = (f"{100 * row[k]:+.1f}" for k in ("mean", "low", "high"))
            text = f"{mean} [{low}, {high}]" if way != BASE else "0"
            cells.append(f"**{text}**" if row["low"] * row["high"] > 0 else text)
        for m in PLAN["fronts"]:
            name = " and ".join(m)
            cells.append(f"{counted[f'on {name}']}, {counted[f'surely off {name}']}")
        lines.append(f"| {' | '.join([*cells, str(counted['one class'])])} |")
    return lines


def duels_table(data):
    """Markdown: sure wins / losses of worst_group against its rivals, and the mean."""
    head = [f"`{OURS}` against", *(n.replace("_", " ") for n in PLAN["duelled"])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for rival in PLAN["rivals"]:
        cells = [f"`{rival}`"]
        for name in PLAN["duelled"]:
            row = data["verdicts"][f"{rival}; {name}"]
            digits = ".3f" if "loss" in name or name == "xi" else ".1f"
            scale = 1 if digits == ".3f" else 100
            mean, low, high = (f"{scale * row[k]:+{digits}}" for k in ("mean", "low", "high"))
            cells.append(f"{row['wins']} / {row['losses']}; {mean} [{low}, {high}]")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def cells_table(data):
    """Markdown: the front of accuracy and worst accuracy, cell by cell."""
    head = ["task", *(f"{s:g}" for s in PLAN["sparsities"])]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for task in data["seeds_of_tasks"]:
        cells = ["; ".join(data["fronts"][f"{task}, {s:g}"]) for s in PLAN["sparsities"]]
        lines.append(f"| {task} | {' | '.join(cells)} |")
    return lines


def sentences(data):
    """What the README says of the front, and of whether worst_group beats its rivals."""
    name = "accuracy and worst_accuracy"
    on, off = (
        {way: counted[f"{k} {name}"] for way, counted in data["by_way"].items()}
        for k in ("on", "surely off")
    )
    order = sorted(on, key=lambda way: -on[way])
    told = "; ".join(f"{way} ({on[way]}, surely off in {off[way]})" for way in order)
    text = "On the front of accuracy and worst-group accuracy are, of so many of "
    text += f"{data['cells']} cells: {told}. "
    parts = []
    for rival in PLAN["rivals"]:
        row = data["verdicts"][f"{rival}; worst_accuracy"]
        mean, low, high = (f"{100 * row[k]:+.1f}" for k in ("mean", "low", "high"))
        said = {"wins": "it wins", "loses": "it loses", "neither": "neither wins"}
        parts.append(
            f"against {rival} surely higher in {row['wins']} cells and lower in "
            f"{row['losses']}, {mean} points [{low}, {high}] over the tasks "
            f"({said[row['verdict']]})"
        )
    return text + f"The worst-group accuracy of {OURS} is {'; '.join(parts)}."


def draw(table, path):
    """Picture: accuracy against that of the worst group, a panel for each cell."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    styles = dict(zip(PLAN["ways"], zip(COLOURS, MARKERS, strict=True), strict=True))
    tasks = list(dict.fromkeys(table["task"]))
    means = 100 * table.groupby([*CELL, "way"])[["accuracy", "worst_accuracy"]].mean()
    front = fronts(table, ["accuracy", "worst_accuracy"], cell=CELL, by="way", goods=GOODS)
    on = front[front["on"]].groupby(CELL)["way"].agg(list)
    shape = len(tasks), len(PLAN["sparsities"])
    figure_, axes = plt.subplots(*shape, figsize=(4 * shape[1], 2.9 * shape[0]), squeeze=False)
    for row, task in zip(axes, tasks, strict=True):
        for ax, sparsity in zip(row, PLAN["sparsities"], strict=True):
            points = means.loc[(task, sparsity)]
            # what is far below the median stands on the border
            low = points.median() - 2.5 * (points.max() - points.median()).clip(lower=0.5)
            points = points.clip(lower=low, axis=1)
            best = points.loc[on[task, sparsity]]
            best = best.sort_values(["accuracy", "worst_accuracy"], ascending=[True, False])
            ax.plot(*best.to_numpy().T, color="0.8", linewidth=4, zorder=0)
            for way, (colour, marker) in styles.items():
                x, y = points.loc[way]
                ax.plot(
                    x, y, color=colour, marker=marker, linestyle="", markersize=7, alpha=0.85
                )
            ax.set_title(f"{task.split(', ')[0]}, {sparsity:g}", fontsize=10)
            ax.grid(alpha=0.3)
    for ax in axes[-1]:
        ax.set_xlabel("accuracy, %")
    for ax in axes[:, 0]:
        ax.set_ylabel("worst group, %")
    dots = [
        plt.Line2D([], [], color=c, marker=m, linestyle="", label=way)
        for way, (c, m) in styles.items()
    ]
    figure_.legend(handles=dots, ncols=6, loc="lower center", frameon=False)
    figure_.tight_layout(rect=(0, 0.05, 1, 1))
    figure_.savefig(path, dpi=90)
    plt.close(figure_)


def summarise(runs):
    """Write the record and the picture."""
    table = table_of(runs)
    by_way, found = counts(table), duels(table)
    judged = verdicts(found)
    n_cells = len(table.groupby(CELL))
    name = "accuracy and worst_accuracy"
    summary = [
        figure(f"{way}: on the front of {name}, of {n_cells} cells", n, "cells")
        for way, n in by_way[f"on {name}"].items()
    ]
    data = {
        "cells": n_cells,
        "by_way": by_way.to_dict("index"),
        "fronts": front_of_cells(table, ["accuracy", "worst_accuracy"]),
        "verdicts": {
            f"{row['rival']}; {row['measure']}": row
            for row in judged.round(5).to_dict("records")
        },
        "over_tasks": over_tasks(table).round(5).to_dict("records"),
        "duels": found.round(5).to_dict("records"),
        "seeds_of_tasks": {task: sorted(by_seed) for task, by_seed in runs.items()},
    }
    save("criteria", summary, seeds=PLAN["seeds"], data=data, kept_runs=True)
    draw(table, RESULTS / "criteria.png")
    for lines in (ways_table(data), duels_table(data), cells_table(data)):
        print("\n".join([*lines, ""]))
    print(sentences(data))


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons")
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    tasks = arguments.tasks.split("; ") if arguments.tasks else PLAN["tasks"]
    n_lines = 1 + len(PLAN["ways"]) * len(PLAN["sparsities"])
    if not arguments.summary:
        for seed, task in itertools.product(PLAN["seeds"], tasks):
            by_seed = kept_runs(file_of(task))
            known = by_seed.get(str(seed), {})
            if len(known) < n_lines:
                by_seed[str(seed)] = run(task, seed, known)
                keep_runs(file_of(task), by_seed)
                print(f"{task}, seed {seed}: done", flush=True)
    runs = {task: kept_runs(file_of(task)) for task in PLAN["tasks"]}
    summarise({task: by_seed for task, by_seed in runs.items() if by_seed})


if __name__ == "__main__":
    main()
