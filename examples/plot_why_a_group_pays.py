"""Why does a group pay? Gradient norm, curvature and closeness against the damage.

The relations of Figures 2 to 6 of Tran et al., NeurIPS 2022, measured on the training rows
as there: group size and gradient norm, accuracy and gradient norm, largest Hessian
eigenvalue and closeness to the decision boundary, eigenvalue and gradient norm, and each
against the excessive loss R(a) at 90 % sparsity. Over several seeds, with the rank correlation
over the groups and its interval over the seeds: some of the relations hold, some do not.

Digits are made imbalanced (class k keeps 100 %, 90 %, ... 10 % of its rows; which class
keeps how much is drawn anew for every seed). UTKFace (ethnicity is both label and group) is
added if utkface_48_gray.npz lies in the folder that the environment variable
SKLEARN_FAIRPRUNE_DATA names (../shared/data without it).

Run: python examples/plot_why_a_group_pays.py [--seeds 5] [--out examples/why_a_group_pays]
Needs: pip install "sklearn-fairprune[plot]"
"""

import argparse
import json
import os
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from scipy import stats
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier, diagnose
from sklearn_fairprune.datasets import load_digits

SPARSITY = 0.9
NAMES = {
    "rows": "group size",
    "gradient_norm": "gradient norm",
    "dense_accuracy": "dense accuracy",
    "closeness": "closeness to the boundary s",
    "largest_eigenvalue": "largest eigenvalue of the Hessian",
    "second_order": "second-order estimate R2",
    "theorem1_bound": "bound of Theorem 1",
    "masked_excessive_loss": "excessive loss R(a), masked",
    "excessive_loss": "excessive loss R(a), fine-tuned",
}
PANELS = [  # x, y, sign the paper's figure shows, which figure
    ("rows", "gradient_norm", -1, "Fig. 2"),
    ("dense_accuracy", "gradient_norm", -1, "Fig. 3"),
    ("dense_accuracy", "masked_excessive_loss", -1, "Fig. 4"),
    ("gradient_norm", "masked_excessive_loss", 1, "Fig. 4"),
    ("largest_eigenvalue", "masked_excessive_loss", 1, "Fig. 4"),
    ("second_order", "masked_excessive_loss", 1, "R2 of Theorem 1"),
    ("closeness", "largest_eigenvalue", 1, "Fig. 5"),
    ("dense_accuracy", "largest_eigenvalue", -1, "Fig. 5"),
    ("gradient_norm", "largest_eigenvalue", 1, "Fig. 6"),
]


def imbalanced_digits(seed):
    """Digits of which each class keeps another share, and a small default network."""
    rng = np.random.default_rng(seed)
    data = load_digits()
    shares = rng.permutation(np.linspace(0.1, 1.0, 10))
    kept = [
        rng.choice(rows := np.flatnonzero(data.y == k), round(share * len(rows)), False)
        for k, share in enumerate(shares)
    ]
    kept = np.sort(np.concatenate(kept))
    return data.X[kept], data.y[kept], None


class SmallConvolution(nn.Sequential):
    """Three convolutions with batch norm, for gray images of 24 x 24."""

    def __init__(self, n_classes):
        layers, channels = [nn.Unflatten(1, (1, 24))], 1
        for width in (16, 32, 64):
            layers += [nn.Conv2d(channels, width, 3, stride=2, padding=1)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        super().__init__(*layers, nn.Flatten(), nn.Linear(64 * 9, n_classes))


def faces(seed, path, n_rows):
    """Some faces of UTKFace without duplicates, labelled by ethnicity."""
    with np.load(path) as file:
        images, label = file["images"], file["ethnicity"]
    _, first = np.unique(images.reshape(len(images), -1), axis=0, return_index=True)
    rows = np.random.default_rng(seed).choice(first, n_rows, replace=False)
    small = images[rows].reshape(-1, 24, 2, 24, 2).mean((2, 4)) / 255
    net = NeuralNetClassifier(
        SmallConvolution,
        module__n_classes=5,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.AdamW,
        lr=0.003,
        batch_size=128,
        max_epochs=8,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )
    return small.astype(np.float32), label[rows], net


def measure(data, seeds, max_samples=None):
    """Diagnosis of the training rows for every seed, one table a seed."""
    tables = []
    for seed in seeds:
        X, y, net = data(seed)
        short = {"schedule": "one_shot", "recovery": "plain", "finetune_epochs": 5}
        short |= {"finetune_lr": "net", "random_state": seed}
        clf = PrunedClassifier(net, sparsity=SPARSITY, **short).fit(X, y)
        report = diagnose(
            clf, X, y, max_samples=max_samples, bound_samples=0, random_state=seed
        )
        if not report.by_group["eigenvalue_converged"].all():
            print(f"seed {seed}: {report.notes}")
        tables.append(report.by_group.rename_axis("group"))
    return tables


def correlations(tables):
    """Rank correlation of every panel: mean over the seeds, with Student interval."""
    rows = []
    for x, y, sign, figure in PANELS:
        rhos = [stats.spearmanr(t[x], t[y]).statistic for t in tables]
        mean, error = np.mean(rhos), stats.sem(rhos)
        width = stats.t.isf(0.025, len(rhos) - 1) * error
        low, high = max(mean - width, -1.0), min(mean + width, 1.0)
        holds = "holds" if low * sign > 0 and high * sign > 0 else "cannot tell"
        if low * sign < 0 and high * sign < 0:
            holds = "does not hold"
        rows.append(
            {
                "figure": figure,
                "x": x,
                "y": y,
                "paper": "+" if sign > 0 else "-",
                "mean": mean,
                "low": low,
                "high": high,
                "verdict": holds,
            }
        )
    return pd.DataFrame(rows)


def draw(tables, table, title, path):
    """Draw one panel for each relation, every group of every seed a point."""
    figure, axes = plt.subplots(3, 3, figsize=(12, 11), layout="constrained")
    groups = list(tables[0].index)
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(groups)))
    for ax, (_, row) in zip(axes.flat, table.iterrows(), strict=True):
        for t in tables:
            ax.scatter(t[row["x"]], t[row["y"]], c=colours, s=30, alpha=0.35, linewidths=0)
        for group, colour in zip(groups, colours, strict=True):
            middle = [np.median([t.loc[group, row[k]] for t in tables]) for k in ("x", "y")]
            ax.annotate(str(group), middle, color=colour, weight="bold", ha="center")
        ax.set_xlabel(NAMES[row["x"]])
        ax.set_ylabel(NAMES[row["y"]])
        ax.set_title(
            f"{row['figure']}; rank correlation, paper: {row['paper']}\n"
            f"here {row['mean']:+.2f} [{row['low']:+.2f}, {row['high']:+.2f}]: "
            f"{row['verdict']}",
            fontsize=10,
        )
        for k, axis, scale in (("x", ax.xaxis, ax.set_xscale), ("y", ax.yaxis, ax.set_yscale)):
            if row[k] in ("gradient_norm", "largest_eigenvalue", "rows"):
                scale("log")
                axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
                axis.set_major_formatter(StrMethodFormatter("{x:g}"))
                axis.set_minor_formatter(NullFormatter())
    figure.suptitle(
        f"{title}: {len(groups)} groups, {len(tables)} seeds, training rows, "
        f"sparsity {SPARSITY:g}; a number marks the median of its group"
    )
    figure.savefig(path, dpi=80)
    plt.close(figure)


def report(name, tables, out):
    """Print, draw and keep one data set's result."""
    table = correlations(tables)
    print(f"\n{name}: rank correlation over the groups, mean over {len(tables)} seeds")
    print(table.round(2).to_string(index=False))
    if out is not None:
        draw(tables, table, name, f"{out}_{name}.png")
        kept = {"relations": table.to_dict("records"), "sparsity": SPARSITY}
        kept["groups"] = [t[list(NAMES)].reset_index().to_dict("records") for t in tables]
        text = json.dumps(kept, indent=1, default=float)
        Path(f"{out}_{name}.json").write_text(text + "\n", encoding="utf-8")
    return table


def main():
    """Measure, draw, and say which relations hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--faces", type=int, default=4000, help="rows of UTKFace to use")
    parser.add_argument("--out", help="beginning of the names of pictures and JSON files")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    seeds = range(arguments.seeds)
    report("digits", measure(imbalanced_digits, seeds), arguments.out)
    path = (
        Path(os.environ.get("SKLEARN_FAIRPRUNE_DATA", "../shared/data"))
        / "utkface_48_gray.npz"
    )
    if not path.is_file():
        print(f"\nUTKFace: left out, there is no {path}.")
        return
    tables = measure(lambda seed: faces(seed, path, arguments.faces), seeds, max_samples=400)
    report("utkface", tables, arguments.out)


if __name__ == "__main__":
    main()
