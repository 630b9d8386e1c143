"""How near a prediction is to the decision boundary: closeness and margin."""

from torch import Tensor


def closeness(probability: Tensor) -> Tensor:
    r"""Closeness to the decision boundary, :math:`s(x) = 1 - \sum_k p_k^2`.

    The trace of :math:`\mathrm{diag}(p) - pp^T`, the Hessian of the cross-entropy in the
    logits, and so a bound on its largest eigenvalue: 0 far from the boundary, largest
    (1 - 1/K for K classes) where all classes are equally probable; 2 p (1 - p) for two
    classes. `margin` is another name for another thing: a distance, not a closeness.

    Parameters
    ----------
    probability : torch.Tensor of shape (..., n_classes)
        Rows that sum to 1.

    Returns
    -------
    closeness : torch.Tensor of shape (...)
        Between 0 and 1 - 1/K.

    References
    ----------
    Tran et al., NeurIPS 2022, Theorem 2, whose factor p(1 - p) it takes to K classes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import closeness
    >>> closeness(torch.tensor([[0.5, 0.5], [1.0, 0.0]]))
    tensor([0.5000, 0.0000])
    """
    return (probability * (1 - probability)).sum(-1)


def margin(probability: Tensor) -> Tensor:
    r"""Distance between the two most probable classes, :math:`p_{(1)} - p_{(2)}`.

    Parameters
    ----------
    probability : torch.Tensor of shape (..., n_classes)
        Rows that sum to 1, at least two classes.

    Returns
    -------
    margin : torch.Tensor of shape (...)
        Between 0, on the boundary, and 1.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import margin
    >>> margin(torch.tensor([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7]]))
    tensor([0.0000, 0.5000])
    """
    first, second = probability.topk(2, dim=-1).values.unbind(-1)
    return first - second
