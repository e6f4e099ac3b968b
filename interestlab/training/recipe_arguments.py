"""Choose the recipe of a command line of ``fit``, and add it as the first config, which everything else overrides."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from interestlab.config import recipes
from interestlab.config.arguments import CONFIG, join, last_value, split
from interestlab.config.parser import CommandParser
from interestlab.config.plugin_names import Group
from interestlab.config.plugin_options import Resolver
from interestlab.config.recipes import Recipe
from interestlab.errors import DataError, PluginError
from interestlab.registry import DYNAMICS, ENCODERS, OBJECTIVES
from interestlab.training.lightning_module import InterestModel

OPTION = "--recipe"
AUTO, NONE = "auto", "none"
HELP = (
    "Options of `fit` that suit a dynamics, from its plugin; everything that is given wins over them. `auto`: those of "
    f"--model.dynamics (default {recipes.DEFAULT}), unless a config describes the model; `none`; or the name of a dynamics."
)

SLOTS = {"encoder": ENCODERS, "dynamics": DYNAMICS, "objective": OBJECTIVES}


def choose_recipe(args: list[str]) -> Recipe | None:
    """Return the recipe that a command line asks for, without the plugins that the command line replaces.

    Args:
        args: options of ``fit``.

    Raises:
        PluginError: a plugin that the command line names is unknown, or does not import.
        DataError: there is no such recipe, or it cannot be used.
    """
    configs = _read(args, (*CONFIG, "--model"))
    choice = last_value(args, OPTION)
    choice = configs.get("recipe") or AUTO if choice is None else choice
    if choice == NONE or (choice == AUTO and configs.get("model")):
        return None
    named = _read(args, [f"--model.{slot}{end}" for slot in SLOTS for end in ("", ".class_path")]).get("model", {})
    if choice != AUTO:
        recipe: Recipe | None = recipes.require(str(choice))
    elif named.get("dynamics"):
        name = recipes.plugin_name(named["dynamics"], DYNAMICS)
        recipe = recipes.find(name) if name else None
    else:
        recipe = recipes.find(recipes.DEFAULT)
    return recipe and _without_replaced(recipe, named)


def add_recipe(args: list[str], recipe: Recipe | None) -> list[str]:
    """Return the options of ``fit`` with a recipe as their first config.

    The option ``--recipe`` is reset, so that a run from the saved config takes no recipe.

    Args:
        args: options of ``fit``.
        recipe: the recipe of :func:`choose_recipe`.
    """
    return [*([f"--config={recipe.text}"] if recipe else []), *args, f"{OPTION}={AUTO}"]


@contextmanager
def recipe_errors(parser: CommandParser, recipe: Recipe | None) -> Iterator[None]:
    """Parse within this context: an error that the recipe causes names its file.

    Args:
        parser: parser of the options of ``fit``.
        recipe: recipe that is parsed.

    Raises:
        DataError: the recipe, or something else on the command line, cannot be used.
    """
    try:
        yield
    except (DataError, PluginError):
        if recipe:
            check_recipe(parser, recipe)
        raise


def check_recipe(parser: CommandParser, recipe: Recipe) -> None:
    """Parse a recipe alone.

    Args:
        parser: parser of the options of ``fit``.
        recipe: the recipe.

    Raises:
        DataError: the recipe names an unknown option or plugin, or a value does not fit; names the file and the key.
    """
    try:
        parser.parse_args([f"--config={recipe.text}"])
    except (DataError, PluginError) as err:
        # Values are checked before missing options: those are the data, and what the command line replaces.
        if "arguments are required" not in str(err):
            raise DataError(f"{recipe.file}: {err}".replace('Parser key "config": ', "")) from err


def _read(args: list[str], options: tuple[str, ...] | list[str]) -> dict[str, Any]:
    """Return what some of the options set, with plugin names resolved."""
    resolver = Resolver({"model": Group(InterestModel)})
    resolver.command_line(join(argument for argument in split(args) if argument.option in options))
    return resolver.so_far


def _without_replaced(recipe: Recipe, named: dict[str, Any]) -> Recipe:
    """Return a recipe without the plugins that the command line replaces, and without their arguments."""

    def is_replaced(slot: str) -> bool:
        value = named.get(slot)
        if not (isinstance(value, str) or (isinstance(value, dict) and "class_path" in value)):
            return False
        registry = SLOTS[slot]
        return recipes.plugin_name(value, registry) != recipes.plugin_name(recipe.content["model"][slot], registry)

    model = {key: value for key, value in recipe.content["model"].items() if key not in SLOTS or not is_replaced(key)}
    return replace(recipe, content=recipe.content | {"model": model})
