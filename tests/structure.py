"""The package as modules and imports, read from the syntax trees, and counts of them.

Run: python tests/structure.py [folder of the package, such as report]
"""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1] / "sklearn_fairprune"


def module_name(path):
    parts = path.relative_to(ROOT.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for path in sorted(ROOT.rglob("*.py"))}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in FILES.items()}


def place(name):
    """First part of a module's name inside the package: functional, engine, metrics..."""
    return [*name.split("."), ""][1]


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


def rooms(folder):
    """Modules of a folder, where a folder inside it is one, and the imports among them.

    Returns
    -------
    names : set of str
    arrows : set of (str, str)
        Who imports whom.
    """
    base = f"{ROOT.name}.{folder}"

    def room(name):
        inside = f"{name}.".startswith(f"{base}.")
        return [*name.removeprefix(base).split("."), "__init__"][1] if inside else None

    names = {room(name) for name in FILES} - {None}
    pairs = {(room(name), room(m)) for name in FILES for m in own(name)}
    return names, {(a, b) for a, b in pairs if a and b and a != b}


def functions(tree):
    """Every function of a module with its qualified name."""
    for node in ast.iter_child_nodes(tree):
        prefix = getattr(node, "name", "")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield prefix, node
            prefix += ".<locals>"
        yield from ((f"{prefix}.{name}".lstrip("."), inner) for name, inner in functions(node))


def body_lines(node):
    """Lines of a function's body without its docstring."""
    body = node.body[1:] if ast.get_docstring(node) is not None else node.body
    return body[-1].end_lineno - body[0].lineno + 1 if body else 0


def is_public(module, name):
    parts = [*module.split("."), *name.removesuffix(".__init__").split(".")]
    return not any(part.startswith(("_", "<")) for part in parts)


def is_annotated(node):
    """Whether all that goes in and what comes out of a function has a type."""
    arguments = node.args.posonlyargs + node.args.args + node.args.kwonlyargs
    arguments += [a for a in (node.args.vararg, node.args.kwarg) if a]
    given = [a for a in arguments if a.arg not in ("self", "cls")]
    returns = node.returns is not None or node.name == "__init__"
    return returns and all(a.annotation is not None for a in given)


def public_functions(prefix=ROOT.name):
    """Public functions and methods of the modules whose names start so; none inside others."""
    return [
        node
        for module, tree in TREES.items()
        for name, node in functions(tree)
        if f"{module}.".startswith(f"{prefix}.") and is_public(module, name)
    ]


def main(folders):
    """Print the counts."""
    lines = {
        name: len(path.read_text(encoding="utf-8").splitlines())
        for name, path in FILES.items()
    }
    bodies = {
        f"{module}.{name}": body_lines(node)
        for module, tree in TREES.items()
        for name, node in functions(tree)
    }
    print(f"{len(FILES)} modules of {sum(lines.values())} lines")
    for what, sizes in (("largest file", lines), ("longest body", bodies)):
        largest = max(sizes, key=sizes.get)
        print(f"{what}: {sizes[largest]} lines, {largest}")
    subpackages = sorted(
        {place(name) for name in FILES if (ROOT / place(name)).is_dir()} - {""}
    )
    for folder in folders or subpackages:
        names, arrows = rooms(folder)
        print(f"{folder}/: {len(names)} rooms, {len(arrows)} arrows among them")
    for folder in ["", *(folders or subpackages)]:
        found = public_functions(f"{ROOT.name}.{folder}".rstrip("."))
        share = sum(map(is_annotated, found)) / max(len(found), 1)
        print(f"annotated: {share:.0%} of {len(found)} public functions of {folder or 'all'}")


if __name__ == "__main__":
    main(sys.argv[1:])
