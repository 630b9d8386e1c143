"""The dense network as teacher, against steps by hand; budgets; shelves of ways."""

import numpy as np
import pytest
import torch
from engine_cases import TARGETS, W, X, Y, make, rows, weight
from skorch import NeuralNet, NeuralNetBinaryClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune.engine import recovery
from sklearn_fairprune.engine.batches import Rows, balanced
from sklearn_fairprune.engine.networks import copy_net
from sklearn_fairprune.engine.recipe import make_recipe, recovery_of
from sklearn_fairprune.engine.recovery import (
    RECOVERIES,
    Distillation,
    Recovery,
    recovery_epochs,
)
from sklearn_fairprune.engine.training import Extras, train

torch.set_num_threads(1)
FEWEST, MOST = recovery.FEWEST_STEPS, recovery.MOST_STEPS  # shorter while tests run
G = np.repeat([0, 1, 2], [14, 8, 2])


def shifted(net, seed=1):
    """A copy with other weights: the dense network."""
    twin = copy_net(net)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in twin.module_.parameters():
            p += torch.randn(p.shape, generator=generator, dtype=p.dtype)
    return twin


def grouped(y=Y, weights=None):
    return Rows(X, y, groups=G, weights=weights, dtype=torch.float64)


def step(net, dense, data, settings):
    """Weights after one step of plain descent at rate 1 on the whole data."""
    teacher = Distillation(settings, dense, data)
    train(net, teacher.rows, 1, seed=0, extras=Extras(distillation=teacher))
    return weight(net)


def by_hand(net, loss):
    """The same step, from a loss of the raw outputs."""
    w = net.module_.weight.detach().clone().requires_grad_()
    b = net.module_.bias.detach()
    z = torch.as_tensor(X) @ w.T + b
    (gradient,) = torch.autograd.grad(loss(z), w)
    return w.detach() - gradient


def divergence(z, teacher, t=1.0):
    p, q = (teacher / t).softmax(1), (z / t).softmax(1)
    return t**2 * (p * (p.log() - q.log())).sum(1)


def logits_of(net):
    return torch.as_tensor(X) @ net.module_.weight.detach().T + net.module_.bias.detach()


@pytest.mark.parametrize("temperature", [1.0, 3.0])
@pytest.mark.parametrize("share", [1.0, 0.3])
@pytest.mark.parametrize("weights", [None, W])
def test_a_step_towards_the_dense_network(share, temperature, weights):
    net = make(lr=1.0, optimizer=torch.optim.SGD)
    dense = shifted(net)
    w = torch.ones(24, dtype=torch.float64) if weights is None else torch.as_tensor(weights)

    def loss(z):
        own = nn.functional.cross_entropy(z, torch.as_tensor(Y), reduction="none")
        towards = divergence(z, logits_of(dense), temperature)
        return (w * ((1 - share) * own + share * towards)).sum() / w.sum()

    expected = by_hand(net, loss)
    found = step(net, dense, rows(weights=weights), Recovery(share, temperature))
    torch.testing.assert_close(found, expected)


def test_label_weights_are_the_net_s_own_business():
    net = make(lr=1.0, criterion__weight=torch.tensor([1.0, 5.0, 9.0], dtype=torch.float64))
    dense, share = shifted(net), 0.4
    own_weights = net.criterion_.weight

    def loss(z):
        own = nn.functional.cross_entropy(z, torch.as_tensor(Y), weight=own_weights)
        return (1 - share) * own + share * divergence(z, logits_of(dense)).mean()

    expected = by_hand(net, loss)
    torch.testing.assert_close(step(net, dense, rows(), Recovery(share)), expected)


@pytest.mark.parametrize("balance", [0.5, 1.0])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_rows_of_small_groups_count_more(share, balance):
    net = make(lr=1.0)
    dense = shifted(net)
    each = torch.as_tensor(np.array([14.0, 8.0, 2.0]) ** -balance)[torch.as_tensor(G)]

    def loss(z):
        own = nn.functional.cross_entropy(z, torch.as_tensor(Y), reduction="none")
        chosen = divergence(z, logits_of(dense)) if share else own
        return (each * chosen).sum() / each.sum()

    expected = by_hand(net, loss)
    found = step(net, dense, grouped(), Recovery(share, balance=balance))
    torch.testing.assert_close(found, expected)


def test_balanced_weights_have_mean_one_and_equal_groups_in_the_end():
    found = balanced(grouped(), 1.0)
    masses = found * torch.tensor([14.0, 8.0, 2.0])
    torch.testing.assert_close(masses, torch.full((3,), 8.0).to(masses))
    assert torch.equal(balanced(grouped(), 0.0), torch.ones(3, dtype=found.dtype))


def test_a_regressor_is_held_to_the_outputs():
    net = make(NeuralNetRegressor, lr=1.0, optimizer=torch.optim.SGD)
    dense = shifted(net)
    expected = by_hand(net, lambda z: ((z - logits_of(dense)) ** 2).mean())
    torch.testing.assert_close(step(net, dense, rows(TARGETS), Recovery(1.0)), expected)


def test_outputs_that_are_no_probabilities_are_compared_as_they_are():
    kind = type("Margin", (NeuralNet,), {})
    net = make(kind, lr=1.0, criterion=nn.MultiMarginLoss, optimizer=torch.optim.SGD)
    dense = shifted(net)
    expected = by_hand(net, lambda z: ((z - logits_of(dense)) ** 2).mean())
    torch.testing.assert_close(step(net, dense, rows(), Recovery(1.0)), expected)


class Probabilities(nn.Linear):
    def forward(self, X):
        return super().forward(X).softmax(-1)


def test_networks_that_give_probabilities():
    net = make(module=Probabilities, criterion=nn.NLLLoss, lr=1.0, optimizer=torch.optim.SGD)
    dense = shifted(net)
    expected = by_hand(net, lambda z: divergence(z, logits_of(dense)).mean())
    torch.testing.assert_close(step(net, dense, rows(), Recovery(1.0)), expected)


def test_one_logit_for_two_classes():
    net = make(
        NeuralNetBinaryClassifier,
        module__out_features=1,
        criterion=nn.BCEWithLogitsLoss,
        lr=1.0,
        optimizer=torch.optim.SGD,
    )
    dense, y = shifted(net), (Y > 0).astype(float)

    def loss(z):
        p, q = logits_of(dense).sigmoid(), z.sigmoid()
        return (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()

    expected = by_hand(net, loss)
    torch.testing.assert_close(step(net, dense, rows(y), Recovery(1.0)), expected)


class Pairs(torch.utils.data.Dataset):
    def __len__(self):
        return 24

    def __getitem__(self, i):
        return X[i], Y[i]


def test_a_dataset_is_read_by_the_teacher_batch_by_batch():
    net = make(lr=1.0, optimizer=torch.optim.SGD)
    dense = shifted(net)
    expected = by_hand(net, lambda z: divergence(z, logits_of(dense)).mean())
    data = Rows(Pairs(), Y, dtype=torch.float64)
    assert Distillation(Recovery(1.0), dense, data).rows.dense_outputs is None
    torch.testing.assert_close(step(net, dense, data, Recovery(1.0)), expected)


def test_outputs_of_the_teacher_follow_their_rows_through_shuffled_batches():
    net = make(batch_size=5, iterator_train__shuffle=True)
    dense = shifted(net)
    teacher = Distillation(Recovery(1.0), dense, rows())
    for batch in net.get_iterator(teacher.rows, training=True):
        torch.testing.assert_close(batch.dense_outputs, dense.infer(batch[0]).detach())
    half = teacher.rows.subset(torch.arange(0, 24, 2))
    torch.testing.assert_close(half.dense_outputs, logits_of(dense)[::2])


def test_the_dense_network_and_the_rows_stay_as_they_are():
    net = make(lr=1.0, optimizer=torch.optim.SGD)
    dense, data = shifted(net), rows()
    before = weight(dense)
    step(net, dense, data, Recovery(1.0))
    assert torch.equal(weight(dense), before)
    assert data.dense_outputs is None


def test_validation_rows_of_the_net_are_judged_by_its_own_loss():
    from skorch.dataset import ValidSplit

    net = make(lr=0.0, optimizer=torch.optim.SGD, train_split=ValidSplit(3, stratified=False))
    dense = shifted(net)
    teacher = Distillation(Recovery(1.0), dense, rows())
    (line,) = train(net, teacher.rows, 1, seed=0, extras=Extras(distillation=teacher))
    losses = nn.functional.cross_entropy(logits_of(net), torch.as_tensor(Y), reduction="none")
    towards = divergence(logits_of(net), logits_of(dense))
    assert line["valid_loss"] == pytest.approx(float(losses[:8].mean()))
    assert line["train_loss"] == pytest.approx(float(towards[8:].mean()))


@pytest.mark.parametrize(
    ("n_rows", "max_epochs", "epochs"),
    [
        (24, 10, 125),  # 4 steps an epoch, 40 in all: at least 500
        (24, 100, 200),  # 400: twice as many
        (24, 200, 250),  # 800: at most 1,000
        (24, 2000, 500),  # 8,000: at least a quarter
    ],
)
def test_budget(n_rows, max_epochs, epochs, monkeypatch):
    monkeypatch.setattr(recovery, "FEWEST_STEPS", FEWEST)
    monkeypatch.setattr(recovery, "MOST_STEPS", MOST)
    net = make(batch_size=6, max_epochs=max_epochs)
    assert recovery_epochs(net, rows()) == epochs


@pytest.mark.parametrize("name", list(RECOVERIES))
def test_names_give_records(name):
    found = recovery_of(name)
    assert isinstance(found, Recovery)
    assert (found.share > 0) == ("distill" in name)
    assert found.reconstructs == ("reconstruct" in name)


def test_what_is_no_recovery():
    with pytest.raises(ValueError, match=r"'recovery' .* among \['distill', 'plain'"):
        recovery_of("finetune")
    with pytest.raises(ValueError, match="must return a Recovery, and returned 3"):
        recovery_of(lambda: 3)
    with pytest.raises(ValueError, match=r"reconstruct.* training rows, and there are none"):
        make_recipe(0.5, 0, recovery="reconstruct", rows=False)
