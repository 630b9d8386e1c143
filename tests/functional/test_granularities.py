"""Patterns of n in m: exact in every block, ties in order, nested, and of the right inputs."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sklearn_fairprune.functional import GRANULARITIES, score_masks
from sklearn_fairprune.functional.granularities import (
    Granularity,
    granularity_of,
    of_blocks,
)
from sklearn_fairprune.functional.params import InputDim, input_dims

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)
patterns = st.tuples(st.integers(1, 8), st.integers(2, 8)).filter(lambda p: p[0] < p[1])
values = st.sampled_from([0.0, -0.0, 1.0, 2.0, float("inf"), float("-inf")])


def slow_block(block, count):
    """Sort (score, position) and drop the first ones."""
    order = sorted(range(len(block)), key=lambda i: (block[i], i))
    return [i not in order[:count] for i in range(len(block))]


@law
@given(patterns, st.integers(1, 3), st.integers(1, 3), st.data())
def test_every_block_keeps_its_highest_with_ties_in_order(pattern, n_units, n_blocks, data):
    n, m = pattern
    shape = n_units, n_blocks * m
    scores = data.draw(st.lists(values, min_size=n_units * n_blocks * m,
                                max_size=n_units * n_blocks * m))  # fmt: skip
    scores = torch.tensor(scores).reshape(shape)
    mask = of_blocks(n, m)({"w": scores}, 1 - n / m, input_dims={"w": InputDim(1, shape[1])})
    for row, kept in zip(scores, mask["w"], strict=True):
        for at in range(0, shape[1], m):
            assert kept[at : at + m].tolist() == slow_block(row[at : at + m].tolist(), m - n)


@law
@given(patterns, st.lists(st.floats(0, 1), min_size=1, max_size=4), st.integers(0, 999))
def test_blocks_nest_under_schedules_whatever_the_scores(pattern, progress, seed):
    n, m = pattern
    generator = torch.Generator().manual_seed(seed)
    kept, dims = {"w": torch.ones(4, 2 * m, dtype=torch.bool)}, {"w": InputDim(1, 2 * m)}
    for passed in [*sorted(progress), 1.0]:
        scores = {"w": torch.randint(4, (4, 2 * m), generator=generator).float()}
        masks = of_blocks(n, m)(scores, 0.5, kept=kept, input_dims=dims, progress=passed)
        assert not (masks["w"] & ~kept["w"]).any()
        left = masks["w"].reshape(-1, m).sum(1)
        interpolated = m - passed * (m - n)
        assert (left == int(np.ceil(interpolated - 1e-9))).all()
        kept = masks
    assert (left == n).all()


LAYERS = {
    "linear": nn.Linear(8, 3),
    "conv": nn.Conv2d(8, 6, (3, 2)),
    "grouped": nn.Conv2d(8, 6, 3, groups=2),
    "transposed": nn.ConvTranspose2d(8, 6, (3, 2)),
    "transposed and grouped": nn.ConvTranspose1d(8, 6, 3, groups=2),
    "recurrent": nn.GRU(8, 4),
    "attention": nn.MultiheadAttention(8, 2, kdim=4, vdim=12),
}


@pytest.mark.parametrize("case", LAYERS)
def test_blocks_lie_along_the_inputs_of_a_unit(case):
    layer = LAYERS[case]
    weights = {k: p.detach().abs() for k, p in layer.named_parameters() if p.dim() > 1}
    dims = input_dims(layer)
    masks = of_blocks(2, 4)(weights, 0.5, input_dims=dims)
    for name, mask in masks.items():
        dim, size = dims[name]
        assert size == (4 if "grouped" in case else weights[name].shape[dim])
        lines = mask.movedim(dim, -1).reshape(-1, mask.shape[dim])
        for at in range(0, mask.shape[dim], 4):
            assert (lines[:, at : at + 4].sum(1) == 2).all()


def test_all_positions_of_a_kernel_have_blocks_of_their_own():
    scores = torch.tensor([[[3.0, 0.0], [1.0, 2.0]]])  # one unit, two channels, two places
    mask = of_blocks(1, 2)({"w": scores}, 0.5, input_dims={"w": InputDim(1, 2)})["w"]
    assert mask.tolist() == [[[True, False], [False, True]]]


@pytest.mark.parametrize(("n", "m"), [(2, 4), (1, 4), (4, 8)])
def test_names_and_what_they_remove(n, m):
    found = granularity_of(f"{n}:{m}")
    assert (found.name, found.label, found.sparsity) == (f"{n}:{m}", f"{n}:{m}", 1 - n / m)
    assert not found.live
    assert found.unfit(InputDim(1, 2 * m)) == ""
    assert (
        found.unfit(InputDim(1, m + 1)) == f"input dimension {m + 1} is not a multiple of {m}"
    )


@pytest.mark.parametrize("wrong", ["4:2", "2:2", "0:4", "2-4", "2:4:8", "block", 2, None, ""])
def test_what_is_no_granularity(wrong):
    with pytest.raises(
        ValueError, match=r"'granularity' parameter must be a str among \[.*'weight'"
    ):
        granularity_of(wrong)


def test_single_weights_are_those_of_score_masks():
    scores = {"a": torch.arange(6.0), "b": torch.arange(4.0)}
    assert granularity_of("weight") is GRANULARITIES["weight"]
    for scope, sparsity in itertools.product(("global", "layerwise"), (0.3, 0.5)):
        found = GRANULARITIES["weight"](scores, sparsity, scope, min_density=0.0)
        slow = score_masks(scores, sparsity, scope, min_density=0.0)
        assert all(torch.equal(found[name], slow[name]) for name in scores)


def test_nan_is_refused():
    scores = {"w": torch.tensor([[1.0, float("nan")]])}
    with pytest.raises(ValueError, match="NaN scores for 'w'"):
        of_blocks(1, 2)(scores, 0.5, input_dims={"w": InputDim(1, 2)})


def test_records_of_ones_own_are_taken_as_they_are():
    own = Granularity(lambda scores, sparsity, **options: {}, pattern="own")
    assert granularity_of(own) is own
    assert own.name == "own"


def test_which_ones_linear_layers_can_have():
    fits = [name for name, record in GRANULARITIES.items() if record.fits_linear]
    assert fits == ["weight", "neuron", "unit"]
    assert granularity_of("2:4").fits_linear
