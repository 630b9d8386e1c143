"""One dense network pruned to many sparsities."""

from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from sklearn.utils import Bunch


class PruningPath(Bunch):
    """What `pruning_path` returns: fitted estimators that share one dense network.

    A :class:`~sklearn.utils.Bunch`, so that its entries are keys as well as attributes.

    Parameters
    ----------
    sparsities : sequence of float
        Shares of weights to remove, as asked for.
    estimators : list of estimator
        Fitted, one per sparsity; with budgets one per sparsity above 0 and budget.
    budgets : sequence of float, default=None
        Epochs of fine-tuning that each was given; None: nobody asked.
    **more : object
        Ignored: entries that follow from the others, where a copy is made of all.

    Attributes
    ----------
    sparsities : ndarray of shape (n,)
        As asked for, in the order given.
    achieved : ndarray of shape (n,)
        What was reached, up to one weight.
    estimators : list of estimator
        Fitted, one per sparsity; with budgets one per sparsity above 0 and budget.
    budgets : ndarray of shape (n,)
        Epochs of fine-tuning that each was given with ``pruning_path(budgets=...)``, rising
        within each sparsity; those of None are the number that it stands for. NaN of a dense
        network, which has no fine-tuning, and everywhere in a path without budgets.
    names : list of str
        What reports call them, such as "sparsity 0.9" or "sparsity 0.9, 20 epochs".
    nested : bool
        Whether every network has removed what those of lower sparsity have; of several
        budgets: those of lower sparsity and the same budget. It is not so of
        gradual schedules, whose networks choose their masks while they train.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn_fairprune import PrunedClassifier
    >>> X, y = make_classification(random_state=0)
    >>> clf = PrunedClassifier(finetune_epochs=1, random_state=0)
    >>> path = clf.pruning_path(X, y, sparsities=[0, 0.9])
    >>> path
    <PruningPath of 2 estimators, sparsities 0, 0.9>
    >>> path.at(0.9) is path["estimators"][1]
    True
    >>> [name for name, _ in path.items_by_name()]
    ['sparsity 0', 'sparsity 0.9']
    >>> path = clf.pruning_path(X, y, sparsities=[0, 0.9], budgets=[1, 4])
    >>> path.names
    ['sparsity 0', 'sparsity 0.9, 1 epoch', 'sparsity 0.9, 4 epochs']
    >>> path.at(0.9, budget=4).finetune_epochs
    4
    """

    def __init__(
        self,
        sparsities: Sequence[float],
        estimators: Sequence[Any],
        budgets: Sequence[float] | None = None,
        **more: Any,
    ) -> None:
        asked = np.array([float(s) for s in sparsities])
        given = np.full(len(asked), np.nan) if budgets is None else np.array(budgets, float)
        super().__init__(
            sparsities=asked,
            achieved=np.array([estimator.sparsity_ for estimator in estimators]),
            estimators=list(estimators),
            budgets=given,
            names=path_names(asked, given),
        )

    def at(self, sparsity: float, budget: float | None = None) -> Any:
        """Estimator of a sparsity of the path.

        Parameters
        ----------
        sparsity : float
            As it was asked for.
        budget : int, default=None
            Epochs of fine-tuning, one of ``budgets``; None: the most that the sparsity has.
            The dense network has none, and is the same for all.

        Returns
        -------
        estimator : estimator
            Fitted; the first, if the same was asked for more than once.

        Raises
        ------
        ValueError
            If the path has no such sparsity, or no such budget.
        """
        found = np.flatnonzero(np.isclose(self.sparsities, sparsity, rtol=0, atol=1e-9))
        if not len(found):
            raise ValueError(
                f"sparsity must be one of the path, {self.sparsities.tolist()}, got "
                f"{sparsity!r}. Make a path that has it with pruning_path(sparsities=...)."
            )
        known = np.unique(self.budgets[np.isfinite(self.budgets)])
        if budget is not None and budget not in known:
            raise ValueError(
                f"budget must be one of the path, {known.astype(int).tolist()}, got "
                f"{budget!r}. Make a path that has it with pruning_path(budgets=...)."
            )
        own = np.nan_to_num(self.budgets[found], nan=-1)
        most = own.max() if budget is None or own.max() < 0 else budget
        return self.estimators[found[np.flatnonzero(own == most)[0]]]

    @property
    def nested(self) -> bool:
        """Whether the masks of higher sparsities lie within those of lower ones."""
        order = np.argsort(self.achieved, kind="stable")
        dense = np.isnan(self.budgets)
        return all(
            bool((after[name] <= before[name]).all())
            for budget in np.unique(self.budgets[~dense]).tolist() or [np.nan]
            for before, after in pairwise(
                self.estimators[k].masks_
                for k in order
                if dense[k] or self.budgets[k] == budget
            )
            for name in after
        )

    def items_by_name(self) -> list[tuple[str, Any]]:
        """Pairs of name and estimator, in order.

        Returns
        -------
        pairs : list of (str, estimator)
            ``dict(path.items_by_name())`` is what `audit` takes as well.
        """
        return list(zip(self.names, self.estimators, strict=True))

    def __repr__(self) -> str:
        """Say how many networks there are, how sparse, and with which budgets."""
        names = dict.fromkeys(name.partition(", ")[0] for name in self.names)
        shown = ", ".join(name.removeprefix("sparsity ") for name in names)
        known = np.unique(self.budgets[np.isfinite(self.budgets)])
        told = f", budgets {', '.join(f'{n:.0f}' for n in known)}" if len(known) else ""
        return f"<PruningPath of {len(self.names)} estimators, sparsities {shown}{told}>"


def path_names(
    sparsities: Iterable[float], budgets: Iterable[float] | None = None
) -> list[str]:
    """Names of the models of a path, with as many digits as tell them apart.

    Parameters
    ----------
    sparsities : iterable of float
        Shares of weights to remove.
    budgets : iterable of float, default=None
        Epochs of fine-tuning; NaN: not told.

    Returns
    -------
    names : list of str

    Examples
    --------
    >>> from sklearn_fairprune.estimators.path import path_names
    >>> path_names([0, 0.5, 0.5], [float("nan"), 1, 20])
    ['sparsity 0', 'sparsity 0.5, 1 epoch', 'sparsity 0.5, 20 epochs']
    """
    sparsities = list(sparsities)
    short = len({f"{s:g}" for s in sparsities}) == len(set(sparsities))
    names = [f"sparsity {s:g}" if short else f"sparsity {float(s)}" for s in sparsities]
    if budgets is None:
        return names
    told = ["" if np.isnan(n) else f", {n:.0f} epoch{'' if n == 1 else 's'}" for n in budgets]
    return [f"{name}{after}" for name, after in zip(names, told, strict=True)]
