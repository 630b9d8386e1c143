"""What chance does to group means: by hand, and as often as it says."""

import numpy as np
import pytest
import torch
from scipy import stats

from sklearn_fairprune.functional.group_noise import group_noise

torch.set_num_threads(1)


def noise_of(values, groups, mass=None, **options):
    values = torch.as_tensor(values, dtype=torch.float64)
    mass = torch.ones_like(values) if mass is None else torch.as_tensor(mass).double()
    groups = torch.as_tensor(groups)
    m = options.pop("m", int(groups.max()) + 1)
    return group_noise(values, groups, mass, m, **options).numpy()


def test_it_is_some_standard_errors_of_groups_that_are_alike():
    rng = np.random.default_rng(0)
    half = rng.normal(size=50)
    values = np.r_[half, -half, half, -half]  # without skewness
    groups = np.repeat([0, 1], 100)
    error = values.std() * np.sqrt(100 / 99) / 10
    np.testing.assert_allclose(noise_of(values, groups, errors=3, compared=1), 3 * error)
    count = stats.norm.isf(stats.norm.sf(2) / 2)
    np.testing.assert_allclose(noise_of(values, groups, errors=2), count * error)
    cancelled = noise_of(values, groups, errors=2, cancels=True)
    np.testing.assert_allclose(cancelled, count * error * np.sqrt(0.5))


def test_the_skewness_adds_the_term_of_cornish_and_fisher():
    values = np.r_[np.zeros(90), np.ones(10)]
    deviation = values.std() * np.sqrt(100 / 99)
    skewness = ((values - 0.1) ** 3).mean() / deviation**3
    expected = deviation / 10 * (2 + skewness * 3 / 6 / 10)
    np.testing.assert_allclose(noise_of(values, np.zeros(100, int)), expected)
    mirrored = noise_of(-values, np.zeros(100, int))
    np.testing.assert_allclose(mirrored, deviation / 10 * 2)


def test_a_few_equal_rows_have_the_deviation_of_all():
    values, groups = np.r_[np.arange(100.0), 7, 7, 7], np.r_[np.zeros(100, int), 1, 1, 1]
    found = noise_of(values, groups)
    assert found[1] > 2 * values.std() / np.sqrt(3) * 0.98
    single = noise_of(values[:101], groups[:101])
    assert np.isfinite(single).all()
    assert single[1] > found[1]


def test_weights_are_numbers_of_rows():
    rng = np.random.default_rng(0)
    values, groups = rng.exponential(size=40), np.arange(40) % 4
    equal = noise_of(values, groups)
    np.testing.assert_allclose(noise_of(values, groups, np.full(40, 3.0)), equal)
    heavy = noise_of(values, groups, np.where(np.arange(40) < 4, 20.0, 1.0))
    assert (heavy > equal).all()  # few rows count


def test_no_noise_and_absent_groups():
    found = noise_of([1.0, 3.0, 2.0], [0, 0, 2], errors=0)
    np.testing.assert_array_equal(found, [0, np.inf, 0])
    np.testing.assert_array_equal(noise_of([1.0], [0], errors=2), 0)


@pytest.mark.parametrize("draw", ["exponential", "wrong", "heavy"])
@pytest.mark.parametrize(
    "sizes", [np.full(50, 20), np.arange(1, 51)], ids=["equal", "some few"]
)
def test_the_largest_of_many_exceeds_it_seldom(draw, sizes):
    groups, rng = np.repeat(np.arange(50), sizes), np.random.default_rng(0)
    draws = {
        "exponential": lambda n: rng.exponential(size=n),
        "wrong": lambda n: rng.random(n) < 0.2,
        "heavy": lambda n: rng.exponential(size=n) ** 2,
    }
    exceeded = 0
    for _ in range(200):
        values = draws[draw](len(groups)).astype(float)
        means = np.bincount(groups, values) / sizes
        exceeded += (means - values.mean() > noise_of(values, groups, cancels=True)).any()
    assert exceeded <= 12  # of 200, 2.3 % of which are said to
