"""
I have a trained image network already: how much can be pruned?
===============================================================

A convolutional network with batch norm is trained; it shall be pruned as it is, without
training it again. How far does that go, and what becomes of whom?

Run: python examples/plot_pretrained_image_network.py
Needs: pip install "sklearn-fairprune[plot]"
"""

from collections import OrderedDict

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from skorch.callbacks import LRScheduler
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

from sklearn_fairprune import LayerSparsityDisplay, PrunedClassifier, audit
from sklearn_fairprune.datasets import load_digits
from sklearn_fairprune.statistics.intervals import (
    paired_difference_interval,
    proportion_interval,
)

torch.set_num_threads(1)


# %%
# The trained network
# -------------------
# Any skorch net will do; X has the shape that its module takes, here images of 8 x 8. The
# learning rate falls to zero, so that the running means of batch norm have settled: the dense
# network keeps its own, and with means that lag behind the weights it would look worse than
# its pruned copies, whose means are measured anew.
class SmallConvolution(nn.Sequential):
    """Two convolutions with batch norm, for images of 8 x 8."""

    def __init__(self, channels=16):
        layers = {
            "image": nn.Unflatten(1, (1, 8)),
            "conv1": nn.Conv2d(1, channels, 3, padding=1),
            "norm1": nn.BatchNorm2d(channels),
            "relu1": nn.ReLU(),
            "pool1": nn.MaxPool2d(2),
            "conv2": nn.Conv2d(channels, 2 * channels, 3, padding=1),
            "norm2": nn.BatchNorm2d(2 * channels),
            "relu2": nn.ReLU(),
            "pool2": nn.MaxPool2d(2),
            "flat": nn.Flatten(),
            "output": nn.Linear(8 * channels, 10),
        }
        super().__init__(OrderedDict(layers))


data = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    data.X, data.y, test_size=0.5, stratify=data.y, random_state=0
)
torch.manual_seed(0)
net = NeuralNetClassifier(
    SmallConvolution,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.Adam,
    lr=0.005,
    batch_size=64,
    max_epochs=15,
    iterator_train__shuffle=True,
    train_split=None,
    callbacks=[LRScheduler(CosineAnnealingLR, T_max=15)],
    verbose=0,
).fit(X_train, y_train)

# %%
# Pruning it as it is
# -------------------
# ``FrozenEstimator`` says that the net is trained already; it is never changed. With
# ``finetune_epochs=0`` the weights that are kept stay what they are. Batch norm is another
# matter: its running means are those of the dense network, and ``pruning_path`` and ``fit``
# measure them anew on the rows they get. That is no training, no weight changes, and no
# label is used. ``prune(sparsity=...)`` without rows does not even that.
#
# The rows for it are those the network was trained on; the held-out rows are for measuring.
SPARSITIES = [0, 0.5, 0.7, 0.8, 0.9, 0.95]
clf = PrunedClassifier(FrozenEstimator(net), finetune_epochs=0, random_state=0)
path = clf.pruning_path(X_train, y_train, sparsities=SPARSITIES)
masked = clf.fit(X_train, y_train)
print("accuracy of all held-out rows, %, with 95 % interval")
print("sparsity   batch norm measured anew   only masked")
for sparsity, model in zip(path.sparsities, path.estimators, strict=True):
    cells = []
    for pruned in (model, masked.prune(sparsity=sparsity)):
        right = int((pruned.predict(X_test) == y_test).sum())
        low, high = proportion_interval(right, len(y_test))
        cells.append(f"{100 * right / len(y_test):.1f} [{100 * low:.1f}, {100 * high:.1f}]")
    print(f"{sparsity:<10g} {cells[0]:<26} {cells[1]}")

# %%
# How much, then?
# ---------------
# To choose by the rows above would be to tune on what measures. The rule looks at
# training rows only: the sparsest network that loses at most a point there. What it loses
# on the held-out rows is then an honest number, with an interval for pairs on the same rows.
accuracies = [model.score(X_train, y_train) for model in path.estimators]
chosen = max(k for k, a in enumerate(accuracies) if a >= accuracies[0] - 0.01)
dense, pruned = (path.estimators[k].predict(X_test) == y_test for k in (0, chosen))
counts = [int(rows.sum()) for rows in (dense & pruned, dense & ~pruned, ~dense & pruned)]
low, high = paired_difference_interval(*counts, len(y_test) - sum(counts))
lost = f"{100 * (dense.mean() - pruned.mean()):+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
print(f"chosen on training rows: sparsity {SPARSITIES[chosen]:g}")
print(f"accuracy it loses on held-out rows, points: {lost}")

# %%
# Where the weights went
# ----------------------
# All layers compete for the weights that are kept (``scope="global"``).
LayerSparsityDisplay.from_path(path)

# %%
# Who pays? The classes as groups
# -------------------------------
# **Without** ``sensitive_features`` **the classes are the groups.** That is the set-up of
# papers about image networks: which digit is read less well? It says nothing about people,
# and for a network that decides about people it is not what you want.
report = audit(path, X_test, y_test)
print("\n".join(["by class", *report.findings, *report.notes]))
report.plot()

# %%
# Who pays? A feature of the rows
# -------------------------------
# Any column of the rows can make the groups; here how much ink an image has, cut at the
# quartiles of the training images. The network never saw it as a feature, and it is not the
# label, though related to it: a one takes less ink than an eight.
names = np.array(["1 least ink", "2 less ink", "3 more ink", "4 most ink"])
quartiles = np.quantile(X_train.mean(axis=(1, 2)), [0.25, 0.5, 0.75])
ink = pd.Series(names[np.digitize(X_test.mean(axis=(1, 2)), quartiles)], name="ink")
report = audit(path, X_test, y_test, sensitive_features=ink)
print("\n".join(["by ink", *report.findings, *report.notes]))
columns = ["rows", "accuracy", "accuracy_low", "accuracy_high"]
for model in ("sparsity 0", "sparsity 0.8"):
    print(f"\naccuracy, {model}\n{report.by_group.loc[model, columns].round(3).to_string()}")
report.plot()
plt.show()
