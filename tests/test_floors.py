"""The walls of the house: who may import whom, read from the syntax trees."""

import ast
import graphlib
import importlib
import json
import subprocess
import sys
import textwrap
import tomllib

import pytest
import torch
from structure import (
    FILES,
    ROOT,
    TREES,
    absolute,
    body_lines,
    foreign,
    functions,
    imports,
    is_annotated,
    own,
    place,
    public_functions,
)

import sklearn_fairprune
from sklearn_fairprune.functional.shelf import Shelf

torch.set_num_threads(1)

# The public names in __init__ and the command line stand on top; all others are floor 5.
FLOORS = {
    "_compat": 0,
    "functional": 1,
    "statistics": 1,
    "engine": 2,
    "estimators": 3,
    "metrics": 3,
    "measurement": 4,
    "": 6,
    "cli": 6,
    "__main__": 6,
}
ALLOWED = {
    "functional": {"torch", "numpy"},
    "statistics": {"numpy", "scipy"},
    "engine": {"torch", "numpy", "skorch", "joblib"},
}
PRIVATE_ELSEWHERE = ("sklearn", "skorch", "torch")


def floor(name):
    return FLOORS.get(place(name), 5)


def at_import_time(node):
    """Statements that run when a module is imported, as one tree."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        return ast.Module([], [])
    for field, value in ast.iter_fields(node):
        if isinstance(value, list):
            kept = [at_import_time(v) if isinstance(v, ast.AST) else v for v in value]
            setattr(node, field, kept)
    return node


def test_the_walk_finds_the_package():
    assert ROOT.samefile(*sklearn_fairprune.__path__)
    assert {"sklearn_fairprune.functional.masks", "sklearn_fairprune.engine"} <= set(FILES)
    assert "sklearn_fairprune.functional.masks" in own("sklearn_fairprune.engine.fit")
    assert "sklearn_fairprune.engine.networks" in own("sklearn_fairprune.estimators._net")


def offences(found_in, names=FILES):
    """What a rule finds in each module of `names`, where it finds anything."""
    return {name: found for name in names if (found := found_in(name))}


def in_places(*places):
    names = [name for name in FILES if place(name) in places]
    assert names
    return names


@pytest.mark.parametrize("lower", ALLOWED)
def test_foreign_imports_of_the_lower_floors(lower):
    def forbidden(name):
        return foreign(imports(name)) - ALLOWED[lower]

    assert offences(forbidden, in_places(lower)) == {}


def test_no_upward_import():
    assert offences(lambda name: {m for m in own(name) if floor(m) > floor(name)}) == {}


def test_functional_imports_siblings_only():
    def others(name):
        return {place(m) for m in own(name)} - {"functional", "_compat"}

    assert offences(others, in_places("functional")) == {}


def words(name):
    """Every name, attribute and imported name of a module."""
    found = set()
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.alias):
            found |= {*node.name.split(".")}
        if isinstance(node, ast.ImportFrom):
            found |= {*absolute(name, node).split(".")}
        found |= {getattr(node, "id", None), getattr(node, "attr", None)}
    return found


def test_no_import_for_type_checking_only():
    assert offences(lambda name: words(name) & {"TYPE_CHECKING"}) == {}


def test_fairlearn_and_matplotlib():
    allowed = {"fairlearn": ("metrics", "report", "_compat"), "matplotlib": ("report",)}
    for package, places in allowed.items():
        elsewhere = [name for name in FILES if place(name) not in places]
        assert offences(lambda name, p=package: {p} & foreign(imports(name)), elsewhere) == {}


def test_optional_packages_only_inside_functions():
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    required = {d.split(">")[0].strip() for d in project["dependencies"]}
    required = {{"scikit-learn": "sklearn"}.get(d, d) for d in required} | {"joblib"}

    def optional(name):
        tree = at_import_time(ast.parse(FILES[name].read_text()))
        return foreign(imports(name, tree)) - required

    assert offences(optional) == {}


def test_no_circle():
    order = graphlib.TopologicalSorter({name: own(name) - {name} for name in FILES})
    assert set(order.static_order()) == set(FILES)


def private_names(name):
    """Underscored names that a module reads from packages that may change them."""
    found, known = set(), {}
    for node in ast.walk(TREES[name]):
        if isinstance(node, ast.Import):
            full = {a.asname or a.name.split(".")[0]: a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            full = {a.asname or a.name: f"{absolute(name, node)}.{a.name}" for a in node.names}
        else:
            continue
        known |= {k: v for k, v in full.items() if v.split(".")[0] in PRIVATE_ELSEWHERE}
    found |= {full for full in known.values() if is_private(full)}
    for node in ast.walk(TREES[name]):
        parts = []
        while isinstance(node, ast.Attribute):
            parts, node = [node.attr, *parts], node.value
        if parts and isinstance(node, ast.Name) and node.id in known:
            full = ".".join([known[node.id], *parts])
            found |= {full} if is_private(full) else set()
    return found


def is_private(name):
    return any(p.startswith("_") and not p.endswith("__") for p in name.split("."))


def test_private_names_are_found():
    found = {n for name in in_places("_compat") for n in private_names(name)}
    assert {"sklearn.base._fit_context", "torch.nn.modules.batchnorm._BatchNorm"} <= found


def test_private_names_of_other_packages_are_in_one_place():
    elsewhere = [name for name in FILES if place(name) != "_compat"]
    assert offences(private_names, elsewhere) == {}


def test_no_bytecode_is_read():
    """A cache may hash the code of a function as a whole; nobody looks for an instruction."""
    reading = {"dis", "opmap", "opname", "co_code", "co_lnotab", "tb_lasti", "f_lasti"}
    hashing = {"sklearn_fairprune.engine.fingerprint": {"co_code"}}
    assert offences(lambda name: words(name) & reading - hashing.get(name, set())) == {}


def shelves():
    """Every shelf of the package, by the file that it is in and the name it has there."""
    found = {}
    for name in FILES:
        if not name.endswith("__main__"):
            own_values = vars(importlib.import_module(name)).items()
            assigned = {
                target.id
                for node in TREES[name].body
                if isinstance(node, (ast.Assign, ast.AnnAssign))
                for target in getattr(node, "targets", [getattr(node, "target", None)])
                if isinstance(target, ast.Name)
            }
            found |= {
                (name, key): value
                for key, value in own_values
                if isinstance(value, Shelf) and key in assigned
            }
    return found


def compared_texts(tree):
    """Texts that something is compared with: by ``==``, ``!=``, ``in`` or a ``case``."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Compare, ast.MatchValue)):
            sides = [node.value] if isinstance(node, ast.MatchValue) else [node.left]
            found |= {
                part.value
                for side in [*sides, *getattr(node, "comparators", [])]
                for part in [side, *getattr(side, "elts", [])]
                if isinstance(part, ast.Constant) and isinstance(part.value, str)
            }
    return found


def test_comparisons_are_found():
    code = """
        if x == "a" or "b" != x or x in ("c", "d") or "e" not in x: y = "no"
        match x:
            case "f" | "g": y = {"h": 1}["h"]
    """
    assert compared_texts(ast.parse(textwrap.dedent(code))) == set("abcdefg")


def test_shelves_are_found():
    names = {name for _, name in shelves()}
    assert {"CONSTRAINTS", "CRITERIA", "DIAGNOSTICS", "STATISTICS"} <= names


def test_no_member_of_a_shelf_is_asked_for_by_name():
    members = {(file, key) for (file, _), shelf in shelves().items() for key in shelf}

    def named(name):
        return compared_texts(TREES[name]) & {key for file, key in members if file != name}

    assert offences(named) == {}


def test_file_names_and_sizes():
    vague = {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert [path for path in FILES.values() if path.name in vague] == []
    assert offences(lambda name: len(FILES[name].read_text().splitlines()) > 400) == {}


def test_bodies_are_short():
    def long(name):
        return [f for f, node in functions(TREES[name]) if body_lines(node) > 60]

    assert offences(long) == {}


def test_public_functions_have_types():
    assert [node.name for node in public_functions() if not is_annotated(node)] == []


def test_public_names_and_shelves():
    modules = [name for name in FILES if not name.endswith("__main__")]

    def missing(name):
        module = importlib.import_module(name)
        return [n for n in getattr(module, "__all__", []) if not hasattr(module, n)]

    def undocumented(name):
        values = vars(importlib.import_module(name)).items()
        members = [
            v for k, d in values if k.isupper() and isinstance(d, dict) for v in d.values()
        ]
        return [m for m in members if callable(m) and not (m.__doc__ or "").strip()]

    assert offences(missing, modules) == {}
    assert offences(undocumented, modules) == {}


def test_import_stays_light():
    heavy = ["torch._dynamo", "matplotlib"]
    code = f"import json, sys, sklearn_fairprune; print([h in sys.modules for h in {heavy}])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT.parent,
    )
    loaded = json.loads(run.stdout.lower())
    assert [name for name, is_in in zip(heavy, loaded, strict=True) if is_in] == []
