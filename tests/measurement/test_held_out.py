"""Held-out rows in groups: who pays is told by intervals, and all rows are one group."""

import numpy as np
import pytest

from sklearn_fairprune.measurement.held_out import HeldOut


def held_out(n=60, m=3, classifies=True, seed=0, **options):
    """Rows of three models with known losses and labels."""
    rng = np.random.default_rng(seed)
    y, groups = rng.choice(["a", "b"], n), rng.integers(m, size=n)
    groups[:m] = range(m)
    predicted = np.where(rng.random((n, 3)) < [0.9, 0.7, 0.5], y[:, None], "a")
    correct = (predicted == y[:, None]).astype(float)
    if not classifies:
        predicted = correct = None
    losses = rng.exponential(size=(n, 3))
    given = {"predicted": predicted, "rng": np.random.default_rng(1)} | options
    return HeldOut(losses, correct, y, groups, m, 0.9, 50, **given)


def test_a_group_of_one_row_does_not_hide_who_pays():
    rng = np.random.default_rng(0)
    groups = np.append(np.repeat([0, 1], 100), 2)
    losses = np.column_stack([np.zeros(201), rng.normal(0, 0.1, 201) + (groups == 1)])
    losses[-1] += 9
    rows = HeldOut(losses, None, groups, groups, 3, 0.95, 200, rng, least_rows=75)
    worst = rows.worst(rows.lost(1))
    assert (worst.group, worst.beats_all) == (1, True)
    assert 0.8 < worst.lead_lows[0] < worst.leads[0] < 1.2
    low, high = rows.mean_limits(rows.lost(1))
    assert np.isnan([low[2], high[2]]).all()
    assert (low[:2] < rows.excess[:2, 1]).all()
    assert (rows.excess[:2, 1] < high[:2]).all()


def test_groups_of_few_rows_are_compared_only_if_there_are_no_others():
    rows = held_out(least_rows=20)
    rows.effective = np.array([30, 25, 5])
    assert rows.compared.tolist() == [True, True, False]
    rows.effective = np.array([50, 5, 5])
    assert rows.compared.tolist() == [True, True, True]


def test_what_a_row_pays():
    rows = held_out()
    np.testing.assert_array_equal(rows.lost(2), rows.losses[:, 2] - rows.losses[:, 0])
    np.testing.assert_array_equal(rows.harmed(1), rows.correct[:, 0] - rows.correct[:, 1])
    assert set(rows.harmed(1)) == {-1, 0, 1}


def test_all_rows_together_are_one_group():
    rows = held_out()
    whole = rows.together
    assert (whole.m, whole.sizes.tolist(), set(whole.groups)) == (1, [60], {0})
    np.testing.assert_allclose(whole.loss, rows.losses.mean(axis=0)[None])
    np.testing.assert_allclose(
        whole.excess[0], (rows.losses - rows.losses[:, :1]).mean(axis=0)
    )
    np.testing.assert_array_equal(whole.loss_samples[:, 0], rows.total_loss_samples)
    excess = rows.total_loss_samples - rows.total_loss_samples[:, :1]
    np.testing.assert_array_equal(whole.excess_samples[:, 0], excess)
    assert whole.right(1).value == rows.correct[:, 1].mean()
    assert rows.m == 3


def test_samples_over_all_rows_are_shared_between_features():
    rows = held_out()
    other = held_out(m=2, totals=rows)
    assert other.total_loss_samples is rows.total_loss_samples
    assert other.balanced_samples is rows.balanced_samples
    assert other.loss_samples.shape == (50, 2, 3)


def test_the_dense_model_has_no_difference_to_itself():
    rows = held_out()
    np.testing.assert_array_equal(rows.paired_differences(0), np.zeros((2, 3)))
    low, high = rows.paired_differences(2)
    drop = rows.right(0).value - rows.right(2).value
    assert (low < drop).all()
    assert (drop < high).all()


@pytest.mark.parametrize("confidence", [0.5, 0.99])
def test_every_interval_has_the_level_that_was_asked_for(confidence):
    rows = held_out()
    rows.confidence = confidence
    wide = held_out()
    wide.confidence = 0.999
    for found, wider in (
        (rows.proportions(rows.right(1)), wide.proportions(rows.right(1))),
        (rows.percentiles(rows.loss_samples), wide.percentiles(rows.loss_samples)),
        (rows.paired_differences(1), wide.paired_differences(1)),
        (rows.mean_limits(rows.lost(1)), wide.mean_limits(rows.lost(1))),
    ):
        assert np.all(found[0] > wider[0])
        assert np.all(found[1] < wider[1])


def test_regressors_have_no_labels():
    rows = held_out(classifies=False)
    assert rows.correct is None
    assert not hasattr(rows, "balanced")
    assert not hasattr(rows.together, "balanced")
