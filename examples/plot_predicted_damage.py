"""Can the damage be predicted before pruning? The dense network alone, asked who will pay.

For every seed: split, train dense, then for every sparsity predict the damage of each group
from the dense network and training rows (`diagnose(..., sparsity=s)`), prune and fine-tune,
and measure R(a) on held-out rows: after a short recovery (all weights at once, five epochs),
and after the package's default one. Reported is the rank correlation over the groups of each
prediction with that R(a), its mean over the seeds with a Student interval; every seed's own
number is kept beside it.

Digits are made imbalanced as in plot_why_a_group_pays.py; the mortgage groups are race and
sex together.

Run: python examples/plot_predicted_damage.py [--seeds 10] [--out examples/predicted_damage]
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import argparse
import copy
import json
import warnings
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, diagnose
from sklearn_fairprune.datasets import load_digits, load_mortgage

SPARSITIES = (0.5, 0.7, 0.8, 0.9, 0.95)
RECOVERIES = {
    "short": {
        "schedule": "one_shot",
        "recovery": "plain",
        "finetune_epochs": 5,
        "finetune_lr": "net",
    },
    "default": {},
}
PREDICTIONS = {  # column of the diagnosis, and the sign it should have
    "second_order": (1, "second-order estimate R2"),
    "theorem1_bound": (1, "bound of Theorem 1"),
    "gradient_norm": (1, "gradient norm"),
    "largest_eigenvalue": (1, "largest eigenvalue"),
    "closeness": (1, "closeness to the boundary"),
    "masked_excessive_loss": (1, "R(a) of the masked network, training rows"),
}


def digits(seed):
    """Digits of which each class keeps another share; the classes are the groups."""
    rng = np.random.default_rng(seed)
    data = load_digits()
    kept = [
        rng.choice(rows := np.flatnonzero(data.y == k), round(share * len(rows)), False)
        for k, share in enumerate(rng.permutation(np.linspace(0.1, 1.0, 10)))
    ]
    kept = np.concatenate(kept)
    return data.X[kept], data.y[kept], pd.Series(data.y[kept], name="class")


def mortgage(seed):
    """Mortgage applications; race and sex together are the groups."""
    data = load_mortgage()
    groups = data.sensitive["race"] + ", " + data.sensitive["sex"].astype(str)
    return data.X, data.y, groups.rename("group")


def correlations(data, seed):
    """Rank correlation of every prediction with the measured damage, at every sparsity."""
    X, y, groups = data(seed)
    X, X_test, y, y_test, groups, groups_test = train_test_split(
        X, y, groups, test_size=0.3, stratify=groups, random_state=seed
    )
    if X.ndim == 2:
        prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
        X, X_test = prepare.fit_transform(X), prepare.transform(X_test)
    clf = PrunedClassifier(sparsity=0.0, random_state=seed).fit(X, y)
    rows = []
    for sparsity in SPARSITIES:
        options = {"bound_samples": 0, "n_boot": 2}
        before = diagnose(clf, X, y, sensitive_features=groups, sparsity=sparsity, **options)
        for recovery, settings in RECOVERIES.items():
            pruned = copy.copy(clf).set_params(**settings).prune(X, y, sparsity=sparsity)
            after = diagnose(pruned, X_test, y_test, sensitive_features=groups_test, **options)
            damage = after.by_group["excessive_loss"].reindex(before.by_group.index)
            for name, (sign, _) in PREDICTIONS.items():
                rho = stats.spearmanr(sign * before.by_group[name], damage).statistic
                row = {"recovery": recovery, "sparsity": sparsity, "prediction": name}
                rows.append(row | {"rho": rho})
    return rows


def summarise(table):
    """Mean over the seeds and 95 % Student interval."""
    grouped = table.groupby(["prediction", "sparsity"], sort=False)["rho"]
    summary = grouped.agg(["mean", "sem", "count"])
    width = summary["sem"] * stats.t.isf(0.025, summary["count"] - 1)
    summary["low"] = (summary["mean"] - width).clip(lower=-1)
    summary["high"] = (summary["mean"] + width).clip(upper=1)
    return summary.drop(columns=["sem", "count"])


def known(values):
    """Numbers of the seeds, in their order; None where a correlation is undefined."""
    return [None if np.isnan(value) else round(value, 6) for value in values]


def draw(summaries, n_seeds, path):
    """One panel a data set, one line a prediction."""
    shape = len(summaries) // len(RECOVERIES), len(RECOVERIES)
    figure, axes = plt.subplots(
        *shape, figsize=(11, 8), sharex=True, sharey=True, layout="constrained"
    )
    colours = plt.get_cmap("viridis")(np.linspace(0, 0.9, len(PREDICTIONS)))
    markers = "osD^vx"
    for ax, (name, summary) in zip(axes.flat, summaries.items(), strict=True):
        for k, (prediction, (_, label)) in enumerate(PREDICTIONS.items()):
            line = summary.loc[prediction]
            shifted = np.arange(len(line)) + 0.06 * (k - 2.5)
            errors = [line["mean"] - line["low"], line["high"] - line["mean"]]
            ax.errorbar(
                shifted, line["mean"], errors, color=colours[k], marker=markers[k], label=label
            )
        ax.axhline(0, color="grey", linewidth=0.8)
        ax.set_xticks(range(len(SPARSITIES)), [f"{s:g}" for s in SPARSITIES])
        ax.set_title(name)
    for ax in axes[-1]:
        ax.set_xlabel("sparsity")
    for ax in axes[:, 0]:
        ax.set_ylabel("rank correlation with R(a), held out")
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(f"Predicted before pruning: mean and 95 % interval over {n_seeds} seeds")
    figure.savefig(path, dpi=80)
    plt.close(figure)


def main():
    """Predict, prune, measure, and say how well each prediction orders the groups."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--out", help="beginning of the names of picture and JSON file")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", "An input array is constant", stats.ConstantInputWarning)
    summaries, kept = {}, {}
    for data in (digits, mortgage):
        table = pd.concat(
            pd.DataFrame(correlations(data, seed)) for seed in range(arguments.seeds)
        )
        for recovery, own in table.groupby("recovery", sort=False):
            name = f"{data.__name__}, {recovery} recovery"
            summaries[name] = summary = summarise(own)
            rhos = own.groupby(["prediction", "sparsity"])["rho"].agg(list)
            kept[name] = [
                row | {"by_seed": known(rhos[row["prediction"], row["sparsity"]])}
                for row in summary.reset_index().to_dict("records")
            ]
            print(f"\n{name}: rank correlation with R(a), {arguments.seeds} seeds")
            print(summary["mean"].unstack("sparsity").round(2).to_string())
    if arguments.out is not None:
        draw(summaries, arguments.seeds, f"{arguments.out}.png")
        text = json.dumps({"seeds": arguments.seeds, **kept}, indent=1)
        Path(f"{arguments.out}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
