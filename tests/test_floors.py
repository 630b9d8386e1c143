"""The walls of the house: who may import whom, read from the syntax trees."""

import ast
import graphlib
import importlib
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import sklearn_fairprune

torch.set_num_threads(1)

ROOT = Path(sklearn_fairprune.__file__).parent
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
    "__main__": 6,
}
ALLOWED = {
    "functional": {"torch", "numpy"},
    "statistics": {"numpy", "scipy"},
    "engine": {"torch", "numpy", "skorch", "joblib"},
}


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text()) for name, path in FILES.items()}
MODULES = pytest.mark.parametrize("name", FILES)


def place(name):
    """First part of a module's name inside the package: functional, engine, metrics..."""
    return [*name.split("."), ""][1]


def floor(name):
    return FLOORS.get(place(name), 5)


def absolute(name, node):
    """Full name of the module that a ``from ... import`` reads."""
    if not node.level:
        return node.module
    package = name if FILES[name].name == "__init__.py" else name.rpartition(".")[0]
    parts = package.split(".")[: len(package.split(".")) - node.level + 1]
    return ".".join(parts + ([node.module] if node.module else []))


def imports(name, tree=None):
    """Every module that a module imports, inside functions too."""
    found = set()
    for node in ast.walk(tree or TREES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = absolute(name, node)
            members = {f"{base}.{alias.name}" for alias in node.names}
            found |= {m if m in FILES else base for m in members}
    return found


def own(name):
    return {m for m in imports(name) if m.split(".")[0] == ROOT.name}


def foreign(names):
    tops = {m.split(".")[0] for m in names}
    return tops - {ROOT.name} - set(sys.stdlib_module_names)


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
    assert {"sklearn_fairprune.functional.masks", "sklearn_fairprune.engine"} <= set(FILES)
    assert "sklearn_fairprune.functional.masks" in own("sklearn_fairprune.engine.pruning")
    assert "sklearn_fairprune.engine.networks" in own("sklearn_fairprune.estimators._base")


@MODULES
def test_foreign_imports_of_the_lower_floors(name):
    if place(name) in ALLOWED:
        assert foreign(imports(name)) <= ALLOWED[place(name)]


@MODULES
def test_no_upward_import(name):
    assert {m for m in own(name) if floor(m) > floor(name)} == set()


@MODULES
def test_the_first_floor_imports_siblings_only(name):
    if floor(name) == 1:
        assert {place(m) for m in own(name)} <= {place(name)}


@MODULES
def test_no_import_for_type_checking_only(name):
    names = {n.id for n in ast.walk(TREES[name]) if isinstance(n, ast.Name)}
    names |= {n.attr for n in ast.walk(TREES[name]) if isinstance(n, ast.Attribute)}
    assert "TYPE_CHECKING" not in names


@MODULES
def test_fairlearn_and_matplotlib(name):
    if place(name) not in ("metrics", "report"):
        assert "fairlearn" not in foreign(imports(name))
    if place(name) != "report":
        assert "matplotlib" not in foreign(imports(name))


@MODULES
def test_optional_packages_only_inside_functions(name):
    project = tomllib.loads((ROOT.parent / "pyproject.toml").read_text())["project"]
    required = {d.split(">")[0].strip() for d in project["dependencies"]}
    required = {{"scikit-learn": "sklearn"}.get(d, d) for d in required} | {"joblib"}
    tree = at_import_time(ast.parse(FILES[name].read_text()))
    assert foreign(imports(name, tree)) <= required


def test_no_circle():
    order = graphlib.TopologicalSorter({name: own(name) - {name} for name in FILES})
    assert set(order.static_order()) == set(FILES)


@MODULES
def test_file_names_and_sizes(name):
    path = FILES[name]
    assert path.name not in {"utils.py", "helpers.py", "common.py", "misc.py"}
    assert len(path.read_text().splitlines()) <= 400


@MODULES
def test_public_names_and_shelves(name):
    if name.endswith("__main__"):
        return
    module = importlib.import_module(name)
    assert [n for n in getattr(module, "__all__", []) if not hasattr(module, n)] == []
    shelves = [v for k, v in vars(module).items() if k.isupper() and isinstance(v, dict)]
    members = [m for shelf in shelves for m in shelf.values() if callable(m)]
    assert [m for m in members if not (m.__doc__ or "").strip()] == []


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
