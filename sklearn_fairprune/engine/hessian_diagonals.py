r"""Diagonals of the Hessians of groups of rows, in one pass over the rows for all groups.

A weight :math:`w_{oi}` of a Linear layer that reads one vector a row acts on its output
:math:`z_o = \sum_i w_{oi} x_i + b_o` alone, linearly, so that for every row

.. math:: \partial^2 \ell / \partial w_{oi}^2 = x_i^2 \, \partial^2 \ell / \partial z_o^2,

exactly. The second derivatives on the right are one backward pass for each output of the
layer, of all rows of a batch at once, or of wide layers for each of some random signs of its
outputs, whose noise has no part of other layers and inputs. All other layers (convolutions,
layers that read sequences, are called more than once, or share their weight) are estimated
from random signs of their weights, the same for every group.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from .._compat.torch import plain_name
from ..functional.curvature import hessian_product
from ..functional.diagonals import hutchinson_diagonal
from ..functional.params import Params
from .scene import Scene

# Random signs of an estimated diagonal, one pass over the rows each.
N_PROBES = 32
# Outputs of a Linear layer up to which its diagonal is exact, one pass each; of wider ones
# random signs of the outputs are taken.
N_OUTPUTS, N_SIGNS = 128, 64


def hessian_diagonals(scene: Scene, members: list[Tensor]) -> Params:
    r"""Diagonals of the Hessians of the mean losses of some groups of rows.

    Parameters
    ----------
    scene : Scene
        Network and rows.
    members : list of torch.LongTensor
        Numbers of the rows of every group; no row is in two.

    Returns
    -------
    diagonals : dict of str to torch.Tensor of shape (n_groups, \*weight.shape)
        Of the weights that are scored, :math:`\partial^2 J(\theta; D_a) / \partial w^2`.
    """
    params = scene.evaluation.require_params()
    weights = {k: p for k, p in params.items() if plain_name(k) in scene.names}
    found = {k: p.new_zeros(len(members), *p.shape) for k, p in weights.items()}
    shares, groups = _shares(scene, members)
    by_outputs: set[str] | None = None
    for part, X, y in scene.batches(torch.cat(members)):
        losses = partial(scene.evaluation.losses, X=X, y=y)
        taps = _Taps(scene.evaluation.net.module_, weights, losses, params)
        by_outputs = taps.linear() if by_outputs is None else by_outputs
        for name in by_outputs:
            draws = scene.generator()
            curved = taps.curvatures(name, draws) * shares[part, None].to(weights[name])
            squares = taps.inputs[name].square()
            for a in groups[part].unique().tolist():
                own = (groups[part] == a).to(squares.device)
                found[name][a] += curved[own].T @ squares[own]
    left = {k: p for k, p in weights.items() if k not in (by_outputs or ())}
    if left:
        estimates = [_estimate(scene, index, params, left) for index in members]
        found |= {k: torch.stack([e[k] for e in estimates]) for k in left}
    return found


def _shares(scene: Scene, members: list[Tensor]) -> tuple[Tensor, Tensor]:
    """Share of every row in the weight of its group, and the number of its group."""
    shares, groups = scene.mass.clone(), torch.zeros(len(scene.rows), dtype=torch.long)
    for a, index in enumerate(members):
        shares[index] /= float(shares[index].sum()) or 1.0
        groups[index] = a
    return shares, groups


class _Taps:
    """Inputs of the Linear layers in one batch, and derivatives by their outputs.

    Parameters
    ----------
    module : torch.nn.Module
        The network.
    weights : dict of str to torch.Tensor
        That can be pruned, by their names in `params`.
    losses : callable
        From parameters to the loss of every row of the batch.
    params : dict of str to torch.Tensor
        Where.

    Attributes
    ----------
    inputs : dict of str to torch.Tensor of shape (n_rows, n_inputs)
        What the layers read.
    """

    def __init__(
        self, module: nn.Module, weights: Params, losses: Callable, params: Params
    ) -> None:
        self.inputs: dict[str, Tensor] = {}
        self._moves: dict[str, Tensor] = {}
        leaves = {k: p.detach().requires_grad_() for k, p in weights.items()}
        with self._hooks(module, weights):
            loss = losses({**params, **leaves}).sum()
        asked = [*self._moves.values(), *(leaves[k] for k in self._moves)]
        grads: Any = [torch.zeros_like(v) for v in asked]
        if asked and loss.requires_grad:
            options: Any = {"allow_unused": True, "materialize_grads": True}
            grads = torch.autograd.grad(loss, asked, create_graph=True, **options)
        self._slopes = dict(zip(self._moves, grads, strict=False))
        self._totals = dict(zip(self._moves, grads[len(self._moves) :], strict=True))

    @contextmanager
    def _hooks(self, module: nn.Module, weights: Params) -> Iterator[None]:
        """Add zeros to the outputs of the Linear layers, to be differentiated by."""

        def tap(
            name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor
        ) -> Any:
            if output.dim() != 2:
                return None
            self.inputs[name] = inputs[0].detach()
            self._moves[name] = torch.zeros_like(output, requires_grad=True)
            return output + self._moves[name]

        named = ((f"{k}.weight".lstrip("."), m) for k, m in module.named_modules())
        hooks = [
            layer.register_forward_hook(partial(tap, name))
            for name, layer in named
            if isinstance(layer, nn.Linear) and name in weights
        ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def linear(self) -> set[str]:
        """Weights that act through the outputs of one call of their layer only.

        By their gradients: what flows through the outputs must be all there is.
        """
        found = set()
        for name, slope in self._slopes.items():
            slope, inputs = slope.detach(), self.inputs[name]
            missed = slope.T @ inputs - self._totals[name].detach()
            # Rows may cancel each other, as at a minimum: rounding is that of their sizes.
            bound = 1e-5 * float((slope.abs().T @ inputs.abs()).max())
            if float(missed.abs().max()) <= bound:
                found.add(name)
        return found

    def curvatures(self, name: str, generator: torch.Generator) -> Tensor:
        """Second derivative of each row's loss by every output of a layer, (n_rows, n_out)."""
        slope, moves = self._slopes[name], self._moves[name]
        found = torch.zeros_like(moves, requires_grad=False)
        if not slope.requires_grad:  # the losses are linear in the outputs
            return found
        n_outputs = moves.shape[1]
        options: Any = {"retain_graph": True, "allow_unused": True, "materialize_grads": True}
        if n_outputs <= N_OUTPUTS:
            for o in range(n_outputs):
                (row,) = torch.autograd.grad(slope[:, o].sum(), moves, **options)
                found[:, o] = row[:, o]
            return found
        for _ in range(N_SIGNS):
            signs = torch.randint(0, 2, (n_outputs,), generator=generator).to(found) * 2 - 1
            (row,) = torch.autograd.grad((slope * signs).sum(), moves, **options)
            found += signs * row / N_SIGNS
        return found


def _estimate(scene: Scene, index: Tensor, params: Params, left: Params) -> Params:
    """Diagonal of the Hessian of the mean loss of some rows, from random signs."""
    total = {name: torch.zeros_like(p) for name, p in left.items()}

    def of_left(loss: Callable[[Params], Tensor], own: Params) -> Tensor:
        return loss({**params, **own})

    for loss in scene.mean_losses(index):
        _, product = hessian_product(partial(of_left, loss), left)
        draws = scene.generator()
        part, _ = hutchinson_diagonal(product, left, n_probes=N_PROBES, generator=draws)
        total = {name: total[name] + part[name] for name in left}
    return total
