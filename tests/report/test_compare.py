"""Two audits compared: differences, limits by hand, verdicts, and what is missing."""

import re

import numpy as np
import pandas as pd
import pytest
from report_cases import MODELS, PEOPLE, Column, make_report, regression_report
from scipy import stats
from sklearn.metrics import f1_score

from sklearn_fairprune.measurement.formats import with_interval
from sklearn_fairprune.report import compare_reports
from sklearn_fairprune.report.compare import comparison_as_text
from sklearn_fairprune.statistics.intervals import difference_interval

SEX = {"sensitive_features": PEOPLE["sex"], "n_boot": 100}
BEFORE = make_report({"dense": MODELS["dense"], "pruned": MODELS["dense"]}, **SEX)
AFTER = make_report({"dense": MODELS["dense"], "pruned": Column(1)}, **SEX)


def row(table, **where):
    for name, value in where.items():
        table = table[table[name] == value]
    return table.squeeze()


def test_the_change_and_its_limits_by_hand():
    table = compare_reports(BEFORE, AFTER)
    got = row(table, model="pruned", group="f", measure="accuracy")
    a, b = (r.by_group.loc[("pruned", "f")] for r in (BEFORE, AFTER))
    assert got["change"] == b["accuracy"] - a["accuracy"]
    low = np.sqrt(
        (b["accuracy"] - b["accuracy_low"]) ** 2 + (a["accuracy_high"] - a["accuracy"]) ** 2
    )
    k = len(table)
    wider = stats.norm.isf(0.025 / k) / stats.norm.isf(0.025)
    np.testing.assert_allclose(got["change_low"], got["change"] - wider * low)
    high = np.sqrt(
        (b["accuracy_high"] - b["accuracy"]) ** 2 + (a["accuracy"] - a["accuracy_low"]) ** 2
    )
    np.testing.assert_allclose(got["change_high"], got["change"] + wider * high)


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_intervals_hold_for_what_is_compared_and_no_more(confidence):
    options = SEX | {"confidence": confidence}
    before = make_report({"dense": MODELS["dense"], "pruned": MODELS["dense"]}, **options)
    more = {"dense": MODELS["dense"], "pruned": Column(1), "new": Column(1)}
    table = compare_reports(before, make_report(more, **options))
    both = table[~table["verdict"].str.startswith("only")]
    assert len(both) < len(table)
    tail = (1 - confidence) / 2
    wider = stats.norm.isf(tail / len(both)) / stats.norm.isf(tail)
    sides = [[both[f"{s}{end}"] for end in ("", "_low", "_high")] for s in ("first", "second")]
    low, high = difference_interval(*sides)
    np.testing.assert_allclose(
        both["change_low"], both["change"] - wider * (both["change"] - low), atol=1e-12
    )
    np.testing.assert_allclose(
        both["change_high"], both["change"] + wider * (high - both["change"]), atol=1e-12
    )


def test_verdicts_know_what_is_better():
    table, back = compare_reports(BEFORE, AFTER), compare_reports(AFTER, BEFORE)
    for measure in ("accuracy", "loss", "excessive_loss", "accuracy_drop"):
        where = {"model": "pruned", "group": "f", "measure": measure}
        assert row(table, **where)["verdict"] == "worse"
        assert row(back, **where)["verdict"] == "better"
    spread = {"model": "pruned", "group": "", "measure": "accuracy_spread"}
    assert row(table, **spread)["verdict"] == "worse"
    men = {"model": "pruned", "group": "m"}
    assert set(row(table, **men)["verdict"]) == {"same"}


@pytest.mark.slow
def test_noise_is_not_a_change():
    rng, wrong = np.random.default_rng(0), 0
    for _ in range(30):
        first, second = (
            make_report(
                {"a": MODELS["dense"], "b": Column(1)},
                sensitive_features=rng.permutation(PEOPLE["sex"]),
                n_boot=50,
            )
            for _ in range(2)
        )
        verdicts = compare_reports(first, second)["verdict"]
        wrong += verdicts.isin(["worse", "better"]).any()
    assert wrong <= 3


def test_models_and_groups_of_one_report_only():
    other = make_report({"dense": MODELS["dense"], "new": Column(1)}, **SEX)
    table = compare_reports(BEFORE, other)
    assert set(table[table["model"] == "pruned"]["verdict"]) == {"only in A"}
    assert set(table[table["model"] == "new"]["verdict"]) == {"only in B"}
    text = comparison_as_text(table)
    assert "Only in A" in text
    assert "n/a [n/a, n/a]" in text
    nothing = make_report({"x": MODELS["dense"]}, **SEX)
    with pytest.raises(ValueError, match=r"no model and group in common: A has \['dense'"):
        compare_reports(BEFORE, nothing)


def test_text_shows_the_sure_changes():
    text = comparison_as_text(compare_reports(BEFORE, AFTER))
    assert text.startswith("From A to B: ")
    assert "\nWorse\n" in text
    assert "\nBetter\n" not in text
    assert "sex: f" in text
    lost = BEFORE.by_group.loc[("pruned", "f")], AFTER.by_group.loc[("pruned", "f")]
    (line,) = re.findall("sex: f +excessive loss R  (.*)", text)
    cells = [with_interval(side, "excessive_loss") for side in lost]
    assert re.split("  +", line.strip())[:2] == cells
    assert re.split("  +", line.strip())[2].startswith("+")
    same = comparison_as_text(compare_reports(BEFORE, BEFORE))
    assert "Nothing became surely better or worse." in same


def test_regressors():
    report = regression_report()
    table = compare_reports(report, report)
    assert set(table["verdict"]) == {"same"}
    assert "accuracy" not in set(table["measure"])


def test_difference_of_two_normal_means():
    rng, hits = np.random.default_rng(0), 0
    for _ in range(500):
        sides = []
        for mean, n in ((0.0, 20), (1.0, 40)):
            x = rng.normal(mean, 1 + mean, n)
            width = stats.t.isf(0.025, n - 1) * x.std(ddof=1) / n**0.5
            sides.append((x.mean(), x.mean() - width, x.mean() + width))
        low, high = difference_interval(*sides)
        hits += low <= 1 <= high
    assert 0.92 < hits / 500 < 0.98


def test_unknown_limits_stay_unknown():
    low, high = difference_interval((1.0, np.nan, np.nan), (2.0, 1.0, 3.0))
    assert np.isnan(low)
    assert np.isnan(high)
    assert pd.isna(low)


def test_rates_and_metrics_are_compared():
    options = SEX | {"metrics": {"f1": f1_score}}
    one, other = (
        make_report({"dense": MODELS["dense"], "pruned": clf}, **options)
        for clf in (MODELS["dense"], Column(1))
    )
    table = compare_reports(one, other)
    got = row(table, model="pruned", group="f", measure="true_positive_rate")
    change = other.by_group.loc[("pruned", "f")] - one.by_group.loc[("pruned", "f")]
    assert got["change"] == change["true_positive_rate"]
    assert got["verdict"] == "worse"
    got = row(table, model="pruned", group="", measure="equalized_odds_difference")
    assert got["verdict"] == "worse"
    got = row(table, model="pruned", group="f", measure="f1")
    assert got["change"] == change["f1"]
    assert got["verdict"] == "cannot tell"  # the limits of the first are unknown
    assert "selection_rate" not in set(table["measure"])
    surely = table.assign(verdict=np.where(table["measure"] == "f1", "worse", "same"))
    assert "f1" in comparison_as_text(surely)
    alone = compare_reports(BEFORE, other)
    got = row(alone, model="pruned", group="f", measure="f1")
    assert got["verdict"] == "only in B"


def test_a_comparison_of_weighted_with_other_rows_says_so():
    weighted = make_report(
        {"dense": MODELS["dense"], "pruned": Column(1)},
        **SEX,
        sample_weight=np.linspace(1, 3, len(PEOPLE)),
    )
    told = "Rows of A are not weighted and those of B weighted"
    assert told in comparison_as_text(compare_reports(AFTER, weighted))
    told = "Rows of A are weighted and those of B not weighted"
    assert told in comparison_as_text(compare_reports(weighted, AFTER))
    assert "weighted" not in comparison_as_text(compare_reports(weighted, weighted))
    assert "weighted" not in comparison_as_text(compare_reports(BEFORE, AFTER))
