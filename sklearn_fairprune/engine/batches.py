"""Rows of data and the batches cut from them.

skorch expects every batch to be a pair ``(X, y)``. A `Batch` is that pair and carries the
rows' groups and weights beside it, so that they reach the loss without ever passing
through the network.
"""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import skorch.dataset
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, Subset, default_collate

Index = slice | Tensor  # positions of rows

# A shuffled copy of the data is made once an epoch while it stays below this size.
EPOCH_COPY_BYTES = 2**28


def pick(values: Any, index: Index) -> Any:
    """Rows of a tensor, array or CSR matrix by slice or tensor of positions."""
    if isinstance(index, slice):
        return values[index]
    if isinstance(values, torch.Tensor):
        return values.index_select(0, index)  # several times faster than values[index]
    return values[index.numpy()]


class Batch(tuple):
    """The pair ``(X, y)`` of one step, with what belongs to the same rows beside it.

    Attributes
    ----------
    groups, weights, dense_outputs : torch.Tensor or None
        As in `Rows`.
    """

    groups: Tensor | None
    weights: Tensor | None
    dense_outputs: Tensor | None

    def __new__(
        cls,
        X: Any,
        y: Any,
        groups: Tensor | None = None,
        weights: Tensor | None = None,
        dense_outputs: Tensor | None = None,
    ) -> "Batch":
        """Make the pair and attach what belongs to its rows."""
        self = super().__new__(cls, (X, y))
        self.groups, self.weights, self.dense_outputs = groups, weights, dense_outputs
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle whole: a callback may keep a batch."""
        return Batch, (*self, self.groups, self.weights, self.dense_outputs)


class Rows(skorch.dataset.Dataset):
    """Training or prediction rows, ready to be cut into batches.

    Parameters
    ----------
    X : ndarray, memory-map, scipy CSR matrix or torch Dataset
        Features. Memory-maps and CSR matrices are read batch by batch; of a Dataset's
        samples the first element is used.
    y : ndarray of shape (n,) or (n, k), default=None
        Class codes or regression targets.
    groups : int ndarray of shape (n,), default=None
        Group codes.
    weights : ndarray of shape (n,), default=None
        Row weights; rescaled to mean 1, only their ratios matter.
    dtype : torch.dtype, default=torch.float32
        What the network computes in.
    keep_integers : bool, default=False
        Hand integer features over as integers (for embeddings), not as `dtype`.
    seed : int, default=0
        Of the generator that shuffles the batches.

    Attributes
    ----------
    dense_outputs : torch.Tensor or None
        Raw outputs of the dense network for every row, where it is the teacher.
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        *,
        groups: Tensor | None = None,
        weights: Tensor | None = None,
        dtype: torch.dtype = torch.float32,
        keep_integers: bool = False,
        seed: int = 0,
    ) -> None:
        self.X_indexing = self.y_indexing = None  # skorch's way to say "find out"
        self.dtype, self.keep_integers = dtype, keep_integers
        self.generator = torch.Generator().manual_seed(seed)
        if type(X) is np.ndarray:
            shareable = X.flags.writeable and X.dtype.isnative and min(X.strides) >= 0
            X = torch.from_numpy(X if shareable else np.array(X, X.dtype.newbyteorder("=")))
        self.X = X
        n_rows = X.shape[0] if hasattr(X, "shape") else len(X)
        y = np.zeros(n_rows, dtype=np.int64) if y is None else y
        self.y = torch.as_tensor(y, dtype=None if y.dtype.kind in "iu" else dtype)
        self.groups = None if groups is None else torch.as_tensor(groups)
        if weights is not None:
            weights = torch.tensor(weights / weights.mean(), dtype=dtype)
        self.weights = weights
        self.dense_outputs: Tensor | None = None

    @property
    def sliceable(self) -> bool:
        """Whether whole batches can be cut at once (all but a Dataset)."""
        return hasattr(self.X, "shape")

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        """Return the pair (x, y) of one row."""
        if self.sliceable:
            return self.features(self.X[[i]])[0], self.y[i]
        sample = self.X[i]
        x = sample[0] if isinstance(sample, (tuple, list)) else sample
        return self.features(x) if isinstance(x, (np.ndarray, torch.Tensor)) else x, self.y[i]

    def features(self, chunk: Any) -> Any:
        """Turn a slice of X into the tensor that the network reads."""
        if hasattr(chunk, "toarray"):
            chunk = chunk.toarray()
        chunk = chunk if isinstance(chunk, torch.Tensor) else torch.from_numpy(np.array(chunk))
        if chunk.is_floating_point() or not self.keep_integers:
            return chunk.to(self.dtype)
        return chunk.long()

    def take(self, index: Index) -> Batch:
        """Cut one batch.

        Parameters
        ----------
        index : slice or torch.LongTensor
            Which rows.

        Returns
        -------
        batch : Batch
        """
        return Batch(
            self.features(pick(self.X, index)), pick(self.y, index), *self.beside(index)
        )

    def beside(self, index: Index) -> tuple[Tensor | None, ...]:
        """Return what stands beside the rows `index`: groups, weights, dense outputs."""
        columns = (self.groups, self.weights, self.dense_outputs)
        return tuple(None if v is None else pick(v, index) for v in columns)

    def beside_outputs(self, outputs: Tensor) -> "Rows":
        """Return the same rows with the dense network's outputs beside."""
        copy = object.__new__(Rows)
        copy.__dict__.update(self.__dict__)
        copy.dense_outputs = outputs
        return copy

    def head(self) -> "Rows":
        """Return the first two rows (one if there is only one)."""
        first = range(min(2, len(self)))
        return Rows(
            self.X[:2] if self.sliceable else Subset(self.X, first),
            dtype=self.dtype,
            keep_integers=self.keep_integers,
        )

    def of_dtype(self, dtype: torch.dtype) -> "Rows":
        """Return the same rows, read as another floating-point type."""
        copy = object.__new__(Rows)
        copy.__dict__.update(self.__dict__)
        copy.dtype = dtype
        if self.y.is_floating_point():
            copy.y = self.y.to(dtype)
        return copy

    def subset(self, index: Tensor) -> "Rows":
        """Copy the rows `index`; of a torch Dataset only their numbers."""
        copy = object.__new__(Rows)
        copy.__dict__.update(self.__dict__)
        copy.X = pick(self.X, index) if self.sliceable else Subset(self.X, index.tolist())
        copy.y = pick(self.y, index)
        copy.groups, copy.weights, copy.dense_outputs = self.beside(index)
        return copy


def balanced(rows: Rows, balance: float) -> Tensor:
    r"""Weight of a row of each group, proportional to :math:`n_a^{-s}`, of mean 1.

    Parameters
    ----------
    rows : Rows
        With groups.
    balance : float
        s.

    Returns
    -------
    weights : torch.Tensor of shape (m,)
        In float64; of a group without rows 0.
    """
    weights = rows.weights if rows.weights is None else rows.weights.double()
    sizes = torch.bincount(rows.groups, weights=weights).double()
    each = torch.where(sizes > 0, sizes.clamp(min=1e-300) ** -balance, 0.0)
    return each * sizes.sum() / (each * sizes).sum()


def split_rows(rows: Rows, holdout: float, seed: int) -> tuple[Tensor, Tensor]:
    """Split into rows to train on and rows to hold out, group by group.

    Within a group the held-out rows are spread evenly over the targets. A group of one row
    stays in training; of two or more at least one row goes to either side.

    Parameters
    ----------
    rows : Rows
        With groups.
    holdout : float in (0, 1)
        Share to hold out.
    seed : int
        Of the choice.

    Returns
    -------
    seen, unseen : torch.LongTensor
        Row numbers; `unseen` in random order.
    """
    rng, groups = np.random.default_rng([seed, 1]), rows.groups.numpy()
    target = rows.y.reshape(len(rows), -1)[:, 0].numpy()
    unseen = []
    for group in np.unique(groups):
        members = rng.permutation(np.flatnonzero(groups == group))
        members = members[np.argsort(target[members], kind="stable")]
        n = len(members)
        count = min(max(round(n * holdout), 1), n - 1)
        if count > 0:
            places = (np.arange(count) + rng.random()) * n / count
            unseen.append(members[places.astype(int)])
    out = rng.permutation(np.concatenate(unseen)) if unseen else np.empty(0, dtype=int)
    seen = np.setdiff1d(np.arange(len(rows)), out)
    return torch.as_tensor(seen), torch.as_tensor(out)


def underlying(dataset: Any) -> tuple[Any, Tensor | None]:
    """Follow nested Subsets down to the data and the row numbers kept of it.

    Returns
    -------
    data : Dataset
        The innermost dataset.
    index : torch.LongTensor or None
        Rows of `data`, None for all of them.
    """
    if not isinstance(dataset, Subset):
        return dataset, None
    data, outer = underlying(dataset.dataset)
    index = torch.as_tensor(np.asarray(dataset.indices), dtype=torch.long)
    return data, index if outer is None else outer[index]


class _Numbered(Dataset):
    """A dataset whose samples come with their position."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, i: int) -> tuple[int, Any]:
        return self.dataset[i], i


class _Collate:
    """Collate numbered samples into (X, y, positions): plain, so that workers can send it."""

    def __init__(self, collate: Callable) -> None:
        self.collate = collate

    def __call__(self, samples: list[tuple[int, Any]]) -> tuple[Tensor, Any]:
        pairs, positions = zip(*samples, strict=True)
        return (*self.collate(list(pairs)), torch.as_tensor(positions))


class _Shuffle(Sampler):
    """The order that the in-memory path takes, epoch by epoch."""

    def __init__(self, n: int, generator: torch.Generator) -> None:
        self.n, self.generator = n, generator

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(torch.randperm(self.n, generator=self.generator).tolist())


class BatchIterator:
    """Iterate over the batches of a dataset; a drop-in for skorch's ``iterator_train``.

    Rows in memory are cut as whole slices, which is several times faster than collecting
    them one by one. A torch Dataset, or any option that only a DataLoader has
    (``num_workers``, ``collate_fn``, ...), goes through a `torch.utils.data.DataLoader`.

    Parameters
    ----------
    dataset : Rows, Subset of Rows, or torch Dataset
        What to iterate over.
    batch_size : int
        Rows per batch.
    shuffle : bool, default=False
        Whether to draw a new order for every epoch, from the generator of the `Rows`.
    drop_last : bool, default=False
        Whether to drop an incomplete last batch.
    **loader_options
        Further options of DataLoader.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int,
        shuffle: bool = False,
        drop_last: bool = False,
        **loader_options: Any,
    ) -> None:
        self.dataset, self.batch_size = dataset, batch_size
        self.shuffle, self.drop_last = shuffle, drop_last
        self.data, self.index = underlying(dataset)
        self.loader = None
        if loader_options or not getattr(self.data, "sliceable", False):
            self.loader = self._data_loader(loader_options)

    def _data_loader(self, options: dict[str, Any]) -> DataLoader:
        dataset, shuffle = self.dataset, self.shuffle
        if isinstance(self.data, Rows):
            options["collate_fn"] = _Collate(
                options.pop("collate_fn", None) or default_collate
            )
            # A generator of its own: a loader draws more than the order, for its workers.
            seed = self.data.generator.initial_seed()
            options.setdefault("generator", torch.Generator().manual_seed(seed))
            dataset = _Numbered(dataset)
            if shuffle and not {"sampler", "batch_sampler"} & set(options):
                options["sampler"] = _Shuffle(len(dataset), self.data.generator)
        if not {"sampler", "batch_sampler"} & set(options):
            options["shuffle"] = shuffle
        if "batch_sampler" not in options:
            options |= {"batch_size": self.batch_size, "drop_last": self.drop_last}
        return DataLoader(dataset, **options)

    def _from_loader(self) -> Iterator[Batch]:
        if not isinstance(self.data, Rows):
            yield from self.loader
            return
        for X, y, at in self.loader:
            rows = at if self.index is None else self.index[at]
            yield Batch(X, y, *self.data.beside(rows))

    def __len__(self) -> int:
        """Return the number of batches of one epoch."""
        if self.loader is not None:
            return len(self.loader)
        whole, rest = divmod(len(self.dataset), self.batch_size)
        return whole + bool(rest and not self.drop_last)

    def __iter__(self) -> Iterator[Batch]:
        """Yield one `Batch` after the other."""
        if self.loader is not None:
            yield from self._from_loader()
            return
        data, index = self.data, self.index
        if self.shuffle:
            order = torch.randperm(len(self.dataset), generator=data.generator)
            index = order if index is None else index[order]
        if index is not None and isinstance(data.X, torch.Tensor):
            row_bytes = data.X[:1].nbytes
            if row_bytes * len(index) <= EPOCH_COPY_BYTES:
                data, index = data.subset(index), None
        for k in range(len(self)):
            at = slice(k * self.batch_size, min((k + 1) * self.batch_size, len(self.dataset)))
            yield data.take(at if index is None else index[at])
