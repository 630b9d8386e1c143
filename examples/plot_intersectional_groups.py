"""
What of women who are black?
============================

A network may treat black applicants well on average and women well on average, and still
not black women. Several sensitive features make intersections, and intersections are small.
What can be said of them, and what not?

Run: python examples/plot_intersectional_groups.py
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import warnings

import matplotlib.pyplot as plt
import torch
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupPathDisplay, PrunedClassifier, audit
from sklearn_fairprune.datasets import load_mortgage
from sklearn_fairprune.statistics.intervals import difference_interval

torch.set_num_threads(1)

# %%
# How many are there?
# -------------------
# Nobody is left out: applicants whose sex is not known are a group of their own. It will be
# too small to say anything about, and the report will say that.
data = load_mortgage()
groups = data.sensitive
print(groups.value_counts(sort=False).unstack(fill_value=0).to_string())

# %%
# Half of the rows are held out here. It costs the network some training rows; but what
# can be said about a small group is limited by its held-out rows.
X_train, X_test, y_train, y_test, groups_train, groups_test = train_test_split(
    data.X, data.y, groups, test_size=0.5, stratify=groups["race"] + data.y, random_state=0
)
prepare = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
X_train, X_test = prepare.fit_transform(X_train), prepare.transform(X_test)
clf = PrunedClassifier(random_state=0)
path = clf.pruning_path(
    X_train, y_train, sensitive_features=groups_train, sparsities=[0, 0.8, 0.9, 0.95]
)

# %%
# The audit
# ---------
# Two columns of sensitive features mean their intersections, and each feature alone is
# measured too. Groups under ``min_group_size`` rows are warned about. They stay in the
# report: leaving them out would hide them.
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    report = audit(path, X_test, y_test, sensitive_features=groups_test, min_group_size=30)
for warning in told:
    print(f"{warning.category.__name__}: {warning.message}")

# %%
# ``by_feature`` has a report for the intersections and one for each feature.
for feature, part in report.by_feature.items():
    print(f"\nby {feature}")
    print("\n".join(f"- {line}" for line in part.findings + part.notes))

# %%
# Careful with the findings: each holds at its level for all groups of one feature in one
# model, but there are nine of them, so that one may be there by chance; and an interval from
# nine rows or fewer is not to be trusted far. "Pays most" is not "pays much" either: look at
# the size. A model that predicts one class is broken for all; it is left out below.
#
# What can be said
# ----------------
# The accuracy that each group has lost in the sparsest network that works.
works = report.overall.index[~report.overall["predicts_one_class"]]
model = works[-1]
print(f"\naccuracy drop at {model}, points, with 95 % interval")
for feature, part in report.by_feature.items():
    print(f"by {feature}")
    for label, row in part.by_group.loc[model].iterrows():
        name = ", ".join(label) if isinstance(label, tuple) else label
        low, high = 100 * row["accuracy_drop_low"], 100 * row["accuracy_drop_high"]
        shown = "lost accuracy" if low > 0 else "gained" if high < 0 else "cannot tell"
        print(
            f"  {name:<18} {row['rows']:4.0f} rows  {100 * row['accuracy_drop']:+6.1f} "
            f"[{low:+6.1f}, {high:+6.1f}]  {shown}"
        )

# %%
# Black women against others. Their rows are different people, so the difference of two drops
# has an interval made of both.
ENDS = ["accuracy_drop", "accuracy_drop_low", "accuracy_drop_high"]
drops = 100 * report.by_group.loc[model, ENDS]
print(f"\nblack women lose more than ..., at {model}, points")
for other in [("black", "male"), ("white", "female"), ("white", "male")]:
    first, second = drops.loc[other].to_numpy(), drops.loc[("black", "female")].to_numpy()
    low, high = difference_interval(first, second)
    shown = "more" if low > 0 else "less" if high < 0 else "cannot tell"
    more = f"{second[0] - first[0]:+6.1f} [{low:+6.1f}, {high:+6.1f}]"
    print(f"  {', '.join(other):<14} {more}  {shown}")

# %%
# What cannot be said
# -------------------
# That black women lose nothing. An interval that includes zero is not a zero: everything
# inside it is possible. Its width falls with the root of the number of rows, which says about
# how many held-out rows it would take to know the drop to five points either way.
print(f"\nabout how many held-out rows it takes to know the drop to 5 points, at {model}")
for label in [("black", "female"), ("hispanic", "female"), ("white", "female")]:
    n = report.by_group.loc[(model, *label), "rows"]
    half = (drops.loc[label].iloc[2] - drops.loc[label].iloc[1]) / 2
    print(f"  {', '.join(label):<18} {n * (half / 5) ** 2:4.0f} (there are {n:.0f})")

# %%
# The pictures: six of the intersections have colours, the smallest are grey; below them race
# alone. The axis is logarithmic in the weights kept.
GroupPathDisplay.from_report(report, measure="accuracy_drop")
GroupPathDisplay.from_report(report.by_feature["race"], measure="accuracy_drop")
plt.show()
