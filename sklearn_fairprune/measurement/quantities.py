"""Quantities that a diagnosis has of every group, with everything that is known of them."""

from dataclasses import dataclass
from enum import Enum

from ..functional.diagnostics import DIAGNOSTICS, check_diagnostics


class Section(Enum):
    """Where a quantity stands among the columns of a diagnosis, and why."""

    ACCURACY = "how often the dense network is right"
    LOSS = "loss of the dense network"
    DERIVATIVES = "derivatives of that loss"
    OUTPUTS = "what the dense network puts out"
    DAMAGE = "what pruning does"
    PREDICTION = "what pruning is said to do"
    BOUNDS = "bounds of the derivatives"


DENSE = (Section.ACCURACY, Section.LOSS, Section.DERIVATIVES, Section.OUTPUTS)
PRUNED = (Section.DAMAGE, Section.PREDICTION)
EXPLAINING = (
    Section.DERIVATIVES,
    Section.OUTPUTS,
    Section.LOSS,
    Section.ACCURACY,
    Section.DAMAGE,
    Section.PREDICTION,
)


@dataclass(frozen=True)
class Quantity:
    """A quantity that groups have.

    Attributes
    ----------
    section : Section
        Where it stands.
    title : str
        What plots call it.
    heading : str
        What tables call it. Empty: it is in none, and in no plot.
    unit : {"loss", "share"} or None
        That of the loss, a share of the rows, or none of its own.
    sign : {1, -1, 0}
        Of its rank correlation with the damage over the groups, as the theory has it.
        0: it explains nothing.
    signed : bool
        Whether 0 is worth a line in a plot, and a sign is shown.
    never_negative : bool
        Whether limits below 0 are impossible.
    digits : int
        After the point.
    phrase : str
        What sentences call it, which then say who has most of it; empty: none do.
    panel : int or None
        Place among the panels that are drawn unasked; None: none.
    """

    section: Section
    title: str = ""
    heading: str = ""
    unit: str | None = None
    sign: int = 0
    signed: bool = False
    never_negative: bool = False
    digits: int = 3
    phrase: str = ""
    panel: int | None = None

    @property
    def damage(self) -> bool:
        """Whether it is the damage measured, which others may explain."""
        return self.section is Section.DAMAGE and bool(self.phrase)

    @property
    def column(self) -> tuple[str, dict[str, object]]:
        """Heading of a column of a table, and how its numbers are written."""
        sign = {"sign": "+"} if self.signed else {}
        if self.unit == "share":
            return f"{self.heading} %", {"scale": 100, "digits": 1, **sign}
        return self.heading, {"digits": self.digits, **sign}


# The quantities that are no means of row diagnostics, section by section.
QUANTITIES = {
    "dense_accuracy": Quantity(
        Section.ACCURACY, "dense accuracy", "accuracy", unit="share", sign=-1
    ),
    "gradient_norm": Quantity(
        Section.DERIVATIVES,
        "gradient norm",
        "gradient norm",
        sign=1,
        never_negative=True,
        panel=1,
    ),
    "largest_eigenvalue": Quantity(
        Section.DERIVATIVES,
        "largest eigenvalue of the Hessian",
        "largest eigenvalue",
        sign=1,
        digits=2,
        panel=2,
    ),
    "excess_accuracy_gap": Quantity(Section.DAMAGE, signed=True),
    "masked_excessive_loss": Quantity(
        Section.DAMAGE,
        "excessive loss R, masked only",
        "R, masked only",
        unit="loss",
        signed=True,
        phrase="excessive loss before fine-tuning",
        panel=6,
    ),
    "second_order": Quantity(
        Section.PREDICTION,
        "second-order estimate R2",
        "estimate R2",
        unit="loss",
        sign=1,
        signed=True,
        phrase="second-order estimate R2",
        panel=4,
    ),
    "theorem1_bound": Quantity(
        Section.PREDICTION,
        "bound of Theorem 1",
        "bound, Theorem 1",
        unit="loss",
        sign=1,
        panel=5,
    ),
    "gradient_norm_bound": Quantity(
        Section.BOUNDS, heading="of the gradient norm, Proposition 2", never_negative=True
    ),
    "eigenvalue_bound": Quantity(
        Section.BOUNDS, heading="of the eigenvalue, Theorem 2", digits=2
    ),
}

# Columns of a diagnosis that are no quantities.
COLUMNS = (
    "rows",
    "rows_used",
    "eigenvalue_residual",
    "eigenvalue_converged",
    "hessian_products",
)


def quantities(*sections: Section) -> dict[str, Quantity]:
    """All quantities, those of the diagnostics with `by_group` included.

    Parameters
    ----------
    *sections : Section
        Which, in this order; without any, all.

    Returns
    -------
    quantities : dict of str to Quantity
        Read from the shelf of the diagnostics as it is now.

    Raises
    ------
    ValueError
        If a diagnostic cannot be computed, or has the name of another column.
    """
    check_diagnostics()
    if taken := {*QUANTITIES, *COLUMNS} & {*DIAGNOSTICS}:
        raise ValueError(
            f"diagnostics {sorted(taken)} have names of other columns of the diagnosis. Give "
            "them other names in DIAGNOSTICS."
        )
    rows = {
        name: _of_rows(name, member) for name, member in DIAGNOSTICS.items() if member.by_group
    }
    return {
        name: quantity
        for section in sections or Section
        for name, quantity in _in_order(section, rows)
        if quantity.section is section
    }


def _in_order(section, rows):
    """Means of rows first in the damage, last among what explains it."""
    if section is Section.DAMAGE:
        return [*rows.items(), *QUANTITIES.items()]
    return [*QUANTITIES.items(), *rows.items()]


def _of_rows(name, diagnostic):
    """Quantity that the group means of a diagnostic are."""
    section = {"loss": Section.LOSS, "share": Section.ACCURACY}
    section = section.get(diagnostic.unit, Section.OUTPUTS)
    title = diagnostic.title or name.replace("_", " ")
    return Quantity(
        Section.DAMAGE if diagnostic.of_pruned else section,
        title,
        diagnostic.heading or title,
        diagnostic.unit,
        sign=diagnostic.sign,
        signed=diagnostic.signed,
        never_negative=not diagnostic.signed,
        phrase=diagnostic.phrase,
        panel=diagnostic.panel,
    )
