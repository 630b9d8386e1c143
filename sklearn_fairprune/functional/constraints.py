r"""Group constraints: group statistics go in, one violation per group comes out.

A constraint is met where its violation is at most the tolerance. It is one pure function
and one line in `CONSTRAINTS`. Its first argument, ``losses`` or ``errors``, is the group
statistic it is about; its keyword-only arguments without default name what else it needs,
among those of `STATISTICS`. All are tensors with one entry per group.

Whatever the constraint, its Lagrangian :math:`J + \sum_a \lambda_a g_a` is a function of the
group losses, so a training step on it is a step on a weighted mean of the rows: see
`group_weights`.
"""

import functools
import inspect
from typing import NamedTuple

import torch

STATISTICS = ("losses", "errors", "dense_losses", "dense_errors", "shares")


def equal_loss(losses, *, shares):
    r"""Loss of each group above the loss of all rows, :math:`J(\theta; D_a) - J(\theta; D)`.

    Met exactly it leaves the fairness violation at the spread of the *dense* losses.

    Parameters
    ----------
    losses : torch.Tensor of shape (m,)
        Mean loss of each group.
    shares : torch.Tensor of shape (m,)
        :math:`n_a / n`; they sum to 1.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        Its mean, weighted by `shares`, is 0.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022, problem (8).

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_loss
    >>> equal_loss(torch.tensor([1.0, 3.0]), shares=torch.tensor([0.75, 0.25]))
    tensor([-0.5000,  1.5000])
    """
    return losses - shares @ losses


def equal_excessive_loss(losses, *, dense_losses, shares):
    r"""Excessive loss of each group above that of all rows, :math:`R(a) - R`.

    Its differences are those of the fairness violation :math:`\xi`.

    Parameters
    ----------
    losses, dense_losses : torch.Tensor of shape (m,)
        Mean loss of each group, of the pruned and of the dense network.
    shares : torch.Tensor of shape (m,)
        :math:`n_a / n`.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        Its mean, weighted by `shares`, is 0.

    References
    ----------
    Tran et al., NeurIPS 2022, for R(a); as a constraint the toolkit's own.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_excessive_loss
    >>> half = torch.tensor([0.5, 0.5])
    >>> equal_excessive_loss(torch.tensor([1.0, 3.0]), dense_losses=half, shares=half)
    tensor([-1.,  1.])
    """
    return equal_loss(losses - dense_losses, shares=shares)


def accuracy_gap(errors, *, dense_errors, shares):
    r"""Excess accuracy gap of each group, :math:`\psi_a = \Delta_a - \Delta`.

    The multipliers step on these accuracies, the weights on the losses in their place.

    Parameters
    ----------
    errors, dense_errors : torch.Tensor of shape (m,)
        Error rate of each group, of the pruned and of the dense network.
    shares : torch.Tensor of shape (m,)
        :math:`n_a / n`.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        Positive for groups that lose more accuracy than the whole.

    References
    ----------
    Hashemizadeh et al., "Balancing Act: Constraining Disparate Impact in Sparse Models",
    ICLR 2024.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import accuracy_gap
    >>> dense, half = torch.tensor([0.0, 0.0]), torch.tensor([0.5, 0.5])
    >>> accuracy_gap(torch.tensor([0.0, 0.5]), dense_errors=dense, shares=half)
    tensor([-0.2500,  0.2500])
    """
    return equal_loss(errors - dense_errors, shares=shares)


def bounded_group_loss(losses):
    r"""Loss of each group, :math:`J(\theta; D_a)`; the tolerance is its bound.

    Parameters
    ----------
    losses : torch.Tensor of shape (m,)
        Mean loss of each group.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        The losses themselves.

    References
    ----------
    Agarwal, Dudik, Wu, "Fair regression: quantitative definitions and reduction-based
    algorithms", ICML 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import bounded_group_loss
    >>> bounded_group_loss(torch.tensor([1.0, 3.0]))
    tensor([1., 3.])
    """
    return losses


def minimax(losses, *, shares):
    r"""Minimise the loss of the worst group, :math:`\min_\theta \max_a J(\theta; D_a)`.

    The same violation as `equal_loss`; but the multipliers sum to 1, so that the
    Lagrangian is :math:`\sum_a \lambda_a J(\theta; D_a)`.

    Parameters
    ----------
    losses : torch.Tensor of shape (m,)
        Mean loss of each group.
    shares : torch.Tensor of shape (m,)
        :math:`n_a / n`.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        Its mean, weighted by `shares`, is 0.

    References
    ----------
    Sagawa, Koh, Hashimoto, Liang, "Distributionally robust neural networks", ICLR 2020.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import minimax
    >>> minimax(torch.tensor([1.0, 3.0]), shares=torch.tensor([0.5, 0.5]))
    tensor([-1.,  1.])
    """
    return equal_loss(losses, shares=shares)


CONSTRAINTS = {
    "equal_loss": equal_loss,
    "equal_excessive_loss": equal_excessive_loss,
    "accuracy_gap": accuracy_gap,
    "bounded_group_loss": bounded_group_loss,
    "minimax": minimax,
}


class Needs(NamedTuple):
    """What a constraint reads.

    Attributes
    ----------
    first : {"losses", "errors"}
        The statistic it is about.
    others : tuple of str
        Further statistics, of `STATISTICS`.
    """

    first: str
    others: tuple

    @property
    def errors(self):
        """Whether it is about wrong predictions, which only classifiers have."""
        return any(name.endswith("errors") for name in (self.first, *self.others))

    @property
    def dense(self):
        """Whether it compares with the dense network."""
        return any(name.startswith("dense_") for name in self.others)


@functools.cache
def needs(constraint):
    """Statistics that a constraint asks for by the names of its arguments.

    Parameters
    ----------
    constraint : callable
        See the head of this file.

    Returns
    -------
    needs : Needs

    Raises
    ------
    ValueError
        If an argument has a name that is no statistic.

    Examples
    --------
    >>> from sklearn_fairprune.functional.constraints import accuracy_gap, needs
    >>> needs(accuracy_gap)
    Needs(first='errors', others=('dense_errors', 'shares'))
    """
    arguments = list(inspect.signature(constraint).parameters.values())
    asked = [a.name for a in arguments if a.default is a.empty and a.kind is not a.VAR_KEYWORD]
    first, others = asked[:1], asked[1:]
    positional = arguments and arguments[0].kind is not inspect.Parameter.KEYWORD_ONLY
    named = positional and [arguments[0].name] == first and first[0] in ("losses", "errors")
    if not named or set(others) - set(STATISTICS):
        raise ValueError(
            f"constraint: the first argument of {constraint!r} must be called 'losses' or "
            f"'errors', and the keyword-only ones without default be among "
            f"{list(STATISTICS)}; it has {[a.name for a in arguments]}."
        )
    return Needs(first[0], tuple(others))


def violations(constraint, statistics):
    """Violation of a constraint by some group statistics.

    Parameters
    ----------
    constraint : callable
        Function of this shelf, or of the same form.
    statistics : dict of str to torch.Tensor of shape (m,)
        At least those that it needs.

    Returns
    -------
    violation : torch.Tensor of shape (m,)

    Raises
    ------
    ValueError
        If it does not return one number per group.
    """
    asked = needs(constraint)
    values = statistics[asked.first]
    violation = constraint(values, **{name: statistics[name] for name in asked.others})
    if not isinstance(violation, torch.Tensor) or violation.shape != values.shape:
        got = getattr(violation, "shape", None)
        raise ValueError(
            f"constraint={constraint!r} must return a torch.Tensor with one violation for "
            f"each of the {len(values)} groups, got "
            f"{type(violation).__name__ if got is None else f'shape {tuple(got)}'}."
        )
    return violation


def group_weights(constraint, multipliers, statistics):
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
        Function of this shelf, or of the same form; differentiable in its first argument.
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
    first = needs(constraint).first
    with torch.enable_grad():
        violation = violations(constraint, statistics | {first: values})
        if not violation.requires_grad:
            raise ValueError(
                f"constraint={constraint!r} must be differentiable in {first!r}, with torch "
                "operations that have a derivative: its violation has none, so that no "
                "weight could lower it."
            )
        (slope,) = torch.autograd.grad(violation, values, multipliers.to(violation.dtype))
    shares = statistics["shares"]
    return torch.where(shares > 0, 1 + slope / shares.clamp(min=torch.finfo().tiny), 1.0)
