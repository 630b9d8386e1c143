r"""What became of a group constraint, by limits that chance allows.

A violation is a function of group means, so its sampling error is that of the means, by the
delta method. Where rows are few, "met" and "not met" are both claims that chance could make:
each is made only where its limits allow it.
"""

from enum import StrEnum
from typing import NamedTuple

import numpy as np

from .weights import LEAST_KNOWN
from .worst import hall_limits, moments

TAIL = 0.05  # how often a claim may be false, about
# Row weights of a group that was given less, and of one that was given more.
LESS, MORE = 0.95, 1.05
ALIKE = 6  # decimals of directions that count as one


class Outcome(StrEnum):
    """What became of a constraint."""

    MET_BY_PRUNING_ALONE = "met_by_pruning_alone"
    MET = "met"
    OVERSHOT = "overshot"
    NOT_MET = "not_met"
    CANNOT_TELL = "cannot_tell"


class Errors(NamedTuple):
    """How chance moves the violations of m groups.

    Attributes
    ----------
    variances : ndarray of shape (m,)
        Of each violation; NaN where it depends on a group without rows.
    thirds : ndarray of shape (m,)
        Third central moments.
    freedom : ndarray of shape (m,)
        Degrees of freedom; 0 where the variance is not known.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    """

    variances: np.ndarray
    thirds: np.ndarray
    freedom: np.ndarray
    sizes: np.ndarray


class Judgement(NamedTuple):
    """What became of a constraint, and for which groups; groups are told by position.

    Attributes
    ----------
    outcome : Outcome
    active : bool
        Whether any row weight left 1 by more than 0.05.
    violations, low, high : ndarray of shape (m,)
        Violations with their one-sided 95 % limits.
    over : int ndarray
        Groups surely above the tolerance; if signed, or surely below minus the tolerance.
    harmed : int ndarray
        Groups that were given less weight and are surely above the tolerance.
    favoured : int ndarray
        Groups that were given more weight and are surely below minus the tolerance.
    stuck : int ndarray
        Those of `over` whose weight was moved against that.
    undecided : int ndarray
        Groups neither surely within the tolerance nor surely beyond it.
    unknown : int ndarray
        Those of them that have no limits.
    sizes : int ndarray of shape (m,)
        Rows of each group.
    tolerance : float
    signed : bool
    """

    outcome: Outcome
    active: bool
    violations: np.ndarray
    low: np.ndarray
    high: np.ndarray
    over: np.ndarray
    harmed: np.ndarray
    favoured: np.ndarray
    stuck: np.ndarray
    undecided: np.ndarray
    unknown: np.ndarray
    sizes: np.ndarray
    tolerance: float
    signed: bool


# ---- sampling errors ---------------------------------------------------------------


def violation_errors(
    values: np.ndarray, codes: np.ndarray, masses: np.ndarray | None, jacobian: np.ndarray
) -> Errors:
    r"""Sampling errors of violations that are functions of group means.

    With :math:`J_{ab} = \partial g_a / \partial \bar v_b`, and the shares of the groups as
    they are,

    .. math:: \operatorname{Var}(g_a) \approx \sum_b \frac{J_{ab}^\top \Sigma_b J_{ab}}{n_b},
              \qquad \nu_a = \frac{\operatorname{Var}(g_a)^2}
              {\sum_b (J_{ab}^\top \Sigma_b J_{ab} / n_b)^2 / (n_b - 1)}.

    The variance of a group's rows in the direction of :math:`J_{ab}` has the floor of
    `worst.moments`: few rows that are all alike may have missed the tail. A group of one row
    has no error of its own; in the violation of another it counts with that floor.

    Parameters
    ----------
    values : ndarray of shape (n, k)
        What the means are of, such as the losses, or the losses and the dense losses.
    codes : int ndarray of shape (n,)
        Group of each row.
    masses : ndarray of shape (n,) or None
        Row weights, whose unit does not matter; :math:`n_b` is then the effective number of
        rows. None: all are equal.
    jacobian : ndarray of shape (m, m, k)
        :math:`J_{ab}`.

    Returns
    -------
    errors : Errors

    Notes
    -----
    Where all rows of all groups are alike, the variances are 0.

    References
    ----------
    Satterthwaite, "An approximate distribution of estimates of variance components",
    Biometrics Bulletin 2, 1946; Welch, Biometrika 34, 1947. Effective rows: Kish, "Survey
    Sampling", 1965.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.constraint_outcomes import violation_errors
    >>> losses, groups = np.array([[0.0], [2.0], [1.0], [3.0]]), np.array([0, 0, 1, 1])
    >>> own = np.eye(2)[:, :, None]  # each violation is the loss of its group
    >>> violation_errors(losses, groups, None, own).variances.round(3).tolist()
    [1.0, 1.0]
    """
    m = len(jacobian)
    weights = np.ones(len(values)) if masses is None else masses
    counts = weights > 0
    values, weights = values[counts], weights[counts]
    present, inside = np.unique(codes[counts], return_inverse=True)
    lengths, directions = _directions(jacobian)
    _, first, same = np.unique(
        directions.reshape(m, -1).round(ALIKE) + 0.0,
        axis=0,
        return_index=True,
        return_inverse=True,
    )
    n, parts, skews = np.zeros((m, m)), np.full((m, m), np.nan), np.full((m, m), np.nan)
    for which, a in enumerate(first):
        rows = np.flatnonzero(same.ravel() == which)
        column = (directions[a][present][inside] * values).sum(axis=1)
        with np.errstate(invalid="ignore", over="ignore"):  # infinite losses stay unknown
            found = moments(column, inside, len(present), TAIL, weights)
        cells = np.ix_(rows, present)
        n[cells] = found.sizes
        parts[cells] = lengths[cells] ** 2 * found.variances / found.sizes
        skews[cells] = lengths[cells] ** 3 * found.thirds / found.sizes**2
    parts, skews = (np.where(lengths == 0, 0.0, cells) for cells in (parts, skews))
    variances = parts.sum(axis=1)
    shares = (parts**2 / np.maximum(n - 1, LEAST_KNOWN - 1)).sum(axis=1)
    freedom = np.full(m, float(len(values)))
    np.divide(variances**2, shares, out=freedom, where=variances != 0)
    alone = (np.diag(n) < LEAST_KNOWN) & (np.diag(lengths) != 0)
    freedom = np.where(alone | np.isnan(variances), 0.0, freedom)
    sizes = np.bincount(codes[counts], minlength=m)
    return Errors(variances, skews.sum(axis=1), freedom, sizes)


def _directions(jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed lengths and unit directions of slopes; of slopes of 0 the group's own direction.

    The first entry of a direction is not negative: opposite slopes have one direction.
    """
    own = np.diagonal(jacobian).T[None]
    slopes = np.where((jacobian != 0).any(axis=2)[..., None], jacobian, own)
    leads = np.take_along_axis(slopes, (slopes != 0).argmax(axis=2)[..., None], axis=2)
    signed = np.sign(leads) * np.linalg.norm(slopes, axis=2, keepdims=True)
    directions = np.divide(slopes, signed, out=np.zeros(slopes.shape), where=signed != 0)
    lengths = np.sign(leads)[..., 0] * np.linalg.norm(jacobian, axis=2)
    return lengths, directions


# ---- the outcome -------------------------------------------------------------------


def judge(
    violations: np.ndarray,
    errors: Errors,
    tolerance: float,
    weights: np.ndarray,
    *,
    signed: bool = False,
    cancels: bool = False,
) -> Judgement:
    r"""Tell what became of a constraint.

    The first that holds of

    - met: the upper 95 % limit of every group is at most the tolerance (each group is tested
      at 5 %, since all have to pass); if signed, and no lower limit is below minus the
      tolerance. Met by pruning alone: and the constraint was never active;
    - overshot: a group that was given less weight is surely above the tolerance, or one that
      was given more is surely below minus the tolerance. The latter counts if signed, and
      where violations cancel: others then pay for it. It does not of a bound, which a group
      may well stay below;
    - not met: a group is surely above the tolerance; if signed, or below minus it;
    - cannot tell.

    "Surely" is by limits at 5 % over the number of tests (Bonferroni). What is met is never
    overshot: nobody is above the tolerance, which is all that was asked. Overshot comes
    before not met: the weights themselves went too far there, and more of them would not
    help. A group without limits is never known to meet the constraint.

    Parameters
    ----------
    violations : ndarray of shape (m,)
        :math:`g_a`; NaN of a group without rows.
    errors : Errors
        From `violation_errors`.
    tolerance : float
        :math:`\epsilon`, at least 0.
    weights : ndarray of shape (m,)
        Of each group the row weight that was farthest from 1 while the network was trained;
        1 of a training without constraint.
    signed : bool, default=False
        Whether :math:`|g_a| \le \epsilon` was asked, not :math:`g_a \le \epsilon`.
    cancels : bool, default=False
        Whether the violations, weighted by the shares, sum to 0.

    Returns
    -------
    judgement : Judgement

    Raises
    ------
    ValueError
        If the arrays are not of one length, or the tolerance is negative or NaN.

    References
    ----------
    Berger, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24,
    1982: intersection-union tests. Limits: Hall, Journal of the Royal Statistical Society B
    54, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.constraint_outcomes import Errors, judge
    >>> errors = Errors(np.full(2, 1e-4), np.zeros(2), np.full(2, 50.0), np.full(2, 51))
    >>> found = judge(np.array([0.2, -0.2]), errors, 0.05, np.array([2.0, 0.7]))
    >>> found.outcome.value, found.over.tolist(), found.active
    ('not_met', [0], True)
    """
    m = len(violations)
    lengths = {"errors": len(errors.variances), "weights": len(weights)}
    for name, length in lengths.items():
        if length != m:
            raise ValueError(
                f"{name} must be of the {m} groups of violations, got {length}. Give one "
                "entry a group, in their order."
            )
    if not tolerance >= 0:
        raise ValueError(
            f"tolerance must be at least 0, got {tolerance}. Use inf for no constraint."
        )
    sampling = errors.variances, errors.thirds, errors.freedom
    low, high = hall_limits(violations, *sampling, TAIL)
    surely_low, surely_high = hall_limits(violations, *sampling, TAIL / m / (1 + signed))
    within = (high <= tolerance) & ((low >= -tolerance) | (not signed))
    above, below = surely_low > tolerance, surely_high < -tolerance
    less, more = weights < LESS, weights > MORE
    over, active = above | (below & signed), bool((less | more).any())
    harmed, favoured = above & less, below & more & (signed or cancels)
    if within.all():
        outcome = Outcome.MET if active else Outcome.MET_BY_PRUNING_ALONE
    elif (harmed | favoured).any():
        outcome = Outcome.OVERSHOT
    else:
        outcome = Outcome.NOT_MET if over.any() else Outcome.CANNOT_TELL
    stuck, unknown = over & np.where(above, more, less), np.isnan(low) | np.isnan(high)
    return Judgement(
        outcome=outcome,
        active=active,
        violations=violations,
        low=low,
        high=high,
        over=np.flatnonzero(over),
        harmed=np.flatnonzero(harmed),
        favoured=np.flatnonzero(favoured),
        stuck=np.flatnonzero(stuck),
        undecided=np.flatnonzero(~within & ~over),
        unknown=np.flatnonzero(unknown),
        sizes=errors.sizes,
        tolerance=float(tolerance),
        signed=signed,
    )
