"""Public docstrings follow numpydoc and name every parameter. They are found, not listed."""

import importlib
import inspect

import pytest
from sklearn.base import BaseEstimator

import sklearn_fairprune

validate = pytest.importorskip("numpydoc.validate").validate

CHECKS = {"GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR04", "PR10", "RT03", "SS01"}
MODULES = ("", ".functional", ".metrics", ".datasets")


def public_objects():
    """Every public function, class, and public method that this package defines."""
    for suffix in MODULES:
        module = importlib.import_module(f"sklearn_fairprune{suffix}")
        for name in module.__all__:
            value = getattr(module, name)
            if not callable(value) or not getattr(value, "__module__", "").startswith(
                "sklearn_f"
            ):
                continue
            yield f"{module.__name__}.{name}", value
            if inspect.isclass(value):
                for method, function in inspect.getmembers(value, inspect.isfunction):
                    own = getattr(function, "__module__", "") or ""
                    if not method.startswith("_") and own.startswith("sklearn_fairprune"):
                        yield f"{module.__name__}.{name}.{method}", function


PUBLIC = dict(public_objects())
ESTIMATORS = [
    name
    for name in sklearn_fairprune.__all__
    if inspect.isclass(getattr(sklearn_fairprune, name))
    and issubclass(getattr(sklearn_fairprune, name), BaseEstimator)
]


def test_the_verbs_are_found():
    verbs = {"fit", "prune", "partial_fit", "pruning_path", "predict", "predict_proba"}
    for name in ("PrunedClassifier", "PrunedRegressor"):
        found = {
            n.split(".")[-1] for n in PUBLIC if n.startswith(f"sklearn_fairprune.{name}.")
        }
        assert verbs - {"predict_proba"} <= found
    assert "sklearn_fairprune.AuditReport.assert_disparity" in PUBLIC
    assert "sklearn_fairprune.PruningPath.at" in PUBLIC
    assert {"PrunedClassifier", "GroupConstrainedPruner", "SampleDiagnostics"} <= set(
        ESTIMATORS
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_docstring(name):
    errors = [text for code, text in validate(name)["errors"] if code in CHECKS]
    assert not errors


MADE = {  # by a function, whose docstring shows them
    name for name in sklearn_fairprune.__all__ if name.endswith(("Report", "Error", "Data"))
}


@pytest.mark.parametrize("name", sorted(set(sklearn_fairprune.__all__) - MADE))
def test_public_objects_show_an_example(name):
    assert "Examples\n--------" in inspect.getdoc(getattr(sklearn_fairprune, name))


@pytest.mark.parametrize("name", [n for n in ESTIMATORS if not n.endswith("Scorer")])
def test_estimators_name_their_source(name):
    assert "References\n----------" in inspect.getdoc(getattr(sklearn_fairprune, name))
