"""Criteria that need more than the weight: asked before training, and the same everywhere."""

import itertools

import numpy as np
import pytest
import torch
from estimator_cases import GROUPS, LABELS, X, make, same_weights

from sklearn_fairprune import GroupConstrainedPruner, diagnose
from sklearn_fairprune.functional import CRITERIA, Criterion


def drawn(weight, *, generator):
    return torch.rand(weight.shape, generator=generator)


def taylor(weight, *, gradient):
    return (weight * gradient).abs()


def group_aware(weight, *, group_gradients, group_shares):
    return (weight * group_gradients).abs().amax(0) + group_shares.max()


def unknown(weight, *, fisher):
    return weight


def fit(criterion, **options):
    est = make(criterion=criterion, **options)
    return est.fit(X, LABELS, sensitive_features=GROUPS)


@pytest.mark.parametrize("criterion", ["random", drawn, taylor, group_aware])
def test_same_seed_same_masks_and_the_global_generators_stay(criterion):
    before = torch.get_rng_state()
    one, two = fit(criterion), fit(criterion)
    assert all(torch.equal(one.masks_[k], two.masks_[k]) for k in one.masks_)
    assert torch.equal(torch.get_rng_state(), before)
    assert same_weights(one.estimator_, two.estimator_)


@pytest.mark.parametrize("criterion", ["random", drawn, taylor, group_aware])
def test_a_path_is_nested_and_equals_its_fits(criterion):
    path = make(criterion=criterion).pruning_path(
        X, LABELS, sensitive_features=GROUPS, sparsities=[0.3, 0.6, 0.9]
    )
    for less, more in itertools.pairwise(path.estimators):
        for name, mask in more.masks_.items():
            assert not (mask & ~less.masks_[name]).any()
    alone = fit(criterion, sparsity=0.6)
    assert same_weights(alone.estimator_, path.at(0.6).estimator_)


def test_group_aware_criteria_see_the_groups():
    whole = make(criterion=group_aware).fit(X, LABELS, sensitive_features=["all"] * len(X))
    grouped = fit(group_aware)
    differ = [(whole.masks_[k] != m).any() for k, m in grouped.masks_.items()]
    assert any(differ)


def test_what_there_is_not_is_refused_before_anything_is_trained(monkeypatch):
    def trained(*args, **options):
        raise AssertionError("trained")

    monkeypatch.setattr("sklearn_fairprune.estimators._fitting.train", trained)
    message = r"criterion: unknown asks for \['fisher'\]; known are .*'hessian_diagonal'"
    for est in (make(criterion=unknown), GroupConstrainedPruner(make(criterion=unknown))):
        with pytest.raises(ValueError, match=message):
            est.fit(X, LABELS)
        with pytest.raises(ValueError, match=message):
            est.pruning_path(X, LABELS, sparsities=[0, 0.5])


def test_pruning_without_rows_says_what_it_cannot_measure():
    est = fit(taylor)
    message = r"criterion: taylor asks for \['gradient'\].*pass X and y"
    with pytest.raises(ValueError, match=message):
        est.prune(sparsity=0.5)
    assert est.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.3).sparsity_ < 0.5
    assert fit(drawn).prune(sparsity=0.25).sparsity_ == pytest.approx(0.25, abs=0.02)


def test_a_prediction_of_damage_scores_on_its_rows():
    report = diagnose(fit(taylor), X, LABELS, sensitive_features=GROUPS, sparsity=0.7)
    assert np.isfinite(report.by_group["second_order"]).all()


def test_a_record_is_a_criterion_too():
    record = Criterion(taylor, title="first order")
    assert same_weights(fit(record).estimator_, fit(taylor).estimator_)
    assert fit(CRITERIA["magnitude"]).sparsity_ == fit("magnitude").sparsity_
