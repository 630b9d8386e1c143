"""Copies, pickles, seeds, callbacks, frozen networks, and fairlearn."""

import copy
import io
import pickle
import random

import joblib
import numpy as np
import pandas as pd
import pytest
import sklearn
import torch
from fairlearn.metrics import (
    MetricFrame,
    count,
    demographic_parity_difference,
    plot_model_comparison,
    selection_rate,
)
from fairlearn.postprocessing import ThresholdOptimizer
from fairlearn.preprocessing import CorrelationRemover
from fairlearn.reductions import DemographicParity, ExponentiatedGradient
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback, Checkpoint, EarlyStopping, LRScheduler
from torch import nn
from torch.optim.lr_scheduler import OneCycleLR
from torch.utils.data import DataLoader

from sklearn_fairprune import PrunedClassifier, PrunedRegressor

SKLEARN = tuple(int(part) for part in sklearn.__version__.split(".")[:2])
RNG = np.random.default_rng(0)
X = RNG.normal(size=(200, 5)).astype(np.float32)
SEX = np.where(X[:, 2] + 0.3 * RNG.normal(size=200) > 0, "m", "f")
AGE = np.where(X[:, 3] > 0, "old", "young")
Y = (X[:, 0] - X[:, 1] + X[:, 2] + 0.3 * RNG.normal(size=200) > 0).astype(np.int64)
LABELS = np.array(["no", "yes"])[Y]
TRAININGS = []


class Net(nn.Module):
    def __init__(self, hidden=8, dropout=0.3):
        super().__init__()
        self.hidden, self.out = nn.Linear(5, hidden), nn.Linear(hidden, 2)
        self.norm, self.dropout = nn.BatchNorm1d(hidden), nn.Dropout(dropout)

    def forward(self, X):
        return self.out(self.dropout(self.norm(self.hidden(X)).relu()))


class Loader(DataLoader):
    """A user's own iterator, which the fast one does not replace."""


class CountTrainings(Callback):
    def on_train_begin(self, net, **kwargs):
        TRAININGS.append(1)


def net(module=Net, **options):
    own = {"max_epochs": 4, "lr": 0.3, "batch_size": 32, "train_split": None, "verbose": 0}
    return NeuralNetClassifier(module, criterion=nn.CrossEntropyLoss, **(own | options))


def default(**params):
    return PrunedClassifier(**({"random_state": 0, "finetune_epochs": 2} | params))


def with_dropout(**params):
    return default(estimator=net(), **params)


def with_instance(**params):
    module = nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 2))
    return default(estimator=net(module), **params)


def with_loader(**params):
    return default(estimator=net(iterator_train=Loader, iterator_valid=Loader), **params)


MODELS = [default, with_dropout, with_instance]


def weights(model):
    return {k: v.clone() for k, v in model.module_.state_dict().items()}


def same_weights(one, other):
    one, other = (v if isinstance(v, dict) else weights(v) for v in (one, other))
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


# ---- copies -----------------------------------------------------------------------------


def through_joblib(obj):
    file = io.BytesIO()
    joblib.dump(obj, file)
    file.seek(0)
    return joblib.load(file)


COPIES = [lambda obj: pickle.loads(pickle.dumps(obj)), through_joblib, copy.deepcopy]


@pytest.mark.parametrize("make", MODELS)
@pytest.mark.parametrize("twin", COPIES, ids=["pickle", "joblib", "deepcopy"])
def test_a_copy_is_the_same_estimator_before_and_after_fit(make, twin):
    clf = twin(make(sparsity=0.5)).fit(X, LABELS, sensitive_features=SEX)
    other = twin(clf)
    np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
    other = twin(clf)
    assert other.groups_.tolist() == ["f", "m"]
    assert other.history_ == clf.history_
    for step in (
        lambda c: c.partial_fit(X, LABELS),
        lambda c: c.prune(X, LABELS, sensitive_features=SEX, sparsity=0.8),
        lambda c: c.partial_fit(X[:50], LABELS[:50]),
        lambda c: c.prune(sparsity=0.2),
    ):
        step(clf), step(other)
        np.testing.assert_array_equal(clf.predict_proba(X), other.predict_proba(X))
        assert clf.sparsity_ == other.sparsity_


def test_copies_share_nothing_with_the_original():
    clf = with_dropout().fit(X, LABELS)
    before, other = weights(clf.estimator_), copy.deepcopy(clf)
    other.partial_fit(X, LABELS).prune(X, LABELS, sparsity=0.9)
    assert same_weights(clf.estimator_, before)
    assert clf.sparsity_ == 0.5


@pytest.mark.parametrize("make", MODELS)
def test_clone_is_unfitted_with_equal_parameters(make):
    fitted = make().fit(X, LABELS)
    twin = clone(fitted)
    assert not [k for k in vars(twin) if k.endswith("_") and not k.startswith("__")]
    with pytest.raises(NotFittedError):
        twin.predict(X)
    with pytest.raises(NotFittedError):
        twin.prune(X, LABELS)
    assert same_weights(twin.fit(X, LABELS).estimator_, fitted.estimator_)


@pytest.mark.parametrize("make", MODELS)
def test_parameters_and_the_users_net_stay_as_they_are(make):
    clf = make()
    module = None if clf.estimator is None else clf.estimator.module
    start = copy.deepcopy(module.state_dict()) if isinstance(module, nn.Module) else {}
    params, names = clf.get_params(deep=False), clf.get_params().keys()
    attributes = dict(vars(clf.estimator)) if clf.estimator else {}
    clf.fit(X, LABELS).prune(X, LABELS, sparsity=0.8).partial_fit(X, LABELS)
    clf.pruning_path(X, LABELS, sparsities=[0, 0.5])
    assert clf.get_params(deep=False) == params
    assert clf.get_params().keys() == names
    if clf.estimator is not None:
        assert vars(clf.estimator) == attributes
        assert not clf.estimator.initialized_
    assert start == {} or same_weights(start, module.state_dict())


def test_set_params_takes_effect_at_the_next_fit():
    clf = with_dropout().fit(X, LABELS)
    clf.set_params(sparsity=0.8, estimator__module__hidden=5, estimator__max_epochs=2)
    assert clf.sparsity_ == 0.5
    assert clf.predict(X).shape == (200,)
    clf.fit(X, LABELS)
    assert clf.masks_["hidden.weight"].shape == (5, 5)
    assert clf.sparsity_ == pytest.approx(0.8, abs=0.02)
    assert [h["phase"] for h in clf.history_] == 2 * ["dense"] + 2 * ["finetune"]
    with pytest.raises(ValueError, match="Invalid parameter 'nothing'"):
        clf.set_params(estimator__nothing=1)


@pytest.mark.parametrize("make", MODELS)
def test_text_and_html_name_the_estimator_and_its_parameters(make):
    clf = make(sparsity=0.125)
    pages = [clf._repr_html_(), clf.fit(X, LABELS)._repr_html_()]
    assert "PrunedClassifier" in repr(clf)
    assert all("PrunedClassifier" in page and "finetune_epochs" in page for page in pages)
    if SKLEARN >= (1, 9):  # older pages do not list the fitted attributes
        assert "sparsity_" in pages[1]
    assert "PrunedClassifier" in make_pipeline(StandardScaler(), clf)._repr_html_()


# ---- randomness -------------------------------------------------------------------------


@pytest.mark.parametrize("make", MODELS)
def test_fit_prune_and_path_agree_bit_for_bit(make):
    estimator = make(sparsity=0.9)
    fitted, again = clone(estimator).fit(X, LABELS), clone(estimator).fit(X, LABELS)
    dense = clone(estimator).set_params(sparsity=0.0).fit(X, LABELS)
    later = copy.deepcopy(dense).prune(X, LABELS, sparsity=0.5)
    later.prune(X, LABELS, sparsity=0.9)
    path = estimator.pruning_path(X, LABELS, sparsities=[0.5, 0.9, 0.0])
    for other in (again, later, path.estimators[1]):
        assert same_weights(fitted.estimator_, other.estimator_)
        assert same_weights(fitted.dense_estimator_, other.dense_estimator_)
        np.testing.assert_array_equal(fitted.predict_proba(X), other.predict_proba(X))
    assert same_weights(dense.estimator_, path.estimators[2].estimator_)
    for other in (later, path.estimators[1]):
        other.partial_fit(X, LABELS)
    assert same_weights(fitted.partial_fit(X, LABELS).estimator_, later.estimator_)
    assert same_weights(fitted.estimator_, path.estimators[1].estimator_)


def test_members_of_a_path_do_not_influence_each_other():
    one, two = with_dropout().pruning_path(X, LABELS, sparsities=[0.0, 0.5]).estimators
    before, dense = weights(two.estimator_), weights(two.dense_estimator_)
    one.partial_fit(X, LABELS)
    one.prune(X, LABELS, sparsity=0.9)
    assert same_weights(two.estimator_, before)
    assert same_weights(two.dense_estimator_, dense)


def test_different_seeds_and_no_seed_give_different_networks():
    one, two, none, more = (
        default(random_state=seed).fit(X, LABELS) for seed in (0, 1, None, None)
    )
    assert not same_weights(one.estimator_, two.estimator_)
    assert not same_weights(none.estimator_, more.estimator_)


@pytest.mark.parametrize("make", [*MODELS, with_loader])
def test_the_global_random_states_are_left_alone(make):
    def states():
        return torch.get_rng_state().tolist(), str(np.random.get_state()), random.getstate()  # noqa: NPY002

    clf, changed = make(random_state=None), []
    for name, call in {
        "fit": lambda: clf.fit(X, LABELS, sensitive_features=SEX),
        "predict": lambda: clf.predict(X),
        "predict_proba": lambda: clf.predict_proba(X),
        "prune": lambda: clf.prune(X, LABELS, sparsity=0.7),
        "partial_fit": lambda: clf.partial_fit(X, LABELS),
        "first partial_fit": lambda: clone(clf).partial_fit(X, LABELS),
        "pruning_path": lambda: clf.pruning_path(X, LABELS, sparsities=[0, 0.5]),
    }.items():
        before = states()
        call()
        changed += [name] if states() != before else []
    assert changed == []


def test_training_does_not_depend_on_the_global_random_states():
    fits = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        fits.append(with_loader().fit(X, LABELS).predict_proba(X))
    np.testing.assert_array_equal(*fits)


# ---- callbacks of skorch ----------------------------------------------------------------


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


# ---- callbacks of scikit-learn ----------------------------------------------------------


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
    search = GridSearchCV(pipe, grid, cv=2, error_score="raise", refit=False).fit(X, LABELS)
    assert seen.ended == 2 * 1 + 2 * 2
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


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
    search = GridSearchCV(pipe, {"prunedclassifier__sparsity": [0.5]}, cv=2)
    search.set_callbacks(callback.ProgressBar(max_propagation_depth=None)).fit(X, LABELS)
    assert "dense training" in capsys.readouterr().out
    assert search.best_score_ > 0.5


def test_scoring_monitor_scores_every_epoch():
    callback = pytest.importorskip("sklearn.callback")
    monitor = callback.ScoringMonitor(scoring="accuracy")
    clf = default(estimator=net()).set_callbacks(monitor).fit(X, LABELS)
    rows = monitor.get_logs().data_as_pandas
    assert (rows["task_name"] == "epoch").sum() == len(clf.history_) == 6
    assert rows["accuracy"].between(0, 1).all()
    last = rows[rows["task_name"] == "fit"]["accuracy"].item()
    assert last == clf.score(X, LABELS)


# ---- frozen networks --------------------------------------------------------------------


def test_a_frozen_net_is_pruned_and_never_retrained():
    trained = net(callbacks=[CountTrainings()]).fit(X, Y)
    before, TRAININGS[:] = weights(trained), []
    frozen = PrunedClassifier(FrozenEstimator(trained), finetune_epochs=0, random_state=0)
    search = GridSearchCV(frozen, {"sparsity": [0.0, 0.5, 0.9]}, cv=3, error_score="raise")
    search.fit(X, Y, sensitive_features=SEX)
    assert TRAININGS == []
    best = search.best_estimator_
    assert same_weights(best.dense_estimator_, trained)
    np.testing.assert_allclose(
        frozen.set_params(sparsity=0.0).fit(X, Y).predict_proba(X),
        trained.predict_proba(X),
        rtol=1e-5,
    )
    frozen.set_params(finetune_epochs=2).fit(X, Y).prune(X, Y, sparsity=0.8)
    frozen.partial_fit(X, Y).pruning_path(X, Y, sparsities=[0.5])
    assert same_weights(trained, before)
    assert {h["phase"] for h in frozen.history_} == {"finetune"}


def test_a_frozen_pruned_classifier_gives_its_dense_network():
    first = with_dropout(sparsity=0.9).fit(X, LABELS)
    second = PrunedClassifier(FrozenEstimator(first), sparsity=0.3, random_state=0)
    second.fit(X, LABELS)
    assert same_weights(second.dense_estimator_, first.dense_estimator_)
    assert second.classes_.tolist() == ["no", "yes"]
    assert second.sparsity_ == pytest.approx(0.3, abs=0.02)
    few = clone(second).fit(X[:40], LABELS[:40])
    assert few.predict_proba(X).shape == (200, 2)
    with pytest.raises(TypeError, match="FrozenEstimator must hold a fitted"):
        PrunedClassifier(FrozenEstimator(net())).fit(X, Y)


# ---- fairlearn --------------------------------------------------------------------------


def gap(labels, y=Y):
    return demographic_parity_difference(y, labels, sensitive_features=SEX)


@pytest.mark.filterwarnings("ignore:Setting a")  # fairlearn under pandas 3
def test_exponentiated_gradient_lowers_the_gap():
    clf = PrunedClassifier(net(), sparsity=0.3, random_state=0)
    fair = ExponentiatedGradient(clf, DemographicParity(), max_iter=4)
    fair.fit(X, Y, sensitive_features=SEX)
    assert gap(fair.predict(X, random_state=0)) < gap(clf.fit(X, Y).predict(X)) - 0.1


@pytest.mark.parametrize("prefit", [False, True])
def test_threshold_optimizer_lowers_the_gap(prefit):
    clf = default(sparsity=0.3).fit(X, Y)
    fair = ThresholdOptimizer(
        estimator=clf,
        constraints="demographic_parity",
        prefit=prefit,
        predict_method="predict_proba",
    ).fit(X, Y, sensitive_features=SEX)
    labels = fair.predict(X, sensitive_features=SEX, random_state=0)
    assert gap(labels) < gap(clf.predict(X)) - 0.1
    assert set(np.unique(labels)) <= {0, 1}


def test_metric_frame_has_the_groups_of_the_estimator():
    groups = pd.DataFrame({"sex": SEX, "age": AGE})
    clf = default(sparsity=0.3).fit(X, LABELS, sensitive_features=groups)
    metrics = {"accuracy": accuracy_score, "n": count}
    frame = MetricFrame(
        metrics=metrics, y_true=LABELS, y_pred=clf.predict(X), sensitive_features=groups
    )
    assert frame.by_group.index.tolist() == clf.groups_.tolist()
    assert frame.overall["accuracy"] == clf.score(X, LABELS)
    assert frame.by_group["n"].sum() == 200


def test_plot_model_comparison_draws_one_point_per_sparsity():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    path = default().pruning_path(X, Y, sparsities=[0.0, 0.5, 0.9])
    axes = plot_model_comparison(
        y_preds={str(e.sparsity): e.predict(X) for e in path.estimators},
        y_true=Y,
        sensitive_features=SEX,
        x_axis_metric=accuracy_score,
        y_axis_metric=selection_rate,
        point_labels=True,
    )
    assert len(axes.collections[0].get_offsets()) == 3


def test_correlation_remover_in_a_pipeline():
    frame = pd.DataFrame(X, columns=list("abcde")).assign(sex=(SEX == "m") * 1.0)
    pipe = make_pipeline(CorrelationRemover(sensitive_feature_ids=["sex"]), default())
    pipe.fit(frame, LABELS, prunedclassifier__sensitive_features=SEX)
    assert pipe[-1].n_features_in_ == 5
    assert pipe.score(frame, LABELS) > 0.7


def test_regressor_copies_and_groups():
    y = X[:, 0] - X[:, 1]
    reg = PrunedRegressor(sparsity=0.5, random_state=0).fit(X, y, sensitive_features=SEX)
    other = through_joblib(reg)
    np.testing.assert_array_equal(reg.predict(X), other.predict(X))
    assert other.prune(X, y, sparsity=0.2).score(X, y) > 0.5
    assert other.groups_.tolist() == ["f", "m"]
