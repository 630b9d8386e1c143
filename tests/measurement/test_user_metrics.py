"""Metrics of the user: values, intervals, what is unknown, what is refused."""

from functools import partial

import fairlearn.metrics
import numpy as np
import pytest
from report_cases import MODELS, PEOPLE, RIGHT, Column, N, Value, X, Y, make_report
from scipy import stats
from sklearn import metrics as sk

from sklearn_fairprune import AuditReport, audit
from sklearn_fairprune.measurement import MEASURES
from sklearn_fairprune.measurement.answers import answers_of
from sklearn_fairprune.measurement.metric_functions import check_metrics
from sklearn_fairprune.measurement.user_metrics import MOST_SAMPLES, measures_of

SEX = PEOPLE["sex"]
OPTIONS = {"sensitive_features": SEX, "n_boot": 50}


def accuracy_by_hand(y_true, y_pred):
    return float(np.mean(y_true == y_pred))


def chance_of_truth(y_true, y_score):
    """Mean probability of the class that is true."""
    return np.mean(np.where(y_true == "yes", y_score, 1 - y_score))


CASES = {
    "f1": (sk.f1_score, lambda y, p, s: sk.f1_score(y, p, pos_label="yes")),
    "macro": (
        partial(sk.f1_score, average="macro"),
        lambda y, p, s: sk.f1_score(y, p, average="macro"),
    ),
    "of_no": (
        partial(sk.f1_score, pos_label="no"),
        lambda y, p, s: sk.f1_score(y, p, pos_label="no"),
    ),
    "auc": (sk.roc_auc_score, lambda y, p, s: sk.roc_auc_score(y == "yes", s)),
    "named_auc": ("roc_auc", lambda y, p, s: sk.roc_auc_score(y == "yes", s)),
    "ap": (
        sk.average_precision_score,
        lambda y, p, s: sk.average_precision_score(y == "yes", s),
    ),
    "named_ap": (
        "average_precision",
        lambda y, p, s: sk.average_precision_score(y == "yes", s),
    ),
    "named_f1": ("f1", lambda y, p, s: sk.f1_score(y, p, pos_label="yes")),
    "brier": (sk.brier_score_loss, lambda y, p, s: sk.brier_score_loss(y == "yes", s)),
    "log": (sk.log_loss, lambda y, p, s: sk.log_loss(y == "yes", s)),
    "neg_log": ("neg_log_loss", lambda y, p, s: -sk.log_loss(y == "yes", s)),
    "scorer": (
        sk.make_scorer(sk.hamming_loss, greater_is_better=False),
        lambda y, p, s: -sk.hamming_loss(y, p),
    ),
    "chosen": (fairlearn.metrics.selection_rate, lambda y, p, s: np.mean(p == "yes")),
    "hand": (accuracy_by_hand, lambda y, p, s: sk.accuracy_score(y, p)),
    "chance": (chance_of_truth, lambda y, p, s: np.mean(np.where(y == "yes", s, 1 - s))),
}


@pytest.fixture(scope="module")
def report():
    return make_report(**OPTIONS, metrics={name: given for name, (given, _) in CASES.items()})


@pytest.mark.parametrize("name", CASES)
def test_values_are_those_of_the_function_itself(report, name):
    _, truth = CASES[name]
    for model, clf in MODELS.items():
        predicted, score = clf.predict(X), clf.predict_proba(X)[:, 1]
        expected = []
        for sex in ("f", "m"):
            own = SEX.eq(sex).to_numpy()
            expected.append(truth(Y[own], predicted[own], score[own]))
            found = report.by_group.loc[(model, sex), name]
            assert found == pytest.approx(expected[-1])
        row = report.overall.loc[model]
        assert row[name] == pytest.approx(truth(Y, predicted, score))
        assert row[f"{name}_difference"] == pytest.approx(abs(expected[0] - expected[1]))


def test_the_shelf_and_the_other_numbers_stay_as_they_were(report):
    assert not set(CASES) & set(MEASURES)
    plain = make_report(**OPTIONS)
    assert not set(CASES) & set(plain.measures)
    columns = list(plain.overall)
    assert plain.overall.equals(report.overall[columns])
    assert plain.by_group.equals(report.by_group[list(plain.by_group)])


def test_models_are_asked_once():
    class Counted(Column):
        asked = 0

        def predict_proba(self, X):
            type(self).asked += 1
            return super().predict_proba(X)

    counts = []
    for n_boot in (2, 100):
        Counted.asked = 0
        options = OPTIONS | {
            "n_boot": n_boot,
            "metrics": {"auc": "roc_auc", "log": sk.log_loss},
        }
        make_report({"a": Counted(1)}, **options)
        counts.append(Counted.asked)
    assert counts[0] == counts[1]


def test_decisions_are_asked_for_where_a_scorer_wants_them():
    class Decides(Column):
        def decision_function(self, X):
            return -np.asarray(X)[:, self.column]

    scorer = sk.make_scorer(sk.roc_auc_score, response_method="decision_function")
    models = {"decides": Decides(1)}
    report = make_report(models, **OPTIONS, metrics={"auc": scorer})
    truth = sk.roc_auc_score(Y, -X[:, 1])
    assert report.overall.loc["decides", "auc"] == pytest.approx(truth)
    report = make_report({"dense": Column(0)}, **OPTIONS, metrics={"auc": scorer})
    assert report.overall["auc"].isna().all()
    assert any("decision_function" in note for note in report.notes)


def test_the_first_class_as_the_positive_one():
    given = {name: CASES[name][0] for name in ("f1", "auc", "ap", "named_ap", "named_f1")}
    mean = {"mean": lambda y_true, y_score: np.mean(y_score - y_true)}
    report = make_report(**OPTIONS, pos_label="no", metrics=given | mean)
    predicted, no = MODELS["harmed"].predict(X), 1 - X[:, 1]
    row = report.overall.loc["harmed"]
    for name in ("f1", "named_f1"):
        assert row[name] == pytest.approx(sk.f1_score(Y, predicted, pos_label="no"))
    assert row["auc"] == pytest.approx(sk.roc_auc_score(Y == "no", no))
    for name in ("ap", "named_ap"):
        assert row[name] == pytest.approx(sk.average_precision_score(Y == "no", no))
    assert row["mean"] == pytest.approx(np.mean(no - (Y == "no")))


def test_several_classes_give_one_column_of_probabilities_each():
    y = np.random.default_rng(0).integers(3, size=N)

    class Three(Column):
        def predict_proba(self, X):
            p = np.asarray(X)[:, :3] + 0.1
            return p / p.sum(axis=1, keepdims=True)

        def predict(self, X):
            return self.predict_proba(X).argmax(axis=1)

    clf = Three(0, (0, 1, 2))
    given = {
        "ovr": partial(sk.roc_auc_score, multi_class="ovr"),
        "named": "roc_auc_ovr",
        "shape": lambda y_true, y_score: y_score.shape[1],
    }
    report = audit({"three": clf}, X, y, sensitive_features=SEX, n_boot=20, metrics=given)
    truth = sk.roc_auc_score(y, clf.predict_proba(X), multi_class="ovr")
    row = report.overall.loc["three"]
    assert row["ovr"] == pytest.approx(truth)
    assert row["named"] == pytest.approx(truth)
    assert row["shape"] == 3


def test_regressors_have_metrics():
    given = {
        "mae": sk.mean_absolute_error,
        "r2": "r2",
        "scored": lambda y_true, y_score: np.max(y_score),
    }
    models = {"dense": Value(0), "pruned": Value(1)}
    report = audit(models, X, RIGHT, sensitive_features=SEX, n_boot=50, metrics=given)
    row = report.overall.loc["pruned"]
    assert row["mae"] == pytest.approx(sk.mean_absolute_error(RIGHT, X[:, 1]))
    assert row["r2"] == pytest.approx(sk.r2_score(RIGHT, X[:, 1]))
    assert row["scored"] == X[:, 1].max()
    assert "Metrics by sex" in str(report)


# ---- intervals ------------------------------------------------------------------------


def test_models_are_resampled_together_and_at_most_so_often():
    seen = []

    def record(y_true, y_pred):
        seen.append(len(y_true))
        return np.mean(y_true == y_pred)

    models = {"one": Column(1), "other": Column(1)}
    report = make_report(models, **OPTIONS | {"n_boot": 1000}, metrics={"m": record})
    first, second = (
        report.by_group.loc[model, ["m", "m_low", "m_high"]].to_numpy() for model in models
    )
    np.testing.assert_array_equal(first, second)
    assert len(seen) == 2 * 3 * (1 + MOST_SAMPLES)  # models; two groups and all rows
    again = make_report(models, **OPTIONS | {"n_boot": 1000}, metrics={"m": record})
    np.testing.assert_array_equal(again.by_group["m_low"], report.by_group["m_low"])


def test_where_all_samples_agree_limits_are_unknown():
    given = {"constant": lambda y_true, y_pred: 0.5}
    report = make_report(**OPTIONS, metrics=given)
    assert (report.by_group["constant"] == 0.5).all()
    assert (report.overall["constant_difference"] == 0).all()
    for table, name in (
        (report.by_group, "constant"),
        (report.overall, "constant"),
        (report.overall, "constant_difference"),
    ):
        assert table[[f"{name}_low", f"{name}_high"]].isna().all(axis=None)


@pytest.mark.slow
def test_intervals_cover_the_value_of_the_population():
    """Drawn from rows whose distribution is known, as the held-out rows are."""
    rng, repeats, missed = np.random.default_rng(3), 200, np.zeros(2)
    chance = np.array([0.9, 0.7])
    for repeat in range(repeats):
        groups, y = rng.permutation(np.arange(N) % 2), rng.integers(2, size=N)
        right = rng.random(N) < chance[groups]
        rows = np.where(right == (y == 1), 0.8, 0.2)[:, None]
        report = audit(
            {"one": Column(0, (0, 1))},
            rows,
            y,
            sensitive_features=groups,
            confidence=0.9,
            n_boot=100,
            random_state=repeat,
            metrics={"hand": accuracy_by_hand},
        )
        low, high = (report.by_group[f"hand_{end}"].to_numpy()[1] for end in ("low", "high"))
        missed[0] += not low <= chance[1] <= high
        row = report.overall.loc["one"]
        missed[1] += not row["hand_difference_low"] <= 0.2 <= row["hand_difference_high"]
    assert (missed <= stats.binom.ppf(0.999, repeats, 0.1)).all()
    assert missed.min() > 0  # and they are no wider than they must be


# ---- what is unknown ------------------------------------------------------------------


def only_for_men(y_true, y_pred):
    if len(y_true) == SEX.eq("f").sum():
        raise RuntimeError("no women\nhere")
    return np.mean(y_true == y_pred)


def test_a_metric_that_raises_is_unknown_and_told():
    groups = np.where(SEX.eq("f"), "f", PEOPLE["age"].astype(str))
    report = make_report(
        **OPTIONS | {"sensitive_features": groups}, metrics={"m": only_for_men}
    )
    assert report.by_group["m"].isna().groupby(level=1).all().to_dict() == {
        "30": False,
        "60": False,
        "f": True,
    }
    assert "m is unknown for f in every model: RuntimeError: no women." in report.notes
    two = report.by_group.loc["dense", "m"].dropna()
    assert report.overall.loc["dense", "m_difference"] == pytest.approx(np.ptp(two))
    report = make_report(**OPTIONS, metrics={"m": only_for_men})
    assert report.overall["m_difference"].isna().all()


def test_one_class_in_a_group_leaves_the_area_unknown():
    groups = np.where((Y == "no") & SEX.eq("f"), "a", "b")
    report = make_report(
        **OPTIONS | {"sensitive_features": groups}, metrics={"auc": "roc_auc"}
    )
    assert report.by_group["auc"].isna().groupby(level=1).all().tolist() == [True, False]
    (note,) = [note for note in report.notes if note.startswith("auc")]
    assert note.startswith("auc is unknown for a in every model: ")
    assert "class" in note


def test_what_is_no_finite_number_is_unknown():
    given = {
        "inf": lambda y_true, y_pred: np.inf,
        "nothing": lambda y_true, y_pred: None,
        "undefined": sk.precision_score,
    }
    models = {"dense": Column(0, ("no", "yes"))}
    rows = np.column_stack([np.full(N, 0.1)] * 3)
    report = audit(models, rows, Y, **OPTIONS, metrics=given)
    assert report.overall[["inf", "nothing"]].isna().all(axis=None)
    text = str(report)
    assert "inf is unknown for f, m, all rows in every model: it is inf." in text
    assert "nothing is unknown for f, m, all rows in every model: it is None." in text
    assert "undefined is in doubt for f, m, all rows in every model: Precision is ill" in text


def test_one_number_is_asked_for():
    for wrong in (sk.confusion_matrix, lambda y_true, y_pred: "good"):
        with pytest.raises(ValueError, match=r"metrics\['m'\] must return one number, got"):
            make_report(**OPTIONS, metrics={"m": wrong})


# ---- what is refused ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "text"),
    [
        ([sk.f1_score], r"metrics must be a dict of names to functions .*, got \["),
        ({1: sk.f1_score}, r"metrics must have names that are text, got 1\. Call it"),
        ({"": sk.f1_score}, r"metrics must have names that are text, got ''"),
        ({"accuracy": sk.f1_score}, r"the name 'accuracy' must be free, .* 'my_accuracy'"),
        ({"accuracy_low": sk.f1_score}, r"the name 'accuracy_low' must be free"),
        ({"rows": sk.f1_score}, r"the name 'rows' must be free"),
        ({"a": len, "a_difference": len}, r"the name 'a_difference' must be free"),
        ({"a": 3}, r"metrics\['a'\] must be a function of .* got 3\. Give for example"),
        ({"a": dict}, r"metrics\['a'\] must be a function of .* got <class 'dict'>"),
        ({"a": "f2"}, r"metrics\['a'\] must be .* the name of a scorer .* got 'f2'"),
        ({"a": lambda y: 0}, r"metrics\['a'\] must be .* got one with the parameters \['y'\]"),
        ({"a": sk.fbeta_score}, r"Bind the others with functools\.partial"),
        ({"a": lambda estimator, X: 0}, r"got a function of an estimator\. .*make_scorer"),
    ],
)
def test_what_is_no_metric_is_refused_before_anything_is_predicted(metrics, text):
    class Never(Column):
        def predict(self, X):
            raise AssertionError("asked")

    with pytest.raises(ValueError, match=text):
        make_report({"dense": Never(0)}, **OPTIONS, metrics=metrics)


def better(name, function):
    return check_metrics({name: function})[name].better


def test_which_way_is_better():
    assert better("a", sk.f1_score) == 1
    assert better("a", sk.mean_absolute_error) == -1
    assert better("a", partial(sk.mean_pinball_loss, alpha=0.1)) == -1
    assert better("a", fairlearn.metrics.selection_rate) == 1
    assert better("my_loss", lambda a, b: 0) == -1
    assert better("neg_loss", lambda a, b: 0) == 1
    assert better("a", "neg_mean_absolute_error") == 1
    less = partial(accuracy_by_hand)
    less.greater_is_better = False
    assert better("accuracy_2", less) == -1
    more = partial(sk.hamming_loss)
    more.greater_is_better = True
    assert better("a", more) == 1


# ---- a report that is read again ------------------------------------------------------


def test_a_report_that_is_read_again_shows_its_metrics(report):
    again = AuditReport.from_json(report.to_json())
    for form in (str, AuditReport.to_markdown, AuditReport.to_json, AuditReport._repr_html_):
        assert form(again) == form(report)
    assert again.measures["log"].better == -1
    with pytest.raises(TypeError, match="was measured when the report was made"):
        again.measures["f1"](None, 0)
    broken = report.to_json().replace('"about": "both"', '"about": "people"')
    with pytest.raises(ValueError, match="no audit report written by to_json"):
        AuditReport.from_json(broken)
    assert measures_of({}) == {}


def test_answers_are_those_of_the_model():
    (answers,) = answers_of(
        [MODELS["harmed"]], X, Y, [MODELS["harmed"].predict(X)], True, "yes"
    )
    some = np.array([3, 3, 5])
    np.testing.assert_array_equal(answers.predict(some), MODELS["harmed"].predict(X)[some])
    np.testing.assert_allclose(
        answers.predict_proba(some), MODELS["harmed"].predict_proba(X)[some]
    )
    assert not hasattr(answers, "decision_function")
    assert answers.fit(None, None) is answers

    class Logs(Column):
        predict_proba = property()

        def predict_log_proba(self, X):
            return np.log(Column.predict_proba(self, X))

    (answers,) = answers_of([Logs(0)], X, Y, [Y], True, "yes")
    np.testing.assert_allclose(answers.predict_proba(some)[:, 1], X[some, 0])
