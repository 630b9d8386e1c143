"""One search over everything that decides what is pruned, and when."""

import warnings

import pytest
import torch
from estimator_cases import LABELS, X, make, make_net
from joblib import Memory
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_fairprune import GroupConstrainedPruner, Iterative
from sklearn_fairprune.estimators import _net

torch.set_num_threads(1)
COMMON = {
    "criterion": ["magnitude", "taylor"],
    "schedule": ["one_shot", Iterative(2)],
    "recovery": ["plain", "distill"],
    "scope": ["global", "layerwise"],
}
GRID = [
    COMMON | {"granularity": ["weight"], "sparsity": [0.25, 0.5]},
    COMMON | {"granularity": ["1:2"], "sparsity": [0.5]},
    {"target": [("macs", 0.5), ("parameters", 0.5)], "min_density": [0.0, 0.2]},
    {"scope": [{"body.0": 0.25}], "ignored_layers": [(), ("body.2",)], "sparsity": [0.25]},
]


@pytest.fixture
def trainings(monkeypatch):
    """Epochs of the dense trainings that were made, and not remembered."""
    made, own = [], _net.train

    def train(net, rows, epochs, **options):
        made.append(epochs)
        return own(net, rows, epochs, **options)

    monkeypatch.setattr(_net, "train", train)
    return made


def test_a_search_over_all_of_it_with_memory(tmp_path, trainings):
    est = make(make_net(max_epochs=2), finetune_epochs=2)
    est.set_params(memory=Memory(tmp_path, verbose=0))
    search = GridSearchCV(est, GRID, cv=2, error_score="raise")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        search.fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 32 + 16 + 4 + 2
    assert len(trainings) == 3  # one a fold, and the refit
    assert search.best_estimator_.sparsity_ > 0.2


def test_targets_in_a_pipeline_and_under_a_constraint():
    meta = GroupConstrainedPruner(make(make_net(max_epochs=2)), tolerance=10.0)
    pipe = make_pipeline(StandardScaler(), meta)
    name = "groupconstrainedpruner__estimator__"
    grid = {f"{name}target": [None, ("parameters", 0.75)], f"{name}granularity": ["weight"]}
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise").fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 2
