"""A linear layer fitted again: against scipy, by its gradient, and in other units."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from sklearn_fairprune.functional.last_layer import refit_layer, refit_pull

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N, P, Q = 60, 4, 3
X = torch.from_numpy(np.c_[rng.normal(size=(N, P - 1)) * [1.0, 30.0, 0.1], np.ones(N)])
Z, Y = torch.from_numpy(rng.normal(size=(N, Q))), torch.from_numpy(rng.integers(0, Q, N))
MASS = torch.from_numpy(rng.uniform(0, 2, N))
FREE = torch.from_numpy(rng.random((Q, P)) < 0.7)
FREE[:, 1] = False  # an input that nothing reads
PULL = refit_pull(X, Z, MASS, 0.7)


def loss(outputs, y=Y):
    return MASS @ F.cross_entropy(outputs, y, reduction="none") / MASS.sum()


def objective(change, pull=PULL):
    return loss(Z + X @ change.T) + (pull * change.square()).sum() / 2


def close(a, b, **options):
    torch.testing.assert_close(a, b, **({"rtol": 1e-5, "atol": 1e-6} | options))


def test_it_is_what_scipy_finds():
    def of_free(values):
        change = torch.zeros(Q, P, dtype=torch.float64)
        change[FREE] = torch.from_numpy(values)
        value = objective(change.requires_grad_())
        return value.item(), torch.autograd.grad(value, change)[0][FREE].numpy()

    options = {"jac": True, "method": "BFGS", "tol": 1e-9}
    best = minimize(of_free, np.zeros(int(FREE.sum())), **options)
    found = refit_layer(X, Z, loss, FREE, PULL)
    close(found[FREE], torch.from_numpy(best.x), rtol=1e-3, atol=1e-4)
    assert objective(found) <= best.fun + 1e-10


def test_the_gradient_is_zero_where_entries_are_free_and_others_stay():
    found = refit_layer(X, Z, loss, FREE, PULL).requires_grad_()
    (slope,) = torch.autograd.grad(objective(found), found)
    assert (slope / PULL.sqrt())[FREE].abs().max() < 1e-5
    assert (slope / PULL.sqrt())[~FREE].abs().max() > 1e-2
    assert (found[~FREE] == 0).all()
    assert (found[FREE] != 0).all()


def test_wherever_it_starts_it_ends_at_the_same_point_and_a_start_is_masked():
    found = refit_layer(X, Z, loss, FREE, PULL)
    start = torch.from_numpy(rng.normal(size=(Q, P)))
    close(refit_layer(X, Z, loss, FREE, PULL, start=start), found)
    close(refit_layer(X, Z, loss, FREE, PULL, start=found, max_iter=1), found)


def test_a_strong_pull_holds_the_layer_and_none_at_all_does_nothing():
    assert refit_layer(X, Z, loss, FREE, PULL * 1e6).abs().max() < 1e-4
    assert not refit_layer(X, Z, loss, FREE, PULL * 0).any()
    assert not refit_layer(X, Z, loss, torch.zeros_like(FREE), PULL).any()


def test_units_of_inputs_do_not_matter():
    scale = torch.tensor([2.0, 0.1, 1e3, 1.0], dtype=torch.float64)
    pull = refit_pull(X * scale, Z, MASS, 0.7)
    found = refit_layer(X * scale, Z, loss, FREE, pull)
    close(found * scale, refit_layer(X, Z, loss, FREE, PULL))


@pytest.mark.parametrize("unit", [1e-3, 1e3])
def test_units_of_targets_do_not_matter(unit):
    y = torch.from_numpy(rng.normal(size=(N, Q)))

    def fitted(unit):
        def squares(outputs):
            return (outputs - unit * y).square().mean()

        pull = refit_pull(X, unit * Z, MASS, float(squares(unit * Z)))
        return refit_layer(X, unit * Z, squares, FREE, pull)

    close(fitted(unit) / unit, fitted(1.0), rtol=1e-3, atol=1e-5)


def test_the_pull_by_hand():
    shares = (MASS / MASS.sum()).numpy()
    moments = np.average(X.numpy() ** 2, axis=0, weights=shares)
    mean = np.average(Z.numpy(), axis=0, weights=shares)
    spread = np.average((Z.numpy() - mean) ** 2, axis=0, weights=shares).sum()
    close(PULL, torch.from_numpy(0.7 * moments / spread), rtol=1e-12)
    constant = torch.ones_like(Z)
    close(refit_pull(X, constant, MASS, 0.7), torch.from_numpy(0.7 * moments), rtol=1e-9)
