"""Which linear layers of a network are faster in sparse form, by measurement.

That depends on the zeros, the sizes, the threads and the machine, so that both forms take
turns, here and now.
"""

import copy
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from .._compat.torch import forward_hooks
from ..functional.params import Features
from .liveness import tensors_of
from .randomness import seeded
from .sparse_layers import SparseLinear
from .timing import Clock, Seconds

MIN_WEIGHTS = 16_384  # the call alone costs as much as a smaller dense layer
MIN_ZEROS = 0.7  # layers with fewer zeros are not faster at any batch size
BATCH_BYTES = 2**28  # of inputs and outputs, where a larger batch is made smaller

# What a Sequential may have between two layers where the order of the numbers in memory does
# not matter: it works on each number alone.
ELEMENTWISE = (
    nn.ReLU,
    nn.LeakyReLU,
    nn.ReLU6,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.Dropout,
    nn.Identity,
)


class Measured(NamedTuple):
    """A layer, or the whole network, in both forms.

    Attributes
    ----------
    layer : str
        Name in the network; "" is the network.
    weights : int
        Of the layer, or of all layers that were chosen.
    zeros : float
        Share of zeros among them.
    seconds : dict of int to (float, float)
        Median of the dense and of the sparse form by batch size; smaller batches than asked
        for where those would not fit the budget. Empty if nothing was measured.
    chosen : bool
        Whether it has the sparse form.
    reason : str
        Why, or why not.
    """

    layer: str
    weights: int
    zeros: float
    seconds: Seconds
    chosen: bool
    reason: str

    @property
    def ratios(self) -> dict[int, float]:
        """Seconds of the dense form over those of the sparse one: above 1 it is faster."""
        return {n: dense / sparse for n, (dense, sparse) in self.seconds.items()}


class SparseForm(NamedTuple):
    """A network with sparse layers where they pay.

    Attributes
    ----------
    module : torch.nn.Module
        Copy in evaluation mode.
    table : list of Measured
        One for every linear layer; the network last, if it was measured.
    """

    module: nn.Module
    table: list[Measured]


@torch.no_grad()
def sparse_form(
    module: nn.Module,
    sample: Features,
    *,
    batch_sizes: Sequence[int] = (1, 64, 4096),
    tolerance: float = 0.05,
    budget: float = 1.0,
    measured: bool = True,
) -> SparseForm:
    """Give linear layers the sparse form where that is faster.

    Tried is every ``torch.nn.Linear`` on the CPU with at least `MIN_WEIGHTS` weights and a
    share of at least `MIN_ZEROS` zeros. Its forms take turns on random inputs; the sparse one
    is chosen if its median time is nowhere above the dense one's by more than the tolerance,
    and somewhere below it by more than that. The whole network is measured at the end, and if
    it is slower anywhere with the sparse layers, all stay dense. Times are of as many threads
    as torch has; the sparse layers use one.

    Parameters
    ----------
    module : torch.nn.Module
        Network; left as it is.
    sample : torch.Tensor or dict of them
        Rows as the network reads them; a large batch has them many times.
    batch_sizes : sequence of int, default=(1, 64, 4096)
        In rising order.
    tolerance : float, default=0.05
        Relative.
    budget : float, default=1.0
        Seconds for every layer, and for the network, about. A batch that would take too long
        is made smaller.
    measured : bool, default=True
        False: every layer with enough zeros has the sparse form, of any size.

    Returns
    -------
    form : SparseForm

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.sparse_forms import sparse_form
    >>> module = torch.nn.Sequential(torch.nn.Linear(4, 3))
    >>> module[0].weight.data[:] = torch.eye(3, 4)
    >>> form = sparse_form(module, torch.zeros(1, 4), measured=False)
    >>> form.module
    Sequential(
      (0): SparseLinear(in_features=4, out_features=3, nonzero=3)
    )
    >>> sparse_form(module, torch.zeros(1, 4)).table[0].reason
    'fewer than 16384 weights'
    """
    clock = Clock(tuple(batch_sizes), budget, tolerance) if measured else None
    dense = copy.deepcopy(module).eval()
    twin, table = copy.deepcopy(dense), []
    reading = _Reading(dense, sample)
    for names, layer in _linear_layers(twin):
        row = _before(names[0], layer, reading.counts, clock)
        if not row.reason:
            form = SparseLinear(layer).eval()
            row = _tried(row, layer, form, reading.counts[names[0]], clock)
            if row.chosen and not reading.same(twin, names, layer, form):
                row = row._replace(chosen=False, reason="the network needs the dense layer")
        table.append(row)
    _in_fortran_order(twin)
    if clock is None or not any(row.chosen for row in table):
        return SparseForm(twin, table)
    chosen = [row for row in table if row.chosen]
    seconds = clock.seconds(
        _caller(dense), _caller(twin), lambda n: _batch(sample, n), _most(sample)
    )
    slower = clock.slower(seconds)
    reason = f"slower at batches of {slower}" if slower else "not slower"
    n_weights = sum(row.weights for row in chosen)
    zeros = sum(row.zeros * row.weights for row in chosen) / n_weights
    whole = Measured("", n_weights, zeros, seconds, not slower, reason)
    if slower:
        why = "the network is slower with sparse layers"
        table = [
            row._replace(chosen=False, reason=why) if row.chosen else row for row in table
        ]
    return SparseForm(dense if slower else twin, [*table, whole])


class _Reading:
    """How a network reads a sample: its outputs, and the rows that reach each layer."""

    def __init__(self, module: nn.Module, sample: Features) -> None:
        self.counts: dict[str, float] = {}
        self.batch = _batch(sample, 3)
        handles = [
            layer.register_forward_pre_hook(self._counting(names))
            for names, layer in _linear_layers(module)
        ]
        self.outputs = self._run(module)
        for handle in handles:
            handle.remove()

    def _counting(self, names: list[str]) -> Callable[[nn.Module, Any], None]:
        def count(layer: nn.Module, inputs: Any) -> None:
            if inputs:
                self.counts[names[0]] = inputs[0].shape[:-1].numel() / 3

        return count

    def _run(self, module: nn.Module) -> list[Tensor]:
        with seeded(0):
            return [t.clone() for t in tensors_of(_caller(module)(self.batch))]

    def same(
        self, module: nn.Module, names: list[str], layer: nn.Module, form: nn.Module
    ) -> bool:
        """Put a form in the place of a layer; back again if the network does not bear it."""
        for name in names:
            _put(module, name, form)
        try:
            outputs = self._run(module)
            if all(close(new, old) for new, old in zip(outputs, self.outputs, strict=True)):
                return True
        except Exception:  # whatever the module of a user may raise
            pass
        for name in names:
            _put(module, name, layer)
        return False


def close(new: Tensor, old: Tensor, times: float = 1e3) -> bool:
    r"""Whether two tensors differ by rounding alone.

    That is by at most `times` machine epsilons of the largest number:
    :math:`|a - b| \le t \epsilon \max |b|`. Infinite and missing numbers are close to none.

    Parameters
    ----------
    new, old : torch.Tensor
        Of the same dtype.
    times : float, default=1e3
        Epsilons.

    Returns
    -------
    close : bool

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.engine.sparse_forms import close
    >>> close(torch.ones(2), torch.ones(2) + 1e-6)
    True
    >>> close(torch.ones(2), torch.ones(2) + 1e-3)
    False
    """
    if new.shape != old.shape or not old.is_floating_point() or not old.numel():
        return torch.equal(new, old)
    rounding = times * torch.finfo(old.dtype).eps * old.abs().amax()
    return bool(old.isfinite().all() and ((new - old).abs() <= rounding).all())


def _linear_layers(module: nn.Module) -> list[tuple[list[str], nn.Linear]]:
    """Linear layers of a network and all names that each has."""
    found: dict[int, tuple[list[str], nn.Linear]] = {}
    for name, layer in module.named_modules(remove_duplicate=False):
        if type(layer) is nn.Linear:
            found.setdefault(id(layer), ([], layer))[0].append(name)
    return list(found.values())


def _before(
    name: str, layer: nn.Linear, counts: dict[str, float], clock: Clock | None
) -> Measured:
    """What is known of a layer before it is measured; the reason says why it is not."""
    weight, reason = layer.weight, ""
    n_weights = weight.numel()
    zeros = 1 - int(weight.count_nonzero()) / n_weights if n_weights else 0.0
    if clock is not None and n_weights < MIN_WEIGHTS:
        reason = f"fewer than {MIN_WEIGHTS} weights"
    elif zeros < MIN_ZEROS:
        reason = f"fewer than {100 * MIN_ZEROS:g} % zeros"
    elif weight.device.type != "cpu" or weight.dtype not in (torch.float32, torch.float64):
        reason = f"of {weight.dtype} on {weight.device}"
    elif not isinstance(weight, nn.Parameter) or any(map(bool, forward_hooks(layer))):
        reason = "has hooks"
    elif not name:
        reason = "is the whole network"
    elif name not in counts:
        reason = "is not called"
    return Measured(name, n_weights, zeros, {}, False, reason)


def _tried(
    row: Measured, layer: nn.Linear, form: SparseLinear, count: float, clock: Clock | None
) -> Measured:
    """Compare two forms of a layer, and choose one."""
    most = BATCH_BYTES / (sum(layer.weight.shape) * layer.weight.element_size() * count)

    def batch(n_rows: int) -> Tensor:
        size = (max(round(n_rows * count), 1), layer.in_features)
        generator = torch.Generator().manual_seed(0)
        return torch.randn(size, generator=generator, dtype=layer.weight.dtype)

    if not close(form(batch(3)), layer(batch(3))):
        return row._replace(reason="the sparse form gives other numbers")
    if clock is None:
        return row._replace(chosen=True, reason="enough zeros; not measured")
    seconds = clock.seconds(layer, form, batch, most)
    slower, faster = clock.slower(seconds), clock.faster(seconds)
    reason = f"faster at batches of {faster}" if faster else "not faster"
    reason = f"slower at batches of {slower}" if slower else reason
    chosen = bool(faster) and not slower
    return row._replace(seconds=seconds, chosen=chosen, reason=reason)


def _put(module: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(module.get_submodule(parent), own, layer)


def _in_fortran_order(module: nn.Module) -> None:
    """Keep outputs in Fortran order that only another sparse layer reads.

    A dense layer reads them more slowly than it takes to put them in C order.
    """
    before, layers = set(), {}
    for path, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, SparseLinear):
            layers[path] = part
        if type(part) is not nn.Sequential:
            continue
        children = list(part.named_children())
        for place, (name, _) in enumerate(children):
            after = (c for _, c in children[place + 1 :] if type(c) not in ELEMENTWISE)
            if isinstance(next(after, None), SparseLinear):
                before.add(f"{path}.{name}" if path else name)
    for layer in set(layers.values()):
        layer.transposed = all(p in before for p, other in layers.items() if other is layer)


def _caller(module: nn.Module) -> Callable[[Features], Any]:
    """Call a network as skorch does."""
    return lambda X: module(**X) if isinstance(X, dict) else module(X)


def _batch(sample: Features, n_rows: int) -> Features:
    """Rows of a sample, in turn."""
    if isinstance(sample, dict):
        return {name: part[_places(part, n_rows)] for name, part in sample.items()}
    return sample[_places(sample, n_rows)]


def _places(part: Tensor, n_rows: int) -> Tensor:
    return torch.arange(n_rows, device=part.device) % len(part)


def _most(sample: Features) -> float:
    """Rows of a sample that memory allows."""
    parts = list(sample.values()) if isinstance(sample, dict) else [sample]
    return BATCH_BYTES / max(sum(part[:1].nbytes for part in parts), 1)
