"""Files as people have them: each with the task that it is, or the reason why it is none.

Run: python tests/tables/odd_files.py FOLDER   (writes them all there)
"""

import csv
import datetime
import itertools
import sys
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

ROWS = 600
rng = np.random.default_rng(0)
INCOME = rng.normal(3000, 500, ROWS).round(2)
AGE = rng.integers(18, 80, ROWS)
SEX = rng.choice(["f", "m"], ROWS)
RACE = rng.choice(["black", "hispan", "white"], ROWS)
PAID = np.where(INCOME + rng.normal(0, 300, ROWS) > 3000, "yes", "no")
ORDER = rng.permutation(ROWS)


@dataclass
class Case:
    """A file.

    `seen` are the columns that reach the network, `says` and `silent` words that the notes
    have and lack, `kinds` what the reading says of columns, `groups` the groups, `check`
    anything else; `error` is what the refusal says.
    """

    kind: str
    columns: dict[str, Any]
    ending: str = "csv"
    target: str = "paid"
    sensitive: list[str] = field(default_factory=lambda: ["sex"])
    write: Callable[..., None] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    seen: list[str] | None = None
    says: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)
    kinds: dict[str, str] = field(default_factory=dict)
    groups: set[str] | None = None
    check: Callable[[Any], bool] | None = None
    error: str = ""

    def put(self, folder):
        path = Path(folder) / f"{self.kind.replace(' ', '_')}.{self.ending}"
        if self.write is not None:
            self.write(path, self.columns)
        elif self.ending == "parquet":
            pd.DataFrame(self.columns).to_parquet(path)
        else:
            write_csv(path, self.columns)
        return path


def write_csv(path, columns, sep=",", encoding="utf-8", end="\n"):
    header = columns if isinstance(columns, list) else list(columns.items())
    with path.open("w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, delimiter=sep, lineterminator=end)
        writer.writerow([name for name, _ in header])
        cells = [["" if v is None else v for v in values] for _, values in header]
        writer.writerows(zip(*cells, strict=True))


def csv_as(**options):
    return lambda path, columns: write_csv(path, columns, **options)


def raw(content):
    def write(path, columns):
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return write


def edited(change, encoding="utf-8"):
    """Write the file, then change its text."""

    def write(path, columns):
        write_csv(path, columns)
        text = change(path.read_bytes().decode())
        path.write_bytes(text.encode(encoding))

    return write


def polars_parquet(change):
    def write(path, columns):
        import polars as pl

        change(pl.DataFrame({k: list(v) for k, v in columns.items()}), pl).write_parquet(path)

    return write


BASE = {"income": INCOME, "sex": SEX, "paid": PAID}


def base(**more):
    return BASE | more


def some(values, word, share=0.01, seed=1):
    """The values as texts, with a word in some of them."""
    texts = [str(v) for v in values]
    chosen = np.random.default_rng(seed).permutation(len(texts))[: round(share * len(texts))]
    for k in chosen:
        texts[k] = word
    return texts


def numbers_are(name, values, **close):
    return lambda data: np.allclose(data.X[name], values, equal_nan=True, **close)


def unread(name, n):
    return lambda data: (
        data.reading.loc[name, "unread"] == n and data.X[name].isna().sum() == n
    )


CENTS = INCOME.astype(float)
NUMBERS = [
    Case(
        "words among numbers",
        base(income=some(INCOME, "Exempt")),
        says=["income: 6 of 600 cells are no finite numbers ('Exempt')"],
        kinds={"income": "numbers"},
        check=unread("income", 6),
    ),
    Case(
        "one question mark",
        base(income=some(INCOME, "?", 1 / 600)),
        says=["1 of 600 cells are no finite numbers ('?')"],
        check=unread("income", 1),
    ),
    Case(
        "a dash for nothing",
        base(income=some(INCOME, "-", 0.04)),
        check=unread("income", 24),
    ),
    Case("nan as a word", base(income=some(INCOME, "nan", 0.04)), check=unread("income", 24)),
    Case(
        "many words among many numbers",
        base(income=some(INCOME, "none given", 0.4)),
        check=unread("income", 240),
        says=["240 of 600"],
    ),
    Case(
        "more words than numbers",
        base(income=some(INCOME, "none given", 0.6)),
        kinds={"income": "categories"},
    ),
    Case(
        "decimal comma and semicolons",
        base(income=[f"{v:.2f}".replace(".", ",") for v in INCOME]),
        write=csv_as(sep=";"),
        says=["separated by ';'", "income is read as numbers, written with a decimal comma"],
        check=numbers_are("income", CENTS),
    ),
    Case(
        "decimal comma in quotation marks",
        base(income=[f"{v:.2f}".replace(".", ",") for v in INCOME]),
        check=numbers_are("income", CENTS),
    ),
    Case(
        "three decimals after a comma and semicolons",
        base(income=[f"{v / 1000:.3f}".replace(".", ",") for v in INCOME]),
        write=csv_as(sep=";"),
        check=numbers_are("income", INCOME / 1000, atol=1e-3),
    ),
    Case(
        "a decimal sign that must be told",
        base(income=[f"{v / 1000:.3f}".replace(".", ",") for v in INCOME]),
        options={"decimal": ","},
        check=numbers_are("income", INCOME / 1000, atol=1e-3),
    ),
    Case(
        "dollars",
        base(income=[f"${v:,.2f}" for v in INCOME]),
        says=["in $", "with separators of thousands"],
        check=numbers_are("income", CENTS),
    ),
    Case(
        "dollars here and there",
        base(income=[f"${v:,.0f}" if k % 2 else f"{v:.0f}" for k, v in enumerate(INCOME)]),
        check=numbers_are("income", INCOME, atol=0.51),
    ),
    Case(
        "euros after the number",
        base(income=[f"{v:,.2f} €".translate({44: 46, 46: 44}) for v in INCOME]),
        says=["in €", "decimal comma", "thousands"],
        check=numbers_are("income", CENTS),
    ),
    Case(
        "two currencies",
        base(income=[f"{'$€'[k % 2]}{v:.0f}" for k, v in enumerate(INCOME)], age=AGE),
        seen=["age"],
        says=["Left out income: numbers in several units."],
    ),
    Case(
        "per cent",
        base(income=[f"{v / 50:.0f} %" for v in INCOME]),
        says=["in %"],
        check=numbers_are("income", INCOME / 50, atol=0.51),
    ),
    Case(
        "thousands with points",
        base(income=[f"{v * 1000:,.0f}".replace(",", ".") for v in INCOME]),
        check=numbers_are("income", INCOME * 1000, atol=1),
    ),
    Case(
        "thousands with apostrophes",
        base(income=[f"{v:,.2f}".replace(",", "'") for v in INCOME]),
        check=numbers_are("income", CENTS),
    ),
    Case(
        "thousands with narrow spaces",
        base(income=[f"{v:,.0f}".replace(",", "\u202f") for v in INCOME]),
        check=numbers_are("income", INCOME, atol=0.51),
    ),
    Case(
        "negative in brackets",
        base(income=[f"({v:,.2f})" if k % 3 else f"{v:,.2f}" for k, v in enumerate(INCOME)]),
        check=numbers_are("income", np.where(np.arange(ROWS) % 3, -INCOME, INCOME)),
    ),
    Case(
        "a minus that is no hyphen",
        base(income=[f"\u2212{v}" for v in INCOME]),
        check=numbers_are("income", -INCOME),
    ),
    Case(
        "powers of ten",
        base(income=[f"{v:.6e}" for v in INCOME]),
        check=numbers_are("income", CENTS),
    ),
    Case(
        "months",
        base(term=[f" {n} months" for n in np.where(AGE > 40, 36, 60)]),
        says=["term is read as numbers, written in months"],
        check=numbers_are("term", np.where(AGE > 40, 36, 60)),
    ),
    Case(
        "three and more",
        base(children=rng.choice(["0", "1", "2", "3+"], ROWS, p=[0.5, 0.2, 0.2, 0.1])),
        kinds={"children": "categories"},
        check=lambda data: set(data.X["children"]) == {"0", "1", "2", "3+"},
    ),
    Case(
        "infinite",
        base(income=some(INCOME, "inf", 0.02)),
        says=["income: 12 of 600 cells are no finite numbers ('inf')"],
        check=unread("income", 12),
    ),
    Case("too large", base(income=some(INCOME, "1e308", 0.02)), check=unread("income", 12)),
    Case(
        "infinite in parquet",
        base(income=np.where(AGE == 30, np.inf, INCOME)),
        "parquet",
        says=["cells are no finite numbers ('inf')"],
        check=unread("income", (AGE == 30).sum()),
    ),
    Case(
        "too large in parquet",
        base(income=np.where(AGE == 30, 1e308, INCOME)),
        "parquet",
        check=unread("income", (AGE == 30).sum()),
    ),
    Case(
        "decimals in parquet",
        base(income=[Decimal(f"{v:.2f}") for v in INCOME]),
        "parquet",
        check=numbers_are("income", CENTS),
        kinds={"income": "numbers"},
    ),
    Case(
        "whole numbers with gaps in parquet",
        base(age=pd.array(np.where(AGE > 70, None, AGE), dtype="Int64")),
        "parquet",
        check=numbers_are("age", np.where(AGE > 70, np.nan, AGE)),
    ),
    Case(
        "numbers as text in parquet",
        base(income=[str(v) for v in INCOME]),
        "parquet",
        check=numbers_are("income", CENTS),
    ),
    Case(
        "a quantity with words to predict",
        base(price=some(INCOME.round() * 2, "on request"), age=AGE),
        target="price",
        says=["Left out 6 rows whose price is no finite number ('on request')"],
        check=lambda data: len(data.y) == 594 and data.y.dtype.kind in "if",
    ),
    Case(
        "a quantity with a decimal comma to predict",
        base(price=[f"{v:.2f}".replace(".", ",") for v in INCOME + AGE], age=AGE),
        target="price",
        check=lambda data: np.allclose(data.y, INCOME + AGE),
    ),
]

HOLES = [None if k % 10 == 0 else s for k, s in enumerate(SEX)]
COUNTRY = [["NA", "DE", None, "FR"][k % 4] for k in range(ROWS)]
GROUPS = [
    Case(
        "Namibia",
        base(country=COUNTRY),
        sensitive=["country"],
        groups={"NA", "DE", "FR", "missing"},
        says=[
            "150 rows without country form the group 'missing'",
            "country: 'NA' (150 cells)",
        ],
    ),
    Case(
        "NA that means missing",
        base(country=COUNTRY),
        sensitive=["country"],
        options={"na": ["NA"]},
        groups={"DE", "FR", "missing"},
        says=["300 rows without country"],
        silent=["'NA' ("],
    ),
    Case(
        "missing as a word",
        base(sex=["missing" if k % 7 == 0 else s for k, s in enumerate(HOLES)]),
        groups={"f", "m", "missing", "missing (no value)"},
    ),
    Case(
        "the class None",
        base(paid=np.where(AGE > 50, "None", PAID)),
        check=lambda data: set(data.y) == {"None", "yes", "no"} and len(data.y) == ROWS,
    ),
    Case(
        "the class NaN and rows without one",
        base(paid=["nan" if k % 3 == 0 else None if k % 3 == 1 else "x" for k in range(ROWS)]),
        check=lambda data: set(data.y) == {"nan", "x"} and len(data.y) == 400,
        says=["Left out 200 rows without a value of paid.", "paid: 'nan' (200 cells)"],
    ),
    Case(
        "codes with zeros as groups",
        base(area=[["01", "1", "02"][k % 3] for k in range(ROWS)]),
        sensitive=["area"],
        groups={"01", "1", "02"},
    ),
    Case(
        "codes with zeros as classes",
        base(paid=[["01", "1", "02"][k % 3] for k in ORDER]),
        check=lambda data: set(data.y) == {"01", "1", "02"},
    ),
    Case(
        "codes with zeros",
        base(zip=[["01234", "10115", "80331"][k % 3] for k in ORDER]),
        kinds={"zip": "categories"},
        says=["zip has codes such as '01'"],
        check=lambda data: "01234" in set(data.X["zip"]),
    ),
    Case(
        "blanks around groups",
        base(sex=[f" {s} " if k % 2 else s for k, s in enumerate(SEX)]),
        groups={"f", "m"},
    ),
    Case(
        "truths with gaps as groups in parquet",
        base(member=pd.array([None, True, False] * 200, dtype="boolean")),
        "parquet",
        sensitive=["member"],
        groups={"True", "False", "missing"},
    ),
    Case(
        "numbers as groups in parquet",
        base(area=[1.0, 2.0, np.nan] * 200),
        "parquet",
        sensitive=["area"],
        groups={"1", "2", "missing"},
    ),
    Case(
        "categories that no row has",
        base(sex=pd.Categorical(SEX, categories=["f", "m", "x"])),
        "parquet",
        groups={"f", "m"},
    ),
    Case(
        "ages as groups",
        base(age=AGE),
        sensitive=["age"],
        check=lambda data: no_overlap(data.sensitive["age"]),
        says=["Cut age at its quartiles"],
    ),
    Case(
        "fractions as groups",
        base(score=(INCOME / 1000).round(1)),
        sensitive=["score"],
        check=lambda data: no_overlap(data.sensitive["score"]),
    ),
    Case(
        "birthdays as groups",
        base(born=[f"{1920 + a}-0{1 + a % 9}-1{a % 10}" for a in AGE]),
        sensitive=["born"],
        says=["Cut born at its quartiles: 19"],
        check=lambda data: data.sensitive["born"].nunique() == 4,
    ),
    Case(
        "one number in most rows as groups",
        base(visits=np.where(AGE > 65, AGE, 0)),
        sensitive=["visits"],
        groups={"0", "66 to 79"},
    ),
    Case(
        "sixty small towns as groups",
        base(town=[f"town {k % 60}" for k in range(ROWS)]),
        sensitive=["town"],
        error=r"town makes 60 groups, half of them of at most 10 rows \('town 0', .*Merge",
    ),
    Case(
        "thirty large states as groups",
        {
            "income": np.tile(INCOME, 5),
            "state": [f"state {k % 30}" for k in range(5 * ROWS)],
            "paid": np.tile(PAID, 5),
        },
        sensitive=["state"],
        check=lambda data: data.sensitive["state"].nunique() == 30,
    ),
    Case(
        "a group column without values",
        base(race=[None] * ROWS),
        sensitive=["race"],
        error="race makes no groups: it has no value in any row",
    ),
]


def no_overlap(groups):
    ends = sorted(tuple(map(float, name.split(" to "))) for name in set(groups))
    return len(ends) == 4 and all(a[1] < b[0] for a, b in itertools.pairwise(ends))


def one_hot():
    return {name: (name == RACE).astype(int) for name in ("white", "black", "hispan")}


LEAKS = [
    Case(
        "a column twice",
        [*base(age=AGE).items(), ("age", AGE)],
        seen=["income", "age"],
        says=["Left out age: it is there twice."],
    ),
    Case(
        "two columns of one name",
        [*base(age=AGE).items(), ("age", AGE[::-1])],
        seen=["income", "age", "age (2)"],
    ),
    Case(
        "the target twice",
        [*BASE.items(), ("paid", PAID)],
        seen=["income"],
        says=["Left out paid: it is there twice."],
    ),
    Case(
        "two targets of one name",
        [*BASE.items(), ("paid", PAID[::-1])],
        error="The column 'paid' is there twice, with other values",
    ),
    Case(
        "the target in other words",
        base(repaid=np.where(PAID == "yes", 1, 0)),
        seen=["income"],
        says=["Left out repaid: it is paid in other words."],
    ),
    Case(
        "the target with gaps in other words",
        base(
            paid=[None if k % 5 == 0 else p for k, p in enumerate(PAID)],
            repaid=np.where(PAID == "yes", 1, 0),
        ),
        seen=["income"],
        says=["Left out repaid: it is paid in other words."],
    ),
    Case(
        "the target in cents",
        base(price=INCOME, cents=(INCOME * 100).round(), age=AGE) | {"income": AGE * 2},
        target="price",
        seen=["income", "paid", "age"],
        says=["Left out cents: it is price in other words."],
    ),
    Case(
        "the sensitive column twice",
        base(race=RACE, race_code=[{"black": 1, "hispan": 2, "white": 3}[r] for r in RACE]),
        sensitive=["race"],
        seen=["income", "sex"],
        says=["Left out race_code: it is a sensitive column in other words."],
        silent=["does not see"],
    ),
    Case(
        "one-hot beside itself",
        base(race=RACE, **one_hot()),
        sensitive=["race"],
        seen=["income", "sex"],
        says=["Left out white, black, hispan: it has one value in each group."],
    ),
    Case(
        "an indicator of an intersection",
        base(race=RACE, both=((RACE == "black") & (SEX == "f")).astype(int)),
        sensitive=["race", "sex"],
        seen=["income"],
    ),
    Case(
        "one-hot beside itself that may be seen",
        base(race=RACE, **one_hot()),
        sensitive=["race"],
        options={"keep_sensitive": True},
        check=lambda data: {"race", "white", "black", "hispan"} <= set(data.X),
        silent=["Left out race"],
    ),
]

FIRST = ["Ann", "Bob", "Cem", "Dan", "Eva", "Fay", "Gil", "Hal"]
WORDS = [
    "the",
    "loan",
    "was",
    "paid",
    "back",
    "late",
    "because",
    "of",
    "a",
    "move",
    "to",
    "another",
    "town",
    "far",
    "away",
]
TEXTS = [" ".join(np.random.default_rng(k).choice(WORDS, 8)) for k in range(ROWS)]
DATES = [datetime.date(2015, 1, 1) + datetime.timedelta(days=int(d)) for d in 30 * AGE]
DAYS = np.array([(d - datetime.date(1970, 1, 1)).days for d in DATES])
NOT_SEEN = [
    Case(
        "row numbers without a name",
        [("", range(ROWS)), *BASE.items()],
        seen=["income"],
        says=["Left out column 1: row numbers or ids."],
    ),
    Case("row numbers", base(row=ORDER + 1), seen=["income"]),
    Case(
        "sorted by the target with row numbers",
        {
            "n": np.arange(ROWS),
            "income": INCOME,
            "sex": SEX,
            "paid": ["no"] * 300 + ["yes"] * 300,
        },
        seen=["income"],
        says=["Left out n: row numbers or ids."],
    ),
    Case(
        "customer numbers",
        base(customer_id=rng.permutation(10**6)[:ROWS]),
        seen=["income"],
        says=["Left out customer_id: row numbers or ids."],
    ),
    Case("ids in letters", base(key=[uuid.UUID(int=k).hex for k in ORDER]), seen=["income"]),
    Case(
        "names of people",
        base(who=[f"{FIRST[k % 8]} {chr(65 + k % 26)}{k}" for k in range(ROWS)]),
        seen=["income"],
        says=["Left out who: names or free text."],
    ),
    Case("free text", base(reason=TEXTS), seen=["income"], says=["names or free text"]),
    Case(
        "one value",
        base(country=["US"] * ROWS, year=[2020] * ROWS),
        seen=["income"],
        says=["Left out country, year: one value in every row."],
    ),
    Case(
        "an empty column",
        base(nothing=[None] * ROWS),
        seen=["income"],
        says=["Left out nothing: no value in any row."],
    ),
    Case("dates", base(day=DATES), check=numbers_are("day", DAYS)),
    Case(
        "dates with the day first",
        base(day=[f"{d:%d/%m/%Y}" for d in DATES]),
        check=numbers_are("day", DAYS),
    ),
    Case(
        "dates with the month first",
        base(day=[f"{d:%m/%d/%y}" for d in DATES]),
        check=numbers_are("day", DAYS),
    ),
    Case(
        "dates with names of months",
        base(day=[f"{d:%d %b %Y}" for d in DATES]),
        check=numbers_are("day", DAYS),
    ),
    Case(
        "dates and a word",
        base(day=some(DATES, "unknown")),
        says=["day: 6 of 600 cells are no dates ('unknown')"],
    ),
    Case(
        "dates whose day may be the month",
        base(day=[f"0{1 + k % 9}/0{1 + k % 8}/2020" for k in ORDER]),
        seen=["income"],
        says=["dates whose day and month cannot be told apart"],
    ),
    Case(
        "times with a zone in parquet",
        base(day=pd.DatetimeIndex(pd.to_datetime(DATES)).tz_localize("UTC")),
        "parquet",
        check=numbers_are("day", DAYS),
    ),
    Case(
        "days in parquet",
        base(day=pd.Series(DATES)),
        "parquet",
        check=numbers_are("day", DAYS),
    ),
    Case(
        "durations in parquet",
        base(stay=pd.to_timedelta(AGE, unit="h")),
        "parquet",
        check=numbers_are("stay", AGE / 24),
    ),
    Case(
        "times of the day in parquet",
        base(at=[datetime.time(int(a) % 24) for a in AGE]),
        "parquet",
        kinds={"at": "categories"},
    ),
    Case(
        "lists in parquet",
        base(codes=[[int(a), 1] for a in AGE]),
        "parquet",
        seen=["income"],
        says=["Left out codes: lists, records or bytes."],
    ),
    Case(
        "records in parquet",
        base(where=[{"a": int(a)} for a in AGE]),
        "parquet",
        seen=["income"],
    ),
    Case(
        "bytes that are text in parquet",
        base(job=[[b"clerk", b"smith"][k % 2] for k in ORDER]),
        "parquet",
        check=lambda data: set(data.X["job"]) == {"clerk", "smith"},
    ),
    Case(
        "bytes that are none in parquet",
        base(photo=[b"\xff\xfe\x00" + bytes([k % 256]) for k in range(ROWS)]),
        "parquet",
        seen=["income"],
    ),
    Case(
        "a town of many values",
        base(
            town=[f"t{k % 5}" if k % 3 else f"village {k // 6}" for k in range(ROWS)],
        ),
        kinds={"town": "categories"},
    ),
    Case(
        "what polars writes",
        base(age=AGE, job=np.where(AGE > 40, "clerk", "smith")),
        "parquet",
        write=polars_parquet(
            lambda f, pl: f.with_columns(
                pl.col("job").cast(pl.Categorical),
                pl.col("sex").cast(pl.Enum(["f", "m"])),
                pl.col("age").cast(pl.UInt8),
                pl.col("income").cast(pl.Decimal(10, 2)),
                pl.duration(hours=pl.col("age")).alias("stay"),
                pl.concat_list("age", "age").alias("pair"),
            )
        ),
        seen=["income", "age", "job", "stay"],
        groups={"f", "m"},
    ),
]

TARGETS = [
    Case(
        "bytes to predict",
        base(paid=[p.encode() for p in PAID]),
        "parquet",
        check=lambda data: set(data.y) == {"yes", "no"},
    ),
    Case(
        "bytes that are no text to predict",
        base(paid=[b"\xff" if p == "yes" else b"\xfe" for p in PAID]),
        "parquet",
        error="The target paid cannot be predicted: it has lists, records or bytes",
    ),
    Case(
        "lists to predict",
        base(paid=[[p] for p in PAID]),
        "parquet",
        error="The target paid cannot be predicted",
    ),
    Case(
        "lists as groups",
        base(sex=[[s] for s in SEX]),
        "parquet",
        error="sex makes no groups: its cells are lists",
    ),
    Case(
        "dates to predict",
        base(paid=pd.to_datetime(DATES)),
        "parquet",
        error="The target paid cannot be predicted: it has dates",
    ),
    Case(
        "dates as text to predict",
        base(paid=DATES),
        error="The target paid cannot be predicted: it has dates",
    ),
    Case(
        "names to predict",
        base(paid=[f"Ann {k}" for k in range(ROWS)]),
        error="The target paid cannot be predicted: it has names",
    ),
    Case("nothing to predict", base(paid=[None] * ROWS), error="it has no value in any row"),
    Case(
        "nothing to learn from",
        {"sex": SEX, "paid": PAID},
        error="no column that a network could learn from",
    ),
    Case(
        "only ids to learn from",
        {"id": range(ROWS), "sex": SEX, "paid": PAID},
        error=r"no column that a network could learn from \(id: row numbers",
    ),
]

ACCENTS = base(job=np.where(AGE > 40, "médecin", "curé"))


def has_accents(data):
    return set(data.X["job"]) == {"médecin", "curé"}


def first_row_is(name, value):
    return lambda data: data.X[name].iloc[0] == value


WRITTEN = [
    Case(
        "Windows-1252",
        ACCENTS,
        write=csv_as(encoding="cp1252"),
        check=has_accents,
        says=["is not written in UTF-8; read as Windows-1252"],
    ),
    Case(
        "an encoding that is told",
        base(job=np.where(AGE > 40, "врач", "повар")),
        write=csv_as(encoding="koi8-r"),
        options={"encoding": "koi8-r"},
        check=lambda data: set(data.X["job"]) == {"врач", "повар"},
    ),
    Case("UTF-16", ACCENTS, write=csv_as(encoding="utf-16"), check=has_accents),
    Case("UTF-16 unmarked", ACCENTS, write=csv_as(encoding="utf-16-le"), check=has_accents),
    Case(
        "UTF-16 unmarked big", ACCENTS, write=csv_as(encoding="utf-16-be"), check=has_accents
    ),
    Case("UTF-8 marked", ACCENTS, write=csv_as(encoding="utf-8-sig"), seen=["income", "job"]),
    Case(
        "an encoding that is wrong",
        ACCENTS,
        write=csv_as(encoding="cp1252"),
        options={"encoding": "utf-8"},
        error=r"is not written in utf-8 .*--encoding",
    ),
    Case(
        "an encoding that is none",
        ACCENTS,
        options={"encoding": "utf-99"},
        error="encoding 'utf-99' is not known; try utf-8",
    ),
    Case("semicolons", BASE, write=csv_as(sep=";"), check=numbers_are("income", CENTS)),
    Case("tabs", BASE, write=csv_as(sep="\t"), says=[r"separated by '\t'"], seen=["income"]),
    Case("tabs and their ending", BASE, "tsv", write=csv_as(sep="\t"), silent=["separated"]),
    Case(
        "semicolons and a comma in a name",
        {"income, in thousands": [f"{v:.1f}".replace(".", ",") for v in INCOME]} | BASE,
        write=csv_as(sep=";"),
        seen=["income, in thousands", "income"],
    ),
    Case("bars", BASE, "txt", write=csv_as(sep="|"), seen=["income"]),
    Case(
        "a separator that is told",
        BASE,
        write=csv_as(sep="~"),
        options={"sep": "~"},
        seen=["income"],
    ),
    Case(
        "carriage returns", BASE, write=csv_as(end="\r\n"), check=numbers_are("income", CENTS)
    ),
    Case("old carriage returns", BASE, write=csv_as(end="\r"), seen=["income"]),
    Case(
        "blank lines",
        BASE,
        write=edited(lambda text: "\n\n" + text.replace("\n", "\n\n")),
        check=lambda data: len(data.y) == ROWS,
    ),
    Case(
        "lines in a cell",
        base(job=np.where(AGE > 40, "clerk,\nhead", "smith")),
        check=lambda data: len(data.y) == ROWS and "clerk,\nhead" in set(data.X["job"]),
    ),
    Case(
        "blanks in the header",
        {" income ": INCOME, "sex": SEX, "  paid": PAID},
        seen=["income"],
        says=["Names of columns without blanks around them: ' income ' is 'income'"],
    ),
    Case(
        "a comma in a name",
        {"income": INCOME, "sex, as told": SEX, "paid": PAID},
        sensitive=["sex, as told"],
        groups={"f", "m"},
    ),
    Case(
        "a comma in a name that is not quoted",
        {"income": INCOME, "sex, as told": SEX, "paid": PAID},
        sensitive=["sex", "as told"],
        error=r"has no column 'sex'; it has 'income', 'sex, as told', 'paid'\. Quote",
    ),
    Case("an empty file", BASE, write=raw(""), error="is empty"),
    Case("a blank file", BASE, write=raw("\n \n"), error="is empty"),
    Case("a header alone", BASE, write=raw("income,sex,paid\n"), error="has no rows below"),
    Case(
        "a title above the header",
        BASE,
        write=edited(lambda text: "Loans of 2020\n" + text),
        error=r"cannot be read as a table .*first line must name the columns",
    ),
    Case(
        "longer lines",
        BASE,
        write=edited(lambda text: text.replace("\n", "\n1,", 3)),
        error="cannot be read as a table",
    ),
    Case(
        "a quotation mark that never ends",
        BASE,
        write=edited(lambda text: text.replace("f,", '"f,', 1)),
        error="EOF inside string",
    ),
    Case(
        "null bytes",
        BASE,
        write=edited(lambda text: text.replace(",f,", ",f\0,")),
        groups=None,
    ),
    Case("no parquet", BASE, "parquet", write=raw("income,sex"), error="read as parquet"),
    Case("an empty parquet", BASE, "parquet", write=raw(b""), error="read as parquet"),
    Case(
        "parquet without rows",
        {"income": [], "sex": [], "paid": []},
        "parquet",
        error="has no rows",
    ),
    Case("a workbook", BASE, "xlsx", write=raw(b"PK\3\4"), error=r"must be a file of \.csv"),
    Case(
        "an index with a name in parquet",
        BASE,
        "parquet",
        write=lambda path, c: (
            pd.DataFrame(c).set_index(pd.Index(AGE, name="age")).to_parquet(path)
        ),
        seen=["age", "income"],
    ),
    Case(
        "a sensitive index in parquet",
        BASE,
        "parquet",
        write=lambda path, c: pd.DataFrame(c).set_index("sex").to_parquet(path),
        groups={"f", "m"},
    ),
    Case(
        "a column that is not there",
        BASE,
        sensitive=["race"],
        error="has no column 'race'; it has 'income', 'sex', 'paid'",
    ),
]

CASES = [*NUMBERS, *GROUPS, *LEAKS, *NOT_SEEN, *TARGETS, *WRITTEN]


if __name__ == "__main__":
    Path(sys.argv[1]).mkdir(parents=True, exist_ok=True)
    for case in CASES:
        print(case.put(sys.argv[1]))
