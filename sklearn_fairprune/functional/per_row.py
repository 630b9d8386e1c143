r"""Derivatives of every single row: directional, gradient norms, Jacobians, Hessians.

A row function is ``function(params, *row)`` for the tensors of one row without their batch
dimension. It is mapped over the rows by :func:`torch.func.vmap`, which costs some ten to
twenty-five gradient passes; networks that vmap cannot take (recurrent ones, say) go row by
row, with the same result.
"""

import warnings
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor
from torch.func import grad, vmap

from .curvature import gradient, hessian_product, spectral_norms
from .params import Features, Params, dot, flatten, unflatten


def directional_derivatives(
    losses: Callable[[Params], Tensor], params: Params, direction: Params, order: int = 2
) -> tuple[Tensor, ...]:
    r"""First and second derivative of every row's loss along one direction.

    :math:`g_i \cdot u` and :math:`u^T H_i u` for all rows i at the price of a few gradient
    passes: the directional derivatives of :math:`\sum_i w_i l_i` are linear in the weights
    w, and one more backward pass takes them apart.

    Parameters
    ----------
    losses : callable
        From a dict of parameters to the losses of shape (n,).
    params : dict of str to torch.Tensor
        Where.
    direction : dict of str to torch.Tensor
        u, named and shaped like `params`.
    order : {1, 2}, default=2
        1 spares the second derivatives, which are most of the work.

    Returns
    -------
    first, second : torch.Tensor of shape (n,)
        Their means are the directional derivatives of the mean loss. With ``order=1`` a
        tuple of the first alone.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import directional_derivatives
    >>> x = torch.tensor([1.0, 2.0])
    >>> directional_derivatives(
    ...     lambda p: (p["w"] * x) ** 2, {"w": torch.tensor(3.0)}, {"w": torch.tensor(1.0)}
    ... )
    (tensor([ 6., 24.]), tensor([2., 8.]))
    """
    leaves = {name: p.detach().requires_grad_() for name, p in params.items()}
    rows = losses(leaves)
    weights = torch.ones_like(rows, requires_grad=True)
    slope = _along((weights * rows).sum(), leaves, direction)
    if not slope.requires_grad:
        return (torch.zeros_like(rows),) * order
    first = _of(slope, weights, retain_graph=order == 2)
    if order == 1:
        return (first,)
    bend = _along(slope, leaves, direction)
    return first, _of(bend, weights) if bend.requires_grad else torch.zeros_like(rows)


def _along(scalar: Tensor, leaves: Params, direction: Params) -> Tensor:
    """Directional derivative of a scalar, differentiable again."""
    grads = torch.autograd.grad(
        scalar, list(leaves.values()), create_graph=True, allow_unused=True
    )
    parts = [
        (g * direction[k]).sum() for k, g in zip(leaves, grads, strict=True) if g is not None
    ]
    return sum(parts, scalar.new_zeros(()))


def _of(scalar: Tensor, weights: Tensor, retain_graph: bool = False) -> Tensor:
    (rows,) = torch.autograd.grad(
        scalar, weights, retain_graph=retain_graph, allow_unused=True, materialize_grads=True
    )
    return rows


def row_gradients(function: Callable[..., Tensor], params: Params, *rows: Features) -> Tensor:
    """Gradient of a scalar row function for every row.

    Parameters
    ----------
    function : callable
        ``function(params, *row)``, a scalar tensor.
    params : dict of str to torch.Tensor
        Where.
    *rows : torch.Tensor of shape (n, ...), or dict of them
        What the function reads of each row.

    Returns
    -------
    gradients : torch.Tensor of shape (n, n_params)
        In the order of `flatten`.
    """
    return _every_row(
        lambda *row: flatten(grad(function)(params, *row)),
        lambda *row: flatten(gradient(lambda p: function(p, *row), params)),
        rows,
    )


def row_hessian_products(
    function: Callable[..., Tensor], params: Params, vectors: Tensor, *rows: Features
) -> Tensor:
    """Product of the Hessian of a scalar row function with a vector, for every row.

    Parameters
    ----------
    function : callable
        ``function(params, *row)``, a scalar tensor.
    params : dict of str to torch.Tensor
        Where.
    vectors : torch.Tensor of shape (n, n_params)
        One vector for each row.
    *rows : torch.Tensor of shape (n, ...), or dict of them
        What the function reads of each row.

    Returns
    -------
    products : torch.Tensor of shape (n, n_params)
        In the order of `flatten`.
    """

    def product(vector: Tensor, *row: Features) -> Tensor:
        direction = unflatten(vector, params)
        return flatten(grad(lambda p: dot(grad(function)(p, *row), direction))(params))

    def slow(vector: Tensor, *row: Features) -> Tensor:
        _, multiply = hessian_product(lambda p: function(p, *row), params)
        return flatten(multiply(unflatten(vector, params)))

    return _every_row(product, slow, (vectors, *rows))


def _every_row(
    function: Callable[..., Tensor], slow: Callable[..., Tensor], rows: tuple[Features, ...]
) -> Tensor:
    """Map over the rows at once, or one by one where vmap does not know an operation."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "There is a performance drop", UserWarning)
            return vmap(function)(*rows)
    except (RuntimeError, UserWarning):
        n_rows = _n_rows(rows[0])
        return torch.stack([slow(*(_pick(r, k) for r in rows)) for k in range(n_rows)])


def _n_rows(rows: Features) -> int:
    return len(next(iter(rows.values())) if isinstance(rows, dict) else rows)


def _pick(rows: Features, k: int) -> Features:
    return {name: v[k] for name, v in rows.items()} if isinstance(rows, dict) else rows[k]


def jacobian_norms(
    logits: Callable[[Params, Features], Tensor], params: Params, X: Features, n_logits: int
) -> Tensor:
    r"""Spectral norm of the Jacobian of each row's logits, :math:`\|J_z(x_i)\|_2`.

    Parameters
    ----------
    logits : callable
        ``logits(params, x)``, the vector of logits of one row.
    params : dict of str to torch.Tensor
        Where.
    X : torch.Tensor of shape (n, ...), or dict of them
        Rows.
    n_logits : int
        Their number; memory for as many gradients a row is needed.

    Returns
    -------
    norms : torch.Tensor of shape (n,)
        Largest singular values.
    """
    rows = [
        row_gradients(lambda p, x, k=k: logits(p, x)[k], params, X) for k in range(n_logits)
    ]
    jacobians = torch.stack(rows, dim=1)
    gram = (jacobians @ jacobians.mT).cpu().double()
    return torch.linalg.eigvalsh(gram)[:, -1].clamp(min=0).sqrt().to(jacobians)


def hessian_norms(
    logits: Callable[[Params, Features], Tensor],
    params: Params,
    X: Features,
    n_logits: int,
    *,
    tol: float = 1e-3,
    max_products: int = 64,
    generator: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Spectral norm of the Hessian of each row's logits, :math:`\|\nabla^2 z_k(x_i)\|_2`.

    Parameters
    ----------
    logits : callable
        ``logits(params, x)``, the vector of logits of one row.
    params : dict of str to torch.Tensor
        Where.
    X : torch.Tensor of shape (n, ...), or dict of them
        Rows.
    n_logits : int
        Their number.
    tol, max_products : float, int
        As in `largest_eigenvalue`.
    generator : torch.Generator, default=None
        Of the start vectors; None is a generator with seed 0.

    Returns
    -------
    norms : torch.Tensor of shape (n, n_logits)
        By Lanczos; 0 for logits that are linear in the parameters.
    converged : torch.BoolTensor of shape (n, n_logits)
        Whether the estimated error is within the tolerance.
    """
    generator = generator or torch.Generator().manual_seed(0)
    n_rows = _n_rows(X)
    first = flatten(params)
    if not n_rows:
        return first.new_empty(0, n_logits), torch.empty(0, n_logits, dtype=torch.bool)

    def product(vectors: Tensor, k: int) -> Tensor:
        return row_hessian_products(lambda p, x: logits(p, x)[k], params, vectors, X)

    norms, converged = [], []
    for k in range(n_logits):
        start = torch.randn(n_rows, len(first), generator=generator).to(first)
        value, done = spectral_norms(
            partial(product, k=k), start, tol=tol, max_products=max_products
        )
        norms.append(value)
        converged.append(done)
    return torch.stack(norms, 1).to(first), torch.stack(converged, 1)


def fisher_diagonal(
    function: Callable[..., Tensor],
    params: Params,
    *rows: Features,
    weights: Tensor | None = None,
) -> Params:
    r"""Diagonal of the Fisher information, the mean of squared row gradients.

    With ``function(params, x, y)`` the loss of a row and its true label this is the
    *empirical* Fisher. The true one takes the mean over the network's own labels: the sum
    over the classes k of this function with all labels k and the weights :math:`p_{ik}`.

    Parameters
    ----------
    function : callable
        ``function(params, *row)``, minus the log-likelihood of one row.
    params : dict of str to torch.Tensor
        Where.
    *rows : torch.Tensor of shape (n, ...), or dict of them
        What the function reads of each row.
    weights : torch.Tensor of shape (n,), default=None
        Weights of the rows; the sum of weighted squares is divided by n all the same.

    Returns
    -------
    diagonal : dict of str to torch.Tensor
        Never negative.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import fisher_diagonal
    >>> x = torch.tensor([1.0, 2.0])
    >>> fisher_diagonal(lambda p, x: p["w"] * x, {"w": torch.tensor(3.0)}, x)
    {'w': tensor(2.5000)}
    """
    squares = row_gradients(function, params, *rows) ** 2
    if weights is not None:
        squares = squares * weights[:, None]
    return unflatten(squares.mean(0), params)
