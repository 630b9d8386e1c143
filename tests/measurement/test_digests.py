"""Digests change with everything that counts, and with nothing else."""

import copy

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_fairprune import AuditReport, PrunedClassifier, audit
from sklearn_fairprune.measurement.digests import network_digest, rows_digest


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))


MASKS = {"0.weight": torch.ones(2, 3, dtype=torch.bool)}


def test_a_network_is_known_by_state_and_masks():
    first = network_digest(network(), MASKS)
    assert len(first) == 64
    assert network_digest(copy.deepcopy(network()), dict(MASKS)) == first
    changed = {}
    for name in ("0.weight", "0.bias", "1.running_mean", "1.num_batches_tracked"):
        other = network()
        with torch.no_grad():
            other.state_dict()[name].add_(1)
        changed[name] = network_digest(other, MASKS)
    changed["type"] = network_digest(network().double(), MASKS)
    masks = {"0.weight": MASKS["0.weight"].clone()}
    masks["0.weight"][0, 0] = False
    changed["mask"] = network_digest(network(), masks)
    assert len({first, *changed.values()}) == 1 + len(changed)


FRAME = pd.DataFrame({"a": [1.0, 2.0], "b": ["x", None]})
ROWS = {
    "array": np.eye(2),
    "single": np.eye(2, dtype=np.float32),
    "long": np.eye(2).reshape(4, 1),
    "sparse": sparse.csr_matrix(np.eye(2)),
    "frame": FRAME,
    "other value": FRAME.assign(a=[1.0, 2.5]),
    "other name": FRAME.rename(columns={"a": "c"}),
    "text of None": FRAME.assign(b=["x", "None"]),
    "texts": ["x", "y"],
    "joined": ["x\x1fy"],
    "series": pd.Series([1, 2]),
    "none": None,
    "tensor": torch.eye(2, dtype=torch.bfloat16, requires_grad=True),
    "a dataset": torch.utils.data.TensorDataset(torch.eye(2)),
}


def test_rows_are_known_by_their_values():
    digests = {name: rows_digest(rows) for name, rows in ROWS.items()}
    assert len(set(digests.values())) == len(ROWS)
    assert {name: rows_digest(copy.deepcopy(rows)) for name, rows in ROWS.items()} == digests
    assert rows_digest({"a": FRAME["a"], "b": FRAME["b"]}) == digests["frame"]
    assert rows_digest([1], [2]) != rows_digest([1, 2])
    many = np.arange(200_000.0)
    last = many.copy()
    last[-1] += 1
    assert rows_digest(many) != rows_digest(last)


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y, sex = (X[:, 0] > 0).astype(int), rng.choice(["f", "m"], 60)
    pruner = PrunedClassifier(hidden_layer_sizes=(4,), random_state=0, finetune_epochs=1)
    path = pruner.pruning_path(X, y, sparsities=[0, 0.5])
    return X, y, sex, path


def make(models, X, y, sex):
    return audit(models, X, y, sensitive_features=sex, n_boot=10, min_group_size=1)


def test_a_report_knows_its_networks_and_rows(fitted):
    X, y, sex, path = fitted
    report = make(path, X, y, sex)
    again = AuditReport.from_json(report.to_json())
    dense, pruned = path.estimators
    for kept in (report, again):
        assert kept.models_of(dense) == ["sparsity 0"]
        assert kept.models_of(make_pipeline(StandardScaler(), pruned)) == ["sparsity 0.5"]
        assert kept.models_of(copy.deepcopy(pruned).prune(X, y, sparsity=0.8)) == []
    with pytest.raises(TypeError, match="LogisticRegression holds no network"):
        report.models_of(LogisticRegression().fit(X, y))
    assert len(report.about["rows_sha256"]) == 64
    for other in ((X + 1, y, sex), (X, 1 - y, sex), (X, y, sex[::-1])):
        assert make(path, *other).about["rows_sha256"] != report.about["rows_sha256"]
    assert make(path, X, y, sex).about["rows_sha256"] == report.about["rows_sha256"]
