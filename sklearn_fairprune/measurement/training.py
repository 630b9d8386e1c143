"""What a constrained training left behind: multipliers and violations by epoch."""

from typing import Any

import pandas as pd

from ..estimators.constrained import GroupConstrainedPruner
from ..estimators.unwrap import doors
from .groups import distinct_labels


def constrained_pruner(model: Any) -> Any:
    """Return the `GroupConstrainedPruner` inside a model, or None.

    Parameters
    ----------
    model : fitted estimator
        Anything; a constrained pruner may stand in whatever `doors` opens.

    Returns
    -------
    pruner : GroupConstrainedPruner or None
    """
    levels = [model, *(door.inside for door in doors(model))]
    return next((one for one in levels if isinstance(one, GroupConstrainedPruner)), None)


def training_table(models: dict[str, Any]) -> pd.DataFrame:
    """Multipliers and violations of all constrained models by epoch and group.

    Parameters
    ----------
    models : dict of str to fitted estimator
        Those without a constraint are passed over.

    Returns
    -------
    table : DataFrame
        ``history_`` of the models below each other, indexed by ``model``, with ``group`` as
        text and the ``tolerance``. Empty if no model was constrained.
    """
    tables = {}
    for name, model in models.items():
        pruner = constrained_pruner(model)
        if pruner is not None:
            labels = pruner.history_["group"].unique()
            texts = dict(zip(labels, distinct_labels(labels), strict=True))
            group = pruner.history_["group"].map(texts)
            tolerance = getattr(pruner, "tolerance_", pruner.tolerance)
            tables[name] = pruner.history_.assign(group=group, tolerance=tolerance)
    if not tables:
        return pd.DataFrame()
    return pd.concat(tables, names=["model", None]).reset_index(level=1, drop=True)


def constraint_table(models: dict[str, Any]) -> pd.DataFrame:
    """Say which models were constrained, and whether the constraint is met.

    Parameters
    ----------
    models : dict of str to fitted estimator
        Those without a constraint are passed over.

    Returns
    -------
    table : DataFrame
        Indexed by ``model``: ``constraint``, ``stage``, ``tolerance``,
        ``largest_violation`` and the rows it is ``measured_on``, ``satisfied`` (None where
        there is nothing to satisfy). Empty if no model was constrained.
    """
    rows = {}
    for name, model in models.items():
        pruner = constrained_pruner(model)
        if pruner is None or not hasattr(pruner, "violations_"):
            continue
        last = pruner.violations_.iloc[:, -1]
        constraint = pruner.constraint
        rows[name] = {
            "constraint": getattr(constraint, "__name__", str(constraint)),
            "stage": pruner.stage,
            "tolerance": float(pruner.tolerance_),
            "largest_violation": float(last.max()),
            "measured_on": str(last.name),
            "satisfied": pruner.constraint_satisfied_,
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("model")


def by_epoch(training: pd.DataFrame, model: str, column: str) -> pd.DataFrame:
    """Return one quantity of a constrained training with a column per group.

    Parameters
    ----------
    training : DataFrame
        From `training_table`.
    model : str
        Name of the model.
    column : str
        Such as "multiplier".

    Returns
    -------
    table : DataFrame
        Indexed by ``stage`` and ``epoch``, in their order.
    """
    rows = training.loc[[model], ["stage", "epoch", "group", column]]
    wide = rows.set_index(["stage", "epoch", "group"])[column].unstack("group", sort=False)
    order = dict.fromkeys(zip(rows["stage"], rows["epoch"], strict=True))
    return wide.loc[list(order)]
