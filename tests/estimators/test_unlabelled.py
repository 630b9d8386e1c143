"""Rows without targets: what they prune bit for bit as with targets, and what is refused."""

import warnings

import numpy as np
import pytest
import torch
from estimator_cases import (
    CODES,
    GROUPS,
    LABELS,
    WEIGHTS,
    Pairs,
    X,
    assert_same,
    make,
    make_net,
    state,
)
from estimator_cases import same_weights as same
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from skorch import NeuralNetBinaryClassifier, NeuralNetRegressor
from skorch.callbacks import EpochScoring
from skorch.dataset import ValidSplit
from torch import nn

from sklearn_fairprune import (
    Cubic,
    Distill,
    GroupConstrainedPruner,
    Iterative,
    PrunedClassifier,
    PrunedRegressor,
    Reconstruct,
)

torch.set_num_threads(1)
NUMBERS = CODES.astype(np.float32)
WHOLE = {"recovery": "distill", "finetune_epochs": 3}
LEFT = {"recovery": "reconstruct", "finetune_epochs": 0}
# What needs no targets, by what is pruned with.
ENOUGH = {
    "masks only": {"finetune_epochs": 0},
    "reconstruct": LEFT,
    "reconstruct, no damping to speak of": LEFT | {"recovery": Reconstruct(damping=1e-6)},
    "reconstruct by activations": LEFT
    | {"criterion": lambda weight, *, activation_norms: weight.abs() * activation_norms},
    "layerwise, random": LEFT | {"criterion": "random", "scope": "layerwise"},
    "cubic without epochs": LEFT | {"schedule": "cubic"},
    "distill": WHOLE,
    "distill, as long as it takes": WHOLE | {"finetune_epochs": None},
    "distill gradually": WHOLE | {"schedule": Cubic(n_updates=5), "finetune_lr": "cosine"},
    "distill, warmer, in steps": WHOLE | {"recovery": Distill(3.0), "schedule": Iterative(2)},
    "both": WHOLE | {"recovery": "reconstruct_distill"},
}
BALANCED = {
    "reconstruct": {"recovery": Reconstruct(balance=1.0), "finetune_epochs": 0},
    "distill": {"recovery": Distill(balance=0.5), "finetune_epochs": 2},
}


class Normed(nn.Sequential):
    """A layer with batch norm."""

    def __init__(self, n_in=4, n_out=2):
        layers = nn.Linear(n_in, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, n_out)
        super().__init__(*layers)


def regressor(n_out=1, **options):
    net = {"criterion": nn.MSELoss, "module__n_out": n_out, "lr": 0.05}
    return make(make_net(kind=NeuralNetRegressor, **net), PrunedRegressor, **options)


def binary(**options):
    net = {"module__n_out": 1, "criterion": nn.BCEWithLogitsLoss}
    return make(make_net(kind=NeuralNetBinaryClassifier, **net), **options)


KINDS = {
    "classifier": (lambda **options: make(**options), LABELS),
    "binary": (binary, LABELS),
    "batch norm": (lambda **options: make(make_net(Normed), **options), LABELS),
    "regressor": (regressor, NUMBERS),
    "two outputs": (lambda **options: regressor(2, **options), X[:, :2]),
    "default": (
        lambda **options: PrunedClassifier(
            make_net(max_epochs=2), **({"random_state": 0, "sparsity": 0.5} | options)
        ),
        LABELS,
    ),
}

FEW = ["masks only", "reconstruct", "distill gradually"]
PAIRS = [(kind, way) for kind in KINDS for way in (ENOUGH if kind == "classifier" else FEW)]


def assert_prunes_alike(est, y, sparsity=0.75, **data):
    """prune(X) leaves the very network, masks and history that prune(X, y) leaves."""
    est.prune(X, y, sparsity=sparsity, **data)
    kept, history = state(est.estimator_), list(est.history_)
    masks = dict(est.masks_)
    est.prune(X, y, sparsity=0.25, **data)
    assert not same(est.estimator_, kept)
    assert est.prune(X, sparsity=sparsity, **data) is est
    assert same(est.estimator_, kept)
    assert all(torch.equal(est.masks_[name], mask) for name, mask in masks.items())
    for one, two in zip(est.history_, history, strict=True):
        assert one.keys() == two.keys()
        assert all(one[key] == two[key] for key in one if key != "dur")


@pytest.mark.parametrize(("kind", "way"), PAIRS)
def test_features_are_enough(kind, way):
    maker, y = KINDS[kind]
    est = maker(**ENOUGH[way]).fit(X, y)
    assert_prunes_alike(est, y)
    assert_prunes_alike(est, y, sample_weight=np.where(np.arange(60) < 50, WEIGHTS, 0))


@pytest.mark.parametrize("way", BALANCED)
def test_groups_stand_beside_features(way):
    est = make(**BALANCED[way]).fit(X, LABELS, sensitive_features=GROUPS)
    assert_prunes_alike(est, LABELS, sensitive_features=GROUPS)
    before = state(est.estimator_)
    est.prune(X, sensitive_features=np.roll(GROUPS, 7), sparsity=0.75)
    assert not same(est.estimator_, before)
    with pytest.raises(ValueError, match=r"balance weighs .* Pass one of the two"):
        est.prune(X, sparsity=0.5)
    number = regressor(**BALANCED[way]).fit(X, NUMBERS)  # all rows are one group
    assert_prunes_alike(number, NUMBERS)


def test_a_frozen_network_and_many_rows_without_targets():
    dense = make(sparsity=0.0).fit(X, LABELS).estimator_
    est = make(FrozenEstimator(dense), **LEFT).fit(X[:20], CODES[:20])
    est.prune(X, sparsity=0.75)
    whole = make(FrozenEstimator(dense), sparsity=0.75, **LEFT).fit(X, CODES)
    assert_same(est, whole)


def test_a_dataset_of_features():
    est = make(**LEFT).fit(Pairs(X, LABELS))
    est.prune(X, LABELS, sparsity=0.75)
    kept = state(est.estimator_)
    est.prune(Pairs(X), sparsity=0.75)
    for name, value in state(est.estimator_).items():
        np.testing.assert_allclose(value, kept[name], atol=1e-5)
    est.set_params(finetune_epochs=2)
    with pytest.raises(ValueError, match="prune got X without y"):
        est.prune(Pairs(X))
    with pytest.raises(ValueError, match="not pairs"):
        clone(est).fit(Pairs(X))
    est.prune(Pairs(X, LABELS), sparsity=0.5)  # pairs bring their targets
    assert [row["phase"] for row in est.history_][-2:] == ["finetune"] * 2


TOLD = "prune got X without y, and needs targets: "
SCORED = ("scored", EpochScoring("accuracy", on_train=True))
REFUSED = {
    "fine-tuning": (
        {"finetune_epochs": 7},
        r"the fine-tuning \(finetune_epochs=7\) fits them\. Pass y, or finetune_epochs=0, or",
    ),
    "default epochs": ({"finetune_epochs": None}, r"\(finetune_epochs=None\) fits them"),
    "reconstruct, then train": (
        {"recovery": "reconstruct", "finetune_epochs": 1},
        r"\(finetune_epochs=1\) fits them",
    ),
    "half distilled": ({"recovery": Distill(share=0.5)}, r"fits them"),
    "gradients": (
        {"finetune_epochs": 0, "criterion": lambda w, *, gradient: (w * gradient).abs()},
        r"criterion=<lambda> asks for \['gradient'\], which are measured on targets\. Pass y, "
        r"or use a criterion that asks for none, such as 'magnitude'\.",
    ),
    "shares of groups": (
        {"finetune_epochs": 0, "criterion": lambda w, *, group_shares: w.abs()},
        r"asks for \['group_shares'\]",
    ),
    "validation": (
        WHOLE | {"estimator__train_split": ValidSplit(3)},
        r"the net measures itself on them in the fine-tuning \(finetune_epochs=3\): its "
        r"train_split\. Pass y, or finetune_epochs=0, or a net without\.",
    ),
    "scores": (WHOLE | {"estimator__callbacks": [SCORED]}, r"its callback 'scored'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_needs_targets_says_why_and_loses_nothing(case):
    options, message = REFUSED[case]
    est = make()
    of_net = {name: v for name, v in options.items() if name.startswith("estimator__")}
    est.set_params(**of_net).fit(X, LABELS)
    est.set_params(**options)
    before = state(est.estimator_)
    with pytest.raises(ValueError, match=f"{TOLD}.*{message}"):
        est.prune(X, sparsity=0.75)
    assert same(est.estimator_, before)
    assert est.sparsity_ == 0.5
    est.prune(X, sparsity=0.0)  # nothing is removed, and nothing is trained
    assert same(est.estimator_, est.dense_estimator_)
    est.set_params(finetune_epochs=0, criterion="magnitude").prune(X, sparsity=0.75)
    assert est.sparsity_ == 0.75


def test_partial_fit_and_fit_need_targets_as_before():
    est = make(**LEFT).fit(X, LABELS)
    for verb in (clone(est).fit, est.partial_fit):
        with pytest.raises(ValueError, match="requires y to be passed"):
            verb(X)


def test_wrong_features_are_refused_as_ever():
    est = make(**LEFT).fit(X, LABELS)
    with pytest.raises(ValueError, match="features"):
        est.prune(X[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        est.prune(np.full_like(X, np.nan))
    with pytest.raises(ValueError, match="no X"):
        est.set_params(recovery="plain").prune(sensitive_features=GROUPS)


@pytest.mark.parametrize("way", ["masks only", "reconstruct", "distill"])
def test_a_constrained_pruner_knows_no_violations_without_targets(way):
    stage = "before" if way == "distill" else "after"
    options = {"constraint": "minimax", "stage": stage}
    est = GroupConstrainedPruner(make(**ENOUGH[way]), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, LABELS, sensitive_features=GROUPS)
        est.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.75)
        kept = state(est.estimator_.estimator_)
        est.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.25)
        est.prune(X, sparsity=0.75)
    assert same(est.estimator_.estimator_, kept)
    assert not hasattr(est, "violations_")
    assert not hasattr(est, "constraint_satisfied_")
    assert hasattr(est, "multipliers_") == (stage == "before")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"estimator": WHOLE},
            r"constraint='minimax' is on the losses of the groups",
        ),
        (
            {"estimator": LEFT, "holdout": 0.2},
            r"holdout=0\.2 spreads the held-out rows over",
        ),
    ],
)
def test_a_constraint_that_needs_targets_says_why(options, message):
    options = {"constraint": "minimax"} | options
    est = GroupConstrainedPruner(make(**options.pop("estimator")), **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        est.fit(X, LABELS, sensitive_features=GROUPS)
    before = est.violations_.copy()
    with pytest.raises(ValueError, match=f"{TOLD}{message}"):
        est.prune(X, sparsity=0.75)
    assert est.violations_.equals(before)
    assert est.sparsity_ == 0.5


def test_refitted_layers_go_with_the_statistics_of_the_dense_network():
    est = make(make_net(Normed, max_epochs=10), **LEFT).fit(X, LABELS).prune(X, sparsity=0.75)
    kept, dense = est.estimator_.module_[1], est.dense_estimator_.module_[1]
    assert torch.equal(kept.running_var, dense.running_var)
    est.set_params(recovery="plain").prune(X, sparsity=0.75)
    assert not torch.equal(est.estimator_.module_[1].running_var, dense.running_var)
