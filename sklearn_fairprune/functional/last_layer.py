"""The last layer of a network fitted again, its inputs as they are."""

from collections.abc import Callable

import torch
from torch import Tensor


def refit_pull(inputs: Tensor, outputs: Tensor, mass: Tensor, loss: float) -> Tensor:
    r"""Strength of the pull back to the layer before, for each input.

    With the row weights :math:`w`, the inputs :math:`x`, the outputs :math:`z` and the mean
    loss J of the layer before,

    .. math:: h_k = J \, \frac{\overline{x_k^2}}{\sum_j \operatorname{var} z_j}.

    A change D costs :math:`\tfrac12 \sum_{jk} h_k D_{jk}^2`. It is in the unit of the loss,
    and it stays the same in whatever unit inputs, outputs and loss are: outputs that move by
    as much as they vary cost about as much as the loss itself. Constant outputs have no unit
    of their own, and count as if they varied by 1.

    Parameters
    ----------
    inputs : torch.Tensor of shape (n, p)
        Of the layer; a column of ones for the bias.
    outputs : torch.Tensor of shape (n, q)
        Of the layer before.
    mass : torch.Tensor of shape (n,)
        Row weights, at least 0.
    loss : float
        Mean loss of the layer before.

    Returns
    -------
    pull : torch.Tensor of shape (p,)

    References
    ----------
    The toolkit's own. Levenberg's and Marquardt's damping scales with second moments, too:
    Nocedal, Wright, "Numerical optimization", 2nd edition, 2006, section 10.3.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.last_layer import refit_pull
    >>> inputs, outputs = torch.tensor([[1.0, 1.0], [3.0, 1.0]]), torch.tensor([[0.0], [2.0]])
    >>> refit_pull(inputs, outputs, torch.ones(2), loss=0.5)
    tensor([2.5000, 0.5000])
    """
    shares = mass / mass.sum()
    spread = shares @ (outputs - shares @ outputs).square().sum(dim=1)
    constant = spread <= 1e-12 * (shares @ outputs.square().sum(dim=1))
    return loss * (shares @ inputs.square()) / (1.0 if constant else spread)


def refit_layer(
    inputs: Tensor,
    outputs: Tensor,
    loss: Callable[[Tensor], Tensor],
    free: Tensor,
    pull: Tensor,
    *,
    start: Tensor | None = None,
    max_iter: int = 100,
) -> Tensor:
    r"""Change of a linear layer that lowers a loss of its outputs.

    .. math:: \min_D \; J(Z + X D^\top) + \tfrac12 \sum_{jk} h_k D_{jk}^2, \qquad
              D_{jk} = 0 \text{ where not free,}

    by L-BFGS on :math:`\sqrt{h_k} D_{jk}`, so that the units of inputs and loss do not
    matter.

    Parameters
    ----------
    inputs : torch.Tensor of shape (n, p)
        X.
    outputs : torch.Tensor of shape (n, q)
        Z, of the layer before.
    loss : callable
        J: from outputs to a number, differentiable.
    free : bool torch.Tensor of shape (q, p)
        Entries that may change. Those of inputs that are always 0 do not.
    pull : torch.Tensor of shape (p,)
        h, as from `refit_pull`.
    start : torch.Tensor of shape (q, p), default=None
        Where to begin; None: no change.
    max_iter : int, default=100
        Bound on the steps.

    Returns
    -------
    change : torch.Tensor of shape (q, p)
        D.

    References
    ----------
    Liu, Nocedal, "On the limited memory BFGS method for large scale optimization",
    Mathematical Programming 45, 1989. A last layer that is fitted again: Kirichenko, Izmailov,
    Wilson, "Last layer re-training is sufficient for robustness to spurious correlations",
    ICLR 2023.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.last_layer import refit_layer
    >>> inputs, y = torch.ones(4, 1), torch.tensor([0.0, 1.0, 2.0, 3.0])
    >>> loss = lambda z: (z[:, 0] - y).square().mean() / 2
    >>> free, pull = torch.ones(1, 1, dtype=torch.bool), torch.tensor([0.5])
    >>> refit_layer(inputs, torch.zeros(4, 1), loss, free, pull)
    tensor([[1.]])
    """
    with torch.no_grad():
        unit = float(loss(outputs).abs()) or 1.0
    pull = pull / unit
    free = free & (pull > 0)
    change = torch.zeros_like(free, dtype=inputs.dtype)
    if not free.any():
        return change
    used = free.any(dim=0)
    scale = pull[used].clamp(min=torch.finfo(pull.dtype).tiny).rsqrt()
    scaled, open_ = inputs[:, used] * scale, free[:, used]
    first = torch.zeros_like(open_, dtype=inputs.dtype)
    if start is not None:
        first = torch.where(open_, start[:, used] / scale, 0.0)
    point = first.requires_grad_()
    steps = torch.optim.LBFGS(
        [point],
        max_iter=max_iter,
        tolerance_grad=0.0,
        tolerance_change=1e-12,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        steps.zero_grad()
        value = loss(outputs + scaled @ point.T) / unit + point.square().sum() / 2
        (gradient,) = torch.autograd.grad(value, point)
        point.grad = gradient * open_
        return value

    with torch.enable_grad():
        steps.step(closure)
    change[:, used] = point.detach() * scale
    return change
