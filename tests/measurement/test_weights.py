"""Row weights of an audit: what they change, what they leave, and which are refused."""

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, make_scorer
from torch.utils.data import Subset, TensorDataset

from sklearn_fairprune import AuditReport, audit_predictions
from sklearn_fairprune.measurement.digests import rows_digest
from sklearn_fairprune.measurement.held_out import HeldOut
from sklearn_fairprune.measurement.weights import given_rows
from sklearn_fairprune.statistics.weights import check_weights

RNG = np.random.default_rng(0)
N = 400
Y = RNG.choice(["no", "yes"], N)
PEOPLE = pd.DataFrame({"sex": RNG.choice(["f", "m"], N), "age": RNG.choice([30, 60], N)})
DENSE = np.clip(np.where(Y == "yes", 0.7, 0.3) + RNG.normal(0, 0.2, N), 0.01, 0.99)
HARM = (PEOPLE["sex"] == "f").to_numpy() & (RNG.random(N) < 0.4)
PRUNED = np.where(HARM, 1 - DENSE, DENSE)
WEIGHTS = RNG.lognormal(0, np.log(2) ** 0.5, N)
GIVEN = {"dense": DENSE, "pruned": PRUNED}
TABLES = ("by_group", "overall", "payers", "changes")


def unweighted(y_true, y_pred):
    """Share of equal labels, of rows that all count once."""
    return float((np.asarray(y_true) == np.asarray(y_pred)).mean())


METRICS = {"f1": f1_score, "auc": "roc_auc", "own": unweighted}


def report_of(rows=slice(None), weights=WEIGHTS, people=PEOPLE, **options):
    options = {"n_boot": 20, "min_group_size": 20} | options
    given = {name: p[rows] for name, p in GIVEN.items()}
    w = None if weights is None else weights[rows]
    return audit_predictions(
        Y[rows], given, sensitive_features=people.iloc[rows], sample_weight=w, **options
    )


@pytest.fixture(scope="module")
def weighted():
    return report_of(metrics=METRICS)


@pytest.fixture(scope="module")
def plain():
    return report_of(weights=None)


def same(ours, theirs, *, columns=None, rtol=1e-12):
    """All tables of both reports are the same, in the columns that both have."""
    for feature, one in ours.by_feature.items():
        for name in TABLES:
            a, b = getattr(one, name), getattr(theirs.by_feature[feature], name)
            known = [c for c in b if c in a and (columns is None or columns(c))]
            assert known
            if "sentence" in known:
                a = a.assign(sentence=a["sentence"].str.replace("effective rows", "rows"))
                b = b.assign(sentence=b["sentence"].str.replace("effective rows", "rows"))
            pd.testing.assert_frame_equal(
                a[known], b[known], rtol=rtol, atol=1e-12, check_dtype=False
            )


@pytest.mark.parametrize("weight", [1.0, 7.0, 0.1])
def test_equal_weights_change_nothing(plain, weight):
    equal = report_of(weights=np.full(N, weight))
    same(equal, plain)
    for one, other in zip(equal.by_feature.values(), plain.by_feature.values(), strict=True):
        assert set(one.by_group) - set(other.by_group) == {"effective_rows", "weight_share"}
        np.testing.assert_array_equal(one.by_group["effective_rows"], one.by_group["rows"])
        pd.testing.assert_frame_equal(one.changed_rows, other.changed_rows)
        assert [f.replace("effective rows", "rows") for f in one.findings] == other.findings


def test_the_unit_of_the_weights_does_not_matter(weighted):
    same(report_of(weights=WEIGHTS * 7), weighted)


def test_rows_of_weight_0_are_left_out():
    weights = np.where(RNG.random(N) < 0.3, 0, WEIGHTS)
    kept = np.flatnonzero(weights)
    ours, theirs = report_of(weights=weights), report_of(kept, weights)
    same(ours, theirs)
    assert ours.about["rows"] == len(kept)
    assert ours.about["rows_of_weight_0"] == N - len(kept)
    assert any(f"{N - len(kept)} more rows have weight 0." in note for note in ours.notes)
    assert not any("weight 0" in note for note in theirs.notes)
    listed = kept[theirs.changed_rows["row"]]
    assert ours.changed_rows["row"].tolist() == listed.tolist()  # among all rows
    assert AuditReport.from_json(ours.to_json()).about == ours.about


def estimate(column):
    return not column.endswith(("_low", "_high")) and column not in (
        *("rows", "changed", "harmed", "helped", "effective_rows", "top_rows"),
        *("p_value", "p_value_holm", "own", "own_difference", "verdict", "sentence"),
        *("possible", "lead_low", "rival", "top_share"),
    )


def test_whole_weights_are_repeated_rows_but_not_surer():
    counts = RNG.integers(1, 4, N).astype(float)
    again = np.repeat(np.arange(N), counts.astype(int))
    ours, theirs = report_of(weights=counts), report_of(again, None)
    same(ours, theirs, columns=estimate)
    found, repeated = ours.by_group, theirs.by_group
    assert (found["effective_rows"] < found["rows"]).all()
    for name in ("accuracy", "loss", "excessive_loss", "selection_rate", "precision"):
        ends = (f"{name}_high", f"{name}_low")
        wide, narrow = (
            t.loc["pruned", ends[0]] - t.loc["pruned", ends[1]] for t in (found, repeated)
        )
        assert (wide > narrow).all(), name


def test_the_order_of_the_rows_does_not_matter(weighted):
    order = RNG.permutation(N)
    drawn = ("fairness_violation", "balanced_accuracy", "f1", "auc", "own")

    def exact(column):  # not from bootstrap samples, which depend on the order
        return not column.startswith(drawn) or estimate(column)

    same(report_of(order), weighted, columns=exact)


def test_weights_are_taken_by_position_whatever_their_index(weighted):
    series = pd.Series(WEIGHTS, index=RNG.permutation(N))
    ours = audit_predictions(
        Y,
        GIVEN,
        sensitive_features=PEOPLE,
        sample_weight=series,
        n_boot=20,
        min_group_size=20,
    )
    same(ours, weighted)


def test_every_mean_is_weighted(weighted):
    by_group, overall = weighted.by_feature["sex"].by_group, weighted.overall
    labels = {name: np.where(p > 0.5, "yes", "no") for name, p in GIVEN.items()}
    losses = {n: -np.log(np.where(Y == "yes", p, 1 - p)) for n, p in GIVEN.items()}
    for model, predicted in labels.items():
        for sex in ("f", "m"):
            rows, row = (PEOPLE["sex"] == sex).to_numpy(), by_group.loc[(model, sex)]
            w = WEIGHTS[rows]

            def mean(values, of=None, rows=rows):
                kept = rows if of is None else rows & of
                return np.average(np.asarray(values, dtype=float)[kept], weights=WEIGHTS[kept])

            told = {
                "accuracy": mean(predicted == Y),
                "loss": mean(losses[model]),
                "excessive_loss": mean(losses[model] - losses["dense"]),
                "accuracy_drop": mean(labels["dense"] == Y) - mean(predicted == Y),
                "selection_rate": mean(predicted == "yes"),
                "true_positive_rate": mean(predicted == "yes", Y == "yes"),
                "false_positive_rate": mean(predicted == "yes", Y == "no"),
                "precision": mean(Y == "yes", predicted == "yes"),
                "balanced_accuracy": (
                    mean(predicted == "yes", Y == "yes") + mean(predicted == "no", Y == "no")
                )
                / 2,
                "f1": f1_score(Y[rows], predicted[rows], pos_label="yes", sample_weight=w),
                "own": (predicted == Y)[rows].mean(),
                "weight_share": w.sum() / WEIGHTS.sum(),
                "effective_rows": w.sum() ** 2 / (w**2).sum(),
            }
            for name, value in told.items():
                assert row[name] == pytest.approx(value, abs=1e-6), name
        right = np.average(predicted == Y, weights=WEIGHTS)
        assert overall.loc[model, "accuracy"] == pytest.approx(right)
        assert overall.loc[model, "loss"] == pytest.approx(
            np.average(losses[model], weights=WEIGHTS), abs=1e-6
        )
    sexes = weighted.by_feature["sex"].overall.loc["pruned"]
    damage = by_group.loc["pruned", "excessive_loss"]
    assert sexes["fairness_violation"] == pytest.approx(damage.max() - damage.min())
    assert sexes["accuracy_spread"] == pytest.approx(
        np.ptp(by_group.loc["pruned", "accuracy"])
    )
    moved = labels["dense"] != labels["pruned"]
    changes = weighted.by_feature["sex"].changes.loc["pruned"]
    for sex, row in changes.iterrows():
        rows = (PEOPLE["sex"] == sex).to_numpy()
        share = np.average(moved[rows], weights=WEIGHTS[rows])
        assert row["changed_share"] == pytest.approx(share)
        assert row["changed"] == (moved & rows).sum()
        among = WEIGHTS[moved & rows].sum() / WEIGHTS[moved].sum()
        assert row["representation"] == pytest.approx(
            among / (WEIGHTS[rows].sum() / WEIGHTS.sum())
        )


def test_weights_decide_who_pays(plain, weighted):
    women, men = ((PEOPLE["sex"] == sex).to_numpy() for sex in "fm")
    lost = (DENSE > 0.5) == (Y == "yes")
    spared = np.where(women & HARM & lost, 0.02, 1.0)  # the harmed women hardly count
    named = plain.by_feature["sex"].payers.loc[("pruned", "decisions"), "verdict"]
    assert named == "pays most"
    other = report_of(weights=spared).by_feature["sex"]
    assert other.payers.loc[("pruned", "decisions"), "verdict"] != "pays most"
    assert men.any()


def test_groups_are_compared_by_effective_rows():
    weights = np.ones(N)
    first = np.flatnonzero(PEOPLE["sex"] == "m")[0]
    weights[first] = 1e3  # one man outweighs all others
    with pytest.warns(UserWarning, match="20 effective rows: m"):
        report = report_of(weights=weights, people=PEOPLE[["sex"]])
    note = next(n for n in report.notes if n.startswith("Groups with fewer than"))
    assert "min_group_size=20 effective rows: m (1." in note
    assert report.findings[0].startswith("pruned: too few rows to compare, so that nothing is")
    read = AuditReport.from_json(report.to_json())
    assert "(too few to compare)" in read.to_markdown(technical=True)


def test_a_report_says_that_and_what_is_weighted(weighted, plain):
    worth = WEIGHTS.sum() ** 2 / (WEIGHTS**2).sum()
    assert weighted.about["effective_rows"] == pytest.approx(worth)
    told = f"the {N} rows are worth {worth:.1f} effective rows"
    page = weighted.to_html()
    for text in (str(weighted), weighted.to_markdown(), page):
        assert told in text
        assert f"{N} held-out rows (weighted: {worth:.1f} effective rows)" in text
        assert "effective" in text
        assert "Not weighted: own has no parameter sample" in text.replace("\\", "")
    assert "with their weights: SHA-256" in weighted.to_markdown(technical=True)
    assert "effective" not in str(plain) + plain.to_markdown()
    assert 'rowsWord": "effective rows' in page
    assert not any("weighted" in note for note in plain.notes)


def test_scorers_get_weights_where_they_take_them(weighted):
    def counted(y_true, y_pred):
        return float(len(y_true))

    metrics = {"acc": make_scorer(accuracy_score), "counted": make_scorer(counted)}
    report = report_of(metrics=metrics)
    assert report.overall.loc["pruned", "acc"] == pytest.approx(
        weighted.overall.loc["pruned", "accuracy"]
    )
    (note,) = (n for n in report.notes if n.startswith("Not weighted"))
    assert "counted has no parameter" in note
    assert not any("acc" in n.split(" ha")[0] for n in [note])


def test_the_digest_is_of_the_weights_too(weighted, plain):
    digests = {
        r.about["rows_sha256"] for r in (weighted, plain, report_of(weights=WEIGHTS * 2))
    }
    assert len(digests) == 3
    rows = pd.DataFrame({"row": np.arange(N)})
    assert plain.about["rows_sha256"] == rows_digest(rows, Y, PEOPLE)
    assert weighted.about["rows_sha256"] == rows_digest(rows, Y, PEOPLE, WEIGHTS)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("wgt", "got the text 'wgt'. Give the column itself"),
        (["a"] * N, "one number per row: could not convert"),
        (WEIGHTS[:-1], rf"{N} of them, got shape \({N - 1},\)"),
        (WEIGHTS[:, None], rf"got shape \({N}, 1\)"),
        (
            np.where(np.arange(N) == 3, -1, WEIGHTS),
            r"at least 0 .* got -1.0 in row 3 \(1 such",
        ),
        (np.where(np.arange(N) == 4, np.nan, WEIGHTS), "finite .* got nan in row 4"),
        (np.where(np.arange(N) == 5, np.inf, WEIGHTS), "finite .* got inf in row 5"),
        (np.zeros(N), "above 0 in some row, got 0 in every row: nothing is left"),
        (np.full(N, 1e308), "have a finite sum"),
        (np.where(PEOPLE["sex"] == "f", 0, WEIGHTS), "every row of f: nothing can be told"),
    ],
)
def test_what_is_no_weight_is_refused_with_a_way_out(weights, message):
    with pytest.raises(ValueError, match=f"sample_weight must .*{message}"):
        audit_predictions(
            Y, GIVEN, sensitive_features=PEOPLE["sex"], sample_weight=weights, n_boot=20
        )


def test_truth_values_and_whole_numbers_are_weights():
    assert check_weights([True, False], 2).tolist() == [1, 0]
    assert check_weights(pd.Series([1, 2]), 2).dtype == np.float64


def test_rows_of_weight_0_of_a_dataset_are_left_out():
    data = TensorDataset(torch.arange(3.0), torch.arange(3))
    given = given_rows(data, None, None, [1, 0, 2])
    assert isinstance(given.X, Subset)
    assert [x.item() for x, _ in given.X] == [0, 2]
    assert (given.y, given.weights.tolist(), given.kept.tolist()) == (None, [1, 2], [0, 2])


def test_a_group_of_a_held_out_row_counts_by_its_weight():
    losses, groups = np.array([[0.0, 1], [0, 0], [0, 1]]), np.array([0, 0, 1])
    rng, weights = np.random.default_rng(0), np.array([1.0, 3, 4])
    rows = HeldOut(losses, None, groups, groups, 2, 0.95, 5, rng, weights=weights)
    np.testing.assert_allclose(rows.loss[:, 1], [0.25, 1])
    np.testing.assert_allclose(rows.excess[:, 1], [0.25, 1])
    np.testing.assert_allclose(rows.together.loss[0], [0, 5 / 8])
    assert rows.shares.tolist() == [0.5, 0.5]
    np.testing.assert_allclose(rows.effective, [1.6, 1])


def test_a_drop_on_rows_of_large_weight_is_less_sure():
    groups, weights = np.zeros(100, dtype=int), np.where(np.arange(100) < 50, 5.0, 1.0)
    widths = []
    for lost in (slice(0, 10), slice(50, 100)):  # both a sixth of the weight
        correct = np.ones((100, 2))
        correct[lost, 1] = 0
        rng = np.random.default_rng(0)
        rows = HeldOut(1 - correct, correct, groups, groups, 1, 0.95, 5, rng, weights=weights)
        drop = rows.right(0).value - rows.right(1).value
        assert drop == pytest.approx(1 / 6)
        low, high = rows.paired_differences(1)
        widths.append((high - low)[0])
    assert widths[0] > 1.05 * widths[1]


def test_rounding_makes_no_share_larger_than_1():
    y = np.arange(300) % 2
    for seed in range(20):
        weights = np.random.default_rng(seed).lognormal(size=len(y))
        report = audit_predictions(
            y, {"dense": y, "pruned": y}, sample_weight=weights, n_boot=20, min_group_size=1
        )
        for table in (report.overall, report.by_group):
            shares = table.filter(regex="accuracy(_low|_high)?$").drop(
                columns="accuracy_spread", errors="ignore"
            )
            assert shares.to_numpy().max() <= 1
