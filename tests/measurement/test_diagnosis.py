"""Everything measured, against derivatives written out in full."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from by_hand import skewed_limits
from estimator_cases import Net, make, make_net
from scipy.stats import binomtest
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn
from torch.func import functional_call, grad, jacrev, vmap

from sklearn_fairprune import PrunedClassifier, PrunedRegressor, diagnose
from sklearn_fairprune.measurement.diagnosis import GroupMeans, complete, draw
from sklearn_fairprune.measurement.quantities import Section

RNG = np.random.default_rng(0)
SIZES = {"a": 40, "b": 30, "c": 20}
GROUPS = RNG.permutation(np.repeat(list(SIZES), list(SIZES.values())))
X = RNG.normal(size=(90, 4)) + (GROUPS == "c")[:, None]
CODES = np.digitize(X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=90), [0.3, 1.5])
IMAGES = RNG.normal(size=(90, 1, 4, 4))
WORDS = RNG.integers(0, 5, (90, 3))
EXACT = {"dtype": "float64", "tol": 0, "max_products": 200}


def targets(n_classes):
    return np.minimum(CODES, n_classes - 1)


def fitted(n_classes=3, **options):
    net = make_net(Net, module__n_out=n_classes, max_epochs=8)
    return make(net, **options).fit(X, targets(n_classes))


# The slow truth


def flat(net):
    return torch.cat([p.detach().double().flatten() for p in net.module_.parameters()])


def logits(theta, x, k):
    w1, b1, w2, b2 = theta.split([32, 8, 8 * k, k])
    return (x @ w1.reshape(8, 4).T + b1).relu() @ w2.reshape(k, 8).T + b2


def slow_rows(clf):
    """Row values whose group means are the columns of the report."""
    k = len(clf.classes_)
    x, y = torch.tensor(X), torch.tensor(targets(k))

    def loss(theta, x, y):
        z = logits(theta, x, k)
        return z.exp().sum(-1).log() - z.gather(-1, y[..., None])[..., 0]

    theta, final = flat(clf.dense_estimator_), flat(clf.estimator_)
    named = clf.dense_estimator_.module_.named_parameters()
    masks = [clf.masks_.get(n, torch.ones_like(p)).flatten() for n, p in named]
    delta = theta * torch.cat(masks) - theta
    row_gradients = vmap(grad(loss), (None, 0, 0))(theta, x, y)
    row_hessians = vmap(jacrev(grad(loss)), (None, 0, 0))(theta, x, y)
    p = logits(theta, x, k).softmax(-1)
    top = p.sort(dim=-1, descending=True).values

    def scores(theta, x):
        z = logits(theta, x, k)
        return z[1:] - z[:1] if k == 2 else z

    jacobians = vmap(jacrev(scores), (None, 0))(theta, x)
    bends = vmap(jacrev(jacrev(scores)), (None, 0))(theta, x)
    residuals = p - torch.eye(k)[y]
    uncertainty = (p * (1 - p)).sum(1)
    if k == 2:
        residuals, uncertainty = residuals[:, 1:], p[:, 0] * p[:, 1]
    lengths = torch.linalg.matrix_norm(jacobians, 2)
    bent = (residuals.abs() * torch.linalg.matrix_norm(bends, 2)).sum(1)
    right, still = ((logits(t, x, k).argmax(1) == y).double() for t in (theta, final))
    columns = {
        "dense_loss": loss(theta, x, y),
        "closeness": 1 - (p**2).sum(1),
        "margin": top[:, 0] - top[:, 1],
        "excessive_loss": loss(final, x, y) - loss(theta, x, y),
        "masked_excessive_loss": loss(theta + delta, x, y) - loss(theta, x, y),
        "second_order": row_gradients @ delta + row_hessians @ delta @ delta / 2,
        "gradient_norm_bound": residuals.norm(dim=1) * lengths,
        "eigenvalue_bound": uncertainty * lengths**2 + bent,
        "dense_accuracy": right,
        "accuracy_drop": right - still,
    }
    slopes, curvatures = torch.zeros(90).double(), torch.zeros(90).double()
    for a in SIZES:
        rows = torch.tensor(a == GROUPS)
        mean = row_gradients[rows].mean(0)
        v = torch.linalg.eigh(row_hessians[rows].mean(0)).eigenvectors[:, -1]
        slopes[rows] = row_gradients[rows] @ mean / mean.norm()
        curvatures[rows] = row_hessians[rows] @ v @ v
    size = delta.norm()
    columns |= {"gradient_norm": slopes, "largest_eigenvalue": curvatures}
    columns["theorem1_bound"] = slopes * size + curvatures * size**2 / 2
    return pd.DataFrame({name: v.numpy() for name, v in columns.items()})


@pytest.mark.parametrize("n_classes", [2, 3])
def test_every_column_and_every_limit_against_the_slow_truth(n_classes):
    clf = fitted(n_classes, finetune_epochs=8, sparsity=0.7)
    options = {"n_boot": 2000, "confidence": 0.8, "sensitive_features": GROUPS, **EXACT}
    report = diagnose(clf, X, targets(n_classes), **options)
    table, slow = report.by_group, slow_rows(clf).groupby(GROUPS)
    sizes = np.array([*SIZES.values()])
    truth, error = slow.mean(), slow.std() / np.sqrt(sizes)[:, None]
    share = sizes / 90
    drop, of_drop = truth.pop("accuracy_drop"), error.pop("accuracy_drop") ** 2
    truth["excess_accuracy_gap"] = drop - drop @ share
    rest = of_drop @ share**2 - share**2 * of_drop
    error["excess_accuracy_gap"] = ((1 - share) ** 2 * of_drop + rest) ** 0.5
    assert drop.std() > 0.01
    right = np.rint(truth["dense_accuracy"] * sizes).astype(int)
    for a, hits, n in zip(SIZES, right, sizes, strict=True):
        exact = binomtest(hits, n).proportion_ci(0.8)
        np.testing.assert_allclose(table.loc[a, "dense_accuracy_low"], exact.low)
        np.testing.assert_allclose(table.loc[a, "dense_accuracy_high"], exact.high)
    told = ("excessive_loss", "masked_excessive_loss", "second_order")
    for name in truth:
        np.testing.assert_allclose(table[name], truth[name], 1e-6, 1e-9, err_msg=name)
        low, high = table[f"{name}_low"], table[f"{name}_high"]
        assert ((low < table[name]) & (table[name] < high)).all()
        if name in told:
            values = slow_rows(clf)[name].to_numpy()
            limits = [skewed_limits(values, GROUPS, a, 0.8) for a in SIZES]
            np.testing.assert_allclose(np.c_[low, high], limits, rtol=1e-5, atol=1e-7)
        elif name != "dense_accuracy":
            width = 2 * 1.2816 * error[name]
            np.testing.assert_allclose(high - low, width, rtol=0.15, err_msg=name)
    whole = {"rows", "rows_used", "hessian_products"}
    whole |= {"eigenvalue_residual", "eigenvalue_converged"}
    limits = {f"{name}_{end}" for name in truth for end in ("low", "high")}
    assert set(table) == set(truth) | whole | limits
    assert table["rows"].tolist() == table["rows_used"].tolist() == [*SIZES.values()]
    assert table["eigenvalue_converged"].all()
    assert (table["hessian_products"] >= 5).all()


# Any network


def cnn():
    body = nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.Tanh(), nn.MaxPool2d(2)
    return nn.Sequential(*body, nn.Flatten(), nn.Dropout(0.3), nn.Linear(8, 3))


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(1, 2, 2), nn.BatchNorm2d(2)
        self.second, self.last = nn.Conv2d(2, 2, 3, padding=1), nn.Linear(2, 3)

    def forward(self, X):
        hidden = self.norm(self.first(X)).tanh()
        hidden = hidden + self.second(hidden)
        return self.last(hidden.mean((2, 3)))


class Words(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.last = nn.Embedding(5, 3), nn.Linear(3, 3)

    def forward(self, X):
        return self.last(self.words(X).mean(1).tanh())


def mlp(n_out=3):
    return nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, n_out))


class Margin(nn.MultiMarginLoss):
    """Squared, and differentiable twice."""

    def forward(self, z, y):
        losses = (1 + z - z.gather(1, y[:, None])).clamp(min=0).square().mean(1)
        return losses if self.reduction == "none" else losses.mean()


CLASSES, REALS = (NeuralNetClassifier, PrunedClassifier), (NeuralNetRegressor, PrunedRegressor)
NETWORKS = {
    "cnn": (cnn, IMAGES, CODES, nn.CrossEntropyLoss, CLASSES),
    "residual": (Residual, IMAGES, CODES, nn.CrossEntropyLoss, CLASSES),
    "words": (Words, WORDS, CODES, nn.CrossEntropyLoss, CLASSES),
    "margin loss": (mlp, X, CODES, Margin, CLASSES),
    "regression": (lambda: mlp(2), X, X[:, :2] ** 2, nn.MSELoss, REALS),
    "smooth L1": (lambda: mlp(2), X, X[:, :2] ** 2, nn.SmoothL1Loss, REALS),
}


def row_losses(module, params, x, y, criterion):
    losses = criterion(reduction="none")(functional_call(module, params, (x,)), y)
    return losses.reshape(len(y), -1).mean(1)


@pytest.mark.parametrize("name", NETWORKS)
def test_any_network_against_the_slow_truth(name):
    module, inputs, y, criterion, (kind, pruner) = NETWORKS[name]
    net = make_net(module, kind, criterion=criterion, max_epochs=5)
    est = make(net, pruner, sparsity=0.6, finetune_epochs=5, random_state=1).fit(inputs, y)
    report = diagnose(est, inputs, y, sensitive_features=GROUPS, n_boot=20, **EXACT)
    x, y = torch.tensor(inputs), torch.tensor(y)
    dense, final = (e.module_.double().eval() for e in (est.dense_estimator_, est.estimator_))
    params = {k: p.detach().requires_grad_() for k, p in dense.named_parameters()}
    masked = {k: p * est.masks_.get(k, 1) for k, p in params.items()}
    for a in SIZES:
        rows, row = torch.tensor(a == GROUPS), report.by_group.loc[a]
        loss = row_losses(dense, params, x[rows], y[rows], criterion).mean()
        slopes = torch.autograd.grad(loss, list(params.values()), create_graph=True)
        g = torch.cat([s.flatten() for s in slopes])
        H = [torch.autograd.grad(e, list(params.values()), retain_graph=True) for e in g]
        H = torch.stack([torch.cat([h.flatten() for h in line]) for line in H])
        assert row["dense_loss"] == pytest.approx(loss.item())
        assert row["gradient_norm"] == pytest.approx(g.norm().item())
        top = torch.linalg.eigvalsh(H)[-1].item()
        assert row["largest_eigenvalue"] == pytest.approx(top, rel=1e-6)
        after = row_losses(dense, masked, x[rows], y[rows], criterion).mean()
        assert row["masked_excessive_loss"] == pytest.approx((after - loss).item(), abs=1e-7)
        tuned = dict(final.named_parameters())
        after = row_losses(final, tuned, x[rows], y[rows], criterion).mean()
        assert row["excessive_loss"] == pytest.approx((after - loss).item(), abs=1e-7)
    whole = {"closeness", "gradient_norm_bound", "eigenvalue_bound"} & set(report.by_group)
    assert len(whole) == (3 if criterion is nn.CrossEntropyLoss else 0)
    assert ("dense_accuracy" in report.by_group) == (pruner is PrunedClassifier)
    assert any("no probabilities" in n for n in report.notes) == (name == "margin loss")
    assert (report.about["loss"] == "cross-entropy") == (len(whole) == 3)


# A model with closed forms


@pytest.fixture(scope="module")
def linear():
    """Logistic regression of 2 features, as a bare net."""
    net = make_net(nn.Linear, module__in_features=2, module__out_features=2)
    return net.fit(X[:, :2].astype(np.float32), targets(2).astype(np.int64))


def logistic_truth(net, n, rng):
    """Rows, and the closed forms of their gradient and Hessian."""
    x = rng.normal(size=(n, 2)) + [0.3, 0]
    y = (rng.random(n) < 1 / (1 + np.exp(-3 * x[:, 1]))).astype(np.int64)
    z = x @ net.module_.weight.detach().double().numpy().T + net.module_.bias.detach().numpy()
    p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
    ones, pq = np.column_stack([x, np.ones(n)]), p[:, 0] * p[:, 1]
    # For two logits gradient and Hessian are those of one, times (-1, 1) and its square.
    g = 2**0.5 * np.linalg.norm((p[:, 1] - y) @ ones / n)
    return x, y, g, 2 * np.linalg.eigvalsh((ones * pq[:, None]).T @ ones / n)[-1]


def test_logistic_regression_has_closed_forms_in_many_batches(linear):
    x, y, g, top = logistic_truth(linear, 2500, np.random.default_rng(0))
    options = {"sensitive_features": ["all"] * 2500, "n_boot": 20, "bound_samples": 3}
    row = diagnose(linear, x.astype(np.float32), y, **options, **EXACT).by_group.iloc[0]
    assert row["gradient_norm"] == pytest.approx(g, rel=1e-5)
    assert row["largest_eigenvalue"] == pytest.approx(top, rel=1e-5)


@pytest.mark.slow
def test_limits_of_gradient_norm_and_eigenvalue_cover(linear):
    rng, n_sets, n = np.random.default_rng(1), 100, 200
    *_, g, top = logistic_truth(linear, 400_000, rng)
    sets = [logistic_truth(linear, n, rng)[:2] for _ in range(n_sets)]
    x, y = (np.concatenate(part) for part in zip(*sets, strict=True))
    groups = np.repeat(np.arange(n_sets), n)
    options = {"sensitive_features": groups, "n_boot": 200, "bound_samples": 0}
    table = diagnose(linear, x.astype(np.float32), y, **options).by_group
    for name, truth in {"gradient_norm": g, "largest_eigenvalue": top}.items():
        covers = (table[f"{name}_low"] <= truth) & (truth <= table[f"{name}_high"])
        assert 0.85 <= covers.mean() <= 1
        assert table[f"{name}_high"].sub(table[f"{name}_low"]).mean() < truth


# Rows drawn, and means of rows


def test_rows_drawn():
    codes = np.array([1, 0, 1, 1, 0, 1])
    assert [g.tolist() for g in draw(codes, 2, None, None)] == [[1, 4], [0, 2, 3, 5]]
    few = draw(codes, 2, 2, np.random.default_rng(0))
    assert few[0].tolist() == [1, 4]
    assert len(few[1]) == 2
    assert few[1].tolist() == sorted(set(few[1].tolist()))
    drawn = {tuple(draw(codes, 2, 2, np.random.default_rng(k))[1].tolist()) for k in range(60)}
    assert len(drawn) == 6  # every pair of four rows


def test_group_means_of_the_same_resampled_rows():
    rng = np.random.default_rng(0)
    x = rng.normal(size=7)
    groups = [torch.arange(3), torch.arange(3, 7)]
    columns = {"second_order": x, "theorem1_bound": 2 * x - 1, "closeness": x**2, "y": x}
    means = GroupMeans(columns, groups, 0.5, 400, rng)
    values, samples = means.values, means.samples
    assert means.sizes.tolist() == [3, 4]
    np.testing.assert_allclose(values["second_order"], [x[:3].mean(), x[3:].mean()])
    np.testing.assert_allclose(samples["theorem1_bound"], 2 * samples["second_order"] - 1)
    assert samples["second_order"].shape == (400, 2)
    table = means.table(Section.OUTPUTS, Section.PREDICTION)
    names = ["closeness", "second_order", "theorem1_bound"]
    assert list(table) == [name + end for name in names for end in ("", "_low", "_high")]
    limits = [table["closeness_low"], table["closeness_high"]]
    drawn = np.quantile(samples["closeness"], [0.25, 0.75], 0)
    np.testing.assert_allclose(limits, np.maximum(drawn, 0))
    codes = np.repeat([0, 1], [3, 4])
    limits = np.array([skewed_limits(x, codes, a, 0.5) for a in (0, 1)]).T
    np.testing.assert_allclose([table["second_order_low"], table["second_order_high"]], limits)


def test_limits_stay_where_values_can_be():
    x = np.array([0.0, 0.0, 9.0])
    columns = {"closeness": x, "dense_loss": x - 5, "second_order": x}
    means = GroupMeans(columns, [torch.arange(3)], 0.99, 400, np.random.default_rng(0))
    table = means.table(Section.LOSS, Section.OUTPUTS, Section.PREDICTION)
    assert table["second_order_low"] < 0 == table["closeness_low"]
    assert table["dense_loss_low"] < -5  # of a criterion that can be negative


def test_the_bound_of_a_resampled_norm_below_zero_has_no_gradient():
    columns = {"gradient_norm": np.array([-3.0, 5.0]), "largest_eigenvalue": np.ones(2)}
    means = GroupMeans(columns, [torch.arange(2)], 0.9, 200, np.random.default_rng(0))
    norm = SimpleNamespace(gradient_norm=1.0, eigenvalue=SimpleNamespace(value=2.0))
    complete(means, SimpleNamespace(curvatures=[norm], distance=2.0), np.array([1.0]))
    assert means.values["theorem1_bound"].tolist() == [1.0 * 2 + 2.0 * 2**2 / 2]
    below = means.samples["gradient_norm"] < 0
    assert below.any()
    np.testing.assert_allclose(means.samples["theorem1_bound"][below], 1.0 * 2**2 / 2)
