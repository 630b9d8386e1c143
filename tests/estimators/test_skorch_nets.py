"""Optimizers, losses, splits and callbacks of a skorch net, and modules of the user."""

import copy

import numpy as np
import pytest
import torch
from estimator_cases import (
    CODES,
    LABELS,
    WEIGHTS,
    Net,
    X,
    assert_pruned,
    assert_same,
    make,
    make_net,
    same_weights,
    state,
)
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import (
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import TensorDataset

from sklearn_fairprune import PrunedClassifier, PrunedRegressor
from sklearn_fairprune.engine.randomness import derive_seeds

NETS = {
    "LBFGS": {"optimizer": torch.optim.LBFGS, "batch_size": -1, "max_epochs": 2},
    "momentum and decay": {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__weight_decay": 0.1,
    },
    "AdamW": {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.5, "lr": 0.01},
    "split": {"train_split": ValidSplit(5)},
    "early stopping": {
        "train_split": ValidSplit(5),
        "max_epochs": 12,
        "callbacks": [EarlyStopping(patience=2, load_best=True)],
    },
    "schedule": {"callbacks": [LRScheduler("StepLR", step_size=1)]},
    "cyclic schedule": {
        "callbacks": [LRScheduler("CyclicLR", base_lr=0.01, max_lr=0.1, step_every="batch")]
    },
    "clipping": {"callbacks": [GradientNormClipping(0.1)]},
    "softmax": {"criterion": nn.NLLLoss, "module__head": nn.Softmax(dim=1)},
    "class weights": {"criterion__weight": torch.tensor([1.0, 5.0])},
    "instance": {"module": Net()},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("case", NETS)
def test_removed_weights_are_exactly_zero(case, weights, dtype):
    est = make(make_net(**NETS[case]), sparsity=0.7, dtype=dtype, random_state=1)
    assert_pruned(est.fit(X, CODES, sample_weight=weights), 0.7)
    assert_pruned(est.prune(X, CODES, sparsity=0.9, sample_weight=weights), 0.9)
    assert est.predict_proba(X).shape == (60, 2)


@pytest.mark.parametrize("options", [NETS["class weights"], NETS["softmax"], {}], ids=str)
def test_weights_of_one_change_nothing(options):
    a = make(make_net(**options)).fit(X, CODES, sample_weight=np.ones(60))
    b = make(make_net(**options)).fit(X, CODES)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("use_caching", [True, False])
def test_scoring_on_the_split(use_caching):
    auc = EpochScoring("roc_auc", False, name="auc", use_caching=use_caching)
    est = make(make_net(callbacks=[auc], train_split=ValidSplit(3))).fit(X, CODES)
    assert all(0 <= h["auc"] <= 1 for h in est.history_)


def test_predefined_split():
    valid = TensorDataset(torch.tensor(X[40:]), torch.tensor(CODES[40:]))
    est = make(make_net(train_split=predefined_split(valid))).fit(X[:40], CODES[:40])
    assert_pruned(est)
    assert all("valid_loss" in h for h in est.history_)
    assert_same(est, make().fit(X[:40], CODES[:40]))


def test_checkpoint_does_not_bring_back_the_dense_phase(tmp_path):
    options = {"train_split": ValidSplit(5), "max_epochs": 30}
    best = Checkpoint(dirname=tmp_path, load_best=True)
    est = make(make_net(callbacks=[best], **options), sparsity=0.9, finetune_epochs=3)
    assert_pruned(est.fit(X, CODES), 0.9)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("head", [None, nn.Flatten(0)], ids=["column", "vector"])
def test_binary_net(head, weights):
    net = make_net(
        kind=NeuralNetBinaryClassifier,
        criterion=nn.BCEWithLogitsLoss,
        module__n_out=1,
        module__head=head,
        optimizer=torch.optim.Adam,
    )
    est = make(net).fit(X, LABELS, sample_weight=weights)
    assert_pruned(est)
    probability = est.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(est.predict(X) == "yes", probability[:, 1] > 0.5)
    assert est.score(X, LABELS) > 0.8


def test_module_that_squeezes():
    class Squeezing(Net):
        def forward(self, X):
            return self.body(X).squeeze()

    net = make_net(Squeezing, NeuralNetRegressor, module__n_out=1, criterion=nn.MSELoss)
    assert make(net, PrunedRegressor).fit(X, X[:, 0]).predict(X).shape == (60,)


@pytest.mark.parametrize("case", ["schedule", "momentum and decay", "early stopping"])
@pytest.mark.parametrize("sparsity", [0, 0.7])
def test_training_goes_on_after_fit(case, sparsity):
    est = make(make_net(**NETS[case]), sparsity=sparsity).fit(X, CODES)
    before, n_epochs = state(est.estimator_), len(est.history_)
    est.partial_fit(X, CODES).partial_fit(X, CODES)
    assert len(est.history_) == n_epochs + 2
    assert not same_weights(est.estimator_, before)
    for name, mask in est.masks_.items():
        assert (state(est.estimator_)[name][~mask.numpy()] == 0).all()


def test_local_classes_fit_prune_and_train_on():
    class Local(Net):
        pass

    class LocalNet(NeuralNetClassifier):
        pass

    est = make(make_net(Local, LocalNet)).fit(X, CODES)
    assert_pruned(est.prune(X, CODES, sparsity=0.8), 0.8)
    before = state(est.estimator_)
    est.partial_fit(X, CODES)
    assert_pruned(est, 0.8)
    assert not same_weights(est.estimator_, before)
    path = est.pruning_path(X, CODES, sparsities=[0, 0.5])
    assert_pruned(path.estimators[1])


@pytest.mark.parametrize("split", [None, ValidSplit(5)])
def test_dense_weights_are_those_of_plain_skorch(split):
    est = make(make_net(train_split=split), sparsity=0).fit(X, CODES)
    torch.manual_seed(derive_seeds(0, 2)[0])
    plain = make_net(train_split=split).initialize().partial_fit(X, CODES)
    assert same_weights(est.dense_estimator_, plain)
    assert same_weights(est.estimator_, plain)
    np.testing.assert_allclose(est.predict_proba(X), plain.predict_proba(X), rtol=1e-5)


def test_net_of_the_user_is_left_alone():
    module = Net()
    net = make_net(module)
    before = copy.deepcopy(module.state_dict())
    est = make(net).fit(X, CODES).prune(X, CODES, sparsity=0.8)
    assert est.estimator is net
    assert not net.initialized_
    assert same_weights(before, module.state_dict())


def test_threshold_of_a_binary_net_decides():
    net = NeuralNetBinaryClassifier(
        nn.Linear,
        module__in_features=4,
        module__out_features=1,
        threshold=0.8,
        train_split=None,
        verbose=0,
    )
    est = PrunedClassifier(net, sparsity=0.25, random_state=0).fit(X, CODES > 0)
    probability = est.predict_proba(X)[:, 1]
    assert ((probability > 0.5) & (probability < 0.8)).any()
    np.testing.assert_array_equal(est.predict(X), probability > 0.8)


def test_outputs_that_are_no_probabilities_are_refused_as_such():
    net = make_net(criterion=nn.MultiMarginLoss)
    est = make(net).fit(X, CODES)
    assert est.score(X, CODES) > 0.5
    with pytest.raises(ValueError, match=r"not probabilities: .*predict_nonlinearity"):
        est.predict_proba(X)
    soft = make_net(criterion=nn.MultiMarginLoss, predict_nonlinearity=nn.Softmax(dim=1))
    probability = make(soft).fit(X, CODES).predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
