"""Metadata routing, searches, scorers, the cache of dense trainings, parallel runs."""

import copy
import pathlib
from functools import partial

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from fairlearn.metrics import accuracy_score_group_min, make_derived_metric
from sklearn.compose import TransformedTargetRegressor
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_predict, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from sklearn_fairprune import PrunedClassifier, PrunedRegressor

RNG = np.random.default_rng(0)
X = pd.DataFrame(RNG.normal(size=(200, 5)), columns=list("abcde"))
Y = np.where(X["a"] - X["b"] + 0.5 * RNG.normal(size=200) > 0, "yes", "no")
SEX = pd.Series(np.where(X["c"] > 0, "m", "f"), name="sex")
AGE = pd.Series(np.where(X["d"] > 0, "old", "young"), name="age")
TWO = pd.DataFrame({"sex": SEX, "age": AGE})
NUMBERS, CODES = X.to_numpy("float32").copy(), (Y == "yes").astype(np.int64)
GRID = {"sparsity": [0.0, 0.3, 0.6]}
BEGINS = []


class CountTrainings(Callback):
    """Count the trainings from scratch: those that start with no weight removed."""

    def on_train_begin(self, net, **kwargs):
        if all((weight != 0).all() for weight in net.module_.parameters()):
            BEGINS.append(1)


class Handle:
    """Stands for a file or a lock: it can be shared, and has no content to hash."""

    __slots__ = ()

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle a handle")


class CountWithHandle(CountTrainings):
    def __init__(self, handle):
        self.handle = handle


class Net(nn.Module):
    def __init__(self, hidden=6, dropout=0.0):
        super().__init__()
        self.hidden, self.out = nn.Linear(5, hidden), nn.Linear(hidden, 2)
        self.dropout = nn.Dropout(dropout)

    def forward(self, X):
        return self.out(self.dropout(self.hidden(X).relu()))


class Recorder(PrunedClassifier):
    seen = []

    def fit(self, X, y=None, *, sensitive_features=None, sample_weight=None):
        self.seen.append((X, sensitive_features))
        return super().fit(X, y, sensitive_features=sensitive_features)


def net(module=Net, **options):
    """Return a small, fast skorch net."""
    own = {"max_epochs": 4, "lr": 0.3, "batch_size": 32, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **(own | options))


def pruned(module=Net, *, memory=None, sparsity=0.3, random_state=0, **options):
    """Return a `PrunedClassifier` around `net`."""
    return PrunedClassifier(
        net(module, **options),
        sparsity=sparsity,
        finetune_epochs=1,
        memory=memory,
        random_state=random_state,
    )


def search(estimator, grid=GRID, **options):
    """Return a grid search that never hides an error."""
    return GridSearchCV(estimator, grid, **{"cv": 3, "error_score": "raise"} | options)


def routing(enabled=True):
    """Switch metadata routing."""
    return sklearn.config_context(enable_metadata_routing=enabled)


# ---- routing ----------------------------------------------------------------------------


def test_pipeline_in_grid_search_gets_the_groups_with_routing_off_and_on():
    pipe = make_pipeline(StandardScaler(), pruned())
    grid = {"prunedclassifier__sparsity": [0.0, 0.4]}
    off = search(pipe, grid).fit(X, Y, prunedclassifier__sensitive_features=SEX)
    with routing():
        on = search(pipe, grid).fit(X, Y, sensitive_features=SEX)
    for result in (off, on):
        assert result.best_estimator_[-1].groups_.tolist() == ["f", "m"]
        assert result.score(X, Y) > 0.7
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
        (TWO, [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]),
        (pl.from_pandas(TWO), [("f", "old"), ("f", "young"), ("m", "old"), ("m", "young")]),
    ],
    ids=["Series", "list", "ndarray", "polars Series", "DataFrame", "polars DataFrame"],
)
def test_groups_are_cut_like_the_rows_of_x(groups, names, enabled):
    Recorder.seen.clear()
    with routing(enabled):
        result = search(Recorder(net(), finetune_epochs=0), {"sparsity": [0.5]}).fit(
            X, Y, sensitive_features=groups
        )
    assert result.best_estimator_.groups_.tolist() == names
    assert len(Recorder.seen) == 4
    for rows, kept in Recorder.seen:
        first = np.asarray(kept).reshape(len(rows), -1)[:, 0]
        np.testing.assert_array_equal(first == "m", rows["c"] > 0)


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
@pytest.mark.parametrize("enabled", [False, True])
def test_cross_validate_passes_the_groups(frame, enabled):
    data = frame(X.to_dict("list"))
    with routing(enabled):
        result = cross_validate(
            pruned(),
            data,
            Y,
            cv=3,
            params={"sensitive_features": SEX},
            return_estimator=True,
            error_score="raise",
        )
        labels = cross_val_predict(pruned(), data, Y, cv=3, params={"sensitive_features": SEX})
    assert np.mean(labels == Y) > 0.7
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
        ).fit(X, Y, sensitive_features=SEX)
        table = result.cv_results_
        assert np.isfinite([table[f"mean_test_{k}"] for k in scoring]).all()
        np.testing.assert_array_equal(table["mean_test_own"], table["mean_test_worst"])
        assert (table["mean_test_worst"] <= table["mean_test_accuracy"]).all()
        expected = accuracy_score_group_min(Y, result.predict(X), sensitive_features=SEX)
        assert result.score(X, Y, sensitive_features=SEX) == expected


def test_a_fit_can_decline_the_groups_that_the_scorer_wants():
    with routing():
        worst = make_scorer(accuracy_score_group_min)
        worst.set_score_request(sensitive_features=True)
        blind = pruned().set_fit_request(sensitive_features=False)
        result = search(blind, scoring=worst).fit(X, Y, sensitive_features=SEX)
    assert result.best_estimator_.groups_.tolist() == ["no", "yes"]
    assert np.isfinite(result.best_score_)


@pytest.mark.parametrize("enabled", [False, True])
def test_predict_of_a_pipeline_takes_groups_and_does_not_use_them(enabled):
    pipe = make_pipeline(StandardScaler(), pruned()).fit(X, Y)
    with routing(enabled):
        labels = pipe.predict(X, sensitive_features=SEX)
        with pytest.raises(ValueError, match="one entry per row"):
            pipe.predict(X, sensitive_features=SEX[:-1])
    np.testing.assert_array_equal(labels, pipe.predict(X))


def test_sample_weight_can_be_routed_beside_the_groups():
    weight = (AGE == "old").to_numpy().astype(float)
    with routing():
        step = pruned(lr=0.5, max_epochs=5).set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        pipe = make_pipeline(scaler, step)
        pipe.fit(X, Y, sensitive_features=SEX, sample_weight=weight)
    scaled = pipe[0].transform(X)
    alone = pruned(lr=0.5, max_epochs=5).fit(scaled[AGE == "old"], Y[AGE == "old"])
    np.testing.assert_allclose(pipe.predict_proba(X), alone.predict_proba(scaled), atol=1e-6)
    assert pipe[-1].groups_.tolist() == ["f", "m"]


def test_parameters_inside_the_net_can_be_searched():
    grid = {"estimator__lr": [0.01, 0.1], "estimator__module__hidden": [3, 7]}
    result = search(pruned(), grid).fit(X, Y)
    best = result.best_estimator_
    hidden = result.best_params_["estimator__module__hidden"]
    assert best.masks_["hidden.weight"].shape == (hidden, 5)
    assert best.estimator_.lr == result.best_params_["estimator__lr"]
    assert len(np.unique(result.cv_results_["mean_test_score"])) > 1


def test_regressor_in_a_search_inside_a_target_transformer():
    y = 1000 * (X["a"] - X["b"]).to_numpy()
    regressor = PrunedRegressor(sparsity=0.5, random_state=0, hidden_layer_sizes=(20,))
    model = make_pipeline(
        StandardScaler(),
        TransformedTargetRegressor(regressor, transformer=StandardScaler()),
    )
    name = "transformedtargetregressor__regressor__sparsity"
    result = search(model, {name: [0.0, 0.3]}).fit(X, y)
    assert result.best_score_ > 0.5
    assert result.best_estimator_[-1].regressor_.groups_.tolist() == ["all"]


# ---- parallel runs ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["threading", "loky"])
@pytest.mark.parametrize("dropout", [None, 0.3])
def test_parallel_searches_give_the_scores_of_a_serial_one(backend, dropout):
    estimator = PrunedClassifier(random_state=0, finetune_epochs=1)
    if dropout:
        layers = nn.Linear(5, 9), nn.ReLU(), nn.Dropout(dropout), nn.Linear(9, 2)
        estimator.set_params(estimator=net(nn.Sequential(*layers)))
    one = search(estimator).fit(X, Y, sensitive_features=SEX)
    with joblib.parallel_config(backend=backend, n_jobs=2):
        two = search(estimator).fit(X, Y, sensitive_features=SEX)
    for k in range(3):
        key = f"split{k}_test_score"
        np.testing.assert_array_equal(one.cv_results_[key], two.cv_results_[key])
    np.testing.assert_array_equal(one.predict_proba(X), two.predict_proba(X))


# ---- memory -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [str, pathlib.Path, lambda p: joblib.Memory(p, verbose=0)])
def test_memory_trains_the_dense_network_of_each_fold_once(tmp_path, kind):
    BEGINS.clear()
    counted = {"callbacks": [CountTrainings()], "module__dropout": 0.2}
    plain = search(pruned(**counted)).fit(X, Y, sensitive_features=SEX)
    assert len(BEGINS) == 10
    BEGINS.clear()
    cached = search(pruned(memory=kind(tmp_path), **counted))
    cached.fit(X, Y, sensitive_features=SEX)
    assert len(BEGINS) == 4
    for k in range(3):
        key = f"split{k}_test_score"
        np.testing.assert_array_equal(plain.cv_results_[key], cached.cv_results_[key])
    want, got = (s.best_estimator_.estimator_.module_.state_dict() for s in (plain, cached))
    assert all(torch.equal(want[name], got[name]) for name in want)
    losses = [[h["train_loss"] for h in s.best_estimator_.history_] for s in (plain, cached)]
    assert losses[0] == losses[1]


HEAD = """
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(5, 2)
"""
CELLS = {
    "body": "    def forward(self, X): return self.out(X * {})",
    "attribute": "    k = {}\n    def forward(self, X): return self.out(X * self.k)",
    "default": "    def forward(self, X, k={}): return self.out(X * k)",
    "static method": "    f = staticmethod(lambda X: X * {})\n"
    "    def forward(self, X): return self.out(self.f(X))",
    "nested": "    def forward(self, X): return self.out((lambda X: X * {})(X))",
    "base class": "    def forward(self, X): return self.out(X * {})\n"
    "class Base(Cell): pass\nclass Cell(Base): pass",
}


def redefined(cell, value):
    """Run the text of a class as a notebook would: no file holds its source."""
    scope = {"__name__": "notebook", "nn": nn}
    exec(HEAD + CELLS[cell].replace("{}", str(value)), scope)
    return {"module": scope["Cell"]}


class Applies(nn.Module):
    def __init__(self, function=None, k=1.0):
        super().__init__()
        self.out, self.function, self.k = nn.Linear(5, 2), function, k

    def forward(self, X):
        return self.out(self.function(X) if self.function else X * self.k)


def class_of_a_factory(value):
    class Made(Applies):
        def forward(self, X):
            return self.out(X * value)

    return {"module": Made}


def lambda_of_the_same_line(value):
    functions = {1.0: lambda X: X * 1.0, 9.0: lambda X: X * 9.0}
    return {"module": Applies, "module__function": functions[value]}


def attribute_of_an_instance(value):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"module": Applies(k=value)}


CHANGES = {name: partial(redefined, name) for name in CELLS} | {
    f.__name__: f
    for f in (class_of_a_factory, lambda_of_the_same_line, attribute_of_an_instance)
}


@pytest.mark.parametrize("change", CHANGES)
def test_memory_sees_changed_code(tmp_path, change):
    fits = []
    for value, memory in [(1.0, str(tmp_path)), (9.0, str(tmp_path)), (9.0, None)]:
        clf = pruned(memory=memory, sparsity=0.0, **CHANGES[change](value)).fit(X, Y)
        fits.append(clf.predict_proba(X))
    np.testing.assert_array_equal(fits[1], fits[2])
    assert not np.array_equal(fits[0], fits[1])


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"estimator__lr": 0.02},
        {"estimator__max_epochs": 6},
        {"estimator__module__hidden": 5},
        {"estimator__module__dropout": 0.4},
        {"estimator__optimizer": torch.optim.Adam},
        {"estimator__criterion__label_smoothing": 0.2},
        {"dtype": "float64"},
        {"X": X + 0.01},
        {"y": Y[::-1]},
        {"sample_weight": np.linspace(0.5, 2, 200)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_memory_keeps_different_trainings_apart(tmp_path, change):
    data = {"X": X, "y": Y, "sample_weight": None}
    other = data | {k: v for k, v in change.items() if k in data}
    params = {k: v for k, v in change.items() if k not in data}
    cached = pruned(memory=str(tmp_path)).fit(**data)
    before = cached.predict_proba(X)
    changed = cached.set_params(**params).fit(**other).predict_proba(X)
    fresh = pruned().set_params(**params).fit(**other).predict_proba(X)
    np.testing.assert_array_equal(changed, fresh)
    assert not np.array_equal(before, changed)


def test_memory_serves_another_sparsity_group_and_equal_copies(tmp_path):
    BEGINS.clear()
    clf = pruned(memory=str(tmp_path), callbacks=[CountTrainings()])
    first = clf.fit(X, Y, sensitive_features=SEX).predict_proba(X)
    clf.set_params(sparsity=0.9, finetune_epochs=2, scope="layerwise")
    clf.fit(X, Y, sensitive_features=TWO)
    again = copy.deepcopy(clf).set_params(sparsity=0.3, finetune_epochs=1, scope="global")
    np.testing.assert_array_equal(
        again.fit(X.to_numpy(), Y).predict_proba(X.to_numpy()), first
    )
    assert len(BEGINS) == 1


def test_memory_refuses_to_cache_what_has_no_key(tmp_path):
    with pytest.warns(UserWarning, match="random_state=None"):
        pruned(memory=str(tmp_path), random_state=None).fit(X, Y)
    counter = CountWithHandle(Handle())
    with pytest.warns(UserWarning, match=r"not used.*no content"):
        warned = pruned(memory=str(tmp_path), callbacks=[("count", counter)]).fit(X, Y)
    assert not any(p.name == "output.pkl" for p in tmp_path.rglob("*"))
    plain = pruned().fit(X, Y)
    np.testing.assert_array_equal(warned.predict_proba(X), plain.predict_proba(X))


def test_memory_with_a_frozen_network_caches_nothing(tmp_path):
    dense = net(callbacks=[CountTrainings()]).fit(NUMBERS, CODES)
    BEGINS.clear()
    clf = PrunedClassifier(FrozenEstimator(dense), memory=str(tmp_path), random_state=0)
    search(clf).fit(X, CODES)
    assert not BEGINS
    assert not list(tmp_path.rglob("output.pkl"))
