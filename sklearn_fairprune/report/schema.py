"""What the JSON of an audit must look like: its parts, tables, columns and cells.

The measures are not listed here: their columns are those of `MEASURES` that a table has, and
whatever has limits beside it.
"""

import reprlib
from collections.abc import Callable, Iterable
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from ..measurement.explanations import Verdict
from ..measurement.measures import MEASURES, payments
from ..measurement.negligible import Source
from ..measurement.payers import Payer
from ..statistics.constraint_outcomes import Outcome

Records = list[dict[str, Any]]
LARGEST = 2**53  # whole numbers up to here are exact as floats
_WHOLE = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, v: type(v) is int)
_VALIDATOR = extend(Draft202012Validator, type_checker=_WHOLE)  # 3.0 is no count


def _cell(words: str, *kinds: str, **rules: Any) -> dict[str, Any]:
    return {"type": list(kinds), "description": words} | rules


TEXT = _cell("a text", "string")
COUNT = _cell("a whole number of at least 0", "integer", minimum=0, maximum=LARGEST)
FLAG = _cell("true or false", "boolean")
MAYBE = _cell("a number or null", "number", "null")
SHARE = _cell("a number from 0 to 1", "number", minimum=0, maximum=1)
MAYBE_SHARE = _cell("a number from 0 to 1, or null", "number", "null", minimum=0, maximum=1)
POINTS = _cell("a number from -1 to 1, or null", "number", "null", minimum=-1, maximum=1)
GROUP = _cell("a text, a number, true or false", "string", "number", "boolean")
ANY = _cell("a text, a number, true, false or null", "string", "number", "boolean", "null")
DIGEST = _cell("64 hexadecimal digits", "string", pattern="^[0-9a-f]{64}$")
MAYBE_COUNT = _cell(
    "a whole number of at least 0, or null", "number", "null", minimum=0, multipleOf=1
)
AMOUNT = _cell("a number of at least 0", "number", minimum=0)
MAYBE_AMOUNT = _cell("a number of at least 0, or null", "number", "null", minimum=0)
OF_UNIT = {"share": MAYBE_SHARE, "points": POINTS, "count": AMOUNT}


def _one_of(words: Iterable[str]) -> dict[str, Any]:
    words = [str(word) for word in words]
    return _cell(f"one of {words}", "string", enum=words)


def _interval(name: str, cell: dict[str, Any]) -> dict[str, Any]:
    return dict.fromkeys((name, f"{name}_low", f"{name}_high"), cell)


_OPTIONAL = {"sha256": DIGEST, "index": ANY, "violation": MAYBE, "holdout_violation": MAYBE}
_OPTIONAL |= {
    "effective_sparsity": MAYBE_SHARE,
    **dict.fromkeys(("macs", "nonzero_macs", "dead_units", "units"), MAYBE_COUNT),
    "finetune_epochs": MAYBE_COUNT,
    "effective_rows": AMOUNT,
    "weight_share": SHARE,
}
OUTCOMES = [None, *(str(outcome) for outcome in Outcome)]
_OPTIONAL |= {
    "outcome": _cell(f"null or one of {OUTCOMES[1:]}", "string", "null", enum=OUTCOMES)
}
_OPTIONAL |= {"p_value": SHARE, "p_value_holm": SHARE, "top_share": MAYBE, "top_rows": COUNT}
# Columns that each table has, whatever the measures; others may stand beside them.
COLUMNS: dict[str, dict[str, Any]] = {
    "by_group": {"rows": COUNT},
    "overall": {"rows": COUNT, "sparsity": MAYBE_SHARE, "loss_above_constant": FLAG},
    "payers": {
        "group": TEXT,
        "rows": COUNT,
        "rival": TEXT,
        **_interval("value", MAYBE),
        "lead": MAYBE,
        "lead_low": MAYBE,
        "negligible": AMOUNT,
        "verdict": _one_of(Payer),
        "possible": TEXT,
        "sentence": TEXT,
    },
    "changes": {
        **dict.fromkeys(("rows", "changed", "harmed", "helped"), COUNT),
        **_interval("changed_share", SHARE),
        **_interval("representation", MAYBE),
    },
    "changed_rows": {
        "row": COUNT,
        **dict.fromkeys(("true", "dense_prediction", "prediction"), GROUP),
        "outcome": _one_of(["harmed", "helped", "wrong both times"]),
    },
    "why": {"rows": COUNT, "rows_used": COUNT},
    "explanations": {
        **_interval("rank_correlation", POINTS),
        "expected": _one_of("+-"),
        "p_value": MAYBE_SHARE,
        "verdict": _one_of(Verdict),
    },
    "sizes": dict.fromkeys(
        ("weights", "kept", "parameters", "nonzero", "bytes", "zipped_bytes"), COUNT
    ),
    "latency": {
        "batch": COUNT | {"minimum": 1},
        **_interval("milliseconds", MAYBE_AMOUNT) | {"milliseconds": AMOUNT},
        **_interval("speed_up", MAYBE_AMOUNT),
    },
    "layers": {"shape": TEXT, "weights": COUNT, "kept": COUNT, "sparsity": SHARE},
    "constraints": {
        "constraint": TEXT,
        "stage": TEXT,
        "tolerance": MAYBE,
        "largest_violation": MAYBE,
        "measured_on": TEXT,
        "satisfied": _cell("true, false or null", "boolean", "null"),
    },
    "reading": {
        "used_as": _one_of(
            ["target", "group", "group, seen", "seen", "prediction", "weight", "left out"]
        ),
        "holds": TEXT,
        **dict.fromkeys(("rows", "missing", "unread"), COUNT),
        "why": TEXT,
    },
    "training": {
        "epoch": COUNT,
        "stage": TEXT,
        "group": TEXT,
        "tolerance": MAYBE,
        "multiplier": MAYBE,
    },
}
FLAGS = ("predicts_one_class", "no_better_than_chance")  # that classifiers have
_LINES = {"type": "array", "items": TEXT, "description": "a list of texts"}
_NAMES = _LINES | {"minItems": 1, "uniqueItems": True, "description": "a list of names"}
_TABLE = {
    "type": "array",
    "minItems": 1,
    "description": "a list of rows",
    "items": {"type": "object", "minProperties": 1, "description": "a row of named cells"},
}
ABOUT = {
    "confidence": SHARE | {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
    "min_group_size": COUNT | {"minimum": 1},
    "rows": COUNT | {"minimum": 1},
    "dense_model": TEXT,
    "loss": TEXT,
    "rows_sha256": DIGEST,
    "predictions_sha256": {
        "type": "object",
        "description": "digests by model",
        "additionalProperties": DIGEST,
    },
    "n_boot": COUNT,
    "random_state": COUNT,
    "sensitive_features": _NAMES,
    "positive_class": GROUP,
    "effective_rows": AMOUNT,
    "rows_of_weight_0": COUNT,
    "budgets": {
        "type": "array",
        "items": COUNT,
        "minItems": 1,
        "uniqueItems": True,
        "description": "a list of different numbers of epochs",
    },
    "metrics": {
        "type": "object",
        "description": "metrics by name",
        "additionalProperties": {"type": "object", "description": "what is known of it"},
    },
}
_LATE = (
    *("rows_sha256", "predictions_sha256", "n_boot", "random_state", "positive_class"),
    *("metrics", "negligible", "effective_rows", "rows_of_weight_0"),
    "budgets",
)


def _object(words: str, properties: dict[str, Any], required: Iterable[str]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": words,
        "properties": properties,
        "required": list(required),
    }


def _negligible():
    """Schema of what is negligible of each measure that tells who pays."""
    cells = {
        "amount": AMOUNT,
        "source": _one_of(Source),
        "networks": _cell(
            "a whole number of at least 3", "integer", minimum=3, maximum=LARGEST
        ),
    }
    one = _object("an amount with its source", cells, ("amount", "source"))
    rule = {"if": {"properties": {"source": {"const": Source.SEEDS.value}}}}
    one |= rule | {"then": {"required": ["networks"]}}
    measures = dict.fromkeys(payments(), one)
    whole = _object("what is negligible, by measure", measures, ())
    return whole | {"additionalProperties": False, "minProperties": 1}


def report_schema(tables: Iterable[str]) -> dict[str, Any]:
    """Schema of the parts of a report; what its tables hold is not in it.

    Parameters
    ----------
    tables : iterable of str
        All that there may be; "by_group" and "overall" must be there.

    Returns
    -------
    schema : dict
    """
    parts = {
        "about": _object(
            "settings by name",
            ABOUT | {"negligible": _negligible()},
            (k for k in ABOUT if k not in _LATE),
        ),
        "findings": _LINES,
        "notes": _LINES,
        "features": {"type": "object", "description": "reports by name"},
        **dict.fromkeys(tables, _TABLE),
    }
    required = ("about", "by_group", "overall", "findings", "notes")
    return _object("a report", parts, required) | {"additionalProperties": False}


def table_schema(name: str, levels: list[str], columns: Iterable[str]) -> dict[str, Any]:
    """Schema of a table, turned to lists of cells by column.

    Parameters
    ----------
    name : str
        Of the table.
    levels : list of str
        Columns that say what a row is about: the model first.
    columns : iterable of str
        That the table has.

    Returns
    -------
    schema : dict
    """
    columns, known = set(columns), dict(COLUMNS[name])
    if name in ("by_group", "overall"):
        found = {k: m for k, m in MEASURES.items() if k in columns}
        classifies = any(m.classifiers_only for m in found.values())
        known |= dict.fromkeys(FLAGS, FLAG) if name == "overall" and classifies else {}
        for measure, record in found.items():
            cell = OF_UNIT.get(record.unit, MAYBE)
            known |= _interval(measure, cell) if record.interval else {measure: cell}
    for column in columns - known.keys():
        value = column.removesuffix("_low").removesuffix("_high")
        if {f"{value}_low", f"{value}_high"} & columns:
            known |= _interval(value, MAYBE)
        elif column in _OPTIONAL:
            known[column] = _OPTIONAL[column]
    texts = levels if name in ("payers", "explanations", "layers") else levels[:1]
    own = {level: cell for level, cell in COLUMNS[name].items() if level in levels}
    known |= dict.fromkeys(levels, GROUP) | dict.fromkeys(texts, TEXT) | own
    lists = {k: {"type": "array", "items": cell} for k, cell in known.items()}
    rest = {"type": "array", "items": ANY}
    return _object("a table", lists, known) | {"additionalProperties": rest}


def check(value: Any, schema: dict[str, Any], place: Callable[..., str]) -> None:
    """Refuse what breaks a schema, in plain words.

    Parameters
    ----------
    value : object
        Plain values.
    schema : dict
        Its parts have a description.
    place : callable
        Of the path to what is wrong; says where that is in the file.

    Raises
    ------
    ValueError
        Naming the place, the rule and the value.
    """
    error = next(iter(_VALIDATOR(schema).iter_errors(value)), None)
    if error is None:
        return
    where = place(*error.absolute_path)
    if error.validator == "required":
        lost = [name for name in error.validator_value if name not in error.instance]
        raise ValueError(f"{where} lacks {lost[0]!r}")
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        more = [name for name in error.instance if name not in known]
        raise ValueError(f"{where} has {more[0]!r}, and may have only {list(known)}")
    got = reprlib.repr(error.instance)
    raise ValueError(f"{where} must be {error.schema['description']}, got {got}")


def check_table(name: str, records: Records, levels: list[str], place: str) -> None:
    """Refuse a table whose rows, columns or cells are not those of an audit.

    Parameters
    ----------
    name : str
        Of the table.
    records : list of dict
        Its rows.
    levels : list of str
        Columns that say what a row is about.
    place : str
        What errors call it.

    Raises
    ------
    ValueError
        Naming the place, the rule and the value.
    """
    for k, row in enumerate(records):
        if row.keys() != records[0].keys():
            odd = sorted(row.keys() ^ records[0].keys())
            raise ValueError(f"{place}[{k}] has other columns than {place}[0]: {odd}")
    # Of each column, cells that are alike are judged once; 1, 1.0 and true are not alike.
    cells: dict[str, dict[Any, tuple[int, Any]]] = {column: {} for column in records[0]}
    for k, row in enumerate(records):
        for column, value in row.items():
            key = id(value) if isinstance(value, (dict, list)) else (type(value), value)
            cells[column].setdefault(key, (k, value))
    rows = {column: [k for k, _ in found.values()] for column, found in cells.items()}

    def where(column: str | None = None, nth: int | None = None) -> str:
        nth = None if column is None or nth is None else rows[column][nth]
        return place + (f"[{nth}]" * (nth is not None)) + (f"[{column!r}]" * bool(column))

    values = {column: [v for _, v in found.values()] for column, found in cells.items()}
    check(values, table_schema(name, levels, values), where)
    named = {*levels, *(values if name == "changed_rows" else ())}  # 1 and "1" may be names
    for column in values.keys() - named:
        kinds = {_kind(value) for value in values[column]} - {"null"}
        if len(kinds) > 1:
            raise ValueError(f"{where(column)} must be of one kind, got {sorted(kinds)}")


def _kind(value):
    if value is None or isinstance(value, (bool, str)):
        return {type(None): "null", bool: "true or false", str: "texts"}[type(value)]
    return "numbers"
