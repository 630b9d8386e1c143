"""Multipliers and weights against epochs by hand, and against exact solutions."""

import numpy as np
import pytest
import torch
from engine_cases import make
from scipy.optimize import minimize, nnls
from skorch import NeuralNetRegressor

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.dual_ascent import DualAscent
from sklearn_fairprune.engine.dual_rule import DualRule
from sklearn_fairprune.engine.training import train
from sklearn_fairprune.functional import (
    bounded_group_loss,
    equal_loss,
    group_means,
    minimax,
    violations,
)
from sklearn_fairprune.functional.dual_updates import project

torch.set_num_threads(1)
rng = np.random.default_rng(1)
X, GROUPS = rng.normal(size=(45, 4)), rng.permutation(np.arange(45) % 9 % 4)
X[GROUPS == 3] += 1
Y = 1 * (X[:, 0] * np.where(GROUPS < 2, 2, -1) + rng.normal(size=45) > 0)
Y += X[:, 1] + rng.normal(size=45) > 1
TARGETS = X @ rng.normal(size=(4, 3)) * np.array([[1], [2], [0.5], [-1]])[GROUPS]
W = rng.uniform(0.1, 3, 45)
CLASS_WEIGHT = torch.tensor([1.0, 2.0, 5.0])
INF = float("inf")


def data(y=Y, weights=None, groups=GROUPS):
    return Rows(X, y, groups=groups, weights=weights, dtype=torch.float64)


def ascend(net, rows, epochs, **rule):
    """Train under a rule; returns the multipliers' object."""
    rule = {
        "constraint": equal_loss,
        "tolerance": 0.0,
        "update": "absolute",
        "lr": 0.5,
        "gain": 0.0,
        "smoothing": 0.0,
        "steps": 1,
        "window": 1.0,
        "total": INF,
    } | rule
    dual = DualAscent(DualRule(**rule), net, rows, int(rows.groups.max()) + 1)
    train(net, rows, epochs, seed=0, dual=dual)
    return dual


def theta(net):
    return torch.cat([p.detach().flatten() for p in net.module_.parameters()])


def close(a, b, tolerance=1e-10):
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    return True


class ByHand:
    """A copy of a net's linear layer, its losses by group, and steps on any objective."""

    def __init__(self, net, rows):
        linear, self.criterion, self.rows = net.module_, net.criterion_, rows
        self.theta = [p.detach().clone().requires_grad_() for p in linear.parameters()]
        y, classes = rows.y, getattr(self.criterion, "weight", None)
        self.mass = torch.ones(len(rows)).double() if rows.weights is None else rows.weights
        self.mass = self.mass if classes is None else self.mass * classes[y]

    def losses(self, at):
        """Losses of all rows and of the groups present, on the graph; NaN where absent."""
        out = self.rows.X[at] @ self.theta[0].T + self.theta[1]
        if self.rows.y.is_floating_point():
            rows = (out - self.rows.y[at]).square().mean(dim=1)
        else:
            rows = -out.log_softmax(dim=1)[range(len(out)), self.rows.y[at]]
        mass, codes = self.mass[at], self.rows.groups[at]
        return (mass * rows).sum() / mass.sum(), group_means(rows, codes, 4, mass)

    def step(self, objective, lr=0.1):
        slopes = torch.autograd.grad(objective, self.theta)
        with torch.no_grad():
            for p, slope in zip(self.theta, slopes, strict=True):
                p -= lr * slope

    def close_to(self, net):
        return close(theta(net), torch.cat([p.detach().flatten() for p in self.theta]))


CASES = {
    "plain": ({}, Y, None),
    "rows weighted": ({}, Y, W),
    "classes weighted": ({"criterion__weight": CLASS_WEIGHT}, Y, None),
    "both weighted": ({"criterion__weight": CLASS_WEIGHT}, Y, W),
    "regression": ({"kind": NeuralNetRegressor}, TARGETS, W),
}


@pytest.mark.parametrize(("options", "y", "weights"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("size", [-1, 20, 7, 1])
def test_the_papers_rule_by_hand(options, y, weights, size):
    net, rows = make(batch_size=size, **options), data(y, weights)
    hand, lam = ByHand(net, rows), torch.zeros(4).double()
    size = 45 if size == -1 else size
    for _ in range(4):
        seen = [[] for _ in lam]
        for start in range(0, 45, size):
            whole, groups = hand.losses(slice(start, start + size))
            gaps = {a: (j - whole).abs() for a, j in enumerate(groups) if not j.isnan()}
            for a, gap in gaps.items():
                seen[a].append(gap.item())
            hand.step(whole + sum(lam[a] * gap for a, gap in gaps.items()))
        lam = lam + 0.5 * torch.tensor([np.mean(gaps) for gaps in seen])
    dual = ascend(net, rows, 4)
    assert hand.close_to(net)
    assert close(dual.multipliers, lam)
    assert lam.max() > 0.1 or size == 1


def test_the_papers_rule_with_a_tolerance_by_hand():
    net, rows = make(batch_size=15), data()
    hand, lam = ByHand(net, rows), torch.zeros(4).double()
    for _ in range(4):
        total, count = torch.zeros(2, 4).double()
        for start in range(0, 45, 15):
            whole, groups = hand.losses(slice(start, start + 15))
            over = ((groups - whole).abs() - 0.1).clamp(min=0)
            hand.step(whole + (lam * over).nansum())
            total, count = total + over.detach().nan_to_num(0.0), count + over.isfinite()
        lam = lam + 0.5 * total / count
    assert close(ascend(net, rows, 4, tolerance=0.1).multipliers, lam)
    assert hand.close_to(net)


@pytest.mark.parametrize(("options", "y", "weights"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("constraint", [equal_loss, bounded_group_loss, minimax])
def test_projected_multipliers_on_full_batches_by_hand(options, y, weights, constraint):
    net, rows = make(**options), data(y, weights)
    hand, simplex = ByHand(net, rows), constraint is minimax
    shares = torch.zeros(4).double().index_add(0, rows.groups, hand.mass) / hand.mass.sum()
    lam = shares if simplex else torch.zeros(4).double()
    rule = {"tolerance": 0.05, "total": 0.9, "gain": 2.0, "smoothing": 0.3, "lr": 0.4}
    before, negative = torch.zeros(4).double(), False
    for epoch in range(6):
        whole, groups = hand.losses(slice(None))
        g = violations(constraint, {"losses": groups, "shares": shares})
        hand.step(whole + lam @ g)
        e = g.detach() - (0 if simplex else 0.05)
        now = e if epoch == 0 else 0.3 * before + 0.7 * e
        lam, before = lam + 0.4 * (e + 2 * (now - before)), now
        negative |= bool((lam < 0).any())
        lam = project(lam, 1.0 if simplex else 0.9, simplex)
    dual = ascend(net, rows, 6, update="projected", constraint=constraint, **rule)
    assert close(dual.multipliers, lam)
    assert hand.close_to(net)
    assert negative or constraint is not equal_loss


@pytest.mark.parametrize("update", ["projected", "signed"])
def test_steps_inside_an_epoch_on_running_means_by_hand(update):
    net, rows = make(batch_size=15), data()
    hand, shares = ByHand(net, rows), torch.bincount(rows.groups) / 45
    stack = torch.zeros(2 if update == "signed" else 1, 4).double()
    means = None
    for _ in range(3):
        for start in range(0, 45, 15):
            at = slice(start, start + 15)
            lam = stack[0] - stack[1] if update == "signed" else stack[0]
            weights = 1 + lam / shares - lam.sum()
            part = torch.bincount(rows.groups[at], minlength=4)
            _, groups = hand.losses(at)
            hand.step((weights * part / 15 * groups.nan_to_num(0.0)).sum())
            new = groups.detach()
            assert not new.isnan().any()
            rate = (part / (0.5 * 45 * shares)).clamp(max=1)
            means = new if means is None else means + rate * (new - means)
            g = means - shares.double() @ means
            both = torch.stack([g - 0.02, -g - 0.02])[: len(stack)]
            stack = (stack + 0.6 * 15 / 45 * both).clamp(min=0)
    dual = ascend(net, rows, 3, update=update, steps=3, window=0.5, tolerance=0.02, lr=0.6)
    assert close(dual.state, stack, 1e-7)
    assert close(theta(net), torch.cat([p.detach().flatten() for p in hand.theta]), 1e-7)


def test_a_wider_tolerance_has_smaller_multipliers():
    duals = [ascend(make(), data(), 4, tolerance=t) for t in (0.2, 0.1, 0.05, 0.0)]
    sums = [float(dual.multipliers.sum()) for dual in duals]
    assert sums == sorted(set(sums))


# ---- exact solutions of convex problems ---------------------------------------------------

LINE = X @ np.array([1.0, -1.0, 0.5, 0.0]) + np.array([0.0, 1.0, -2.0, 0.5])[GROUPS]


def group_problem():
    """Mean squared errors of all rows and of every group, and their slopes, in numpy."""
    A = np.column_stack([X, np.ones(45)])
    members = [np.flatnonzero(a == GROUPS) for a in range(4)]
    parts = [A[at] for at in members], [LINE[at] for at in members]

    def losses(t):
        return np.array([np.mean((P @ t - y) ** 2) for P, y in zip(*parts, strict=True)])

    def slopes(t):
        return np.array([2 * P.T @ (P @ t - y) / len(y) for P, y in zip(*parts, strict=True)])

    return losses, slopes, np.bincount(GROUPS) / 45


def line_net(**options):
    return make(NeuralNetRegressor, module__out_features=1, lr=0.05, **options)


@pytest.mark.slow
def test_bounded_group_loss_reaches_the_exact_solution():
    losses, slopes, shares = group_problem()
    free = minimize(
        lambda t: shares @ losses(t), np.zeros(5), jac=lambda t: shares @ slopes(t)
    )
    bound = np.sort(losses(free.x))[-1] * 0.8
    limit = {"type": "ineq", "fun": lambda t: bound - losses(t), "jac": lambda t: -slopes(t)}
    exact = minimize(
        lambda t: shares @ losses(t),
        free.x,
        jac=lambda t: shares @ slopes(t),
        constraints=limit,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert exact.success
    active = losses(exact.x) > bound - 1e-6
    expected = np.zeros(4)
    expected[active] = nnls(slopes(exact.x)[active].T, -shares @ slopes(exact.x))[0]
    net, rule = line_net(), {"update": "projected", "constraint": bounded_group_loss}
    dual = ascend(net, data(LINE), 1500, tolerance=bound, lr=0.1, gain=3.0, **rule)
    assert theta(net).numpy() == pytest.approx(exact.x, abs=1e-3)
    assert dual.multipliers.numpy() == pytest.approx(expected, abs=1e-3)
    assert expected.max() > 0.05
    assert (expected == 0).any()


@pytest.mark.slow
def test_minimax_reaches_the_exact_solution():
    losses, slopes, _ = group_problem()
    limit = {
        "type": "ineq",
        "fun": lambda x: x[5] - losses(x[:5]),
        "jac": lambda x: np.column_stack([-slopes(x[:5]), np.ones(4)]),
    }
    exact = minimize(
        lambda x: x[5],
        np.r_[np.zeros(5), 9.0],
        jac=lambda x: np.eye(6)[5],
        constraints=limit,
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    assert exact.success
    stationary = np.vstack([slopes(exact.x[:5]).T, np.ones(4)])
    active = losses(exact.x[:5]) > exact.x[5] - 1e-6
    expected = np.zeros(4)
    expected[active] = nnls(stationary[:, active], np.eye(6)[5])[0]
    net, rule = line_net(), {"update": "projected", "constraint": minimax}
    dual = ascend(net, data(LINE), 1500, lr=0.03, gain=5.0, total=1.0, **rule)
    assert theta(net).numpy() == pytest.approx(exact.x[:5], abs=1e-3)
    assert dual.multipliers.numpy() == pytest.approx(expected, abs=1e-3)
    assert ((expected > 0.01) & (expected < 0.99)).sum() >= 2


@pytest.mark.slow
def test_equal_loss_ends_where_the_conditions_of_optimality_hold():
    net, rows = make(lr=1.0), data()
    rule = {"tolerance": 0.05, "update": "projected", "total": INF, "gain": 3.0}
    dual = ascend(net, rows, 1200, lr=0.2, **rule)
    hand, lam = ByHand(net, rows), dual.multipliers
    whole, groups = hand.losses(slice(None))
    slopes = torch.autograd.grad(whole + lam @ (groups - whole), hand.theta, retain_graph=True)
    free = torch.autograd.grad(whole, hand.theta)
    over = (groups - whole).detach() - 0.05
    assert max(s.abs().max() for s in slopes) < 1e-3 < max(s.abs().max() for s in free)
    assert over.max() < 1e-3
    assert (lam * over).abs().max() < 1e-3
    assert lam.max() > 0.05
