"""The verbs of the constrained pruner: fit under the constraint, and keep what came of it."""

import copy
import functools

import pandas as pd
from sklearn.base import clone

from ..engine.networks import adapt
from . import _fitting
from ._budgets import CELL
from ._constraint import ConstraintListener, ReplayListener, frozen_pruner, inner_pruner
from ._inputs import read_training
from ._verdict import TWO_SIDED, Verdict


def fit(meta, data):
    """Train, prune and fine-tune.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Gets the results; a fit that fails leaves it unfitted.
    data : Data
        As the user gave it.

    Returns
    -------
    meta : GroupConstrainedPruner
    """
    _fitting.forget_fit(meta)
    run = _as_it_is if frozen_pruner(meta) else _fitting.fit
    return _constrain(meta, data, lambda: inner_pruner(meta), run)


def _as_it_is(pruner, data, listener):
    """Read rows for a fitted pruner, whose network nothing is trained of."""
    state = pruner._fitted
    reading = read_training(pruner, data, state)
    rows = adapt(reading.rows, state.net)
    if listener.holdout:
        rows = listener.hold_out(rows, state.seed)
    listener.rows, listener.groups = rows, reading.groups
    listener.begin(pruner, 0, lambda net: state.change(net=net))
    listener.close(state.net)
    return rows


def prune_again(meta, data, sparsity):
    """Prune from the kept dense weights.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Fitted; stays as it was if something fails.
    data : Data
        To prune with.
    sparsity : float or None
        None means the parameter.

    Returns
    -------
    meta : GroupConstrainedPruner
    """
    again = functools.partial(_fitting.prune_again, sparsity=sparsity)
    return _constrain(meta, data, lambda: copy.copy(meta.estimator_), again)


def path(meta, data, sparsities, budgets):
    """Fit clones, one per sparsity and budget, which share one dense network.

    Parameters
    ----------
    meta : GroupConstrainedPruner
        Stays as it is.
    data : Data
        As the user gave it.
    sparsities : sequence of float
        Shares of weights to remove.
    budgets : sequence of (int or None) or None
        Epochs of fine-tuning.

    Returns
    -------
    fitted : list of GroupConstrainedPruner
    budgets : list of float
        Of each; NaN where nothing is pruned, or nobody asked.

    Raises
    ------
    ValueError
        If every network should be trained twice.
    """
    if meta.refit:
        raise ValueError(
            "pruning_path trains every network once, and refit=True asks for twice. Use "
            "refit=False, or fit one estimator for each sparsity."
        )
    if frozen_pruner(meta):
        raise ValueError(
            "pruning_path fits a pruner for each sparsity, and estimator is a fitted one, in "
            "a FrozenEstimator. Pass the pruner itself, or call its own pruning_path and "
            "adjust each network."
        )
    pruner, listener = inner_pruner(meta), ConstraintListener(meta, data)
    fitted, given = _fitting.path(pruner, data, sparsities, listener, budgets)
    found = []
    for member, branch in fitted:
        branch.finish(member)
        own = {f"estimator__{k}": getattr(member, k) for k in (*CELL, "target")}
        found.append(_take(clone(meta).set_params(**own), member, branch))
    return found, given


def _constrain(meta, data, fresh, run):
    """Fit under the constraint, perhaps again on all rows, and keep what came of it."""
    pruner, listener = fresh(), ConstraintListener(meta, data)
    rows = run(pruner, data, listener=listener)
    listener.finish(pruner)
    last = pruner
    if meta.refit and listener.held is not None:
        last, again = fresh(), ReplayListener(meta, data, listener)
        rows = run(last, data, listener=again)
        again.finish(last)
    _take(meta, last, listener, first=pruner)
    _fitting.warn_if_unsound(last, rows)
    return meta


def _take(meta, pruner, listener, first=None):
    """Store a fitted pruner and what became of its constraint; warn where it failed.

    What is said of held-out rows is of the first pruner, which has not seen them.
    """
    history = listener.history(vars(meta).get("history_"))
    before = vars(meta).get("multipliers_")
    _fitting.forget_fit(meta)
    meta.estimator_, meta.history_ = pruner, history
    known = None if listener.rows is None else listener.multipliers()
    if known is not None:
        meta.multipliers_ = pd.Series(known, listener.index(), name="multiplier")
    elif before is not None and listener.stage.trainings == ("dense",):
        meta.multipliers_ = before
    if listener.rows is None:  # without targets nothing was measured
        return meta
    meta.groups_ = listener.groups
    parts = {"train": pruner}
    if listener.held is not None:
        parts["holdout"] = pruner if first is None else first
    nets = {name: (one.estimator_, one.dense_estimator_) for name, one in parts.items()}
    verdict = Verdict(listener, nets, meta.dual_update in TWO_SIDED)
    meta.violations_, meta.violation_limits_ = verdict.violations, verdict.limits
    meta.row_weights_, meta.tolerance_ = verdict.weights, verdict.tolerance
    meta.outcome_, meta.constraint_satisfied_ = verdict.outcome, verdict.satisfied
    verdict.tell(meta.sparsity_)
    return meta
