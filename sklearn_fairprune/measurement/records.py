"""What is known of a measure: its record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..functional.shelf import Member
from .formats import with_interval
from .held_out import HeldOut

Measured = tuple[Any, Any, Any] | Any  # value and limits, or the value alone
UNITS = ("share", "points", "loss", "count", "")
SUBJECTS = ("groups", "rows", "both", "disparity")


@dataclass(frozen=True)
class Measure(Member):
    """A measure of the audit.

    Attributes
    ----------
    function : callable
        Of `HeldOut` rows and the position k of a model (the dense one is 0): the value and
        its lower and upper limit, or the value alone without `interval`. One entry a group,
        or numbers if it is about a disparity.
    title : str
        What tables and plots call it, without symbol and unit.
    symbol : str
        Its letter: "J", "R", "xi".
    about : {"groups", "rows", "both", "disparity"}
        Of what there is a value: of each group, of all rows, of both, or of the differences
        between the groups.
    unit : {"share", "points", "loss", "count", ""}
        A share of the rows, shown in per cent; a difference of shares, shown in points; that
        of the loss; a number of something; none.
    better : {1, -1, 0}
        Whether more is better, less is, or neither.
    classifiers_only : bool
        Whether regressors lack it.
    interval : bool
        Whether it has limits. Without them it stands in the tables and files only.
    signed : bool
        Whether it is about a change, so that texts show the sign.
    limit : str
        Name of its limit in `assert_disparity`, if it has one of its own.
    against : str
        What an axis adds to the title: "against the dense model".
    meaning : str
        Sentence for readers, in which {loss} becomes the name of the loss.
    cost : str
        The same for dashboards, with {loss} and {dense}, the name of the dense model.
    paid : callable or None
        Of the same arguments as the function: what each row pays, of which the group values
        are the means; for a measure that tells which group pays most.
    told_by : str
        What that is told by: "loss", "decisions".
    negligible : callable or None
        Of `HeldOut` rows: what is negligible of it.
    section : str
        Title of a table of its own, below the first one, in which it stands with others.
    leads : bool
        Whether it is in the first table of models all the same.
    one_class : bool
        Whether it is about one class, the positive one, and lacking where there is none.
    lacking : str
        Why it may be unknown: "no rows of the positive class".
    needs_loss : bool
        Whether models that give labels alone lack it.

    Raises
    ------
    ValueError
        If `about` or `unit` is none of these, or `paid` lacks `told_by` or `negligible`.

    Examples
    --------
    >>> from sklearn_fairprune.measurement import MEASURES
    >>> MEASURES["accuracy_drop"].heading, MEASURES["loss"].heading
    ('accuracy drop, points', 'loss J')
    """

    symbol: str = ""
    about: str = "groups"
    unit: str = ""
    better: int = -1
    classifiers_only: bool = False
    interval: bool = True
    signed: bool = False
    limit: str = ""
    against: str = ""
    meaning: str = ""
    cost: str = ""
    paid: Any = None
    told_by: str = ""
    negligible: Any = None
    section: str = ""
    leads: bool = False
    one_class: bool = False
    lacking: str = ""
    needs_loss: bool = False

    def __post_init__(self) -> None:
        """Refuse what the reports cannot show."""
        for name, known in (("about", SUBJECTS), ("unit", UNITS)):
            if (value := getattr(self, name)) not in known:
                raise ValueError(
                    f"{name} of a measure must be one of {list(known)}, got {value!r}."
                )
        if self.paid is not None and not (self.told_by and self.negligible):
            raise ValueError(
                "A measure with paid tells who pays most, and must say by what (told_by) and "
                f"what is negligible, got told_by={self.told_by!r} and "
                f"negligible={self.negligible!r}."
            )

    @property
    def by_group(self) -> bool:
        """Whether each group has a value."""
        return self.about in ("groups", "both")

    @property
    def overall(self) -> bool:
        """Whether each model has a value."""
        return self.about != "groups"

    @property
    def disparity(self) -> bool:
        """Whether it is about differences between the groups."""
        return self.about == "disparity"

    @property
    def scale(self) -> int:
        """Factor of the values that are shown."""
        return 100 if self.unit in ("share", "points") else 1

    @property
    def shown_unit(self) -> str:
        """Unit as it is shown; that of the loss is not known here."""
        return {"share": "%", "points": "points"}.get(self.unit, "")

    @property
    def full_title(self) -> str:
        """Title and symbol."""
        return f"{self.label} {self.symbol}".rstrip()

    @property
    def heading(self) -> str:
        """Title of a column of a table."""
        gap = " " if self.unit == "share" else ", "
        return gap.join(filter(None, [self.full_title, self.shown_unit]))

    @property
    def axis(self) -> str:
        """Title of an axis of the page."""
        title = f"{self.full_title} {self.against}".rstrip()
        return ", ".join(filter(None, [title, self.shown_unit]))

    @property
    def format(self) -> dict[str, Any]:
        """Options of `with_interval`."""
        per_cent = {"scale": 100, "digits": 1} if self.scale == 100 else {}
        return per_cent | ({"sign": "+"} if self.signed else {})

    def there_is(self, rows: HeldOut) -> bool:
        """Whether there is such a measure for models of this kind."""
        if self.one_class and rows.positive is None:
            return False
        known = rows.scored or not self.needs_loss
        return known and (rows.correct is not None or not self.classifiers_only)

    def columns(self, name: str, rows: HeldOut, k: int) -> dict[str, Any]:
        """Value and limits under model k, as columns called `name`."""
        found = self(rows, k)
        if not self.interval:
            return {name: found}
        if not isinstance(found, tuple) or len(found) != 3:
            raise ValueError(
                f"The measure {name!r} must return three things, its value and its lower and "
                f"upper limit, got {type(found).__name__}. Give its record interval=False if "
                "it has no limits."
            )
        return dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))

    def write(self, row: Mapping[str, Any], name: str) -> str:
        """Value of a column with its limits, as text."""
        return with_interval(row, name, **self.format)
