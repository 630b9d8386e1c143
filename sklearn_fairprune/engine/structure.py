"""Which units of a network go together: the channels that its layers share.

A unit is a neuron of a linear layer or a channel of a convolution, with all that would go
with it: its rows of the weights that make it, its columns of the weights that read it, its
numbers of a batch norm, and the units that are added to it.
"""

import copy
import inspect
import operator
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, fx, nn

from .._compat.torch import without_compilation
from ..functional.params import Features
from ..functional.units import UnitGroup
from .attention_heads import SlimAttention
from .channel_flow import ChannelFlow
from .channel_operations import TRAITS, is_plain
from .channel_values import Use
from .randomness import seeded

MOST_CONDITIONS = 200  # on sizes, in one run of a network


class Space(NamedTuple):
    """Channels that the same layers make and read.

    Attributes
    ----------
    n_units : int
        How many.
    rows : dict of str to torch.LongTensor
        By the name of every layer that makes them: the number of the unit of each of its
        rows, -1 for those of other spaces. Several rows may belong to one unit.
    columns : dict of str to torch.LongTensor
        By the name of every layer that reads them: the same of its columns; after a flatten,
        a channel has a block of them.
    through : dict of str to torch.LongTensor
        By the name of every layer that treats each channel by itself (batch norm, depthwise
        convolution, PReLU).
    reason : str
        Why they have to stay; "" if they can go.
    sets : torch.LongTensor of shape (n_units,)
        Number of each unit in the whole structure.
    """

    n_units: int
    rows: dict[str, Tensor]
    columns: dict[str, Tensor]
    through: dict[str, Tensor]
    reason: str
    sets: Tensor

    @property
    def frozen(self) -> bool:
        """Whether they have to stay."""
        return self.reason != ""


class Structure:
    """The channels of a network, found by tracing it with ``torch.fx``.

    The network is traced in evaluation mode, on a private copy, and run once. Channels are
    followed through elementwise operations, sums, concatenations, flattening, pooling, batch
    norm with running statistics, depthwise convolutions, and the feed-forward part of
    transformer layers. All else (layer norm, attention, recurrent layers, grouped and
    transposed convolutions, layers that are called twice or share weights, weights made of
    other parameters, sizes written down in the network's code) freezes the channels it meets:
    they cannot be removed. So do the inputs and outputs of the network.

    Parameters
    ----------
    net : skorch.NeuralNet or torch.nn.Module
        Left as it is.
    sample : torch.Tensor or dict of them
        One or two rows as the network reads them; a dict is given by keywords.

    Attributes
    ----------
    reason : str
        Why the network cannot be traced; "" if it can.
    spaces : list of Space
        All channels that a layer makes; empty if the network cannot be traced.
    uses : dict of str to Use
        The layers that are understood, by their names.
    sets : torch.LongTensor
        For every channel of `uses` the number of its set: what can only go together.
    frozen : dict of int to str
        Sets that have to stay, and why.
    graph : torch.fx.Graph
        What the network does; empty if it cannot be traced.

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_fairprune.engine.structure import Structure
    >>> net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Flatten(), nn.Linear(16, 2))
    >>> hidden, output = Structure(net, torch.zeros(2, 1, 4, 4)).spaces
    >>> hidden.columns["2"]
    tensor([0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3])
    >>> output.reason
    'an output'
    """

    def __init__(self, net: NeuralNet | nn.Module, sample: Features) -> None:
        self.reason = ""
        self.spaces: list[Space] = []
        self.uses: dict[str, Use] = {}
        self.sets = torch.zeros(0, dtype=torch.long)
        self.frozen: dict[int, str] = {}
        self.graph = fx.Graph()
        try:
            flow = _followed(net, sample)
        except Exception as error:  # whatever the module of a user may raise
            told = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")
            self.reason = f"The network cannot be traced: {told}."
            return
        self.uses, self.graph = flow.uses, flow.graph
        self.sets, self.frozen = flow.channels.sets()
        self.spaces = list(_spaces(self.uses, self.sets, self.frozen))

    def units(self) -> list[UnitGroup]:
        """Group the units that can be removed.

        Returns
        -------
        groups : list of UnitGroup
        """
        return [self._group(space) for space in self.spaces if not space.frozen]

    def _group(self, space: Space) -> UnitGroup:
        owners: dict[str, tuple[Tensor | None, Tensor | None]] = {}
        for name, use in self.uses.items():
            rows = space.rows.get(name, space.through.get(name))
            columns = space.columns.get(name)
            if rows is not None or columns is not None:
                owners[f"{name}.weight"] = (rows, columns)
            if rows is not None:
                owners[f"{name}.bias"] = (rows, None)
            for part in ("weight", "bias"):
                if getattr(use.layer, part, None) is None:
                    owners.pop(f"{name}.{part}", None)
        return UnitGroup(space.n_units, owners)


def _spaces(uses: dict[str, Use], sets: Tensor, frozen: dict[int, str]) -> Any:
    """Put together the sets that are in the same places of the same layers."""
    places: dict[tuple[str, str], Tensor] = {}
    for name, use in uses.items():
        places[("through" if use.columns is None else "rows"), name] = use.rows
        if use.columns is not None:
            places["columns", name] = use.columns
    keys: dict[int, list[tuple[str, str]]] = {}
    alone = sets.clone()
    stay = torch.isin(sets, torch.tensor(list(frozen), dtype=torch.long))
    alone[stay] = torch.arange(len(sets))[stay]  # channels that stay are told one by one
    for key, channels in places.items():
        for unit in torch.unique(alone[channels]).tolist():
            keys.setdefault(unit, []).append(key)
    groups: dict[Any, list[int]] = {}
    for unit, found in keys.items():
        if any(kind == "rows" for kind, _ in found):
            reason = frozen.get(int(sets[unit]), "")
            groups.setdefault((tuple(found), reason), []).append(unit)
    for (found, reason), units in groups.items():
        number = torch.full((len(sets),), -1, dtype=torch.long)
        number[torch.tensor(units)] = torch.arange(len(units))
        parts: dict[str, dict[str, Tensor]] = {"rows": {}, "columns": {}, "through": {}}
        for kind, name in found:
            parts[kind][name] = number[alone[places[kind, name]]]
        yield Space(len(units), **parts, reason=reason, sets=sets[torch.tensor(units)])


def _followed(net: NeuralNet | nn.Module, sample: Features) -> ChannelFlow:
    """Trace a copy of a network and run it once."""
    module = net if isinstance(net, nn.Module) else net.module_
    module = without_compilation(copy.deepcopy(module)).cpu().eval()
    inputs = {k: v.clone() for k, v in sample.items()} if isinstance(sample, dict) else sample
    with torch.no_grad(), seeded(0):
        tracer = EvaluationTracer(module, inputs)
        graph = tracer.traced()
        flow = ChannelFlow(module, graph)
        flow.run(*tracer.values(graph), enable_io_processing=False)
    return flow


class EvaluationTracer(fx.Tracer):
    """Traces a network for inputs of one kind; conditions on sizes are decided.

    Parameters
    ----------
    module : torch.nn.Module
        On the CPU, in evaluation mode.
    sample : torch.Tensor or dict of them
        What it reads.
    """

    def __init__(self, module: nn.Module, sample: Features) -> None:
        super().__init__()
        self.module = module
        self._decided: list[bool] = []
        self._asked = 0
        parameters = inspect.signature(module.forward).parameters
        given = sample if isinstance(sample, dict) else {next(iter(parameters)): sample}
        self.inputs = {name: value.detach().cpu().clone() for name, value in given.items()}
        self.defaults = {
            name: parameter.default
            for name, parameter in parameters.items()
            if name not in given and parameter.default is not inspect.Parameter.empty
        }
        lacking = [name for name in given if name not in parameters]
        if lacking:
            raise TypeError(f"forward has no parameters called {lacking}")

    def traced(self) -> fx.Graph:
        """Trace; what the sample has not keeps its default.

        Returns
        -------
        graph : torch.fx.Graph
        """
        if self.is_leaf_module(self.module, ""):
            raise TypeError("it is a single layer of torch")
        while True:
            self._asked = 0
            try:
                return self.trace(self.module, concrete_args=self.defaults or None)
            except _Undecided as condition:
                self._decided.append(self._decide(condition.args[0]))
            if len(self._decided) > MOST_CONDITIONS:
                raise RecursionError("its code asks for sizes without end")

    def values(self, graph: fx.Graph) -> list[Any]:
        """Inputs of the network, in the order of a graph.

        Parameters
        ----------
        graph : torch.fx.Graph
            Of the network.

        Returns
        -------
        values : list
        """
        nodes = [node for node in graph.nodes if node.op == "placeholder"]
        empty: dict[str, Any] = {"*": (), "**": {}}
        return [
            self.inputs[node.target]
            if node.target in self.inputs
            else empty.get(node.target[: node.target.count("*")], (*node.args, None)[0])
            for node in nodes
        ]

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        """Whether a module is one layer: those of torch, and those made of them."""
        own = is_plain(m) or isinstance(m, SlimAttention)
        return own or super().is_leaf_module(m, module_qualified_name)

    def to_bool(self, obj: fx.Proxy) -> bool:
        """Decide a condition on sizes; those on numbers of a tensor are refused."""
        if not _on_sizes(obj.node):
            return super().to_bool(obj)
        self._asked += 1
        if self._asked > len(self._decided):
            raise _Undecided(obj.node)
        return self._decided[self._asked - 1]

    def _decide(self, condition: fx.Node) -> bool:
        """Run what is traced so far, which cannot be done while it is traced."""
        graph = fx.Graph()
        copied: dict[fx.Node, fx.Node] = {}
        for node in self.graph.nodes:
            copied[node] = graph.node_copy(node, lambda n: copied[n])
        graph.output(copied[condition])
        run = fx.Interpreter(self.module, graph=graph).run
        return bool(run(*self.values(graph), enable_io_processing=False))


class _Undecided(Exception):
    """A condition on sizes that was not met before."""


def _on_sizes(node: Any) -> bool:
    """Whether a value of a graph comes of sizes and kinds of tensors alone."""
    told = {"size", "dim", "shape", "ndim", "numel", *TRAITS}
    if node.op == "call_method":
        return node.target in told
    if node.op != "call_function":
        return False
    if node.target is getattr:
        return node.args[1] in told
    safe = getattr(operator, getattr(node.target, "__name__", ""), None) is node.target
    return safe and all(_on_sizes(n) for n in node.all_input_nodes)
