"""scikit-learn's own estimator checks on the meta-estimator."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor

pytestmark = [
    pytest.mark.usefixtures("few_epochs"),
    pytest.mark.filterwarnings(
        "ignore:constraint=:sklearn.exceptions.ConvergenceWarning",
        "ignore:The network of sparsity:sklearn.exceptions.ConvergenceWarning",
    ),
]
# scikit-learn sets random_state only where it is a parameter of the estimator itself.
FIXED = {"dtype": "float64", "random_state": 0, "hidden_layer_sizes": (20,)}
WHY = "a row repeated is split between training and holdout, a row of weight 2 is not"
FOLDS = "a row repeated is in several folds of the last step, a row of weight 2 in one"
EVIDENCE = "a row repeated is more evidence against chance than a row of weight 2"
WEIGHT_CHECKS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)


def classifier(**params):
    params = {"tolerance": 0.0, "noise": 0.0} | params
    return GroupConstrainedPruner(PrunedClassifier(**FIXED), **params)


def regressor():
    bounded = {"constraint": "bounded_group_loss", "tolerance": 0.0, "noise": 0.0}
    return GroupConstrainedPruner(PrunedRegressor(**FIXED), **bounded)


@parametrize_with_checks([classifier(), regressor()])
def test_without_a_single_expected_failure(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [GroupConstrainedPruner(PrunedClassifier(**FIXED))],
    expected_failed_checks=lambda estimator: dict.fromkeys(WEIGHT_CHECKS, EVIDENCE),
)
def test_as_it_comes(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks([classifier(stage="before"), classifier(stage="both")])
def test_other_stages(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(
    [classifier(stage="last_layer"), classifier(stage="shift")],
    expected_failed_checks=lambda estimator: dict.fromkeys(WEIGHT_CHECKS, FOLDS),
)
def test_last_steps(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [classifier(holdout=0.25)],
    expected_failed_checks=lambda estimator: dict.fromkeys(WEIGHT_CHECKS, WHY),
)
def test_holdout(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        check_param_validation,
        check_dataframe_column_names_consistency,
        check_inplace_ensure_writeable,
    ],
)
@pytest.mark.parametrize("estimator", [classifier(), regressor()])
def test_checks_outside_the_generator(estimator, check):
    check(type(estimator).__name__, estimator)
