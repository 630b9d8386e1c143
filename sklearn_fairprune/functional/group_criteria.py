"""Pruning criteria that look at the groups: what each of them loses with a weight.

Their statistics have the groups in the first dimension. With one group `fairprune` is
`optimal_brain_damage`, `fairgrape` the square of `taylor`, and `worst_group` the second-order
estimate of the damage.
"""

import numpy as np
import torch
from torch import Tensor


def fairprune(
    weight: Tensor,
    *,
    group_hessian_diagonals: Tensor,
    group_losses: Tensor,
    group_shares: Tensor,
    beta: float = 1 / 3,
) -> Tensor:
    r"""Curvature of the worst-off group above that of the rest, FairPrune.

    .. math:: \tfrac12 w^2 (|h_u| - \beta |h_p|)

    Weights go first that the privileged need and the unprivileged do not. Unprivileged is the
    group with the largest mean loss of the network as it is when it is scored, which may be
    another one at every mask of a gradual schedule; privileged are all others together. Of
    two groups swapped, with :math:`\beta = 1`, the scores change their sign.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    group_hessian_diagonals : torch.Tensor of shape (n_groups, \*weight.shape)
        :math:`h_a = \partial^2 J(\theta; D_a) / \partial w^2`; :math:`h_p` is the mean of the
        others by their shares, 0 if there is no other. The modulus is that of
        `optimal_brain_damage`.
    group_losses : torch.Tensor of shape (n_groups,)
        Mean losses.
    group_shares : torch.Tensor of shape (n_groups,)
        Of the rows, or of their weights.
    beta : float, default=1/3
        What the need of the privileged counts for. Another one is
        ``functools.partial(fairprune, beta=0.5)``.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    References
    ----------
    Wu, Zeng, Xu, Shi, Hu, "FairPrune: achieving fairness through pruning for dermatological
    disease diagnosis", MICCAI 2022. It prunes a little, of a network that stays as it is
    else, and is told which of two groups is unprivileged.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import fairprune
    >>> fairprune(
    ...     torch.tensor([1.0, 2.0]),
    ...     group_hessian_diagonals=torch.tensor([[4.0, 1.0], [1.0, 3.0]]),
    ...     group_losses=torch.tensor([0.9, 0.2]),
    ...     group_shares=torch.tensor([0.5, 0.5]),
    ...     beta=1.0,
    ... )
    tensor([ 1.5000, -4.0000])
    """
    worst = int(group_losses.argmax())
    others = group_shares.to(group_hessian_diagonals).clone()
    others[worst] = 0
    rest = torch.tensordot(others / others.sum().clamp(min=1e-30), group_hessian_diagonals, 1)
    difference = group_hessian_diagonals[worst].abs() - beta * rest.abs()
    return weight.detach().square() / 2 * difference


def fairgrape(weight: Tensor, *, group_gradients: Tensor) -> Tensor:
    r"""First-order importance for every group, its shares kept alike in a layer, FairGRAPE.

    The importance for a group is :math:`I_a = (w \, \partial J_a / \partial w)^2`. In every
    layer weights are taken in one after the other: each time the most important one for the
    group that has the least share of its importance so far. The order is that of the
    scores, whatever the sparsity. Their values are the layer's mean importances in
    descending order, by which layers compete; with one group, its importances.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    group_gradients : torch.Tensor of shape (n_groups, \*weight.shape)
        Gradients of the groups' mean losses.

    Returns
    -------
    score : torch.Tensor
        Same shape, float64; the smallest scores are pruned first.

    Notes
    -----
    One step a weight, in Python: some seconds for a million weights. The paper counts shares
    of nodes and prunes every layer alike, which is ``scope="layerwise"``, in steps with
    training between.

    References
    ----------
    Lin, Kim, Joo, "FairGRAPE: fairness-aware gradient pruning method for face attribute
    classification", ECCV 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import fairgrape
    >>> gradients = torch.tensor([[9.0, 8.0, 1.0], [0.0, 0.0, 0.1]])
    >>> fairgrape(torch.ones(3), group_gradients=gradients).argsort(descending=True)
    tensor([2, 0, 1])
    """
    importance = (weight.detach() * group_gradients).double().square().flatten(1).cpu()
    totals = importance.sum(1, keepdim=True)
    needed = (totals[:, 0] > 0).numpy()
    order = _alternating((importance / totals).numpy()[needed])
    scores = torch.zeros(weight.numel(), dtype=torch.float64)
    values = importance.mean(0).sort(descending=True).values
    scores[torch.from_numpy(order)] = values[: len(order)]
    return scores.reshape(weight.shape)


def _alternating(shares: np.ndarray) -> np.ndarray:
    """Columns in an order in which the sums of the rows grow alike.

    Each time the largest left in the row whose sum is least; of sums alike, the row whose
    largest is larger.
    """
    n_rows, n_columns = shares.shape if shares.size else (0, 0)
    queues = [queue.tolist() for queue in np.argsort(-shares, axis=1, kind="stable")]
    columns = np.ascontiguousarray(shares.T)
    sums, at, taken, order = np.zeros(n_rows), [0] * n_rows, bytearray(n_columns), []

    def largest_left(a: int) -> int:
        while taken[queues[a][at[a]]]:
            at[a] += 1
        return queues[a][at[a]]

    for _ in range(n_columns):
        a = int(sums.argmin())
        alike = sums == sums[a]
        if np.count_nonzero(alike) > 1:
            a = min(np.flatnonzero(alike).tolist(), key=lambda a: -shares[a, largest_left(a)])
        column = largest_left(a)
        taken[column] = 1
        order.append(column)
        sums += columns[column]
    return np.array(order, dtype=np.int64)


def worst_group(
    weight: Tensor, *, group_gradients: Tensor, group_hessian_diagonals: Tensor
) -> Tensor:
    r"""Damage that a weight's removal does to the group that it harms most.

    .. math:: \max_a \left( -w g_a + \tfrac12 w^2 h_a \right)

    Each is what a group's mean loss rises by, to the second order, if this weight alone is
    set to 0. Any number of groups, and none is named the privileged one. Small groups have
    noisy estimates, of which the largest counts.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    group_gradients : torch.Tensor of shape (n_groups, \*weight.shape)
        :math:`g_a = \partial J(\theta; D_a) / \partial w`.
    group_hessian_diagonals : torch.Tensor of shape (n_groups, \*weight.shape)
        :math:`h_a = \partial^2 J(\theta; D_a) / \partial w^2`.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first. Negative where every group's loss
        is estimated to fall.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import worst_group
    >>> worst_group(
    ...     torch.tensor([2.0]),
    ...     group_gradients=torch.tensor([[0.5], [-0.5]]),
    ...     group_hessian_diagonals=torch.tensor([[1.0], [1.0]]),
    ... )
    tensor([3.])
    """
    w = weight.detach()
    return (-w * group_gradients + w.square() / 2 * group_hessian_diagonals).amax(0)
