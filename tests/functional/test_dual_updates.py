"""Projections and steps of multipliers: by hand, by scipy, and by two other packages."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from sklearn_fairprune.functional.dual_updates import dual_step, project, relative_step

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)
vectors = st.lists(st.floats(-10, 10), min_size=1, max_size=6).map(
    lambda values: torch.tensor(values, dtype=torch.float64)
)
totals = st.floats(0.01, 10)


def nothing(like):
    return torch.full_like(like, torch.nan)


def close(a, b, atol=1e-12):
    torch.testing.assert_close(a, b, rtol=1e-9, atol=atol)
    return True


# ---- projection ------------------------------------------------------------------------


@law
@given(vectors, totals, st.booleans())
def test_projection_is_feasible_and_idempotent(values, total, exactly):
    point = project(values, total, exactly)
    assert (point >= 0).all()
    assert float(point.sum()) <= total + 1e-9
    assert not exactly or float(point.sum()) == pytest.approx(total)
    assert close(project(point, total, exactly), point)


@law
@given(vectors, totals, st.booleans(), st.data())
def test_no_feasible_point_lies_at_an_acute_angle(values, total, exactly, data):
    point = project(values, total, exactly)
    some = st.lists(st.floats(0, 1), min_size=len(values), max_size=len(values))
    other = torch.tensor(data.draw(some), dtype=torch.float64)
    other = other / other.sum().clamp(min=1e-3 if exactly else 1.0) * total
    if not exactly or float(other.sum()) == pytest.approx(total):
        assert float((values - point) @ (other - point)) <= 1e-8


@pytest.mark.parametrize("exactly", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_projection_is_that_of_a_quadratic_program(seed, exactly):
    values = np.random.default_rng(seed).normal(scale=2, size=seed + 1)
    bound = {"type": "eq" if exactly else "ineq", "fun": lambda x: 1.5 - x.sum()}
    found = minimize(
        lambda x: ((x - values) ** 2).sum(),
        np.full(len(values), 1.5 / len(values)),
        jac=lambda x: 2 * (x - values),
        bounds=[(0, None)] * len(values),
        constraints=bound,
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    point = project(torch.from_numpy(values), 1.5, exactly)
    assert point.numpy() == pytest.approx(found.x, abs=1e-5)


@law
@given(vectors)
def test_without_total_only_negatives_go(values):
    assert torch.equal(project(values), values.clamp(min=0))
    matrix = torch.stack([values, -values])
    assert torch.equal(project(matrix), matrix.clamp(min=0))


@law
@given(vectors, totals)
def test_shape_does_not_matter(values, total):
    both = torch.stack([values, values.flip(0)])
    assert torch.equal(project(both, total).flatten(), project(both.flatten(), total))


def test_ties_and_a_single_multiplier():
    assert project(torch.tensor([2.0, 2.0, 2.0]), 1.5).tolist() == [0.5, 0.5, 0.5]
    assert project(torch.tensor([-3.0]), 1.0, exactly=True).tolist() == [1.0]
    assert project(torch.tensor([7.0]), 1.0).tolist() == [1.0]
    assert project(torch.tensor([-1.0, -3.0]), 1.0, exactly=True).tolist() == [1.0, 0.0]


# ---- steps ---------------------------------------------------------------------------------


def test_steps_by_hand():
    lam, seen = torch.tensor([1.0]).double(), torch.tensor([torch.nan]).double()
    options = {"lr": 0.5, "share": 0.25, "gain": 2.0, "smoothing": 0.75}
    lam, seen = dual_step(lam, torch.tensor([4.0]).double(), seen, **options)
    assert (lam.item(), seen.item()) == (1 + 0.5 * (1 + 2 * 4), 4.0)
    lam, seen = dual_step(lam, torch.tensor([-4.0]).double(), seen, **options)
    assert (lam.item(), seen.item()) == (5.5 + 0.5 * (-1 + 2 * (2 - 4)), 2.0)


@law
@given(vectors, st.floats(0, 5), st.floats(0, 1), st.floats(0, 0.9))
def test_no_gain_is_ascent(violation, lr, share, smoothing):
    seen = nothing(violation)
    lam, seen = dual_step(violation, violation, seen, lr=lr, share=share, smoothing=smoothing)
    assert close(lam, violation + lr * share * violation)
    options = {"lr": lr, "share": share, "smoothing": smoothing}
    assert close(dual_step(lam, violation, seen, **options)[0], lam + lr * share * violation)


@law
@given(vectors, st.floats(0, 5), st.floats(0, 0.9))
def test_nothing_moves_at_zero_violation(lam, gain, smoothing):
    zero, options = torch.zeros_like(lam), {"lr": 0.3, "gain": gain, "smoothing": smoothing}
    moved, seen = dual_step(lam, zero, nothing(lam), **options)
    again, _ = dual_step(moved, zero, seen, **options)
    assert torch.equal(moved, lam)
    assert torch.equal(again, lam)


@pytest.mark.parametrize("unknown", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("before", [torch.nan, 3.0])
def test_unknown_violations_leave_multiplier_and_mean_alone(unknown, before):
    violation, seen = torch.tensor([unknown, 2.0]), torch.tensor([before, before])
    lam, now = dual_step(torch.ones(2), violation, seen, lr=0.5, gain=1.0, smoothing=0.5)
    assert lam[0] == 1
    assert now[0].nan_to_num(-1.0) == seen[0].nan_to_num(-1.0)
    assert lam[1] != 1
    assert now[1] == (2.0 if before != before else 2.5)


def sequence(m=4, steps=12):
    return torch.randn(steps, m, generator=torch.Generator().manual_seed(0)).double()


def ours(errors, *, bound=False, **options):
    """Multipliers after every step."""
    lam, seen, path = torch.zeros_like(errors[0]), nothing(errors[0]), []
    for error in errors:
        lam, seen = dual_step(lam, error, seen, **options)
        lam = project(lam) if bound else lam
        path.append(lam)
    return torch.stack(path)


@pytest.mark.parametrize("smoothing", [0.0, 0.4, 0.9])
@pytest.mark.parametrize("gain", [0.0, 0.5, 3.0])
def test_nupi_is_that_of_cooper(gain, smoothing):
    module = pytest.importorskip("cooper.optim.torch_optimizers.nupi_optimizer")
    errors, lam = sequence(), torch.zeros(4).double().requires_grad_()
    optimizer = module.nuPI([lam], lr=0.2, Kp=gain, Ki=0.5, ema_nu=smoothing, maximize=True)
    optimizer.state[lam]["xi"] = errors[0].clone()  # its documented start; it begins at 0
    path = []
    for error in errors:
        lam.grad = error.clone()
        optimizer.step()
        path.append(lam.detach().clone())
    # Cooper's first step leaves the proportional part out; the paper's has it.
    first = 0.2 * gain * errors[0]
    found = ours(errors, lr=0.2, share=0.5, gain=gain, smoothing=smoothing)
    assert close(found, torch.stack(path) + first, atol=1e-7)


def test_nupi_without_smoothing_is_that_of_cooper_from_zeros():
    module = pytest.importorskip("cooper.optim.torch_optimizers.nupi_optimizer")
    errors, lam = sequence(), torch.zeros(4).double().requires_grad_()
    zeros = module.nuPIInitType.ZEROS
    optimizer = module.nuPI([lam], lr=0.2, Kp=3.0, init_type=zeros, maximize=True)
    for error, expected in zip(errors, ours(errors, lr=0.2, gain=3.0), strict=True):
        lam.grad = error.clone()
        optimizer.step()
        assert close(expected, lam.detach(), atol=1e-7)


@pytest.mark.parametrize("bound", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.4, 0.9])
def test_nupi_is_that_of_humancompatible(smoothing, bound):
    module = pytest.importorskip("humancompatible.train.dual_optim")
    errors, options = sequence(), {"ki": 0.2 * 0.5, "kp": 0.2 * 3.0, "nu": smoothing}
    start = torch.zeros(4).double()
    theirs = module.nuPI(4, init_duals=start, dual_range=(-1e9, 1e9), is_ineq=bound, **options)
    theirs.param_groups[0]["momentum_buffer"] = errors[0].clone()  # the paper's start
    found = ours(errors, lr=0.2, share=0.5, gain=3.0, smoothing=smoothing, bound=bound)
    for error, expected in zip(errors, found, strict=True):
        theirs.update(error)
        assert close(expected, theirs.duals.detach().flatten(), atol=1e-7)
    assert bound == bool((found >= 0).all())


@pytest.mark.parametrize("bound", [False, True])
def test_ascent_is_that_of_humancompatible(bound):
    module = pytest.importorskip("humancompatible.train.dual_optim")
    start = torch.zeros(4).double()
    theirs = module.ALM(4, lr=0.2, init_duals=start, dual_range=(-1e9, 1e9), is_ineq=bound)
    errors = sequence()
    for error, expected in zip(errors, ours(errors, lr=0.2, bound=bound), strict=True):
        theirs.update(error)
        assert close(expected, theirs.duals.detach().flatten(), atol=1e-9)


@pytest.mark.parametrize("large", [1e9, 1e17, 1e300])
def test_projection_of_large_multipliers(large):
    near = project(torch.tensor([large, 3.0], dtype=torch.float64), 1.0)
    assert near.tolist() == [1.0, 0.0]


def by_hand(extra, excess, noise, scale, lr, most):
    """Extra weights after a relative step, group by group."""
    found = []
    for mu, e in zip(extra, excess, strict=True):
        beyond = max(abs(e) - noise, 0.0) * (1 if e > 0 else -1)
        found.append(min(max(mu + lr * min(max(beyond / scale, -1), 1), 0), most))
    return found


def test_relative_step_by_hand():
    extra, excess = [0.0, 0.5, 1.0, 2.9, 0.1], [0.3, -0.3, 0.05, 5.0, -9.0]
    options = {"noise": 0.1, "scale": 0.4, "lr": 0.6, "most": 3.0}
    found = relative_step(torch.tensor(extra), torch.tensor(excess), **options)
    assert found.tolist() == pytest.approx(by_hand(extra, excess, **options))


def test_relative_step_has_no_unit():
    extra, excess = torch.rand(5), torch.randn(5)
    first = relative_step(extra, excess, scale=0.3, noise=0.1, lr=1.0)
    other = relative_step(extra, 1e6 * excess, scale=0.3e6, noise=0.1e6, lr=1.0)
    torch.testing.assert_close(first, other)


@pytest.mark.parametrize("scale", [0.0, math.nan])
def test_relative_step_stands_still_where_nothing_is_known(scale):
    extra = torch.tensor([0.5, 0.5])
    assert torch.equal(
        relative_step(extra, torch.tensor([math.nan, 0.0]), scale=1, lr=1), extra
    )
    assert torch.equal(relative_step(extra, torch.zeros(2), scale=scale, lr=1), extra)
