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


@pytest.mark.slow
def test_nobody_is_blamed_for_noise():
    rng = np.random.default_rng(0)
    groups, blamed = np.repeat(np.arange(10), 40), 0
    for _ in range(120):
        losses = np.column_stack([np.zeros(400), rng.normal(0.2, 0.3, 400)])
        rows = HeldOut(losses, None, groups, groups, 10, 0.95, 300, rng)
        blamed += rows.payer(1)[2] > 0
    assert blamed / 120 < 0.06  # without the correction for 10 groups it is above 0.2


def test_a_group_of_one_row_does_not_hide_who_pays():
    rng = np.random.default_rng(0)
    groups = np.append(np.repeat([0, 1], 100), 2)
    losses = np.column_stack([np.zeros(201), rng.normal(0, 0.1, 201) + (groups == 1)])
    group, distance, low, high = HeldOut(
        losses, None, groups, groups, 3, 0.95, 200, rng
    ).payer(1)
    assert group == 1
    assert 0.8 < low < distance < high < 1.2


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
    assert whole.right(1) == rows.correct[:, 1].sum() == rows.right(1).sum()
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
    drop = (rows.right(0) - rows.right(2)) / rows.sizes
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
        (rows.payer(1)[2:], wide.payer(1)[2:]),
    ):
        assert np.all(found[0] > wider[0])
        assert np.all(found[1] < wider[1])


def test_regressors_have_no_labels():
    rows = held_out(classifies=False)
    assert rows.correct is None
    assert not hasattr(rows, "balanced")
    assert not hasattr(rows.together, "balanced")
