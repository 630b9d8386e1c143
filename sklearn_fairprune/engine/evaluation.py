"""A network in evaluation mode as functions of its parameters."""

import functools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from skorch import NeuralNet
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Subset

from .._compat.skorch import evaluation_mode, predict_nonlinearity
from .._compat.torch import plain_name, uncompiled, without_compilation
from ..functional.params import Features, Params, trainable
from .batches import Rows
from .losses import cross_entropy, has_logits, logit_form, overridden, per_row
from .networks import adapt, cast, copy_net, read_in_order


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
        Data that the net reads.
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

    def __init__(
        self, net: NeuralNet, rows: Rows, *, classifies: bool, dtype: torch.dtype | None = None
    ) -> None:
        self.dtype = dtype or rows.dtype
        self.net = cast(copy_net(net), self.dtype)
        self.net.module_ = without_compilation(self.net.module_)
        self.net.criterion_ = without_compilation(self.net.criterion_)
        evaluation_mode(self.net)
        read_in_order(self.net)
        _without_sparse_gradients(self.net.module_)
        self.params = trainable(self.net.module_)
        self._recurrent = any(isinstance(m, nn.RNNBase) for m in self.net.module_.modules())
        self._own_step = type(net).evaluation_step is not NeuralNet.evaluation_step
        if self._own_step:
            self._check_gradients(rows)
        self._nonlinearity = predict_nonlinearity(self.net)
        self.has_logits, self._to_logits = False, None
        if classifies:
            self._to_logits = logit_form(self.net)
            X, _ = next(read(self, rows, torch.arange(min(2, len(rows))), 2))
            self.has_logits = self._gives_probabilities(self._raw(self.params, X))
            if self.has_logits:
                n_classes = self.logits(self.params, X).shape[1]
        self.n_logits = 0 if not self.has_logits else 1 if n_classes == 2 else n_classes

    def require_params(self) -> Params:
        """Return the parameters; raise if there is none to differentiate by."""
        if not self.params:
            raise ValueError(
                "Every parameter of the network is frozen (requires_grad=False), so that "
                "there is no gradient and no curvature. Thaw those that count with "
                "requires_grad_(True), or ask only for losses and predictions."
            )
        return self.params

    def outputs(self, params: Params, X: Features) -> Tensor:
        """Class probabilities, or else what the net predicts, of shape (n, n_outputs)."""
        if self.has_logits:
            return self.logits(params, X).softmax(-1)
        predicted = self._nonlinearity(self._raw(params, X))
        return predicted.reshape(len(predicted), -1)

    def logits(self, params: Params, X: Features) -> Tensor:
        """Logits of shape (n, n_classes)."""
        return self._to_logits(self._raw(params, X))

    def losses(self, params: Params, X: Features, y: Tensor) -> Tensor:
        """Loss of every row, shape (n,)."""
        if self.has_logits:
            return cross_entropy(self.logits(params, X), y)
        raw = self._raw(params, X)
        with per_row(self.net.criterion_):
            y = y.reshape(raw.shape) if y.is_floating_point() else y
            losses = self.net.get_loss(raw, y, X=X, training=False)
        return losses.reshape(len(raw), -1).mean(1)

    def row_loss(self, params: Params, x: Features, y: Tensor) -> Tensor:
        """Loss of one row, without batch dimension."""
        return self.losses(params, _batch_of_one(x), y[None])[0]

    def row_logits(self, params: Params, x: Features) -> Tensor:
        """Logits of one row; their difference for two classes."""
        logits = self.logits(params, _batch_of_one(x))[0]
        return logits[1:] - logits[:1] if len(logits) == 2 else logits

    def residuals(self, probability: Tensor, y: Tensor) -> Tensor:
        """Return p - y of shape (n, n_logits), y one-hot."""
        residuals = probability - F.one_hot(y.long(), probability.shape[1])
        return residuals[:, 1:] if self.n_logits == 1 else residuals

    def predictions(self, outputs: Tensor) -> Tensor:
        """Class codes that the net predicts from its `outputs`, shape (n,)."""
        threshold = getattr(self.net, "threshold", None)
        if threshold is not None and outputs.shape[1] == 2:
            return (outputs[:, 1] > threshold).long()
        return outputs.argmax(-1)

    def masked(self, masks: Mapping[str, Tensor]) -> Params:
        """Return the parameters with the removed weights set to 0."""
        kept = {name: masks.get(plain_name(name)) for name in self.params}
        return {
            name: p if kept[name] is None else p * kept[name].to(p)
            for name, p in self.params.items()
        }

    def _raw(self, params: Params, X: Features) -> Any:
        with _differentiable_twice(self._recurrent):
            named = {f"module.{name}": p for name, p in params.items()}
            return functional_call(_Inference(self.net, self._own_step), named, (X,))

    def _check_gradients(self, rows: Rows) -> None:
        """Refuse an `evaluation_step` of the net's own that cannot be differentiated."""
        X, _ = next(read(self, rows, torch.arange(1), 1))
        params = {name: p.detach().requires_grad_() for name, p in self.params.items()}
        if params and not self._raw(params, X).requires_grad:
            raise ValueError(
                f"{type(self.net).__name__}.evaluation_step turns gradients off for what it "
                "does after `infer`, so that the network cannot be differentiated. Do it in "
                "`infer`, or outside of torch.no_grad()."
            )

    def _gives_probabilities(self, raw: Any) -> bool:
        """Whether the raw outputs of some rows are logits or probabilities."""
        logits = self._to_logits(raw)
        is_matrix = logits.dim() == 2 and logits.shape[1] > 1
        sums = logits.exp().sum(-1)
        return is_matrix and (has_logits(self.net) or bool(((sums - 1).abs() < 1e-3).all()))


def promises_probabilities(net: NeuralNet) -> bool:
    """Whether a fitted net predicts probabilities, by its criterion and nonlinearity."""
    if net.predict_nonlinearity != "auto":
        return net.predict_nonlinearity is not None
    return isinstance(
        uncompiled(net.criterion_),
        (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss, nn.BCELoss, nn.NLLLoss),
    )


class _Inference(nn.Module):
    """What a net does with a batch, as a module around the net's own."""

    def __init__(self, net: NeuralNet, own_step: bool) -> None:
        super().__init__()
        self.module, self._net, self._own_step = net.module_, net, own_step

    def forward(self, X: Features) -> Any:
        net = self._net
        if self._own_step:  # it is written for predictions, and turns gradients off
            with overridden(net, infer=functools.partial(_with_gradients, net.infer)):
                raw = net.evaluation_step((X, None))
        else:
            raw = net.infer(X)
        return raw[0] if isinstance(raw, tuple) else raw


def _with_gradients(infer: Callable, X: Features, **fit_params: Any) -> Any:
    with torch.enable_grad():
        return infer(X, **fit_params)


@contextmanager
def second_derivatives(quantity: str) -> Iterator[None]:
    """Say what to do where torch has no second derivative; a decorator, too."""
    try:
        yield
    except RuntimeError as error:
        if "derivative" not in str(error):
            raise
        raise ValueError(
            f"{quantity} needs second derivatives, and torch has none for a layer of this "
            f"network or for its criterion: {str(error).rstrip('.')}. Ask for other "
            "quantities only, with SampleDiagnostics or diagnostic_metrics, or train with "
            "other parts: nn.Embedding and a mean for nn.EmbeddingBag, nn.CrossEntropyLoss "
            "for nn.MultiMarginLoss."
        ) from error


@contextmanager
def _differentiable_twice(recurrent: bool) -> Any:
    """Choose kernels that have a second derivative."""
    with sdpa_kernel(SDPBackend.MATH):
        if not recurrent:
            yield
            return
        with torch.backends.cudnn.flags(enabled=False):
            yield


def _without_sparse_gradients(module: nn.Module) -> None:
    """Make the gradients of embeddings dense: sparse ones have no second derivative."""
    for part in module.modules():
        if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
            part.sparse = False


def _batch_of_one(x: Features) -> Features:
    if isinstance(x, Mapping):
        return {name: v[None] for name, v in x.items()}
    return x[None]


def read(
    evaluation: Evaluation, rows: Rows, index: Tensor, batch_size: int
) -> Iterator[tuple[Features, Tensor]]:
    """Read some rows in order, batch by batch.

    Parameters
    ----------
    evaluation : Evaluation
        Its net's iterator, which keeps the order, reads a torch Dataset; rows in memory are
        cut directly.
    rows : Rows
        What to read; they stay as they are.
    index : torch.LongTensor
        Which rows.
    batch_size : int
        Most rows in a batch.

    Yields
    ------
    X : torch.Tensor or dict of them
        On the device of the net.
    y : torch.Tensor
        Targets, on the device of the net.
    """
    net, dtype = evaluation.net, evaluation.dtype
    rows = adapt(rows.of_dtype(dtype), net)
    if rows.sliceable:
        batches = (rows.take(chunk) for chunk in index.split(batch_size))
    else:
        batches = net.get_iterator(Subset(rows, index.tolist()), training=False)
    for batch in batches:
        for X, y in zip(*(_split(part, batch_size) for part in batch), strict=True):
            yield _ready(X, net.device, dtype), _ready(y, net.device, dtype)


def _split(values: Any, size: int) -> Any:
    """Cut into pieces of at most `size` rows."""
    if isinstance(values, Mapping):
        pieces = zip(*(v.split(size) for v in values.values()), strict=True)
        return [dict(zip(values, piece, strict=True)) for piece in pieces]
    return values.split(size)


def _ready(values: Any, device: Any, dtype: torch.dtype) -> Any:
    """Move to the device; floating-point numbers to the dtype too."""
    if isinstance(values, Mapping):
        return {name: _ready(v, device, dtype) for name, v in values.items()}
    return values.to(device, dtype if values.is_floating_point() else None)
