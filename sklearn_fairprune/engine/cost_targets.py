"""Targets of cost: masks that leave a budget of multiply-accumulates, or of parameters."""

import numbers
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from skorch import NeuralNet
from torch import Tensor

from .._compat.warnings import warn
from ..functional.masks import masks_sparsity
from ..functional.params import Features
from ..functional.pools import Scope, least_kept, pools_of, sparsity_range
from .costs import layer_macs

COSTS = ("macs", "parameters")
# A budget is met to this share of it, and looked for to that of the whole cost.
TOLERANCE, PRECISION = 0.01, 1e-3
TRIES = 40

Masks = Mapping[str, Tensor]


class Target(NamedTuple):
    """What is kept of a network's cost.

    Attributes
    ----------
    of : {"macs", "parameters"}
        Which cost.
    share : float in (0, 1]
        Of that of the dense network.
    """

    of: str
    share: float


def target_of(value: Any) -> Target | None:
    """Target that a parameter means.

    Parameters
    ----------
    value : tuple of (str, float) or None
        As the user gave it.

    Returns
    -------
    target : Target or None

    Raises
    ------
    ValueError
        If it is none.
    """
    if value is None:
        return None
    pair = tuple(value) if isinstance(value, (tuple, list)) else ()
    of, share = pair if len(pair) == 2 else (None, None)
    real = isinstance(share, numbers.Real) and not isinstance(share, bool)
    if of not in COSTS or not real or not 0 < share <= 1:
        raise ValueError(
            "target must be None, ('macs', share) or ('parameters', share), with the share in "
            f"(0, 1] of the dense network's that is kept, got {value!r}. Use for example "
            "('macs', 0.25)."
        )
    return Target(of, float(share))


class CostTarget:
    """What the masks of a network cost, and which masks leave a budget.

    A removed weight costs nothing: of its layer's multiply-accumulates each weight has the
    same part, and a parameter that is 0 is none.

    Parameters
    ----------
    net : skorch.NeuralNet
        Initialized; left as it is.
    sample : torch.Tensor or dict of them
        One or two rows as the network reads them.
    target : Target
        What is wanted.
    sizes : dict of str to int
        Number of weights by the names of the masks.
    sparsest : dict of str to torch.BoolTensor, default=None
        Masks that leave the least, where whole units go; None: any weights can.

    Attributes
    ----------
    total : float
        Cost of the dense network.
    units : dict of str to float
        Cost of a weight of each layer.
    """

    def __init__(
        self,
        net: NeuralNet,
        sample: Features,
        target: Target,
        sizes: Mapping[str, int],
        sparsest: Masks | None = None,
    ) -> None:
        self.target, self.sizes, self.sparsest = target, dict(sizes), sparsest
        if target.of == "macs":
            macs = layer_macs(net, sample)
            self.total = float(macs.total)
            self.units = {name: macs.of_weights[name] / n for name, n in sizes.items()}
        else:
            self.total = float(sum(p.numel() for p in net.module_.parameters()))
            self.units = dict.fromkeys(sizes, 1.0)

    @property
    def budget(self) -> float:
        """What is kept of the cost."""
        return self.target.share * self.total

    def left(self, masks: Masks) -> float:
        """Cost of a network with these masks."""
        gone = sum(self.units[name] * int((~mask).sum()) for name, mask in masks.items())
        return self.total - gone

    def check(self, scope: Scope, min_density: float) -> None:
        """Refuse a budget that no masks leave.

        Parameters
        ----------
        scope, min_density
            See `pools_of`.

        Raises
        ------
        ValueError
            If the least or the most that can be left is another.
        """
        if self.sparsest is None:
            ends = [self._end(s, scope, min_density) for s in self.range(scope, min_density)]
        else:
            ends = [1.0, self.left(self.sparsest) / self.total]
        ends = ends[::-1]
        share = self.target.share
        if (low := ends[0] > share * (1 + TOLERANCE)) or ends[1] < share * (1 - TOLERANCE):
            raise ValueError(
                f"target={tuple(self.target)!r} cannot be met: of the dense network's "
                f"{self.total:.0f} {self.target.of}, pruning can keep {ends[0]:.4g} at least"
                + (f" and {ends[1]:.4g} at most" if ends[1] < 1 else "")
                + f". {'Raise' if low else 'Lower'} the share, or change what is pruned: "
                "layers, ignored_layers, scope, min_density."
            )

    def range(self, scope: Scope, min_density: float) -> tuple[float, float]:
        """Least and highest sparsity above 0 that can be had.

        Parameters
        ----------
        scope, min_density
            See `pools_of`.

        Returns
        -------
        low, high : float
        """
        if self.sparsest is None:
            return sparsity_range(self.sizes, scope, min_density)
        return 0.0, masks_sparsity(self.sparsest)

    def _end(self, sparsity: float, scope: Scope, min_density: float) -> float:
        """Share of the cost that is left at an end of the range."""
        gone = 0.0
        for pool in pools_of(self.sizes, sparsity, scope, min_density=min_density):
            for name in pool.names:
                n = self.sizes[name]
                most = n - least_kept(n, min_density)
                alone = len(pool.names) == 1
                count = pool.n_gone if alone or not pool.n_gone else most
                gone += count * self.units[name]
        return (self.total - gone) / self.total

    def reach(
        self,
        masks_at: Callable[[float], Masks],
        left: float,
        limits: tuple[float, float],
        *,
        final: bool,
    ) -> dict[str, Tensor]:
        """Masks that leave a cost, by search for their sparsity.

        Parameters
        ----------
        masks_at : callable
            From a sparsity to masks; the cost they leave falls with it.
        left : float
            Share of the cost that is to be left.
        limits : (float, float)
            Between which the sparsity is.
        final : bool
            Whether to refuse masks that miss the budget by more than 1 %, or by more than
            a single weight costs.

        Returns
        -------
        masks : dict of str to torch.BoolTensor
            Of those tried the nearest.

        Raises
        ------
        ValueError
            If they miss it.

        Warns
        -----
        UserWarning
            If whole units do.
        """
        goal, (low, high) = left * self.total, limits
        best: Masks = {}
        nearest = float("inf")
        sparsity = min(max(1 - left, low), high)
        for _ in range(TRIES):
            masks = masks_at(sparsity)
            error = self.left(masks) - goal
            if abs(error) < nearest:
                best, nearest = masks, abs(error)
            low, high = (sparsity, high) if error > 0 else (low, sparsity)
            small = PRECISION * (self.budget if final else self.total)
            if nearest <= small or high - low < 0.4 / sum(self.sizes.values()):
                break
            sparsity = (low + high) / 2
        if final and nearest > max(TOLERANCE * goal, *self.units.values()):
            told = f"the nearest masks leave {self.left(best) / self.total:.4g} of the "
            told = f"target={tuple(self.target)!r}: {told}{self.target.of}"
            if self.sparsest is None:
                raise ValueError(
                    f"{told}. Raise the share, or prune other layers too (layers)."
                )
            warn(f"{told}, as one more whole unit would miss it by more.")
        return dict(best)
