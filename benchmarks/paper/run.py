"""Train, prune and measure: every way of ways.py on the tasks of the paper.

Run: python -W ignore benchmarks/paper/run.py [--tasks svhn] [--seeds 0,1,2] [--resume]
     python -W ignore benchmarks/paper/run.py --network resnet18 --device cuda --epochs 30
     python -W ignore benchmarks/paper/run.py --recovered    # the package's default recovery
Then: python benchmarks/paper/report.py            # verdicts, figures and page

A seed decides the split, the first weights and the order of rows. Every way is fitted on
the training rows and measured on validation and test rows, by class; nothing is chosen
here. After every cell the result of the task and seed is written to
results/<task>-<seed>.json (other networks: results-<network>/), so that a run that was cut
short goes on with --resume; dense networks wait for that in the folder --memory. Several
tasks or seeds can run at the same time, in a process each.
"""

import argparse
import copy
import importlib.metadata
import json
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from baselines import BASELINES, balance
from networks import FINETUNE_EPOCHS, NETWORKS, make_net
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from tasks import FILES, TASKS, available, folder, half, scaled, split, thinned
from ways import FRONT_SPARSITY, PLAN, PROJECTED, RECOVERED_SETS, SETS, plan, unplanned

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, diagnose

HERE = Path(__file__).parent
EPOCHS = {"utkface_ethnicity": 6, "utkface_age": 6, "cifar10": 12, "svhn": 18}
MOST_TRAINING_ROWS = {"cifar10": 12_000}  # on a processor; a GPU takes them all
DIAGNOSED_ROWS = {"cifar10": 150, "svhn": 300, "utkface_age": 200, "utkface_ethnicity": 300}
DIAGNOSED = ("none", "equal_loss, before", "paper, before")
DIAGNOSED_PRUNED = ("none", "equal_loss, after", "paper, after")
DIAGNOSED_RECOVERED = ("none", "paper, after")  # dense networks are those of results/
QUANTITIES = (
    "rows",
    "dense_accuracy",
    "dense_loss",
    "gradient_norm",
    "largest_eigenvalue",
    "eigenvalue_converged",
    "closeness",
    "margin",
    "excessive_loss",
    "masked_excessive_loss",
    "second_order",
    "theorem1_bound",
)
RECOVERED = PLAN["recovered_budget"]
TINY = np.finfo(np.float64).tiny


def prepare(name, seed, *, half_size, most):
    """Split and scaled images of one seed, and what the record says of them."""
    task = TASKS[name]()
    parts = split(task, seed)
    parts["train"] = thinned(task, parts["train"], most, seed)
    images = half(task.images) if half_size else task.images
    pixels = images[parts["train"]]
    mean, scale = float(pixels.mean()), float(pixels.std())
    X = {part: scaled(images[rows], mean, scale) for part, rows in parts.items()}
    y = {part: task.labels[rows] for part, rows in parts.items()}
    rows = {p: np.bincount(v, minlength=len(task.names)).tolist() for p, v in y.items()}
    return X, y, {"groups": list(task.names), "rows": rows, "image": list(images.shape[1:])}


def measure(model, X, y):
    """Accuracy and loss of every class, which is every group, and how many are predicted."""
    probability = model.predict_proba(X)
    rows, codes = np.arange(len(y)), np.unique(y, return_inverse=True)[1]
    right = probability.argmax(axis=1) == y
    loss = -np.log(np.maximum(probability[rows, y], TINY))
    sizes = np.bincount(codes)
    return {
        "accuracy": [round(v, 5) for v in (np.bincount(codes, right) / sizes).tolist()],
        "loss": [round(v, 5) for v in (np.bincount(codes, loss) / sizes).tolist()],
        "classes_predicted": len(np.unique(probability.argmax(axis=1))),
    }


def quantities(estimator, X, y, most, seed):
    """Diagnosis of `most` training rows a group: {quantity: one number a group}."""
    report = diagnose(
        estimator,
        X,
        y,
        max_samples=most,
        bound_samples=0,
        n_boot=2,
        random_state=seed,
    )
    table = report.by_group
    return {
        name: [float(f"{v:.6g}") for v in table[name].astype(float)]
        for name in QUANTITIES
        if name in table
    }


class Run:
    """One task with one seed: fits what is missing of the plan and keeps what it measured.

    Parameters
    ----------
    path : Path
        The record, read if it exists.
    head : dict
        What the record says of itself; must not contradict an existing one.
    X, y : dict of str to ndarray
        Of the parts "train", "validation" and "test".
    clf : PrunedClassifier
        Unfitted, with memory.
    """

    def __init__(self, path, head, X, y, clf):
        self.path, self.head, self.X, self.y, self.clf = path, head, X, y, clf
        self.cells, self.diagnoses, self.pruned = {}, {}, None
        if path.exists():
            kept = json.loads(path.read_text(encoding="utf-8"))
            check_same(path, kept["about"], head)
            self.cells, self.diagnoses = kept["cells"], kept["diagnoses"]

    def missing(self, cells):
        """Cells of a plan that are not in the record."""
        return [c for c in cells if key(*c) not in self.cells]

    def do(self, way, sparsity):
        """Fit and measure one cell, and what hangs on it."""
        model = pruner = self.fit(way, sparsity)
        found = {part: measure(model, self.X[part], self.y[part]) for part in self.X}
        if isinstance(model, GroupConstrainedPruner):
            pruner = model.estimator_
            found["multipliers"] = [float(f"{v:.4g}") for v in model.multipliers_]
            found["satisfied"] = model.constraint_satisfied_
        dense = f"{dense_name(way)}; 0"
        if dense not in self.cells:
            self.cells[dense] = self.dense(pruner)
        self.diagnose(way, sparsity, pruner)
        self.cells[key(way, sparsity)] = found
        self.write()

    def fit(self, way, sparsity):
        """Fitted model of one cell."""
        X, y = self.X["train"], self.y["train"]
        clf = clone(self.clf).set_params(sparsity=sparsity)
        if way.family in ("last_layer", "balanced last layer"):
            return self.last(way, clf)
        if way.recovery is not None:
            clf.set_params(recovery=way.recovery)
        if way.options is not None and way.baseline is None:
            return GroupConstrainedPruner(clf, **PROJECTED | way.options).fit(X, y)
        if way.baseline is None:
            return clf.fit(X, y)
        clf.set_params(sparsity=0.0)  # trains, and leaves pruning to what follows
        if way.options is not None:
            pruner = GroupConstrainedPruner(clf, **PROJECTED | way.options).fit(X, y)
            weights = balance(y, way.strength)
            return pruner.prune(X, y, sample_weight=weights, sparsity=sparsity)
        clf.fit(X, y).set_params(sparsity=sparsity)
        return BASELINES[way.baseline](clf, X, y, way.strength)

    def last(self, way, clf):
        """Another last layer of the recovered network, which is fitted once."""
        X, y = self.X["train"], self.y["train"]
        if self.pruned is None:
            self.pruned = clf.set_params(recovery=way.recovery).fit(X, y)
        if way.options is None:
            return BASELINES[way.baseline](self.pruned, X, y, way.strength)
        return GroupConstrainedPruner(FrozenEstimator(self.pruned), **way.options).fit(X, y)

    def dense(self, pruner):
        """Measure the dense network that a model began with."""
        network = copy.copy(pruner).prune(sparsity=0.0)
        return {part: measure(network, self.X[part], self.y[part]) for part in self.X}

    def diagnose(self, way, sparsity, pruner):
        """Diagnose dense and pruned networks of `DIAGNOSED` at the sparsity of the fronts."""
        if sparsity != FRONT_SPARSITY:
            return
        data = (
            self.X["train"],
            self.y["train"],
            self.head["diagnosed_rows"],
            self.head["seed"],
        )
        recovered = RECOVERED.keys() <= self.head.keys()
        if way.name in DIAGNOSED and not recovered:
            self.diagnoses[f"dense, {way.name}"] = quantities(pruner, *data)
        if way.name in (DIAGNOSED_RECOVERED if recovered else DIAGNOSED_PRUNED):
            self.diagnoses[f"pruned, {way.name}"] = quantities(pruner.estimator_, *data)

    def write(self):
        """Write the record, whole or not at all; a line for each cell."""
        lines = [
            f"{json.dumps(name)}: {json.dumps(value, separators=(',', ':'))}"
            for name, value in self.cells.items()
        ]
        text = (
            f'{{"about": {json.dumps(self.head)},\n'
            f'"diagnoses": {json.dumps(self.diagnoses, separators=(",", ":"))},\n'
            '"cells": {\n' + ",\n".join(lines) + "\n}}\n"
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        part = self.path.with_suffix(".part")
        part.write_text(text, encoding="utf-8")
        part.replace(self.path)


def key(way, sparsity):
    """Name of a cell in the record."""
    return f"{way.name}; {sparsity:g}"


def dense_name(way):
    """Which dense training a way begins with, as part of a cell's name."""
    options = way.options or {}
    if options.get("holdout"):
        return "dense, on the rows that held-out multipliers leave"
    if options.get("stage", "after") in ("after", "last_layer"):
        return "dense"
    return f"dense, {way.name.replace('both', 'before')}"


def check_same(path, kept, head):
    """Refuse to mix results of different settings in one record."""
    differ = [k for k in head if k not in ("versions", "python") and kept.get(k) != head[k]]
    if differ:
        shown = ", ".join(f"{k}: {kept.get(k)!r} there, {head[k]!r} now" for k in differ)
        raise SystemExit(
            f"{path} holds results of other settings ({shown}). Give the same settings, or "
            "another folder with --out."
        )


def make_parser():
    """Options of the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", default=None, help=f"of {', '.join(FILES)}; default: all")
    parser.add_argument("--seeds", type=numbers, default="0,1,2", help="default: 0,1,2")
    parser.add_argument("--sets", default=None, help=f"default: {','.join(SETS)}")
    parser.add_argument("--network", default="small", choices=NETWORKS)
    parser.add_argument("--epochs", type=count, default=None, help="of the dense training")
    parser.add_argument("--lr", type=float, default=0.003)
    parser.add_argument("--batch-size", type=count, default=128)
    parser.add_argument("--rows", type=count, default=None, help="most training rows")
    parser.add_argument("--full-size", action="store_true", help="UTKFace with 48 x 48 pixels")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=count, default=1)
    parser.add_argument(
        "--recovered", action="store_true", help="with the package's default recovery"
    )
    parser.add_argument("--resume", action="store_true", help="go on with existing results")
    parser.add_argument("--out", type=Path, default=None, help="folder of the results")
    parser.add_argument("--memory", type=Path, default=None, help="folder of dense networks")
    return parser


def count(text):
    """Number of something, at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, got {text!r}.")
    return int(text)


def numbers(text):
    """Seeds of a comma-separated option."""
    if not all(part.strip().isdecimal() for part in text.split(",")):
        raise argparse.ArgumentTypeError(f"must be integers such as 0,1,2, got {text!r}.")
    return [int(part) for part in text.split(",")]


def chosen(text, known, what):
    """Names of a comma-separated option, each of which must be known."""
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise SystemExit(f"--{what}: {', '.join(unknown)} is not among {', '.join(known)}.")
    return names


def start(name, seed, options):
    """The `Run` of one task and seed."""
    small = options.network == "small"
    epochs = options.epochs or EPOCHS[name]
    half_size = name.startswith("utkface") and small and not options.full_size
    most = options.rows or (MOST_TRAINING_ROWS.get(name) if small else None)
    X, y, data = prepare(name, seed, half_size=half_size, most=most)
    packages = ("numpy", "scikit-learn", "skorch", "torch")
    head = {
        "task": name,
        "seed": seed,
        "network": options.network,
        "epochs": epochs,
        "finetune_epochs": FINETUNE_EPOCHS,
        "lr": options.lr,
        "batch_size": options.batch_size,
        "diagnosed_rows": DIAGNOSED_ROWS[name],
        "device": options.device.split(":")[0],
        **data,
        "python": platform.python_version(),
        "versions": {p: importlib.metadata.version(p) for p in packages},
    }
    net = make_net(
        options.network,
        data["image"][0],
        len(data["groups"]),
        epochs=epochs,
        device=options.device,
        lr=options.lr,
        batch_size=options.batch_size,
    )
    clf = PrunedClassifier(
        net,
        schedule="one_shot",
        recovery="plain",
        finetune_epochs=FINETUNE_EPOCHS,
        finetune_lr="net",
        memory=options.memory,
        random_state=seed,
    )
    path = options.out / f"{name}-{seed}.json"
    if options.recovered:
        head |= RECOVERED
        clf = recovering(clf, X["train"], y["train"])
    return Run(path, head, X, y, clf)


def recovering(clf, X, y):
    """The same dense network, to be pruned as the package does by default.

    The learning rate of the net's own schedule starts again every few epochs, and would do so
    in the fine-tuning: it goes, and the package's takes its place.
    """
    dense = clone(clf).set_params(sparsity=0.0).fit(X, y)
    net = dense.estimator_
    net.set_params(callbacks__cosine=None)
    return PrunedClassifier(FrozenEstimator(net), random_state=clf.random_state, **RECOVERED)


def results_folder(options):
    """Name of the folder of results, if nobody says another."""
    network = "" if options.network == "small" else f"-{options.network}"
    return f"results{network}{'-recovered' if options.recovered else ''}"


def main(arguments=None):
    """Run what is missing."""
    options = make_parser().parse_args(arguments)
    names = available()
    if options.tasks:
        names = chosen(options.tasks, FILES, "tasks")
    if not names:
        raise SystemExit(
            f"No task's file is in {folder()}. Set SKLEARN_FAIRPRUNE_DATA to the folder that "
            "holds them."
        )
    for name in names:
        if not (folder() / FILES[name]).is_file():
            raise SystemExit(
                f"--tasks: {name} needs {FILES[name]} in {folder()}. Set "
                "SKLEARN_FAIRPRUNE_DATA to the folder that holds it."
            )
    known = RECOVERED_SETS if options.recovered else SETS
    sets = chosen(options.sets or ",".join(known), known, "sets")
    if unplanned(sets):
        raise SystemExit(
            f"--sets: {', '.join(unplanned(sets))} is not in plan.json as ways.py has it. "
            "Write it down there, and commit that, before it is run."
        )
    cells = plan(sets)
    options.out = options.out or HERE / results_folder(options)
    options.memory = options.memory or Path(tempfile.gettempdir()) / "fairprune_paper"
    torch.set_num_threads(options.threads)
    asked = [(name, seed) for seed in options.seeds for name in names]
    for name, seed in asked:
        path = options.out / f"{name}-{seed}.json"
        if path.exists() and not options.resume:
            raise SystemExit(f"{path} exists: pass --resume to go on, or another --out.")
    for name, seed in asked:
        run = start(name, seed, options)
        missing, begun = run.missing(cells), time.perf_counter()
        for done, cell in enumerate(missing, start=1):
            run.do(*cell)
            spent = time.perf_counter() - begun
            left = spent / done * (len(missing) - done) / 60
            print(
                f"{name}, seed {seed}: {done} of {len(missing)}, {left:.0f} min left; "
                f"{key(*cell)}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
