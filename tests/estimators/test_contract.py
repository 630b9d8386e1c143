"""scikit-learn's own estimator checks."""

import pytest
from sklearn.base import is_classifier
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

from sklearn_fairprune import PrunedClassifier, PrunedRegressor

WHY = "float32 training agrees to about 3e-7; the check asks for 1e-7 and passes at float64"
WEIGHT_CHECKS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
FLOAT64 = [PrunedClassifier(dtype="float64"), PrunedRegressor(dtype="float64")]


@pytest.mark.usefixtures("few_epochs")
@parametrize_with_checks(
    [*FLOAT64, PrunedClassifier(dtype="float64", sparsity=0.0, scope="layerwise")]
)
def test_float64_without_a_single_expected_failure(estimator, check):
    check(estimator)


@pytest.mark.slow
@parametrize_with_checks(FLOAT64)
def test_trainings_of_full_length(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.usefixtures("few_epochs")
@parametrize_with_checks(
    [PrunedClassifier(), PrunedRegressor()],
    expected_failed_checks=lambda e: (
        dict.fromkeys(WEIGHT_CHECKS, WHY) if is_classifier(e) else {}
    ),
)
def test_float32(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "check",
    [
        check_param_validation,
        check_dataframe_column_names_consistency,
        check_inplace_ensure_writeable,
    ],
)
@pytest.mark.parametrize("estimator", [PrunedClassifier(), PrunedRegressor()])
def test_checks_outside_the_generator(estimator, check):
    check(type(estimator).__name__, estimator)
