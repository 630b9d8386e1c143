"""The repair gives back what it says, and the result is that of the rule."""

import copy
import itertools
import json

import numpy as np
import pandas as pd
import pytest
import record
import torch
import variance_repair
from torch import nn

from sklearn_fairprune.engine.recovery import RECOVERIES

torch.set_num_threads(1)
PLAN = variance_repair.PLAN


def pair(module):
    """A module with random weights and one of which every second weight is removed."""
    torch.manual_seed(0)
    for part in module.modules():
        if isinstance(part, variance_repair.LAYERS):
            nn.init.normal_(part.weight, std=0.4)
    pruned = copy.deepcopy(module)
    for part in pruned.modules():
        if isinstance(part, variance_repair.LAYERS):
            part.weight.data *= torch.rand_like(part.weight) > 0.5
    return pruned.eval(), module.eval()


def flat():
    return nn.Sequential(
        nn.Linear(9, 12), nn.ReLU(), nn.Linear(12, 7), nn.ReLU(), nn.Linear(7, 3)
    )


def images():
    convolutions = nn.Conv2d(1, 4, 2), nn.ReLU(), nn.Conv2d(4, 12, 2, bias=False), nn.ReLU()
    return nn.Sequential(
        nn.Unflatten(1, (1, 3, 3)), *convolutions, nn.Flatten(), nn.Linear(12, 3)
    )


X = torch.from_numpy(np.random.default_rng(0).normal(0.5, 1, (900, 9)).astype(np.float32))


@pytest.mark.parametrize("make", [flat, images])
@pytest.mark.parametrize("n_moments", [0, 1, 2])
def test_units_have_the_moments_of_the_dense_network(make, n_moments):
    pruned, dense = pair(make())
    before = copy.deepcopy(pruned)
    names = variance_repair.repair(pruned, dense, X, n_moments)
    layers = {n: m for n, m in pruned.named_modules() if isinstance(m, variance_repair.LAYERS)}
    assert names == (list(layers) if n_moments else [])
    for name, layer in layers.items():
        untouched = before.get_submodule(name).weight
        assert torch.equal(layer.weight == 0, untouched == 0)
        if n_moments < 2:
            assert torch.equal(layer.weight, untouched)
        mean, var = variance_repair.moments(pruned, name, X)
        wanted_mean, wanted_var = variance_repair.moments(dense, name, X)
        if n_moments == 2:
            torch.testing.assert_close(var, wanted_var, rtol=1e-4, atol=1e-6)
        if n_moments and layer.bias is not None:
            torch.testing.assert_close(mean, wanted_mean, rtol=1e-4, atol=1e-5)


def test_units_that_batch_norm_normalises_are_left_to_it():
    norm = nn.Linear(9, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 3)
    pruned, dense = pair(nn.Sequential(*norm))
    before = copy.deepcopy(pruned)
    assert variance_repair.repair(pruned, dense, X) == ["3"]
    assert torch.equal(pruned[0].weight, before[0].weight)


def test_a_unit_without_weights_becomes_the_mean():
    pruned, dense = pair(flat())
    pruned[0].weight.data[2] = 0.0
    variance_repair.repair(pruned, dense, X)
    mean, var = variance_repair.moments(pruned, "0", X)
    assert mean[2] == pytest.approx(
        float(variance_repair.moments(dense, "0", X)[0][2]), abs=1e-5
    )
    assert var[2] == pytest.approx(0, abs=1e-9)
    assert torch.isfinite(pruned[0].weight).all()


def kept():
    return json.loads((record.RESULTS / "variance_repair.json").read_text(encoding="utf-8"))


def test_every_planned_cell_is_kept():
    assert list(variance_repair.WAYS) == PLAN["ways"]
    runs = kept()["data"]["runs"]
    assert list(runs) == PLAN["tasks"]
    cells = itertools.product(PLAN["sparsities"], PLAN["ways"])
    expected = {f"{way}; {sparsity}" for sparsity, way in cells}
    for by_seed in runs.values():
        assert list(by_seed) == [str(seed) for seed in PLAN["seeds"]]
        assert all(set(found["ways"]) == expected for found in by_seed.values())


def test_the_verdict_follows_from_every_seed():
    found = kept()
    table = variance_repair.table_of(found["data"]["runs"])
    pd.testing.assert_frame_equal(table.round(3), pd.DataFrame(found["data"]["table"]))
    margins = variance_repair.margins(table)
    lines = found["summary"][: len(margins)]
    assert [line["value"] for line in lines] == pytest.approx(list(margins.values()))
    assert [line["met"] for line in lines] == [v > PLAN["better_by"] for v in margins.values()]


def test_the_readme_tells_the_result_and_the_package_follows_it():
    words = " ".join((record.RESULTS.parents[1] / "README.md").read_text().split())
    lines = kept()["summary"]
    mean = {line["name"].split(":")[0]: f"{line['value']:.1f} %" for line in lines}
    assert (
        "is {masked} masked, {variance repair} so repaired, and {reconstruct} after".format(
            **mean
        )
        in words
    )
    assert f"observed and not judged, it gives {mean['reconstruct, variance repair']}" in words
    assert [line["met"] for line in lines if line["target"]] == [True, False]
    assert not any("variance" in name for name in RECOVERIES)
