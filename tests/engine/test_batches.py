"""Every row exactly once, with its own group and weight, from any source."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from torch.utils.data import (
    BatchSampler,
    Dataset,
    SequentialSampler,
    Subset,
    TensorDataset,
    default_collate,
)

from sklearn_fairprune.engine import batches
from sklearn_fairprune.engine.batches import Batch, BatchIterator, Rows, underlying

torch.set_num_threads(1)
N = 11
SOURCES = ["array", "csr", "memmap", "dataset", "tensors only"]


class Pairs(Dataset):
    """Samples (x, y) whose y must not be used."""

    def __init__(self, X):
        self.X = X

    def __len__(self):
        return len(self.X)

    def __getitem__(self, i):
        return self.X[i], -1


@pytest.fixture
def source(tmp_path):
    X = np.arange(2.0 * N).reshape(N, 2) + 1
    mapped = np.memmap(tmp_path / "X", mode="w+", shape=X.shape, dtype=X.dtype)
    mapped[:] = X
    only = [torch.from_numpy(x) for x in X]
    kinds = [X, csr_matrix(X), mapped, Pairs(X), Subset(only, range(N))]
    return dict(zip(SOURCES, kinds, strict=True)).get


def rows(X, **options):
    ids = np.arange(N)
    return Rows(X, ids, groups=ids + 100, weights=ids + 200.0, **options)


def epoch(iterator):
    """Row numbers of each batch; checks that everything else stayed beside them."""
    numbers = []
    for batch in iterator:
        X, y = batch
        assert isinstance(batch, Batch)
        assert X.dtype is torch.float32
        assert torch.equal(X, torch.stack([2.0 * y + 1, 2.0 * y + 2], dim=1))
        assert torch.equal(batch.groups, y + 100)
        assert torch.equal(batch.weights, (y + 200.0) / 205)
        numbers.append(y.tolist())
    return numbers


def flat(numbers):
    return list(itertools.chain.from_iterable(numbers))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("options", [{}, {"num_workers": 0}])
class TestEverySource:
    def test_in_order(self, source, kind, options):
        iterator = BatchIterator(rows(source(kind)), 4, **options)
        assert epoch(iterator) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
        assert len(iterator) == 3

    def test_drop_last(self, source, kind, options):
        iterator = BatchIterator(rows(source(kind)), 4, drop_last=True, **options)
        assert epoch(iterator) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert len(iterator) == 2

    def test_shuffled(self, source, kind, options):
        iterator = BatchIterator(rows(source(kind)), 4, shuffle=True, **options)
        first, second = epoch(iterator), epoch(iterator)
        assert [len(b) for b in first] == [4, 4, 3]
        assert sorted(flat(first)) == sorted(flat(second)) == list(range(N))
        assert flat(first) != flat(second) != list(range(N))
        again = BatchIterator(rows(source(kind)), 4, shuffle=True, **options)
        assert [epoch(again), epoch(again)] == [first, second]
        other = BatchIterator(rows(source(kind), seed=1), 4, shuffle=True, **options)
        assert epoch(other) != first

    @pytest.mark.parametrize("shuffle", [False, True])
    def test_subset(self, source, kind, options, shuffle):
        nested = Subset(Subset(rows(source(kind)), [9, 3, 7, 0, 2]), np.array([4, 1, 2]))
        iterator = BatchIterator(nested, 2, shuffle=shuffle, **options)
        found = epoch(iterator)
        assert [len(b) for b in found] == [2, 1]
        assert len(iterator) == 2
        assert set(flat(found)) == {2, 3, 7}
        if not shuffle:
            assert found == [[2, 3], [7]]


def test_order_does_not_touch_the_global_state(source):
    before = torch.get_rng_state()
    for options in ({}, {"num_workers": 0}):
        list(BatchIterator(rows(source("array")), 3, shuffle=True, **options))
    assert torch.equal(torch.get_rng_state(), before)


def test_sources_in_memory_share_one_order(source, monkeypatch):
    kinds = ("array", "csr", "memmap")
    orders = [epoch(BatchIterator(rows(source(k)), 4, shuffle=True)) for k in kinds]
    monkeypatch.setattr(batches, "EPOCH_COPY_BYTES", 0)
    orders.append(epoch(BatchIterator(rows(source("array")), 4, shuffle=True)))
    orders.append(epoch(BatchIterator(rows(source("dataset")), 4, shuffle=True)))
    orders.append(epoch(BatchIterator(rows(source("csr")), 4, shuffle=True, num_workers=0)))
    assert all(order == orders[0] for order in orders)


def test_whole_batches_and_one_row_more(source):
    assert len(BatchIterator(rows(source("array")), N)) == 1
    assert len(BatchIterator(rows(source("array")), 100)) == 1
    assert len(BatchIterator(rows(source("array")), 100, drop_last=True)) == 0
    assert epoch(BatchIterator(rows(source("array")), 100, drop_last=True)) == []


def test_collate_fn_sees_the_pairs(source):
    def negated(pairs):
        X, y = default_collate(pairs)
        return -X, y

    for kind in ("array", "dataset"):
        batch = next(iter(BatchIterator(rows(source(kind)), 2, collate_fn=negated)))
        assert batch[0].tolist() == [[-1, -2], [-3, -4]]
        assert batch.groups.tolist() == [100, 101]


def test_samplers(source):
    data = rows(source("array"))
    assert epoch(BatchIterator(data, 2, shuffle=True, sampler=[5, 1, 3])) == [[5, 1], [3]]
    sampler = BatchSampler(SequentialSampler(range(4)), 3, drop_last=False)
    assert epoch(BatchIterator(data, 2, batch_sampler=sampler)) == [[0, 1, 2], [3]]


def test_foreign_dataset_goes_through_a_data_loader():
    data = TensorDataset(torch.arange(4.0), torch.arange(4))
    found = [y.tolist() for _, y in BatchIterator(data, 3)]
    assert found == [[0, 1, 2], [3]]
    torch.manual_seed(0)
    orders = [[y.item() for _, y in BatchIterator(data, 1, shuffle=True)] for _ in range(9)]
    assert all(sorted(order) == [0, 1, 2, 3] for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_batch_is_a_pair():
    X, y = batch = Batch(torch.ones(2, 1), torch.zeros(2))
    assert len(batch) == 2
    assert batch.groups is None is batch.weights
    assert X.shape == (2, 1)
    assert torch.equal(y, batch[1])


def test_what_workers_send_can_be_pickled(source):
    iterator = BatchIterator(rows(source("array")), 4, collate_fn=default_collate)
    sent = next(iter(iterator.loader))
    assert type(sent) is tuple
    received = pickle.loads(pickle.dumps(sent))
    assert all(torch.equal(a, b) for a, b in zip(sent, received, strict=True))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i8", "u1", "?"])
def test_features_become_the_network_dtype(dtype, kind):
    X = np.array([[0, 1], [1, 0]], dtype=kind)
    for wrapped in (X, Pairs(X)):
        features, _ = next(iter(BatchIterator(Rows(wrapped, dtype=dtype), 2)))
        assert features.dtype is dtype
        assert features.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(("kind", "kept"), [("i4", True), ("u1", True), ("f4", False)])
def test_integers_are_kept_on_demand(kind, kept):
    X = np.array([[7], [9]], dtype=kind)
    for wrapped in (X, csr_matrix(X.astype("i4")) if kept else X, Pairs(X)):
        data = Rows(wrapped, dtype=torch.float64, keep_integers=True)
        features, _ = next(iter(BatchIterator(data, 2)))
        assert features.dtype is (torch.int64 if kept else torch.float64)
        assert data[1][0].dtype is features.dtype
        assert features.tolist() == [[7], [9]]


def test_targets_and_weights():
    X = np.zeros((2, 1))
    assert Rows(X, np.array([0, 1])).y.dtype is torch.int64
    assert Rows(X, np.array([0.5, 1]), dtype=torch.float64).y.dtype is torch.float64
    assert Rows(X, np.array([0.5, 1])).y.dtype is torch.float32
    assert Rows(X, np.zeros((2, 3))).y.shape == (2, 3)
    assert Rows(X).y.tolist() == [0, 0]
    weights = Rows(X, weights=np.array([1.0, 3.0])).weights
    assert weights.dtype is torch.float32
    assert weights.tolist() == [0.5, 1.5]


@pytest.mark.parametrize(
    "change",
    [
        lambda X: X[::-1],
        lambda X: X[:, ::-1],
        np.asfortranarray,
        lambda X: X.astype(X.dtype.newbyteorder()),
        lambda X: np.broadcast_to(X[:1], X.shape),
    ],
)
def test_any_memory_layout(change):
    X = change(np.arange(6.0).reshape(3, 2))
    assert Rows(X).take(slice(0, 2))[0].tolist() == X[:2].tolist()


def test_read_only_array_is_not_written_to():
    X = np.ones((2, 2))
    X.flags.writeable = False
    data = Rows(X)
    data.X[0] = 5.0
    assert (X == 1).all()


@pytest.mark.parametrize("kind", SOURCES)
def test_head_is_the_first_two_rows(source, kind):
    head = rows(source(kind), dtype=torch.float64).head()
    assert len(head) == 2
    ((X, _),) = BatchIterator(head, 5)
    assert X.tolist() == [[1, 2], [3, 4]]
    assert X.dtype is torch.float64
    assert len(Rows(np.ones((1, 2))).head()) == 1


@pytest.mark.parametrize("kind", SOURCES)
def test_single_row(source, kind):
    x, y = rows(source(kind))[3]
    assert x.tolist() == [7, 8]
    assert y == 3


def test_underlying():
    data = Rows(np.zeros((9, 1)))
    assert underlying(data) == (data, None)
    found, index = underlying(Subset(Subset(data, range(4, 9)), [2, 0]))
    assert found is data
    assert index.tolist() == [6, 4]
    assert len(list(BatchIterator(Subset(data, []), 2))) == 0


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda b: pickle.loads(pickle.dumps(b))]
)
def test_a_batch_can_be_copied(duplicate):
    batch = Batch(torch.ones(2), torch.zeros(2), groups=torch.tensor([0, 1]))
    X, y = twin = duplicate(batch)
    assert torch.equal(X, batch[0])
    assert torch.equal(y, batch[1])
    assert torch.equal(twin.groups, batch.groups)
    assert twin.weights is None
