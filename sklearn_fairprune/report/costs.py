"""Tables of what the networks of a report cost, for text, Markdown and the page."""

from typing import Any, NamedTuple

import pandas as pd

from ..measurement.cost_sentences import cost_sentences
from ..measurement.formats import counted, number, with_interval

ZEROS = (
    "Zeros alone make a network neither smaller in memory nor faster; zipped it is smaller."
)
EFFECTIVE = (
    "The effective sparsity counts kept weights that lie on no path from an input to an "
    "output as removed; dead units have no others."
)
MACS = (
    "MACs are the multiply-accumulates of one row as the network is stored, those not zero "
    "what a kernel that skips zeros would do."
)
TIMED = (
    "Median time of a forward pass of the network alone, on this machine, one thread; in "
    "brackets {level} intervals over the repetitions. A difference of up to 5 % is none: "
    "copies of one network differ so."
)


class CostTable(NamedTuple):
    """A table to show.

    Attributes
    ----------
    header : list of str
    rows : list of list of str
        The first cell is the name of a model of the report.
    caption : str
    """

    header: list[str]
    rows: list[list[str]]
    caption: str


def size_table(report: Any) -> CostTable:
    """Sparsities, dead units, counts and bytes of every network.

    Parameters
    ----------
    report : AuditReport
        What to show; columns that an earlier release did not save are left out.

    Returns
    -------
    table : CostTable
    """
    sizes, sparsity = report.sizes, report.overall["sparsity"]
    columns = {
        "effective sparsity": ("effective_sparsity", _effective),
        "dead units": ("dead_units", lambda row: _part(row, "dead_units", "units")),
        "weights kept": ("kept", lambda row: _part(row, "kept", "weights")),
        "parameters not zero": ("nonzero", lambda row: _part(row, "nonzero", "parameters")),
        "MACs": ("macs", lambda row: counted(row["macs"])),
        "MACs not zero": ("nonzero_macs", lambda row: counted(row["nonzero_macs"])),
        "stored, kB": ("bytes", lambda row: f"{row['bytes'] / 1000:,.1f}"),
        "zipped, kB": ("zipped_bytes", lambda row: f"{row['zipped_bytes'] / 1000:,.1f}"),
    }
    shown = {title: write for title, (name, write) in columns.items() if name in sizes}
    rows = [
        [str(model), f"{sparsity[model]:.3g}", *(write(row) for write in shown.values())]
        for model, row in sizes.iterrows()
    ]
    told = [ZEROS] if "macs" not in sizes else [MACS]
    told += [EFFECTIVE] if "effective_sparsity" in sizes else []
    return CostTable(["model", "sparsity", *shown], rows, " ".join(told))


def latency_table(report: Any) -> CostTable:
    """Time of a forward pass of every network, by batch size.

    Parameters
    ----------
    report : AuditReport
        Whose ``latency`` was measured.

    Returns
    -------
    table : CostTable
    """
    timed, header = report.latency, ["model"]
    batches = timed.index.unique("batch")
    for batch in batches:
        header += [f"ms, batch {batch}", f"speed-up, batch {batch}"]
    rows = []
    for model in timed.index.unique("model"):
        cells = [timed.loc[(model, batch)] for batch in batches]
        told = [(_milliseconds(cell), _speed_up(cell)) for cell in cells]
        rows.append([str(model), *(text for pair in told for text in pair)])
    level = f"{100 * report.about['confidence']:g} %"
    return CostTable(header, rows, TIMED.format(level=level))


def cost_words(report: Any) -> list[str]:
    """Sentences on what the networks cost; see `cost_sentences`.

    Parameters
    ----------
    report : AuditReport
        What to tell.

    Returns
    -------
    sentences : list of str
    """
    return cost_sentences(report.overall, report.sizes, report.latency)


def cost_tables(report: Any) -> list[CostTable]:
    """Tables of what the networks cost: no, one or two.

    Parameters
    ----------
    report : AuditReport
        What to show.

    Returns
    -------
    tables : list of CostTable
    """
    found = [size_table(report)] if len(report.sizes) else []
    return found + ([latency_table(report)] if len(report.latency) else [])


def _effective(row):
    value = row["effective_sparsity"]
    return "unknown" if pd.isna(value) else f"{value:.4g}"


def _part(row, one, whole):
    return "unknown" if pd.isna(row[one]) else f"{row[one]:,.0f} of {row[whole]:,.0f}"


def _milliseconds(row):
    """Three digits of the value, and its limits as fine."""
    value = row["milliseconds"]
    digits = 3 if value < 1 else 2 if value < 10 else 1
    return with_interval(row, "milliseconds", digits=digits)


def _speed_up(row):
    return (
        number(None, 2)
        if pd.isna(row["speed_up"])
        else with_interval(row, "speed_up", digits=2)
    )
