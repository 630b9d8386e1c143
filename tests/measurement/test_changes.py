"""Changed predictions against counting in pandas."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from sklearn_fairprune.measurement.changes import change_columns, changed_rows
from sklearn_fairprune.measurement.held_out import HeldOut

RNG = np.random.default_rng(1)
N = 300
DENSE, PRUNED, Y = RNG.choice(["a", "b", "c"], (3, N))
PRUNED = np.where(RNG.random(N) < 0.6, DENSE, PRUNED)
GROUPS = RNG.choice(3, N, p=[0.7, 0.2, 0.1])


def columns(dense=DENSE, pruned=PRUNED, confidence=0.95):
    predicted = np.column_stack([dense, pruned])
    right, rng = (predicted == Y[:, None]).astype(float), np.random.default_rng(0)
    rows = HeldOut(1 - right, right, Y, GROUPS, 3, confidence, 2, rng, predicted=predicted)
    return change_columns(rows, 1)


def test_counts_agree_with_pandas():
    rows = pd.DataFrame({"moved": DENSE != PRUNED, "was": DENSE == Y, "is": PRUNED == Y})
    rows["harmed"], rows["helped"] = rows["was"] & ~rows["is"], rows["is"] & ~rows["was"]
    slow = rows.groupby(GROUPS).sum()
    ours = columns()
    assert ours["changed"].tolist() == slow["moved"].tolist()
    assert ours["harmed"].tolist() == slow["harmed"].tolist()
    assert ours["helped"].tolist() == slow["helped"].tolist()
    assert ours["rows"].tolist() == np.bincount(GROUPS).tolist()
    np.testing.assert_allclose(ours["changed_share"], slow["moved"] / ours["rows"])
    share = slow["moved"] / slow["moved"].sum()
    np.testing.assert_allclose(ours["representation"], share / (ours["rows"] / N))


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_limits_are_exact_binomial(confidence):
    ours, a = columns(confidence=confidence), 2
    k, n, total = ours["changed"][a], ours["rows"][a], ours["changed"].sum()
    exact = stats.binomtest(int(k), int(n)).proportion_ci(confidence)
    limits = (ours["changed_share_low"][a], ours["changed_share_high"][a])
    np.testing.assert_allclose(limits, (exact.low, exact.high))
    among = stats.binomtest(int(k), int(total)).proportion_ci(confidence)
    limits = (ours["representation_low"][a], ours["representation_high"][a])
    np.testing.assert_allclose(np.array(limits) * n / N, (among.low, among.high))


@pytest.mark.parametrize("name", ["harmed", "helped"])
def test_rates_for_worse_and_for_better_are_exact(name):
    ours = columns(confidence=0.9)
    for a in range(3):
        test = stats.binomtest(int(ours[name][a]), int(ours["rows"][a]))
        exact = test.proportion_ci(0.9)
        found = [ours[f"{name}_share{end}"][a] for end in ("", "_low", "_high")]
        np.testing.assert_allclose(found, [test.statistic, exact.low, exact.high])


def test_the_paired_test_of_every_group_and_holm_s_correction():
    ours = columns()
    p = np.array(
        [
            stats.binomtest(int(b), int(b + c)).pvalue
            for b, c in zip(ours["harmed"], ours["helped"], strict=True)
        ]
    )
    np.testing.assert_allclose(ours["p_value"], p)
    first, second, third = np.argsort(p)
    held = ours["p_value_holm"]
    assert held[first] == pytest.approx(min(1, 3 * p[first]))
    assert held[second] == pytest.approx(min(1, max(2 * p[second], 3 * p[first])))
    assert held[third] >= held[second]
    same = columns(pruned=DENSE)
    assert same["p_value"].tolist() == same["p_value_holm"].tolist() == [1, 1, 1]


@pytest.mark.slow
def test_changes_in_proportion_are_represented_once():
    hits = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        pruned = np.where(rng.random(N) < 0.3, "z", DENSE)
        ours = columns(pruned=pruned)
        hits += ours["representation_low"][2] <= 1 <= ours["representation_high"][2]
    assert hits >= 188


def test_nothing_changed_is_unknown_and_not_zero():
    ours = columns(pruned=DENSE)
    assert ours["changed"].sum() == 0
    assert np.isnan(ours["representation"]).all()
    assert np.isnan(ours["representation_high"]).all()
    np.testing.assert_array_equal(ours["changed_share"], 0)


def test_rows_come_by_representation_then_by_number():
    representation = columns()["representation"]
    labels = ["x", "y", "z"]
    index = pd.Index([f"person {k}" for k in range(N)])
    table = changed_rows(DENSE, PRUNED, Y, GROUPS, labels, ["town"], representation, index)
    assert sorted(table["row"]) == np.flatnonzero(DENSE != PRUNED).tolist()
    assert table["index"].tolist() == [f"person {k}" for k in table["row"]]
    order = [labels[a] for a in np.argsort(-representation)]
    assert list(dict.fromkeys(table["town"])) == order
    assert table.groupby("town")["row"].apply(lambda rows: rows.is_monotonic_increasing).all()
    for _, row in table.iterrows():
        k = row["row"]
        told = (row["true"], row["dense_prediction"], row["prediction"])
        assert told == (Y[k], DENSE[k], PRUNED[k])
        truth = "harmed" if DENSE[k] == Y[k] else "helped" if PRUNED[k] == Y[k] else None
        assert row["outcome"] == (truth or "wrong both times")


def test_intersections_have_a_column_each_and_names_do_not_clash():
    labels = [("f", 1), ("f", 2), ("m", 1)]
    names = ["true", "row"]
    table = changed_rows(DENSE, PRUNED, Y, GROUPS, labels, names, np.ones(3))
    assert list(table) == [
        "row",
        "true (group)",
        "row (group)",
        "true",
        "dense_prediction",
        "prediction",
        "outcome",
    ]
    first = table.iloc[0]
    assert (first["true (group)"], first["row (group)"]) == labels[GROUPS[first["row"]]]
