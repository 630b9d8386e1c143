"""Numbers in texts: decimal commas, thousands, currencies; what is none is counted."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

LARGEST = 1e100  # larger ones overflow in the scaling
FEW_WORDS = 0.05  # share of the cells that may be words in a column of numbers
FEW_VALUES = 20  # so many different numbers may be codes

_THOUSANDS = "['\u2019 \u00a0\u202f]"
_FORMS = {
    # point: 1,200.5 or 1'200.5 or 1200.5; comma: 1.200,5 or 1 200,5 or 1200,5
    ".": rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d{{1,3}}(?:{_THOUSANDS}\d{{3}})+|\d+)(?:\.\d*)?|\.\d+",
    ",": rf"(?:\d{{1,3}}(?:\.\d{{3}})+|\d{{1,3}}(?:{_THOUSANDS}\d{{3}})+|\d+)(?:,\d*)?|,\d+",
}
_MONEY = r"[$€£¥₹]|USD|EUR|GBP|CHF|JPY|INR|CAD|AUD"
_CELLS = {
    decimal: re.compile(
        rf"(?P<open>\()?(?P<sign>[+\-\u2212])?\s*(?P<before>{_MONEY})?\s*(?P<sign2>[-\u2212])?"
        rf"(?P<number>{form})(?P<power>[eE][+-]?\d+)?"
        r"\s*(?P<after>[%‰°$€£¥₹]?[A-Za-z]{0,12}\.?)(?P<close>\))?"
    )
    for decimal, form in _FORMS.items()
}
_INFINITE = re.compile(r"[+\-\u2212]?inf(inity)?", re.IGNORECASE)
_CODE = re.compile(r"[+-]?0\d+")


class Numbers(NamedTuple):
    """What a column of texts is as numbers.

    Attributes
    ----------
    values : float ndarray of shape (n,)
        NaN where there is none.
    unread : bool ndarray of shape (n,)
        Cells that hold something else than a number.
    units : dict of str to int
        Cells by what is written beside the number: "", "%", "$".
    codes : int
        Cells such as "01": a column that has any is no quantity.
    comma : bool
        Whether it has a decimal comma.
    thousands : bool
        Whether separators of thousands were taken out.
    """

    values: np.ndarray
    unread: np.ndarray
    units: dict[str, int]
    codes: int
    comma: bool
    thousands: bool

    @property
    def kinds_of_units(self) -> set[str]:
        """Units that differ: "$5" may stand beside "5", but not "5 %", "5 k" or "5 kg"."""
        units = set(self.units)
        money = {unit for unit in units if re.fullmatch(_MONEY, unit)}
        return units - {""} if len(money) == len(units - {""}) else units

    @property
    def are(self) -> bool:
        """Whether the column is one of numbers.

        At most one cell in twenty is a word; or more are, but not most, and there are too
        many different numbers for codes. "01" is a code; numbers of several units are none.
        """
        read = np.isfinite(self.values)
        if not read.any() or self.codes or len(self.kinds_of_units) > 1:
            return False
        words = self.unread.sum() / (read.sum() + self.unread.sum())
        many = len(np.unique(self.values[read])) > FEW_VALUES
        return bool(words <= FEW_WORDS or (many and words <= 0.5))


def read_numbers(texts: pd.Series, decimal: str | None = None, sep: str = "") -> Numbers:
    """Read a column of texts as numbers.

    Parameters
    ----------
    texts : Series of str
        NaN where missing.
    decimal : {".", ","} or None, default=None
        Decimal sign; None: with which more cells are numbers, and if that is equal a comma
        in a file separated by semicolons, else a point.
    sep : str, default=""
        Separator of the file.

    Returns
    -------
    numbers : Numbers

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_fairprune.tables.numbers import read_numbers
    >>> found = read_numbers(pd.Series(["$1,200", "$950.50", "Exempt"]))
    >>> found.values.tolist(), found.unread.tolist()
    ([1200.0, 950.5, nan], [False, False, True])
    """
    codes, unique = pd.factorize(texts)
    counts = np.bincount(codes[codes >= 0], minlength=len(unique))
    first, second = (",", ".") if sep == ";" else (".", ",")
    read = {}
    for form in [decimal] if decimal else [first, second]:
        read[form] = [_number(text, form) for text in unique]
        if None not in read[form]:
            break  # the other one reads no more
    found = {
        form: sum(n for cell, n in zip(cells, counts, strict=True) if cell is not None)
        for form, cells in read.items()
    }
    form = max(read, key=lambda form: (found[form], form == first))
    values, thousands = np.full(len(unique) + 1, np.nan), False
    units: dict[str, int] = {}
    for k, cell in enumerate(read[form]):
        if cell is not None:
            values[k], unit, grouped = cell
            units[unit] = units.get(unit, 0) + int(counts[k])
            thousands |= grouped
    values[~(np.abs(values) <= LARGEST)] = np.nan
    cells = values[codes]  # the last one is the missing
    coded = sum(
        int(n) for text, n in zip(unique, counts, strict=True) if _CODE.fullmatch(text)
    )
    comma = form == "," and any("," in text for text in unique)
    unread = np.isnan(cells) & (codes >= 0)
    return Numbers(cells, unread, units, coded, comma, thousands)


def _number(text, decimal):
    """Value, unit, and whether thousands are separated; None where it is no number."""
    if _INFINITE.fullmatch(text):
        return np.inf, "", False
    found = _CELLS[decimal].fullmatch(text)
    if found is None or bool(found["open"]) != bool(found["close"]):
        return None
    signs = [found["open"], *filter(None, (found["sign"], found["sign2"]))]
    if len(signs) > 2 or (found["before"] and found["after"]):
        return None
    digits = re.sub(_THOUSANDS, "", found["number"])
    grouping = "," if decimal == "." else "."
    plain = digits.replace(grouping, "").replace(decimal, ".")
    value = float(plain + (found["power"] or ""))
    negative = found["open"] or any(sign in ("-", "\u2212") for sign in signs if sign)
    grouped = grouping in digits or digits != found["number"]
    return -value if negative else value, found["before"] or found["after"], grouped
