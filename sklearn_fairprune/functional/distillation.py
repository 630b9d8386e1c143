"""Distillation: how far the outputs of a pruned network are from those of the dense one."""

import torch.nn.functional as F
from torch import Tensor


def distillation_losses(
    logits: Tensor, dense_logits: Tensor, *, temperature: float = 1.0
) -> Tensor:
    r"""Divergence of every row from the dense network's probabilities.

    .. math:: T^2 \, KL(softmax(z^* / T) \, \| \, softmax(z / T))

    The factor :math:`T^2` keeps the size of the gradient for any temperature.

    Parameters
    ----------
    logits : torch.Tensor of shape (n, n_classes)
        Of the pruned network, z.
    dense_logits : torch.Tensor of shape (n, n_classes)
        Of the dense one, :math:`z^*`; log-probabilities do as well.
    temperature : float, default=1.0
        T > 0. High values weigh how the improbable classes compare.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
        In nats, at least 0; 0 where the probabilities agree.

    References
    ----------
    Hinton, Vinyals, Dean, "Distilling the knowledge in a neural network",
    arXiv:1503.02531, section 2.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import distillation_losses
    >>> z = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    >>> distillation_losses(z, torch.tensor([[0.0, 2.0], [0.0, 1.0]]))
    tensor([0.3278, 0.0000])
    """
    target = (dense_logits / temperature).log_softmax(dim=1)
    found = (logits / temperature).log_softmax(dim=1)
    rows = F.kl_div(found, target, reduction="none", log_target=True).sum(dim=1)
    return temperature**2 * rows


def squared_distances(outputs: Tensor, dense_outputs: Tensor) -> Tensor:
    r"""Mean squared distance of every row from the dense network's outputs.

    .. math:: \frac{1}{k} \sum_j (f_j - f^*_j)^2

    Parameters
    ----------
    outputs, dense_outputs : torch.Tensor of shape (n, ...)
        Of the pruned and of the dense network, k numbers a row.

    Returns
    -------
    losses : torch.Tensor of shape (n,)
        In squared units of the target.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import squared_distances
    >>> squared_distances(torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 4.0]]))
    tensor([2.])
    """
    return (outputs - dense_outputs).square().reshape(len(outputs), -1).mean(dim=1)
