"""Laws of every criterion: seeds, nesting, permuted rows and renamed groups."""

import itertools

import numpy as np
import pytest
import torch
from engine_cases import make
from torch import nn

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.recipe import criterion_of
from sklearn_fairprune.engine.scoring import weight_masks
from sklearn_fairprune.engine.selection import Selection
from sklearn_fairprune.functional import (
    CRITERIA,
    Criterion,
    Granularity,
    masks_sparsity,
    score_masks,
    taylor,
    wanda,
)

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, Y, GROUPS = rng.normal(size=(40, 4)), rng.integers(0, 3, 40), np.arange(40) % 3


def worst(weight, *, group_gradients, group_shares):
    return (weight * group_gradients).abs().amax(0) + 0 * group_shares.sum()


def noisy(weight, *, generator):
    return weight.abs() + torch.rand(weight.shape, generator=generator)


USERS = {f.__name__: Criterion(f) for f in (worst, noisy)}
EVERY = pytest.mark.parametrize("criterion", (CRITERIA | USERS).values(), ids=lambda c: c.name)


class Two(nn.Sequential):
    def __init__(self, in_features, out_features):
        super().__init__(nn.Linear(in_features, 8), nn.Tanh(), nn.Linear(8, out_features))


def net():
    return make(module=Two)


def rows(order=slice(None), groups=GROUPS):
    return Rows(X[order], Y[order], groups=groups[order], dtype=torch.float64)


def masks(criterion, data=None, sparsity=0.6, **options):
    data = rows() if data is None else data
    return weight_masks(
        net(), data, sparsity=sparsity, criterion=criterion, scope="global", **options
    )


def same(a, b):
    return all(torch.equal(a[name], b[name]) for name in a)


@EVERY
def test_one_seed_gives_one_mask_and_leaves_the_global_generators(criterion):
    before = torch.get_rng_state()
    numpy_before = np.random.get_state()[1].tolist()  # noqa: NPY002
    assert same(masks(criterion, seed=3), masks(criterion, seed=3))
    assert torch.equal(torch.get_rng_state(), before)
    assert np.random.get_state()[1].tolist() == numpy_before  # noqa: NPY002


@pytest.mark.parametrize("criterion", [CRITERIA["random"], noisy], ids=["random", "noisy"])
def test_another_seed_gives_another_mask(criterion):
    assert not same(masks(criterion, seed=3), masks(criterion, seed=4))


@EVERY
def test_masks_of_a_path_are_nested_where_the_record_says_so(criterion):
    assert criterion.nested
    path = [masks(criterion, sparsity=s, seed=1) for s in (0, 0.3, 0.6, 0.9)]
    for less, more in itertools.pairwise(path):
        assert not any((more[name] & ~less[name]).any() for name in less)


@EVERY
def test_permuted_rows_and_renamed_groups_change_nothing(criterion):
    order = rng.permutation(40)
    renamed = np.array([2, 0, 1])[GROUPS]
    assert same(masks(criterion), masks(criterion, rows(order)))
    assert same(masks(criterion), masks(criterion, rows(groups=renamed)))


@EVERY
def test_what_was_removed_stays_removed(criterion):
    kept = masks("random", sparsity=0.5, seed=9)
    for sparsity in (0.3, 0.5, 0.8):
        found = masks(criterion, sparsity=sparsity, kept=kept)
        assert not any((found[name] & ~kept[name]).any() for name in kept)
        assert masks_sparsity(found) == pytest.approx(max(sparsity, 0.5), abs=0.02)


def test_infinite_scores_do_not_bring_removed_weights_back():
    scores = {"a": torch.tensor([-torch.inf, 1.0, -torch.inf, 2.0])}
    kept = {"a": torch.tensor([True, True, False, True])}
    assert score_masks(scores, 0.25, kept=kept)["a"].tolist() == [True, True, False, True]
    assert score_masks(scores, 0.5, kept=kept)["a"].tolist() == [False, True, False, True]


def test_statistics_that_do_not_exist_are_refused_with_those_that_do():
    def fisher(weight, *, fisher_information):
        return weight

    message = r"criterion: fisher asks for \['fisher_information'\]; known are .*'gradient'"
    with pytest.raises(ValueError, match=message):
        criterion_of(fisher)
    with pytest.raises(ValueError, match=r"taylor asks for \['gradient'\].*pass X and y"):
        criterion_of(taylor, rows=False)
    assert criterion_of(noisy, rows=False).function is noisy


def test_a_weight_that_is_used_without_its_layer_has_no_activations():
    class Around(nn.Module):
        def __init__(self, in_features, out_features):
            super().__init__()
            self.first = nn.Linear(in_features, out_features)

        def forward(self, X):
            return nn.functional.linear(X, self.first.weight)

    odd = make(module=Around)
    with pytest.raises(ValueError, match=r"\['activation_norms'\], which 'first.weight' has"):
        weight_masks(odd, rows(), sparsity=0.5, criterion=wanda, scope="global")
    for name in set(CRITERIA) - {"wanda"}:
        found = weight_masks(odd, rows(), sparsity=0.5, criterion=name, scope="global")
        assert masks_sparsity(found) == 0.5


def test_structures_are_what_a_granularity_asks_for():
    def own(scores, sparsity, scope="global", kept=None, *, input_dims, **options):
        seen.append((dict(input_dims), sparsity, options["progress"]))
        return {name: torch.ones(s.shape, dtype=torch.bool) for name, s in scores.items()}

    seen, options = [], {"sparsity": 0.3, "criterion": "magnitude", "scope": "global"}
    selection = Selection(granularity=Granularity(own))
    weight_masks(net(), rows(), selection=selection, progress=0.5, **options)
    assert seen == [({"0.weight": (1, 4), "2.weight": (1, 8)}, 0.3, 0.5)]

    def unknown(scores, sparsity, *, shapes, **options):
        return {}

    with pytest.raises(ValueError, match=r"granularity: unknown asks for \['shapes'\]"):
        weight_masks(
            net(), rows(), selection=Selection(granularity=Granularity(unknown)), **options
        )


def test_the_names_of_earlier_masks_say_what_is_pruned():
    kept = {"2.weight": torch.ones(3, 8, dtype=torch.bool)}
    for name in CRITERIA:
        found = masks(name, kept=kept, sparsity=0.5)
        assert list(found) == ["2.weight"]
        assert masks_sparsity(found) == 0.5
