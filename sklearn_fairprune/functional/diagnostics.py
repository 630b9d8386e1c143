"""Diagnostics of single rows: what pruning does to each person's prediction.

A diagnostic names the statistics it needs by its keyword-only arguments:

- ``dense_losses``, ``pruned_losses``: loss of each row, shape (n,);
- ``dense_outputs``, ``pruned_outputs``: class probabilities, shape (n, n_classes), or the
  predicted targets of a regression;
- ``labels``: class codes, shape (n,);
- ``dense_predictions``, ``pruned_predictions``: class codes, shape (n,);
- ``gradient_norms``: norm of the dense network's gradient of each row's loss, shape (n,).

Add one: a function, and a record in `DIAGNOSTICS`. `SampleDiagnostics` and
`diagnostic_metrics` then have it; `diagnose`, its text, the page of an audit and the plots
have its group means, unless the record says otherwise.
"""

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from torch import Tensor

from . import boundary
from .needs import needs
from .shelf import LOSS, Member, Shelf

STATISTICS = (
    "dense_losses",
    "pruned_losses",
    "dense_outputs",
    "pruned_outputs",
    "labels",
    "dense_predictions",
    "pruned_predictions",
    "gradient_norms",
)


def dense_loss(*, dense_losses: Tensor) -> Tensor:
    """Loss under the dense network, in nats for the cross-entropy."""
    return dense_losses


def pruned_loss(*, pruned_losses: Tensor) -> Tensor:
    """Loss under the pruned network, in nats for the cross-entropy."""
    return pruned_losses


def excessive_loss(*, dense_losses: Tensor, pruned_losses: Tensor) -> Tensor:
    """Pruned minus dense loss; its group mean is R(a)."""
    return pruned_losses - dense_losses


def closeness(*, dense_outputs: Tensor) -> Tensor:
    """Closeness to the dense network's decision boundary, 1 minus the sum of p squared."""
    return boundary.closeness(dense_outputs)


def margin(*, dense_outputs: Tensor) -> Tensor:
    """Distance between the dense network's two most probable classes."""
    return boundary.margin(dense_outputs)


def sample_gradient_norm(*, gradient_norms: Tensor) -> Tensor:
    """Norm of the gradient of the row's loss at the dense network."""
    return gradient_norms


def accuracy_drop(
    *, labels: Tensor, dense_predictions: Tensor, pruned_predictions: Tensor
) -> Tensor:
    """1.0 where only the dense network is right, -1.0 where only the pruned one is."""
    return (dense_predictions == labels).double() - (pruned_predictions == labels).double()


def prediction_changed(*, dense_predictions: Tensor, pruned_predictions: Tensor) -> Tensor:
    """1.0 where dense and pruned network predict different classes, else 0.0."""
    return (dense_predictions != pruned_predictions).double()


def prediction_change(*, dense_outputs: Tensor, pruned_outputs: Tensor) -> Tensor:
    """Norm of the difference of the predicted targets."""
    return (pruned_outputs - dense_outputs).flatten(1).norm(dim=1)


@dataclass(frozen=True)
class Diagnostic(Member):
    """A diagnostic of single rows.

    Parameters
    ----------
    function : callable
        From statistics of the rows, by name, to one number a row.
    title : str
        What tables and plots call it and its group means.
    unit : {"loss", "share"} or None
        That of the loss, a share of the rows, or none of its own.
    classifiers, regressors : bool
        Whose rows have it.
    of_probabilities : bool
        Whether the outputs of the dense network must be class probabilities.
    by_group : bool
        Whether `diagnose` takes its group means.
    sign : {1, -1, 0}
        Of its rank correlation with the damage over the groups, as the theory has it: with
        more of it a group is said to pay more, or less. 0: nothing is said.
    signed : bool
        Whether it can be negative, so that 0 is worth a line in a plot.
    heading : str
        What tables of group means call it, where space is short. Its title, if empty.
    phrase : str
        What sentences call it, which then say who has most of it, and what explains that.
        Empty: it is no damage.
    panel : int or None
        Place among the panels that plots of group means draw unasked; None: none.
    """

    unit: str | None = None
    classifiers: bool = True
    regressors: bool = False
    of_probabilities: bool = False
    by_group: bool = True
    sign: int = 0
    signed: bool = False
    heading: str = ""
    phrase: str = ""
    panel: int | None = 100

    @cached_property
    def needs(self) -> tuple[str, ...]:
        """Names of the statistics it asks for."""
        return needs(self.function, STATISTICS, f"diagnostic {self.name!r}")

    @property
    def of_pruned(self) -> bool:
        """Whether it needs a pruned network beside the dense one."""
        return any(name.startswith("pruned_") for name in self.needs)


DIAGNOSTICS = Shelf(
    Diagnostic,
    Diagnostic(
        dense_loss,
        "dense loss J",
        unit=LOSS,
        regressors=True,
        sign=1,
        heading="loss J",
        panel=None,
    ),
    Diagnostic(pruned_loss, "pruned loss J", unit=LOSS, regressors=True, by_group=False),
    Diagnostic(
        excessive_loss,
        "excessive loss R",
        signed=True,
        heading="R, fine-tuned",
        phrase="excessive loss",
        panel=6,
        unit=LOSS,
        regressors=True,
    ),
    Diagnostic(
        sample_gradient_norm, "gradient norm of a row", regressors=True, by_group=False
    ),
    Diagnostic(
        closeness,
        "closeness to the boundary s",
        of_probabilities=True,
        sign=1,
        heading="closeness s",
        panel=3,
    ),
    Diagnostic(margin, of_probabilities=True, sign=-1, panel=None),
    Diagnostic(accuracy_drop, unit="share", by_group=False, signed=True),
    Diagnostic(prediction_changed, unit="share", by_group=False),
    Diagnostic(prediction_change, classifiers=False, regressors=True, by_group=False),
)


def diagnostics_of(*, classifies: bool, probabilities: bool) -> dict[str, Diagnostic]:
    """Diagnostics that there are for a network, by name.

    Parameters
    ----------
    classifies : bool
        Whether its targets are classes.
    probabilities : bool
        Whether its outputs tell class probabilities.

    Returns
    -------
    diagnostics : dict of str to Diagnostic
        Those of `DIAGNOSTICS` that it can have.

    Raises
    ------
    ValueError
        See `check_diagnostics`.
    """
    check_diagnostics()
    return {
        name: member
        for name, member in DIAGNOSTICS.items()
        if (member.classifiers if classifies else member.regressors)
        and (probabilities or not member.of_probabilities)
    }


def check_diagnostics() -> None:
    """Refuse a shelf with a member that cannot be computed, before anything is.

    Raises
    ------
    ValueError
        If a diagnostic asks for a statistic that does not exist, or is no `Diagnostic`.
    """
    for name, member in DIAGNOSTICS.items():
        if not isinstance(member, Diagnostic):
            raise ValueError(
                f"diagnostic {name!r} must be a Diagnostic, got {member!r}. Write "
                f"DIAGNOSTICS[{name!r}] = Diagnostic(function)."
            )
        needs(member.function, STATISTICS, f"diagnostic {name!r}")


def chosen(quantities: Collection[str], known: Collection[str]) -> list[str]:
    """Check the names of the quantities that are asked for.

    Parameters
    ----------
    quantities : list of str
        Names.
    known : collection of str
        Those there are for this network.

    Returns
    -------
    names : list of str
        As asked for.

    Raises
    ------
    ValueError
        If there is none, if one is named twice or is not known.
    """
    if isinstance(quantities, str):
        raise ValueError(
            f"quantities must be a list of names, got the string {quantities!r}. Write "
            f"[{quantities!r}]."
        )
    names = list(quantities)
    if unknown := [name for name in names if name not in known]:
        need = [n for n in unknown if n in DIAGNOSTICS and DIAGNOSTICS[n].of_probabilities]
        why = f"; {' and '.join(need)} need probabilities" * bool(need)
        raise ValueError(
            f"quantities: unknown {unknown}; known for this network: {list(known)}{why}."
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"quantities must name at least one quantity, and each once, got {names}."
        )
    return names
