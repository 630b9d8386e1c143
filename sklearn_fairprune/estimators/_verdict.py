"""What became of a group constraint: violations with limits, judged and told."""

import numpy as np
import pandas as pd
from sklearn.exceptions import ConvergenceWarning

from .._compat.warnings import warn
from ..engine.group_statistics import group_sums, means_of, named, row_values, violations_of
from ..engine.networks import adapt
from ..functional.lagrangian import violation_slopes
from ..statistics.constraint_outcomes import Outcome, judge, violation_errors
from ..statistics.constraint_sentences import says

TWO_SIDED = ("signed", "absolute")  # updates that constrain violations of either sign
ROWS = {"train": "training", "holdout": "held-out"}


class Seen:
    """Group statistics of a network, and of the dense one, on some rows.

    Parameters
    ----------
    constraint : Constraint
        Says what is looked at.
    net, dense : skorch.NeuralNet
        Fitted, and the network it is compared with.
    rows : Rows
        With groups.
    n_groups : int
        Number of groups m.
    """

    def __init__(self, constraint, net, dense, rows, n_groups):
        self.constraint = constraint
        found = row_values(net, adapt(rows, net), constraint.of_errors)
        self.groups, self.mass = found[2:]
        self.sums = group_sums(*found, n_groups)
        self.columns = dict(zip(("losses", "errors"), found[:2], strict=True))
        self.dense = None
        if constraint.of_dense:
            own = row_values(dense, adapt(rows, dense), constraint.of_errors)
            self.dense = means_of(group_sums(*own, n_groups))
            of_dense = zip(("dense_losses", "dense_errors"), own[:2], strict=True)
            self.columns |= dict(of_dense)
        self.statistics = named(means_of(self.sums), self.sums[:, 0], self.dense)

    @property
    def violations(self):
        """Violation of each group, an array; NaN of a group without rows."""
        return violations_of(self.constraint, self.sums, self.dense).numpy()

    def judged(self, tolerance, weights, signed):
        """What became of the constraint, as from `constraint_outcomes.judge`."""
        slopes = violation_slopes(self.constraint, self.statistics)
        mass = self.mass.double().numpy()
        values = np.stack([self.columns[name].double().numpy() for name in slopes], axis=1)
        values = np.divide(
            values, mass[:, None], out=np.zeros(values.shape), where=mass[:, None] > 0
        )
        jacobian = np.stack([slopes[name].numpy() for name in slopes], axis=2)
        masses = None if (mass == mass[:1]).all() else mass
        errors = violation_errors(values, self.groups.numpy(), masses, jacobian)
        cancels = self.constraint.cancels
        return judge(
            self.violations, errors, tolerance, weights, signed=signed, cancels=cancels
        )


class Verdict:
    """Violations of a constraint on the rows of a fit, and what became of it.

    Parameters
    ----------
    listener : ConstraintListener
        Of the fit.
    nets : dict of str to (skorch.NeuralNet, skorch.NeuralNet)
        By the rows they are measured on, "train" and perhaps "holdout": the network, and the
        dense one that it is compared with.
    signed : bool
        Whether violations of either sign count.

    Attributes
    ----------
    violations, limits, weights : DataFrame of m rows
        Of every set of rows; of the last one, "low" and "high"; the lowest and highest weight
        that rows had.
    tolerance : float
        Violation that is allowed.
    outcome : str or None
        A value of `Outcome`; None where there is nothing to meet.
    satisfied : bool or None
        Whether no violation is above the tolerance on the last set of rows.
    """

    def __init__(self, listener, nets, signed):
        self.constraint, m = listener.rule.constraint, len(listener.groups)
        rows, index = {"train": listener.rows, "holdout": listener.held}, listener.index()
        seen = {name: Seen(self.constraint, *of, rows[name], m) for name, of in nets.items()}
        found = {name: one.violations for name, one in seen.items()}
        self.violations = pd.DataFrame(found, index=index)
        self.rows, last = ROWS[list(seen)[-1]], list(seen.values())[-1]
        self.tolerance = listener.rule.allowed(last.statistics)
        low, high = listener.row_weights()
        self.weights = pd.DataFrame({"lowest": low, "highest": high}, index=index)
        farthest = np.where(1 - low > high - 1, low, high)
        self.judgement = last.judged(self.tolerance, farthest, signed)
        limits = {"low": self.judgement.low, "high": self.judgement.high}
        self.limits = pd.DataFrame(limits, index=index)
        self.last_step = listener.stage.last is not None
        self.outcome = self.satisfied = None
        if not self.constraint.simplex:
            self.outcome = str(self.judgement.outcome)
            has_rows = (last.sums[:, 0] > 0).numpy()
            value = np.where(has_rows, last.violations, found["train"])
            size = np.abs(value) if signed else value
            self.satisfied = bool((size <= self.tolerance).all())

    def tell(self, sparsity):
        """Warn of a constraint that is not met, or that went too far."""
        too_far = self.outcome == Outcome.OVERSHOT
        if self.satisfied is False or too_far:
            names = list(self.violations.index)
            text = says(
                self.judgement,
                names=[", ".join(map(str, g)) if isinstance(g, tuple) else g for g in names],
                constraint=f"constraint={self.constraint.name!r}",
                unit=self.constraint.unit,
                rows=self.rows,
                sparsity=sparsity,
                last_step=self.last_step,
            )
            warn(text, ConvergenceWarning)
