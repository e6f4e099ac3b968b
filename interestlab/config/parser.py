"""A parser whose errors are a line."""

from typing import Any, NoReturn

from jsonargparse import ArgumentParser, Namespace

from interestlab.config import import_policy, plugin_names
from interestlab.config.one_line_errors import reason
from interestlab.config.run_arguments import values
from interestlab.errors import DataError


class OneLineParser(ArgumentParser):
    """jsonargparse's parser, whose errors are told without the hundred options of the usage."""

    def parse_args(self, args: list[str] | None = None, *rest: Any, **options: Any) -> Namespace:  # type: ignore[override]
        try:
            return super().parse_args(args, *rest, **options)
        except UnicodeDecodeError as err:
            configs = [file[:200] for name in ("--config", "-c") for file in values(args or [], name)]
            self.error(f"a config is not text in UTF-8 ({err.reason} at byte {err.start + 1}): {' or '.join(configs)}")

        except OverflowError as err:
            self.error(f"a number in a config is out of all bounds: {err}")

    def instantiate(self, *args: Any, **options: Any) -> Any:
        try:
            return super().instantiate(*args, **options)
        except DataError:
            raise
        except ValueError as err:  # a part says what is wrong with its arguments
            raise DataError(reason(err)) from err

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        told = " ".join(import_policy.mended(message).split())
        self.exit(2, f"{parser.prog.replace(' [options]', '')}: {told}\n{plugin_names.mistaken_files()}")
