"""Groups in a report: names, codes, and what number and sizes mean for a diagnosis."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from estimator_cases import Net, make, make_net
from scipy.stats import spearmanr
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import PrunedRegressor, diagnose
from sklearn_fairprune.measurement.groups import (
    as_tuple,
    group_label,
    group_rows,
    small_groups,
)
from sklearn_fairprune.statistics import rank_correlation

Y = np.array(["no", "yes", "no", "no"])


@pytest.mark.parametrize(
    "given",
    [
        ["b", "a", "b", "c"],
        np.array(["b", "a", "b", "c"]),
        pd.Series(["b", "a", "b", "c"], index=[9, 3, 5, 1]),
        pl.Series(["b", "a", "b", "c"]),
    ],
    ids=lambda given: type(given).__module__,
)
def test_one_sensitive_feature_in_any_container(given):
    names, codes, labels = group_rows(given, Y, True)
    assert names == ["sensitive_feature_0"]
    assert codes.tolist() == [1, 0, 1, 2]
    assert labels.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize("frame", [pd.DataFrame, pl.DataFrame])
def test_several_sensitive_features_mean_their_intersections(frame):
    given = frame({"sex": ["f", "m", "f", "f"], "age": [40, 40, 20, 40]})
    names, codes, labels = group_rows(given, Y, True)
    assert names == ["sex", "age"]
    assert codes.tolist() == [1, 2, 0, 1]
    assert [tuple(label) for label in labels] == [("f", 20), ("f", 40), ("m", 40)]


def test_name_of_a_series_is_kept():
    assert group_rows(pd.Series([1, 2, 1, 1], name="region"), Y, True)[0] == ["region"]


@pytest.mark.parametrize("y", [Y, np.array([3, 7, 3, 3]), np.array([False, True] * 2)])
def test_classes_that_occur_are_the_groups_of_a_classifier(y):
    names, codes, labels = group_rows(None, y, True)
    assert names == ["class"]
    assert (labels[codes] == y).all()
    assert len(labels) == 2


@pytest.mark.parametrize("shape", [(4,), (4, 2)])
def test_a_regressor_has_one_group(shape):
    names, codes, labels = group_rows(None, np.ones(shape), False)
    assert (names, codes.tolist(), labels.tolist()) == (["group"], [0] * 4, ["all"])


def test_sensitive_features_go_before_classes():
    for classifies in (True, False):
        names, codes, _ = group_rows([5, 6, 5, 5], Y, classifies)
        assert names == ["sensitive_feature_0"]
        assert codes.tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["a", "b"], "has 2 and X has 4 rows"),
        (["a", "b", None, "a"], "is missing in 1 of 4 rows"),
    ],
)
def test_unusable_features_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        group_rows(given, Y, True)


@pytest.mark.parametrize(
    ("label", "parts", "text"),
    [
        ("a", ("a",), "a"),
        ("a & b", ("a & b",), "a & b"),
        (7, (7,), "7"),
        (("f", 20), ("f", 20), "f & 20"),
        (("f",), ("f",), "f"),
    ],
)
def test_label(label, parts, text):
    assert as_tuple(label) == parts
    assert group_label(label) == text


def test_small_groups_are_named_with_their_sizes():
    sizes, labels = np.array([29, 30, 3]), ["a", "b", ("f", 20)]
    (note,) = small_groups(labels, sizes, 30, "They are few.")
    assert note.startswith("Groups with fewer than min_group_size=30 rows: a (29), f & 20 (3)")
    assert note.endswith("rows: a (29), f & 20 (3). They are few.")
    assert small_groups(labels, sizes, 3, "They are few.") == []


# What groups mean for a diagnosis

RNG = np.random.default_rng(0)
SIZES = {"a": 40, "b": 30, "c": 20}
GROUPS = RNG.permutation(np.repeat(list(SIZES), list(SIZES.values())))
X = RNG.normal(size=(90, 4)) + (GROUPS == "c")[:, None]
CODES = np.digitize(X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=90), [0.3, 1.5])
ONE_ROW = "the mean over the groups is NaN where one of them is"


@pytest.fixture(scope="module")
def clf():
    net = make_net(Net, module__n_out=3, max_epochs=8)
    return make(net, sparsity=0.7).fit(X, CODES)


def run(estimator, X=X, y=CODES, **options):
    given = {"sensitive_features": GROUPS, "n_boot": 20, "bound_samples": 0} | options
    return diagnose(estimator, X, y, **given)


def widths(report):
    table, names = report.by_group, [c[:-4] for c in report.by_group if c.endswith("_low")]
    return pd.DataFrame({n: table[f"{n}_high"] - table[f"{n}_low"] for n in names})


def test_names_in_the_same_order_change_nothing(clf):
    one = run(clf)
    two = run(clf, sensitive_features=pd.Series(GROUPS).map({"a": 1, "b": 5, "c": 7}))
    pd.testing.assert_frame_equal(one.by_group, two.by_group.set_index(one.by_group.index))
    pd.testing.assert_frame_equal(one.explanations, two.explanations)


def test_order_of_rows_and_groups_does_not_matter(clf):
    order, back = np.random.default_rng(1).permutation(90), {"a": "z", "b": "y", "c": "x"}
    options = {"dtype": "float64", "n_boot": 4000}
    one = run(clf, **options)
    features = [back[a] for a in GROUPS[order]]
    two = run(clf, X[order], CODES[order], sensitive_features=features, **options)
    renamed = two.by_group.loc[["z", "y", "x"]].set_index(one.by_group.index)
    width = widths(one).max()
    for name in renamed:
        given, now = (t[name].astype(float) for t in (one.by_group, renamed))
        if name.endswith(("_low", "_high")):  # drawn anew: near, not equal
            near = 0.1 * width[name.rsplit("_", 1)[0]]
            np.testing.assert_allclose(now, given, 0, near, err_msg=name)
        else:
            np.testing.assert_allclose(now, given, 1e-6, 1e-9, err_msg=name)
    same = ["rank_correlation", "p_value"]
    pd.testing.assert_frame_equal(two.explanations[same], one.explanations[same])


def test_columns_are_always_in_the_same_order(clf):
    names = ["closeness", "margin"]
    assert [c for c in run(clf).by_group if c in names] == names


def test_intersections_of_two_features(clf):
    old = pd.Series(X[:, 3] > 0, name="old")
    both = pd.DataFrame({"who": GROUPS, "old": old})
    report = run(clf, sensitive_features=both, bound_samples=2)
    assert report.by_group.index.names == ["who", "old"]
    assert report.by_group["rows"].to_dict() == both.value_counts().to_dict()
    joined = run(clf, sensitive_features=GROUPS + old.astype(str).to_numpy(), bound_samples=2)
    np.testing.assert_array_equal(joined.by_group, report.by_group)
    assert "who & old" in str(report)
    assert "a & False (" in report.findings[-1]


def test_classes_and_everyone(clf):
    by_class = run(clf, sensitive_features=None).by_group
    pd.testing.assert_frame_equal(
        by_class, run(clf, sensitive_features=CODES).by_group, check_names=False
    )
    assert by_class.index.name == "class"
    assert by_class["rows"].tolist() == np.bincount(CODES).tolist()
    net = make_net(module__n_out=1, kind=NeuralNetRegressor, criterion=nn.MSELoss)
    reg = make(net, PrunedRegressor).fit(X, X[:, 0])
    table = run(reg, y=X[:, 0], sensitive_features=None, bound_samples=9).by_group
    assert table.index.tolist() == ["all"]
    assert table.index.name == "group"
    for name in ("dense_accuracy", "excess_accuracy_gap", "closeness", "eigenvalue_bound"):
        assert name not in table


def test_one_group_has_nothing_to_compare_and_all_its_numbers(clf):
    report = run(clf, sensitive_features=["x"] * 90)
    assert report.findings == ["One group only, nothing to compare."]
    assert report.explanations["rank_correlation"].isna().all()
    assert set(report.explanations["verdict"]) == {"cannot tell"}
    assert np.isfinite(report.by_group.astype(float)).all(axis=None)
    assert report.by_group["excess_accuracy_gap"].tolist() == [0]
    assert not any("too few" in note for note in report.notes)


def test_fifty_groups(clf, monkeypatch):
    monkeypatch.setattr(rank_correlation, "N_PERMUTATIONS", 99)
    report = run(clf, sensitive_features=np.arange(90) // 2 + 5)
    assert len(report.by_group) == 45
    assert (report.by_group["rows"] == 2).all()
    assert not any("too few" in note or "one row" in note for note in report.notes)
    assert np.isfinite(report.by_group.astype(float)).all(axis=None)


def test_fifty_groups_some_of_one_row(clf, monkeypatch):
    monkeypatch.setattr(rank_correlation, "N_PERMUTATIONS", 99)
    report = run(clf, sensitive_features=np.arange(90) % 50 * (np.arange(90) >= 10))
    table, single = report.by_group, report.by_group["rows"] == 1
    assert 0 < single.sum() < len(table) == 50
    limits = table[[c for c in table if c.endswith(("_low", "_high")) and "acc" not in c]]
    assert limits[single].isna().all(axis=None)
    assert limits[~single].notna().all(axis=None)
    note = next(n for n in report.notes if n.startswith("Groups of one row have no intervals"))
    assert note.removesuffix(".").split(": ")[1].split(", ") == [
        str(name) for name in table.index[single]
    ]
    rest = table[~single]
    slow = spearmanr(rest["excessive_loss"], rest["margin"]).statistic
    row = report.explanations.loc[("excessive_loss", "margin")]
    assert row["rank_correlation"] == pytest.approx(slow)
    assert row["rank_correlation_low"] < slow < row["rank_correlation_high"]


def test_a_group_of_one_row_takes_no_interval_from_the_others(clf):
    table = run(clf, sensitive_features=["x", *GROUPS[1:]]).by_group
    assert table.loc[["a", "b", "c"], "excess_accuracy_gap_low"].notna().all()


@pytest.mark.parametrize("options", [{"max_samples": 1}, {"sensitive_features": range(90)}])
def test_groups_of_one_row_only(clf, options):
    report = run(clf, **options)
    assert report.explanations["rank_correlation"].isna().all()
    assert set(report.explanations["verdict"]) == {"cannot tell"}


@pytest.mark.parametrize(("m", "told"), [(1, False), (2, True), (5, True), (6, False)])
def test_too_few_groups_to_explain_anything(clf, m, told):
    report = run(clf, sensitive_features=np.arange(90) % m)
    few = f"{m} groups are too few to say that a quantity explains who pays"
    assert any(note.startswith(few) for note in report.notes) == told


# At most so many rows of a group


def test_rows_used(clf):
    few, every = run(clf, max_samples=25), run(clf)
    assert few.by_group["rows"].tolist() == [40, 30, 20]
    assert few.by_group["rows_used"].tolist() == [25, 25, 20]
    assert few.notes[0].startswith("At most 25 rows of a group were used (max_samples).")
    assert "max_samples" not in str(every.notes)
    pd.testing.assert_frame_equal(few.by_group, run(clf, max_samples=25).by_group)
    other = run(clf, max_samples=25, random_state=1)
    assert (other.by_group["dense_loss"] != few.by_group["dense_loss"]).tolist() == [1, 1, 0]
    pd.testing.assert_frame_equal(every.by_group, run(clf, max_samples=40).by_group)
    assert "max_samples" not in str(run(clf, max_samples=40).notes)


def test_intervals_widen_with_fewer_rows(clf):
    few, every = (widths(run(clf, max_samples=k, n_boot=500)) for k in (8, None))
    assert ((few / every).median() > 1.2).all()


def test_accuracy_gap_is_against_everyone_however_many_rows_are_used(clf):
    table = run(clf, max_samples=10).by_group
    assert table["excess_accuracy_gap"].abs().max() > 0
    assert table["excess_accuracy_gap"] @ table["rows"] == pytest.approx(0, abs=1e-9)


def test_rows_of_the_costly_bounds(clf):
    costly = {"gradient_norm_bound", "eigenvalue_bound"}
    assert not costly & set(run(clf, bound_samples=0).by_group)
    some, every = run(clf, bound_samples=30), run(clf, bound_samples=40)
    assert costly < set(some.by_group)
    note = "are means over at most 30 rows of a group (bound_samples)"
    assert note in some.notes[-1]
    assert "bound_samples" not in str(every.notes)
    means = [r.by_group["gradient_norm_bound"] for r in (some, every)]
    assert np.isclose(*means, rtol=1e-5).tolist() == [False, True, True]
    both = run(clf, bound_samples=30, max_samples=7)
    assert "at most 7 rows" in both.notes[-1]
