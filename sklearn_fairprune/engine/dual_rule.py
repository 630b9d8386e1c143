"""How the multipliers of a group constraint step, as one record."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..functional.constraints import CONSTRAINTS, Constraint
from ..functional.dual_updates import dual_step, project, relative_step
from ..functional.lagrangian import bounded_multipliers, group_weights

SHARE = 0.1  # of the mean of what is constrained: the tolerance where none is given


@dataclass(frozen=True)
class DualRule:
    r"""How multipliers step.

    Parameters
    ----------
    constraint : Constraint or callable
        From group statistics to violations, as in `functional.constraints`. Where it has a
        simplex, the multipliers always sum to 1, and begin as the shares.
    tolerance : float or None
        Violation that is allowed; None is a tenth of the mean of what is constrained.
    update : {"adaptive", "projected", "signed", "absolute"}
        Whether the extra weight of a group's rows takes relative steps (`relative_step`);
        or :math:`g_a \le \epsilon` with multipliers of at least 0, or :math:`|g_a| \le
        \epsilon` with multipliers of any sign, or the paper's :math:`\lambda_a |g_a|` on
        every batch, with multipliers that only rise.
    lr, gain, smoothing : float
        See `functional.dual_updates.dual_step`; of relative steps `lr` is for the whole
        training.
    steps : int
        Steps of the multipliers in an epoch, as nearly as whole batches allow.
    window : float
        Epochs that a group's running means go back, in (0, 1].
    total : float
        Bound on the sum of the multipliers; not of relative steps.
    noise : float, default=2.0
        Standard errors that relative steps take for chance.
    least, most : float, default=0.5, 4.0
        What the weight of a row stays within under relative steps.
    """

    constraint: Constraint
    tolerance: float | None
    update: str
    lr: float
    gain: float
    smoothing: float
    steps: int
    window: float
    total: float
    noise: float = 2.0
    least: float = 0.5
    most: float = 4.0

    def __post_init__(self) -> None:
        """Know the constraint by its record."""
        object.__setattr__(self, "constraint", CONSTRAINTS.find("constraint", self.constraint))

    @property
    def simplex(self) -> bool:
        """Whether the multipliers sum to 1."""
        return self.constraint.simplex

    @property
    def relative(self) -> bool:
        """Whether the steps are those of `relative_step`."""
        return self.update == "adaptive"

    def allowed(self, statistics: dict[str, Tensor]) -> float:
        """Violation that is allowed, by some group statistics.

        Parameters
        ----------
        statistics : dict of str to torch.Tensor of shape (m,)
            As from `group_statistics.named`.

        Returns
        -------
        tolerance : float
            0 where the multipliers sum to 1: there is nothing to be met.
        """
        if self.simplex:
            return 0.0
        return SHARE * self.scale(statistics) if self.tolerance is None else self.tolerance

    def scale(self, statistics: dict[str, Tensor]) -> float:
        """Mean over all rows of what is constrained, losses or errors."""
        return float(statistics["shares"] @ statistics[str(self.constraint.subject)])

    def deviation(self, errors: Tensor, shares: Tensor) -> Tensor:
        """What of a violation is taken for chance, from the standard errors of the means.

        Parameters
        ----------
        errors, shares : torch.Tensor of shape (m,)
            Standard errors of each group, and its share of the rows.

        Returns
        -------
        noise : torch.Tensor of shape (m,)
            0 where nothing is taken for chance.
        """
        if self.noise == 0:
            return torch.zeros_like(errors)
        inside = (1 - shares).clamp(min=0).sqrt() if self.constraint.cancels else 1.0
        return self.noise * errors * inside

    def start(self, shares: Tensor) -> Tensor:
        """First state of the multipliers, of shape (2, m) if they have either sign."""
        state = torch.zeros(2 if self.update == "signed" else 1, len(shares)).double()
        if self.simplex and not self.relative:
            state[0] = shares
        return state

    def relative_step(
        self,
        extra: Tensor,
        violation: Tensor,
        errors: Tensor,
        statistics: dict[str, Tensor],
        share: float,
    ) -> Tensor:
        """Extra weights of the rows after one relative step.

        Parameters
        ----------
        extra, violation, errors : torch.Tensor of shape (m,)
            Extra weights, violations (NaN: no step) and standard errors of the means.
        statistics : dict of str to torch.Tensor of shape (m,)
            That the violations are of.
        share : float
            Part of the training since the last step.

        Returns
        -------
        extra : torch.Tensor of shape (m,)
        """
        return relative_step(
            extra,
            violation - self.allowed(statistics),
            scale=self.scale(statistics),
            noise=self.deviation(errors, statistics["shares"]),
            lr=self.lr * share,
            most=self.most - 1,
        )

    def multipliers(self, extra: Tensor, statistics: dict[str, Tensor]) -> Tensor:
        """Multipliers that give rows their extra weights, and none too little."""
        found = bounded_multipliers(self.constraint, extra, statistics, self.least)
        if not self.simplex:
            return found
        return statistics["shares"] * group_weights(self.constraint, found, statistics)

    def step(
        self, state: Tensor, violation: Tensor, smoothed: Tensor, share: float
    ) -> tuple[Tensor, Tensor]:
        """One step of multipliers in the unit of the violations: see `dual_step`."""
        return dual_step(
            state,
            violation,
            smoothed,
            lr=self.lr,
            share=share,
            gain=self.gain,
            smoothing=self.smoothing,
        )

    def projected(self, state: Tensor, known: Tensor) -> Tensor:
        """Nearest multipliers that are allowed; none for groups that there are not."""
        state = torch.where(known, state, -torch.inf)
        return project(state, 1.0 if self.simplex else self.total, self.simplex)
