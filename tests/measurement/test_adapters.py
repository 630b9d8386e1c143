"""Torch modules and mitigators of fairlearn in an audit."""

import warnings

import numpy as np
import pytest
import torch
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.reductions import (
    BoundedGroupLoss,
    DemographicParity,
    ExponentiatedGradient,
    GridSearch,
    SquareLoss,
)
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import log_loss
from sklearn.svm import LinearSVC
from torch import nn

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.measurement.adapters import adapted

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 200
X = rng.normal(size=(N, 3)).astype(np.float32)
SEX = rng.choice(["f", "m"], N)
Y = (X[:, 0] + (SEX == "f") + rng.normal(size=N) > 0).astype(int)


def module(width):
    torch.manual_seed(width)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, width))


WIDE = X.astype(np.float64)  # fairlearn's ThresholdOptimizer cannot do with float32


@pytest.mark.parametrize("width", [1, 2, 3])
def test_modules_are_what_their_logits_say(width):
    net = module(width)
    logits = net.eval()(torch.as_tensor(X)).detach()
    net.train()
    if width == 1:
        ones = torch.sigmoid(logits)
        p = torch.hstack([1 - ones, ones])
    else:
        p = torch.softmax(logits, dim=1)
    report = audit({"dense": net, "pruned": net}, X, Y, sensitive_features=SEX)
    p = p.double() / p.double().sum(1, keepdim=True)
    truth = log_loss(Y, p.numpy(), labels=range(max(width, 2)))
    assert report.overall.loc["dense", "loss"] == pytest.approx(truth, rel=1e-5)
    right = (p.argmax(1).numpy() == Y).mean()
    assert report.overall.loc["dense", "accuracy"] == pytest.approx(right)
    assert report.overall.loc["dense", "sparsity"] == 0
    assert report.sizes.loc["dense", "weights"] == 12 + 4 * width
    assert net.training  # it stays as it was


def test_a_module_for_numbers():
    net, y = module(1), X[:, :1].astype(np.float64)
    report = audit({"dense": net}, X, y[:, 0].astype(np.float32), sensitive_features=SEX)
    predicted = net.eval()(torch.as_tensor(X)).detach().numpy()
    truth = ((predicted - X[:, :1]) ** 2).mean()
    assert report.overall.loc["dense", "loss"] == pytest.approx(truth, rel=1e-5)


def test_a_module_needs_whole_numbers_for_classes():
    with pytest.raises(ValueError, match="y must be whole numbers from 0, got"):
        audit({"dense": module(2)}, X, np.where(Y, "yes", "no"), sensitive_features=SEX)


def mitigated(kind):
    constraint = DemographicParity()
    made = {
        "gradient": lambda: ExponentiatedGradient(LogisticRegression(), constraint),
        "grid": lambda: GridSearch(LogisticRegression(), constraint, grid_size=3),
        "threshold": lambda: ThresholdOptimizer(estimator=LogisticRegression()),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about fairlearn
        return made[kind]().fit(WIDE, Y, sensitive_features=SEX)


@pytest.mark.parametrize("kind", ["gradient", "grid", "threshold"])
def test_mitigators_are_classifiers(kind):
    model = mitigated(kind)
    models = {"plain": LogisticRegression().fit(WIDE, Y), kind: model}
    report = audit(models, WIDE, Y, sensitive_features=SEX, random_state=7)
    options = {"sensitive_features": SEX} if kind == "threshold" else {}
    options |= {} if kind == "grid" else {"random_state": 7}
    right = model.predict(WIDE, **options) == Y
    assert report.overall.loc[kind, "accuracy"] == pytest.approx(right.mean())
    of_f = report.by_group.loc[(kind, "f"), "accuracy"]
    assert of_f == pytest.approx(right[SEX == "f"].mean())
    drawn = f"Predictions of {kind} are drawn at random" in "\n".join(report.notes)
    assert drawn == ("loss" not in report.overall) == (kind != "grid")
    assert not report.overall["loss_above_constant"].any()  # a draw is no forecast


def test_a_mitigator_that_needs_the_groups_says_so():
    with pytest.raises(ValueError, match="ThresholdOptimizer predicts with the groups"):
        audit({"a": mitigated("threshold")}, WIDE, Y)


def test_what_is_an_estimator_stays_what_it_is():
    regressor = ExponentiatedGradient(LinearRegression(), BoundedGroupLoss(SquareLoss(-9, 9)))
    for model in (LogisticRegression(), PrunedClassifier(), regressor):
        assert adapted(model, WIDE, Y) is model


def test_models_without_probabilities_are_told_by_their_decisions():
    models = {"dense": LogisticRegression().fit(WIDE, Y), "svc": LinearSVC().fit(WIDE, Y)}
    report = audit(models, WIDE, Y, sensitive_features=SEX)
    assert "No probabilities of svc: losses are not known" in "\n".join(report.notes)
    assert "loss" not in report.by_group
    assert "loss" not in str(report).split("Take care")[0]
