"""Bad input: the message names argument, rule, value and way out, and nothing is lost."""

import signal

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from skorch import NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import Callback, EarlyStopping
from skorch.dataset import ValidSplit
from torch import nn
from torch.utils.data import Dataset, IterableDataset, TensorDataset

from sklearn_fairprune import PrunedClassifier, PrunedRegressor

RNG = np.random.default_rng(0)
X = RNG.normal(size=(40, 4)).astype(np.float32)
Y = np.where(X[:, 0] > 0, "yes", "no")
GROUPS = np.where(X[:, 1] > 0, "f", "m")
VERBS = ["fit", "prune", "partial_fit", "pruning_path"]


class Net(nn.Module):
    """Two layers, and a forward that can be interrupted."""

    def __init__(self, n_out=2, interrupt=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, n_out))
        self.interrupt, self.steps = interrupt, 0

    def forward(self, X):
        self.steps += self.training
        if self.interrupt == self.steps:
            raise KeyboardInterrupt
        return self.body(X)


class Table(nn.Module):
    """A net without Linear or Conv layer."""

    def __init__(self):
        super().__init__()
        self.norm, self.weight = nn.BatchNorm1d(4), nn.Parameter(torch.ones(4, 2))

    def forward(self, X):
        return self.norm(X) @ self.weight


class FrozenLayers(Net):
    """A net with nothing to train but biases."""

    def __init__(self):
        super().__init__()
        for layer in (self.body[0], self.body[2]):
            layer.weight.requires_grad_(False)


class Pairs(Dataset):
    """Pairs, or samples alone; item `interrupt` is a Ctrl-C."""

    def __init__(self, X, y=None, interrupt=None):
        self.X, self.y, self.interrupt, self.reads = X, y, interrupt, 0

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        self.reads += 1
        if self.reads == self.interrupt:
            raise KeyboardInterrupt
        return self.X[i] if self.y is None else (self.X[i], self.y[i])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(zip(X, Y, strict=True))


def make_net(module=Net, kind=NeuralNetClassifier, **options):
    plain = {"criterion": nn.CrossEntropyLoss, "max_epochs": 2, "lr": 0.1, "batch_size": 16}
    return kind(module, **(plain | {"train_split": None, "verbose": 0} | options))


def make(net=None, kind=PrunedClassifier, **options):
    plain = {"sparsity": 0.5, "finetune_epochs": 1, "random_state": 0}
    return kind(make_net() if net is None else net, **(plain | options))


def call(est, verb, X, y=None, **options):
    options |= {"sparsities": [0.5]} if verb == "pruning_path" else {}
    return getattr(est, verb)(X, y, **options)


class Unharmed:
    """Checks that a failing call leaves a fitted estimator as it was (`fit`: unfitted)."""

    def __init__(self, est, verb, X=X):
        self.est, self.verb, self.X = est, verb, X

    def __enter__(self):
        self.before, self.predicted = dict(vars(self.est)), self.est.predict(self.X)

    def __exit__(self, *failure):
        if self.verb == "fit":
            with pytest.raises(NotFittedError):
                self.est.predict(self.X)
            return
        assert vars(self.est).keys() == self.before.keys()
        assert all(v is self.before[k] for k, v in vars(self.est).items())
        np.testing.assert_array_equal(self.est.predict(self.X), self.predicted)


def fails(error, match, est, verb, X, y=None, **options):
    with Unharmed(est, verb), pytest.raises(error, match=match):
        call(est, verb, X, y, **options)


def with_value(array, value):
    array = np.array(array)
    array.flat[5] = value
    return array


# ---- unusable data -----------------------------------------------------------------

BAD = {
    "short y": ({"y": Y[:-1]}, r"inconsistent.*\[40, 39\]"),
    "no y": ({"y": None}, "requires y to be passed"),
    "y of NaN": ({"y": with_value(Y.astype(object), np.nan)}, r"\by\b.*(missing|NaN)"),
    "y of None": ({"y": with_value(Y.astype(object), None)}, r"\by\b.*(missing|NaN|None)"),
    "y continuous": ({"y": X[:, 0]}, "(?i)continuous|not among the classes"),
    "y in two columns": ({"y": np.stack([Y, Y], 1)}, "y should be a 1d array"),
    "short weights": ({"sample_weight": np.ones(39)}, "sample_weight.*39"),
    "negative weight": (
        {"sample_weight": with_value(np.ones(40), -1)},
        "(?i)negative.*sample_weight|sample_weight.*negative",
    ),
    "NaN weight": ({"sample_weight": with_value(np.ones(40), np.nan)}, "sample_weight.*NaN"),
    "weights of zero": ({"sample_weight": np.zeros(40)}, "(?i)weight.*zero"),
    "text weights": ({"sample_weight": ["heavy"] * 40}, "heavy"),
    "short groups": ({"sensitive_features": GROUPS[:-1]}, r"has 39 and X has 40 rows"),
    "one group name": ({"sensitive_features": "sex"}, "sensitive_features must"),
    "no groups": ({"sensitive_features": []}, "one entry per row.* 0 .*40 rows"),
    "groups of None": (
        {"sensitive_features": with_value(GROUPS.astype(object), None)},
        "missing in 1 of 40 rows.*Drop these rows, or",
    ),
    "groups of NaN": (
        {"sensitive_features": pd.DataFrame({"sex": with_value(X[:, 0], np.nan)})},
        "sensitive_features.*'sex' is missing in 1 of 40 rows",
    ),
    "NaN": ({"X": with_value(X, np.nan)}, "X contains NaN"),
    "infinity": ({"X": with_value(X, np.inf)}, "X contains infinity"),
    "too large": ({"X": with_value(X.astype(float), 1e300)}, "too large for.*float32"),
    "sparse NaN": ({"X": sparse.csr_matrix(with_value(X, np.nan))}, "X contains NaN"),
    "no rows": ({"X": X[:0], "y": Y[:0]}, "0 sample"),
    "no features": ({"X": X[:, :0]}, "0 feature"),
    "one dimension": ({"X": X[:, 0]}, "Reshape your data"),
    "text": ({"X": np.full((40, 4), "a")}, "could not convert string"),
    "complex": ({"X": X + 1j}, "Complex data not supported"),
    "None": ({"X": with_value(X.astype(object), None)}, "X contains NaN"),
}


@pytest.fixture(scope="module")
def classifier():
    return make().fit(X, Y)


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("case", BAD)
def test_unusable_data(case, verb):
    change, message = BAD[case]
    arguments = {"X": X, "y": Y} | change
    fails(ValueError, message, make().fit(X, Y), verb, **arguments)


@pytest.mark.parametrize("verb", ["fit", "partial_fit"])
@pytest.mark.parametrize("case", ["short weights", "NaN", "groups of None"])
def test_first_call_that_fails_leaves_no_fitted_estimator(case, verb):
    change, message = BAD[case]
    est = make()
    with pytest.raises(ValueError, match=message):
        call(est, verb, **({"X": X, "y": Y} | change))
    with pytest.raises(NotFittedError):
        est.predict(X)
    assert call(est, verb, X, Y).predict(X).shape == (40,)


@pytest.mark.parametrize("verb", ["fit", "pruning_path", "partial_fit"])
def test_one_class(verb):
    with pytest.raises(ValueError, match=r"at least 2 classes in y.*1 class: .*'no'"):
        call(make(), verb, X, np.full(40, "no"))
    with pytest.raises(ValueError, match=r"at least 2 classes in y.*sample_weight"):
        call(make(), verb, X, Y, sample_weight=(Y == "no").astype(float))


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
@pytest.mark.parametrize("label", ["maybe", "yes!", ""])
def test_unknown_labels(verb, label):
    y = with_value(Y.astype(object), label)
    known = rf"\['no', 'yes'\].*\['{label}'\]"
    fails(ValueError, f"labels that are not among.*{known}", make().fit(X, Y), verb, X, y)


def test_unknown_labels_in_the_first_partial_fit():
    with pytest.raises(ValueError, match=r"not among the classes \['no'\]: \['yes'\]"):
        make().partial_fit(X, Y, classes=["no"])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("verb", VERBS)
def test_unusable_regression_targets(verb, value):
    y = X[:, 0].astype(float)
    est = PrunedRegressor(finetune_epochs=1, hidden_layer_sizes=(4,)).fit(X, y)
    message = r"(?i)\by\b.*(NaN|infinity|too large).*"
    fails(ValueError, message, est, verb, X, with_value(y, value))


def test_regression_targets_of_another_shape():
    est = PrunedRegressor(finetune_epochs=1, hidden_layer_sizes=(4,)).fit(X, X[:, :2])
    for verb in ("prune", "partial_fit"):
        fails(ValueError, r"shape \(\) a row, fit had \(2,\)", est, verb, X, X[:, 0])


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
@pytest.mark.parametrize("verb", ["predict", "predict_proba", "decision_function"])
@pytest.mark.parametrize("case", ["NaN", "infinity", "too large", "no rows", "text"])
def test_unusable_data_to_predict(classifier, verb, case):
    change, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        getattr(classifier, verb)(change["X"])


def test_predict_checks_shape_and_groups(classifier):
    with pytest.raises(ValueError, match=r"X has 3 features.*expecting 4"):
        classifier.predict(X[:, :3])
    with pytest.raises(ValueError, match="has 39 and X has 40 rows"):
        classifier.predict(X, sensitive_features=GROUPS[1:])
    with pytest.raises(ValueError, match="missing in 1 of 40 rows"):
        classifier.predict(X, sensitive_features=with_value(GROUPS.astype(object), None))


def test_images_of_another_size():
    images = RNG.normal(size=(40, 1, 6, 6)).astype(np.float32)
    est = PrunedClassifier(finetune_epochs=0, hidden_layer_sizes=(4,)).fit(images, Y)
    shapes = r"\(1, 6, 5\).*fitted with samples of shape \(1, 6, 6\)"
    for verb in ("prune", "partial_fit"):
        with Unharmed(est, verb, images), pytest.raises(ValueError, match=shapes):
            call(est, verb, images[..., 1:], Y)
    with pytest.raises(ValueError, match=shapes):
        est.predict(images[..., 1:])
    with pytest.raises(ValueError, match=shapes):
        est.predict(TensorDataset(torch.tensor(images[..., 1:])))


# ---- Datasets ----------------------------------------------------------------------


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize(
    ("data", "y", "error", "message"),
    [
        (Stream(), Y, TypeError, "map-style Dataset with __len__"),
        (Pairs(X[:0], Y[:0]), None, ValueError, "Dataset with 0 samples"),
        (Pairs(X, Y), Y[:-1], ValueError, "y has 39.* 40 samples"),
        (Pairs(X), None, ValueError, r"(?i)pairs.*pass y|\by\b.*pair"),
        (Pairs(X, with_value(Y.astype(object), None)), None, ValueError, r"\by\b"),
    ],
    ids=["stream", "empty", "short y", "no y", "missing label"],
)
def test_unusable_datasets(data, y, error, message, verb):
    fails(error, message, make().fit(X, Y), verb, data, y)


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
def test_dataset_of_another_shape(verb):
    message = r"\(3,\).*fitted with samples of shape \(4,\)"
    fails(ValueError, message, make().fit(X, Y), verb, Pairs(X[:, :3], Y))


def test_nan_does_not_become_a_prediction(classifier, tmp_path):
    with pytest.raises(ValueError, match="NaN"):
        classifier.predict(Pairs(with_value(X, np.nan)))
    mapped = np.memmap(tmp_path / "x", np.float64, "w+", shape=X.shape)
    mapped[:] = with_value(X.astype(float), 1e300)
    with pytest.raises(ValueError, match=r"NaN|too large"):
        classifier.predict(mapped)


@pytest.mark.parametrize(
    ("y", "message"),
    [(None, r"\by\b"), (with_value(X[:, 0], np.nan), r"\by\b.*(NaN|missing)")],
    ids=["no y", "NaN"],
)
def test_datasets_for_a_regressor(y, message):
    with pytest.raises(ValueError, match=message):
        PrunedRegressor(hidden_layer_sizes=(4,)).fit(Pairs(X, y))


def test_dataset_of_labels_in_a_column():
    with pytest.warns(DataConversionWarning, match=r"\by\b.*1d"):
        make().fit(Pairs(X, Y[:, None]))


# ---- parameters --------------------------------------------------------------------


@pytest.mark.parametrize("sparsity", [-0.1, 1.0, 90, "a", np.nan, [0.5], True])
@pytest.mark.parametrize("verb", [*VERBS, "path"])
def test_sparsity_out_of_range(classifier, verb, sparsity):
    message = r"(?s)sparsity.*\[0(\.0)?, 1(\.0)?\)"
    if verb == "prune":
        fails(ValueError, message, classifier, "prune", X, Y, sparsity=sparsity)
    elif verb == "path":
        with pytest.raises(ValueError, match=message):
            classifier.pruning_path(X, Y, sparsities=[0.5, sparsity])
    else:
        with pytest.raises(ValueError, match=message):
            call(make(sparsity=sparsity), verb, X, Y)


@pytest.mark.parametrize("sparsities", [[], 0.5, None, "0.5"])
def test_sparsities_are_a_sequence(sparsities):
    with pytest.raises((ValueError, TypeError), match="sparsities"):
        make().pruning_path(X, Y, sparsities=sparsities)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("criterion", "magnitud", "criterion.*'magnitude'.*Got 'magnitud'"),
        ("scope", "local", "scope.*'global'.*Got 'local'"),
        ("finetune_epochs", -1, "finetune_epochs.*Got -1"),
        ("finetune_epochs", 1.5, "finetune_epochs.*Got 1.5"),
        ("dtype", "float16", "dtype.*'float32'.*Got 'float16'"),
        ("memory", 3, "memory.*Got 3"),
        ("hidden_layer_sizes", 10, "hidden_layer_sizes.*Got 10"),
        ("random_state", "zero", "random_state.*Got 'zero'"),
    ],
)
def test_parameters_out_of_range(name, value, message):
    with pytest.raises(ValueError, match=message):
        make(**{name: value}).fit(X, Y)


@pytest.mark.parametrize("sizes", [(0,), (-3,), ("wide",), (2.5,)], ids=str)
def test_hidden_layer_sizes(sizes):
    with pytest.raises((ValueError, TypeError), match="hidden_layer_sizes"):
        PrunedClassifier(hidden_layer_sizes=sizes).fit(X, Y)


@pytest.mark.parametrize(
    ("criterion", "message"),
    [
        (lambda w: w * torch.nan, "criterion gave NaN scores for 'body.0.weight'"),
        (lambda w: w.sum(), r"one score per weight.*\(6, 4\) and returned \(\)"),
        (lambda w: w[:1], r"one score per weight.*\(6, 4\) and returned \(1, 4\)"),
        (lambda w: None, "one score per weight.*returned NoneType"),
        (lambda w: w.abs().numpy(), "torch.Tensor|one score per weight"),
        (lambda w: w.abs().tolist(), "one score per weight.*returned list"),
    ],
)
@pytest.mark.parametrize("verb", VERBS[:2])
def test_criterion_of_the_user(verb, criterion, message):
    est = make().fit(X, Y).set_params(criterion=criterion)
    fails((ValueError, TypeError), message, est, verb, X, Y)


# ---- networks ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LogisticRegression(), "skorch net.*got LogisticRegression"),
        ("net", "estimator.*got str"),
        (NeuralNetClassifier, "(?i)estimator must be a skorch net.*class"),
        (Net(), "estimator.*skorch"),
        (make_net(kind=NeuralNetRegressor), "PrunedClassifier cannot use.*Regressor"),
        (FrozenEstimator(make_net()), "fitted skorch net.*(unfitted|not fitted)"),
        (FrozenEstimator(LogisticRegression()), "FrozenEstimator.*LogisticRegression"),
    ],
    ids=lambda v: type(v).__name__,
)
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_estimator_of_a_wrong_type(verb, estimator, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(PrunedClassifier(estimator), verb, X, Y)


def test_classifier_net_in_a_regressor():
    with pytest.raises(TypeError, match="PrunedRegressor cannot use a NeuralNetClassifier"):
        PrunedRegressor(make_net()).fit(X, X[:, 0])


@pytest.mark.parametrize("module", [Table, FrozenLayers])
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_nothing_to_prune(module, verb):
    with pytest.raises(ValueError, match=r"no prunable layer.*Linear and Conv"):
        call(make(make_net(module)), verb, X, Y)


@pytest.mark.parametrize("n_out", [1, 3])
@pytest.mark.parametrize("verb", ["fit", "partial_fit", "pruning_path"])
def test_wrong_number_of_outputs(verb, n_out):
    message = rf"2 classes \['no', 'yes'\].*\({n_out},\).*last layer 2 outputs"
    with pytest.raises(ValueError, match=message):
        call(make(make_net(module__n_out=n_out)), verb, X, Y)
    net = make_net(kind=NeuralNetRegressor, module__n_out=n_out, criterion=nn.MSELoss)
    with pytest.raises(ValueError, match=r"2 target\(s\) a row.*last layer 2 output"):
        call(PrunedRegressor(net), verb, X, X[:, :2])


@pytest.mark.parametrize("verb", ["fit", "pruning_path"])
def test_divergence_names_epoch_and_learning_rate(verb):
    est = make(make_net(lr=1e10, optimizer=torch.optim.SGD))
    with pytest.raises(ValueError, match=r"diverged in epoch \d+ at learning rate 1e\+10"):
        call(est, verb, X, Y)
    with pytest.raises(NotFittedError):
        est.predict(X)


@pytest.mark.parametrize("verb", VERBS)
def test_divergence_later(verb):
    est = make(make_net(max_epochs=1), finetune_epochs=3).fit(X, Y)
    fails(ValueError, "diverged in epoch", est, verb, X * np.float32(1e30), Y)


@pytest.mark.parametrize(
    "verb", ["predict", "predict_proba", "predict_log_proba", "decision_function", "prune"]
)
def test_before_fit(verb):
    with pytest.raises(NotFittedError, match=r"PrunedClassifier.*not fitted"):
        getattr(make(), verb)(X)


@pytest.mark.parametrize("extra", ["y", "sensitive_features", "sample_weight"])
def test_prune_without_x(classifier, extra):
    fails(ValueError, "but no X", classifier, "prune", None, **{extra: np.ones(40)})


# ---- Ctrl-C ------------------------------------------------------------------------


class CtrlC(Callback):
    """Ctrl-C is pressed while Python happens to be inside a callback."""

    def on_batch_end(self, net, training, **kwargs):
        if training:
            signal.raise_signal(signal.SIGINT)


INTERRUPTED = {
    "forward, dense": lambda: (make(make_net(module__interrupt=2)), X),
    "forward, fine-tuning": lambda: (make(make_net(module__interrupt=7)), X),
    "Dataset": lambda: (make(), Pairs(X, Y, interrupt=10)),
    "Dataset, dense": lambda: (make(), Pairs(X, Y, interrupt=100)),
    "inside a callback": lambda: (make(make_net(callbacks=[CtrlC()])), X),
}


@pytest.mark.parametrize("case", INTERRUPTED)
@pytest.mark.parametrize("again", [False, True])
def test_ctrl_c_ends_fit(case, again):
    est, data = INTERRUPTED[case]()
    if again:
        est = make().fit(X, Y).set_params(estimator=est.estimator)
    with pytest.raises(KeyboardInterrupt):
        est.fit(data, None if data is not X else Y)
    with pytest.raises(NotFittedError):
        est.predict(X)


@pytest.mark.parametrize("case", ["forward, dense", "inside a callback"])
def test_ctrl_c_ends_a_grid_search(case):
    search = GridSearchCV(INTERRUPTED[case]()[0], {"sparsity": [0, 0.5]}, cv=2)
    with pytest.raises(KeyboardInterrupt):
        search.fit(X, Y)
    assert not hasattr(search, "best_estimator_")


@pytest.mark.parametrize("verb", ["prune", "partial_fit"])
def test_ctrl_c_leaves_the_estimator_as_it_was(verb):
    est = make().fit(X, Y)
    fails(KeyboardInterrupt, None, est, verb, Pairs(X, Y, interrupt=60))


@pytest.mark.parametrize("load_best", [False, True])
def test_early_stopping_only_stops(load_best):
    stop = EarlyStopping(patience=2, threshold=1e3, load_best=load_best)
    net = make_net(callbacks=[stop], train_split=ValidSplit(4), max_epochs=20)
    est = make(net, finetune_epochs=10).fit(X, Y)
    phases = [h["phase"] for h in est.history_]
    assert phases.count("dense") == 3
    assert phases.count("finetune") == 3
    assert est.predict(X).shape == (40,)
