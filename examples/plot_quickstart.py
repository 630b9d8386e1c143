"""
What does pruning cost each group?
==================================

A small network decides on mortgage applications. We take weights away from it, more and
more, and look on rows it has never seen at what each group of applicants loses.

Run: python examples/plot_quickstart.py
Needs: pip install "sklearn-fairprune[demo,plot]"
"""

import matplotlib.pyplot as plt
import torch
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, TradeOffDisplay, audit
from sklearn_fairprune.datasets import load_mortgage

torch.set_num_threads(1)

# %%
# The data
# --------
# Applications for a mortgage in Boston in 1990. The network will see neither race nor sex:
# they are kept beside the features and only used to count who pays.
data = load_mortgage()
race = data.sensitive["race"]
print(f"{len(data.X)} applications, {data.X.shape[1]} features")
print(race.value_counts().to_string())

# %%
# Three tenths of the rows are held out, with the same share of every race and decision.
# What fills the gaps and scales the columns is learnt from the training rows alone.
X_train, X_test, y_train, y_test, race_train, race_test = train_test_split(
    data.X, data.y, race, test_size=0.3, stratify=race + data.y, random_state=0
)
imputer, scaler = SimpleImputer(strategy="median"), StandardScaler()
X_train = scaler.fit_transform(imputer.fit_transform(X_train))
X_test = scaler.transform(imputer.transform(X_test))

# %%
# One network, pruned
# -------------------
# ``PrunedClassifier`` is a scikit-learn classifier: ``fit`` trains a network, removes the
# share ``sparsity`` of its weights and trains the rest a little further. ``dense_estimator_``
# is the network as it was before, ``prune`` starts from it again.
clf = PrunedClassifier(sparsity=0.8, random_state=0)
clf.fit(X_train, y_train, sensitive_features=race_train)
kept = sum(int(mask.sum()) for mask in clf.masks_.values())
weights = sum(mask.numel() for mask in clf.masks_.values())
print(f"{clf}\nkeeps {kept:,} of {weights:,} weights; groups: {', '.join(clf.groups_)}")

# %%
# Many sparsities
# ---------------
# ``pruning_path`` trains one dense network and prunes it to every sparsity of a list.
path = clf.pruning_path(
    X_train,
    y_train,
    sensitive_features=race_train,
    sparsities=[0, 0.5, 0.8, 0.9, 0.95, 0.98],
)

# %%
# Who pays?
# ---------
# ``audit`` measures all of them on the held-out rows. R is how much the loss of a group has
# risen against the dense network. Every number has a 95 % interval; read that first, and the
# findings at the end of the report. "cannot tell" is an answer: there are few black and
# hispanic applicants, and a difference smaller than the interval cannot be seen in them.
few = {"min_group_size": 30}  # rows to compare a group with others; 75 is safer
report = audit(path, X_test, y_test, sensitive_features=race_test, **few)
print(report)

# %%
# The tables behind it are data frames. Nearly nine in ten applications were approved, so
# accuracy alone says little: whoever approves everybody has a good one. The balanced accuracy
# is the mean of that among the approved and that among the denied; 50 % is what the same
# answer for everybody gets.
print(f"approved among the held-out rows: {100 * (y_test == 'approved').mean():.1f} %")
columns = ["accuracy", "balanced_accuracy"]
columns = [column + end for column in columns for end in ("", "_low", "_high")]
table = (100 * report.overall[columns]).round(1)
table["one class"] = report.overall["predicts_one_class"]
print(table.to_string())

# %%
# Pictures
# --------
# The accuracy of every group along the path. The axis is logarithmic in the weights kept.
# "one class" below a sparsity means that this network gives everybody the same answer: it is
# broken for all, however equal its groups may look.
report.plot()

# %%
# All groups in one number: the spread is the accuracy of the best group minus that of the
# worst. Its intervals are wide because they hold for all groups at once, and its estimate is
# above zero even for groups that are equally well off, since the best and the worst are
# picked after looking.
#
# This is one split and one training. The intervals cover the drawing of the held-out rows,
# not the randomness of training; for that, repeat it with other seeds.
TradeOffDisplay.from_report(report)
plt.show()
