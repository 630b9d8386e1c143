"""Laws of the diagnosis: bounds, quadratic losses, prediction, options, any estimator."""

import copy

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from estimator_cases import Net, Pairs, make, make_net
from scipy.sparse import csr_array
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import PrunedRegressor, audit, diagnose
from sklearn_fairprune.estimators.unwrap import dense_twin

RNG = np.random.default_rng(0)
SIZES = {"a": 40, "b": 30, "c": 20}
GROUPS = RNG.permutation(np.repeat(list(SIZES), list(SIZES.values())))
X = RNG.normal(size=(90, 4)) + (GROUPS == "c")[:, None]
X32 = X.astype(np.float32)
Y = (X[:, 0] + X[:, 1] ** 2 + 0.5 * RNG.normal(size=90) > 0.5).astype(np.int64)
EXACT = {"dtype": "float64", "tol": 0, "max_products": 200}


def fitted(**options):
    return make(make_net(Net, max_epochs=8), **options).fit(X, Y)


@pytest.fixture(scope="module")
def clf():
    return fitted(sparsity=0.7)


def run(estimator, X=X, y=Y, **options):
    given = {"sensitive_features": GROUPS, "n_boot": 20, "bound_samples": 0}
    given |= {"min_group_size": 1} | options
    return diagnose(estimator, X, y, **given)


def values(report):
    """Columns that are measured, without their limits."""
    names = [c for c in report.by_group if not c.endswith(("_low", "_high"))]
    return report.by_group[names]


# Laws


@pytest.mark.parametrize("sparsity", [None, 0.2, 0.9])
def test_bounds_hold(clf, sparsity):
    table = run(clf, sparsity=sparsity, bound_samples=100, dtype="float64").by_group
    assert (table["second_order"] <= table["theorem1_bound"]).all()
    assert (table["gradient_norm"] <= table["gradient_norm_bound"]).all()
    assert (table["largest_eigenvalue"] <= table["eigenvalue_bound"]).all()
    assert (table["gradient_norm_low"] >= 0).all()
    assert (table["theorem1_bound_low"] >= 0).all()


def test_it_agrees_with_the_audit(clf):
    report, y = run(clf), Y
    models = {"dense": dense_twin(clf), "pruned": clf}
    told = audit(models, X, y, sensitive_features=GROUPS, n_boot=20, min_group_size=1)
    dense, pruned = (told.by_group.loc[name] for name in models)
    table = report.by_group
    np.testing.assert_allclose(table["excessive_loss"], pruned["excessive_loss"], atol=1e-6)
    np.testing.assert_allclose(table["dense_loss"], dense["loss"], rtol=1e-5)
    for end in ("", "_low", "_high"):
        np.testing.assert_allclose(table[f"dense_accuracy{end}"], dense[f"accuracy{end}"])
    everyone = told.overall.loc["dense", "accuracy"] - told.overall.loc["pruned", "accuracy"]
    gap = pruned["accuracy_drop"] - everyone
    np.testing.assert_allclose(table["excess_accuracy_gap"], gap, atol=1e-12)
    assert table["excess_accuracy_gap"] @ table["rows"] == pytest.approx(0, abs=1e-9)


def test_quadratic_loss_is_estimated_exactly():
    sizes = {"module__in_features": 4, "module__out_features": 1}
    net = make_net(nn.Linear, NeuralNetRegressor, criterion=nn.MSELoss, **sizes)
    reg = make(net, PrunedRegressor).fit(X, X[:, 0] + X[:, 1] ** 2)
    table = run(reg, y=X[:, 0] + X[:, 1] ** 2, **EXACT).by_group
    np.testing.assert_allclose(table["second_order"], table["masked_excessive_loss"])
    assert (table["second_order"].abs() > 0.001).all()
    for a in SIZES:
        rows = np.column_stack([X, np.ones(90)])[a == GROUPS]
        top = np.linalg.eigvalsh(2 * rows.T @ rows / len(rows))[-1]
        assert table.loc[a, "largest_eigenvalue"] == pytest.approx(top)


def test_bound_grows_with_sparsity(clf):
    reports = [run(clf, sparsity=s) for s in (0.1, 0.3, 0.5, 0.7, 0.9)]
    bounds = np.array([r.by_group["theorem1_bound"] for r in reports])
    distances = [r.about["displacement_norm"] for r in reports]
    assert (np.diff(bounds, axis=0) > 0).all()
    assert (np.diff(distances) > 0).all()
    for r in reports:
        np.testing.assert_array_equal(
            r.by_group["gradient_norm"], reports[0].by_group["gradient_norm"]
        )


# Before pruning


def test_prediction_needs_the_dense_network_only(clf):
    pruned = run(clf, sparsity=0.4)
    dense = run(fitted(sparsity=0), sparsity=0.4)
    pd.testing.assert_frame_equal(pruned.by_group, dense.by_group)
    pd.testing.assert_frame_equal(pruned.explanations, dense.explanations)
    assert pruned.findings == dense.findings
    assert pruned.about == dense.about
    assert pruned.about["predicted"]
    assert pruned.about["sparsity"] == 0.4
    assert not {"excessive_loss", "excess_accuracy_gap"} & set(pruned.by_group)
    assert pruned.explanations.index.unique("damage").tolist() == ["masked_excessive_loss"]


@pytest.mark.parametrize("scope", ["global", "layerwise"])
@pytest.mark.parametrize("criterion", ["magnitude", torch.square, torch.neg])
def test_masked_loss_is_that_of_prune_without_data(scope, criterion):
    clf = fitted(scope=scope, criterion=criterion)
    only_masked = copy.deepcopy(clf).prune(sparsity=0.6)
    told = audit(
        {"dense": dense_twin(clf), "masked": only_masked},
        X,
        Y,
        n_boot=2,
        sensitive_features=GROUPS,
        min_group_size=1,
    ).by_group.loc["masked"]
    for report in (run(clf, sparsity=0.6), run(only_masked)):
        masked = report.by_group["masked_excessive_loss"]
        np.testing.assert_allclose(masked, told["excessive_loss"], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(run(only_masked).by_group["excessive_loss"], masked, atol=1e-6)


def test_predicted_order_of_groups(clf):
    report = run(clf, sparsity=0.6)
    order = report.by_group["second_order"].sort_values(ascending=False)
    said = " > ".join(f"{name} ({value:+.3g})" for name, value in order.items())
    assert report.findings[-1] == f"Predicted order of harm, by R2: {said}."
    assert len(report.findings) == 3
    assert "excessive loss before fine-tuning" in report.findings[0]
    assert report.findings[1].startswith("Predicted: ")
    assert "second-order estimate R2" in report.findings[1]
    assert report.findings[-1] in str(report)
    assert len(run(clf).findings) == 4
    assert run(clf, sensitive_features=["all"] * 90).findings == [
        "One group only, nothing to compare."
    ]


def test_group_that_pays_is_named():
    clf = fitted(sparsity=0.9, finetune_epochs=0)
    cost = -np.log(clf.predict_proba(X))[range(90), Y]
    cost += np.log(dense_twin(clf).predict_proba(X))[range(90), Y]
    harmed = np.where(cost > np.quantile(cost, 0.6), "harmed", "spared")
    first, second, _, order = run(clf, sensitive_features=harmed, n_boot=500).findings
    assert first.startswith("harmed (36 rows) pays most: excessive loss +")
    assert second.startswith("harmed (36 rows) pays most: excessive loss before fine-tuning +")
    assert "harmed (" in order


def test_a_dense_network_has_no_damage_to_report():
    report = run(fitted(sparsity=0))
    assert report.about["sparsity"] == 0
    assert report.about["displacement_norm"] is None
    assert report.explanations.empty
    assert report.findings == []
    assert not {"second_order", "theorem1_bound", "excessive_loss"} & set(report.by_group)
    assert "Give sparsity= to predict it" in report.notes[-1]
    assert "Give sparsity= to predict it" in str(report)
    assert report.to_dict()["explanations"] == []


def test_sizes_are_those_of_all_rows_however_many_are_used(clf):
    report = run(clf, max_samples=15)
    assert report.by_group["rows_used"].tolist() == [15] * 3
    damage = report.by_group["excessive_loss"].rank()
    truth = np.corrcoef(damage, [3, 2, 1])[0, 1]
    found = report.explanations.loc[("excessive_loss", "rows"), "rank_correlation"]
    assert found == pytest.approx(truth)


# Options


BAD = {
    "sparsity": [0, 1, -0.1, 90, "half", True, np.nan, [0.5]],
    "max_samples": [0, -1, 2.5, "all"],
    "bound_samples": [-1, 2.5, None, "all"],
    "dtype": ["float16", torch.float64, "int64"],
    "confidence": [0, 1, 95, "high", None, np.nan],
    "n_boot": [1, 0, 2.5, None],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k in BAD for v in BAD[k]])
def test_options_out_of_range_are_refused_by_name(clf, name, value):
    with pytest.raises(ValueError, match=rf"^{name} .*got ") as caught:
        run(clf, **{name: value})
    assert repr(value) in str(caught.value)


UNCHECKED = {
    "tol": [-1, np.nan, "low", None],
    "max_products": [0, -1, 2.5, "many", None],
    "random_state": [-1, "seed", 1.5],
    "max_samples": [True],
    "bound_samples": [True],
}


@pytest.mark.parametrize(("name", "value"), [(k, v) for k in UNCHECKED for v in UNCHECKED[k]])
def test_more_options_out_of_range(clf, name, value):
    with pytest.raises(ValueError, match=f"^{name} "):
        run(clf, **{name: value})


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"y": Y[:-1]}, r"inconsistent numbers of samples: \[90, 89\]"),
        ({"y": Y + 5}, r"labels that are not among the classes \[0, 1\]: \[5, 6\]"),
        ({"y": None}, "requires y"),
        ({"X": X[:, :3]}, "3 features"),
        ({"sensitive_features": GROUPS[1:]}, "has 89 and X has 90 rows"),
        ({"sensitive_features": [None, *GROUPS[1:]]}, "is missing in 1 of 90 rows"),
    ],
)
def test_unusable_data_is_refused(clf, data, message):
    with pytest.raises(ValueError, match=message):
        run(clf, **data)


# Any estimator and any input


def same(one, two, rtol=0.0):
    np.testing.assert_array_equal(one.by_group.index, two.by_group.index)
    pd.testing.assert_frame_equal(one.by_group, two.by_group, rtol=rtol, check_exact=not rtol)
    assert one.notes == two.notes


def test_estimators_around_a_pruner(clf):
    pipeline = make_pipeline(StandardScaler(), fitted()).fit(X, Y)
    same(run(pipeline), run(pipeline[-1], pipeline[0].transform(X)))
    same(run(FrozenEstimator(clf)), run(clf))
    search = GridSearchCV(clf, {"sparsity": [0.3]}, cv=2).fit(X, Y)
    same(run(search), run(search.best_estimator_))
    nothing = StandardScaler(with_mean=False, with_std=False)
    around = make_pipeline(nothing, search).fit(X, Y)
    same(run(around), run(search), rtol=1e-6)


def test_a_bare_net_counts_as_dense(clf):
    net = clf.dense_estimator_
    bare = run(net, X32)
    assert bare.about["sparsity"] == 0
    assert bare.explanations.empty
    both = bare.by_group.columns.intersection(run(clf).by_group.columns)
    exact = [c for c in both if not c.endswith(("_low", "_high", "_bound"))]
    pd.testing.assert_frame_equal(bare.by_group[exact], run(clf).by_group[exact])
    same(run(net, X32, sparsity=0.7), run(clf, sparsity=0.7))


INPUTS = {
    "sparse": lambda: csr_array(X),
    "frame": lambda: pd.DataFrame(X),
    "tensor": lambda: torch.tensor(X),
    "dataset": lambda: Pairs(X32, Y),
}


@pytest.mark.parametrize("name", INPUTS)
def test_any_container(clf, name):
    y = None if name == "dataset" else Y
    same(run(clf, INPUTS[name](), y), run(clf), rtol=1e-4 if name == "dataset" else 0.0)


def test_sensitive_features_of_polars_and_labels_of_text(clf):
    frame = pl.DataFrame({"sex": GROUPS})
    text = np.array(["no", "yes"])[Y]
    words = make(make_net(Net, max_epochs=8), sparsity=0.7).fit(X, text)
    assert run(words, y=text, sensitive_features=None).by_group.index.tolist() == ["no", "yes"]
    report = run(words, y=text, sensitive_features=frame)
    assert report.by_group.index.name == "sex"
    numbers = run(clf)
    pd.testing.assert_frame_equal(
        report.by_group, numbers.by_group, check_names=False, check_like=True
    )


def test_float64_on_request(clf):
    single, double, exact = (run(clf, dtype=d) for d in ("float32", "float64", None))
    same(single, exact)
    assert not single.by_group["dense_loss"].equals(double.by_group["dense_loss"])
    np.testing.assert_allclose(
        single.by_group["dense_loss"], double.by_group["dense_loss"], rtol=1e-5
    )


def test_equal_weights_change_no_diagnosis_and_others_all_means(clf):
    plain = run(clf, **EXACT, bound_samples=10)
    equal = run(clf, **EXACT, bound_samples=10, sample_weight=np.full(90, 7.0))
    numbers = plain.by_group.select_dtypes("number")
    pd.testing.assert_frame_equal(equal.by_group[list(numbers)], numbers, rtol=1e-8)
    pd.testing.assert_frame_equal(equal.explanations, plain.explanations, rtol=1e-8)
    assert equal.by_group["effective_rows"].tolist() == equal.by_group["rows"].tolist()
    weights = np.linspace(0.1, 3, 90)
    other = values(run(clf, **EXACT, sample_weight=weights))
    for name in (
        "dense_loss",
        "gradient_norm",
        "largest_eigenvalue",
        "second_order",
        "margin",
    ):
        assert (abs(other[name] - values(plain)[name]) > 1e-6).all(), name
    report = audit(
        clf,
        X,
        Y,
        sensitive_features=GROUPS,
        sample_weight=weights,
        n_boot=20,
        min_group_size=1,
        explain={"dtype": "float64"},
    )
    measured = report.by_group.loc[report.why.index]
    for name in ("excessive_loss", "effective_rows"):
        np.testing.assert_allclose(report.why[name], measured[name], rtol=1e-5)
    assert sum("Rows are weighted" in note for note in report.notes) == 1


def test_whole_weights_diagnose_like_repeated_rows(clf):
    counts = RNG.integers(0, 4, 90)
    again = np.repeat(np.arange(90), counts)
    ours = values(run(clf, **EXACT, sample_weight=counts))
    theirs = values(run(clf, X[again], Y[again], sensitive_features=GROUPS[again], **EXACT))
    means = [
        name
        for name in theirs
        if name not in ("rows", "rows_used", "hessian_products", "eigenvalue_residual")
    ]
    np.testing.assert_allclose(
        ours[means].astype(float), theirs[means].astype(float), rtol=1e-5, atol=1e-9
    )
    assert ours["rows"].sum() == (counts > 0).sum()
