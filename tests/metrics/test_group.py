"""One number for all groups, against loops in NumPy."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from fairlearn.metrics import MetricFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_fairprune.metrics import (
    accuracy_spread,
    excess_accuracy_gap,
    fairness_violation,
    mean_closeness,
    mean_margin,
    worst_group_accuracy,
)

law = settings(deadline=None, max_examples=25, database=None)
RNG = np.random.default_rng(0)
TRUE, GUESS = RNG.choice(["no", "yes"], (2, 50))
SEX, AGE = RNG.choice(["f", "m"], 50), RNG.integers(0, 3, 50)
BOTH = pd.DataFrame({"sex": SEX, "age": AGE}, index=np.arange(50)[::-1])
WEIGHTS = RNG.uniform(0.1, 2, 50)
DENSE, PRUNED = RNG.exponential(size=(2, 50))


def cells(groups):
    """Row masks of all groups."""
    columns = np.asarray(groups, dtype=object).reshape(50, -1)
    return [
        np.array([tuple(row) == cell for row in columns])
        for cell in sorted(set(map(tuple, columns)))
    ]


def accuracies(groups, weights):
    right = (TRUE == GUESS).astype(float)
    return [np.average(right[rows], weights=weights[rows]) for rows in cells(groups)]


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("groups", [SEX, BOTH], ids=["one", "intersections"])
def test_worst_accuracy_and_spread(groups, weights):
    options = {"sensitive_features": groups, "sample_weight": weights}
    slow = accuracies(groups, np.ones(50) if weights is None else weights)
    worst, spread = (
        f(TRUE, GUESS, **options) for f in (worst_group_accuracy, accuracy_spread)
    )
    assert worst == pytest.approx(min(slow))
    assert spread == pytest.approx(max(slow) - min(slow))
    assert type(worst) is type(spread) is float


@pytest.mark.parametrize("groups", [SEX, AGE, BOTH], ids=["sex", "age", "intersections"])
def test_violation_and_excess_gap(groups):
    excess = [np.mean(PRUNED[rows]) - np.mean(DENSE[rows]) for rows in cells(groups)]
    violation = fairness_violation(DENSE, PRUNED, sensitive_features=groups)
    assert violation == pytest.approx(max(abs(a - b) for a in excess for b in excess))
    dense, pruned = DENSE > 0.5, PRUNED > 0.7
    total = dense.mean() - pruned.mean()
    drops = [dense[rows].mean() - pruned[rows].mean() - total for rows in cells(groups)]
    gap = excess_accuracy_gap(dense, pruned, sensitive_features=groups)
    assert gap == pytest.approx(max(drops))
    assert type(violation) is type(gap) is float


def test_weighted_violation_and_excess_gap():
    more, dense, pruned = PRUNED - DENSE, DENSE > 0.5, PRUNED > 0.7
    means = [np.average(more[rows], weights=WEIGHTS[rows]) for rows in cells(SEX)]
    options = {"sensitive_features": SEX, "sample_weight": WEIGHTS}
    assert fairness_violation(DENSE, PRUNED, **options) == pytest.approx(np.ptp(means))
    drop = dense.astype(float) - pruned
    drops = [np.average(drop[rows], weights=WEIGHTS[rows]) for rows in cells(SEX)]
    gap = max(drops) - np.average(drop, weights=WEIGHTS)
    assert excess_accuracy_gap(dense, pruned, **options) == pytest.approx(gap)
    p = RNG.dirichlet(np.ones(3), 50)
    near = np.average(1 - (p**2).sum(axis=1), weights=WEIGHTS)
    assert mean_closeness(TRUE, p, sample_weight=WEIGHTS) == pytest.approx(near)
    far = np.average(np.sort(p)[:, 2] - np.sort(p)[:, 1], weights=WEIGHTS)
    assert mean_margin(TRUE, p, sample_weight=WEIGHTS) == pytest.approx(far)


@law
@given(st.lists(st.tuples(*[st.integers(0, 1)] * 2, st.integers(0, 3)), min_size=2))
def test_laws(rows):
    dense, pruned, groups = np.transpose(rows)
    gap = excess_accuracy_gap(dense, pruned, sensitive_features=groups)
    violation = fairness_violation(dense, pruned, sensitive_features=groups)
    assert gap + 1e-12 >= 0
    assert gap <= violation + 1e-12  # of minus the correctness as loss
    back = fairness_violation(pruned, dense, sensitive_features=groups)
    assert back == pytest.approx(violation)
    for metric in (excess_accuracy_gap, fairness_violation, accuracy_spread):
        assert metric(dense, dense, sensitive_features=groups) == pytest.approx(0)
    if len(set(groups)) == 1:
        assert gap == violation == 0


def test_any_container_of_numbers_labels_and_groups():
    dense, pruned = DENSE > 0.5, PRUNED > 0.7
    for kind in (list, pd.Series, np.asarray, pl.Series):
        groups = kind(SEX)
        for metric, pairs in [
            (worst_group_accuracy, (TRUE, GUESS)),
            (accuracy_spread, (TRUE, GUESS)),
            (fairness_violation, (DENSE, PRUNED)),
            (excess_accuracy_gap, (dense, pruned)),
        ]:
            truth = metric(*pairs, sensitive_features=SEX)
            assert metric(*map(kind, pairs), sensitive_features=groups) == truth


@pytest.mark.parametrize("metric", [fairness_violation, worst_group_accuracy])
def test_groups_of_another_length(metric):
    with pytest.raises(ValueError, match=r"inconsistent.*"):
        metric(DENSE > 1, PRUNED > 1, sensitive_features=SEX[1:])


def test_mean_closeness_and_margin_of_probabilities():
    p = RNG.dirichlet(np.ones(3), 50)
    by_group = MetricFrame(
        metrics={"closeness": mean_closeness, "margin": mean_margin},
        y_true=TRUE,
        y_pred=p,
        sensitive_features=SEX,
    ).by_group
    near = np.array([1 - sum(v**2 for v in row) for row in p])
    far = np.array([sorted(row)[2] - sorted(row)[1] for row in p])
    slow = [[near[rows].mean(), far[rows].mean()] for rows in cells(SEX)]
    np.testing.assert_allclose(by_group, slow)
    assert type(mean_closeness(TRUE, p)) is type(mean_margin(TRUE, p.tolist())) is float
    for metric in (mean_closeness, mean_margin):
        for wrong in (p[:, 0], p[:, :1], p[None]):
            with pytest.raises(
                ValueError, match=r"probabilities.*predict_proba\(X\), not pred"
            ):
                metric(TRUE, wrong)
