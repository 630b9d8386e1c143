"""What a group constraint changes about a fit: rows held out, multipliers that step."""

import copy

import pandas as pd
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator

from ..engine.batches import split_rows
from ..engine.dual_ascent import DualAscent
from ..engine.dual_rule import DualRule
from ..engine.group_statistics import evaluate, means_of, named, violations_of
from ..engine.networks import adapt
from ..functional.constraints import CONSTRAINTS
from ._listener import FitListener

USUAL_LR, USUAL_PLAIN_LR = 2.0, 0.3  # of relative steps, and of the others

# The stage in which a training is not constrained.
UNCONSTRAINED = {"dense": "after", "finetune": "before"}


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
        self.rule, self.stage, self.holdout = dual_rule(meta), meta.stage, float(meta.holdout)
        self.held, self.duals = None, {}

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
        if recipe.epochs != 0 and self.stage != UNCONSTRAINED["finetune"]:
            return (
                f"constraint={self.rule.constraint.name!r} is on the losses of the groups in "
                f"the fine-tuning (finetune_epochs={recipe.epochs}). Pass y, or "
                "finetune_epochs=0."
            )
        return ""

    def dual(self, n_epochs, net, rows, dense):
        """Multipliers of the training that begins, if the stage says so."""
        phase = "dense" if dense is None else "finetune"
        if not n_epochs or self.stage == UNCONSTRAINED[phase]:
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

    def attributes(self, net):
        """Fitted attributes of the meta-estimator: a pruner that predicts with the net."""
        twin = copy.copy(self.pruner)
        twin._fitted = self.state(net)
        return {"estimator_": twin}

    def violations(self, net, dense):
        """Violation of every group by a network in evaluation mode, over whole data sets.

        Parameters
        ----------
        net, dense : skorch.NeuralNet
            Fitted, and the network it is compared with.

        Returns
        -------
        violations : dict of str to ndarray of shape (m,)
            On the rows that trained the weights ("train") and, with `holdout`, on those
            that trained the multipliers. NaN for a group without rows.
        """
        constraint, found = self.rule.constraint, {}
        for name, rows in {"train": self.rows, "holdout": self.held}.items():
            if rows is None:
                continue
            adapt(rows, net)
            options = (rows, len(self.groups), None, constraint.of_errors)
            means = means_of(evaluate(dense, *options)) if constraint.of_dense else None
            sums = evaluate(net, *options)
            found[name] = violations_of(constraint, sums, means).numpy()
            self.tolerance = self.rule.allowed(named(means_of(sums), sums[:, 0]))
        return found

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
        frames = [
            pd.DataFrame(
                {"epoch": epoch, "stage": phase, "group": self.index()}
                | {name: values.numpy() for name, values in record.items()}
            )
            for phase, dual in self.duals.items()
            for epoch, record in enumerate(dual.records, start=1)
        ]
        if before is not None and "dense" not in self.duals:
            kept = before[before["stage"] == "dense"]
            frames = ([kept] if len(kept) else []) + frames
        if frames:
            return pd.concat(frames, ignore_index=True)
        names = ["epoch", "stage", "group", "loss", "violation", "multiplier"]
        return pd.DataFrame(columns=names)


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
    constraint = CONSTRAINTS.find("constraint", meta.constraint)
    if constraint.of_dense and meta.stage != "after":
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
            f"constraint={constraint.name!r} needs tolerance, its bound on every group, and it "
            "is None. Give one, such as 1.1 times the mean loss of the dense network."
        )
    if isinstance(meta.estimator.estimator, FrozenEstimator) and meta.stage != "after":
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
