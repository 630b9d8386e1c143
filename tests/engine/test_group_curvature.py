"""Gradient and curvature of groups against dense Hessians, and how the rows are streamed."""

import architecture_cases as nets
import numpy as np
import pytest
import scipy.sparse
import torch
from architecture_cases import CASES, EVERYONE, FLAT, GROUPS, N_ROWS, close
from scipy.sparse.linalg import eigsh
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune.engine import group_curvature as gc
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation
from sklearn_fairprune.functional.curvature import Eigenvalue

torch.set_num_threads(1)
EXACTLY = {"tol": 1e-12, "max_products": 500}
EVERY_CASE = pytest.mark.parametrize("name", nets.with_costly(CASES))
SOME_CASES = pytest.mark.parametrize("name", ["mlp", "cnn", "recurrent"])


@EVERY_CASE
def test_gradient_is_that_of_autograd(name):
    ev, data = nets.evaluation(name)
    module = nets.make(name).module_
    for index in GROUPS:
        raw = nets.raw_outputs(module, CASES[name].X[index.numpy()])
        y = torch.from_numpy(CASES[name].y[index.numpy()])
        loss = {
            "regression": nn.functional.mse_loss,
            "one logit": lambda raw, y: nn.BCEWithLogitsLoss()(raw[:, 0], y.double()),
        }.get(name, nn.functional.cross_entropy)(raw, y)
        expected = torch.autograd.grad(loss, list(module.parameters()))
        found = gc.mean_gradient(ev, data, index, batch_size=2)
        assert list(found) == [key for key, _ in module.named_parameters()]
        close(nets.flat(found), nets.flat(expected))


@EVERY_CASE
@pytest.mark.parametrize("memory", [0, 2**28])
def test_products_are_those_of_the_dense_hessian(name, memory):
    (ev, data), truth = nets.evaluation(name), nets.loss_truth(name)
    vector, pieces = nets.direction(ev.params)
    for index in [*GROUPS, EVERYONE]:
        mean, product = gc.linearize(ev, data, index, batch_size=4, memory=memory)
        close(nets.flat(mean), truth.gradients[index].mean(0))
        close(nets.flat(product(pieces)), truth.hessians[index].mean(0) @ vector)


@EVERY_CASE
def test_everything_against_the_dense_hessian(name):
    (ev, data), truth = nets.evaluation(name), nets.loss_truth(name)
    vector, pieces = nets.direction(ev.params)
    for index in [*GROUPS, EVERYONE]:
        found = gc.group_curvature(ev, data, index, pieces, batch_size=4, **EXACTLY)
        gradients, hessians = truth.gradients[index], truth.hessians[index]
        mean, hessian = gradients.mean(0), hessians.mean(0)
        assert found.gradient_norm == pytest.approx(mean.norm().item(), rel=1e-10)
        close(found.slopes, gradients @ mean / mean.norm())
        assert found.slopes.mean().item() == pytest.approx(found.gradient_norm, rel=1e-10)
        value, top = found.eigenvalue.value, nets.flat(found.eigenvalue.vector)
        assert found.eigenvalue.converged
        assert value == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=1e-9)
        close(hessian @ top, value * top, rtol=1e-5)
        close(found.curvatures, torch.einsum("p,npq,q->n", top, hessians, top), rtol=1e-9)
        assert found.curvatures.mean().item() == pytest.approx(value, rel=1e-9)
        bend = torch.einsum("p,npq,q->n", vector, hessians, vector)
        close(found.estimates, gradients @ vector + bend / 2, rtol=1e-9)
        assert {t.dtype for t in found[2:]} == {torch.float64}


@pytest.mark.parametrize("name", ["mlp", "cnn"])
@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_curvlinops_agrees(name):
    curvlinops = pytest.importorskip("curvlinops")
    (ev, data), module = nets.evaluation(name), nets.make(name).module_.eval()
    for index in GROUPS:
        batches = [(torch.from_numpy(CASES[name].X[index.numpy()]), data.y[index])]
        theirs = curvlinops.HessianLinearOperator(
            module, nn.CrossEntropyLoss(), list(module.parameters()), batches
        )
        vector, pieces = nets.direction(ev.params)
        _, product = gc.linearize(ev, data, index, batch_size=2)
        close(nets.flat(product(pieces)), theirs @ vector, rtol=1e-10)
        expected = eigsh(theirs.to_scipy(), k=1, which="LA", return_eigenvectors=False)
        found = gc.group_curvature(ev, data, index, tol=1e-3).eigenvalue
        assert found.converged
        assert found.value == pytest.approx(expected.item(), rel=1e-3)


@SOME_CASES
@pytest.mark.parametrize("batch_size", [1, 7, 1024])
@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_streaming_changes_nothing(name, batch_size, share):
    ev, data = nets.evaluation(name)
    pieces = nets.direction(ev.params)[1]
    memory = int(share * gc.graph_bytes(ev, data, EVERYONE) * (N_ROWS + 1))
    options = {"batch_size": batch_size, "memory": memory}
    expected = gc.group_curvature(ev, data, EVERYONE, pieces, **EXACTLY)
    found = gc.group_curvature(ev, data, EVERYONE, pieces, **EXACTLY, **options)
    assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-12)
    assert found.eigenvalue.value == pytest.approx(expected.eigenvalue.value, rel=1e-10)
    close(nets.flat(found.eigenvalue.vector), nets.flat(expected.eigenvalue.vector), rtol=1e-5)
    close(found.slopes, expected.slopes)
    close(found.estimates, expected.estimates)


@pytest.mark.parametrize("kind", ["dataset", "csr", "memory-map"])
@pytest.mark.parametrize("memory", [0, 2**28])
def test_where_the_rows_lie_does_not_matter(kind, memory, tmp_path):
    ev, data = nets.evaluation("mlp")
    if kind == "memory-map":
        np.save(tmp_path / "X.npy", FLAT)
        X = np.load(tmp_path / "X.npy", mmap_mode="r")
    else:
        X = nets.Lookup(FLAT) if kind == "dataset" else scipy.sparse.csr_matrix(FLAT)
    elsewhere = Rows(X, CASES["mlp"].y, dtype=torch.float64)
    vector, pieces = nets.direction(ev.params)
    for index in GROUPS:
        _, product = gc.linearize(ev, elsewhere, index, batch_size=2, memory=memory)
        hessian = nets.loss_truth("mlp").hessians[index].mean(0)
        close(nets.flat(product(pieces)), hessian @ vector)
        found = gc.group_curvature(ev, elsewhere, index, pieces, memory=memory)
        expected = gc.group_curvature(ev, data, index, pieces)
        assert found.gradient_norm == pytest.approx(expected.gradient_norm, rel=1e-12)
        assert found.eigenvalue.value == pytest.approx(expected.eigenvalue.value, rel=1e-10)
        close(found.slopes, expected.slopes)
        close(found.curvatures, expected.curvatures, rtol=1e-6)
        close(found.estimates, expected.estimates)


@SOME_CASES
def test_graphs_are_kept_within_the_memory_and_given_back(name):
    ev, data = nets.evaluation(name)
    row, pieces, watch = (
        gc.graph_bytes(ev, data, EVERYONE),
        nets.direction(ev.params)[1],
        nets.Watch(ev),
    )
    for memory, kept in ((0, 0), (row * 5, 4), (row * 8 - 1, 4), (row * 8, 8), (row * 12, 12)):
        options, watch.most = {"batch_size": 4, "memory": memory}, 0
        n_rows, (_, product) = watch.spent(gc.linearize, ev, data, EVERYONE, **options)
        assert n_rows == N_ROWS + 8  # and the probe of eight nets.rows
        assert watch.rows_held() == kept
        for _ in range(2):
            assert watch.spent(product, pieces)[0] == N_ROWS - kept
            assert watch.rows_held() == kept
        assert watch.most == max(8, min(kept + 4, N_ROWS))
        del product
        assert not watch.nodes
    watch.most = 0
    gc.group_curvature(ev, data, EVERYONE, pieces)
    assert (watch.most, watch.rows_held()) == (N_ROWS, 0)


def test_peak_memory_follows_the_batch_not_the_group():
    ev, _ = nets.evaluation("mlp")
    data = Rows(np.tile(FLAT, (10, 1)), np.tile(CASES["mlp"].y, 10), dtype=torch.float64)
    pieces, watch = nets.direction(ev.params)[1], nets.Watch(ev)
    for batch_size in (9, 40):
        options = {"batch_size": batch_size, "memory": 0}
        gc.group_curvature(ev, data, torch.arange(120), pieces, **options)
        assert watch.most == batch_size


def test_graph_bytes_grow_with_the_network():
    sizes = []
    for width in (8, 80, 800):
        net = nets.fitted(
            lambda w=width: nn.Sequential(nn.Linear(4, w), nn.Tanh(), nn.Linear(w, 3))
        )
        data = nets.rows("mlp")
        ev = Evaluation(net, data, classifies=True)
        sizes.append(gc.graph_bytes(ev, data, EVERYONE))
        one = gc.graph_bytes(ev, data, EVERYONE[:1])
        assert one == pytest.approx(sizes[-1], rel=0.05)  # a row's share, without weights
    assert 0 < 5 * sizes[0] < sizes[1] < 11 * sizes[0]
    assert 9 * sizes[1] < sizes[2] < 11 * sizes[1]


@SOME_CASES
def test_order_of_rows_and_of_groups_does_not_matter(name):
    (ev, data), (again, same_data) = nets.evaluation(name), nets.evaluation(name)
    pieces, options = nets.direction(ev.params)[1], {"batch_size": 2, **EXACTLY}
    ones = [gc.group_curvature(ev, data, index, pieces, **options) for index in GROUPS]
    others = [
        gc.group_curvature(again, same_data, index.flip(0), pieces, **options)
        for index in reversed(GROUPS)
    ]
    for one, other in zip(ones, reversed(others), strict=True):
        assert one.gradient_norm == pytest.approx(other.gradient_norm, rel=1e-12)
        assert one.eigenvalue.value == pytest.approx(other.eigenvalue.value, rel=1e-10)
        close(one.slopes, other.slopes.flip(0))
        close(one.estimates, other.estimates.flip(0))


def test_group_with_no_gradient():
    weight, bias = torch.randn(2, 4, dtype=torch.float64), torch.randn(2, dtype=torch.float64)
    net = nets.fitted(lambda: nn.Linear(4, 2), NeuralNetRegressor)
    net.module_.load_state_dict({"weight": weight, "bias": bias})
    X = np.arange(48.0).reshape(12, 4) % 7
    targets = torch.from_numpy(X) @ weight.T + bias
    data = Rows(X, targets.numpy(), dtype=torch.float64)
    ev = Evaluation(net, data, classifies=False)
    targets = ev.outputs(ev.params, torch.from_numpy(X))  # to the last bit
    data.y = targets
    found = gc.group_curvature(ev, data, EVERYONE, ev.params, **EXACTLY)
    assert found.gradient_norm == 0
    assert not found.slopes.any()
    features = torch.from_numpy(np.column_stack([X, np.ones(12)]))
    # the mean over two targets takes the factor 2 of the square away
    expected = torch.linalg.eigvalsh(features.T @ features / 12)[-1].item()
    assert found.eigenvalue.value == pytest.approx(expected, rel=1e-9)
    close(found.estimates, (targets**2).mean(1))


def test_fewer_parameters_than_products():
    net = nets.fitted(lambda: nn.Linear(1, 1), NeuralNetRegressor)
    data = Rows(FLAT[:, :1], nets.TARGETS[:, :1], dtype=torch.float64)
    ev = Evaluation(net, data, classifies=False)
    found = gc.group_curvature(ev, data, EVERYONE, nets.direction(ev.params)[1]).eigenvalue
    features = np.column_stack([FLAT[:, :1], np.ones(N_ROWS)])
    expected = np.linalg.eigvalsh(2 * features.T @ features / N_ROWS)[-1]
    assert found.value == pytest.approx(expected, rel=1e-12)
    assert (found.n_products, found.converged) == (2, True)


def test_without_displacement_nothing_is_estimated():
    ev, data = nets.evaluation("mlp")
    found = gc.group_curvature(ev, data, GROUPS[0])
    assert found.estimates.tolist() == [0.0] * 5
    zero = {name: torch.zeros_like(p) for name, p in ev.params.items()}
    still = gc.group_curvature(ev, data, GROUPS[0], zero)
    assert still.estimates.tolist() == [0.0] * 5
    assert still.eigenvalue[0] == found.eigenvalue[0]
    assert still.eigenvalue.converged


def test_curvature_of_the_displacement_corrects_the_eigenvalue():
    ev, data = nets.evaluation("words")
    values, vectors = torch.linalg.eigh(nets.loss_truth("words").hessians[GROUPS[1]].mean(0))
    plain = gc.group_curvature(ev, data, GROUPS[1], max_products=1).eigenvalue
    assert plain.value + plain.residual < values[-1].item() * 0.8
    for scale in (1.0, 0.01, -3.0):
        displacement = nets.like(vectors[:, -1] * scale, ev.params)
        found = gc.group_curvature(ev, data, GROUPS[1], displacement, max_products=1)
        assert found.eigenvalue.value == pytest.approx(values[-1].item(), rel=1e-9)
        assert found.eigenvalue.residual < 1e-9
        close(nets.flat(found.eigenvalue.vector), vectors[:, -1] * np.sign(scale))
        assert found.curvatures.mean().item() == pytest.approx(found.eigenvalue.value)
        assert not found.eigenvalue.converged
        settled = gc.group_curvature(ev, data, GROUPS[1], displacement, tol=1e-6)
        assert settled.eigenvalue.converged


def test_wrong_eigenvalue_is_found_out(monkeypatch):
    ev, data = nets.evaluation("mlp")
    values, vectors = torch.linalg.eigh(nets.loss_truth("mlp").hessians.mean(0))
    lower = Eigenvalue(values[-2].item(), nets.like(vectors[:, -2], ev.params), 0.0, 5, True)
    monkeypatch.setattr(gc, "largest_eigenvalue", lambda *args, **options: lower)
    top, second = (nets.like(2 * vectors[:, -k], ev.params) for k in (1, 2))
    found = gc.group_curvature(ev, data, EVERYONE, top).eigenvalue
    assert found.value == pytest.approx(values[-1].item(), rel=1e-9)
    assert not found.converged
    same = gc.group_curvature(ev, data, EVERYONE, second).eigenvalue
    assert same.value == pytest.approx(lower.value, rel=1e-12)  # but for rounding
    assert same.converged
    near = lower._replace(value=values[-1].item() * (1 - 1e-4))
    monkeypatch.setattr(gc, "largest_eigenvalue", lambda *args, **options: near)
    found = gc.group_curvature(ev, data, EVERYONE, top).eigenvalue
    assert found.value == pytest.approx(values[-1].item(), rel=1e-9)
    assert found.converged


def test_rounding_does_not_unsettle_an_eigenvalue():
    # One parameter: every displacement is the eigenvector, and the residual is 0.
    rng, unsettled = np.random.default_rng(0), 0
    for _ in range(20):
        data = Rows(*rng.normal(size=(2, 9, 1)), dtype=torch.float64)
        net = nets.fitted(lambda: nn.Linear(1, 1, bias=False), NeuralNetRegressor)
        ev = Evaluation(net, data, classifies=False)
        found = gc.group_curvature(ev, data, torch.arange(9), ev.params)
        unsettled += not found.eigenvalue.converged
    assert unsettled == 0


@pytest.mark.parametrize("n_groups", [2, 10, 50])
def test_all_gradients_together_are_one_pass(n_groups):
    ev, _ = nets.evaluation("mlp")
    X, y = np.tile(FLAT, (10, 1)), np.tile(CASES["mlp"].y, 10)
    data, watch = Rows(X, y, dtype=torch.float64), nets.Watch(ev)
    codes = np.random.default_rng(0).permutation(np.arange(len(y)) % n_groups)
    groups = [torch.as_tensor(np.flatnonzero(codes == a)) for a in range(n_groups)]
    means = [gc.mean_gradient(ev, data, group, batch_size=16) for group in groups]
    assert sum(watch.sizes) == len(y)
    assert max(watch.sizes) == min(16, len(groups[0]))
    mixed = sum(
        nets.flat(g) * len(group) / len(y) for g, group in zip(means, groups, strict=True)
    )
    close(mixed, nets.loss_truth("mlp").gradients.mean(0))


@SOME_CASES
@pytest.mark.parametrize("memory", [0, 2**28])
def test_weights_make_it_the_gradient_and_hessian_of_the_weighted_loss(name, memory):
    (ev, data), truth = nets.evaluation(name), nets.loss_truth(name)
    _, pieces = nets.direction(ev.params)
    index = EVERYONE
    weights = torch.linspace(0.5, 3, len(index), dtype=torch.float64)
    share = weights / weights.sum()
    options = {"batch_size": 4, "memory": memory, "weights": weights} | EXACTLY
    found = gc.group_curvature(ev, data, index, pieces, **options)
    mean = share @ truth.gradients[index]
    hessian = torch.einsum("n,npq->pq", share, truth.hessians[index])
    assert found.gradient_norm == pytest.approx(mean.norm().item(), rel=1e-9)
    assert (share @ found.slopes).item() == pytest.approx(found.gradient_norm, rel=1e-9)
    value = found.eigenvalue.value
    assert value == pytest.approx(torch.linalg.eigvalsh(hessian)[-1].item(), rel=1e-8)
    assert (share @ found.curvatures).item() == pytest.approx(value, rel=1e-8)
    gradient = gc.mean_gradient(ev, data, index, batch_size=2, weights=7 * weights)
    close(nets.flat(gradient), mean)
