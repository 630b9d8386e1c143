"""Says where damage may be that of the recovery, and not what pruning costs."""

import pandas as pd

from ..statistics.idle import IDLE, idle_share, says_idle
from .formats import epochs_told

# A held-out loss this much above the dense network's, in nats, or as a share of it where it is
# no cross-entropy, is what networks have that were fine-tuned too short, or are stuck, or were
# trained so long that they overfit.
TOLERATED = 0.05
WHY = "too little recovery, or one that overfits"


def unrecovered(overall: pd.DataFrame, sizes: pd.DataFrame | None = None) -> dict[str, str]:
    r"""Pruned networks whose loss, or whose masks, tell of too little recovery.

    .. math:: J(\bar\theta; D) - J(\theta; D) > 0.05

    on held-out rows (of a regressor: 5 % of the dense loss), or a tenth of the kept weights on
    no path from an input to an output. The history of a training does not tell: in networks
    that are stuck its last epochs hardly improve.

    Parameters
    ----------
    overall : DataFrame
        One row per model, the dense one first.
    sizes : DataFrame, default=None
        Of the networks, perhaps with ``effective_sparsity``.

    Returns
    -------
    reasons : dict of str to str
        By the name of the model.

    Notes
    -----
    Where nothing is flagged, recovery may still be too short: a group can lose while the loss
    over all rows does not rise.
    """
    found: dict[str, str] = {}
    losses = overall.get("loss", pd.Series(float("nan"), overall.index))
    classifies = overall.get("accuracy") is not None
    dense = losses.iloc[0]
    tolerated = TOLERATED if classifies else TOLERATED * dense
    for model, row in overall.iloc[1:].iterrows():
        told = []
        if not row["sparsity"] > 0:
            continue
        excess = losses[model] - dense
        if excess > tolerated:
            told.append(f"its held-out loss is {excess:.3g} above the dense one's")
        idle = _idle(sizes, model)
        if idle > IDLE:
            told.append(says_idle(idle))
        if told:
            found[str(model)] = "; ".join(told)
    return found


def recovery_notes(overall: pd.DataFrame, sizes: pd.DataFrame) -> list[str]:
    """Say of which networks part of the damage may be too little recovery.

    Parameters
    ----------
    overall, sizes : DataFrame
        See `unrecovered`; the former perhaps with ``finetune_epochs``.

    Returns
    -------
    notes : list of str
        One a network, and one on what to do.
    """
    reasons = unrecovered(overall, sizes)
    notes = []
    epochs = overall.get("finetune_epochs", pd.Series(dtype=float)).dropna()
    for model, reason in reasons.items():
        known = model in epochs
        after = f" after {epochs_told(epochs[model])} of fine-tuning" if known else ""
        notes.append(f"{model}: part of its damage may be {WHY}{after}: {reason}.")
    if notes:
        notes.append(
            "Before anybody is said to pay for pruning, let the network recover: prune with "
            "schedule='cubic', raise finetune_epochs, try recovery='distill', and see which "
            "damage stays (pruning_path with budgets=[20, 80], --budgets 20,80)."
        )
    return notes


def _idle(sizes: pd.DataFrame | None, model: object) -> float:
    """Share of the kept weights of a model that are on no path; 0 if unknown."""
    if sizes is None or "effective_sparsity" not in sizes or model not in sizes.index:
        return 0.0
    row = sizes.loc[model]
    if pd.isna(row["effective_sparsity"]):
        return 0.0
    return idle_share(row["kept"], row["weights"] * (1 - row["effective_sparsity"]))
