"""What must agree in a saved audit of shares: of what is counted, and of weights."""

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
