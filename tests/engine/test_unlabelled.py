"""Which recipes need targets, and why."""

import inspect

import pytest
from estimator_cases import LABELS, X, make

from sklearn_fairprune.engine.recipe import make_recipe
from sklearn_fairprune.engine.recovery import Recovery
from sklearn_fairprune.engine.statistics import STATISTICS
from sklearn_fairprune.engine.unlabelled import why_targets


@pytest.fixture(scope="module")
def net():
    return make().fit(X, LABELS).dense_estimator_


def why(net, epochs=0, sparsity=0.5, grouped=True, **options):
    return why_targets(make_recipe(sparsity, epochs, **options), net, grouped=grouped)


@pytest.mark.parametrize(
    ("options", "needed"),
    [
        ({}, ""),
        ({"epochs": 1}, "fine-tuning (finetune_epochs=1) fits them"),
        ({"epochs": None}, "fine-tuning (finetune_epochs=None) fits them"),
        ({"epochs": 1, "sparsity": 0.0}, ""),
        ({"epochs": 1, "recovery": "distill"}, ""),
        ({"epochs": 1, "recovery": "reconstruct"}, "fits them"),
        ({"recovery": "reconstruct"}, ""),
        ({"recovery": Recovery(reconstructs=True, layer_balance=1.0)}, ""),
        ({"recovery": Recovery(1.0, balance=1.0), "grouped": False}, ""),  # no training
        (
            {"recovery": Recovery(1.0, balance=1.0), "grouped": False, "epochs": 1},
            "balance weighs rows by their groups",
        ),
        (
            {"recovery": Recovery(reconstructs=True, layer_balance=1.0), "grouped": False},
            "balance weighs rows by their groups",
        ),
    ],
)
def test_recoveries(net, options, needed):
    found = why(net, **options)
    assert bool(found) == bool(needed)
    if needed:
        assert needed in found
        assert "Pass" in found


@pytest.mark.parametrize("name", STATISTICS)
def test_every_statistic_is_known_to_need_targets_or_not(net, name):
    def asks(weight, **given):
        return weight.abs()

    subject = inspect.Parameter("weight", inspect.Parameter.POSITIONAL_ONLY)
    asked = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY)
    asks.__signature__ = inspect.Signature([subject, asked])
    found = why(net, criterion=asks)
    assert bool(found) == (name not in ("generator", "activation_norms"))
    if found:
        assert found.startswith(f"criterion=asks asks for ['{name}']")
