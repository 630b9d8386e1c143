"""Networks that come trained, in a FrozenEstimator."""

import numpy as np
import pytest
from estimator_cases import same_weights, state
from people_cases import CODES, LABELS, SEX, X, net, search, with_dropout
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback
from torch import nn

from sklearn_fairprune import PrunedClassifier
from sklearn_fairprune.engine import fit

TRAININGS = []


class CountTrainings(Callback):
    def on_train_begin(self, net, **kwargs):
        TRAININGS.append(1)


def test_a_frozen_net_is_pruned_and_never_retrained():
    trained = net(callbacks=[CountTrainings()]).fit(X, CODES)
    before, TRAININGS[:] = state(trained), []
    frozen = PrunedClassifier(FrozenEstimator(trained), finetune_epochs=0, random_state=0)
    found = search(frozen, {"sparsity": [0.0, 0.5, 0.9]}).fit(X, CODES, sensitive_features=SEX)
    assert TRAININGS == []
    best = found.best_estimator_
    assert same_weights(best.dense_estimator_, trained)
    np.testing.assert_allclose(
        frozen.set_params(sparsity=0.0).fit(X, CODES).predict_proba(X),
        trained.predict_proba(X),
        rtol=1e-5,
    )
    frozen.set_params(finetune_epochs=2).fit(X, CODES).prune(X, CODES, sparsity=0.8)
    frozen.partial_fit(X, CODES).pruning_path(X, CODES, sparsities=[0.5])
    assert same_weights(trained, before)
    assert {h["phase"] for h in frozen.history_} == {"finetune"}


def test_a_frozen_pruned_classifier_gives_its_dense_network():
    first = with_dropout(sparsity=0.9).fit(X, LABELS)
    second = PrunedClassifier(FrozenEstimator(first), sparsity=0.3, random_state=0)
    second.fit(X, LABELS)
    assert same_weights(second.dense_estimator_, first.dense_estimator_)
    assert second.classes_.tolist() == ["no", "yes"]
    assert second.sparsity_ == pytest.approx(0.3, abs=0.02)
    few = clone(second).fit(X[:40], LABELS[:40])
    assert few.predict_proba(X).shape == (200, 2)
    with pytest.raises(TypeError, match="FrozenEstimator must hold a fitted"):
        PrunedClassifier(FrozenEstimator(net())).fit(X, CODES)


def trimmed(**options):
    """A net without optimizer and loss; its outputs are probabilities all the same."""
    trained = net(predict_nonlinearity=softmax, **options).fit(X, CODES)
    before = trained.predict_proba(X)
    trained.trim_for_prediction()
    np.testing.assert_array_equal(trained.predict_proba(X), before)
    return trained


def softmax(raw):
    return raw.softmax(-1)


class Normed(nn.Sequential):
    """With batch norm, whose statistics are corrected after pruning."""

    def __init__(self):
        n_in = X.shape[1]
        super().__init__(nn.Linear(n_in, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))


@pytest.mark.parametrize("recovery", ["plain", "reconstruct", "distill"])
@pytest.mark.parametrize("criterion", ["magnitude", "wanda", "random"])
def test_a_net_trimmed_for_prediction_is_pruned(criterion, recovery):
    options = {"sparsity": 0.5, "criterion": criterion, "recovery": recovery}
    options |= {"finetune_epochs": 0, "random_state": 0}
    whole = net(module=Normed, predict_nonlinearity=softmax).fit(X, CODES)
    expected = PrunedClassifier(FrozenEstimator(whole), **options).fit(X, CODES)
    whole.trim_for_prediction()
    pruned = PrunedClassifier(FrozenEstimator(whole), **options).fit(X, CODES)
    assert pruned.sparsity_ == pytest.approx(0.5, abs=0.03)
    np.testing.assert_array_equal(pruned.predict_proba(X), expected.predict_proba(X))
    again = pruned.prune(X, CODES, sparsity=0.7)
    assert again.sparsity_ == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {},
            r"finetune_epochs=None trains .* trim_for_prediction\(\) .* or finetune_epochs=0",
        ),
        ({"finetune_epochs": 3, "schedule": "cubic"}, "finetune_epochs=3 trains the pruned"),
        ({"finetune_epochs": 0, "criterion": "taylor"}, r"taylor asks for \['gradient'\]"),
        ({"finetune_epochs": 0, "criterion": "fairgrape"}, "which are of the loss"),
    ],
)
def test_a_net_trimmed_for_prediction_says_what_it_cannot_do(options, message, monkeypatch):
    done = []
    monkeypatch.setattr(fit, "FineTuning", lambda *a: done.append(1))
    pruner = PrunedClassifier(FrozenEstimator(trimmed()), random_state=0, **options)
    with pytest.raises(ValueError, match=message):
        pruner.fit(X, CODES, sensitive_features=SEX)
    with pytest.raises(ValueError, match=message):
        pruner.pruning_path(X, CODES, sensitive_features=SEX, sparsities=[0, 0.5])
    dense = clone(pruner).set_params(sparsity=0.0).fit(X, CODES)
    with pytest.raises(ValueError, match=message):
        dense.prune(X, CODES, sensitive_features=SEX, sparsity=0.5)
    assert dense.sparsity_ == 0
    assert done == []


def test_a_net_trimmed_for_prediction_trains_no_more():
    for made in (trimmed(), PrunedClassifier(None, sparsity=0.9).fit(X, CODES).shrink()):
        inner = getattr(made, "estimator_", made)
        pruner = PrunedClassifier(FrozenEstimator(inner), sparsity=0.0)
        with pytest.raises(ValueError, match="needs an optimizer, and the net has given up"):
            pruner.partial_fit(X, CODES)
        fitted = pruner.fit(X, CODES)
        before = fitted.predict_proba(X)
        with pytest.raises(ValueError, match="needs an optimizer, and the net has given up"):
            fitted.partial_fit(X, CODES)
        np.testing.assert_array_equal(fitted.predict_proba(X), before)
