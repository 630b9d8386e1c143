r"""Weights of a pruned layer by least squares: no gradient step, no learning rate.

Of a layer with inputs :math:`x_i \in R^p` and wanted outputs :math:`z_i \in R^q` only the
moments :math:`H = \sum_i \omega_i x_i x_i^\top` and :math:`c_j = \sum_i \omega_i z_{ij} x_i`
are needed. A bias is an input that is 1 everywhere, and always kept.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

# Matrices that are factorised at once fit into this many bytes, unless one alone is larger.
CHUNK_BYTES = 2**24
# What keeps a Cholesky factor of a singular matrix apart from rounding, of mean diagonal.
SMALLEST_DAMPING = 1e-10


class LeastSquares(NamedTuple):
    """Weights of a layer, and for which of its units they were found.

    Parameters
    ----------
    weight : torch.Tensor of shape (q, p)
        In float64; exactly 0.0 where the mask is False.
    solved : torch.BoolTensor of shape (q,)
        False where the moments are not finite: the unit keeps the weights it had.
    """

    weight: Tensor
    solved: Tensor


def masked_least_squares(
    gram: Tensor,
    moments: Tensor,
    weight: Tensor,
    mask: Tensor,
    damping: float = 0.01,
    *,
    bias: bool = False,
) -> LeastSquares:
    r"""Least squares of a layer's outputs on the inputs that each of its units keeps.

    With the kept inputs :math:`S` of a unit and the weights :math:`v` that it has now, zero
    outside of them,

    .. math::
        w = \arg\min_{w = 0 \text{ outside } S} \sum_i \omega_i (z_i - w^\top x_i)^2
            + \epsilon \|w - v\|^2, \qquad \epsilon = \text{damping} \cdot \bar H,

    :math:`\bar H` the mean diagonal of H, so that
    :math:`w_S = v_S + (H_{SS} + \epsilon I)^{-1} (c - H v)_S`. The weights are pulled to what
    they are, not to 0: directions that the rows do not determine stay as they are, and the
    squared error is never above that of :math:`v`, whatever the damping. A bias is not pulled.

    Parameters
    ----------
    gram : torch.Tensor of shape (p, p)
        H, in float64.
    moments : torch.Tensor of shape (q, p)
        c of every unit, in float64.
    weight : torch.Tensor of shape (q, p)
        v of every unit; what the mask removes is read as 0.
    mask : torch.BoolTensor of shape (q, p)
        True = kept.
    damping : float, default=0.01
        At least 0; in calculations at least 1e-10.
    bias : bool, default=False
        Whether the last input is that of a bias.

    Returns
    -------
    solution : LeastSquares
        Weights of shape (q, p), and which of the q units were solved.

    See Also
    --------
    masked_conjugate_gradients : Without the matrix H.

    Notes
    -----
    Units of the same mask share one Cholesky factor, of k^3 / 3 operations for k kept inputs.
    All others are factorised in chunks of 16 MiB (or one at a time, where one needs more).

    References
    ----------
    Hassibi, Stork, "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon",
    NeurIPS 1992. Frantar, Singh, Alistarh, "Optimal Brain Compression", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import masked_least_squares
    >>> X = torch.tensor([[1.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    >>> z = X @ torch.tensor([[0.5], [0.5]], dtype=torch.float64)
    >>> weight, mask = torch.tensor([[0.5, 0.0]]), torch.tensor([[True, False]])
    >>> masked_least_squares(X.T @ X, z.T @ X, weight, mask, damping=0.0).weight
    tensor([[1.0000, 0.0000]], dtype=torch.float64)
    """
    start = weight.to(gram).masked_fill(~mask, 0.0)
    residual = (moments - start @ gram).masked_fill(~mask, 0.0)
    pull = _pull(gram.diagonal(), damping, bias)
    # Systems of unequal size are filled up with one more input, which is 0 everywhere.
    wide, right = F.pad(gram, (0, 1, 0, 1)), F.pad(residual, (0, 1))
    pull, step = F.pad(pull, (0, 1), value=1.0), torch.zeros_like(right)
    for units, inputs in _systems(mask):
        block = wide[inputs[:, :, None], inputs[:, None, :]]
        block.diagonal(dim1=-2, dim2=-1).add_(pull[inputs])
        rows = units[:, :, None], inputs[:, None, :]
        factor, _ = torch.linalg.cholesky_ex(block)
        step[rows] = torch.cholesky_solve(right[rows].mT, factor).mT
    step = step[:, :-1]
    return _accepted(start, step, residual, step @ gram)


def masked_conjugate_gradients(
    product: Callable[[Tensor], Tensor],
    diagonal: Tensor,
    moments: Tensor,
    weight: Tensor,
    mask: Tensor,
    damping: float = 0.01,
    *,
    bias: bool = False,
    n_steps: int = 20,
) -> LeastSquares:
    r"""The same least squares without the matrix H, for layers of too many inputs.

    Conjugate gradients from :math:`v`, all units at once, preconditioned by the diagonal.
    Every step lowers what `masked_least_squares` minimises; the fewer, the nearer the weights
    stay to what they are.

    Parameters
    ----------
    product : callable
        From a tensor V of shape (..., q, p) to V H.
    diagonal : torch.Tensor of shape (..., p)
        Of H, in float64.
    moments, weight, mask : torch.Tensor of shape (..., q, p)
        See `masked_least_squares`; leading dimensions are layers apart.
    damping, bias : float and bool
        See `masked_least_squares`.
    n_steps : int, default=20
        Calls of `product`, but for the first one. It stops before where nothing is left.

    Returns
    -------
    solution : LeastSquares
        Weights and which units were solved, of shape (..., q, p) and (..., q).

    References
    ----------
    Hestenes, Stiefel, "Methods of Conjugate Gradients for Solving Linear Systems", 1952.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import masked_conjugate_gradients
    >>> X = torch.tensor([[1.0, 1.0], [2.0, 2.0]], dtype=torch.float64)
    >>> H, c = X.T @ X, torch.tensor([[5.0, 5.0]], dtype=torch.float64)
    >>> weight, mask = torch.tensor([[0.5, 0.0]]), torch.tensor([[True, False]])
    >>> masked_conjugate_gradients(
    ...     lambda V: V @ H, H.diagonal(), c, weight, mask, damping=0.0).weight
    tensor([[1.0000, 0.0000]], dtype=torch.float64)
    """
    start = weight.to(moments).masked_fill(~mask, 0.0)
    residual = (moments - product(start)).masked_fill(~mask, 0.0)
    pull = _pull(diagonal, damping, bias)[..., None, :]
    scale = diagonal[..., None, :] + pull
    step, left = torch.zeros_like(start), residual.clone()
    way = left / scale
    energy = (left * way).sum(-1, keepdim=True)
    enough = 1e-20 * energy
    for _ in range(n_steps):
        if not (energy > enough).any():
            break
        image = (product(way) + pull * way).masked_fill(~mask, 0.0)
        length = _ratio(energy, (way * image).sum(-1, keepdim=True))
        step, left = step + length * way, left - length * image
        before, energy = energy, (left * left / scale).sum(-1, keepdim=True)
        way = left / scale + _ratio(energy, before) * way
    return _accepted(start, step, residual, residual - left)


def _pull(diagonal: Tensor, damping: float, bias: bool) -> Tensor:
    """What is added to the diagonal of H."""
    inputs = diagonal[..., : diagonal.shape[-1] - bias]
    size = max(damping, SMALLEST_DAMPING) * inputs.mean(-1, keepdim=True)
    pull = torch.where(size > 0, size, 1.0).expand(inputs.shape)
    ones = diagonal[..., inputs.shape[-1] :]
    return torch.cat([pull, (ones <= 0).to(diagonal)], dim=-1)


def _ratio(above: Tensor, below: Tensor) -> Tensor:
    """Quotient; 0 where nothing is left to divide by."""
    return torch.where(below > 0, above / below, 0.0)


def _accepted(start: Tensor, step: Tensor, residual: Tensor, image: Tensor) -> LeastSquares:
    """Take the steps that are finite and raise no squared error, but by rounding."""
    promised, gain = (step * residual).sum(-1), (step * (2 * residual - image)).sum(-1)
    solved = torch.isfinite(step).all(-1) & (gain >= -1e-12 * promised.abs())
    return LeastSquares(torch.where(solved[..., None], start + step, start), solved)


def _systems(mask: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Units and inputs of systems that are solved at once.

    Yields
    ------
    units : torch.LongTensor of shape (n_systems, n_units)
        Units of one system have the same mask.
    inputs : torch.LongTensor of shape (n_systems, size)
        The kept inputs, in order, and then p, up to the largest system.
    """
    patterns, which = torch.unique(mask, dim=0, return_inverse=True)
    sizes, counts = patterns.sum(1), torch.bincount(which)
    members = which.argsort(stable=True).split(counts.tolist())
    order = sizes.argsort(stable=True).tolist()
    for at in [i for i in order if counts[i] > 1 and sizes[i]]:
        yield members[at][None], patterns[at].nonzero()[:, 0][None]
    alone = [i for i in order if counts[i] == 1 and sizes[i]]
    while alone:
        size = int(sizes[alone[-1]])
        chunk = alone[-max(1, CHUNK_BYTES // (8 * size**2)) :]
        del alone[-len(chunk) :]
        numbers = torch.arange(mask.shape[1], device=mask.device)
        inputs = torch.where(patterns[chunk], numbers, mask.shape[1]).sort(dim=1).values
        yield torch.stack([members[i] for i in chunk]), inputs[:, :size]
