"""
How fast can a network for images become, and who pays for it?
==============================================================

A convolutional network with batch norm is to run on a small processor. Whole channels are
removed while it recovers, and then the network is made smaller for good. How much faster is
it, how much of the file is left, and which group of images is read less well?

Run: python examples/plot_shrink.py [--epochs 20] [--out shrink]
Needs: pip install "sklearn-fairprune[plot]"
"""

import argparse
import copy
import json
import pickle
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd
import torch
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.datasets import load_digits

parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
parser.add_argument("--epochs", type=int, default=20, help="of the dense training")
parser.add_argument("--out", help="writes OUT.json and OUT.png")
arguments = parser.parse_args()
EPOCHS = arguments.epochs
torch.set_num_threads(1)


# %%
# The network
# -----------
# Four convolutions with batch norm, two of them with a shortcut around them: channels that are
# added to each other can only go together.
class Small(nn.Module):
    """Residual network for images of 8 x 8."""

    def __init__(self, width=64):
        super().__init__()
        self.enter = self.convolution(1, width)
        self.inner = self.convolution(width, width)
        self.back = self.convolution(width, width)
        self.deeper = self.convolution(width, 2 * width, stride=2)
        self.output = nn.Linear(2 * width, 10)

    @staticmethod
    def convolution(n_in, n_out, stride=1):
        layer = nn.Conv2d(n_in, n_out, 3, stride, 1, bias=False)
        return nn.Sequential(layer, nn.BatchNorm2d(n_out), nn.ReLU())

    def forward(self, images):
        found = self.enter(images[:, None])
        found = found + self.back(self.inner(found))
        return self.output(self.deeper(found).mean((2, 3)))


data = load_digits()
X_train, X_test, y_train, y_test = train_test_split(
    data.X, data.y, test_size=0.5, stratify=data.y, random_state=0
)
net = NeuralNetClassifier(
    Small,
    criterion=nn.CrossEntropyLoss,
    optimizer=torch.optim.AdamW,
    lr=0.003,
    batch_size=64,
    max_epochs=EPOCHS,
    iterator_train__shuffle=True,
    train_split=None,
    verbose=0,
)

# %%
# Pruned by channels, then shrunk
# -------------------------------
# ``target=("macs", 0.1)`` asks for 6 % of the multiply-accumulates; whole units go, the
# lowest mean score first, while the network recovers. What is left are zeros, which cost as
# much time as other numbers. ``shrink`` returns an estimator without them: the same outputs,
# and nothing of the dense network in its file.
pruner = PrunedClassifier(
    net, granularity="unit", target=("macs", 0.06), finetune_epochs=EPOCHS, random_state=0
)
pruner.fit(X_train, y_train)
shrunk = pruner.shrink(drop_dense=True)
dense = copy.copy(pruner).prune(sparsity=0)
print(shrunk.estimator_.module_)
print(pd.DataFrame(shrunk.shrunk_["layers"])[["layer", "units", "removed"]].to_string())

# %%
# How much faster, how much smaller
# ---------------------------------
# Measured in turn with one thread, on this machine, with an interval; the groups are the
# classes, as nobody has told others.
models = {"dense": dense, "masked": pruner, "shrunk": shrunk}
report = audit(models, X_test, y_test, min_group_size=30, latency=True)
print(report.latency.round(4).to_string())
print(report.sizes[["macs", "parameters", "bytes", "zipped_bytes"]].to_string())
sizes = {name: len(pickle.dumps(model)) for name, model in models.items()}
print(
    f"the file of the shrunk one: {sizes['shrunk'] / sizes['masked']:.2f} of the masked one's"
)

# %%
# Who pays
# --------
# What every digit loses of its accuracy, with its interval on the same rows. Few rows a digit
# leave wide intervals; that they hold 0 does not say that nothing was lost.
print("\n".join([*report.findings, *report.notes]))
columns = ["rows", "accuracy_drop", "accuracy_drop_low", "accuracy_drop_high"]
drops = report.by_group.loc["shrunk", columns]
print(drops.round(3).to_string())
report.plot("accuracy")
if arguments.out:
    kept = {
        "latency": report.latency.reset_index().round(4).to_dict("records"),
        "sizes": report.sizes[["macs", "parameters", "bytes"]].to_dict("index"),
        "accuracy_drop": drops.round(5).reset_index().to_dict("records"),
        "files": {name: round(size / sizes["masked"], 4) for name, size in sizes.items()},
    }
    Path(f"{arguments.out}.json").write_text(json.dumps(kept, indent=1) + "\n")
    plt.savefig(f"{arguments.out}.png", dpi=90)
plt.show()
