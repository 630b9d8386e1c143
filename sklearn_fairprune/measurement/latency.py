"""How long the networks of an audit take for a batch of rows, on this machine."""

import copy
import functools
import math
import numbers
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import nn

from ..functional.params import Features
from ..statistics.intervals import median_interval
from .network_rows import filled, network_rows, told_error
from .sizes import network_of

BATCHES = (1, 256)
BUDGET = 1.0  # seconds for a model and a batch size
MOST, LEAST = 101, 10  # repetitions; the least come whatever they take
BLOCK = 1e-3  # seconds that the calls of a repetition take together, at least
COLUMNS = [
    f"{name}{end}" for name in ("milliseconds", "speed_up") for end in ("", "_low", "_high")
]


def batch_sizes(latency: Any) -> tuple[int, ...]:
    """Batch sizes to measure, from what a user gave.

    Parameters
    ----------
    latency : bool, None, or sequence of int
        Nothing, the usual ones, or these.

    Returns
    -------
    sizes : tuple of int
        Rising; empty for nothing.

    Raises
    ------
    ValueError
        If they are no batch sizes.

    Examples
    --------
    >>> from sklearn_fairprune.measurement.latency import batch_sizes
    >>> batch_sizes(True), batch_sizes(False), batch_sizes([64, 1])
    ((1, 256), (), (1, 64))
    """
    if latency is None or isinstance(latency, (bool, np.bool_)):
        return BATCHES if latency else ()
    sizes = list(latency) if isinstance(latency, Iterable) else []
    whole = [isinstance(n, numbers.Integral) and not isinstance(n, bool) for n in sizes]
    if not sizes or not all(whole) or min(sizes) < 1:
        raise ValueError(
            "latency must be True, False, or batch sizes, integers of at least 1, such as "
            f"{list(BATCHES)}, got {latency!r}."
        )
    return tuple(sorted({int(n) for n in sizes}))


def latency_table(
    models: Mapping[str, Any], X: Any, batches: Sequence[int], confidence: float = 0.95
) -> tuple[pd.DataFrame, list[str]]:
    r"""Time of a forward pass of every network, and how many times faster than the first.

    On one thread of the processor, in evaluation mode and without gradients, of the network
    alone: preparation of the table, scaling and the making of labels are no part of it. All
    networks are copied to the processor and take turns; of repetition r the times of the
    first network, :math:`d_r`, and of another, :math:`t_r`, are neighbours in time, and the
    speed-up is the median of :math:`d_r / t_r`.

    Parameters
    ----------
    models : dict of str to fitted estimator
        By name, the one to compare with first; those without a network are passed over.
    X : array-like
        Rows, as the models take them; repeated where they do not fill a batch.
    batches : sequence of int
        Sizes of the batches.
    confidence : float, default=0.95
        Level of the intervals, from order statistics (`median_interval`). They cover
        repetitions here and now, and no other machine or load.

    Returns
    -------
    latency : DataFrame
        Indexed by ``model`` and ``batch``: ``milliseconds``, ``speed_up``, with ``_low`` and
        ``_high`` limits. The speed-up is unknown (NaN) if the first model has no network.
    notes : list of str
        Which networks were not measured, and why.
    """
    passes, notes = {}, []
    for name, model in models.items() if batches else ():
        if network_of(model)[0] is None:
            continue
        try:
            net, features = network_rows(model, X, max(batches))
            passes[name] = _forward(net.module_, features, batches)
        except Exception as error:  # whatever a network of somebody else raises
            notes.append(f"The latency of {name} was not measured: {told_error(error)}.")
    first, table = next(iter(models)), {}
    for batch in batches if passes else ():
        calls = {name: of_batch[batch] for name, of_batch in passes.items()}
        with _one_thread():
            seconds = dict(zip(calls, timed(list(calls.values())).T, strict=True))
        for name, own in seconds.items():
            found = (
                1000 * own,
                seconds[first] / own if first in seconds else np.full(1, np.nan),
            )
            cells = [(np.median(v), *median_interval(v, confidence)) for v in found]
            if name == first:
                cells[1] = (1.0, 1.0, 1.0)
            table[name, batch] = dict(zip(COLUMNS, np.ravel(cells).tolist(), strict=True))
    order = [(name, batch) for name in passes for batch in batches]
    index = pd.MultiIndex.from_tuples(order, names=["model", "batch"]) if order else None
    return pd.DataFrame([table[key] for key in order], index=index), notes


def timed(
    calls: Sequence[Callable[[], Any]],
    budget: float = BUDGET,
    clock: Callable[[], float] = time.perf_counter,
) -> np.ndarray:
    """Seconds that calls take, in repetitions that take turns.

    Parameters
    ----------
    calls : sequence of callable
        What to call; each is warmed up first.
    budget : float, default=1.0
        Seconds for each call in all; slow ones have ten repetitions, whatever these take.
    clock : callable, default=time.perf_counter
        Gives the time in seconds.

    Returns
    -------
    seconds : ndarray of shape (n_repetitions, n_calls)
        Of one call; in a repetition quick ones are called many times. Each repetition begins
        with another call.
    """
    counts = [max(1, math.ceil(BLOCK / _warm(call, clock))) for call in calls]
    rows: list[list[float]] = []
    end = clock() + budget * len(calls)
    while len(rows) < LEAST or (len(rows) < MOST and clock() < end):
        row = [0.0] * len(calls)
        for turn in range(len(calls)):
            k = (turn + len(rows)) % len(calls)
            row[k] = _seconds(calls[k], counts[k], clock)
        rows.append(row)
    return np.array(rows)


def _warm(call, clock):
    """Seconds of a call that is warm: the least of several."""
    call()
    return max(min(_seconds(call, 1, clock) for _ in range(3)), 1e-9)


def _seconds(call, count, clock):
    start = clock()
    for _ in range(count):
        call()
    return (clock() - start) / count


def _forward(module: nn.Module, features: Features, batches: Sequence[int]) -> dict[int, Any]:
    """Forward passes of a copy of a module on the processor, by batch size."""
    own = copy.deepcopy(module).cpu().eval()
    calls = {}
    for n in batches:
        read = _on_processor(filled(features, n))
        given = isinstance(read, Mapping)
        call = functools.partial(own, **read) if given else functools.partial(own, read)
        with torch.no_grad():
            call()  # what cannot be run is found before the others are timed
        calls[n] = call
    return calls


def _on_processor(features):
    if isinstance(features, Mapping):
        return {name: _on_processor(values) for name, values in features.items()}
    return features.cpu()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute on one thread and without gradients, then as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.no_grad():
            yield
    finally:
        torch.set_num_threads(before)
