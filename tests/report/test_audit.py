"""The audit against a slow truth in pandas, and what a reader must be told."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import PrunedClassifier, audit
from sklearn_fairprune.estimators.unwrap import dense_twin


class Table(ClassifierMixin, BaseEstimator):
    """Predicts the probabilities stored in X[:, column] (as of class "b")."""

    def __init__(self, column):
        self.column = column
        self.classes_ = np.array(["a", "b"])

    def predict_log_proba(self, X):
        p = X[:, self.column]
        return np.log(np.column_stack([1 - p, p]))

    def predict(self, X):
        return self.classes_[(X[:, self.column] > 0.5).astype(int)]


class Column(RegressorMixin, BaseEstimator):
    def __init__(self, column):
        self.column = column

    def predict(self, X):
        return X[:, self.column]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = rng.uniform(0.05, 0.95, size=(300, 3))
    y = np.where(rng.random(300) < X[:, 0], "b", "a")
    groups = pd.DataFrame({"sex": rng.choice(["f", "m"], 300), "old": rng.random(300) < 0.3})
    return X, y, groups


MODELS = {"dense": Table(0), "half": Table(1), "tiny": Table(2)}


def test_numbers_agree_with_pandas(data):
    X, y, groups = data
    report = audit(MODELS, X, y, sensitive_features=groups, min_group_size=1, n_boot=50)
    truth = (y == "b").astype(int)
    for name, model in MODELS.items():
        p = X[:, model.column]
        rows = groups.assign(
            accuracy=model.predict(X) == y,
            loss=-np.log(np.where(truth == 1, p, 1 - p)),
            dense_loss=-np.log(np.where(truth == 1, X[:, 0], 1 - X[:, 0])),
            dense_right=MODELS["dense"].predict(X) == y,
        )
        slow = rows.groupby(["sex", "old"]).mean()
        ours = report.by_group.loc[name]
        np.testing.assert_allclose(ours["accuracy"], slow["accuracy"])
        np.testing.assert_allclose(ours["loss"], slow["loss"])
        excess = slow["loss"] - slow["dense_loss"]
        np.testing.assert_allclose(ours["excessive_loss"], excess, atol=1e-12)
        drop = slow["dense_right"] - slow["accuracy"]
        np.testing.assert_allclose(ours["accuracy_drop"], drop, atol=1e-12)
        total = report.overall.loc[name]
        np.testing.assert_allclose(total["loss"], log_loss(truth, p))
        np.testing.assert_allclose(
            total["balanced_accuracy"], balanced_accuracy_score(y, model.predict(X))
        )
        np.testing.assert_allclose(
            total["fairness_violation"], excess.max() - excess.min(), atol=1e-12
        )
        np.testing.assert_allclose(
            total["accuracy_spread"], slow["accuracy"].max() - slow["accuracy"].min()
        )
        np.testing.assert_allclose(
            total["accuracy_ratio"], slow["accuracy"].min() / slow["accuracy"].max()
        )


def test_limits_enclose_the_estimates(data):
    X, y, groups = data
    report = audit(MODELS, X, y, sensitive_features=groups["sex"], n_boot=200)
    for frame in (report.by_group, report.overall):
        for low in [c for c in frame if c.endswith("_low")]:
            value = frame[low.removesuffix("_low")]
            assert (frame[low] <= value + 1e-12).all()
            assert (value <= frame[low.replace("_low", "_high")] + 1e-12).all()


def test_row_order_and_group_names_do_not_matter(data):
    X, y, groups = data
    order = np.random.default_rng(1).permutation(len(y))
    one = audit(MODELS, X, y, sensitive_features=groups["sex"], n_boot=20)
    two = audit(
        MODELS,
        X[order],
        y[order],
        n_boot=20,
        sensitive_features=groups["sex"].map({"f": "z", "m": "y"}).iloc[order],
    )
    exact = ["rows", "accuracy", "loss", "excessive_loss", "accuracy_drop", "accuracy_low"]
    renamed = two.by_group.rename(index={"z": "f", "y": "m"}).loc[one.by_group.index]
    pd.testing.assert_frame_equal(
        one.by_group[exact], renamed[exact], check_index_type=False, check_names=False
    )


def test_a_group_that_pays_is_named_and_noise_is_not():
    rng = np.random.default_rng(0)
    n = 400
    y = rng.choice(["a", "b"], n)
    groups = np.repeat(["black", "white"], n // 2)
    right = np.where(y == "b", 0.9, 0.1)
    harmed = np.where(groups == "black", 0.5 + 0.1 * (right - 0.5), right)
    noise = np.clip(right + rng.normal(0, 0.03, n), 0.01, 0.99)
    X = np.column_stack([right, harmed, noise])
    report = audit(
        {"dense": Table(0), "harmed": Table(1), "noise": Table(2)},
        X,
        y,
        sensitive_features=groups,
    )
    by_decisions, by_loss, *noise = report.findings
    assert by_decisions.startswith("harmed, by decisions: no group pays more than 0.5 points")
    assert by_loss.startswith(
        "harmed, by loss: black (200 rows) pays most: excessive loss +0."
    )
    assert not any("pays most:" in line for line in noise)
    assert report.overall.loc["harmed", "fairness_violation_low"] > 0
    assert report.overall.loc["noise", "fairness_violation_low"] == 0


def test_small_groups_warn_and_stay(data):
    X, y, _ = data
    groups = np.array(["big"] * 299 + ["tiny"])
    with pytest.warns(UserWarning, match=r"min_group_size=75 rows: tiny \(1\)") as caught:
        report = audit(MODELS, X, y, sensitive_features=groups, n_boot=20)
    assert [warning.filename for warning in caught] == [__file__]
    tiny = report.by_group.loc[("half", "tiny")]
    assert tiny["rows"] == 1
    assert np.isnan(tiny["excessive_loss_low"])  # unknown, and not a width of zero
    assert tiny["accuracy_high"] - tiny["accuracy_low"] > 0.9
    assert "n/a" in str(report)
    assert "tiny (1)" in report.notes[0]


def pay(sizes, drops, seed=0):
    """Audit of a model that turns right predictions wrong in a share of each group's rows."""
    rng = np.random.default_rng(seed)
    groups = np.repeat(list(sizes), list(sizes.values()))
    y = rng.choice(["a", "b"], len(groups))
    right = np.where(y == "b", 0.9, 0.1)
    wrong = rng.random(len(groups)) < np.array([drops[g] for g in groups])
    X = np.column_stack([right, np.where(wrong, 1 - right, right)])
    models = {"dense": Table(0), "pruned": Table(1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return audit(models, X, y, sensitive_features=groups, n_boot=20)


def test_a_tiny_group_neither_hides_a_verdict_nor_widens_the_gaps():
    sizes = {"A": 900, "B": 600, "C": 4}
    report = pay(sizes, {"A": 0.2, "B": 0.07, "C": 1.0})
    assert report.findings[0].startswith("pruned, by decisions: A (900 rows) pays most: ")
    assert report.findings[-1].startswith("pruned: too few rows to compare: C (4 rows, accura")
    drop = report.by_group.loc["pruned", "accuracy_drop"]
    assert report.overall.loc["pruned", "accuracy_spread"] == pytest.approx(
        drop["A"] - drop["B"]
    )
    assert drop["C"] == 1
    assert report.notes[0] == (
        "Groups with fewer than min_group_size=75 rows: C (4). They are listed, not compared: "
        "no verdict, spread or violation counts them."
    )


def test_a_change_that_is_negligible_is_called_so():
    sizes = {"A": 40_000, "B": 40_000}
    report = pay(sizes, {"A": 0.0035, "B": 0.001})
    assert report.payers.loc[("pruned", "decisions"), "verdict"] == "no group pays"
    assert report.findings[0].startswith("pruned, by decisions: no group pays more than 0.5")
    near = pay(sizes, {"A": 0.052, "B": 0.052}, seed=1)
    assert near.payers.loc[("pruned", "decisions"), "verdict"] == "no group pays more"


def test_two_that_cannot_be_told_apart_are_both_named():
    report = pay({"A": 800, "B": 800, "C": 800}, {"A": 0.2, "B": 0.2, "C": 0.02})
    row = report.payers.loc[("pruned", "decisions")]
    assert (row["verdict"], row["possible"]) == ("one of several", "A or B")
    assert report.findings[0].startswith(
        "pruned, by decisions: A or B: cannot tell between them; not C. The largest accuracy"
    )
    assert "A or B" in report.to_html()


def test_a_model_that_predicts_one_class_is_called_broken(data):
    X, y, groups = data
    X = np.column_stack([X[:, 0], np.full(len(X), 0.9)])
    report = audit(
        {"dense": Table(0), "stuck": Table(1)},
        X,
        y,
        n_boot=20,
        sensitive_features=groups["sex"],
    )
    assert "stuck predicts only b: it is broken" in report.notes[0]
    assert report.overall.loc["stuck", "balanced_accuracy"] == 0.5


def test_classes_are_the_groups_without_sensitive_features(data):
    X, y, _ = data
    report = audit(MODELS, X, y, n_boot=20)
    assert report.by_group.index.names == ["model", "class"]
    recall = (MODELS["half"].predict(X) == y)[y == "a"].mean()
    np.testing.assert_allclose(report.by_group.loc[("half", "a"), "accuracy"], recall)


def test_regression_has_losses_and_no_accuracy(data):
    X, _, groups = data
    report = audit(
        {"dense": Column(0), "pruned": Column(1)},
        X,
        X[:, 2],
        n_boot=20,
        sensitive_features=groups["sex"],
    )
    assert "accuracy" not in report.by_group
    slow = ((X[:, 1] - X[:, 2]) ** 2)[groups["sex"] == "f"].mean()
    np.testing.assert_allclose(report.by_group.loc[("pruned", "f"), "loss"], slow)
    assert "loss J" in str(report)


def test_one_group_is_nothing_to_compare(data):
    X, y, _ = data
    report = audit(MODELS, X, y, sensitive_features=["all"] * len(y), n_boot=20)
    assert "one group only" in report.findings[0]
    assert report.overall["fairness_violation"].eq(0).all()


def test_files(data, tmp_path):
    X, y, groups = data
    report = audit(MODELS, X, y, sensitive_features=groups, min_group_size=1, n_boot=20)
    report.to_json(tmp_path / "a.json")
    read = json.loads((tmp_path / "a.json").read_text())
    assert len(read["by_group"]) == 12
    assert read["by_group"][0]["sex"] == "f"
    paths = report.to_csv(tmp_path / "csv")
    assert len(pd.read_csv(paths[0])) == 12
    assert pd.read_csv(paths[1])["model"].tolist() == list(MODELS)


def test_unknown_numbers_are_null_in_json(data):
    X, y, _ = data
    with pytest.warns(UserWarning, match="tiny"):
        report = audit(MODELS, X, y, sensitive_features=["big"] * 299 + ["tiny"], n_boot=20)
    rows = json.loads(report.to_json())["by_group"]
    assert [r["loss_low"] for r in rows if r["sensitive_feature_0"] == "tiny"] == [None] * 3


def test_unknown_labels_and_no_models_are_refused(data):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"labels that the model does not know: \['c'\]"):
        audit(MODELS, X, np.where(y == "a", "c", y))
    with pytest.raises(ValueError, match="models is empty"):
        audit({}, X, y)


def test_a_single_row_neither_hides_nor_decides_anything(data):
    X, y, _ = data
    groups = np.array(["big"] * 299 + ["tiny"])
    with pytest.warns(UserWarning, match="tiny"):
        report = audit(MODELS, X, y, sensitive_features=groups)
    alone = audit(MODELS, X, y, sensitive_features=["all"] * 300)
    limits = ["loss_low", "loss_high", "balanced_accuracy_low", "balanced_accuracy_high"]
    np.testing.assert_allclose(report.overall[limits], alone.overall[limits], rtol=0.05)
    for finding in report.findings:
        assert "nan" not in finding
        assert "tiny (1 rows) pays most" not in finding


def test_a_path_must_begin_dense():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(40, 3)), np.tile([0, 1], 20)
    path = PrunedClassifier(random_state=0).pruning_path(X, y, sparsities=[0.5, 0])
    with pytest.raises(ValueError, match="begin with sparsity 0"):
        audit(path, X, y)


def test_of_a_pruning_path():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 4))
    y = (X[:, 0] > 0).astype(int)
    path = PrunedClassifier(random_state=0).pruning_path(X, y, sparsities=[0, 0.8])
    report = audit(path, X, y, n_boot=20)
    assert report.overall.index.tolist() == ["sparsity 0", "sparsity 0.8"]
    np.testing.assert_allclose(report.overall["sparsity"], path.achieved)
    assert (report.by_group.loc["sparsity 0", "excessive_loss"] == 0).all()


@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_regression_targets_in_a_column_are_the_same_targets(data, shape):
    X, _, _ = data
    models = {"dense": Column(0), "same": Column(0)}
    report = audit(models, X, X[:, 2].reshape(shape), n_boot=20)
    np.testing.assert_allclose(report.overall["loss"], np.mean((X[:, 0] - X[:, 2]) ** 2))


def test_several_regression_targets():
    class Two(RegressorMixin, BaseEstimator):
        def predict(self, X):
            return X[:, :2]

    X = np.random.default_rng(0).normal(size=(80, 4))
    report = audit({"dense": Two()}, X, X[:, 2:], n_boot=20)
    np.testing.assert_allclose(report.overall["loss"], np.mean((X[:, :2] - X[:, 2:]) ** 2))


def test_a_classifier_without_log_probabilities(data):
    class Plain(Table):
        predict_log_proba = property()

        def predict_proba(self, X):
            return np.column_stack([1 - X[:, self.column], X[:, self.column]])

    X, y, _ = data
    plain, table = (audit({"m": m}, X, y, n_boot=20).overall for m in (Plain(1), Table(1)))
    np.testing.assert_allclose(plain["loss"], table["loss"])


def test_lengths_must_agree(data):
    X, y, _ = data
    with pytest.raises(ValueError, match=r"inconsistent numbers of samples: \[300, 299\]"):
        audit(MODELS, X, y[:-1])


def test_a_loss_has_no_limit_below_zero():
    X = np.array([[0.999]] * 3 + [[0.01]])
    report = audit(
        {"dense": Table(0)}, X, ["b"] * 4, sensitive_features=["g"] * 4, min_group_size=1
    )
    assert report.by_group["loss_low"].item() >= 0
    assert report.overall["loss_low"].item() >= 0


def test_a_pruned_estimator_is_compared_with_its_own_dense_network():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    y, groups = np.where(X[:, 0] > 0, "a", "b"), rng.choice(["f", "m"], 200)
    pruner = PrunedClassifier(sparsity=0.5, hidden_layer_sizes=(4,), random_state=0)
    for model in (pruner, make_pipeline(StandardScaler(), pruner)):
        model.fit(X, y)
        report = audit(model, X, y, sensitive_features=groups, n_boot=20)
        assert report.overall.index.tolist() == ["dense", "pruned"]
        assert report.overall["sparsity"].tolist() == [0, 0.5]
        models = {"dense": dense_twin(model), "pruned": model}
        same = audit(models, X, y, sensitive_features=groups, n_boot=20)
        pd.testing.assert_frame_equal(report.by_group, same.by_group)


@pytest.mark.parametrize("models", [GaussianNB(), GaussianNB, [1, 2], "path"])
def test_what_holds_no_pruned_network_needs_one_to_compare_with(models):
    if hasattr(models, "fit") and not isinstance(models, type):
        models = models.fit([[0.0], [1.0]], [0, 1])
    name = type(models).__name__
    with pytest.raises(TypeError, match=rf"models must be a dict of .* got {name}\."):
        audit(models, [[0.0], [1.0]], [0, 1])
