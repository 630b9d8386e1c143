"""What must agree in a saved audit of shares, of weights and of times."""

from collections.abc import Iterator
from typing import Any

SLACK = 1e-9
WEIGHTS = ("effective_rows", "weight_share")  # of the groups; of a model only the first


def shares_agree(part: Any, where: str, row: dict[str, Any]) -> Iterator[str]:
    """Shares of changed predictions are those of the counts, or of weights that allow them.

    Parameters
    ----------
    part : Part
        See `consistency.wrongs`.
    where : str
        What errors call the row.
    row : dict
        Of its table of changes.

    Yields
    ------
    wrong : str
        Place, rule and value.
    """
    for name in ("changed", "harmed", "helped"):
        if f"{name}_share" not in row:
            continue
        share, right = row[f"{name}_share"], row[name] / row["rows"]
        exact = not part.weighted or right in (0, 1)  # else by weights that are not here
        if share is None or (exact and abs(share - right) > SLACK):
            yield f"{where}: {name}_share must be {right}, as counted, got {share}"
        elif not exact and not 0 < share < 1:
            yield f"{where}: {name}_share must be above 0 and below 1, got {share}"
    total = sum(r["changed"] for r in part.tables["changes"].of(row["model"]))
    n, got = part.about["rows"], row["representation"]
    right = row["changed"] / total * n / row["rows"] if total else None
    if part.weighted and right and got is not None:
        if got <= 0:
            yield f"{where}: representation must be above 0, got {got}"
    elif (got is None) != (right is None) or (total and abs(got - right) > SLACK * n):
        yield f"{where}: representation must be {right}, as counted, got {got}"


def weights_agree(part: Any) -> Iterator[str]:
    """Effective rows and shares of the weight are there of weighted rows alone, and add up.

    Parameters
    ----------
    part : Part
        See `consistency.wrongs`.

    Yields
    ------
    wrong : str
        Place, rule and value.
    """
    about, groups = part.about, part.tables["by_group"]
    for name, columns in (("by_group", WEIGHTS), ("overall", WEIGHTS[:1])):
        for column in columns:
            if (column in part.rows(name)[0]) != part.weighted:
                where = f"{part.prefix}{name}: {column!r}"
                yield f"{where} must be there for weighted rows (about) alone"
                return
    if not part.weighted:
        if "rows_of_weight_0" in about:
            yield f"{part.prefix}about: 'rows_of_weight_0' is of weighted rows alone"
        return
    for table in (groups, part.tables["overall"]):
        for k, row in enumerate(table.rows):
            worth, where = row["effective_rows"], f"{table.place}[{k}]: effective_rows"
            if not 1 - SLACK <= worth <= row["rows"] * (1 + SLACK):
                yield f"{where} must be from 1 to rows, {row['rows']}, got {worth}"
            elif table is not groups and abs(worth - about["effective_rows"]) > SLACK * worth:
                yield f"{where} must be {about['effective_rows']}, as in about, got {worth}"
    for model in part.models:
        rows = [{name: row[name] for name in WEIGHTS} for row in groups.of(model)]
        if abs(sum(row["weight_share"] for row in rows) - 1) > SLACK * len(rows):
            yield f"{groups.place}: weight_share of {model!r} must add up to 1"
        if rows != [
            {name: row[name] for name in WEIGHTS} for row in groups.of(part.models[0])
        ]:
            yield f"{groups.place}: {WEIGHTS} of {model!r} must be those of the first model"


def latencies_agree(part: Any, networks: list[str]) -> Iterator[str]:
    """Times are of networks, at the same batch sizes; a median lies between its limits.

    Parameters
    ----------
    part : Part
        See `consistency.wrongs`.
    networks : list of str
        Models that have sizes.

    Yields
    ------
    wrong : str
        Place, rule and value.
    """
    rows = part.rows("latency")
    batches = sorted({row["batch"] for row in rows})
    for model in dict.fromkeys(row["model"] for row in rows):
        own = [row["batch"] for row in rows if row["model"] == model]
        if model not in networks:
            yield f"latency must be of models of sizes, {networks}, got {model!r}"
        elif own != batches:
            yield f"latency of {model!r} must be at batches {batches}, got {own}"
    for k, row in enumerate(rows):
        for name in ("milliseconds", "speed_up"):
            value, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
            if low is not None and value is not None and not low <= value <= high:
                yield f"latency[{k}]: {name} must be from {low} to {high}, got {value}"
        ratio = [row[f"speed_up{end}"] for end in ("", "_low", "_high")]
        if row["model"] == part.models[0] and ratio != [1, 1, 1]:
            yield f"latency[{k}]: speed_up of the first model must be 1, got {ratio}"
