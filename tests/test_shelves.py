"""A criterion or constraint that is put on its shelf is picked up everywhere.

Measures and diagnostics: test_shelf_of_measures.py, test_shelf_of_diagnostics.py.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from sklearn_fairprune import (
    DualHistoryDisplay,
    GroupConstrainedPruner,
    PrunedClassifier,
    audit,
)
from sklearn_fairprune.functional import CONSTRAINTS, CRITERIA, Constraint, Criterion

torch.set_num_threads(1)
rng = np.random.default_rng(0)
X = rng.normal(size=(200, 5)).astype(np.float32)
Y = np.where(X[:, 0] + 0.5 * rng.normal(size=200) > 0, "yes", "no")
SEX = np.where(X[:, 1] > 0.3, "f", "m")


@pytest.fixture
def added(monkeypatch):
    """Puts members on shelves for the length of a test."""

    def add(shelf, member):
        monkeypatch.setitem(shelf, member.name, member)

    return add


def farthest(weight, *, generator):
    """Distance from the mean weight, with noise."""
    return (weight - weight.mean()).abs() + 0 * torch.rand(weight.shape, generator=generator)


def test_a_criterion_is_a_name_everywhere(added):
    with pytest.raises(ValueError, match=r"'criterion' parameter .*'magnitude'") as before:
        PrunedClassifier(criterion="farthest").fit(X, Y)
    assert "farthest'" not in str(before.value).split("Got")[0]
    added(CRITERIA, Criterion(farthest))
    with pytest.raises(ValueError, match=r"'criterion' parameter .*'farthest'"):
        PrunedClassifier(criterion="fartest").fit(X, Y)
    named, given = (
        PrunedClassifier(criterion=c, finetune_epochs=0, random_state=0).fit(X, Y)
        for c in ("farthest", farthest)
    )
    assert all(torch.equal(named.masks_[k], given.masks_[k]) for k in named.masks_)
    assert any("farthest" in line for line in CRITERIA.lines())


def squared(losses, *, shares):
    """Square of the loss above that of all rows."""
    return (losses - shares @ losses).square()


def test_a_constraint_is_a_name_everywhere(added):
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0)
    with pytest.raises(ValueError, match=r"'constraint' parameter .*'equal_loss'"):
        GroupConstrainedPruner(inner, constraint="squared").fit(X, Y)
    added(CONSTRAINTS, Constraint(squared, "squared gap", unit="share"))
    est = GroupConstrainedPruner(inner, constraint="squared", tolerance=10.0)
    est.fit(X, Y, sensitive_features=SEX)
    display = DualHistoryDisplay.from_estimator(est)
    assert display.unit == "share"
    assert "squared" in display.axes_[0].get_title()
    plt.close("all")
    table = audit({"dense": est, "pruned": est}, X, Y, n_boot=20).constraints
    assert set(table["constraint"]) == {"squared"}
    assert any("squared" in line for line in CONSTRAINTS.lines())


def test_docstrings_list_the_members_of_the_shelves():
    for name in CRITERIA:
        assert f'``"{name}"``: ' in PrunedClassifier.__doc__
    for name in CONSTRAINTS:
        assert f'``"{name}"``: ' in GroupConstrainedPruner.__doc__


def test_the_function_minimax_is_the_constraint_minimax():
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=2, random_state=0)
    named, given = (
        GroupConstrainedPruner(inner, constraint=c).fit(X, Y, sensitive_features=SEX)
        for c in ("minimax", CONSTRAINTS["minimax"].function)
    )
    assert given.multipliers_.sum() == pytest.approx(1)
    pd.testing.assert_series_equal(named.multipliers_, given.multipliers_)
    assert named.constraint_satisfied_ is given.constraint_satisfied_ is None


def test_the_unit_of_a_constraint_is_on_its_plot():
    inner = PrunedClassifier(hidden_layer_sizes=(8,), finetune_epochs=1, random_state=0)

    def ratio(losses, *, shares):
        return losses / (shares @ losses) - 1

    for constraint, unit in (("equal_loss", "nats"), ("accuracy_gap", "share"), (ratio, None)):
        est = GroupConstrainedPruner(inner, constraint=constraint, tolerance=10.0)
        display = DualHistoryDisplay.from_estimator(est.fit(X, Y, sensitive_features=SEX))
        assert display.unit == unit
    plt.close("all")
