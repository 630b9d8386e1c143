"""Groups of a constrained fit: names, sizes, weights, and repeated rows."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from constrained_cases import NOISY_LABELS, QUIET, STRONG, constrained, excess, fitted, inner
from constrained_cases import row_losses as losses_of
from estimator_cases import assert_same
from people_cases import AGE, BOTH, SEX, PlainNet, X, default, net

from sklearn_fairprune.functional import CONSTRAINTS

pytestmark = QUIET
STAGES = ["before", "after", "both"]
FULL = {"dtype": "float64", "estimator": net(PlainNet, batch_size=-1)}


def same(one, other):
    """Both are fitted to the same bits."""
    assert_same(one.estimator_, other.estimator_)
    np.testing.assert_array_equal(one.multipliers_, other.multipliers_)
    np.testing.assert_array_equal(one.violations_, other.violations_)
    pd.testing.assert_frame_equal(
        one.history_.drop(columns="group"), other.history_.drop(columns="group")
    )


@pytest.mark.parametrize("stage", STAGES)
def test_without_sensitive_features_the_classes_are_the_groups(stage):
    one, two = (fitted(groups=g, stage=stage) for g in (None, NOISY_LABELS))
    same(one, two)
    for est in (one, two):
        assert est.groups_.tolist() == est.multipliers_.index.tolist() == ["no", "yes"]


@pytest.mark.parametrize("constraint", ["equal_loss", "equal_excessive_loss", "accuracy_gap"])
def test_a_single_group_is_never_constrained(constraint):
    est = fitted(groups=["all"] * 200, constraint=constraint)
    assert_same(inner().fit(X, NOISY_LABELS), est.estimator_)
    assert est.multipliers_.to_dict() == {"all": 0.0}
    assert est.violations_["train"].abs().max() < 1e-9


@pytest.mark.parametrize("update", ["projected", "signed", "absolute"])
@pytest.mark.parametrize("constraint", ["equal_loss", "accuracy_gap", "bounded_group_loss"])
@pytest.mark.parametrize("n_groups", [50, 200])
def test_many_small_groups(n_groups, constraint, update):
    groups = np.arange(200) % n_groups
    est = fitted(groups=groups, constraint=constraint, dual_update=update, stage="after")
    assert est.groups_.tolist() == est.violations_.index.tolist() == list(range(n_groups))
    assert np.isfinite(est.multipliers_).all()
    assert est.violations_.notna().all(axis=None)
    assert est.history_.notna().all(axis=None)
    assert len(est.history_) == 2 * n_groups


def test_a_group_of_one_row_among_large_ones():
    groups = np.where(np.arange(200) == 7, "alone", SEX)
    est = fitted(groups=groups, stage="both")
    expected = excess(losses_of(est), groups)
    np.testing.assert_allclose(est.violations_["train"], expected, atol=1e-5)
    rows = est.history_[est.history_["group"] == "alone"]
    assert rows.notna().all(axis=None)
    assert len(rows) == 6


NAMES = {
    "tuples": (BOTH, [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]),
    "polars": (
        pl.from_pandas(BOTH),
        [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")],
    ),
    "integers": ((SEX == "m").astype(int) * 7 - 3, [-3, 4]),
    "booleans": (SEX == "m", [False, True]),
    "polars booleans": (pl.Series((SEX == "m").tolist()), [False, True]),
    "commas": (SEX.map({"f": "a, b", "m": "a"}), ["a", "a, b"]),
    "categories": (SEX.astype("category"), ["f", "m"]),
}


@pytest.mark.parametrize("case", NAMES)
def test_names_stay_what_they_are(case):
    groups, names = NAMES[case]
    est = fitted(groups=groups)
    for index in (est.multipliers_.index, est.violations_.index):
        assert index.tolist() == names
        assert index.nlevels == 1
        assert index.name == "group"
    assert est.groups_.tolist() == names
    assert est.history_["group"].tolist() == 2 * names
    for name in names:
        loc = est.violations_.index.get_loc(name)
        assert est.violations_.iloc[loc, 0] == est.violations_["train"].tolist()[loc]


def test_only_the_partition_counts_not_its_names():
    same(fitted(groups=SEX), fitted(groups=(SEX == "m").astype(int)))


@pytest.mark.parametrize("stage", STAGES)
def test_rows_of_weight_zero_are_left_out(stage):
    weights = np.where(np.arange(200) % 4 == 0, 0.0, 1.5)
    kept = weights > 0
    sub = constrained(stage=stage).fit(
        X[kept], NOISY_LABELS[kept], sensitive_features=SEX[kept], sample_weight=weights[kept]
    )
    same(fitted(weights=weights, stage=stage), sub)


@pytest.mark.parametrize("stage", STAGES)
def test_a_group_without_weight_changes_nothing_for_the_others(stage):
    weights = np.where(np.arange(200) % 4 == 0, 0.0, 1.5)
    groups = np.where(np.arange(200) == 8, "nobody", SEX)
    plain = fitted(weights=weights, stage=stage)
    est = fitted(groups=groups, weights=weights, stage=stage)
    assert_same(plain.estimator_, est.estimator_)
    assert est.multipliers_["nobody"] == 0
    assert est.violations_.isna()["train"].tolist() == [False, False, True]
    np.testing.assert_array_equal(est.multipliers_[["f", "m"]], plain.multipliers_)
    np.testing.assert_array_equal(est.violations_.loc[["f", "m"]], plain.violations_)
    kept = est.history_[est.history_["group"] != "nobody"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, plain.history_)


@pytest.mark.parametrize("update", ["projected", "signed", "absolute"])
@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_doubled_data_change_nothing(constraint, update):
    if constraint == "minimax":
        update = "projected"
    params = STRONG | {"constraint": constraint, "dual_update": update}
    once = constrained(default(**FULL), **params)
    twice = constrained(default(**FULL), **params)
    once.fit(X, NOISY_LABELS, sensitive_features=AGE)
    twice.fit(
        np.repeat(X, 2, axis=0), np.repeat(NOISY_LABELS, 2), sensitive_features=AGE.repeat(2)
    )
    assert once.multipliers_.abs().max() > 0
    np.testing.assert_allclose(once.multipliers_, twice.multipliers_, atol=1e-9)
    np.testing.assert_allclose(once.violations_, twice.violations_, atol=1e-9)
    assert_same(once.estimator_, twice.estimator_, atol=1e-8)


@pytest.mark.parametrize("constraint", ["equal_loss", "equal_excessive_loss", "accuracy_gap"])
def test_integer_weights_are_repetitions(constraint):
    counts = 1 + np.arange(200) % 3
    rows = np.repeat(np.arange(200), counts)
    params = STRONG | {"constraint": constraint}
    weighted, repeated = (constrained(default(**FULL), **params) for _ in range(2))
    weighted.fit(X, NOISY_LABELS, sensitive_features=SEX, sample_weight=counts)
    repeated.fit(X[rows], NOISY_LABELS[rows], sensitive_features=SEX[rows])
    np.testing.assert_allclose(weighted.multipliers_, repeated.multipliers_, atol=1e-9)
    np.testing.assert_allclose(weighted.violations_, repeated.violations_, atol=1e-9)
    assert_same(weighted.estimator_, repeated.estimator_, atol=1e-8)
