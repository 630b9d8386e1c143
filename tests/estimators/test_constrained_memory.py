"""The cache of dense trainings under a constraint: what it shares and keeps apart."""

import numpy as np
import pandas as pd
import pytest
from constrained_cases import NOISY_LABELS, QUIET, STRONG, constrained, inner
from counting import BEGINS, CountTrainings, counting  # noqa: F401
from estimator_cases import assert_same, same_weights
from people_cases import AGE, SEX, PlainNet, X, net

from sklearn_fairprune import GroupConstrainedPruner

pytestmark = QUIET


@pytest.fixture
def cached(tmp_path):
    """Pruner with a cache, whose trainings from scratch are counted."""
    BEGINS.clear()
    counted = net(PlainNet, callbacks=[CountTrainings()])
    return inner(estimator=counted, memory=str(tmp_path))


def fit(pruner, groups=SEX, y=NOISY_LABELS, **params):
    est = GroupConstrainedPruner(pruner, **(STRONG | params))
    return est.fit(X, y, sensitive_features=groups)


def test_after_reuses_the_dense_network_of_a_plain_pruner(cached):
    plain = cached.fit(X, NOISY_LABELS)
    assert len(BEGINS) == 1
    for params in ({}, {"constraint": "accuracy_gap"}, {"dual_lr": 0.1}, {"groups": AGE}):
        est = fit(cached, **params)
        assert same_weights(est.dense_estimator_, plain.dense_estimator_)
    assert len(BEGINS) == 1
    uncached = fit(inner())
    assert_same(fit(cached).estimator_, uncached.estimator_)


def test_a_plain_pruner_reuses_what_after_has_trained(cached):
    fit(cached)
    cached.fit(X, NOISY_LABELS)
    assert len(BEGINS) == 1


@pytest.mark.parametrize("params", [{}, {"dual_update": "absolute"}, {"holdout": 0.3}])
def test_before_and_both_share_a_training_with_its_multipliers(cached, params):
    first = fit(cached, stage="before", **params)
    assert len(BEGINS) == 1
    again, both = (fit(cached, stage=stage, **params) for stage in ("before", "both"))
    assert len(BEGINS) == 1
    plain = fit(inner(), stage="before", **params)
    for est in (first, again):
        pd.testing.assert_series_equal(est.multipliers_, plain.multipliers_)
        pd.testing.assert_frame_equal(est.history_, plain.history_)
        assert_same(est.estimator_, plain.estimator_)
    fresh = fit(inner(), stage="both", **params)
    pd.testing.assert_frame_equal(both.history_, fresh.history_)
    assert_same(both.estimator_, fresh.estimator_)


def squared(losses, *, shares):
    return losses**2 - shares @ losses**2


CHANGES = [
    {"constraint": "bounded_group_loss"},
    {"constraint": "minimax"},
    {"constraint": squared},
    {"groups": AGE},
    {"groups": np.where(SEX == "f", "m", "f")},
    {"tolerance": 0.1},
    {"dual_lr": 0.5},
    {"dual_optimizer": "ascent"},
    {"dual_update": "signed"},
    {"dual_update": "absolute"},
    {"dual_steps": 2},
    {"window": 0.2},
    {"max_multiplier": 0.3},
    {"nupi_gain": 1.0},
    {"nupi_smoothing": 0.5},
    {"holdout": 0.3},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda c: next(iter(c)))
def test_before_keeps_different_constraints_apart(cached, change):
    first = fit(cached, stage="before")
    changed = fit(cached, stage="before", **change)
    assert len(BEGINS) == 2
    fresh = fit(inner(), stage="before", **change)
    assert_same(changed.estimator_, fresh.estimator_)
    pd.testing.assert_frame_equal(changed.history_, fresh.history_)
    if not isinstance(change.get("groups"), np.ndarray):  # the same groups by other names
        assert not same_weights(changed.dense_estimator_, first.dense_estimator_)


def test_before_is_not_served_to_a_plain_pruner(cached):
    before = fit(cached, stage="before")
    plain = cached.fit(X, NOISY_LABELS)
    assert len(BEGINS) == 2
    assert not same_weights(before.dense_estimator_, plain.dense_estimator_)


def test_a_cached_training_can_be_pruned_again_and_along_a_path(cached):
    fit(cached, stage="both")
    est = fit(cached, stage="both")
    est.prune(X, NOISY_LABELS, sensitive_features=SEX, sparsity=0.8)
    path = constrained(cached, stage="both").pruning_path(
        X, NOISY_LABELS, sensitive_features=SEX, sparsities=[0.8]
    )
    assert len(BEGINS) == 1
    assert_same(est.estimator_, path.estimators[0].estimator_)
    pd.testing.assert_frame_equal(est.history_, path.estimators[0].history_)
