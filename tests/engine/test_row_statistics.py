"""Losses, gradient norms and terms of bounds, row by row, against the slow way."""

import copy

import architecture_cases as nets
import numpy as np
import pytest
import torch
from architecture_cases import CASES, EVERYONE, FLAT, GROUPS, N_ROWS, close
from skorch.callbacks import Callback
from torch import nn

from sklearn_fairprune.engine import row_statistics as rs
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation
from sklearn_fairprune.engine.group_curvature import group_curvature

torch.set_num_threads(1)
EVERY_CASE = pytest.mark.parametrize("name", nets.with_costly(CASES))
RECURRENT = pytest.param("recurrent", marks=pytest.mark.slow)


def spectral_norms(matrices):
    return torch.linalg.matrix_norm(matrices, ord=2)


@EVERY_CASE
@pytest.mark.parametrize("batch_size", [1, 7, 1024])
def test_losses_and_outputs(name, batch_size):
    ev, data = nets.evaluation(name)
    raw = nets.raw_outputs(nets.make(name).module_, CASES[name].X).detach()
    outputs = {"regression": raw, "one logit": torch.cat([-raw, raw], 1).sigmoid()}
    expected, watch = outputs.get(name, raw.softmax(1)), nets.Watch(ev)
    for index in [*GROUPS, EVERYONE, EVERYONE.flip(0)]:
        losses, found = rs.row_outcomes(ev, data, index, batch_size=batch_size)
        close(losses, nets.loss_truth(name).values[index])
        close(found, expected[index])
        assert not losses.requires_grad
    assert max(watch.sizes) == min(batch_size, N_ROWS)


def test_outcomes_of_other_parameters():
    ev, data = nets.evaluation("mlp")
    other, _ = nets.evaluation("mlp")
    other.params["0.weight"] *= 2.0
    found = rs.row_outcomes(ev, data, EVERYONE, other.params)
    with torch.no_grad():
        ev.net.module_[0].weight *= 2.0  # what was evaluated shares the memory of the copy
    for one, expected in zip(found, rs.row_outcomes(ev, data, EVERYONE), strict=True):
        close(one, expected)


def test_everything_is_float64_whatever_the_network_computes_in():
    data = nets.rows("mlp", dtype=torch.float32)
    ev = Evaluation(nets.make("mlp", dtype=torch.float32), data, classifies=True)
    found = [*rs.row_outcomes(ev, data, EVERYONE), rs.gradient_norms(ev, data, EVERYONE)]
    found += rs.bound_terms(ev, data, EVERYONE)[:2]
    assert {t.dtype for t in found} == {torch.float64}
    close(found[0], nets.loss_truth("mlp").values, rtol=1e-5)


@EVERY_CASE
@pytest.mark.parametrize("rows_at_once", [1, 5, 1024])
def test_gradient_norms_against_a_loop(name, rows_at_once):
    ev, data = nets.evaluation(name)
    expected = nets.loss_truth(name).gradients.norm(dim=1)
    size = sum(p.nbytes for p in ev.params.values())
    for index in GROUPS:
        found = rs.gradient_norms(ev, data, index, memory=2 * size * rows_at_once)
        close(found, expected[index])
    close(rs.gradient_norms(ev, data, GROUPS[0], memory=0), expected[GROUPS[0]])


@pytest.mark.parametrize("name", nets.with_costly(nets.WITH_LOGITS))
def test_bound_terms_by_hand(name):
    ev, data = nets.evaluation(name)
    truth, residuals = nets.logit_truth(name)
    jacobians = spectral_norms(truth.gradients)
    probability = torch.sigmoid(truth.values) if ev.n_logits == 1 else truth.values.softmax(1)
    # p (1 - p) is half of 1 - p^2 - (1 - p)^2: only with one logit is that enough.
    uncertainty = (probability * (1 - probability)).sum(1)
    curved = (residuals.abs() * spectral_norms(truth.hessians)).sum(1)
    found = rs.bound_terms(ev, data, GROUPS[0], tol=1e-9, max_products=200)
    proposition, theorem, done = found
    assert done.all()
    close(proposition, residuals.norm(dim=1) * jacobians)
    close(theorem, uncertainty * jacobians**2 + curved, rtol=1e-7)


@pytest.mark.parametrize("name", nets.with_costly(nets.WITH_LOGITS))
def test_bounds_hold(name):
    ev, data = nets.evaluation(name)
    proposition, theorem, _ = rs.bound_terms(ev, data, EVERYONE)
    truth = nets.loss_truth(name)
    for index in [*GROUPS, EVERYONE, *EVERYONE[:, None]]:
        gradient, hessian = truth.gradients[index].mean(0), truth.hessians[index].mean(0)
        assert gradient.norm() <= proposition[index].mean() * (1 + 1e-9)
        # Lanczos to 1e-3 gives the spectral norms from below
        assert torch.linalg.eigvalsh(hessian)[-1] <= theorem[index].mean() * 1.001
    assert (proposition >= truth.gradients.norm(dim=1) * (1 - 1e-9)).all()


def test_proposition_is_sharp_for_one_logit():
    ev, data = nets.evaluation("one logit")
    close(rs.bound_terms(ev, data, EVERYONE)[0], rs.gradient_norms(ev, data, EVERYONE))


@pytest.mark.parametrize("n_classes", [2, 3])
def test_theorem_for_logits_linear_in_the_parameters(n_classes):
    net, y = nets.fitted(lambda: nn.Linear(4, n_classes)), np.arange(N_ROWS) % n_classes
    data = Rows(FLAT, y, dtype=torch.float64)
    ev = Evaluation(net, data, classifies=True)
    probability = ev.outputs(ev.params, torch.from_numpy(FLAT)).detach()
    squares = torch.from_numpy((FLAT**2).sum(1) + 1)  # of the features and the bias's 1
    if n_classes == 2:
        squares = squares * 2  # the difference of two logits
        uncertainty = probability.prod(1)
    else:
        uncertainty = 1 - (probability**2).sum(1)
    _, theorem, done = rs.bound_terms(ev, data, EVERYONE)
    assert done.all()
    close(theorem, uncertainty * squares)


def test_two_logits_are_bounded_as_their_difference():
    ev, data = nets.evaluation("two classes")
    twin = nets.fitted(lambda: Difference(nets.make("two classes").module_))
    with torch.no_grad():
        for one, other in zip(twin.module_.parameters(), ev.params.values(), strict=True):
            one.copy_(other)
    same = Evaluation(twin, data, classifies=True)
    for one, other in zip(
        rs.bound_terms(ev, data, EVERYONE), rs.bound_terms(same, data, EVERYONE), strict=True
    ):
        close(one.double(), other.double(), rtol=1e-3)


class Difference(nn.Module):
    """Two logits, the first of them 0."""

    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, X):
        out = self.body(X)
        return torch.stack([torch.zeros_like(out[:, 0]), out[:, 1] - out[:, 0]], 1)


@pytest.mark.parametrize("name", ["mlp", "one logit", RECURRENT])
def test_memory_and_order_do_not_change_bound_terms(name):
    ev, data = nets.evaluation(name)
    options = {"tol": 1e-9, "max_products": 200}
    expected = rs.bound_terms(ev, data, EVERYONE, **options)
    size = sum(p.nbytes for p in ev.params.values()) * (ev.n_logits + 16)
    for memory in (0, 5 * size):
        found = rs.bound_terms(ev, data, GROUPS[1].flip(0), memory=memory, **options)
        for one, whole in zip(found[:2], expected[:2], strict=True):
            close(one, whole[GROUPS[1].flip(0)], rtol=1e-7)


def test_rows_at_once_fit_into_the_memory(monkeypatch):
    ev, data = nets.evaluation("mlp")
    sizes, real = [], rs.read
    monkeypatch.setattr(rs, "read", lambda *args: (sizes.append(args[-1]), real(*args))[1])
    vector = sum(p.nbytes for p in ev.params.values())
    for memory, most in ((0, 1), (6 * vector, 3), (6 * vector + 1, 3), (2**50, 1024)):
        rs.gradient_norms(ev, data, EVERYONE, memory=memory)
        assert sizes.pop() == most
    for memory, most in ((0, 1), (57 * vector, 3), (57 * vector - 1, 2), (2**50, 1024)):
        rs.bound_terms(ev, data, EVERYONE, memory=memory)
        assert sizes.pop() == most


class Named(nn.Module):
    """Reads its features from two arguments."""

    def __init__(self, name):
        super().__init__()
        self.body = CASES[name].module()

    def forward(self, first, rest):
        return self.body(torch.cat([first, rest], 1))


@pytest.mark.parametrize("name", ["mlp", RECURRENT])  # the second is too much for vmap
def test_named_features(name):
    X, net = CASES[name].X, nets.fitted(Named, module__name=name)
    net.module_.body.load_state_dict(nets.make(name).module_.state_dict())
    named = nets.Lookup([{"first": x[:1], "rest": x[1:]} for x in X])
    data = Rows(named, CASES[name].y, dtype=torch.float64)
    ev, (plain, same_data) = Evaluation(net, data, classifies=True), nets.evaluation(name)
    close(rs.row_outcomes(ev, data, GROUPS[1])[0], nets.loss_truth(name).values[GROUPS[1]])
    for one, other in zip(
        rs.bound_terms(ev, data, EVERYONE, tol=1e-9),
        rs.bound_terms(plain, same_data, EVERYONE, tol=1e-9),
        strict=True,
    ):
        close(one.double(), other.double(), rtol=1e-6)
    expected = nets.loss_truth(name).gradients.norm(dim=1)
    close(rs.gradient_norms(ev, data, EVERYONE), expected)


def test_named_features_in_float64():
    net = nets.fitted(Named, dtype=torch.float32, module__name="mlp")
    X = FLAT.astype(np.float32)
    expected = copy.deepcopy(net.module_.body).double()(torch.from_numpy(X).double())
    named = Rows(nets.Lookup([{"first": x[:1], "rest": x[1:]} for x in X]), CASES["mlp"].y)
    ev = Evaluation(net, named, classifies=True, dtype=torch.float64)
    outputs = rs.row_outcomes(ev, named, EVERYONE)[1]
    close(outputs, expected.detach().softmax(1), rtol=1e-13)


def test_unconverged_rows_are_told(monkeypatch):
    ev, data = nets.evaluation("mlp")
    _, theorem, done = rs.bound_terms(ev, data, EVERYONE, max_products=1)
    assert done.dtype is torch.bool
    assert not done.any()
    assert (theorem <= rs.bound_terms(ev, data, EVERYONE, tol=1e-9)[1] * (1 + 1e-9)).all()
    one_logit_only = torch.zeros(N_ROWS, 3), torch.eye(3).bool().repeat(4, 1)
    monkeypatch.setattr(rs, "hessian_norms", lambda *args, **options: one_logit_only)
    assert not rs.bound_terms(ev, data, EVERYONE)[2].any()


class Count(Callback):
    called = 0

    def notify(self, method_name, net, **kwargs):
        self.called += 1


def snapshot(net):
    """All that one can see of a net from outside."""
    module = net.module_
    params = [(p.requires_grad, p.grad, p.data_ptr()) for p in module.parameters()]
    callbacks = [id(callback) for _, callback in net.callbacks_]
    modes = [m.training for m in module.modules()]
    return params, callbacks, modes, list(net.__dict__), net.criterion_.reduction


@EVERY_CASE
@pytest.mark.parametrize("training", [True, False])
def test_net_is_left_as_it_was(name, training):
    counter = Count()
    net = nets.make(name, callbacks=[counter])
    next(net.module_.parameters()).requires_grad_(False)
    net.module_.train(training)
    state, random = copy.deepcopy(net.module_.state_dict()), torch.get_rng_state()
    seen = snapshot(net)
    data = nets.rows(name)
    ev = Evaluation(net, data, classifies=CASES[name].n_logits > 0)
    rs.row_outcomes(ev, data, EVERYONE)
    group_curvature(ev, data, GROUPS[0], nets.direction(ev.params)[1])
    rs.gradient_norms(ev, data, GROUPS[0])
    if ev.n_logits and training:
        rs.bound_terms(ev, data, GROUPS[0][:2])
    assert torch.equal(torch.get_rng_state(), random)
    assert snapshot(net) == seen
    assert counter.called == 0
    for key, value in net.module_.state_dict().items():
        assert torch.equal(value, state[key])
        assert value.data_ptr() not in {p.data_ptr() for p in ev.params.values()}
    assert not any(m.training for m in ev.net.module_.modules())
    assert all(p.grad is None for p in ev.net.module_.parameters())


def test_frozen_parameters_stay_out():
    net, data = nets.make("mlp"), nets.rows("mlp")
    net.module_[0].requires_grad_(False)
    ev = Evaluation(net, data, classifies=True)
    assert list(ev.params) == ["2.weight", "2.bias"]
    truth = nets.loss_truth("mlp")
    close(rs.gradient_norms(ev, data, EVERYONE), truth.gradients[:, 15:].norm(dim=1))
    top = torch.linalg.eigvalsh(truth.hessians.mean(0)[15:, 15:])[-1].item()
    found = group_curvature(ev, data, EVERYONE, tol=1e-10).eigenvalue.value
    assert found == pytest.approx(top, rel=1e-9)


def test_rows_are_read_as_the_net_needs_them_and_stay_as_they_are():
    data, words = Rows(FLAT, CASES["one logit"].y), nets.rows("words", dtype=torch.float32)
    binary = Evaluation(nets.make("one logit"), data, classifies=True, dtype=torch.float64)
    X, y = next(rs.read(binary, data, EVERYONE, 100))
    assert X.dtype is y.dtype is torch.float64
    assert (data.dtype, data.y.dtype) == (torch.float32, torch.int64)
    looked_up = Evaluation(nets.make("words"), words, classifies=True)
    assert not next(rs.read(looked_up, words, EVERYONE, 100))[0].is_floating_point()
    assert not words.keep_integers


def test_rows_are_read_in_order():
    net = nets.make("mlp", batch_size=4, iterator_valid__drop_last=True)
    net.iterator_valid__shuffle = True  # set_params would warn
    index = torch.tensor([3, 0, 7, 9, 2])
    for X in (FLAT, nets.Lookup(FLAT)):
        data = Rows(X, CASES["mlp"].y, dtype=torch.float64)
        ev = Evaluation(net, data, classifies=True)
        batches = list(rs.read(ev, data, index, 2))
        assert [len(y) for _, y in batches] == [2, 2, 1]
        assert net.iterator_valid__shuffle
        assert torch.equal(torch.cat([X for X, _ in batches]), torch.from_numpy(FLAT)[index])
        assert torch.cat([y for _, y in batches]).tolist() == CASES["mlp"].y[index].tolist()
