r"""Steps of the Lagrange multipliers :math:`\lambda` of group constraints."""

import torch
from torch import Tensor


def project(multipliers: Tensor, total: float = float("inf"), exactly: bool = False) -> Tensor:
    r"""Nearest point of :math:`\{\lambda \ge 0, \sum_a \lambda_a \le \text{total}\}`.

    Parameters
    ----------
    multipliers : torch.Tensor
        Any shape.
    total : float, default=inf
        Bound on their sum.
    exactly : bool, default=False
        Whether they must sum to `total`, as on the probability simplex.

    Returns
    -------
    multipliers : torch.Tensor
        Of the same shape.

    References
    ----------
    Duchi, Shalev-Shwartz, Singer, Chandra, "Efficient projections onto the l1-ball for
    learning in high dimensions", ICML 2008, Figure 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.dual_updates import project
    >>> project(torch.tensor([-1.0, 0.5, 1.0]), total=1.0)
    tensor([0.0000, 0.2500, 0.7500])
    """
    positive = multipliers.clamp(min=0)
    if not exactly and float(positive.sum()) <= total:
        return positive
    multipliers = multipliers - multipliers.max()  # the nearest point is the same
    flat = multipliers.flatten().sort(descending=True).values
    count = torch.arange(1, len(flat) + 1, dtype=flat.dtype)
    excess = (flat.cumsum(0) - total) / count
    kept = int((flat > excess).nonzero().max())
    return (multipliers - excess[kept]).clamp(min=0)


def dual_step(
    multipliers: Tensor,
    violation: Tensor,
    smoothed: Tensor,
    *,
    lr: float,
    share: float = 1.0,
    gain: float = 0.0,
    smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    r"""One step of the multipliers: gradient ascent, or nuPI, which damps overshoot.

    With violations :math:`e_t` and their running mean :math:`\xi_t = \nu \xi_{t-1} +
    (1 - \nu) e_t` (:math:`\xi_{-1} = 0`, :math:`\xi_0 = e_0`),

    .. math:: \lambda_{t+1} = \lambda_t + s (h e_t + \kappa (\xi_t - \xi_{t-1})).

    Plain ascent has :math:`\kappa = 0`. Nothing moves where the violation is NaN.

    Parameters
    ----------
    multipliers, violation : torch.Tensor of the same shape
        :math:`\lambda_t` and :math:`e_t`.
    smoothed : torch.Tensor of the same shape
        :math:`\xi_{t-1}`; NaN before the first step.
    lr : float
        Step size s, for a whole epoch.
    share : float, default=1.0
        :math:`h`, the part of an epoch since the last step.
    gain : float, default=0.0
        :math:`\kappa`.
    smoothing : float, default=0.0
        :math:`\nu`, in [0, 1).

    Returns
    -------
    multipliers, smoothed : torch.Tensor
        :math:`\lambda_{t+1}`, not yet projected, and :math:`\xi_t`.

    References
    ----------
    Sohrabi, Ramirez, Zhang, Lacoste-Julien, Gallego-Posada, "On PI controllers for updating
    Lagrange multipliers in constrained optimization", ICML 2024, Algorithm 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.dual_updates import dual_step
    >>> start, nothing = torch.zeros(2), torch.full((2,), torch.nan)
    >>> dual_step(start, torch.tensor([0.5, torch.nan]), nothing, lr=0.1)[0]
    tensor([0.0500, 0.0000])
    """
    before = smoothed.nan_to_num(0.0)
    mixed = smoothing * before + (1 - smoothing) * violation
    now = torch.where(smoothed.isnan(), violation, mixed)
    move = lr * (share * violation + gain * (now - before))
    known = violation.isfinite()
    return (
        torch.where(known, multipliers + move, multipliers),
        torch.where(known, now, smoothed),
    )


def relative_step(
    extra: Tensor,
    excess: Tensor,
    *,
    scale: Tensor | float,
    noise: Tensor | float = 0.0,
    lr: float,
    most: float = float("inf"),
) -> Tensor:
    r"""One step of the extra weight of each group's rows, whatever the unit of the loss.

    With the violations beyond the tolerance :math:`e_a`, what of them chance could do
    :math:`c_a`, and the mean J of what is constrained,

    .. math:: z_a = \operatorname{clip}\Bigl(\operatorname{sign}(e_a) \frac{\max(|e_a| - c_a,
              0)}{J}, -1, 1\Bigr), \qquad
              \mu_a \leftarrow \operatorname{clip}(\mu_a + s z_a, 0, \mu_{\max}).

    Nothing moves where the violation is NaN, nor where there is no loss.

    Parameters
    ----------
    extra : torch.Tensor of shape (m,)
        :math:`\mu_a = \lambda_a / \pi_a`: what the multiplier :math:`\lambda_a` of a group
        of share :math:`\pi_a` adds to the weight 1 of each of its rows.
    excess : torch.Tensor of shape (m,)
        :math:`e_a`.
    scale : torch.Tensor or float
        J, in the unit of `excess`.
    noise : torch.Tensor of shape (m,) or float, default=0.0
        :math:`c_a`, such as two standard errors.
    lr : float
        s, of this step.
    most : float, default=inf
        :math:`\mu_{\max}`. Clipped at every step, so that nothing winds up beyond it.

    Returns
    -------
    extra : torch.Tensor of shape (m,)
        After the step.

    References
    ----------
    The toolkit's own. The form is that of projected dual ascent: Bertsekas, "Nonlinear
    programming", 3rd edition, 2016, section 7.2.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.dual_updates import relative_step
    >>> excess, noise = torch.tensor([-0.2, 0.1, 0.5]), torch.tensor([0.1, 0.2, 0.1])
    >>> relative_step(torch.zeros(3), excess, scale=0.8, noise=noise, lr=0.2)
    tensor([0.0000, 0.0000, 0.1000])
    """
    beyond = excess.sign() * (excess.abs() - noise).clamp(min=0)
    move = lr * (beyond / scale).clamp(-1, 1)
    return torch.where(move.isfinite(), extra + move, extra).clamp(0, most)
