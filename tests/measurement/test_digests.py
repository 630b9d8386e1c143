"""Digests change with everything that counts, and with nothing else."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from sklearn_fairprune import AuditReport, PrunedClassifier, audit, audit_predictions
from sklearn_fairprune.measurement.digests import (
    network_digest,
    predictions_digest,
    rows_digest,
)


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


BITS = [0, 1, 1, 0]
ALIKE = {
    "numbers": [
        BITS,
        *(np.array(BITS, dtype=kind) for kind in ("i1", "u8", "f4", ">f8", bool, object)),
        [-0.0, 1.0, True, np.float32(0)],
        pd.Series(BITS, dtype="Int64"),
        np.array(BITS)[:, None],
    ],
    "texts": [
        ["no", "yes"],
        np.array(["no", "yes"]),
        np.array([np.str_("no"), "yes"], dtype=object),
        pd.Series(["no", "yes"], dtype="category"),
        pd.Series(["no", "yes"], dtype="string"),
    ],
    "probabilities of two": [[0.25, 0.5], [[0.75, 0.25], [0.5, 0.5]], np.float32([0.25, 0.5])],
    "texts of numbers": [["0", "1", "1", "0"]],
    "longer": [[*BITS, 0]],
    "another order": [BITS[::-1] + [1], [0.0, 1, 1, 0, 1]],
    "columns": [np.eye(3)],
    "flat": [np.eye(3).ravel()],
    "beyond floats": [[2**53 + 1], np.array([2**53 + 1]), np.array([2**53 + 1], dtype=object)],
    "near it": [[2**53], [2.0**53]],
    "far beyond": [[10**400]],
    "joined": [["a", "b"]],
    "cut elsewhere": [["a1:b", ""]],
    "mixed": [["0", 1], np.array(["0", 1], dtype=object)],
    "none": [[None, "a"]],
    "text of none": [["None", "a"]],
}


def test_predictions_are_known_by_what_they_say():
    digests = {k: {predictions_digest(one) for one in ways} for k, ways in ALIKE.items()}
    assert {k: len(found) for k, found in digests.items()} == dict.fromkeys(ALIKE, 1)
    assert len(set.union(*digests.values())) == len(ALIKE)
    many = np.arange(200_000) % 2
    last = many.copy()
    last[-1] = 0
    assert predictions_digest(many) == predictions_digest(many.astype(float))
    assert predictions_digest(many) != predictions_digest(last)


def given_report():
    rng = np.random.default_rng(0)
    y, p = rng.choice(["no", "yes"], 60), rng.uniform(0.1, 0.9, 60)
    given = {"dense": y, "p": p, "two": np.column_stack([1 - p, p])[::-1]}
    return given, audit_predictions(y, given, n_boot=10, min_group_size=1)


def test_a_report_knows_the_predictions_it_was_given():
    given, report = given_report()
    for kept in (report, AuditReport.from_json(report.to_json())):
        assert kept.models_of(list(given["dense"])) == ["dense"]
        assert kept.models_of(pd.Series(given["p"])) == ["p"]
        assert kept.models_of(np.column_stack([1 - given["p"], given["p"]])) == ["p"]
        assert kept.models_of(given["p"][::-1].tolist()) == ["two"]
        assert kept.models_of(given["p"] + 1e-9) == []
        assert kept.about["predictions_sha256"]["p"] == predictions_digest(given["p"])
    text = report.to_markdown(technical=True)
    assert f"- dense: SHA-256 of its predictions {predictions_digest(given['dense'])}." in text
    assert "no network inside" not in text
    y = np.arange(60) / 7
    numbers = audit_predictions(y, {"dense": y, "pruned": y + 1}, n_boot=10, min_group_size=1)
    assert numbers.models_of(y + 1) == ["pruned"]


def test_digests_of_saved_predictions_are_checked():
    _, report = given_report()
    old = report.to_dict()
    del old["about"]["predictions_sha256"]
    old = AuditReport.from_json(json.dumps(old))
    assert old.models_of(given_report()[0]["p"]) == []
    assert "- p: SHA-256 not recorded: no network inside." in old.to_markdown(technical=True)
    for change, message in (
        ({"p": "x"}, "must be 64 hexadecimal digits, got 'x'"),
        ({"q": "0" * 64}, r"about\['predictions_sha256'\] must be of the models"),
    ):
        damaged = report.to_dict()
        damaged["about"]["predictions_sha256"] |= change
        with pytest.raises(ValueError, match=message):
            AuditReport.from_json(json.dumps(damaged))


def test_reports_on_networks_have_no_digests_of_predictions(fitted):
    X, y, sex, path = fitted
    report = make(path, X, y, sex)
    assert "predictions_sha256" not in report.about
    assert report.models_of(path.estimators[0].predict(X)) == []
