"""Budgets of multiply-accumulates and parameters: counted by hand, met, or refused."""

import itertools

import pytest
import torch
from architecture_cases import make, rows
from skorch import NeuralNet
from torch import nn

from sklearn_fairprune.engine.cost_targets import CostTarget, Target, target_of
from sklearn_fairprune.engine.liveness import sample_of
from sklearn_fairprune.functional import score_masks
from sklearn_fairprune.functional.pools import sparsity_range

torch.set_num_threads(1)


def mlp(*widths):
    return nn.Sequential(*(nn.Linear(a, b) for a, b in itertools.pairwise(widths)))


def cnn():
    body = nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2)
    return nn.Sequential(*body, nn.Flatten(), nn.Linear(16 * 9, 10))


NETS = {"mlp": (mlp(20, 60, 40, 5), (20,)), "cnn": (cnn(), (1, 8, 8))}


def scene(name, of, share):
    module, shape = NETS[name]
    net = NeuralNet(module, criterion=nn.MSELoss, train_split=None, verbose=0).initialize()
    weights = {k: p.detach() for k, p in module.named_parameters() if p.dim() > 1}
    sizes = {k: w.numel() for k, w in weights.items()}
    return CostTarget(net, torch.randn(1, *shape), Target(of, share), sizes), weights


def masks_of(name, of, share, scope="global", kept=None, floor=0.0):
    costs, weights = scene(name, of, share)
    scores = {k: w.abs() for k, w in weights.items()}
    limits = sparsity_range(costs.sizes, scope, floor)

    def masks_at(sparsity):
        return score_masks(scores, sparsity, scope, kept, min_density=floor)

    return costs, costs.reach(masks_at, share, limits, final=True)


def counted(name, of, masks):
    """Cost of the masked network, by hand."""
    module, _ = NETS[name]
    if of == "parameters":
        gone = sum(int((~mask).sum()) for mask in masks.values())
        return sum(p.numel() for p in module.parameters()) - gone
    positions = {"mlp": {}, "cnn": {"0.weight": 64, "2.weight": 9}}[name]
    return sum(int(mask.sum()) * positions.get(k, 1) for k, mask in masks.items())


@pytest.mark.parametrize("scope", ["global", "layerwise", {"0": 0.5}])
@pytest.mark.parametrize("of", ["macs", "parameters"])
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("share", [0.7, 0.4])
def test_the_budget_is_met_within_one_percent(name, of, share, scope):
    costs, masks = masks_of(name, of, share, scope)
    dense = counted(name, of, {k: torch.ones_like(m) for k, m in masks.items()})
    assert costs.total == dense
    assert costs.left(masks) == pytest.approx(counted(name, of, masks))
    assert counted(name, of, masks) == pytest.approx(share * dense, rel=0.01)
    if isinstance(scope, dict):
        assert float(masks["0.weight"].float().mean()) == pytest.approx(0.5)


def test_masks_go_on_from_earlier_ones():
    _, kept = masks_of("cnn", "macs", 0.6)
    costs, masks = masks_of("cnn", "macs", 0.3, kept=kept)
    assert not any((masks[k] & ~kept[k]).any() for k in kept)
    assert costs.left(masks) == pytest.approx(0.3 * costs.total, rel=0.01)


def test_what_can_be_left_at_least_and_at_most():
    costs, _ = scene("mlp", "parameters", 0.02)
    with pytest.raises(
        ValueError,
        match=r"\('parameters', 0\.02\) cannot be met: of the dense"
        r" network's 3905 parameters, pruning can keep 0\.02766 at least\.",
    ):
        costs.check("global", 0.0)  # fmt: skip
    assert f"{(105 + 3) / 3905:.4g}" == "0.02766"  # biases, and a weight of each layer
    with pytest.raises(ValueError, match=r"can keep 0\.5\d* at least\. Raise .*min_density"):
        scene("mlp", "macs", 0.4)[0].check("global", 0.5)
    with pytest.raises(ValueError, match=r"can keep 0\.5\d* at least\."):
        scene("mlp", "macs", 0.4)[0].check("layerwise", 0.5)
    with pytest.raises(ValueError, match=r"at least and 0\.7\d* at most\. Lower the"):
        scene("mlp", "macs", 0.95)[0].check({"0": 0.9}, 0.0)
    for share in (0.03, 0.5, 1.0):
        scene("mlp", "parameters", share)[0].check("global", 0.0)


def test_a_budget_that_no_masks_leave():
    costs, weights = scene("mlp", "macs", 0.5)

    def coarse(sparsity):
        return {k: torch.full(w.shape, sparsity < 0.5) for k, w in weights.items()}

    with pytest.raises(ValueError, match=r"nearest masks leave [01] of the macs"):
        costs.reach(coarse, 0.5, (0.0, 1.0), final=True)
    assert costs.left(costs.reach(coarse, 0.5, (0.0, 1.0), final=False)) in (0, costs.total)


def test_weights_that_no_product_reads_cost_nothing():
    net = make("words")
    sizes = {"words.weight": 15, "last.0.weight": 9, "last.2.weight": 9}
    costs = CostTarget(net, sample_of(net, rows("words")), Target("macs", 0.5), sizes)
    assert costs.units == {"words.weight": 0, "last.0.weight": 1, "last.2.weight": 1}


@pytest.mark.parametrize(
    "wrong",
    [("macs",), ("flops", 0.5), ("macs", 0), ("macs", 1.1), ("macs", "a"), ("macs", True),
     ("macs", float("nan")), (0.5, "macs"), ("macs", 0.5, 1), "macs", 0.5],
)  # fmt: skip
def test_what_is_no_target(wrong):
    with pytest.raises(ValueError, match=r"target must be None, \('macs', share\) or"):
        target_of(wrong)


def test_targets():
    assert target_of(None) is None
    assert target_of(["parameters", 1]) == ("parameters", 1.0)
