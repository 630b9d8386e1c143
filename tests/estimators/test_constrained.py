"""What a constrained fit leaves behind, and which trainings it constrains."""

import numpy as np
import pandas as pd
import pytest
from constrained_cases import (
    NOISY,
    NOISY_LABELS,
    QUIET,
    TARGETS,
    constrained,
    excess,
    fitted,
    group_means,
    inner,
    row_losses,
)
from estimator_cases import assert_pruned, assert_same, same_weights, state
from people_cases import LABELS, SEX, X, default, net
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor
from sklearn_fairprune.functional import CONSTRAINTS

pytestmark = QUIET
WEIGHTS = np.random.default_rng(1).uniform(0.5, 2, 200)
COLUMNS = ["epoch", "stage", "group", "loss", "violation", "multiplier"]


UPDATES = ["projected", "signed", "absolute"]
RULES = [(c, u) for c in CONSTRAINTS for u in UPDATES if c != "minimax" or u == UPDATES[0]]


@pytest.mark.parametrize(("constraint", "update"), RULES)
def test_fitted_attributes(constraint, update):
    est = fitted(constraint=constraint, dual_update=update)
    assert est.classes_.tolist() == ["no", "yes"]
    assert est.groups_.tolist() == ["f", "m"]
    assert est.multipliers_.name == "multiplier"
    for part in (est.multipliers_, est.violations_):
        assert part.index.tolist() == ["f", "m"]
        assert np.isfinite(part.to_numpy()).all()
    assert est.violations_.columns.tolist() == ["train"]
    assert est.multipliers_.abs().sum() <= 1 + 1e-9
    if update != "signed":
        assert (est.multipliers_ >= 0).all()
    if constraint == "minimax":
        assert est.constraint_satisfied_ is None
    else:
        size = est.violations_["train"].abs() if update != "projected" else est.violations_
        assert est.constraint_satisfied_ is bool((size.to_numpy() <= 0).all())
    assert est.n_features_in_ == 5
    assert_pruned(est.estimator_)
    assert est.estimator_.masks_ is est.masks_
    assert est.sparsity_ == est.estimator_.sparsity_ == 0.5


def test_history_has_a_row_per_epoch_and_group():
    history = fitted().history_
    assert history.columns.tolist() == COLUMNS
    assert history["epoch"].tolist() == [1, 1, 2, 2]
    assert history["group"].tolist() == ["f", "m", "f", "m"]
    assert set(history["stage"]) == {"finetune"}
    assert history.notna().all().all()


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_the_last_multipliers_of_the_history_are_those_of_the_fit(stage):
    est = fitted(stage=stage)
    last = est.history_.groupby("group")["multiplier"].last()
    np.testing.assert_array_equal(last, est.multipliers_)
    assert est.multipliers_["f"] > est.multipliers_["m"]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_violations_are_those_of_the_final_networks(constraint, weights):
    est = fitted(constraint=constraint, weights=weights)
    pruned, dense = est.estimator_, inner()
    dense.fit(X, NOISY_LABELS, sample_weight=weights)
    dense.estimator_ = dense.dense_estimator_
    values = {
        "equal_loss": row_losses(est),
        "minimax": row_losses(est),
        "equal_excessive_loss": row_losses(est) - row_losses(dense),
        "equal_accuracy": (pruned.predict(X) != NOISY_LABELS) * 1.0,
        "accuracy_gap": (pruned.predict(X) != NOISY_LABELS) * 1.0
        - (dense.predict(X) != NOISY_LABELS),
    }
    if constraint == "bounded_group_loss":
        expected, _ = group_means(row_losses(est), weights=weights)
    else:
        expected = excess(values[constraint], weights=weights)
    np.testing.assert_allclose(est.violations_["train"], expected, atol=2e-6)


@pytest.mark.parametrize("update", ["projected", "signed"])
def test_satisfied_is_about_every_group_and_its_tolerance(update):
    worst = fitted(dual_update=update, dual_lr=0.0).violations_["train"]
    bound = worst.max() if update == "projected" else worst.abs().max()
    for tolerance, met in [(bound * 0.99, False), (bound * 1.01, True)]:
        est = fitted(dual_update=update, dual_lr=0.0, tolerance=tolerance)
        assert est.constraint_satisfied_ is met


def test_a_group_that_is_better_off_violates_only_two_sided_constraints():
    groups = np.where(np.arange(200) < 20, "few", "many")
    easy = np.where(groups == "few", LABELS, NOISY_LABELS)
    sizes = {}
    for update in ("projected", "absolute"):
        est = fitted(y=easy, groups=groups, dual_update=update, dual_lr=0.0)
        sizes[update] = est.violations_["train"]
        tolerance = (est.violations_["train"].max() + abs(sizes[update]["few"])) / 2
        assert sizes[update]["few"] < -2 * sizes[update]["many"] < 0
        est = fitted(
            y=easy, groups=groups, dual_update=update, dual_lr=0.0, tolerance=tolerance
        )
        assert est.constraint_satisfied_ is (update == "projected")


def test_the_constraint_helps_the_worse_group():
    slow = inner(finetune_epochs=20)
    free, held = (fitted(slow, tolerance=t) for t in (np.inf, 0.0))
    assert held.violations_["train"].max() < 0.8 * free.violations_["train"].max()


# ---- stages ------------------------------------------------------------------------


def test_after_leaves_the_dense_network_as_it_is_and_before_does_not():
    plain = inner().fit(X, NOISY_LABELS, sensitive_features=SEX)
    after, before, both = (fitted(stage=s) for s in ("after", "before", "both"))
    assert same_weights(after.dense_estimator_, plain.dense_estimator_)
    assert not same_weights(before.dense_estimator_, plain.dense_estimator_)
    assert same_weights(before.dense_estimator_, both.dense_estimator_)
    finals = [state(plain.estimator_)]
    finals += [state(e.estimator_.estimator_) for e in (after, before, both)]
    assert not any(same_weights(a, b) for a in finals for b in finals if a is not b)
    stages = [e.history_["stage"].unique().tolist() for e in (after, before, both)]
    assert stages == [["finetune"], ["dense"], ["dense", "finetune"]]
    assert both.history_["epoch"].tolist() == [1, 1, 2, 2, 3, 3, 4, 4, 1, 1, 2, 2]


def test_before_fine_tunes_without_constraint():
    before = fitted(stage="before")
    frozen = FrozenEstimator(before.dense_estimator_)
    codes = default(estimator=frozen).fit(X, NOISY)
    assert same_weights(codes.estimator_, before.estimator_.estimator_)


@pytest.mark.usefixtures("few_epochs")
@pytest.mark.parametrize("stage", ["before", "after", "both"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("pruner", [default(), inner(), default(estimator=net())])
def test_an_infinite_tolerance_changes_no_bit(pruner, weights, stage):
    constraint = "accuracy_gap" if stage == "after" else "equal_loss"
    plain = pruner.fit(X, NOISY_LABELS, sensitive_features=SEX, sample_weight=weights)
    free = fitted(
        pruner, weights=weights, stage=stage, tolerance=np.inf, constraint=constraint
    )
    assert_same(plain, free.estimator_)
    assert (free.multipliers_ == 0).all()
    assert free.constraint_satisfied_ is True


@pytest.mark.parametrize("stage", ["before", "both"])
@pytest.mark.parametrize("constraint", ["accuracy_gap", "equal_excessive_loss"])
def test_what_compares_with_the_dense_network_exists_after_only(constraint, stage):
    with pytest.raises(ValueError, match=f"'{constraint}' compares.*stage='{stage}'.*'after'"):
        fitted(constraint=constraint, stage=stage)


def test_a_frozen_network_is_constrained_after_pruning_only():
    dense = net().fit(X, NOISY)
    frozen = PrunedClassifier(FrozenEstimator(dense), finetune_epochs=2, random_state=0)
    est = fitted(frozen, y=NOISY)
    assert same_weights(est.dense_estimator_, dense)
    assert est.multipliers_["f"] > 0
    for stage in ("before", "both"):
        with pytest.raises(ValueError, match=f"stage='{stage}'.*FrozenEstimator.*'after'"):
            fitted(frozen, y=NOISY, stage=stage)


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_without_pruning_only_the_dense_training_can_be_constrained(stage):
    est = fitted(inner(sparsity=0.0), stage=stage)
    assert est.sparsity_ == 0
    assert (est.multipliers_["f"] > 0) == (stage == "before")
    assert ("finetune" in set(est.history_["stage"])) is False
    assert len(est.history_) == (0 if stage == "after" else 8)
    assert est.history_.columns.tolist() == COLUMNS


# ---- regressors ----------------------------------------------------------------------


@pytest.mark.parametrize("constraint", ["equal_loss", "equal_excessive_loss", "minimax"])
def test_a_regressor_is_constrained_in_squared_errors(constraint):
    reg = PrunedRegressor(random_state=0, hidden_layer_sizes=(8,))
    est = fitted(reg, y=TARGETS, constraint=constraint)
    errors = (est.predict(X) - TARGETS) ** 2
    dense = est.estimator_.dense_estimator_.predict(X)[:, 0]
    base = (dense - TARGETS) ** 2 if constraint == "equal_excessive_loss" else 0
    np.testing.assert_allclose(est.violations_["train"], excess(errors - base), atol=1e-5)
    assert not hasattr(est, "classes_")
    assert not hasattr(est, "predict_proba")


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_a_regressor_without_groups_has_nothing_to_do(stage):
    reg = PrunedRegressor(random_state=0, hidden_layer_sizes=(8,))
    est = constrained(reg, stage=stage).fit(X, TARGETS)
    assert est.groups_.tolist() == ["all"]
    assert est.multipliers_.tolist() == [0.0]
    assert est.constraint_satisfied_ is True
    assert_same(reg.fit(X, TARGETS), est.estimator_)


def test_a_constraint_of_the_users_own_is_one_function():
    def worst_error(errors, *, dense_errors, factor=1.0):
        return errors - factor * dense_errors

    est = fitted(constraint=worst_error)
    dense = est.estimator_.dense_estimator_.predict(X) != NOISY
    drop, _ = group_means((est.predict(X) != NOISY_LABELS) * 1.0 - dense)
    np.testing.assert_allclose(est.violations_["train"], drop, atol=1e-12)
    named = fitted(constraint=CONSTRAINTS["equal_loss"])
    pd.testing.assert_frame_equal(named.history_, fitted().history_)


def test_the_defaults_are_positional_and_repr_names_what_differs():
    est = GroupConstrainedPruner(inner(), stage="both")
    assert repr(est).startswith("GroupConstrainedPruner(estimator=PrunedClassifier(")
    assert "stage='both'" in repr(est)
