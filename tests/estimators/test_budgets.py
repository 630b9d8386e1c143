"""One dense network, several sparsities, several numbers of epochs of fine-tuning."""

import copy
import pickle

import numpy as np
import pytest
import torch
from estimator_cases import GROUPS, LABELS, Net, X, assert_same, make, make_net, same_weights
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import GroupConstrainedPruner, PrunedRegressor
from sklearn_fairprune.engine import fit as engine

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:The network of sparsity")


@pytest.fixture(scope="module")
def path():
    return make(finetune_epochs=7).pruning_path(
        X, LABELS, sparsities=[0, 0.5, 0.75], budgets=[4, 0, 1]
    )


def test_there_is_a_network_for_every_sparsity_and_budget(path):
    assert path.sparsities.tolist() == [0, 0.5, 0.5, 0.5, 0.75, 0.75, 0.75]
    np.testing.assert_array_equal(path.budgets, [np.nan, 0, 1, 4, 0, 1, 4])
    assert path.names[:4] == [
        "sparsity 0",
        "sparsity 0.5, 0 epochs",
        "sparsity 0.5, 1 epoch",
        "sparsity 0.5, 4 epochs",
    ]
    assert (
        repr(path) == "<PruningPath of 7 estimators, sparsities 0, 0.5, 0.75, budgets 0, 1, 4>"
    )
    tuned = [[r["phase"] for r in e.history_].count("finetune") for e in path.estimators]
    assert tuned == [0, 0, 1, 4, 0, 1, 4]


def test_members_are_what_fit_gives(path):
    for sparsity, budget, member in zip(
        path.sparsities, path.budgets, path.estimators, strict=True
    ):
        epochs = 7 if np.isnan(budget) else int(budget)
        alone = make(sparsity=sparsity, finetune_epochs=epochs).fit(X, LABELS)
        assert member.get_params()["finetune_epochs"] == epochs
        assert_same(member, alone)
        assert [row["phase"] for row in member.history_] == [
            row["phase"] for row in alone.history_
        ]
        assert_same(clone(member).fit(X, LABELS), alone)


def test_the_dense_network_is_trained_once(monkeypatch):
    calls, train_dense = [], engine.train_dense
    monkeypatch.setattr(engine, "train_dense", lambda *a: calls.append(1) or train_dense(*a))
    path = make().pruning_path(X, LABELS, sparsities=[0.5, 0.75], budgets=[1, 2])
    assert calls == [1]
    assert all(
        same_weights(e.dense_estimator_, path.estimators[0].dense_estimator_)
        for e in path.estimators
    )


def test_at_finds_sparsity_and_budget(path):
    assert path.at(0.75, budget=1) is path.estimators[5]
    assert path.at(0.75) is path.at(0.75, budget=4) is path.estimators[6]
    assert path.at(0) is path.at(0, budget=1) is path.estimators[0]
    with pytest.raises(
        ValueError, match=r"budget must be one of the path, \[0, 1, 4\], got 7"
    ):
        path.at(0.5, budget=7)
    plain = make(finetune_epochs=0).pruning_path(X, LABELS, sparsities=[0, 0.5])
    with pytest.raises(ValueError, match=r"one of the path, \[\], got 5. .*budgets=\.\.\."):
        plain.at(0.5, budget=5)


def test_none_is_the_default_of_a_fit():
    path = make(finetune_epochs=1).pruning_path(
        X, LABELS, sparsities=[0, 0.5], budgets=[None, 2, 50]
    )
    usual = 5  # twenty steps of the optimizer, four an epoch
    np.testing.assert_array_equal(path.budgets, [np.nan, 2, usual, 50])
    assert path.at(0.5, usual).finetune_epochs is None
    assert_same(path.at(0.5, usual), make(finetune_epochs=None).fit(X, LABELS))
    with pytest.raises(ValueError, match=r"got \[5, None\], where None stands for 5: 5 is"):
        make().pruning_path(X, LABELS, sparsities=[0, 0.5], budgets=[usual, None])


@pytest.mark.parametrize(
    ("budgets", "told"),
    [
        (
            [5, 5],
            r"budgets must be different .*got \[5, 5\]: 5 is there twice. Give each once",
        ),
        ([None, None], "None is there twice"),
        ([-1], "at least 0.* got -1. Use for example"),
        ([1.5], "integers.* got 1.5"),
        ([True], "integers.* got True"),
        (["5"], "integers.* got '5'"),
        (
            [],
            r"budgets must be a sequence .*got \[\]. For a single number set finetune_epochs",
        ),
        ("5", "sequence of numbers of epochs.* got '5'"),
        (5, "sequence of numbers of epochs.* got 5"),
    ],
)
def test_what_is_no_budget_is_refused_before_any_training(monkeypatch, budgets, told):
    monkeypatch.setattr(engine, "train_dense", None)
    constrained = GroupConstrainedPruner(make())
    for pruner in (make(), constrained):
        with pytest.raises(ValueError, match=told):
            pruner.pruning_path(X, LABELS, sparsities=[0, 0.5], budgets=budgets)


def test_fewer_epochs_than_steps_are_refused_before_any_training(monkeypatch):
    monkeypatch.setattr(engine, "train_dense", None)
    stepwise = make(schedule="iterative", finetune_epochs=9)
    with pytest.raises(ValueError, match=r"3 steps .* finetune_epochs=2 are fewer"):
        stepwise.pruning_path(X, LABELS, sparsities=[0, 0.5], budgets=[2, 6])


def test_all_budgets_with_as_many_epochs_as_steps():
    stepwise = make(schedule="iterative", finetune_epochs=1)  # of which there is nothing
    path = stepwise.pruning_path(X, LABELS, sparsities=[0, 0.5], budgets=[0, 3])
    assert [row["step"] for row in path.at(0.5).history_[-3:]] == [1, 2, 3]


def test_nested_is_told_of_each_budget(path):
    assert path.nested
    other = make(sparsity=0.75, finetune_epochs=4, criterion="random").fit(X, LABELS)
    assert not type(path)(path.sparsities, [*path.estimators[:6], other], path.budgets).nested


def test_masks_of_other_budgets_need_not_nest():
    """Other masks in one budget make the path of another budget no less nested."""
    one = make(criterion="random", random_state=0)
    two = make(criterion="random", random_state=1)
    first = one.pruning_path(X, LABELS, sparsities=[0, 0.5, 0.75], budgets=[1])
    second = two.pruning_path(X, LABELS, sparsities=[0, 0.5, 0.75], budgets=[2])
    joined = type(first)(
        [*first.sparsities, *second.sparsities[1:]],
        [*first.estimators, *second.estimators[1:]],
        [*first.budgets, *second.budgets[1:]],
    )
    assert joined.nested
    assert not type(first)(joined.sparsities, joined.estimators).nested


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_keep_the_budgets(path, copied):
    twin = copied(path)
    assert type(twin) is type(path)
    assert twin.names == path.names
    np.testing.assert_array_equal(twin.budgets, path.budgets)


def test_regressors_and_frozen_networks():
    y = X[:, 0] - X[:, 1]
    regressor = PrunedRegressor(hidden_layer_sizes=(4,), random_state=0)
    path = regressor.pruning_path(X, y, sparsities=[0, 0.5], budgets=[1, 2])
    assert path.names[-1] == "sparsity 0.5, 2 epochs"
    codes = (LABELS == "yes").astype(int)
    frozen = make(FrozenEstimator(make_net(Net).fit(X, codes)))
    path = frozen.pruning_path(X, codes, sparsities=[0, 0.5], budgets=[1, 2])
    assert not same_weights(path.at(0.5, 1).estimator_, path.at(0.5, 2).estimator_)


@pytest.mark.filterwarnings("ignore:constraint=")
def test_a_constrained_path_has_budgets_too():
    pruner = GroupConstrainedPruner(make(finetune_epochs=3))
    path = pruner.pruning_path(
        X, LABELS, sensitive_features=GROUPS, sparsities=[0, 0.5], budgets=[2, 1]
    )
    assert path.names == ["sparsity 0", "sparsity 0.5, 1 epoch", "sparsity 0.5, 2 epochs"]
    for epochs in (1, 2):
        member = path.at(0.5, budget=epochs)
        assert member.estimator.finetune_epochs == epochs
        alone = clone(pruner).set_params(estimator__finetune_epochs=epochs)
        alone.fit(X, LABELS, sensitive_features=GROUPS)
        assert_same(member.estimator_, alone.estimator_)
        assert member.multipliers_.equals(alone.multipliers_)
