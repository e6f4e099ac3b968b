"""List the installed plugins, without importing them."""

import ast
import importlib.util
from importlib.metadata import EntryPoint
from pathlib import Path

from interestlab.registry import REGISTRIES, limit_note


def run(args: list[str]) -> None:
    """Print one line per plugin: kind, name, distribution, version and description.

    Args:
        args: the options.
    """
    if args:  # the parser takes longer to import than the list to print
        from interestlab.config.parser import CommandParser

        also = "See also `plugins show NAME`, `plugins new KIND NAME` and `plugins check NAME`."
        parser = CommandParser("interestlab plugins", description=f"List the installed plugins, importing none. {also}")
        parser.parse_args(args)
    rows = [("KIND", "NAME", "DISTRIBUTION", "VERSION", "DESCRIPTION")]
    for registry in REGISTRIES.values():
        for name in registry.names():
            claims = registry.entry_points(name)
            for ep in claims:
                note = "CLAIMED TWICE: uninstall one" if len(claims) > 1 else description(ep)
                rows.append((registry.kind, name, ep.dist.name if ep.dist else "?", ep.dist.version if ep.dist else "?", note))
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for row in rows:
        print("  ".join([cell.ljust(width) for cell, width in zip(row, widths, strict=False)] + [row[4]]).rstrip())
    if limit := limit_note():
        print(f"\n{limit}")


def description(ep: EntryPoint) -> str:
    """Return the first line of a plugin's docstring, read from its source: an import could take seconds, or fail.

    Args:
        ep: entry point of the plugin.
    """
    try:
        tree = ast.parse(source_file(ep.module).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return "its source cannot be read; see `interestlab doctor`"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == ep.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def source_file(module: str) -> Path:
    """Return the file of a module. Only the top of its dotted name is looked up, which imports nothing.

    Args:
        module: dotted name.

    Raises:
        FileNotFoundError: there is no such module.
    """
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(module)
    path = Path(spec.origin).parent.joinpath(*rest) if rest else Path(spec.origin)
    return path if path.is_file() else path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
