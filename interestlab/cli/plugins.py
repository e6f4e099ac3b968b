"""``interestlab plugins``: what is installed, without importing it; the arguments of one; a new one, and whether it will do."""

import argparse
import ast
import importlib.util
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

from interestlab.config.plugin_lookup import find
from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES, distribution, limit_note


def run(args: list[str]) -> None:
    """List the installed plugins, show or check one, or write a new one."""
    parser = argparse.ArgumentParser("interestlab plugins", description="List the installed plugins; nothing is imported.")
    commands = parser.add_subparsers(dest="command")
    show = commands.add_parser("show", help="the arguments of one plugin")
    show.add_argument("name", help="its name, or KIND.NAME where kinds share the name")
    new = commands.add_parser("new", help="write a package of one plugin, which installs and passes its own tests")
    new.add_argument("kind", help="encoder, fusion, dynamics, objective or source")
    new.add_argument("name", help="of the plugin, the package and its folder")
    new.add_argument("--out", type=Path, default=Path(), help="where to put the folder; default here")
    check = commands.add_parser("check", help="whether a plugin keeps the contract; status 1 where it does not")
    check.add_argument("name", help="its name, KIND.NAME, or the path of a class")
    check.add_argument("--init_args", default="{}", help="arguments that its constructor needs, as JSON")
    check.add_argument("--expected_failures", default="{}", help="checks that are expected to fail, and why, as JSON")
    check.add_argument("--values", help="five values that an encoder reads, an empty one among them, as JSON")
    options = parser.parse_args(args[1:])
    if options.command == "show":
        show_plugin(options.name)
    elif options.command == "new":
        new_plugin(options.kind, options.name, options.out)
    elif options.command == "check":
        from interestlab.cli.conformance import check_plugin

        check_plugin(options.name, options.init_args, options.expected_failures, options.values)
    else:
        list_plugins()


def list_plugins() -> None:
    """A line a plugin: kind, name, distribution, version, what it is."""
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
    """First line of a plugin's docstring, read from its source: importing it could take seconds, or fail."""
    try:
        tree = ast.parse(source(ep.module).read_text("utf-8"))
    except (OSError, SyntaxError, ValueError):
        return "its source cannot be read; see `interestlab doctor`"
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == ep.attr:
            return (ast.get_docstring(node) or "").partition("\n")[0]
    return ""


def source(module: str) -> Path:
    """The file of a module; only the top of a dotted name is looked up, and looking up imports nothing."""
    top, *rest = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or spec.origin is None:
        raise FileNotFoundError(module)
    path = Path(spec.origin).parent.joinpath(*rest) if rest else Path(spec.origin)
    return path if path.is_file() else path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def show_plugin(name: str) -> None:
    """Print where a plugin comes from, what it is, and its arguments with types and defaults."""
    from interestlab.config.one_line_errors import told_in_one_line

    with told_in_one_line():
        registry, short = find(name)
        cls = registry.load(short)
        from jsonargparse import ArgumentParser

        (ep,) = registry.entry_points(short)
        parser = ArgumentParser(prog=f"{registry.kind}.{short}", usage=argparse.SUPPRESS, add_help=False)
        parser.add_class_arguments(cls, fail_untyped=False)
        print(f"{registry.kind}.{short}: {ep.value}, from {distribution(ep)}\n")
        print((cls.__doc__ or "").strip().partition("\n\n")[0], "\n", sep="")
        parser.print_help(sys.stdout)


def new_plugin(kind: str, name: str, out: Path) -> None:
    """Write the package of a plugin, and print what to do with it."""
    from interestlab import scaffold

    try:
        print(scaffold.next_steps(kind, name, scaffold.write(kind, name, out)))
    except (PluginError, OSError) as err:
        print(f"interestlab: {err}", file=sys.stderr)
        raise SystemExit(2) from err
