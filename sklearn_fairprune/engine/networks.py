"""skorch networks: the default one, and private copies of the user's."""

import copy
import math
import numbers
from collections.abc import Collection, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet, NeuralNetClassifier, NeuralNetRegressor
from torch import Tensor, nn
from torch.utils.data import DataLoader

from .._compat.skorch import evaluation_mode, is_trimmed, predict_nonlinearity
from ..functional.params import DEFAULT_KINDS, KINDS, prunable
from .batches import Batch, BatchIterator, Rows
from .losses import logit_form
from .randomness import seeded

# BLAS multiplies matrices in another order where rows do not fill its blocks, and the float32
# outputs of a row would depend on its neighbours. For the cheap default network we fill up.
ROWS_OF_ONE_KERNEL = 64


class MLP(nn.Module):
    """Multi-layer perceptron with ReLU units, the network used when none is given.

    Parameters
    ----------
    n_features : int
        Number of inputs; samples of more than one dimension are flattened.
    n_outputs : int
        Number of outputs (logits, or regression targets).
    hidden_layer_sizes : sequence of int, default=(100,)
        Width of each hidden layer.
    """

    def __init__(
        self, n_features: int, n_outputs: int, hidden_layer_sizes: Sequence[int] = (100,)
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Flatten()]
        width = n_features
        for size in hidden_layer_sizes:
            layers += [nn.Linear(width, size), nn.ReLU()]
            width = size
        self.layers = nn.Sequential(*layers, nn.Linear(width, n_outputs))

    def forward(self, X: Tensor) -> Tensor:
        """Compute the outputs of a batch, shape (n, n_outputs)."""
        return self.layers(X)


def default_net(
    is_classifier: bool,
    n_rows: int,
    n_features: int,
    n_outputs: int,
    hidden_layer_sizes: Sequence[int],
) -> NeuralNet:
    """Return an untrained skorch net around `MLP`: AdamW, shuffled batches of 128 rows.

    It trains for 30 epochs, or for as many as make 200 steps if the data are few.
    """
    sizes = list(hidden_layer_sizes)
    if not all(isinstance(size, numbers.Integral) and size > 0 for size in sizes):
        raise ValueError(f"hidden_layer_sizes must be positive integers, got {sizes}.")
    steps_per_epoch = math.ceil(n_rows / 128)
    kind = NeuralNetClassifier if is_classifier else NeuralNetRegressor
    return kind(
        MLP,
        module__n_features=n_features,
        module__n_outputs=n_outputs,
        module__hidden_layer_sizes=tuple(int(size) for size in sizes),
        criterion=nn.CrossEntropyLoss if is_classifier else nn.MSELoss,
        optimizer=torch.optim.AdamW,
        optimizer__fused=True,
        optimizer__weight_decay=1.0,  # decoupled: it decays by lr times this in a step
        lr=0.003,
        max_epochs=max(30, math.ceil(200 / steps_per_epoch)),
        batch_size=128,
        iterator_train__shuffle=True,
        train_split=None,
        verbose=0,
    )


def prepare(
    net: NeuralNet,
    rows: Rows,
    dtype: torch.dtype,
    layers: Collection[str] = DEFAULT_KINDS,
) -> NeuralNet:
    """Make an initialized net ready to train on rows, and the rows ready to be read by it.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    rows : Rows
        Changed in place.
    dtype : torch.dtype
        Of the weights.
    layers : collection of str, default=("linear", "conv")
        Kinds of layers whose weights can be pruned.

    Returns
    -------
    net : skorch.NeuralNet

    Raises
    ------
    ValueError
        If nothing of it can be pruned.
    """
    with_fast_batches(cast(net, dtype))
    prunable_or_raise(net.module_, layers)
    adapt(rows, net)
    return net


def prunable_or_raise(
    module: nn.Module, layers: Collection[str] = DEFAULT_KINDS
) -> dict[str, nn.Parameter]:
    """Return the weights that can be pruned; an error if there are none."""
    weights = prunable(module, layers)
    if not weights:
        held = sorted({type(m).__name__ for m in module.modules() if m is not module})
        names = {"linear": "Linear", "conv": "Conv", "attention": "MultiheadAttention"}
        kinds = " and ".join(names.get(kind, kind) for kind in layers)
        others = [kind for kind in KINDS if prunable(module, [kind])]
        raise ValueError(
            f"The network has no prunable layer: pruning removes weights of {kinds} "
            f"layers that can be trained, and this module holds {held or 'no layers'}."
            + (f" Those of layers={others} can be pruned." if others else "")
        )
    return weights


def with_fast_batches(net: NeuralNet) -> NeuralNet:
    """Replace skorch's default per-row DataLoader, or none; one of the user's stays."""
    for name in ("iterator_train", "iterator_valid"):
        if getattr(net, name) in (DataLoader, None):
            setattr(net, name, BatchIterator)
    return read_in_order(net)


def read_in_order(net: NeuralNet) -> NeuralNet:
    """Drop the options that let predictions come in another order, or leave rows out."""
    for option in ("iterator_valid__shuffle", "iterator_valid__drop_last"):
        if option in vars(net):
            setattr(net, option, False)
    for option in ("iterator_valid__sampler", "iterator_valid__batch_sampler"):
        vars(net).pop(option, None)
    return net


def initialize(
    net: NeuralNet, dtype: torch.dtype, seed: int, rows: Rows | None = None
) -> NeuralNet:
    """Build module, criterion and optimizer with weights drawn from `seed`.

    Parameters
    ----------
    net : skorch.NeuralNet
        Changed in place.
    dtype : torch.dtype
        Of the weights.
    seed : int
        Of the weight initialisation.
    rows : Rows, default=None
        What lazy layers learn their sizes from; they draw their weights then.

    Returns
    -------
    net : skorch.NeuralNet
    """
    with seeded(seed):
        cast(net.initialize(), dtype)
        if rows is not None and is_lazy(net.module_):
            evaluation_mode(net)
            with torch.no_grad():
                net.infer(adapt(rows.head(), net).take(slice(0, 2))[0])
    return net


def is_lazy(module: nn.Module) -> bool:
    """Whether a module has weights whose sizes are not known yet."""
    tensors = (*module.parameters(), *module.buffers())
    return any(torch.nn.parameter.is_lazy(tensor) for tensor in tensors)


def cast(net: NeuralNet, dtype: torch.dtype) -> NeuralNet:
    """Convert module and criterion to `dtype`, in place."""
    for component in (net.module_, net.criterion_):
        if isinstance(component, nn.Module):
            component.to(dtype)
    return net


def copy_net(net: NeuralNet) -> NeuralNet:
    """Deep copy of a fitted net that shares no tensor with it.

    ``copy.deepcopy(net)`` goes through pickle in skorch, which fails for modules that
    are defined inside a function; copying the attributes does not.
    """
    twin = object.__new__(type(net))
    twin.__dict__.update(copy.deepcopy(net.__dict__))
    return twin


def renew_optimizer(net: NeuralNet) -> NeuralNet:
    """Start the optimizer afresh: no momentum of earlier training reaches the weights."""
    if not is_trimmed(net):
        net.initialize_optimizer()
    return net


def check_untrimmed(net: NeuralNet, what: str, way_out: str = "") -> None:
    """Refuse what a net cannot do that was trimmed for prediction, or shrunk.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    what : str
        Is asked of it.
    way_out : str, default=""
        Beside a net that is whole.

    Raises
    ------
    ValueError
        If it has no optimizer any more.
    """
    if is_trimmed(net):
        raise ValueError(
            f"{what}, and the net has given up what it was trained with (as "
            "trim_for_prediction() and shrink() do). Give the net as it was before"
            f"{way_out}."
        )


def restart(net: NeuralNet) -> NeuralNet:
    """Make the next training a training of its own, from the weights the net has.

    Optimizer, history and callbacks start afresh: schedulers begin again, and "the best
    epoch so far" never means an epoch of an earlier training.
    """
    net.initialize_history()
    net.initialize_callbacks()
    return renew_optimizer(net)


def adapt(rows: Rows, net: NeuralNet) -> Rows:
    """Give rows the types that a net reads, in place.

    Integer features stay integers if the module looks something up in an embedding; the
    targets of a binary cross-entropy are floats.

    Parameters
    ----------
    rows : Rows
        Changed in place.
    net : skorch.NeuralNet
        Initialized.

    Returns
    -------
    rows : Rows
    """
    lookups = (nn.Embedding, nn.EmbeddingBag)
    rows.keep_integers = any(isinstance(m, lookups) for m in net.module_.modules())
    if isinstance(net.criterion_, (nn.BCELoss, nn.BCEWithLogitsLoss)):
        rows.y = rows.y.to(rows.dtype)
    return rows


def _own_batches(net: NeuralNet) -> bool:
    return net.iterator_train is BatchIterator and net.iterator_valid is BatchIterator


def outputs(net: NeuralNet, batch: Batch) -> Tensor:
    """Raw outputs of a net in evaluation mode for one batch, on the CPU."""
    X, n_rows = batch[0], len(batch[0])
    if type(net.module_) is MLP and n_rows % ROWS_OF_ONE_KERNEL:
        padding = X.new_zeros(-n_rows % ROWS_OF_ONE_KERNEL, *X.shape[1:])
        return net.infer(torch.cat([X, padding]))[:n_rows].cpu()
    if type(net).evaluation_step is not NeuralNet.evaluation_step:
        raw = net.evaluation_step(batch)
    else:
        raw = net.infer(X)
    return (raw[0] if isinstance(raw, tuple) else raw).cpu()


def predicted_codes(net: NeuralNet, y_pred: Any) -> Tensor:
    """Class codes that a net predicts, from the raw outputs of a batch."""
    raw = y_pred[0] if isinstance(y_pred, tuple) else y_pred
    probability = predict_nonlinearity(net)(raw)
    threshold = getattr(net, "threshold", None)
    if threshold is not None and probability.shape[1] == 2:
        return (probability[:, 1] > threshold).long()
    return probability.argmax(dim=1)


def predict(net: NeuralNet, rows: Rows) -> np.ndarray:
    """Network predictions for all rows, after the net's predict nonlinearity.

    Raw outputs are converted to float64 first, so that probabilities near 0 and 1 keep
    their digits.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted.
    rows : Rows
        What to predict.

    Returns
    -------
    prediction : ndarray of dtype float64

    Raises
    ------
    ValueError
        If it is NaN or infinite anywhere.
    """
    return _finite(predict_nonlinearity(net)(raw_outputs(net, rows)))


def predict_log(net: NeuralNet, rows: Rows) -> np.ndarray:
    """Logarithms of the class probabilities of all rows, as exact as the net's logits.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted.
    rows : Rows
        What to predict.

    Returns
    -------
    log_probability : ndarray of dtype float64

    Raises
    ------
    ValueError
        If it is NaN or infinite anywhere.
    """
    return _finite(logit_form(net)(raw_outputs(net, rows)).log_softmax(dim=-1))


def raw_outputs(net: NeuralNet, rows: Rows) -> Tensor:
    """Raw outputs of all rows in evaluation mode, in float64."""
    evaluation_mode(net)
    with torch.no_grad(), nullcontext() if _own_batches(net) else seeded(0):
        raw = [outputs(net, batch) for batch in net.get_iterator(rows, training=False)]
    return torch.cat(raw).double()


def only_code(net: NeuralNet, rows: Rows) -> int | None:
    """Class code that a net predicts for every row, None if for some another.

    The batches are read until two codes were seen: mostly the first is enough.
    """
    seen: set[int] = set()
    evaluation_mode(net)
    with torch.no_grad(), nullcontext() if _own_batches(net) else seeded(0):
        for batch in net.get_iterator(rows, training=False):
            seen |= set(predicted_codes(net, outputs(net, batch)).tolist())
            if len(seen) > 1:
                return None
    return seen.pop()


def _finite(outputs: Tensor) -> np.ndarray:
    prediction = outputs.numpy()
    finite = np.isfinite(prediction.reshape(len(prediction), -1)).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"The network's prediction is NaN or infinite in {np.sum(~finite)} of "
            f"{len(finite)} rows: X must be finite there, and within the range of the "
            "network's dtype."
        )
    return prediction
