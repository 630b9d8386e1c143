"""A network in evaluation mode as functions of its parameters."""

from collections.abc import Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Subset

from ..functional.params import plain_name, trainable
from .networks import adapt, cast, copy_net
from .row_weights import per_row

# Probabilities are not taken below this, so that their logarithms stay finite.
TINY = torch.finfo(torch.float32).tiny


class Evaluation:
    r"""Outputs, logits and row losses of a fitted net, as functions of its parameters.

    Dropout is off and batch-norm statistics are frozen. The loss of a classifier is the
    cross-entropy of its logits, without class weights and label smoothing (or of the
    logarithms of its probabilities, if it gives those); of all other nets it is the net's
    own criterion.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted; a copy is made, the net stays as it is.
    rows : Rows
        Adapted to the net, in place: its types, and `dtype`.
    classifies : bool
        Whether the targets are class codes.
    dtype : torch.dtype, default=None
        What to compute in; None is the dtype of the rows.

    Attributes
    ----------
    params : dict of str to torch.Tensor
        All trainable parameters, :math:`\theta`.
    has_logits : bool
        Whether the outputs tell class probabilities.
    n_logits : int
        Number of logits, 1 for two classes (their difference); 0 without logits.
    """

    def __init__(self, net, rows, *, classifies, dtype=None):
        rows.dtype = dtype or rows.dtype
        self.net = cast(copy_net(net), rows.dtype)
        self.net.module_ = _without_compilation(self.net.module_)
        self.net.criterion_ = _without_compilation(self.net.criterion_)
        self.net._set_training(False)
        adapt(rows, self.net)
        if rows.y.is_floating_point():
            rows.y = rows.y.to(rows.dtype)
        self.params = trainable(self.net.module_)
        self._inference = _Inference(self.net)
        self._recurrent = any(isinstance(m, nn.RNNBase) for m in self.net.module_.modules())
        self.has_logits, self._to_logits = False, None
        if classifies:
            self._to_logits = self._logit_form()
            X, _ = next(read(self.net, rows, torch.arange(min(2, len(rows))), 2))
            self.has_logits = self._gives_probabilities(self._raw(self.params, X))
            if self.has_logits:
                n_classes = self.logits(self.params, X).shape[1]
        self.n_logits = 0 if not self.has_logits else 1 if n_classes == 2 else n_classes

    def outputs(self, params, X):
        """Class probabilities, or else the net's raw outputs, of shape (n, n_outputs)."""
        if self.has_logits:
            return self.logits(params, X).softmax(-1)
        raw = self._raw(params, X)
        return raw.reshape(len(raw), -1)

    def logits(self, params, X):
        """Logits of shape (n, n_classes)."""
        return self._to_logits(self._raw(params, X))

    def losses(self, params, X, y):
        """Loss of every row, shape (n,)."""
        if self.has_logits:
            return F.cross_entropy(self.logits(params, X), y.long(), reduction="none")
        raw = self._raw(params, X)
        with per_row(self.net.criterion_):
            y = y.reshape(raw.shape) if y.is_floating_point() else y
            losses = self.net.get_loss(raw, y, X=X, training=False)
        return losses.reshape(len(raw), -1).mean(1)

    def row_loss(self, params, x, y):
        """Loss of one row, without batch dimension."""
        return self.losses(params, _batch_of_one(x), y[None])[0]

    def row_logits(self, params, x):
        """Logits of one row; their difference for two classes."""
        logits = self.logits(params, _batch_of_one(x))[0]
        return logits[1:] - logits[:1] if len(logits) == 2 else logits

    def residuals(self, probability, y):
        """Return p - y of shape (n, n_logits), y one-hot."""
        residuals = probability - F.one_hot(y.long(), probability.shape[1])
        return residuals[:, 1:] if self.n_logits == 1 else residuals

    def predictions(self, outputs):
        """Class codes that the net predicts from its `outputs`, shape (n,)."""
        threshold = getattr(self.net, "threshold", None)
        if threshold is not None and outputs.shape[1] == 2:
            return (outputs[:, 1] > threshold).long()
        return outputs.argmax(-1)

    def masked(self, masks):
        """Return the parameters with the removed weights set to 0."""
        kept = {name: masks.get(plain_name(name)) for name in self.params}
        return {
            name: p if kept[name] is None else p * kept[name].to(p)
            for name, p in self.params.items()
        }

    def _raw(self, params, X):
        with _differentiable_twice(self._recurrent):
            named = {f"module.{name}": p for name, p in params.items()}
            return functional_call(self._inference, named, (X,))

    def _logit_form(self):
        """Return the function from raw outputs to logits."""
        criterion, nonlinearity = self.net.criterion_, self.net._get_predict_nonlinearity()
        if self.net.predict_nonlinearity == "auto":
            if isinstance(criterion, nn.CrossEntropyLoss):
                return lambda raw: raw
            if isinstance(criterion, nn.BCEWithLogitsLoss):
                return lambda raw: F.pad(raw.reshape(-1, 1), (1, 0))
        return lambda raw: nonlinearity(raw).clamp(min=TINY).log()

    def _gives_probabilities(self, raw):
        """Whether the raw outputs of some rows are logits or probabilities."""
        logits = self._to_logits(raw)
        is_matrix = logits.dim() == 2 and logits.shape[1] > 1
        direct = self.net.predict_nonlinearity == "auto" and isinstance(
            self.net.criterion_, (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)
        )
        sums = logits.exp().sum(-1)
        return is_matrix and (direct or bool(((sums - 1).abs() < 1e-3).all()))


class _Inference(nn.Module):
    """What a net does with a batch, as a module around the net's own."""

    def __init__(self, net):
        super().__init__()
        self.module, self._infer = net.module_, net.infer

    def forward(self, X):
        raw = self._infer(X)
        return raw[0] if isinstance(raw, tuple) else raw


@contextmanager
def _differentiable_twice(recurrent):
    """Choose kernels that have a second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        if not recurrent:
            yield
            return
        with torch.backends.cudnn.flags(enabled=False):
            yield


def _without_compilation(module):
    """Undo torch.compile, whose graphs cannot be differentiated twice."""
    module = getattr(module, "_orig_mod", module)
    if not isinstance(module, nn.Module):  # a criterion may be a function
        return module
    for part in module.modules():
        part._compiled_call_impl = None
        for name, child in part.named_children():
            if hasattr(child, "_orig_mod"):
                setattr(part, name, child._orig_mod)
    return module


def _batch_of_one(x):
    if isinstance(x, Mapping):
        return {name: v[None] for name, v in x.items()}
    return x[None]


def read(net, rows, index, batch_size):
    """Read some rows in order, batch by batch.

    Parameters
    ----------
    net : skorch.NeuralNet
        Whose iterator reads a torch Dataset; rows in memory are cut directly.
    rows : Rows
        What to read.
    index : torch.LongTensor
        Which rows.
    batch_size : int
        Rows in a batch, if they are in memory.

    Yields
    ------
    X : torch.Tensor or dict of them
        On the device of the net.
    y : torch.Tensor
        Targets, on the device of the net.
    """
    if rows.sliceable:
        batches = (rows.take(chunk) for chunk in index.split(batch_size))
    else:
        batches = net.get_iterator(Subset(rows, index.tolist()), training=False)
    for X, y in batches:
        yield _ready(X, net.device, rows.dtype), _ready(y, net.device, rows.dtype)


def _ready(values, device, dtype):
    """Move to the device; floating-point numbers to the dtype too."""
    if isinstance(values, Mapping):
        return {name: _ready(v, device, dtype) for name, v in values.items()}
    return values.to(device, dtype if values.is_floating_point() else None)
