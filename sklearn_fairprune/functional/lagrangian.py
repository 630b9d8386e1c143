r"""The Lagrangian of a group constraint, as weights of the groups' rows.

Whatever the constraint, its Lagrangian :math:`J + \sum_a \lambda_a g_a` is a function of the
group losses, so a training step on it is a step on a weighted mean of the rows.
"""

from collections.abc import Callable, Mapping

import torch

from .constraints import CONSTRAINTS


def violations(constraint: Callable, statistics: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """Violation of a constraint by some group statistics.

    Parameters
    ----------
    constraint : callable
        Member of `CONSTRAINTS`, or a function of the same form.
    statistics : dict of str to torch.Tensor of shape (m,)
        At least those that it needs.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        The constraint is met where it is at most the tolerance.

    Raises
    ------
    ValueError
        If it does not return one number per group.
    """
    constraint = CONSTRAINTS.find("constraint", constraint)
    values = statistics[str(constraint.subject)]
    violation = constraint(values, **{name: statistics[name] for name in constraint.needs})
    if not isinstance(violation, torch.Tensor) or violation.shape != values.shape:
        got = getattr(violation, "shape", None)
        raise ValueError(
            f"constraint={constraint.name} must return a torch.Tensor with one violation for "
            f"each of the {len(values)} groups, got "
            f"{type(violation).__name__ if got is None else f'shape {tuple(got)}'}."
        )
    return violation


def violation_slopes(
    constraint: Callable, statistics: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    r"""Derivatives of the violations in the means of the groups.

    Parameters
    ----------
    constraint : callable
        Member of `CONSTRAINTS`, or a function of the same form.
    statistics : dict of str to torch.Tensor of shape (m,)
        At least those that it needs.

    Returns
    -------
    slopes : dict of str to torch.Tensor of shape (m, m)
        :math:`\partial g_a / \partial J_b` in row a and column b, for what the constraint is
        about and for each other statistic that it needs but the shares, which are fixed.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_loss
    >>> from sklearn_fairprune.functional.lagrangian import violation_slopes
    >>> statistics = {"losses": torch.ones(2), "shares": torch.tensor([0.75, 0.25])}
    >>> violation_slopes(equal_loss, statistics)
    {'losses': tensor([[ 0.2500, -0.2500],
            [-0.7500,  0.7500]])}
    """
    constraint = CONSTRAINTS.find("constraint", constraint)
    names = [n for n in (str(constraint.subject), *constraint.needs) if n != "shares"]

    def of(*values: torch.Tensor) -> torch.Tensor:
        return violations(constraint, {**statistics, **dict(zip(names, values, strict=True))})

    given = tuple(statistics[name].detach() for name in names)
    found = torch.autograd.functional.jacobian(of, given)
    return dict(zip(names, found, strict=True))


def group_weights(
    constraint: Callable, multipliers: torch.Tensor, statistics: Mapping[str, torch.Tensor]
) -> torch.Tensor:
    r"""Weight of each group's rows in the Lagrangian of a constraint.

    The Lagrangian :math:`L = J + \sum_b \lambda_b g_b(J_1, \dots, J_m)` has the gradient
    :math:`\sum_a \frac{\partial L}{\partial J_a} \nabla_\theta J_a`, which is that of the
    mean over all rows with the weight

    .. math:: u_a = \frac{1}{\pi_a} \frac{\partial L}{\partial J_a}
              = 1 + \frac{1}{\pi_a} \sum_b \lambda_b \frac{\partial g_b}{\partial J_a}

    on each row of group a, :math:`\pi_a = n_a / n`. Constraints on errors have the losses in
    their place.

    Parameters
    ----------
    constraint : callable
        Member of `CONSTRAINTS`, or a function of the same form; differentiable in its first
        argument.
    multipliers : torch.Tensor of shape (m,)
        :math:`\lambda`.
    statistics : dict of str to torch.Tensor of shape (m,)
        ``losses``, ``shares``, and those that the constraint needs.

    Returns
    -------
    weights : torch.Tensor of shape (m,)
        1 everywhere if all multipliers are 0. The share-weighted mean stays 1 for
        constraints on differences to the mean. Negative where the rows would be trained
        to do worse.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_loss, group_weights
    >>> statistics = {"losses": torch.ones(2), "shares": torch.tensor([0.75, 0.25])}
    >>> group_weights(equal_loss, torch.tensor([0.0, 0.5]), statistics)
    tensor([0.5000, 2.5000])
    """
    values = statistics["losses"].detach().clone().requires_grad_()
    constraint = CONSTRAINTS.find("constraint", constraint)
    subject = str(constraint.subject)
    with torch.enable_grad():
        violation = violations(constraint, {**statistics, subject: values})
        if not violation.requires_grad:
            raise ValueError(
                f"constraint={constraint.name} must be differentiable in {subject!r}, with "
                "torch operations that have a derivative: its violation has none, so that no "
                "weight could lower it."
            )
        (slope,) = torch.autograd.grad(violation, values, multipliers.to(violation.dtype))
    if violation.isnan().any():  # it moves nothing, and is never met
        slope = slope.nan_to_num(nan=0.0)
    shares = statistics["shares"]
    return torch.where(shares > 0, 1 + slope / shares.clamp(min=torch.finfo().tiny), 1.0)


def bounded_multipliers(
    constraint: Callable,
    extra: torch.Tensor,
    statistics: Mapping[str, torch.Tensor],
    least: float,
) -> torch.Tensor:
    r"""Multipliers that leave every row a weight of at least so much.

    They are :math:`\lambda_a = f \pi_a \mu_a`, with the largest :math:`f \le 1` for which no
    weight of `group_weights` is below `least`: the weights are linear in the multipliers.

    Parameters
    ----------
    constraint : callable
        Member of `CONSTRAINTS`, or a function of the same form.
    extra : torch.Tensor of shape (m,)
        :math:`\mu_a`, as from `functional.dual_updates.relative_step`.
    statistics : dict of str to torch.Tensor of shape (m,)
        As for `group_weights`.
    least : float
        In [0, 1).

    Returns
    -------
    multipliers : torch.Tensor of shape (m,)
        :math:`\lambda`.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_loss, group_weights
    >>> from sklearn_fairprune.functional.lagrangian import bounded_multipliers
    >>> statistics = {"losses": torch.ones(2), "shares": torch.tensor([0.75, 0.25])}
    >>> found = bounded_multipliers(equal_loss, torch.tensor([0.0, 3.0]), statistics, 0.5)
    >>> found, group_weights(equal_loss, found, statistics)
    (tensor([0.0000, 0.5000]), tensor([0.5000, 2.5000]))
    """
    multipliers = statistics["shares"] * extra
    lowest = float(group_weights(constraint, multipliers, statistics).min())
    return multipliers if lowest >= least else multipliers * (1 - least) / (1 - lowest)
