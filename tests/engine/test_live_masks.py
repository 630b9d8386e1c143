"""Masks that keep live weights only: exact counts, nesting, and whom they keep."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from liveness_cases import as_net, mlp, same, slow_live

from sklearn_fairprune.engine import live_masks as room
from sklearn_fairprune.engine.live_masks import live_masks
from sklearn_fairprune.engine.liveness import Liveness
from sklearn_fairprune.functional import masks_sparsity, prunable, score_masks

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=40, database=None)

sparsities = st.floats(0, 0.97)
SCOPES = st.sampled_from(["global", "layerwise"])


def scored(module, seed, levels):
    """Scores of few levels: ties are the rule."""
    generator = torch.Generator().manual_seed(seed)
    return {
        name: torch.randint(levels, w.shape, generator=generator).float()
        for name, w in prunable(module).items()
    }


def counts(masks):
    return [int((~mask).sum()) for mask in masks.values()]


@law
@given(
    st.lists(st.integers(2, 7), min_size=3, max_size=5),
    sparsities,
    sparsities,
    st.integers(0, 10**6),
    st.integers(2, 1000),
    SCOPES,
)
def test_counts_are_exact_masks_nest_and_live_ones_stay(widths, one, two, seed, levels, scope):
    module = mlp(widths)
    judge, scores = (
        Liveness(as_net(module), torch.ones(1, widths[0])),
        scored(module, seed, levels),
    )
    few, many = sorted((one, two))
    smaller = live_masks(judge, scores, few, scope)
    other = scored(module, seed + 1, levels)
    larger = live_masks(judge, other, many, scope, kept=smaller)
    for masks, sparsity, kept in ((smaller, few, None), (larger, many, smaller)):
        plain = score_masks(scores if kept is None else other, sparsity, scope, kept=kept)
        if scope == "global":
            assert sum(counts(masks)) == sum(counts(plain))
        else:
            assert counts(masks) == counts(plain)
        dead = sum(int((plain[k] & ~slow_live(plain)[k]).sum()) for k in plain)
        if not dead:
            assert same(masks, plain)
    assert all((~larger[k] | smaller[k]).all() for k in larger)
    assert same(larger, live_masks(judge, other, many, scope, kept=smaller))


def test_only_live_weights_stay_where_dead_ones_are_fewer_than_what_goes():
    module = mlp([20, 30, 30, 4])
    judge, n_helped = Liveness(as_net(module), torch.ones(1, 20)), 0
    for seed, sparsity in itertools.product(range(4), (0.5, 0.9, 0.95, 0.98)):
        scores = scored(module, seed, 500)
        plain, masks = score_masks(scores, sparsity), live_masks(judge, scores, sparsity)
        assert same(slow_live(masks), masks)
        assert sum(counts(masks)) == sum(counts(plain))
        n_helped += not same(slow_live(plain), plain)
    assert n_helped >= 8


def test_weights_that_are_not_live_go_first_and_the_next_best_stay():
    module = mlp([2, 2, 1])
    judge = Liveness(as_net(module), torch.ones(1, 2))
    scores = {
        "0.weight": torch.tensor([[9.0, 8.0], [3.0, 2.0]]),
        "2.weight": torch.tensor([[1.0, 7.0]]),
    }
    plain = score_masks(scores, 0.5)  # keeps 9, 8 and 7: two units, each with half a path
    assert masks_sparsity(judge.live(plain)) == 1
    masks = live_masks(judge, scores, 0.5)
    assert masks["0.weight"].tolist() == [[False, False], [True, True]]
    assert masks["2.weight"].tolist() == [[False, True]]


def test_what_an_earlier_mask_removed_stays_removed():
    module = mlp([2, 2, 1])
    judge = Liveness(as_net(module), torch.ones(1, 2))
    kept = {
        "0.weight": torch.tensor([[True, True], [False, True]]),
        "2.weight": torch.ones(1, 2),
    }
    kept["2.weight"] = kept["2.weight"].bool()
    scores = {
        "0.weight": torch.tensor([[3.0, 4.0], [9.0, 2.0]]),
        "2.weight": torch.tensor([[1.0, 7.0]]),
    }
    masks = live_masks(judge, scores, 0.5, kept=kept)
    assert not masks["0.weight"][1, 0]
    assert sum(counts(masks)) == 3


def test_the_count_goes_first_where_it_cannot_be_met_with_live_weights():
    module = mlp([1, 1, 1, 1])
    judge, scores = Liveness(as_net(module), torch.ones(1, 1)), scored(mlp([1, 1, 1, 1]), 0, 9)
    masks = live_masks(judge, scores, 0.4)
    assert sum(counts(masks)) == 1
    assert masks_sparsity(judge.live(masks)) == 1


def test_rounds_are_bounded(monkeypatch):
    module = mlp([20, 30, 4])
    judge, scores = (
        Liveness(as_net(module), torch.ones(1, 20)),
        scored(mlp([20, 30, 4]), 0, 500),
    )
    monkeypatch.setattr(room, "ROUNDS", 1)
    masks = live_masks(judge, scores, 0.95)
    assert sum(counts(masks)) == sum(counts(score_masks(scores, 0.95)))


@pytest.mark.parametrize("scope", ["global", "layerwise"])
def test_errors_of_score_masks_are_raised(scope):
    module = mlp([2, 2, 1])
    judge, scores = Liveness(as_net(module), torch.ones(1, 2)), scored(mlp([2, 2, 1]), 0, 9)
    scores["2.weight"][0, 0] = float("nan")
    with pytest.raises(ValueError, match=r"NaN scores for '2\.weight'"):
        live_masks(judge, scores, 0.5, scope)
