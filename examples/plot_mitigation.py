"""
Can the constraint hold the groups together?
============================================

``GroupConstrainedPruner`` prunes under a constraint on the groups. Does that show on rows it
has not seen? Plain pruning against two constraints, at one sparsity, over several splits and
trainings, on two data sets.

Run: python examples/plot_mitigation.py [--seeds 8]
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import argparse
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import (
    DualHistoryDisplay,
    GroupConstrainedPruner,
    PrunedClassifier,
    audit,
)
from sklearn_fairprune.datasets import load_digits, load_mortgage

torch.set_num_threads(1)
parser = argparse.ArgumentParser(description="Can the constraint hold the groups together?")
parser.add_argument("--seeds", type=int, default=8, help="splits and trainings")
n_seeds = parser.parse_args().seeds
if n_seeds < 2:
    parser.error("one seed has no interval; give --seeds 2 or more")


# %%
# Two data sets
# -------------
# Digits: the network sees few of some digits, and the **groups are the classes**. That is a
# set-up for images; of people the groups should be something else than what is predicted.
# The rows for testing are left as they are, about 54 of every digit.
def digits(seed):
    """Training rows in which digits 5 to 9 are thinned to 30 %, and test rows."""
    data = load_digits()
    X, X_test, y, y_test = train_test_split(
        data.X, data.y, test_size=0.3, stratify=data.y, random_state=seed
    )
    kept = np.random.default_rng(seed).random(len(y)) < np.where(y > 4, 0.3, 1.0)
    return X[kept], y[kept], y[kept], X_test, y_test, y_test


# %%
# Mortgage applications: the groups are races, which the network does not see. 59 or 60 black
# and 33 or 34 hispanic applicants are held out.
def mortgage(seed):
    """Prepared training and test rows, race as the group."""
    data = load_mortgage()
    race = data.sensitive["race"].to_numpy()
    X, X_test, y, y_test, group, group_test = train_test_split(
        data.X, data.y, race, test_size=0.3, stratify=race + data.y, random_state=seed
    )
    prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    return prepare.fit_transform(X), y, group, prepare.transform(X_test), y_test, group_test


# %%
# Six ways to prune
# -----------------
# All start from the same dense network of a seed and end at the same sparsity.
# ``equal_loss`` allows no group a loss above the mean (by more than ``tolerance``);
# ``minimax`` makes the loss of the worst group as low as it goes. Both fine-tune for as many
# epochs as plain pruning does: five, all weights gone at once. The others ask whether it
# takes a constraint at all: plain pruning with four times the fine-tuning, and with the
# recovery that is the default of the package, alone and under ``equal_loss``. Sparsity and
# settings were fixed beforehand: nothing is chosen by what the test rows say.
#
# The multipliers step in the unit of the loss here, which pushes harder than the default,
# ``dual_update="adaptive"``, would in five epochs. A constraint that is not met on the
# training rows is warned about; here that is counted.
STEPS = {"dual_update": "projected", "tolerance": 0.05}
SPARSITY, EPOCHS = 0.9, 5
CONSTRAINTS = ("equal_loss", "minimax")
LONGER = f"plain, {4 * EPOCHS} epochs"
RECOVERED, BOTH = "recovered", "recovered, equal_loss"
WAYS = ("dense", "plain", *CONSTRAINTS, LONGER, RECOVERED, BOTH)


def prune(X, y, group, seed):
    """Train the dense network once and prune it in every way."""
    dense = PrunedClassifier(sparsity=0.0, random_state=seed).fit(X, y)
    plain = PrunedClassifier(
        FrozenEstimator(dense),
        sparsity=SPARSITY,
        schedule="one_shot",
        recovery="plain",
        finetune_epochs=EPOCHS,
        finetune_lr="net",
        random_state=seed,
    )
    recovered = PrunedClassifier(FrozenEstimator(dense), sparsity=SPARSITY, random_state=seed)
    ways = {"plain": plain, LONGER: clone(plain).set_params(finetune_epochs=4 * EPOCHS)}
    ways |= {RECOVERED: recovered, BOTH: GroupConstrainedPruner(recovered, **STEPS)}
    ways |= {
        name: GroupConstrainedPruner(plain, constraint=name, **STEPS) for name in CONSTRAINTS
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = {k: model.fit(X, y, sensitive_features=group) for k, model in ways.items()}
    return {"dense": dense, **fitted}


# %%
# What is measured
# ----------------
# Accuracy and the worst group's loss come from an ``audit`` of the held-out rows. The spread
# is the accuracy of the best group minus that of the worst; noise alone makes it larger than
# zero, in every way alike.
MEASURES = {
    "accuracy_spread": "accuracy spread, points",
    "worst_loss": "loss of the worst group, nats",
    "accuracy": "accuracy, %",
}


def measure(models, X, y, group):
    """One row a way."""
    report = audit(models, X, y, sensitive_features=group, n_boot=2, min_group_size=1)
    table = 100 * report.overall[["accuracy_spread", "accuracy"]]
    return table.assign(
        worst_loss=report.by_group["loss"].groupby("model").max(),
        broken=report.overall["predicts_one_class"],
    )


def interval(values):
    """Mean and 95 % Student interval over the seeds."""
    width = stats.t.isf(0.025, len(values) - 1) * stats.sem(values)
    return np.mean(values), np.mean(values) - width, np.mean(values) + width


def verdict(change):
    """Say what an interval of a change shows."""
    return "lower" if change[2] < 0 else "higher" if change[1] > 0 else "cannot tell"


runs, constrained = {}, {}
for load in (digits, mortgage):
    tables = []
    for seed in range(n_seeds):
        X, y, group, X_test, y_test, group_test = load(seed)
        models = prune(X, y, group, seed)
        tables.append(measure(models, X_test, y_test, group_test))
        constrained.setdefault(load.__name__, []).append(models["equal_loss"])
    runs[load.__name__] = pd.concat(tables, keys=range(n_seeds), names=["seed", "way"])

# %%
# What it found
# -------------
# Every way, the dense network too, is compared with plain pruning of the same seed: that of
# the dense network says what pruning did. A change counts as shown where its interval
# excludes zero. The splits share rows, so the intervals are about these data;
# they are not corrected for their number.
changes = {}
for data, table in runs.items():
    print(f"\n{data}, sparsity {SPARSITY:g}, held-out rows, mean over {n_seeds} seeds")
    for way in WAYS:
        print(f"  {way}")
        for name, label in MEASURES.items():
            values = table[name].unstack("way")
            line = "    {:<30}{:7.3f} [{:7.3f}, {:7.3f}]".format(label, *interval(values[way]))
            if way != "plain":
                changes[data, name, way] = values[way] - values["plain"]
                found = interval(changes[data, name, way])
                line += "  change {:+8.3f} [{:+8.3f}, {:+8.3f}] ".format(*found)
                line += verdict(found)
            print(line)
        own = table.xs(way, level="way")
        if own["broken"].any():
            print(f"    BROKEN in {own['broken'].sum()} seeds: it predicts one class only")
    values = table["accuracy_spread"].unstack("way")
    found = interval(values["equal_loss"] - values[LONGER])
    print(
        "  spread, equal_loss against longer plain fine-tuning: "
        "{:+.2f} [{:+.2f}, {:+.2f}] ".format(*found)
        + verdict(found)
    )
    met = [pruner.constraint_satisfied_ for pruner in constrained[data]]
    largest = [pruner.violations_["train"].max() for pruner in constrained[data]]
    print(
        f"  equal_loss is met on the training rows in {sum(met)} of {n_seeds} seeds; largest "
        "violation {:.3f} [{:.3f}, {:.3f}] nats".format(*interval(largest))
        + f", tolerance {constrained[data][0].tolerance_:.2g}"
    )

# %%
# So most of it is recovery. In the thinned digits plain pruning for five epochs drives the
# groups apart; the constraint takes that back, and more of it than longer fine-tuning of the
# same masks does, but the default recovery brings back more of the accuracy and of the loss
# of the worst group without any constraint. What spread is then left, some points more than
# the dense network has, ``equal_loss`` lowers again, to below that, for some points of
# accuracy: equal losses are another aim than undoing what pruning did. Where the spread after
# pruning cannot be told from that before, as in the mortgage data at this sparsity, there is
# nothing to take back.
# Whether a constraint is met on its own training rows is another matter, and said above.

# %%
# The changes in a picture: a dot is a seed, the bar the mean with its interval. The two rows
# have axes of their own.
figure, axes = plt.subplots(2, 3, figsize=(11, 5), layout="constrained")
compared = [way for way in WAYS if way != "plain"]
for row, data in zip(axes, runs, strict=True):
    for ax, (name, label) in zip(row, MEASURES.items(), strict=True):
        for at, way in enumerate(compared):
            values = changes[data, name, way]
            mean, low, high = interval(values)
            ax.plot(values, np.full(len(values), at + 0.25), ".", color="0.5")
            ax.errorbar(mean, at, xerr=[[mean - low], [high - mean]], fmt="o", color="C0")
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set_yticks(range(len(compared)), compared if ax is row[0] else [])
        ax.set_ylim(len(compared) - 0.4, -0.6)
        ax.set_xlabel(f"change of {label.replace(', %', ', points')}")
    row[0].set_title(data, loc="left")
figure.suptitle(
    f"Against plain pruning, sparsity {SPARSITY:g}, held-out rows: {n_seeds} seeds, mean and "
    "95 % interval"
)

# %%
# What the multipliers did
# ------------------------
# One multiplier a group rises while the group is worse off than the tolerance allows, and
# its rows gain weight. A multiplier still rising at the last epoch has not settled: more
# ``finetune_epochs`` may help.
for data, pruners in constrained.items():
    display = DualHistoryDisplay.from_estimator(pruners[0])
    display.axes_[0].set_title(f"{data}: equal_loss, seed 0, training rows", fontsize=11)
plt.show()
