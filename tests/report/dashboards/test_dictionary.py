"""The precomputed dictionary: every key, every length, every value computed another way."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from fairlearn.metrics import false_positive_rate, true_positive_rate
from report_cases import Column, Value
from sklearn import metrics as sk
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

from sklearn_fairprune import PrunedClassifier, PrunedRegressor, audit
from sklearn_fairprune.measurement import MEASURES, Measure
from sklearn_fairprune.report.dashboards import to_fairness_dashboard
from sklearn_fairprune.statistics.intervals import proportion_interval

HOSTILE = ["</script><script>document.title='x'</script>", "B`${x}\\", "<!-- \u2028"]
BINARY = {
    "accuracy_score",
    "balanced_accuracy_score",
    "precision_score",
    "recall_score",
    "f1_score",
    "zero_one_loss",
    "specificity_score",
    "miss_rate",
    "fallout_rate",
    "selection_rate",
}
REGRESSION = {
    "mean_squared_error",
    "mean_absolute_error",
    "root_mean_squared_error",
    "r2_score",
    "average",
}


def table(column):
    """Model that predicts the probabilities in a column of X, as of class "b"."""
    return Column(column, classes=("a", "b"))


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.05, 0.95, size=(300, 3))
    X[:, 2] = 0.3
    y = np.where(rng.random(300) < X[:, 0], "b", "a")
    groups = pd.DataFrame({"odd": rng.choice(HOSTILE, 300), "sex": rng.choice([0, 1], 300)})
    return X, y, groups


MODELS = {"dense": table(0), "half": table(1), "tiny": table(2)}


@pytest.fixture(scope="module")
def dictionary(people):
    X, y, groups = people
    data = to_fairness_dashboard(
        MODELS, X, y, sensitive_features=groups, n_boot=50, min_group_size=1
    )
    return data.to_dict()


def check_schema(dictionary, n, kind, known, custom):
    """Every key, type and length of the schema."""
    assert dictionary["schemaType"] == "dashboardDictionary"
    assert dictionary["schemaVersion"] == 0
    assert dictionary["predictionType"] == kind
    assert set(dictionary) == {
        *("schemaType", "schemaVersion", "predictionType", "trueY", "predictedY"),
        *("modelNames", "precomputedFeatureBins", "precomputedMetrics", "customMetrics"),
    }
    assert len(dictionary["trueY"]) == n
    models, bins = dictionary["modelNames"], dictionary["precomputedFeatureBins"]
    assert [len(p) for p in dictionary["predictedY"]] == [n] * len(models)
    assert [c["id"] for c in dictionary["customMetrics"]] == custom
    assert all(set(c) == {"id", "name", "description"} for c in dictionary["customMetrics"])
    assert len(dictionary["precomputedMetrics"]) == len(bins)
    for feature, by_model in zip(bins, dictionary["precomputedMetrics"], strict=True):
        m = len(feature["binLabels"])
        assert len(set(feature["binLabels"])) == m
        assert len(feature["binVector"]) == n
        assert set(feature["binVector"]) == set(range(m))
        assert len(by_model) == len(models)
        for entries in by_model:
            assert set(entries) == known | set(custom)
            for entry in entries.values():
                assert len(entry["bins"]) == m
                check_bounds(entry, m)
    assert json.loads(json.dumps(dictionary, allow_nan=False)) == dictionary


def check_bounds(entry, m):
    """Intervals are complete and hold the values."""
    if "bounds" not in entry:
        assert "binBounds" not in entry
        return
    assert len(entry["binBounds"]) == m
    values = [entry["global"], *entry["bins"]]
    for value, bounds in zip(values, [entry["bounds"], *entry["binBounds"]], strict=True):
        assert set(bounds) == {"lower", "upper"}
        if value is not None and bounds["lower"] is not None:
            assert bounds["lower"] - 1e-9 <= value <= bounds["upper"] + 1e-9


def test_schema(dictionary):
    custom = ["excessive_loss", "accuracy_drop", "loss"]
    check_schema(dictionary, 300, "binaryClassification", BINARY, custom)
    names = [feature["featureBinName"] for feature in dictionary["precomputedFeatureBins"]]
    assert names == ["odd", "sex", "odd & sex"]
    assert dictionary["modelNames"] == ["dense", "half", "tiny (predicts only a)"]
    assert dictionary["precomputedFeatureBins"][0]["binLabels"] == sorted(HOSTILE)
    assert f"{HOSTILE[1]} & 0" in dictionary["precomputedFeatureBins"][2]["binLabels"]


TRUTH = {
    "accuracy_score": sk.accuracy_score,
    "precision_score": lambda t, p: sk.precision_score(t, p, zero_division=np.nan),
    "recall_score": true_positive_rate,
    "f1_score": sk.f1_score,
    "zero_one_loss": sk.zero_one_loss,
    "specificity_score": lambda t, p: 1 - false_positive_rate(t, p),
    "miss_rate": lambda t, p: np.mean(p[t == 1] == 0),
    "fallout_rate": false_positive_rate,
    "selection_rate": lambda t, p: np.mean(p),
    "balanced_accuracy_score": sk.balanced_accuracy_score,
}


def test_known_metrics_agree_with_scikit_learn_row_by_row(dictionary, people):
    X, y, _ = people
    truth = (y == "b").astype(int)
    for f, feature in enumerate(dictionary["precomputedFeatureBins"]):
        codes = np.array(feature["binVector"])
        for k, model in enumerate(MODELS.values()):
            predicted = (X[:, model.column] > 0.5).astype(int)
            assert dictionary["predictedY"][k] == predicted.tolist()
            for key, metric in TRUTH.items():
                entry = dictionary["precomputedMetrics"][f][k][key]
                slow = [metric(truth[codes == a], predicted[codes == a]) for a in set(codes)]
                ours = np.array([entry["global"], *entry["bins"]], dtype=float)
                np.testing.assert_allclose(ours, [metric(truth, predicted), *slow])


def test_custom_metrics_agree_with_the_audit(dictionary, people):
    X, y, groups = people
    report = audit(MODELS, X, y, sensitive_features=groups, n_boot=10, min_group_size=1)
    crossed = dictionary["precomputedMetrics"][2]
    for k, name in enumerate(MODELS):
        table, total = report.by_group.loc[name], report.overall.loc[name]
        for key in ("loss", "excessive_loss", "accuracy_drop"):
            np.testing.assert_allclose(crossed[k][key]["bins"], table[key], atol=1e-12)
        assert crossed[k]["loss"]["global"] == pytest.approx(total["loss"])
        excess = total["loss"] - report.overall.loc["dense", "loss"]
        assert crossed[k]["excessive_loss"]["global"] == pytest.approx(excess, abs=1e-12)
        drop = report.overall.loc["dense", "accuracy"] - total["accuracy"]
        assert crossed[k]["accuracy_drop"]["global"] == pytest.approx(drop, abs=1e-12)


def test_a_measure_with_a_cost_is_a_metric(people, monkeypatch):
    X, y, groups = people

    def worst_loss(rows, k):
        """Largest loss of a row."""
        largest = [rows.losses[rows.groups == a, k].max() for a in range(rows.m)]
        return np.array(largest), np.zeros(rows.m), np.full(rows.m, 9.0)

    costs = {"cost": "Largest {loss} of a row; {dense!r} has it too.", "unit": "loss"}
    for name, measure in {
        "worst_loss": Measure(worst_loss, "worst loss", **costs),
        "worst_change": Measure(worst_loss, signed=True, **costs),
        "worst_gain": Measure(worst_loss, better=1, **costs),
        "no_cost": Measure(worst_loss),
        "of_models": Measure(worst_loss, about="rows", **costs),
    }.items():
        monkeypatch.setitem(MEASURES, name, measure)
    options = {"sensitive_features": groups[["sex"]], "n_boot": 20}
    found = to_fairness_dashboard(MODELS, X, y, **options).to_dict()
    ids = ["excessive_loss", "accuracy_drop", "worst_change", "loss", "worst_loss"]
    assert [metric["id"] for metric in found["customMetrics"]] == ids
    assert found["customMetrics"][-1]["name"] == "Worst loss"
    text = "Largest cross-entropy of a row; 'dense' has it too."
    assert found["customMetrics"][-1]["description"] == text
    losses = -np.log(np.where(y == "b", X[:, 1], 1 - X[:, 1]))
    entry = found["precomputedMetrics"][0][1]["worst_loss"]
    assert entry["global"] == pytest.approx(losses.max())
    largest = pd.Series(losses).groupby(groups["sex"]).max()
    np.testing.assert_allclose(entry["bins"], largest)
    assert entry["binBounds"] == [{"lower": 0, "upper": 9}] * 2


@pytest.mark.slow
def test_metrics_of_the_user_are_costs(people):
    X, y, groups = people

    def wrong_error(y_true, y_pred):
        return np.mean(y_true != y_pred)

    given = {"f1": "f1", "auc {x}": "roc_auc", "wrong_error": wrong_error}
    options = {"sensitive_features": groups["sex"], "n_boot": 60, "min_group_size": 1}
    data = to_fairness_dashboard(MODELS, X, y, metrics=given, positive_class="a", **options)
    found = data.to_dict()
    custom = ["excessive_loss", "accuracy_drop", "loss", "f1_drop", "auc {x}_drop"]
    check_schema(found, 300, "binaryClassification", BINARY, [*custom, "wrong_error"])
    assert found["customMetrics"][4] == {
        "id": "auc {x}_drop",
        "name": "Auc {x} drop",
        "description": "auc {x} drop: the metric under 'dense' minus that under the model, as "
        "given in metrics. Lower is better.",
    }
    assert "drop" not in found["customMetrics"][5]["description"]
    report = audit(MODELS, X, y, metrics=given, pos_label="a", **options)
    (by_model,), dense = found["precomputedMetrics"], report.by_group.loc["dense"]
    for k, name in enumerate(MODELS):
        table, total = report.by_group.loc[name], report.overall.loc[name]
        for key in ("f1", "auc {x}"):
            entry = by_model[k][f"{key}_drop"]
            np.testing.assert_allclose(entry["bins"], dense[key] - table[key], atol=1e-12)
            drop = report.overall.loc["dense", key] - total[key]
            assert entry["global"] == pytest.approx(drop, abs=1e-12)
        assert by_model[k]["wrong_error"]["bins"] == pytest.approx(
            table["wrong_error"].tolist()
        )
        bounds = by_model[k]["wrong_error"]["bounds"]
        assert bounds["lower"] < total["wrong_error"] < bounds["upper"]
    assert by_model[0]["f1_drop"]["bounds"] == {"lower": 0, "upper": 0}
    bounds = by_model[1]["f1_drop"]["bounds"]
    assert 0 < bounds["lower"] < by_model[1]["f1_drop"]["global"] < bounds["upper"] < 0.5


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (
            {"zero_one_loss": sk.zero_one_loss},
            "has a metric 'zero_one_loss' already.*'my_zero",
        ),
        ({"accuracy": sk.accuracy_score}, "the name 'accuracy' must be free"),
        ({"f1": "f3"}, "the name of a scorer"),
    ],
)
def test_metrics_that_are_none_or_there_already(people, metrics, message):
    X, y, groups = people
    with pytest.raises(ValueError, match=message):
        to_fairness_dashboard(MODELS, X, y, sensitive_features=groups["sex"], metrics=metrics)


def test_balanced_accuracy_has_the_limits_of_the_audit(dictionary, people):
    X, y, groups = people
    report = audit(
        MODELS, X, y, sensitive_features=groups[["sex"]], confidence=0.975, n_boot=10
    )
    row = report.by_group.loc["half"]
    bounds = dictionary["precomputedMetrics"][1][1]["balanced_accuracy_score"]["binBounds"]
    for end in ("lower", "upper"):
        limits = row[f"balanced_accuracy_{'low' if end == 'lower' else 'high'}"]
        assert [b[end] for b in bounds] == pytest.approx(limits.tolist())


def test_limits_of_losses_are_not_negative():
    X = np.full((12, 1), 0.999)
    X[0] = 0.2
    groups = ["a"] * 6 + ["b"] * 6
    found = to_fairness_dashboard(
        {"dense": table(0)},
        X,
        ["b"] * 11 + ["a"],
        sensitive_features=groups,
        n_boot=50,
        min_group_size=1,
    )
    bounds = found.to_dict()["precomputedMetrics"][0][0]["loss"]["binBounds"]
    assert min(b["lower"] for b in bounds) == 0


def test_limits_of_rates_are_exact_and_hold_for_all_groups_at_once(dictionary, people):
    X, y, groups = people
    entry = dictionary["precomputedMetrics"][1][1]["miss_rate"]
    missed = (X[:, 1] <= 0.5)[y == "b"]
    low, high = proportion_interval(missed.sum(), len(missed), 0.95)
    assert list(entry["bounds"].values()) == pytest.approx([low, high])
    for a, bounds in enumerate(entry["binBounds"]):
        rows = missed[(groups["sex"] == a).to_numpy()[y == "b"]]
        low, high = proportion_interval(rows.sum(), len(rows), 0.975)
        assert list(bounds.values()) == pytest.approx([low, high])


def test_what_cannot_be_measured_is_none():
    X = np.array([[0.9], [0.2], [0.9], [0.3]])
    y, groups = np.array(["b", "a", "b", "b"]), ["f", "f", "m", "m"]
    data = to_fairness_dashboard(
        {"dense": table(0)}, X, y, sensitive_features=groups, n_boot=10, min_group_size=1
    )
    entries = data.to_dict()["precomputedMetrics"][0][0]
    assert entries["fallout_rate"]["bins"] == [0.0, None]
    assert entries["fallout_rate"]["binBounds"][1] == {"lower": None, "upper": None}
    assert entries["specificity_score"]["bins"] == [1.0, None]
    assert entries["balanced_accuracy_score"]["bins"] == [1.0, None]
    assert entries["recall_score"]["bins"] == [1.0, 0.5]
    assert any(note.startswith("NaN: no finite value") for note in data.notes)
    assert json.loads(data.to_json()) == data.to_dict()


def test_sure_and_wrong_is_a_large_loss_and_no_warning():
    class Sure(Column):
        def predict_log_proba(self, X):
            return np.log(self.predict_proba(X))

    X, y = np.array([[0.9, 1.0], [0.2, 1.0]] * 4), np.array(["b", "a"] * 4)
    models = {"dense": Sure(0, ("a", "b")), "sure": Sure(1, ("a", "b"))}
    groups = ["f", "f", "m", "m"] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        data = to_fairness_dashboard(
            models, X, y, sensitive_features=groups, n_boot=10, min_group_size=1
        )
    entry = data.to_dict()["precomputedMetrics"][0][1]["excessive_loss"]
    half_wrong = -np.log(float(np.finfo(np.float32).tiny)) / 2  # the smallest normal float32
    dense = -np.log([0.9, 0.8]).mean()
    np.testing.assert_allclose(entry["bins"], half_wrong - dense)


def test_several_classes_are_one_against_the_rest():
    X, y = load_iris(return_X_y=True, as_frame=True)
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    groups = np.where(np.arange(150) % 2, "f", "m")
    clf = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    path = clf.pruning_path(X, names, sparsities=[0, 0.5])
    data = to_fairness_dashboard(
        path, X, names, sensitive_features=groups, positive_class="versicolor", n_boot=20
    )
    dictionary = data.to_dict()
    custom = ["excessive_loss", "accuracy_drop", "loss", "error_all_classes"]
    check_schema(dictionary, 150, "binaryClassification", BINARY, custom)
    assert dictionary["trueY"] == (names == "versicolor").astype(int).tolist()
    for model, entries in zip(
        path.estimators, dictionary["precomputedMetrics"][0], strict=True
    ):
        predicted = model.predict(X)
        error = sk.zero_one_loss(names, predicted)
        assert entries["error_all_classes"]["global"] == pytest.approx(error)
        coded = sk.accuracy_score(names == "versicolor", predicted == "versicolor")
        assert entries["accuracy_score"]["global"] == pytest.approx(coded)
        loss = sk.log_loss(names, model.predict_proba(X).astype(float))
        assert entries["loss"]["global"] == pytest.approx(loss, rel=1e-5)
    assert "every other class" in data.notes[0]


def test_regression():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4)).astype("float32")
    y = (X[:, 0] + 0.1 * rng.normal(size=200)).astype("float32")
    reg = PrunedRegressor(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    path = reg.pruning_path(X, y, sparsities=[0, 0.5])
    groups = np.where(X[:, 1] > 0, "f", "m")
    data = to_fairness_dashboard(path, X, y, sensitive_features=groups, n_boot=20)
    dictionary = data.to_dict()
    check_schema(dictionary, 200, "regression", REGRESSION, ["excessive_loss", "loss"])
    assert dictionary["modelNames"] == ["sparsity 0", "sparsity 0.5"]
    for model, entries in zip(
        path.estimators, dictionary["precomputedMetrics"][0], strict=True
    ):
        p = model.predict(X).astype(float)
        truth = {
            "mean_squared_error": sk.mean_squared_error,
            "mean_absolute_error": sk.mean_absolute_error,
            "root_mean_squared_error": sk.root_mean_squared_error,
            "r2_score": sk.r2_score,
            "average": lambda t, p: p.mean(),
            "loss": sk.mean_squared_error,
        }
        for key, metric in truth.items():
            slow = [metric(y[groups == a], p[groups == a]) for a in "fm"]
            np.testing.assert_allclose(entries[key]["bins"], slow, rtol=1e-4)
            assert entries[key]["global"] == pytest.approx(metric(y, p), rel=1e-4)


def test_r2_of_equal_targets_is_none():
    X = np.array([[1.0], [2.0], [3.0], [5.0]])
    y = np.array([1.0, 1.0, 3.0, 4.0])
    data = to_fairness_dashboard(
        {"dense": Value(0)}, X, y, sensitive_features=list("ffmm"), min_group_size=1
    )
    bins = data.to_dict()["precomputedMetrics"][0][0]["r2_score"]["bins"]
    assert bins[0] is None
    assert bins[1] == pytest.approx(sk.r2_score([3, 4], [3, 5]))


def test_a_constant_regressor_says_so():
    X, y = np.array([[1.0, 2.0], [2.0, 2.0], [3.0, 2.0], [5.0, 2.0]]), np.arange(4.0)
    models = {"dense": Value(0), "flat": Value(1)}
    data = to_fairness_dashboard(
        models, X, y, sensitive_features=list("ffmm"), n_boot=10, min_group_size=1
    )
    assert data.model_names == ["dense", "flat (predicts one value only)"]
    assert len(data.notes) == 1
    assert "broken" in data.notes[0]


def test_another_library_is_the_dense_one(people):
    X, y, groups = people
    linear = LogisticRegression().fit(X, y)
    ours = PrunedClassifier(
        hidden_layer_sizes=(8,), finetune_epochs=2, sparsity=0.5, random_state=0
    )
    models = {"linear": linear, "ours": ours.fit(X, y)}
    data = to_fairness_dashboard(
        models, X, y, sensitive_features=groups["sex"], positive_class="a", n_boot=20
    )
    dictionary = data.to_dict()
    assert dictionary["trueY"] == (y == "a").astype(int).tolist()
    first, second = dictionary["precomputedMetrics"][0]
    assert first["excessive_loss"]["bins"] == [0.0, 0.0]
    assert first["excessive_loss"]["bounds"] == {"lower": 0.0, "upper": 0.0}
    drop = linear.score(X, y) - ours.score(X, y)
    assert second["accuracy_drop"]["global"] == pytest.approx(drop)
    assert all("'linear'" in c["description"] for c in dictionary["customMetrics"][:2])
