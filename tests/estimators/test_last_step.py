"""A constraint after all training: the last layer, or its biases, and a last pass."""

import warnings

import numpy as np
import pytest
import torch
from constrained_cases import NOISY_LABELS, QUIET, TARGETS, constrained, inner
from estimator_cases import make_net, same_weights
from people_cases import SEX, PlainNet, net
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetRegressor
from torch import nn

from sklearn_fairprune import GroupConstrainedPruner, PrunedClassifier, PrunedRegressor

pytestmark = QUIET
RNG = np.random.default_rng(5)
# Labels follow other signs in a group of a fifth of the rows, which is badly served.
PEOPLE = RNG.normal(size=(600, 5)).astype(np.float32)
FEW = RNG.random(600) < 0.2
GROUPS = np.where(FEW, "few", "many")
TRUTH = (PEOPLE[:, 0] + np.where(FEW, -2.0, 0.5) + 0.3 * RNG.normal(size=600) > 0) * 1
PEOPLE[:, 1] = FEW - 0.2
LAST = ("last_layer", "shift")


def pruner(**params):
    own = {"finetune_epochs": 3, "sparsity": 0.3}
    return inner(estimator=net(PlainNet, max_epochs=6), **(own | params))


def last(stage="last_layer", model=None, **params):
    options = {"tolerance": 0.0, "noise": 0.0, "max_accuracy_loss": 0.1, "holdout": 0.2}
    model = pruner() if model is None else model
    return GroupConstrainedPruner(model, stage=stage, **(options | params))


def fit(est, y=TRUTH, groups=GROUPS):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return est.fit(PEOPLE, y, sensitive_features=groups)


@pytest.fixture(scope="module", params=LAST)
def pair(request):
    """A network whose last step was adjusted, and the same without it."""
    stage = request.param
    without = fit(last("after", tolerance=np.inf, holdout=0.2))
    return fit(last(stage)), without, stage


def weights(est):
    return {k: v.detach() for k, v in est.estimator_.estimator_.module_.named_parameters()}


def test_only_the_last_layer_moves(pair):
    est, without, stage = pair
    before, after = weights(without), weights(est)
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    assert changed == ({"out.bias"} if stage == "shift" else {"out.bias", "out.weight"})
    for name, mask in est.masks_.items():
        assert (after[name][~mask] == 0).all()
    assert same_weights(est.dense_estimator_, without.dense_estimator_)


def test_the_group_that_is_badly_served_is_helped(pair):
    est, without, _ = pair
    first, second = (e.violations_["holdout"].max() for e in (without, est))
    assert second < first
    worst = without.violations_["holdout"].idxmax()
    assert est.row_weights_.loc[worst, "highest"] > 1.05
    assert est.multipliers_[worst] > 0
    y = TRUTH
    assert (est.predict(PEOPLE) == y).mean() > (without.predict(PEOPLE) == y).mean() - 0.1


def test_rounds_are_in_the_history(pair):
    est, _, stage = pair
    rounds = est.history_[est.history_["stage"] == stage]
    assert set(est.history_["stage"]) == {stage}
    assert rounds["epoch"].tolist() == [k for k in range(1, 13) for _ in range(2)]
    assert rounds.columns.tolist()[-2:] == ["holdout_loss", "holdout_violation"]
    assert rounds.notna().all(axis=None)


def test_predictions_need_no_groups(pair):
    est, _, _ = pair
    np.testing.assert_array_equal(
        est.predict(PEOPLE), est.predict(PEOPLE, sensitive_features=GROUPS)
    )


@pytest.mark.parametrize("stage", [*LAST, "after+shift", "after+last_layer"])
def test_pruning_again_and_a_path_are_fits(stage):
    est = fit(last(stage))
    again = clone(est).set_params(estimator__sparsity=0.6)
    again = fit(again)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.prune(PEOPLE, TRUTH, sensitive_features=GROUPS, sparsity=0.6)
        path = last(stage).pruning_path(
            PEOPLE, TRUTH, sensitive_features=GROUPS, sparsities=[0.0, 0.6]
        )
    for one in (est, path.estimators[1]):
        assert same_weights(one.estimator_.estimator_, again.estimator_.estimator_)
        np.testing.assert_array_equal(one.violations_, again.violations_)
    dense = path.estimators[0]
    assert same_weights(dense.estimator_.estimator_, dense.dense_estimator_)


def test_nothing_is_adjusted_where_nothing_may_be_lost_or_nothing_is_wrong():
    free = fit(last("after", tolerance=np.inf, holdout=0.2))
    alike = RNG.permutation(GROUPS)
    est = fit(last(noise=2.0, tolerance=None), groups=alike)
    same = fit(last("after", tolerance=np.inf, holdout=0.2), groups=alike)
    assert same_weights(est.estimator_.estimator_, same.estimator_.estimator_)
    assert (est.multipliers_ == 0).all()
    assert (est.row_weights_ == 1).all(axis=None)
    assert free.outcome_ == "met_by_pruning_alone"


def test_a_fine_tuning_and_a_last_step_are_both_constrained():
    est = fit(last("after+last_layer"))
    assert list(dict.fromkeys(est.history_["stage"])) == ["finetune", "last_layer"]


def test_a_regressor_is_shifted():
    y = (PEOPLE[:, 0] + np.where(FEW, 3.0, 0.0)).astype(np.float32)[:, None]
    module = nn.Sequential(nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 1))
    own = {"max_epochs": 2, "lr": 0.01, "batch_size": 64, "criterion": nn.MSELoss}
    skorch_net = make_net(module, NeuralNetRegressor, **own)
    model = PrunedRegressor(skorch_net, sparsity=0.3, finetune_epochs=1, random_state=0)
    before = fit(last("after", model, tolerance=np.inf, holdout=0.2), y=y)
    for stage in LAST:
        est = fit(last(stage, model), y=y)
        assert est.violations_["holdout"].max() < before.violations_["holdout"].max()
        assert est.predict(PEOPLE).shape == (600, 1)


def test_a_search_over_stages():
    grid = {"stage": ["after", *LAST], "max_accuracy_loss": [0.01, 0.05]}
    search = GridSearchCV(last(), grid, cv=2, error_score="raise")
    fit(search)
    assert len(search.cv_results_["params"]) == 6


@pytest.mark.parametrize("stage", LAST)
def test_without_held_rows_the_training_rows_are_looked_at(stage):
    before = fit(last("after", tolerance=np.inf, holdout=0.0))
    est = fit(last(stage, holdout=0.0))
    assert list(est.violations_) == ["train"]
    assert est.violations_["train"].max() < before.violations_["train"].max()
    assert not {"holdout_loss", "holdout_violation"} & set(est.history_)
    assert est.history_.notna().all(axis=None)
    assert same_weights(est.dense_estimator_, before.dense_estimator_)


# ---- a fitted pruner -------------------------------------------------------------------


@pytest.mark.parametrize("stage", LAST)
@pytest.mark.parametrize("holdout", [0.0, 0.2])
def test_a_frozen_pruner_is_adjusted_as_one_that_is_fitted_now(stage, holdout):
    model = fit(pruner())
    kept = {name: p.clone() for name, p in model.estimator_.module_.state_dict().items()}
    est = fit(last(stage, FrozenEstimator(model), holdout=holdout))
    for name, value in model.estimator_.module_.state_dict().items():
        assert torch.equal(value, kept[name])
    assert est.estimator_ is not model
    assert set(est.history_["stage"]) == {stage}
    if not holdout:
        same = fit(last(stage, holdout=0.0))
        assert same_weights(est.estimator_.estimator_, same.estimator_.estimator_)
        np.testing.assert_array_equal(est.violations_, same.violations_)
        assert est.groups_.tolist() == ["few", "many"]
    fit(est.set_params(max_accuracy_loss=0.0))
    assert same_weights(clone(est).estimator.estimator_, model.estimator_)


def test_a_frozen_network_that_nothing_was_removed_of_is_adjusted():
    model = fit(pruner(sparsity=0.0))
    est = fit(last(model=FrozenEstimator(model), holdout=0.0))
    assert est.sparsity_ == 0
    assert est.score(PEOPLE, TRUTH) > 0.5
    assert not same_weights(est.estimator_.estimator_, model.estimator_)
    assert same_weights(est.dense_estimator_, model.estimator_)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"stage": "after"}, "stage='after' trains the network, and that of a FrozenEst"),
        ({"stage": "after+shift"}, r"stage='after\+shift' trains the network"),
        ({"refit": True}, "refit=True trains the network"),
    ],
)
def test_a_frozen_pruner_is_not_trained(options, match):
    est = last(model=FrozenEstimator(fit(pruner()))).set_params(**options)
    with pytest.raises(ValueError, match=match):
        fit(est)
    assert not hasattr(est, "estimator_")


def test_a_frozen_pruner_has_no_path_and_must_be_fitted_and_whole():
    model = fit(pruner())
    with pytest.raises(ValueError, match="estimator is a fitted one, in a FrozenEstimator"):
        last(model=FrozenEstimator(model)).pruning_path(PEOPLE, TRUTH, sparsities=[0.5])
    with pytest.raises(NotFittedError, match="not fitted yet"):
        fit(last(model=FrozenEstimator(pruner())))
    with pytest.raises(ValueError, match=r"was made smaller by shrink\(\)"):
        fit(last(model=FrozenEstimator(model.shrink())))
    with pytest.raises(TypeError, match="must be a PrunedClassifier or PrunedRegressor"):
        fit(last(model=FrozenEstimator(LogisticRegression())))


# ---- a last pass on all rows -----------------------------------------------------------


@pytest.mark.parametrize("stage", ["after", *LAST, "after+last_layer"])
def test_a_last_pass_trains_on_all_rows_with_the_weights_found(stage):
    first = fit(last(stage, holdout=0.2))
    est = fit(last(stage, holdout=0.2, refit=True))
    np.testing.assert_array_equal(est.multipliers_, first.multipliers_)
    np.testing.assert_array_equal(est.violations_["holdout"], first.violations_["holdout"])
    assert not same_weights(est.dense_estimator_, first.dense_estimator_)
    plain = pruner().fit(PEOPLE, TRUTH, sensitive_features=GROUPS)
    assert same_weights(est.dense_estimator_, plain.dense_estimator_)
    assert not same_weights(est.estimator_.estimator_, plain.estimator_)
    for name, mask in est.masks_.items():
        assert (weights(est)[name][~mask] == 0).all()


def test_a_last_pass_adds_the_shift_that_was_found():
    first, est = fit(last("shift")), fit(last("shift", refit=True))
    without = fit(last("after", tolerance=np.inf, holdout=0.2))
    plain = pruner().fit(PEOPLE, TRUTH, sensitive_features=GROUPS)
    found = weights(first)["out.bias"] - weights(without)["out.bias"]
    added = weights(est)["out.bias"] - plain.estimator_.module_.out.bias.detach()
    torch.testing.assert_close(added, found, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"stage": "after", "holdout": 0.0, "refit": True}, "holdout=0 holds none out"),
        (
            {"stage": "after", "holdout": 0.2, "refit": True, "dual_update": "absolute"},
            "are of single batches",
        ),
    ],
)
def test_what_cannot_be_is_refused(options, match):
    est = last(**options)
    with pytest.raises(ValueError, match=match):
        fit(est)
    assert not hasattr(est, "estimator_")


def test_a_path_with_a_last_pass_is_refused():
    with pytest.raises(ValueError, match="trains every network once"):
        last(refit=True).pruning_path(
            PEOPLE, TRUTH, sensitive_features=GROUPS, sparsities=[0.5]
        )


def test_a_network_without_a_last_layer_is_refused_and_nothing_is_fitted():
    class Odd(PlainNet):
        def forward(self, X):
            return 2 * super().forward(X)

    est = last(model=inner(estimator=net(Odd)))
    with pytest.raises(ValueError, match="stage='last_layer'"):
        fit(est)
    assert not hasattr(est, "estimator_")


def test_masking_alone_adjusts_nothing():
    est = fit(last())
    est.prune(sparsity=0.6)
    assert not hasattr(est, "violations_")
    plain = clone(pruner()).fit(PEOPLE, TRUTH, sensitive_features=GROUPS)
    assert isinstance(plain, PrunedClassifier)
    assert est.sparsity_ == pytest.approx(0.6, abs=0.03)


def test_targets_and_sexes_of_others_work_too():
    est = constrained(PrunedRegressor(finetune_epochs=1, random_state=0), stage="shift")
    X = np.asarray(TARGETS)[:, None].astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        est.fit(X, TARGETS, sensitive_features=SEX)
    assert len(NOISY_LABELS) == len(est.predict(X))
