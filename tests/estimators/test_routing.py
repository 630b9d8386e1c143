"""Groups and weights on their way through pipelines, searches and scorers."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
from fairlearn.metrics import accuracy_score_group_min, make_derived_metric
from people_cases import AGE, BOTH, FRAME, LABELS, SEX, net, pruned, search
from sklearn.compose import TransformedTargetRegressor
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, PrunedRegressor


class Recorder(PrunedClassifier):
    seen = []

    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        self.seen.append((X, sensitive_features))
        return super().fit(X, y, sensitive_features=sensitive_features)


def routing(enabled=True):
    """Switch metadata routing."""
    return sklearn.config_context(enable_metadata_routing=enabled)


def test_pipeline_in_grid_search_gets_the_groups_with_routing_off_and_on():
    pipe = make_pipeline(StandardScaler(), pruned())
    grid = {"prunedclassifier__sparsity": [0.0, 0.4]}
    off = search(pipe, grid).fit(FRAME, LABELS, prunedclassifier__sensitive_features=SEX)
    with routing():
        on = search(pipe, grid).fit(FRAME, LABELS, sensitive_features=SEX)
    for result in (off, on):
        assert result.best_estimator_[-1].groups_.tolist() == ["f", "m"]
        assert result.score(FRAME, LABELS) > 0.7
    scores = "mean_test_score"
    np.testing.assert_array_equal(off.cv_results_[scores], on.cv_results_[scores])


@pytest.mark.parametrize("enabled", [False, True])
@pytest.mark.parametrize(
    ("groups", "names"),
    [
        (SEX, ["f", "m"]),
        (SEX.tolist(), ["f", "m"]),
        (SEX.to_numpy(), ["f", "m"]),
        (pl.Series("sex", SEX.tolist()), ["f", "m"]),
        (BOTH, [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]),
        (pl.from_pandas(BOTH), [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]),
    ],
    ids=["Series", "list", "ndarray", "polars Series", "DataFrame", "polars DataFrame"],
)
def test_groups_are_cut_like_the_rows_of_x(groups, names, enabled):
    Recorder.seen.clear()
    with routing(enabled):
        result = search(Recorder(net(), finetune_epochs=0), {"sparsity": [0.5]}).fit(
            FRAME, LABELS, sensitive_features=groups
        )
    assert result.best_estimator_.groups_.tolist() == names
    assert len(Recorder.seen) == 4
    for rows, kept in Recorder.seen:
        first = np.asarray(kept).reshape(len(rows), -1)[:, 0]
        np.testing.assert_array_equal(first, SEX[rows.index])


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("enabled", [False, True])
def test_cross_validate_passes_the_groups(frame, enabled):
    data = frame(FRAME.to_dict("list"))
    options = {"cv": 3, "params": {"sensitive_features": SEX}}
    with routing(enabled):
        result = cross_validate(
            pruned(), data, LABELS, **options, return_estimator=True, error_score="raise"
        )
        labels = cross_val_predict(pruned(), data, LABELS, **options)
    assert np.mean(labels == LABELS) > 0.7
    for fitted in result["estimator"]:
        assert fitted.groups_.tolist() == ["f", "m"]
        assert fitted.feature_names_in_.tolist() == list("abcde")


def test_group_metrics_of_fairlearn_score_with_routing_on():
    own = make_derived_metric(metric=accuracy_score, transform="group_min")
    own.__name__ = "own"  # make_derived_metric leaves it out, scorers print it
    gap = make_derived_metric(
        metric=lambda y_true, y_pred: np.mean(y_pred == "yes"), transform="difference"
    )
    gap.__name__ = "gap"
    with routing():
        scoring = {
            "worst": make_scorer(accuracy_score_group_min),
            "own": make_scorer(own),
            "gap": make_scorer(gap, greater_is_better=False),
        }
        for scorer in scoring.values():
            scorer.set_score_request(sensitive_features=True)
        pipe = make_pipeline(StandardScaler(), pruned())
        result = search(
            pipe,
            {"prunedclassifier__sparsity": [0.0, 0.7]},
            scoring=scoring | {"accuracy": "accuracy"},
            refit="worst",
        ).fit(FRAME, LABELS, sensitive_features=SEX)
        table = result.cv_results_
        assert np.isfinite([table[f"mean_test_{k}"] for k in scoring]).all()
        np.testing.assert_array_equal(table["mean_test_own"], table["mean_test_worst"])
        assert (table["mean_test_worst"] <= table["mean_test_accuracy"]).all()
        expected = accuracy_score_group_min(
            LABELS, result.predict(FRAME), sensitive_features=SEX
        )
        assert result.score(FRAME, LABELS, sensitive_features=SEX) == expected


def test_a_fit_can_decline_the_groups_that_the_scorer_wants():
    with routing():
        worst = make_scorer(accuracy_score_group_min)
        worst.set_score_request(sensitive_features=True)
        blind = pruned().set_fit_request(sensitive_features=False)
        result = search(blind, scoring=worst).fit(FRAME, LABELS, sensitive_features=SEX)
    assert result.best_estimator_.groups_.tolist() == ["no", "yes"]
    assert np.isfinite(result.best_score_)


@pytest.mark.parametrize("enabled", [False, True])
def test_predict_of_a_pipeline_takes_groups_and_does_not_use_them(enabled):
    pipe = make_pipeline(StandardScaler(), pruned()).fit(FRAME, LABELS)
    with routing(enabled):
        labels = pipe.predict(FRAME, sensitive_features=SEX)
        with pytest.raises(ValueError, match="one entry per row"):
            pipe.predict(FRAME, sensitive_features=SEX[:-1])
    np.testing.assert_array_equal(labels, pipe.predict(FRAME))


def test_sample_weight_can_be_routed_beside_the_groups():
    weight = (AGE == "old").to_numpy().astype(float)
    with routing():
        step = pruned(lr=0.5, max_epochs=5).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, step)
        pipe.fit(FRAME, LABELS, sensitive_features=SEX, sample_weight=weight)
    scaled = pipe[0].transform(FRAME)
    alone = pruned(lr=0.5, max_epochs=5).fit(scaled[AGE == "old"], LABELS[AGE == "old"])
    np.testing.assert_allclose(
        pipe.predict_proba(FRAME), alone.predict_proba(scaled), atol=1e-6
    )
    assert pipe[-1].groups_.tolist() == ["f", "m"]


def test_parameters_inside_the_net_can_be_searched():
    grid = {"estimator__lr": [0.01, 0.1], "estimator__module__hidden": [3, 7]}
    result = search(pruned(), grid).fit(FRAME, LABELS)
    best = result.best_estimator_
    hidden = result.best_params_["estimator__module__hidden"]
    assert best.masks_["hidden.weight"].shape == (hidden, 5)
    assert best.estimator_.lr == result.best_params_["estimator__lr"]
    assert len(np.unique(result.cv_results_["mean_test_score"])) > 1


def test_regressor_in_a_search_inside_a_target_transformer():
    y = 1000 * (FRAME["a"] - FRAME["b"]).to_numpy()
    regressor = PrunedRegressor(sparsity=0.5, random_state=0, hidden_layer_sizes=(20,))
    model = make_pipeline(
        StandardScaler(),
        TransformedTargetRegressor(regressor, transformer=StandardScaler()),
    )
    name = "transformedtargetregressor__regressor__sparsity"
    result = search(model, {name: [0.0, 0.3]}).fit(FRAME, y)
    assert result.best_score_ > 0.5
    assert result.best_estimator_[-1].regressor_.groups_.tolist() == ["all"]
