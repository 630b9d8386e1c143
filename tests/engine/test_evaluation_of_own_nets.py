"""Nets whose reading, predicting or differentiating is their own, as functions."""

import pickle

import architecture_cases as nets
import pytest
import torch
from architecture_cases import CLASSES, EVERYONE, FLAT, TARGETS, WORDS, close
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune.engine import group_curvature as gc
from sklearn_fairprune.engine import row_statistics as rs
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.engine.evaluation import Evaluation

X = torch.from_numpy(FLAT)


def evaluation(net, data=FLAT, y=CLASSES, classifies=True):
    rows = Rows(data, y, dtype=torch.float64)
    return Evaluation(net, rows, classifies=classifies), rows


def linear(n_out=3):
    return lambda: nn.Linear(4, n_out)


def negated(raw):
    return -raw


def test_predictions_and_outputs_follow_the_nonlinearity_of_the_net():
    options = {"criterion": nn.MultiMarginLoss, "predict_nonlinearity": negated}
    net = nets.fitted(linear(), **options)
    ev, rows = evaluation(net)
    losses, outputs = rs.row_outcomes(ev, rows, EVERYONE)
    assert not ev.has_logits
    assert ev.predictions(outputs).tolist() == net.predict(FLAT).tolist()
    raw = net.module_(X).detach()
    close(losses, nn.MultiMarginLoss(reduction="none")(raw, torch.from_numpy(CLASSES)))
    net = nets.fitted(linear(2), NeuralNetRegressor, predict_nonlinearity=negated)
    ev, rows = evaluation(net, y=TARGETS, classifies=False)
    losses, outputs = rs.row_outcomes(ev, rows, EVERYONE)
    raw = net.module_(X).detach()
    close(outputs, -raw)
    close(losses, ((raw - torch.from_numpy(TARGETS)) ** 2).mean(1))


class Doubled(NeuralNetClassifier):
    """Predicts from twice the logits."""

    def evaluation_step(self, batch, training=False):
        return 2 * super().evaluation_step(batch, training=training)


class Blind(NeuralNetClassifier):
    """Doubles the logits where there are no gradients."""

    def evaluation_step(self, batch, training=False):
        with torch.no_grad():
            return 2 * self.infer(batch[0])


def test_the_evaluation_step_of_the_net_is_used():
    net = nets.fitted(linear(), Doubled, criterion=nn.CrossEntropyLoss)
    ev, rows = evaluation(net)
    weight, bias = (p.detach().clone().requires_grad_() for p in net.module_.parameters())
    loss = nn.functional.cross_entropy
    each = loss(2 * (X @ weight.T + bias), torch.from_numpy(CLASSES), reduction="none")
    losses, outputs = rs.row_outcomes(ev, rows, EVERYONE)
    close(losses, each.detach())
    close(outputs, (2 * net.module_(X)).softmax(1).detach())
    norms = [torch.autograd.grad(v, [weight, bias], retain_graph=True) for v in each]
    norms = torch.stack([torch.cat([g.flatten() for g in parts]).norm() for parts in norms])
    close(rs.gradient_norms(ev, rows, EVERYONE), norms)
    mean = torch.autograd.grad(each.mean(), [weight, bias])
    close(nets.flat(gc.mean_gradient(ev, rows, EVERYONE)), nets.flat(mean))
    assert gc.group_curvature(ev, rows, EVERYONE).eigenvalue.value > 0
    with pytest.raises(ValueError, match=r"Blind\.evaluation_step turns gradients off"):
        evaluation(nets.fitted(linear(), Blind))


SOFT = nn.Sequential(nn.Linear(4, 3), nn.Softmax(1))
PICKLED = {
    "logits": (nets.fitted(nets.mlp()), CLASSES),
    "one logit": (nets.fitted(nets.mlp(n_out=1), NeuralNetBinaryClassifier), CLASSES % 2),
    "probabilities": (nets.fitted(SOFT, criterion=nn.NLLLoss), CLASSES),
    "targets": (nets.fitted(nets.mlp(n_out=2), NeuralNetRegressor), TARGETS),
}


@pytest.mark.parametrize("name", PICKLED)
def test_pickling_changes_nothing(name):
    net, y = PICKLED[name]
    ev, rows = evaluation(net, y=y, classifies=name != "targets")
    again, same_rows = pickle.loads(pickle.dumps((ev, rows)))
    for function in (rs.row_outcomes, rs.gradient_norms):
        one, two = function(ev, rows, EVERYONE), function(again, same_rows, EVERYONE)
        assert all(map(torch.equal, one, two))
    one, two = (gc.mean_gradient(*pair, EVERYONE) for pair in ((ev, rows), (again, same_rows)))
    assert torch.equal(nets.flat(one), nets.flat(two))
    assert nets.flat(one).any()


def words(layer):
    class Words(nn.Module):
        def __init__(self):
            super().__init__()
            self.words, self.last = layer(5, 3), nn.Linear(3, 3)

        def forward(self, X):
            return self.last(torch.tanh(self.words(X).reshape(len(X), -1, 3).sum(1)))

    return nets.fitted(Words)


def test_sparse_embeddings_are_differentiated_like_dense_ones():
    dense = words(nn.Embedding)
    sparse = words(lambda *sizes: nn.Embedding(*sizes, sparse=True))
    sparse.module_.load_state_dict(dense.module_.state_dict())
    found = []
    for net in (dense, sparse):
        ev, rows = evaluation(net, WORDS)
        curvature = gc.group_curvature(ev, rows, EVERYONE, ev.params)
        found.append([rs.gradient_norms(ev, rows, EVERYONE), *curvature[2:]])
    assert all(map(torch.equal, *found))
    assert sparse.module_.words.sparse


BAG = words(lambda *sizes: nn.EmbeddingBag(*sizes, mode="sum"))
KINKED = nets.fitted(linear(), criterion=nn.MultiMarginLoss)


@pytest.mark.parametrize(("net", "data"), [(BAG, WORDS), (KINKED, FLAT)], ids=["bag", "loss"])
def test_missing_second_derivatives_are_told_with_the_way_out(net, data):
    ev, rows = evaluation(net, data)
    assert rs.gradient_norms(ev, rows, EVERYONE).any()
    assert nets.flat(gc.mean_gradient(ev, rows, EVERYONE)).any()
    with pytest.raises(
        ValueError, match=r"largest eigenvalue needs second.*nn\.Embedding and"
    ):
        gc.group_curvature(ev, rows, EVERYONE)
    with pytest.raises(ValueError, match=r"second-order estimate needs.*Ask for other quant"):
        gc.along(ev, rows, EVERYONE, ev.params)
    if ev.has_logits:
        with pytest.raises(ValueError, match="Theorem 2 needs second derivatives"):
            rs.bound_terms(ev, rows, EVERYONE)


def test_a_network_of_frozen_parameters_has_losses_only():
    net = nets.make("mlp")
    net.module_.requires_grad_(False)
    ev, rows = evaluation(net)
    close(rs.row_outcomes(ev, rows, EVERYONE)[0], nets.loss_truth("mlp").values)
    calls = [gc.group_curvature, gc.mean_gradient, rs.gradient_norms, rs.bound_terms]
    for call in calls:
        with pytest.raises(ValueError, match="Every parameter of the network is frozen"):
            call(ev, rows, EVERYONE)


def test_memory_bounds_the_batches_of_a_dataset():
    net = nets.make("mlp", batch_size=12)
    ev, rows = evaluation(net, nets.Lookup(FLAT))
    watch = nets.Watch(ev)
    gc.mean_gradient(ev, rows, EVERYONE, batch_size=5)
    assert watch.sizes == [5, 5, 2]
