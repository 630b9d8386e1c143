"""How far chance alone takes the mean of a group from that of all."""

import torch
from torch import Tensor


def group_noise(
    values: Tensor,
    groups: Tensor,
    mass: Tensor,
    n_groups: int,
    *,
    errors: float = 2.0,
    cancels: bool = False,
    compared: int | None = None,
) -> Tensor:
    r"""What chance could do to the mean of each group, upwards.

    With the rows' weights m, :math:`n_a = (\sum m)^2 / \sum m^2` and the pooled skewness
    :math:`\gamma \ge 0` of the values about their group's mean,

    .. math:: c_a = \mathrm{SE}_a \Bigl(c_m + \gamma \frac{c_m^2 - 1}{6 \sqrt{n_a}}\Bigr),
              \qquad \mathrm{SE}_a = \mathrm{sd}_a \sqrt{\frac{1 - \pi_a}{n_a}}, \qquad
              \Phi(-c_m) = \Phi(-c) / m.

    That many standard errors one normal mean exceeds as seldom as the largest of m groups
    exceeds :math:`c_m`. The term with the skewness is the first of Cornish and Fisher:
    without it the mean of a few losses, most of them small, is far above its own too often.
    The deviation of a group is taken to be at least the pooled one: of a few equal rows
    nothing is known.

    Parameters
    ----------
    values : torch.Tensor of shape (n,)
        Losses, or errors.
    groups : torch.LongTensor of shape (n,)
        Group codes.
    mass : torch.Tensor of shape (n,)
        Row weights, at least 0.
    n_groups : int
        Number of groups m.
    errors : float, default=2.0
        c; 0 for no noise.
    cancels : bool, default=False
        Whether the mean of all is taken off, of which the group itself is the share
        :math:`\pi_a`; without it the factor :math:`1 - \pi_a` is 1.
    compared : int, default=None
        m, of which the largest is looked at; None: the groups that have rows.

    Returns
    -------
    noise : torch.Tensor of shape (m,)
        :math:`c_a`; infinite for groups without rows.

    References
    ----------
    Cornish, Fisher, "Moments and cumulants in the specification of distributions", Revue de
    l'Institut International de Statistique 5, 1938; Bonferroni for m groups.

    Examples
    --------
    >>> import torch
    >>> from sklearn_fairprune.functional.group_noise import group_noise
    >>> values, groups = torch.tensor([0.0, 2.0, 0.0, 2.0]), torch.tensor([0, 0, 0, 0])
    >>> group_noise(values, groups, torch.ones(4), 1, errors=2.0)
    tensor([1.1547])
    """

    def per_group(rows: Tensor) -> Tensor:
        return rows.new_zeros(n_groups).index_add_(0, groups, rows)

    masses, squares = per_group(mass), per_group(mass.square())
    present = masses > 0
    size = masses.square() / squares.clamp(min=1e-300)
    residual = values - (per_group(mass * values) / masses.clamp(min=1e-300))[groups]
    n_free = (size - 1).clamp(min=0)
    variances = per_group(mass * residual.square()) / masses.clamp(min=1e-300)
    sums = variances * size  # of squares about the mean
    pooled = sums.sum() / n_free.sum().clamp(min=1)
    deviation = (sums / n_free.clamp(min=1)).clamp(min=pooled).sqrt()
    third = (mass * residual**3).sum() / mass.sum()
    skewness = (third / pooled.clamp(min=1e-300) ** 1.5).clamp(min=0)
    count = values.new_tensor(errors)
    if errors:
        count = -torch.special.ndtri(torch.special.ndtr(-count) / (compared or int(present.sum())))
    skewed = skewness * (count.square() - 1).clamp(min=0) / 6
    size = size.clamp(min=1)
    others = 1 - masses / masses.sum() if cancels else torch.ones_like(masses)
    noise = deviation * (others / size).sqrt() * (count + skewed / size.sqrt())
    return torch.where(present, noise, torch.inf)
