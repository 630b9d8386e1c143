"""Masks of whole units: exact entries, order, coupling, floors, counts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional.masks import masks_sparsity
from sklearn_fairprune.functional.unit_masks import unit_masks
from sklearn_fairprune.functional.units import UnitGroup


def hidden(n_in, n_units, n_out):
    """Group of a hidden layer, with the shapes of its two weights."""
    units = torch.arange(n_units)
    owners = {"a": (units, None), "a_bias": (units, None), "b": (None, units)}
    return UnitGroup(n_units, owners), {"a": (n_units, n_in), "b": (n_out, n_units)}


def removed_units(masks, group):
    """Units of which nothing is left, and whether every other is whole."""
    a, b = masks["a"], masks["b"]
    gone = ~a.any(1)
    assert torch.equal(a, (~gone)[:, None].expand_as(a))
    assert torch.equal(b, (~gone).expand_as(b))
    return gone.nonzero()[:, 0].tolist()


def test_a_unit_goes_with_its_rows_and_columns_by_its_mean_score():
    group, shapes = hidden(3, 4, 2)
    scores = {k: torch.ones(s) for k, s in shapes.items()}
    scores["a"][2], scores["b"][:, 2] = 0.5, 0.5
    scores["a"][0, 0] = 100.0  # one large score among small ones counts by the mean
    scores["a"][1], scores["b"][:, 1] = 0.9, 0.9
    masks = unit_masks(scores, 0.25, groups=[group])
    assert removed_units(masks, group) == [2]
    assert removed_units(unit_masks(scores, 0.5, groups=[group]), group) == [1, 2]


def test_mean_and_not_sum_decides_between_layers_of_other_widths():
    wide = UnitGroup(2, {"w": (torch.arange(2), None)})
    narrow = UnitGroup(2, {"n": (torch.arange(2), None)})
    scores = {"w": torch.full((2, 50), 1.0), "n": torch.full((2, 5), 2.0)}
    masks = unit_masks(scores, 50 / 110, groups=[narrow, wide])
    assert masks["n"].all()
    assert masks["w"].any(1).sum() == 1


def test_what_is_lost_is_set_against_the_cost_that_is_saved():
    cheap = UnitGroup(2, {"w": (torch.arange(2), None)})
    dear = UnitGroup(2, {"n": (torch.arange(2), None)})
    scores = {"w": torch.full((2, 6), 1.0), "n": torch.full((2, 6), 2.0)}
    options = {"groups": [cheap, dear]}
    masks = unit_masks(scores, 0.25, **options)
    assert (masks["w"].any(1).sum(), masks["n"].any(1).sum()) == (1, 2)
    masks = unit_masks(scores, 0.25, costs={"w": 1.0, "n": 4.0}, **options)
    assert (masks["w"].any(1).sum(), masks["n"].any(1).sum()) == (2, 1)
    masks = unit_masks(scores, 0.25, costs={"w": 0.0, "n": 4.0}, **options)
    assert (masks["w"].any(1).sum(), masks["n"].any(1).sum()) == (
        2,
        1,
    )  # w saves nothing


def test_weights_of_no_unit_stay():
    group, shapes = hidden(3, 4, 2)
    scores = {k: torch.ones(s) for k, s in shapes.items()} | {"c": torch.zeros(5, 5)}
    masks = unit_masks(scores, 0.2, groups=[group])
    assert masks["c"].all()


def test_a_weight_in_a_row_and_a_column_of_its_unit_counts_once():
    units = torch.arange(2)
    groups = [UnitGroup(2, {"s": (units, units)}), UnitGroup(2, {"o": (units, None)})]
    scores = {"s": torch.tensor([[4.0, 1.0], [1.0, 2.0]])}  # means 6 / 3 and 4 / 3
    scores["o"] = torch.full((2, 3), 1.4)  # between 4 / 3 and 6 / 4
    masks = unit_masks(scores, 0.3, groups=groups)
    assert masks["s"].tolist() == [[True, False], [False, False]]
    assert masks["o"].all()


def test_blocks_after_a_flatten_and_added_layers_go_together():
    units = torch.arange(2)
    owners = {"conv": (units, None), "other": (units, None)}
    owners |= {"linear": (None, units.repeat_interleave(3))}
    scores = {
        "conv": torch.ones(2, 1, 3, 3),
        "other": torch.ones(2, 4),
        "linear": torch.ones(2, 6),
    }
    scores["other"][1] = 0.0
    masks = unit_masks(scores, 0.5, groups=[UnitGroup(2, owners)])
    assert masks["conv"][0].all()
    assert not masks["conv"][1].any()
    assert masks["linear"].tolist() == [[True] * 3 + [False] * 3] * 2


def test_places_without_a_unit_are_left_alone():
    group = UnitGroup(2, {"w": (torch.tensor([-1, 0, 1]), None)})
    masks = unit_masks({"w": torch.zeros(3, 2)}, 1 / 3, groups=[group])
    assert masks["w"].tolist() == [[True, True], [False, False], [True, True]]


def test_every_group_keeps_a_unit_and_more_on_request():
    group, shapes = hidden(3, 4, 2)
    scores = {k: torch.zeros(s) for k, s in shapes.items()}
    assert len(removed_units(unit_masks(scores, 0.75, groups=[group]), group)) == 3
    options = {"groups": [group], "min_density": 0.5}
    assert len(removed_units(unit_masks(scores, 0.5, **options), group)) == 2
    with pytest.raises(ValueError, match=r"at most 0\.5, lower min_density"):
        unit_masks(scores, 0.75, **options)
    with pytest.raises(ValueError, match=r"19 of 20 weights.* have 15 of them.*at most 0\.75"):
        unit_masks(scores, 0.95, groups=[group])


def test_layerwise_takes_the_same_share_of_every_group():
    groups, scores = [], {}
    for name, n in (("x", 4), ("y", 8)):
        groups.append(UnitGroup(n, {name: (torch.arange(n), None)}))
        scores[name] = torch.rand(n, 6) + (name == "x") * 10
    masks = unit_masks(scores, 0.5, "layerwise", groups=groups)
    assert [int(masks[k].any(1).sum()) for k in "xy"] == [2, 4]
    masks = unit_masks(scores, 0.5, "global", groups=groups)
    assert masks["x"].all()


def test_what_was_removed_stays_removed():
    group, shapes = hidden(3, 6, 2)
    generator = torch.Generator().manual_seed(0)
    first = {k: torch.rand(s, generator=generator) for k, s in shapes.items()}
    second = {k: torch.rand(s, generator=generator) for k, s in shapes.items()}
    earlier = unit_masks(first, 0.5, groups=[group])
    later = unit_masks(second, 2 / 3, groups=[group], kept=earlier)
    assert set(removed_units(earlier, group)) < set(removed_units(later, group))
    same = unit_masks(second, 0.5, groups=[group], kept=earlier)
    assert removed_units(same, group) == removed_units(earlier, group)


def test_scores_that_are_nan_are_refused():
    group, shapes = hidden(3, 4, 2)
    scores = {k: torch.ones(s) for k, s in shapes.items()}
    scores["a"][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN scores for 'a'"):
        unit_masks(scores, 0.5, groups=[group])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(2, 9), min_size=3, max_size=5),
    st.floats(0, 1),
    st.integers(0, 5),
    st.sampled_from(["global", "layerwise"]),
)
def test_chains_of_layers(widths, sparsity, seed, scope):
    """Entries follow the units, counts are the nearest that whole units can have."""
    generator = torch.Generator().manual_seed(seed)
    names = [f"w{i}" for i in range(len(widths) - 1)]
    shapes = list(zip(widths[1:], widths[:-1], strict=True))
    scores = {
        k: torch.randint(0, 3, s, generator=generator).float()
        for k, s in zip(names, shapes, strict=True)
    }
    groups = [
        UnitGroup(
            n, {names[i]: (torch.arange(n), None), names[i + 1]: (None, torch.arange(n))}
        )
        for i, n in enumerate(widths[1:-1])
    ]
    total = sum(a * b for a, b in shapes)
    thinnest = widths[0] + widths[-1] + len(widths) - 3  # one unit left of every hidden layer
    sparsity *= 1 - thinnest / total
    masks = unit_masks(scores, sparsity, scope, groups=groups)
    alive = [torch.ones(widths[0], dtype=torch.bool)]
    for i in range(len(groups)):
        alive.append(masks[names[i]].any(1) & masks[names[i + 1]].any(0))
        assert alive[-1].sum() >= 1
    alive.append(torch.ones(widths[-1], dtype=torch.bool))
    for i, name in enumerate(names):
        assert torch.equal(masks[name], alive[i + 1][:, None] & alive[i])
    largest = max(a * b for a, b in shapes) * 2
    assert abs(masks_sparsity(masks) - sparsity) * total <= max(largest / 2, 0.01 * total) + 1
