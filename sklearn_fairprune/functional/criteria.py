"""Pruning criteria: a weight tensor goes in, a score of the same shape comes out.

Scores are "higher = keep". A criterion is one pure function and one record in `CRITERIA`.
Its first argument is the weight; its other arguments without default name the statistics
it needs, which are listed in `sklearn_fairprune.engine.statistics`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

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
    """

    nested: bool = True


CRITERIA = Shelf(
    Criterion,
    Criterion(magnitude),
    Criterion(random),
)
