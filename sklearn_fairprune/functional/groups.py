r"""Group statistics of per-row values: means, excessive loss, gaps.

Notation of Tran, Fioretto, Kim, Naidu, NeurIPS 2022: rows :math:`D_a` of group a,
:math:`n_a = |D_a|`, :math:`J(\theta; D_a)` the mean unregularised loss of the group,
:math:`\theta` the dense and :math:`\bar\theta` the pruned network.

Groups are integer codes 0..m-1. Every function takes and returns tensors; a group
without rows has the mean NaN, never 0.
"""

import math

import torch
from torch import Tensor


def group_sizes(groups: Tensor, n_groups: int) -> Tensor:
    """Number of rows of each group, n_a.

    Parameters
    ----------
    groups : torch.LongTensor of shape (n,)
        Group codes in [0, n_groups).
    n_groups : int
        Number of groups m.

    Returns
    -------
    sizes : torch.LongTensor of shape (n_groups,)
        They sum to n.
    """
    return torch.bincount(groups, minlength=n_groups)


def group_means(
    values: Tensor, groups: Tensor, n_groups: int, weights: Tensor | None = None
) -> Tensor:
    r"""Mean of per-row values in each group, :math:`J(D_a) = \frac1{n_a}\sum_{D_a} v_i`.

    Parameters
    ----------
    values : torch.Tensor of shape (n,) or (n, k)
        For example the loss of each row, or k of them (one column per model).
    groups : torch.LongTensor of shape (n,)
        Group codes in [0, n_groups).
    n_groups : int
        Number of groups m.
    weights : torch.Tensor of shape (n,), default=None
        Row weights; the mean is then weighted.

    Returns
    -------
    means : torch.Tensor of shape (n_groups,) or (n_groups, k)
        NaN where a group has no rows (or no weight).

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import group_means
    >>> group_means(torch.tensor([1.0, 3.0, 5.0]), torch.tensor([0, 0, 1]), 2)
    tensor([2., 5.])
    """
    # Sums in float64: in float32 the sum of a few million rows is off by per cents.
    columns = values.reshape(len(groups), math.prod(values.shape[1:])).double()
    weights = columns.new_ones(len(groups)) if weights is None else weights.double()
    sums = columns.new_zeros(n_groups, columns.shape[1])
    sums.index_add_(0, groups, columns * weights[:, None])
    totals = weights.new_zeros(n_groups).index_add_(0, groups, weights)
    means = sums / totals[:, None]
    return means.reshape(n_groups, *values.shape[1:]).to(values.dtype)


def excessive_loss(
    dense_losses: Tensor, pruned_losses: Tensor, groups: Tensor, n_groups: int
) -> Tensor:
    r"""Excessive loss, :math:`R(a) = J(\bar\theta; D_a) - J(\theta; D_a)`.

    Parameters
    ----------
    dense_losses, pruned_losses : torch.Tensor of shape (n,)
        Loss of every row under the dense and under the pruned network.
    groups : torch.LongTensor of shape (n,)
        Group codes in [0, n_groups).
    n_groups : int
        Number of groups m.

    Returns
    -------
    excess : torch.Tensor of shape (n_groups,)
        Positive where pruning harmed the group.

    References
    ----------
    Tran et al., NeurIPS 2022, the paper's measure of harm to a group.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import excessive_loss
    >>> dense, pruned = torch.tensor([0.1, 0.2]), torch.tensor([0.1, 0.7])
    >>> excessive_loss(dense, pruned, torch.tensor([0, 1]), 2)
    tensor([0.0000, 0.5000])
    """
    return group_means(pruned_losses - dense_losses, groups, n_groups)


def largest_gap(values: Tensor) -> Tensor:
    r"""Largest difference between two groups, :math:`\max_{a,a'} |v_a - v_{a'}|`.

    Of the excessive losses it is the fairness violation :math:`\xi` of
    Tran et al.; of the group accuracies it is the accuracy spread, which is what the
    paper's figures call "fairness violation".

    Parameters
    ----------
    values : torch.Tensor of shape (m,) or (..., m)
        One value per group, groups on the last axis. NaN in, NaN out.

    Returns
    -------
    gap : torch.Tensor of shape () or (...)
        0 if all values are equal.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import largest_gap
    >>> largest_gap(torch.tensor([0.9, 0.5, 0.75]))
    tensor(0.4000)
    """
    return values.amax(dim=-1) - values.amin(dim=-1)


def excess_accuracy_gap(
    dense_correct: Tensor, pruned_correct: Tensor, groups: Tensor, n_groups: int
) -> Tensor:
    r"""Excess accuracy gap, :math:`\psi_a = \Delta_a - \Delta`.

    :math:`\Delta_a = acc_a(\theta) - acc_a(\bar\theta)` is the group's accuracy drop and
    :math:`\Delta` the drop over all rows, so that
    :math:`\sum_a \frac{n_a}{n} \psi_a = 0` exactly.

    Parameters
    ----------
    dense_correct, pruned_correct : torch.Tensor of shape (n,)
        1.0 where the network is right, 0.0 where it is wrong.
    groups : torch.LongTensor of shape (n,)
        Group codes in [0, n_groups).
    n_groups : int
        Number of groups m.

    Returns
    -------
    gap : torch.Tensor of shape (n_groups,)
        Positive for groups that lose more accuracy than the whole.

    References
    ----------
    Hashemizadeh et al., "Balancing Act: Constraining Disparate Impact in Sparse
    Models", ICLR 2024.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import excess_accuracy_gap
    >>> dense, pruned = torch.ones(4), torch.tensor([1.0, 1.0, 0.0, 1.0])
    >>> excess_accuracy_gap(dense, pruned, torch.tensor([0, 0, 1, 1]), 2)
    tensor([-0.2500,  0.2500])
    """
    drop = dense_correct - pruned_correct
    return group_means(drop, groups, n_groups) - drop.mean()
