r"""Gradient, curvature and their row-wise parts for the rows of one group, in batches.

The rows of a group are read as slices of their own, so that all group gradients together
cost one gradient pass over the data. Memory is bounded by the batch, plus `memory` bytes
for graphs that are kept between Hessian-vector products.
"""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..functional.curvature import (
    Eigenvalue,
    gradient,
    hessian_product,
    largest_eigenvalue,
)
from ..functional.params import Params, norm
from ..functional.per_row import directional_derivatives
from .batches import Rows
from .evaluation import Evaluation, read, second_derivatives

BATCH_SIZE = 1024
MEMORY = 2**28


class GroupCurvature(NamedTuple):
    """First and second order of one group's mean loss, for its n_a rows.

    Attributes
    ----------
    gradient_norm : float
        Norm of the group gradient.
    eigenvalue : Eigenvalue
        Largest of the group Hessian.
    slopes : torch.Tensor of shape (n_a,)
        Derivative of each row's loss along the unit group gradient; their (weighted) mean is
        the gradient norm.
    curvatures : torch.Tensor of shape (n_a,)
        Second derivative along the top eigenvector; their mean is the eigenvalue.
    estimates : torch.Tensor of shape (n_a,)
        Second-order estimate of each row's excessive loss; their mean is R2(a).
    """

    gradient_norm: float
    eigenvalue: Eigenvalue
    slopes: torch.Tensor
    curvatures: torch.Tensor
    estimates: torch.Tensor


def mean_gradient(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    batch_size: int = BATCH_SIZE,
    weights: Tensor | None = None,
) -> Params:
    """Gradient of the mean loss of some rows.

    Parameters
    ----------
    evaluation : Evaluation
        The network.
    rows : Rows
        Data.
    index : torch.LongTensor
        Which rows.
    batch_size : int, default=1024
        Rows differentiated at once.
    weights : torch.Tensor of shape (n_index,), default=None
        Weights of these rows, above 0; the mean is then weighted.

    Returns
    -------
    gradient : dict of str to torch.Tensor
    """
    parts = (
        gradient(loss, evaluation.require_params())
        for loss, _ in _losses(evaluation, rows, index, batch_size, _shares(index, weights))
    )
    return _sum(parts)


@second_derivatives("The largest eigenvalue")
def linearize(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    batch_size: int = BATCH_SIZE,
    memory: int = MEMORY,
    weights: Tensor | None = None,
) -> tuple[Params, Callable[[Params], Params]]:
    r"""Gradient of the mean loss of some rows, and the function :math:`v \mapsto H v`.

    Parameters
    ----------
    evaluation, rows, index, batch_size
        As in `mean_gradient`.
    memory : int, default=2**28
        Bytes of graph to keep between products; beyond them, graphs are built anew for
        every product, which takes about half as long again.
    weights : torch.Tensor of shape (n_index,), default=None
        As in `mean_gradient`.

    Returns
    -------
    gradient : dict of str to torch.Tensor
    product : callable
        From a dict of tensors v to H v.
    """
    params = evaluation.require_params()
    budget = memory // max(1, graph_bytes(evaluation, rows, index))  # in rows
    kept, n_kept, total = [], 0, None
    shares = _shares(index, weights)
    for loss, n_rows in _losses(evaluation, rows, index, batch_size, shares):
        if n_kept + n_rows <= budget:
            part, multiply = hessian_product(loss, params)
            kept.append(multiply)
            n_kept += n_rows
        else:
            budget, part = 0, gradient(loss, params)
        total = _sum(filter(None, (total, part)))
    rest, left = index[n_kept:], shares[n_kept:]

    def products(vector: Params) -> Iterator[Params]:
        for multiply in kept:
            yield multiply(vector)
        if len(rest):
            for loss, _ in _losses(evaluation, rows, rest, batch_size, left):
                yield hessian_product(loss, params)[1](vector)

    @second_derivatives("The largest eigenvalue")
    def product(vector: Params) -> Params:
        return _sum(products(vector))

    return total, product


def graph_bytes(evaluation: Evaluation, rows: Rows, index: Tensor, probe: int = 8) -> float:
    """Memory that the graph of a gradient keeps for each row, measured on a few rows."""
    seen = {p.untyped_storage().data_ptr(): 0 for p in evaluation.params.values()}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        seen.setdefault(storage.data_ptr(), storage.nbytes())
        alive.append(storage)  # or another tensor could come to lie at the same place
        return tensor.detach()

    alive: list[torch.UntypedStorage] = []
    few = index[:probe]
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        for loss, _ in _losses(evaluation, rows, few, probe, _shares(few)):
            hessian_product(loss, evaluation.params)
    return sum(seen.values()) // len(few)


@second_derivatives("The second-order estimate")
def along(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    direction: Params,
    batch_size: int = BATCH_SIZE,
    order: int = 2,
) -> tuple[Tensor, ...]:
    """First and second derivative of every row's loss along a direction.

    Parameters
    ----------
    evaluation, rows, index, batch_size
        As in `mean_gradient`.
    direction : dict of str to torch.Tensor
        Named and shaped like the parameters.
    order : {1, 2}, default=2
        As in `directional_derivatives`.

    Returns
    -------
    first, second : torch.Tensor of shape (n,)
        float64; the first alone with ``order=1``.
    """
    params = evaluation.require_params()
    parts = [
        directional_derivatives(partial(evaluation.losses, X=X, y=y), params, direction, order)
        for X, y in read(evaluation, rows, index, batch_size)
    ]
    return tuple(torch.cat(part).cpu().double() for part in zip(*parts, strict=True))


def group_curvature(
    evaluation: Evaluation,
    rows: Rows,
    index: Tensor,
    displacement: Params | None = None,
    *,
    tol: float = 1e-3,
    max_products: int = 64,
    batch_size: int = BATCH_SIZE,
    memory: int = MEMORY,
    weights: Tensor | None = None,
) -> GroupCurvature:
    r"""Everything of first and second order about the rows of one group.

    Parameters
    ----------
    evaluation : Evaluation
        The dense network.
    rows : Rows
        Data.
    index : torch.LongTensor
        Rows of the group.
    displacement : dict of str to torch.Tensor, default=None
        What pruning takes away, :math:`\Delta`; None is nothing.
    tol, max_products
        As in `largest_eigenvalue`.
    batch_size, memory, weights
        As in `linearize`.

    Returns
    -------
    curvature : GroupCurvature
        If the curvature along the displacement is larger, the eigenvalue is that, its
        vector the direction of the displacement, and it counts as not converged unless
        they agree within the tolerance.
    """
    estimates = torch.zeros(len(index), dtype=torch.float64)
    if displacement is not None:
        first, second = along(evaluation, rows, index, displacement, batch_size)
        estimates = first + second / 2
    mean, product = linearize(evaluation, rows, index, batch_size, memory, weights)
    top = largest_eigenvalue(product, mean, tol=tol, max_products=max_products)
    if displacement is not None:
        bend = (second * _shares(index, weights)).sum().item()
        top = _at_least(bend, displacement, top, product, tol)
    del product  # and with it the graphs
    length = norm(mean).item()
    unit = {name: g / (length or 1.0) for name, g in mean.items()}
    (slopes,) = along(evaluation, rows, index, unit, batch_size, order=1)
    _, curvatures = along(evaluation, rows, index, top.vector, batch_size)
    return GroupCurvature(length, top, slopes, curvatures, estimates)


def _at_least(
    bend: float,
    displacement: Params,
    top: Eigenvalue,
    product: Callable[[Params], Params],
    tol: float,
) -> Eigenvalue:
    """Put the curvature along the displacement in the place of a smaller eigenvalue."""
    length = norm(displacement).item()
    value = bend / length**2 if length else float("nan")
    if not value > top.value:  # as it should be: no curvature is above the largest
        return top
    unit = {name: d / length for name, d in displacement.items()}
    image = product(unit)
    residual = norm({name: image[name] - value * u for name, u in unit.items()}).item()
    agree = value - top.value <= tol * abs(value)
    return Eigenvalue(value, unit, residual, top.n_products + 1, top.converged and agree)


def _shares(index: Tensor, weights: Tensor | None = None) -> Tensor:
    """Share of each row in the mean of all."""
    weights = torch.ones(len(index), dtype=torch.float64) if weights is None else weights
    return weights / weights.sum()


def _losses(
    evaluation: Evaluation, rows: Rows, index: Tensor, batch_size: int, shares: Tensor
) -> Iterator[tuple[Callable[[Params], Tensor], int]]:
    """What each batch adds to the mean loss, and its rows."""
    start = 0
    for X, y in read(evaluation, rows, index, batch_size):
        yield partial(_added, evaluation, X, y, shares[start : start + len(y)]), len(y)
        start += len(y)


def _added(evaluation, X, y, shares, params):
    losses = evaluation.losses(params, X, y)
    return (losses * shares.to(losses)).sum()


def _sum(parts: Any) -> Params:
    total = None
    for part in parts:
        total = part if total is None else {k: total[k] + v for k, v in part.items()}
    return total
