"""Reports of models whose predictions are known, for the tests of their forms."""

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin

from sklearn_fairprune import audit

RNG = np.random.default_rng(0)
N = 200
PEOPLE = pd.DataFrame({"sex": RNG.choice(["f", "m"], N), "age": RNG.choice([30, 60], N)})
Y = RNG.choice(["no", "yes"], N)
# Probability of "yes" under three models: right, wrong for women over 50, a constant.
RIGHT = np.where(Y == "yes", 0.8, 0.2)
HARMED = np.where((PEOPLE["sex"] == "f") & (PEOPLE["age"] == 60), 1 - RIGHT, RIGHT)
X = np.column_stack([RIGHT, HARMED, np.full(N, 0.9)])


class Column(ClassifierMixin, BaseEstimator):
    """Predicts the probabilities in a column of X, as of the second of its classes."""

    def __init__(self, column, classes=("no", "yes")):
        self.column, self.classes = column, classes
        self.classes_ = np.array(classes)

    def predict_proba(self, X):
        p = np.asarray(X)[:, self.column]
        return np.column_stack([1 - p, p])

    def predict(self, X):
        return self.classes_[(self.predict_proba(X)[:, 1] > 0.5).astype(int)]


class Value(RegressorMixin, BaseEstimator):
    """Predicts a column of X."""

    def __init__(self, column):
        self.column = column

    def predict(self, X):
        return np.asarray(X)[:, self.column]


MODELS = {"dense": Column(0), "harmed": Column(1), "stuck": Column(2)}


def make_report(models=MODELS, **options):
    given = {"sensitive_features": PEOPLE, "n_boot": 100, "min_group_size": 1} | options
    return audit(models, X, Y, **given)


def regression_report():
    models = {"dense": Value(0), "pruned": Value(1)}
    return audit(models, X, RIGHT, sensitive_features=PEOPLE["sex"], n_boot=100)
