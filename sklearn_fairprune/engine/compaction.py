"""Removal of the units that masks have made useless: a smaller network, the same outputs."""

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, nn

from .._compat.torch import BatchNorm, without_compilation
from ..functional.params import KINDS, PRUNABLE_LAYERS, Features, prunable
from .attention_removal import slim_heads
from .channel_values import Use, parts
from .channels import OUTPUT
from .randomness import seeded
from .structure import Structure

# How far outputs may differ after a removal, relative to the largest of them.
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
N_DRAWN = 5  # rows of random numbers that outputs are compared on


class Compacted(NamedTuple):
    """A network without the units that can do nothing.

    Attributes
    ----------
    module : torch.nn.Module
        A copy, of the same classes (but for attention) and with the same names of parameters
        (a compiled network comes back uncompiled); biases are made where constants need them.
    removed : dict of str to (int, int)
        Units (of convolutions: channels, of attention: heads) that are gone, and all units
        that there were, of every layer that lost some.
    notes : list of str
        What was not done, and why.
    changed : bool
        Whether any unit is gone.
    """

    module: nn.Module
    removed: dict[str, tuple[int, int]]
    notes: list[str]
    changed: bool


def compact(
    net: NeuralNet | nn.Module, sample: Features, masks: Mapping[str, Tensor] | None = None
) -> Compacted:
    r"""Remove every unit that no output needs, from a copy of a network.

    Weights that are exactly 0 are absent. A unit j with output :math:`a_j` is removed if each
    layer :math:`z = W a + b` that reads it does so with :math:`w_{ij} = 0` for all its units i
    that stay, or gets a number :math:`a_j = c_j` that is the same for all inputs; what it
    brings then goes into the bias,

    .. math:: b_i \leftarrow b_i + \sum_j w_{ij} c_j .

    A unit whose kept weights all come from such constants is a constant itself. Both rules
    are followed through the whole network, until nothing more can go. Units that are added to
    each other go together or not at all. Constants that a convolution reads beside a border
    of zeros stay, unless they are 0. A layer never loses its last unit: a useless one stays,
    with weights of 0.

    Attention loses its dead heads, see `SlimAttention`, which takes the place of the layer and
    is for inference only; a head that is left keeps all its dimensions.

    The outputs are the same in evaluation mode, up to rounding: batch norm counts with its
    running statistics, dropout does nothing. Training the network further is another thing,
    as constants in biases and in the statistics of batches behave differently. Units that
    are silent on all data there is, but not for all inputs, are not looked for. Both networks
    are run on the sample and on random numbers; if their outputs differ, the copy comes back
    as it was, with a note.

    Parameters
    ----------
    net : skorch.NeuralNet or torch.nn.Module
        Left as it is.
    sample : torch.Tensor or dict of them
        One or two rows as the network reads them, see `sample_of` of liveness.
    masks : dict of str to torch.BoolTensor, default=None
        True = kept, by the names of `prunable`: the other weights are taken for 0, and are 0
        in what comes back. None: the weights count as they are.

    Returns
    -------
    compacted : Compacted

    References
    ----------
    R. Denkin, I. Åkerholm, P. Singh, I.-M. Sintorn, "Squeeze-Release: iterative pruning with
    exact structural minimization", arXiv:2606.14346, 2026 (an exact rewrite of a masked
    network into a smaller one).

    Examples
    --------
    >>> import torch
    >>> from torch import nn
    >>> from sklearn_fairprune.engine.compaction import compact
    >>> net = nn.Sequential(nn.Linear(3, 4), nn.Sigmoid(), nn.Linear(4, 2))
    >>> masks = {"0.weight": torch.ones(4, 3).bool(), "2.weight": torch.ones(2, 4).bool()}
    >>> masks["0.weight"][0], masks["2.weight"][:, 1] = False, False
    >>> compacted = compact(net, torch.zeros(2, 3), masks)
    >>> compacted.removed, compacted.module[2]
    ({'0': (2, 4)}, Linear(in_features=2, out_features=2, bias=True))
    """
    module = net if isinstance(net, nn.Module) else net.module_
    try:
        old = without_compilation(copy.deepcopy(module))
        new = copy.deepcopy(old)
    except Exception as error:  # whatever the module of a user may raise
        return Compacted(module, {}, [f"The network cannot be copied: {_told(error)}."], False)
    for twin in (old, new):
        _mask(twin, masks)
    structure = Structure(new, sample)
    if structure.reason:
        return Compacted(old, {}, [structure.reason], False)
    gone = _useless(structure)
    left = _left(structure, gone)
    slim = slim_heads(new, structure.graph)
    notes = _left_alone(structure, new) + slim.notes
    removed = {
        name: (int((~left[use.rows]).sum()), len(use.rows))
        for name, use in structure.uses.items()
        if use.columns is not None or not isinstance(use.layer, BatchNorm | nn.PReLU)
        if not left[use.rows].all()
    } | {name: (s.num_heads - len(s.heads), s.num_heads) for name, s in slim.layers.items()}
    if not removed:
        return Compacted(old, {}, [*notes, "No unit can be removed."], False)
    try:
        for name, use in structure.uses.items():
            _cut(new.get_submodule(name), use, gone, left)
        for name, layer in slim.layers.items():
            place, _, own = name.rpartition(".")
            setattr(new.get_submodule(place), own, layer)
        fault = _difference(old, new, sample)
    except Exception as error:  # as above
        fault = f"the smaller network cannot be run: {_told(error)}"
    if fault:
        return Compacted(old, {}, [*notes, f"Nothing was removed: {fault}."], False)
    return Compacted(new, removed, notes, True)


def _told(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).rstrip(".")


def _mask(module: nn.Module, masks: Mapping[str, Tensor] | None) -> None:
    weights = prunable(module, tuple(KINDS))
    unknown = sorted({*(masks or {})} - {*weights})
    if unknown:
        raise ValueError(
            f"masks must have the names of weights that can be pruned; {unknown} are none. "
            f"The network has {list(weights)}."
        )
    with torch.no_grad():
        for name, mask in (masks or {}).items():
            weights[name].masked_fill_(~mask.to(weights[name].device), 0)


def _useless(structure: Structure) -> Tensor:
    """Mark the channels that can go: those whose sets nothing needs."""
    sets, uses = structure.sets, structure.uses
    stays = torch.isin(sets, torch.tensor(list(structure.frozen), dtype=torch.long))
    gone = torch.zeros_like(stays)
    while True:
        needed = stays.clone()
        for use in uses.values():
            if use.columns is not None:
                reads = (use.layer.weight.detach()[~gone[use.rows]] != 0).transpose(0, 1)
                needed[use.columns[reads.flatten(1).any(1) & ~use.foldable]] = True
        spared = _of_sets(needed, sets)
        if torch.equal(~spared, gone):
            break
        gone = ~spared
    return gone


def _left(structure: Structure, gone: Tensor) -> Tensor:
    """Mark the channels that are left in the network, one at least everywhere."""
    sets, left, emptied = structure.sets, ~gone, True
    while emptied:
        emptied = False
        for use in structure.uses.values():
            for channels in (use.rows, use.columns):
                if channels is not None and not left[channels].any():
                    left[sets == sets[channels[0]]] = True
                    emptied = True
    return left


def _of_sets(marked: Tensor, sets: Tensor) -> Tensor:
    """Mark all channels of the sets that have a marked one."""
    return torch.isin(sets, torch.unique(sets[marked]))


def _left_alone(structure: Structure, module: nn.Module) -> list[str]:
    """Tell which prunable layers keep all their units, and why."""
    reasons: dict[str, list[str]] = {}
    for space in structure.spaces:
        for name in space.rows:
            if space.frozen and space.reason != OUTPUT:
                reasons.setdefault(space.reason, []).append(name)
    for name, layer in module.named_modules():
        if isinstance(layer, PRUNABLE_LAYERS) and name not in structure.uses:
            reasons.setdefault("it is not followed", []).append(name)
    return [
        f"Units stay in {', '.join(dict.fromkeys(names))}: {reason}."
        for reason, names in reasons.items()
    ]


def _cut(layer: Any, use: Use, gone: Tensor, left: Tensor) -> None:
    """Take units out of a layer, in place, and put what they brought into its bias."""
    kept = left[use.rows]
    with torch.no_grad():
        if use.columns is not None:
            layer.weight[gone[use.rows].to(layer.weight.device)] = 0
            _cut_columns(layer, use, gone[use.columns], left[use.columns])
        for name in ("weight", "bias"):
            parameter = getattr(layer, name, None)
            if parameter is not None:
                _replace(layer, name, parameter[kept.to(parameter.device)])
    n_kept = int(kept.sum())
    if isinstance(layer, BatchNorm):
        for name in ("running_mean", "running_var"):
            statistic = getattr(layer, name)
            setattr(layer, name, statistic[kept.to(statistic.device)])
        layer.num_features = n_kept
    elif isinstance(layer, nn.PReLU):
        layer.num_parameters = n_kept
    elif isinstance(layer, nn.Linear):
        layer.out_features = n_kept
    else:
        if use.columns is None:
            layer.in_channels = n_kept * layer.in_channels // layer.out_channels
            layer.groups = layer.in_channels
        layer.out_channels = n_kept


def _cut_columns(layer: Any, use: Use, gone: Tensor, left: Tensor) -> None:
    """Put what useless channels bring into the bias; those that are left bring 0 from now."""
    weight = layer.weight
    brought = torch.where(gone, use.constants, torch.zeros_like(use.constants))
    fold = weight.double().flatten(2).sum(-1) if weight.dim() > 2 else weight.double()
    fold = fold @ brought.to(weight.device)
    if fold.any():
        bias = torch.zeros_like(fold) if layer.bias is None else layer.bias.double()
        learns = weight if layer.bias is None else layer.bias
        bias = (bias + fold).to(weight.dtype)
        layer.bias = nn.Parameter(bias, requires_grad=learns.requires_grad)
    weight[:, gone.to(weight.device)] = 0
    _replace(layer, "weight", weight[:, left.to(weight.device)])
    setattr(layer, "in_features" if weight.dim() == 2 else "in_channels", int(left.sum()))


def _replace(layer: Any, name: str, value: Tensor) -> None:
    """Put another tensor in the place of a parameter."""
    old = getattr(layer, name)
    value = value.detach().clone(memory_format=torch.preserve_format)
    setattr(layer, name, nn.Parameter(value, requires_grad=old.requires_grad))


def _difference(old: nn.Module, new: nn.Module, sample: Features) -> str:
    """Compare outputs in evaluation mode; "" if they are the same."""
    for inputs in (sample, _drawn(sample)):
        before, after = (_outputs(module, inputs) for module in (old, new))
        if not before:
            return "there are no outputs to compare"
        if [t.shape for t in before] != [t.shape for t in after]:
            return "the outputs have another shape"
        for one, other in zip(before, after, strict=True):
            scale = one.abs().nan_to_num(0, 0, 0).max() if one.numel() else 0
            tolerance = TOLERANCES.get(one.dtype, 1e-2) * max(float(scale), 1e-30)
            if not torch.allclose(one, other, rtol=0, atol=tolerance, equal_nan=True):
                return f"the outputs differ by {float((one - other).abs().max()):.2g}"
    return ""


def _outputs(module: nn.Module, inputs: Any) -> list[Tensor]:
    modes = [(part, part.training) for part in module.modules()]
    first = next(module.parameters())
    try:
        module.eval()
        with torch.no_grad(), seeded(0):
            if isinstance(inputs, dict):
                out = module(**{k: v.to(first.device) for k, v in inputs.items()})
            else:
                out = module(inputs.to(first.device))
    finally:
        for part, mode in modes:
            part.training = mode
    return [t for t in parts(out, Tensor) if t.is_floating_point()]


def _drawn(sample: Features) -> Features:
    """Draw random rows like those of a sample; of integers its rows are repeated."""
    if not isinstance(sample, Tensor):
        return {name: _rows_like(part) for name, part in sample.items()}
    return _rows_like(sample)


def _rows_like(rows: Tensor) -> Tensor:
    if not rows.is_floating_point():
        return rows[torch.arange(N_DRAWN) % len(rows)]
    generator = torch.Generator().manual_seed(0)
    return torch.randn((N_DRAWN, *rows.shape[1:]), generator=generator).to(rows)
