"""Diagnostics as transformers: row by row against loops, and as scikit-learn has them."""

import pickle

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from estimator_cases import BITS, GROUPS, LABELS, Pairs, X, make, make_net
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks, get_tags
from sklearn.utils.estimator_checks import parametrize_with_checks
from torch.nn.functional import cross_entropy

from sklearn_fairprune import (
    BoundaryCloseness,
    PrunedClassifier,
    PrunedRegressor,
    SampleDiagnostics,
)

FRAME = pd.DataFrame(X, columns=list("abcd"), index=np.arange(60)[::-1])
THREE = np.array(["high", "low", "mid"])[BITS[:, 0] + BITS[:, 1]]
TARGETS = X[:, 0] - X[:, 1]
SHARED = ["dense_loss", "pruned_loss", "excessive_loss", "sample_gradient_norm"]
COLUMNS = [*SHARED, "closeness", "margin", "accuracy_drop", "prediction_changed"]


def strong(y=LABELS, **options):
    """Pruner that has learnt something, which pruning then harms."""
    net = make_net(max_epochs=30, lr=0.5, module__n_out=len(np.unique(y)))
    plain = {"sparsity": 0.9, "finetune_epochs": 0, "dtype": "float64", "random_state": 1}
    return make(net, **(plain | options))


CHECKED = [
    BoundaryCloseness(LogisticRegression()),
    BoundaryCloseness(PrunedClassifier(random_state=0, dtype="float64")),
    SampleDiagnostics(PrunedClassifier(random_state=0, dtype="float64")),
]


@pytest.mark.usefixtures("few_epochs")
@parametrize_with_checks(CHECKED)
def test_of_scikit_learn_without_a_single_expected_failure(estimator, check):
    check(estimator)


@pytest.mark.slow
@pytest.mark.usefixtures("few_epochs")
@parametrize_with_checks([SampleDiagnostics(PrunedClassifier(random_state=0))])
def test_of_scikit_learn_in_single_precision(estimator, check):
    check(estimator)


@pytest.mark.usefixtures("few_epochs")
@pytest.mark.filterwarnings("ignore:X (does not have valid|has) feature names")
@pytest.mark.parametrize(
    "check",
    [
        "param_validation",
        "dataframe_column_names_consistency",
        "inplace_ensure_writeable",
        "transformer_get_feature_names_out",
        "transformer_get_feature_names_out_pandas",
        "set_output_transform",
        "set_output_transform_pandas",
        "set_output_transform_polars",
        "global_output_transform_pandas",
        "global_set_output_transform_polars",
    ],
)
@pytest.mark.parametrize("estimator", CHECKED, ids=["any", "closeness", "diagnostics"])
def test_checks_outside_the_generator(estimator, check):
    check = getattr(estimator_checks, f"check_{check}")
    check(type(estimator).__name__, estimator)


@pytest.fixture(scope="module", params=["two classes", "three classes"])
def case(request):
    y = LABELS if request.param == "two classes" else THREE
    return strong(y).fit(X, y), y


@pytest.fixture(scope="module")
def fitted():
    return strong().fit(X, LABELS)


def loops(pruner, y, loss):
    """The columns that every pruner has, and outputs, one row at a time."""
    rows, outputs = [], []
    nets = [net.module_.eval() for net in (pruner.dense_estimator_, pruner.estimator_)]
    for x, target in zip(torch.tensor(X).double(), y, strict=True):
        out = [net(x[None]) for net in nets]
        dense, pruned = (loss(o, target[None]) for o in out)
        gradient = torch.autograd.grad(dense, list(nets[0].parameters()))
        norm = sum((g**2).sum() for g in gradient).sqrt()
        rows.append([v.item() for v in (dense, pruned, pruned - dense, norm)])
        outputs.append([o[0].detach().numpy() for o in out])
    return np.array(rows), outputs


def test_every_column_of_a_classifier_against_loops(case):
    pruner, y = case
    codes = np.searchsorted(pruner.classes_, y)
    rows, outputs = loops(pruner, torch.tensor(codes), cross_entropy)
    more = []
    for code, (dense, pruned) in zip(codes, outputs, strict=True):
        p = np.exp(dense) / np.exp(dense).sum()
        second, first = np.sort(p)[-2:]
        right = [int(logits.argmax() == code) for logits in (dense, pruned)]
        changed = dense.argmax() != pruned.argmax()
        more.append([1 - sum(v**2 for v in p), first - second, right[0] - right[1], changed])
    table = SampleDiagnostics(pruner).transform(X, y_true=y)
    np.testing.assert_allclose(table, np.hstack([rows, more]), rtol=1e-9, atol=1e-12)
    assert set(np.unique(table[:, -1])) == {0, 1}  # pruning did change predictions
    assert table[:, 6].any()


@pytest.mark.parametrize("y", [TARGETS, np.stack([TARGETS, 2 * X[:, 2]], 1)], ids=["1", "2"])
def test_every_column_of_a_regressor_against_loops(y):
    pruner = PrunedRegressor(hidden_layer_sizes=(4,), dtype="float64", random_state=0)
    pruner.fit(X, y)
    targets = torch.tensor(y).double().reshape(60, -1)
    rows, outputs = loops(pruner, targets, torch.nn.functional.mse_loss)
    change = [[np.sqrt(sum((p - d) ** 2))] for d, p in outputs]
    transformer = SampleDiagnostics(pruner)
    table = transformer.transform(X, y_true=y)
    np.testing.assert_allclose(table, np.hstack([rows, change]), rtol=1e-9, atol=1e-12)
    assert transformer.get_feature_names_out().tolist() == [*SHARED, "prediction_change"]
    with pytest.raises(ValueError, match=r"regressor needs y_true.*transform\(X, y_true=y\)"):
        transformer.transform(X)


def test_without_targets_the_prediction_of_the_dense_network_counts(case):
    pruner, _ = case
    with torch.no_grad():
        logits = pruner.dense_estimator_.module_(torch.tensor(X).double())
    probability = torch.softmax(logits, 1).numpy()
    guess = pruner.classes_[probability.argmax(axis=1)]
    table = SampleDiagnostics(pruner).transform(X)
    np.testing.assert_allclose(table[:, 0], -np.log(probability.max(axis=1)))
    np.testing.assert_array_equal(table, SampleDiagnostics(pruner).transform(X, y_true=guess))


@pytest.mark.parametrize(
    "classifier", [strong(THREE), LogisticRegression(), KNeighborsClassifier()], ids=str
)
def test_boundary_closeness_is_that_of_the_predicted_probabilities(classifier):
    rows = X.astype(np.float64)
    transformer = BoundaryCloseness(classifier).fit(rows, THREE)
    truth = [[1 - sum(v**2 for v in p)] for p in transformer.estimator_.predict_proba(rows)]
    np.testing.assert_allclose(transformer.transform(rows), truth, rtol=1e-12, atol=1e-15)
    assert transformer.get_feature_names_out().tolist() == ["closeness"]


def test_boundary_closeness_needs_probabilities():
    with pytest.raises(ValueError, match=r"'fit' and 'predict_proba'\. Got LinearRegression"):
        BoundaryCloseness(LinearRegression()).fit(X, TARGETS)


def test_some_quantities_in_the_order_asked_for(fitted):
    every = SampleDiagnostics(fitted).transform(X, y_true=LABELS)
    names = ["margin", "pruned_loss", "accuracy_drop"]
    some = SampleDiagnostics(fitted, names).set_output(transform="pandas")
    table = some.transform(X, y_true=LABELS)
    assert table.columns.tolist() == names == some.get_feature_names_out().tolist()
    np.testing.assert_array_equal(table, every[:, [5, 1, 6]])


def test_float32_is_nearly_float64(fitted):
    one, two = (SampleDiagnostics(fitted, dtype=f"float{k}").transform(X) for k in (32, 64))
    assert one.dtype == two.dtype == np.float64
    np.testing.assert_allclose(one, two, rtol=1e-3, atol=1e-5)
    assert (one != two).any()


def test_tables_of_pandas_and_polars(fitted):
    plain = SampleDiagnostics(strong()).fit(FRAME, LABELS)
    values = plain.transform(FRAME, y_true=LABELS)
    assert plain.feature_names_in_.tolist() == list("abcd")
    one = plain.set_output(transform="pandas").transform(FRAME, y_true=LABELS)
    two = plain.set_output(transform="polars").transform(
        pl.from_pandas(FRAME), y_true=pl.Series(LABELS)
    )
    assert one.index.equals(FRAME.index)
    assert one.columns.tolist() == two.columns == COLUMNS
    np.testing.assert_array_equal(one, values)
    np.testing.assert_array_equal(two.to_numpy(), values)
    assert BoundaryCloseness(fitted).set_output(transform="pandas").transform(X).shape[1] == 1


@pytest.mark.parametrize("kind", [BoundaryCloseness, SampleDiagnostics])
def test_names_of_the_input_are_checked_against_fit(kind):
    transformer = kind(make()).fit(FRAME, LABELS)
    names = transformer.get_feature_names_out()
    assert names.dtype == object
    assert names.tolist() == transformer.get_feature_names_out(list("abcd")).tolist()
    for same in (
        transformer,
        kind(transformer.estimator_),
        kind(make_pipeline(transformer.estimator_)),
    ):
        with pytest.raises(ValueError, match="input_features is not equal to feature_names"):
            same.get_feature_names_out(list("abcx"))


def test_targets_and_groups_are_routed_through_a_pipeline(fitted):
    with sklearn.config_context(enable_metadata_routing=True):
        pipe = make_pipeline(StandardScaler(), SampleDiagnostics(strong()))
        once = pipe.fit_transform(X, LABELS, y_true=LABELS, sensitive_features=GROUPS)
        assert pipe[-1].estimator_.groups_.tolist() == ["f", "m"]
        table = pipe.transform(X, y_true=LABELS)
        model = make_pipeline(SampleDiagnostics(strong()), LogisticRegression())
        model.fit(X, LABELS, y_true=LABELS, sensitive_features=GROUPS)
        assert model[0].estimator_.groups_.tolist() == ["f", "m"]
        assert model.score(X, LABELS, y_true=LABELS) > 0.9
        near = BoundaryCloseness(strong()).fit(X, LABELS, sensitive_features=GROUPS)
        near.fit_transform(X, LABELS, sensitive_features=GROUPS)
        assert near.estimator_.groups_.tolist() == ["f", "m"]
        with pytest.raises(TypeError, match=r"BoundaryCloseness.*fit got unexp.*sensitive"):
            BoundaryCloseness(GaussianNB()).fit(X, LABELS, sensitive_features=GROUPS)
        weighing = strong().set_fit_request(sample_weight=True)
        weights = (GROUPS == "f").astype(float)
        weighted = SampleDiagnostics(weighing).fit(X, LABELS, sample_weight=weights)
        women = SampleDiagnostics(strong()).fit(X[GROUPS == "f"], LABELS[GROUPS == "f"])
        np.testing.assert_allclose(weighted.transform(X), women.transform(X), rtol=1e-6)
    scaled = pipe[0].transform(X)
    truth = pipe[-1].transform(scaled, y_true=LABELS)
    np.testing.assert_array_equal(table, truth)
    np.testing.assert_array_equal(once, truth)
    assert (truth != pipe.transform(X)).any()


def test_groups_are_handed_through_without_routing():
    pipe = make_pipeline(StandardScaler(), SampleDiagnostics(make()))
    pipe.fit(X, LABELS, samplediagnostics__sensitive_features=GROUPS)
    assert pipe[-1].estimator_.groups_.tolist() == ["f", "m"]
    for kind in (BoundaryCloseness, SampleDiagnostics):
        transformer = kind(make())
        transformer.fit_transform(X, LABELS, sensitive_features=GROUPS)
        assert transformer.estimator_.groups_.tolist() == ["f", "m"]
        assert kind(make()).fit(X, LABELS).estimator_.groups_.tolist() == ["no", "yes"]


@pytest.mark.parametrize("kind", [BoundaryCloseness, SampleDiagnostics])
def test_fit_transform_clone_and_pickle_change_nothing(kind):
    transformer = kind(strong()).set_params(estimator__sparsity=0.6)
    table = transformer.fit_transform(X, LABELS)
    assert transformer.estimator_.sparsity_ == pytest.approx(0.6, abs=0.02)
    same = [transformer, clone(transformer).fit(X, LABELS)]
    for one in [*same, *pickle.loads(pickle.dumps(same))]:
        np.testing.assert_array_equal(one.transform(X), table)


def test_fit_transform_takes_targets_of_its_own():
    table = SampleDiagnostics(strong()).fit_transform(X, LABELS, y_true=LABELS)
    transformer = SampleDiagnostics(strong()).fit(X, LABELS)
    np.testing.assert_array_equal(table, transformer.transform(X, y_true=LABELS))
    assert (transformer.fit_transform(X, LABELS) == transformer.transform(X)).all()
    assert (transformer.transform(X) != table).any()


def test_sparse_matrices_images_and_datasets(fitted):
    table = SampleDiagnostics(fitted).transform(X, y_true=LABELS)
    for same in (sparse.csr_matrix(X), sparse.coo_array(X), torch.tensor(X)):
        diagnosed = SampleDiagnostics(fitted).transform(same, y_true=LABELS)
        np.testing.assert_array_equal(diagnosed, table)
    pairs = SampleDiagnostics(fitted).transform(Pairs(X, LABELS))
    np.testing.assert_allclose(pairs, table, rtol=1e-6, atol=1e-8)
    images = X.reshape(60, 1, 2, 2)
    pruner = PrunedClassifier(hidden_layer_sizes=(4,), random_state=0)
    flat = SampleDiagnostics(pruner).fit(X, LABELS).transform(X, y_true=LABELS)
    deep = SampleDiagnostics(pruner).fit(images, LABELS)
    np.testing.assert_allclose(deep.transform(images, y_true=LABELS), flat, rtol=1e-6)
    near = BoundaryCloseness(deep.estimator_).transform(images)
    np.testing.assert_allclose(near, BoundaryCloseness(pruner).fit(X, LABELS).transform(X))


def test_tags_follow_the_estimator():
    for estimator, takes_sparse in [(GaussianNB(), False), (make(), True)]:
        tags = get_tags(BoundaryCloseness(estimator))
        assert tags.input_tags.sparse == takes_sparse
        assert tags.target_tags.required
        assert tags.transformer_tags.preserves_dtype == []
