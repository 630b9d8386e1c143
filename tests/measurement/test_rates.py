"""Rates of the positive class, their differences, and the balanced accuracy of groups."""

import warnings

import numpy as np
import pytest
from fairlearn import metrics as fairlearn_metrics
from report_cases import MODELS, PEOPLE, RIGHT, Column, N, Value, X, Y, make_report
from scipy import stats
from sklearn.metrics import balanced_accuracy_score, precision_score, recall_score

from sklearn_fairprune import audit
from sklearn_fairprune.measurement import MEASURES
from sklearn_fairprune.measurement.held_out import HeldOut
from sklearn_fairprune.measurement.rates import difference, found, mistaken, selected
from sklearn_fairprune.statistics.intervals import spread_interval

RATES = {
    "selection_rate": fairlearn_metrics.selection_rate,
    "true_positive_rate": fairlearn_metrics.true_positive_rate,
    "false_positive_rate": fairlearn_metrics.false_positive_rate,
    "precision": precision_score,
}
DIFFERENCES = {
    name: getattr(fairlearn_metrics, name)
    for name in (
        "demographic_parity_difference",
        "equal_opportunity_difference",
        "equalized_odds_difference",
    )
}


def held(y, predicted, groups, *, confidence=0.95, least=0, positive=1):
    """Rows of one model whose predictions are known."""
    y, predicted, groups = map(np.asarray, (y, predicted, groups))
    correct = (y == predicted).astype(float)[:, None]
    return HeldOut(
        1 - correct,
        correct,
        y,
        groups,
        int(groups.max()) + 1,
        confidence,
        20,
        np.random.default_rng(0),
        predicted=predicted[:, None],
        least_rows=least,
        positive=positive,
    )


def table(seed, n=400, m=3):
    """Targets, predictions and groups whose rates differ."""
    rng = np.random.default_rng(seed)
    groups = np.concatenate([np.arange(m), rng.integers(m, size=n - m)])
    y = (rng.random(n) < 0.2 + 0.2 * groups).astype(int)
    wrong = rng.random(n) < 0.1 + 0.1 * groups * rng.random()
    return y, np.where(wrong, 1 - y, y), groups


@pytest.mark.parametrize("seed", range(5))
def test_rates_and_differences_are_those_of_fairlearn_and_sklearn(seed):
    y, predicted, groups = table(seed)
    rows = held(y, predicted, groups)
    for name, truth in RATES.items():
        found = MEASURES[name](rows, 0)[0]
        expected = [truth(y[groups == a], predicted[groups == a]) for a in range(3)]
        np.testing.assert_allclose(found, expected, atol=1e-12)
        (whole,) = MEASURES[name](rows.together, 0)[0]
        assert whole == pytest.approx(truth(y, predicted))
    for name, truth in DIFFERENCES.items():
        value, low, high = MEASURES[name](rows, 0)
        assert value == pytest.approx(truth(y, predicted, sensitive_features=groups))
        assert 0 <= low <= value <= high <= 1


@pytest.mark.parametrize("classes", [2, 3])
def test_balanced_accuracy_of_groups_is_sklearns(classes):
    rng = np.random.default_rng(classes)
    y, groups = rng.integers(classes, size=300), rng.integers(3, size=300)
    y[groups == 2] = 1  # a group that lacks all other classes
    predicted = np.where(rng.random(300) < 0.7, y, rng.integers(classes, size=300))
    rows = held(y, predicted, groups)
    value, low, high = MEASURES["balanced_accuracy"](rows, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # classes predicted that do not occur
        truth = [
            balanced_accuracy_score(y[groups == a], predicted[groups == a]) for a in range(3)
        ]
    np.testing.assert_allclose(value, truth, atol=1e-12)
    assert (low < value).all()
    assert (value < high).all()
    one = stats.binomtest(int((predicted == 1)[groups == 2].sum()), int((groups == 2).sum()))
    exact = one.proportion_ci(0.95, method="exact")
    assert (low[2], high[2]) == pytest.approx(tuple(exact))


def test_limits_of_a_rate_are_exact_ones_of_its_own_rows():
    y, predicted, groups = table(7)
    rows = held(y, predicted, groups, confidence=0.9)
    for name, among, hits in (
        ("selection_rate", np.ones(len(y), dtype=bool), predicted == 1),
        ("true_positive_rate", y == 1, predicted == 1),
        ("false_positive_rate", y == 0, predicted == 1),
        ("precision", predicted == 1, y == 1),
    ):
        _, low, high = MEASURES[name](rows, 0)
        for a in range(3):
            of = among & (groups == a)
            exact = stats.binomtest(int((hits & of).sum()), int(of.sum()))
            exact = exact.proportion_ci(0.9, method="exact")
            assert (low[a], high[a]) == pytest.approx(tuple(exact))


def test_a_group_without_such_rows_has_no_rate_and_is_left_out():
    y = np.array([0, 0, 1, 1, 0, 1, 0, 1] * 20)
    groups = np.repeat(np.arange(4), 40)
    y[groups == 3] = 0
    predicted = np.where(np.arange(160) % 5 == 0, 1 - y, y)
    predicted[groups == 2] = 0
    rows = held(y, predicted, groups)
    rate = MEASURES["true_positive_rate"](rows, 0)
    assert [np.isnan(part).tolist() for part in rate] == 3 * [[False] * 3 + [True]]
    precision = MEASURES["precision"](rows, 0)
    assert [np.isnan(part).tolist() for part in precision] == 3 * [[False] * 2 + [True, False]]
    value, _, _ = MEASURES["equal_opportunity_difference"](rows, 0)
    some = groups < 3
    assert value == pytest.approx(
        fairlearn_metrics.equal_opportunity_difference(
            y[some], predicted[some], sensitive_features=groups[some]
        )
    )
    only_one = held(np.where(groups == 0, y, 0), predicted, groups)
    assert np.isnan(MEASURES["equal_opportunity_difference"](only_one, 0)).all()
    assert np.isnan(MEASURES["equalized_odds_difference"](only_one, 0)).all()
    assert MEASURES["demographic_parity_difference"](only_one, 0)[0] > 0


def test_limits_of_the_odds_are_of_two_differences_that_hold_at_once():
    y, predicted, groups = table(9)
    rows, limits = held(y, predicted, groups), []
    for label in (0, 1):
        of = [int(((y == label) & (groups == a)).sum()) for a in range(3)]
        hits = [int(predicted[(y == label) & (groups == a)].sum()) for a in range(3)]
        limits.append(spread_interval(np.array(hits), np.array(of), 0.975))
    found = MEASURES["equalized_odds_difference"](rows, 0)[1:]
    assert found == pytest.approx(np.max(limits, axis=0))
    for name, among in (
        ("demographic_parity_difference", np.ones(len(y), dtype=bool)),
        ("equal_opportunity_difference", y == 1),
    ):
        of = np.array([(among & (groups == a)).sum() for a in range(3)])
        hits = np.array([predicted[among & (groups == a)].sum() for a in range(3)])
        assert MEASURES[name](rows, 0)[1:] == pytest.approx(spread_interval(hits, of, 0.95))


def test_small_groups_are_not_compared_and_one_group_has_no_difference():
    y, predicted, groups = table(3)
    groups = np.where(np.arange(len(y)) < 10, 3, groups)
    predicted[:10] = 1 - predicted[:10]
    rows, enough = held(y, predicted, groups, least=50), groups < 3
    for name, truth in DIFFERENCES.items():
        expected = truth(y[enough], predicted[enough], sensitive_features=groups[enough])
        assert MEASURES[name](rows, 0)[0] == pytest.approx(expected)
        assert MEASURES[name](rows.together, 0) == (0.0, 0.0, 0.0)


def test_intervals_of_differences_cover():
    """Rates of three groups are known; the interval misses their largest difference rarely."""
    rng, missed, repeats = np.random.default_rng(1), np.zeros(3), 300
    sizes, chances = np.array([60, 150, 300]), np.array([0.3, 0.5, 0.4])
    hit, alarm = np.array([0.9, 0.8, 0.7]), np.array([0.1, 0.3, 0.2])
    groups = np.repeat(np.arange(3), sizes)
    chosen = chances * hit + (1 - chances) * alarm
    truth = [np.ptp(chosen), np.ptp(hit), max(np.ptp(hit), np.ptp(alarm))]
    for _ in range(repeats):
        y = (rng.random(len(groups)) < chances[groups]).astype(int)
        rate = np.where(y == 1, hit[groups], alarm[groups])
        rows = held(y, (rng.random(len(groups)) < rate).astype(int), groups, confidence=0.9)
        for j, name in enumerate(DIFFERENCES):
            _, low, high = MEASURES[name](rows, 0)
            missed[j] += not low <= truth[j] <= high
    assert (missed <= stats.binom.ppf(0.999, repeats, 0.1)).all()
    for of in (selected, found, mistaken):  # and is not trivial
        assert difference(rows, of(rows, 0), 0.9)[2] < 0.6


def test_balanced_accuracy_of_groups_covers():
    rng, missed, repeats = np.random.default_rng(2), 0, 400
    recall = np.array([0.95, 0.6])
    for _ in range(repeats):
        y = (rng.random(80) < 0.25).astype(int)
        right = rng.random(80) < recall[y]
        rows = held(y, np.where(right, y, 1 - y), np.zeros(80, dtype=int), confidence=0.9)
        _, low, high = MEASURES["balanced_accuracy"](rows, 0)
        missed += not low[0] <= recall.mean() <= high[0]
    assert missed <= stats.binom.ppf(0.999, repeats, 0.1)


# ---- in an audit ----------------------------------------------------------------------


def test_the_positive_class_is_the_second_unless_named():
    first, second = make_report(pos_label="no"), make_report()
    assert (first.about["positive_class"], second.about["positive_class"]) == ("no", "yes")
    for report, positive in ((first, "no"), (second, "yes")):
        for model, clf in MODELS.items():
            for (sex, age), row in report.by_group.loc[model].iterrows():
                own = ((PEOPLE["sex"] == sex) & (PEOPLE["age"] == age)).to_numpy()
                recall = recall_score(Y[own], clf.predict(X)[own], pos_label=positive)
                assert row["true_positive_rate"] == pytest.approx(recall)
    np.testing.assert_allclose(
        first.overall["selection_rate"] + second.overall["selection_rate"], 1
    )


def test_pos_label_is_refused_by_name():
    with pytest.raises(ValueError, match=r"pos_label must be one of the classes .*'maybe'"):
        make_report(pos_label="maybe")
    with pytest.raises(ValueError, match=r"pos_label must be None for regressors, .* got 1"):
        audit({"a": Value(0)}, X, RIGHT, pos_label=1)


class Third(Column):
    """Predicts one of three classes by the first column of X."""

    def predict_proba(self, X):
        p = super().predict_proba(X)
        return np.column_stack([0.9 * p, np.full(len(p), 0.1)])

    def predict(self, X):
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def test_several_classes_have_rates_of_the_one_that_is_named():
    models = {
        "dense": Third(0, ("maybe", "no", "yes")),
        "other": Third(1, ("maybe", "no", "yes")),
    }
    y = np.where(Y == "yes", "no", "maybe")
    y[:20] = "yes"
    options = {"sensitive_features": PEOPLE["sex"], "min_group_size": 1, "n_boot": 20}
    plain = audit(models, X, y, **options)
    assert "selection_rate" not in plain.overall
    assert "positive_class" not in plain.about
    assert "balanced_accuracy" in plain.by_group
    report = audit(models, X, y, pos_label="no", **options)
    chosen = models["other"].predict(X) == "no"
    for sex in ("f", "m"):
        own = (PEOPLE["sex"] == sex).to_numpy()
        row = report.by_group.loc[("other", sex)]
        assert row["selection_rate"] == pytest.approx(chosen[own].mean())
        assert row["true_positive_rate"] == pytest.approx(chosen[own & (y == "no")].mean())
        assert row["false_positive_rate"] == pytest.approx(chosen[own & (y != "no")].mean())


def test_classes_as_groups_have_rates_only_if_they_are_asked_for():
    options = {"sensitive_features": None}
    assert "selection_rate" not in make_report(**options).by_group
    report = make_report(**options, pos_label="yes")
    rates = report.by_group["true_positive_rate"].isna()
    assert rates.groupby("class").all().tolist() == [True, False]
    assert "No true positive rate of no: no row is of the positive class" in str(report)


def test_what_is_unknown_is_in_the_notes():
    groups = np.where(Y == "no", np.where(np.arange(N) % 2, "a", "b"), "b")
    report = make_report(sensitive_features=groups)
    told = [note for note in report.notes if note.startswith("No ")]
    assert told == [
        "No true positive rate of a: no row is of the positive class; differences leave such "
        "groups out.",
        "No precision of a in dense: no row is predicted positive.",
        "No equal opportunity difference: fewer than two groups have rows of the positive "
        "class.",
        "No equalized odds difference: fewer than two groups have rows of both kinds.",
    ]
    assert report.to_frame()["value"].isna().any()
    assert '"equalized_odds_difference": null' in report.to_json()


def test_regressors_have_no_rates():
    models = {"dense": Value(0), "pruned": Value(1)}
    report = audit(models, X, RIGHT, sensitive_features=PEOPLE["sex"], n_boot=20)
    assert not {*RATES, *DIFFERENCES, "balanced_accuracy"} & {
        *report.by_group,
        *report.overall,
    }
    assert "Rates" not in str(report)
