"""Build the store of a log, with the --data options of fit."""

from interestlab.config.data_options import open_data


def run(args: list[str]) -> None:
    """Build the store if it is absent, and print its folder.

    Args:
        args: the options.
    """
    print(f"store: {open_data('data prepare', 'Build the store of a log.', args).log.folder}")
