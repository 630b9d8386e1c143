"""What a constrained pruner refuses, and what it warns about."""

import warnings

import numpy as np
import pytest
import torch
from constrained_cases import NOISY_LABELS, QUIET, TARGETS, constrained, fitted, inner
from people_cases import LABELS, SEX, PlainNet, X, net
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError
from torch import nn
from torch.utils.data import DataLoader

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor


def refused(error, match, est, X=X, y=LABELS, groups=SEX, **options):
    """The fit fails, and leaves no fitted estimator even where there was one."""
    with pytest.raises(error, match=match):
        est.fit(X, y, sensitive_features=groups, **options)
    if isinstance(est.estimator, BaseEstimator):
        with pytest.raises(NotFittedError, match=r"GroupConstrainedPruner.*not fitted"):
            est.predict(X)
    assert not [name for name in vars(est) if name.endswith("_") and name[0] != "_"]


NO_PRUNER = {
    "net": (net(), "NeuralNetClassifier.*Wrap a skorch net"),
    "class": (PrunedClassifier, "the class PrunedClassifier; pass an instance"),
    "pipeline": (
        make_pipeline(StandardScaler(), PrunedClassifier()),
        "Pipeline.*GroupConstrainedPruner the last step",
    ),
    "other classifier": (LogisticRegression(), "LogisticRegression"),
    "itself": (constrained(), "got GroupConstrainedPruner"),
    "None": (None, "NoneType"),
    "text": ("pruner", "got str"),
}


@pytest.mark.parametrize("case", NO_PRUNER)
def test_estimator_must_be_a_pruner(case):
    estimator, got = NO_PRUNER[case]
    match = f"must be a PrunedClassifier or PrunedRegressor, got.*{got}|{got}"
    refused(TypeError, match, GroupConstrainedPruner(estimator))
    with pytest.raises(TypeError, match=match):
        GroupConstrainedPruner(estimator).pruning_path(X, LABELS, sparsities=[0.5])


INVALID = {
    "constraint": ["equal_odds", None, 1],
    "stage": ["during", None],
    "tolerance": [-0.1, np.nan, "small"],
    "noise": [-1.0, None],
    "min_row_weight": [-0.1, 1.0],
    "max_row_weight": [0.5, "many"],
    "max_accuracy_loss": [-0.1, 2.0],
    "refit": ["no"],
    "dual_lr": [-1, np.inf, "auto"],
    "dual_optimizer": ["adam"],
    "dual_update": ["both"],
    "dual_steps": [0, 1.5],
    "window": [0, 1.01],
    "max_multiplier": [0, -1],
    "nupi_gain": [-1],
    "nupi_smoothing": [1, -0.1],
    "holdout": [1, -0.1, "0.2"],
}


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in INVALID.items() for value in values]
)
def test_invalid_parameters(name, value):
    match = f"'{name}' parameter of GroupConstrainedPruner must be"
    refused(InvalidParameterError, match, constrained(**{name: value}))


@QUIET
def test_parameters_set_after_fit_are_checked_by_prune_and_path():
    est = fitted().set_params(window=2)
    for call in (est.prune, lambda *a: est.pruning_path(*a, sparsities=[0.5])):
        with pytest.raises(InvalidParameterError, match="'window' parameter"):
            call(X, LABELS)
    assert est.sparsity_ == 0.5
    with pytest.raises(InvalidParameterError, match="'sparsity' parameter of PrunedClass"):
        constrained(inner(sparsity=90)).fit(X, LABELS)


def no_statistic(losses, *, sizes):
    return losses


def wrong_first(group_losses):
    return group_losses


def keyword_first(*, losses):
    return losses


def one_number(losses):
    return losses.max()


def an_array(losses):
    return losses.detach().numpy()


def too_long(losses):
    return torch.cat([losses, losses])


BAD_FUNCTIONS = {
    no_statistic: "no_statistic asks for .*'sizes'.*known are .*'shares'",
    wrong_first: "first argument of.*wrong_first.*'losses' or 'errors'.*group_losses",
    keyword_first: "first argument of.*keyword_first",
    one_number: r"one_number.*one violation for each of the 2 groups, got shape \(\)",
    an_array: r"an_array.*must return a torch.Tensor.*got",
    too_long: r"too_long.*got shape \(4,\)",
}


@pytest.mark.parametrize("function", BAD_FUNCTIONS, ids=lambda f: f.__name__)
def test_functions_of_another_form(function):
    refused(ValueError, BAD_FUNCTIONS[function], constrained(constraint=function))


CONTRADICTIONS = [
    ({"constraint": "accuracy_gap", "stage": "both"}, "compares with the dense network"),
    ({"constraint": "minimax", "dual_update": "signed"}, "sum to 1; dual_update='signed'"),
    ({"constraint": "minimax", "dual_update": "absolute"}, "'absolute' has no meaning"),
]


@pytest.mark.parametrize(("params", "message"), CONTRADICTIONS)
def test_parameters_that_contradict_each_other(params, message):
    refused(ValueError, message, constrained(**params))


def test_a_regressor_has_no_accuracy():
    est = constrained(PrunedRegressor(), constraint="accuracy_gap")
    refused(ValueError, "about accuracy.*regressor.*'equal_excessive_loss'", est, y=TARGETS)


BAD_DATA = {
    "no y": ({"y": None}, "requires y"),
    "short y": ({"y": LABELS[:-1]}, "inconsistent"),
    "short groups": ({"groups": SEX[:-1]}, "has 199 and X has 200 rows"),
    "no group": ({"groups": np.where(X[:, 0] > 0, None, "m")}, "missing in .* of 200 rows"),
    "NaN": ({"X": np.full_like(X, np.nan)}, "X contains NaN"),
    "one class": ({"y": np.full(200, "no")}, "at least 2 classes"),
    "no weight": ({"sample_weight": np.zeros(200)}, "(?i)weight.*zero"),
}


@QUIET
@pytest.mark.parametrize("case", BAD_DATA)
def test_unusable_data_leave_no_fitted_estimator(case):
    change, message = BAD_DATA[case]
    for est in (constrained(), fitted()):
        refused(ValueError, message, est, **change)


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_diverging_training_leaves_no_fitted_estimator(stage):
    wild = inner(estimator=net(PlainNet, lr=1e30))
    refused(ValueError, "diverged.*learning rate 1e\\+30", constrained(wild, stage=stage))


def test_multipliers_that_overflow_are_told():
    est = constrained(dual_lr=1e308, max_multiplier=np.inf)
    refused(ValueError, r"dual_lr=1e\+308|diverged", est)


class OwnLoader(DataLoader):
    """Batches without groups."""


def test_a_loader_of_the_users_own_cannot_carry_groups():
    own = inner(estimator=net(PlainNet, iterator_train=OwnLoader))
    refused(ValueError, "group constraint cannot reach.*OwnLoader", constrained(own))


class MeanOnly(nn.Module):
    def forward(self, y_pred, y):
        return nn.functional.cross_entropy(y_pred, y)


def test_a_loss_without_rows_cannot_be_constrained():
    own = inner(estimator=net(PlainNet, criterion=MeanOnly))
    refused(ValueError, "group constraints.*MeanOnly.*reduction", constrained(own))


# ---- warnings ------------------------------------------------------------------------


def warned(est, y=NOISY_LABELS, groups=SEX, call="fit", **options):
    """Return the text of the only warning, which points at the line of the user.

    That a small network keeps weights that can do nothing is told in test_stuck.py.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.filterwarnings("ignore", message="The network of sparsity .* is stuck")
        getattr(est, call)(X, y, sensitive_features=groups, **options)
    assert [w.category for w in caught] == [ConvergenceWarning]
    assert caught[0].filename == __file__
    return str(caught[0].message)


def test_a_constraint_that_is_not_met_names_groups_and_numbers():
    est = constrained(tolerance=0.01)
    text = warned(est)
    over = est.violations_["train"]["f"]
    assert text.startswith(
        "constraint='equal_loss' is not met at sparsity 0.5: on the training"
    )
    assert "1 of 2 groups is surely above the tolerance of 0.01 in units of the loss" in text
    assert f"f {over:+.3g}" in text
    assert "Raise dual_lr" in text
    assert "others may differ: use holdout" in text
    assert est.outcome_ == "not_met"
    assert est.constraint_satisfied_ is False
    held = constrained(holdout=0.3)
    assert "the held-out rows cannot tell" in warned(held)
    assert held.outcome_ == "cannot_tell"
    assert "2 of 2 groups are surely off" in warned(constrained(dual_update="signed"))


def test_the_worst_of_many_groups_are_named():
    text = warned(constrained(constraint="bounded_group_loss"), groups=np.arange(200) % 50)
    assert "50 of 50 groups are neither surely within the tolerance" in text
    assert text.split("beyond it: ")[1].split(". ")[0].count(" rows") == 10
    assert "and 40 more" in text
    worst = constrained(constraint="bounded_group_loss")
    assert f"{worst_of(worst)} +" in warned(worst, groups=np.arange(200) % 50)


def worst_of(est):
    """Return the group of the largest violation."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, NOISY_LABELS, sensitive_features=np.arange(200) % 50)
    return est.violations_["train"].idxmax()


def test_every_verb_warns_at_the_line_of_the_user():
    est = constrained()
    warned(est)
    assert "is not met" in warned(est, call="prune", sparsity=0.7)
    assert "is not met" in warned(est, call="pruning_path", sparsities=[0.7])


def test_nothing_is_warned_of_where_there_is_nothing_to_satisfy():
    for params in ({"tolerance": np.inf}, {"constraint": "minimax"}):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            assert fitted(**params).constraint_satisfied_ is not False


def test_without_any_constrained_training_the_warning_says_so():
    est = constrained(inner(sparsity=0.0))
    assert "The constraint never acted" in warned(est)
    assert (est.row_weights_ == 1).all(axis=None)


def test_a_network_that_predicts_one_class_is_told_to_be_broken():
    y = np.where(np.arange(200) < 4, "no", "yes")
    live = {"schedule": "cubic", "finetune_epochs": 2}
    est = constrained(inner(**live), tolerance=np.inf)
    text = warned(est, y=y)
    assert "predicts 'yes' for every training row" in text
    assert "it is broken" in text
    assert set(est.predict(X)) == {"yes"}
    codes = (y == "yes").astype(int)
    est = constrained(inner(**live), tolerance=np.inf)
    assert "predicts 1 for every" in warned(est, y=codes)
