"""Parameters out of range: the message names the parameter, the rule and the value."""

import numpy as np
import pytest
import torch
from estimator_cases import LABELS, X, make
from failing_calls import VERBS, call, fails

from sklearn_fairprune import PrunedClassifier


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 90, "a", np.nan, [0.5], True])
@pytest.mark.parametrize("verb", [*VERBS, "path"])
def test_sparsity_out_of_range(classifier, verb, sparsity):
    message = r"(?s)sparsity.*\[0(\.0)?, 1(\.0)?\)"
    if verb == "prune":
        fails(ValueError, message, classifier, "prune", X, LABELS, sparsity=sparsity)
    elif verb == "path":
        with pytest.raises(ValueError, match=message):
            classifier.pruning_path(X, LABELS, sparsities=[0.5, sparsity])
    else:
        with pytest.raises(ValueError, match=message):
            call(make(sparsity=sparsity), verb, X, LABELS)


@pytest.mark.parametrize("sparsities", [[], 0.5, None, "0.5"])
def test_sparsities_are_a_sequence(sparsities):
    with pytest.raises((ValueError, TypeError), match="sparsities"):
        make().pruning_path(X, LABELS, sparsities=sparsities)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("criterion", "magnitud", "criterion.*'magnitude'.*Got 'magnitud'"),
        ("scope", "local", "scope.*'global'.*Got 'local'"),
        ("finetune_epochs", -1, "finetune_epochs.*Got -1"),
        ("finetune_epochs", 1.5, "finetune_epochs.*Got 1.5"),
        ("dtype", "float16", "dtype.*'float32'.*Got 'float16'"),
        ("memory", 3, "memory.*Got 3"),
        ("hidden_layer_sizes", 10, "hidden_layer_sizes.*Got 10"),
        ("random_state", "zero", "random_state.*Got 'zero'"),
    ],
)
def test_parameters_out_of_range(name, value, message):
    with pytest.raises(ValueError, match=message):
        make(**{name: value}).fit(X, LABELS)


@pytest.mark.parametrize("sizes", [(0,), (-3,), ("wide",), (2.5,)], ids=str)
def test_hidden_layer_sizes(sizes):
    with pytest.raises((ValueError, TypeError), match="hidden_layer_sizes"):
        PrunedClassifier(hidden_layer_sizes=sizes).fit(X, LABELS)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (lambda w: w * torch.nan, "criterion gave NaN scores for 'body.0.weight'"),
        (lambda w: w.sum(), r"one score per weight.*\(8, 4\) and returned \(\)"),
        (lambda w: w[:1], r"one score per weight.*\(8, 4\) and returned \(1, 4\)"),
        (lambda w: None, "one score per weight.*returned NoneType"),
        (lambda w: w.abs().numpy(), "torch.Tensor|one score per weight"),
        (lambda w: w.abs().tolist(), "one score per weight.*returned list"),
    ],
)
@pytest.mark.parametrize("verb", VERBS[:2])
def test_criterion_of_the_user(verb, criterion, message):
    est = make().fit(X, LABELS).set_params(criterion=criterion)
    fails((ValueError, TypeError), message, est, verb, X, LABELS)
