"""Which attention layers of a network can lose their dead heads."""

import operator
from collections import Counter
from typing import Any, NamedTuple

from torch import fx, nn

from .._compat.torch import forward_hooks
from .attention_heads import APART, PACKED, SlimAttention, adds_keys, dead_heads
from .channel_operations import TRANSFORMERS


class SlimHeads(NamedTuple):
    """Attention layers of a network without their dead heads.

    Attributes
    ----------
    layers : dict of str to SlimAttention
        By the names of the layers that they take the place of.
    notes : list of str
        Which layers keep dead heads, and why.
    """

    layers: dict[str, SlimAttention]
    notes: list[str]


def slim_heads(module: nn.Module, graph: fx.Graph) -> SlimHeads:
    """Make attention layers without the dead heads of a network.

    Left alone are layers that are shared or called more than once, whose parameters are read
    by other code, which have hooks or add keys of their own, or whose weights of attention
    are read.

    Parameters
    ----------
    module : torch.nn.Module
        Left as it is.
    graph : torch.fx.Graph
        What it does, from `EvaluationTracer`.

    Returns
    -------
    found : SlimHeads
    """
    found = SlimHeads({}, [])
    for name, layer in module.named_modules():
        if not isinstance(layer, nn.MultiheadAttention):
            continue
        reason = _reason(module, graph, name, layer)
        if type(layer) is nn.MultiheadAttention and not dead_heads(layer).any():
            continue
        if reason:
            found.notes.append(f"Heads stay in {name}: {reason}.")
            continue
        slim = SlimAttention(layer, reads_weights=False)
        if len(slim.heads) < layer.num_heads:
            found.layers[name] = slim
    return found


def _reason(module: nn.Module, graph: fx.Graph, name: str, layer: Any) -> str:
    """Why a layer has to stay as it is; "" if it has not."""
    if type(layer) is not nn.MultiheadAttention or "forward" in vars(layer):
        return f"{type(layer).__name__} is a layer of its own kind"
    if adds_keys(layer):
        return "it adds keys of its own"
    if any(any(map(bool, forward_hooks(part))) for part in layer.modules()):
        return "it has hooks"
    own = {name for name, _ in layer.named_parameters()}
    if not own <= {*PACKED, *APART, "out_proj.weight", "out_proj.bias"}:
        return "its weights are made of other parameters"
    places = [m for _, m in module.named_modules(remove_duplicate=False)]
    owners = Counter(id(p) for m in places for p in m.parameters(recurse=False))
    if any(owners[id(p)] > 1 for p in layer.parameters()):
        return "it is shared, or its weights are"
    inside = f"{name}."
    for node in graph.nodes:
        if node.op in ("call_module", "get_attr") and str(node.target).startswith(inside):
            return "other code reads its weights"
    calls = [
        node
        for node in graph.nodes
        if node.op == "call_module" and f"{inside}".startswith(f"{node.target}.")
    ]
    if len(calls) != 1:
        return f"it is called {len(calls)} times" if calls else "it is not called"
    (call,) = calls
    if call.target != name:  # by a layer of torch, which asks for no weights
        known = type(module.get_submodule(name.rpartition(".")[0])) in TRANSFORMERS
        return "" if known else "it is called by code that is not known"
    asked = call.kwargs.get("need_weights", call.args[4] if len(call.args) > 4 else True)
    if asked is False or all(_takes_outputs(user) for user in call.users):
        return ""
    return "its weights of attention are read"


def _takes_outputs(user: fx.Node) -> bool:
    """Whether a node takes the outputs of an attention layer alone, or nothing."""
    taken = user.target is operator.getitem
    return taken and (not user.users or bool(user.args[1] == 0))
