"""Pruning a copy: masks, batch norm, fine-tuning, and an untouched dense net."""

import dataclasses

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.fit import prune
from sklearn_fairprune.engine.recipe import make_recipe
from sklearn_fairprune.engine.scoring import keep_all, weight_masks
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import prunable, score_masks

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X = rng.normal(1.0, 2.0, size=(24, 4))
Y = (X[:, 0] > 1).astype(np.int64)


class Normed(nn.Module):
    """Linear, dropout, batch norm, linear."""

    def __init__(self, momentum=0.1):
        super().__init__()
        self.first, self.drop = nn.Linear(4, 6), nn.Dropout(0.5)
        self.norm, self.last = nn.BatchNorm1d(6, momentum=momentum), nn.Linear(6, 2)

    def forward(self, X):
        return self.last(self.norm(self.drop(self.first(X))).relu())


class Image(nn.Module):
    """A convolution with batch norm: one image has many values per channel."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 3, (1, 2)), nn.BatchNorm2d(3)
        self.last = nn.Linear(3, 2)

    def forward(self, X):
        return self.last(self.norm(self.conv(X.reshape(-1, 1, 2, 2))).mean(dim=(2, 3)))


def rows(n=24):
    return Rows(X[:n], Y[:n], dtype=torch.float64)


def trained(module=Normed, **options):
    options = {"batch_size": 5, "iterator_train__shuffle": True} | options
    net = NeuralNetClassifier(
        module,
        criterion=nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.05,
        train_split=None,
        verbose=0,
        **options,
    )
    net = networks.initialize(networks.with_fast_batches(net), torch.float64, 0)
    train(net, rows(), 2, seed=0)
    return net


def state(net):
    return {k: v.clone() for k, v in net.module_.state_dict().items()}


def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(a[k], b[k]) for k in a)


def run(dense, data, **options):
    options = {"sparsity": 0.5, "finetune_epochs": 2, "seed": 3} | options
    options["epochs"] = options.pop("finetune_epochs")
    recipe = make_recipe(**options, rows=data is not None)
    recipe = dataclasses.replace(recipe, tuning_seed=options["seed"])
    return prune(dense, data, recipe, like=rows())[:3]


@pytest.mark.parametrize("options", [{}, {"sparsity": 0}, {"finetune_epochs": 0}])
def test_dense_net_is_untouched(options):
    dense, random_state = trained(), torch.get_rng_state()
    before, optimizer = state(dense), repr(dense.optimizer_.state_dict())
    run(dense, rows(), **options)
    assert same(state(dense), before)
    assert repr(dense.optimizer_.state_dict()) == optimizer
    assert len(dense.history) == 2
    assert torch.equal(torch.get_rng_state(), random_state)


def test_sparsity_zero_is_an_unchanged_copy():
    dense = trained()
    net, masks, history = run(dense, rows(), sparsity=0)
    assert same(state(net), state(dense))
    assert net.module_.first.weight is not dense.module_.first.weight
    assert history == []
    assert masks.keys() == prunable(dense.module_).keys()
    assert all(mask.all() for mask in masks.values())


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_without_data_the_weights_are_only_masked(scope):
    dense = trained()
    dense.module_.last.weight.data *= 100
    net, masks, history = run(dense, None, scope=scope)
    scores = {k: w.abs() for k, w in prunable(dense.module_).items()}
    assert masks["last.weight"].all() == (scope == "global")
    assert same(masks, score_masks(scores, 0.5, scope))
    expected = state(dense)
    for name, mask in masks.items():
        expected[name] = expected[name] * mask
    assert same(state(net), expected)
    assert history == []


@pytest.mark.parametrize("module", [Normed, Image])
def test_removed_weights_stay_zero_while_the_others_learn(module):
    dense = trained(module)
    net, masks, history = run(dense, rows())
    assert [h["epoch"] for h in history] == [1, 2]
    for name, weight in prunable(net.module_).items():
        kept = masks[name]
        assert (weight[~kept] == 0).all()
        assert (weight[kept] != prunable(dense.module_)[name][kept]).any()
    assert not net.optimizer_.state


def test_fine_tuning_starts_with_a_fresh_optimizer():
    dense = trained(nn.Linear, module__in_features=4, module__out_features=2)
    fresh = networks.renew_optimizer(networks.copy_net(dense))
    assert dense.optimizer_.state
    assert same(state(run(dense, rows())[0]), state(run(fresh, rows())[0]))


@pytest.mark.parametrize(
    "options",
    [
        {"module": Normed},
        {"module": nn.Linear, "module__in_features": 4, "module__out_features": 2},
    ],
)
def test_same_seed_same_net_and_calls_do_not_accumulate(options):
    dense = trained(**options)
    run(dense, rows(), sparsity=0.9)
    first, second, other = (run(dense, rows(), seed=seed)[0] for seed in (3, 3, 4))
    assert same(state(first), state(second))
    assert not same(state(first), state(other))


def test_callable_criterion():
    dense = trained()
    _, smallest, _ = run(dense, None, criterion=lambda w: -w.abs())
    scores = {k: -w.abs() for k, w in prunable(dense.module_).items()}
    assert same(smallest, score_masks(scores, 0.5))


def test_criterion_cannot_change_the_weights():
    dense = trained()
    before = state(dense)
    weight_masks(dense, sparsity=0.5, criterion=torch.Tensor.abs_, scope="global")
    assert same(state(dense), before)


@pytest.mark.parametrize(
    ("score", "message"),
    [
        (
            lambda w: w.abs().sum(dim=1),
            r"'first.weight' of shape \(6, 4\) and returned \(6,\)",
        ),
        (lambda w: 1.0, r"one score per weight: .* returned float"),
        (lambda w: w * float("nan"), "NaN scores for 'first.weight'"),
    ],
)
def test_unusable_scores(score, message):
    with pytest.raises(ValueError, match=message):
        run(trained(), rows(), criterion=score)


@pytest.mark.parametrize(
    ("module", "held"),
    [
        (nn.Sequential(nn.Flatten(), nn.BatchNorm1d(4)), r"\['BatchNorm1d', 'Flatten'\]"),
        (nn.ReLU(), "no layers"),
        (nn.Linear(2, 2).requires_grad_(False), "can be trained"),
    ],
)
def test_nothing_to_prune(module, held):
    with pytest.raises(ValueError, match=f"no prunable layer.*{held}"):
        keep_all(module)
