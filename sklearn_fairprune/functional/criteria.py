"""Pruning criteria: a weight tensor goes in, a score of the same shape comes out.

Scores are "higher = keep". A criterion is one pure function and one line in `CRITERIA`.
"""


def magnitude(weight):
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


CRITERIA = {"magnitude": magnitude}
