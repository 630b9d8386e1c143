r"""Gradient, Hessian-vector product and largest Hessian eigenvalue of a loss.

A loss is a function from a dict of named parameter tensors to a scalar, for example
``lambda params: cross_entropy(functional_call(module, params, X), y)``. With the mean loss
of a group in its place these are the group gradient :math:`g_a`, the group Hessian
:math:`H_a` and :math:`\lambda(H_a)` of Tran, Fioretto, Kim, Naidu, NeurIPS 2022.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from .params import Params, flatten, unflatten

Product = Callable[[Params], Params]
Pick = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]

# How much of the start vector is random: the Krylov space of the gradient alone would miss
# every eigenvector that the gradient has no part in.
RANDOM_PART = 0.3
# A small residual can belong to a wrong eigenvalue; fewer products than these prove little.
FEWEST_PRODUCTS = 8


class Eigenvalue(NamedTuple):
    """An extreme eigenvalue as the Lanczos method leaves it.

    Parameters
    ----------
    value : float
        The Ritz value; never above the largest eigenvalue but for rounding.
    vector : dict of str to torch.Tensor
        Unit Ritz vector.
    residual : float
        Norm of ``H @ vector - value * vector``: an eigenvalue lies within this distance
        of `value`.
    n_products : int
        Hessian-vector products spent.
    converged : bool
        Whether the estimated error is within the tolerance. False for NaN.
    """

    value: float
    vector: dict
    residual: float
    n_products: int
    converged: bool


def gradient(loss: Callable[[Params], Tensor], params: Params) -> Params:
    """Gradient of a scalar loss.

    Parameters
    ----------
    loss : callable
        From a dict of parameters to a scalar tensor.
    params : dict of str to torch.Tensor
        Where.

    Returns
    -------
    gradient : dict of str to torch.Tensor
        Zero for parameters that the loss does not depend on.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import gradient
    >>> gradient(lambda p: (p["w"] ** 2).sum(), {"w": torch.tensor([1.0, 2.0])})
    {'w': tensor([2., 4.])}
    """
    leaves = _leaves(params)
    value = loss(leaves)
    if not value.requires_grad:  # it depends on no parameter
        return {name: torch.zeros_like(p) for name, p in params.items()}
    grads = torch.autograd.grad(
        value, list(leaves.values()), allow_unused=True, materialize_grads=True
    )
    return dict(zip(leaves, grads, strict=True))


def hessian_product(
    loss: Callable[[Params], Tensor], params: Params
) -> tuple[Params, Product]:
    r"""Gradient of a scalar loss, and the function :math:`v \mapsto H v`.

    The gradient is differentiated once more, by reverse mode. Its graph is kept for as
    long as the returned function lives, so that a further product costs no forward pass.

    Parameters
    ----------
    loss : callable
        From a dict of parameters to a scalar tensor.
    params : dict of str to torch.Tensor
        Where.

    Returns
    -------
    gradient : dict of str to torch.Tensor
        As from `gradient`.
    product : callable
        From a dict of tensors v, named and shaped like `params`, to the dict H v.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import hessian_product
    >>> _, product = hessian_product(
    ...     lambda p: p["w"][0] ** 3 + p["w"][0] * p["w"][1],
    ...     {"w": torch.tensor([1.0, 2.0])},
    ... )
    >>> product({"w": torch.tensor([1.0, 0.0])})
    {'w': tensor([6., 1.])}
    """
    leaves = _leaves(params)
    inputs, value = list(leaves.values()), loss(leaves)
    grads: Sequence[Tensor] = [torch.zeros_like(p) for p in inputs]
    if value.requires_grad:  # it depends on a parameter
        grads = torch.autograd.grad(
            value, inputs, create_graph=True, allow_unused=True, materialize_grads=True
        )
    curved = [name for name, g in zip(leaves, grads, strict=True) if g.requires_grad]
    outputs = [g for g in grads if g.requires_grad]

    def product(vector: Params) -> Params:
        if not outputs:  # the loss is linear in the parameters
            return {name: torch.zeros_like(p) for name, p in leaves.items()}
        products = torch.autograd.grad(
            outputs,
            inputs,
            [vector[name] for name in curved],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return dict(zip(leaves, products, strict=True))

    return {name: g.detach() for name, g in zip(leaves, grads, strict=True)}, product


def largest_eigenvalue(
    product: Product,
    start: Params,
    *,
    tol: float = 1e-3,
    max_products: int = 64,
    generator: torch.Generator | None = None,
) -> Eigenvalue:
    r"""Largest algebraic eigenvalue :math:`\lambda_{\max}(H)` of a symmetric operator.

    Lanczos with full reorthogonalisation, begun at `start` plus a random vector of
    three tenths of its length. It stops, after eight products at the earliest, when the
    error estimate :math:`\min(r, r^2 / \delta)`, with the residual r and the distance
    :math:`\delta` to the next Ritz value, is below `tol` times the largest modulus of a
    Ritz value. For an indefinite operator this is the largest
    eigenvalue, not the one of largest modulus.

    Parameters
    ----------
    product : callable
        From a dict of tensors v to H v, as from `hessian_product`.
    start : dict of str to torch.Tensor
        A good guess, such as the gradient; may be zero.
    tol : float, default=1e-3
        Tolerance of the error estimate, relative.
    max_products : int, default=64
        Give up after so many products. The basis needs memory for as many vectors.
    generator : torch.Generator, default=None
        Of the random part; None is a generator with seed 0.

    Returns
    -------
    eigenvalue : Eigenvalue
        ``converged`` is False if the tolerance was not reached, or if a product was NaN
        or infinite, when ``value`` is NaN.

    Notes
    -----
    The error estimate is that of Parlett, "The Symmetric Eigenvalue Problem", SIAM 1998,
    chapter 11. A residual shows that an eigenvalue is near, not that no larger one
    exists; the random part makes missing one unlikely.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import largest_eigenvalue
    >>> d = torch.tensor([-5.0, 1.0, 2.0])
    >>> top = largest_eigenvalue(lambda v: {"w": d * v["w"]}, {"w": torch.ones(3)})
    >>> round(top.value, 4), top.converged
    (2.0, True)
    """
    flat = flatten(start)
    first = _unit(flat) + RANDOM_PART * _unit(_normal(flat, generator))
    ritz = _lanczos(
        lambda v: flatten(product(unflatten(v, start))), first, _highest, tol, max_products
    )
    return Eigenvalue(
        ritz.value.item(),
        unflatten(ritz.vector(), start),
        ritz.residual.item(),
        ritz.n_products,
        bool(ritz.converged),
    )


def spectral_norms(
    product: Callable[[Tensor], Tensor],
    start: Tensor,
    *,
    tol: float = 1e-3,
    max_products: int = 64,
) -> tuple[Tensor, Tensor]:
    r"""Spectral norms :math:`\|H_i\|_2` of many symmetric operators at once.

    Parameters
    ----------
    product : callable
        From vectors of shape (..., n_params) to the products of each operator with its
        own vector.
    start : torch.Tensor of shape (..., n_params)
        Random vectors.
    tol : float, default=1e-3
        Tolerance of the error estimate, relative; see `largest_eigenvalue`.
    max_products : int, default=64
        Give up after so many products with every operator.

    Returns
    -------
    norms : torch.Tensor of shape (...)
        Largest modulus of a Ritz value, float64, on the CPU.
    converged : torch.BoolTensor of shape (...)
        Whether the estimated error is within the tolerance.
    """
    ritz = _lanczos(product, start, _largest_modulus, tol, max_products)
    return ritz.value.abs(), ritz.converged


class _Ritz(NamedTuple):
    value: torch.Tensor
    weights: torch.Tensor  # of the basis vectors, in the Ritz vector
    basis: list[Tensor]
    residual: torch.Tensor
    n_products: int
    converged: torch.Tensor

    def vector(self) -> Tensor:
        return sum(
            w * q for w, q in zip(self.weights.to(self.basis[0]), self.basis, strict=True)
        )


def _lanczos(
    multiply: Callable[[Tensor], Tensor],
    start: Tensor,
    pick: Pick,
    tol: float,
    max_products: int,
) -> _Ritz:
    """Ritz pair that `pick` chooses; leading dimensions of `start` are separate problems."""
    q = _unit(start)
    basis: list[Tensor] = []
    alphas: list[Tensor] = []
    betas: list[Tensor] = []
    most = min(max_products, start.shape[-1])
    while True:
        basis.append(q)
        w = multiply(q)
        alphas.append((w * q).sum(-1).cpu().double())
        for b in basis * 2:  # once more: rounding must not be mistaken for a direction
            w = w - (w * b).sum(-1, keepdim=True) * b
        beta = _length(w)[..., 0].cpu().double()
        values, vectors, finite = _tridiagonal(alphas, betas)
        scale = values.abs().amax(-1)
        # What rounding leaves of an exhausted space is no direction.
        beta = torch.where(beta > 10 * torch.finfo(w.dtype).eps * scale, beta, 0)
        value, weights, gap = pick(values, vectors)
        residual = beta * weights[..., -1].abs()
        if len(basis) == start.shape[-1]:
            residual = torch.zeros_like(residual)
        clear = gap > residual
        error = torch.where(clear, residual**2 / torch.where(clear, gap, 1), residual)
        enough = len(basis) >= min(FEWEST_PRODUCTS, most) or not beta.any()
        converged = finite & (error <= tol * scale) & enough
        if converged.all() or len(basis) == most or not finite.any():
            value = torch.where(finite, value, torch.nan)
            residual = torch.where(finite, residual, torch.nan)
            return _Ritz(value, weights, basis, residual, len(basis), converged)
        betas.append(beta)
        q = w * torch.where(beta > 0, 1 / beta, 0).to(w)[..., None]


def _tridiagonal(alphas: list[Tensor], betas: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Eigenvalues and vectors of the Lanczos matrices; whether they are finite."""
    matrix = torch.diag_embed(torch.stack(alphas, -1))
    if betas:
        off = torch.diag_embed(torch.stack(betas, -1), 1)
        matrix = matrix + off + off.mT
    finite = torch.isfinite(matrix).all(-1).all(-1)
    safe = torch.where(finite[..., None, None], matrix, 0)
    return *torch.linalg.eigh(safe), finite


def _highest(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pick the largest Ritz value, its vector, and its distance to the next."""
    gap = values[..., -1] - values[..., -2] if values.shape[-1] > 1 else values[..., -1] * 0
    return values[..., -1], vectors[..., -1], gap


def _largest_modulus(values: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pick the Ritz value of largest modulus: one of the two ends."""
    high, weights, gap = _highest(values, vectors)
    low, low_weights, low_gap = _highest(-values.flip(-1), vectors.flip(-1))
    top = high >= low
    picked = torch.where(top, high, -low), torch.where(top[..., None], weights, low_weights)
    return *picked, torch.where(top, gap, low_gap)


def _leaves(params: Params) -> Params:
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def _normal(like: Tensor, generator: torch.Generator | None) -> Tensor:
    generator = generator or torch.Generator().manual_seed(0)
    return torch.randn(like.shape, generator=generator).to(like)


def _length(vector: Tensor) -> Tensor:
    """Euclidean norm, also where the squares of its entries would be 0 or infinite."""
    peak = vector.abs().amax(dim=-1, keepdim=True)
    scaled = vector / torch.where(peak > 0, peak, 1)
    return peak * torch.linalg.vector_norm(scaled, dim=-1, keepdim=True)


def _unit(vector: Tensor) -> Tensor:
    """Scale to length 1; the zero vector stays."""
    length = _length(vector)
    return vector / torch.where(length > 0, length, 1)
