"""A shrunk estimator predicts as before, says what it cannot do, and where to go instead."""

import copy
import pickle

import numpy as np
import pytest
import torch
from estimator_cases import (
    BITS,
    CODES,
    GROUPS,
    LABELS,
    SHORT,
    Net,
    Pairs,
    X,
    make_net,
    same_weights,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from torch import nn

from sklearn_fairprune import (
    GroupConstrainedPruner,
    PrunedClassifier,
    PrunedRegressor,
    SampleDiagnostics,
    audit,
    diagnose,
)
from sklearn_fairprune.engine import sparse_forms
from sklearn_fairprune.engine.sparse_layers import SparseLinear
from sklearn_fairprune.estimators.unwrap import dense_twin, unwrapped
from sklearn_fairprune.measurement.sizes import size_of
from sklearn_fairprune.metrics import GroupScorer, diagnostic_metrics, fairness_violation

torch.set_num_threads(1)
SPARSITY = 0.8


@pytest.fixture(scope="module", autouse=True)
def _sparse_at_few_zeros():
    """Of networks this small not much is left after the removal of units."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sparse_forms, "MIN_ZEROS", 0.3)
        yield


@pytest.fixture(scope="module")
def pruned():
    return make(hidden_layer_sizes=(30, 20), estimator=None).fit(X, LABELS)


def make(net=None, kind=PrunedClassifier, **options):
    plain = SHORT | {"sparsity": SPARSITY, "finetune_epochs": 2, "random_state": 0}
    options = plain | {"estimator": make_net() if net is None else net} | options
    return kind(**options)


@pytest.fixture(scope="module")
def shrunk(pruned):
    return pruned.shrink(X=X, sparse=True)


@pytest.fixture(scope="module")
def dropped(pruned):
    return pruned.shrink(X=X, sparse=True, drop_dense=True)


def has_sparse_layers(estimator):
    return any(isinstance(m, SparseLinear) for m in estimator.estimator_.module_.modules())


def same_predictions(one, other, rows=X):
    np.testing.assert_allclose(one.predict_proba(rows), other.predict_proba(rows), atol=1e-6)
    np.testing.assert_array_equal(one.predict(rows), other.predict(rows))


def test_predictions_are_the_same(pruned, shrunk):
    far = 50 * np.random.default_rng(0).normal(size=(300, 4))
    assert has_sparse_layers(shrunk)
    for rows in (X, far, X[:1]):
        same_predictions(shrunk, pruned, rows)
    assert shrunk.score(X, LABELS) == pruned.score(X, LABELS)
    np.testing.assert_allclose(
        shrunk.decision_function(far), pruned.decision_function(far), atol=1e-4
    )


def test_the_estimator_before_is_left_alone(pruned):
    before = pickle.dumps(pruned)
    net, module = pruned.estimator_, pruned.estimator_.module_
    pruned.shrink(sparse=True, drop_dense=True)
    assert pruned.estimator_ is net
    assert net.module_ is module
    assert pickle.dumps(pruned) == before
    with pytest.raises(AttributeError, match=r"no shrunk_: only what shrink\(\) returns"):
        _ = pruned.shrunk_


def test_what_is_told(pruned, shrunk):
    told = shrunk.shrunk_
    assert [row["layer"] for row in told["layers"]] == list(pruned.masks_)
    assert [row["units"] for row in told["layers"]] == [30, 20, 2]
    assert "sparse" in {row["form"] for row in told["layers"]}
    assert sum(row["removed"] for row in told["layers"]) > 5
    assert told["parameters"]["after"] < told["parameters"]["before"]
    assert told["bytes"]["after"] < told["bytes"]["before"]
    size = size_of(shrunk)
    assert size["parameters"] == told["parameters"]["after"]
    assert size["bytes"] == told["bytes"]["after"]
    assert size["weights"] == size_of(pruned)["weights"]


def test_attributes_stay_those_of_the_pruned_network(pruned, shrunk, dropped):
    names = ("sparsity_", "effective_sparsity_", "dead_units_", "history_")
    names = (*names, "skipped_weights_", "prunable_share_", "n_features_in_")
    for small in (shrunk, dropped, pickle.loads(pickle.dumps(dropped))):
        for name in names:
            assert getattr(small, name) == getattr(pruned, name), name
        for name, mask in pruned.masks_.items():
            assert torch.equal(small.masks_[name], mask)
        np.testing.assert_array_equal(small.classes_, pruned.classes_)
        np.testing.assert_array_equal(small.groups_, pruned.groups_)
    assert shrunk.dense_estimator_ is pruned.dense_estimator_


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda e: pickle.loads(pickle.dumps(e))])
def test_copies(shrunk, dropped, copied):
    for small in (shrunk, dropped):
        twin = copied(small)
        same_predictions(twin, small)
        assert twin.shrunk_ == small.shrunk_


def test_a_clone_is_unfitted(shrunk):
    with pytest.raises(NotFittedError):
        clone(shrunk).predict(X)
    with pytest.raises(NotFittedError):
        clone(shrunk).shrink()


@pytest.mark.parametrize("sparse", ["auto", True, False])
def test_twice_is_once(pruned, sparse):
    once = pruned.shrink(sparse=sparse)
    twice, thrice = once.shrink(sparse=sparse), once.shrink().shrink()
    assert same_weights(once.estimator_, twice.estimator_)
    assert once.shrunk_["layers"] == twice.shrunk_["layers"]
    assert twice.shrunk_["notes"][-1].startswith("It was shrunk before")
    assert thrice.shrunk_ == twice.shrunk_
    assert not hasattr(once.shrink(drop_dense=True), "dense_estimator_")


def test_no_sparse_layers_if_not_asked_for(pruned):
    small = pruned.shrink(sparse=False)
    assert not has_sparse_layers(small)
    same_predictions(small, pruned)


@pytest.mark.parametrize("sparse", ["yes", 1, None, np.ones(2)])
def test_sparse_must_be_known(pruned, sparse):
    with pytest.raises(ValueError, match="sparse must be 'auto'"):
        pruned.shrink(sparse=sparse)


@pytest.mark.parametrize("given", ["no", 1, None])
def test_drop_dense_must_be_known(pruned, given):
    with pytest.raises(ValueError, match=r"drop_dense must be True .* or False, got"):
        pruned.shrink(drop_dense=given)


def test_booleans_of_numpy(pruned):
    small = pruned.shrink(sparse=np.bool_(False), drop_dense=np.bool_(True))
    assert not has_sparse_layers(small)
    assert not hasattr(small, "dense_estimator_")


def test_nothing_to_shrink():
    dense = make(sparsity=0.0).fit(X, LABELS)
    same = dense.shrink()
    assert same.estimator_ is dense.estimator_
    assert same.shrunk_["notes"][-1].startswith("Nothing was removed")
    same_predictions(same, dense)
    assert not hasattr(dense.shrink(drop_dense=True), "dense_estimator_")


def test_prune_begins_from_the_dense_network(pruned, shrunk):
    again, first = copy.copy(shrunk), copy.copy(pruned)
    for estimator in (again, first):
        estimator.prune(X, LABELS, sparsity=0.5)
    assert same_weights(again.estimator_, first.estimator_)
    assert not hasattr(again, "shrunk_")
    again.partial_fit(X, LABELS)
    assert not hasattr(copy.copy(shrunk).prune(), "shrunk_")


def test_a_fit_forgets_it(shrunk):
    again = copy.copy(shrunk).fit(X, LABELS)
    assert not hasattr(again, "shrunk_")


def test_partial_fit_is_refused(shrunk, dropped):
    for small in (shrunk, dropped):
        with pytest.raises(ValueError, match=r"partial_fit needs the masked .* was called on"):
            small.partial_fit(X, LABELS)
        small.predict(X)


@pytest.mark.parametrize("sparse", [True, False])
def test_diagnoses_are_refused(pruned, sparse):
    small, match = pruned.shrink(sparse=sparse), r"diagnosis needs the masked .* called on"
    with pytest.raises(ValueError, match=match):
        diagnose(small, X, LABELS, sensitive_features=GROUPS, bound_samples=0)
    with pytest.raises(ValueError, match=match):
        diagnostic_metrics(small, X, LABELS)
    fitted = SampleDiagnostics(FrozenEstimator(small)).fit(X, LABELS)
    with pytest.raises(ValueError, match=match):
        fitted.transform(X)
    assert len(fitted.get_feature_names_out())
    diagnose(pruned, X, LABELS, sensitive_features=GROUPS, bound_samples=0)


def test_masks_to_try_need_the_dense_network_alone(pruned, shrunk, dropped):
    options = {"sensitive_features": GROUPS, "bound_samples": 0, "sparsity": 0.5}
    one, other = (diagnose(e, X, LABELS, **options).by_group for e in (pruned, shrunk))
    np.testing.assert_array_equal(one, other)
    with pytest.raises(ValueError, match=r"diagnosis needs the dense .* drop_dense"):
        diagnose(dropped, X, LABELS, **options)


def test_audit_beside_dense_and_pruned(pruned, shrunk, dropped):
    options = {"n_boot": 20, "min_group_size": 5}
    models = {"dense": dense_twin(pruned), "pruned": pruned, "small": shrunk, "no": dropped}
    report = audit(models, X, LABELS, sensitive_features=GROUPS, **options)
    text = str(report)
    assert "small" in text
    alone = audit(shrunk, X, LABELS, sensitive_features=GROUPS, **options)
    assert "pruned" in str(alone)
    with pytest.raises(ValueError, match="needs the dense network, and this estimator let"):
        audit(dropped, X, LABELS, sensitive_features=GROUPS, **options)


def test_scorers(pruned, shrunk, dropped):
    scorer = GroupScorer(fairness_violation, compare="losses", greater_is_better=False)
    one, other = (
        scorer.score(e, X, LABELS, sensitive_features=GROUPS) for e in (pruned, shrunk)
    )
    assert abs(one - other) < 1e-5
    with pytest.raises(ValueError, match="needs the dense network"):
        scorer.score(dropped, X, LABELS, sensitive_features=GROUPS)


def test_the_dense_network_is_let_go(pruned, dropped):
    with pytest.raises(AttributeError, match=r"no dense_estimator_: .*drop_dense=True"):
        _ = dropped.dense_estimator_
    with pytest.raises(ValueError, match=r"prune needs the dense .*drop_dense=True"):
        dropped.prune(X, LABELS)
    with pytest.raises(TypeError, match=r"let go by shrink\(drop_dense=True\)"):
        make(FrozenEstimator(dropped)).fit(X, LABELS)
    same_predictions(dropped, pruned)


def test_pickles_without_the_dense_network_are_small():
    rows = np.random.default_rng(0).normal(size=(60, 100)).astype(np.float32)
    pruned = make(estimator=None, sparsity=0.95, hidden_layer_sizes=(200,)).fit(rows, LABELS)
    small = pruned.shrink(sparse=True, drop_dense=True)
    assert len(pickle.dumps(small)) < len(pickle.dumps(pruned)) / 3


def test_early_weights_are_let_go():
    rewound = make(schedule="rewind").fit(X, LABELS)
    assert rewound._fitted.early
    assert rewound.shrink()._fitted.early
    assert not rewound.shrink(drop_dense=True)._fitted.early


def test_a_frozen_shrunk_estimator_gives_its_dense_network(pruned, shrunk):
    one = make(FrozenEstimator(shrunk), finetune_epochs=0).fit(X, LABELS)
    assert same_weights(one.dense_estimator_, pruned.dense_estimator_)


def test_inside_a_pipeline(pruned, shrunk):
    pipeline = make_pipeline(StandardScaler().fit(X), shrunk)
    assert unwrapped(pipeline)[0] is shrunk
    assert dense_twin(pipeline)[-1].estimator_ is pruned.dense_estimator_
    assert not hasattr(dense_twin(shrunk), "shrunk_")


def test_a_constrained_pruner():
    constrained = GroupConstrainedPruner(make()).fit(X, LABELS, sensitive_features=GROUPS)
    small = constrained.shrink(X=X, sparse=True)
    assert type(small) is GroupConstrainedPruner
    same_predictions(small, constrained)
    assert small.shrunk_["layers"]
    assert not hasattr(constrained, "shrunk_")
    assert not hasattr(small.shrink(drop_dense=True), "dense_estimator_")
    small.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.5)
    assert not hasattr(small, "shrunk_")
    assert "shrunk" not in vars(constrained)


def test_a_regressor():
    y = BITS[:, :2].sum(axis=1) + 0.5
    pruned = make(None, PrunedRegressor, estimator=None, hidden_layer_sizes=(30,)).fit(X, y)
    small = pruned.shrink(sparse=True)
    np.testing.assert_allclose(small.predict(X), pruned.predict(X), atol=1e-6)
    assert small.predict(X).shape == y.shape


class Own(NeuralNetClassifier):
    """A net of the user's."""


def test_nets_of_the_user():
    for net in (
        make_net(kind=Own, optimizer=torch.optim.Adam),
        make_net(optimizer__momentum=0.9),
        make_net(Net(n_out=2)),
    ):
        pruned = make(net).fit(X, LABELS)
        small = pruned.shrink(sparse=True)
        assert type(small.estimator_) is type(net)
        same_predictions(pickle.loads(pickle.dumps(small)), pruned)
        assert small.estimator_.optimizer_ is None
        assert pruned.estimator_.optimizer_ is not None
        assert (small.estimator_.module is small.estimator_.module_) == isinstance(
            net.module, nn.Module
        )


def test_a_net_trimmed_for_prediction():
    net = make_net(Net).fit(X, CODES)
    net.module_.body[0].weight.data[:, :-1] = 0
    net.trim_for_prediction()
    pruned = make(FrozenEstimator(net), sparsity=0.0).fit(X, CODES)
    small = pruned.shrink(sparse=True)
    assert has_sparse_layers(small)
    np.testing.assert_allclose(
        small.estimator_.predict_proba(X), pruned.estimator_.predict_proba(X), atol=1e-6
    )


class Lookup(nn.Module):
    """Embedding of every column, then layers."""

    def __init__(self):
        super().__init__()
        self.look = nn.Embedding(2, 5)
        self.body = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Linear(30, 2))

    def forward(self, X):
        return self.body(self.look(X.long()).flatten(1))


class Mixed(Lookup):
    """The features are numbers, and looked up all the same."""

    def forward(self, X):
        return super().forward(X.clamp(0, 1)) if X.is_floating_point() else 1 / 0


@pytest.mark.parametrize("module", [Lookup, Mixed])
def test_embeddings(module):
    rows = BITS if module is Lookup else BITS.astype(np.float32)
    pruned = make(make_net(module)).fit(rows, LABELS)
    small = pruned.shrink(sparse=True)
    same_predictions(small, pruned, rows)
    zeros = any("rows of zeros" in note for note in small.shrunk_["notes"])
    assert zeros == (module is Mixed)
    assert not any("of zeros" in note for note in pruned.shrink(X=rows).shrunk_["notes"])


class Picky(Net):
    """Reads rows whose first number is 7."""

    def forward(self, X):
        if not (X[:, 0] == 7).all():
            raise RuntimeError("not seven")
        return super().forward(X)


def test_rows_that_cannot_be_drawn():
    rows = X.copy()
    rows[:, 0] = 7
    pruned = make(make_net(Picky)).fit(rows, LABELS)
    with pytest.raises(ValueError, match=r"cannot read random rows .* Pass X"):
        pruned.shrink()
    same_predictions(pruned.shrink(X=rows), pruned, rows)


def test_datasets_images_and_compiled_modules():
    images = X.reshape(60, 1, 2, 2)
    module = nn.Sequential(nn.Conv2d(1, 6, 2), nn.ReLU(), nn.Flatten(), nn.Linear(6, 2))
    pruned = make(make_net(module)).fit(images, LABELS)
    same_predictions(pruned.shrink(X=images), pruned, images)
    same_predictions(pruned.shrink(), pruned, images)
    pruned = make().fit(Pairs(X, CODES))
    same_predictions(pruned.shrink(X=Pairs(X)), pruned)


def test_float64():
    pruned = make(dtype="float64").fit(X, LABELS)
    small = pruned.shrink(sparse=True)
    np.testing.assert_allclose(small.predict_proba(X), pruned.predict_proba(X), atol=1e-13)
