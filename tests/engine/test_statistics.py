"""What criteria ask for, against slow references."""

import numpy as np
import pytest
import torch
from skorch import NeuralNetClassifier
from torch import nn
from torch.nn import functional as F

from sklearn_fairprune.engine import networks
from sklearn_fairprune.engine import scene as module
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.statistics import STATISTICS, Scene, statistics_of

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X, Y = rng.normal(size=(30, 2, 6, 6)), rng.integers(0, 3, 30)
GROUPS, W = np.arange(30) % 7 % 3, rng.uniform(0.2, 3, 30)


class Image(nn.Module):
    """Two convolutions, one of them grouped, a transposed one, batch norm and dropout."""

    def __init__(self):
        super().__init__()
        self.first, self.norm = nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4)
        self.grouped = nn.Conv2d(4, 6, 2, groups=2)
        self.back = nn.ConvTranspose2d(6, 2, 2)
        self.drop, self.last = nn.Dropout(0.5), nn.Linear(32, 3)

    def forward(self, X):
        hidden = self.grouped(self.norm(self.first(X)).relu()).relu()
        return self.last(self.drop(self.back(hidden).flatten(1)))


@pytest.fixture(scope="module")
def net():
    net = NeuralNetClassifier(
        Image, criterion=nn.CrossEntropyLoss, train_split=None, verbose=0
    )
    return networks.initialize(networks.with_fast_batches(net), torch.float64, 0)


@pytest.fixture(params=[False, True], ids=["", "weighted"])
def data(request):
    weights = W if request.param else None
    return Rows(X, Y, groups=GROUPS, weights=weights, dtype=torch.float64)


def losses(net, kept=slice(None)):
    net.module_.eval()
    raw = net.module_(torch.from_numpy(X)[kept])
    return F.cross_entropy(raw, torch.from_numpy(Y)[kept], reduction="none")


def mean_gradient(net, data, kept):
    weights = torch.ones(30).double() if data.weights is None else data.weights
    own = weights[kept]
    loss = (losses(net, kept) * own).sum() / own.sum()
    named = {k: p for k, p in net.module_.named_parameters() if k.endswith("weight")}
    return dict(zip(named, torch.autograd.grad(loss, named.values()), strict=True))


def close(a, b, **options):
    torch.testing.assert_close(a, b, **({"rtol": 1e-9, "atol": 1e-12} | options))


def test_gradients_of_all_rows_and_of_the_groups(net, data, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 7)
    found = statistics_of(Scene(net, data, 0), ["gradient", "group_gradients"])
    for name, slow in mean_gradient(net, data, np.arange(30)).items():
        close(found["gradient"][name], slow)
    for a in range(3):
        for name, slow in mean_gradient(net, data, np.flatnonzero(a == GROUPS)).items():
            close(found["group_gradients"][name][a], slow)


def test_shares(net, data):
    weights = np.ones(30) if data.weights is None else W
    expected = np.bincount(GROUPS, weights=weights) / weights.sum()
    np.testing.assert_allclose(STATISTICS["group_shares"](Scene(net, data, 0)), expected)


def test_losses_of_the_groups(net, data, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 7)
    weights = np.ones(30) if data.weights is None else W
    values = losses(net).detach().numpy()
    slow = [np.average(values[a == GROUPS], weights=weights[a == GROUPS]) for a in range(3)]
    np.testing.assert_allclose(STATISTICS["group_losses"](Scene(net, data, 0)), slow)


def input_norms(net, name):
    """Norm of every input channel of one layer, by a forward hook on all rows at once."""
    seen = []
    layer = net.module_.get_submodule(name)
    hook = layer.register_forward_hook(lambda layer, inputs, output: seen.append(inputs[0]))
    losses(net)
    hook.remove()
    (values,) = seen
    return torch.stack([values[:, c].square().sum().sqrt() for c in range(values.shape[1])])


def test_activation_norms_lie_where_the_inputs_meet_the_weights(net, data, monkeypatch):
    monkeypatch.setattr(module, "BATCH_SIZE", 11)
    found = statistics_of(Scene(net, data, 0), ["activation_norms"])["activation_norms"]
    weights = {k: p for k, p in net.module_.named_parameters() if k in found}
    assert set(found) == {"first.weight", "grouped.weight", "back.weight", "last.weight"}
    assert all(found[k].shape == p.shape for k, p in weights.items())
    first = input_norms(net, "first")
    close(found["first.weight"][2, :, 1, 1], first)
    grouped = input_norms(net, "grouped")  # outputs 0 to 2 see channels 0 and 1
    close(found["grouped.weight"][1, :, 0, 0], grouped[:2])
    close(found["grouped.weight"][4, :, 0, 0], grouped[2:])
    back = input_norms(net, "back")  # the first dimension is that of the inputs
    close(found["back.weight"][:, 1, 0, 0], back)
    close(found["last.weight"][2], input_norms(net, "last"))


@pytest.mark.parametrize("name", STATISTICS)
def test_net_rows_and_global_generators_stay_as_they_are(net, name):
    data = Rows(X, Y, groups=GROUPS, dtype=torch.float32)
    before = {k: v.clone() for k, v in net.module_.state_dict().items()}
    drawn, y = torch.get_rng_state(), data.y.clone()
    first, again = (statistics_of(Scene(net, data, 3), [name])[name] for _ in range(2))
    assert torch.equal(torch.get_rng_state(), drawn)
    assert all(torch.equal(before[k], v) for k, v in net.module_.state_dict().items())
    assert data.dtype == torch.float32
    assert torch.equal(data.y, y)
    assert all(p.grad is None for p in net.module_.parameters())
    if isinstance(first, dict):
        assert all(torch.equal(first[k], again[k]) for k in first)
        assert not any(v.requires_grad for v in first.values())


def test_statistics_of_rows_need_rows(net):
    with pytest.raises(ValueError, match=r"\['gradient'\] are measured on training rows"):
        statistics_of(Scene(net, None, 0), ["gradient", "generator"])


def test_every_statistic_says_what_it_is():
    assert all(member.summary.endswith(".") for member in STATISTICS.values())
    assert [name for name, s in STATISTICS.items() if not s.of_rows] == ["generator"]


@pytest.mark.parametrize("name", STATISTICS)
def test_a_net_without_its_loss_has_those_that_need_none(net, name):
    trimmed = networks.copy_net(net)
    trimmed.trim_for_prediction()
    data = Rows(X, Y, groups=GROUPS, dtype=torch.float64)
    if STATISTICS[name].of_loss:
        with pytest.raises(ValueError, match="no criterion any more"):
            statistics_of(Scene(trimmed, data, 0), [name])
    else:
        statistics_of(Scene(trimmed, data, 0), [name])
