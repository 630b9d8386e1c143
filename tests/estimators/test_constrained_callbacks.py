"""Callbacks of scikit-learn on the meta-estimator, and of skorch in the net inside."""

import pytest
from constrained_cases import NOISY, NOISY_LABELS, QUIET, TARGETS, constrained, fitted, inner
from estimator_cases import assert_same, same_weights
from people_cases import SEX, PlainNet, X, net
from sklearn.base import is_regressor
from skorch.callbacks import LRScheduler

from sklearn_fairprune import GroupConstrainedPruner, PrunedRegressor

pytestmark = QUIET


class Epochs:
    """Counts epochs, whose estimator must predict, and stops trainings after `most`."""

    def __init__(self, most=100):
        self.most, self.ended, self.tasks, self.kinds = most, 0, [], set()

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.kinds.add(type(estimator))

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.tasks.append(context.task_name)
        if context.task_name != "epoch":
            return False
        self.ended += 1
        assert type(fitted_estimator) is type(estimator)
        assert fitted_estimator.predict(X).shape == y.shape
        assert is_regressor(estimator) or fitted_estimator.classes_.tolist() == ["no", "yes"]
        return context.task_id + 1 >= self.most


def test_a_callback_hears_of_the_meta_estimator_alone():
    pytest.importorskip("sklearn.callback")
    seen = Epochs()
    est = constrained(stage="both").set_callbacks(seen)
    est.fit(X, NOISY_LABELS, sensitive_features=SEX)
    assert seen.kinds == {GroupConstrainedPruner}
    assert seen.ended == 4 + 2
    assert (seen.tasks[0], seen.tasks[-2:]) == ("setup", ["fit", "teardown"])
    assert_same(est.estimator_, fitted(stage="both").estimator_)
    est.prune(X, NOISY_LABELS, sensitive_features=SEX, sparsity=0.8)
    assert seen.ended == 6 + 2
    est.pruning_path(X, NOISY_LABELS, sensitive_features=SEX, sparsities=[0, 0.3, 0.6])
    assert seen.ended == 8 + 4 + 2 * 2
    reg = constrained(PrunedRegressor(net(PlainNet), hidden_layer_sizes=(4,)))
    reg.set_params(estimator__estimator=None).set_callbacks(seen)
    assert reg.fit(X, TARGETS, sensitive_features=SEX).n_features_in_ == 5


def test_a_stopped_training_keeps_the_history_it_has():
    pytest.importorskip("sklearn.callback")
    est = constrained(stage="both").set_callbacks(Epochs(most=1))
    est.fit(X, NOISY_LABELS, sensitive_features=SEX)
    assert est.history_["epoch"].tolist() == [1, 1, 1, 1]
    assert est.multipliers_["f"] > 0


def test_progress_bar_and_skorch_callbacks(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    schedule = LRScheduler("StepLR", step_size=1, gamma=0.5)
    pruner = inner(estimator=net(PlainNet, callbacks=[schedule]))
    bar = callback.ProgressBar(max_propagation_depth=None)
    with_bar = constrained(pruner).set_callbacks(bar)
    with_bar.fit(X, NOISY, sensitive_features=SEX)
    shown = capsys.readouterr().out
    assert "GroupConstrainedPruner" in shown
    assert "PrunedClassifier" not in shown
    assert_same(with_bar.estimator_, fitted(pruner, y=NOISY).estimator_)
    assert not same_weights(with_bar.dense_estimator_, fitted(y=NOISY).dense_estimator_)
