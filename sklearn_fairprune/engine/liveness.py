"""Which kept weights can do anything.

A weight is *live* if it lies on a path of kept weights from an input to an output. Masks of
single weights keep others too: those of units without any kept input, or without any kept
output. Fewer weights work then than the sparsity says, and no training brings them back.
"""

import copy
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from .._compat.torch import BatchNorm, forward_mode, without_compilation
from ..functional.params import PRUNABLE_LAYERS, Features, by_plain_name, prunable
from .batches import Rows
from .networks import adapt, read_in_order
from .path_tracing import PathTracing, positive
from .randomness import ONE_AT_A_TIME, seeded
from .training import randomness


class Liveness:
    """Tells which kept weights of a network are live.

    The network runs on a private copy in evaluation mode, with random positive weights and
    biases, and with `PathTracing` in the place of what could hide a path: the network's own
    weights and the sample's numbers do not count, only its structure does. No graph of the
    network is needed. Doubt goes to the weights: live by decree are those that no gradient
    reaches while nothing is removed (of a layer that is not used, or before something that
    cannot be differentiated), and all of them if the network cannot be run so.

    What counts as input: floating-point features and looked-up embeddings. What counts as
    output: all that the module returns. A normalisation over units (layer, group norm)
    connects them. It does not see weights that are live but do nothing on the data there is
    (units that never fire; inputs that are constant), nor that a unit with
    no kept input still brings its bias to the units after it: weights that carry nothing but a
    constant are not live.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; left as it is.
    sample : torch.Tensor or dict of them
        One or two rows as the network reads them, see `sample_of`. Only shapes and integers
        matter.
    names : collection of str, default=None
        Of the weights that have masks; None: of `prunable`. Weights of other layers than
        linear ones and convolutions (recurrent, attention) are live by decree.

    Attributes
    ----------
    judged : bool
        Whether both directions are: from inputs and to outputs.
    reason : str
        Why not; "" if they are.
    n_unjudged : int
        Weights that are live by decree.
    """

    def __init__(
        self, net: NeuralNet, sample: Features, names: Collection[str] | None = None
    ) -> None:
        self._names = list(prunable(net.module_) if names is None else names)
        self.judged, self.reason, self.n_unjudged = False, "", 0
        self._net, self._forwards, self._decreed = net, True, None
        try:
            self._prepare(net, sample)
        except Exception as error:  # whatever the module of a user may raise
            self._give_up(f"The network cannot be copied: {_told(error)}.")
            return
        every = {
            name: torch.ones(w.shape, dtype=torch.bool) for name, w in self._drawn.items()
        }
        for forwards in (True, False):
            self._forwards = forwards
            try:
                found = self._gradients(every)
            except Exception as error:
                self._give_up(f"The network cannot be traced: {_told(error)}.")
                continue
            if not all(torch.isfinite(g).all() for g in found.values()):
                self._give_up("The traced network gives NaN or infinite numbers.")
                continue
            self._decreed = {
                name: (gradient == 0) if name in self._traced else torch.ones_like(mask)
                for (name, gradient), mask in zip(found.items(), every.values(), strict=True)
            }
            self.n_unjudged = sum(int(zero.sum()) for zero in self._decreed.values())
            if self.n_unjudged < sum(zero.numel() for zero in self._decreed.values()):
                self.judged = forwards
                return
            self._give_up("No gradient reaches the weights that can be pruned.")

    def _give_up(self, reason: str) -> None:
        """Take all weights for live; the first reason is told."""
        self.reason = self.reason or reason
        self._decreed = None
        weights = by_plain_name(self._net.module_)
        self.n_unjudged = sum(weights[name].numel() for name in self._names)

    def _prepare(self, net: NeuralNet, sample: Features) -> None:
        """Copy the network, with weights that hide no path."""
        generator = torch.Generator().manual_seed(0)
        self._net = twin_of(net)
        module = without_compilation(copy.deepcopy(net.module_))
        vars(self._net)["module_"] = module
        for part in module.modules():
            part.training = False
            if isinstance(part, (nn.Embedding, nn.EmbeddingBag)):
                part.sparse, part.max_norm = False, None
            if isinstance(part, BatchNorm) and part.track_running_stats:
                part.reset_running_stats()
        named = by_plain_name(module)
        self._weights = {name: named[name] for name in self._names}
        self._traced = set(prunable(module))
        masked = {id(weight) for weight in self._weights.values()}
        for parameter in module.parameters():
            if parameter.is_floating_point():
                drawn = positive(parameter, generator)
                if not parameter.requires_grad:  # nothing moves its zeros
                    drawn.masked_fill_(parameter == 0, 0)
                parameter.data = drawn
                parameter.requires_grad_(id(parameter) in masked)
        self._drawn = {name: weight.detach() for name, weight in self._weights.items()}
        self._sample = sample

    def _gradients(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Sums over the paths through every weight, 0 if there is none."""
        for name, weight in self._weights.items():
            weight.data = self._drawn[name] * masks[name].to(weight.device)
        generator = torch.Generator().manual_seed(0)
        tracing = PathTracing(generator, self._forwards)
        # torch counts the levels of forward derivatives for all threads together.
        with ONE_AT_A_TIME, randomness(self._net, 0), _differentiable(self._net.module_):
            inputs = tracing.inputs(self._sample)
            with tracing:
                out = self._net.infer(inputs)
            values = [forward_mode().unpack_dual(part).primal for part in tensors_of(out)]
            parts = [(v * positive(v, generator)).sum() for v in values if v.requires_grad]
            found = torch.autograd.grad(
                parts,
                list(self._weights.values()),
                materialize_grads=True,
                allow_unused=True,
            )
        return dict(zip(self._weights, found, strict=True))

    def live(self, masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Masks of the kept weights that are live.

        Parameters
        ----------
        masks : dict of str to torch.BoolTensor
            True = kept, by the names of `prunable`.

        Returns
        -------
        live : dict of str to torch.BoolTensor
            True = kept and live, on the CPU.
        """
        if self._decreed is None:
            return {name: mask.clone() for name, mask in masks.items()}
        found = self._gradients(masks)
        return {
            name: mask & ((found[name] != 0) | self._decreed[name]).cpu()
            for name, mask in masks.items()
        }


@contextmanager
def _differentiable(module: nn.Module) -> Iterator[None]:
    """Choose kernels that have derivatives, backward and forward."""
    with ExitStack() as stack:
        stack.enter_context(torch.enable_grad())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        if any(isinstance(part, nn.RNNBase) for part in module.modules()):
            stack.enter_context(torch.backends.cudnn.flags(enabled=False))
        stack.enter_context(forward_mode().dual_level())
        yield


def tensors_of(out: Any) -> list[Tensor]:
    """All tensors of what a module returns."""
    if isinstance(out, torch.Tensor):
        return [out]
    if isinstance(out, Mapping):
        out = list(out.values())
    return (
        [t for part in out for t in tensors_of(part)] if isinstance(out, (tuple, list)) else []
    )


def _told(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(".")


def twin_of(net: NeuralNet) -> NeuralNet:
    """Return a net with the same parts, whose attributes can be set without changing `net`."""
    twin = object.__new__(type(net))
    twin.__dict__.update(net.__dict__)
    return twin


def sample_of(net: NeuralNet, rows: Rows) -> Features:
    """Read the first rows, at most two, as a network reads them.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; left as it is.
    rows : Rows
        Left as they are.

    Returns
    -------
    sample : torch.Tensor or dict of them
    """
    batches = read_in_order(twin_of(net)).get_iterator(adapt(rows.head(), net), training=False)
    with seeded(0):
        return next(iter(batches))[0]


def dead_units(module: nn.Module, live: Mapping[str, Tensor]) -> dict[str, tuple[int, int]]:
    """Count the units that no live weight leads to.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    live : dict of str to torch.BoolTensor
        True = kept and live.

    Returns
    -------
    units : dict of str to (int, int)
        Units (of convolutions: channels) without a live weight, and all units, of each layer
        by the name of its weight; a weight that layers share counts once.
    """
    layers = layers_of(module)
    return {name: _dead_units(layers[name], live[name]) for name in live if name in layers}


def layers_of(module: nn.Module) -> dict[str, Any]:
    """Layers whose weights can be pruned, by the names of these."""
    names = {id(weight): name for name, weight in prunable(module).items()}
    found: dict[str, Any] = {}
    for layer in module.modules():
        name = names.get(id(getattr(layer, "weight", None)))
        if name is not None and isinstance(layer, PRUNABLE_LAYERS):
            found.setdefault(name, layer)
    return {name: found[name] for name in names.values()}


def _dead_units(layer: Any, live: Tensor) -> tuple[int, int]:
    if getattr(layer, "transposed", False):  # (inputs, outputs of a group, ...)
        shape = layer.groups, live.shape[0] // layer.groups, live.shape[1], -1
        alive = live.reshape(shape).any(-1).any(1).flatten()
    else:
        alive = live.flatten(1).any(1)
    return int((~alive).sum()), len(alive)
