"""Seeds, and global random states that are left as found."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch

from sklearn_fairprune.engine.randomness import derive_seeds, seeded

torch.set_num_threads(1)


def draws():
    return (
        torch.rand(2).tolist(),
        np.random.random_sample(2).tolist(),  # noqa: NPY002
        [random.random() for _ in range(2)],
    )


def states():
    _, keys, position, *_ = np.random.get_state()  # noqa: NPY002
    return torch.get_rng_state().tolist(), keys.tolist(), position, random.getstate()


def test_states_come_back():
    before = states()
    with seeded(3):
        draws()
        assert states() != before
    assert states() == before


def test_states_come_back_after_an_exception():
    before = states()

    def fail():
        with seeded(3):
            draws()
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert states() == before


def test_lock_is_free_after_an_exception():
    with pytest.raises(KeyError), seeded(3):
        raise KeyError

    def inside():
        with seeded(1):
            return draws()

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(inside).result(timeout=10)


def test_same_seed_same_draws_in_all_three_libraries():
    found = []
    for seed in (5, 5, 6):
        with seeded(seed):
            found.append(draws())
    assert found[0] == found[1]
    assert all(a != b for a, b in zip(found[1], found[2], strict=True))


@pytest.mark.skipif(torch.accelerator.is_available(), reason="a device is seeded, too")
def test_nothing_is_noted_down_for_a_device_that_is_not_there():
    before = len(torch.cuda._queued_calls)
    for seed in range(5):
        with seeded(seed):
            draws()
    assert len(torch.cuda._queued_calls) == before


def test_nesting():
    with seeded(1):
        expected = draws()
    with seeded(1):
        with seeded(2):
            draws()
        assert draws() == expected


def test_threads_do_not_disturb_each_other():
    def work(seed):
        with seeded(seed):
            found = []
            for _ in range(20):
                found.append(torch.rand(()).item() + random.random())
                time.sleep(1e-4)  # lets the other threads run
            return found

    alone = [work(seed) for seed in range(8)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(work, range(8))) == alone


def test_derived_seeds_are_deterministic_and_distinct():
    seeds = derive_seeds(0, 100)
    assert seeds == derive_seeds(0, 100)
    assert all(isinstance(s, int) and 0 <= s < 2**31 for s in seeds)
    assert len(set(seeds)) == 100
    assert not set(seeds) & set(derive_seeds(1, 100))


def test_derived_seeds_do_not_depend_on_the_count():
    assert derive_seeds(7, 2) == derive_seeds(7, 5)[:2]


def test_derived_seeds_from_a_sequence():
    assert derive_seeds([7, 0], 3) != derive_seeds([7, 1], 3)
    assert derive_seeds([7, 1], 3) == derive_seeds([7, 1], 3)
