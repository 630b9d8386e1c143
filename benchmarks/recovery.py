"""Schedules and recoveries side by side at equal epochs: what is lost, and by whom?

Run: python -W ignore benchmarks/recovery.py [--tasks "digits, default; adult, default"]
     python benchmarks/recovery.py --summary   # tables and picture from the kept runs

Every task (recovery_tasks.py) has one dense network a seed; it is pruned to every sparsity
of plan.json by every pair of schedule and recovery, with as many epochs of fine-tuning for
each, and measured on the test rows. Nothing is chosen: pairs have their own defaults, and the
learning rate of all is the package's ("cosine"). Costs are seconds, in epochs of the dense
training of the same network. Every seed's own numbers are kept in results/recovery_runs/.
"""

import argparse
import copy
import itertools
import time

import numpy as np
import pandas as pd
import torch
from measure import measure
from record import RESULTS, figure, keep_runs, kept_runs, planned, save
from recovery_tasks import net_of, parts_of
from scipy import stats

from sklearn_fairprune import PrunedClassifier

PLAN = planned("recovery")
RUNS = RESULTS / "recovery_runs"
GOODS = PLAN["goods"]
PAIRS = list(itertools.product(PLAN["schedules"], PLAN["recoveries"]))
BASE = ", ".join(PLAN["compared_with"])
CELL = ["task", "sparsity", "epochs"]
CONFIDENCE = 0.95


def outcome(model, dense, rows):
    """What is kept of a model on some rows; flips are against the dense network."""
    X, y, groups = rows
    found = measure(model, dense, X, y, groups)
    found["flips"] = (model.predict(X) != dense.predict(X)).mean()
    return {key: round(float(found[key]), 5) for key in (*GOODS, "one_class")}


def run(task, seed, known=None):
    """Outcomes of every pair on the test rows of a task: {cell and pair: outcome}.

    Those that are known already are not measured again.
    """
    parts = parts_of(task, seed)
    X, y, groups = parts["train"]
    dense = PrunedClassifier(
        net_of(task, parts),
        sparsity=0.0,
        schedule="rewind",  # keeps the early weights; the training is the same
        finetune_lr=PLAN["finetune_lr"],
        random_state=seed,
    )
    start = time.perf_counter()
    dense.fit(X, y, sensitive_features=groups)
    epoch = (time.perf_counter() - start) / len(dense.history_)
    found = {"dense": outcome(dense, dense, parts["test"])} | (known or {})
    for sparsity, epochs in itertools.product(PLAN["sparsities"], PLAN["epochs"]):
        for schedule, recovery in PAIRS:
            name = f"{sparsity}; {epochs}; {schedule}, {recovery}"
            if name in found:
                continue
            pruner = copy.copy(dense).set_params(
                schedule=schedule, recovery=recovery, finetune_epochs=epochs
            )
            start = time.perf_counter()
            pruner.prune(X, y, sensitive_features=groups, sparsity=sparsity)
            line = {"cost": round((time.perf_counter() - start) / epoch, 2)}
            line |= outcome(pruner, dense, parts["test"])
            line["effective_sparsity"] = round(float(pruner.effective_sparsity_), 5)
            found[name] = line
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
        One row a task, sparsity, epochs, pair and seed; ``change`` is that of the accuracy
        against the dense network.
    """
    lines = []
    for task, by_seed in runs.items():
        for seed, found in by_seed.items():
            for name, line in found.items():
                if name == "dense":
                    continue
                sparsity, epochs, pair = name.split("; ")
                about = {"task": task, "sparsity": float(sparsity), "epochs": int(epochs)}
                about |= {"pair": pair, "seed": seed}
                change = line["accuracy"] - found["dense"]["accuracy"]
                lines.append(about | line | {"change": change})
    return pd.DataFrame(lines)


def limits(differences):
    """Mean, lower and upper limit of the Student interval of some differences."""
    values = np.asarray(differences, dtype=float)
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, -np.inf, np.inf
    width = stats.t.isf((1 - CONFIDENCE) / 2, n - 1) * values.std(ddof=1) / np.sqrt(n)
    return mean, mean - width, mean + width


def surely_better(wide, pair, other, measures, goods=GOODS):
    """Whether another pair is better in all measures, with intervals that exclude 0."""
    return all(limits(goods[m] * (wide[m][other] - wide[m][pair]))[1] > 0 for m in measures)


def fronts(table, measures, cell=CELL, by="pair", goods=GOODS):
    """Which pairs are on the front of two measures, and which are surely off it.

    Parameters
    ----------
    table : DataFrame
        See `table_of`.
    measures : list of str
        Two of `goods`.
    cell : list of str
        Columns of the table that are alike for what is compared.
    by : str
        Column that names what is compared.
    goods : dict of str to {1, -1}
        Whether more of a measure is better.

    Returns
    -------
    fronts : DataFrame
        One row a cell and pair: ``on`` (no other pair has better means in both) and
        ``surely_off`` (some other pair is better in both, with intervals).
    """
    lines = []
    for at, rows in table.groupby(cell):
        wide = rows.pivot(index="seed", columns=by, values=measures)
        means = {m: goods[m] * wide[m].mean() for m in measures}
        pairs = wide[measures[0]].columns
        for pair in pairs:
            others = [other for other in pairs if other != pair]
            beaten = [o for o in others if all(means[m][o] > means[m][pair] for m in measures)]
            surely = any(surely_better(wide, pair, o, measures, goods) for o in beaten)
            about = dict(zip(cell, at, strict=True)) | {by: pair}
            lines.append(about | {"on": not beaten, "surely_off": surely})
    return pd.DataFrame(lines)


def over_tasks(table):
    """Differences from the base of the same cell, over the tasks, with Student intervals.

    Returns
    -------
    differences : DataFrame
        One row a sparsity, number of epochs, pair and measure: ``mean``, ``low``, ``high``.
    """
    means = table.groupby([*CELL, "pair"])[[*GOODS, "cost"]].mean()
    base = means.xs(BASE, level="pair")
    lines = []
    for (sparsity, epochs, pair), rows in means.groupby(level=["sparsity", "epochs", "pair"]):
        at = base.reindex(rows.index.droplevel("pair"))
        for name in (*GOODS, "cost"):
            mean, low, high = limits(rows[name].to_numpy() - at[name].to_numpy())
            about = {"sparsity": sparsity, "epochs": epochs, "pair": pair, "measure": name}
            lines.append(about | {"mean": mean, "low": low, "high": high})
    return pd.DataFrame(lines)


def draw(table, path):
    """Picture: accuracy lost against xi, means over the tasks, a panel for each cell."""
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    colours = dict(zip(PLAN["schedules"], ("C0", "C1", "C2", "C3"), strict=True))
    markers = dict(zip(PLAN["recoveries"], ("o", "s", "^", "D"), strict=True))
    means = table.groupby(["sparsity", "epochs", "pair"])[["change", "xi"]].mean()
    shape = len(PLAN["epochs"]), len(PLAN["sparsities"])
    size = (4 * shape[1], 3.2 * shape[0])
    figure_, axes = plt.subplots(*shape, figsize=size, sharex="col", sharey="col")
    for row, epochs in zip(axes, PLAN["epochs"], strict=True):
        for ax, sparsity in zip(row, PLAN["sparsities"], strict=True):
            for schedule, recovery in PAIRS:
                point = means.loc[(sparsity, epochs, f"{schedule}, {recovery}")]
                style = {"color": colours[schedule], "marker": markers[recovery]}
                ax.plot(point["xi"], 100 * point["change"], linestyle="", **style)
            ax.set_title(f"sparsity {sparsity:g}, {epochs} epochs", fontsize=10)
            ax.grid(alpha=0.3)
    for ax in axes[-1]:
        ax.set_xlabel("fairness violation xi")
    for ax in axes[:, 0]:
        ax.set_ylabel("accuracy change, points")
    dots = [
        plt.Line2D([], [], color=c, marker="o", ls="", label=s) for s, c in colours.items()
    ]
    dots += [
        plt.Line2D([], [], color="0.4", marker=m, ls="", label=r) for r, m in markers.items()
    ]
    figure_.legend(handles=dots, ncols=4, loc="lower center", frameon=False)
    figure_.tight_layout(rect=(0, 0.06, 1, 1))
    figure_.savefig(path, dpi=90)
    plt.close(figure_)


def counts(table):
    """In how many cells each pair is on a front, and surely off it: one row a pair."""
    found = {}
    for measures in PLAN["fronts"]:
        front = fronts(table, measures)
        grouped = front.groupby("pair", sort=False)[["on", "surely_off"]].sum()
        name = " and ".join(measures)
        found |= {f"on {name}": grouped["on"], f"surely off {name}": grouped["surely_off"]}
    one_class = table.groupby("pair")["one_class"].sum().astype(int)
    return pd.DataFrame(found | {"one class": one_class})


def most_accurate(table):
    """In how many of its cells a pair has the highest mean accuracy: {task: {pair: cells}}."""
    means = table.groupby([*CELL, "pair"])["accuracy"].mean().unstack("pair")
    best = means.idxmax(axis=1)
    return {
        task: best.loc[task].value_counts().sort_index().to_dict()
        for task in table["task"].unique()
    }


def by_distillation(table, measured="xi"):
    """What distilling does to a mean, beside plain training of the same schedule, by task.

    Returns
    -------
    found : dict of str to dict
        ``lower``: cells in which the mean over the seeds falls, of ``cells``; ``ratio``: mean
        of the quotients under the gradual schedule.
    """
    means = table.groupby([*CELL, "pair"])[measured].mean().unstack("pair")
    found = {}
    for task in table["task"].unique():
        own = means.loc[task]
        quotients = {s: own[f"{s}, distill"] / own[f"{s}, plain"] for s in PLAN["schedules"]}
        found[task] = {
            "lower": int(sum((v < 1).sum() for v in quotients.values())),
            "cells": sum(len(v) for v in quotients.values()),
            "ratio": round(float(quotients["cubic"].mean()), 4),
        }
    return found


def pairs_table(data):
    """Markdown: every pair against the base at the most epochs, over the tasks, and fronts."""
    epochs, shown = max(PLAN["epochs"]), {"accuracy": (100, 1), "xi": (1, 2)}
    found = {
        (row["pair"], row["sparsity"], row["measure"]): row
        for row in data["over_tasks"]
        if row["epochs"] == epochs
    }
    head = ["schedule, recovery"]
    head += [f"{name}, {s:g}" for name in shown for s in PLAN["sparsities"]]
    head += [f"{' and '.join(m).replace('_', ' ')}: on, off" for m in PLAN["fronts"]]
    lines = [f"| {' | '.join([*head, 'cost'])} |", "|---" * (len(head) + 1) + "|"]
    for pair, counted in data["by_pair"].items():
        cells = [pair]
        for name, (scale, digits) in shown.items():
            for sparsity in PLAN["sparsities"]:
                row = found[pair, sparsity, name]
                mean, low, high = (
                    f"{scale * row[k]:+.{digits}f}" for k in ("mean", "low", "high")
                )
                text = f"{mean} [{low}, {high}]" if pair != BASE else "0"
                cells.append(f"**{text}**" if row["low"] * row["high"] > 0 else text)
        for m in PLAN["fronts"]:
            name = " and ".join(m)
            cells.append(f"{counted[f'on {name}']}, {counted[f'surely off {name}']}")
        cells.append(f"{data['costs'][pair]:.1f}")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def spoken(pair):
    """Name of a pair in a sentence."""
    return pair.replace(", ", " with ")


def sentences(data):
    """What the README says of the fronts, of accuracy, and of distillation."""
    name = "on accuracy and xi"
    order = sorted(data["by_pair"], key=lambda pair: -data["by_pair"][pair][name])
    said = [f"{spoken(pair)} ({data['by_pair'][pair][name]})" for pair in order[:4]]
    text = f"On the front of accuracy and xi are, of {data['cells']} cells, most often "
    text += f"{'; '.join(said)}; {spoken(BASE)} is in {data['by_pair'][BASE][name]}. "
    best = []
    for task, counted in data["most_accurate"].items():
        most = max(counted.values())
        pairs = " and ".join(spoken(pair) for pair, n in counted.items() if n == most)
        best.append(f"{task.split(', ')[0]}: {pairs} ({most})")
    text += f"Most accurate is most often, of 9 cells a task, {'; '.join(best)}. "
    told = [
        f"{task.split(', ')[0]} {own['lower']} (x {own['ratio']:.2f})"
        for task, own in data["xi_by_distillation"].items()
    ]
    each = next(iter(data["xi_by_distillation"].values()))["cells"]
    text += "Distilling lowers the mean of xi, beside plain training of the same schedule, in "
    text += f"so many of {each} cells (in brackets: to how much, under cubic): "
    return text + f"{'; '.join(told)}."


def summarise(runs):
    """Write the record and the picture."""
    table = table_of(runs)
    by_pair, differences = counts(table), over_tasks(table)
    n_cells = len(table.groupby(CELL))
    summary = [
        figure(f"{pair}: on the front of accuracy and xi, of {n_cells} cells", n, "cells")
        for pair, n in by_pair["on accuracy and xi"].items()
    ]
    costs = table[table["epochs"] == max(PLAN["epochs"])].groupby("pair")["cost"].median()
    data = {
        "cells": n_cells,
        "costs": costs.round(3).to_dict(),
        "most_accurate": most_accurate(table),
        "xi_by_distillation": by_distillation(table),
        "by_pair": by_pair.to_dict("index"),
        "over_tasks": differences.round(5).to_dict("records"),
        "seeds_of_tasks": {task: sorted(by_seed) for task, by_seed in runs.items()},
    }
    save("recovery", summary, seeds=PLAN["seeds"], data=data, kept_runs=True)
    draw(table, RESULTS / "recovery.png")
    print("\n".join(pairs_table(data)))


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help="separated by semicolons")
    parser.add_argument("--summary", action="store_true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    tasks = arguments.tasks.split("; ") if arguments.tasks else PLAN["tasks"]
    n_lines = 1 + len(PAIRS) * len(PLAN["sparsities"]) * len(PLAN["epochs"])
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
