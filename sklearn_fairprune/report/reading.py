"""The JSON of an audit, read whole or refused."""

import json
import math
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ..measurement.groups import feature_levels
from ..measurement.negligible import Source
from .consistency import Part, Table, short, wrongs
from .report import level_columns
from .schema import FLAGS, LARGEST, check, check_table, report_schema


def read_values(source: str | Path) -> Any:
    """Parse JSON text or a file, strictly.

    Parameters
    ----------
    source : str or Path
        A file, or the text itself.

    Returns
    -------
    values : object
        Plain values.

    Raises
    ------
    ValueError
        If it is no JSON, has a name twice, a number that is not finite or too large, or text
        that UTF-8 cannot hold.
    OSError
        If there is no such file.
    """
    text = str(source)
    if isinstance(source, Path) or text.strip()[:1] not in ("", "{", "[", '"'):
        text = Path(source).read_text(encoding="utf-8")
    try:
        values = json.loads(
            text,
            object_pairs_hook=_without_doubles,
            parse_constant=_finite,
            parse_float=_finite,
            parse_int=_small,
        )
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    return values


def _without_doubles(pairs):
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {double!r} is there twice")
    return values


def _finite(text):
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"numbers must be finite, got {text}")
    return value


def _small(text):
    if len(text) > 17 or abs(int(text)) > LARGEST:
        raise ValueError(f"whole numbers must be at most {LARGEST}, got {text[:30]}")
    return int(text)


def levels_of(names: list[str]) -> dict[str, list[str]]:
    """Levels of the index of each table, but for those that have the models alone.

    Parameters
    ----------
    names : list of str
        Names of the sensitive features.

    Returns
    -------
    levels : dict of str to list of str
    """
    return {
        "by_group": ["model", *names],
        "changes": ["model", *names],
        "why": ["model", *names],
        "explanations": ["model", "damage", "explanation"],
        "layers": ["model", "layer"],
        "latency": ["model", "batch"],
        "payers": ["model", "by"],
        "reading": ["column"],
    }


def check_report(values: Any, tables: Iterable[str], networks: Iterable[str]) -> None:
    """Refuse whatever is not a whole report.

    Parameters
    ----------
    values : object
        From `read_values`.
    tables : iterable of str
        Names of all tables that there may be.
    networks : iterable of str
        Those among them that only the report by all sensitive features has.

    Raises
    ------
    ValueError
        Naming the place, the rule and the value.
    """
    tables, networks = list(tables), set(networks)
    whole = _checked(values, tables, "")
    names, others = values["about"]["sensitive_features"], values.get("features", {})
    if feature_levels(list(others)) != (names if len(names) > 1 else []):
        raise ValueError(
            f"features must have a report for each of several sensitive_features of about, "
            f"{names}, got {list(others)}"
        )
    for level, (name, one) in enumerate(others.items(), start=1):
        prefix = f"features[{name!r}]."
        part = _checked(one, [t for t in tables if t not in networks], prefix)
        if "features" in one:
            raise ValueError(f"{prefix}features: a single feature has none of its own")
        _same_about(whole, part, feature_levels([name]))
        _same_models(whole, part)
        _same_rows(whole, part, level)


def _checked(values, names, prefix):
    """The tables for one way to group the rows, each alone and all together found right."""

    def place(*path):
        steps = [f"[{step!r}]" if k else str(step) for k, step in enumerate(path)]
        return (prefix + "".join(steps)).rstrip(".") or "the report"

    check(values, report_schema(names), place)
    levels, tables = levels_of(values["about"]["sensitive_features"]), {}
    for name in (name for name in names if name in values):
        rows = values[name]
        found = level_columns(levels.get(name, ["model"]), rows[0])
        check_table(name, rows, found, f"{prefix}{name}")
        if found[0] == "model":
            tables[name] = Table(f"{prefix}{name}", rows, found)
    rest = (values[name] for name in ("about", "findings", "notes"))
    part = Part(prefix, tables, *rest)
    for wrong in wrongs(part):
        raise ValueError(wrong)
    return part


def _same_about(whole, part, names):
    """Refuse a feature that was measured otherwise than the whole."""
    wanted = _settled(whole.about) | {"sensitive_features": names}
    given = _settled(part.about)
    keys = dict.fromkeys((*given, *_shared(wanted)))
    for key in keys:
        if key not in given or key not in wanted or given[key] != wanted[key]:
            got = given.get(key)
            raise ValueError(
                f"{part.prefix}about[{key!r}] must be {wanted.get(key)!r}, as in the whole "
                f"report, got {got!r}"
            )


def _shared(about):
    """Settings that every feature has; a caller may add others to the whole."""
    names = ("confidence", "min_group_size", "rows", "dense_model", "loss")
    late = ("rows_sha256", "predictions_sha256", "negligible")
    late += ("effective_rows", "rows_of_weight_0", "budgets")
    late = [name for name in late if name in about]
    return [*names, "sensitive_features", *late]


def _settled(about):
    """Settings without the deviations between seeds, which each grouping has of its own."""
    if "negligible" not in about:
        return about
    seeds = {k: one["source"] == Source.SEEDS for k, one in about["negligible"].items()}
    settled = {
        k: {name: v for name, v in one.items() if not (seeds[k] and name == "amount")}
        for k, one in about["negligible"].items()
    }
    return about | {"negligible": settled}


def _same_models(whole, part):
    """Refuse a feature that is about other models than the whole."""
    same = ("model", "sparsity", "finetune_epochs", "loss", "loss_above_constant", *FLAGS)
    ours, theirs = (
        [[row.get(name) for name in same] for row in one.rows("overall")]
        for one in (whole, part)
    )
    if ours != theirs:
        raise ValueError(f"{part.prefix}overall must be about the models of overall")


def _same_rows(whole, part, level):
    """Refuse groups that are not made of the intersections of the whole."""
    sizes = {}
    for label, rows in whole.groups:
        sizes[label[level - 1]] = sizes.get(label[level - 1], 0) + rows
    if sizes != {label[0]: rows for label, rows in part.groups}:
        raise ValueError(
            f"{part.prefix}by_group: rows must be those of by_group, {short(sizes)}, got "
            f"{short(part.groups)}"
        )
