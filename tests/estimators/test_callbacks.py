"""Callbacks of skorch in the net, and of scikit-learn on the estimator."""

import numpy as np
import pytest
from estimator_cases import same_weights
from people_cases import LABELS, X, default, net, search, with_dropout
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Checkpoint, EarlyStopping, LRScheduler
from torch.optim.lr_scheduler import OneCycleLR


class Epochs:
    """Counts epochs and stops each training after `most` of them."""

    def __init__(self, most=100):
        self.most, self.begun, self.ended, self.tasks = most, 0, 0, []

    def setup(self, estimator, context):
        self.tasks.append("setup")

    def teardown(self, estimator, context):
        self.tasks.append("teardown")

    def on_fit_task_begin(self, estimator, context):
        self.begun += context.task_name == "epoch"

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        self.tasks.append(context.task_name)
        if context.task_name != "epoch":
            return False
        self.ended += 1
        assert fitted_estimator.predict(X).shape == y.shape
        return context.task_id + 1 >= self.most


SCHEDULES = [
    LRScheduler("StepLR", step_size=2, gamma=0.5),
    LRScheduler("CosineAnnealingLR", T_max=4),
    LRScheduler(OneCycleLR, max_lr=0.3, total_steps=28, step_every="batch"),
]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=["step", "cosine", "one cycle"])
def test_learning_rate_schedules_start_anew_after_pruning(schedule):
    clf = default(estimator=net(callbacks=[schedule]), finetune_epochs=3).fit(X, LABELS)
    assert [h["phase"] for h in clf.history_] == 4 * ["dense"] + 3 * ["finetune"]
    assert clf.partial_fit(X, LABELS).score(X, LABELS) > 0.6


def test_a_checkpoint_of_the_dense_phase_does_not_undo_the_fine_tuning(tmp_path):
    best = Checkpoint("train_loss_best", dirname=str(tmp_path), load_best=True)
    estimator = net(callbacks=[best])
    tuned = default(estimator=estimator, sparsity=0.9).fit(X, LABELS)
    masked = default(estimator=estimator, sparsity=0.9, finetune_epochs=0).fit(X, LABELS)
    assert same_weights(tuned.dense_estimator_, masked.dense_estimator_)
    assert not same_weights(tuned.estimator_, masked.estimator_)


def test_early_stopping_of_a_net_stops_each_phase():
    pytest.importorskip("sklearn.callback")
    stop = EarlyStopping("train_loss", patience=1, threshold=10.0)
    seen = Epochs()
    clf = default(estimator=net(callbacks=[stop]), finetune_epochs=4).set_callbacks(seen)
    clf.fit(X, LABELS)
    assert [h["phase"] for h in clf.history_] == 2 * ["dense"] + 2 * ["finetune"]
    assert seen.begun == seen.ended == 4


def test_a_callback_counts_and_stops_epochs():
    callback = pytest.importorskip("sklearn.callback")
    seen = Epochs(most=3)
    assert isinstance(seen, callback.FitCallback)
    clf = with_dropout(finetune_epochs=5).set_callbacks(seen).fit(X, LABELS)
    assert [h["phase"] for h in clf.history_] == 3 * ["dense"] + 3 * ["finetune"]
    assert seen.tasks[0] == "setup"
    assert seen.tasks[-2:] == ["fit", "teardown"]
    assert seen.begun == seen.ended == 6
    clf.prune(X, LABELS, sparsity=0.7)
    assert seen.ended == 9
    clf.pruning_path(X, LABELS, sparsities=[0.0, 0.5, 0.9])
    assert seen.ended == 18


def test_a_callback_inside_pipeline_and_grid_search():
    pytest.importorskip("sklearn.callback")
    seen = Epochs(most=1)
    pipe = make_pipeline(StandardScaler(), with_dropout().set_callbacks(seen))
    grid = {"prunedclassifier__sparsity": [0.0, 0.5]}
    found = search(pipe, grid, cv=2, refit=False).fit(X, LABELS)
    assert seen.ended == 2 * 1 + 2 * 2
    assert np.isfinite(found.cv_results_["mean_test_score"]).all()


def test_progress_bar_through_pipeline_and_grid_search(capsys):
    callback = pytest.importorskip("sklearn.callback")
    pytest.importorskip("rich")
    plain = with_dropout().fit(X, LABELS)
    bar = callback.ProgressBar(max_propagation_depth=None)
    assert same_weights(
        with_dropout().set_callbacks(bar).fit(X, LABELS).estimator_, plain.estimator_
    )
    assert "PrunedClassifier" in capsys.readouterr().out
    pipe = make_pipeline(StandardScaler(), with_dropout())
    bars = search(pipe, {"prunedclassifier__sparsity": [0.5]}, cv=2)
    bars.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, LABELS)
    assert "dense training" in capsys.readouterr().out
    assert bars.best_score_ > 0.5


def test_scoring_monitor_scores_every_epoch():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = default(estimator=net()).set_callbacks(monitor).fit(X, LABELS)
    rows = monitor.get_logs().data_as_pandas
    assert (rows["task_name"] == "epoch").sum() == len(clf.history_) == 6
    assert rows["accuracy"].between(0, 1).all()
    last = rows[rows["task_name"] == "fit"]["accuracy"].item()
    assert last == clf.score(X, LABELS)
