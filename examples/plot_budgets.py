"""
Which damage stays?
===================

A network that was fine-tuned too briefly is damaged by that, not by pruning. The same dense
network, pruned to three sparsities and fine-tuned for 5, 20, 80 and 320 epochs: all weights
removed at once, and gradually, which is the default.

Run: python examples/plot_budgets.py [--out examples/budgets]
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import argparse
import warnings

import matplotlib.pyplot as plt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupBudgetDisplay, PrunedClassifier, audit
from sklearn_fairprune.datasets import load_mortgage

torch.set_num_threads(1)
parser = argparse.ArgumentParser(description="Which damage stays?")
parser.add_argument("--out", help="beginning of the names of the pictures")
out = parser.parse_args().out

# %%
# Mortgage applications. The network does not see race; half of the rows are held out.
data = load_mortgage()
race = data.sensitive["race"]
X, X_test, y, y_test, _, race_test = train_test_split(
    data.X, data.y, race, test_size=0.5, stratify=race + data.y, random_state=0
)
prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
X, X_test = prepare.fit_transform(X), prepare.transform(X_test)

# %%
# Two ways to prune
# -----------------
# ``budgets`` makes a network for every sparsity and every number of epochs, from one dense
# network. A network that has not recovered warns; the report says the same.
WAYS = {
    "at once": {"schedule": "one_shot", "finetune_lr": "net"},
    "gradually": {},
}
SPARSITIES, BUDGETS = [0, 0.9, 0.95, 0.98], [5, 20, 80, 320]


def measured(settings):
    """Report on the held-out rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        clf = PrunedClassifier(random_state=0, **settings)
        path = clf.pruning_path(X, y, sparsities=SPARSITIES, budgets=BUDGETS)
        return audit(path, X_test, y_test, sensitive_features=race_test, min_group_size=50)


# %%
# What the reports say
# --------------------
# Only what the interval of the change, on the same rows, makes sure of. Groups below
# ``min_group_size`` rows are in no claim.
reports = {way: measured(settings) for way, settings in WAYS.items()}
for way, report in reports.items():
    print(f"\nall weights removed {way}:")
    told = [note for note in report.notes if "of fine-tuning and" in note]
    for note in told or ["no group of which anything is sure"]:
        print(f"  {note}")

# %%
# The dense network is at 0. A line that comes down to it was the short fine-tuning; one that
# stays above is what pruning costs; one that rises is a network that overfits.
for way, report in reports.items():
    display = GroupBudgetDisplay.from_report(report)
    display.figure_.suptitle(f"Weights removed {way}: {display.figure_.get_suptitle()}")
    if out is not None:
        display.figure_.savefig(f"{out}_{way.replace(' ', '_')}.png", dpi=75)
plt.show()
