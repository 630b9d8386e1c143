"""The last linear layer of a trained network: where it is, what it reads, what it makes."""

import copy
import functools
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.skorch import evaluation_mode
from .._compat.torch import plain_name, without_compilation
from .batches import Batch, BatchIterator, Rows
from .group_statistics import RowValues
from .losses import measured_losses, row_losses, row_mass, shaped_like
from .networks import adapt, copy_net, predicted_codes
from .randomness import seeded

# What may come behind the layer: outputs in, raw outputs of the network out.
TAILS: dict[str, Callable[[Tensor], Tensor]] = {
    "nothing": nn.Identity(),
    "softmax": functools.partial(torch.softmax, dim=1),
    "log-softmax": functools.partial(torch.log_softmax, dim=1),
    "sigmoid": torch.sigmoid,
}


@dataclass
class LayerRows:
    """Rows as the last layer sees them.

    Parameters
    ----------
    net : skorch.NeuralNet
        Whose criterion and predictions count, in float64 on the CPU.
    inputs : torch.Tensor of shape (n, p + 1)
        Of the layer, with a 1 for the bias behind, in float64.
    outputs : torch.Tensor of shape (n, q)
        Of the layer as it is, in float64.
    tail : callable
        From outputs of the layer to raw outputs of the network.
    beside : tuple of (torch.Tensor or None)
        Other outputs of a network that gives several; None for those that are not of rows.
    batch : Batch
        Targets, groups and weights; in the place of X there is nothing.
    """

    net: NeuralNet
    inputs: Tensor
    outputs: Tensor
    tail: Callable[[Tensor], Tensor]
    beside: tuple[Tensor | None, ...]
    batch: Batch

    @property
    def groups(self) -> Tensor:
        """Group codes."""
        assert self.batch.groups is not None
        return self.batch.groups

    @property
    def weights(self) -> Tensor:
        """Weights of the rows, ones if they have none."""
        own = self.batch.weights
        return torch.ones_like(self.outputs[:, 0]) if own is None else own.double()

    @property
    def mass(self) -> Tensor:
        """What a mean of row losses is divided by, row by row."""
        return row_mass(self.net.criterion_, self.batch[1], self.batch.weights).double()

    @property
    def scores_classes(self) -> bool:
        """Whether the targets are classes."""
        binary = isinstance(self.net.criterion_, (nn.BCELoss, nn.BCEWithLogitsLoss))
        return binary or not self.batch[1].is_floating_point()

    def raw(self, outputs: Tensor) -> Any:
        """Raw outputs of the network, by those of the layer."""
        first = self.tail(outputs)
        return (first, *self.beside) if self.beside else first

    def losses(self, outputs: Tensor, measured: bool = False) -> Tensor:
        """Losses of the rows by the net's own criterion, or as they are reported."""
        y_pred = self.raw(outputs)
        y = shaped_like(y_pred, self.batch[1])
        losses = row_losses(self.net, y_pred, y, X=None, training=False)
        return measured_losses(self.net, y_pred, y, losses) if measured else losses

    def means(self, outputs: Tensor) -> Tensor:
        """Losses of the rows as reported, each by its mass."""
        sums, mass = self.losses(outputs, measured=True) * self.weights, self.mass
        return torch.where(mass > 0, sums / mass.clamp(min=1e-300), 0.0)

    def sums(self, outputs: Tensor, n_groups: int) -> Tensor:
        """Group sums, as from `group_statistics.evaluate`."""
        seen = RowValues(self.net, n_groups, self.scores_classes)
        seen.add(seen.of(self.batch, self.raw(outputs), self.losses(outputs, measured=True)))
        return seen.sums()

    def wrong(self, outputs: Tensor) -> Tensor:
        """Whether the predicted class of each row is another, as 0 or 1."""
        y = self.batch[1].reshape(len(outputs), -1)[:, 0]
        return (predicted_codes(self.net, self.raw(outputs)) != y).double()

    def score(self, outputs: Tensor) -> float:
        """Accuracy, or the mean R^2 of the targets, of rows with their weights."""
        shares = self.weights / self.weights.sum()
        if self.scores_classes:
            return 1 - float(shares @ self.wrong(outputs))
        y = self.batch[1].reshape(len(outputs), -1)
        misses = self.tail(outputs).reshape(y.shape) - y
        total = shares @ (y - shares @ y).square()
        tiny = torch.finfo(total.dtype).tiny
        return float((1 - shares @ misses.square() / total.clamp(min=tiny)).mean())


class LastLayer:
    """The last linear layer that the forward pass of a network calls.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted; a copy is read, it stays as it is.
    stage : str
        That asks, for its errors.

    Attributes
    ----------
    name : str
        Of the layer, "" if it is the module itself. Known once rows were read.
    """

    name: str

    def __init__(self, net: NeuralNet, stage: str) -> None:
        self._net, self._stage = copy_net(net), stage
        self._net.module_ = without_compilation(self._net.module_)
        evaluation_mode(self._net)
        layers = self._net.module_.named_modules()
        self._names: dict[nn.Module, str] = {
            layer: name for name, layer in layers if isinstance(layer, nn.Linear)
        }

    @property
    def module(self) -> nn.Linear:
        """The layer, of the copy."""
        layer = self._net.module_.get_submodule(self.name)
        assert isinstance(layer, nn.Linear)
        return layer

    def read(self, rows: Rows) -> LayerRows:
        """Read rows in evaluation mode: one forward pass.

        Parameters
        ----------
        rows : Rows
            With targets.

        Returns
        -------
        seen : LayerRows

        Raises
        ------
        ValueError
            If the network's outputs are not those of its last linear layer, or not finite.
        """
        rows = adapt(rows.of_dtype(rows.dtype), self._net)
        options = {} if rows.sliceable else self._net.get_params_for("iterator_valid")
        for name in ("batch_size", "shuffle", "drop_last", "sampler", "batch_sampler"):
            options.pop(name, None)
        inputs, raws, columns = [], [], []
        with torch.no_grad(), nullcontext() if rows.sliceable else seeded(0):
            for batch in BatchIterator(rows, 1024, **options):
                read, raw = self._forward(batch)
                inputs.append(read.cpu())
                raws.append([_of_rows(part, len(read)) for part in raw])
                columns.append((batch[1], batch.groups, batch.weights))
        raw, *others = (_joined(part) for part in zip(*raws, strict=True))
        with_ones = F.pad(torch.cat(inputs).double(), (0, 1), value=1.0)
        outputs = with_ones @ self.entries().T
        size = float((with_ones.abs() @ self.entries().abs().T).max())
        tail = self._tail(outputs, raw.double(), size)
        y, *beside = (_joined(column) for column in zip(*columns, strict=True))
        batch = Batch(None, y.double() if y.is_floating_point() else y, *beside)
        net = _doubled(self._net)
        return LayerRows(net, with_ones, outputs, tail, tuple(others), batch)

    def _forward(self, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Inputs of the last layer and raw outputs of the network for one batch."""
        calls: list[tuple[nn.Module, Tensor]] = []

        def note(layer: nn.Module, args: Any, kwargs: Any, output: Tensor) -> None:
            calls.append((layer, args[0] if args else kwargs["input"]))

        hooks = [
            layer.register_forward_hook(note, prepend=True, with_kwargs=True)
            for layer in self._names
        ]
        try:
            raw = self._net.infer(batch[0])
        finally:
            for handle in hooks:
                handle.remove()
        if not calls:
            raise self._error("the forward pass calls no Linear layer")
        layer, read = calls[-1]
        self.name = self._names[layer]
        n_calls = sum(called is layer for called, _ in calls)
        if n_calls > 1:
            raise self._error(f"{self.title} is called {n_calls} times in a forward pass")
        if read.dim() != 2 or len(read) != len(batch[1]):
            shape = tuple(read.shape)
            raise self._error(
                f"{self.title} reads a tensor of shape {shape}, not one row each"
            )
        return read, raw if isinstance(raw, tuple) else (raw,)

    @property
    def title(self) -> str:
        """What errors call it."""
        return f"the Linear layer {self.name!r}" if self.name else "the Linear layer"

    def entries(self) -> Tensor:
        """Weights of the layer with the bias behind, in float64; without one 0."""
        layer = self.module
        bias = layer.weight.new_zeros(len(layer.weight)) if layer.bias is None else layer.bias
        return torch.cat([layer.weight, bias[:, None]], dim=1).detach().cpu().double()

    def free(self, masks: Mapping[str, Tensor], weights: bool) -> Tensor:
        """Which entries may change: of bias, and of kept weights if these may.

        Parameters
        ----------
        masks : dict of str to bool torch.Tensor
            By the name of the weight; True where kept.
        weights : bool
            Whether more than the bias may.

        Returns
        -------
        free : bool torch.Tensor of shape (q, p + 1)

        Raises
        ------
        ValueError
            If nothing may.
        """
        layer = self.module
        kept = masks.get(f"{self.name}.weight".lstrip("."))
        kept = torch.ones_like(layer.weight).bool() if kept is None else kept
        may = weights and self._may_change(layer.weight)
        bias = layer.bias is not None and self._may_change(layer.bias)
        free = F.pad(kept.cpu() & may, (0, 1), value=bias)
        if not free.any():
            what = "weight or bias" if weights else "bias"
            raise self._error(f"{self.title} has no {what} that may be trained")
        return free

    def _may_change(self, parameter: Tensor) -> bool:
        """Whether a parameter is trained; an error if it is not the layer's alone."""
        module = self._net.module_
        users = [
            part
            for part in module.modules()
            if any(p is parameter for p in part.parameters(recurse=False))
        ]
        if users != [self.module]:
            made = "made of other parameters" if not users else "shared with another layer"
            raise self._error(f"{self.title} has entries {made}")
        return parameter.requires_grad

    def _tail(self, outputs: Tensor, raw: Tensor, size: float) -> Callable[[Tensor], Tensor]:
        """Find what comes behind the layer, by what the network makes of these rows."""
        if not torch.isfinite(raw).all():
            raise ValueError(
                f"stage={self._stage!r} cannot fit outputs that are NaN or infinite, and some "
                "of the network are: X must be finite, and so must its weights."
            )
        precision = torch.finfo(next(iter(self._net.module_.parameters())).dtype).eps ** 0.5
        if raw.numel() == outputs.numel():
            for tail in TAILS.values():
                made = functools.partial(_shaped, tail, raw.shape[1:])
                if (made(outputs) - raw).abs().max() <= precision * size:
                    return made
        raise self._error(
            f"{self.title} gives outputs of shape {tuple(outputs.shape[1:])} a row, and those "
            f"of the network, of shape {tuple(raw.shape[1:])}, are something else"
        )

    def _error(self, found: str) -> ValueError:
        return ValueError(
            f"stage={self._stage!r} changes the last Linear layer, whose outputs must be the "
            "network's (or the logits of its probabilities), by weights and bias of its "
            f"own: {found}. Use stage='after', which trains all layers."
        )

    def written(self, net: NeuralNet, entries: Tensor) -> NeuralNet:
        """Copy of a net with other entries in this layer.

        Parameters
        ----------
        net : skorch.NeuralNet
            That of this layer.
        entries : torch.Tensor of shape (q, p + 1)
            As from `entries`.

        Returns
        -------
        net : skorch.NeuralNet
        """
        twin = copy_net(net)
        found = {plain_name(name): p for name, p in twin.module_.named_parameters()}
        values = {"weight": entries[:, :-1], "bias": entries[:, -1]}
        with torch.no_grad():
            for part, value in values.items():
                if (own := f"{self.name}.{part}".lstrip(".")) in found:
                    found[own].copy_(value)
        return twin


def _shaped(tail: Callable[[Tensor], Tensor], shape: torch.Size, outputs: Tensor) -> Tensor:
    """Raw outputs in the shape that the network gives them."""
    return tail(outputs).reshape(len(outputs), *shape)


def _of_rows(part: Any, n_rows: int) -> Tensor | None:
    """Take one of several outputs to the CPU, if it has an entry for each row."""
    of_rows = isinstance(part, torch.Tensor) and part.dim() > 0 and len(part) == n_rows
    return part.cpu() if of_rows else None


def _joined(column: tuple[Any, ...]) -> Any:
    return None if column[0] is None else torch.cat(column)


def _doubled(net: NeuralNet) -> NeuralNet:
    """Net whose criterion computes in float64 on the CPU; the module is the same."""
    twin = object.__new__(type(net))
    twin.__dict__.update(net.__dict__)
    criterion = copy.deepcopy(net.criterion_)
    if isinstance(criterion, nn.Module):
        criterion = criterion.to("cpu", torch.float64)
    twin.__dict__.update(criterion_=criterion, device="cpu")
    return twin
