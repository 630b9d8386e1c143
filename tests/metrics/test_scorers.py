"""Scorers that read the groups from a column of X, or from metadata routing."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from estimator_cases import BITS, CODES, GROUPS, LABELS, make, make_net
from estimator_cases import X as ROWS
from fairlearn.metrics import MetricFrame, accuracy_score_group_min
from sklearn.base import BaseEstimator, clone
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    cross_validate,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupScorer, PrunedRegressor, audit, diagnose
from sklearn_fairprune.estimators.unwrap import dense_twin
from sklearn_fairprune.metrics import SCORERS, get_scorer, worst_group_accuracy

FRAME = pd.DataFrame(
    {"x": [1, 1, 0, 0, 1, 0], "sex": list("ffffmm"), "old": [0, 0, 1, 1, 0, 1]}
)
Y = np.array([1, 0, 0, 0, 1, 1])
PEOPLE = pd.DataFrame(ROWS, columns=list("abcd")).assign(
    sex=GROUPS, age=np.where(BITS[:, 2], "old", "young")
)
COLUMNS = ["sex", "age"]
NO_GROUPS = r"got no sensitive_features\. Name the column of X.*columns=, or enable.*routing"


class Copy(BaseEstimator):
    """Predicts the first column."""

    def predict(self, X):
        return np.asarray(X)[:, 0].astype(int)


def spread(y_true, y_pred, *, sensitive_features):
    frame = MetricFrame(
        metrics=accuracy_score,
        y_true=y_true,
        y_pred=y_pred,
        sensitive_features=sensitive_features,
    )
    return frame.difference()


def strong(**options):
    """Pruner that has learnt something, which pruning then harms."""
    plain = {"sparsity": 0.9, "finetune_epochs": 1, "dtype": "float64", "random_state": 4}
    return make(make_net(max_epochs=30, lr=0.5), **(plain | options))


def routing():
    return sklearn.config_context(enable_metadata_routing=True)


def search(estimator, scoring, **options):
    name = "prunedclassifier__sparsity" if hasattr(estimator, "steps") else "sparsity"
    options = {"cv": 2, "error_score": "raise"} | options
    return GridSearchCV(estimator, {name: [0.0, 0.9]}, scoring=scoring, **options)


@pytest.fixture(scope="module")
def fitted():
    return strong().fit(ROWS, LABELS)


@pytest.mark.parametrize(
    ("X", "column"),
    [(FRAME, "sex"), (pl.from_pandas(FRAME), "sex"), (FRAME.to_numpy(), 1)],
    ids=["pandas", "polars", "array"],
)
def test_column_of_any_table(X, column):
    assert GroupScorer(accuracy_score_group_min, column)(Copy(), X, Y) == 0.5


def test_several_columns_are_intersections():
    score = GroupScorer(accuracy_score_group_min, ["sex", "old"])(Copy(), FRAME, Y)
    assert score == 0.0  # the only old man is wrong


def test_a_gap_is_a_loss():
    gap = GroupScorer(spread, "sex", greater_is_better=False)(Copy(), FRAME, Y)
    assert gap == -0.25


def test_it_pickles_and_names_itself():
    scorer = pickle.loads(pickle.dumps(GroupScorer(spread, "sex")))
    assert scorer(Copy(), FRAME, Y) == 0.25
    assert "columns='sex'" in repr(scorer)


def test_columns_go_before_routed_groups():
    for scorer in (GroupScorer(spread, "sex"), GroupScorer(spread).set_params(columns="sex")):
        assert scorer.score(Copy(), FRAME, Y, sensitive_features=FRAME["old"]) == 0.25
    assert GroupScorer(spread)(Copy(), FRAME, Y, sensitive_features=FRAME["old"]) == 0


@pytest.mark.parametrize("groups", [GROUPS, PEOPLE[COLUMNS]], ids=["one", "intersections"])
@pytest.mark.parametrize("kind", [np.asarray, pd.Series, list])
def test_scores_are_those_of_audit_and_diagnose(fitted, groups, kind):
    scores = {
        name: scorer(fitted, ROWS, kind(LABELS), sensitive_features=groups)
        for name, scorer in SCORERS.items()
    }
    dense = clone(fitted).set_params(sparsity=0.0).fit(ROWS, LABELS)
    options = {"sensitive_features": groups, "n_boot": 2}
    models = {"dense": dense, "pruned": fitted}
    report = audit(models, ROWS, LABELS, min_group_size=1, **options)
    total, cells = report.overall.loc["pruned"], report.by_group.loc["pruned"]
    total_drop = report.overall.loc["dense", "accuracy"] - total["accuracy"]
    truth = {
        "worst_group_accuracy": cells["accuracy"].min(),
        "neg_accuracy_spread": -total["accuracy_spread"],
        "neg_fairness_violation": -total["fairness_violation"],
        "neg_excess_accuracy_gap": total_drop - cells["accuracy_drop"].max(),
    }
    assert scores == pytest.approx(truth, rel=1e-5)
    assert all(0 < abs(score) < 2 for score in scores.values())
    cells = diagnose(fitted, ROWS, LABELS, bound_samples=0, **options).by_group
    excess = cells["excessive_loss"]
    assert scores["neg_fairness_violation"] == pytest.approx(excess.min() - excess.max())
    gap = cells["excess_accuracy_gap"].max()
    assert scores["neg_excess_accuracy_gap"] == pytest.approx(-gap)


def test_the_dense_network_is_that_of_the_estimator(fitted):
    before = dict(vars(fitted))
    options = {"sensitive_features": GROUPS}
    gap = get_scorer("neg_excess_accuracy_gap")
    score = gap(fitted, ROWS, LABELS, **options)
    assert score < 0
    assert gap(FrozenEstimator(fitted), ROWS, LABELS, **options) == score
    piped = make_pipeline(StandardScaler(), strong()).fit(ROWS, LABELS)
    again = gap(piped[-1], piped[0].transform(ROWS), LABELS, **options)
    assert gap(piped, ROWS, LABELS, **options) == again
    assert vars(fitted) == before
    net = make_net().fit(ROWS, CODES)
    for name in ("neg_fairness_violation", "neg_excess_accuracy_gap"):
        scorer = get_scorer(name)
        unpruned = strong(sparsity=0.0).fit(ROWS, LABELS)
        assert scorer(unpruned, ROWS, LABELS, **options) == 0
        assert scorer(net, ROWS, CODES, **options) == 0
        with pytest.raises(TypeError, match=r"fitted PrunedClassifier.*got LogisticRegres"):
            scorer(LogisticRegression().fit(ROWS, LABELS), ROWS, LABELS, **options)


def test_violation_of_a_regressor():
    y = ROWS[:, 0] - ROWS[:, 1]
    model = PrunedRegressor(sparsity=0.9, random_state=0, dtype="float64").fit(ROWS, y)
    score = get_scorer("neg_fairness_violation")(model, ROWS, y, sensitive_features=GROUPS)
    unpruned = clone(model).set_params(sparsity=0.0).fit(ROWS, y)
    excess = (model.predict(ROWS) - y) ** 2 - (unpruned.predict(ROWS) - y) ** 2
    means = [excess[group == GROUPS].mean() for group in "fm"]
    assert score == pytest.approx(-abs(means[0] - means[1]))
    assert score < 0


@pytest.mark.parametrize("name", SCORERS)
def test_every_scorer_in_searches_and_cross_validation_with_routing(name):
    with routing():
        found = search(strong(), SCORERS[name])
        found.fit(ROWS, LABELS, sensitive_features=GROUPS)
        params = {"sensitive_features": GROUPS}
        result = cross_validate(
            strong(), ROWS, LABELS, cv=2, scoring=SCORERS[name], params=params
        )
        score = found.score(ROWS, LABELS, sensitive_features=GROUPS)
    table = found.cv_results_["mean_test_score"]
    assert found.best_score_ == table.max()
    assert table[1] == pytest.approx(result["test_score"].mean())
    assert len(set(table)) == 2
    best = found.best_estimator_
    assert score == SCORERS[name](best, ROWS, LABELS, sensitive_features=GROUPS)
    if "excess" in name or "violation" in name:
        assert table[0] == 0 == found.best_params_["sparsity"]
        assert table[1] < 0


@pytest.mark.parametrize("piped", [False, True], ids=["alone", "pipeline"])
def test_several_scorers_and_refit_by_name(piped):
    estimator = make_pipeline(StandardScaler(), strong()) if piped else strong()
    scoring = {name: get_scorer(name) for name in SCORERS} | {"accuracy": "accuracy"}
    with routing():
        found = search(estimator, scoring, refit="neg_excess_accuracy_gap")
        found.fit(ROWS, LABELS, sensitive_features=GROUPS)
        result = cross_validate(
            estimator, ROWS, LABELS, scoring=scoring, params={"sensitive_features": GROUPS}
        )
    assert list(found.best_params_.values()) == [0.0]
    for name in scoring:
        assert np.isfinite(found.cv_results_[f"mean_test_{name}"]).all()
        assert np.isfinite(result[f"test_{name}"]).all()
    worst = found.cv_results_["mean_test_worst_group_accuracy"]
    assert (worst <= found.cv_results_["mean_test_accuracy"]).all()


def test_columns_serve_without_routing():
    estimator = make_pipeline(
        make_column_transformer(("drop", COLUMNS), remainder="passthrough"), strong()
    )
    scoring = {name: get_scorer(name, COLUMNS) for name in SCORERS}
    off = search(estimator, scoring, refit="neg_fairness_violation").fit(PEOPLE, LABELS)
    with routing():
        on = search(strong(), dict(SCORERS), refit="neg_fairness_violation")
        on.fit(ROWS, LABELS, sensitive_features=PEOPLE[COLUMNS])
    for name in SCORERS:
        one, two = (r.cv_results_[f"mean_test_{name}"] for r in (off, on))
        np.testing.assert_allclose(one, two, rtol=1e-5)
    score = off.score(PEOPLE, LABELS)
    scorer = get_scorer("neg_fairness_violation", COLUMNS)
    assert score == scorer(off.best_estimator_, PEOPLE, LABELS)


@pytest.mark.parametrize("name", SCORERS)
def test_without_groups_the_message_says_what_to_do(name):
    for enabled in (False, True):
        with (
            sklearn.config_context(enable_metadata_routing=enabled),
            pytest.raises(ValueError, match=NO_GROUPS),
        ):
            search(make(), SCORERS[name]).fit(ROWS, LABELS)
    with pytest.raises(ValueError, match=NO_GROUPS):
        search(make(), SCORERS[name]).fit(ROWS, LABELS, sensitive_features=GROUPS)


def test_requests_can_be_declined_and_are_copied():
    for ours in (get_scorer("worst_group_accuracy"), make_scorer(worst_group_accuracy)):
        with routing():
            ours.set_score_request(sensitive_features=True)
            params = {"sensitive_features": GROUPS}
            options = {"cv": 2, "error_score": "raise", "params": params}
            result = cross_validate(strong(), ROWS, LABELS, scoring=ours, **options)
            assert (result["test_score"] > 0.3).all()
    with routing():
        declined = get_scorer("worst_group_accuracy").set_score_request(
            sensitive_features=False
        )
        for scorer in (declined, clone(declined), pickle.loads(pickle.dumps(declined))):
            with pytest.raises(ValueError, match=NO_GROUPS):
                cross_validate(make(), ROWS, LABELS, scoring=scorer, **options)
    assert SCORERS["worst_group_accuracy"].get_metadata_routing().score.requests == {
        "sensitive_features": True
    }


def test_ready_scorers_by_name():
    for name, scorer in SCORERS.items():
        ready = get_scorer(name, "sex")
        assert ready is not scorer
        assert ready.get_params() == scorer.get_params() | {"columns": "sex"}
        assert clone(ready).get_params() == ready.get_params()
        assert name.removeprefix("neg_") in repr(scorer)
        assert scorer.greater_is_better == (not name.startswith("neg_"))
    assert get_scorer("neg_accuracy_spread").columns is None
    with pytest.raises(ValueError, match=r"one of \['neg_accuracy_spread', .*got 'bogus'"):
        get_scorer("bogus")


def test_unknown_comparisons_are_told(fitted):
    scorer = GroupScorer(worst_group_accuracy, compare="loss")
    with pytest.raises(ValueError, match=r"'labels', 'losses' or 'correctness', got 'loss'"):
        scorer(fitted, ROWS, LABELS, sensitive_features=GROUPS)


@pytest.mark.parametrize("name", SCORERS)
def test_labels_in_a_column_are_those_of_the_rows(fitted, name):
    scores = [
        get_scorer(name)(fitted, ROWS, y, sensitive_features=GROUPS)
        for y in (LABELS, LABELS[:, None], pd.DataFrame({"y": LABELS}))
    ]
    assert scores[0] == scores[1] == scores[2] != 0


def test_a_regressor_has_no_correctness():
    reg = PrunedRegressor(hidden_layer_sizes=(4,), random_state=0).fit(ROWS, ROWS[:, 0])
    with pytest.raises(ValueError, match=r"PrunedRegressor does not predict.*'losses'"):
        SCORERS["neg_excess_accuracy_gap"](reg, ROWS, ROWS[:, 0], sensitive_features=GROUPS)


def test_a_threshold_thresholds_the_dense_network_too(fitted):
    pruner = strong(finetune_epochs=0).fit(ROWS, LABELS)
    scores, expected = [], []
    for t in (0.05, 0.3, 0.5, 0.7, 0.95):
        model = FixedThresholdClassifier(
            FrozenEstimator(pruner), threshold=t, pos_label="yes"
        ).fit(ROWS, LABELS)
        scorer = SCORERS["neg_excess_accuracy_gap"]
        scores.append(scorer(model, ROWS, LABELS, sensitive_features=GROUPS))
        right = [
            (np.where(p[:, 1] >= t, "yes", "no") == LABELS).astype(float)
            for p in (dense_twin(pruner).predict_proba(ROWS), pruner.predict_proba(ROWS))
        ]
        drop = right[0] - right[1]
        expected.append(-max(drop[g == GROUPS].mean() for g in set(GROUPS)) + drop.mean())
    np.testing.assert_allclose(scores, expected, atol=1e-12)
    assert len(set(np.round(scores, 9))) > 2


@pytest.mark.parametrize("name", ["neg_fairness_violation"])
def test_targets_of_another_width_are_refused_by_scorers(name):
    model = PrunedRegressor(hidden_layer_sizes=(4,), random_state=0).fit(ROWS, ROWS[:, 0])
    with pytest.raises(ValueError, match=r"y has 2 target\(s\).*the model predicts 1"):
        SCORERS[name](model, ROWS, ROWS[:, :2], sensitive_features=GROUPS)
    with pytest.raises(ValueError, match=r"y has 2 target\(s\).*the model predicts 1"):
        audit({"dense": model, "pruned": model}, ROWS, ROWS[:, :2], min_group_size=1)
