"""Networks that cannot be pruned, and trainings that diverge."""

import numpy as np
import pytest
import torch
from estimator_cases import LABELS, Net, X, make, make_net
from failing_calls import VERBS, call, fails
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from skorch import NeuralNetClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune import PrunedClassifier, PrunedRegressor


class Table(nn.Module):
    """A net without Linear or Conv layer."""

    def __init__(self):
        super().__init__()
        self.norm, self.weight = nn.BatchNorm1d(4), nn.Parameter(torch.ones(4, 2))

    def forward(self, X):
        return self.norm(X) @ self.weight


class FrozenLayers(Net):
    """A net with nothing to train but biases."""

    def __init__(self):
        super().__init__()
        for layer in (self.body[0], self.body[2]):
            layer.weight.requires_grad_(False)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "skorch net.*got LogisticRegression"),
        ("net", "estimator.*got str"),
        (NeuralNetClassifier, "(?i)estimator must be a skorch net.*class"),
        (Net(), "estimator.*skorch"),
        (make_net(kind=NeuralNetRegressor), "PrunedClassifier cannot use.*Regressor"),
        (FrozenEstimator(make_net()), "fitted skorch net.*(unfitted|not fitted)"),
        (FrozenEstimator(LogisticRegression()), "FrozenEstimator.*LogisticRegression"),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_estimator_of_a_wrong_type(verb, estimator, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(PrunedClassifier(estimator), verb, X, LABELS)


def test_classifier_net_in_a_regressor():
    with pytest.raises(TypeError, match="PrunedRegressor cannot use a NeuralNetClassifier"):
        PrunedRegressor(make_net()).fit(X, X[:, 0])


@pytest.mark.parametrize("module", [Table, FrozenLayers])
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_nothing_to_prune(module, verb):
    with pytest.raises(ValueError, match=r"no prunable layer.*Linear and Conv"):
        call(make(make_net(module)), verb, X, LABELS)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_wrong_number_of_outputs(verb, n_out):
    message = rf"2 classes \['no', 'yes'\].*\({n_out},\).*last layer 2 outputs"
    with pytest.raises(ValueError, match=message):
        call(make(make_net(module__n_out=n_out)), verb, X, LABELS)
    net = make_net(kind=NeuralNetRegressor, module__n_out=n_out, criterion=nn.MSELoss)
    with pytest.raises(ValueError, match=r"2 target\(s\) a row.*last layer 2 output"):
        call(PrunedRegressor(net), verb, X, X[:, :2])


@pytest.mark.parametrize("verb", ["fit", "pruning_path"])
def test_divergence_names_epoch_and_learning_rate(verb):
    est = make(make_net(lr=1e30, optimizer=torch.optim.SGD))
    with pytest.raises(ValueError, match=r"diverged in epoch \d+ at learning rate 1e\+30"):
        call(est, verb, X, LABELS)
    with pytest.raises(NotFittedError):
        est.predict(X)


@pytest.mark.parametrize("verb", VERBS)
def test_divergence_later(verb):
    est = make(make_net(max_epochs=1), finetune_epochs=3).fit(X, LABELS)
    fails(ValueError, "diverged in epoch", est, verb, X * np.float32(1e30), LABELS)
