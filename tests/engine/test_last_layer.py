"""Where the last linear layer is, what it reads, and networks that have none."""

import functools

import numpy as np
import pytest
import torch
from architecture_cases import CASES, Lookup, fitted, mlp
from architecture_cases import make as make_case
from architecture_cases import rows as case_rows
from sklearn.metrics import r2_score
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.group_statistics import evaluate
from sklearn_fairprune.engine.last_layer import LastLayer
from sklearn_fairprune.engine.networks import adapt, raw_outputs

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 40
X, Y, GROUPS = rng.normal(size=(N, 4)), rng.integers(0, 3, N), torch.arange(N) % 3
W = rng.uniform(0.1, 3, N)


class Sum(NeuralNetClassifier):
    """Reads the first of several outputs."""

    def get_loss(self, y_pred, y_true, *args, **kwargs):
        first = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        return super().get_loss(first, y_true, *args, **kwargs)


def rows(y=Y, **options):
    return Rows(X, y, groups=GROUPS, dtype=torch.float64, **options)


def read(net, data):
    layer = LastLayer(net, "last_layer")
    return layer, layer.read(data)


def agrees(net, data, m=3):
    """What the layer makes is what the network makes, and so are the group sums."""
    _, seen = read(net, data)
    adapt(data, net)
    raw = seen.raw(seen.outputs)
    raw = raw[0] if isinstance(raw, tuple) else raw
    torch.testing.assert_close(raw, raw_outputs(net, data), rtol=1e-6, atol=1e-8)
    expected = evaluate(net, data, m, errors=seen.scores_classes)
    torch.testing.assert_close(seen.sums(seen.outputs, m), expected, rtol=1e-6, atol=1e-8)
    return seen


@pytest.mark.parametrize("name", sorted(set(CASES) - {"recurrent"}))
def test_networks_of_all_kinds(name):
    data = case_rows(name)
    data.groups = torch.arange(len(data)) % 3
    net = make_case(name)
    before = {k: v.clone() for k, v in net.module_.state_dict().items()}
    agrees(net, data)
    assert all(torch.equal(v, before[k]) for k, v in net.module_.state_dict().items())


def test_a_net_that_gives_its_state_too():
    data = case_rows("recurrent")
    data.groups = torch.arange(len(data)) % 3
    seen = agrees(fitted(CASES["recurrent"].module, Sum, criterion=nn.CrossEntropyLoss), data)
    assert seen.beside == (None,)


def test_probabilities_and_what_reshapes_them():
    options = {"criterion": nn.NLLLoss}
    for tail in (nn.Softmax(dim=1), nn.Sequential(nn.Softmax(dim=1), nn.Flatten())):
        agrees(fitted(nn.Sequential(*mlp(), tail), **options), rows())
    logs = nn.Sequential(*mlp(), nn.LogSoftmax(dim=1))
    agrees(fitted(logs, criterion=nn.NLLLoss, predict_nonlinearity=torch.exp), rows())
    flat = nn.Sequential(*mlp(n_out=1), nn.Flatten(0))
    seen = agrees(fitted(flat, NeuralNetRegressor), rows(rng.normal(size=N)))
    assert seen.raw(seen.outputs).shape == (N,)


def test_weights_of_rows_and_classes():
    weight = torch.tensor([1.0, 2.0, 0.5])
    data = rows(weights=W)
    seen = agrees(fitted(mlp, criterion__weight=weight), data)
    mass = torch.from_numpy(W / W.mean()) * weight.double()[Y]
    torch.testing.assert_close(seen.mass, mass)
    losses = nn.functional.cross_entropy(seen.outputs, torch.from_numpy(Y), reduction="none")
    torch.testing.assert_close(seen.means(seen.outputs), losses)


def test_scores_are_accuracy_and_r2():
    seen = agrees(fitted(mlp), rows(weights=W))
    wrong = (seen.outputs.argmax(1).numpy() != Y).astype(float)
    assert seen.score(seen.outputs) == pytest.approx(1 - np.average(wrong, weights=W))
    y = rng.normal(size=(N, 2))
    seen = agrees(fitted(lambda: mlp(n_out=2), NeuralNetRegressor), rows(y, weights=W))
    expected = r2_score(y, seen.outputs.numpy(), sample_weight=W)
    assert seen.score(seen.outputs) == pytest.approx(expected)


def test_datasets_are_read_sample_by_sample():
    data = Rows(Lookup(X), Y, groups=GROUPS, dtype=torch.float64)
    _, seen = read(net := fitted(mlp), data)
    torch.testing.assert_close(seen.outputs, read(net, rows())[1].outputs)


def test_only_a_copy_is_written_and_only_this_layer():
    net, data = fitted(mlp), rows()
    layer, seen = read(net, data)
    assert layer.name == "2"
    entries = layer.entries()
    written = layer.written(net, entries * 2)
    torch.testing.assert_close(raw_outputs(written, data), 2 * seen.outputs)
    torch.testing.assert_close(raw_outputs(net, data), seen.outputs)
    torch.testing.assert_close(written.module_[0].weight, net.module_[0].weight)
    whole = fitted(lambda: nn.Linear(4, 3))
    layer, _ = read(whole, data)
    assert layer.name == ""
    assert layer.free({"weight": torch.zeros(3, 4).bool()}, True).sum() == 3


def test_compiled_parts_are_written_too():
    net, data = fitted(mlp), rows()
    compiled = fitted(lambda: torch.compile(mlp(), backend="eager"))
    layer, _ = read(compiled, data)
    written = layer.written(compiled, layer.entries() * 0)
    assert hasattr(written.module_, "_orig_mod")
    assert not written.module_._orig_mod[2].weight.any()
    assert read(net, data)[0].name == layer.name


def test_free_entries():
    net = fitted(mlp)
    layer, _ = read(net, rows())
    kept = torch.tensor([[True, False, True]] * 3)
    free = layer.free({"2.weight": kept}, True)
    assert torch.equal(free, torch.tensor([[True, False, True, True]] * 3))
    assert torch.equal(
        layer.free({"2.weight": kept}, False).sum(0), torch.tensor([0, 0, 0, 3])
    )
    net.module_[2].bias.requires_grad_(False)
    assert read(net, rows())[0].free({}, True)[:, :3].all()
    assert not read(net, rows())[0].free({}, True)[:, 3].any()


# ---- networks without such a layer --------------------------------------------------------


class Twice(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, X):
        return self.layer(self.layer(X))[:, :3]


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 4, bias=False), nn.Linear(4, 4)
        self.last.weight = self.first.weight

    def forward(self, X):
        return self.last(self.first(X).relu())


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 3)

    def forward(self, X):
        return self.layer(X.reshape(len(X), 2, 2)).mean(1)


def normed():
    return nn.Sequential(
        nn.Linear(4, 4), nn.utils.parametrizations.weight_norm(nn.Linear(4, 3))
    )


LACKING = {
    "calls no Linear layer": lambda: nn.Sequential(
        nn.Unflatten(1, (4, 1)), nn.Conv1d(4, 3, 1)
    ),
    "'layer' is called 2 times": Twice,
    "reads a tensor of shape": Sequence,
    r"'0' gives outputs of shape \(3,\) a row.*something else": lambda: nn.Sequential(
        nn.Linear(4, 3), nn.ReLU()
    ),
    "entries shared with another layer": Tied,
    "entries made of other parameters": normed,
}


@pytest.mark.parametrize("found", LACKING)
def test_other_networks_are_told_what_was_found(found):
    with pytest.raises(ValueError, match=f"stage='last_layer'.*{found}.*Use stage='after'"):
        read(fitted(LACKING[found]), rows())[0].free({}, True)


def test_without_a_bias_there_is_nothing_to_shift():
    layer, _ = read(fitted(functools.partial(nn.Linear, 4, 3, bias=False)), rows())
    assert layer.free({}, True).sum() == 12
    with pytest.raises(ValueError, match="has no bias that may be trained"):
        layer.free({}, False)
    with pytest.raises(ValueError, match="has no weight or bias that may be trained"):
        layer.free({"weight": torch.zeros(3, 4).bool()}, True)


def test_outputs_must_be_finite():
    net = fitted(mlp)
    with torch.no_grad():
        net.module_[0].weight[0] = torch.nan
    with pytest.raises(ValueError, match=r"cannot fit outputs that are NaN.*X must be finite"):
        read(net, rows())
