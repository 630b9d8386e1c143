"""Diagonal of a Hessian from its products: exact, or by probing."""

import torch

from .curvature import Product
from .params import Params, flatten, unflatten


def hessian_diagonal(product: Product, params: Params) -> Params:
    r"""Exact diagonal of the Hessian, by one product per parameter.

    Parameters
    ----------
    product : callable
        From a dict of tensors v to H v, as from `hessian_product`.
    params : dict of str to torch.Tensor
        Names and shapes.

    Returns
    -------
    diagonal : dict of str to torch.Tensor
        :math:`\partial^2 J / \partial \theta_k^2`. For more than some ten thousand
        parameters use `hutchinson_diagonal`.
    """
    flat = flatten(params)
    diagonal, unit = torch.empty_like(flat), torch.zeros_like(flat)
    for k in range(len(flat)):
        unit[k] = 1
        diagonal[k] = flatten(product(unflatten(unit, params)))[k]
        unit[k] = 0
    return unflatten(diagonal, params)


def hutchinson_diagonal(
    product: Product,
    params: Params,
    *,
    n_probes: int = 64,
    generator: torch.Generator | None = None,
) -> tuple[Params, Params]:
    r"""Diagonal of the Hessian estimated from random signs, :math:`E[v \odot H v]`.

    Parameters
    ----------
    product : callable
        From a dict of tensors v to H v, as from `hessian_product`.
    params : dict of str to torch.Tensor
        Names and shapes.
    n_probes : int, default=64
        Number of random vectors with entries -1 and +1, at least 2.
    generator : torch.Generator, default=None
        None is a generator with seed 0.

    Returns
    -------
    diagonal : dict of str to torch.Tensor
        Unbiased estimate.
    standard_error : dict of str to torch.Tensor
        Of each entry.

    References
    ----------
    Bekas, Kokiopoulou, Saad, "An estimator for the diagonal of a matrix", Applied
    Numerical Mathematics 57, 2007.
    """
    if n_probes < 2:
        raise ValueError(f"n_probes must be at least 2 for a standard error, got {n_probes}.")
    generator = generator or torch.Generator().manual_seed(0)
    flat = flatten(params)
    mean, squares = torch.zeros_like(flat), torch.zeros_like(flat)
    for k in range(n_probes):
        signs = torch.randint(0, 2, flat.shape, generator=generator).to(flat) * 2 - 1
        sample = signs * flatten(product(unflatten(signs, params)))
        step = sample - mean  # Welford's running variance
        mean = mean + step / (k + 1)
        squares = squares + step * (sample - mean)
    error = (squares / (n_probes - 1) / n_probes).sqrt()
    return unflatten(mean, params), unflatten(error, params)
