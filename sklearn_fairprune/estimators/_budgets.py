"""Which networks a path with budgets has: one per sparsity and number of epochs."""

import math
import numbers
from typing import Any, NamedTuple

from ..engine.recovery import recovery_epochs

CELL = ("sparsity", "finetune_epochs")  # parameters in which the members of a path differ


class Cell(NamedTuple):
    """A network of a path.

    Attributes
    ----------
    parameters : dict
        Of the pruner that makes it.
    budget : float
        Epochs of its fine-tuning; NaN where nothing is pruned, or nobody asked.
    """

    parameters: dict[str, Any]
    budget: float


def check_budgets(budgets):
    """Return budgets as a list of int and None, or None, or raise."""
    if budgets is None:
        return None
    wrong = isinstance(budgets, (str, bytes)) or not hasattr(budgets, "__len__")
    if wrong or not len(budgets):
        raise ValueError(
            "budgets must be a sequence of numbers of epochs, such as [5, 20, 80], got "
            f"{budgets!r}. For a single number set finetune_epochs."
        )
    budgets = [_check_budget(budget) for budget in budgets]
    _check_distinct(budgets, budgets, "")
    return budgets


def path_cells(sparsities, budgets, net, rows):
    """Cells of a path: every sparsity, and within those above 0 every budget, rising.

    Parameters
    ----------
    sparsities : list of float
        Checked.
    budgets : list of (int or None) or None
        Checked.
    net : skorch.NeuralNet
        Initialized.
    rows : Rows
        It trains on; with the net they say how many epochs None stands for.

    Returns
    -------
    cells : list of Cell
    """
    if budgets is None:
        return [Cell({"sparsity": sparsity}, math.nan) for sparsity in sparsities]
    usual = recovery_epochs(net, rows) if None in budgets else None
    epochs = [usual if budget is None else budget for budget in budgets]
    _check_distinct(epochs, budgets, f", where None stands for {usual}")
    cells = []
    for sparsity in sparsities:
        if sparsity == 0:
            cells.append(Cell({"sparsity": sparsity}, math.nan))
            continue
        for n, budget in sorted(zip(epochs, budgets, strict=True), key=lambda pair: pair[0]):
            parameters = dict(zip(CELL, (sparsity, budget), strict=True))
            cells.append(Cell(parameters, float(n)))
    return cells


def _check_budget(budget):
    if budget is None:
        return None
    whole = isinstance(budget, numbers.Integral) and not isinstance(budget, bool)
    if not whole or budget < 0:
        raise ValueError(
            "budgets are numbers of epochs of fine-tuning, integers of at least 0, or None "
            f"for as many as recovery takes, got {budget!r}. Use for example [5, 20, 80]."
        )
    return int(budget)


def _check_distinct(epochs, budgets, why):
    if len(set(epochs)) < len(epochs):
        double = next(n for n in epochs if epochs.count(n) > 1)
        raise ValueError(
            f"budgets must be different numbers of epochs, got {budgets!r}{why}: {double} is "
            "there twice. Give each once."
        )
