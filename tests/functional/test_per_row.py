"""Derivatives of single rows and diagonals, against loops over rows."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import hessian, jacobian
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from sklearn_fairprune.functional import (
    directional_derivatives,
    fisher_diagonal,
    flatten,
    hessian_diagonal,
    hessian_norms,
    hessian_product,
    jacobian_norms,
    norm,
    row_gradients,
    row_hessian_products,
    spectral_norms,
    trainable,
    unflatten,
)

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=40, database=None)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm, self.out = nn.LSTM(3, 2, batch_first=True), nn.Linear(2, 2)

    def forward(self, X):
        return self.out(self.lstm(X)[0][:, -1])


class Named(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(3, 2), nn.Linear(1, 2)

    def forward(self, X):
        return self.a(X["a"]).tanh() * self.b(X["b"])


class Decides(Named):
    """Control flow that reads the data, which vmap cannot take."""

    def forward(self, X):
        return super().forward(X) if X["b"].sum() > 0 else self.a(X["a"]) ** 2


def plain():
    return nn.Sequential(nn.Linear(3, 3), nn.Tanh(), nn.Linear(3, 2))


class Case:
    """A network, some rows, and functions of one row."""

    def __init__(self, make, n_rows=4):
        torch.manual_seed(3)
        self.net = make().double()
        self.params = trainable(self.net)
        self.X = torch.randn(n_rows, *((4, 3) if make is Recurrent else (3,))).double()
        if make in (Named, Decides):
            self.X = {"a": self.X, "b": torch.tensor([[1.0], [-1], [2], [-3]]).double()}
        self.y = torch.arange(n_rows) % 2

    def logits(self, params, x):
        one = {k: v[None] for k, v in x.items()} if isinstance(x, dict) else x[None]
        return functional_call(self.net, params, (one,))[0]

    def loss(self, params, x, y):
        return cross_entropy(self.logits(params, x), y)

    def rows(self):
        for k, y in enumerate(self.y):
            X = self.X
            yield {n: v[k] for n, v in X.items()} if isinstance(X, dict) else X[k], y


NETWORKS = [plain, Named, Recurrent, Decides]


def close(a, b, rtol=1e-9, atol=1e-9):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)
    return True


def slow(derivative, case, function):
    """Jacobian or Hessian of every row by itself, in the flat parameters."""
    at = flatten(case.params)
    one = lambda *row: derivative(lambda v: function(unflatten(v, case.params), *row), at)  # noqa: E731
    return torch.stack([one(*row) for row in case.rows()])


# Rows at once


@pytest.mark.parametrize("make", NETWORKS)
def test_gradients_equal_the_loop(make):
    case = Case(make)
    rows = row_gradients(case.loss, case.params, case.X, case.y)
    assert close(rows, slow(jacobian, case, case.loss))
    assert not rows.requires_grad


@pytest.mark.parametrize("make", NETWORKS)
def test_hessian_products_equal_the_loop(make):
    case = Case(make)
    vectors = torch.randn(4, len(flatten(case.params))).double()
    rows = row_hessian_products(case.loss, case.params, vectors, case.X, case.y)
    H = slow(hessian, case, case.loss)
    assert close(rows, (H @ vectors[:, :, None])[:, :, 0])
    assert not rows.requires_grad


@pytest.mark.parametrize("make", NETWORKS)
def test_norms_equal_the_loop(make):
    case = Case(make)
    truth = slow(jacobian, case, lambda p, x, y: case.logits(p, x))
    found = jacobian_norms(case.logits, case.params, case.X, 2)
    assert close(found, torch.linalg.matrix_norm(truth, 2))
    norms, converged = hessian_norms(case.logits, case.params, case.X, 2)
    for k in range(2):
        truth = slow(hessian, case, lambda p, x, y, k=k: case.logits(p, x)[k])
        assert close(norms[:, k], torch.linalg.matrix_norm(truth, 2), rtol=1e-3)
    assert converged.all()
    assert converged.shape == (4, 2)


def test_single_row_and_options_of_lanczos():
    case = Case(plain, n_rows=1)
    assert row_gradients(case.loss, case.params, case.X, case.y).shape == (1, 20)
    assert jacobian_norms(case.logits, case.params, case.X, 2).shape == (1,)
    none = hessian_norms(case.logits, case.params, case.X[:0], 2)
    assert [part.shape for part in none] == [(0, 2), (0, 2)]
    for tol, enough in ((1e-3, False), (10, True)):
        options = {"tol": tol, "max_products": 1}
        converged = hessian_norms(case.logits, case.params, case.X, 2, **options)[1]
        assert converged.tolist() == [[enough, enough]]

    def norm_from(seed):  # one product shows where it started
        options = {"max_products": 1, "generator": torch.Generator().manual_seed(seed)}
        return hessian_norms(case.logits, case.params, case.X, 1, **options)[0].item()

    assert norm_from(0) != norm_from(1) == norm_from(1)


@pytest.mark.parametrize(("make", "n_calls"), [(plain, 1), (Decides, 5)])
def test_rows_are_read_one_by_one_only_where_vmap_fails(make, n_calls):
    case, calls = Case(make), []
    row_gradients(lambda *row: calls.append(1) or case.loss(*row), case.params, case.X, case.y)
    assert len(calls) == n_calls


def test_operations_that_vmap_would_take_slowly():
    w, X = torch.tensor([3.0, 4.0]), torch.tensor([[[1.0, 1.0]], [[0.1, 0.1]]])
    rows = row_gradients(lambda p, x: torch.renorm(p["w"] * x, 2, 0, 1.0)[0, 0], {"w": w}, X)
    assert close(rows, torch.tensor([[0.128, -0.096], [0.1, 0]]), atol=1e-6)


def test_errors_of_the_network_are_told():
    case = Case(plain)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        row_gradients(case.loss, case.params, case.X[:, :2], case.y)
    with pytest.raises(RuntimeError, match="split_sizes"):
        row_hessian_products(case.loss, case.params, torch.zeros(4, 3), case.X, case.y)


def test_linear_logits_have_no_hessian():
    case = Case(lambda: nn.Linear(3, 2))
    norms, converged = hessian_norms(case.logits, case.params, case.X, 2)
    assert norms.tolist() == [[0, 0]] * 4
    assert converged.all()
    lengths = (case.X.norm(dim=1) ** 2 + 1).sqrt()  # of each row and its constant
    assert close(jacobian_norms(case.logits, case.params, case.X, 2), lengths)


# Directional derivatives


@pytest.mark.parametrize("make", [plain, Named, Recurrent])
def test_directional_derivatives_equal_the_loop(make):
    case = Case(make)
    direction = {k: torch.randn_like(v) for k, v in case.params.items()}
    u = flatten(direction)

    def losses(p):
        return cross_entropy(functional_call(case.net, p, (case.X,)), case.y, reduction="none")

    for d in (direction, dict(reversed(direction.items()))):
        first, second = directional_derivatives(losses, case.params, d)
        assert close(first, slow(jacobian, case, case.loss) @ u)
        assert close(second, slow(hessian, case, case.loss) @ u @ u)
        assert not (first + second).requires_grad
    slope, product = hessian_product(lambda p: losses(p).mean(), case.params)
    assert close(second.mean(), flatten(product(direction)) @ u)
    first, _ = directional_derivatives(losses, case.params, slope)
    assert close(first.mean() / norm(slope), norm(slope))


@pytest.mark.parametrize(
    ("loss", "slopes", "bends"),
    [
        (lambda p, x: x * p["w"].prod(), [1, 3], [-2, -6]),
        (lambda p, x: x * p["w"][0], [1, 3], [0, 0]),
        (lambda p, x: x, [0, 0], [0, 0]),
    ],
)
def test_directional_derivatives_of_simple_losses(loss, slopes, bends):
    params = {"w": torch.tensor([1.0, 2.0]), "unused": torch.ones(3)}
    u, x = {"w": torch.tensor([1.0, -1.0]), "unused": torch.ones(3)}, torch.tensor([1.0, 3.0])
    first, second = directional_derivatives(lambda p: loss(p, x), params, u)
    assert (first.tolist(), second.tolist()) == (slopes, bends)
    (alone,) = directional_derivatives(lambda p: loss(p, x), params, u, order=1)
    assert torch.equal(alone, first)
    assert not params["w"].requires_grad


# Many spectral norms


@law
@given(st.lists(st.lists(st.integers(-999, 999), max_size=7), max_size=4), st.integers(0, 99))
def test_spectral_norms_of_a_batch(spectra, seed):
    torch.manual_seed(seed)
    d = [torch.tensor(s, dtype=torch.float64) for s in [*spectra, [-1]]]
    d = nn.utils.rnn.pad_sequence(d, batch_first=True)
    Q = torch.linalg.qr(torch.randn(*d.shape, d.shape[1], dtype=torch.float64)).Q
    H, start, truth = Q @ d.diag_embed() @ Q.mT, torch.randn_like(d), d.abs().amax(1)

    def product(v):
        return (H @ v[..., None])[..., 0]

    for tol in (0, 1e-3):
        norms, converged = spectral_norms(product, start, tol=tol)
        assert converged.all()
        assert (norms <= truth * (1 + 1e-12)).all()
        assert tol or close(norms, truth, atol=1e-12 * float(truth.max()))
    assert norms.dtype is torch.float64


def test_spectral_norms_of_a_mixture():
    torch.manual_seed(0)
    line = torch.linspace(-1, 1, 60)
    H = [
        torch.zeros(60),  # no direction at all
        torch.full((60,), -2.0),  # one product
        torch.tensor([3.0, -3.0]).repeat(30),  # two products, both ends alike
        line,  # many products
        torch.where(line == 1, 4, line),
        torch.where(line == 1, 3.9, 2 * line - 2),  # the end that decides is the slower one
        torch.full((60,), torch.nan),
    ]
    H, truth = torch.stack(H).double(), torch.tensor([0, 2, 3, 1, 4, 4, torch.nan]).double()
    start = torch.randn_like(H)
    norms, converged = spectral_norms(lambda v: H * v, start)
    assert converged.tolist() == [True] * 6 + [False]
    torch.testing.assert_close(norms, truth, rtol=1e-3, atol=0, equal_nan=True)
    few, converged = spectral_norms(lambda v: H * v, start, max_products=4)
    assert converged[[0, 1, 2, 3, 6]].tolist() == [True] * 3 + [False] * 2
    assert few[3] < 1
    cube = H[:6].reshape(2, 3, 60)
    norms, _ = spectral_norms(lambda v: cube * v, start[:6].reshape(2, 3, 60))
    assert close(norms, truth[:6].reshape(2, 3), rtol=1e-3)


# Diagonals


def test_fisher_is_the_mean_of_squared_gradients():
    case = Case(plain)
    squares = slow(jacobian, case, case.loss) ** 2
    found = fisher_diagonal(case.loss, case.params, case.X, case.y)
    assert close(found, unflatten(squares.mean(0), case.params))
    weights = torch.tensor([0.0, 1, 2, 5]).double()
    found = fisher_diagonal(case.loss, case.params, case.X, case.y, weights=weights)
    assert close(flatten(found), (weights[:, None] * squares).sum(0) / 4)


def test_true_fisher_of_a_linear_softmax_is_its_hessian_diagonal():
    case = Case(lambda: nn.Linear(3, 4), n_rows=6)
    p = case.net(case.X).softmax(1).detach()
    labels = torch.arange(4).expand(6, 4)
    fisher = sum(
        flatten(fisher_diagonal(case.loss, case.params, case.X, y, weights=w))
        for y, w in zip(labels.T, p.T, strict=True)
    )
    _, product = hessian_product(
        lambda q: cross_entropy(functional_call(case.net, q, (case.X,)), case.y), case.params
    )
    diagonal = hessian_diagonal(product, case.params)
    assert close(flatten(diagonal), fisher)
    assert close(diagonal["bias"], (p * (1 - p)).mean(0))
