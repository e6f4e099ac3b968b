"""The parser of every command: plugin names, safe YAML, restricted imports, and errors in one line."""

import os
from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from interestlab.config import import_policy, logs, safe_yaml
from interestlab.config.arguments import CONFIG, values_of
from interestlab.config.one_line_errors import first_reason
from interestlab.config.plugin_names import Group, Hint
from interestlab.config.plugin_options import Resolver
from interestlab.errors import DataError

EVERY_COMMAND = (
    f"Every command also takes -v or {logs.OPTION} {{{','.join(logs.LEVELS)}}}, and {import_policy.OPTION} MODULE, which lets "
    "configs name classes of that module."
)


def install() -> None:
    """Make every jsonargparse parser of this process, Lightning's too, read safe YAML and import only what is allowed."""
    import_policy.restrict()
    safe_yaml.install()


class CommandParser(ArgumentParser):
    """jsonargparse's parser that takes plugin names, and raises its errors as :class:`DataError`.

    Args:
        args: positional arguments of jsonargparse's parser.
        config_keys: read these keys of a config file and ignore the others; None: read all.
        options: keyword arguments of jsonargparse's parser.
    """

    def __init__(self, *args: Any, config_keys: tuple[str, ...] | None = None, **options: Any) -> None:
        if args:  # not for the parsers that jsonargparse makes for the arguments of each class
            options.setdefault("epilog", EVERY_COMMAND)
        self.config_keys = config_keys
        self.hints: dict[str, Hint] = {}
        self.resolver = Resolver(self.hints)
        super().__init__(*args, **options)

    # ---- types of the options

    def add_plugin_argument(self, option: str, hint: Hint, description: str) -> None:
        """Add an option that takes a plugin.

        Args:
            option: its name, such as ``--encoder``.
            hint: type of the plugin, such as ``Encoder | None``.
            description: text for the help.
        """
        self.hints[option.lstrip("-")] = hint
        self.add_argument(option, type=hint, help=description)

    def add_class_arguments(self, class_type: type, nested_key: str | None = None, *args: Any, **options: Any) -> list[str]:
        if nested_key:
            self.hints[nested_key] = Group(class_type)
        return super().add_class_arguments(class_type, nested_key, *args, **options)

    # ---- names

    def parse_args(self, args: list[str], *rest: Any, **options: Any) -> Namespace:  # type: ignore[override]
        install()
        try:
            return super().parse_args(self.resolver.command_line(args), *rest, **options)
        except UnicodeDecodeError as err:
            configs = [file[:200] for file in values_of(args, *CONFIG)]
            self.error(f"a config is not UTF-8 text ({err.reason} at byte {err.start + 1}): {' or '.join(configs)}")
        except OverflowError as err:
            self.error(f"a number in a config is too large: {err}")

    def parse_string(self, content: str, path: str | os.PathLike[str] = "", *rest: Any, **options: Any) -> Namespace:
        """Read a config; jsonargparse calls this for each one, in the folder of the file.

        Args:
            content: the config.
            path: name of its file, for errors.
            rest: positional arguments of jsonargparse's method.
            options: keyword arguments of jsonargparse's parser.
        """
        return super().parse_string(self.resolver.config(content, self.config_keys), path, *rest, **options)

    # ---- errors

    def instantiate(self, *args: Any, **options: Any) -> Any:
        try:
            return super().instantiate(*args, **options)
        except DataError:
            raise
        except ValueError as err:  # a plugin rejects its arguments
            raise DataError(first_reason(err)) from err

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Report an error.

        Args:
            message: what is wrong.
            ex: the exception that says so.

        Raises:
            DataError: always.
        """
        if message.rstrip().endswith("is not accepted"):  # an argument of a plugin
            message += "; `interestlab plugins show NAME` lists what a plugin takes"
        raise DataError(" ".join(import_policy.explain(message).split())) from ex
