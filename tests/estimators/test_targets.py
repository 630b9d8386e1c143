"""Labels of any type, targets of regressions, and what weights of samples mean."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from estimator_cases import CODES, WEIGHTS, X, assert_same, make, make_net
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import PrunedRegressor

CONTAINERS = {
    "strings": lambda c: np.array(["no", "yes"])[c],
    "ints": lambda c: c * 4 + 3,
    "negative": lambda c: c * 4 - 7,
    "bools": lambda c: c.astype(bool),
    "uint8": lambda c: c.astype(np.uint8),
    "whole floats": lambda c: c.astype(float),
    "object": lambda c: np.array(["no", "yes"], dtype=object)[c],
    "list": lambda c: np.array(["no", "yes"])[c].tolist(),
    "categorical": lambda c: pd.Categorical(np.array(["no", "yes"])[c], ["yes", "no", "?"]),
    "series": lambda c: pd.Series(np.array(["no", "yes"])[c], index=range(60, 0, -1)),
    "categories": lambda c: pd.Series(np.array(["no", "yes"])[c]).astype("category"),
    "polars": lambda c: pl.Series(np.array(["no", "yes"])[c].tolist()),
    "torch": torch.tensor,
}


@pytest.mark.parametrize("labels", CONTAINERS)
def test_labels_of_any_type(labels):
    y = CONTAINERS[labels](CODES)
    est = make().fit(X, y)
    assert_same(est, make().fit(X, CODES))
    np.testing.assert_array_equal(est.classes_, np.unique(np.asarray(y)))
    np.testing.assert_array_equal(est.groups_, est.classes_)
    predicted = est.prune(X, y, sparsity=0.2).partial_fit(X, y).predict(X)
    assert set(predicted) <= set(np.asarray(y).tolist())
    assert predicted.dtype == est.classes_.dtype


def test_ten_classes_and_fifty_groups():
    y, groups = np.arange(200) % 10, np.arange(200) % 50
    data = np.random.default_rng(0).normal(size=(200, 4)) + np.eye(10)[y][:, :4]
    est = make(make_net(module__n_out=10)).fit(data, y, sensitive_features=groups)
    assert est.classes_.tolist() == list(range(10))
    assert est.groups_.tolist() == list(range(50))
    assert est.predict_proba(data).shape == est.decision_function(data).shape == (200, 10)
    np.testing.assert_allclose(est.predict_proba(data).sum(axis=1), 1)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)], ids=str)
@pytest.mark.parametrize("own", [False, True], ids=["default net", "own net"])
def test_regression_targets_of_any_shape(own, shape, weights):
    y = np.resize(X[:, :1] @ np.ones((1, 3)), (60, 3))[:, : int(np.prod(shape[1:]))]
    options = {"module__n_out": y.shape[1], "criterion": nn.MSELoss, "max_epochs": 20}
    net = make_net(kind=NeuralNetRegressor, **options) if own else None
    est = PrunedRegressor(net, sparsity=0.3, random_state=0)
    est.fit(X, y.reshape(shape), sample_weight=weights)
    assert est.predict(X).shape == shape
    assert est.predict(X).dtype == np.float64
    assert est.score(X, y.reshape(shape)) > 0.5
    assert est.groups_.tolist() == ["all"]


@pytest.mark.parametrize("factor", [1e-60, 1e60])
def test_only_ratios_of_weights_count(factor):
    a = make().fit(X, CODES, sample_weight=WEIGHTS * factor)
    b = make().fit(X, CODES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-4)
