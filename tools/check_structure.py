"""Print modules above 350 lines, and public functions that take arguments and document none.

A function is public if no part of its name begins with an underscore. It needs an ``Args:`` section, unless it overrides a
method: the base documents those. Arguments of ``__init__`` are documented in the class.

    python tools/check_structure.py                     # one line per fault, and exit status 1 if there are any
    python tools/check_structure.py interestlab.data    # only the lines that begin so
"""

import ast
import importlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIMIT = 350
DOCUMENTED = ("interestlab/**/*.py", "plugins/*/src/**/*.py")
MODULES = (*DOCUMENTED, "benchmarks/**/*.py", "tools/*.py")
SKIPPED = "interestlab/scaffold/templates/"
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """A parsed module.

    Args:
        name: dotted name, as it is imported.
        tree: its syntax tree.
        classes: its top-level classes by name.
        imported: local name -> ``module.attribute`` of what it imports from elsewhere.
    """

    name: str
    tree: ast.Module
    classes: dict[str, ast.ClassDef]
    imported: dict[str, str]


def files(patterns: tuple[str, ...]) -> list[Path]:
    """Return the files that match any of the patterns, without the templates of the scaffold."""
    matches = {file for pattern in patterns for file in ROOT.glob(pattern)}
    return sorted(file for file in matches if SKIPPED not in file.as_posix())


def dotted_name(file: Path) -> str:
    """Return the name under which a file is imported."""
    parts = file.relative_to(ROOT).with_suffix("").parts
    parts = parts[parts.index("src") + 1 :] if "src" in parts else parts
    return ".".join(parts).removesuffix(".__init__")


@cache
def modules() -> dict[str, Module]:
    """Parse every module whose functions have to be documented."""
    parsed = {}
    for file in files(DOCUMENTED):
        tree = ast.parse(file.read_text("utf-8"))
        imported = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                imported |= {alias.asname or alias.name.partition(".")[0]: alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                imported |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
        classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
        parsed[dotted_name(file)] = Module(dotted_name(file), tree, classes, imported)
    return parsed


def defines(module: Module, base: ast.expr, method: str) -> bool:
    """Return whether a base class, or a base of it, has a method of this name."""
    if isinstance(base, ast.Subscript):  # Generic[T], Registry[T]
        base = base.value
    path = ast.unparse(base)
    if path in module.classes:
        return in_class(module, module.classes[path], method)
    head, _, rest = path.partition(".")
    path = module.imported.get(head, head) + (f".{rest}" if rest else "")
    owner, _, name = path.rpartition(".")
    if owner in modules():
        there = modules()[owner]
        if name in there.classes:
            return in_class(there, there.classes[name], method)
        return name in there.imported and defines(there, ast.Name(name), method)  # re-exported
    return hasattr(external(owner, name), method)


def in_class(module: Module, node: ast.ClassDef, method: str) -> bool:
    """Return whether a class of ours, or a base of it, has a method of this name."""
    own = any(isinstance(child, Function) and child.name == method for child in node.body)
    return own or any(defines(module, base, method) for base in node.bases)


@cache
def external(owner: str, name: str) -> type:
    """Import a class of a library; ``object`` if there is none."""
    try:
        return getattr(importlib.import_module(owner or "builtins"), name, object)
    except ImportError:
        return object


def takes_arguments(function: Function, method: bool) -> bool:
    """Return whether a function has arguments other than ``self`` or ``cls``."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args]
    static = any(ast.unparse(decorator) == "staticmethod" for decorator in function.decorator_list)
    named = named[1:] if method and not static else named
    return bool(named or arguments.kwonlyargs or arguments.vararg or arguments.kwarg)


def documented(node: Function | ast.ClassDef) -> bool:
    """Return whether a docstring has an ``Args:`` section."""
    return "Args:" in (ast.get_docstring(node) or "")


def decorated(node: Function, *names: str) -> bool:
    """Return whether a function has one of these decorators."""
    return any(ast.unparse(decorator).rpartition(".")[2] in names for decorator in node.decorator_list)


def undocumented() -> Iterator[str]:
    """Yield a line for each public function that takes arguments and has no ``Args:``."""
    for module in modules().values():
        if any(part.startswith("_") for part in module.name.split(".")):
            continue
        for node in module.tree.body:
            if isinstance(node, Function) and not node.name.startswith("_") and not decorated(node, "overload"):
                if takes_arguments(node, method=False) and not documented(node):
                    yield f"{module.name}.{node.name} (line {node.lineno}) documents no Args"
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                yield from undocumented_methods(module, node)


def undocumented_methods(module: Module, node: ast.ClassDef) -> Iterator[str]:
    """Yield a line for each public method of a class that takes arguments, overrides none and has no ``Args:``."""
    for child in node.body:
        if not isinstance(child, Function) or not takes_arguments(child, method=True) or documented(child):
            continue
        if child.name == "__init__":
            if not documented(node):
                yield f"{module.name}.{node.name} (line {node.lineno}) documents no Args of __init__"
        elif not (
            child.name.startswith("_")
            or decorated(child, "overload", "override", "setter")
            or any(defines(module, base, child.name) for base in node.bases)
        ):
            yield f"{module.name}.{node.name}.{child.name} (line {child.lineno}) documents no Args"


def too_long() -> Iterator[str]:
    """Yield a line for each module above the limit."""
    for file in files(MODULES):
        lines = len(file.read_text("utf-8").splitlines())
        if lines > LIMIT:
            yield f"{file.relative_to(ROOT)} has {lines} lines, more than {LIMIT}"


def main(args: list[str]) -> int:
    """Print the faults, and return the exit status."""
    faults = [fault for fault in (*too_long(), *undocumented()) if fault.startswith(tuple(args) or "")]
    if faults:
        print(*faults, sep="\n")
        return 1
    print(f"structure: no module above {LIMIT} lines, every public function documents its Args")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
