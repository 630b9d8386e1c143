"""Pools: how many weights go from which layers, exactly, and what cannot be met."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional.pools import (
    fitting,
    least_kept,
    n_pruned,
    pools_of,
    shares_of,
    sparsity_range,
)

law = settings(deadline=None, max_examples=80, database=None)
sizes_of_layers = st.lists(st.integers(1, 60), min_size=1, max_size=5).map(
    lambda counts: {f"{i}.weight": n for i, n in enumerate(counts)}
)
sparsities = st.floats(0, 1, exclude_max=True)
SIZES = {"a.weight": 100, "body.0.weight": 50, "body.2.weight": 50}


@law
@given(sizes_of_layers, sparsities)
def test_without_floors_the_counts_are_the_plain_ones(sizes, sparsity):
    assert pools_of(sizes, sparsity) == [
        (tuple(sizes), n_pruned(sparsity, sum(sizes.values())))
    ]
    each = pools_of(sizes, sparsity, "layerwise")
    assert each == [((name,), n_pruned(sparsity, n)) for name, n in sizes.items()]


@law
@given(sizes_of_layers, sparsities, st.floats(0, 0.9))
def test_floors_leave_the_count_or_refuse_it(sizes, sparsity, floor):
    n_weights, room = sum(sizes.values()), sparsity_range(sizes, "global", floor)[1]
    try:
        (pool,) = pools_of(sizes, sparsity, min_density=floor)
    except ValueError:
        assert n_pruned(sparsity, n_weights) > room * n_weights + len(sizes) - 1e-6
        return
    wanted = n_pruned(sparsity, n_weights)
    assert pool.n_gone == min(wanted, round(room * n_weights))
    assert wanted - pool.n_gone <= len(sizes) or not floor


@law
@given(sizes_of_layers, st.floats(0.01, 0.99), st.floats(0, 0.99), st.floats(0.01, 1))
def test_shares_are_exact_and_rise_together(sizes, sparsity, share, progress):
    scope = {"0": share}
    try:
        final = pools_of(sizes, sparsity, scope)
    except ValueError:
        low, high = sparsity_range(sizes, scope)
        assert sparsity < low - 0.005 or sparsity > high + 0.005
        return
    n = sizes["0.weight"]
    assert final[0] == (("0.weight",), min(round(share * n), n - 1))
    total = sum(sizes.values())
    assert abs(sum(pool.n_gone for pool in final) - sparsity * total) <= 0.01 * total + 0.5
    now = pools_of(sizes, sparsity * progress, scope, progress=progress)
    assert [p.n_gone for p in now] == pytest.approx(
        [round(progress * p.n_gone) for p in final], abs=1
    )
    assert all(a.n_gone <= b.n_gone for a, b in zip(now, final, strict=True))


def test_shares_by_hand():
    assert pools_of(SIZES, 0.5, {"body.2": 0.2}) == [
        (("body.2.weight",), 10),
        (("a.weight", "body.0.weight"), 90),
    ]
    half = pools_of(SIZES, 0.25, {"body.2": 0.2}, progress=0.5)
    assert [pool.n_gone for pool in half] == [5, 45]


def test_the_first_pattern_wins_and_names_of_weights_or_layers_fit():
    scope = {"body.2": 0.1, "body.*": 0.2, "*": 0.3}
    assert shares_of(SIZES, scope) == {
        "a.weight": 0.3,
        "body.0.weight": 0.2,
        "body.2.weight": 0.1,
    }
    assert shares_of(SIZES, {"a.weight": 0.5}) == {"a.weight": 0.5}
    assert fitting(["weight"], ["weight"], "scope") == ["weight"]


def test_what_fits_nothing_is_refused_with_what_is_known():
    known = r"known are a\.weight, body\.0\.weight, body\.2\.weight"
    with pytest.raises(ValueError, match=rf"scope names 'c', which no weight.*{known}"):
        pools_of(SIZES, 0.5, {"a": 0.5, "c": 0.1})
    with pytest.raises(ValueError, match=rf"ignored_layers names 'body\.3'.*{known}"):
        fitting(["body.3"], SIZES, "ignored_layers")


@pytest.mark.parametrize("share", [1, -0.1, 90, True, "0.5", None])
def test_shares_that_are_none(share):
    with pytest.raises(
        ValueError, match=r"share of 'a' that goes must be a number in \[0, 1\)"
    ):
        pools_of(SIZES, 0.5, {"a": share})


def test_shares_that_cannot_give_the_sparsity():
    with pytest.raises(ValueError, match=r"sparsity=0\.2 cannot.* from 0\.45 to 0\.94"):
        pools_of(SIZES, 0.2, {"a": 0.9}, min_density=0.0)
    with pytest.raises(ValueError, match=r"sparsity=0\.9 cannot.*min_density=0\.5 it can"):
        pools_of(SIZES, 0.9, {"a": 0.5}, min_density=0.5)
    assert pools_of(SIZES, 0.45, {"a": 0.9})[1].n_gone == 0
    assert pools_of(SIZES, 0.0, {"a": 0.9}) == [(tuple(SIZES), 0)]
    every = dict.fromkeys(SIZES, 0.5)
    assert sum(pool.n_gone for pool in pools_of(SIZES, 0.505, every)) == 100
    with pytest.raises(ValueError, match=r"from 0\.5 to 0\.5\."):
        pools_of(SIZES, 0.52, every)


def test_floors_that_are_too_high():
    with pytest.raises(ValueError, match=r"min_density=0\.5 .*sparsity=0\.6: at most 0\.5 of"):
        pools_of(SIZES, 0.6, min_density=0.5)
    with pytest.raises(ValueError, match=r"min_density=0\.5 .*sparsity=0\.6: at most 0\.5 of"):
        pools_of(SIZES, 0.6, "layerwise", min_density=0.5)
    with pytest.raises(
        ValueError, match=r"share 0\.9 of 'a\.weight', and min_density=0\.5 let"
    ):
        pools_of(SIZES, 0.6, {"a": 0.9}, min_density=0.5)
    assert least_kept(7, 0.5) == 4
    assert least_kept(10, 0.1) == 1
    assert least_kept(10, 0.0) == 1
    assert least_kept(10, None) == 0
