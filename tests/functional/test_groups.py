"""Laws of the group statistics, and a second, slower truth."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional import (
    excess_accuracy_gap,
    excessive_loss,
    group_means,
    group_sizes,
    largest_gap,
)

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)
finite = st.floats(-1e3, 1e3)


@st.composite
def rows(draw, n_values=1, elements=finite):
    """Codes of m groups, each with at least one row, and columns of values."""
    m = draw(st.integers(1, 4))
    codes = list(range(m)) + draw(st.lists(st.integers(0, m - 1), max_size=15))
    codes = draw(st.permutations(codes))
    column = st.lists(elements, min_size=len(codes), max_size=len(codes))
    values = [torch.tensor(draw(column), dtype=torch.float64) for _ in range(n_values)]
    return torch.tensor(codes), m, *values


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
    return True


def slow_means(values, codes, m, weights=None):
    """Average row by row; NaN for a group without rows."""
    means = []
    for a in range(m):
        at = [i for i, code in enumerate(codes.tolist()) if code == a]
        w = [1.0 if weights is None else float(weights[i]) for i in at]
        total = sum(w_i * values[i].numpy() for w_i, i in zip(w, at, strict=True))
        means.append(total / sum(w) if sum(w) else np.full(values.shape[1:], np.nan))
    return torch.from_numpy(np.array(means))


@law
@given(rows(2))
def test_means_equal_the_slow_reference_and_pandas(data):
    codes, m, first, second = data
    both = torch.stack([first, second], dim=1)
    assert close(group_means(both, codes, m), slow_means(both, codes, m))
    table = pd.Series(first.numpy()).groupby(codes.numpy()).mean()
    assert close(group_means(first, codes, m), torch.from_numpy(table.to_numpy(copy=True)))


@law
@given(rows(2, st.floats(0.01, 10)))
def test_weighted_means_equal_the_slow_reference(data):
    codes, m, values, weights = data
    expected = slow_means(values, codes, m, weights)
    assert close(group_means(values, codes, m, weights), expected)
    both = torch.stack([values, -values], dim=1)
    expected = torch.stack([expected, -expected], dim=1)
    assert close(group_means(both, codes, m, weights), expected)


@law
@given(rows(1), st.data())
def test_integer_weight_is_repetition(data, draw):
    codes, m, values = data
    n = len(codes)
    times = torch.tensor(draw.draw(st.lists(st.integers(1, 4), min_size=n, max_size=n)))
    repeated = group_means(values.repeat_interleave(times), codes.repeat_interleave(times), m)
    assert close(group_means(values, codes, m, times.double()), repeated)


@law
@given(rows(1))
def test_weighted_mean_of_means_is_the_mean(data):
    codes, m, values = data
    shares = group_sizes(codes, m).double() / len(codes)
    means = group_means(values, codes, m)
    assert close((shares * means).sum(), values.mean())
    assert float((shares * (means - values.mean())).sum()) == pytest.approx(0, abs=1e-9)


@law
@given(rows(2, st.sampled_from([0.0, 1.0])))
def test_excess_accuracy_gaps_cancel(data):
    codes, m, dense, pruned = data
    gap = excess_accuracy_gap(dense, pruned, codes, m)
    assert float((group_sizes(codes, m) * gap).sum()) == pytest.approx(0, abs=1e-12)
    drop = group_means(dense, codes, m) - group_means(pruned, codes, m)
    assert close(gap, drop - (dense.mean() - pruned.mean()))


@law
@given(rows(2))
def test_excessive_loss_is_a_difference_of_means(data):
    codes, m, dense, pruned = data
    excess = group_means(pruned, codes, m) - group_means(dense, codes, m)
    assert close(excessive_loss(dense, pruned, codes, m), excess)
    assert close(excessive_loss(pruned, dense, codes, m), -excess)


@law
@given(rows(2), st.randoms(use_true_random=False))
def test_permuting_rows_changes_nothing(data, random):
    codes, m, dense, pruned = data
    order = random.sample(range(len(codes)), len(codes))
    for statistic in (excessive_loss, excess_accuracy_gap):
        moved = statistic(dense[order], pruned[order], codes[order], m)
        assert close(moved, statistic(dense, pruned, codes, m))


@law
@given(rows(2), st.data())
def test_renaming_groups_renames_the_results(data, draw):
    codes, m, dense, pruned = data
    new = torch.tensor(draw.draw(st.permutations(range(m))))
    for statistic in (excessive_loss, excess_accuracy_gap):
        before = statistic(dense, pruned, codes, m)
        after = statistic(dense, pruned, new[codes], m)
        assert close(after[new], before)
        assert close(largest_gap(after), largest_gap(before))


def test_sizes():
    assert group_sizes(torch.tensor([2, 0, 2]), 4).tolist() == [1, 0, 2, 0]


def test_group_without_rows_is_nan():
    values, codes = torch.tensor([0.0, 0.0, 4.0]), torch.tensor([0, 0, 2])
    means = group_means(values, codes, 4)
    assert means[[0, 2]].tolist() == [0.0, 4.0]
    assert means[[1, 3]].isnan().all()
    absent = excessive_loss(values, values, codes, 4).isnan()
    assert absent.tolist() == [False, True, False, True]
    assert largest_gap(means).isnan()


def test_group_without_weight_is_nan():
    means = group_means(torch.ones(2), torch.tensor([0, 1]), 2, torch.tensor([3.0, 0.0]))
    assert means[0] == 1.0
    assert means[1].isnan()


def test_no_rows_at_all():
    nothing = torch.zeros(0, dtype=torch.long)
    assert group_means(torch.zeros(0), nothing, 2).isnan().all()
    assert group_means(torch.zeros(0, 3), nothing, 2).shape == (2, 3)


def test_float32_means_of_many_rows():
    values = torch.full((3_000_000,), 0.1)
    mean = group_means(values, torch.zeros(len(values), dtype=torch.long), 1)
    assert mean.dtype is torch.float32
    assert float(mean) == pytest.approx(0.1, rel=1e-6)


def test_weights_of_another_precision():
    means = group_means(torch.ones(2), torch.tensor([0, 1]), 2, torch.ones(2).double())
    assert means.tolist() == [1.0, 1.0]


@law
@given(st.lists(finite, min_size=1, max_size=8))
def test_gap_is_the_largest_pairwise_difference(values):
    gap = largest_gap(torch.tensor(values, dtype=torch.float64))
    assert float(gap) == max(abs(a - b) for a in values for b in values)
    assert gap >= 0
    assert (gap == 0) == (len(set(values)) == 1)


def test_gap_of_each_row():
    gaps = largest_gap(torch.tensor([[1.0, 3.0, 2.0], [5.0, 5.0, 5.0]]))
    assert gaps.tolist() == [2.0, 0.0]


def test_gap_widens_while_the_ratio_falls():
    # Word error rates of two groups with 0 to 8 encoder layers removed.
    asian = torch.tensor([13.7, 13.1, 16.3, 22.2, 26.5], dtype=torch.float64)
    black = torch.tensor([27.2, 28.1, 34.3, 42.8, 51.0], dtype=torch.float64)
    gaps = largest_gap(torch.stack([asian, black], dim=1))
    ratios = black / asian
    assert gaps[[0, -1]].tolist() == pytest.approx([13.5, 24.5])
    assert ratios[[0, -1]].tolist() == pytest.approx([1.99, 1.92], abs=0.006)
    assert gaps[-1] > gaps[0]
    assert ratios[-1] < ratios[0]
    codes = torch.tensor([0, 1])
    excess = excessive_loss(
        torch.stack([asian[0], black[0]]), torch.stack([asian[-1], black[-1]]), codes, 2
    )
    assert float(largest_gap(excess)) == pytest.approx(24.5 - 13.5)
