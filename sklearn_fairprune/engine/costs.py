"""What a network costs to run: multiply-accumulates, of all of it and of every weight."""

import copy
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any, NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .._compat.torch import TorchDispatchMode, plain_name, without_compilation
from ..functional.params import Features, prunable
from .liveness import twin_of
from .randomness import ONE_AT_A_TIME
from .training import randomness


class Macs(NamedTuple):
    """Multiply-accumulates of one row.

    Attributes
    ----------
    total : int
        Of the whole network, products without weights (attention) included.
    of_weights : dict of str to int
        Of every weight of two dimensions or more, by its name: 0 where no product has it.
        Weights that can be pruned have the names of `prunable`.
    """

    total: int
    of_weights: dict[str, int]


def layer_macs(net: NeuralNet, sample: Features) -> Macs:
    """Count the multiply-accumulates of one row through a network in evaluation mode.

    Matrix products and convolutions count, half the operations that torch's counter gives;
    biases, activations and normalisations do not. A product belongs to the weight that it
    reads, whatever layer or function asks for it; a weight that several layers share has the
    sum. Recurrent layers, some of whose kernels the counter does not see, count
    ``steps * weight.numel()`` for each of their matrices.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; left as it is.
    sample : torch.Tensor or dict of them
        Rows as the network reads them, see `engine.liveness.sample_of`.

    Returns
    -------
    macs : Macs
        Means over the rows, rounded.
    """
    twin = twin_of(net)
    module = without_compilation(copy.deepcopy(net.module_))
    vars(twin)["module_"] = module
    for part in module.modules():
        part.training = False
    counter = _Products(_weights(module))
    with ExitStack() as stack:
        for context in (ONE_AT_A_TIME, randomness(twin, 0), _open_kernels(), counter):
            stack.enter_context(context)
        stack.enter_context(_counted_layers(module, counter))
        twin.infer(sample)
    first = next(iter(sample.values())) if isinstance(sample, dict) else sample
    per_row = 2 * len(first)  # two operations are one multiply-accumulate
    of_weights = {name: round(n / per_row) for name, n in counter.of_weights.items()}
    return Macs(round(counter.total / per_row), of_weights)


def _weights(module: nn.Module) -> dict[str, Tensor]:
    """Weights of two dimensions or more, under the names of `prunable` where it has them."""
    found = dict(prunable(module))
    known = {id(weight) for weight in found.values()}
    for name, parameter in module.named_parameters():
        if parameter.dim() > 1 and id(parameter) not in known:
            found[plain_name(name)] = parameter
    return {name: weight.detach() for name, weight in found.items()}


class _Products(TorchDispatchMode):
    """Counts operations, and whose they are.

    Parameters
    ----------
    weights : dict of str to torch.Tensor
        In the memory that the network reads.
    """

    def __init__(self, weights: dict[str, Tensor]) -> None:
        super().__init__()
        self.counter = FlopCounterMode(display=False)
        self.of_weights = dict.fromkeys(weights, 0)
        self.correction = 0
        self.places = [
            (w.data_ptr(), w.data_ptr() + w.numel() * w.element_size(), name)
            for name, w in weights.items()
        ]

    @property
    def total(self) -> int:
        """Operations so far."""
        return self.counter.get_total_flops() + self.correction

    def __enter__(self) -> "_Products":
        """Count below this, so that an operation is counted before it is assigned."""
        self.counter.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop counting."""
        super().__exit__(*error)
        self.counter.__exit__(*error)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        """Run an operation, and assign what it costs."""
        before = self.total
        out = func(*args, **(kwargs or {}))
        if (cost := self.total - before) > 0:
            for name in {name for arg in args for name in self._owners(arg)}:
                self.of_weights[name] += cost
        return out

    def _owners(self, arg: Any) -> Iterator[str]:
        if isinstance(arg, torch.Tensor) and arg.dim() > 1:
            at = arg.data_ptr()
            yield from (name for begin, end, name in self.places if begin <= at < end)


@contextmanager
def _counted_layers(module: nn.Module, products: _Products) -> Iterator[None]:
    """Give recurrent layers what they cost by formula, whatever the counter saw of them."""
    names = {
        id(p): name
        for name, p in module.named_parameters(remove_duplicate=False)
        if plain_name(name) in products.of_weights
    }
    before: list[tuple[int, dict[str, int]]] = []

    def enter(layer: Any, args: Any) -> None:
        before.append((products.total, dict(products.of_weights)))

    def leave(layer: Any, args: Any, kwargs: dict[str, Any], out: Any) -> None:
        total, products.of_weights = before.pop()
        products.correction -= products.total - total
        read = args[0] if args else kwargs["input"]
        steps = read.data if isinstance(read, nn.utils.rnn.PackedSequence) else read
        n_steps = steps[..., 0].numel()
        for parameter in layer.parameters(recurse=False):
            if parameter.dim() > 1:
                cost = 2 * n_steps * parameter.numel()
                products.correction += cost
                products.of_weights[plain_name(names[id(parameter)])] += cost

    with ExitStack() as stack:
        for part in module.modules():
            if isinstance(part, nn.RNNBase):
                stack.callback(part.register_forward_pre_hook(enter).remove)
                stack.callback(part.register_forward_hook(leave, with_kwargs=True).remove)
        yield


@contextmanager
def _open_kernels() -> Iterator[None]:
    """Choose kernels whose products can be seen, without a graph."""
    fast = torch.backends.mha.get_fastpath_enabled()
    restore = partial(torch.backends.mha.set_fastpath_enabled, fast)
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        restore()
