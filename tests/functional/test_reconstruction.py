"""Least squares on the kept inputs, against NumPy's, unit by unit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.functional import (
    masked_conjugate_gradients,
    masked_least_squares,
)
from sklearn_fairprune.functional import reconstruction as module

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)


def by_factors(gram, moments, weight, mask, damping=0.01, **options):
    return masked_least_squares(gram, moments, weight, mask, damping, **options)


def by_steps(gram, moments, weight, mask, damping=0.01, **options):
    """Enough steps for any network of this file."""
    return masked_conjugate_gradients(
        lambda V: V @ gram,
        gram.diagonal(),
        moments,
        weight,
        mask,
        damping,
        **options,
        n_steps=99,
    )


SOLVERS = pytest.mark.parametrize("solve", [by_factors, by_steps])


def problem(n=40, p=7, q=9, seed=0, kept=0.5):
    """Rows, wanted outputs, row weights, weights and masks; some masks are the same."""
    rng = np.random.default_rng(seed)
    X, Z = rng.normal(size=(n, p)) + rng.normal(size=p), rng.normal(size=(n, q))
    mask = rng.random((q, p)) < kept
    mask[q // 2] = mask[0]
    weight = np.where(mask, rng.normal(size=(q, p)), 0)
    return [torch.from_numpy(v) for v in (X, Z, rng.uniform(0, 3, n), weight, mask)]


def moments(X, Z, omega):
    return X.T @ (omega[:, None] * X), Z.T @ (omega[:, None] * X)


def errors(X, Z, omega, weight):
    """Weighted squared error of every unit."""
    return (omega[:, None] * (Z - X @ weight.double().T).square()).sum(0)


@SOLVERS
def test_equals_numpy_unit_by_unit(solve):
    X, Z, omega, weight, mask = problem()
    found = solve(*moments(X, Z, omega), weight, mask, 0.0)
    root = omega.sqrt()[:, None]
    for j, kept in enumerate(mask):
        best = np.linalg.lstsq((root * X[:, kept]).numpy(), (root[:, 0] * Z[:, j]).numpy())[0]
        np.testing.assert_allclose(found.weight[j, kept], best, rtol=1e-6, atol=1e-7)
        assert (found.weight[j, ~kept] == 0).all()
    assert found.solved.all()


@SOLVERS
def test_damping_pulls_all_but_the_bias_to_the_present_weights(solve):
    X, Z, omega, weight, mask = problem()
    X[:, -1], mask[:, -1] = 1.0, True
    gram, cross = moments(X, Z, omega)
    for damping in (0.1, 10.0):
        found = solve(gram, cross, weight, mask, damping, bias=True).weight
        for j, kept in enumerate(mask):
            pull = damping * gram.diagonal()[:-1].mean() * kept[kept]
            pull[-1] = 0.0
            left = gram[kept][:, kept] + torch.diag(pull)
            right = cross[j, kept] + pull * weight[j, kept]
            torch.testing.assert_close(found[j, kept], torch.linalg.solve(left, right))
    heavy = solve(gram, cross, weight, mask, 1e9, bias=True).weight
    torch.testing.assert_close(heavy[:, :-1], weight[:, :-1], rtol=1e-6, atol=1e-6)
    rest = omega @ (Z - X[:, :-1] @ weight[:, :-1].T) / omega.sum()
    torch.testing.assert_close(heavy[:, -1], rest, rtol=1e-6, atol=1e-6)


@law
@given(
    st.integers(0, 999),
    st.integers(1, 12),
    st.sampled_from([0.0, 1e-6, 0.01, 1.0, 100.0]),
    st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    st.sampled_from([by_factors, by_steps]),
)
def test_the_error_never_rises(seed, n, damping, kept, solve):
    X, Z, omega, weight, mask = problem(n, seed=seed, kept=kept)
    X[:, 1], X[:, 2] = X[:, 0], 3.0  # a double and a constant column
    omega[: n // 3] = 0.0
    found = solve(*moments(X, Z, omega), weight, mask, damping)
    before = errors(X, Z, omega, weight)
    assert torch.isfinite(found.weight).all()
    assert (found.weight[~mask] == 0).all()
    assert (errors(X, Z, omega, found.weight) <= before * (1 + 1e-9) + 1e-12).all()


@SOLVERS
def test_kept_inputs_that_tell_of_the_removed_ones_recover_the_layer(solve):
    X, _, omega, _, _ = problem(p=4)
    doubled = torch.cat([X, 2 * X], dim=1)
    dense = torch.randn(5, 8, dtype=torch.float64)
    mask = torch.arange(8).expand(5, 8) < 4
    found = solve(*moments(doubled, doubled @ dense.T, omega), dense, mask, 0.0)
    torch.testing.assert_close(found.weight[:, :4], dense[:, :4] + 2 * dense[:, 4:])


@SOLVERS
def test_what_the_rows_do_not_determine_stays(solve):
    X, Z, omega, weight, mask = problem(n=1)
    found = solve(*moments(X, Z, omega), weight, mask, 0.01).weight
    change = found - weight
    for j, kept in enumerate(mask):  # one row can only move weights along itself
        along = X[0] * kept
        rest = change[j] - along * (change[j] @ along) / (along @ along).clamp(min=1e-9)
        assert rest.norm() <= 1e-9 * max(1.0, change[j].norm())
    nothing = solve(*moments(X, Z, 0 * omega), weight, mask, 0.01)
    assert torch.equal(nothing.weight, weight)


@SOLVERS
def test_neither_the_scale_of_the_row_weights_nor_repeated_rows_matter(solve):
    X, Z, omega, weight, mask = problem()
    one = solve(*moments(X, Z, omega), weight, mask).weight
    scaled = solve(*moments(X, Z, 1e-5 * omega), weight, mask).weight
    twice = solve(*moments(*(torch.cat([v, v]) for v in (X, Z, omega))), weight, mask).weight
    torch.testing.assert_close(scaled, one)
    torch.testing.assert_close(twice, one)


@SOLVERS
def test_units_that_cannot_be_solved_keep_their_weights(solve):
    X, Z, omega, weight, mask = problem()
    gram, cross = moments(X, Z, omega)
    cross[3, mask[3]] = torch.nan
    found = solve(gram, cross, weight, mask)
    assert found.solved.tolist() == [j != 3 for j in range(len(mask))]
    assert torch.equal(found.weight[3], weight[3])
    assert torch.isfinite(found.weight).all()
    gram[:] = torch.inf
    assert torch.equal(solve(gram, cross, weight, mask).weight, weight)


def test_chunks_change_nothing(monkeypatch):
    X, Z, omega, weight, mask = problem(q=50)
    whole = masked_least_squares(*moments(X, Z, omega), weight, mask).weight
    for size in (1, 400, 1000):
        monkeypatch.setattr(module, "CHUNK_BYTES", size)
        cut = masked_least_squares(*moments(X, Z, omega), weight, mask).weight
        torch.testing.assert_close(cut, whole)


def test_fewer_steps_are_nearer_to_the_present_weights_and_better_than_them():
    X, Z, omega, weight, mask = problem(n=400, p=30, kept=0.9)
    gram, cross = moments(X, Z, omega)
    away, error = [0.0], [errors(X, Z, omega, weight).sum()]
    for n_steps in (1, 2, 4, 8):
        options = {"damping": 0.0, "n_steps": n_steps}
        found = masked_conjugate_gradients(
            lambda V: V @ gram, gram.diagonal(), cross, weight, mask, **options
        ).weight
        away.append((found - weight).norm())
        error.append(errors(X, Z, omega, found).sum())
    assert away == sorted(away)
    assert error == sorted(error, reverse=True)


def test_layers_apart_are_solved_apart():
    two = [problem(seed=seed) for seed in (1, 2)]
    sums = [moments(*parts[:3]) for parts in two]
    gram, cross, weight, mask = (
        torch.stack(v)
        for v in (
            [s[0] for s in sums],
            [s[1] for s in sums],
            [parts[3] for parts in two],
            [parts[4] for parts in two],
        )
    )
    found = masked_conjugate_gradients(
        lambda V: V @ gram, gram.diagonal(dim1=1, dim2=2), cross, weight, mask, n_steps=99
    )
    for k in range(2):
        alone = by_factors(gram[k], cross[k], weight[k], mask[k]).weight
        torch.testing.assert_close(found.weight[k], alone)
