"""Tensors of a run with their channels, and the layers that it meets."""

import operator
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from .channel_operations import is_plain

_mapped: Callable[[Any, Callable[[Any], Any]], Any] = map_aggregate


class Flow:
    """A tensor of a run, with its channels and whether it depends on the input.

    Parameters
    ----------
    value : torch.Tensor
        The numbers.
    labels : torch.LongTensor
        Channel at each place, of the shape of `value`.
    known : torch.BoolTensor
        Whether the number is the same for all inputs, of the shape of `value`.
    """

    def __init__(self, value: Tensor, labels: Tensor, known: Tensor) -> None:
        self.value, self.labels, self.known = value, labels, known


class Extent(int):
    """A size that the network reads from a tensor, with the channels that make it up."""

    labels: Tensor

    @classmethod
    def of(cls, size: int, labels: Tensor) -> "Extent":
        """Make an extent.

        Parameters
        ----------
        size : int
            The size.
        labels : torch.LongTensor
            Channels whose removal changes it.

        Returns
        -------
        extent : Extent
        """
        self = cls(size)
        self.labels = labels
        return self


class Use(NamedTuple):
    """A layer of the run.

    Attributes
    ----------
    layer : torch.nn.Module
        The layer.
    rows : torch.LongTensor
        Channel of every unit: of the rows of the weight, or of the entries of a vector.
    columns : torch.LongTensor or None
        Channel of every column of the weight; None for layers that treat every channel by
        itself (batch norm, depthwise convolutions), of which `rows` holds the channels.
    constants : torch.Tensor
        What every column is multiplied with, where `foldable`.
    foldable : torch.BoolTensor
        Columns that get one number whatever the input is, so that the bias can hold what
        they bring.
    """

    layer: Any
    rows: Tensor
    columns: Tensor | None
    constants: Tensor
    foldable: Tensor


def plain_layers(module: nn.Module, graph: fx.Graph) -> set[str]:
    """Names of layers whose parameters are their own, and that are called at most once.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    graph : torch.fx.Graph
        What it does.

    Returns
    -------
    names : set of str
    """
    layers = dict(module.named_modules(remove_duplicate=False))
    used = [id(p) for layer in module.modules() for p in layer.parameters(recurse=False)]
    called = []
    for node in graph.nodes:
        if node.op == "get_attr":
            used.append(id(operator.attrgetter(node.target)(module)))
        if node.op == "call_module":
            called.append(id(layers[node.target]))
    owners, calls = Counter(used), Counter(called)
    return {
        name
        for name, layer in layers.items()
        if calls[id(layer)] <= 1
        and all(owners[id(p)] == 1 for p in layer.parameters(recurse=False))
        and is_plain(layer)
    }


def parts(structure: Any, kind: type) -> list:
    """All objects of a kind in nested tuples, lists and dicts.

    Parameters
    ----------
    structure : object
        Where to look.
    kind : type
        Of what is looked for.

    Returns
    -------
    parts : list
    """
    found: list = []

    def note(part: Any) -> Any:
        if isinstance(part, kind):
            found.append(part)
        return part

    _mapped(structure, note)
    return found


def exchanged(structure: Any, kind: type, make: Callable[[Any], Any]) -> Any:
    """Put other objects in the places of those of a kind, in nested tuples, lists and dicts.

    Parameters
    ----------
    structure : object
        Left as it is.
    kind : type
        Of what is exchanged.
    make : callable
        Gives for an object the one in its place.

    Returns
    -------
    structure : object
    """
    return _mapped(structure, lambda part: make(part) if isinstance(part, kind) else part)
