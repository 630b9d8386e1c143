"""The same name never has two numbers: one cross-entropy in everything that is said."""

import warnings

import numpy as np
import pytest
from estimator_cases import GROUPS, LABELS, X, make, make_net
from skorch import NeuralNetBinaryClassifier
from torch import nn

from sklearn_fairprune import (
    GroupConstrainedPruner,
    PrunedClassifier,
    SampleDiagnostics,
    audit,
    diagnose,
)
from sklearn_fairprune.metrics import SCORERS


class Saturated(nn.Module):
    """Probabilities that are 0 and 1 in float32, as those of a large softmax."""

    def __init__(self, scale=300.0):
        super().__init__()
        self.layer, self.scale = nn.Linear(4, 2), scale

    def forward(self, X):
        return (self.scale * self.layer(X)).softmax(dim=1)


class Logits(Saturated):
    def forward(self, X):
        return self.scale * self.layer(X)


class OneLogit(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)

    def forward(self, X):
        return 90 * self.layer(X)[:, 0]


NETS = {
    "saturated softmax": make_net(Saturated, criterion=nn.NLLLoss, lr=1e-3),
    "large logits": make_net(Logits, lr=1e-3),
    "one logit": make_net(
        OneLogit, NeuralNetBinaryClassifier, criterion=nn.BCEWithLogitsLoss, lr=1e-3
    ),
    "default": None,
}


@pytest.fixture(scope="module", params=NETS)
def fitted(request):
    net = NETS[request.param]
    kind = {"kind": PrunedClassifier, "finetune_epochs": 0, "sparsity": 0.5}
    return (make(net, **kind) if net else PrunedClassifier(random_state=0)).fit(X, LABELS)


def test_audit_diagnosis_and_transformer_agree(fitted):
    models = {"dense": fitted, "pruned": fitted}
    options = {"sensitive_features": GROUPS}
    audited = audit(models, X, LABELS, min_group_size=1, **options).by_group["loss"]
    rows = SampleDiagnostics(fitted, ["pruned_loss", "dense_loss"])
    losses = rows.transform(X, y_true=LABELS)
    for group in ("f", "m"):
        expected = losses[group == GROUPS, 0].mean()
        assert audited["pruned", group] == pytest.approx(expected, rel=1e-5)
    report = diagnose(fitted, X, LABELS, **options)
    for group in ("f", "m"):
        expected = losses[group == GROUPS, 1].mean()
        assert report.by_group["dense_loss"][group] == pytest.approx(expected, rel=1e-5)


def test_the_scorer_agrees_with_the_audit(fitted):
    score = SCORERS["neg_fairness_violation"](fitted, X, LABELS, sensitive_features=GROUPS)
    report = diagnose(fitted, X, LABELS, sensitive_features=GROUPS)
    excess = report.by_group["excessive_loss"]
    assert -score == pytest.approx(excess.max() - excess.min(), rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("net", [name for name in NETS if name != "default"])
def test_the_violations_of_a_constraint_agree_too(net):
    inner = make(NETS[net], sparsity=0.5, finetune_epochs=1)
    est = GroupConstrainedPruner(inner, constraint="bounded_group_loss", tolerance=1e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, LABELS, sensitive_features=GROUPS)
    audited = audit(
        {"dense": est.estimator_}, X, LABELS, sensitive_features=GROUPS, min_group_size=1
    ).by_group["loss"]
    for group, value in est.violations_["train"].items():
        assert audited["dense", group] == pytest.approx(value, rel=1e-5)


def test_a_saturated_network_has_the_one_clip():
    est = make(NETS["saturated softmax"], sparsity=0.0).fit(X, LABELS)
    wrong = np.where(est.predict(X) == "yes", "no", "yes")
    losses = SampleDiagnostics(est, ["dense_loss"]).transform(X, y_true=wrong)[:, 0]
    assert losses.max() == pytest.approx(-np.log(np.finfo(np.float32).tiny), rel=1e-6)
    logs = est.predict_log_proba(X)
    np.testing.assert_allclose(-logs.min(), losses.max(), rtol=1e-6)
