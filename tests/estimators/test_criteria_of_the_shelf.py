"""Every criterion of the shelf in the estimators: counts, zeros, and what it may look at."""

import functools
import itertools

import numpy as np
import pytest
import torch
from estimator_cases import (
    CODES,
    GROUPS,
    LABELS,
    X,
    assert_pruned,
    make,
    make_net,
    same_weights,
    state,
)
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import Cubic, GroupConstrainedPruner, PrunedRegressor
from sklearn_fairprune.engine.recipe import asked_by
from sklearn_fairprune.engine.statistics import STATISTICS
from sklearn_fairprune.functional import CRITERIA, Criterion, fairprune

torch.set_num_threads(1)
EVERY = pytest.mark.parametrize("name", CRITERIA)
OF_TARGETS = [
    name for name, c in CRITERIA.items() if any(STATISTICS[s].of_targets for s in asked_by(c))
]
OF_ROWS = [
    name for name, c in CRITERIA.items() if any(STATISTICS[s].of_rows for s in asked_by(c))
]


def regressor(**options):
    net = make_net(kind=NeuralNetRegressor, criterion=nn.MSELoss, module__n_out=1)
    return make(net, PrunedRegressor, **options)


@EVERY
@pytest.mark.parametrize("schedule", ["one_shot", Cubic(n_updates=5)], ids=["once", "cubic"])
def test_the_count_is_exact_and_removed_weights_stay_zero(name, schedule):
    est = make(criterion=name, schedule=schedule)
    assert_pruned(est.fit(X, LABELS, sensitive_features=GROUPS))


@EVERY
def test_regressors(name):
    est = regressor(criterion=name).fit(X, CODES.astype(np.float32), sensitive_features=GROUPS)
    assert_pruned(est)


@EVERY
def test_the_dense_network_is_that_of_magnitude(name):
    """No step is made and no gradient is left while weights are scored."""
    est, plain = (
        make(criterion=c).fit(X, LABELS, sensitive_features=GROUPS)
        for c in (name, "magnitude")
    )
    assert same_weights(est.dense_estimator_, plain.dense_estimator_)
    masked = make(criterion=name, finetune_epochs=0).fit(X, LABELS, sensitive_features=GROUPS)
    dense, pruned = state(masked.dense_estimator_), state(masked.estimator_)
    for key, values in dense.items():
        kept = masked.masks_[key].numpy() if key in masked.masks_ else True
        assert np.array_equal(pruned[key], np.where(kept, values, 0))


@EVERY
def test_ties_are_counted_exactly(name):
    """Weights that are all alike, and of rows that are all alike."""
    net = make_net(max_epochs=1, lr=0.0)
    est = make(net, criterion=name, sparsity=0.3, finetune_epochs=0)
    est.fit(np.zeros_like(X), LABELS, sensitive_features=GROUPS)
    total = sum(m.numel() for m in est.masks_.values())
    assert sum(int((~m).sum()) for m in est.masks_.values()) == round(0.3 * total)


@EVERY
def test_under_a_constraint(name):
    est = GroupConstrainedPruner(make(criterion=name), tolerance=0.1)
    est.fit(X, LABELS, sensitive_features=GROUPS)
    assert_pruned(est.estimator_)


def test_a_search_over_criteria():
    grid = {"criterion": [*CRITERIA, functools.partial(fairprune, beta=1.0)]}
    search = GridSearchCV(make(finetune_epochs=1), grid, cv=2, error_score="raise")
    search.fit(X, LABELS)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    assert clone(search.best_estimator_).criterion == search.best_params_["criterion"]


@pytest.mark.parametrize("name", OF_ROWS)
def test_without_rows_it_is_refused_before_anything_is_pruned(name):
    est = make(criterion=name).fit(X, LABELS, sensitive_features=GROUPS)
    before = state(est.estimator_)
    with pytest.raises(ValueError, match=rf"criterion: {name} asks for .*pass X"):
        est.prune(sparsity=0.7)
    assert same_weights(before, state(est.estimator_))


@EVERY
def test_without_targets_it_is_refused_where_it_needs_them(name):
    est = make(criterion=name, finetune_epochs=0).fit(X, LABELS, sensitive_features=GROUPS)
    if name in OF_TARGETS:
        with pytest.raises(ValueError, match=rf"criterion={name} asks for .*targets"):
            est.prune(X, sparsity=0.75)
    else:
        assert est.prune(X, sparsity=0.75).sparsity_ == 0.75


def test_what_needs_targets_and_rows():
    assert set(CRITERIA) - set(OF_TARGETS) == {"magnitude", "random", "wanda"}
    assert set(CRITERIA) - set(OF_ROWS) == {"magnitude", "random"}


def test_statistics_are_of_the_network_as_it_is_at_every_change():
    seen = []

    def spy(weight, *, gradient, group_losses):
        seen.append((weight, gradient, group_losses))
        return weight.abs()

    linear = make_net(nn.Linear, module__in_features=4, module__out_features=2, lr=0.5)
    est = make(
        linear.set_params(module__bias=False),
        criterion=spy,
        schedule=Cubic(n_updates=5),
        finetune_epochs=10,
    )
    est.fit(X, LABELS, sensitive_features=GROUPS)
    assert len(seen) >= 2
    for weight, gradient, group_losses in seen:
        w = weight.clone().requires_grad_()
        losses = nn.functional.cross_entropy(
            torch.from_numpy(X) @ w.T, torch.from_numpy(CODES), reduction="none"
        )
        (expected,) = torch.autograd.grad(losses.mean(), w)
        torch.testing.assert_close(gradient, expected, rtol=1e-4, atol=1e-6)
        for a, name in enumerate(["f", "m"]):
            own = losses[torch.from_numpy(name == GROUPS)].mean().detach()
            assert float(group_losses[a]) == pytest.approx(float(own), rel=1e-4)
    weights = [weight for weight, *_ in seen]
    assert not any(torch.equal(a, b) for a, b in itertools.pairwise(weights))


@pytest.mark.parametrize("name", ["fairprune", "fairgrape", "worst_group"])
def test_one_group_gives_the_masks_of_the_plain_form(name):
    def second_order(weight, *, gradient, hessian_diagonal):
        return -weight * gradient + weight.square() / 2 * hessian_diagonal

    plain = {"fairprune": "optimal_brain_damage", "fairgrape": "taylor"}.get(
        name, second_order
    )
    grouped, whole = (
        make(criterion=c).fit(X, LABELS, sensitive_features=["all"] * len(X))
        for c in (name, plain)
    )
    assert all(torch.equal(grouped.masks_[k], m) for k, m in whole.masks_.items())
    apart = make(criterion=name).fit(X, LABELS, sensitive_features=GROUPS)
    assert any(not torch.equal(apart.masks_[k], m) for k, m in whole.masks_.items())


def test_another_default_is_a_partial_or_a_record():
    fair = functools.partial(fairprune, beta=0.9)
    one, two = (
        make(criterion=c).fit(X, LABELS, sensitive_features=GROUPS)
        for c in (fair, Criterion(fair, title="fairer"))
    )
    assert same_weights(one.estimator_, two.estimator_)
