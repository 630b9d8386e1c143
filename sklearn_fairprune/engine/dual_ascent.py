"""Lagrange multipliers of group constraints, stepped while a net trains.

The weights take steps on a row-weighted loss (`row_weights`), whose group weights follow
from the multipliers; the multipliers take steps on group statistics, which are summed
outside the graph. The cost of a batch does not depend on the number of groups.
"""

from typing import Any

import torch
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor

from ..functional.lagrangian import group_weights, violations
from .batches import Batch, Rows
from .dual_rule import DualRule
from .group_statistics import (
    N_SUMS,
    GroupWindow,
    RowValues,
    evaluate,
    means_of,
    named,
    violations_of,
)
from .losses import row_mass


class DualAscent(Callback):
    """Multipliers of one training.

    Parameters
    ----------
    rule : DualRule
        How they step.
    net : skorch.NeuralNet
        Initialized; the one that will train.
    rows : Rows
        Training rows with groups.
    n_groups : int
        Number of groups m.
    held : Rows, default=None
        Rows to step on in the place of the training rows.
    dense : skorch.NeuralNet, default=None
        The dense network, for constraints that compare with it.
    n_epochs : int, default=1
        Of the whole training, which relative steps are a part of.

    Attributes
    ----------
    multipliers : float64 torch.Tensor of shape (m,)
        As they are now.
    lowest, highest : float64 torch.Tensor of shape (m,)
        Weights that the rows of each group had at least and at most.
    trace : list of (float, torch.Tensor)
        Shares of the whole training, and the weights of the rows from there on; not of the
        paper's update, whose weights are those of a batch.
    records : list of dict
        One an epoch: tensors of shape (m,) ``loss``, ``violation`` and ``multiplier``, and
        ``holdout_loss`` and ``holdout_violation`` with held rows.
    """

    seen_: RowValues

    def __init__(
        self,
        rule: DualRule,
        net: NeuralNet,
        rows: Rows,
        n_groups: int,
        *,
        held: Rows | None = None,
        dense: NeuralNet | None = None,
        n_epochs: int = 1,
    ) -> None:
        self.rule, self.m, self.held, self.groups = rule, n_groups, held, rows.groups
        self.n_epochs = n_epochs
        self.plain = bool((row_mass(net.criterion_, rows.y) == 1).all())
        self.errors = rule.constraint.of_errors
        self.train_window = self._window(net, rows, dense)
        self.held_window = None if held is None else self._window(net, held, dense)
        self.order = None if held is None else torch.arange(len(held))
        shares = self.train_window.masses / self.train_window.masses.sum()
        self.state, self.extra = rule.start(shares), torch.zeros_like(shares)
        self.smoothed = torch.full_like(self.state, torch.nan)
        self.lowest, self.highest = torch.ones_like(shares), torch.ones_like(shares)
        self.records: list[dict[str, Tensor]] = []
        self.trace: list[tuple[float, Tensor]] = []
        self.weights: Tensor | None = None

    def _window(self, net: NeuralNet, rows: Rows, dense: NeuralNet | None) -> GroupWindow:
        mass = row_mass(net.criterion_, rows.y, rows.weights).double()
        masses, squares = mass.new_zeros(2, self.m).index_add_(
            1, rows.groups, torch.stack([mass, mass**2])
        )
        sizes = torch.where(masses > 0, masses**2 / squares, 0.0)
        means = None
        if dense is not None:
            means = means_of(evaluate(dense, rows, self.m, errors=self.errors))
        return GroupWindow(masses, self.rule.window, means, sizes)

    @property
    def multipliers(self) -> Tensor:
        """Net multiplier of each group."""
        return self.state[0] if len(self.state) == 1 else self.state[0] - self.state[1]

    @property
    def active(self) -> bool:
        """Whether any row has a weight other than 1."""
        if self.rule.update == "absolute":
            return bool(self.state.any())
        return self.weights is not None

    @property
    def content(self) -> list[Any]:
        """What decides the multipliers, for `fingerprint`."""
        held = self.held
        data = None if held is None else [held.X, held.y, held.groups, held.weights]
        constraint = self.rule.constraint
        rule = vars(self.rule) | {"constraint": [constraint.function, constraint.simplex]}
        return [rule, self.groups, data, self.n_epochs]

    # ---- inside a batch ------------------------------------------------------------

    def observe(self, batch: Batch, y_pred: Any, losses: Tensor) -> Tensor | None:
        """Note a batch down; returns the weights of its rows, None for all 1.

        Parameters
        ----------
        batch : Batch
            With groups.
        y_pred : torch.Tensor
            Raw outputs.
        losses : torch.Tensor of shape (n,)
            Of each row, detached.

        Returns
        -------
        weights : torch.Tensor of shape (n,) or None
        """
        self.batch_ = self.seen_.of(batch, y_pred, losses)
        weights = self.weights
        if self.rule.update == "absolute":
            self.seen_.add(self.batch_)
            self.sums_ = self.seen_.sums()
            weights = self._absolute(self.sums_)
        if weights is None:
            return None
        if weights.dtype != losses.dtype:
            weights = weights.to(losses.dtype)
        return weights.index_select(0, batch.groups).to(losses.device)

    def _absolute(self, sums: Tensor) -> Tensor:
        """Weights for the sum of absolute violations of this batch alone."""
        statistics = named(means_of(sums), sums[:, 0], self.train_window.dense)
        violation = violations(self.rule.constraint, statistics).detach()
        over = (violation.abs() - self.rule.allowed(statistics)).clamp(min=0)
        self.over_ = torch.where(sums[:, 0] > 0, over, torch.nan)
        if not self.active:
            return None
        multipliers = self.state[0] * violation.sign() * (self.over_ > 0)
        return self._seen(group_weights(self.rule.constraint, multipliers, statistics))

    # ---- skorch's events -------------------------------------------------------------

    def on_train_begin(self, net: NeuralNet, **kwargs: Any) -> None:
        """Begin to count."""
        self.batch_, self.seen_ = None, RowValues(net, self.m, self.errors)
        self.net_, self.size_ = net, len(self.groups)
        self.done_ = 0.0
        self._begin_epoch()

    def _begin_epoch(self) -> None:
        self.epoch_ = torch.zeros(self.m, N_SUMS, dtype=torch.float64)
        self.held_, self.since_ = self.epoch_.clone(), self.epoch_.clone()
        self.excess_, self.n_excess_ = torch.zeros(2, self.m, dtype=torch.float64)
        self.n_rows_ = 0

    def on_epoch_begin(self, net: NeuralNet, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the rows of an epoch: the net may keep some for its own validation."""
        self.size_ = len(self.groups) if dataset_train is None else len(dataset_train)

    def on_batch_end(self, net: NeuralNet, training: bool = False, **kwargs: Any) -> None:
        """Count the batch, and step where a step is due."""
        if not training or self.batch_ is None:
            return
        size = len(self.batch_[0])
        self.n_rows_ += size
        if self.rule.update == "absolute":
            self.since_ += self.sums_
            self.excess_ += self.over_.nan_to_num(0.0)
            self.n_excess_ += self.over_.isfinite()
        else:
            self.seen_.add(self.batch_)
        self.batch_ = None
        if self.rule.steps > 1 and (self.n_rows_ + size / 2) * self.rule.steps >= self.size_:
            self._step()

    def on_epoch_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Step on what is left of the epoch, and record it."""
        if self.n_rows_:
            self._step()
        if self.epoch_.any():
            self._record()
            self._begin_epoch()

    def on_train_end(self, net: NeuralNet, **kwargs: Any) -> None:
        """Record an epoch whose end another callback cut short."""
        self.on_epoch_end(net)

    # ---- a step of the multipliers -----------------------------------------------------

    def _step(self) -> None:
        rule, window = self.rule, self.train_window
        share = 1.0 if rule.steps == 1 else self.n_rows_ / self.size_
        self.done_ += self.n_rows_ / (self.size_ * self.n_epochs)
        self.since_ += self.seen_.sums()
        self.epoch_ += self.since_
        if rule.relative:
            self._relative_step(share)
        else:
            excess = self._violation(share)
            self.state, self.smoothed = rule.step(self.state, excess, self.smoothed, share)
        if not torch.isfinite(self.state).all():
            raise ValueError(
                f"The multipliers overflowed at dual_lr={rule.lr:g}: "
                f"{self.multipliers.tolist()}. Lower dual_lr, or set max_multiplier."
            )
        if not rule.relative:
            self.state = rule.projected(self.state, window.masses > 0)
        self.since_, self.n_rows_ = torch.zeros_like(self.since_), 0
        self._reweigh()

    def _relative_step(self, share: float) -> None:
        """Step by what is more than chance, in units of the mean loss."""
        rule, window = self.rule, self.train_window
        g = self._move(window, self.since_)
        errors, statistics = window.errors(str(rule.constraint.subject)), window.statistics()
        if self.held is not None:
            held = self._move(self.held_window, self._held_sums(share))
            known = self.held_window.masses > 0
            g = torch.where(known, held, g)
            own = self.held_window.errors(str(rule.constraint.subject))
            errors, statistics = torch.where(known, own, errors), self.held_window.statistics()
        part = share / self.n_epochs
        self.extra = rule.relative_step(self.extra, g, errors, statistics, part)
        self.state = rule.multipliers(self.extra, self._own_statistics())[None]

    def _violation(self, share: float) -> Tensor:
        """Violation beyond the tolerance, in the shape of the state; NaN for absent groups."""
        rule, window = self.rule, self.train_window
        g = self._move(window, self.since_)
        tolerance = rule.allowed(window.statistics())
        if rule.update == "absolute":
            g = self.excess_ / self.n_excess_ + tolerance  # 0 / 0 is NaN: no step
            self.excess_, self.n_excess_ = torch.zeros(2, self.m, dtype=torch.float64)
        if self.held is not None:
            held = self._move(self.held_window, self._held_sums(share))
            g = torch.where(self.held_window.masses > 0, held, g)
        if rule.update == "signed":
            return torch.stack([g - tolerance, -g - tolerance])
        if rule.update == "absolute":
            return (g.abs() - tolerance).clamp(min=0)[None]
        return (g - tolerance)[None]

    def _move(self, window: GroupWindow, sums: Tensor) -> Tensor:
        """Take rows into a window; returns the violations of the groups they are of."""
        present = window.move(sums)
        violation = violations(self.rule.constraint, window.statistics()).detach()
        return torch.where(present, violation, torch.nan)

    def _reweigh(self) -> None:
        """Group weights for the batches to come."""
        if self.rule.update == "absolute":
            return
        statistics = self._own_statistics()
        weights = group_weights(self.rule.constraint, self.multipliers, statistics)
        self.trace.append((self.done_, self._seen(weights)))
        own = next(self.net_.module_.parameters()).dtype
        self.weights = None if bool((weights == 1).all()) else weights.to(own)

    def _own_statistics(self) -> dict[str, Tensor]:
        """Group statistics with the shares of all rows, seen or not."""
        window = self.train_window
        return window.statistics() | {"shares": window.masses / window.masses.sum()}

    def _seen(self, weights: Tensor) -> Tensor:
        """Note the weights that rows are given."""
        self.lowest = torch.minimum(self.lowest, weights)
        self.highest = torch.maximum(self.highest, weights)
        return weights

    def _held_sums(self, share: float) -> Tensor:
        """Group sums of the next part of the held rows, in turn."""
        n = min(len(self.held), max(1, round(share * len(self.held))))
        chunk, self.order = self.order[:n], self.order.roll(-n)
        sums = evaluate(self.net_, self.held, self.m, chunk, self.errors)
        self.held_ += sums
        return sums

    def _record(self) -> None:
        rule, window = self.rule, self.train_window
        record = {
            "loss": _loss(self.epoch_),
            "violation": violations_of(rule.constraint, self.epoch_, window.dense),
            "multiplier": self.multipliers.clone(),
        }
        if self.held is not None:
            dense = self.held_window.dense
            record["holdout_loss"] = _loss(self.held_)
            record["holdout_violation"] = violations_of(rule.constraint, self.held_, dense)
        self.records.append(record)


def _loss(sums: Tensor) -> Tensor:
    """Mean loss of each group, NaN where absent."""
    return sums[:, 1] / sums[:, 0]
