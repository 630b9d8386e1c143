"""What is negligible: a number of the user, the deviation between seeds, or the default."""

import copy
from collections.abc import Mapping, Sequence
from enum import StrEnum
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from ..statistics.weights import weighted_means
from .adapters import adapted
from .audited import Audited
from .held_out import HeldOut
from .measures import MEASURES, payments
from .models import check_kinds
from .outcomes import Outcomes, gather_outcomes
from .records import Measure
from .settings import Settings

LEAST_RETRAINED = 2  # three networks, with the dense one


class Source(StrEnum):
    """Where a number comes from that says what is negligible."""

    GIVEN = "given"
    SEEDS = "seeds"
    DEFAULT = "default"


class Retrained(NamedTuple):
    """Outcomes of dense networks of different seeds, the one that is audited first.

    Attributes
    ----------
    losses : ndarray of shape (n, n_networks)
        Loss of every row.
    predicted, correct : ndarray of shape (n, n_networks) or None
        Labels, and 1.0 where they are right; None for regression.
    labels_only : list of str
        Networks without probabilities, if the models that are audited have them: losses of
        networks are then not known.
    """

    losses: np.ndarray
    predicted: np.ndarray | None
    correct: np.ndarray | None
    labels_only: list[str]

    @property
    def networks(self) -> int:
        """Number of networks, with the dense one."""
        return self.losses.shape[1]

    @property
    def notes(self) -> list[str]:
        """Say that losses of the networks are not known, if so."""
        if not self.labels_only:
            return []
        return [
            f"No probabilities of {', '.join(self.labels_only)}: what is negligible of losses "
            "is not the deviation between seeds, but the default."
        ]

    def group_means(self, measure: Measure, rows: HeldOut) -> np.ndarray:
        """Weighted mean of each group of what each network costs against the dense one.

        Parameters
        ----------
        measure : Measure
            One that tells who pays.
        rows : HeldOut
            Held-out rows in groups.

        Returns
        -------
        means : ndarray of shape (m, n_networks)
            Of the dense network 0.
        """
        own = copy.copy(rows)
        own.losses, own.predicted, own.correct = self.losses, self.predicted, self.correct
        paid = [measure.paid(own, k) for k in range(self.networks)]
        means = [weighted_means(p, rows.weights, rows.groups, rows.m) for p in paid]
        return np.column_stack(means)


def between_networks(means: np.ndarray) -> float:
    r"""Deviation of the groups' means between networks that differ by their seed alone.

    Parameters
    ----------
    means : ndarray of shape (m, n_networks)
        Mean of each of m groups under each of R networks.

    Returns
    -------
    deviation : float
        :math:`\sqrt{\frac{1}{m} \sum_a \frac{1}{R-1} \sum_r (J_{a,r} - \bar J_a)^2}`, in the
        unit of the means.

    Notes
    -----
    The root mean square over the groups of the standard deviation between the networks: of
    each group with R - 1 degrees of freedom, since its mean is estimated from the same R
    networks; variances are averaged, for these are unbiased where deviations are not. Each
    group counts alike, as each may be the one that is said to pay. What is the same for all
    networks of a group, such as the cost of the dense one, does not matter, so that costs
    against it give the same as losses do.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_fairprune.measurement.negligible import between_networks
    >>> between_networks(np.array([[0.1, 0.2, 0.3], [0.5, 0.5, 0.5]])) ** 2
    0.005...
    """
    return float(np.sqrt(means.var(axis=1, ddof=1).mean()))


def gather_retrained(
    retrained: Any, outcomes: Outcomes, X: Any, sensitive_features: Any, settings: Settings
) -> Retrained | None:
    """Predict every row with dense networks that were trained with other seeds.

    Parameters
    ----------
    retrained : sequence of fitted estimator, or None
        As in `audit`.
    outcomes : Outcomes
        Of the models; the first is the dense one.
    X, sensitive_features : array-like
        Held-out rows.
    settings : Settings
        How to measure.

    Returns
    -------
    networks : Retrained or None
        None if none were given.

    Raises
    ------
    ValueError
        If they are fewer than two or no such networks, or two of them are the same.
    """
    if retrained is None:
        return None
    check_retrained(retrained)
    plain, seed = settings._replace(pos_label=None), settings.random_state
    dense = next(iter(outcomes.models.values()))
    found: list[Outcomes] = []
    for k, model in enumerate(retrained):
        try:
            read = {_place(k): adapted(model, X, outcomes.y, sensitive_features, seed)}
            if hasattr(model, "predict"):
                check_kinds({"dense": dense} | read)
            found.append(gather_outcomes(read, X, outcomes.y, sensitive_features, plain))
        except (TypeError, ValueError) as error:
            raise ValueError(f"{_place(k)}: {error}") from error
    networks = Retrained(
        np.column_stack([outcomes.losses[:, 0], *(own.losses for own in found)]),
        _beside("predicted", outcomes, found),
        _beside("correct", outcomes, found),
        [] if outcomes.labels_only else [n for own in found for n in own.labels_only],
    )
    if not (outcomes.labels_only or networks.labels_only):
        _refuse_copies(networks.losses)
    return networks


def check_retrained(retrained: object) -> None:
    """Refuse what is no list of two or more.

    Parameters
    ----------
    retrained : object
        What a user gave.

    Raises
    ------
    ValueError
        Naming the rule and what was given.
    """
    if not isinstance(retrained, Sequence) or isinstance(retrained, (str, bytes)):
        raise ValueError(
            "retrained must be a list of dense networks that were trained with other seeds, "
            f"such as [dense_1, dense_2], got {type(retrained).__name__}."
        )
    if len(retrained) < LEAST_RETRAINED:
        raise ValueError(
            f"retrained must have at least {LEAST_RETRAINED}, three networks with the dense "
            f"one, got {len(retrained)}: a deviation between fewer is no measure. Train more, "
            "or give negligible=."
        )


def _place(k):
    return f"retrained[{k}]"


def _beside(name, outcomes, found):
    """Outcomes of the dense model and of the others, side by side."""
    dense = getattr(outcomes, name)
    if dense is None:
        return None
    return np.column_stack([dense[:, 0], *(getattr(own, name) for own in found)])


def _refuse_copies(losses):
    for i, j in combinations(range(losses.shape[1]), 2):
        if np.array_equal(losses[:, i], losses[:, j]):
            first = "the dense model" if i == 0 else _place(i - 1)
            raise ValueError(
                f"{_place(j - 1)} has the loss of {first} in every row, as if it were the "
                "same network. Train it with another random_state, or give negligible=."
            )


def negligible_of(
    rows: HeldOut, networks: Retrained | None, given: Mapping[str, float] | None
) -> dict[str, dict[str, Any]]:
    """What is negligible of each measure that tells who pays, and where that comes from.

    Parameters
    ----------
    rows : HeldOut
        Held-out rows in groups.
    networks : Retrained or None
        Dense networks of other seeds.
    given : mapping of str to float or None
        Numbers of the user, which come first.

    Returns
    -------
    negligible : dict of str to dict
        By the name of the measure: ``amount``; ``source``, a text of `Source`; and the number
        of ``networks`` where it is the deviation between them.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, measure in payments().items():
        if not measure.there_is(rows):
            continue
        scored = networks is not None and not (measure.needs_loss and networks.labels_only)
        if name in (given or {}):
            amount, source = (given or {})[name], Source.GIVEN
        elif networks is not None and scored:
            means = networks.group_means(measure, rows)[rows.compared]
            amount, source = between_networks(means), Source.SEEDS
        else:
            amount, source = measure.negligible(rows), Source.DEFAULT
        found[name] = {"amount": float(amount), "source": source.value}
        if networks is not None and source is Source.SEEDS:
            found[name]["networks"] = networks.networks
    return found


def negligible_words(audited: Audited) -> str:
    """Say what was taken as negligible, and why.

    Parameters
    ----------
    audited : Audited
        Of one way to group the rows; those that were saved before do not tell.

    Returns
    -------
    sentence : str
        Empty where it is not known, and where there is nobody to compare.
    """
    told = []
    for name, one in (
        audited.about.get("negligible", {}).items() if len(audited.payers) else ()
    ):
        measure, words = MEASURES[name], "as given"
        if one["source"] == Source.SEEDS:
            words = f"the deviation between {one['networks']} dense networks trained with "
            words += "different seeds"
        elif one["source"] == Source.DEFAULT:
            words = "the default"
        amount = f"{measure.scale * one['amount']:.3g} {measure.shown_unit}".rstrip()
        told.append(f"up to {amount} of {measure.label}, {words}")
    return f"Negligible: {'; '.join(told)}." if told else ""
