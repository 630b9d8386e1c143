"""Audit, diagnosis, scorers and metrics take a constrained pruner as they take any."""

import numpy as np
import pandas as pd
import pytest
from constrained_cases import NOISY_LABELS, QUIET, TARGETS, constrained, excess, row_losses
from estimator_cases import same_weights
from fairlearn.metrics import MetricFrame
from people_cases import SEX, X
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import (
    BoundaryCloseness,
    GroupScorer,
    PrunedRegressor,
    SampleDiagnostics,
    audit,
    diagnose,
    diagnostic_metrics,
)
from sklearn_fairprune.metrics import excess_accuracy_gap, fairness_violation
from sklearn_fairprune.metrics.scorers import SCORERS

pytestmark = QUIET


@pytest.fixture(scope="module", params=["alone", "pipeline"])
def pair(request):
    """A fitted constrained pruner, perhaps in a Pipeline, and the pruner in it."""
    est = constrained()
    if request.param == "pipeline":
        est = make_pipeline(StandardScaler(), est)
        est.fit(X, NOISY_LABELS, groupconstrainedpruner__sensitive_features=SEX)
        return est, make_pipeline(est[0], est[-1].estimator_)
    est.fit(X, NOISY_LABELS, sensitive_features=SEX)
    return est, est.estimator_


def test_audit(pair):
    data = (X, NOISY_LABELS)
    reports = [
        audit({"dense": p, "held": p}, *data, sensitive_features=SEX, n_boot=20) for p in pair
    ]
    pd.testing.assert_frame_equal(reports[0].by_group, reports[1].by_group)
    assert reports[0].by_group.index.get_level_values(-1).unique().tolist() == ["f", "m"]


def test_audit_of_a_path():
    path = constrained().pruning_path(
        X, NOISY_LABELS, sensitive_features=SEX, sparsities=[0.0, 0.5, 0.8]
    )
    report = audit(path, X, NOISY_LABELS, sensitive_features=SEX, n_boot=20)
    assert len(report.overall) == 3
    assert "f" in str(report)


def test_diagnose(pair):
    options = {"sensitive_features": SEX, "n_boot": 20, "bound_samples": 5}
    for sparsity in (None, 0.9):
        one, two = (
            diagnose(p, X, NOISY_LABELS, sparsity=sparsity, **options).by_group for p in pair
        )
        pd.testing.assert_frame_equal(one, two)
        assert "f" in one.index.get_level_values(0)


def test_group_scorers(pair):
    data = (X, NOISY_LABELS)
    losses = GroupScorer(fairness_violation, compare="losses")
    values = [losses(p, *data, sensitive_features=SEX) for p in pair]
    assert values[0] == values[1] > 0
    pruner = pair[1][-1] if hasattr(pair[1], "steps") else pair[1]
    rows = pair[1][0].transform(X) if hasattr(pair[1], "steps") else X
    after = row_losses(pruner, X=rows)
    dense = excess(after) - excess_of_dense(pruner, rows, after)
    assert values[0] == pytest.approx(abs(dense["f"] - dense["m"]), abs=1e-5)
    correct = GroupScorer(excess_accuracy_gap, compare="correctness")
    assert correct(pair[0], *data, sensitive_features=SEX) == correct(
        pair[1], *data, sensitive_features=SEX
    )
    for scorer in SCORERS.values():
        assert np.isfinite(scorer(pair[0], *data, sensitive_features=SEX))


def excess_of_dense(pruner, rows, after):
    """Return the excess of the dense losses by group."""
    diagnostics = SampleDiagnostics(FrozenEstimator(pruner), quantities=["dense_loss"])
    dense = diagnostics.fit(rows).transform(rows, y_true=NOISY_LABELS)[:, 0]
    assert dense.shape == after.shape
    return excess(dense)


def test_row_diagnostics(pair):
    for kind in (SampleDiagnostics, BoundaryCloseness):
        options = {"y_true": NOISY_LABELS} if kind is SampleDiagnostics else {}
        one, two = (kind(FrozenEstimator(p)).fit(X).transform(X, **options) for p in pair)
        np.testing.assert_array_equal(one, two)
    assert SampleDiagnostics(pair[0]).transform(X, y_true=NOISY_LABELS).shape[0] == 200


def test_row_diagnostics_fit_a_clone_with_its_groups():
    rows = SampleDiagnostics(constrained(), quantities=["excessive_loss"])
    rows.fit(X, NOISY_LABELS, sensitive_features=SEX)
    plain = constrained().fit(X, NOISY_LABELS, sensitive_features=SEX)
    assert same_weights(rows.estimator_.estimator_.estimator_, plain.estimator_.estimator_)
    means = pd.Series(rows.transform(X, y_true=NOISY_LABELS)[:, 0]).groupby(SEX).mean()
    assert means.index.tolist() == ["f", "m"]


def test_diagnostic_metrics(pair):
    frames = []
    for p in pair:
        arguments = diagnostic_metrics(p, X, NOISY_LABELS, quantities=["pruned_loss"])
        frames.append(
            MetricFrame(
                y_true=NOISY_LABELS, y_pred=p.predict(X), sensitive_features=SEX, **arguments
            ).by_group
        )
    pd.testing.assert_frame_equal(*frames)
    step = pair[0][-1] if hasattr(pair[0], "steps") else pair[0]
    gap = frames[0]["pruned_loss"].to_dict()
    wanted = step.violations_["train"]
    assert gap["f"] - gap["m"] == pytest.approx(wanted["f"] - wanted["m"], abs=1e-5)


def test_reports_of_a_regressor():
    reg = PrunedRegressor(random_state=0, hidden_layer_sizes=(8,))
    est = constrained(reg, constraint="equal_excessive_loss", tolerance=0.0)
    est.fit(X, TARGETS, sensitive_features=SEX)
    rows = SampleDiagnostics(est, quantities=["excessive_loss"])
    values = rows.transform(X, y_true=TARGETS)[:, 0]
    np.testing.assert_allclose(est.violations_["train"], excess(values), atol=1e-5)
    report = audit({"d": est, "p": est}, X, TARGETS, sensitive_features=SEX, n_boot=20)
    assert len(report.overall) == 2
