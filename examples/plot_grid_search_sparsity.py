"""
How sparse may the network be?
==============================

A grid search that looks at the worst-off group. The sensitive feature stays a column of X
for the scorer and is dropped before the network, so that no metadata routing is needed.
Accuracy alone hardly ever asks for sparsity, so the choice is a rule: the sparsest network
whose worst group loses at most two points.

Run: python examples/plot_grid_search_sparsity.py
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import tempfile

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from sklearn.base import clone
from sklearn.compose import make_column_selector, make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.datasets import load_mortgage
from sklearn_fairprune.metrics import get_scorer

torch.set_num_threads(1)

# %%
# The data, with race as a column of X. Three tenths of the rows take no part in the search.
data = load_mortgage()
X = data.X.assign(race=data.sensitive["race"])
X, X_test, y, y_test = train_test_split(
    X, data.y, test_size=0.3, stratify=X["race"] + data.y, random_state=0
)
race_test = X_test["race"]


# %%
# The rule
# --------
# ``refit`` may be a function of the results that returns the position of the candidate.
def sparsest_within_two_points(results):
    """Position of the sparsest candidate within 0.02 of the best worst-group accuracy."""
    score = results["mean_test_worst_group"]
    sparsity = np.asarray(results["param_prunedclassifier__sparsity"], dtype=float)
    good = score >= score.max() - 0.02
    return int(np.argmax(np.where(good, sparsity, -1)))


# A scorer may be any function. This one tells networks that do not work.
def predicts_one_class(estimator, X, y):
    """Whether everybody gets the same answer: such a network is broken."""
    return float(len(np.unique(estimator.predict(X))) == 1)


# %%
# The search
# ----------
# ``get_scorer(..., columns="race")`` reads the groups from that column of X. ``memory`` keeps
# the dense network of every fold, so that it is trained once and not once a sparsity.
SPARSITIES = [0, 0.5, 0.8, 0.9, 0.95, 0.98]
FOLDS = 5
with tempfile.TemporaryDirectory() as folder:
    model = make_pipeline(
        make_column_transformer(
            (
                make_pipeline(SimpleImputer(strategy="median"), StandardScaler()),
                make_column_selector(dtype_include="number"),
            ),  # race is text: dropped here, before the network
        ),
        PrunedClassifier(random_state=0, memory=folder),
    )
    search = GridSearchCV(
        model,
        {"prunedclassifier__sparsity": SPARSITIES},
        scoring={
            "accuracy": "accuracy",
            "worst_group": get_scorer("worst_group_accuracy", columns="race"),
            "one_class": predicts_one_class,
        },
        refit=sparsest_within_two_points,
        cv=StratifiedKFold(FOLDS, shuffle=True, random_state=0),
    ).fit(X, y)

# %%
# What it found
# -------------
# The mean over the folds, with a 95 % Student interval. Five folds are few, and a fold holds
# fewer than thirty black applicants and about fifteen hispanic ones: the worst group's
# accuracy is known far less well than that of all rows. The folds share training rows, so
# that the intervals are rather too narrow than too wide. The sparsest networks keep most of
# their accuracy by approving everybody; the third scorer tells.
results = search.cv_results_
table = {}
for name in ("accuracy", "worst_group"):
    folds = np.array([results[f"split{k}_test_{name}"] for k in range(FOLDS)])
    width = stats.t.isf(0.025, FOLDS - 1) * stats.sem(folds, axis=0)
    table[name] = folds, folds.mean(axis=0), width
broken = FOLDS * results["mean_test_one_class"]
for k, sparsity in enumerate(SPARSITIES):
    print(
        f"sparsity {sparsity:<4}  "
        + "  ".join(
            f"{name.replace('_', ' ')} {mean[k]:.3f} "
            f"[{mean[k] - width[k]:.3f}, {min(mean[k] + width[k], 1):.3f}]"
            for name, (_, mean, width) in table.items()
        )
        + f"  BROKEN, one class only, in {broken[k]:.0f} of {FOLDS} folds" * bool(broken[k])
    )
chosen = search.best_params_["prunedclassifier__sparsity"]
print(f"chosen: {chosen}")

# %%
# On rows that the search has not seen
# ------------------------------------
# The score of the chosen candidate was part of the choice, so it flatters. The rows left out
# above have not been used: there the chosen network is compared with the dense one it came
# from.
dense = clone(search.estimator).set_params(
    prunedclassifier__sparsity=0, prunedclassifier__memory=None
)
report = audit(
    {"dense": dense.fit(X, y), f"sparsity {chosen}": search.best_estimator_},
    X_test,
    y_test,
    sensitive_features=race_test,
    min_group_size=30,  # rows to compare a group with others; 75 is safer
)
print(report)

# %%
# The picture: every fold a dot, their mean a line with the interval.
figure, ax = plt.subplots(figsize=(7, 4.5), layout="constrained")
looks = {"accuracy": ("black", "o", "all rows"), "worst_group": ("C3", "s", "worst group")}
for k, (name, (folds, mean, width)) in enumerate(table.items()):
    colour, marker, label = looks[name]
    at = np.arange(len(SPARSITIES)) + 0.12 * (2 * k - 1)
    ax.plot(at, 100 * folds.T, ".", color=colour, alpha=0.4, zorder=1)
    ax.errorbar(at, 100 * mean, 100 * width, color=colour, marker=marker, label=label)
ax.axvline(SPARSITIES.index(chosen), color="0.6", linestyle=":", label="chosen", zorder=0)
ax.set_xticks(range(len(SPARSITIES)), [f"{100 * s:g}" for s in SPARSITIES])
ax.set_xlabel("weights removed, %")
ax.set_ylabel("accuracy, %")
ax.set_title(
    f"Accuracy in cross-validation: {FOLDS} folds (dots), mean and 95 % interval", fontsize=11
)
ax.legend(loc="lower left")
plt.show()
