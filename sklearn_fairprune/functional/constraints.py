r"""Group constraints: group statistics go in, one violation per group comes out.

A constraint is met where its violation is at most the tolerance. It is one pure function
and one record in `CONSTRAINTS`. Its first argument, ``losses`` or ``errors``, is the group
statistic it is about; its other arguments without default name what else it needs, among
`STATISTICS`. All are tensors with one entry per group.
"""

import inspect
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from .needs import needs
from .shelf import LOSS, Member, Shelf

STATISTICS = ("losses", "errors", "dense_losses", "dense_errors", "shares")


def equal_loss(losses: Tensor, *, shares: Tensor) -> Tensor:
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


def equal_excessive_loss(losses: Tensor, *, dense_losses: Tensor, shares: Tensor) -> Tensor:
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


def accuracy_gap(errors: Tensor, *, dense_errors: Tensor, shares: Tensor) -> Tensor:
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


def equal_accuracy(errors: Tensor, *, shares: Tensor) -> Tensor:
    r"""Error rate of each group above that of all rows: what its accuracy falls short.

    The multipliers step on these error rates, the weights on the losses in their place.

    Parameters
    ----------
    errors : torch.Tensor of shape (m,)
        Error rate of each group.
    shares : torch.Tensor of shape (m,)
        :math:`n_a / n`.

    Returns
    -------
    violation : torch.Tensor of shape (m,)
        Its differences are those of the accuracies; its mean, weighted by `shares`, is 0.

    References
    ----------
    Berk, Heidari, Jabbari, Kearns, Roth, "Fairness in criminal justice risk assessments: the
    state of the art", Sociological Methods and Research 50, 2021: overall accuracy equality.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import equal_accuracy
    >>> equal_accuracy(torch.tensor([0.1, 0.5]), shares=torch.tensor([0.75, 0.25]))
    tensor([-0.1000,  0.3000])
    """
    return equal_loss(errors, shares=shares)


def bounded_group_loss(losses: Tensor) -> Tensor:
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


def minimax(losses: Tensor, *, shares: Tensor) -> Tensor:
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


@dataclass(frozen=True)
class Constraint(Member):
    """A constraint on group statistics.

    Parameters
    ----------
    function : callable
        From group statistics to one violation a group.
    title : str
        What plots call it.
    unit : {"loss", "share"} or None
        Of the violations: that of the loss, a share of the rows, or none that is known.
    cancels : bool
        Whether the violations, weighted by the shares, sum to 0: what one group gains,
        others lose.
    simplex : bool
        Whether the multipliers sum to 1, so that there is nothing to be met.
    bound : bool
        Whether the tolerance is a bound on the whole, which only the user can know.

    Raises
    ------
    ValueError
        If an argument has a name that is no statistic.

    Examples
    --------
    >>> from sklearn_fairprune.functional import CONSTRAINTS
    >>> accuracy_gap = CONSTRAINTS["accuracy_gap"]
    >>> accuracy_gap.subject, accuracy_gap.needs, accuracy_gap.of_errors
    ('errors', ('dense_errors', 'shares'), True)
    """

    unit: str | None = None
    cancels: bool = False
    simplex: bool = False
    bound: bool = False

    def __post_init__(self) -> None:
        """Refuse a function that asks for what there is not."""
        if self.subject not in ("losses", "errors"):
            raise ValueError(
                f"constraint: the first argument of {self.name} must be called 'losses' or "
                f"'errors', the group statistic it is about; it is {self.subject!r}. Its "
                f"other arguments without default are among {list(STATISTICS)}."
            )
        _ = self.needs

    @cached_property
    def subject(self) -> str | None:
        """Name of the first argument, if it is positional and has no default."""
        arguments = list(inspect.signature(self.function).parameters.values())
        positional = (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        )
        first = arguments[0] if arguments else None
        if first is None or first.kind not in positional or first.default is not first.empty:
            return None
        return first.name

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Names of the other statistics it asks for."""
        return needs(self.function, STATISTICS, "constraint", subject=True)

    @property
    def of_loss(self) -> bool:
        """Whether the violations are in units of the loss."""
        return self.unit == LOSS

    @property
    def of_errors(self) -> bool:
        """Whether it is about wrong predictions, which only classifiers have."""
        return any(name.endswith("errors") for name in (str(self.subject), *self.needs))

    @property
    def of_dense(self) -> bool:
        """Whether it compares with the dense network."""
        return any(name.startswith("dense_") for name in self.needs)


CONSTRAINTS = Shelf(
    Constraint,
    Constraint(equal_loss, unit="loss", cancels=True),
    Constraint(equal_excessive_loss, unit="loss", cancels=True),
    Constraint(accuracy_gap, unit="share", cancels=True),
    Constraint(equal_accuracy, unit="share", cancels=True),
    Constraint(bounded_group_loss, unit="loss", bound=True),
    Constraint(minimax, unit="loss", cancels=True, simplex=True),
)
