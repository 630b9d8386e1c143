"""Every diagnostic on the shelves, and values by hand."""

import inspect
import re
import types

import pytest
import torch

from sklearn_fairprune.functional import DIAGNOSTICS
from sklearn_fairprune.functional import diagnostics as module
from sklearn_fairprune.functional.diagnostics import diagnostics_of

torch.set_num_threads(1)
STATISTICS = {
    name
    for line in re.findall(r"^- (.*):", module.__doc__, re.MULTILINE)
    for name in re.findall(r"``(\w+)``", line)
}
LOSSES = {
    "dense_losses": torch.tensor([0.5, 1.0, 0.0]),
    "pruned_losses": torch.tensor([0.75, 0.5, 0.0]),
    "gradient_norms": torch.tensor([1.0, 2.0, 0.0]),
}
CLASSES = LOSSES | {
    "dense_outputs": torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0]]),
    "pruned_outputs": torch.tensor([[0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]),
    "labels": torch.tensor([0, 2, 0]),
    "dense_predictions": torch.tensor([0, 2, 1]),
    "pruned_predictions": torch.tensor([2, 2, 0]),
}
TARGETS = LOSSES | {
    "dense_outputs": torch.tensor([[0.0, 0.0], [1.0, 2.0], [5.0, 5.0]]),
    "pruned_outputs": torch.tensor([[3.0, -4.0], [1.0, 2.0], [5.0, 6.0]]),
}
BY_HAND = {
    "dense_loss": [0.5, 1.0, 0.0],
    "pruned_loss": [0.75, 0.5, 0.0],
    "excessive_loss": [0.25, -0.5, 0.0],
    "sample_gradient_norm": [1.0, 2.0, 0.0],
    "closeness": [0.5, 0.46, 0.0],
    "margin": [0.0, 0.5, 1.0],
    "accuracy_drop": [1.0, 0.0, -1.0],
    "prediction_changed": [1.0, 0.0, 1.0],
    "prediction_change": [5.0, 0.0, 1.0],
}


def call(function, statistics):
    return function(**{name: statistics[name] for name in function.needs})


def test_the_docstring_lists_the_statistics():
    assert set(CLASSES) == STATISTICS == set(module.STATISTICS)


@pytest.mark.parametrize(("name", "member"), DIAGNOSTICS.items())
def test_shelf_entry(name, member):
    function = member.function
    assert isinstance(function, types.FunctionType)
    assert member.classifiers or member.regressors
    assert function.__name__ == name
    assert function.__doc__.endswith(".")
    parameters = inspect.signature(function).parameters
    assert parameters
    assert all(p.kind is p.KEYWORD_ONLY and p.default is p.empty for p in parameters.values())
    assert set(parameters) <= STATISTICS


@pytest.mark.parametrize(("classifies", "statistics"), [(True, CLASSES), (False, TARGETS)])
def test_values_by_hand(classifies, statistics):
    shelf = diagnostics_of(classifies=classifies, probabilities=True)
    before = {name: value.clone() for name, value in statistics.items()}
    for name, function in shelf.items():
        values = call(function, statistics)
        assert values.shape == (3,)
        assert values.tolist() == pytest.approx(BY_HAND[name])
    assert all(torch.equal(before[name], statistics[name]) for name in before)


def test_every_value_is_tried():
    classes, targets = (
        set(diagnostics_of(classifies=c, probabilities=True)) for c in (True, False)
    )
    assert classes | targets == set(DIAGNOSTICS) == set(BY_HAND)
    assert not {"closeness", "margin", "prediction_changed"} & targets
    assert "prediction_change" not in classes
    dropped = classes - set(diagnostics_of(classifies=True, probabilities=False))
    assert dropped == {"closeness", "margin"}
