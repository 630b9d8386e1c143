"""The dense network before pruning: a private copy of the user's, trained or remembered."""

import numpy as np
import torch
from joblib import Memory
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_memory
from skorch import NeuralNet

from .._compat.warnings import warn
from ..engine import networks
from ..engine.fingerprint import (
    NoKey,
    fingerprint,
    weights_from_numpy,
    weights_to_numpy,
)
from ..engine.training import epoch_records, train


def initial_net(pruner, reading, seed):
    """Net with its first weights, which can be pruned and reads the rows.

    Parameters
    ----------
    pruner : BasePruner
        Whose parameters count.
    reading : Reading
        Rows, adapted to the net in place, and targets.
    seed : int
        Of the weights.

    Returns
    -------
    net : skorch.NeuralNet
        Initialized.

    Raises
    ------
    TypeError, ValueError
        If there is no such net, or it does not fit X or y.
    """
    rows, targets, shape = reading.rows, reading.targets, reading.sample_shape
    n_rows, n_features = len(rows.y), max(1, int(np.prod(shape)))
    sizes = (n_rows, n_features, targets.n_outputs, pruner.hidden_layer_sizes)
    net = private_net(pruner.estimator, sizes, pruner)
    if not net.initialized_:
        try:
            networks.initialize(net, rows.dtype, seed, rows)
        except (RuntimeError, IndexError, TypeError) as error:
            if not net.initialized_:
                raise
            raise _unreadable(shape, error) from error
        except ValueError:  # torch has no optimizer for a module without parameters
            if hasattr(net, "module_"):
                networks.prunable_or_raise(net.module_, pruner.layers)
            raise
    networks.prepare(net, rows, rows.dtype, pruner.layers)
    if pruner.estimator is not None:
        targets.check_outputs(_first_prediction(net, rows, shape).shape[1:])
    return net


def _first_prediction(net, rows, shape):
    """Predict a row or two, before anything is trained."""
    try:
        return networks.predict(net, rows.head())
    except (RuntimeError, IndexError, TypeError) as error:
        raise _unreadable(shape, error) from error


def _unreadable(shape, error):
    """Say what a network cannot read."""
    text = f"The network cannot read X, whose samples have shape {shape}: {error}"
    return ValueError(text)


def private_net(estimator, sizes, owner):
    """Copy what the user gave as `estimator`, which is never changed.

    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None
        The constructor parameter.
    sizes : tuple
        Rows, features, outputs and hidden layers of the net that is made for None.
    owner : estimator
        Classifier or regressor that will use the net.

    Returns
    -------
    net : skorch.NeuralNet
        Initialized if it came from a FrozenEstimator.

    Raises
    ------
    TypeError
        If it is something else, or made for another task.
    """
    if estimator is None:
        return networks.default_net(owner._targets.classifies, *sizes)
    if isinstance(estimator, FrozenEstimator):
        return networks.copy_net(_fitted_net(estimator))
    if not isinstance(estimator, NeuralNet):
        got = type(estimator).__name__
        if isinstance(estimator, type):
            got = f"the class {estimator.__name__}; pass an instance"
        elif isinstance(estimator, torch.nn.Module):
            got = "a torch module; wrap it: NeuralNetClassifier(module, ...)"
        raise TypeError(
            "estimator must be a skorch net, a FrozenEstimator around a fitted one, or None "
            f"for a default network, got {got}."
        )
    if (is_classifier(estimator) and is_regressor(owner)) or (
        is_regressor(estimator) and is_classifier(owner)
    ):
        raise TypeError(
            f"estimator: {type(owner).__name__} cannot use a {type(estimator).__name__}."
        )
    return clone(estimator)


def _fitted_net(frozen):
    """Return the fitted skorch net inside a FrozenEstimator."""
    net = getattr(frozen.estimator, "dense_estimator_", frozen.estimator)
    if not isinstance(net, NeuralNet) or not net.initialized_:
        why = ", which is not fitted" if isinstance(net, NeuralNet) else ""
        if hasattr(net, "shrunk_"):
            why = ", whose dense network was let go by shrink(drop_dense=True)"
        raise TypeError(
            "FrozenEstimator must hold a fitted skorch net or a fitted PrunedClassifier or "
            f"PrunedRegressor, got {type(net).__name__}{why}."
        )
    return net


def remembering(memory, net, rows, seed, dual=None, snapshot=None, *, repeatable):
    """Training that is remembered where `memory` says, or an ordinary one.

    Parameters
    ----------
    memory : str, path, joblib.Memory or None
        The constructor parameter.
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        Training data.
    seed : int
        Of weights and training.
    dual : DualAscent, default=None
        Constraint on the training.
    snapshot : Snapshot, default=None
        Keeps the weights of one of its epochs.
    repeatable : bool
        Whether the seed will be the same in another fit.

    Returns
    -------
    memory : joblib.Memory
    key : str or None
        None: not remembered; a warning says why if memory was asked for.
    """
    memory = check_memory(
        memory if memory is None or hasattr(memory, "cache") else str(memory)
    )
    if getattr(memory, "store_backend", True) is None:
        return memory, None
    key = None
    if not rows.sliceable:
        why = "X is a torch Dataset, whose content has no key"
    elif not repeatable:
        why = "random_state=None trains a different network every time; set it to an int"
    else:
        try:
            extra = None if dual is None else dual.content
            extra = extra if snapshot is None else [extra, snapshot.epoch]
            key = fingerprint(net, rows.dtype, seed, extra)
        except NoKey as error:
            why = str(error)
    if key is None:
        warn(f"memory is not used: {why}.")
        memory = Memory(location=None)
    return memory, key


def remembered_training(
    memory, repeatable, net, rows, epochs, *, seed, events, dual, snapshot=None
):
    """Train a net, or load the weights that the same training gave before.

    Parameters
    ----------
    memory : str, path, joblib.Memory or None
        The constructor parameter.
    repeatable : bool
        Whether the seed will be the same in another fit.
    net, rows, epochs, seed, events, dual, snapshot
        As `train` takes them. A remembered training has no events, and gives the dual its
        multipliers and the snapshot its weights back.

    Returns
    -------
    history : list of dict
        One entry an epoch.
    """
    kept = (dual, snapshot)
    memory, key = remembering(memory, net, rows, seed, *kept, repeatable=repeatable)
    X = weights = None
    if key is not None:
        X = rows.X.numpy() if isinstance(rows.X, torch.Tensor) else rows.X
        weights = None if rows.weights is None else rows.weights.numpy()
    work = memory.cache(_train, ignore=["net", "rows", "seed", "events", "dual", "snapshot"])
    data = (X, rows.y.numpy(), weights, key)
    state, history, outcome, early = work(*data, net, rows, seed, events, *kept)
    if not len(net.history):
        weights_from_numpy(net, state)
        net.history.extend(history)
        if dual is not None:
            dual.state, dual.records = outcome
        if snapshot is not None:
            snapshot.state = early
    return history


def _train(X, y, weights, key, net, rows, seed, events, dual, snapshot):
    """Train; joblib remembers the result by (X, y, weights, key)."""
    hooks = {"events": events, "dual": dual, "snapshot": snapshot}
    train(net, rows, net.max_epochs, seed=seed, **hooks)
    outcome = None if dual is None else (dual.state, dual.records)
    early = None if snapshot is None else snapshot.state
    return weights_to_numpy(net), epoch_records(net), outcome, early
