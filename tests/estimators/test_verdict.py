"""What became of a constraint, as a fitted estimator says it."""

import warnings

import numpy as np
import pytest
import torch
from constrained_cases import (
    NOISY_LABELS,
    QUIET,
    constrained,
    excess,
    fitted,
    inner,
    row_losses,
)
from people_cases import SEX, X, default
from scipy import stats

from sklearn_fairprune import GroupConstrainedPruner
from sklearn_fairprune.statistics.constraint_outcomes import Outcome

pytestmark = QUIET


def told(est, **data):
    """What a fit warns of its constraint, and the fitted estimator."""
    data = {"X": X, "y": NOISY_LABELS, "sensitive_features": SEX} | data
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        est.fit(**data)
    texts = [str(w.message) for w in caught if "constraint=" in str(w.message)]
    return (texts[0] if texts else ""), est


def test_limits_are_those_of_the_mean_difference():
    """Two groups: g_f is the share of the others times the difference of two means."""
    est = fitted(dual_lr=0.0)
    losses, f = row_losses(est), SEX == "f"
    share = f.mean()
    own, other = losses[f], losses[~f]
    error = (1 - share) * np.sqrt(own.var(ddof=1) / len(own) + other.var(ddof=1) / len(other))
    low, high = est.violation_limits_.loc["f"]
    found = excess(losses)["f"]
    np.testing.assert_allclose(est.violations_.loc["f", "train"], found, atol=1e-6)
    assert low < found < high
    width = 2 * stats.t.isf(0.05, 150) * error
    assert high - low == pytest.approx(width, rel=0.25)  # the limits allow for skewness


@pytest.mark.parametrize(
    ("outcome", "options"),
    [
        (Outcome.MET_BY_PRUNING_ALONE, {"tolerance": 5.0}),
        (Outcome.MET, {"tolerance": 0.3, "dual_lr": 20.0}),
        (Outcome.NOT_MET, {"dual_lr": 0.0, "tolerance": 0.02}),
        (Outcome.CANNOT_TELL, {"holdout": 0.3}),
    ],
)
def test_outcomes(outcome, options):
    text, est = told(constrained(**options))
    assert est.outcome_ == outcome
    met = outcome in (Outcome.MET, Outcome.MET_BY_PRUNING_ALONE)
    assert met == (est.violation_limits_["high"] <= est.tolerance_).all()
    assert met == (text == "")
    if met:
        assert est.constraint_satisfied_
    acted = ((est.row_weights_ - 1).abs() > 0.05).any(axis=None)
    assert acted == (outcome in (Outcome.MET, Outcome.CANNOT_TELL))


def test_an_overshooting_fit_is_not_told_to_push_harder():
    def favouring(losses):  # always over, so that f gains weight at the cost of m
        return losses[0] - losses + 0.5

    few = {"dual_lr": 0.02, "max_multiplier": 0.9, "tolerance": 0.0}
    text, est = told(constrained(inner(finetune_epochs=15), constraint=favouring, **few))
    assert est.outcome_ == "overshot"
    assert "overshot" in text
    assert "Raise" not in text


def test_a_violation_that_is_nan_is_never_met():
    def unknown(losses):
        return losses * torch.tensor([1.0, torch.nan]).to(losses)

    text, est = told(constrained(constraint=unknown, tolerance=10.0))
    assert est.constraint_satisfied_ is False
    assert est.outcome_ == "cannot_tell"
    assert "cannot tell" in text
    assert est.violations_["train"].isna().tolist() == [False, True]


def test_a_group_without_held_rows_is_judged_by_no_rows():
    groups = np.where(np.arange(200) == 0, "one", SEX)
    _, est = told(constrained(tolerance=10.0, holdout=0.3), sensitive_features=groups)
    assert est.violations_["holdout"].isna()["one"]
    assert est.outcome_ == "cannot_tell"
    assert est.constraint_satisfied_  # its own row is within the tolerance


def test_tolerance_as_a_share_of_the_mean():
    _, est = told(constrained(tolerance=None))
    assert est.tolerance_ == pytest.approx(0.1 * row_losses(est).mean(), rel=1e-5)
    _, est = told(constrained(tolerance=None, constraint="equal_accuracy"))
    wrong = (est.predict(X) != NOISY_LABELS).mean()
    assert est.tolerance_ == pytest.approx(0.1 * wrong)
    assert told(constrained(tolerance=0.2))[1].tolerance_ == 0.2


def test_row_weights_are_those_of_the_training():
    _, est = told(constrained(tolerance=np.inf))
    assert (est.row_weights_ == 1).all(axis=None)
    _, est = told(constrained(dual_update="adaptive", noise=0.0, min_row_weight=0.8))
    assert est.row_weights_["lowest"].min() >= 0.8 - 1e-9
    assert est.row_weights_["highest"].max() > 1.05
    assert est.row_weights_.index.tolist() == ["f", "m"]


def test_nothing_to_meet_has_no_outcome():
    _, est = told(constrained(constraint="minimax"))
    assert est.outcome_ is None
    assert est.constraint_satisfied_ is None


def test_a_network_of_one_class_is_told_once():
    pruner = GroupConstrainedPruner(default(sparsity=0.98, finetune_epochs=0), tolerance=10.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        pruner.fit(X, NOISY_LABELS, sensitive_features=SEX)
    texts = [str(w.message) for w in caught]
    if len(set(pruner.predict(X))) == 1:
        assert sum("for every training row" in text for text in texts) == 1
    assert sum("constraint=" in text for text in texts) <= 1
