"""The dense network before pruning: a private copy of the user's, trained or remembered."""

import warnings

import torch
from joblib import Memory
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_memory
from skorch import NeuralNet

from ..engine import networks
from ..engine.fingerprint import fingerprint, weights_from_numpy, weights_to_numpy
from ..engine.training import epoch_records, train


def private_net(estimator, default, owner):
    """Copy what the user gave as `estimator`, which is never changed.

    Parameters
    ----------
    estimator : skorch net, FrozenEstimator or None
        The constructor parameter.
    default : callable
        Makes the net for None.
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
        return default()
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
        raise TypeError(
            "FrozenEstimator must hold a fitted skorch net or a fitted PrunedClassifier or "
            f"PrunedRegressor, got {type(net).__name__}"
            f"{', which is not fitted' if isinstance(net, NeuralNet) else ''}."
        )
    return net


def initialized(net, dtype, seed):
    """Give a net its weights, if it has none yet, and batches cut as whole slices."""
    if net.initialized_:
        return networks.with_fast_batches(networks.cast(net, dtype))
    return networks.with_fast_batches(networks.initialize(net, dtype, seed))


def cache_of(memory, net, rows, seed, dual=None, *, repeatable):
    """Where a dense training is remembered, and under which key.

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
        key = fingerprint(net, rows.dtype, seed, None if dual is None else dual.content)
        why = "a parameter of the estimator has no content to hash (a lock? an open file?)"
    if key is None:
        warnings.warn(f"memory is not used: {why}.", UserWarning, stacklevel=5)
        memory = Memory(location=None)
    return memory, key


def _train(X, y, weights, key, net, rows, seed, events, dual):
    """Train; joblib remembers the result by (X, y, weights, key)."""
    train(net, rows, net.max_epochs, seed=seed, events=events, dual=dual)
    outcome = None if dual is None else (dual.state, dual.records)
    return weights_to_numpy(net), epoch_records(net), outcome


def train_cached(net, rows, seed, memory, key, events, dual=None):
    """Train a net, or load the weights that the same training gave before.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    rows : Rows
        Training data.
    seed : int
        Of the training.
    memory : joblib.Memory
        From `cache_of`.
    key : str or None
        From `cache_of`.
    events : EpochEvents
        Who wants to know about epochs; a remembered training has none.
    dual : DualAscent, default=None
        Constraint on the training; a remembered one gets its multipliers back.

    Returns
    -------
    history : list of dict
        One entry an epoch.
    """
    X = weights = None
    if key is not None:
        X = rows.X.numpy() if isinstance(rows.X, torch.Tensor) else rows.X
        weights = None if rows.weights is None else rows.weights.numpy()
    work = memory.cache(_train, ignore=["net", "rows", "seed", "events", "dual"])
    data = (X, rows.y.numpy(), weights, key)
    state, history, outcome = work(*data, net, rows, seed, events, dual)
    if not len(net.history):
        weights_from_numpy(net, state)
        net.history.extend(history)
        if dual is not None:
            dual.state, dual.records = outcome
    networks.renew_optimizer(net)
    return history
