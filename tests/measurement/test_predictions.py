"""Predictions that were made elsewhere: what is taken for what, and what is refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import audit, audit_predictions
from sklearn_fairprune.measurement.predictions import given_models

torch.set_num_threads(1)
rng = np.random.default_rng(0)
N = 300
X = rng.normal(size=(N, 4))
SEX = rng.choice(["f", "m"], N)
Y = np.where(X[:, 0] + rng.normal(size=N) > 0, "yes", "no")
THREE = rng.choice([0, 1, 2], N)
MODELS = {
    "dense": LogisticRegression().fit(X, Y),
    "pruned": LogisticRegression(C=1e-3).fit(X, Y),
}


def tables(report):
    return report.to_frame().drop(columns="sparsity")


@pytest.mark.parametrize("columns", ["all", "one"])
def test_probabilities_tell_what_the_models_tell(columns):
    given = {k: m.predict_proba(X) for k, m in MODELS.items()}
    if columns == "one":
        given = {k: p[:, 1] for k, p in given.items()}
    report = audit_predictions(Y, given, sensitive_features=SEX)
    truth = audit(MODELS, X, Y, sensitive_features=SEX)
    pd.testing.assert_frame_equal(tables(report), tables(truth))
    assert report.findings == truth.findings
    assert report.notes == truth.notes


def test_labels_tell_the_same_but_for_losses():
    report = audit_predictions(
        Y, {k: m.predict(X) for k, m in MODELS.items()}, sensitive_features=SEX
    )
    truth = tables(audit(MODELS, X, Y, sensitive_features=SEX))
    losses = truth["measure"].isin(["loss", "excessive_loss", "fairness_violation"])
    expected = truth[~losses].reset_index(drop=True)
    pd.testing.assert_frame_equal(tables(report), expected)
    assert set(report.payers.index.get_level_values("by")) == {"decisions"}
    assert report.about["loss"] == "zero-one loss"
    assert "No probabilities of dense, pruned: losses are not known" in report.notes[0]
    assert not report.overall["loss_above_constant"].any()


def test_classes_are_in_the_order_that_is_given():
    p = MODELS["dense"].predict_proba(X)
    models, _ = given_models(Y, {"a": p, "b": p[:, ::-1]}, classes=["no", "yes"])
    assert models["b"].predict(X).tolist() != models["a"].predict(X).tolist()
    turned = given_models(Y, {"b": p[:, ::-1]}, classes=["yes", "no"])[0]["b"]
    np.testing.assert_array_equal(turned.predict_proba(X), p)
    assert turned.predict(X).tolist() == MODELS["dense"].predict(X).tolist()


def test_numbers_are_a_regression():
    y, other = X[:, 0], X[:, 0] + (SEX == "f")
    report = audit_predictions(y, {"dense": y, "pruned": other}, sensitive_features=SEX)
    assert report.about["loss"] == "squared error"
    assert report.by_group.loc[("pruned", "f"), "loss"] == pytest.approx(1)
    assert report.payers.loc[("pruned", "loss"), "group"] == "f"


@pytest.mark.parametrize("kind", [float, bool, np.float32])
def test_zero_and_one_are_labels_where_they_are_classes(kind):
    y = (Y == "yes").astype(int)
    model = given_models(y, {"a": y.astype(kind)})[0]["a"]
    assert not hasattr(model, "predict_proba")
    model = given_models(y, {"a": np.full(N, 0.25)})[0]["a"]
    assert model.predict(X).tolist() == [0] * N
    assert model.predict_proba(X)[0].tolist() == [0.75, 0.25]


def test_a_class_that_no_row_has_may_be_predicted():
    other = np.where(SEX == "f", "maybe", Y)
    report = audit_predictions(Y, {"dense": Y, "pruned": other}, sensitive_features=SEX)
    assert report.by_group.loc[("pruned", "f"), "accuracy"] == 0
    assert report.overall.loc["pruned", "classes_predicted"] == 3


def test_names_of_the_rows_are_those_of_the_targets():
    y = pd.Series(Y, index=[f"row {k}" for k in range(N)])
    report = audit_predictions(
        y, {k: m.predict(X) for k, m in MODELS.items()}, sensitive_features=SEX
    )
    assert report.changed_rows["index"].str.startswith("row ").all()


P = np.full((N, 3), 1 / 3)


@pytest.mark.parametrize(
    ("y", "given", "options", "message"),
    [
        (Y, [Y], {}, "predictions must be a dict of names"),
        (Y, {}, {}, "predictions must be a dict of names"),
        (Y, {"a": Y[:5]}, {}, r"predictions\['a'\] must have one row per target, 300, got 5"),
        (Y, {"a": np.full(N, np.nan)}, {}, "must be finite, and is not in 300 rows"),
        (Y, {"a": THREE}, {}, r"must be labels such as those of y, \['no', 'yes'\]"),
        (Y, {"a": P}, {}, "must have a column for each of the classes .*got shape"),
        (THREE, {"a": P[:, 0]}, {}, "must have a column per class, 3"),
        (THREE, {"a": 2 * P}, {}, "add up to 1 in every row, got sums from 2 to 2"),
        (THREE, {"a": P + [1, -1, 0]}, {}, "a least value of -0.6"),
        (THREE, {"a": P}, {"classes": [0, 1]}, r"classes must have every label .* lack \[2\]"),
        (X[:, 0], {"a": Y}, {}, "must be numbers, one per row, for y is a quantity"),
        (X[:, 0], {"a": P}, {}, "must be numbers, one per row, for y is a quantity"),
    ],
)
def test_what_is_no_prediction_is_refused(y, given, options, message):
    with pytest.raises(ValueError, match=message):
        audit_predictions(y, given, **options)
