"""Diagonals of the groups' Hessians, against Hessians by torch."""

import numpy as np
import pytest
import torch
from engine_cases import make
from skorch import NeuralNetRegressor
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn import functional as F

from sklearn_fairprune.engine import hessian_diagonals as module
from sklearn_fairprune.engine import scene as scenes
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation
from sklearn_fairprune.engine.statistics import STATISTICS, Scene, statistics_of
from sklearn_fairprune.functional import worst_group

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 30
X, Y, GROUPS = rng.normal(size=(N, 4)), rng.integers(0, 3, N), np.arange(N) % 7 % 3
IMAGES, W = rng.normal(size=(N, 2, 4, 4)), rng.uniform(0.2, 3, N)
NAMES = ["hessian_diagonal", "group_hessian_diagonals"]


class Smooth(nn.Sequential):
    """Curved in every weight."""

    def __init__(self, in_features, out_features):
        layers = nn.Linear(in_features, 5), nn.Tanh(), nn.LayerNorm(5), nn.Linear(5, 4)
        super().__init__(*layers, nn.Sigmoid(), nn.Linear(4, out_features, bias=False))


class Twice(nn.Module):
    """A layer that is called twice, and one whose weight is used elsewhere too."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.again = nn.Linear(in_features, in_features)
        self.tied = nn.Linear(in_features, 3)
        self.last = nn.Linear(in_features, out_features)

    def forward(self, X):
        hidden = self.again(self.again(X).tanh()).tanh()
        return self.last(self.tied(hidden).tanh() @ self.tied.weight)


class Image(nn.Module):
    """Convolutions, a layer along a dimension, and one at the end."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.first, self.along = nn.Conv2d(2, 3, 2), nn.Linear(3, 2)
        self.norm, self.last = nn.BatchNorm2d(3), nn.Linear(18, out_features)

    def forward(self, X):
        return self.last(self.along(self.norm(self.first(X)).tanh()).tanh().flatten(1))


def scene_of(kind, X=X, weights=None, **options):
    net = make(module=kind, **options)
    net.module_.double()
    return Scene(net, Rows(X, Y, groups=GROUPS, weights=weights, dtype=torch.float64), 0)


def slow_hessian(scene, kept, names):
    """Hessian of the mean loss of some rows, by torch, of weights as one vector."""
    module = scene.net.module_.eval()
    params = {k: p.detach() for k, p in module.named_parameters()}
    sizes = [params[k].numel() for k in names]
    mass = scene.mass[kept] / scene.mass[kept].sum()

    def loss(flat):
        own = dict(zip(names, flat.split(sizes), strict=True))
        own = {k: v.reshape(params[k].shape) for k, v in own.items()}
        raw = functional_call(module, params | own, (scene.rows.X[kept],))
        return F.cross_entropy(raw, scene.rows.y[kept], reduction="none") @ mass

    return hessian(loss, torch.cat([params[k].flatten() for k in names]))


def cut(flat, scene, names):
    params = dict(scene.net.module_.named_parameters())
    pieces = flat.split([params[k].numel() for k in names])
    return {k: v.reshape(params[k].shape) for k, v in zip(names, pieces, strict=True)}


def by_signs(H, n_probes):
    """What random signs give of a known Hessian."""
    draws = torch.Generator().manual_seed(0)
    signs = [torch.randint(0, 2, (len(H),), generator=draws) * 2 - 1 for _ in range(n_probes)]
    return torch.stack([s * (H @ s.double()) for s in signs]).mean(0)


def close(a, b, **options):
    torch.testing.assert_close(a, b, **({"rtol": 1e-8, "atol": 1e-12} | options))


@pytest.mark.parametrize("weights", [None, W], ids=["", "weighted"])
@pytest.mark.parametrize("batch", [7, 1024])
def test_linear_layers_are_exact(monkeypatch, weights, batch):
    monkeypatch.setattr(scenes, "BATCH_SIZE", batch)
    scene = scene_of(Smooth, weights=weights)
    found = statistics_of(scene, NAMES)
    members = [
        torch.arange(N),
        *(torch.from_numpy(np.flatnonzero(a == GROUPS)) for a in range(3)),
    ]
    names = ["0.weight", "3.weight", "5.weight"]
    assert list(found[NAMES[0]]) == names
    for name in names:
        slow = [slow_hessian(scene, kept, [name]).diagonal() for kept in members]
        shape = found[NAMES[0]][name].shape
        close(found[NAMES[0]][name], slow[0].reshape(shape))
        close(found[NAMES[1]][name], torch.stack(slow[1:]).reshape(3, *shape))


@pytest.mark.parametrize(
    ("kind", "data", "estimated"),
    [
        (Twice, X, ["again.weight", "tied.weight"]),
        (Image, IMAGES, ["first.weight", "along.weight"]),
    ],
)
def test_other_layers_are_what_random_signs_give(monkeypatch, kind, data, estimated):
    monkeypatch.setattr(module, "N_PROBES", 5)
    monkeypatch.setattr(scenes, "BATCH_SIZE", 8)
    scene = scene_of(kind, data)
    found = statistics_of(scene, NAMES)
    for a in range(3):
        kept = torch.from_numpy(np.flatnonzero(a == GROUPS))
        slow = by_signs(slow_hessian(scene, kept, estimated), 5)
        for name, values in cut(slow, scene, estimated).items():
            close(found[NAMES[1]][name][a], values)
        exact = slow_hessian(scene, kept, ["last.weight"]).diagonal()
        close(found[NAMES[1]]["last.weight"][a].flatten(), exact)


@pytest.mark.parametrize(("kind", "data"), [(Smooth, X), (Twice, X), (Image, IMAGES)])
def test_the_whole_is_the_mean_of_the_groups(kind, data):
    scene = scene_of(kind, data, weights=W)
    found = statistics_of(scene, [*NAMES, "group_shares"])
    for name, whole in found[NAMES[0]].items():
        close(torch.tensordot(found["group_shares"], found[NAMES[1]][name], 1), whole)


def test_wide_layers_are_estimated_by_signs_of_their_outputs(monkeypatch):
    monkeypatch.setattr(module, "N_OUTPUTS", 4)
    monkeypatch.setattr(module, "N_SIGNS", 2000)
    scene = scene_of(Smooth)
    found = statistics_of(scene, NAMES[:1])[NAMES[0]]
    exact = cut(
        slow_hessian(scene, torch.arange(N), ["0.weight"]).diagonal(), scene, ["0.weight"]
    )
    close(
        found["0.weight"],
        exact["0.weight"],
        rtol=0.1,
        atol=0.02 * exact["0.weight"].abs().max(),
    )


@pytest.mark.parametrize(("kind", "data"), [(Smooth, X), (Image, IMAGES)])
def test_groups_cost_no_passes_over_rows(monkeypatch, kind, data):
    counted = []
    losses = Evaluation.losses

    def count(self, params, X, y):
        counted.append(len(y))
        return losses(self, params, X, y)

    monkeypatch.setattr(Evaluation, "losses", count)
    rows_read = []
    for name in NAMES:
        counted.clear()
        STATISTICS[name](scene_of(kind, data))
        rows_read.append(sum(counted))
    assert rows_read[0] == rows_read[1] == (N if kind is Smooth else 2 * N)


def test_a_group_without_weight_has_no_curvature():
    weights = np.where(GROUPS == 1, 0.0, 1.0)
    found = statistics_of(scene_of(Smooth, weights=weights), [NAMES[1], "group_gradients"])
    for statistic in found.values():
        assert all(v.isfinite().all() and not v[1].any() for v in statistic.values())
    assert weights.tolist() == np.where(GROUPS == 1, 0.0, 1.0).tolist()


def test_worst_group_is_the_loss_that_is_lost_where_the_loss_is_a_parabola():
    targets = rng.normal(size=(N, 3))
    net = make(NeuralNetRegressor)
    scene = Scene(net, Rows(X, targets, groups=GROUPS, dtype=torch.float64), 0)
    found = statistics_of(scene, ["group_gradients", "group_hessian_diagonals"])
    weight, bias = net.module_.weight.detach(), net.module_.bias.detach()
    scores = worst_group(weight, **{k: v["weight"] for k, v in found.items()})

    def losses(weight):
        errors = (torch.from_numpy(X) @ weight.T + bias - torch.from_numpy(targets)).square()
        return torch.stack([errors[a == torch.from_numpy(GROUPS)].mean() for a in range(3)])

    for k in range(weight.numel()):
        without = weight.clone()
        without.view(-1)[k] = 0
        close(scores.flatten()[k], (losses(without) - losses(weight)).max())


def test_rows_keep_their_weights():
    scene = scene_of(Smooth, weights=W.copy())
    before = scene.rows.weights.clone()
    STATISTICS[NAMES[1]](scene)
    assert torch.equal(scene.rows.weights, before)


def test_layers_are_exact_at_a_minimum_in_single_precision():
    """Every row has every class, and all outputs are 0: the rows' gradients cancel."""
    net = make()
    net.module_.float()
    net.module_.weight.data.zero_()
    net.module_.bias.data.zero_()
    X = np.repeat(rng.normal(3, 1, size=(300, 4)), 3, axis=0)
    scene = Scene(net, Rows(X, np.arange(900) % 3, groups=None, dtype=torch.float32), 0)
    found = statistics_of(scene, NAMES[:1])[NAMES[0]]["weight"]
    expected = 2 / 9 * (X**2).mean(0)
    np.testing.assert_allclose(found, np.broadcast_to(expected, (3, 4)), rtol=1e-5)
