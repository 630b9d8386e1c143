"""Weights that pruning leaves alone are told: by the estimator, and by an audit."""

import warnings

import pytest
import torch
from estimator_cases import LABELS, X, make, make_net
from skorch.callbacks import Freezer
from torch import nn
from torch.nn.utils import parametrizations

from sklearn_fairprune import GroupConstrainedPruner, audit


class Own(nn.Module):
    def __init__(self, n, m):
        super().__init__()
        self.table = nn.Parameter(torch.randn(m, n) / 3)
        self.scale = nn.Parameter(torch.ones(m))

    def forward(self, X):
        return self.scale * (X @ self.table.T)


class Attention(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, X):
        return self.inner(X[:, None], X[:, None], X[:, None])[0][:, 0]


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(4, 4, 4)

    def forward(self, X):
        return self.layer(X, X)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.GRU(4, 4, batch_first=True)

    def forward(self, X):
        return self.layer(X[:, None])[0][:, 0]


def frozen():
    return nn.Linear(4, 4).requires_grad_(False)


# First layer, its weights that are skipped with their numbers, and why.
CASES = {
    "weight norm": (
        lambda: parametrizations.weight_norm(nn.Linear(4, 4)),
        {"0.weight": 16},
        "made of other parameters",
    ),
    "spectral norm": (
        lambda: parametrizations.spectral_norm(nn.Linear(4, 4)),
        {"0.weight": 16},
        "made of other parameters",
    ),
    "frozen": (frozen, {"0.weight": 16}, "frozen"),
    "attention": (Attention, {"0.inner.in_proj_weight": 48}, "of a MultiheadAttention"),
    "bilinear": (Twice, {"0.layer.weight": 64}, "of a Bilinear"),
    "recurrent": (
        Recurrent,
        {"0.layer.weight_ih_l0": 48, "0.layer.weight_hh_l0": 48},
        "of a GRU",
    ),
    "own": (lambda: Own(4, 4), {"0.table": 16}, "of an Own"),
}


class Net(nn.Sequential):
    def __init__(self, first):
        super().__init__(first(), nn.Tanh(), nn.Linear(4, 2))


def fitted(case, **options):
    net = make_net(Net, module__first=CASES[case][0], max_epochs=1)
    return make(net, sparsity=0.5, finetune_epochs=1, **options).fit(X, LABELS)


@pytest.mark.parametrize("case", CASES)
def test_skipped_weights_are_told_with_their_share(case):
    est = fitted(case)
    _, weights, reason = CASES[case]
    assert est.skipped_weights_ == dict.fromkeys(weights, reason)
    under = sum(mask.numel() for mask in est.masks_.values())
    assert est.prunable_share_ == pytest.approx(under / (under + sum(weights.values())))
    assert not set(est.skipped_weights_) & set(est.masks_)
    constrained = GroupConstrainedPruner(est, constraint="accuracy_gap", tolerance=10.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of one class for everybody
        constrained.fit(X, LABELS)
    assert constrained.skipped_weights_ == est.skipped_weights_


@pytest.mark.parametrize("case", CASES)
def test_an_audit_says_what_its_sparsities_are_over(case):
    est = fitted(case)
    report = audit({"dense": est, "pruned": est}, X, LABELS, min_group_size=1)
    (note,) = [note for note in report.notes if "Pruning leaves alone" in note]
    share = f"{100 * est.prunable_share_:.3g} % of the network's weights"
    assert note.startswith(f"Sparsities of dense, pruned are over {share}")
    assert all(f"{name} ({CASES[case][2]})" in note for name in CASES[case][1])
    assert note in str(report)


def test_nothing_is_told_where_everything_can_be_pruned():
    est = make(finetune_epochs=0).fit(X, LABELS)
    assert est.skipped_weights_ == {}
    assert est.prunable_share_ == 1.0
    report = audit({"dense": est}, X, LABELS, min_group_size=1)
    assert not [note for note in report.notes if "leaves alone" in note]


def test_what_a_callback_freezes_is_told():
    net = make_net(callbacks=[Freezer("body.0.*")])
    est = make(net, finetune_epochs=1).fit(X, LABELS)
    assert est.skipped_weights_ == {"body.0.weight": "frozen"}
