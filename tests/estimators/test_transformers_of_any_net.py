"""Transformers without fit, without routing, and of nets that are not the usual ones."""

import numpy as np
import pytest
from estimator_cases import CODES, GROUPS, LABELS, Pairs, X, make, make_net
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import BoundaryCloseness, PrunedRegressor, SampleDiagnostics
from sklearn_fairprune.estimators.unwrap import dense_twin

OF_LOSSES = ["dense_loss", "pruned_loss", "excessive_loss", "sample_gradient_norm"]
OF_CLASSES = ["accuracy_drop", "prediction_changed"]
BOTH = pytest.mark.parametrize("kind", [BoundaryCloseness, SampleDiagnostics])


@pytest.fixture(scope="module")
def fitted():
    return make().fit(X, LABELS)


WRONG = {
    "unknown": (["margin", "bogus", "prediction_change"], r"\['bogus', 'predi.*'closeness'"),
    "no list": ("closeness", r"'quantities' parameter.*\{'all'\}.*Got 'closeness'"),
    "repeated": (["margin", "margin"], r"each once, got \['margin', 'margin'\]"),
    "none": ([], r"at least one quantity.*got \[\]"),
}


@pytest.mark.parametrize("case", WRONG)
def test_unusable_quantities_are_told_without_fit(fitted, case):
    some, message = SampleDiagnostics(fitted, WRONG[case][0]), WRONG[case][1]
    with pytest.raises(ValueError, match=message):
        some.transform(X)
    with pytest.raises(ValueError, match=message):
        some.get_feature_names_out()
    with pytest.raises(ValueError, match=r"'dtype' parameter.*Got 'float16'"):
        SampleDiagnostics(fitted, dtype="float16").transform(X)


@pytest.mark.parametrize("wrap", [lambda e: e, make_pipeline, FrozenEstimator])
def test_a_net_without_probabilities_has_no_closeness(wrap):
    pruner = make(make_net(criterion=nn.MultiMarginLoss)).fit(X, LABELS)
    every = SampleDiagnostics(wrap(pruner)).set_output(transform="pandas")
    table = every.transform(X, y_true=LABELS)
    assert table.columns.tolist() == OF_LOSSES + OF_CLASSES
    assert every.get_feature_names_out().tolist() == OF_LOSSES + OF_CLASSES
    for name in ("closeness", "margin"):
        some = SampleDiagnostics(wrap(pruner), ["dense_loss", name])
        with pytest.raises(
            ValueError, match=rf"\['{name}'\] need probabilities.*nonlinearity"
        ):
            some.transform(X)


@pytest.mark.parametrize(
    "options",
    [
        {"criterion": nn.MultiMarginLoss, "predict_nonlinearity": nn.Softmax(-1)},
        {"criterion": nn.NLLLoss, "module__head": nn.Softmax(-1)},
    ],
    ids=["nonlinearity", "head"],
)
def test_probabilities_by_other_ways(options):
    pruner = make(make_net(**options)).fit(X, LABELS)
    dense = dense_twin(pruner).predict_proba(X)
    table = SampleDiagnostics(pruner, ["closeness"]).transform(X)
    np.testing.assert_allclose(table[:, 0], 1 - (dense**2).sum(axis=1), rtol=1e-5)
    assert SampleDiagnostics(pruner).transform(X).shape == (60, 8)


@BOTH
def test_without_routing_everything_is_handed_on(kind):
    women = GROUPS == "f"
    weighted = kind(make()).fit(X, LABELS, sample_weight=women.astype(float))
    alone = make().fit(X[women], LABELS[women])
    truth = kind(alone).transform(X)
    np.testing.assert_allclose(weighted.transform(X), truth, rtol=1e-4, atol=1e-6)
    frozen = FrozenEstimator(alone)
    assert kind(frozen).fit(X, LABELS, sensitive_features=GROUPS).estimator_ is frozen
    piped = kind(make_pipeline(StandardScaler(), make()))
    piped.fit(X, LABELS, prunedclassifier__sensitive_features=GROUPS)
    assert piped.estimator_[-1].groups_.tolist() == ["f", "m"]


def test_a_skorch_net_with_and_without_targets():
    net = make_net().fit(X, CODES)
    every = SampleDiagnostics(net)
    assert every.get_feature_names_out().tolist()[:4] == OF_LOSSES
    table = every.transform(X, y_true=CODES)
    few = np.flatnonzero(CODES == 1)
    np.testing.assert_allclose(every.transform(X[few], y_true=CODES[few]), table[few])
    np.testing.assert_allclose(every.transform(Pairs(X, CODES)), table, atol=1e-6)
    guessed = every.transform(X, y_true=net.predict(X))
    np.testing.assert_array_equal(every.transform(X), guessed)
    with pytest.raises(ValueError, match=r"not among the classes \[0, 1\]: \[7\]"):
        every.transform(X, y_true=CODES * 7)


def test_a_skorch_regressor_needs_targets():
    y = X[:, :1]
    net = make_net(kind=NeuralNetRegressor, module__n_out=1, criterion=nn.MSELoss).fit(X, y)
    every = SampleDiagnostics(net)
    losses = every.transform(X, y_true=y)[:, 0]
    np.testing.assert_allclose(losses, ((net.predict(X) - y) ** 2)[:, 0], rtol=1e-4)
    with pytest.raises(ValueError, match=r"regressor needs y_true.*transform\(X, y_true=y\)"):
        every.transform(X)
    reg = PrunedRegressor(hidden_layer_sizes=(4,), random_state=0).fit(X, y)
    with pytest.raises(ValueError, match=r"unknown \['margin'\]; known.*'prediction_change'"):
        SampleDiagnostics(reg, ["margin"]).transform(X, y_true=y)
