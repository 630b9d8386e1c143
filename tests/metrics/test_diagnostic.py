"""Diagnostics in MetricFrame, against `diagnose`, loops and dense Hessians."""

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_cases import BITS, CODES, GROUPS, LABELS, Pairs, X, make, make_net
from fairlearn.metrics import MetricFrame, make_derived_metric
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn
from torch.autograd.functional import hessian
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from sklearn_fairprune import PrunedRegressor, SampleDiagnostics, diagnose, diagnostic_metrics
from sklearn_fairprune.functional import DIAGNOSTICS, flatten, unflatten
from sklearn_fairprune.metrics import diagnostic

AGE = np.where(BITS[:, 2], "old", "young")
BOTH = pd.DataFrame({"sex": GROUPS, "age": AGE})
ROWS = [name for name, member in DIAGNOSTICS.items() if member.classifiers]
TOGETHER = ["gradient_norm", "largest_eigenvalue", "theorem1_bound"]
BOUNDS = ["gradient_norm_bound", "eigenvalue_bound"]
ALL = [*ROWS, "second_order", *TOGETHER]
INDEX = np.arange(60)


@pytest.fixture(scope="module")
def pruner():
    net = make_net(max_epochs=30, lr=0.5)
    options = {"sparsity": 0.9, "finetune_epochs": 1, "dtype": "float64", "random_state": 4}
    return make(net, **options).fit(X, LABELS)


@pytest.fixture(scope="module")
def source(pruner):
    return diagnostic_metrics(pruner, X, LABELS)


def frame(source, sensitive_features=GROUPS, y=LABELS, **options):
    options = {"y_true": y, "y_pred": y, "sensitive_features": sensitive_features} | options
    return MetricFrame(**source, **options)


def values(source, y=LABELS, index=INDEX):
    """Every metric of some rows."""
    return {k: m(np.asarray(y)[index], None, index=index) for k, m in source.metrics.items()}


def assert_like_diagnose(table, report):
    """Columns that both have are equal."""
    shared = [name for name in table if name in report.by_group]
    np.testing.assert_allclose(table[shared], report.by_group[shared], rtol=1e-6, atol=1e-9)
    assert table.index.tolist() == report.by_group.index.tolist()
    return shared


@pytest.mark.parametrize("groups", [GROUPS, BOTH], ids=["one", "intersections"])
def test_by_group_is_what_diagnose_says(pruner, groups):
    source = diagnostic_metrics(pruner, X, LABELS, quantities=ALL + BOUNDS)
    by_group = frame(source, groups).by_group
    report = diagnose(pruner, X, LABELS, sensitive_features=groups, n_boot=2)
    shared = ["dense_loss", "excessive_loss", "closeness", "margin", "second_order"]
    assert assert_like_diagnose(by_group, report) == [*shared, *TOGETHER, *BOUNDS]
    for name in ("gradient_norm", "largest_eigenvalue"):
        bound = name.removeprefix("largest_") + "_bound"
        assert (by_group[name] > 0).all()
        assert (by_group[name] < by_group[bound]).all()
    total = frame(source, groups).overall
    gaps = by_group["accuracy_drop"] - total["accuracy_drop"]
    np.testing.assert_allclose(gaps, report.by_group["excess_accuracy_gap"], atol=1e-12)


def test_overall_is_that_of_one_group(pruner, source):
    overall = frame(source).overall
    assert overall.index.tolist() == [m.__name__ for m in source.metrics.values()] == ALL
    assert repr(source.metrics["margin"]) == "DiagnosticMetric('margin')"
    one = diagnose(pruner, X, LABELS, sensitive_features=np.full(60, "all"), n_boot=2)
    assert_like_diagnose(overall.to_frame("all").T, one)


def test_row_means_are_those_of_sample_diagnostics(pruner, source):
    table = SampleDiagnostics(pruner).transform(X, y_true=LABELS)
    for group, row in frame(source).by_group[ROWS].iterrows():
        np.testing.assert_allclose(row, table[group == GROUPS].mean(axis=0), rtol=1e-9)
    assert (table[:, 3:].mean(axis=0) > 0).all()  # no column is trivial


def test_numbers_of_rows_together_against_a_dense_hessian(pruner, source):
    by_group = frame(source).by_group[["second_order", *TOGETHER]]
    module = pruner.dense_estimator_.module_.eval()
    params = {k: p.detach() for k, p in module.named_parameters()}
    theta = flatten(params)
    kept = {k: p * pruner.masks_.get(k, torch.tensor(1)) for k, p in params.items()}
    move = flatten(kept) - theta
    for group, row in by_group.iterrows():
        rows = group == GROUPS
        data, y = torch.tensor(X[rows]).double(), torch.tensor(CODES[rows])

        def loss(flat, data=data, y=y):
            return cross_entropy(functional_call(module, unflatten(flat, params), (data,)), y)

        gradient = torch.func.grad(loss)(theta)
        curvature = hessian(loss, theta)
        top, length = torch.linalg.eigvalsh(curvature)[-1], move.norm()
        truth = [
            gradient @ move + move @ curvature @ move / 2,
            gradient.norm(),
            top,
            gradient.norm() * length + top * length**2 / 2,
        ]
        np.testing.assert_allclose(row, torch.stack(truth), rtol=2e-3)
        np.testing.assert_allclose(row[:2], torch.stack(truth[:2]), rtol=1e-9)


def test_difference_ratio_and_control_features(source):
    simple = frame(source, GROUPS)
    low, high = simple.by_group.min(), simple.by_group.max()
    np.testing.assert_allclose(simple.difference(), high - low)
    np.testing.assert_allclose(simple.ratio()["closeness"], (low / high)["closeness"])
    controlled = frame(source, GROUPS, control_features=pd.Series(AGE, name="age"))
    crossed = frame(source, BOTH[["age", "sex"]]).by_group
    np.testing.assert_allclose(controlled.by_group, crossed)
    ages = crossed.groupby(level="age")
    np.testing.assert_allclose(controlled.difference(), ages.max() - ages.min())
    assert controlled.difference().index.tolist() == ["old", "young"]


def test_an_empty_intersection_is_missing(source):
    ages = np.where(GROUPS == "f", "young", AGE)
    by_group = frame(source, BOTH.assign(age=ages)).by_group
    assert by_group.loc["f", "old"].isna().all()
    assert by_group.drop(("f", "old")).notna().all(axis=None)


def test_bootstrap_intervals_of_row_means(pruner):
    source = diagnostic_metrics(pruner, X, LABELS, quantities=["closeness", "second_order"])
    options = {"n_boot": 30, "ci_quantiles": [0.1, 0.5, 0.9], "random_state": 0}
    ours = frame(source, **options)
    column = SampleDiagnostics(pruner, ["closeness"]).transform(X)[:, 0]
    slow = MetricFrame(
        metrics=lambda y_true, y_pred: np.mean(y_pred),
        y_true=LABELS,
        y_pred=column,
        sensitive_features=GROUPS,
        **options,
    )
    for one, two in zip(ours.by_group_ci, slow.by_group_ci, strict=True):
        np.testing.assert_allclose(one["closeness"], two)
    low, _, high = ours.difference_ci()
    assert (low < high).all()


def test_derived_metrics(source):
    by_group = frame(source, BOTH).by_group["closeness"]
    low, high = by_group.min(), by_group.max()
    truth = {"difference": high - low, "ratio": low / high, "group_min": low}
    for transform, value in (truth | {"group_max": high}).items():
        derived = make_derived_metric(
            metric=source.metrics["closeness"],
            transform=transform,
            sample_param_names=["index"],
        )
        found = derived(LABELS, LABELS, sensitive_features=BOTH, index=INDEX)
        assert found == pytest.approx(value)


def test_unknown_quantities_and_targets_of_other_rows_are_refused(pruner, source):
    message = r"unknown \['bogus', 'rows'\]; known.*'second_order'.*'eigenvalue_bound'\]"
    with pytest.raises(ValueError, match=message):
        diagnostic_metrics(pruner, X, LABELS, quantities=["margin", "bogus", "rows"])
    message = "y_true is not the y of these rows that dense_loss was made with. Pass the same"
    for y in (LABELS[::-1], CODES, np.where(LABELS == "no", "No", LABELS)):
        with pytest.raises(ValueError, match=message):
            frame(source, y=y)
    with pytest.raises(ValueError, match=r"inconsistent.*\[60, 59\]"):
        diagnostic_metrics(make().fit(X, LABELS), X, LABELS[1:])
    with pytest.raises(NotFittedError):
        diagnostic_metrics(make(), X, LABELS)


def test_repeated_and_reordered_rows(pruner, source):
    index = np.array([7, 3, 3, 50, 3])
    few = diagnostic_metrics(pruner, X[index], LABELS[index])
    for name, value in values(source, index=index).items():
        truth = few.metrics[name](LABELS[index], None, index=np.arange(5))
        assert value == pytest.approx(truth, rel=1e-6), name
    order = np.random.default_rng(0).permutation(60)
    shuffled = diagnostic_metrics(pruner, X[order], LABELS[order])
    names = np.where(GROUPS[order] == "f", "z", "a")
    one, two = frame(source).by_group, frame(shuffled, names, LABELS[order]).by_group
    np.testing.assert_allclose(one, two.iloc[::-1], rtol=1e-6)


@pytest.mark.parametrize("y", [X[:, 0] - X[:, 1], X[:, :2]], ids=["one", "two"])
def test_regression(y):
    pruner = PrunedRegressor(hidden_layer_sizes=(4,), dtype="float64", random_state=0)
    pruner.fit(X, y)
    source = diagnostic_metrics(pruner, X, y)
    assert list(source.metrics) == [*ROWS[:4], "prediction_change", "second_order", *TOGETHER]
    table = pd.DataFrame(
        {g: values(source, y, np.flatnonzero(g == GROUPS)) for g in ("f", "m")}
    ).T
    report = diagnose(pruner, X, y, sensitive_features=GROUPS, n_boot=2)
    assert len(assert_like_diagnose(table, report)) == 6
    column = SampleDiagnostics(pruner).transform(X, y_true=y)[:, -1]
    assert values(source, y)["prediction_change"] == pytest.approx(column.mean())
    if y.ndim == 1:
        np.testing.assert_allclose(frame(source, y=y).by_group, table)
    with pytest.raises(ValueError, match="known for this network"):
        diagnostic_metrics(pruner, X, y, quantities=["closeness"])


class SquaredHinge(nn.Module):
    """A loss of margins, whose outputs are no probabilities."""

    reduction = "mean"

    def forward(self, scores, y):
        truth = scores.gather(1, y[:, None])
        losses = ((scores - truth + 1).clamp(min=0) ** 2).sum(1)
        return losses if self.reduction == "none" else losses.mean()


def test_a_net_without_probabilities():
    pruner = make(make_net(criterion=SquaredHinge), dtype="float64").fit(X, LABELS)
    source = diagnostic_metrics(pruner, X, LABELS)
    assert list(source.metrics) == [n for n in ALL if n not in ("closeness", "margin")]
    scores = pruner.dense_estimator_.module_(torch.tensor(X).double()).detach()
    truth = SquaredHinge()(scores, torch.tensor(CODES))
    assert values(source)["dense_loss"] == pytest.approx(truth.item())
    report = diagnose(pruner, X, LABELS, sensitive_features=GROUPS, n_boot=2)
    assert_like_diagnose(frame(source).by_group, report)
    for name in ("closeness", "margin", *BOUNDS):
        with pytest.raises(ValueError, match=name):
            diagnostic_metrics(pruner, X, LABELS, quantities=[name])
    kinked = make(make_net(criterion=nn.MultiMarginLoss), sparsity=0).fit(X, LABELS)
    source = diagnostic_metrics(kinked, X, LABELS, quantities=["dense_loss", "gradient_norm"])
    assert (frame(source).by_group > 0).all(axis=None)


def test_an_eigenvalue_without_convergence_warns(pruner, source, monkeypatch):
    truth = values(source)
    slow = diagnostic.largest_eigenvalue
    monkeypatch.setattr(
        diagnostic, "largest_eigenvalue", lambda *args: slow(*args, max_products=1)
    )
    message = r"eigenvalue of 60 rows did not converge; \S+ \(residual \S+\) is a lower bound"
    for name in ("largest_eigenvalue", "theorem1_bound"):
        with pytest.warns(ConvergenceWarning, match=message):
            value = source.metrics[name](LABELS, None, index=INDEX)
        assert value < truth[name]


def test_a_dense_network_is_harmed_by_nothing():
    found = values(diagnostic_metrics(make(sparsity=0).fit(X, LABELS), X, LABELS))
    for name in ("excessive_loss", "second_order", "theorem1_bound", "prediction_changed"):
        assert found[name] == 0
    assert found["gradient_norm"] > 0


def test_estimators_in_all_wrappings():
    model = make(dtype="float64")
    piped = make_pipeline(StandardScaler(), model).fit(X, LABELS)
    plain = model.fit(piped[0].transform(X), LABELS)
    truth = values(diagnostic_metrics(plain, piped[0].transform(X), LABELS))
    search = GridSearchCV(piped, {}, cv=2).fit(X, LABELS)
    for estimator in (piped, FrozenEstimator(piped), search):
        assert values(diagnostic_metrics(estimator, X, LABELS)) == pytest.approx(truth)
    net = make_net().fit(X, CODES)
    found = values(diagnostic_metrics(net, Pairs(X, CODES), CODES), CODES)
    again = values(diagnostic_metrics(net, X, pd.Series(CODES, index=INDEX + 9)), CODES)
    assert found == pytest.approx(again, rel=1e-4, abs=1e-6)
    assert found["excessive_loss"] == 0


def test_row_values_are_computed_once_and_in_the_dtype_asked_for(pruner, monkeypatch):
    asked = []

    def counting(*args):
        asked.append(list(args[-1]))
        return slow(*args)

    slow = diagnostic.row_diagnostics
    monkeypatch.setattr(diagnostic, "row_diagnostics", counting)
    names = ["closeness", "pruned_loss"]
    source = diagnostic_metrics(pruner, X, LABELS, quantities=names, dtype="float32")
    assert asked == []
    one = frame(source, BOTH, n_boot=3, ci_quantiles=[0.5]).overall
    assert asked == [["closeness"], ["pruned_loss"]]
    two = frame(diagnostic_metrics(pruner, X, LABELS, quantities=names)).overall
    np.testing.assert_allclose(one, two, rtol=1e-5)
    assert (one != two).any()


def test_weighted_metrics_are_those_of_a_weighted_diagnosis(pruner):
    weights = np.linspace(0.1, 3, 60)
    source = diagnostic_metrics(pruner, X, LABELS, sample_weight=weights)
    report = diagnose(
        pruner, X, LABELS, sensitive_features=GROUPS, n_boot=2, sample_weight=weights
    )
    assert_like_diagnose(frame(source).by_group, report)
    plain = frame(diagnostic_metrics(pruner, X, LABELS)).by_group
    assert (abs(plain["gradient_norm"] - frame(source).by_group["gradient_norm"]) > 1e-6).all()
    with pytest.raises(ValueError, match=r"sample_weight must .* got shape \(59,\)"):
        diagnostic_metrics(pruner, X, LABELS, sample_weight=weights[1:])
