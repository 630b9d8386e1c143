"""The largest of several groups against all others: by hand, and its level."""

import numpy as np
import pytest
from scipy import stats

from sklearn_fairprune.statistics.worst import top_group

SIZES = np.array([10, 30, 60])
VALUES = np.array([0.5, 0.2, 0.1])
SAMPLES = VALUES + np.random.default_rng(0).normal(0, [0.1, 0.05, 0.02], size=(500, 3))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_by_hand(confidence):
    group, distance, low, high = top_group(VALUES, SAMPLES, SIZES, confidence)
    assert group == 0
    assert distance == pytest.approx(0.5 - (30 * 0.2 + 60 * 0.1) / 90)
    spread = (SAMPLES[:, 0] - (30 * SAMPLES[:, 1] + 60 * SAMPLES[:, 2]) / 90).std()
    width = stats.t(df=9).ppf(1 - (1 - confidence) / 3 / 2) * spread
    assert (low, high) == (
        pytest.approx(distance - width),
        pytest.approx(distance + width),
    )


def test_order_of_the_groups_does_not_matter():
    order = [2, 0, 1]
    group, *rest = top_group(VALUES[order], SAMPLES[:, order], SIZES[order])
    assert order[group] == 0
    np.testing.assert_allclose(rest, top_group(VALUES, SAMPLES, SIZES)[1:])


def test_a_group_of_one_row_has_no_interval_and_takes_none_from_others():
    samples = SAMPLES.copy()
    samples[:, 2] = np.nan
    assert np.isfinite(top_group(VALUES, samples, np.array([10, 30, 1]))).all()
    group, distance, low, high = top_group(
        VALUES[::-1], samples[:, ::-1], np.array([1, 30, 10])
    )
    assert group == 2
    assert np.isfinite([distance, low, high]).all()
    group, distance, low, high = top_group(VALUES, SAMPLES, np.array([1, 30, 60]))
    assert (group, distance) == (0, pytest.approx(0.5 - 12 / 90))
    assert np.isnan([low, high]).all()


def test_noise_is_named_no_more_often_than_the_level_allows():
    rng, named = np.random.default_rng(0), 0
    sizes = np.array([40, 40, 40, 40])
    for _ in range(300):
        values = rng.normal(0, 0.1, 4)
        samples = values + rng.normal(0, 0.1, size=(200, 4))
        named += top_group(values, samples, sizes)[2] > 0
    assert named / 300 < 0.05
