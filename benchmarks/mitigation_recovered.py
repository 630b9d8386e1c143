"""Is there still something to mitigate, once the pruned network has recovered?

Run: python -W ignore benchmarks/mitigation_recovered.py [--data digits,mortgage]
     python benchmarks/mitigation_recovered.py --summary      # from the kept runs

The ways of mitigation.py that begin with a given dense network, on the same splits and dense
networks, with the package's default fine-tuning in the place of 5 epochs; and what a user
could do instead, distillation. Beside every cell stands the same cell of mitigation.py, of the
same seeds. Every seed's own numbers are kept in results/mitigation_recovered_runs/.
"""

import argparse
import itertools

import numpy as np
import torch
from measure import measure, paired
from mitigation import KEPT, after_ways
from mitigation import kept_runs as short_runs
from record import RESULTS, figure, keep_runs, kept_runs, planned, save
from sklearn.frozen import FrozenEstimator
from tables import load, split

from sklearn_fairprune import Distill, PrunedClassifier

PLAN = planned("mitigation_recovered")
RUNS = RESULTS / "mitigation_recovered_runs"
INSTEAD = {
    "distillation": Distill(),
    "group-balanced distillation": Distill(balance=1.0),
}
SHOWN = ("accuracy", "spread", "xi", "violation")


def models_of(dense, data, seed, sparsity):
    """Every way of the plan at one sparsity: name and fitted model, one by one."""
    X, y, groups = data
    frozen = FrozenEstimator(dense.estimator_)

    def pruner(**options):
        options = PLAN["budget"] | options
        return PrunedClassifier(frozen, sparsity=sparsity, random_state=seed, **options)

    none = pruner().fit(X, y, sensitive_features=groups)
    yield "none", none
    bound = 0.05 + measure(none, dense, *data)["loss"]
    ways = after_ways(pruner(), X, y, groups, bound)
    planned_ways = (
        len(PLAN["ways"]) - len(INSTEAD) - 1
    )  # the reduction comes last, and is dear
    yield from itertools.islice(ways, planned_ways)
    for name, recovery in INSTEAD.items():
        model = pruner(recovery=recovery).fit(X, y, sensitive_features=groups)
        yield name, model


def run(name, seed):
    """Held-out outcomes of all ways on one data set: {"way; sparsity": outcome}."""
    train, test = split(*load(name), seed)
    dense = PrunedClassifier(sparsity=0.0, random_state=seed)
    dense.fit(train[0], train[1], sensitive_features=train[2])
    found = {}
    for sparsity in PLAN["sparsities"]:
        for way, model in models_of(dense, train, seed, sparsity):
            outcome = measure(model, dense, *test)
            found[f"{way}; {sparsity}"] = {k: round(float(outcome[k]), 5) for k in KEPT}
    return found


def file_of(name):
    """Where the runs of a data set are kept."""
    return RUNS / f"{name}.json"


def short(name, by_seed):
    """Outcomes of mitigation.py in the cells of some runs, under the same names."""
    before = short_runs()[name]
    return {
        seed: {
            key: {k: before[seed][key][f"test {k}"] for k in KEPT}
            for key in found
            if key in before[seed]
        }
        for seed, found in by_seed.items()
    }


def cells_of(runs):
    """Differences from "none": one dict a data set, sparsity, way and measure.

    Parameters
    ----------
    runs : dict of str to dict
        By data set and seed, as from `run`.
    """
    cells = []
    for name, by_seed in runs.items():
        outcomes = list(by_seed.values())
        for key in outcomes[0]:
            way, sparsity = key.split("; ")
            about = {"data": name, "sparsity": float(sparsity), "way": way}
            for measured in SHOWN:
                base = [o[f"none; {sparsity}"][measured] for o in outcomes]
                values = [o[key][measured] for o in outcomes]
                found = paired(values, base) | {"value": float(np.mean(values))}
                cells.append(about | {"measure": measured} | found)
    return cells


def tally(cells):
    """By way and measure: cells surely lower, surely higher, all, and the mean change."""
    found = {}
    for way in PLAN["ways"][1:]:
        for measured in SHOWN:
            own = [c for c in cells if (c["way"], c["measure"]) == (way, measured)]
            if own:
                found.setdefault(way, {})[measured] = {
                    "lower": sum(c["high"] < 0 for c in own),
                    "higher": sum(c["low"] > 0 for c in own),
                    "cells": len(own),
                    "change": round(float(np.mean([c["mean"] for c in own])), 5),
                }
    return found


def counts_table(data):
    """Markdown: in how many cells a held-out measure is surely lower / higher, by budget."""
    names = {"spread": "spread", "violation": "worst loss", "xi": "xi", "accuracy": "accuracy"}
    cells = data["tallies"]["recovered"]
    head = ["way", *(f"{name}: 5 epochs, recovered" for name in names.values())]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for way in cells:
        row = [way]
        for key in names:
            both = [
                data["tallies"][budget].get(way, {}).get(key)
                for budget in ("5 epochs", "recovered")
            ]
            row.append(", ".join(f"{b['lower']} / {b['higher']}" if b else "-" for b in both))
        lines.append(f"| {' | '.join(row)} |")
    return lines


def summarise():
    """Write the record from the kept runs."""
    runs = {name: kept_runs(file_of(name)) for name in PLAN["data"]}
    runs = {name: by_seed for name, by_seed in runs.items() if by_seed}
    before = {name: short(name, by_seed) for name, by_seed in runs.items()}
    budgets = {"recovered": cells_of(runs), "5 epochs": cells_of(before)}
    tallies = {budget: tally(cells) for budget, cells in budgets.items()}
    lines = []
    for way, row in tallies["recovered"].items():
        text = f"of {row['spread']['cells']} cells (higher in {row['spread']['higher']})"
        lines.append(figure(f"{way}: held-out spread lower in", row["spread"]["lower"], text))
    ones = {
        budget: int(
            sum(o["one_class"] for s in of.values() for f in s.values() for o in f.values())
        )
        for budget, of in (("recovered", runs), ("5 epochs", before))
    }
    data = {"tallies": tallies, "one_class": ones, "cells": budgets}
    save("mitigation_recovered", lines, seeds=PLAN["seeds"], data=data, kept_runs=True)
    print("\n".join(counts_table(data)))
    for budget, table in tallies.items():
        print(f"\n{budget}: cells surely lower / higher, mean change")
        for way, row in table.items():
            told = [
                f"{m} {v['lower']}/{v['higher']} {v['change']:+.4f}" for m, v in row.items()
            ]
            print(f"  {way}: {'; '.join(told)}")
    print(f"networks of one class: {ones}")


def main():
    """Run what is not kept yet, and summarise."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=None, help="comma-separated names")
    parser.add_argument("--summary", action="store_true", help="only from the kept runs")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    names = arguments.data.split(",") if arguments.data else PLAN["data"]
    if not arguments.summary:
        for seed, name in itertools.product(PLAN["seeds"], names):
            by_seed = kept_runs(file_of(name))
            if str(seed) not in by_seed:
                by_seed[str(seed)] = run(name, seed)
                keep_runs(file_of(name), by_seed)
                print(f"{name}, seed {seed}: done", flush=True)
    summarise()


if __name__ == "__main__":
    main()
