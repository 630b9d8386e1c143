"""Laws of the masks: exact counts, nesting, invariances, and a slow reference."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional import apply_masks, masks_sparsity, score_masks
from sklearn_fairprune.functional.masks import (
    bits_of,
    lowest,
    lowest_of,
    n_pruned,
    zero_removed,
)
from sklearn_fairprune.functional.pools import pools_of

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)

SCOPES = ["global", "layerwise"]
# Few values, so that ties are the rule; both zeros and both infinities among them.
tied = st.sampled_from([0.0, -0.0, 1.0, 1.5, -3.0, float("inf"), float("-inf")])
anything = st.floats(width=32, allow_nan=False)
layer = st.lists(tied | anything, min_size=1, max_size=12)
sparsities = st.floats(0, 1, exclude_max=True)


def as_scores(layers):
    return {f"{i}.weight": torch.tensor(v) for i, v in enumerate(layers)}


def removed(masks):
    return {(k, i) for k, m in masks.items() for i in (~m).nonzero().flatten().tolist()}


def slow_masks(layers, sparsity, scope):
    """Sort (score, position) and drop the first ones, the definition word by word."""
    entries = [(v, i, j) for i, values in enumerate(layers) for j, v in enumerate(values)]
    teams = (
        [entries]
        if scope == "global"
        else [[e for e in entries if e[1] == i] for i in range(len(layers))]
    )
    gone = set()
    for team in teams:
        count = min(round(sparsity * len(team)), len(team) - 1)
        gone |= {(f"{i}.weight", j) for _, i, j in sorted(team)[:count]}
    return gone


@law
@given(st.lists(layer, min_size=1, max_size=4), sparsities, st.sampled_from(SCOPES))
def test_equals_the_slow_reference(layers, sparsity, scope):
    masks = score_masks(as_scores(layers), sparsity, scope)
    assert removed(masks) == slow_masks(layers, sparsity, scope)


@law
@given(st.lists(layer, min_size=1, max_size=4), sparsities)
def test_exact_count_and_never_everything(layers, sparsity):
    size = sum(map(len, layers))
    count = len(removed(score_masks(as_scores(layers), sparsity)))
    assert count == n_pruned(sparsity, size) < size
    layerwise = score_masks(as_scores(layers), sparsity, "layerwise")
    for values, mask in zip(layers, layerwise.values(), strict=True):
        assert int((~mask).sum()) == n_pruned(sparsity, len(values)) < len(values)


@law
@given(sparsities, st.integers(1, 1000))
def test_count_is_the_nearest_that_leaves_one(sparsity, size):
    count = n_pruned(sparsity, size)
    assert 0 <= count < size
    assert count == size - 1 or abs(count - sparsity * size) <= 0.5


def test_constant_scores_go_in_order_of_position():
    masks = score_masks({"a": torch.ones(2, 2), "b": torch.ones(4)}, 0.75)
    assert removed({k: m.flatten() for k, m in masks.items()}) == {
        ("a", 0),
        ("a", 1),
        ("a", 2),
        ("a", 3),
        ("b", 0),
        ("b", 1),
    }


@law
@given(
    st.lists(layer, min_size=1, max_size=4), sparsities, sparsities, st.sampled_from(SCOPES)
)
def test_masks_nest(layers, one, other, scope):
    few, many = sorted((one, other))
    scores = as_scores(layers)
    smaller = removed(score_masks(scores, few, scope))
    assert smaller <= removed(score_masks(scores, many, scope))


@law
@given(
    st.lists(anything, min_size=1, max_size=20, unique_by=lambda v: v + 0.0),
    sparsities,
    st.randoms(use_true_random=False),
    st.sampled_from(SCOPES),
)
def test_permuting_weights_permutes_masks(values, sparsity, random, scope):
    order = random.sample(range(len(values)), len(values))
    scores = torch.tensor(values)
    mask = score_masks({"w": scores}, sparsity, scope)["w"]
    assert torch.equal(score_masks({"w": scores[order]}, sparsity, scope)["w"], mask[order])


def test_order_of_the_layers_does_not_matter():
    a, b = torch.arange(6.0), torch.arange(6.0) + 0.5
    one, other = score_masks({"a": a, "b": b}, 0.4), score_masks({"b": b, "a": a}, 0.4)
    assert all(torch.equal(one[name], other[name]) for name in "ab")


@law
@given(
    st.lists(st.lists(st.integers(-50, 50), min_size=1, max_size=9), min_size=1, max_size=3),
    sparsities,
    st.integers(-20, 20),
    st.sampled_from(SCOPES),
)
def test_scaling_changes_nothing(layers, sparsity, exponent, scope):
    scores = {k: v.float() for k, v in as_scores(layers).items()}
    scaled = {k: v * 2.0**exponent for k, v in scores.items()}
    assert removed(score_masks(scores, sparsity, scope)) == removed(
        score_masks(scaled, sparsity, scope)
    )


def test_higher_scores_stay():
    scores = {"a": torch.tensor([[5.0, 1.0], [4.0, 2.0]])}
    assert score_masks(scores, 0.5)["a"].tolist() == [[True, False], [True, False]]


def test_scopes_differ():
    scores = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([3.0, 4.0])}
    assert removed(score_masks(scores, 0.5)) == {("a", 0), ("a", 1)}
    assert removed(score_masks(scores, 0.5, "layerwise")) == {("a", 0), ("b", 0)}


def test_masks_are_boolean_and_shaped_like_the_scores():
    scores = {"a": torch.rand(2, 3, 1, 1, requires_grad=True), "b": torch.rand(4).double()}
    masks = score_masks(scores, 0.3)
    assert list(masks) == list(scores)
    assert all(masks[k].shape == scores[k].shape for k in scores)
    assert {(m.dtype, m.device.type) for m in masks.values()} == {(torch.bool, "cpu")}


def test_integer_scores():
    mask = score_masks({"a": torch.tensor([3, 1, 2])}, 0.34)["a"]
    assert mask.tolist() == [True, False, True]


def test_lowest_zero_and_all():
    scores = np.array([2.0, 1.0, 1.0])
    assert not lowest(scores, 0).any()
    assert lowest(scores, 2).tolist() == [False, True, True]
    assert lowest(scores, 3).all()


@pytest.mark.parametrize("scope", SCOPES)
def test_nan_is_refused_with_the_name_of_the_layer(scope):
    scores = {"fine": torch.ones(3), "3.weight": torch.tensor([1.0, float("nan")])}
    with pytest.raises(ValueError, match=r"NaN scores for '3\.weight'"):
        score_masks(scores, 0.5, scope)


@law
@given(
    st.lists(layer, min_size=1, max_size=4),
    sparsities,
    sparsities,
    st.sampled_from(SCOPES),
    st.sampled_from([0.0, 0.2, 0.5]),
)
def test_floors_hold_counts_stay_exact_and_masks_nest(layers, one, other, scope, floor):
    scores, found = as_scores(layers), []
    for sparsity in sorted((one, other)):
        plain = score_masks(scores, sparsity, scope)
        try:
            masks = score_masks(scores, sparsity, scope, min_density=floor)
        except ValueError:
            assert floor
            return
        sizes = {name: mask.numel() for name, mask in masks.items()}
        counts = pools_of(sizes, sparsity, scope, min_density=floor)
        assert len(removed(masks)) == sum(pool.n_gone for pool in counts)
        for mask in masks.values():
            assert int(mask.sum()) >= max(1, floor * mask.numel() - 1e-9)
        if all(int(m.sum()) >= max(1, floor * m.numel()) for m in plain.values()):
            assert removed(masks) == removed(plain)
        found.append(removed(masks))
    assert found[0] <= found[1]


@law
@given(
    st.lists(layer, min_size=2, max_size=4),
    st.floats(0.1, 0.9),
    st.floats(0, 0.9),
    st.lists(st.floats(0.1, 1), min_size=1, max_size=4),
)
def test_named_layers_lose_their_share_and_masks_nest_as_it_rises(
    layers, sparsity, share, progress
):
    kept, before = None, set()
    for passed in [*sorted(progress), 1.0]:
        scores = as_scores([values[::-1] for values in layers])
        try:
            masks = score_masks(scores, sparsity * passed, {"0": share}, kept, progress=passed)
        except ValueError:
            return
        assert before <= removed(masks)
        kept, before = masks, removed(masks)
    size = len(layers[0])
    assert int((~masks["0.weight"]).sum()) == min(round(share * size), size - 1)
    total = sum(map(len, layers))
    assert abs(len(before) - sparsity * total) <= 0.01 * total + 0.5


def test_a_layer_of_tiny_scores_keeps_its_best_weight():
    scores = {"a": torch.tensor([0.1, 0.3, 0.3, 0.2]), "b": torch.arange(1.0, 9.0)}
    assert not score_masks(scores, 0.5)["a"].any()
    masks = score_masks(scores, 0.5, min_density=0.0)
    assert masks["a"].tolist() == [False, False, True, False]
    assert int((~masks["b"]).sum()) == 3
    with pytest.raises(ValueError, match=r"at most 0\.5 of the weights can go"):
        score_masks(scores, 0.75, min_density=0.5)


def test_floors_of_what_earlier_masks_have_left():
    scores = {"a": torch.tensor([9.0, 1.0, 2.0]), "b": torch.tensor([5.0, 6.0, 7.0])}
    kept = {"a": torch.tensor([False, True, True]), "b": torch.ones(3, dtype=torch.bool)}
    masks = score_masks(scores, 0.5, kept=kept, min_density=0.0)
    assert masks["a"].tolist() == [False, False, True]
    assert masks["b"].tolist() == [False, True, True]


def test_unknown_scope():
    with pytest.raises(ValueError, match="'global' or 'layerwise', got 'local'"):
        score_masks({"a": torch.ones(2)}, 0.5, "local")


@law
@given(st.lists(layer, min_size=1, max_size=3), sparsities)
def test_apply_masks_zeroes_and_keeps_bits(layers, sparsity):
    masks = score_masks(as_scores(layers), sparsity)
    values = as_scores(layers)
    weights = {k: torch.nn.Parameter(v.clone()) for k, v in values.items()}
    apply_masks(weights, masks)
    for name, mask in masks.items():
        bits = weights[name].detach().view(torch.int32)
        assert (bits[~mask] == 0).all()
        assert torch.equal(bits[mask], values[name].view(torch.int32)[mask])


def test_apply_masks_removes_nan_and_needs_no_gradient():
    weight = torch.nn.Parameter(torch.tensor([float("nan"), float("-inf"), 2.0]))
    apply_masks({"w": weight, "other": None}, {"w": torch.tensor([False, False, True])})
    assert weight.tolist() == [0.0, 0.0, 2.0]
    assert weight.requires_grad
    assert weight.grad_fn is None


@law
@given(st.lists(layer, min_size=1, max_size=4), sparsities, st.sampled_from(SCOPES))
def test_masks_sparsity_is_the_removed_share(layers, sparsity, scope):
    masks = score_masks(as_scores(layers), sparsity, scope)
    size = sum(map(len, layers))
    assert masks_sparsity(masks) == pytest.approx(len(removed(masks)) / size, abs=1e-12)


def test_masks_sparsity_of_untouched_weights_is_zero():
    assert masks_sparsity(score_masks({"a": torch.rand(7), "b": torch.rand(3)}, 0.0)) == 0.0


def test_the_lowest_of_many_are_those_of_a_sort():
    """Vectors long enough for bounds from a sample, and some that these bounds miss."""
    rng = np.random.default_rng(0)
    vectors = [
        rng.normal(size=250_000).astype(np.float32),
        np.round(rng.normal(size=250_000), 1),
        np.where(rng.random(250_000) < 0.5, -np.inf, rng.normal(size=250_000)),
        np.zeros(210_000),
        np.sort(rng.normal(size=250_000)),
        np.tile(np.arange(3.0), 80_000),  # the sample sees one number in three
        np.r_[np.full(120_000, np.inf), rng.normal(size=120_000)],
    ]
    for values in vectors:
        order = np.argsort(values, kind="stable")
        for count in (0, 1, 1000, values.size // 2, int(0.9 * values.size), values.size):
            marked = lowest_of(np.array_split(values, 3), count)
            assert [len(m) for m in marked] == [len(v) for v in np.array_split(values, 3)]
            expected = np.zeros(values.size, dtype=bool)
            expected[order[:count]] = True
            assert (np.concatenate(marked) == expected).all()


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64]
)
@pytest.mark.parametrize("turned", [False, True])
def test_removed_numbers_are_exactly_zero_and_others_untouched(dtype, turned):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(6, 5, generator=generator).to(dtype)
    values[0, 0], values[1, 1], values[2, 2] = torch.nan, torch.inf, -0.0
    mask = torch.rand(6, 5, generator=generator) < 0.5
    mask[0, 0], mask[1, 1], mask[2, 2] = False, True, False
    values, mask = (values.t(), mask.t()) if turned else (values, mask)
    weight = torch.nn.Parameter(values.clone())
    before = weight._version
    zero_removed(weight, bits_of(mask))
    assert weight._version > before  # autograd knows that it changed
    zero = torch.zeros((), dtype=dtype)
    expected = torch.where(mask, values, zero)
    torch.testing.assert_close(weight.detach(), expected, rtol=0, atol=0, equal_nan=True)
    real = torch.view_as_real(weight.detach()) if dtype.is_complex else weight.detach()
    assert not torch.signbit(real[~mask]).any()
