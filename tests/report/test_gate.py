"""The gate: what passes, what fails, and with which words."""

import pickle

import numpy as np
import pytest
from report_cases import MODELS, Y, make_report, regression_report

from sklearn_fairprune import AuditReport
from sklearn_fairprune.report import DisparityError, UndecidedError

WIDE = {"max_spread": 1, "max_degradation": 1, "max_violation": 100}


@pytest.fixture(scope="module")
def report():
    return make_report({k: MODELS[k] for k in ("dense", "harmed")})


def failures(report, **options):
    with pytest.raises(DisparityError) as caught:
        report.assert_disparity(**options)
    error = caught.value
    assert str(error) == "\n".join([*error.failures, *error.undecided])
    assert isinstance(error, AssertionError)
    assert isinstance(error, UndecidedError) == (not error.failures)
    again = pickle.loads(pickle.dumps(error))
    assert (again.failures, again.undecided) == (error.failures, error.undecided)
    return error.failures


def undecided(report, **options):
    with pytest.raises(UndecidedError) as caught:
        report.assert_disparity(**options)
    assert report.assert_disparity(**options, undecided="pass") is report
    return caught.value.undecided


def test_wide_limits_pass_and_return_the_report(report):
    assert report.assert_disparity(**WIDE) is report
    for name, value in WIDE.items():
        assert report.assert_disparity(**{name: value}, judge_by="high") is report


def test_the_group_that_lost_is_named_for_every_feature(report):
    found = failures(report, max_degradation=0.1)
    row = report.by_group.loc[("harmed", "f", 60)]
    assert row["accuracy_drop"] == 1
    assert found[0] == (
        f"harmed, by sex & age: the accuracy drop of f & 60 ({row['rows']:.0f} rows) is "
        f"1.000, more than max_degradation=0.1; interval [{row['accuracy_drop_low']:.3f}, "
        f"{row['accuracy_drop_high']:.3f}]."
    )
    assert [f.split(":")[0] for f in found] == [
        "harmed, by sex & age",
        "harmed, by sex",
        "harmed, by age",
    ]


@pytest.mark.parametrize(
    ("name", "column"),
    [("max_spread", "accuracy_spread"), ("max_violation", "fairness_violation")],
)
@pytest.mark.parametrize("judge_by", ["estimate", "low", "high"])
def test_a_limit_is_kept_up_to_the_number_itself(report, name, column, judge_by):
    suffix = "" if judge_by == "estimate" else f"_{judge_by}"
    values = [
        part.overall.loc["harmed", column + suffix] for part in report.by_feature.values()
    ]
    worst = max(values)
    report.assert_disparity(**{name: worst}, judge_by=judge_by)
    below = worst - 1e-9
    if below >= 0:
        assert len(failures(report, **{name: below}, judge_by=judge_by)) == 1


def test_a_model_that_predicts_one_class_fails_whatever_the_limit():
    found = failures(make_report(), max_spread=1.0)
    assert found == ["Broken for all, not fair: stuck (predicts one class)."]
    make_report().assert_disparity(max_spread=1.0, models=["harmed"])
    make_report().assert_disparity(max_spread=1.0, models="harmed")


def test_an_unknown_number_leaves_its_limit_open():
    groups = ["big"] * 199 + ["tiny"]
    with pytest.warns(UserWarning, match="tiny"):
        report = make_report(
            {"dense": MODELS["dense"], "same": MODELS["dense"]},
            sensitive_features=groups,
            min_group_size=30,
        )
    report.assert_disparity(max_violation=0.5)
    (found,) = undecided(report, max_violation=0.5, judge_by="high")
    assert "fairness violation xi is unknown (too few rows)" in found


@pytest.mark.parametrize("judge_by", ["estimate", "interval"])
def test_three_outcomes(report, judge_by):
    row = report.overall.loc["harmed"]
    spread, low, high = (row[f"accuracy_spread{end}"] for end in ("", "_low", "_high"))
    assert low < spread == high
    report.assert_disparity(max_spread=high, judge_by=judge_by)
    inside = {"max_spread": (low + high) / 2, "judge_by": judge_by}
    if judge_by == "estimate":
        assert len(failures(report, **inside)) == 1
    else:
        (found, *_) = undecided(report, **inside)
        assert found.endswith("too few rows to tell.")
        assert f"is {spread:.3f}, and its interval [{low:.3f}, {high:.3f}] includes" in found
    assert failures(report, max_spread=low - 1e-6, judge_by=judge_by)


def test_what_fails_is_told_beside_what_is_open(report):
    with pytest.raises(DisparityError) as caught:
        report.assert_disparity(limits={"accuracy_drop": 0.5}, judge_by="interval")
    assert not isinstance(caught.value, UndecidedError)
    assert caught.value.failures
    assert caught.value.undecided


def test_groups_of_few_rows_are_judged_by_their_interval():
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    with pytest.warns(UserWarning, match="f & 60"):
        few = make_report(models, min_group_size=46)
    drop = few.by_group.loc[("harmed", "f", 60)]
    limit = (drop["accuracy_drop_low"] + 1) / 2
    (found, *_) = undecided(few, max_degradation=limit)
    assert found.startswith(
        "harmed, by sex & age: the accuracy drop of f & 60 (45 rows) is 1.0"
    )
    assert failures(few, max_degradation=drop["accuracy_drop_low"] - 0.01)
    assert failures(make_report(models), max_degradation=limit)


def test_the_dense_model_is_judged_only_when_named(report):
    spread = report.overall.loc["dense", "accuracy_spread"]
    assert spread == 0
    report.assert_disparity(max_degradation=0.0, models=["dense"])


def test_after_reading_it_back(report):
    again = AuditReport.from_json(report.to_json())
    assert failures(again, max_degradation=0.1) == failures(report, max_degradation=0.1)
    stuck = AuditReport.from_json(make_report().to_json())
    assert "Broken for all" in failures(stuck, max_spread=1)[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "got no limit; give max_spread, max_degradation or max_violation"),
        ({"max_spread": 5}, "max_spread must be a share from 0 to 1, .* got 5"),
        ({"max_spread": 1.01}, "max_spread must be a share .* got 1.01"),
        ({"max_degradation": -0.1}, "max_degradation must be a share .* got -0.1"),
        (
            {"max_violation": float("nan")},
            "must be at least 0 and finite, got nan",
        ),
        ({"max_violation": float("inf")}, "at least 0 and finite, got inf"),
        ({"max_spread": 1, "models": []}, "models is empty, so nothing is judged"),
        ({"max_spread": 1, "models": 3}, r"unknown names \[3\]"),
        ({"max_spread": 1, "judge_by": ["low"]}, "judge_by must be one of"),
        ({"max_spread": "much"}, "got 'much'"),
        ({"max_spread": True}, "got True"),
        (
            {"max_spread": 1, "models": ["x"]},
            r"unknown names \['x'\]; the report has \['dense",
        ),
        ({"max_spread": 1, "undecided": "maybe"}, "undecided must be 'raise' or 'pass', got"),
        ({"max_spread": 1, "judge_by": "mean"}, r"judge_by must be one of .* got 'mean'"),
    ],
)
def test_mistakes_are_named(report, options, message):
    with pytest.raises(ValueError, match=message):
        report.assert_disparity(**options)


def test_nothing_to_judge():
    with pytest.raises(ValueError, match="only the dense model 'dense'"):
        make_report({"dense": MODELS["dense"]}).assert_disparity(max_spread=1)


def test_regressors_have_no_accuracy():
    report = regression_report()
    with pytest.raises(ValueError, match=r"which have no accuracy; use .*max_viol"):
        report.assert_disparity(max_spread=0.1)
    assert "fairness violation" in failures(report, max_violation=0.0)[0]


# ---- rates and metrics ----------------------------------------------------------------


def error_rate(y_true, y_pred):
    return float((y_true != y_pred).mean())


error_rate.greater_is_better = False


def test_rates_and_metrics_can_be_limited():
    metrics = {"wrong": error_rate, "auc": "roc_auc"}
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    made = make_report(models, n_boot=40, metrics=metrics)
    for report in (made, AuditReport.from_json(made.to_json())):
        wide = ("demographic_parity_difference", "equalized_odds_difference", "wrong")
        assert report.assert_disparity(limits=dict.fromkeys(wide, 1)) is report
        found = failures(report, limits={"equal_opportunity_difference": 0.1})
        row = report.overall.loc["harmed"]
        low, high = (row[f"equal_opportunity_difference_{end}"] for end in ("low", "high"))
        assert found[0] == (
            f"harmed, by sex & age: the equal opportunity difference is 1.000, more than "
            f"equal_opportunity_difference=0.1; interval [{low:.3f}, {high:.3f}]."
        )
        assert "the wrong of f & 60" in failures(report, limits={"wrong": 0.5})[0]
        assert failures(report, limits={"auc_difference": 0.3})
        assert failures(report, limits={"false_positive_rate": 0.5})
        for name, text in (
            ("auc", "limits must be of measures of which less is better, .* got 'auc'"),
            ("selection_rate", "less is better, .* got 'selection_rate'"),
        ):
            with pytest.raises(ValueError, match=text):
                report.assert_disparity(limits={name: 0.5})
        with pytest.raises(ValueError, match=r"wrong must be at least 0 and finite, got -1"):
            report.assert_disparity(limits={"wrong": -1})


def test_rates_that_a_report_lacks_are_not_limited():
    name = "demographic_parity_difference"
    with pytest.raises(ValueError, match=rf"{name} limits .* has no rates: .* pos_label"):
        make_report(sensitive_features=None).assert_disparity(limits={name: 0.1})
    with pytest.raises(ValueError, match="these models are regressors"):
        regression_report().assert_disparity(limits={name: 0.1})


def test_an_unknown_rate_is_undecided():
    groups = np.where(Y == "yes", "all", "none")
    models = {k: MODELS[k] for k in ("dense", "harmed")}
    report = make_report(models, sensitive_features=groups)
    for by in ("estimate", "low", "high", "interval"):
        limits = {"equal_opportunity_difference": 0.9}
        (line,) = undecided(report, limits=limits, judge_by=by)
        assert "is unknown" in line
