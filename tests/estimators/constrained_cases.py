"""Quick constrained pruners, and their violations computed once more by hand."""

import numpy as np
import pandas as pd
import pytest
from people_cases import CODES, SEX, PlainNet, X, default, net

from sklearn_fairprune import GroupConstrainedPruner

QUIET = pytest.mark.filterwarnings(
    "ignore:constraint=:sklearn.exceptions.ConvergenceWarning",
    "ignore:The network of sparsity:sklearn.exceptions.ConvergenceWarning",
)
STRONG = {"tolerance": 0.0, "dual_lr": 2.0, "dual_update": "projected"}
# One group is hard: a third of its labels are wrong.
NOISY = np.where((SEX == "f") & (np.arange(200) % 3 == 0), 1 - CODES, CODES)
NOISY_LABELS = np.array(["no", "yes"])[NOISY]
TARGETS = (X[:, 0] - X[:, 1] + np.where(SEX == "f", X[:, 4], 0)).astype(float)


def inner(**params):
    """Return a `PrunedClassifier` around a plain net of 4 and 2 epochs."""
    return default(**({"estimator": net(PlainNet)} | params))


def constrained(pruner=None, **params):
    """Return a meta-estimator whose multipliers move at once."""
    pruner = inner() if pruner is None else pruner
    return GroupConstrainedPruner(pruner, **(STRONG | params))


def fitted(pruner=None, y=NOISY_LABELS, groups=SEX, weights=None, **params):
    """Return it fitted on two hundred people."""
    est = constrained(pruner, **params)
    return est.fit(X, y, sensitive_features=groups, sample_weight=weights)


def row_losses(est, y=NOISY_LABELS, X=X):
    """Return the cross-entropy of each row, from the probabilities."""
    return -np.log(est.predict_proba(X)[y[:, None] == est.classes_])


def group_means(values, groups=SEX, weights=None):
    """Return weighted means by group, and over all rows."""
    weights = np.ones(len(values)) if weights is None else weights
    names = np.unique(groups)
    rows = [np.asarray(groups) == name for name in names]
    means = [np.average(values[r], weights=weights[r]) for r in rows]
    return pd.Series(means, index=names), np.average(values, weights=weights)


def excess(values, groups=SEX, weights=None):
    """Return means by group above the mean of all rows."""
    means, overall = group_means(values, groups, weights)
    return means - overall
