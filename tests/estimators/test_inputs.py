"""What the estimators accept: data containers, labels, Datasets, losses, options of a net."""

import tracemalloc

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse
from skorch import NeuralNetBinaryClassifier, NeuralNetClassifier, NeuralNetRegressor
from skorch.callbacks import (
    Checkpoint,
    EarlyStopping,
    EpochScoring,
    GradientNormClipping,
    LRScheduler,
)
from skorch.dataset import Dataset as SkorchDataset
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from sklearn_fairprune import PrunedClassifier, PrunedRegressor
from sklearn_fairprune.engine import batches
from sklearn_fairprune.engine.randomness import derive_seeds

RNG = np.random.default_rng(0)
BITS = RNG.integers(0, 2, (60, 4))
X = (BITS + 0.1 * RNG.normal(size=BITS.shape)).astype(np.float32)
CODES = np.where(RNG.random(60) < 0.1, 1 - BITS[:, 0], BITS[:, 0])
WEIGHTS = RNG.uniform(0.5, 2, 60)
GROUPS = np.where(BITS[:, 1], "f", "m")


class Net(nn.Module):
    """Two layers; `head` is what follows them."""

    def __init__(self, n_in=4, n_out=2, head=None):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n_in, 8), nn.ReLU(), nn.Linear(8, n_out))
        self.head = head or nn.Identity()

    def forward(self, X):
        return self.head(self.body(X))


class ConvNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.out = nn.Linear(64, 2)

    def forward(self, X):
        return self.out(self.norm(self.conv(X)).relu().flatten(1))


class Lookup(nn.Module):
    def __init__(self):
        super().__init__()
        self.table, self.out = nn.Embedding(20, 6), nn.Linear(6, 2)

    def forward(self, X):
        return self.out(self.table(X).mean(dim=1))


class Pairs(Dataset):
    """A map-style Dataset of NumPy pairs, or of samples alone if `y` is None."""

    def __init__(self, X, y=None):
        self.X, self.y = X, y

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i] if self.y is None else (self.X[i], self.y[i])


class Halves:
    """An iterator of the user's, which knows nothing of weights."""

    def __init__(self, dataset, batch_size):
        self.loader = DataLoader(dataset, batch_size=batch_size // 2)

    def __iter__(self):
        return iter(self.loader)


def own_collate(pairs):
    return default_collate(pairs)


def make_net(module=Net, kind=NeuralNetClassifier, **options):
    plain = {"criterion": nn.CrossEntropyLoss, "max_epochs": 3, "lr": 0.1, "batch_size": 16}
    return kind(module, **(plain | {"train_split": None, "verbose": 0} | options))


def make(net=None, kind=PrunedClassifier, **options):
    plain = {"sparsity": 0.5, "finetune_epochs": 2, "random_state": 0}
    return kind(make_net() if net is None else net, **(plain | options))


def state(net):
    return {k: v.detach().numpy().copy() for k, v in net.module_.state_dict().items()}


def assert_same(a, b, atol=0.0):
    """Both estimators hold the same dense and the same pruned weights."""
    for name in ("dense_estimator_", "estimator_"):
        one, two = state(getattr(a, name)), state(getattr(b, name))
        for key in one:
            np.testing.assert_allclose(one[key], two[key], 0, atol, err_msg=f"{name} {key}")


def assert_pruned(est, sparsity=0.5):
    """Exactly the asked number of weights is exactly 0, and fine-tuning moved the rest."""
    weights, dense = state(est.estimator_), state(est.dense_estimator_)
    total = sum(m.numel() for m in est.masks_.values())
    removed = sum(int((~m).sum()) for m in est.masks_.values())
    assert removed == round(sparsity * total)
    assert est.sparsity_ == removed / total
    for name, mask in est.masks_.items():
        assert (weights[name][~mask.numpy()] == 0).all()
    assert any((weights[k] != dense[k]).any() for k in weights.keys() - est.masks_.keys())


def read_only(a):
    a = a.copy()
    a.flags.writeable = False
    return a


FLOATS = {
    "float64": lambda a: a.astype(np.float64),
    "list": lambda a: a.tolist(),
    "read-only": read_only,
    "fortran": np.asfortranarray,
    "reversed view": lambda a: a[::-1].copy()[::-1],
    "strided view": lambda a: np.repeat(a, 2, axis=1)[:, ::2],
    "big-endian": lambda a: a.astype(">f4"),
    "object": lambda a: a.astype(object),
    "pandas": lambda a: pd.DataFrame(a, columns=list("abcd"), index=range(len(a), 0, -1)),
    "polars": lambda a: pl.DataFrame(a, schema=list("abcd")),
    "torch": torch.tensor,
    "torch with gradient": lambda a: torch.tensor(a, requires_grad=True),
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "csc": sparse.csc_matrix,
}
WHOLE = {
    **{
        t: lambda a, t=t: a.astype(t)
        for t in ["float16", "int64", "int8", "uint8", "uint16", "uint32", "uint64", "bool"]
    },
    "int list": lambda a: a.tolist(),
    "pandas int and float": lambda a: pd.DataFrame(a).astype({0: float, 1: "float32"}),
    "pandas int and bool": lambda a: pd.DataFrame(a).astype({0: bool}),
    "pandas bool and float": lambda a: pd.DataFrame(a).astype({0: bool, 1: float}),
    "pandas nullable": lambda a: pd.DataFrame(a).astype({0: "Int64", 1: "boolean"}),
    "polars int and bool": lambda a: pl.DataFrame(a).with_columns(pl.col("column_0") == 1),
    "torch bool": lambda a: torch.tensor(a, dtype=torch.bool),
    "csr int": lambda a: sparse.csr_matrix(a),
}


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("container", FLOATS)
def test_any_container_gives_the_same_estimator(container, shuffle):
    est = make(make_net(iterator_train__shuffle=shuffle))
    data = FLOATS[container](X)
    a = est.fit(data, CODES, sensitive_features=GROUPS, sample_weight=WEIGHTS)
    b = make(make_net(iterator_train__shuffle=shuffle)).fit(X, CODES, sample_weight=WEIGHTS)
    assert_same(a, b, atol=1e-6)  # column-major arrays are multiplied in another order
    np.testing.assert_allclose(a.predict_proba(data), b.predict_proba(X), rtol=1e-5)
    assert a.n_features_in_ == 4


@pytest.mark.parametrize("container", WHOLE)
def test_whole_numbers_of_any_type(container):
    data = WHOLE[container](BITS)
    a, b = make().fit(data, CODES), make().fit(BITS.astype(np.float32), CODES)
    assert_same(a, b, atol=1e-6)
    np.testing.assert_array_equal(a.predict(data), b.predict(BITS.astype(np.float32)))


@pytest.mark.parametrize("container", ["pandas", "polars"])
def test_column_names_are_kept_and_checked(container):
    data = FLOATS[container](X)
    est = make().fit(data, CODES)
    assert est.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names"):
        est.predict(data[["b", "a", "c", "d"]])


def test_inputs_are_left_as_they_were():
    data = (X.copy(), CODES.copy(), GROUPS.copy(), WEIGHTS.copy())
    est = make().fit(data[0], data[1], sensitive_features=data[2], sample_weight=data[3])
    est.prune(data[0], data[1], sparsity=0.9).predict(data[0])
    for kept, given in zip((X, CODES, GROUPS, WEIGHTS), data, strict=True):
        np.testing.assert_array_equal(kept, given)


@pytest.mark.parametrize("view", [read_only, lambda a: a[::-1].copy()[::-1], pd.Series, list])
def test_containers_of_weights_and_targets(view):
    y = X[:, 0] * 2
    net = make_net(kind=NeuralNetRegressor, module__n_out=1, criterion=nn.MSELoss)
    a = make(net, PrunedRegressor).fit(X, view(y), sample_weight=view(WEIGHTS))
    assert_same(a, make(net, PrunedRegressor).fit(X, y, sample_weight=WEIGHTS))


@pytest.mark.parametrize("factor", [1e-60, 1e60])
def test_only_ratios_of_weights_count(factor):
    a = make().fit(X, CODES, sample_weight=WEIGHTS * factor)
    b = make().fit(X, CODES, sample_weight=WEIGHTS)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-4)


@pytest.mark.parametrize("mode", ["r", "r+", "c"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint8"])
def test_memory_map_is_read_batch_by_batch(tmp_path, monkeypatch, dtype, mode):
    monkeypatch.setattr(batches, "EPOCH_COPY_BYTES", 0)
    big = np.memmap(tmp_path / "x", dtype, "w+", shape=(2_000, 500))
    big[:] = np.random.default_rng(0).integers(0, 3, big.shape)
    big.flush()
    y = np.asarray(big[:, 0] > 0)
    mapped = np.memmap(tmp_path / "x", dtype, mode, shape=big.shape)

    def fit(data):
        net = make_net(module__n_in=500, max_epochs=1, lr=0.01, iterator_train__shuffle=True)
        return make(net, finetune_epochs=1).fit(data, y)

    tracemalloc.start()
    a = fit(mapped)
    probability = a.predict_proba(mapped)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < big.nbytes / 2
    b = fit(np.array(big))
    assert_same(a, b)
    np.testing.assert_array_equal(probability, b.predict_proba(np.array(big)))


@pytest.mark.parametrize("finetune_epochs", [0, 2])
def test_images_and_batch_norm(finetune_epochs):
    images = RNG.normal(size=(40, 1, 6, 6)).astype(np.float32)
    est = make(make_net(ConvNet), sparsity=0.8, finetune_epochs=finetune_epochs)
    est.fit(images, images.mean(axis=(1, 2, 3)) > 0)
    assert est.predict(images).shape == (40,)
    assert est.predict_proba(images[:1]).shape == (1, 2)
    assert "norm.weight" not in est.masks_
    module, before = est.estimator_.module_, est.dense_estimator_.module_
    assert not torch.equal(module.norm.running_var, before.norm.running_var)
    if finetune_epochs == 0:
        parts = torch.from_numpy(images).split(16)
        channels = [module.conv(b).detach().transpose(0, 1).flatten(1) for b in parts]
        mean = torch.stack([c.mean(1) for c in channels]).mean(0)
        var = torch.stack([c.var(1) for c in channels]).mean(0)
        torch.testing.assert_close(module.norm.running_mean, mean)
        torch.testing.assert_close(module.norm.running_var, var)
    assert module.norm.momentum == before.norm.momentum == 0.1


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.int32])
def test_sequences_of_integers(dtype):
    words = RNG.integers(0, 20, (60, 5)).astype(dtype)
    est = make(make_net(Lookup, lr=1.0)).fit(words, words[:, 0] > 9)
    assert list(est.masks_) == ["out.weight"]
    np.testing.assert_array_equal(est.predict(torch.tensor(words)), est.predict(words))
    np.testing.assert_array_equal(est.predict(words.tolist()), est.predict(words))


# ---- Datasets and batches ----------------------------------------------------------

DATASETS = {
    "TensorDataset": lambda: (TensorDataset(torch.tensor(X), torch.tensor(CODES)), None),
    "TensorDataset and y": lambda: (
        TensorDataset(torch.tensor(X), torch.zeros(60)),
        CODES,
    ),
    "float64 pairs": lambda: (Pairs(X.astype(np.float64), CODES), None),
    "lists of labels": lambda: (Pairs(X, CODES.tolist()), None),
    "samples alone": lambda: (Pairs(X), CODES),
    "samples and tensor": lambda: (Pairs(X), torch.tensor(CODES)),
    "skorch": lambda: (SkorchDataset(X, CODES), None),
}


@pytest.mark.parametrize("split", [None, ValidSplit(3)])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("dataset", DATASETS)
def test_dataset_gives_the_weights_of_the_array(dataset, shuffle, split):
    net = make_net(iterator_train__shuffle=shuffle, train_split=split, max_epochs=2)
    data, y = DATASETS[dataset]()
    beside = {"sensitive_features": GROUPS, "sample_weight": WEIGHTS * (WEIGHTS > 0.7)}
    a, b = make(net).fit(data, y, **beside), make(net).fit(X, CODES, **beside)
    assert_same(a, b)
    assert a.groups_.tolist() == ["f", "m"]
    np.testing.assert_array_equal(a.predict_proba(data), b.predict_proba(X))
    assert_same(a.prune(data, y, sparsity=0.8), b.prune(X, CODES, sparsity=0.8))


def test_dataset_with_labels_of_any_type():
    est = make().fit(Pairs(X, np.array(["no", "yes"])[CODES]))
    assert est.classes_.tolist() == ["no", "yes"]
    assert set(est.predict(Pairs(X))) <= {"no", "yes"}


def test_dataset_of_regression_targets():
    net = make_net(kind=NeuralNetRegressor, module__n_out=2, criterion=nn.MSELoss)
    y = X[:, :2].astype(np.float64)
    a, b = make(net, PrunedRegressor).fit(Pairs(X, y)), make(net, PrunedRegressor).fit(X, y)
    assert_same(a, b)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(
    "options",
    [
        {"num_workers": 1},
        {"num_workers": 1, "shuffle": True},
        {"collate_fn": own_collate},
        {"shuffle": True},
        {"drop_last": True},
        {"sampler": range(60)},
        {"batch_sampler": [list(range(k, min(k + 16, 60))) for k in range(0, 60, 16)]},
    ],
    ids=str,
)
def test_options_of_the_data_loader(options, weights):
    own = {f"iterator_train__{k}": v for k, v in options.items()}
    like = {k: v for k, v in options.items() if k in ("shuffle", "drop_last")}
    same = {f"iterator_train__{k}": v for k, v in like.items()}
    a = make(make_net(**own, max_epochs=1), finetune_epochs=1)
    b = make(make_net(**same, max_epochs=1), finetune_epochs=1)
    data = X if options not in ({"shuffle": True}, {"drop_last": True}) else Pairs(X)
    a.fit(data, CODES, sample_weight=weights)
    assert_same(a, b.fit(X, CODES, sample_weight=weights))
    assert a.history_[0]["train_batch_count"] == 4 - options.get("drop_last", False)


def test_iterator_of_the_user_stays():
    est = make(make_net(iterator_train=Halves)).fit(X, CODES)
    assert est.history_[0]["train_batch_count"] == 8
    assert_pruned(est)
    assert_same(est, make(make_net(batch_size=8)).fit(X, CODES))


def test_iterator_of_the_user_does_not_lose_weights_in_silence():
    with pytest.raises(ValueError, match="iterator_train"):
        make(make_net(iterator_train=Halves)).fit(X, CODES, sample_weight=WEIGHTS)


# ---- nets --------------------------------------------------------------------------

NETS = {
    "LBFGS": {"optimizer": torch.optim.LBFGS, "batch_size": -1, "max_epochs": 2},
    "momentum and decay": {
        "optimizer": torch.optim.SGD,
        "optimizer__momentum": 0.9,
        "optimizer__weight_decay": 0.1,
    },
    "AdamW": {"optimizer": torch.optim.AdamW, "optimizer__weight_decay": 0.5, "lr": 0.01},
    "split": {"train_split": ValidSplit(5)},
    "early stopping": {
        "train_split": ValidSplit(5),
        "max_epochs": 12,
        "callbacks": [EarlyStopping(patience=2, load_best=True)],
    },
    "schedule": {"callbacks": [LRScheduler("StepLR", step_size=1)]},
    "cyclic schedule": {
        "callbacks": [LRScheduler("CyclicLR", base_lr=0.01, max_lr=0.1, step_every="batch")]
    },
    "clipping": {"callbacks": [GradientNormClipping(0.1)]},
    "softmax": {"criterion": nn.NLLLoss, "module__head": nn.Softmax(dim=1)},
    "class weights": {"criterion__weight": torch.tensor([1.0, 5.0])},
    "instance": {"module": Net()},
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("case", NETS)
def test_removed_weights_are_exactly_zero(case, weights, dtype):
    est = make(make_net(**NETS[case]), sparsity=0.7, dtype=dtype, random_state=1)
    assert_pruned(est.fit(X, CODES, sample_weight=weights), 0.7)
    assert_pruned(est.prune(X, CODES, sparsity=0.9, sample_weight=weights), 0.9)
    assert est.predict_proba(X).shape == (60, 2)


@pytest.mark.parametrize("options", [NETS["class weights"], NETS["softmax"], {}], ids=str)
def test_weights_of_one_change_nothing(options):
    a = make(make_net(**options)).fit(X, CODES, sample_weight=np.ones(60))
    b = make(make_net(**options)).fit(X, CODES)
    np.testing.assert_allclose(a.predict_proba(X), b.predict_proba(X), rtol=1e-5)


@pytest.mark.parametrize("use_caching", [True, False])
def test_scoring_on_the_split(use_caching):
    auc = EpochScoring("roc_auc", False, name="auc", use_caching=use_caching)
    est = make(make_net(callbacks=[auc], train_split=ValidSplit(3))).fit(X, CODES)
    assert all(0 <= h["auc"] <= 1 for h in est.history_)


def test_predefined_split():
    valid = TensorDataset(torch.tensor(X[40:]), torch.tensor(CODES[40:]))
    est = make(make_net(train_split=predefined_split(valid))).fit(X[:40], CODES[:40])
    assert_pruned(est)
    assert all("valid_loss" in h for h in est.history_)
    assert_same(est, make().fit(X[:40], CODES[:40]))


def test_checkpoint_does_not_bring_back_the_dense_phase(tmp_path):
    options = {"train_split": ValidSplit(5), "max_epochs": 30}
    best = Checkpoint(dirname=tmp_path, load_best=True)
    est = make(make_net(callbacks=[best], **options), sparsity=0.9, finetune_epochs=3)
    assert_pruned(est.fit(X, CODES), 0.9)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("head", [None, nn.Flatten(0)], ids=["column", "vector"])
def test_binary_net(head, weights):
    net = make_net(
        kind=NeuralNetBinaryClassifier,
        criterion=nn.BCEWithLogitsLoss,
        module__n_out=1,
        module__head=head,
        optimizer=torch.optim.Adam,
    )
    est = make(net).fit(X, np.array(["no", "yes"])[CODES], sample_weight=weights)
    assert_pruned(est)
    probability = est.predict_proba(X)
    np.testing.assert_allclose(probability.sum(axis=1), 1)
    np.testing.assert_array_equal(est.predict(X) == "yes", probability[:, 1] > 0.5)
    assert est.score(X, np.array(["no", "yes"])[CODES]) > 0.8


def test_module_that_squeezes():
    class Squeezing(Net):
        def forward(self, X):
            return self.body(X).squeeze()

    net = make_net(Squeezing, NeuralNetRegressor, module__n_out=1, criterion=nn.MSELoss)
    assert make(net, PrunedRegressor).fit(X, X[:, 0]).predict(X).shape == (60,)


@pytest.mark.parametrize("case", ["schedule", "momentum and decay", "early stopping"])
@pytest.mark.parametrize("sparsity", [0, 0.7])
def test_training_goes_on_after_fit(case, sparsity):
    est = make(make_net(**NETS[case]), sparsity=sparsity).fit(X, CODES)
    before, n_epochs = state(est.estimator_), len(est.history_)
    est.partial_fit(X, CODES).partial_fit(X, CODES)
    assert len(est.history_) == n_epochs + 2
    assert any((state(est.estimator_)[k] != v).any() for k, v in before.items())
    for name, mask in est.masks_.items():
        assert (state(est.estimator_)[name][~mask.numpy()] == 0).all()


def test_local_classes_fit_prune_and_train_on():
    class Local(Net):
        pass

    class LocalNet(NeuralNetClassifier):
        pass

    est = make(make_net(Local, LocalNet)).fit(X, CODES)
    assert_pruned(est.prune(X, CODES, sparsity=0.8), 0.8)
    before = state(est.estimator_)
    est.partial_fit(X, CODES)
    assert_pruned(est, 0.8)
    assert any((state(est.estimator_)[k] != v).any() for k, v in before.items())
    path = est.pruning_path(X, CODES, sparsities=[0, 0.5])
    assert_pruned(path.estimators[1])


@pytest.mark.parametrize("split", [None, ValidSplit(5)])
def test_dense_weights_are_those_of_plain_skorch(split):
    est = make(make_net(train_split=split), sparsity=0).fit(X, CODES)
    torch.manual_seed(derive_seeds(0, 2)[0])
    plain = make_net(train_split=split).initialize().partial_fit(X, CODES)
    for key, value in state(plain).items():
        np.testing.assert_array_equal(state(est.dense_estimator_)[key], value)
        np.testing.assert_array_equal(state(est.estimator_)[key], value)
    np.testing.assert_allclose(est.predict_proba(X), plain.predict_proba(X), rtol=1e-5)


def test_net_of_the_user_is_left_alone():
    module = Net()
    net = make_net(module)
    before = {k: v.clone() for k, v in module.state_dict().items()}
    est = make(net).fit(X, CODES).prune(X, CODES, sparsity=0.8)
    assert est.estimator is net
    assert not net.initialized_
    assert all(torch.equal(v, before[k]) for k, v in module.state_dict().items())


# ---- targets -----------------------------------------------------------------------

LABELS = {
    "strings": lambda c: np.array(["no", "yes"])[c],
    "ints": lambda c: c * 4 + 3,
    "negative": lambda c: c * 4 - 7,
    "bools": lambda c: c.astype(bool),
    "uint8": lambda c: c.astype(np.uint8),
    "whole floats": lambda c: c.astype(float),
    "object": lambda c: np.array(["no", "yes"], dtype=object)[c],
    "list": lambda c: np.array(["no", "yes"])[c].tolist(),
    "categorical": lambda c: pd.Categorical(np.array(["no", "yes"])[c], ["yes", "no", "?"]),
    "series": lambda c: pd.Series(np.array(["no", "yes"])[c], index=range(60, 0, -1)),
    "categories": lambda c: pd.Series(np.array(["no", "yes"])[c]).astype("category"),
    "polars": lambda c: pl.Series(np.array(["no", "yes"])[c].tolist()),
    "torch": torch.tensor,
}


@pytest.mark.parametrize("labels", LABELS)
def test_labels_of_any_type(labels):
    y = LABELS[labels](CODES)
    est = make().fit(X, y)
    assert_same(est, make().fit(X, CODES))
    np.testing.assert_array_equal(est.classes_, np.unique(np.asarray(y)))
    np.testing.assert_array_equal(est.groups_, est.classes_)
    predicted = est.prune(X, y, sparsity=0.2).partial_fit(X, y).predict(X)
    assert set(predicted) <= set(np.asarray(y).tolist())
    assert predicted.dtype == est.classes_.dtype


def test_ten_classes_and_fifty_groups():
    y, groups = np.arange(200) % 10, np.arange(200) % 50
    data = RNG.normal(size=(200, 4)) + np.eye(10)[y][:, :4]
    est = make(make_net(module__n_out=10)).fit(data, y, sensitive_features=groups)
    assert est.classes_.tolist() == list(range(10))
    assert est.groups_.tolist() == list(range(50))
    assert est.predict_proba(data).shape == est.decision_function(data).shape == (200, 10)
    np.testing.assert_allclose(est.predict_proba(data).sum(axis=1), 1)


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("shape", [(60,), (60, 1), (60, 3)], ids=str)
@pytest.mark.parametrize("own", [False, True], ids=["default net", "own net"])
def test_regression_targets_of_any_shape(own, shape, weights):
    y = np.resize(X[:, :1] @ np.ones((1, 3)), (60, 3))[:, : int(np.prod(shape[1:]))]
    options = {"module__n_out": y.shape[1], "criterion": nn.MSELoss, "max_epochs": 20}
    net = make_net(kind=NeuralNetRegressor, **options) if own else None
    est = PrunedRegressor(net, sparsity=0.3, random_state=0)
    est.fit(X, y.reshape(shape), sample_weight=weights)
    assert est.predict(X).shape == shape
    assert est.predict(X).dtype == np.float64
    assert est.score(X, y.reshape(shape)) > 0.5
    assert est.groups_.tolist() == ["all"]
