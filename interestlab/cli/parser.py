"""A parser whose errors are a line."""

from typing import NoReturn

from jsonargparse import ArgumentParser

from interestlab.cli import imports, shortnames


class OneLineParser(ArgumentParser):
    """jsonargparse's parser, whose errors are told without the hundred options of the usage."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        parser = getattr(ex, "subcommand_parser", None) or self
        told = " ".join(imports.mended(message).split())
        self.exit(2, f"{parser.prog.replace(' [options]', '')}: {told}\n{shortnames.mistaken_files()}")
