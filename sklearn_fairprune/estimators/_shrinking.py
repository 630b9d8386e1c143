"""A fitted pruner with a smaller network."""

import copy

import numpy as np
import torch
from torch import nn

from ..engine import networks
from ..engine.batches import Rows
from ..engine.shrinking import shrink_net
from ._inputs import read_features

N_ROWS = 64  # random ones to verify on
ZEROS = "Verified on rows of zeros alone; pass X to verify on others."
AGAIN = "It was shrunk before: units and forms of the layers stay as they were."


def shrink(pruner, X=None, sparse="auto", drop_dense=False):
    """Copy of a fitted pruner whose network is smaller, and predicts the same.

    Parameters
    ----------
    pruner : BasePruner
        Fitted; stays as it is.
    X : array-like or torch Dataset, default=None
        Rows to verify on; None: random ones.
    sparse : {"auto", True, False}, default="auto"
        Form of linear layers.
    drop_dense : bool, default=False
        Whether the dense network is let go.

    Returns
    -------
    smaller : BasePruner

    Raises
    ------
    ValueError
        If `sparse` or `drop_dense` is something else, or no random rows fit the network.
    """
    if not (_is_bool(sparse) or (isinstance(sparse, str) and sparse == "auto")):
        raise ValueError(
            "sparse must be 'auto' (where it is faster, as measured), True (wherever there "
            f"are enough zeros) or False, got {sparse!r}."
        )
    if not _is_bool(drop_dense):
        raise ValueError(
            "drop_dense must be True (the copy lets the dense network go) or False, got "
            f"{drop_dense!r}."
        )
    state, twin = pruner._fitted, copy.copy(pruner)
    if state.shrunk is None:
        rows, notes = _rows(pruner, X)
        asked = bool(sparse) if _is_bool(sparse) else sparse
        smaller = shrink_net(state.net, rows, sparse=asked)
        record = smaller.record | {"notes": notes + smaller.record["notes"]}
    else:
        smaller, notes = state, state.shrunk["notes"]
        record = state.shrunk | {"notes": notes if AGAIN in notes else [*notes, AGAIN]}
    state = state.change(net=smaller.net, shrunk=record)
    twin._fitted = state.without_dense() if drop_dense else state
    return twin


def _is_bool(value):
    return isinstance(value, (bool, np.bool_))


def _rows(pruner, X):
    """Rows to verify on, and what is to be said of them."""
    state = pruner._fitted
    if X is not None:
        return read_features(pruner, X), []
    dtype, shape = getattr(torch, pruner.dtype), (N_ROWS, *state.sample_shape)
    for what, values in _drawn(state.net.module_, shape):
        rows = networks.adapt(Rows(values, dtype=dtype), state.net)
        try:
            networks.raw_outputs(state.net, rows)
        except Exception:  # whatever the module of a user may raise
            continue
        return rows, [ZEROS] if what == "zeros" else []
    raise ValueError(
        f"The network cannot read random rows of shape {state.sample_shape}, nor zeros, to "
        "verify that its outputs stay the same. Pass X: some rows."
    )


def _drawn(module, shape):
    """Random features, then zeros: at least these can be looked up in an embedding."""
    rng = np.random.default_rng(0)
    tables = [m for m in module.modules() if isinstance(m, (nn.Embedding, nn.EmbeddingBag))]
    if tables:
        yield "random", rng.integers(min(t.num_embeddings for t in tables), size=shape)
        yield "zeros", np.zeros(shape, dtype=np.int64)
    else:
        yield "random", rng.normal(size=shape).astype(np.float32)
    yield "zeros", np.zeros(shape, dtype=np.float32)
