"""One seed, one network; global random states are left alone."""

import copy
import random

import numpy as np
import pytest
import torch
from estimator_cases import same_weights, state
from people_cases import LABELS, MODELS, SEX, X, default, with_dropout, with_loader
from sklearn.base import clone


@pytest.mark.parametrize("make", MODELS)
def test_fit_prune_and_path_agree_bit_for_bit(make):
    estimator = make(sparsity=0.9)
    fitted, again = clone(estimator).fit(X, LABELS), clone(estimator).fit(X, LABELS)
    dense = clone(estimator).set_params(sparsity=0.0).fit(X, LABELS)
    later = copy.deepcopy(dense).prune(X, LABELS, sparsity=0.5)
    later.prune(X, LABELS, sparsity=0.9)
    path = estimator.pruning_path(X, LABELS, sparsities=[0.5, 0.9, 0.0])
    for other in (again, later, path.estimators[1]):
        assert same_weights(fitted.estimator_, other.estimator_)
        assert same_weights(fitted.dense_estimator_, other.dense_estimator_)
        np.testing.assert_array_equal(fitted.predict_proba(X), other.predict_proba(X))
    assert same_weights(dense.estimator_, path.estimators[2].estimator_)
    for other in (later, path.estimators[1]):
        other.partial_fit(X, LABELS)
    assert same_weights(fitted.partial_fit(X, LABELS).estimator_, later.estimator_)
    assert same_weights(fitted.estimator_, path.estimators[1].estimator_)


def test_members_of_a_path_do_not_influence_each_other():
    one, two = with_dropout().pruning_path(X, LABELS, sparsities=[0.0, 0.5]).estimators
    before, dense = state(two.estimator_), state(two.dense_estimator_)
    one.partial_fit(X, LABELS)
    one.prune(X, LABELS, sparsity=0.9)
    assert same_weights(two.estimator_, before)
    assert same_weights(two.dense_estimator_, dense)


def test_different_seeds_and_no_seed_give_different_networks():
    one, two, none, more = (
        default(random_state=seed).fit(X, LABELS) for seed in (0, 1, None, None)
    )
    assert not same_weights(one.estimator_, two.estimator_)
    assert not same_weights(none.estimator_, more.estimator_)


@pytest.mark.parametrize("make", [*MODELS, with_loader])
def test_the_global_random_states_are_left_alone(make):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    clf, changed = make(random_state=None), []
    for name, call in {
        "fit": lambda: clf.fit(X, LABELS, sensitive_features=SEX),
        "predict": lambda: clf.predict(X),
        "predict_proba": lambda: clf.predict_proba(X),
        "prune": lambda: clf.prune(X, LABELS, sparsity=0.7),
        "partial_fit": lambda: clf.partial_fit(X, LABELS),
        "first partial_fit": lambda: clone(clf).partial_fit(X, LABELS),
        "pruning_path": lambda: clf.pruning_path(X, LABELS, sparsities=[0, 0.5]),
    }.items():
        before = states()
        call()
        changed += [name] if states() != before else []
    assert changed == []


def test_training_does_not_depend_on_the_global_random_states():
    fits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fits.append(with_loader().fit(X, LABELS).predict_proba(X))
    np.testing.assert_array_equal(*fits)
