"""What pruning_path returns."""

import copy
import pickle

import numpy as np
import pytest
from estimator_cases import LABELS, X, make
from sklearn.utils import Bunch

from sklearn_fairprune import audit
from sklearn_fairprune.estimators.path import PruningPath


@pytest.fixture(scope="module")
def path():
    return make(finetune_epochs=0).pruning_path(X, LABELS, sparsities=[0, 0.5, 0.9])


def test_entries_are_attributes_and_keys(path):
    assert isinstance(path, Bunch)
    assert {"sparsities", "achieved", "estimators", "budgets", "names"} == set(path)
    assert np.isnan(path.budgets).all()  # nobody asked
    assert path.sparsities.tolist() == path["sparsities"].tolist() == [0, 0.5, 0.9]
    assert path.achieved.tolist() == [e.sparsity_ for e in path["estimators"]]
    assert path.names == ["sparsity 0", "sparsity 0.5", "sparsity 0.9"]


def test_at_finds_what_was_asked_for(path):
    assert path.at(0.5) is path.estimators[1]
    assert path.at(0.1 + 0.4) is path.estimators[1]
    with pytest.raises(ValueError, match=r"sparsity must be one of .*0\.5, 0\.9\], got 0\.8"):
        path.at(0.8)


def test_pairs_are_what_an_audit_takes(path):
    pairs = path.items_by_name()
    assert [e for _, e in pairs] == path.estimators
    named, whole = (audit(m, X, LABELS, min_group_size=1) for m in (dict(pairs), path))
    assert named.to_json() == whole.to_json()


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda p: pickle.loads(pickle.dumps(p))]
)
def test_copies_are_paths(path, copied):
    twin = copied(path)
    assert type(twin) is PruningPath
    assert twin.names == path.names
    np.testing.assert_array_equal(twin.at(0.9).predict(X), path.at(0.9).predict(X))


def test_repr_is_short(path):
    assert repr(path) == "<PruningPath of 3 estimators, sparsities 0, 0.5, 0.9>"
