"""Pruning a constrained fit again, and along a path of sparsities."""

import numpy as np
import pandas as pd
import pytest
from constrained_cases import (
    NOISY_LABELS,
    QUIET,
    TARGETS,
    constrained,
    excess,
    fitted,
    inner,
    row_losses,
)
from estimator_cases import assert_pruned, assert_same, same_weights, state
from people_cases import AGE, LABELS, SEX, PlainNet, X, default, net
from sklearn.exceptions import NotFittedError

from sklearn_fairprune import PrunedRegressor

pytestmark = QUIET
STAGES = ["before", "after", "both"]
KNOWN = ["violations_", "multipliers_", "constraint_satisfied_"]
DATA = {"X": X, "y": NOISY_LABELS, "sensitive_features": SEX}


def equal(one, other):
    """Both hold the same networks and the same numbers."""
    assert_same(one.estimator_, other.estimator_)
    pd.testing.assert_series_equal(one.multipliers_, other.multipliers_)
    pd.testing.assert_frame_equal(one.violations_, other.violations_)
    pd.testing.assert_frame_equal(one.history_, other.history_)
    assert one.constraint_satisfied_ is other.constraint_satisfied_
    assert one.sparsity_ == other.sparsity_


@pytest.mark.parametrize("holdout", [0.0, 0.3])
@pytest.mark.parametrize("stage", STAGES)
def test_pruning_again_is_what_fit_gives_at_that_sparsity(stage, holdout):
    params = {"stage": stage, "holdout": holdout}
    est = fitted(**params)
    est.prune(X, NOISY_LABELS, sensitive_features=SEX, sparsity=0.2)
    est.prune(X, NOISY_LABELS, sensitive_features=SEX, sparsity=0.8)
    equal(est, fitted(inner(sparsity=0.8), **params))
    assert_pruned(est.estimator_, 0.8)
    assert est.estimator.sparsity == 0.5
    est.prune(X, NOISY_LABELS, sensitive_features=SEX)
    equal(est, fitted(**params))


@pytest.mark.parametrize("stage", STAGES)
def test_without_data_nothing_is_known_of_violations(stage):
    est = fitted(stage=stage)
    dense = state(est.dense_estimator_)
    assert est.prune(sparsity=0.9) is est
    kept = ["multipliers_"] if stage == "before" else []  # of the dense training
    assert [name for name in KNOWN if hasattr(est, name)] == kept
    assert est.sparsity_ == est.estimator_.sparsity_ == pytest.approx(0.9, abs=0.02)
    weights, masks = state(est.estimator_.estimator_), est.masks_
    for name, mask in masks.items():
        np.testing.assert_array_equal(weights[name], np.where(mask, dense[name], 0))
    assert est.predict(X).shape == (200,)


def test_masking_alone_leaves_no_history_of_a_fine_tuning():
    est = fitted(stage="both").prune(sparsity=0.9)
    assert [h["phase"] for h in est.estimator_.history_] == 4 * ["dense"]
    assert set(est.history_["stage"]) == {"dense"}


@pytest.mark.parametrize("stage", STAGES)
def test_pruning_with_data_after_pruning_without(stage):
    est = fitted(stage=stage).prune(sparsity=0.9)
    est.prune(X, NOISY_LABELS, sensitive_features=SEX)
    equal(est, fitted(stage=stage))


@pytest.mark.parametrize("stage", STAGES)
def test_pruning_again_with_other_rows_and_groups(stage):
    est = fitted(stage=stage)
    est.prune(X[:100], LABELS[:100], sensitive_features=AGE[:100], sparsity=0.7)
    assert est.violations_.index.tolist() == ["old", "young"]
    assert est.multipliers_.index.isin(est.history_["group"]).all()
    groups = est.history_.groupby("stage")["group"].unique()
    if stage != "before":
        assert est.multipliers_.index.tolist() == ["old", "young"]
        assert groups["finetune"].tolist() == ["old", "young"]
    if stage != "after":
        assert groups["dense"].tolist() == ["f", "m"]
    expected = excess(row_losses(est, LABELS[:100], X[:100]), AGE[:100])
    np.testing.assert_allclose(est.violations_["train"], expected, atol=1e-5)


def test_parameters_set_since_the_fit_count_when_pruning_again():
    est = fitted().set_params(tolerance=np.inf, constraint="bounded_group_loss")
    est.prune(X, NOISY_LABELS, sensitive_features=SEX)
    assert est.constraint_satisfied_ is True
    assert (est.violations_ > 0).all(axis=None)
    assert_same(est.estimator_, inner().fit(X, NOISY_LABELS))


BAD = {
    "unknown label": ({"y": np.full(200, "maybe")}, "labels that are not among.*maybe"),
    "NaN": ({"X": X * np.nan}, "X contains NaN"),
    "short groups": ({"sensitive_features": SEX[:-1]}, "has 199 and X has 200 rows"),
    "sparsity": ({"sparsity": 90}, "must be in.*got 90.*Use 0.9"),
    "no X": ({"X": None, "sensitive_features": None}, "but no X"),
    "features": ({"X": X[:, :3]}, "X has 3 features.*expecting 5"),
}


@pytest.mark.parametrize("case", BAD)
def test_a_failed_pruning_leaves_everything_as_it_was(case):
    est = fitted(stage="both")
    before, predicted = dict(vars(est)), est.predict(X)
    inside = dict(vars(est.estimator_))
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        est.prune(**(DATA | change))
    for fit, old in [(est, before), (est.estimator_, inside)]:
        assert vars(fit).keys() == old.keys()
        assert all(value is old[name] for name, value in vars(fit).items())
    np.testing.assert_array_equal(est.predict(X), predicted)


def test_a_diverging_fine_tuning_leaves_everything_as_it_was():
    est = fitted()
    before, predicted = dict(vars(est)), est.predict(X)
    est.set_params(max_multiplier=np.inf, dual_lr=1e308)
    with pytest.raises(ValueError, match=r"overflowed at dual_lr=1e\+308|diverged"):
        est.prune(**DATA)
    assert all(vars(est)[k] is v for k, v in before.items() if k.endswith("_"))
    np.testing.assert_array_equal(est.predict(X), predicted)


def test_pruning_before_fit():
    with pytest.raises(NotFittedError, match=r"GroupConstrainedPruner.*not fitted"):
        constrained().prune(**DATA)


# ---- paths ---------------------------------------------------------------------------


@pytest.mark.parametrize("holdout", [0.0, 0.3])
@pytest.mark.parametrize("stage", STAGES)
def test_a_path_is_fit_at_every_sparsity(stage, holdout):
    est = constrained(stage=stage, holdout=holdout)
    path = est.pruning_path(**DATA, sparsities=[0.8, 0.0, 0.3])
    assert path.sparsities.tolist() == [0.8, 0.0, 0.3]
    assert path.achieved.tolist() == [e.sparsity_ for e in path.estimators]
    dense = {id(e.dense_estimator_) for e in path.estimators}
    assert len(dense) == 1
    for sparsity, one in zip(path.sparsities, path.estimators, strict=True):
        assert one.get_params()["estimator__sparsity"] == sparsity
        equal(one, fitted(inner(sparsity=float(sparsity)), stage=stage, holdout=holdout))
    assert not hasattr(est, "estimator_")
    assert est.estimator.sparsity == 0.5


def test_estimators_of_a_path_are_independent():
    path = constrained(stage="both").pruning_path(**DATA, sparsities=[0.2, 0.6])
    one, two = path.estimators
    before = state(two.estimator_.estimator_)
    values = [e.multipliers_.tolist() for e in path.estimators]
    assert values[0] != values[1]
    one.prune(**DATA, sparsity=0.9)
    assert same_weights(two.estimator_.estimator_, before)
    assert two.multipliers_.tolist() == values[1]


def test_a_path_with_dropout_and_of_a_regressor():
    with_dropout = default(estimator=net())
    path = constrained(with_dropout).pruning_path(**DATA, sparsities=[0.5])
    equal(path.estimators[0], fitted(with_dropout))
    reg = PrunedRegressor(random_state=0, hidden_layer_sizes=(8,), sparsity=0.4)
    data = DATA | {"y": TARGETS}
    path = constrained(reg).pruning_path(**data, sparsities=[0.4])
    equal(path.estimators[0], fitted(reg, y=TARGETS))


def test_a_path_without_a_seed_shares_its_dense_network():
    est = constrained(inner(random_state=None, estimator=net(PlainNet)))
    one, two = est.pruning_path(**DATA, sparsities=[0.0, 0.5]).estimators
    assert one.dense_estimator_ is two.dense_estimator_


def test_sparsities_of_numpy_are_numbers_too():
    est = fitted(inner(sparsity=np.float64(0.8)))
    equal(est, fitted(inner(sparsity=0.8)))
    path = constrained().pruning_path(**DATA, sparsities=np.array([0.0, 0.8]))
    equal(path.estimators[1], est)


@pytest.mark.parametrize("sparsities", [0.5, [], "0.5", [2]])
def test_a_path_of_nothing(sparsities):
    with pytest.raises(ValueError, match="sparsit"):
        constrained().pruning_path(**DATA, sparsities=sparsities)
