"""Rows of a table as the network inside a model reads them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch import NeuralNet
from skorch.dataset import unpack_data
from torch.utils.data import Dataset, Subset

from .._compat.sklearn import num_samples, safe_indexing
from ..engine.liveness import twin_of
from ..engine.networks import read_in_order
from ..engine.randomness import seeded
from ..estimators._base import BasePruner
from ..estimators._inputs import read_features
from ..estimators.unwrap import unwrapped
from ..functional.params import Features

MOST_TOLD = 200  # characters of an error


class NetworkRows(NamedTuple):
    """A network and what it reads.

    Attributes
    ----------
    net : skorch.NeuralNet
        Of the model; it is not changed.
    features : torch.Tensor or dict of them
        The first rows, through whatever stands before the network.
    """

    net: NeuralNet
    features: Features


def network_rows(model: Any, X: Any, n: int) -> NetworkRows:
    """Read the first rows of a table as the network inside a model reads them.

    Parameters
    ----------
    model : fitted estimator
        That holds a network.
    X : array-like or torch Dataset
        As `model` takes it.
    n : int
        Rows to read; all, if there are fewer.

    Returns
    -------
    rows : NetworkRows
    """
    first = np.arange(min(n, num_samples(X)))
    few = Subset(X, first.tolist()) if isinstance(X, Dataset) else safe_indexing(X, first)
    inner, few, _ = unwrapped(model, few)
    pruner = isinstance(inner, BasePruner)
    net = inner.estimator_ if pruner else inner
    rows = read_features(inner, few) if pruner else net.get_dataset(few)
    with seeded(0):
        batches = read_in_order(twin_of(net)).get_iterator(rows, training=False)
        found = [unpack_data(batch)[0] for batch in batches]
    return NetworkRows(net, _joined(found))


def filled(features: Features, n: int) -> Features:
    """Repeat rows in order until there are n.

    Parameters
    ----------
    features : torch.Tensor or dict of them
        At least one row.
    n : int
        Rows to make; of more the first n stay.

    Returns
    -------
    features : torch.Tensor or dict of them

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.measurement.network_rows import filled
    >>> filled(torch.tensor([[1], [2]]), 3).tolist()
    [[1], [2], [1]]
    """
    if isinstance(features, Mapping):
        return {name: _filled(values, n) for name, values in features.items()}
    return _filled(features, n)


def _filled(values: torch.Tensor, n: int) -> torch.Tensor:
    return values[torch.arange(n) % len(values)].contiguous()


def told_error(error: Exception) -> str:
    """What a network or its input raised, in one line.

    Parameters
    ----------
    error : Exception
        Whatever it was.

    Returns
    -------
    text : str
        Without a point at its end.
    """
    words = " ".join(str(error).split())
    words = words if len(words) <= MOST_TOLD else f"{words[:MOST_TOLD]} ..."
    return f"{type(error).__name__}: {words}".rstrip(".: ")


def _joined(batches: list[Any]) -> Any:
    if isinstance(batches[0], Mapping):
        return {name: _joined([batch[name] for batch in batches]) for name in batches[0]}
    return torch.cat([torch.as_tensor(batch) for batch in batches])
