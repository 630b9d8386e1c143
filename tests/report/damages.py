"""Reports on purpose damaged: every way to break their JSON, and every use of what is read."""

import copy
import json
from importlib.util import find_spec

import numpy as np
import pandas as pd

from sklearn_fairprune import AuditReport
from sklearn_fairprune.report import compare_reports

OTHERS = {
    "null": None,
    "text": "x",
    "empty text": "",
    "true": True,
    "negative": -7,
    "too large": 1e9,
    "a fraction": 0.123,
    "a list": [],
    "a table": [{"a": 1}],
    "an object": {},
    "deep": json.loads("[" * 40 + "]" * 40),
    "lone surrogate": "\ud800",
}


def places(value, path=()):
    """Paths to everything inside."""
    yield path
    inside = value.items() if isinstance(value, dict) else []
    inside = enumerate(value) if isinstance(value, list) else inside
    for key, one in inside:
        yield from places(one, (*path, key))


def at(values, path):
    for step in path:
        values = values[step]
    return values


def one_of_each(values, rng, n):
    """Paths that differ in more than the number of a row, `n` rows of each."""
    alike = {}
    for path in places(values):
        shape = tuple("*" if isinstance(step, int) else step for step in path)
        alike.setdefault(shape, []).append(path)
    for paths in alike.values():
        chosen = rng.choice(len(paths), min(n, len(paths)), replace=False)
        yield from (paths[k] for k in sorted(chosen))


def put(values, path, new):
    """Copy with something else in a place; `put.gone` takes it away."""
    if not path:
        return new
    values = copy.deepcopy(values)
    inside = at(values, path[:-1])
    if new is put.gone:
        del inside[path[-1]]
    else:
        inside[path[-1]] = new
    return values


put.gone = object()


def damages_at(values, path, rng):
    """Pairs of kind and damaged copy, of one place."""
    old = at(values, path)
    for kind, new in OTHERS.items():
        if new != old or type(new) is not type(old):
            yield f"{kind} for {type(old).__name__}", put(values, path, copy.deepcopy(new))
    if path:
        yield f"dropped {type(path[-1]).__name__}", put(values, path, put.gone)
    if isinstance(old, (int, float)) and not isinstance(old, bool):
        yield "number as text", put(values, path, str(old))
        yield "number as float", put(values, path, float(old))
    if isinstance(old, str) and path:
        yield "renamed", put(values, path, f"{old}?")
    if isinstance(old, list) and old:
        yield "row twice", put(values, path, [*old, old[-1]])
        yield "first row gone", put(values, path, old[1:])
        yield "reversed", put(values, path, old[::-1])
        yield "shuffled", put(values, path, [old[k] for k in rng.permutation(len(old))])
    if isinstance(old, list) and old and isinstance(old[0], dict):
        for name in old[0]:
            lost = [{k: v for k, v in row.items() if k != name} for row in old]
            yield "column dropped", put(values, path, lost)
            yield "column renamed", put(values, path, [r | {f"{name}?": 1} for r in lost])
            texts = [r | {name: str(r[name])} for r in old]
            yield "column as text", put(values, path, texts)
            yield "column of null", put(values, path, [r | {name: None} for r in old])
    if isinstance(old, dict) and len(old) > 1:
        yield "names reversed", put(values, path, dict(reversed(old.items())))
        yield "a name more", put(values, path, old | {"extra?": 1})


def damaged_texts(text, n):
    """Pairs of kind and text that is JSON no more, or should not be."""
    for k in range(0, len(text), max(len(text) // n, 1)):
        yield "cut", text[:k]
    first = text.index('"accuracy":' if '"accuracy":' in text else '"loss_low":')
    stop = text.index(",", first)
    for new in ("NaN", "Infinity", "-Infinity", "1e999", "1" * 400, "0x1", "'a'"):
        yield new[:9], f"{text[:first]}{text[first:].split(':')[0]}: {new}{text[stop:]}"
    yield "a name twice", text.replace('"rows":', '"rows": 1, "rows":', 1)
    yield "more behind it", text + "{}"
    yield "twice", text + text
    yield "deep", "[" * 100_000
    yield "deep inside", text.replace('"notes": [', '"notes": [' + "[" * 50_000, 1)
    yield "byte order mark", "\ufeff" + text


def told(report):
    """Everything a report is used for, as texts; a crash is the test's."""
    pruned = report.overall.index[1:].tolist()
    found = {"text": str(report), "repr": repr(report), "markdown": report.to_markdown()}
    found |= {"json": report.to_json(), "summary": report._repr_html_()}
    if find_spec("vl_convert"):
        found["page"] = report.to_html()
    frame = report.to_frame()
    keys = ["feature", "model", "about", "group", "measure"]
    found["frame"] = frame.sort_values(keys).to_csv(index=False)
    limits = {"max_violation": 0.1, "limits": {"loss": 0.5}}
    for by in ("estimate", "low", "high", "interval") if pruned else ():
        try:
            report.assert_disparity(**limits, judge_by=by)
        except AssertionError as error:
            found[f"gate {by}"] = str(error)
    return found


def use(report, original, folder, draw):
    """Use a report in every way; returns what it tells."""
    found = told(report)
    for path in report.to_csv(folder):
        found[path.name] = path.read_text(encoding="utf-8")
        pd.read_csv(path)
    found["compared"] = set(compare_reports(original, report)["verdict"])
    if draw:
        draw(report)
    return found


def read(text, folder):
    """The report in a file, or None if it is refused in plain words."""
    file = folder / "damaged.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    try:
        return AuditReport.from_json(file)
    except ValueError as error:
        words = str(error)
        assert words.startswith("This is no audit report written by to_json: ")
        assert words.endswith("Read a whole copy of the file, or audit the models again.")
        assert "\n" not in words
        assert len(words) < 1500
        return None


def rng_of(seed):
    return np.random.default_rng(seed)
