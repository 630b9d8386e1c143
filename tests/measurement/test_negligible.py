"""What is negligible: the deviation between seeds, the verdicts that it changes, its words."""

import json

import numpy as np
import pandas as pd
import pytest
from damages import put
from report_cases import MODELS, PEOPLE, RIGHT, Column, N, Value, X, Y, make_report

from sklearn_fairprune import AuditReport, audit, audit_predictions
from sklearn_fairprune.measurement.negligible import between_networks, negligible_words
from sklearn_fairprune.measurement.payers import Payer

RNG = np.random.default_rng(1)
SEEDS = np.column_stack([X, *(np.clip(RIGHT + RNG.normal(0, 0.2, N), 0.1, 0.9) for _ in "ab")])
OTHERS = [Column(3), Column(4)]
TWO = {k: MODELS[k] for k in ("dense", "harmed")}
GROUPS = {"sensitive_features": PEOPLE["sex"], "n_boot": 20}


def of(report, measure):
    return report.about["negligible"][measure]


def test_the_formula_term_by_term():
    means = RNG.normal(size=(3, 4))
    slow = [sum((v - np.mean(row)) ** 2 for v in row) / 3 for row in means]
    assert between_networks(means) == pytest.approx(np.sqrt(sum(slow) / 3))
    assert between_networks(means - means[:, :1]) == pytest.approx(between_networks(means))
    assert between_networks(means[:, ::-1]) == pytest.approx(between_networks(means))


def test_both_measures_have_the_deviation_of_their_own():
    report = audit(TWO, SEEDS, Y, retrained=OTHERS, **GROUPS)
    for measure, column in (("accuracy_drop", "accuracy"), ("excessive_loss", "loss")):
        alone = audit({str(k): Column(k) for k in (0, 3, 4)}, SEEDS, Y, **GROUPS)
        means = alone.by_group[column].unstack("model").to_numpy()
        deviation = np.sqrt(np.mean(np.std(means, axis=1, ddof=1) ** 2))
        found = {"amount": pytest.approx(deviation), "source": "seeds", "networks": 3}
        assert deviation > 0.001
        assert of(report, measure) == found
    told = report.payers["negligible"].droplevel("model").to_dict()
    assert told["loss"] == of(report, "excessive_loss")["amount"]
    assert told["decisions"] == of(report, "accuracy_drop")["amount"]


@pytest.mark.parametrize("name", ["accuracy_drop", "excessive_loss"])
def test_numbers_of_the_user_come_first(name):
    report = audit(TWO, SEEDS, Y, retrained=OTHERS, negligible={name: 0.25}, **GROUPS)
    assert of(report, name) == {"amount": 0.25, "source": "given"}
    (other,) = {"accuracy_drop", "excessive_loss"} - {name}
    assert of(report, other)["source"] == "seeds"
    default = audit(TWO, SEEDS, Y, **GROUPS)
    dense = default.overall.loc["dense", "loss"]
    assert of(default, "accuracy_drop") == {"amount": 0.005, "source": "default"}
    assert of(default, "excessive_loss")["amount"] == pytest.approx(0.01 * dense)


def lost(share, others=None, n=4000):
    """Verdict on a pruned model that takes a share of the right predictions from f."""
    y, sex = np.tile([0, 1], n), np.repeat(["f", "m"], n)
    pruned = np.where((sex == "f") & (np.arange(2 * n) % round(1 / share) == 0), 1 - y, y)
    others = others and [np.where(np.random.default_rng(k).random(2 * n) < s, 1 - y, y)
                         for k, s in enumerate(others)]  # fmt: skip
    given = {"dense": y, "pruned": pruned}
    report = audit_predictions(y, given, sensitive_features=sex, retrained=others, n_boot=20)
    return report.payers.loc[("pruned", "decisions"), "verdict"]


def test_seeds_change_a_verdict_both_ways():
    assert lost(0.1) == Payer.PAYS_MOST
    assert lost(0.1, [0.01, 0.02]) == Payer.PAYS_MOST
    assert lost(0.1, [0.0, 0.3]) == Payer.NOBODY
    assert lost(0.005) == Payer.PERHAPS_NEGLIGIBLE
    assert lost(0.005, [0.0, 0.0]) == Payer.PAYS_MOST  # no floor: seeds differ by nothing
    assert lost(0.005, [0.0, 0.05]) == Payer.NOBODY


def test_groups_of_few_rows_do_not_count():
    y = np.tile([0, 1], 105)
    sex = np.r_[["f"] * 100, ["m"] * 100, ["x"] * 10]
    other = np.where((sex == "x") | (np.arange(210) == 0), 1 - y, y)
    given = (y, {"dense": y, "pruned": y})
    with pytest.warns(UserWarning, match="x"):
        report = audit_predictions(*given, sensitive_features=sex, retrained=[y, other])
    rows = np.array([[0, 0, 0.01], [0, 0, 0]])
    assert of(report, "accuracy_drop")["amount"] == pytest.approx(between_networks(rows))
    every = audit_predictions(*given, sensitive_features=sex, retrained=[y, other],
                              min_group_size=1)  # fmt: skip
    rows = np.array([[0, 0, 0.01], [0, 0, 0], [0, 0, 1]])
    assert of(every, "accuracy_drop")["amount"] == pytest.approx(between_networks(rows))


def test_of_regressors():
    given = np.column_stack([X[:, :2], RIGHT + 0.1, RIGHT - 0.2 * (PEOPLE["sex"] == "f")])
    models = {"dense": Value(0), "pruned": Value(1)}
    report = audit(models, given, RIGHT, retrained=[Value(2), Value(3)], **GROUPS)
    means = np.array([[0, 0.01, 0.04], [0, 0.01, 0]])
    assert of(report, "excessive_loss")["amount"] == pytest.approx(between_networks(means))
    assert set(report.about["negligible"]) == {"excessive_loss"}
    same = {"dense": X[:, 0], "pruned": X[:, 1]}
    others = [given[:, 2], given[:, 3]]
    scored = audit_predictions(RIGHT, same, retrained=others, **GROUPS)
    assert of(scored, "excessive_loss") == of(report, "excessive_loss")


def test_networks_without_probabilities_leave_the_default_of_losses():
    given = {k: m.predict_proba(X) for k, m in TWO.items()}
    labels = [other.predict(SEEDS) for other in OTHERS]
    report = audit_predictions(Y, given, retrained=labels, **GROUPS)
    assert of(report, "excessive_loss")["source"] == "default"
    assert of(report, "accuracy_drop")["source"] == "seeds"
    note = "No probabilities of retrained[0], retrained[1]: what is negligible of losses"
    assert any(line.startswith(note) for line in report.notes)
    known = audit(TWO, SEEDS, Y, retrained=OTHERS, **GROUPS)
    nothing = audit_predictions(
        Y, {k: m.predict(X) for k, m in TWO.items()}, retrained=labels, **GROUPS
    )
    for other in (known, nothing):
        assert not any("retrained" in line for line in other.notes)


@pytest.mark.parametrize(
    ("retrained", "message"),
    [
        (Column(3), "retrained must be a list of dense networks .* got Column"),
        ({"a": Column(3)}, "retrained must be a list .* got dict"),
        ("ab", "retrained must be a list .* got str"),
        ([], "at least 2, three networks with the dense one, got 0"),
        ([Column(3)], "at least 2, three networks with the dense one, got 1: .*negligible="),
        ([Column(3), 7], r"retrained\[1\]: models must be fitted estimators"),
        ([Column(3), Value(3)], r"retrained\[1\]: models must be all classifiers or all reg"),
        ([Column(3, ("a", "b")), Column(4)], r"retrained\[0\]: y has labels that"),
        ([Column(3), Column(0)], r"retrained\[1\] has the loss of the dense model in every"),
        (
            [Column(3), Column(3)],
            r"retrained\[1\] has the loss of retrained\[0\] .*random_state",
        ),
    ],
)
def test_what_is_no_dense_network_of_another_seed_is_refused(retrained, message):
    with pytest.raises(ValueError, match=message):
        audit(TWO, SEEDS, Y, retrained=retrained, **GROUPS)


@pytest.mark.parametrize(
    ("retrained", "message"),
    [
        ([Y], "at least 2"),
        ([Y, Y[:5]], rf"retrained\[1\] must have one row per target, {N}, got 5"),
        ([np.full(N, np.nan), Y], rf"retrained\[0\] must be finite, and is not in {N} rows"),
        ([np.full((N, 3), 1 / 3), Y], r"retrained\[0\] must have a column for each"),
        ([np.zeros(N, int), Y], r"retrained\[0\] must be labels such as those of y"),
    ],
)
def test_predictions_of_no_such_network_are_refused(retrained, message):
    with pytest.raises(ValueError, match=message):
        audit_predictions(Y, {"dense": Y, "pruned": Y}, retrained=retrained, **GROUPS)


@pytest.fixture(scope="module")
def report():
    """By two features, which have deviations of their own."""
    options = GROUPS | {"sensitive_features": PEOPLE, "min_group_size": 1}
    return audit(
        TWO, SEEDS, Y, retrained=OTHERS, negligible={"excessive_loss": 0.5}, **options
    )


def test_every_form_tells_it(report):
    for part in report.by_feature.values():
        amount = f"{100 * part.about['negligible']['accuracy_drop']['amount']:.3g}"
        words = (
            "Negligible: up to 0.5 of excessive loss, as given; "
            f"up to {amount} points of accuracy drop, the deviation between 3 dense networks "
            "trained with different seeds."
        )
        parts = words.removeprefix("Negligible: ").removesuffix(".").split("; ")
        told = negligible_words(part)
        assert told.startswith("Negligible: ")
        assert all(one in told for one in parts)
        for form in (str(part), report.to_markdown(), report.to_markdown(technical=True)):
            assert told in form
    amounts = {
        p.about["negligible"]["accuracy_drop"]["amount"] for p in report.by_feature.values()
    }
    assert len(amounts) == 3
    default = negligible_words(make_report(TWO))
    assert "up to 0.5 points of accuracy drop, the default" in default
    assert "seeds" not in str(make_report(TWO))
    assert negligible_words(make_report({"dense": MODELS["dense"]})) == ""


def test_the_page_tells_it_of_every_feature(report):
    pytest.importorskip("vl_convert")
    page = report.to_html()
    for part in report.by_feature.values():
        assert page.count(f"<p>{negligible_words(part)}</p>") == 1
    assert "{'amount'" not in page
    assert "{&#39;amount" not in page


AMOUNT = ("about", "negligible", "accuracy_drop")
SOURCES = r"about\['negligible'\] must be .* as in the whole report"


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ((*AMOUNT, "amount"), 0.3, r"payers\[\d\]: negligible must be that of about, 0.3"),
        ((*AMOUNT, "amount"), -1, "must be a number of at least 0, got -1"),
        ((*AMOUNT, "source"), "chance", "must be one of .*'seeds'.*, got 'chance'"),
        ((*AMOUNT, "networks"), put.gone, "lacks 'networks'"),
        ((*AMOUNT, "networks"), 2, "a whole number of at least 3, got 2"),
        ((*AMOUNT, "networks"), 9, SOURCES),
        (("about", "negligible", "loss"), {}, "has 'loss', and may have only"),
        (("features", "sex", "about", "negligible"), put.gone, SOURCES),
    ],
)
def test_damaged_reports_are_refused(report, path, new, message):
    with pytest.raises(ValueError, match=message):
        AuditReport.from_json(json.dumps(put(report.to_dict(), path, new)))


def test_saved_reports(report):
    again = AuditReport.from_json(report.to_json())
    assert again.about == report.about
    assert str(again) == str(report)
    old = report.to_dict()
    for part in (old, *old["features"].values()):
        del part["about"]["negligible"]
    old = AuditReport.from_json(json.dumps(old))
    pd.testing.assert_frame_equal(old.payers, again.payers)
    assert "Negligible" not in str(old)
