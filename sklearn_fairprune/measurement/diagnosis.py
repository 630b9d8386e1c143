"""What a diagnosis measures: columns of row values, and their group means with samples."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from ..engine.evaluation import Evaluation
from ..engine.group_curvature import GroupCurvature, group_curvature
from ..engine.recipe import make_recipe
from ..engine.row_statistics import (
    BOUND_TERMS,
    bound_terms,
    of_rows,
    row_outcomes,
    row_statistics,
)
from ..engine.scoring import recipe_masks
from ..estimators.unwrap import check_networks
from ..functional.bounds import theorem1_bound
from ..functional.diagnostics import accuracy_drop, diagnostics_of
from ..functional.groups import group_means
from ..functional.params import norm
from ..statistics.intervals import (
    bootstrap_group_means,
    percentile_interval,
    proportion_interval,
)
from ..statistics.weights import LEAST_KNOWN, effective_rows
from ..statistics.worst import Worst, group_limits, worst_group
from .explanations import Explanation, explain
from .quantities import DENSE, EXPLAINING, PRUNED, quantities


class Evidence(NamedTuple):
    """Measurements on the rows used.

    Attributes
    ----------
    dense : Evaluation
        The dense network.
    sparsity : float
        Of the pruned network, or of the masks that are tried.
    distance : float or None
        Norm of what pruning takes away; None without pruning.
    curvatures : list of GroupCurvature
        One per group.
    columns : dict of str to ndarray of shape (n_used,)
        Row values, group after group; their group means are the quantities.
    predicted : ndarray of shape (n_used,) or None
        Class codes that the dense network predicts.
    """

    dense: Evaluation
    sparsity: float
    distance: float | None
    curvatures: list[GroupCurvature]
    columns: dict[str, np.ndarray]
    predicted: np.ndarray | None


def draw(
    codes: np.ndarray, n_groups: int, most: int | None, rng: np.random.Generator
) -> list[torch.Tensor]:
    """Rows of each group, at most `most` of them, drawn at random.

    Parameters
    ----------
    codes : int ndarray of shape (n,)
        Group of every row.
    n_groups : int
        Number of groups m.
    most : int or None
        None is all.
    rng : numpy.random.Generator
        Where the rows are drawn from.

    Returns
    -------
    groups : list of m torch.LongTensor
        Positions, in order.
    """
    groups = [np.flatnonzero(codes == a) for a in range(n_groups)]
    if most is not None:
        groups = [
            rows if len(rows) <= most else np.sort(rng.choice(rows, most, replace=False))
            for rows in groups
        ]
    return [torch.as_tensor(rows) for rows in groups]


def gather(
    pruner: Any,
    rows: Any,
    groups: list[torch.Tensor],
    *,
    sparsity: float | None,
    dtype: str | None,
    tol: float,
    max_products: int,
    weights: torch.Tensor | None = None,
) -> Evidence:
    """Measure everything about the groups but the terms of the costly bounds.

    Parameters
    ----------
    pruner : PrunedClassifier or PrunedRegressor
        Fitted.
    rows : Rows
        Data.
    groups : list of torch.LongTensor
        From `draw`.
    sparsity : float or None
        Of masks to try on the dense network; None is the pruned network.
    dtype : str or None
        None is that of the pruner.
    tol, max_products
        Of the eigenvalues.
    weights : torch.Tensor of shape (n,), default=None
        Row weights of the data, above 0; None: all are equal.

    Returns
    -------
    evidence : Evidence

    Raises
    ------
    ValueError
        If a network that it needs is not there any more.
    """
    check_networks(pruner, pruned=sparsity is None)
    classifies, kind = hasattr(pruner, "classes_"), getattr(torch, dtype or pruner.dtype)
    dense = Evaluation(pruner.dense_estimator_, rows, classifies=classifies, dtype=kind)
    masks, achieved = pruner.masks_, pruner.sparsity_
    if sparsity is not None:
        asked = ("criterion", "scope", "granularity", "layers", "ignored_layers")
        options = {name: getattr(pruner, name) for name in (*asked, "min_density")}
        masks = recipe_masks(dense.net, rows, make_recipe(sparsity, 0, **options))
        achieved = sparsity
    displacement, masked = None, None
    if achieved > 0:
        masked = dense.masked(masks)
        displacement = {name: masked[name] - p for name, p in dense.params.items()}
    pruned = None
    if sparsity is None and achieved > 0:
        pruned = Evaluation(pruner.estimator_, rows, classifies=classifies, dtype=kind)
    used = torch.cat(groups)
    statistics = row_statistics(dense, pruned, rows, used)
    columns, of_pruned = _row_columns(dense, statistics, classifies, len(used))
    predicted = statistics["dense_predictions"]() if classifies else None
    if classifies:
        columns["dense_accuracy"] = (predicted == statistics["labels"]()).double()
    solver: dict[str, Any] = {"tol": tol, "max_products": max_products}
    masses = [None if weights is None else weights[group] for group in groups]
    curvatures = [
        group_curvature(dense, rows, group, displacement, weights=mass, **solver)
        for group, mass in zip(groups, masses, strict=True)
    ]
    columns["gradient_norm"] = torch.cat([c.slopes for c in curvatures])
    columns["largest_eigenvalue"] = torch.cat([c.curvatures for c in curvatures])
    if masked is not None:
        columns["second_order"] = torch.cat([c.estimates for c in curvatures])
        masked_losses, _ = row_outcomes(dense, rows, used, masked)
        columns["masked_excessive_loss"] = masked_losses - statistics["dense_losses"]()
    columns |= of_pruned
    return Evidence(
        dense,
        achieved,
        None if displacement is None else norm(displacement).item(),
        curvatures,
        {name: column.numpy() for name, column in columns.items()},
        None if predicted is None else predicted.numpy(),
    )


def _row_columns(dense, statistics, classifies, n_rows):
    """Row diagnostics of the dense network, and those that compare the pruned one with it."""
    shelf = diagnostics_of(classifies=classifies, probabilities=dense.has_logits)
    shelf = {name: member for name, member in shelf.items() if member.by_group}
    of_pruned = {name: member for name, member in shelf.items() if member.of_pruned}
    of_dense = {name: shelf[name] for name in shelf if name not in of_pruned}
    if "pruned_losses" not in statistics:
        of_pruned = {}
    elif classifies:
        of_pruned = {**of_pruned, accuracy_drop.__name__: accuracy_drop}
    return tuple(
        {name: of_rows(name, f, statistics, n_rows) for name, f in functions.items()}
        for functions in (of_dense, of_pruned)
    )


def gather_bounds(
    evidence: Evidence, rows: Any, groups: list[torch.Tensor], *, tol: float, max_products: int
) -> tuple[dict[str, np.ndarray], int]:
    """Terms of the right sides of Proposition 2 and Theorem 2.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_used,)
        ``gradient_norm_bound`` and ``eigenvalue_bound``.
    unsure : int
        Rows whose spectral norms did not converge.
    """
    *terms, converged = bound_terms(
        evidence.dense, rows, torch.cat(groups), tol=tol, max_products=max_products
    )
    columns = {name: t.numpy() for name, t in zip(BOUND_TERMS, terms, strict=True)}
    return columns, int((~converged).sum())


class GroupMeans:
    """Group means of columns of row values, and bootstrap samples of the same rows.

    Parameters
    ----------
    columns : dict of str to ndarray of shape (n_used,)
        Row values, group after group.
    groups : list of torch.LongTensor
        The rows of each group.
    confidence : float
        Level of the limits.
    n_boot : int
        Bootstrap samples.
    rng : numpy.random.Generator
        Where they are drawn from.
    weights : torch.Tensor of shape (n,), default=None
        Row weights of all rows, by which the means are; None: all are equal.

    Attributes
    ----------
    sizes : int ndarray of shape (m,)
        Rows of each group.
    effective : ndarray of shape (m,)
        Effective rows of each group.
    values : dict of str to ndarray of shape (m,)
        Group means.
    samples : dict of str to ndarray of shape (n_boot, m)
        Samples of them; of one resampling of the rows, so that they belong together.
    """

    def __init__(
        self,
        columns: dict[str, np.ndarray],
        groups: list[torch.Tensor],
        confidence: float,
        n_boot: int,
        rng: np.random.Generator,
        weights: torch.Tensor | None = None,
    ) -> None:
        self.confidence, m, self.columns = confidence, len(groups), columns
        self.sizes = np.array([len(group) for group in groups])
        mass = torch.ones(int(self.sizes.sum())).double()
        mass = mass if weights is None else weights[torch.cat(groups)]
        self.weights = mass.numpy()
        self.codes = codes = np.repeat(np.arange(m), self.sizes)
        matrix = np.column_stack(list(columns.values()))
        means = group_means(torch.as_tensor(matrix), torch.as_tensor(codes), m, mass).numpy()
        samples = bootstrap_group_means(matrix, codes, m, n_boot, rng, self.weights)
        self.effective = effective_rows(self.weights, codes, m)
        self.values = dict(zip(columns, means.T, strict=True))
        self.samples = dict(zip(columns, samples.transpose(2, 0, 1), strict=True))

    def table(self, *sections: Any) -> dict[str, np.ndarray]:
        """Values and limits of the quantities of some sections, as columns of a table."""
        columns: dict[str, np.ndarray] = {}
        for name, quantity in quantities(*sections).items():
            if name in self.values:
                columns |= {name: self.values[name], **self._limits(name, quantity)}
        return columns

    def worst(self, name: str, least_rows: int) -> Worst:
        """Group with the largest mean of a column; see `statistics.worst`."""
        values, m = self.columns[name], len(self.sizes)
        options: dict[str, Any] = {"least_rows": least_rows, "confidence": self.confidence}
        return worst_group(values, self.codes, m, weights=self.weights, **options)

    def _limits(self, name, quantity):
        if quantity.phrase and name in self.columns:  # as in an audit
            values, m = self.columns[name], len(self.sizes)
            low, high = group_limits(values, self.codes, m, self.confidence, self.weights)
        else:
            low, high = percentile_interval(self.samples[name], self.confidence)
        if quantity.never_negative and not (self.values[name] < 0).any():
            low = np.maximum(low, 0)
        return {f"{name}_low": low, f"{name}_high": high}


def complete(means: GroupMeans, evidence: Evidence, share: np.ndarray) -> None:
    """Add what follows from the group means: norms, eigenvalues, bound, gap.

    Parameters
    ----------
    means : GroupMeans
        Of the columns of the evidence; changed.
    evidence : Evidence
        From `gather`.
    share : ndarray of shape (m,)
        Share of each group of all rows, drawn or not, or of their weight.
    """
    values, samples = means.values, means.samples
    values["gradient_norm"] = np.array([c.gradient_norm for c in evidence.curvatures])
    eigenvalues = np.array([c.eigenvalue.value for c in evidence.curvatures])
    values["largest_eigenvalue"] = eigenvalues
    if accuracy_drop.__name__ in values:
        drop, drops = (t[accuracy_drop.__name__] for t in (values, samples))
        overall = np.where(np.isnan(drops), drop, drops) @ share
        values["excess_accuracy_gap"] = drop - drop @ share
        samples["excess_accuracy_gap"] = drops - overall[:, None]
    if evidence.distance is not None:
        norms = values["gradient_norm"], np.maximum(samples["gradient_norm"], 0)
        for table, norm_of_gradient in zip((values, samples), norms, strict=True):
            table["theorem1_bound"] = theorem1_bound(
                norm_of_gradient, table["largest_eigenvalue"], evidence.distance
            ).numpy()


def dense_columns(means: GroupMeans, evidence: Evidence) -> dict[str, np.ndarray]:
    """Columns about the dense network.

    Parameters
    ----------
    means : GroupMeans
        Completed.
    evidence : Evidence
        From `gather`.

    Returns
    -------
    columns : dict of str to ndarray of shape (m,)
    """
    *before, outputs = DENSE
    columns = means.table(*before)
    if "dense_accuracy" in columns:
        right, m = columns["dense_accuracy"], len(means.sizes)
        of = effective_rows(means.weights, means.codes, m, means.columns["dense_accuracy"])
        limits = [
            proportion_interval(p * n, n, means.confidence)
            for p, n in zip(right, of, strict=True)
        ]
        low, high = np.transpose(limits)
        columns |= {"dense_accuracy_low": low, "dense_accuracy_high": high}
    found = [c.eigenvalue for c in evidence.curvatures]
    columns["eigenvalue_residual"] = np.array([e.residual for e in found])
    columns["eigenvalue_converged"] = np.array([e.converged for e in found])
    columns["hessian_products"] = np.array([e.n_products for e in found])
    return columns | means.table(outputs)


def explanations(means: GroupMeans, sizes: np.ndarray, random_state: int) -> pd.DataFrame:
    """Rank correlations of each damage measured with what may explain it.

    Parameters
    ----------
    means : GroupMeans
        Completed.
    sizes : int ndarray of shape (m,)
        Rows of each group, drawn or not.
    random_state : int
        Of the permutations.

    Returns
    -------
    table : DataFrame
        See `explain`; one below the other for each ``damage``.
    """
    values, samples = means.values, means.samples
    several = means.effective >= LEAST_KNOWN  # what one row says of its group cannot be known
    candidates = {
        name: Explanation(values[name][several], samples[name][:, several], quantity.sign)
        for name, quantity in quantities(*EXPLAINING).items()
        if name in values and quantity.sign
    }
    candidates["rows"] = Explanation(sizes[several], None, -1)
    tables = {
        damage: explain(
            values[damage][several],
            samples[damage][:, several],
            {name: c for name, c in candidates.items() if name != damage},
            confidence=means.confidence,
            random_state=random_state,
        )
        for damage, quantity in quantities(*PRUNED).items()
        if quantity.damage and damage in values
    }
    return pd.concat(tables, names=["damage"])
