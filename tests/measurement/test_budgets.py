"""Which damage stays when the fine-tuning is longer: each claim where it is right."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
from report_cases import make_report

from sklearn_fairprune import AuditReport, PrunedClassifier, PrunedRegressor, audit
from sklearn_fairprune.measurement.budgets import (
    Damage,
    along_path,
    budget_notes,
    budgets_in,
    damage_gone,
    damage_verdict,
)
from sklearn_fairprune.measurement.held_out import HeldOut
from sklearn_fairprune.measurement.measures import MEASURES
from sklearn_fairprune.report.summary import headline, lead_model
from sklearn_fairprune.statistics.intervals import paired_difference_interval
from sklearn_fairprune.statistics.weights import effective_rows

torch.set_num_threads(1)
pytestmark = pytest.mark.filterwarnings("ignore:The network of sparsity", "ignore:Groups with")
NAN = float("nan")
SURE, UNSURE, NIL, GAIN = (
    (0.2, 0.1, 0.3),
    (0.05, -0.1, 0.2),
    (0.0, -0.01, 0.004),
    (-0.2, -0.3, -0.1),
)


@pytest.mark.parametrize(
    ("short", "long", "went", "verdict"),
    [
        (SURE, SURE, UNSURE, Damage.STAYS),
        (SURE, (0.1, 0.006, 0.2), UNSURE, Damage.STAYS),
        (SURE, (0.1, 0.005, 0.2), UNSURE, Damage.CANNOT_TELL),  # 0.005 is negligible
        (SURE, (0.1, 0.004, 0.2), UNSURE, Damage.CANNOT_TELL),
        (UNSURE, SURE, UNSURE, Damage.STAYS),
        (SURE, SURE, SURE, Damage.PARTLY),
        (SURE, SURE, (0.1, 0.0, 0.2), Damage.STAYS),
        (SURE, UNSURE, SURE, Damage.WENT),
        (SURE, NIL, SURE, Damage.WENT),
        (SURE, UNSURE, (0.1, 0.0, 0.2), Damage.CANNOT_TELL),  # it may be as large as before
        (SURE, NIL, UNSURE, Damage.CANNOT_TELL),
        (UNSURE, UNSURE, SURE, Damage.CANNOT_TELL),  # none was sure before
        (UNSURE, GAIN, SURE, Damage.CANNOT_TELL),
        (SURE, SURE, GAIN, Damage.GREW),
        (UNSURE, SURE, GAIN, Damage.GREW),
        (SURE, SURE, (-0.2, -0.3, 0.0), Damage.STAYS),  # it may not have grown
        (GAIN, UNSURE, GAIN, Damage.CANNOT_TELL),  # no damage is sure
        (NIL, NIL, UNSURE, Damage.NONE),
        (GAIN, NIL, GAIN, Damage.NONE),
        (NIL, UNSURE, UNSURE, Damage.CANNOT_TELL),
        (UNSURE, NIL, UNSURE, Damage.CANNOT_TELL),
        ((0.2, NAN, NAN), (0.2, NAN, NAN), (0.0, NAN, NAN), Damage.CANNOT_TELL),
        ((0.0, NAN, NAN), NIL, NIL, Damage.CANNOT_TELL),
    ],
)
def test_verdicts(short, long, went, verdict):
    assert damage_verdict(short, long, went, 0.005) is verdict


def table(**models):
    """Names with blanks for "_" and a comma before the epochs; sparsity and epochs of each."""
    rows = {k.replace("_", " "): v for k, v in models.items()}
    return pd.DataFrame.from_dict(
        rows, orient="index", columns=["sparsity", "finetune_epochs"]
    ).rename_axis("model")


def named(sparsities=(0.5, 0.9), epochs=(5, 20, 80)):
    rows = {"sparsity 0": (0.0, 0.0)}
    rows |= {f"sparsity {s:g}, {n} epochs": (s, float(n)) for s in sparsities for n in epochs}
    return table(**rows)


GIVEN = {"budgets": [5, 20, 80]}


def test_models_of_one_sparsity_belong_together():
    found = budgets_in(named(), GIVEN)
    assert [one.title for one in found] == ["sparsity 0.5", "sparsity 0.9"]
    assert found[1].models == [f"sparsity 0.9, {n} epochs" for n in (5, 20, 80)]
    assert found[1].epochs == [5, 20, 80]
    path = ["sparsity 0", "sparsity 0.5, 80 epochs", "sparsity 0.9, 80 epochs"]
    assert along_path(named(), GIVEN) == path


def test_models_that_are_no_path_with_budgets_are_not_compared():
    """Two networks of one sparsity may differ in anything."""
    assert budgets_in(named(), {}) == []
    assert along_path(named(), {}) == named().index.tolist()


def test_equal_numbers_of_epochs_are_nothing_to_compare():
    """A callback may stop a training before its budget is spent; then nothing is known."""
    early = named()
    early.loc[early.index[2:4], "finetune_epochs"] = 5
    found = budgets_in(early, GIVEN)
    assert [one.epochs for one in found] == [[5], [5], [5], [5, 20, 80]]
    unknown = named()
    unknown["finetune_epochs"] = NAN
    assert budgets_in(unknown, GIVEN) == []


def test_sparsities_that_come_to_the_same_stay_apart():
    """In a small network two sparsities may remove as many weights, or none."""
    rows = {"sparsity 0": (0.0, 0.0)}
    asked = {"0.001": 0.0, "0.5": 0.5, "0.5001": 0.5}
    rows |= {f"sparsity {k}, {n} epochs": (s, n) for k, s in asked.items() for n in (5, 80)}
    found = budgets_in(table(**rows), GIVEN)
    assert [one.title for one in found] == [f"sparsity {k}" for k in asked]
    assert all(one.epochs == [5, 80] for one in found)


def held_out(right, groups, weights=None, losses=None, least=10):
    """Rows whose predictions are right or wrong as told, of every model one column."""
    right, groups = np.asarray(right, dtype=float), np.asarray(groups)
    y = np.ones(len(right), dtype=int)
    return HeldOut(
        1 - right if losses is None else losses,
        None if losses is not None else right,
        y,
        groups,
        groups.max() + 1,
        0.95,
        9,
        np.random.default_rng(0),
        predicted=None if losses is not None else right.astype(int),
        least_rows=least,
        weights=weights,
    )


def shares(n, *of_models):
    """Rows of which each model has the first so many right."""
    return np.column_stack([np.arange(n) < k for k in of_models])


def test_what_went_is_paired_over_the_same_rows():
    dense, short, long = (np.random.default_rng(k).random(80) < 0.7 for k in range(3))
    rows = held_out(np.column_stack([dense, short, long]), np.arange(80) % 2)
    went = damage_gone(rows, MEASURES["accuracy_drop"], 1, 2)
    for a in range(2):
        one, two = long[a::2], short[a::2]
        drops = [dense[a::2].mean() - model.mean() for model in (two, one)]
        assert went[a, 0] == pytest.approx(drops[0] - drops[1])
        counts = [
            (one & two).sum(),
            (one & ~two).sum(),
            (~one & two).sum(),
            (~one & ~two).sum(),
        ]
        assert went[a, 1:] == pytest.approx(paired_difference_interval(*counts))


def test_what_went_of_weighted_rows_is_that_of_rows_repeated():
    """Of equal weights the interval is that of the rows; of others the mean is weighted."""
    right = np.column_stack([np.random.default_rng(k).random(60) < 0.7 for k in range(3)])
    groups, drop = np.zeros(60, dtype=int), MEASURES["accuracy_drop"]
    plain = damage_gone(held_out(right, groups), drop, 1, 2)
    alike = damage_gone(held_out(right, groups, np.full(60, 7.0)), drop, 1, 2)
    np.testing.assert_allclose(alike, plain)
    weights = np.random.default_rng(9).uniform(1, 5, 60)
    weighted = damage_gone(held_out(right, groups, weights), drop, 1, 2)
    gained = right[:, 2] * 1.0 - right[:, 1]
    assert weighted[0, 0] == pytest.approx(np.average(gained, weights=weights))
    # Effective rows of the very difference; cells of the two networks by weight.
    of = effective_rows(weights, groups, 1, gained)[0]
    assert of != effective_rows(weights, groups, 1, right[:, 0] * 1.0 - right[:, 1])[0]
    one, two = right[:, 2], right[:, 1]
    cells = [one & two, one & ~two, ~one & two, ~one & ~two]
    counts = [of * np.average(cell, weights=weights) for cell in cells]
    assert weighted[0, 1:] == pytest.approx(paired_difference_interval(*counts))


def notes_of(rows, epochs=(5, 80), sparsities=(0.9,), **flags):
    overall = named(sparsities, epochs)
    for name, broken in flags.items():
        overall[name] = broken
    amounts = {"accuracy_drop": 0.005, "excessive_loss": 0.01}
    texts = ["black", "white", "few"]
    return budget_notes(rows, overall, {"budgets": list(epochs)}, texts, amounts)


TWO = np.repeat([0, 1], 200)


def test_the_sentence_of_damage_that_went():
    right = np.vstack([shares(200, 180, 120, 176), shares(200, 180, 178, 179)])
    went, rest = notes_of(held_out(right, TWO))
    start = "sparsity 0.9: the accuracy drop of black is +30.0 [+"
    assert went.startswith(start)
    assert "] points after 5 epochs of fine-tuning and +2.0 [" in went
    assert "] points after 80 epochs: at least 21." in went
    assert went.endswith(
        " points of it were the short fine-tuning, and that any stays is not sure."
    )
    assert rest.startswith(
        "sparsity 0.9, 5 against 80 epochs of fine-tuning: cannot tell whether damage stays "
        "for white (+1.0 ["
    )


def test_the_sentence_of_damage_of_which_no_more_than_the_negligible_stays():
    right = np.vstack([shares(2000, 1800, 1200, 1900)])
    (note,) = notes_of(held_out(right, np.zeros(2000, dtype=int)))
    assert note.endswith("of it were the short fine-tuning, and no more than 0.5 points stay.")


def test_an_estimate_of_nothing_is_not_surely_nothing():
    (note,) = notes_of(held_out(shares(200, 180, 120, 180), np.zeros(200, dtype=int)))
    assert " and +0.0 [" in note
    assert note.endswith(", and that any stays is not sure.")


def test_the_sentences_of_damage_that_stays():
    right = np.vstack([shares(200, 180, 120, 122), shares(200, 180, 100, 150)])
    stays, partly = notes_of(held_out(right, TWO), epochs=(1, 2))
    assert "after 1 epoch of fine-tuning and +29.0" in stays
    assert stays.endswith("points after 2 epochs: damage stays.")
    assert partly.startswith("sparsity 0.9: the accuracy drop of white is +40.0")
    assert "at least 18." in partly
    assert partly.endswith("points of it went with the longer fine-tuning, and damage stays.")


def test_the_sentence_of_damage_that_grew():
    (note,) = notes_of(held_out(shares(200, 180, 170, 100), np.zeros(200, dtype=int)))
    assert "it grew by at least 2" in note
    assert "stays" not in note
    assert "went" not in note


def test_the_sentence_of_no_damage():
    (note,) = notes_of(held_out(shares(3000, 2000, 2100, 2200), np.zeros(3000, dtype=int)))
    assert note.startswith(
        "sparsity 0.9, 5 against 80 epochs of fine-tuning: no accuracy drop above 0.5 points "
        "after either, for black (-3.3 ["
    )


def test_a_broken_network_is_named():
    rows = held_out(shares(200, 180, 90, 90), np.zeros(200, dtype=int))
    flags = {"predicts_one_class": [False, True, True]}
    assert notes_of(rows, **flags)[0].endswith("damage stays, in a network that is broken.")
    flags = {"predicts_one_class": [False, True, False]}
    assert notes_of(rows, **flags)[0].endswith(": damage stays.")


def test_small_groups_are_not_judged():
    groups = np.r_[TWO, [2] * 9]
    right = np.vstack([*[shares(200, 180, 120, 176)] * 2, shares(9, 9, 0, 0)])
    assert not any("few" in note for note in notes_of(held_out(right, groups)))
    assert any("few" in note for note in notes_of(held_out(right, groups, least=9)))


def test_the_longest_is_compared_with_the_shortest():
    right = shares(200, 180, 120, 30, 176)
    (note,) = notes_of(held_out(right, np.zeros(200, dtype=int)), epochs=(5, 20, 80))
    assert "+30.0" in note
    assert "+2.0" in note
    assert "75.0" not in note


def test_one_budget_is_nothing_to_compare():
    assert (
        notes_of(held_out(shares(200, 180, 90), np.zeros(200, dtype=int)), epochs=(5,)) == []
    )


def test_quantities_are_judged_by_their_loss():
    rng = np.random.default_rng(0)
    dense = rng.uniform(0, 0.1, 200)
    losses = np.column_stack([dense, dense + 1 + rng.random(200), dense + rng.random(200) / 9])
    (note,) = notes_of(held_out(losses, np.zeros(200, dtype=int), losses=losses))
    assert note.startswith("sparsity 0.9: the excessive loss of black is +1.")
    assert "of it went with the longer fine-tuning, and damage stays." in note


# ---- a real audit --------------------------------------------------------------------

RNG = np.random.default_rng(0)
X = RNG.normal(size=(400, 6)).astype(np.float32)
Y = np.where(X[:, 0] * X[:, 1] + 0.2 * RNG.normal(size=400) > 0, "yes", "no")
PEOPLE = pd.DataFrame({"sex": RNG.choice(["f", "m"], 400), "age": RNG.choice([30, 60], 400)})


@pytest.fixture(scope="module")
def path():
    clf = PrunedClassifier(hidden_layer_sizes=(16,), schedule="one_shot", random_state=0)
    return clf.pruning_path(X, Y, sparsities=[0, 0.5, 0.9], budgets=[0, 40])


@pytest.fixture(scope="module")
def report(path):
    return audit(path, X, Y, sensitive_features=PEOPLE, min_group_size=40, n_boot=50)


def test_the_report_knows_names_and_epochs(report):
    assert report.overall.index.tolist() == [
        "sparsity 0",
        *(f"sparsity {s}, {n} epochs" for s in (0.5, 0.9) for n in (0, 40)),
    ]
    assert report.overall["finetune_epochs"].tolist() == [0, 0, 40, 0, 40]
    assert report.about["budgets"] == [0, 40]
    for one in report.by_feature.values():
        told = [note for note in one.notes if "fine-tuning" in note and "after 40" in note]
        assert any(note.startswith("sparsity 0.9: the accuracy drop of ") for note in told)
        assert all("sex" not in note for note in told)
        assert all(note in str(one) for note in told)
    assert any("30" in note for note in report.by_feature["age"].notes)


def test_the_report_is_read_back(report, tmp_path):
    again = AuditReport.from_json(report.to_json(tmp_path / "audit.json"))
    assert again.to_json() == report.to_json()
    assert again.overall["finetune_epochs"].tolist() == [0, 0, 40, 0, 40]
    assert along_path(again.overall, again.about) == along_path(report.overall, report.about)
    report.to_csv(tmp_path)
    overall = pd.read_csv(tmp_path / "overall.csv")
    assert overall["finetune_epochs"].tolist() == [0, 0, 40, 0, 40]


@pytest.mark.parametrize("wrong", [-1, 2.5, "40", True])
def test_epochs_that_are_none_are_refused(report, wrong):
    values = report.to_dict()
    for one in (values, *values["features"].values()):
        one["overall"][2]["finetune_epochs"] = wrong
    with pytest.raises(ValueError, match=r"finetune_epochs'\] must be a whole number"):
        AuditReport.from_json(as_json(values))


def test_budgets_without_epochs_are_refused(report):
    values = report.to_dict()
    for one in (values, *values["features"].values()):
        for row in one["overall"]:
            del row["finetune_epochs"]
    with pytest.raises(ValueError, match="overall lacks 'finetune_epochs'"):
        AuditReport.from_json(as_json(values))
    for one in (values, *values["features"].values()):
        del one["about"]["budgets"]
    AuditReport.from_json(as_json(values))


@pytest.mark.parametrize("wrong", [[], [5, 5], [-1], "5", [None]])
def test_budgets_that_are_none_are_refused(report, wrong):
    values = report.to_dict()
    values["about"]["budgets"] = wrong
    with pytest.raises(ValueError, match="budgets"):
        AuditReport.from_json(as_json(values))


def as_json(values):
    return json.dumps(values)


def test_the_headline_is_about_the_longest_fine_tuning(report):
    assert lead_model(report) == "sparsity 0.9, 40 epochs"
    overall = report.overall.copy()
    broken = {m: m == "sparsity 0.9, 40 epochs" for m in overall.index}
    changed = AuditReport.of(report)
    flags = dict.fromkeys(["no_better_than_chance", "loss_above_constant"], False)
    changed.overall = overall.assign(predicts_one_class=pd.Series(broken), **flags)
    assert lead_model(changed) == "sparsity 0.5, 40 epochs"  # not 0.9 after no epoch
    assert headline(changed)[0].startswith("In sparsity 0.5, 40 epochs,")


def test_gates_judge_every_model(report):
    with pytest.raises(AssertionError) as error:
        report.assert_disparity(max_degradation=-0.0, judge_by="high")
    for model in report.overall.index[1:]:
        assert f"{model}, by sex & age" in str(error.value)


def test_the_technical_section_tells_the_budgets(report):
    assert "Recovery after pruning: 0, 40 epochs of fine-tuning." in report.to_markdown(
        technical=True
    )


@pytest.mark.filterwarnings("ignore:sparsity=0.001 removed nothing")
def test_other_models_have_their_epochs_where_they_are_known(path):
    options = {"sensitive_features": PEOPLE["sex"], "n_boot": 20}
    named_models = audit(dict(path.items_by_name()), X, Y, **options)
    assert named_models.overall["finetune_epochs"].tolist() == [0, 0, 40, 0, 40]
    assert "budgets" not in named_models.about
    assert not any(
        "against 40" in note or "after 40 epochs:" in note for note in named_models.notes
    )
    pruner = path.at(0.5)
    alone = audit(pruner, X, Y, **options)
    assert alone.overall["finetune_epochs"].tolist() == [0, 40]
    options |= {"min_group_size": 40}
    hardly = PrunedClassifier(hidden_layer_sizes=(2,), finetune_epochs=3, random_state=0)
    alone = audit(hardly.set_params(sparsity=0.001).fit(X, Y), X, Y, **options)
    assert alone.overall["sparsity"].tolist() == [0, 0]  # no weight, and yet trained on
    assert alone.overall["finetune_epochs"].tolist() == [0, 3]
    codes = (Y == "yes").astype(int)
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=3, random_state=0)
    clf.fit(X, codes)
    mixed = audit({"net": clf.dense_estimator_, "pruned": clf}, X, codes, **options)
    np.testing.assert_array_equal(mixed.overall["finetune_epochs"], [NAN, 3])
    assert AuditReport.from_json(mixed.to_json()).to_json() == mixed.to_json()
    assert "finetune_epochs" not in make_report().overall


def test_a_sparsity_twice_needs_other_budgets():
    clf = PrunedClassifier(hidden_layer_sizes=(4,), finetune_epochs=0, random_state=0)
    twice = clf.pruning_path(X, Y, sparsities=[0, 0.5, 0.5], budgets=[0, 1])
    with pytest.raises(ValueError, match=r"a sparsity twice: .* with budgets \[0, 1\]"):
        audit(twice, X, Y)


def test_a_regressor():
    y = X[:, 0] * X[:, 1]
    reg = PrunedRegressor(hidden_layer_sizes=(16,), schedule="one_shot", random_state=0)
    path = reg.pruning_path(X, y, sparsities=[0, 0.9], budgets=[0, 60])
    report = audit(path, X, y, sensitive_features=PEOPLE["sex"], n_boot=20)
    told = [
        note for note in report.notes if note.startswith("sparsity 0.9: the excessive loss")
    ]
    assert len(told) == 2
    assert AuditReport.from_json(report.to_json()).notes == report.notes
