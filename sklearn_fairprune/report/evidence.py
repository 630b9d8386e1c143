"""What `diagnose` measures: columns of row values, and their group means with samples."""

from typing import NamedTuple

import numpy as np
import torch

from ..engine.evaluation import Evaluation
from ..engine.group_curvature import GroupCurvature, group_curvature
from ..engine.pruning import weight_masks
from ..engine.row_statistics import bound_terms, row_outcomes
from ..functional import boundary
from ..functional.groups import group_means
from ..functional.params import norm
from ..statistics.intervals import bootstrap_group_means, percentile_interval


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


def draw(codes, n_groups, most, rng):
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


def gather(pruner, rows, groups, *, sparsity, dtype, tol, max_products):
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

    Returns
    -------
    evidence : Evidence
    """
    classifies, dtype = hasattr(pruner, "classes_"), getattr(torch, dtype or pruner.dtype)
    dense = Evaluation(pruner.dense_estimator_, rows, classifies=classifies, dtype=dtype)
    masks, achieved = pruner.masks_, pruner.sparsity_
    if sparsity is not None:
        options = {"criterion": pruner.criterion, "scope": pruner.scope}
        masks = weight_masks(dense.net.module_, sparsity=sparsity, **options)
        achieved = sparsity
    displacement, masked = None, None
    if achieved > 0:
        masked = dense.masked(masks)
        displacement = {name: masked[name] - p for name, p in dense.params.items()}
    used = torch.cat(groups)
    losses, outputs = row_outcomes(dense, rows, used)
    columns, predicted = {"dense_loss": losses}, None
    if dense.has_logits:
        columns["closeness"] = boundary.closeness(outputs)
        columns["margin"] = boundary.margin(outputs)
    if classifies:
        predicted = dense.predictions(outputs)
        right = (predicted == rows.y[used]).double()
        columns["dense_accuracy"] = right
    curvatures = [
        group_curvature(dense, rows, group, displacement, tol=tol, max_products=max_products)
        for group in groups
    ]
    columns["gradient_norm"] = torch.cat([c.slopes for c in curvatures])
    columns["largest_eigenvalue"] = torch.cat([c.curvatures for c in curvatures])
    if masked is not None:
        columns["second_order"] = torch.cat([c.estimates for c in curvatures])
        masked_losses, _ = row_outcomes(dense, rows, used, masked)
        columns["masked_excessive_loss"] = masked_losses - losses
    if sparsity is None and achieved > 0:
        final = Evaluation(pruner.estimator_, rows, classifies=classifies, dtype=dtype)
        final_losses, outputs = row_outcomes(final, rows, used)
        columns["excessive_loss"] = final_losses - losses
        if classifies:
            still = (final.predictions(outputs) == rows.y[used]).double()
            columns["accuracy_drop"] = right - still
    return Evidence(
        dense,
        achieved,
        None if displacement is None else norm(displacement).item(),
        curvatures,
        {name: column.numpy() for name, column in columns.items()},
        None if predicted is None else predicted.numpy(),
    )


def gather_bounds(evidence, rows, groups, *, tol, max_products):
    """Terms of the right sides of Proposition 2 and Theorem 2.

    Returns
    -------
    columns : dict of str to ndarray of shape (n_used,)
        ``gradient_norm_bound`` and ``eigenvalue_bound``.
    unsure : int
        Rows whose spectral norms did not converge.
    """
    first, second, converged = bound_terms(
        evidence.dense, rows, torch.cat(groups), tol=tol, max_products=max_products
    )
    columns = {"gradient_norm_bound": first.numpy(), "eigenvalue_bound": second.numpy()}
    return columns, int((~converged).sum())


# Bootstrap samples of means are stretched, and may leave what is possible.
NEVER_NEGATIVE = ("dense_loss", "gradient_norm", "closeness", "gradient_norm_bound")


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

    Attributes
    ----------
    values : dict of str to ndarray of shape (m,)
        Group means.
    samples : dict of str to ndarray of shape (n_boot, m)
        Samples of them; of one resampling of the rows, so that they belong together.
    """

    def __init__(self, columns, groups, confidence, n_boot, rng):
        self.confidence, m = confidence, len(groups)
        codes = np.repeat(np.arange(m), [len(group) for group in groups])
        matrix = np.column_stack(list(columns.values()))
        means = group_means(torch.as_tensor(matrix), torch.as_tensor(codes), m).numpy()
        samples = bootstrap_group_means(matrix, codes, m, n_boot, rng)
        self.values = dict(zip(columns, means.T, strict=True))
        self.samples = dict(zip(columns, samples.transpose(2, 0, 1), strict=True))

    def limits(self, name, samples=None):
        """Percentile limits of a quantity, as columns of a table."""
        samples = self.samples[name] if samples is None else samples
        lowest = 0.0 if name in NEVER_NEGATIVE else -np.inf
        low, high = percentile_interval(np.maximum(samples, lowest), self.confidence)
        return {f"{name}_low": low, f"{name}_high": high}

    def with_limits(self, *names):
        """Values and limits of some quantities, as columns of a table."""
        table = {}
        for name in names:
            table |= {name: self.values[name], **self.limits(name)}
        return table
