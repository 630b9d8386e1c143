"""Hessian quantities against the full Hessian, and laws of the Lanczos method."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.func import functional_call, grad, jacrev
from torch.nn.functional import cross_entropy

from sklearn_fairprune.functional import (
    dot,
    flatten,
    gradient,
    hessian_diagonal,
    hessian_product,
    largest_eigenvalue,
    spectral_norms,
    trainable,
    unflatten,
)

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)
spectra = st.lists(st.integers(-(10**4), 10**4), min_size=1, max_size=9)


def close(a, b, rtol=1e-9, atol=1e-9):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)
    return True


def small_net(activation, n_rows):
    """Mean loss of a network of 22 parameters, and the parameters."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 4), activation(), nn.Linear(4, 2)).double()
    X, y = torch.randn(n_rows, 2, dtype=torch.float64), torch.arange(n_rows) % 2
    return lambda p: cross_entropy(functional_call(net, p, (X,)), y), trainable(net)


def slow_hessian(loss, params):
    return jacrev(grad(lambda v: loss(unflatten(v, params))))(flatten(params))


def matrix(spectrum, seed=0):
    """Symmetric matrix with given eigenvalues, and its eigenvectors."""
    torch.manual_seed(seed)
    d = torch.tensor(spectrum, dtype=torch.float64)
    Q = torch.linalg.qr(torch.randn(len(d), len(d), dtype=torch.float64)).Q
    return Q @ d.diag() @ Q.T, Q


def highest(H, start=None, **options):
    start = torch.zeros(len(H), dtype=H.dtype) if start is None else start
    return largest_eigenvalue(lambda v: {"w": H @ v["w"]}, {"w": start}, **options)


# Every quantity against the full Hessian


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh])
@pytest.mark.parametrize("n_rows", [1, 2, 30])
def test_everything_equals_the_full_hessian(activation, n_rows):
    loss, params = small_net(activation, n_rows)
    H = slow_hessian(loss, params)
    slope, product = hessian_product(loss, params)
    assert close(slope, grad(loss)(params))
    assert close(gradient(loss, params), slope)
    columns = [flatten(product(unflatten(e, params))) for e in torch.eye(len(H)).double()]
    assert close(torch.stack(columns, 1), H)
    assert close(flatten(hessian_diagonal(product, params)), H.diag())
    truth = torch.linalg.eigvalsh(H)
    top = largest_eigenvalue(product, slope)
    assert top.converged
    assert top.value == pytest.approx(truth[-1].item(), abs=1e-3 * truth.abs().max().item())
    exact = largest_eigenvalue(product, slope, tol=0)
    assert exact.value == pytest.approx(truth[-1].item(), rel=1e-9)
    norms, converged = spectral_norms(lambda v: v @ H, torch.randn(3, len(H)).double())
    assert converged.all()
    assert close(norms, truth.abs().max().expand(3), rtol=1e-3)


# Gradient and product


def test_parameters_that_the_loss_does_not_read():
    params = {"a": torch.tensor([1.0, 2.0]), "unused": torch.ones(3), "b": torch.tensor(3.0)}

    def loss(p):
        return p["b"] * (p["a"] ** 2).sum()

    slope, product = hessian_product(loss, params)
    assert list(slope) == list(product(params)) == list(gradient(loss, params)) == [*params]
    assert flatten(slope).tolist() == [6, 12, 0, 0, 0, 5]
    assert flatten(gradient(loss, params)).tolist() == [6, 12, 0, 0, 0, 5]
    assert flatten(product(params)).tolist() == [12, 24, 0, 0, 0, 10]
    assert not any(p.requires_grad for p in params.values())


def test_linear_loss_has_no_curvature():
    params = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor(3.0)}
    slope, product = hessian_product(lambda p: (3 * p["a"]).sum() - p["b"], params)
    assert flatten(slope).tolist() == [3, 3, -1]
    assert flatten(product(params)).tolist() == [0, 0, 0]
    _, product = hessian_product(lambda p: p["a"].sum() + p["b"] ** 2, params)
    assert flatten(product(params)).tolist() == [0, 0, 6]


def test_product_is_linear_symmetric_and_may_be_repeated():
    loss, params = small_net(nn.Tanh, 5)
    _, product = hessian_product(loss, params)
    u, v = (unflatten(torch.randn(22).double(), params) for _ in range(2))
    Hu, Hv = product(u), product(v)
    assert close(dot(u, Hv), dot(v, Hu))
    assert torch.equal(flatten(product(u)), flatten(Hu))
    both = product({k: 2 * u[k] - v[k] for k in u})
    assert close(both, {k: 2 * Hu[k] - Hv[k] for k in u})


def test_parameters_are_left_as_they_are():
    net = nn.Linear(2, 2)
    params, X = dict(net.named_parameters()), torch.randn(4, 2)
    before = flatten(params).detach().clone()

    def loss(p):
        return cross_entropy(functional_call(net, p, (X,)), torch.tensor([0, 1, 0, 1]))

    slope, product = hessian_product(loss, params)
    for result in (gradient(loss, params), slope, product(params)):
        assert not flatten(result).requires_grad
    assert torch.equal(flatten(params), before)
    assert all(p.grad is None and p.requires_grad for p in net.parameters())


# Largest eigenvalue


@law
@given(spectra, st.integers(0, 99))
def test_eigenvalue_laws(spectrum, seed):
    H, _ = matrix(spectrum, seed)
    start = torch.randn(len(H), dtype=torch.float64)
    top, scale = highest(H, start), max(map(abs, spectrum))
    v, tiny = top.vector["w"], 1e-12 * scale
    assert top.value <= max(spectrum) + tiny
    assert v.norm().item() == pytest.approx(1)
    assert top.residual == pytest.approx((H @ v - top.value * v).norm().item(), abs=tiny)
    assert min(abs(top.value - d) for d in spectrum) <= top.residual + tiny
    assert 1 <= top.n_products <= len(spectrum)
    assert top.converged
    exact = highest(H, start, tol=0)
    assert exact.value == pytest.approx(max(spectrum), abs=tiny)
    assert exact.n_products >= top.n_products


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    "spectrum", [[5], [5, 2], [5, 2, -7], [-9, -3, 1, 2], [4, 3, 2, 1], [-1, 0, 0, 0]]
)
def test_largest_is_algebraic_not_the_modulus(spectrum, sign):
    spectrum = [sign * d for d in spectrum]
    top = highest(matrix(spectrum)[0])
    assert top.converged
    assert top.value == pytest.approx(max(spectrum), abs=1e-12)
    assert top.n_products == len(set(spectrum))


@pytest.mark.parametrize("factor", [1e-25, 1e-12, 1e12])
def test_units_of_the_loss_do_not_matter(factor):
    H = matrix([*range(1, 40), 100])[0].float()
    top = highest(factor * H)
    assert top.converged
    assert top.value / factor == pytest.approx(highest(H).value, rel=1e-5)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("top", [42.0, 45.0, 100.0])
def test_start_at_a_wrong_eigenvector_with_a_small_gap(top, seed):
    d = torch.tensor([*range(1, 40), top]).double()
    start = torch.zeros(40).double().index_fill(0, torch.tensor(38), 1.0)
    generator = torch.Generator().manual_seed(seed)
    found = largest_eigenvalue(lambda v: {"w": d * v["w"]}, {"w": start}, generator=generator)
    assert found.converged
    assert found.value == pytest.approx(top, rel=2e-3)


def test_products_go_by_name():
    params = {"a": torch.zeros(2), "b": torch.zeros(2)}
    _, product = hessian_product(lambda p: (p["a"] ** 2 + 3 * p["b"] ** 2).sum(), params)
    found = product({"b": torch.ones(2), "a": torch.zeros(2)})
    assert found["a"].tolist() == [0, 0]
    assert found["b"].tolist() == [6, 6]


def test_loss_that_reads_no_parameter():
    slope, product = hessian_product(lambda p: torch.tensor(1.0), {"w": torch.ones(2)})
    assert slope["w"].tolist() == gradient(lambda p: torch.tensor(1.0), slope)["w"].tolist()
    assert slope["w"].tolist() == product(slope)["w"].tolist() == [0, 0]


def test_start_without_the_right_eigenvector():
    H, Q = matrix([*range(1, 40), 100.0])
    for k in (0, 20, 38):
        assert highest(H, Q[:, k]).value == pytest.approx(100, rel=1e-3)
    H, Q = matrix([*range(1, 40), 45.0])
    top = highest(H, Q[:, :-1].sum(1))
    assert top.value == pytest.approx(45, rel=1e-3)
    assert top.n_products <= 15


def test_start_at_the_right_eigenvector():
    H, Q = matrix([*range(1, 40), 100.0])
    top = highest(H, Q[:, -1])
    assert top.value == pytest.approx(100, rel=1e-9)
    assert top.n_products == 8
    assert abs(top.vector["w"] @ Q[:, -1]).item() == pytest.approx(1)


@pytest.mark.parametrize("factor", [0.0, 3.0, -3.0])
@pytest.mark.parametrize("start", [torch.zeros(20), torch.ones(20)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_multiples_of_the_identity(factor, start, dtype):
    top = highest(factor * torch.eye(20, dtype=dtype), start.to(dtype))
    assert top.value == pytest.approx(factor, rel=1e-6)
    assert top.converged
    assert top.n_products <= 2
    assert top.vector["w"].norm().item() == pytest.approx(1, rel=1e-6)


@pytest.mark.parametrize("max_products", [1, 3, 8])
def test_too_few_products(max_products):
    H, _ = matrix(torch.linspace(-5, 5, 200).tolist())
    top = highest(H, max_products=max_products)
    assert (top.converged, top.n_products) == (False, max_products)
    assert top.residual > 0
    assert top.value < 5
    v = top.vector["w"]
    assert top.residual == pytest.approx((H @ v - top.value * v).norm().item())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("after", [0, 3])
def test_products_that_are_not_finite(bad, after):
    H, calls = matrix(range(50))[0], []

    def product(v):
        calls.append(1)
        return {"w": H @ v["w"] * (bad if len(calls) > after else 1)}

    top = largest_eigenvalue(product, {"w": torch.ones(50).double()})
    assert math.isnan(top.value)
    assert math.isnan(top.residual)
    assert top.converged is False
    assert top.n_products == len(calls) == after + 1
    assert not top.vector["w"].isnan().any()


@pytest.mark.parametrize("n", [3, 60])
def test_never_above_the_true_value_in_float32(n):
    for seed in range(20):
        H = matrix([*torch.linspace(-8, 1, n - 1).tolist(), 4], seed)[0].float()
        truth = torch.linalg.eigvalsh(H.double())[-1].item()
        for tol in (1e-3, 0):
            top = highest(H, tol=tol)
            assert truth - 2 * tol * 8 - 1e-5 < top.value < truth + 1e-5
            assert top.converged
            assert top.n_products <= n


def test_the_same_call_gives_the_same_result():
    H, _ = matrix(range(40))
    first, again = (highest(H, torch.ones(40).double()) for _ in range(2))
    assert first[0] == again[0]
    assert torch.equal(first.vector["w"], again.vector["w"])
    unscaled = highest(H, torch.full((40,), 1e-6).double())
    assert unscaled.value == pytest.approx(first.value, rel=1e-12)
    other = highest(H, torch.ones(40).double(), generator=torch.Generator().manual_seed(1))
    assert other.value != first.value
