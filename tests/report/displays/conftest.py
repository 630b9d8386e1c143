"""Tiny networks on three hundred rows, and a clean slate around every test."""

from types import SimpleNamespace

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_fairprune import PrunedClassifier, PrunedRegressor, audit

torch.set_num_threads(1)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(300, 4)).astype(np.float32)
Y = np.where(X[:, 0] + 0.3 * RNG.normal(size=300) > 0, "yes", "no")
SEX = pd.Series(RNG.choice(["f", "m"], 300), name="sex")
AGE = pd.Series(RNG.choice(["old", "young"], 300), name="age")
OPTIONS = {"n_boot": 30, "min_group_size": 1}
HOSTILE = [
    r"$\frac{",
    "_hidden",
    "a$b$c",
    "sixty characters: a long name of a group of people, in words",
    "line\nbreak\ttab",
    "<b>50 %</b> & {x}",
    "\\$ \\alpha \x07",
    "one row",
]


@pytest.fixture(autouse=True)
def clean_slate():
    """Nothing changes the defaults of matplotlib; no figure outlives its test."""
    plt.close("all")
    before = dict(mpl.rcParams)
    yield
    plt.close("all")
    assert dict(mpl.rcParams) == before


def make(kind=PrunedClassifier, **options):
    """A pruner that is fitted in no time."""
    plain = {"hidden_layer_sizes": (8,), "finetune_epochs": 1, "random_state": 0}
    return kind(**(plain | {"sparsity": 0.75} | options))


def groups(m):
    """Names of m groups for the rows, the last of one row if there are many."""
    names = np.array([f"group {k}" for k in range(m)])[np.arange(300) % max(m - (m > 9), 1)]
    if m > 9:
        names[0] = f"group {m - 1}"
    return names


def hostile():
    """A strange name for every row; the last group has one row."""
    names = np.array(HOSTILE, dtype=object)[np.arange(300) % 7]
    names[0] = HOSTILE[7]
    return names


def same_picture(text):
    """Whether matplotlib draws a Text as its characters, and not as mathematics."""
    math = text.get_text()
    plain = math.replace(r"\$", "$")
    figure = plt.figure(figsize=(6, 0.5), dpi=50)
    pictures = []
    for words, parse in ((math, True), (plain, False)):
        figure.clear()
        figure.text(0.01, 0.3, words, parse_math=parse)
        figure.canvas.draw()
        pictures.append(np.asarray(figure.canvas.buffer_rgba()).copy())
    plt.close(figure)
    return np.array_equal(*pictures)


@pytest.fixture(scope="session")
def path():
    return make().pruning_path(X, Y, sparsities=[0, 0.5, 0.75, 0.9])


@pytest.fixture(scope="session")
def pruner():
    return make().fit(X, Y)


@pytest.fixture(scope="session")
def regressor():
    return make(PrunedRegressor).fit(X, X[:, 0] - X[:, 1])


@pytest.fixture(scope="session")
def report(path):
    return audit(path, X, Y, sensitive_features=SEX, **OPTIONS)


@pytest.fixture(scope="session")
def of_regressor(regressor):
    models = {"dense": regressor.dense_estimator_, "pruned": regressor}
    y = X[:, 0] - X[:, 1]
    return audit(models, X, y, sensitive_features=SEX, **OPTIONS)


@pytest.fixture(scope="session")
def data():
    """What the tests share; in this import mode they cannot import it."""
    return SimpleNamespace(
        X=X,
        y=Y,
        target=X[:, 0] - X[:, 1],
        sex=SEX,
        both=pd.concat([SEX, AGE], axis=1),
        groups=groups,
        hostile=hostile,
        names=HOSTILE,
        make=make,
        same_picture=same_picture,
        options=OPTIONS,
    )
