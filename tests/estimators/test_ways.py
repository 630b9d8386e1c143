"""Every schedule with every recovery: what a fit leaves, what is refused, and the searches."""

import itertools
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from estimator_cases import (
    CODES,
    GROUPS,
    LABELS,
    WEIGHTS,
    Pairs,
    X,
    make,
    make_net,
    state,
)
from estimator_cases import same_weights as same
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetRegressor
from skorch.callbacks import EarlyStopping, LRScheduler

from sklearn_fairprune import (
    Cubic,
    Distill,
    GroupConstrainedPruner,
    Iterative,
    PrunedRegressor,
    Reconstruct,
    Rewind,
)
from sklearn_fairprune.engine.recovery import RECOVERIES
from sklearn_fairprune.functional import SCHEDULES, masks_sparsity

torch.set_num_threads(1)
OBJECTS = {
    "schedule": [*SCHEDULES, Iterative(2), Cubic(n_updates=5, live=False), Rewind(0.4)],
    "recovery": [*RECOVERIES, Distill(2.0, share=0.5, balance=1.0), Reconstruct(distill=True)],
}
PAIRS = list(itertools.product(SCHEDULES, RECOVERIES))


def finetuning(est):
    frame = pd.DataFrame(est.history_)
    return frame[frame["phase"] == "finetune"]


def fitted(**options):
    est = make(**({"finetune_epochs": 4, "sparsity": 0.75} | options))
    return est.fit(X, LABELS, sensitive_features=GROUPS)


@pytest.mark.parametrize(("schedule", "recovery"), PAIRS)
def test_every_pair_ends_with_exact_masks(schedule, recovery):
    est = fitted(schedule=schedule, recovery=recovery)
    assert est.sparsity_ == 36 / 48
    for name, weight in est.estimator_.module_.named_parameters():
        if name in est.masks_:
            assert (weight[~est.masks_[name]] == 0).all()
            assert (weight[est.masks_[name]] != 0).all()
    tuned = finetuning(est)
    assert len(tuned) == 4
    assert tuned["sparsity"].iloc[-1] == est.sparsity_
    assert tuned["step"].is_monotonic_increasing
    assert not same(est.estimator_, est.dense_estimator_)


@pytest.mark.slow
@pytest.mark.parametrize(("schedule", "recovery"), PAIRS)
def test_every_pair_is_reproducible_and_leaves_the_dense_network(schedule, recovery):
    options = {"schedule": schedule, "recovery": recovery}
    one, two = fitted(**options), fitted(**options)
    assert same(one.estimator_, two.estimator_)
    assert same(one.dense_estimator_, fitted(sparsity=0.0).estimator_)
    two.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.25)
    two.prune(X, LABELS, sensitive_features=GROUPS)
    assert same(one.estimator_, two.estimator_)


@pytest.mark.parametrize("value", OBJECTS["schedule"], ids=str)
def test_every_member_of_a_path_is_what_fit_gives(value):
    est = make(schedule=value, recovery="distill", finetune_epochs=3)
    path = est.pruning_path(X, LABELS, sensitive_features=GROUPS, sparsities=[0, 0.5, 0.75])
    for member in path.estimators[1:]:
        own = clone(member).fit(X, LABELS, sensitive_features=GROUPS)
        assert same(own.estimator_, member.estimator_)


def test_history_tells_sparsity_and_step_of_every_epoch():
    tuned = finetuning(fitted(schedule=Iterative(4), sparsity=0.9375))
    assert tuned["step"].tolist() == [1, 2, 3, 4]
    assert tuned["sparsity"].tolist() == pytest.approx([0.5, 0.75, 0.875, 0.9375])
    cubic = finetuning(fitted(schedule=Cubic(0.5)))
    assert cubic["sparsity"].is_monotonic_increasing
    assert cubic["sparsity"].tolist()[1:] == [0.75] * 3


def test_rewind_goes_back_to_early_weights_of_the_same_training():
    est = fitted(schedule=Rewind(0.0), finetune_epochs=1, net=make_net(lr=0.0))
    first = state(est.dense_estimator_)  # at rate 0 the first weights are the last
    for name, value in state(est.estimator_).items():
        mask = est.masks_.get(name)
        expected = first[name] if mask is None else first[name] * mask.numpy()
        np.testing.assert_array_equal(value, expected)


def test_rewind_keeps_the_early_weights_for_other_sparsities(tmp_path):
    one = fitted(schedule="rewind", memory=str(tmp_path))
    two = fitted(schedule="rewind", memory=str(tmp_path))  # from the cache
    assert same(one.estimator_, two.estimator_)
    two.prune(X, LABELS, sensitive_features=GROUPS, sparsity=0.5)
    plain = fitted(schedule="rewind", sparsity=0.5)
    assert same(plain.estimator_, two.estimator_)


def test_rewind_is_refused_where_no_early_weights_are():
    frozen = FrozenEstimator(fitted().dense_estimator_)
    with pytest.raises(ValueError, match=r"rewind goes back .* FrozenEstimator tells"):
        make(frozen, schedule="rewind").fit(X, CODES)
    est = fitted()
    before = state(est.estimator_)
    est.set_params(schedule="rewind")
    with pytest.raises(ValueError, match="were not kept"):
        est.prune(X, LABELS)
    assert same(est.estimator_, before)


def test_reconstruction_needs_no_training():
    plain = fitted(finetune_epochs=0)
    est = fitted(finetune_epochs=0, recovery="reconstruct")
    assert finetuning(est).empty
    assert all(torch.equal(est.masks_[k], m) for k, m in plain.masks_.items())

    def distance(a):
        return np.abs(a.predict_proba(X) - fitted(sparsity=0.0).predict_proba(X)).mean()

    assert distance(est) < 0.8 * distance(plain)


def test_distillation_copies_the_dense_network():
    options = {"finetune_epochs": 60, "sparsity": 0.5, "schedule": "cubic"}
    dense = fitted(sparsity=0.0).predict_proba(X)
    near = fitted(recovery=Distill(share=1.0), **options).predict_proba(X)
    own = fitted(recovery="plain", **options).predict_proba(X)
    assert np.abs(near - dense).max() < 0.5 * np.abs(own - dense).max()


def test_rates():
    assert same(fitted().estimator_, fitted(finetune_lr="net").estimator_)
    cosine = fitted(finetune_lr="cosine")
    assert not same(fitted().estimator_, cosine.estimator_)
    assert same(cosine.estimator_, fitted(finetune_lr=3.3 * 0.1).estimator_)
    steady = ("steady", LRScheduler(torch.optim.lr_scheduler.ConstantLR, factor=1.0))
    own = make_net(callbacks=[steady])
    assert same(fitted(net=own, finetune_lr="cosine").estimator_, fitted().estimator_)


def test_budget_of_none():
    assert len(finetuning(fitted(finetune_epochs=None))) == 5  # 20 steps while tests run
    assert len(finetuning(fitted(finetune_epochs=None, sparsity=0.0))) == 0


def test_a_rate_schedule_that_ends_too_early_is_refused_before_anything_is_trained():
    policy = {"policy": torch.optim.lr_scheduler.OneCycleLR, "max_lr": 0.1}
    one = LRScheduler(**policy, total_steps=12, step_every="batch")
    own = make_net(callbacks=[("one_cycle", one)])  # 3 epochs of 4 batches
    est = make(own, finetune_epochs=4)
    with pytest.raises(
        ValueError, match=r"'one_cycle' plans 12 .* has 16 .*Lower finetune_ep"
    ):
        est.fit(X, LABELS)
    assert not hasattr(est, "estimator_")
    est.set_params(finetune_epochs=3).fit(X, LABELS)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"schedule": "gradual"}, "'schedule' parameter of PrunedC"),
        ({"recovery": "finetune"}, "'recovery' parameter of PrunedC"),
        ({"recovery": Distill(share=1.5)}, "'share' parameter of Distill"),
        ({"recovery": Distill(temperature=0.0)}, "'temperature' parameter of Distill"),
        ({"recovery": Distill(balance=-1)}, "'balance' parameter of Distill"),
        ({"recovery": Reconstruct(damping=0)}, "'damping' parameter of Reconstruct"),
        ({"recovery": Reconstruct(distill=Distill(share=2))}, "'share' parameter of Distill"),
        ({"schedule": Iterative(0)}, "'n_steps' parameter of Iterative"),
        ({"schedule": Cubic(0.0)}, "'ramp' parameter of Cubic"),
        ({"schedule": Rewind(2)}, "'at' parameter of Rewind"),
        ({"schedule": Iterative(9)}, "9 steps with training after each"),
        ({"schedule": lambda t, s: s * t}, "must reach sparsity=0.75 before the"),
        ({"finetune_lr": 0.0}, "'finetune_lr' parameter"),
        ({"finetune_lr": "fast"}, "'finetune_lr' parameter"),
        ({"finetune_epochs": -1}, "'finetune_epochs' parameter"),
    ],
)
def test_what_is_refused_loses_nothing(options, message):
    est = fitted()
    before = state(est.estimator_)
    with pytest.raises(ValueError, match=message):
        clone(est).set_params(**options).fit(X, LABELS)
    est.set_params(**options)
    with pytest.raises(ValueError, match=message):
        est.prune(X, LABELS)
    assert same(est.estimator_, before)
    assert est.sparsity_ == 0.75


def test_reconstruction_without_rows_is_refused():
    est = fitted(recovery="reconstruct")
    with pytest.raises(ValueError, match=r"reconstruct.*there are none: pass X,"):
        est.prune(sparsity=0.5)
    est.set_params(recovery="distill").prune(sparsity=0.5)
    assert est.sparsity_ == 0.5


@pytest.mark.parametrize("kind", ["schedule", "recovery"])
def test_objects_are_cloned_and_searched_like_any_parameter(kind):
    for value in OBJECTS[kind]:
        est = clone(make(**{kind: value}, finetune_epochs=4))
        assert repr(getattr(est, kind)) == repr(value)
    est = make(recovery=Distill(), schedule=Cubic(), finetune_epochs=2)
    grid = {"recovery__temperature": [1.0, 4.0], "schedule__ramp": [0.3, 1.0]}
    search = GridSearchCV(est, grid, cv=2).fit(X, LABELS)
    assert len(search.cv_results_["params"]) == 4
    assert search.best_estimator_.sparsity_ == 0.5


@pytest.mark.parametrize("schedule", ["iterative", "cubic"])
def test_multipliers_go_on_across_the_steps(schedule):
    pruner = make(schedule=schedule, recovery="distill", finetune_epochs=6)
    meta = GroupConstrainedPruner(pruner, tolerance=0.0, noise=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        meta.fit(X, LABELS, sensitive_features=GROUPS)
    tuned = meta.history_[meta.history_["stage"] == "finetune"]
    assert tuned["epoch"].max() == 6
    trace = tuned.pivot_table(index="epoch", columns="group", values="multiplier")
    assert (trace.max(axis=1) > 0).all()  # a restart would begin at 0 again
    assert meta.estimator_.sparsity_ == 0.5
    plain = make(schedule=schedule, recovery="distill", finetune_epochs=6)
    assert not same(plain.fit(X, LABELS).estimator_, meta.estimator_.estimator_)


@pytest.mark.slow
def test_an_infinite_tolerance_changes_no_bit_of_any_pair():
    for schedule, recovery in PAIRS:
        pruner = make(schedule=schedule, recovery=recovery, finetune_epochs=3)
        free = GroupConstrainedPruner(pruner, tolerance=np.inf)
        free.fit(X, LABELS, sensitive_features=GROUPS)
        plain = clone(pruner).fit(X, LABELS, sensitive_features=GROUPS)
        assert same(free.estimator_.estimator_, plain.estimator_), (schedule, recovery)


def test_rows_of_weight_zero_have_no_say():
    weights = np.where(np.arange(60) < 50, WEIGHTS, 0)
    options = {"schedule": "cubic", "recovery": "reconstruct_distill"}
    one = make(**options).fit(X, LABELS, sample_weight=weights)
    two = make(**options).fit(X[:50], LABELS[:50], sample_weight=weights[:50])
    assert same(one.estimator_, two.estimator_)


@pytest.mark.parametrize("recovery", ["plain", "distill"])
def test_datasets_and_gradual_masks(recovery):
    est = make(schedule="cubic", recovery=recovery, finetune_epochs=2)
    est.fit(Pairs(X, LABELS))
    array = clone(est).fit(X, LABELS)
    np.testing.assert_allclose(est.predict_proba(X), array.predict_proba(X), atol=1e-5)


def test_a_regressor():
    options = {"criterion": torch.nn.MSELoss, "module__n_out": 1, "lr": 0.05}
    ways = {"schedule": "cubic", "recovery": "reconstruct_distill", "finetune_epochs": 3}
    est = make(make_net(kind=NeuralNetRegressor, **options), PrunedRegressor, **ways)
    est.fit(X, CODES.astype(np.float32))
    assert est.sparsity_ == 0.5
    assert np.isfinite(est.predict(X)).all()


def test_stopping_before_the_final_mask_is_told():
    stop = EarlyStopping(monitor="train_loss", patience=1, threshold=10.0, sink=lambda *_: 0)
    own = make_net(callbacks=[("stop", stop)])
    with pytest.warns(UserWarning, match="before the schedule reached 0.75"):
        est = fitted(net=own, schedule=Iterative(4), finetune_epochs=8)
    assert est.sparsity_ == masks_sparsity(est.masks_) == 0.75


def test_effective_sparsity_and_dead_units():
    est = fitted(sparsity=0.9, finetune_epochs=0)
    masks = {name: mask.numpy() for name, mask in est.masks_.items()}
    first, last = masks["body.0.weight"], masks["body.2.weight"]
    reached, used = first.any(axis=1), last.any(axis=0)
    live = (first & used[:, None]).sum() + (last & reached).sum()
    assert est.effective_sparsity_ == pytest.approx(1 - live / 48)
    assert est.effective_sparsity_ >= est.sparsity_
    dead = 8 - int((reached & used).sum())
    assert est.dead_units_["body.0.weight"] == (dead, 8)
    lively = fitted(sparsity=0.875, schedule="cubic")
    assert lively.effective_sparsity_ == lively.sparsity_


def test_masks_of_a_gradual_path_need_not_nest():
    path = make(schedule="cubic", finetune_epochs=5).pruning_path(
        X, LABELS, sparsities=[0.25, 0.5, 0.75]
    )
    masks = [member.masks_ for member in path.estimators]
    nested = all(
        (after[k] <= before[k]).all()
        for before, after in itertools.pairwise(masks)
        for k in after
    )
    assert path.nested == nested
    assert make().pruning_path(X, LABELS, sparsities=[0.75, 0, 0.25]).nested
