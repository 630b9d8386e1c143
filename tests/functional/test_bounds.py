"""The paper's propositions and theorems on real networks and in closed form."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from sklearn_fairprune.functional import (
    closeness,
    dot,
    flatten,
    gradient,
    group_means,
    hessian_diagonal,
    hessian_norms,
    hessian_product,
    jacobian_norms,
    largest_eigenvalue,
    magnitude,
    norm,
    proposition2_terms,
    prunable,
    row_gradients,
    score_masks,
    second_order_estimate,
    theorem1_bound,
    theorem2_terms,
    trainable,
    unflatten,
)

torch.set_num_threads(1)
law = settings(deadline=None, max_examples=60, database=None)
seeds = st.integers(0, 10**6)


def close(a, b, rtol=1e-9, atol=1e-9):
    torch.testing.assert_close(a, b, rtol=rtol, atol=atol)
    return True


def top_eigenvalue(loss, params):
    H = hessian(lambda v: loss(unflatten(v, params)), flatten(params))
    return torch.linalg.eigvalsh(H)[-1].item()


# Proposition 1


def logistic(X, y):
    return lambda p: binary_cross_entropy_with_logits(X @ p["w"] + p["b"], y)


@pytest.mark.parametrize("n_a", [5, 20, 32])
def test_larger_group_has_the_smaller_gradient_at_a_stationary_point(n_a):
    """Of two groups, ||g_a|| / ||g_b|| = n_b / n_a, without weight decay."""
    torch.manual_seed(n_a)
    X, y = torch.randn(40, 3).double(), (torch.rand(40) < 0.5).double()
    for decay, stationary in ((0.0, True), (0.1, False)):
        params = {"w": torch.zeros(3).double(), "b": torch.zeros(()).double()}

        def penalised(p, decay=decay):
            return logistic(X, y)(p) + decay * dot(p, p)

        for _ in range(20):  # Newton's method
            at = flatten(params)
            H = hessian(lambda v, p=params: penalised(unflatten(v, p)), at)
            step = torch.linalg.solve(H, flatten(gradient(penalised, params)))
            params = unflatten(at - step, params)
        g_a = gradient(logistic(X[:n_a], y[:n_a]), params)
        g_b = gradient(logistic(X[n_a:], y[n_a:]), params)
        ratio = (norm(g_a) / norm(g_b)).item()
        assert (ratio == pytest.approx((40 - n_a) / n_a, rel=1e-9)) is stationary
        mean = gradient(logistic(X, y), params)
        assert close(mean, {k: (n_a * g_a[k] + (40 - n_a) * g_b[k]) / 40 for k in mean})


# Theorem 1


def quadratic(seed, shape=(2, 2), n=6):
    """Loss 1/2 t'At + b't of a dict of n parameters, A indefinite, and a place."""
    generator = torch.Generator().manual_seed(seed)
    A = torch.randn(n, n, generator=generator).double()
    A, b = A + A.T, torch.randn(n, generator=generator).double()
    point = torch.randn(2, n, generator=generator).double()
    like = {"a": torch.zeros(shape), "b": torch.zeros(n - 4)}

    def loss(p):
        return flatten(p) @ A @ flatten(p) / 2 + b @ flatten(p)

    return loss, A, *(unflatten(v, like) for v in point)


@law
@given(seeds)
def test_estimate_of_a_quadratic_loss_is_exact_and_bounded(seed):
    loss, A, params, displacement = quadratic(seed)
    pruned = {k: params[k] + displacement[k] for k in params}
    slope, product = hessian_product(loss, params)
    estimate = second_order_estimate(slope, product(displacement), displacement)
    assert close(estimate, loss(pruned) - loss(params))
    top = torch.tensor(largest_eigenvalue(product, slope, tol=0).value, dtype=torch.float64)
    assert close(top, torch.linalg.eigvalsh(A)[-1])
    bound = theorem1_bound(norm(slope), top, norm(displacement))
    assert estimate <= bound + 1e-9


@law
@given(seeds, st.floats(0, 5), st.floats(-5, 5))
def test_bound_is_reached(seed, length, curvature):
    """Along a gradient that is the top eigenvector, unless the curvature is negative."""
    u = torch.randn(4, generator=torch.Generator().manual_seed(seed)).double()
    g, step = {"w": u}, {"w": length * u / u.norm()}
    estimate = second_order_estimate(g, {"w": curvature * step["w"]}, step)
    bound = theorem1_bound(u.norm(), *torch.tensor([curvature, length], dtype=u.dtype))
    assert close(bound, estimate + max(-curvature, 0) * length**2 / 2)


def test_bound_values():
    assert theorem1_bound(2.0, 4.0, 0.5) == 1.5
    assert theorem1_bound(2.0, -4.0, 0.5) == theorem1_bound(2.0, 0.0, 0.5) == 1
    one, two = torch.ones(1), torch.ones(1, 2)
    assert theorem2_terms(one, -two, one, two).tolist() == [3]
    groups = theorem1_bound(torch.tensor([1.0, 2.0]), torch.tensor([6.0, -6.0]), 2.0)
    assert groups.tolist() == [14, 4]


def test_bound_grows_with_the_sparsity():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    weights = {k: w.detach() for k, w in prunable(net).items()}
    distances, before = [], None
    for sparsity in (0.0, 0.1, 0.3, 0.5, 0.8, 0.95):
        masks = score_masks({k: magnitude(w) for k, w in weights.items()}, sparsity)
        distances.append(norm({k: w * ~masks[k] for k, w in weights.items()}))
        assert before is None or all((masks[k] <= before[k]).all() for k in masks)  # nested
        before = masks
    bounds = [theorem1_bound(0.5, 2.0, d).item() for d in distances]
    assert bounds[0] == 0
    assert bounds == sorted(set(bounds))


# Proposition 2 and Theorem 2


class Case:
    """A random network with one logit or one a class, and rows in three groups."""

    def __init__(self, n_logits, seed, activation=nn.Tanh):
        torch.manual_seed(seed)
        net = nn.Sequential(nn.Linear(3, 4), activation(), nn.Linear(4, n_logits)).double()
        self.net, self.params, self.n_logits = net, trainable(net), n_logits
        for p in self.params.values():
            p.mul_(2)
        self.X, self.codes = torch.randn(15, 3).double(), torch.arange(15) % 3
        self.y = torch.randint(0, max(n_logits, 2), (15,))

    def logits(self, params, x):
        return functional_call(self.net, params, (x[None],))[0]

    def loss(self, params, rows):
        z, y = functional_call(self.net, params, (self.X[rows],)), self.y[rows]
        if self.n_logits == 1:
            return binary_cross_entropy_with_logits(z[:, 0], y.double())
        return cross_entropy(z, y)

    def factors(self):
        """What the terms are made of: s(x) or p (1 - p), p - y, and both norms."""
        z = self.net(self.X).detach()
        if self.n_logits == 1:
            p, y = z.sigmoid(), self.y[:, None]
            uncertainty = (p * (1 - p))[:, 0]
        else:
            p, y = z.softmax(1), one_hot(self.y, self.n_logits)
            uncertainty = closeness(p)
        hessians, done = hessian_norms(self.logits, self.params, self.X, self.n_logits)
        assert done.all()
        jacobians = jacobian_norms(self.logits, self.params, self.X, self.n_logits)
        return uncertainty, p - y, jacobians, hessians

    def groups(self, terms):
        """Every group's loss, with the group mean of the terms."""
        for a, bound in enumerate(group_means(terms, self.codes, 3)):
            yield lambda p, a=a: self.loss(p, self.codes == a), bound.item() * (1 + 1e-6)


@pytest.mark.parametrize("n_logits", [1, 2, 4])
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", [nn.Tanh, nn.ReLU])
def test_proposition2_and_theorem2_bound_every_group(n_logits, seed, activation):
    case = Case(n_logits, seed, activation)
    uncertainty, residuals, jacobians, hessians = case.factors()
    terms = proposition2_terms(residuals, jacobians)
    assert terms.shape == (15,)
    for loss, bound in case.groups(terms):
        assert norm(gradient(loss, case.params)) <= bound
    terms = theorem2_terms(uncertainty, residuals, jacobians, hessians)
    assert terms.shape == (15,)
    for loss, bound in case.groups(terms):
        assert top_eigenvalue(loss, case.params) <= bound


def test_proposition2_is_an_equality_for_one_row_and_one_logit():
    case = Case(1, seed=0)
    _, residuals, jacobians, _ = case.factors()
    rows = row_gradients(
        lambda p, x, y: binary_cross_entropy_with_logits(case.logits(p, x)[0], y),
        case.params,
        case.X,
        case.y.double(),
    )
    assert close(proposition2_terms(residuals, jacobians), rows.norm(dim=1))


@pytest.mark.parametrize("w", [0.3, 1.5])
def test_theorem2_is_an_equality_for_one_parameter(w):
    """With the logit x w^2 / 2 and y = 0 both terms are what they bound."""
    X, params = torch.tensor([0.5, 2.0]).double(), {"w": torch.tensor(w, dtype=torch.float64)}
    p = (X * w**2 / 2).sigmoid()[:, None]
    jacobians = jacobian_norms(lambda q, x: (x * q["w"] ** 2 / 2)[None], params, X, 1)
    hessians, _ = hessian_norms(lambda q, x: (x * q["w"] ** 2 / 2)[None], params, X, 1)
    assert close(jacobians, X * w)
    assert close(hessians, X[:, None])
    terms = theorem2_terms((p * (1 - p))[:, 0], p, jacobians, hessians)
    for x, term in zip(X, terms, strict=True):
        loss = lambda q, x=x: nn.functional.softplus(x * q["w"] ** 2 / 2)  # noqa: E731
        assert term.item() == pytest.approx(top_eigenvalue(loss, params))


def test_theorem2_as_printed_is_false():
    """With gradient and Hessian of the probability, for one row on the boundary."""
    X, y = torch.tensor([[1.0, 2.0]]).double(), torch.ones(1).double()
    params = {"w": torch.tensor([2.0, -1.0]).double(), "b": torch.tensor(0.0).double()}

    def bound(output):
        p = torch.tensor([[0.5]]).double()
        norms = jacobian_norms(output, params, X, 1), hessian_norms(output, params, X, 1)[0]
        return theorem2_terms((p * (1 - p))[:, 0], p - 1, *norms).item()

    curvature = top_eigenvalue(logistic(X, y), params)
    assert curvature == pytest.approx(0.25 * 6)
    assert bound(lambda p, x: (x @ p["w"] + p["b"])[None]) == pytest.approx(curvature)
    assert bound(lambda p, x: (x @ p["w"] + p["b"]).sigmoid()[None]) < curvature / 10


# Groups of a logistic regression and of a trained network


def test_logistic_regression_has_a_closed_form():
    """H_a = X'WX / n_a in every group."""
    torch.manual_seed(0)
    X, y = torch.randn(30, 4).double(), (torch.rand(30) < 0.4).double()
    params = {"w": torch.randn(4).double()}
    for rows in (slice(0, 8), slice(8, 30)):
        A, p = X[rows], (X[rows] @ params["w"]).sigmoid()
        slope, product = hessian_product(
            lambda q, A=A, b=y[rows]: binary_cross_entropy_with_logits(A @ q["w"], b), params
        )
        truth = A.T @ (p * (1 - p)).diag() @ A / len(A)
        assert close(slope["w"], A.T @ (p - y[rows]) / len(A))
        columns = [product({"w": e})["w"] for e in torch.eye(4).double()]
        assert close(torch.stack(columns, 1), truth)
        assert close(hessian_diagonal(product, params)["w"], truth.diag())
        top = torch.linalg.eigvalsh(truth)[-1].item()
        assert largest_eigenvalue(product, slope).value == pytest.approx(top, rel=1e-9)


def test_group_hessians_of_a_trained_network_take_few_products():
    torch.manual_seed(0)
    X, codes = torch.randn(1500, 8), torch.randint(0, 9, (1500,))
    scores = X @ torch.randn(8, 5) + X[:, :1] * X[:, 1:2] * torch.randn(5)
    y = (scores + 0.3 * torch.randn(1500, 5)).argmax(1)
    net = nn.Sequential(nn.Linear(8, 20), nn.ReLU(), nn.Linear(20, 5))
    optimizer = torch.optim.Adam(net.parameters(), 0.02)
    for _ in range(150):
        optimizer.zero_grad()
        cross_entropy(net(X), y).backward()
        optimizer.step()
    spent, params = [], trainable(net)
    for a in range(9):
        A, b = X[codes == a], y[codes == a]
        loss = lambda p, A=A, b=b: cross_entropy(functional_call(net, p, (A,)), b)  # noqa: E731
        slope, product = hessian_product(loss, params)
        top = largest_eigenvalue(product, slope)
        truth = top_eigenvalue(loss, params)
        assert top.converged
        assert top.value == pytest.approx(truth, rel=1e-3)
        spent.append(top.n_products)
    assert max(spent) <= 12
    assert sorted(spent)[4] <= 9
