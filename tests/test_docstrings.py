"""Public docstrings follow numpydoc and name every parameter."""

import inspect

import pytest

import sklearn_fairprune
import sklearn_fairprune.datasets
import sklearn_fairprune.functional

validate = pytest.importorskip("numpydoc.validate").validate

CHECKS = {"GL06", "GL07", "GL08", "PR01", "PR02", "PR03", "PR04", "PR10", "RT03", "SS01"}
VERBS = ["fit", "prune", "partial_fit", "pruning_path", "predict"]


def public_names():
    """Every public object, and the verbs of the estimators."""
    for module in (sklearn_fairprune, sklearn_fairprune.functional):
        for name in module.__all__:
            if callable(getattr(module, name)):
                yield f"{module.__name__}.{name}"
    for name in ("load_mortgage", "load_digits", "read_table"):
        yield f"sklearn_fairprune.datasets.{name}"
    for estimator in ("PrunedClassifier", "PrunedRegressor"):
        for verb in VERBS:
            yield f"sklearn_fairprune.{estimator}.{verb}"


@pytest.mark.parametrize("name", list(public_names()))
def test_docstring(name):
    errors = [text for code, text in validate(name)["errors"] if code in CHECKS]
    assert not errors


@pytest.mark.parametrize("name", sklearn_fairprune.__all__)
def test_public_objects_show_an_example_and_estimators_their_source(name):
    if name.endswith("Report") or name == "DisparityError":
        pytest.skip("made by a function, whose docstring shows it")
    text = inspect.getdoc(getattr(sklearn_fairprune, name))
    assert "Examples\n--------" in text
    if name.startswith("Pruned"):
        assert "NeurIPS 2022" in text
        assert "{parameters}" not in text
