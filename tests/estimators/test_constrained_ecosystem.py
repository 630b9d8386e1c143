"""A constrained pruner in pipelines, searches, copies, and under callbacks."""

import copy
import io
import pickle

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
from constrained_cases import NOISY_LABELS, QUIET, TARGETS, constrained, fitted, inner
from estimator_cases import Pairs, assert_same, same_weights, state
from fairlearn.metrics import MetricFrame
from people_cases import BOTH, FRAME, LABELS, SEX, X, search
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.exceptions import NotFittedError
from sklearn.metrics import accuracy_score
from sklearn.model_selection import cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedRegressor
from sklearn_fairprune.metrics import get_scorer
from sklearn_fairprune.metrics.scorers import SCORERS

pytestmark = QUIET
STEP = "groupconstrainedpruner__"


def routing(enabled=True):
    """Switch metadata routing."""
    return sklearn.config_context(enable_metadata_routing=enabled)


def through_joblib(obj):
    file = io.BytesIO()
    joblib.dump(obj, file)
    file.seek(0)
    return joblib.load(file)


COPIES = [lambda obj: pickle.loads(pickle.dumps(obj)), through_joblib, copy.deepcopy]


# ---- metadata ------------------------------------------------------------------------


def test_a_pipeline_hands_the_groups_on_with_routing_off_and_on():
    pipe = make_pipeline(StandardScaler(), constrained())
    off = clone(pipe).fit(FRAME, LABELS, **{STEP + "sensitive_features": SEX})
    with routing():
        on = clone(pipe).fit(FRAME, LABELS, sensitive_features=SEX)
        labels = on.predict(FRAME, sensitive_features=SEX)
        with pytest.raises(ValueError, match="one entry per row"):
            on.predict(FRAME, sensitive_features=SEX[1:])
    for est in (off, on):
        assert est[-1].groups_.tolist() == ["f", "m"]
        np.testing.assert_array_equal(est.predict(FRAME), labels)
    assert_same(off[-1].estimator_, on[-1].estimator_)


@pytest.mark.parametrize("enabled", [False, True])
def test_cross_validation_cuts_the_groups(enabled):
    options = {"cv": 3, "params": {"sensitive_features": SEX}}
    with routing(enabled):
        result = cross_validate(
            constrained(), FRAME, LABELS, **options, return_estimator=True, error_score="raise"
        )
        p = cross_val_predict(constrained(), FRAME, LABELS, **options, method="predict_proba")
    assert np.mean(np.array(["no", "yes"])[p.argmax(axis=1)] == LABELS) > 0.7
    for est in result["estimator"]:
        assert est.groups_.tolist() == ["f", "m"]
        assert est.feature_names_in_.tolist() == list("abcde")


def test_sample_weight_is_routed_on_request():
    weights = np.linspace(0.5, 2, 200)
    with routing():
        step = constrained().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, step)
        pipe.fit(FRAME, LABELS, sensitive_features=SEX, sample_weight=weights)
    alone = constrained().fit(
        pipe[0].transform(FRAME), LABELS, sensitive_features=SEX, sample_weight=weights
    )
    assert_same(pipe[-1].estimator_, alone.estimator_)


GRIDS = [
    {"estimator__sparsity": [0.2, 0.7]},
    {"dual_lr": [0.1, 2.0], "estimator__estimator__lr": [0.1]},
    {"constraint": ["equal_loss", "accuracy_gap", "minimax"]},
    {"estimator": [inner(), inner(finetune_epochs=1)], "stage": ["both"]},
]


@pytest.mark.parametrize("grid", GRIDS, ids=lambda grid: next(iter(grid)))
def test_grid_search_with_every_group_scorer(grid):
    with routing():
        found = search(
            constrained(), grid, cv=2, scoring=SCORERS, refit="neg_fairness_violation"
        ).fit(X, LABELS, sensitive_features=SEX)
        score = found.score(X, LABELS, sensitive_features=SEX)
    for name in SCORERS:
        assert np.isfinite(found.cv_results_[f"mean_test_{name}"]).all()
    assert score <= 0
    assert found.best_estimator_.groups_.tolist() == ["f", "m"]
    for name, value in found.best_params_.items():
        if name != "estimator":
            assert found.best_estimator_.get_params()[name] == value


def test_grid_search_without_routing_takes_the_groups_as_fit_params():
    found = search(constrained(), {"estimator__sparsity": [0.2, 0.7]}, cv=2)
    found.fit(X, LABELS, sensitive_features=SEX)
    assert found.best_estimator_.groups_.tolist() == ["f", "m"]
    with routing():
        scorer = get_scorer("worst_group_accuracy")
        assert 0 <= scorer(found, X, LABELS, sensitive_features=SEX) <= 1


# ---- copies and parameters -----------------------------------------------------------


@pytest.mark.parametrize("twin", COPIES, ids=["pickle", "joblib", "deepcopy"])
@pytest.mark.parametrize("stage", ["both", "after"])
def test_a_copy_is_the_same_before_and_after_fit(twin, stage):
    est = twin(constrained(stage=stage)).fit(X, NOISY_LABELS, sensitive_features=SEX)
    other = twin(est)
    before = state(est.estimator_.estimator_)
    pd.testing.assert_frame_equal(est.history_, other.history_)
    pd.testing.assert_series_equal(est.multipliers_, other.multipliers_)
    for fit in (est, other):
        fit.prune(X, LABELS, sensitive_features=SEX, sparsity=0.8)
    assert_same(est.estimator_, other.estimator_)
    twin(other).prune(sparsity=0.1)
    assert same_weights(est.estimator_.estimator_, other.estimator_.estimator_)
    assert not same_weights(est.estimator_.estimator_, before)


def test_clone_is_unfitted_and_nothing_given_is_changed():
    pruner = inner()
    est = constrained(pruner)
    params, names = est.get_params(deep=False), est.get_params().keys()
    est.fit(X, LABELS, sensitive_features=SEX).prune(sparsity=0.9)
    est.pruning_path(X, LABELS, sensitive_features=SEX, sparsities=[0, 0.5])
    assert est.get_params(deep=False) == params
    assert est.get_params().keys() == names
    assert est.estimator is pruner
    for unfitted in (pruner, clone(est)):
        with pytest.raises(NotFittedError):
            unfitted.predict(X)
    twin = clone(est).fit(X, LABELS, sensitive_features=SEX)
    assert_same(twin.estimator_, fitted(y=LABELS).estimator_)


def test_nested_parameters_take_effect_at_the_next_fit():
    est = fitted()
    est.set_params(
        estimator__sparsity=0.8, estimator__estimator__module__hidden=5, tolerance=np.inf
    )
    assert est.sparsity_ == 0.5
    est.fit(X, LABELS, sensitive_features=SEX)
    assert est.masks_["hidden.weight"].shape == (5, 5)
    assert est.sparsity_ == pytest.approx(0.8, abs=0.02)
    assert est.constraint_satisfied_ is True
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        est.set_params(estimator__nothing=1)


def test_classifiers_and_regressors_are_told_apart():
    clf, reg = constrained(), constrained(PrunedRegressor(hidden_layer_sizes=(4,)))
    assert is_classifier(clf)
    assert is_regressor(reg)
    for name in ("predict_proba", "predict_log_proba", "decision_function"):
        assert hasattr(clf, name)
        assert not hasattr(reg, name)
        assert hasattr(fitted(), name)
    with pytest.raises(NotFittedError, match="GroupConstrainedPruner"):
        clf.predict_proba(X)
    est = fitted()
    np.testing.assert_array_equal(est.decision_function(X) > 0, est.predict(X) == "yes")
    np.testing.assert_allclose(np.exp(est.predict_log_proba(X)), est.predict_proba(X))
    weights = np.linspace(0, 1, 200)
    assert est.score(X, LABELS, sample_weight=weights) == pytest.approx(
        accuracy_score(LABELS, est.predict(X), sample_weight=weights)
    )
    reg.fit(X, TARGETS, sensitive_features=SEX)
    assert reg.score(X, TARGETS) == reg.estimator_.score(X, TARGETS)


def test_metric_frame_has_the_groups_of_the_estimator():
    est = fitted(groups=BOTH)
    frame = MetricFrame(
        metrics=accuracy_score, y_true=LABELS, y_pred=est.predict(X), sensitive_features=BOTH
    )
    assert frame.by_group.index.tolist() == est.violations_.index.tolist()


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_a_torch_dataset_trains_as_its_rows_do(stage):
    est = constrained(stage=stage).fit(Pairs(X, NOISY_LABELS), sensitive_features=SEX)
    other = fitted(stage=stage)
    np.testing.assert_allclose(est.multipliers_, other.multipliers_, atol=1e-5)
    np.testing.assert_allclose(est.violations_, other.violations_, atol=1e-5)
    np.testing.assert_array_equal(est.predict(Pairs(X)), other.predict(X))


def test_html_names_both_estimators():
    pages = [constrained()._repr_html_(), fitted()._repr_html_()]
    assert all("GroupConstrainedPruner" in p and "PrunedClassifier" in p for p in pages)
