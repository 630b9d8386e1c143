"""Schedules: formulas, when masks change, and functions that cannot be schedules."""

import functools

import pytest

from sklearn_fairprune.functional import SCHEDULES, cubic, iterative, mask_updates
from sklearn_fairprune.functional.schedules import MaskUpdate, Schedule


@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("sparsity", [0.1, 0.5, 0.98])
@pytest.mark.parametrize("n_epochs", [3, 7, 100])
def test_updates_rise_to_the_final_sparsity_and_begin_at_once(name, sparsity, n_epochs):
    updates = mask_updates(name, sparsity, n_epochs)
    assert updates[0].progress == 0
    assert updates[-1].sparsity == sparsity
    assert all(0 <= u.progress < 1 for u in updates)
    rising = [u.sparsity for u in updates]
    assert rising == sorted(set(rising))
    assert [u.progress for u in updates] == sorted({u.progress for u in updates})


@pytest.mark.parametrize("name", list(SCHEDULES))
def test_without_training_all_weights_go_at_once(name):
    assert mask_updates(name, 0.7) == [MaskUpdate(0.0, 0.7)]


@pytest.mark.parametrize("t", [0.0, 0.1, 0.35, 0.6, 0.9, 1.0])
def test_cubic_is_the_published_formula(t):
    # Zhu & Gupta, eq. (1): s_f + (s_i - s_f) (1 - t / r)^3 with s_i = 0
    expected = 0.9 + (0 - 0.9) * (1 - min(t / 0.6, 1)) ** 3
    assert cubic(t, 0.9) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("n_steps", [1, 2, 3, 7])
def test_every_step_of_the_iterative_schedule_keeps_the_same_share(n_steps):
    kept = [1 - iterative(k / n_steps, 0.9, n_steps=n_steps) for k in range(n_steps)]
    shares = [b / a for a, b in zip([1, *kept], kept, strict=False)]
    assert shares == pytest.approx([0.1 ** (1 / n_steps)] * n_steps)
    assert 1 - kept[-1] == 0.9 == iterative(1.0, 0.9, n_steps=n_steps)


def test_iterative_steps_lie_between_whole_epochs():
    step = functools.partial(iterative, n_steps=4)
    schedule = Schedule(step, "", 4, whole_epochs=True)
    epochs = [u.progress * 10 for u in mask_updates(schedule, 0.9, 10)]
    assert epochs == pytest.approx([0, 2, 5, 8])  # quarters of 10, rounded to even


def test_fewer_epochs_than_steps_are_refused():
    with pytest.raises(ValueError, match=r"3 steps .* finetune_epochs=2 are fewer"):
        mask_updates("iterative", 0.9, 2)


def test_a_function_of_the_user():
    def linear(progress, sparsity):
        return min(1, progress / 0.5) * sparsity

    updates = mask_updates(linear, 0.8, 5)
    assert len(updates) == 31
    assert updates[15].sparsity == pytest.approx(0.4)
    assert updates[-1] == MaskUpdate(0.5, 0.8)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda t, s: s * t, "reached 0.885 at progress 0.983.*must reach sparsity=0.9"),
        (
            lambda t, s: 0.95,
            "and the final one, 0.9; at progress 0 it returned 0.95",
        ),
        (lambda t, s: -0.1, "returned -0.1"),
        (lambda t, s: float("nan"), "returned nan"),
        (lambda t, s: "0.9", "returned '0.9'"),
        (lambda t, s: None, "returned None"),
        (lambda t, s: s if t < 0.5 else 0.1, "falls from 0.9 to 0.1 at progress 0.5"),
    ],
)
def test_functions_that_are_no_schedule(function, message):
    with pytest.raises(ValueError, match=message):
        mask_updates(function, 0.9, 5)


def test_unknown_names_get_the_list():
    with pytest.raises(ValueError, match=r"'schedule' .* among \['cubic', 'iterative'"):
        mask_updates("gradual", 0.9, 5)
