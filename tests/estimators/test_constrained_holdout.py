"""Rows held out: the multipliers step on them and the weights never see them."""

import numpy as np
import pandas as pd
import pytest
import torch
from constrained_cases import (
    NOISY,
    NOISY_LABELS,
    QUIET,
    TARGETS,
    constrained,
    excess,
    fitted,
    inner,
    row_losses,
)
from estimator_cases import Pairs, assert_same, same_weights
from people_cases import BOTH, CODES, SEX, PlainNet, X, default, net
from sklearn.frozen import FrozenEstimator

from sklearn_fairprune import PrunedRegressor
from sklearn_fairprune.engine.batches import Rows
from sklearn_fairprune.estimators import _constraint
from sklearn_fairprune.functional import CONSTRAINTS

pytestmark = QUIET


@pytest.fixture
def splits(monkeypatch):
    """Row numbers of every split that is made."""
    made, own = [], _constraint.split_rows

    def split(rows, holdout, seed):
        made.append(own(rows, holdout, seed))
        return made[-1]

    monkeypatch.setattr(_constraint, "split_rows", split)
    return made


def always(monkeypatch, split):
    """Make every split this one."""
    monkeypatch.setattr(_constraint, "split_rows", lambda rows, holdout, seed: split)


def test_violations_of_both_sides_are_those_of_the_final_network(splits):
    est = fitted(holdout=0.3)
    assert est.violations_.columns.tolist() == ["train", "holdout"]
    for name, rows in zip(est.violations_, splits[0], strict=True):
        expected = excess(row_losses(est)[rows], SEX[rows.tolist()])
        np.testing.assert_allclose(est.violations_[name], expected, atol=1e-5)
    assert est.history_.columns.tolist()[-2:] == ["holdout_loss", "holdout_violation"]
    assert est.history_.notna().all(axis=None)


@pytest.mark.parametrize("constraint", ["equal_excessive_loss", "accuracy_gap"])
def test_held_rows_are_compared_with_the_dense_network_too(splits, constraint):
    est = fitted(holdout=0.3, constraint=constraint)
    dense = inner()
    dense.__dict__.update(vars(est.estimator_) | {"estimator_": est.dense_estimator_})
    values = row_losses(est) - row_losses(dense)
    if constraint == "accuracy_gap":
        values = (est.predict(X) != NOISY_LABELS) * 1.0 - (dense.predict(X) != NOISY_LABELS)
    rows = splits[0][1].numpy()
    expected = excess(values[rows], SEX[rows])
    np.testing.assert_allclose(est.violations_["holdout"], expected, atol=2e-6)


@pytest.mark.parametrize("stage", ["before", "after", "both"])
def test_the_weights_never_see_held_rows(monkeypatch, splits, stage):
    free = fitted(holdout=0.3, stage=stage, tolerance=np.inf)
    seen, held = splits[0]
    always(monkeypatch, splits[0])
    values, labels = X.copy(), NOISY_LABELS.copy()
    values[held], labels[held] = 9 - values[held], np.roll(labels[held], 1)
    other = constrained(holdout=0.3, stage=stage, tolerance=np.inf)
    other.fit(values, labels, sensitive_features=SEX)
    assert_same(free.estimator_, other.estimator_)
    alone = inner().fit(X[seen], NOISY_LABELS[seen])
    assert_same(free.estimator_, alone)


def test_the_multipliers_step_on_held_rows_alone(monkeypatch, splits):
    plain = fitted(holdout=0.3)
    held = splits[0][1]
    always(monkeypatch, splits[0])
    labels = NOISY_LABELS.copy()
    women = held[(SEX == "f").to_numpy()[held]]
    labels[women] = np.where(labels[women] == "no", "yes", "no")
    other = constrained(holdout=0.3).fit(X, labels, sensitive_features=SEX)
    assert same_weights(plain.dense_estimator_, other.dense_estimator_)
    assert not same_weights(plain.estimator_.estimator_, other.estimator_.estimator_)
    first = [e.history_["holdout_violation"][0] for e in (plain, other)]
    assert first[1] > first[0] + 0.1


@pytest.mark.parametrize("constraint", CONSTRAINTS)
def test_weights_that_stand_still_have_their_violations_in_the_history(constraint):
    dense = net(PlainNet).fit(X, NOISY).set_params(lr=0.0)
    still = default(estimator=FrozenEstimator(dense))
    est = fitted(still, y=NOISY, holdout=0.3, constraint=constraint, dual_steps=1)
    last = est.history_.tail(2).set_index("group")
    for name, column in {"train": "violation", "holdout": "holdout_violation"}.items():
        np.testing.assert_allclose(last[column], est.violations_[name], atol=1e-6)
    rows = est.history_.head(2)["multiplier"].to_numpy()
    step = (2.0 * (1 + 3.0) * est.violations_["holdout"]).clip(lower=0)  # nuPI's first
    if constraint != "minimax" and step.sum() < 1:
        np.testing.assert_allclose(rows, step, atol=1e-5)


def test_a_group_of_one_row_steps_on_that_row():
    row = np.abs(X[:, 0] - X[:, 1] + X[:, 2]).argmax()  # far from the boundary
    labels = NOISY_LABELS.copy()
    labels[row] = "no" if CODES[row] else "yes"
    groups = np.where(np.arange(200) == row, "alone", SEX)
    est = fitted(y=labels, holdout=0.3, groups=groups, dual_lr=0.001)
    assert est.violations_["train"].idxmax() == "alone"
    assert est.multipliers_["alone"] > 0


def test_held_rows_decide_whether_the_constraint_is_met():
    est = fitted(holdout=0.3, dual_lr=0.0, tolerance=0.0)
    train, held = est.violations_["train"].max(), est.violations_["holdout"].max()
    between = (train + held) / 2
    est = fitted(holdout=0.3, dual_lr=0.0, tolerance=between)
    assert est.constraint_satisfied_ is bool(held < train)


def test_the_split_is_reproducible_and_depends_on_the_seed(splits):
    one, two = fitted(holdout=0.3), fitted(holdout=0.3)
    assert_same(one.estimator_, two.estimator_)
    pd.testing.assert_frame_equal(one.history_, two.history_)
    fitted(inner(random_state=1), holdout=0.3)
    assert torch.equal(splits[0][1], splits[1][1])
    assert not torch.equal(splits[0][1].sort()[0], splits[2][1].sort()[0])


@pytest.mark.parametrize("holdout", [0.01, 0.2, 0.5, 0.99])
def test_every_group_of_two_rows_is_on_both_sides(holdout):
    groups = np.repeat(np.arange(20), np.arange(1, 21))
    rows = Rows(X[: len(groups)], CODES[np.arange(len(groups)) % 200], groups=groups)
    seen, held = _constraint.split_rows(rows, holdout, 0)
    assert sorted([*seen.tolist(), *held.tolist()]) == list(range(len(groups)))
    counts = np.bincount(groups[held], minlength=20)
    assert counts[0] == 0
    sizes = np.arange(1, 21)
    expected = np.clip(np.round(holdout * sizes), 1, sizes - 1)
    np.testing.assert_array_equal(counts[1:], expected[1:])


def test_held_rows_have_the_classes_of_their_group(splits):
    fitted(holdout=0.25, groups=BOTH)
    held = splits[0][1].numpy()
    frame = pd.DataFrame({"y": NOISY_LABELS, "held": np.isin(np.arange(200), held)})
    keys = [BOTH["sex"], BOTH["age"], frame["y"]]
    n_held, n = (frame["held"].groupby(keys).agg(f) for f in ("sum", "size"))
    assert ((n_held - n * 0.25).abs() <= 1).all()


def test_a_group_of_one_row_stays_in_training():
    groups = np.where(np.arange(200) == 7, "alone", SEX)
    est = fitted(holdout=0.3, groups=groups, stage="both")
    held = est.violations_["holdout"]
    assert held.isna().to_dict() == {"alone": True, "f": False, "m": False}
    assert est.violations_["train"].notna().all()
    assert est.multipliers_.notna().all()
    rows = est.history_.set_index("group").loc["alone"]
    assert rows[["loss", "violation", "multiplier"]].notna().all(axis=None)
    assert rows[["holdout_loss", "holdout_violation"]].isna().all(axis=None)
    others = est.history_[est.history_["group"] != "alone"]
    assert others.notna().all(axis=None)


def test_nothing_to_hold_out_is_an_error():
    with pytest.raises(ValueError, match=r"holdout=0.3.*group.*Use holdout=0"):
        fitted(holdout=0.3, groups=np.arange(200))


def test_holdout_of_a_regressor_a_dataset_and_weights():
    reg = PrunedRegressor(random_state=0, hidden_layer_sizes=(8,))
    est = fitted(reg, y=TARGETS, holdout=0.3, weights=np.linspace(0.5, 2, 200))
    assert est.violations_.notna().all(axis=None)
    data = Pairs(X, NOISY_LABELS)
    one = constrained(holdout=0.3, stage="both").fit(data, sensitive_features=SEX)
    two = fitted(holdout=0.3, stage="both")
    np.testing.assert_allclose(one.multipliers_, two.multipliers_, atol=1e-5)
