"""The cache of dense trainings: what it serves, keeps apart, and refuses."""

import copy
import pathlib
from functools import partial

import joblib
import numpy as np
import pytest
import torch
from counting import BEGINS, CountTrainings, counting  # noqa: F401
from estimator_cases import SHORT, same_weights
from people_cases import BOTH, CODES, FRAME, LABELS, SEX, PlainNet, X, net, pruned, search
from sklearn.frozen import FrozenEstimator
from torch import nn

from sklearn_fairprune import PrunedClassifier


class Handle:
    """Stands for a file or a lock: it can be shared, and has no content to hash."""

    __slots__ = ()

    def __deepcopy__(self, memo):
        return self

    def __reduce_ex__(self, protocol):
        raise TypeError("cannot pickle a handle")


class CountWithHandle(CountTrainings):
    def __init__(self, handle):
        self.handle = handle


@pytest.mark.parametrize("kind", [str, pathlib.Path, lambda p: joblib.Memory(p, verbose=0)])
def test_memory_trains_the_dense_network_of_each_fold_once(tmp_path, kind):
    BEGINS.clear()
    counted = {"callbacks": [CountTrainings()], "module__dropout": 0.2}
    plain = search(pruned(**counted)).fit(FRAME, LABELS, sensitive_features=SEX)
    assert len(BEGINS) == 10
    BEGINS.clear()
    cached = search(pruned(memory=kind(tmp_path), **counted))
    cached.fit(FRAME, LABELS, sensitive_features=SEX)
    assert len(BEGINS) == 4
    for k in range(3):
        key = f"split{k}_test_score"
        np.testing.assert_array_equal(plain.cv_results_[key], cached.cv_results_[key])
    assert same_weights(plain.best_estimator_.estimator_, cached.best_estimator_.estimator_)
    losses = [[h["train_loss"] for h in s.best_estimator_.history_] for s in (plain, cached)]
    assert losses[0] == losses[1]


HEAD = """
class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.out = nn.Linear(5, 2)
"""
CELLS = {
    "body": "    def forward(self, X): return self.out(X * {})",
    "attribute": "    k = {}\n    def forward(self, X): return self.out(X * self.k)",
    "default": "    def forward(self, X, k={}): return self.out(X * k)",
    "static method": "    f = staticmethod(lambda X: X * {})\n"
    "    def forward(self, X): return self.out(self.f(X))",
    "nested": "    def forward(self, X): return self.out((lambda X: X * {})(X))",
    "base class": "    def forward(self, X): return self.out(X * {})\n"
    "class Base(Cell): pass\nclass Cell(Base): pass",
}


def redefined(cell, value):
    """Run the text of a class as a notebook would: no file holds its source."""
    scope = {"__name__": "notebook", "nn": nn}
    exec(HEAD + CELLS[cell].replace("{}", str(value)), scope)
    return {"module": scope["Cell"]}


class Applies(nn.Module):
    def __init__(self, function=None, k=1.0):
        super().__init__()
        self.out, self.function, self.k = nn.Linear(5, 2), function, k

    def forward(self, X):
        return self.out(self.function(X) if self.function else X * self.k)


def class_of_a_factory(value):
    class Made(Applies):
        def forward(self, X):
            return self.out(X * value)

    return {"module": Made}


def lambda_of_the_same_line(value):
    functions = {1.0: lambda X: X * 1.0, 9.0: lambda X: X * 9.0}
    return {"module": Applies, "module__function": functions[value]}


def attribute_of_an_instance(value):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"module": Applies(k=value)}


CHANGES = {name: partial(redefined, name) for name in CELLS} | {
    f.__name__: f
    for f in (class_of_a_factory, lambda_of_the_same_line, attribute_of_an_instance)
}


@pytest.mark.parametrize("change", CHANGES)
def test_memory_sees_changed_code(tmp_path, change):
    fits = []
    for value, memory in [(1.0, str(tmp_path)), (9.0, str(tmp_path)), (9.0, None)]:
        clf = pruned(memory=memory, sparsity=0.0, **CHANGES[change](value)).fit(FRAME, LABELS)
        fits.append(clf.predict_proba(FRAME))
    np.testing.assert_array_equal(fits[1], fits[2])
    assert not np.array_equal(fits[0], fits[1])


@pytest.mark.parametrize(
    "change",
    [
        {"random_state": 1},
        {"estimator__lr": 0.02},
        {"estimator__max_epochs": 6},
        {"estimator__module__hidden": 5},
        {"estimator__module__dropout": 0.4},
        {"estimator__optimizer": torch.optim.Adam},
        {"estimator__criterion__label_smoothing": 0.2},
        {"dtype": "float64"},
        {"X": FRAME + 0.01},
        {"y": LABELS[::-1]},
        {"sample_weight": np.linspace(0.5, 2, 200)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_memory_keeps_different_trainings_apart(tmp_path, change):
    data = {"X": FRAME, "y": LABELS, "sample_weight": None}
    other = data | {k: v for k, v in change.items() if k in data}
    params = {k: v for k, v in change.items() if k not in data}
    cached = pruned(memory=str(tmp_path)).fit(**data)
    before = cached.predict_proba(FRAME)
    changed = cached.set_params(**params).fit(**other).predict_proba(FRAME)
    fresh = pruned().set_params(**params).fit(**other).predict_proba(FRAME)
    np.testing.assert_array_equal(changed, fresh)
    assert not np.array_equal(before, changed)


def test_memory_serves_another_sparsity_group_and_equal_copies(tmp_path):
    BEGINS.clear()
    clf = pruned(memory=str(tmp_path), callbacks=[CountTrainings()])
    first = clf.fit(FRAME, LABELS, sensitive_features=SEX).predict_proba(FRAME)
    clf.set_params(sparsity=0.9, finetune_epochs=2, scope="layerwise")
    clf.fit(FRAME, LABELS, sensitive_features=BOTH)
    again = copy.deepcopy(clf).set_params(sparsity=0.3, finetune_epochs=1, scope="global")
    np.testing.assert_array_equal(
        again.fit(FRAME.to_numpy(), LABELS).predict_proba(FRAME.to_numpy()), first
    )
    assert len(BEGINS) == 1


def test_memory_refuses_to_cache_what_has_no_key(tmp_path):
    with pytest.warns(UserWarning, match="random_state=None"):
        pruned(memory=str(tmp_path), random_state=None).fit(FRAME, LABELS)
    counter = CountWithHandle(Handle())
    warned = pruned(memory=str(tmp_path), callbacks=[("count", counter)])
    with pytest.warns(UserWarning, match=r"not used.*no content"):
        warned.fit(FRAME, LABELS)
    assert not any(p.name == "output.pkl" for p in tmp_path.rglob("*"))
    plain = pruned().fit(FRAME, LABELS)
    np.testing.assert_array_equal(warned.predict_proba(FRAME), plain.predict_proba(FRAME))


def test_memory_with_a_frozen_network_caches_nothing(tmp_path):
    dense = net(PlainNet, callbacks=[CountTrainings()]).fit(X, CODES)
    BEGINS.clear()
    frozen = FrozenEstimator(dense)
    clf = PrunedClassifier(frozen, memory=str(tmp_path), random_state=0, **SHORT)
    search(clf).fit(FRAME, CODES)
    assert not BEGINS
    assert not list(tmp_path.rglob("output.pkl"))
