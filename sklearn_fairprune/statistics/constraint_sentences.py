"""What became of a group constraint, in words: each outcome with the advice that fits it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from .constraint_outcomes import MORE, Judgement, Outcome

SHOWN = 10  # groups in a list
# By unit: factor, and what follows a violation and a tolerance.
PLAIN = (1, "", "")
UNITS: dict[str | None, tuple[int, str, str]] = {
    "loss": (1, "", " in units of the loss"),
    "share": (100, " points", " points of accuracy"),
}
NEVER_ACTED = f"no row weight left 1 by more than {MORE - 1:.2f}"
RAISE = "Raise dual_lr, max_row_weight or finetune_epochs, or allow more tolerance."
LOWER = "Lower dual_lr or max_row_weight."
LOWER_LAST = "Lower max_accuracy_loss or max_row_weight."
RAISE_LAST = "Raise max_accuracy_loss or max_row_weight, or allow more tolerance."
IDLE_LAST = (
    f"The last layer hardly changed ({NEVER_ACTED}): nothing was pruned, what is looked at "
    "stayed within the noise, or no larger change within max_accuracy_loss surely lowers the "
    "largest violation."
)
IDLE = (
    f"The constraint never acted ({NEVER_ACTED}): no training was under it, or what its "
    "multipliers step on stayed within the noise that they ignore."
)
SEEN = "The network was trained on these rows; others may differ: use holdout."


def says(
    judgement: Judgement,
    *,
    names: Sequence[object],
    constraint: str,
    unit: str | None,
    rows: str,
    sparsity: float,
    last_step: bool = False,
) -> str:
    """Say what became of a constraint, and what to do about it.

    Parameters
    ----------
    judgement : Judgement
        From `constraint_outcomes.judge`.
    names : sequence of object
        Of the groups.
    constraint : str
        Its name.
    unit : {"loss", "share"} or None
        Of the violations, as in `functional.Constraint`.
    rows : {"held-out", "training"}
        Which rows were looked at.
    sparsity : float
        Share of the weights that was removed.
    last_step : bool, default=False
        Whether the last layer was adjusted after all training.

    Returns
    -------
    text : str
        One to four sentences.

    References
    ----------
    The toolkit's own.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.statistics.constraint_outcomes import Errors, judge
    >>> from sklearn_fairprune.statistics.constraint_sentences import says
    >>> errors = Errors(np.full(2, 1e-4), np.zeros(2), np.full(2, 50.0), np.full(2, 51))
    >>> found = judge(np.array([0.2, -0.2]), errors, 0.05, np.array([2.0, 0.7]))
    >>> about = dict(constraint="equal_loss", unit="loss", rows="held-out", sparsity=0.9)
    >>> print(says(found, names=["old", "young"], **about))
    equal_loss is not met at sparsity 0.9: on the held-out rows 1 of 2 groups is surely above
    the tolerance of 0.05 in units of the loss: old +0.2. Raise dual_lr, max_row_weight ...
    """
    groups, at = _Groups(judgement, names, unit), f"at sparsity {sparsity:g}"
    within = f"the tolerance of {_tolerance(judgement.tolerance, unit)}"
    match judgement.outcome:
        case Outcome.MET | Outcome.MET_BY_PRUNING_ALONE:
            limits = "both limits (95 %)" if judgement.signed else "the upper limit (95 %)"
            verdict = f"{constraint} is met {at}: on the {rows} rows {limits} of every group "
            verdict += f"{'are' if judgement.signed else 'is'} within {within}."
            advice = "" if judgement.active else f"Pruning alone met it: {NEVER_ACTED}."
        case Outcome.OVERSHOT:
            verdict = f"{constraint} overshot {at}: on the {rows} rows, with {within}, "
            verdict += f"{_too_far(groups)}."
            lower = LOWER_LAST if last_step else LOWER
            advice = _one_strength(groups) if len(judgement.stuck) else lower
        case Outcome.NOT_MET:
            verdict = f"{constraint} is not met {at}: on the {rows} rows "
            verdict += f"{groups.counted(judgement.over)} surely "
            verdict += f"{'off by more than' if judgement.signed else 'above'} {within}: "
            verdict += f"{groups.listed(judgement.over)}."
            more, idle = (RAISE_LAST, IDLE_LAST) if last_step else (RAISE, IDLE)
            advice = more if judgement.active else idle
        case _:
            verdict = f"{constraint} {at}: whether it is met, the {rows} rows cannot tell: "
            verdict += f"{groups.counted(judgement.undecided)} neither surely within {within} "
            verdict += f"nor surely beyond it: {groups.listed(judgement.undecided, True)}."
            verdict += _by_chance(judgement)
            advice = _what_would_tell(judgement, rows)
    return " ".join(filter(None, [verdict, advice, SEEN if rows == "training" else ""]))


class _Groups(NamedTuple):
    """Groups of a judgement, as they are told."""

    judgement: Judgement
    names: Sequence[object]
    unit: str | None

    def counted(self, found: np.ndarray) -> str:
        """How many groups, with the verb."""
        of = f"{len(self.names)} group{'' if len(self.names) == 1 else 's'}"
        return f"{len(found)} of {of} {'is' if len(found) == 1 else 'are'}"

    def listed(self, found: np.ndarray, limits: bool = False) -> str:
        """Groups with their violations, the largest first."""
        order = np.argsort(-np.abs(self.judgement.violations[found]), kind="stable")
        texts = [self._told(int(a), limits) for a in found[order[:SHOWN]]]
        more = [f"and {len(found) - SHOWN} more"] if len(found) > SHOWN else []
        return ", ".join(texts + more)

    def _told(self, a: int, limits: bool) -> str:
        found, name = self.judgement, self.names[a]
        text = f"{name} {_violation(found.violations[a], self.unit)}"
        if not limits:
            return text
        rows = f"of {found.sizes[a]:,} row{'' if found.sizes[a] == 1 else 's'}"
        if a in found.unknown:
            return f"{name} unknown {rows}"
        low, high = (_violation(limit[a], self.unit) for limit in (found.low, found.high))
        return f"{text} [{low}, {high}] {rows}"


def _violation(value: float, unit: str | None) -> str:
    scale, what, _ = UNITS.get(unit, PLAIN)
    return f"{scale * value:+.3g}{what}"


def _tolerance(value: float, unit: str | None) -> str:
    scale, _, what = UNITS.get(unit, PLAIN)
    text = f"{scale * value:.3g}{what}"
    return text.replace("points", "point") if text.startswith("1 ") else text


def _too_far(groups: _Groups) -> str:
    """Which groups were given too little weight, and which too much."""
    told = (
        (groups.judgement.harmed, "less", "above it"),
        (groups.judgement.favoured, "more", "below minus it"),
    )
    return "; ".join(
        f"{groups.listed(found)}, given {way} weight, {'is' if len(found) == 1 else 'are'} "
        f"surely {where}"
        for found, way, where in told
        if len(found)
    )


def _one_strength(groups: _Groups) -> str:
    """Less of the constraint helps some groups, more of it helps others."""
    return (
        "Others are surely beyond it although their weight was moved against that "
        f"({groups.listed(groups.judgement.stuck)}): no one strength of the constraint helps "
        "all. Allow more tolerance."
    )


def _by_chance(judgement: Judgement) -> str:
    """Why a group whose own limits lie beyond the tolerance is not surely beyond it."""
    nearest = judgement.low[judgement.undecided]
    if judgement.signed:
        nearest = np.maximum(nearest, -judgement.high[judgement.undecided])
    if not (nearest > judgement.tolerance).any():
        return ""
    n = len(judgement.violations)
    return f" Among {n} groups one such limit lies beyond it by chance more often than in 5 %."


def _what_would_tell(judgement: Judgement, rows: str) -> str:
    """More rows, or a tolerance; the latter not for groups without limits."""
    more = "More held-out rows" if rows == "held-out" else "More rows"
    if len(judgement.unknown) == len(judgement.undecided):
        return f"{more} of such groups would tell."
    return f"{more} or a larger tolerance would tell."
