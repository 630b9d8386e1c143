"""The benchmark of shrunk networks: the same outputs, ratios, and what is judged."""

import json

import numpy as np
import pytest
import shrink
import torch
from torch import nn

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def test_ratios_are_medians_of_rounds_whose_first_calls_do_not_count(monkeypatch):
    now = [0.0]
    durations = {
        "dense": iter([99, 2, 2, 99, 8, 8, 99, 9, 9]),
        "small": iter([0, 1, 1, 0, 2, 2, 0, 3, 3]),
    }

    def way(name):
        def run():
            now[0] += next(durations[name])

        return run

    monkeypatch.setattr(shrink.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(shrink, "ROUNDS", 3)
    found = shrink.ratios({name: way(name) for name in durations}, -1.0, 2)
    assert found == {"dense": 1.0, "small": 3.0}


def test_neurons_that_are_gone_have_no_input():
    module = shrink.without_neurons(0.9)
    for layer in (module[1], module[3]):
        assert int((layer.weight == 0).all(1).sum()) == 922


def test_the_script_runs_and_judges(results, monkeypatch):
    rng = np.random.default_rng(0)
    images = rng.normal(size=(80, 1, 28, 28)).astype("float32")
    rows = images, np.arange(80) % 10
    plan = shrink.PLAN | {"sparsities": [0.9, 0.95, 0.99], "batches": [1, 64], "epochs": 1}
    monkeypatch.setattr(shrink, "PLAN", plan)
    monkeypatch.setattr(shrink, "ROUNDS", 1)
    monkeypatch.setattr(shrink, "data", lambda most: (rows, rows))
    monkeypatch.setattr(shrink, "NETWORKS", {"mlp": small, "cnn": small})
    monkeypatch.setattr(shrink, "many_neurons_gone", lambda seconds: {"64": {"removed": 13}})
    options = shrink.PrunedClassifier

    def quick(*args, **kwargs):
        return options(*args, finetune_epochs=1, **kwargs)

    monkeypatch.setattr(shrink, "PrunedClassifier", quick)
    monkeypatch.setattr("sys.argv", ["", "--seconds", "0"])
    shrink.main()
    kept = json.loads((results / "shrink.json").read_text())
    assert [line["target"] for line in kept["summary"]] == [12, 3, 8, 0.95]
    assert kept["summary"][0]["met"]
    cells = kept["data"]["networks"]["mlp"]
    assert set(cells) == {"dense"} | {
        f"{g}, {s}" for g in plan["granularities"] for s in (0.9, 0.95, 0.99)
    }
    for name, own in cells.items():
        if name != "dense":
            assert own["largest_difference"] < 1e-5
            assert own["macs"] <= cells["dense"]["macs"]


def small():
    hidden = [nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU()]
    return nn.Sequential(nn.Flatten(), *hidden, nn.Linear(128, 10))


def test_onnx_runtime_says_the_same():
    pytest.importorskip("onnxruntime")
    module, X = small(), torch.randn(5, 1, 28, 28)
    with torch.no_grad():
        expected = module(X).numpy()
    np.testing.assert_allclose(shrink.onnx_forward(module, X)()[0], expected, atol=1e-5)
