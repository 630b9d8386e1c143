r"""The last step after pruning: the last layer, or its bias alone, fitted to a constraint.

Rounds of two steps: the layer is fitted to weighted rows, its inputs as they are, and the
multipliers of the constraint, from which the weights follow, step on rows held out. Of all
layers on the way, and between them and the layer before, the held rows choose one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from skorch import NeuralNet
from torch import Tensor

from ..functional.constraints import CONSTRAINTS, Constraint
from ..functional.dual_updates import relative_step
from ..functional.group_noise import group_noise
from ..functional.lagrangian import bounded_multipliers, group_weights
from ..functional.last_layer import refit_layer, refit_pull
from .batches import Rows
from .group_statistics import evaluate, means_of, named, violations_of
from .last_layer import LastLayer, LayerRows
from .networks import copy_net

PULL = 1.0  # back to the layer before, times `refit_pull`
RATE = 1.0  # of the multipliers, in a round
SHARES = (0.25, 0.5, 0.75, 1.0)  # of the way from the layer before to a fitted one
MAX_STEPS = 100  # of L-BFGS, in a round
N_FOLDS = 5  # of the held rows, where these are what is fitted on


@dataclass(frozen=True)
class LastStep:
    """How the last layer is changed.

    Parameters
    ----------
    weights : bool
        Whether all entries of the layer move, as in "last_layer"; or the bias alone, as in
        "shift".
    constraint : Constraint or callable
        As in `functional.constraints`.
    tolerance : float or None
        Violation that is allowed; None: a tenth of the mean of what is constrained. Where the
        constraint has a simplex, none is.
    noise : float
        Standard errors that a violation must exceed to count; see `functional.group_noise`.
    least, most : float
        Bounds of the row weights.
    loss : float
        Accuracy, or R^2, that may be lost on the held rows.
    rounds : int, default=8
        Fits of the layer.
    """

    weights: bool
    constraint: Constraint
    tolerance: float | None
    noise: float
    least: float
    most: float
    loss: float
    rounds: int = 8

    def __post_init__(self) -> None:
        """Know the constraint by its record."""
        object.__setattr__(self, "constraint", CONSTRAINTS.find("constraint", self.constraint))

    @property
    def stage(self) -> str:
        """What a user calls it."""
        return "last_layer" if self.weights else "shift"


class Adjusted(NamedTuple):
    """What came of it.

    Attributes
    ----------
    net : skorch.NeuralNet
        A copy.
    weights : torch.Tensor of shape (m,)
        Of the rows of each group in the round that was chosen; ones if none was.
    multipliers : torch.Tensor of shape (m,)
        Of this round; zeros if there is none. With a simplex they sum to 1.
    share : float
        Part of the way from the layer before; 0.0: it was kept.
    records : list of dict
        One a round, as `DualAscent.records`.
    """

    net: NeuralNet
    weights: Tensor
    multipliers: Tensor
    share: float
    records: list[dict[str, Tensor]]


class _Look(NamedTuple):
    """Held rows under one layer."""

    sums: Tensor
    values: Tensor  # loss or error of each row, by its mass
    violation: Tensor
    score: float


class _Found(NamedTuple):
    """A layer that may be chosen."""

    worst: float
    share: float
    change: Tensor
    weights: Tensor
    multipliers: Tensor


class _Problem:
    """Rows to fit on, a layer, and its criterion."""

    def __init__(self, layer: LastLayer, seen: LayerRows, free: Tensor) -> None:
        self.layer, self.seen, self.free = layer, seen, free
        own = seen.batch.weights
        self.own = torch.ones_like(seen.outputs[:, 0]) if own is None else own.double()
        losses = self.own @ seen.losses(seen.outputs) / seen.mass.sum()
        self.pull = PULL * refit_pull(seen.inputs, seen.outputs, seen.mass, float(losses))

    def fit(
        self, weights: Tensor, start: Tensor | None = None, kept: Tensor | float = 1.0
    ) -> Tensor:
        """Change of the layer that is best for (kept) rows weighted by their groups."""
        seen = self.seen
        rows = kept * self.own * weights[seen.batch.groups] / (kept * seen.mass).sum()
        return refit_layer(
            seen.inputs,
            seen.outputs,
            lambda outputs: rows @ seen.losses(outputs),
            self.free,
            self.pull,
            start=start,
            max_iter=MAX_STEPS,
        )

    def moves(self, weights: Tensor, change: Tensor) -> Tensor:
        """What fits add to the outputs of rows that they have not seen: fold by fold."""
        seen, groups = self.seen, self.seen.batch.groups
        folds, move = torch.empty_like(groups), torch.zeros_like(seen.outputs)
        for group in groups.unique():
            at = (groups == group).nonzero()[:, 0]
            folds[at] = torch.arange(len(at)) % N_FOLDS
        for fold in folds.unique():
            there = folds == fold
            found = self.fit(weights, change, (~there).double())
            move[there] = seen.inputs[there] @ found.T
        return move


class _Held:
    """What the held rows say of a layer."""

    def __init__(self, step: LastStep, seen: LayerRows, m: int, dense: Tensor | None) -> None:
        self.step, self.seen, self.m, self.dense = step, seen, m, dense
        self.first = self.look(seen.outputs)
        self.present = self.first.sums[:, 0] > 0
        statistics = named(means_of(self.first.sums), self.first.sums[:, 0])
        self.mean = statistics["shares"] @ statistics[str(step.constraint.subject)]
        allowed = 0.1 * self.mean if step.tolerance is None else step.tolerance
        self.tolerance = 0.0 if step.constraint.simplex else float(allowed)
        self.noise = self._noise(self.first.values)
        broken = self.present & ~self.first.violation.isfinite()
        if broken.any():
            raise ValueError(
                f"constraint={step.constraint.name} gives {self.first.violation.tolist()} for "
                f"groups of losses and errors {means_of(self.first.sums).tolist()}: violations "
                f"must be finite numbers for stage={step.stage!r}."
            )

    def _noise(self, values: Tensor, compared: int | None = None) -> Tensor:
        seen, cancels = self.seen, self.step.constraint.cancels
        options = {"errors": self.step.noise, "cancels": cancels, "compared": compared}
        return group_noise(values, seen.batch.groups, seen.mass, self.m, **options)

    def look(self, outputs: Tensor) -> _Look:
        """Measure held rows with these outputs of the layer."""
        constraint, seen = self.step.constraint, self.seen
        sums = seen.sums(outputs, self.m)
        if constraint.of_errors:
            values = seen.wrong(outputs)
        else:
            own = seen.batch.weights
            values = seen.losses(outputs, measured=True) * (1 if own is None else own)
            values = torch.where(seen.mass > 0, values / seen.mass.clamp(min=1e-300), 0.0)
        violation = violations_of(constraint, sums, self.dense)
        return _Look(sums, values, violation, seen.score(outputs))

    def step_of(self, extra: Tensor, look: _Look) -> Tensor:
        """Extra weights of the groups after a step on what the held rows say."""
        step = self.step
        return relative_step(
            extra,
            look.violation - self.tolerance,
            scale=self.mean,
            noise=torch.where(self.present, self.noise, 0.0),
            lr=RATE,
            most=step.most - 1,
        )

    def excess(self, look: _Look) -> Tensor:
        """Violation of each group beyond the noise; that of absent groups is none."""
        return torch.where(self.present, look.violation - self.noise, -torch.inf)

    def worst(self, look: _Look) -> float | None:
        """Largest violation beyond the noise; None if a layer may not be chosen."""
        admissible = look.score >= self.first.score - self.step.loss - 1e-9
        excess, before = self.excess(look), self.excess(self.first)
        worst = excess.max()
        if not admissible or not look.violation[self.present].isfinite().all():
            return None
        groups = torch.stack([excess.argmax(), before.argmax()])
        luck = self._noise(self.first.values - look.values, compared=1)[groups].max()
        return float(worst) if before.max() - worst > luck else None


def adjust(
    net: NeuralNet,
    rows: Rows,
    held: Rows,
    n_groups: int,
    step: LastStep,
    masks: Mapping[str, Tensor],
    dense: NeuralNet | None = None,
) -> Adjusted:
    r"""Fit the last layer of a network to a constraint.

    "last_layer" is fitted on the training rows. "shift" is fitted on the held rows: few
    numbers are, and of a network that has learnt its training rows by heart they say nothing.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted; stays as it is.
    rows, held : Rows
        With groups: the training rows, and rows that the weights have not seen.
    n_groups : int
        Number of groups m.
    step : LastStep
        How.
    masks : dict of str to bool torch.Tensor
        True where a weight is kept; the others stay 0.
    dense : skorch.NeuralNet, default=None
        The dense network, for constraints that compare with it.

    Returns
    -------
    adjusted : Adjusted
        With the layer as it was where no violation exceeds the noise, or none becomes smaller
        by more than the noise within the loss that is allowed.

    Raises
    ------
    ValueError
        If the network's outputs are not those of a linear layer, if there is nothing to fit,
        or if the constraint cannot be computed.
    """
    _check(step, rows, held, dense)
    layer = LastLayer(net, step.stage)
    unseen, seen = layer.read(held), layer.read(rows)
    free = layer.free(masks, step.weights)
    means = [_means(dense, part, n_groups, step) for part in (rows, held)]
    judge = _Held(step, unseen, n_groups, means[1])
    problem = _Problem(layer, seen if step.weights else unseen, free)
    fitted = means[0 if step.weights else 1]
    extra = judge.step_of(torch.zeros(n_groups, dtype=torch.float64), judge.first)
    change, records, best = torch.zeros_like(layer.entries()), [], None
    for _ in range(step.rounds if extra.any() else 0):
        sums = problem.seen.sums(problem.seen.outputs + problem.seen.inputs @ change.T, n_groups)
        statistics = named(means_of(sums), sums[:, 0], fitted)
        multipliers = bounded_multipliers(step.constraint, extra, statistics, step.least)
        weights = group_weights(step.constraint, multipliers, statistics)
        if step.constraint.simplex:
            multipliers = statistics["shares"] * weights
        change = problem.fit(weights, change)
        move = unseen.inputs @ change.T if step.weights else problem.moves(weights, change)
        looks = {share: judge.look(unseen.outputs + share * move) for share in SHARES}
        for share, look in looks.items():
            worst = judge.worst(look)
            if worst is not None and (best is None or worst < best.worst):
                best = _Found(worst, share, change, weights, multipliers)
        outputs = seen.outputs + seen.inputs @ change.T
        sums = seen.sums(outputs, n_groups)
        records.append(_record(step, sums, means[0], looks[1.0], multipliers))
        extra = judge.step_of(extra, looks[1.0])
    if best is None:
        nothing = torch.zeros(n_groups, dtype=torch.float64)
        return Adjusted(copy_net(net), nothing + 1, nothing, 0.0, records)
    written = layer.written(net, layer.entries() + best.share * best.change)
    return Adjusted(written, best.weights, best.multipliers, best.share, records)


def repeat(
    net: NeuralNet,
    rows: Rows,
    n_groups: int,
    step: LastStep,
    masks: Mapping[str, Tensor],
    weights: Tensor,
    share: float,
) -> NeuralNet:
    """Fit the last layer once more, on other rows, with what was chosen.

    Parameters
    ----------
    net, n_groups, step, masks
        As in `adjust`.
    rows : Rows
        With groups: all rows, for instance.
    weights : torch.Tensor of shape (m,)
        `Adjusted.weights`.
    share : float
        `Adjusted.share`.

    Returns
    -------
    net : skorch.NeuralNet
        A copy.

    Raises
    ------
    ValueError
        As in `adjust`.
    """
    if not share:
        return copy_net(net)
    layer = LastLayer(net, step.stage)
    seen = layer.read(rows)
    problem = _Problem(layer, seen, layer.free(masks, step.weights))
    return layer.written(net, layer.entries() + share * problem.fit(weights.double()))


def _check(step: LastStep, rows: Rows, held: Rows, dense: NeuralNet | None) -> None:
    """Refuse what cannot be."""
    if rows.groups is None or held.groups is None:
        raise ValueError(f"stage={step.stage!r} weighs rows by their groups: pass groups.")
    if not len(held):
        raise ValueError(
            f"stage={step.stage!r} needs held rows, and no group has two rows to hold one out."
        )
    if step.constraint.of_dense and dense is None:
        raise ValueError(
            f"constraint={step.constraint.name} compares with the dense network: pass dense."
        )


def _means(
    dense: NeuralNet | None, rows: Rows, n_groups: int, step: LastStep
) -> Tensor | None:
    """Mean loss and error of each group under the dense network, where they are needed."""
    if dense is None or not step.constraint.of_dense:
        return None
    return means_of(evaluate(dense, rows, n_groups, errors=step.constraint.of_errors))


def _record(
    step: LastStep, sums: Tensor, dense: Tensor | None, look: _Look, multipliers: Tensor
) -> dict[str, Tensor]:
    return {
        "loss": sums[:, 1] / sums[:, 0],
        "violation": violations_of(step.constraint, sums, dense),
        "multiplier": multipliers,
        "holdout_loss": look.sums[:, 1] / look.sums[:, 0],
        "holdout_violation": look.violation,
    }
