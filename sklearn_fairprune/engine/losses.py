"""The loss of every row, and the loss of a batch as a weighted mean of its rows.

Whatever says "cross-entropy" has it from `cross_entropy`, whose logits come from
`logit_form`: training under a constraint, audit, diagnosis and scorers agree on it.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from skorch import NeuralNet, NeuralNetClassifier
from skorch.callbacks import Callback
from torch import Tensor, nn

from .._compat.skorch import predict_nonlinearity
from .._compat.torch import uncompiled

# Probabilities are not taken below this, so that their logarithms stay finite.
SMALLEST = torch.finfo(torch.float32).tiny


def log_probabilities(probability: Tensor) -> Tensor:
    """Logarithms of probabilities, of at least `SMALLEST`: never below -87.3."""
    return probability.clamp(min=SMALLEST).log()


def cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of every row in nats, without class weights and label smoothing.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_classes)
        Or log-probabilities.
    y : torch.Tensor of shape (n,)
        Class codes.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
    """
    return F.cross_entropy(logits, y.long(), reduction="none")


def has_logits(net: NeuralNet) -> bool:
    """Whether the raw outputs of a net are logits by its criterion."""
    criterion = uncompiled(net.criterion_)
    known = isinstance(criterion, (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss))
    return net.predict_nonlinearity == "auto" and known


def logit_form(net: NeuralNet) -> Callable[[Tensor], Tensor]:
    """Function from raw outputs of a classifier to logits of shape (n, n_classes)."""
    if not has_logits(net):
        return functools.partial(_of_probabilities, predict_nonlinearity(net))
    if isinstance(uncompiled(net.criterion_), nn.CrossEntropyLoss):
        return nn.Identity()
    return _of_one_logit


def _of_one_logit(raw: Tensor) -> Tensor:
    """Logits of two classes from the one that a sigmoid would be taken of."""
    return F.pad(raw.reshape(-1, 1), (1, 0))


def _of_probabilities(nonlinearity: Callable, raw: Any) -> Tensor:
    return log_probabilities(nonlinearity(raw))


@contextmanager
def overridden(net: NeuralNet, **methods: Callable[..., Any]) -> Iterator[None]:
    """Give one net other methods for a while; its class stays as it is.

    skorch looks its steps up on the net, and has no other place where the loss of a batch
    could be told of the batch.
    """
    own = {name: vars(net)[name] for name in methods if name in vars(net)}
    vars(net).update(methods)
    try:
        yield
    finally:
        for name in methods:
            del vars(net)[name]
        vars(net).update(own)


class RowWeightedLoss(Callback):
    r"""Loss of a batch as the weighted mean of its rows, :math:`\sum w_i l_i / \sum w_i`.

    Stands in the place of the net's own ``get_loss`` while it trains. Without weights the
    net's loss is left as it is. Targets take the shape of the predictions, so that a
    regression on a vector is never broadcast to a matrix. Group constraints multiply the
    weights of their groups, :math:`\sum u_{a_i} w_i l_i / \sum w_i`.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    weighted : bool
        Whether the training rows have weights; a batch without them is then an error.
    dual : DualAscent, default=None
        Sees the row losses of every training batch, and gives :math:`u`.
    distillation : Distillation, default=None
        Mixes the divergence from the dense network into the loss of training batches.
    """

    def __init__(
        self, net: NeuralNet, weighted: bool, dual: Any = None, distillation: Any = None
    ) -> None:
        self.net_, self.own_loss_ = net, net.get_loss
        self.weighted, self.dual, self.distillation = weighted, dual, distillation
        self.batch_, self.training_ = None, False

    def on_batch_begin(
        self, net: NeuralNet, batch: Any = None, training: bool = False, **kwargs: Any
    ) -> None:
        """Remember the batch: its weights and groups are not part of (X, y)."""
        self.batch_, self.training_ = batch, training
        asked = {
            "sample_weight": self.weighted,
            "a group constraint": self.dual is not None,
            "balance": getattr(self.distillation, "group_weights", None) is not None,
        }
        wanted = next((name for name, is_asked in asked.items() if is_asked), "")
        if wanted and training and not hasattr(batch, "weights"):
            raise ValueError(
                f"{wanted} cannot reach the loss through iterator_train="
                f"{net.iterator_train.__name__}, whose batches are not the package's own. "
                f"Leave iterator_train at its default, or do without {wanted}."
            )

    def __call__(self, y_pred: Any, y_true: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """Compute the loss of the current batch."""
        y_true = shaped_like(y_pred, y_true)
        weights = getattr(self.batch_, "weights", None)
        losses = scales = None
        teacher = self.distillation if self.training_ else None
        share = 0.0 if teacher is None else teacher.share
        if self.dual is not None and self.training_:
            with nullcontext() if self.dual.active and share < 1 else torch.no_grad():
                losses = row_losses(self.net_, y_pred, y_true, *args, **kwargs)
            measured = measured_losses(self.net_, y_pred, y_true, losses.detach())
            scales = self.dual.observe(self.batch_, y_pred, measured)
        scales = _product(
            scales, None if teacher is None else teacher.row_weights(self.batch_)
        )
        if share == 1:
            return self._mean(teacher.row_losses(self.batch_, y_pred), scales, None, weights)
        if weights is None and scales is None:
            loss = self.own_loss_(y_pred, y_true, *args, **kwargs)
        else:
            if losses is None or not losses.requires_grad:
                losses = row_losses(self.net_, y_pred, y_true, *args, **kwargs)
            loss = self._mean(losses, scales, y_true, weights)
        if not share:
            return loss
        divergences = teacher.row_losses(self.batch_, y_pred)
        return (1 - share) * loss + share * self._mean(divergences, scales, None, weights)

    def _mean(
        self, losses: Tensor, scales: Any, y_true: Tensor | None, weights: Tensor | None
    ) -> Tensor:
        """Weighted mean (or sum) of row losses, whose rows count `scales` times.

        Without targets the criterion's own label weights do not count.
        """
        criterion = self.net_.criterion_
        plain = y_true is None or (self.dual is not None and self.dual.plain)
        if weights is None and plain and not is_summed(criterion):
            return losses.mean() if scales is None else torch.dot(scales / len(losses), losses)
        scales = _product(scales, weights)
        scaled = losses if scales is None else scales.to(losses.device) * losses
        if is_summed(criterion):
            return scaled.sum()
        mass = weights if y_true is None else row_mass(criterion, y_true, weights)
        return scaled.sum() / mass.to(losses.device).sum()


def _product(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Product of row weights, where None is 1."""
    if a is None or b is None:
        return b if a is None else a
    return a * b.to(a)


def shaped_like(y_pred: Any, y_true: Tensor) -> Tensor:
    """Give floating-point targets the shape of the predictions."""
    raw = y_pred[0] if isinstance(y_pred, tuple) else y_pred
    floating = isinstance(y_true, torch.Tensor) and y_true.is_floating_point()
    if not floating or raw.shape == y_true.shape:
        return y_true
    if raw.numel() != y_true.numel():
        raise ValueError(
            f"The network gives outputs of shape {tuple(raw.shape[1:])} a row, "
            f"but y has shape {tuple(y_true.shape[1:])} a row."
        )
    return y_true.reshape(raw.shape)


def is_summed(criterion: Any) -> bool:
    """Whether a criterion adds the rows of a batch up instead of taking their mean."""
    return getattr(criterion, "reduction", None) == "sum"


def row_losses(
    net: NeuralNet, y_pred: Any, y_true: Tensor, *args: Any, **kwargs: Any
) -> Tensor:
    """Loss of each row by the net's own criterion, of shape (n,).

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; perhaps training with a `RowWeightedLoss`.
    y_pred, y_true : torch.Tensor
        Raw outputs and targets of a batch, as from `shaped_like`.
    *args, **kwargs : object
        What else ``get_loss`` takes.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
        Mean over the outputs of a row, or their sum if the criterion adds up.
    """
    own = getattr(net.get_loss, "own_loss_", net.get_loss)
    summed = is_summed(net.criterion_)
    with per_row(net.criterion_):
        losses = own(y_pred, y_true, *args, **kwargs)
    if losses.dim() == 1 and len(losses) == len(y_true):
        return losses
    losses = losses.reshape(len(y_true), -1)
    return losses.sum(dim=1) if summed else losses.mean(dim=1)


def measured_losses(net: NeuralNet, y_pred: Any, y_true: Tensor, losses: Tensor) -> Tensor:
    """Row losses as they are reported: a cross-entropy is the same everywhere.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized.
    y_pred, y_true : torch.Tensor
        Raw outputs and targets of a batch.
    losses : torch.Tensor of shape (n,)
        By the net's own criterion, from `row_losses`.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
        The same, but where skorch takes logarithms of probabilities with a clip of its own.
    """
    takes_logarithms = type(net).get_loss is NeuralNetClassifier.get_loss
    if not (takes_logarithms and isinstance(net.criterion_, nn.NLLLoss)):
        return losses
    raw = y_pred[0] if isinstance(y_pred, tuple) else y_pred
    with torch.no_grad():
        kept = torch.where(y_true == net.criterion_.ignore_index, 0, y_true)
        own = cross_entropy(log_probabilities(raw), kept)
    return own * label_weights(net.criterion_, y_true).to(own)


def row_mass(criterion: Any, y_true: Tensor, weights: Tensor | None = None) -> Tensor:
    """What a mean of row losses is divided by, row by row: weights times label weights."""
    mass = label_weights(criterion, y_true)
    return mass if weights is None else weights * mass.to(weights.device)


def label_weights(criterion: Any, y_true: Tensor) -> Tensor | None:
    """What torch divides a mean by, row by row: class weights, and 0 for ignored labels."""
    if not isinstance(criterion, (nn.CrossEntropyLoss, nn.NLLLoss)):
        return torch.ones(len(y_true))
    kept = y_true != criterion.ignore_index
    if criterion.weight is None:
        return kept.float()
    weight = criterion.weight.cpu()
    return weight[torch.where(kept, y_true, 0).cpu()] * kept.cpu()


@contextmanager
def per_row(criterion: Any) -> Iterator[None]:
    """Switch a criterion to ``reduction="none"`` for a while.

    Raises
    ------
    ValueError
        If it has no reduction to switch: a mean cannot be weighted row by row; or if there
        is none.
    """
    own = getattr(criterion, "reduction", None)
    if criterion is None:
        raise ValueError(
            "The loss of every row is needed (for sample_weight, group constraints or "
            "diagnostics), and the net has no criterion any more, as trim_for_prediction() "
            "takes it. Give the net as it was before."
        )
    if own not in ("mean", "sum", "none"):
        raise ValueError(
            "The loss of every row is needed (for sample_weight, group constraints or "
            "diagnostics), but the "
            f"criterion {type(criterion).__name__} has no `reduction` to set to 'none'. "
            "Use a torch criterion, or give yours that attribute."
        )
    place = vars(criterion) if "reduction" in vars(criterion) else None
    _set_reduction(criterion, place, "none")
    try:
        yield
    finally:
        _set_reduction(criterion, place, own)


def _set_reduction(criterion: Any, place: Any, value: str) -> None:
    """Set it where it lies: a module's own way to set attributes takes longer than a loss."""
    if place is None:
        criterion.reduction = value
    else:
        place["reduction"] = value
