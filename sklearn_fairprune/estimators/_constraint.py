"""What a group constraint changes about a fit: rows held out, multipliers that step."""

import copy

import numpy as np
import pandas as pd
from sklearn.base import clone, is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from .._compat.sklearn import validate_params
from ..engine.batches import split_rows
from ..engine.dual_ascent import DualAscent
from ..engine.dual_replay import DualReplay, moved
from ..engine.dual_rule import DualRule
from ..engine.last_step import LastStep, adjust, repeat
from ..engine.networks import adapt
from ..functional.constraints import CONSTRAINTS
from ._base import BasePruner
from ._listener import FitListener
from ._stages import STAGES

USUAL_LR, USUAL_PLAIN_LR = 2.0, 0.3  # of relative steps, and of the others


class ConstraintListener(FitListener):
    """Hears a fit, and constrains its trainings.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Whose fit it is.
    data : Data
        Its X and y are handed on to the callbacks.

    Attributes
    ----------
    rule : DualRule
        How multipliers step.
    held : Rows or None
        What the weights do not see.
    duals : dict of str to DualAscent
        By phase, "dense" or "finetune".

    Raises
    ------
    ValueError
        If the parameters of the meta-estimator contradict each other.
    """

    def __init__(self, meta, data):
        super().__init__(meta, data)
        self.rule, self.stage = dual_rule(meta), STAGES[meta.stage]
        self.step = last_step(meta, self.rule)
        self.holdout, self.given = float(meta.holdout), frozen_pruner(meta)
        self.held, self.before, self.adjusted, self.duals = None, None, None, {}

    def hold_out(self, rows, seed):
        """Take the held-out rows away; returns the others."""
        seen, unseen = split_rows(rows, self.holdout, seed)
        if len(unseen) == 0:
            raise ValueError(
                f"holdout={self.holdout:g} needs a group of at least two rows to take one "
                "from, and every group has one sample only. Use holdout=0."
            )
        self.held = rows.subset(unseen)
        return rows.subset(seen)

    def why_targets(self, recipe):
        """What of the constraint needs targets when a fitted network is pruned, or ""."""
        if recipe.sparsity == 0:
            return ""
        if self.holdout:
            return (
                f"holdout={self.holdout:g} spreads the held-out rows over them. Pass y, or "
                "holdout=0."
            )
        if recipe.epochs != 0 and "finetune" in self.stage.trainings:
            return (
                f"constraint={self.rule.constraint.name!r} is on the losses of the groups in "
                f"the fine-tuning (finetune_epochs={recipe.epochs}). Pass y, or "
                "finetune_epochs=0."
            )
        return ""

    def dual(self, n_epochs, net, rows, dense):
        """Multipliers of the training that begins, if the stage says so."""
        phase = "dense" if dense is None else "finetune"
        if not n_epochs or phase not in self.stage.trainings:
            return None
        if self.held is not None:
            adapt(self.held, net)
        options = {"held": self.held, "n_epochs": n_epochs}
        options["dense"] = dense if self.rule.constraint.of_dense else None
        self.duals[phase] = DualAscent(self.rule, net, rows, len(self.groups), **options)
        return self.duals[phase]

    def branch(self):
        """Listener of another fine-tuning of the same dense network."""
        branch = copy.copy(self)
        branch.duals = dict(self.duals)
        return branch

    def finish(self, pruner):
        """Adjust the last step of a network that something was removed of, or that is given.

        Parameters
        ----------
        pruner : BasePruner
            Fitted; gets the adjusted network.
        """
        wanted = pruner.sparsity_ or self.given
        if self.step is None or self.rows is None or not wanted:
            return
        state = pruner._fitted
        for rows in (self.rows, self.held):
            if rows is not None:
                adapt(rows, state.net)
        data = (self.rows, self.held, len(self.groups), self.step, state.masks)
        dense = state.dense if self.rule.constraint.of_dense else None
        self.before, self.adjusted = state.net, adjust(state.net, *data, dense)
        pruner._fitted = state.change(net=self.adjusted.net)

    def multipliers(self):
        """Last multipliers; None if the training that they are of was not heard."""
        if self.adjusted is not None:
            return self.adjusted.multipliers.numpy()
        last = self.duals.get(self.stage.trainings[-1] if self.stage.trainings else None)
        if last is not None:
            return last.multipliers.numpy()
        return None if self.stage.trainings == ("dense",) else np.zeros(len(self.groups))

    def row_weights(self):
        """Lowest and highest weight that the rows of each group had, as arrays (m,)."""
        found = [(dual.lowest, dual.highest) for dual in self.duals.values()]
        if self.adjusted is not None and self.adjusted.share:
            found.append((self.adjusted.weights, self.adjusted.weights))
        ones = np.ones(len(self.groups))
        lowest = np.min([ones, *(low.numpy() for low, _ in found)], axis=0)
        return lowest, np.max([ones, *(high.numpy() for _, high in found)], axis=0)

    def attributes(self, net):
        """Fitted attributes of the meta-estimator: a pruner that predicts with the net."""
        twin = copy.copy(self.pruner)
        twin._fitted = self.state(net)
        return {"estimator_": twin}

    def index(self):
        """Groups as an index; a tuple stays one label."""
        return pd.Index(self.groups, name="group", tupleize_cols=False)

    def history(self, before=None):
        """Frame with one row per epoch and group.

        Parameters
        ----------
        before : DataFrame, default=None
            History whose dense stage is kept, if this fit has none of its own.

        Returns
        -------
        history : DataFrame
        """
        records = {phase: dual.records for phase, dual in self.duals.items()}
        if self.adjusted is not None:
            records[self.stage.last] = self.adjusted.records
        frames = [
            pd.DataFrame(
                {"epoch": epoch, "stage": phase, "group": self.index()}
                | {name: values.numpy() for name, values in record.items()}
            )
            for phase, of in records.items()
            for epoch, record in enumerate(of, start=1)
        ]
        if before is not None and "dense" not in self.duals:
            kept = before[before["stage"] == "dense"]
            frames = ([kept] if len(kept) else []) + frames
        if frames:
            return pd.concat(frames, ignore_index=True)
        names = ["epoch", "stage", "group", "loss", "violation", "multiplier"]
        return pd.DataFrame(columns=names)


class ReplayListener(FitListener):
    """Hears a fit on all rows, with the row weights that a constrained one came to.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Whose fit it is.
    data : Data
        Its X and y are handed on to the callbacks.
    first : ConstraintListener
        Of the constrained fit.
    """

    def __init__(self, meta, data, first):
        super().__init__(meta, data)
        self.first = first

    def dual(self, n_epochs, net, rows, dense):
        """Weights of the training that begins, if it was constrained."""
        dual = self.first.duals.get("dense" if dense is None else "finetune")
        return None if dual is None else DualReplay(dual.trace, net, rows, n_epochs)

    attributes = ConstraintListener.attributes

    def finish(self, pruner):
        """Adjust the last step as in the constrained fit."""
        first = self.first
        if first.adjusted is None or not first.adjusted.share:
            return
        state = pruner._fitted
        if first.step.weights:
            data = (adapt(self.rows, state.net), first.step, state.masks)
            net = repeat(state.net, *data, first.adjusted.weights, first.adjusted.share)
        else:  # the rows that the network was trained on tell nothing of its offsets
            net = moved(state.net, first.before, first.adjusted.net)
        pruner._fitted = state.change(net=net)


def inner_pruner(meta):
    """Pruner to fit for a `GroupConstrainedPruner`: a clone, or a copy of a frozen fitted one.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Whose pruner it is.

    Returns
    -------
    pruner : PrunedClassifier or PrunedRegressor

    Raises
    ------
    TypeError
        If it is no pruner.
    ValueError
        If it is frozen, and the stage or `refit` needs training.
    """
    if frozen_pruner(meta):
        return _fitted_pruner(meta)
    if not isinstance(meta.estimator, BasePruner):
        got = type(meta.estimator).__name__
        if isinstance(meta.estimator, type):
            got = f"the class {meta.estimator.__name__}; pass an instance"
        raise TypeError(
            "estimator must be a PrunedClassifier or PrunedRegressor, got "
            f"{got}. Wrap a skorch net in one of them; in a Pipeline make "
            "GroupConstrainedPruner the last step."
        )
    pruner = clone(meta.estimator)
    validate_params(pruner)
    return pruner


def frozen_pruner(meta):
    """Whether the pruner of a `GroupConstrainedPruner` is a frozen one."""
    outer = meta.estimator
    return isinstance(outer, FrozenEstimator) and isinstance(outer.estimator, BasePruner)


def _fitted_pruner(meta):
    """Copy of the fitted pruner that is frozen, where nothing is to be trained."""
    pruner = meta.estimator.estimator
    check_is_fitted(pruner)
    pruner._fitted.require_masked("A last step")
    trains = "refit=True" if meta.refit else f"stage={meta.stage!r}"
    if meta.refit or STAGES[meta.stage].trainings:
        raise ValueError(
            f"{trains} trains the network, and that of a FrozenEstimator stays, but for its "
            "last layer. Use stage='last_layer' or 'shift' without refit, or pass the pruner "
            "itself."
        )
    return copy.copy(pruner)


def last_step(meta, rule):
    """What a `GroupConstrainedPruner` adjusts after all training; None if nothing.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Its parameters are valid one by one.
    rule : DualRule
        How its multipliers step.

    Returns
    -------
    step : LastStep or None

    Raises
    ------
    ValueError
        If it should be repeated, and the weights of a training cannot be had again.
    """
    last = STAGES[meta.stage].last
    if meta.refit and meta.dual_update == "absolute":
        raise ValueError(
            "refit=True trains again with the row weights that were found, and those of "
            "dual_update='absolute' are of single batches. Use refit=False, or another update."
        )
    if meta.refit and meta.holdout == 0:
        raise ValueError(
            "refit=True trains again on the held-out rows, too, and holdout=0 holds none out. "
            "Use refit=False, or holdout=0.2."
        )
    if last is None:
        return None
    return LastStep(
        weights=last == "last_layer",
        constraint=rule.constraint,
        tolerance=rule.tolerance,
        noise=rule.noise,
        least=rule.least,
        most=rule.most,
        loss=float(meta.max_accuracy_loss),
    )


def dual_rule(meta):
    """How the multipliers of a `GroupConstrainedPruner` step.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Its parameters are valid one by one.

    Returns
    -------
    rule : DualRule

    Raises
    ------
    ValueError
        If they contradict each other.
    """
    constraint, stage = CONSTRAINTS.find("constraint", meta.constraint), STAGES[meta.stage]
    if constraint.of_dense and "dense" in stage.trainings:
        raise ValueError(
            f"constraint={constraint.name!r} compares with the dense network, which "
            f"stage={meta.stage!r} only begins to train. Use stage='after', or "
            "constraint='equal_loss'."
        )
    if constraint.of_errors and not is_classifier(meta.estimator):
        raise ValueError(
            f"constraint={constraint.name!r} is about accuracy, which a regressor does "
            "not have. Use a constraint on losses, such as 'equal_excessive_loss'."
        )
    if constraint.simplex and meta.dual_update not in ("adaptive", "projected"):
        raise ValueError(
            f"constraint={constraint.name!r} has multipliers that sum to 1; dual_update="
            f"{meta.dual_update!r} has no meaning for it. Use 'adaptive' or 'projected'."
        )
    if constraint.bound and meta.tolerance is None:
        raise ValueError(
            f"constraint={constraint.name!r} needs tolerance, its bound on every group, and "
            "it is None. Give one, such as 1.1 times the mean loss of the dense network."
        )
    if isinstance(meta.estimator.estimator, FrozenEstimator) and "dense" in stage.trainings:
        raise ValueError(
            f"stage={meta.stage!r} trains the dense network, which a FrozenEstimator "
            "forbids. Use stage='after'."
        )
    damped = meta.dual_optimizer == "nupi"
    usual = USUAL_LR if meta.dual_update == "adaptive" else USUAL_PLAIN_LR
    return DualRule(
        constraint,
        tolerance=None if meta.tolerance is None else float(meta.tolerance),
        update=meta.dual_update,
        lr=float(usual if meta.dual_lr is None else meta.dual_lr),
        gain=float(meta.nupi_gain) if damped else 0.0,
        smoothing=float(meta.nupi_smoothing) if damped else 0.0,
        steps=int(meta.dual_steps),
        window=float(meta.window),
        total=float(meta.max_multiplier),
        noise=float(meta.noise),
        least=float(meta.min_row_weight),
        most=float(meta.max_row_weight),
    )
