"""Networks that come trained, in a FrozenEstimator."""

import numpy as np
import pytest
from estimator_cases import same_weights, state
from people_cases import CODES, LABELS, SEX, X, net, search, with_dropout
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch.callbacks import Callback

from sklearn_fairprune import PrunedClassifier

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


@pytest.mark.parametrize("epochs", [0, 2])
def test_networks_for_prediction_alone_are_not_pruned(epochs):
    trimmed = net().fit(X, CODES)
    trimmed.trim_for_prediction()
    small = PrunedClassifier(sparsity=0.95, finetune_epochs=1, random_state=0)
    small = small.fit(X, CODES).shrink(sparse=False).estimator_
    for given in (trimmed, small):
        frozen = PrunedClassifier(FrozenEstimator(given), finetune_epochs=epochs)
        with pytest.raises(ValueError, match=r"no optimizer, as after shrink\(\) or trim_for"):
            frozen.fit(X, CODES)
        dense = frozen.set_params(sparsity=0.0).fit(X, CODES)
        np.testing.assert_array_equal(dense.predict(X), given.predict(X))


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
