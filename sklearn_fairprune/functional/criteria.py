"""Pruning criteria: a weight tensor goes in, a score of the same shape comes out.

Scores are "higher = keep". A criterion is one pure function and one record in `CRITERIA`.
Its first argument is the weight; its other arguments without default name the statistics
it needs, which are listed in `sklearn_fairprune.engine.statistics`; those with a default
are set with `functools.partial`. Criteria that look at the groups are in `group_criteria`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .group_criteria import fairgrape, fairprune, worst_group
from .shelf import Member, Shelf


def magnitude(weight: Tensor) -> Tensor:
    r"""Absolute value of each weight, :math:`|w|`.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    References
    ----------
    Tran, Fioretto, Kim, Naidu, "Pruning has a disparate impact on model accuracy",
    NeurIPS 2022, section 3 (the criterion of all its experiments).

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import magnitude
    >>> magnitude(torch.tensor([-2.0, 0.5]))
    tensor([2.0000, 0.5000])
    """
    return weight.detach().abs()


def random(weight: Tensor, *, generator: torch.Generator) -> Tensor:
    r"""Uniform random numbers: the baseline that every criterion must beat.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    generator : torch.Generator
        On the CPU; it goes on from layer to layer.

    Returns
    -------
    score : torch.Tensor
        Same shape, in [0, 1).

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import random
    >>> random(torch.ones(2), generator=torch.Generator().manual_seed(0)).shape
    torch.Size([2])
    """
    return torch.rand(weight.shape, generator=generator)


def taylor(weight: Tensor, *, gradient: Tensor) -> Tensor:
    r"""First-order change of the mean loss if a weight is removed, :math:`|w g|`.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    gradient : torch.Tensor
        Of the mean loss, :math:`g = \partial J / \partial w`, same shape.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    References
    ----------
    Molchanov, Mallya, Tyree, Frosio, Kautz, "Importance estimation for neural network
    pruning", CVPR 2019. Of an untrained network it is SNIP: Lee, Ajanthan, Torr, "SNIP:
    single-shot network pruning based on connection sensitivity", ICLR 2019.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import taylor
    >>> taylor(torch.tensor([-2.0, 0.5]), gradient=torch.tensor([0.1, 2.0]))
    tensor([0.2000, 1.0000])
    """
    return (weight.detach() * gradient).abs()


def optimal_brain_damage(weight: Tensor, *, hessian_diagonal: Tensor) -> Tensor:
    r"""Second-order change of the mean loss at a minimum, :math:`\tfrac12 w^2 |h|`.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    hessian_diagonal : torch.Tensor
        :math:`h = \partial^2 J / \partial w^2`, same shape.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    Notes
    -----
    The paper supposes a minimum, where no :math:`h` is negative. Piecewise linear networks
    (ReLU) with a cross-entropy or squared error have none either; others, and estimates from
    random signs, do. There the modulus says how far from linear the loss is along a weight;
    the signed value would have large weights go first where the parabola, which holds near
    the weight only, opens downwards.

    References
    ----------
    LeCun, Denker, Solla, "Optimal brain damage", NeurIPS 1989.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import optimal_brain_damage
    >>> optimal_brain_damage(
    ...     torch.tensor([-2.0, 1.0]), hessian_diagonal=torch.tensor([1.0, -6.0])
    ... )
    tensor([2., 3.])
    """
    return weight.detach().square() / 2 * hessian_diagonal.abs()


def wanda(weight: Tensor, *, activation_norms: Tensor) -> Tensor:
    r"""Weight times the norm of what it is multiplied with, :math:`|w_{oi}| \, \|x_i\|_2`.

    It needs no targets, no gradients, and one pass over the rows.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    activation_norms : torch.Tensor
        Norm over all rows (and places) of each weight's input, same shape.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    Notes
    -----
    The paper compares the weights of one output with each other. What competes is a matter
    of ``scope``, which has layers and the whole network; by layers is nearer.

    References
    ----------
    Sun, Liu, Bair, Kolter, "A simple and effective pruning approach for large language
    models", ICLR 2024 (arXiv:2306.11695).

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import wanda
    >>> wanda(torch.tensor([-2.0, 0.5]), activation_norms=torch.tensor([1.0, 8.0]))
    tensor([2., 4.])
    """
    return weight.detach().abs() * activation_norms


def undecayed(weight: Tensor, *, gradient: Tensor, decay: float = 5e-4) -> Tensor:
    r"""Between gradient and magnitude, :math:`|{-w g} + \lambda w^2|`.

    Parameters
    ----------
    weight : torch.Tensor
        Weights of one layer, any shape.
    gradient : torch.Tensor
        Of the mean loss without weight decay, :math:`g = \partial J / \partial w`, same shape.
    decay : float, default=5e-4
        Weight decay :math:`\lambda` that the network was trained with. Another one is
        ``functools.partial(undecayed, decay=1e-4)``; with 0 it is `taylor`.

    Returns
    -------
    score : torch.Tensor
        Same shape; the smallest scores are pruned first.

    References
    ----------
    Good, Lin, Yu, Sieg, Ferguson, Zhe, Wieczorek, Serra, "Recall distortion in neural network
    pruning and the undecayed pruning algorithm", NeurIPS 2022.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional import undecayed
    >>> undecayed(torch.tensor([-2.0, 0.5]), gradient=torch.tensor([0.1, 2.0]), decay=0.1)
    tensor([0.6000, 0.9750])
    """
    w = weight.detach()
    return (-w * gradient + decay * w.square()).abs()


@dataclass(frozen=True)
class Criterion(Member):
    """A pruning criterion.

    Parameters
    ----------
    function : callable
        From a weight tensor to scores of its shape.
    title : str
        What tables call it.
    nested : bool
        Whether the masks of a higher sparsity, from the same dense network, lie within those
        of a lower one: true of scores that do not depend on the sparsity.
    damage : bool
        Whether scores estimate what is lost with a weight, so that those of several weights
        add up, and can be set against what their removal saves.
    """

    nested: bool = True
    damage: bool = False


CRITERIA = Shelf(
    Criterion,
    Criterion(magnitude),
    Criterion(random),
    Criterion(taylor, "Taylor", damage=True),
    Criterion(optimal_brain_damage, damage=True),
    Criterion(wanda, "Wanda"),
    Criterion(undecayed, damage=True),
    Criterion(fairprune, "FairPrune", damage=True),
    Criterion(fairgrape, "FairGRAPE", damage=True),
    Criterion(worst_group, damage=True),
)
