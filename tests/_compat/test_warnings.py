"""Warnings point at the line of the caller, through whatever lies between."""

import warnings

import pytest
from estimator_cases import LABELS, X, make, make_net
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupConstrainedPruner

CALLS = {
    "fit": lambda est, X, y: est.fit(X, y),
    "path": lambda est, X, y: est.pruning_path(X, y, sparsities=[0.5]),
    "pipeline": lambda est, X, y: make_pipeline(StandardScaler(), est).fit(X, y),
    "search": lambda est, X, y: GridSearchCV(est, {}, cv=2).fit(X, y),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_warning_about_memory_names_the_callers_file(call, tmp_path):
    est = make(make_net(), memory=str(tmp_path), random_state=None)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[call](est, X, LABELS)
    files = {w.filename for w in caught if "memory is not used" in str(w.message)}
    assert files == {__file__}


@pytest.mark.parametrize("call", CALLS)
def test_a_warning_about_a_constraint_names_the_callers_file(call):
    est = GroupConstrainedPruner(make(), constraint="bounded_group_loss", tolerance=0.0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        CALLS[call](est, X, LABELS)
    files = {w.filename for w in caught if "is not met" in str(w.message)}
    assert files == {__file__}
