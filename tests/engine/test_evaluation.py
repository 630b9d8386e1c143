"""A network as functions of its parameters: losses, logits, and a net left as it was."""

import architecture_cases as nets
import pytest
import torch
import torch.nn.functional as F
from architecture_cases import CASES, CLASSES, EVERYONE, FLAT, GROUPS, N_ROWS, close
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation, read
from sklearn_fairprune.engine.group_curvature import group_curvature
from sklearn_fairprune.engine.row_statistics import row_outcomes

torch.set_num_threads(1)
X, WEIGHT = torch.from_numpy(FLAT), torch.tensor([1.0, 2.0, 5.0])
BINARY = CLASSES % 2


def linear(n_out=3, then=lambda out: out):
    """Make a linear layer and what comes after it."""

    class Then(nn.Linear):
        def forward(self, X):
            return then(super().forward(X))

    return lambda: Then(4, n_out)


def losses_of(net, y, classifies=True):
    """Row losses by the evaluation, the evaluation, and the net's raw outputs."""
    data = Rows(FLAT, y, dtype=torch.float64)
    ev = Evaluation(net, data, classifies=classifies)
    return row_outcomes(ev, data, EVERYONE)[0], ev, net.module_(X).detach()


@pytest.mark.parametrize("name", nets.with_costly(CASES))
def test_functions_of_the_parameters(name):
    (ev, data), losses = nets.evaluation(name), nets.loss_truth(name).values
    X, y = next(read(ev, data, EVERYONE, N_ROWS))
    close(ev.losses(ev.params, X, y), losses)
    close(ev.row_loss(ev.params, X[7], y[7]), losses[7])
    assert list(ev.params) == [key for key, _ in nets.make(name).module_.named_parameters()]
    assert not any(p.requires_grad for p in ev.params.values())
    assert (ev.n_logits, ev.has_logits) == (CASES[name].n_logits, name in nets.WITH_LOGITS)
    if ev.has_logits:
        logits, residuals = nets.logit_truth(name)
        close(ev.row_logits(ev.params, X[GROUPS[0][2]]), logits.values[2])
        probability = ev.logits(ev.params, X).softmax(1)
        close(ev.residuals(probability, y)[GROUPS[0]], residuals)
        close(ev.outputs(ev.params, X), probability)


SOFT, SIGMOID = linear(then=lambda out: out.softmax(1)), linear(1, torch.sigmoid)
VECTOR = linear(1, lambda out: out[:, 0])
TWO, LIKELIHOOD = {"kind": NeuralNetBinaryClassifier}, {"criterion": nn.NLLLoss}
DOUBLED = {"predict_nonlinearity": lambda raw: (2 * raw).softmax(-1)}
SURE = {"criterion": nn.MultiMarginLoss, "predict_nonlinearity": nn.Softmax(-1)}


def cross_entropy(logits):
    return -torch.log(logits.exp()[range(N_ROWS), CLASSES] / logits.exp().sum(1))


def likelihood(probability):
    return cross_entropy(probability.log())


def binary(probability):
    probability = probability.flatten()
    return -torch.where(torch.from_numpy(BINARY) == 1, probability, 1 - probability).log()


def logistic(logit):
    return binary(logit.sigmoid())


CLASSIFIERS = {
    "cross entropy": (linear(), {}, cross_entropy),
    "class weights": (linear(), {"criterion__weight": WEIGHT}, cross_entropy),
    "smoothing": (linear(), {"criterion__label_smoothing": 0.3}, cross_entropy),
    "sum": (linear(), {"criterion__reduction": "sum"}, cross_entropy),
    "two logits": (linear(2), {}, lambda raw: logistic(raw[:, 1] - raw[:, 0])),
    "likelihood": (SOFT, LIKELIHOOD, likelihood),
    "weighted likelihood": (SOFT, LIKELIHOOD | {"criterion__weight": WEIGHT}, likelihood),
    "one logit": (linear(1), TWO, logistic),
    "vector of logits": (VECTOR, TWO, logistic),
    "weighted logit": (linear(1), TWO | {"criterion__pos_weight": WEIGHT[1:2]}, logistic),
    "one probability": (SIGMOID, TWO | {"criterion": nn.BCELoss}, binary),
    "own nonlinearity": (linear(), DOUBLED, lambda raw: cross_entropy(2 * raw)),
    "margin with probabilities": (linear(), SURE, cross_entropy),
}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_classifiers_lose_the_cross_entropy(kind):
    module, options, formula = CLASSIFIERS[kind]
    is_binary = "logit" in kind or kind == "one probability"
    y = BINARY if is_binary else CLASSES
    found, ev, raw = losses_of(nets.fitted(module, **options), y)
    assert ev.has_logits
    assert ev.n_logits == (1 if is_binary else 3)
    close(found, formula(raw))


class Quartic(nn.Module):
    """A criterion of the user's."""

    def __init__(self, reduction="mean"):
        super().__init__()
        self.reduction = reduction

    def forward(self, raw, y):
        losses = (raw - y) ** 4
        return losses if self.reduction == "none" else losses.mean()


def huber(error):
    return torch.where(abs(error) < 1, error**2 / 2, abs(error) - 0.5)


REGRESSIONS = {
    nn.MSELoss: torch.square,
    nn.L1Loss: abs,
    nn.SmoothL1Loss: huber,
    nn.HuberLoss: huber,
    Quartic: lambda error: error**4,
}
SHAPES = {
    "several": (linear(2), nets.TARGETS),
    "one column": (linear(1), nets.TARGETS[:, :1]),
    "one": (linear(1), nets.TARGETS[:, 0]),
    "vector": (VECTOR, nets.TARGETS[:, 0]),
    "column for a vector": (VECTOR, nets.TARGETS[:, :1]),
}


@pytest.mark.parametrize("criterion", REGRESSIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_regressions_lose_their_own_criterion(criterion, shape, reduction):
    module, y = SHAPES[shape]
    options = {"criterion": criterion, "criterion__reduction": reduction}
    found, ev, raw = losses_of(nets.fitted(module, NeuralNetRegressor, **options), y, False)
    error = raw.reshape(N_ROWS, -1) - torch.from_numpy(y).reshape(N_ROWS, -1)
    close(found, REGRESSIONS[criterion](error).mean(1))
    assert (ev.has_logits, ev.n_logits) == (False, 0)
    assert ev.net.criterion_.reduction == reduction
    close(ev.outputs(ev.params, X), raw.reshape(N_ROWS, -1))


def test_outputs_that_are_no_probabilities():
    net = nets.fitted(linear(), criterion=nn.MultiMarginLoss)
    found, ev, raw = losses_of(net, CLASSES)
    own = raw[range(N_ROWS), CLASSES][:, None]
    margins = (1 - own + raw).clamp(min=0).sum(1) - 1  # the class itself has no margin
    close(found, margins / 3)
    assert (ev.has_logits, ev.n_logits) == (False, 0)
    assert ev.predictions(ev.outputs(ev.params, X)).tolist() == raw.argmax(1).tolist()
    options = {"predict_nonlinearity": None, "criterion__weight": WEIGHT}
    found, ev, raw = losses_of(nets.fitted(linear(), **options), CLASSES)
    close(found, cross_entropy(raw) * WEIGHT.double()[CLASSES])
    _, ev, _ = losses_of(nets.fitted(linear(1)), CLASSES * 0)  # one class alone
    assert not ev.has_logits


def test_criterion_that_is_only_a_mean():
    net = nets.fitted(linear(1), NeuralNetRegressor, criterion=Quartic)
    del net.criterion_.reduction
    with pytest.raises(ValueError, match="Quartic has no `reduction`"):
        losses_of(net, nets.TARGETS[:, :1], False)


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, *REGRESSIONS])
def test_float64_on_request(criterion):
    classifies = criterion is nn.CrossEntropyLoss
    kind = NeuralNetClassifier if classifies else NeuralNetRegressor
    n_out, y = (3, CLASSES) if classifies else (2, nets.TARGETS)
    net = nets.fitted(linear(n_out), kind, torch.float32, criterion=criterion)
    weight, bias = (p.detach().double() for p in net.module_.parameters())
    raw = X @ weight.T + bias
    error = raw - torch.from_numpy(nets.TARGETS).float() if not classifies else None
    expected = cross_entropy(raw) if classifies else REGRESSIONS[criterion](error).mean(1)
    data = Rows(FLAT, y)
    rough = row_outcomes(Evaluation(net, data, classifies=classifies), data, EVERYONE)[0]
    assert 1e-9 < (rough - expected).abs().max() < 1e-4
    ev = Evaluation(net, data, classifies=classifies, dtype=torch.float64)
    close(row_outcomes(ev, data, EVERYONE)[0], expected, rtol=1e-13)
    assert group_curvature(ev, data, EVERYONE).slopes.any()
    assert {p.dtype for p in net.module_.parameters()} == {torch.float32}


def test_tied_weights_are_one_parameter():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False)
            self.two.weight = self.one.weight

        def forward(self, X):
            return self.two(torch.tanh(self.one(X)))

    net, data = nets.fitted(Tied), Rows(FLAT, CLASSES, dtype=torch.float64)
    ev = Evaluation(net, data, classifies=True)
    assert list(ev.params) == ["one.weight"]

    def loss(w):
        return F.cross_entropy(torch.tanh(X @ w.T) @ w.T, torch.from_numpy(CLASSES))

    weight = net.module_.one.weight.detach()
    found = group_curvature(ev, data, EVERYONE, ev.params, tol=1e-10)
    gradient = torch.autograd.functional.jacobian(loss, weight)
    hessian = torch.autograd.functional.hessian(loss, weight).reshape(16, 16)
    assert found.gradient_norm == pytest.approx(gradient.norm().item(), rel=1e-10)
    top = torch.linalg.eigvalsh(hessian)[-1].item()
    assert found.eigenvalue.value == pytest.approx(top, rel=1e-9)


def test_infer_and_loss_of_the_net_are_used():
    class Own(NeuralNetRegressor):
        def infer(self, x, **fit_params):
            return super().infer(2 * x, **fit_params)

        def get_loss(self, y_pred, y_true, X=None, training=True):
            return self.criterion_(y_pred, y_true) * (0 if training else X[:, :1] ** 2)

    net, y = nets.fitted(linear(1), Own), nets.TARGETS[:, :1]
    expected = (net.module_(2 * X).detach() - torch.from_numpy(y)) ** 2 * X[:, :1] ** 2
    close(losses_of(net, y, False)[0], expected[:, 0])


@pytest.mark.parametrize("name", ["mlp", "one logit", "regression"])
def test_compilation_is_undone(name):
    net = nets.make(name, compile=True, compile__backend="eager")
    net.module_._orig_mod.load_state_dict(nets.make(name).module_.state_dict())
    (plain, same_data), data = nets.evaluation(name), nets.rows(name)
    ev = Evaluation(net, data, classifies=plain.has_logits)
    assert list(ev.params) == list(plain.params)
    assert hasattr(net.module_, "_orig_mod")
    close(row_outcomes(ev, data, EVERYONE)[0], row_outcomes(plain, same_data, EVERYONE)[0])
    found = group_curvature(ev, data, EVERYONE).eigenvalue.value
    assert found == pytest.approx(group_curvature(plain, data, EVERYONE).eigenvalue.value)


def test_compiled_parts_are_undone():
    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Sequential(torch.compile(nn.Linear(4, 3), backend=forbidden))
            self.two = nn.Linear(3, 3)
            self.two.compile(backend=forbidden)

        def forward(self, X):
            return self.two(torch.tanh(self.one(X)))

    def forbidden(graph, inputs):
        raise AssertionError("compiled")

    net, data = nets.fitted(Parts), Rows(FLAT, CLASSES, dtype=torch.float64)
    ev = Evaluation(net, data, classifies=True)
    assert "one.0.weight" in ev.params
    W, b, V, c = ev.params.values()
    logits = torch.tanh(X @ W.T + b) @ V.T + c
    close(row_outcomes(ev, data, EVERYONE)[0], cross_entropy(logits))
    assert "_orig_mod" in "".join(net.module_.state_dict())


@pytest.mark.parametrize("threshold", [None, 0.3, 0.5, 0.7])
def test_predictions_are_those_of_the_net(threshold):
    net = nets.fitted(linear())
    if threshold:
        net = nets.fitted(linear(1), NeuralNetBinaryClassifier, threshold=threshold)
    _, ev, _ = losses_of(net, BINARY)
    found = ev.predictions(ev.outputs(ev.params, X))
    assert found.tolist() == net.predict(FLAT).tolist()
    assert len(found.unique()) == 2
    assert ev.predictions(torch.tensor([[0.5, 0.5]])).item() == (threshold == 0.3)


@pytest.mark.parametrize("wrapped", ["", "_orig_mod."])
def test_masked_weights_are_zero(wrapped):
    ev, _ = nets.evaluation("cnn")
    name, weight = f"0.{wrapped}weight", ev.params.pop("0.weight")
    ev.params[name], before = weight, weight.clone()
    mask = torch.arange(18).reshape(2, 1, 3, 3) % 3 > 0
    masked = ev.masked({"0.weight": mask})
    assert torch.equal(masked[name], torch.where(mask, weight, 0.0))
    assert torch.equal(weight, before)
    assert all(masked[k] is p for k, p in ev.params.items() if k != name)


def test_saturated_probabilities_have_finite_losses():
    net = nets.fitted(SIGMOID, NeuralNetBinaryClassifier, criterion=nn.BCELoss)
    with torch.no_grad():
        net.module_.weight.mul_(1e4)
    found, ev, raw = losses_of(net, BINARY)
    assert 80 < found.max() < 90
    assert torch.isfinite(ev.row_logits(ev.params, X[raw.argmin()])).all()
