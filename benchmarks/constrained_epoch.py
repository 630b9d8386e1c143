"""What a group constraint costs: the constrained epoch against the plain one.

Run: python benchmarks/constrained_epoch.py [--repetitions 9]
50,000 rows of 100 random features, 2 classes, batches of 256, AdamW, one thread; the plain
and the constrained epoch of the same network in turn, medians of the ratios.
"""

import argparse

import numpy as np
import torch
from record import figure, interleaved, planned, ratio, save

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.dual_ascent import DualAscent
from sklearn_fairprune.engine.dual_rule import DualRule
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import CONSTRAINTS

SIZES = {"100-32-2": (32,), "100-256-256-2": (256, 256)}
PLAN = planned("constrained_epoch")
TARGETS, GROUPS = PLAN["targets"], PLAN["groups"]
RULE = {
    "tolerance": 0.0,
    "lr": 0.3,
    "gain": 3.0,
    "smoothing": 0.0,
    "window": 0.5,
    "total": 1.0,
}
# name: constraint, update, steps an epoch, share held out
WAYS = {
    "equal_loss": ("equal_loss", "projected", 10, 0.0),
    "accuracy_gap": ("accuracy_gap", "projected", 10, 0.0),
    "equal_loss, 20 % held out": ("equal_loss", "projected", 10, 0.2),
    "the paper's, violations of every batch": ("equal_loss", "absolute", 1, 0.0),
}


def problem(hidden, n=50_000):
    """Rows and a net ready to train."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 100)).astype(np.float32)
    y = (X[:, 0] + rng.normal(size=len(X)) > 0).astype(np.int64)
    net = networks.default_net(True, len(X), 100, 2, hidden).set_params(batch_size=256)
    return networks.initialize(networks.with_fast_batches(net), torch.float32, 0), X, y


def constrained(net, X, y, n_groups, way):
    """Rows and multipliers of one way."""
    name, update, steps, holdout = WAYS[way]
    groups = np.random.default_rng(1).integers(0, n_groups, len(X))
    rows, held = Rows(X, y, groups=groups), None
    if holdout:  # as many training rows as the plain epoch has
        extra = torch.arange(int(holdout / (1 - holdout) * len(X)))
        held = rows.subset(extra)
    rule = DualRule(CONSTRAINTS[name], update=update, steps=steps, **RULE)
    dense = networks.copy_net(net) if name == "accuracy_gap" else None
    return rows, DualAscent(rule, net, rows, n_groups, held=held, dense=dense)


def main():
    """Measure and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=9)
    repetitions = parser.parse_args().repetitions
    torch.set_num_threads(1)
    summary, data = [], {}
    for size, hidden in SIZES.items():
        net, X, y = problem(hidden)
        for n_groups in GROUPS:
            rows = Rows(X, y, groups=np.zeros(len(X), dtype=np.int64))
            ways = {"plain": lambda net=net, rows=rows: train(net, rows, 1, seed=0)}
            for way in WAYS:
                some, dual = constrained(net, X, y, n_groups, way)
                ways[way] = lambda net=net, rows=some, dual=dual: train(
                    net, rows, 1, seed=0, dual=dual
                )
            for work in ways.values():
                work()  # warm up, and multipliers above 0
            seconds, _ = interleaved(ways, repetitions)
            for way in WAYS:
                value = ratio(seconds, way, "plain")
                target = TARGETS[size] if way == "equal_loss" else None
                met = None if target is None else value <= target
                name = f"{way}: epoch of {size}, {n_groups} groups"
                summary.append(figure(name, value, "of the plain epoch", target, met))
            data[f"{size}, {n_groups} groups"] = seconds
    save("constrained_epoch", summary, seeds=[0], data=data)


if __name__ == "__main__":
    main()
