r"""The last step after pruning: the last layer, or its bias alone, fitted to a constraint.

In rounds, the layer is fitted to weighted rows, its inputs as they are, and the multipliers,
from which the weights follow, step on rows that it has not seen: held ones, or, fold by fold,
those that it is fitted on. These rows choose among all layers on the way.
"""

import functools
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
from .batches import Rows
from .group_statistics import evaluate, means_of, named, violations_of
from .last_layer import LastLayer, LayerRows
from .layer_fit import LayerFit
from .networks import copy_net

RATE = 2.0  # of the multipliers, in a round
SHARES = tuple(k / 8 for k in range(1, 9))  # of the way from the layer before to a fitted one


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
        Layers are chosen by the largest of all violations, which exceeds more by chance.
    least, most : float
        Bounds of the row weights.
    loss : float
        Accuracy, or R^2, that may be lost on the rows that are looked at.
    rounds : int, default=12
        Fits of the layer.
    """

    weights: bool
    constraint: Constraint
    tolerance: float | None
    noise: float
    least: float
    most: float
    loss: float
    rounds: int = 12

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
    """Rows under a layer that has not seen them."""

    sums: Tensor
    values: Tensor  # loss or error of each row, by its mass
    violation: Tensor
    aim: Tensor  # what the worst group is to have least of
    score: float


class _Found(NamedTuple):
    """A layer that may be chosen."""

    worst: tuple[float, float]
    share: float
    change: Tensor
    weights: Tensor
    multipliers: Tensor


class _Part(NamedTuple):
    """Rows that are measured."""

    rows: LayerRows
    m: int
    dense: Tensor | None  # mean loss and error of each group under the dense network

    def sums(self, change: Tensor) -> Tensor:
        """Group sums after a change of the layer."""
        return self.rows.sums(self.rows.outputs + self.rows.inputs @ change.T, self.m)

    def statistics(self, change: Tensor) -> dict[str, Tensor]:
        """Group statistics after a change of the layer."""
        sums = self.sums(change)
        return named(means_of(sums), sums[:, 0], self.dense)


class _Judge:
    """What rows say of a layer that has not seen them."""

    def __init__(self, step: LastStep, part: _Part) -> None:
        self.step, self.part, self.rows = step, part, part.rows
        if step.constraint.of_errors and not self.rows.scores_classes:
            raise ValueError(
                f"constraint={step.constraint.name} counts wrong predictions, which only "
                "classifiers have: use a constraint on losses, such as 'equal_loss'."
            )
        self.first = self.look(torch.zeros_like(self.rows.outputs))
        self.present = self.first.sums[:, 0] > 0
        statistics = named(means_of(self.first.sums), self.first.sums[:, 0])
        self.mean = statistics["shares"] @ statistics[str(step.constraint.subject)]
        allowed = 0.1 * self.mean if step.tolerance is None else step.tolerance
        self.tolerance = 0.0 if step.constraint.simplex else float(allowed)
        self.noise = self._noise(self.first.values)
        self.noise_of_one = self._noise(self.first.values, compared=1)
        broken = self.present & ~self.first.violation.isfinite()
        if broken.any():
            raise ValueError(
                f"constraint={step.constraint.name} gives {self.first.violation.tolist()} for "
                f"groups of losses and errors {means_of(self.first.sums).tolist()}: for stage="
                f"{step.stage!r} violations must be finite numbers."
            )

    def _noise(self, values: Tensor, compared: int | None = None) -> Tensor:
        rows, cancels = self.rows, self.step.constraint.cancels
        of = functools.partial(group_noise, values, rows.groups, rows.mass, self.part.m)
        return of(errors=self.step.noise, cancels=cancels, compared=compared)

    def look(self, move: Tensor) -> _Look:
        """Measure the rows, the outputs of the layer moved by so much."""
        constraint, rows = self.step.constraint, self.rows
        outputs = rows.outputs + move
        sums = rows.sums(outputs, self.part.m)
        values = rows.wrong(outputs) if constraint.of_errors else rows.means(outputs)
        violation = violations_of(constraint, sums, self.part.dense)
        aim = means_of(sums)[:, 0] if constraint.simplex else violation
        return _Look(sums, values, violation, aim, rows.score(outputs))

    def step_of(self, extra: Tensor, look: _Look) -> Tensor:
        """Extra weights of the groups after a step on what the rows say."""
        step = self.step
        return relative_step(
            extra,
            look.violation - self.tolerance,
            scale=self.mean,
            noise=torch.where(self.present, self.noise_of_one, 0.0),
            lr=RATE,
            most=step.most - 1,
        )

    def excess(self, look: _Look) -> Tensor:
        """Violation of each group beyond the noise; that of absent groups is none."""
        return torch.where(self.present, look.aim - self.noise, -torch.inf)

    def worst(self, look: _Look) -> tuple[float, float] | None:
        """Largest violation and lost accuracy, to be small; None if it may not be chosen.

        Violations within the tolerance are as good as each other.
        """
        admissible = look.score >= self.first.score - self.step.loss - 1e-9
        excess, before = self.excess(look), self.excess(self.first)
        worst = excess.max()
        if not admissible or not look.violation[self.present].isfinite().all():
            return None
        groups = torch.stack([excess.argmax(), before.argmax()])
        luck = self._noise(self.first.values - look.values, compared=1)[groups].max()
        if before.max() - worst <= luck:
            return None
        met = (look.violation[self.present] <= self.tolerance).all()
        return -torch.inf if met else float(worst), -look.score


def adjust(
    net: NeuralNet,
    rows: Rows,
    held: Rows | None,
    n_groups: int,
    step: LastStep,
    masks: Mapping[str, Tensor],
    dense: NeuralNet | None = None,
) -> Adjusted:
    r"""Fit the last layer of a network to a constraint.

    "last_layer" is fitted on the training rows. "shift" is fitted on the held rows, if there
    are any: few numbers are, and of a network that has learnt its training rows by heart they
    say nothing.

    Parameters
    ----------
    net : skorch.NeuralNet
        Fitted; stays as it is.
    rows : Rows
        With groups: the training rows.
    held : Rows or None
        Rows that the weights have not seen, with groups. Without them the training rows are
        looked at, each under a layer that was fitted on the others (of five folds); the rest
        of the network has seen them.
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
    seen = _Part(layer.read(rows), n_groups, _means(dense, rows, n_groups, step))
    unseen = seen
    if held is not None:
        unseen = _Part(layer.read(held), n_groups, _means(dense, held, n_groups, step))
    free = layer.free(masks, step.weights)
    best, records = _rounds(step, _Judge(step, unseen), seen, free)
    if best is None:
        nothing = torch.zeros(n_groups, dtype=torch.float64)
        return Adjusted(copy_net(net), nothing + 1, nothing, 0.0, records)
    written = layer.written(net, layer.entries() + best.share * best.change)
    return Adjusted(written, best.weights, best.multipliers, best.share, records)


def _rounds(
    step: LastStep, judge: _Judge, seen: _Part, free: Tensor
) -> tuple[_Found | None, list[dict[str, Tensor]]]:
    """Fit and step in turn; returns the layer that is chosen, and one record a round."""
    part = seen if step.weights else judge.part
    problem = LayerFit(part.rows, free)
    extra = judge.step_of(torch.zeros(part.m, dtype=torch.float64), judge.first)
    change, best = torch.zeros_like(free, dtype=torch.float64), None
    records: list[dict[str, Tensor]] = []
    for _ in range(step.rounds if extra.any() else 0):
        statistics = part.statistics(change)
        multipliers = bounded_multipliers(step.constraint, extra, statistics, step.least)
        weights = group_weights(step.constraint, multipliers, statistics)
        if step.constraint.simplex:
            multipliers = statistics["shares"] * weights
        change = problem.fit(weights, change)
        if not change.isfinite().all():
            break
        crossed = part is judge.part
        move = problem.moves(weights) if crossed else judge.rows.inputs @ change.T
        looks = {share: judge.look(share * move) for share in SHARES}
        for share, look in looks.items():
            worst = judge.worst(look)
            if worst is not None and (best is None or worst < best.worst):
                best = _Found(worst, share, change, weights, multipliers)
        sums = seen.sums(change)
        record = {
            "loss": sums[:, 1] / sums[:, 0],
            "violation": violations_of(step.constraint, sums, seen.dense),
            "multiplier": multipliers,
        }
        if seen is not judge.part:
            held = looks[1.0]
            record["holdout_loss"] = held.sums[:, 1] / held.sums[:, 0]
            record["holdout_violation"] = held.violation
        records.append(record)
        extra = judge.step_of(extra, looks[1.0])
    return best, records


def repeat(
    net: NeuralNet,
    rows: Rows,
    step: LastStep,
    masks: Mapping[str, Tensor],
    weights: Tensor,
    share: float,
) -> NeuralNet:
    """Fit the last layer once more, on other rows, with what was chosen.

    Parameters
    ----------
    net, rows, step, masks
        As in `adjust`; the rows may be others.
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
    problem = LayerFit(seen, layer.free(masks, step.weights))
    entries = layer.entries()
    change = problem.fit(weights.double(), torch.zeros_like(entries))
    return layer.written(net, entries + share * change)


def _check(step: LastStep, rows: Rows, held: Rows | None, dense: NeuralNet | None) -> None:
    """Refuse what cannot be."""
    if rows.groups is None or (held is not None and held.groups is None):
        raise ValueError(f"stage={step.stage!r} weighs rows by their groups: pass groups.")
    if held is not None and not len(held):
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
