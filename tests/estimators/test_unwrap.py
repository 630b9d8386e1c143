"""Fitted pruners in all their wrappings, and the transformers around these."""

import numpy as np
import pytest
import torch
from estimator_cases import CODES, LABELS, Pairs, X, make, make_net, same_weights, state
from sklearn.base import BaseEstimator, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    FixedThresholdClassifier,
    GridSearchCV,
    RandomizedSearchCV,
    TunedThresholdClassifierCV,
)
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from torch import nn

from sklearn_fairprune import (
    BoundaryCloseness,
    GroupConstrainedPruner,
    PrunedClassifier,
    PrunedRegressor,
    SampleDiagnostics,
    diagnose,
)
from sklearn_fairprune.estimators.unwrap import dense_twin, evaluations, fitted_pruner

TARGETS = (X[:, 0] - X[:, 1]).astype(np.float32)
BOTH = pytest.mark.parametrize("kind", [BoundaryCloseness, SampleDiagnostics])


def strong(**options):
    """Pruner that has learnt something, which pruning then harms."""
    plain = {"sparsity": 0.9, "finetune_epochs": 0, "dtype": "float64", "random_state": 1}
    return make(make_net(max_epochs=30, lr=0.5), **(plain | options))


def small_regressor():
    return PrunedRegressor(hidden_layer_sizes=(4,), finetune_epochs=1, random_state=0)


@pytest.fixture(scope="module")
def fitted():
    return strong().fit(X, LABELS)


def piped(last=None):
    return make_pipeline(MinMaxScaler(), StandardScaler(), last or make())


WRAPPED = {
    "pruner": make(),
    "regressor": small_regressor(),
    "pipeline": piped(),
    "pipeline of one": make_pipeline(make()),
    "pipeline of pipelines": make_pipeline(StandardScaler(), piped()),
    "search": GridSearchCV(make(), {"sparsity": [0.5, 0.6]}, cv=2),
    "random search": RandomizedSearchCV(make(), {"sparsity": [0.5]}, n_iter=1, cv=2),
    "search of pipelines": GridSearchCV(piped(), {}, cv=2),
    "pipeline of search": piped(GridSearchCV(make(), {}, cv=2)),
}


@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize("case", WRAPPED)
def test_the_pruner_is_found_with_its_rows(case, frozen):
    y = TARGETS if case == "regressor" else LABELS
    estimator = clone(WRAPPED[case]).fit(X, y)
    truth = estimator.predict(X)
    pruner, rows, _ = fitted_pruner(FrozenEstimator(estimator) if frozen else estimator, X)
    assert type(pruner) is (PrunedRegressor if case == "regressor" else PrunedClassifier)
    np.testing.assert_array_equal(pruner.predict(rows), truth)
    assert (rows is X) == ("pipeline" not in case or case == "pipeline of one")


@pytest.mark.parametrize("frozen", [False, True], ids=["", "frozen"])
@pytest.mark.parametrize("case", ["pruner", "regressor", "pipeline", "pipeline of search"])
def test_unfitted_ones_are_told(case, frozen):
    estimator = FrozenEstimator(WRAPPED[case]) if frozen else WRAPPED[case]
    with pytest.raises(NotFittedError, match="not fitted yet"):
        fitted_pruner(estimator, X)


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression().fit(X, CODES),
        make_pipeline(StandardScaler(), LogisticRegression()).fit(X, CODES),
        GridSearchCV(LogisticRegression(), {}, cv=2).fit(X, CODES),
        FrozenEstimator(LogisticRegression().fit(X, CODES)),
    ],
    ids=["alone", "pipeline", "search", "frozen"],
)
def test_other_estimators_are_refused_by_name(estimator):
    message = r"PrunedClassifier or PrunedRegressor, a Pipeline.*skorch net, got Logistic"
    with pytest.raises(TypeError, match=message):
        fitted_pruner(estimator, X)
    transformer = SampleDiagnostics(estimator)
    with pytest.raises(TypeError, match=message):
        transformer.transform(X)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", ["classifier", "regressor"])
def test_a_skorch_net_is_a_dense_pruner(case, dtype):
    if case == "classifier":
        net, kind, y = make_net(module=nn.Linear(4, 2, dtype=dtype)), PrunedClassifier, CODES
    else:
        module, options = nn.Linear(4, 1, dtype=dtype), {"criterion": nn.MSELoss}
        net, kind = make_net(module, NeuralNetRegressor, **options), PrunedRegressor
        y = X[:, :1]
    with pytest.raises(NotFittedError, match=r"skorch net is not fitted yet; call its fit"):
        fitted_pruner(net, X, y)
    rows = X.astype(str(dtype).removeprefix("torch."))
    net.fit(rows, y if case == "classifier" else rows[:, :1])
    before = state(net)
    pruner, same, _ = fitted_pruner(net, rows, y)
    assert type(pruner) is kind
    assert same is rows
    assert pruner.sparsity_ == 0
    assert same_weights(pruner.dense_estimator_, before)
    assert same_weights(pruner.estimator_, before)
    assert same_weights(net, before)
    weights = next(pruner.estimator_.module_.parameters())
    assert weights.dtype is dtype
    np.testing.assert_allclose(pruner.predict(rows), net.predict(rows), rtol=1e-6)
    assert fitted_pruner(FrozenEstimator(net), rows, y)[0].sparsity_ == 0


def dense_probability(pruner, rows):
    """Softmax of what the dense network gives."""
    net = pruner.dense_estimator_.module_.eval()
    dtype = next(net.parameters()).dtype
    with torch.no_grad():
        return torch.softmax(net(torch.as_tensor(rows, dtype=dtype)), 1).double().numpy()


def test_the_dense_twin_predicts_like_the_dense_network(fitted):
    before, probability = dict(vars(fitted)), fitted.predict_proba(X)
    twin = dense_twin(fitted)
    np.testing.assert_allclose(twin.predict_proba(X), dense_probability(fitted, X))
    assert (twin.predict(X) != fitted.predict(X)).any()
    assert twin.estimator_ is fitted.dense_estimator_
    assert vars(fitted) == before
    np.testing.assert_array_equal(fitted.predict_proba(X), probability)
    np.testing.assert_array_equal(dense_twin(twin).predict(X), twin.predict(X))
    assert twin.effective_sparsity_ == twin.sparsity_ == 0
    assert not any(dead for dead, _ in twin.dead_units_.values())


@pytest.mark.parametrize("dtype", [None, "float32", "float64"])
def test_evaluations_hold_both_networks_in_the_dtype_asked_for(fitted, dtype):
    dense, pruned, rows = evaluations(fitted, X, LABELS, dtype)
    for evaluation, net in [(dense, fitted.dense_estimator_), (pruned, fitted.estimator_)]:
        for name, weights in net.module_.named_parameters():
            assert evaluation.params[name].dtype is getattr(torch, dtype or "float64")
            assert torch.allclose(evaluation.params[name].double(), weights)
    np.testing.assert_array_equal(rows.y, CODES)
    assert next(fitted.estimator_.module_.parameters()).dtype is torch.float64


def test_evaluations_without_targets(fitted):
    guess = dense_probability(fitted, X).argmax(axis=1)
    assert (guess != CODES).any()
    np.testing.assert_array_equal(evaluations(fitted, X)[2].y, guess)
    np.testing.assert_array_equal(evaluations(fitted, Pairs(X, LABELS))[2].y, CODES)
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        evaluations(fitted, X[:, 1:])


def test_evaluations_without_targets_mind_the_threshold():
    net = make_net(
        kind=NeuralNetBinaryClassifier,
        criterion=nn.BCEWithLogitsLoss,
        module__n_out=1,
        threshold=0.6,
    )
    pruner = make(net).fit(X, LABELS)
    probability = dense_twin(pruner).predict_proba(X)[:, 1]
    assert ((probability > 0.5) & (probability < 0.6)).any()
    np.testing.assert_array_equal(evaluations(pruner, X)[2].y, probability > 0.6)


@BOTH
def test_a_fitted_estimator_serves_at_once_and_fit_trains_a_clone(fitted, kind):
    direct = kind(fitted)
    table = direct.transform(X)
    assert table.shape == (60, len(direct.get_feature_names_out()))
    assert not hasattr(direct, "estimator_")
    half = direct.fit(X[:30], LABELS[:30])
    assert half is direct
    assert half.estimator_ is not fitted
    assert half.estimator is fitted
    assert half.n_features_in_ == 4
    assert (half.transform(X) != table).any()
    again = kind(clone(fitted).fit(X[:30], LABELS[:30])).transform(X)
    np.testing.assert_array_equal(half.transform(X), again)
    np.testing.assert_array_equal(kind(fitted).transform(X), table)


@BOTH
def test_an_unfitted_estimator_is_told(kind):
    message = f"{kind.__name__} is not fitted, nor is its estimator. Call fit, or give"
    for estimator in (
        make(),
        make_pipeline(StandardScaler(), make()),
        FrozenEstimator(make()),
    ):
        with pytest.raises(NotFittedError, match=message):
            kind(estimator).transform(X)
        with pytest.raises(NotFittedError, match=kind.__name__):
            kind(estimator).get_feature_names_out()
    with pytest.raises(NotFittedError, match="not fitted"):
        kind(FrozenEstimator(make())).fit(X, LABELS)


@BOTH
def test_a_frozen_estimator_stays_as_it_is(fitted, kind):
    table = kind(fitted).transform(X)
    frozen = FrozenEstimator(fitted)
    alone = kind(frozen).fit(X[:9], LABELS[:9])
    assert alone.estimator_ is frozen
    pipe = make_pipeline(kind(frozen), LogisticRegression()).fit(X[:30], LABELS[:30])
    for transformer in (alone, pipe[0], clone(pipe).fit(X[:9], LABELS[:9])[0]):
        np.testing.assert_array_equal(transformer.transform(X), table)
        assert transformer.estimator_.estimator is fitted


@pytest.mark.parametrize(
    ("inner", "scales"),
    [
        (make_pipeline(StandardScaler(), strong()), True),
        (GridSearchCV(strong(), {"sparsity": [0.9]}, cv=2), False),
        (GridSearchCV(make_pipeline(StandardScaler(), strong()), {}, cv=2), True),
    ],
    ids=["pipeline", "search", "search of pipelines"],
)
def test_pipelines_and_searches_inside(inner, scales):
    rows = StandardScaler().fit_transform(X) if scales else X
    alone = SampleDiagnostics(strong()).fit(rows, LABELS)
    transformer = SampleDiagnostics(inner).fit(X, LABELS)
    truth = alone.transform(rows, y_true=LABELS)
    np.testing.assert_array_equal(transformer.transform(X, y_true=LABELS), truth)
    near = BoundaryCloseness(transformer.estimator_).transform(X)
    np.testing.assert_array_equal(near, BoundaryCloseness(alone.estimator_).transform(rows))


def test_unusable_rows_and_targets(fitted):
    transformer = SampleDiagnostics(fitted)
    with pytest.raises(ValueError, match=r"not among the classes \['no', 'yes'\]: \[0, 1\]"):
        transformer.transform(X, y_true=CODES)
    with pytest.raises(ValueError, match=r"inconsistent.*\[60, 59\]"):
        transformer.transform(X, y_true=LABELS[1:])
    with pytest.raises(ValueError, match=r"3 features.*expecting 4"):
        transformer.transform(X[:, 1:])
    with pytest.raises(ValueError, match=r"'quantities' parameter.*\{'all'\}.*Got 'margin'"):
        SampleDiagnostics(make(), "margin").fit(X, LABELS)
    with pytest.raises(ValueError, match="'dtype' parameter"):
        SampleDiagnostics(make(), dtype="half").fit(X, LABELS)
    with pytest.raises(ValueError, match=r"'estimator' parameter.*'fit' and 'predict'"):
        SampleDiagnostics(StandardScaler()).fit(X, LABELS)


def test_a_search_or_pipeline_of_a_skorch_net_counts_as_dense():
    net = make_net(max_epochs=1)
    search = GridSearchCV(net, {"lr": [0.1]}, cv=2, scoring="accuracy")
    for model in (search, make_pipeline(StandardScaler(), net)):
        pruner, rows, _ = fitted_pruner(model.fit(X, CODES), X, CODES)
        assert pruner.sparsity_ == 0
        assert pruner.predict(rows).tolist() == model.predict(X).tolist()


def test_shares_are_targets_and_no_probabilities():
    y = np.abs(X[:, :2]) / np.abs(X[:, :2]).sum(axis=1, keepdims=True)
    options = {"criterion": nn.MSELoss, "module__head": nn.Softmax(dim=1)}
    reg = make(make_net(kind=NeuralNetRegressor, **options), PrunedRegressor).fit(X, y)
    dense, _, _ = evaluations(reg, X, y)
    assert not dense.has_logits
    losses = SampleDiagnostics(reg, ("pruned_loss",)).transform(X, y_true=y)
    np.testing.assert_allclose(losses[:, 0], ((reg.predict(X) - y) ** 2).mean(1), rtol=1e-4)


def test_evaluations_of_other_features_are_refused_and_change_nothing():
    clf = make().fit(X, LABELS)
    with pytest.raises(ValueError, match="X has 2 features"):
        evaluations(clf, X[:, :2], LABELS)
    assert clf.n_features_in_ == 4


def test_searches_without_a_fitted_estimator_are_told():
    search = GridSearchCV(make(), {"sparsity": [0.5]}, cv=2, refit=False)
    for unfitted in (search, FrozenEstimator(search)):
        with pytest.raises(NotFittedError, match="GridSearchCV instance is not fitted yet"):
            fitted_pruner(unfitted, X)
    with pytest.raises(ValueError, match=r"GridSearchCV\(refit=False\) keeps.*refit=True"):
        fitted_pruner(search.fit(X, LABELS), X)


def test_rows_of_one_class_suffice_for_a_skorch_net():
    net = make_net(module__n_out=2).fit(X, CODES)
    for rows, y in ((X[:1], CODES[:1]), (X[:1], None), (Pairs(X[:3], CODES[:3]), None)):
        pruner, same, _ = fitted_pruner(net, rows, y)
        assert pruner.classes_.tolist() == [0, 1]
        assert same is rows
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        fitted_pruner(net, X[:0], CODES[:0])
    whole = PrunedClassifier(FrozenEstimator(net), sparsity=0).fit(X, CODES)
    np.testing.assert_array_equal(pruner.predict_proba(X), whole.predict_proba(X))
    assert pruner.n_features_in_ == 4


# ---- wrappers that change predictions ---------------------------------------------------


class Sampler(BaseEstimator):
    """Resamples what is fitted, as samplers of imbalanced-learn do; has no transform."""

    def fit_resample(self, X, y):
        return X, y


class Resampling(Pipeline):
    """Pipeline that lets samplers pass, as imbalanced-learn's does."""

    def fit(self, X, y):
        for _, step in self.steps[:-1]:
            if hasattr(step, "fit_resample"):
                X, y = step.fit_resample(X, y)
            elif step is not None:
                X = step.fit(X, y).transform(X)
        self.steps[-1][1].fit(X, y)
        return self

    def predict(self, X):
        for _, step in self.steps[:-1]:
            X = step.transform(X) if hasattr(step, "transform") else X
        return self.steps[-1][1].predict(X)


def threshold(estimator, t=0.5):
    return FixedThresholdClassifier(
        estimator, threshold=t, pos_label="yes", response_method="predict_proba"
    )


CHANGED = {
    "threshold": lambda: threshold(strong()),
    "threshold of a pipeline": lambda: threshold(piped(strong())),
    "pipeline of a threshold": lambda: piped(threshold(strong())),
    "tuned threshold": lambda: TunedThresholdClassifierCV(strong(), cv=2, random_state=0),
    "calibrated": lambda: CalibratedClassifierCV(FrozenEstimator(strong().fit(X, LABELS))),
    "calibrated as one": lambda: CalibratedClassifierCV(strong(), ensemble=False, cv=2),
    "constrained": lambda: GroupConstrainedPruner(strong(), tolerance=10.0),
    "sampler first": lambda: Resampling(
        [("s", Sampler()), ("m", MinMaxScaler()), ("p", strong())]
    ),
    "sampler between": lambda: Resampling(
        [("m", MinMaxScaler()), ("s", Sampler()), ("p", strong())]
    ),
}


@pytest.mark.parametrize("case", CHANGED)
def test_the_pruner_is_found_in_wrappers(case):
    model = CHANGED[case]().fit(X, LABELS)
    pruner, rows, y = fitted_pruner(model, X, LABELS)
    assert type(pruner) is PrunedClassifier
    assert y is LABELS
    scaled = "pipeline" in case or "sampler" in case
    assert (rows is X) != scaled
    assert pruner.predict(rows).shape == (60,)


@pytest.mark.parametrize("case", CHANGED)
def test_the_dense_twin_of_a_wrapper_is_the_wrapper_around_the_dense_network(case):
    model = CHANGED[case]().fit(X, LABELS)
    before = model.predict(X)
    twin = dense_twin(model)
    assert type(twin) is type(model)
    inner, rows, _ = fitted_pruner(twin, X)
    assert inner.sparsity_ == 0
    assert inner.estimator_ is fitted_pruner(model, X).pruner.dense_estimator_
    expected = inner.predict(rows)
    if case.startswith(("threshold", "pipeline")):
        expected = np.where(inner.predict_proba(rows)[:, 1] >= 0.5, "yes", "no")
    if not case.startswith(("calibrated", "tuned")):
        np.testing.assert_array_equal(twin.predict(X), expected)
    np.testing.assert_array_equal(model.predict(X), before)
    assert fitted_pruner(model, X).pruner.sparsity_ > 0.8


def test_targets_are_transformed_as_the_regressor_inside_sees_them():
    y = 1000 * TARGETS + 7
    model = TransformedTargetRegressor(piped(small_regressor()), transformer=StandardScaler())
    model.fit(X, y)
    pruner, rows, seen = fitted_pruner(model, X, y)
    np.testing.assert_allclose(seen, (y - y.mean()) / y.std(), rtol=1e-4, atol=1e-4)
    back = model.transformer_.inverse_transform(pruner.predict(rows)[:, None])[:, 0]
    np.testing.assert_allclose(model.predict(X), back, rtol=1e-5)
    dense = dense_twin(model)
    assert isinstance(dense, TransformedTargetRegressor)
    assert not np.allclose(dense.predict(X), model.predict(X))
    report = diagnose(model, X, y)
    assert report.by_group["excessive_loss"].notna().all()
    losses = ((pruner.predict(rows) - seen) ** 2).mean()
    twin = fitted_pruner(dense, X, y).pruner
    excess = losses - ((twin.predict(rows) - seen) ** 2).mean()
    assert report.by_group["excessive_loss"].item() == pytest.approx(excess, rel=1e-4)


def test_several_networks_are_refused_with_the_way_out():
    model = CalibratedClassifierCV(make(), cv=2).fit(X, LABELS)
    with pytest.raises(ValueError, match=r"holds 2 networks.*FrozenEstimator\(fitted\)"):
        fitted_pruner(model, X, LABELS)
