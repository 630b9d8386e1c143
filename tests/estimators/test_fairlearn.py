"""Reductions, post-processing, metrics and plots of fairlearn."""

import numpy as np
import pytest
from fairlearn.metrics import (
    MetricFrame,
    count,
    demographic_parity_difference,
    plot_model_comparison,
    selection_rate,
)
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from fairlearn.reductions import DemographicParity, ExponentiatedGradient
from people_cases import BOTH, CODES, FRAME, LABELS, SEX, X, default, net
from sklearn.metrics import accuracy_score
from sklearn.pipeline import make_pipeline

from sklearn_fairprune import PrunedClassifier


def gap(labels):
    return demographic_parity_difference(CODES, labels, sensitive_features=SEX)


@pytest.mark.filterwarnings("ignore:Setting a")  # fairlearn under pandas 3
def test_exponentiated_gradient_lowers_the_gap():
    clf = PrunedClassifier(net(), sparsity=0.3, random_state=0)
    fair = ExponentiatedGradient(clf, DemographicParity(), max_iter=4)
    fair.fit(X, CODES, sensitive_features=SEX)
    assert gap(fair.predict(X, random_state=0)) < gap(clf.fit(X, CODES).predict(X)) - 0.1


@pytest.mark.parametrize("prefit", [False, True])
def test_threshold_optimizer_lowers_the_gap(prefit):
    clf = default(sparsity=0.3).fit(X, CODES)
    fair = ThresholdOptimizer(
        estimator=clf,
        constraints="demographic_parity",
        prefit=prefit,
        predict_method="predict_proba",
    ).fit(X, CODES, sensitive_features=SEX)
    labels = fair.predict(X, sensitive_features=SEX, random_state=0)
    assert gap(labels) < gap(clf.predict(X)) - 0.1
    assert set(np.unique(labels)) <= {0, 1}


def test_metric_frame_has_the_groups_of_the_estimator():
    clf = default(sparsity=0.3).fit(X, LABELS, sensitive_features=BOTH)
    metrics = {"accuracy": accuracy_score, "n": count}
    frame = MetricFrame(
        metrics=metrics, y_true=LABELS, y_pred=clf.predict(X), sensitive_features=BOTH
    )
    assert frame.by_group.index.tolist() == clf.groups_.tolist()
    assert frame.overall["accuracy"] == clf.score(X, LABELS)
    assert frame.by_group["n"].sum() == 200


def test_plot_model_comparison_draws_one_point_per_sparsity():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    path = default().pruning_path(X, CODES, sparsities=[0.0, 0.5, 0.9])
    axes = plot_model_comparison(
        y_preds={str(e.sparsity): e.predict(X) for e in path.estimators},
        y_true=CODES,
        sensitive_features=SEX,
        x_axis_metric=accuracy_score,
        y_axis_metric=selection_rate,
        point_labels=True,
    )
    assert len(axes.collections[0].get_offsets()) == 3


def test_correlation_remover_in_a_pipeline():
    frame = FRAME.assign(sex=(SEX == "m") * 1.0)
    pipe = make_pipeline(CorrelationRemover(sensitive_feature_ids=["sex"]), default())
    pipe.fit(frame, LABELS, prunedclassifier__sensitive_features=SEX)
    assert pipe[-1].n_features_in_ == 5
    assert pipe.score(frame, LABELS) > 0.7
