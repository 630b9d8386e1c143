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
        Fitted, one per sparsity.
    **more : object
        Ignored: entries that follow from the others, where a copy is made of all.

    Attributes
    ----------
    sparsities : ndarray of shape (n,)
        As asked for, in the order given.
    achieved : ndarray of shape (n,)
        What was reached, up to one weight.
    estimators : list of estimator
        Fitted, one per sparsity.
    names : list of str
        What reports call them, such as "sparsity 0.9".
    nested : bool
        Whether every network has removed what those of lower sparsity have. It is not so of
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
    """

    def __init__(
        self, sparsities: Sequence[float], estimators: Sequence[Any], **more: Any
    ) -> None:
        asked = np.array([float(s) for s in sparsities])
        super().__init__(
            sparsities=asked,
            achieved=np.array([estimator.sparsity_ for estimator in estimators]),
            estimators=list(estimators),
            names=path_names(asked),
        )

    def at(self, sparsity: float) -> Any:
        """Estimator of a sparsity of the path.

        Parameters
        ----------
        sparsity : float
            As it was asked for.

        Returns
        -------
        estimator : estimator
            Fitted; the first, if the sparsity was asked for more than once.

        Raises
        ------
        ValueError
            If the path has no such sparsity.
        """
        found = np.flatnonzero(np.isclose(self.sparsities, sparsity, rtol=0, atol=1e-9))
        if not len(found):
            raise ValueError(
                f"sparsity must be one of the path, {self.sparsities.tolist()}, got "
                f"{sparsity!r}. Make a path that has it with pruning_path(sparsities=...)."
            )
        return self.estimators[found[0]]

    @property
    def nested(self) -> bool:
        """Whether the masks of higher sparsities lie within those of lower ones."""
        order = np.argsort(self.achieved, kind="stable")
        masks = [self.estimators[k].masks_ for k in order]
        return all(
            bool((after[name] <= before[name]).all())
            for before, after in pairwise(masks)
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
        """Say how many networks there are, and how sparse."""
        shown = ", ".join(name.removeprefix("sparsity ") for name in self.names)
        return f"<PruningPath of {len(self.names)} estimators, sparsities {shown}>"


def path_names(sparsities: Iterable[float]) -> list[str]:
    """Names of the models of a path, with as many digits as tell them apart."""
    short = len({f"{s:g}" for s in sparsities}) == len(set(sparsities))
    return [f"sparsity {s:g}" if short else f"sparsity {float(s)}" for s in sparsities]
