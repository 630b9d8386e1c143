"""A pruned network made smaller: removed units are gone, and sparse layers are stored so."""

from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.skorch import evaluation_mode, optimizer_names
from .._compat.torch import without_compilation
from .attention_heads import SlimAttention
from .batches import Rows
from .compaction import compact
from .liveness import layers_of, sample_of
from .networks import copy_net, raw_outputs
from .sparse_forms import Measured, close, sparse_form
from .sparse_layers import SparseLinear


class Smaller(NamedTuple):
    """What became of a pruned network.

    Attributes
    ----------
    net : skorch.NeuralNet
        For predictions only; the same net if nothing could be removed.
    record : dict
        ``layers`` (one dict for each), ``network`` (whole, as measured), ``parameters`` and
        ``bytes`` before and after, ``threads`` of the measurement and ``notes``.
    """

    net: NeuralNet
    record: dict[str, Any]


def stored(module: nn.Module) -> list[Tensor]:
    """Parameters of a network, and the numbers that sparse layers have in their place.

    Parameters
    ----------
    module : torch.nn.Module
        The network.

    Returns
    -------
    numbers : list of torch.Tensor
        A shared one once.
    """
    sparse = [part for part in module.modules() if isinstance(part, SparseLinear)]
    return [*module.parameters(), *(t for part in sparse for t in (part.values, part.bias))]


def shrink_net(
    net: NeuralNet, rows: Rows, *, sparse: str | bool = "auto", budget: float = 1.0
) -> Smaller:
    """Remove units that do nothing, then store linear layers by what is left of them.

    The outputs for the rows are compared after each of the two steps, and a step that changes
    them by more than rounding is taken back.

    Parameters
    ----------
    net : skorch.NeuralNet
        Removed weights are 0; left as it is.
    rows : Rows
        Which the net reads.
    sparse : {"auto", True, False}, default="auto"
        "auto" measures which layers are faster in sparse form; True takes it wherever there
        are enough zeros; False nowhere.
    budget : float, default=1.0
        Seconds of the measurement of one layer, about.

    Returns
    -------
    smaller : Smaller
    """
    twin, outputs = copy_net(net), raw_outputs(net, rows)
    masked = without_compilation(twin.module_)
    _put(twin, masked)
    evaluation_mode(twin)
    sample = sample_of(twin, rows)
    compacted = compact(masked, sample)
    notes, table = list(compacted.notes), []
    if compacted.changed and not _same(twin, compacted.module, rows, outputs):
        notes.append("Units were not removed: the outputs without them differed.")
    compact_module = twin.module_
    if sparse is not False and _elsewhere(compact_module):
        notes.append("The network is not on the CPU, where the sparse form is: it is dense.")
    elif sparse is not False:
        form = sparse_form(compact_module, sample, measured=sparse == "auto", budget=budget)
        table = form.table
        if any(row.chosen for row in table) and not _same(twin, form.module, rows, outputs):
            notes.append("No layer is sparse: the outputs with sparse layers differed.")
            table = [row._replace(chosen=False, reason="other outputs") for row in table]
    unchanged = twin.module_ is masked
    if unchanged:
        notes.append("Nothing was removed and no layer is sparse: the network is as it was.")
    for name in optimizer_names(twin):  # of parameters that are not there any more
        setattr(twin, f"{name}_", None)
    sizes = {"before": net.module_, "after": twin.module_}
    record = {
        "layers": _layers(masked, twin.module_, table),
        "network": next((_told(row) for row in table if not row.layer), {}),
        "parameters": {k: sum(t.numel() for t in stored(m)) for k, m in sizes.items()},
        "bytes": {k: sum(t.nbytes for t in _tensors(m)) for k, m in sizes.items()},
        "threads": torch.get_num_threads(),
        "notes": notes,
    }
    return Smaller(net if unchanged else twin, record)


def _put(net: NeuralNet, module: nn.Module) -> None:
    """Give a net another module; as its parameter too, where that was the module itself."""
    if net.module is net.module_:
        net.module = module
    net.module_ = module


def _same(net: NeuralNet, module: nn.Module, rows: Rows, outputs: Tensor) -> bool:
    """Put a module into a net; the former one again if it gives other outputs."""
    former = net.module_
    dtype = next(t.dtype for t in _tensors(former) if t.is_floating_point())
    _put(net, module)
    try:
        if close(raw_outputs(net, rows).to(dtype), outputs.to(dtype)):
            return True
    except Exception:  # whatever the module of a user may raise
        pass
    _put(net, former)
    return False


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def _elsewhere(module: nn.Module) -> bool:
    return any(tensor.device.type != "cpu" for tensor in _tensors(module))


def _layers(
    before: nn.Module, after: nn.Module, table: list[Measured]
) -> list[dict[str, Any]]:
    """What became of each layer, one row for each."""
    left, measured = dict(after.named_modules()), {row.layer: row for row in table}
    found = []
    for weight, layer in layers_of(before).items():
        name = weight.rpartition(".")[0]
        units, own = _units(layer), left.get(name)
        row = measured.get(name)
        found.append(
            {
                "layer": weight,
                "units": units,
                "removed": units - _units(own),
                "form": "sparse" if isinstance(own, SparseLinear) else "dense",
            }
            | ({} if row is None else _told(row))
        )
    for name, layer in before.named_modules():
        if isinstance(layer, nn.MultiheadAttention):
            heads, own = layer.num_heads, left.get(name)
            gone = heads - len(own.heads) if isinstance(own, SlimAttention) else 0
            weight = "in_proj_weight" if layer.in_proj_weight is not None else "q_proj_weight"
            told = {"layer": f"{name}.{weight}", "units": heads, "removed": gone}
            found.append(told | {"form": "dense"})
    return found


def _told(row: Measured) -> dict[str, Any]:
    return {"zeros": row.zeros, "speedup": row.ratios, "reason": row.reason}


def _units(layer: Any) -> int:
    """Outputs or channels of a layer; 0 of one that is not there any more."""
    return getattr(layer, "out_features", getattr(layer, "out_channels", 0))
