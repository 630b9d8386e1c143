r"""What the damage of pruning can be bounded and estimated by.

:math:`\Delta = \bar\theta - \theta` is what pruning took away, :math:`g_a` the gradient
and :math:`H_a` the Hessian of the dense network's mean loss in group a.
"""

import torch
from torch import Tensor

from .params import Params, dot


def second_order_estimate(gradient: Params, curvature: Params, displacement: Params) -> Tensor:
    r"""Signed estimate of the excessive loss, :math:`R_2 = g \cdot \Delta + \frac12 \Delta^T H \Delta`.

    Equal to the excessive loss for a loss that is quadratic in the parameters.

    Parameters
    ----------
    gradient : dict of str to torch.Tensor
        g at the dense network.
    curvature : dict of str to torch.Tensor
        The product H Delta.
    displacement : dict of str to torch.Tensor
        Delta.

    Returns
    -------
    estimate : torch.Tensor of shape ()
        In units of the loss.

    References
    ----------
    Tran et al., NeurIPS 2022, the expansion behind Theorem 1.
    """  # noqa: E501
    return dot(gradient, displacement) + 0.5 * dot(curvature, displacement)


def theorem1_bound(
    gradient_norm: float | Tensor, eigenvalue: float | Tensor, distance: float | Tensor
) -> Tensor:
    r"""Bound of Theorem 1, :math:`\|g_a\| \|\Delta\| + \frac12 \max(\lambda, 0) \|\Delta\|^2`.

    It bounds `second_order_estimate` always, and the excessive loss up to
    :math:`O(\|\Delta\|^3)`, which the theorem leaves out: it is an estimate, not a
    certificate.

    Parameters
    ----------
    gradient_norm : float or torch.Tensor
        Norm of the group gradient.
    eigenvalue : float or torch.Tensor
        Largest eigenvalue of the group Hessian; counts as 0 if negative.
    distance : float or torch.Tensor
        Norm of Delta.

    Returns
    -------
    bound : torch.Tensor
        float64, in units of the loss.

    References
    ----------
    Tran et al., NeurIPS 2022, Theorem 1; the maximum with 0 is added here, without it the
    right side is no bound for a negative eigenvalue.

    Examples
    --------
    >>> from sklearn_fairprune.functional import theorem1_bound
    >>> theorem1_bound(gradient_norm=2.0, eigenvalue=4.0, distance=0.5)
    tensor(1.5000, dtype=torch.float64)
    """
    gradient_norm, eigenvalue, distance = (
        torch.as_tensor(v, dtype=torch.float64) for v in (gradient_norm, eigenvalue, distance)
    )
    return gradient_norm * distance + 0.5 * eigenvalue.clamp(min=0) * distance**2


def proposition2_terms(residuals: Tensor, jacobian_norms: Tensor) -> Tensor:
    r"""Terms whose group mean bounds the gradient norm (Proposition 2).

    :math:`\|g_a\| \le \frac{1}{n_a} \sum_{i \in D_a} \|p_i - y_i\| \, \|J_z(x_i)\|_2` for
    the cross-entropy, with the Jacobian :math:`J_z` of the *logits*.

    Parameters
    ----------
    residuals : torch.Tensor of shape (n, n_logits)
        p - y, with y one-hot; one column, p - y, for a single logit.
    jacobian_norms : torch.Tensor of shape (n,)
        Spectral norm of the Jacobian of each row's logits in the parameters.

    Returns
    -------
    terms : torch.Tensor of shape (n,)
        Take their `group_means`.

    References
    ----------
    Tran et al., NeurIPS 2022, Proposition 2, which writes f for logits and probabilities
    alike; the inequality holds with the logits' Jacobian.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import proposition2_terms
    >>> proposition2_terms(torch.tensor([[0.3, -0.3], [0.0, 0.0]]), torch.tensor([2.0, 9.0]))
    tensor([0.8485, 0.0000])
    """
    return residuals.norm(dim=-1) * jacobian_norms


def theorem2_terms(
    uncertainty: Tensor, residuals: Tensor, jacobian_norms: Tensor, hessian_norms: Tensor
) -> Tensor:
    r"""Terms whose group mean bounds the largest Hessian eigenvalue (Theorem 2).

    :math:`\lambda(H_a) \le \frac{1}{n_a} \sum_{i \in D_a} \left[ s(x_i) \|J_z(x_i)\|_2^2 +
    \sum_k |p_{ik} - y_{ik}| \, \|\nabla^2 z_k(x_i)\|_2 \right]` for the cross-entropy.

    Parameters
    ----------
    uncertainty : torch.Tensor of shape (n,)
        `closeness` s(x); p (1 - p) for a single logit.
    residuals : torch.Tensor of shape (n, n_logits)
        p - y, with y one-hot; one column, p - y, for a single logit.
    jacobian_norms : torch.Tensor of shape (n,)
        Spectral norm of the Jacobian of each row's logits in the parameters.
    hessian_norms : torch.Tensor of shape (n, n_logits)
        Spectral norm of the Hessian of each logit in the parameters.

    Returns
    -------
    terms : torch.Tensor of shape (n,)
        Take their `group_means`.

    References
    ----------
    Tran et al., NeurIPS 2022, Theorem 2, for two classes and in terms of the probability,
    where the inequality is false; this is the corrected form, in terms of the logits, and
    its extension to many classes.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import theorem2_terms
    >>> theorem2_terms(
    ...     torch.tensor([0.25]),
    ...     torch.tensor([[-0.5]]),
    ...     jacobian_norms=torch.tensor([2.0]),
    ...     hessian_norms=torch.tensor([[3.0]]),
    ... )
    tensor([2.5000])
    """
    return uncertainty * jacobian_norms**2 + (residuals.abs() * hessian_norms).sum(-1)
