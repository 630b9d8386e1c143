"""Tasks of the benchmarks on recovery: rows in three parts, and an untrained network.

Tables as in tables.py (large ones thinned); faces and house numbers as in paper/tasks.py
(thinned), with a residual network that has no schedule of its own, or as principal components
with the package's own network. Deep networks, batch norm and plain SGD are there because a
default has to work for what users bring.
"""

import sys

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from sklearn.decomposition import PCA
from sklearn.model_selection import train_test_split
from skorch import NeuralNetClassifier
from tables import ROOT, load, split
from torch import nn

sys.path.append(str(ROOT / "benchmarks" / "paper"))
import networks
import tasks as images

MOST_ROWS, MOST_IMAGES = 14_000, 2_500
MOST_PROJECTED, N_COMPONENTS = 4_000, 64  # images of which a network sees components alone
OPTIONS = {
    "criterion": nn.CrossEntropyLoss,
    "iterator_train__shuffle": True,
    "train_split": None,
    "batch_size": 128,
    "verbose": 0,
}


class Normed(nn.Sequential):
    """Two hidden layers of 100 units with batch norm."""

    def __init__(self, n_features, n_classes):
        layers, width = [], n_features
        for size in (100, 100):
            layers += [nn.Linear(width, size), nn.BatchNorm1d(size), nn.ReLU()]
            width = size
        super().__init__(*layers, nn.Linear(width, n_classes))


class Deep(nn.Sequential):
    """Five hidden layers of 64 units."""

    def __init__(self, n_features, n_classes):
        layers, width = [], n_features
        for size in (64,) * 5:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        super().__init__(*layers, nn.Linear(width, n_classes))


class Shallow(nn.Sequential):
    """One hidden layer of 100 units."""

    def __init__(self, n_features, n_classes):
        super().__init__(nn.Linear(n_features, 100), nn.ReLU(), nn.Linear(100, n_classes))


def own_net(module, n_features, n_classes, **options):
    """Skorch net of a user."""
    sizes = {"module__n_features": n_features, "module__n_classes": n_classes}
    return NeuralNetClassifier(module, **sizes, **OPTIONS, **options)


def adam(module):
    """Maker of a net trained by Adam for 20 epochs, without weight decay."""
    options = {"optimizer": torch.optim.Adam, "lr": 0.001, "max_epochs": 20}
    return lambda n_features, n_classes: own_net(module, n_features, n_classes, **options)


def sgd(module):
    """Maker of a net trained by SGD with momentum for 30 epochs."""
    options = {"optimizer": torch.optim.SGD, "optimizer__momentum": 0.9, "lr": 0.02}
    options |= {"optimizer__weight_decay": 1e-4, "max_epochs": 30}
    return lambda n_features, n_classes: own_net(module, n_features, n_classes, **options)


NETS = {
    "default": lambda n_features, n_classes: None,
    "PCA": lambda n_features, n_classes: None,
    "deep": adam(Deep),
    "batch norm": adam(Normed),
    "SGD": sgd(Shallow),
}


def residual(n_channels, n_classes):
    """Small residual network by AdamW at a constant rate."""
    return NeuralNetClassifier(
        networks.SmallResidual,
        module__n_channels=n_channels,
        module__n_classes=n_classes,
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=0.01,
        lr=0.003,
        max_epochs=15,
        **OPTIONS,
    )


def thinned(X, y, groups, most=MOST_ROWS):
    """At most so many rows, the same for every seed."""
    if len(y) <= most:
        return X, y, groups
    rows = np.sort(np.random.default_rng(0).choice(len(y), most, replace=False))
    return X.iloc[rows].reset_index(drop=True), y[rows], groups[rows]


def breast_cancer():
    """Wisconsin breast cancer, classes as groups."""
    X, y = load_breast_cancer(return_X_y=True, as_frame=True)
    return X, y.to_numpy(), y.to_numpy().astype(str)


def faces(name, seed, halved=False, most=MOST_IMAGES):
    """Parts of an image task as (X, y, groups), perhaps with half as many pixels a side."""
    task = images.TASKS[name]()
    rows = images.split(task, seed)
    rows["train"] = images.thinned(task, rows["train"], most, seed)
    pixels = images.half(task.images) if halved else task.images
    seen = pixels[rows["train"]]
    at = {"mean": seen.mean(), "scale": seen.std()}
    names = np.array(task.names)
    return {
        part: (images.scaled(pixels[r], **at), task.labels[r], names[task.labels[r]])
        for part, r in rows.items()
    }


def projected(parts):
    """Parts of images as principal components of the training ones, of scale 1."""
    flat = {part: X.reshape(len(X), -1) for part, (X, *_) in parts.items()}
    pca = PCA(N_COMPONENTS, random_state=0).fit(flat["train"])
    found = {part: pca.transform(X) for part, X in flat.items()}
    mean, scale = found["train"].mean(0), found["train"].std(0)
    return {
        part: (((X - mean) / scale).astype(np.float32), *parts[part][1:])
        for part, X in found.items()
    }


def parts_of(task, seed):
    """Three parts of a task, "train", "validation" and "test", as (X, y, groups)."""
    name, kind = task.split(", ")
    if kind == "PCA":
        return projected(faces(name, seed, most=MOST_PROJECTED))
    if name in images.FILES:
        return faces(name, seed, halved=kind.startswith("half"))
    X, y, groups = breast_cancer() if name == "breast_cancer" else thinned(*load(name))
    train, test = split(X, y, groups, seed)
    rows = np.arange(len(train[1]))
    fitted, held = train_test_split(rows, test_size=0.25, stratify=train[1], random_state=seed)
    take = {"train": fitted, "validation": held}
    return {part: tuple(v[r] for v in train) for part, r in take.items()} | {"test": test}


def net_of(task, parts):
    """Untrained net of a task; None is the package's own."""
    kind = task.split(", ")[1]
    X, y, _ = parts["train"]
    return NETS.get(kind, residual)(X.shape[1], len(np.unique(y)))
