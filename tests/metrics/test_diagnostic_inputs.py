"""What diagnostic metrics take and refuse, and that they pickle."""

import pickle

import numpy as np
import pandas as pd
import pytest
from estimator_cases import CODES, GROUPS, LABELS, Pairs, X, make, make_net
from skorch import NeuralNetClassifier

from sklearn_fairprune import PrunedRegressor, diagnostic_metrics
from sklearn_fairprune.metrics import get_scorer, mean_closeness, mean_margin

INDEX = np.arange(60)


@pytest.fixture(scope="module")
def pruner():
    return make(dtype="float64").fit(X, LABELS)


def values(source, y=LABELS):
    return {name: metric(y, None, index=INDEX) for name, metric in source.metrics.items()}


def test_pickling_changes_nothing(pruner):
    source = diagnostic_metrics(pruner, X, LABELS)
    again = pickle.loads(pickle.dumps(source))
    assert values(again) == values(source)
    assert values(source)["gradient_norm"] > 0


def test_a_dataset_gives_its_own_targets(pruner):
    truth = values(diagnostic_metrics(pruner, X, LABELS))
    assert values(diagnostic_metrics(pruner, Pairs(X, LABELS))) == pytest.approx(truth)
    y = X[:, 0].astype(np.float64) - X[:, 1]
    reg = PrunedRegressor(hidden_layer_sizes=(4,), random_state=0).fit(X, y)
    truth = values(diagnostic_metrics(reg, X, y), y)
    assert values(diagnostic_metrics(reg, Pairs(X, y)), y) == pytest.approx(truth, rel=1e-4)
    for model in (pruner, reg, make_net().fit(X, CODES)):
        with pytest.raises(ValueError, match="needs y, the targets, unless X is a torch Dat"):
            diagnostic_metrics(model, X)


@pytest.mark.filterwarnings("ignore:A column-vector y was passed")
def test_labels_in_a_column_are_those_of_the_rows(pruner):
    truth = values(diagnostic_metrics(pruner, X, LABELS))
    assert values(diagnostic_metrics(pruner, X, LABELS[:, None])) == truth


def test_unusable_quantities_are_told(pruner):
    wrong = {"closeness": r"list of names.*\['closeness'\]", (): "at least one quantity"}
    for quantities, message in (wrong | {("margin", "margin"): "each once"}).items():
        with pytest.raises(ValueError, match=message):
            diagnostic_metrics(pruner, X, LABELS, quantities=quantities)


@pytest.mark.parametrize(
    "index", [INDEX + 1, INDEX - 1, INDEX > 3, INDEX / 2, list("ab") * 30]
)
def test_unusable_row_numbers_are_told(pruner, index):
    margin = diagnostic_metrics(pruner, X, LABELS, quantities=["margin"]).metrics["margin"]
    with pytest.raises(ValueError, match=r"index must hold row numbers of X, .*from 0 to 59"):
        margin(LABELS, None, index=index)
    assert margin(LABELS, None, index=pd.Series(INDEX)) > 0


@pytest.mark.parametrize("metric", [mean_closeness, mean_margin])
def test_labels_are_no_probabilities(metric):
    with pytest.raises(
        ValueError, match=r"must hold class probabilities.*\(60,\): pass predict"
    ):
        metric(LABELS, LABELS)


def test_scorers_of_a_skorch_net_on_rows_of_one_class():
    net = make_net(kind=NeuralNetClassifier).fit(X, CODES)
    few = CODES == 1
    for name in ("neg_fairness_violation", "neg_excess_accuracy_gap"):
        score = get_scorer(name)(net, X[few], CODES[few], sensitive_features=GROUPS[few])
        assert score == 0  # nothing is pruned
