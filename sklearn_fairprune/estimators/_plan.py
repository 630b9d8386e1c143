"""What a group constraint changes about a fit: rows held out, multipliers that step."""

import copy

import pandas as pd
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator

from ..engine.batches import split_rows
from ..engine.dual_ascent import DualAscent, DualRule
from ..engine.group_statistics import evaluate, means_of, violations_of
from ..engine.networks import adapt
from ..functional.constraints import CONSTRAINTS


class Unconstrained:
    """Plan of a fit without group constraint.

    A plan hears of the rows of a fit and of the networks that begin to train, and may
    take rows away and give multipliers. It lives as long as the fit.
    """

    def begin(self, rows, groups, seed):
        """Return the rows that the weights may see."""
        return rows

    def dense(self, net, rows):
        """`DualAscent` of the dense training, or None."""
        return None

    def finetune(self, dense_net, rows):
        """Function from the pruned net to the `DualAscent` of its fine-tuning, or None."""
        return None

    def twin(self):
        """Plan of another fine-tuning of the same dense network."""
        return self

    def owner(self, pruner):
        """Estimator whose callbacks hear of the fit."""
        return pruner

    def attributes(self, pruner, attributes):
        """Fitted attributes of the owner, from those of the pruner."""
        return attributes


UNCONSTRAINED = Unconstrained()


class Constrained(Unconstrained):
    """Plan of a fit with a group constraint.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Whose fit it is.
    rule : DualRule
        How multipliers step.
    stage : {"before", "after", "both"}
        Which trainings are constrained.
    holdout : float
        Share of the rows of each group that the weights never see.

    Attributes
    ----------
    rows, held : Rows
        What the weights see, and what they do not (None if there is nothing).
    groups : ndarray
        Names of the groups.
    duals : dict of str to DualAscent
        By stage, "dense" or "finetune".
    """

    def __init__(self, meta, rule, stage, holdout):
        self.meta, self.rule, self.stage, self.holdout = meta, rule, stage, holdout
        self.rows, self.held, self.groups, self.duals = None, None, None, {}

    def begin(self, rows, groups, seed):
        """Take the held-out rows away."""
        self.groups, self.rows = groups, rows
        if self.holdout:
            seen, unseen = split_rows(rows, self.holdout, seed)
            if len(unseen) == 0:
                raise ValueError(
                    f"holdout={self.holdout:g} needs a group of at least two rows to take one "
                    "from, and every group has one sample only. Use holdout=0."
                )
            self.rows, self.held = rows.subset(seen), rows.subset(unseen)
        return self.rows

    def dense(self, net, rows):
        """Constrain the dense training if the stage says so."""
        if self.stage == "after":
            return None
        if self.held is not None:
            adapt(self.held, net)
        self.duals["dense"] = DualAscent(
            self.rule, net, rows, len(self.groups), held=self.held
        )
        return self.duals["dense"]

    def finetune(self, dense_net, rows):
        """Constrain the fine-tuning if the stage says so."""
        if self.held is not None:
            adapt(self.held, dense_net)
        self.reference = dense_net
        if self.stage == "before" or rows is None:
            return None

        def begin(net):
            self.duals["finetune"] = DualAscent(
                self.rule,
                net,
                rows,
                len(self.groups),
                held=self.held,
                dense=dense_net if self.rule.constraint.of_dense else None,
            )
            return self.duals["finetune"]

        return begin

    def twin(self):
        """Another fine-tuning has multipliers of its own."""
        twin = copy.copy(self)
        twin.duals = dict(self.duals)
        return twin

    def owner(self, pruner):
        """The meta-estimator."""
        return self.meta

    def attributes(self, pruner, attributes):
        """A fitted pruner inside the meta-estimator."""
        twin = copy.copy(pruner)
        twin.__dict__.update(attributes)
        return {"estimator_": twin} | {k: v for k, v in attributes.items() if k == "classes_"}

    def violations(self, net):
        """Violation of every group by a network in evaluation mode, over whole data sets.

        Parameters
        ----------
        net : skorch.NeuralNet
            The pruned network.

        Returns
        -------
        violations : dict of str to ndarray of shape (m,)
            Of the rows "train", and "holdout" if there are any; NaN for absent groups.
        """
        constraint, found = self.rule.constraint, {}
        for name, rows in {"train": self.rows, "holdout": self.held}.items():
            if rows is None:
                continue
            options = (rows, len(self.groups), None, constraint.of_errors)
            dense = (
                means_of(evaluate(self.reference, *options)) if constraint.of_dense else None
            )
            sums = evaluate(net, *options)
            found[name] = violations_of(constraint, sums, dense).numpy()
        return found

    def index(self):
        """Names of the groups as an index."""
        return pd.Index(self.groups, name="group", tupleize_cols=False)

    def history(self, before=None):
        """Frame with one row per epoch and group.

        Parameters
        ----------
        before : DataFrame, default=None
            An earlier history, whose dense training counts if this fit has none.

        Returns
        -------
        history : DataFrame
        """
        frames = [
            pd.DataFrame(
                {"epoch": epoch, "stage": stage, "group": self.index()}
                | {name: values.numpy() for name, values in record.items()}
            )
            for stage, dual in self.duals.items()
            for epoch, record in enumerate(dual.records, start=1)
        ]
        if before is not None and "dense" not in self.duals:
            kept = before[before["stage"] == "dense"]
            frames = ([kept] if len(kept) else []) + frames
        if frames:
            return pd.concat(frames, ignore_index=True)
        names = ["epoch", "stage", "group", "loss", "violation", "multiplier"]
        return pd.DataFrame(columns=names)


def make_plan(meta):
    """Plan of one fit of a `GroupConstrainedPruner`.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Whose parameters count.

    Returns
    -------
    plan : Constrained

    Raises
    ------
    ValueError
        If parameters contradict each other.
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
    if constraint.simplex and meta.dual_update != "projected":
        raise ValueError(
            f"constraint={constraint.name!r} has multipliers that sum to 1; dual_update="
            f"{meta.dual_update!r} has no meaning for it. Use 'projected'."
        )
    if isinstance(meta.estimator.estimator, FrozenEstimator) and meta.stage != "after":
        raise ValueError(
            f"stage={meta.stage!r} trains the dense network, which a FrozenEstimator "
            "forbids. Use stage='after'."
        )
    damped = meta.dual_optimizer == "nupi"
    rule = DualRule(
        constraint,
        tolerance=float(meta.tolerance),
        update=meta.dual_update,
        lr=float(meta.dual_lr),
        gain=float(meta.nupi_gain) if damped else 0.0,
        smoothing=float(meta.nupi_smoothing) if damped else 0.0,
        steps=int(meta.dual_steps),
        window=float(meta.window),
        total=float(meta.max_multiplier),
    )
    return Constrained(meta, rule, meta.stage, float(meta.holdout))
