"""Print the arguments of one plugin."""

import argparse

from interestlab.config import recipes
from interestlab.config.parser import CommandParser
from interestlab.config.plugin_lookup import find
from interestlab.registry import DYNAMICS, SOURCES, distribution


def run(args: list[str]) -> None:
    """Print where a plugin comes from, its description, and its arguments with types and defaults.

    Args:
        args: the options.
    """
    parser = CommandParser("interestlab plugins show", description="Print the arguments of one plugin.")
    parser.add_argument("name", help="name of the plugin, or KIND.NAME if several kinds have a plugin of this name")
    registry, name = find(parser.parse_args(args).name)
    cls = registry.load(name)
    (ep,) = registry.entry_points(name)
    arguments = CommandParser(prog=f"{registry.kind}.{name}", usage=argparse.SUPPRESS, add_help=False, epilog=None)
    arguments.add_class_arguments(cls, as_group=False, fail_untyped=False)
    print(f"{registry.kind}.{name}: {ep.value}, from {distribution(ep)}\n")
    if registry is DYNAMICS and (recipe := recipes.find(name)):
        print(f"recipe: {recipe.file}\n")
    print((cls.__doc__ or "").strip().partition("\n\n")[0], "\n", sep="")
    slot = "data.source" if registry is SOURCES else f"model.{registry.base.lower().removesuffix('head')}"
    print(f"Arguments, each an option --{slot}.NAME:\n")
    print(arguments.format_help().removeprefix("options:\n"), end="")
