"""What the caller gives and gets: arguments of the live dashboard, names, JSON, errors."""

import json

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_fairprune.measurement.groups import distinct_labels
from sklearn_fairprune.report.dashboards import to_fairness_dashboard
from sklearn_fairprune.report.dashboards.bins import feature_bins


@pytest.fixture(scope="module")
def people():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 3))
    y = np.where(X[:, 0] + rng.normal(size=120) > 0, "yes", "no")
    models = {"dense": LogisticRegression().fit(X, y), "weak": LogisticRegression(C=1e-3)}
    models["weak"].fit(X, y)
    race = np.tile(["black", "white", "white"], 40)
    return models, X, y, race, np.tile([True, False], 60)


def dashboard(people, groups, **options):
    models, X, y, _, _ = people
    options = {"n_boot": 10, "min_group_size": 1} | options
    return to_fairness_dashboard(models, X, y, sensitive_features=groups, **options)


def test_arguments_fit_the_widget(people):
    models, X, y, race, old = people
    data = dashboard(people, pd.DataFrame({"race": race, "old": old}))
    arguments = data.arguments()
    assert list(arguments) == ["sensitive_features", "y_true", "y_pred"]
    frame = arguments["sensitive_features"]
    assert frame.columns.tolist() == ["race", "old", "race & old"]
    assert frame["race"].tolist() == race.tolist()
    assert frame["old"].tolist() == [str(value) for value in old]
    assert (
        frame["race & old"].tolist()
        == np.char.add(race, np.where(old, " & True", " & False")).tolist()
    )
    assert arguments["y_true"].tolist() == (y == "yes").astype(int).tolist()
    assert list(arguments["y_pred"]) == ["dense", "weak"]
    expected = (models["weak"].predict(X) == "yes").astype(int)
    assert arguments["y_pred"]["weak"].tolist() == expected.tolist()


@pytest.mark.parametrize("container", [list, np.asarray, pd.Series, pl.Series])
def test_one_column_in_any_container(people, container):
    race = people[3]
    groups = container(race.tolist())
    bins = dashboard(people, groups).to_dict()["precomputedFeatureBins"]
    assert len(bins) == 1
    assert bins[0]["binLabels"] == ["black", "white"]
    assert bins[0]["binVector"] == (race == "white").astype(int).tolist()


def test_polars_frame_equals_pandas_frame(people):
    columns = {"race": people[3], "old": people[4]}
    first = dashboard(people, pd.DataFrame(columns))
    assert dashboard(people, pl.DataFrame(columns)).to_dict() == first.to_dict()


def test_json_round_trip(people, tmp_path):
    data = dashboard(people, people[3])
    text = data.to_json(tmp_path / "data.json")
    assert json.loads(text) == data.to_dict()
    assert json.loads((tmp_path / "data.json").read_text("utf-8")) == data.to_dict()
    data.to_dict()["trueY"].clear()
    assert len(data.to_dict()["trueY"]) == 120


def test_repr_and_notes(people):
    data = dashboard(people, {"race": people[3]})
    assert repr(data) == "<FairnessDashboardData of 2 models by 'race'>"
    assert data.notes[0] == "Label 1 is yes, label 0 is no."
    assert data.model_names == ["dense", "weak"]
    with pytest.warns(UserWarning, match=r"min_group_size=50 rows: black \(40\)"):
        data = dashboard(people, {"race": people[3]}, min_group_size=50)
    assert data.notes[-1].endswith("(40). Read their numbers with their intervals.")
    assert "black (40)" in data.notes[-1]


def test_groups_of_the_same_text_stay_apart():
    values = ["1", 1, 1.5]
    (feature,) = feature_bins(values, 3)
    assert len(set(feature.labels)) == 3
    assert distinct_labels([("a & b", "c"), ("a", "b & c")]) == [
        "'a & b' & 'c'",
        "'a' & 'b & c'",
    ]
    features = feature_bins({"a": [1, 2], "b": [1, 1], "a & b": [3, 3]}, 2)
    assert [f.name for f in features] == ["a", "b", "a & b", "a & b & a & b"]


def test_a_model_that_never_predicts_the_positive_class_says_so():
    X = np.array([[0.0], [1.0], [2.0]] * 20)
    y = np.tile(["a", "b", "c"], 20)
    model = LogisticRegression(C=1e3).fit(X[y != "c"], y[y != "c"])
    model.classes_ = np.array(["a", "b", "c"])  # a third class that never wins
    model.coef_ = np.array([[-5.0], [0.0], [-9.0]])
    model.intercept_ = np.array([3.0, 0.0, -9.0])
    data = to_fairness_dashboard(
        {"dense": model},
        X,
        y,
        sensitive_features=["f", "m"] * 30,
        positive_class="c",
        min_group_size=1,
        n_boot=10,
    )
    assert data.model_names == ["dense (never predicts c)"]
    assert any("dense never predicts c: its equal rates" in n for n in data.notes)


def test_positive_class_errors(people):
    with pytest.raises(
        ValueError, match=r"positive_class must be one of the classes \['no', "
    ):
        dashboard(people, people[3], positive_class="maybe")
    models, X, _, race, _ = people
    y = np.tile(["a", "b", "c"], 40)
    three = {"dense": LogisticRegression().fit(X, y)}
    with pytest.raises(
        ValueError,
        match=r"positive_class must be given .* got None with 3: .*positive_class='c'",
    ):
        to_fairness_dashboard(three, X, y, sensitive_features=race)
    line = {"dense": LinearRegression().fit(X, X[:, 0])}
    with pytest.raises(ValueError, match=r"positive_class='a' is for classifiers.*Leave it"):
        to_fairness_dashboard(line, X, X[:, 0], sensitive_features=race, positive_class="a")
    with pytest.raises(ValueError, match=r"all classifiers or all regressors; \['line'\]"):
        to_fairness_dashboard(
            models | {"line": line["dense"]}, X, people[2], sensitive_features=race
        )


def test_other_errors(people):
    models, X, y, race, _ = people
    with pytest.raises(ValueError, match="models is empty"):
        to_fairness_dashboard({}, X, y, sensitive_features=race)
    with pytest.raises(ValueError, match="sensitive_features must have one entry per row"):
        to_fairness_dashboard(models, X, y, sensitive_features=race[:5])
    missing = np.where(race == "black", None, race)
    with pytest.raises(ValueError, match="sensitive_features must not be missing"):
        to_fairness_dashboard(models, X, y, sensitive_features=missing)
    with pytest.raises(ValueError, match="sensitive_features must hold one value per row"):
        to_fairness_dashboard(models, X, y, sensitive_features=None)
    line = LinearRegression().fit(X, X[:, :2])
    with pytest.raises(ValueError, match=r"y must have one target .* got shape \(120, 2\)"):
        to_fairness_dashboard({"d": line}, X, X[:, :2], sensitive_features=race)
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        to_fairness_dashboard(models, X, y[:5], sensitive_features=race)
