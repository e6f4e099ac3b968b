"""Open the data of a command's ``--data`` options."""

from interestlab.config.parser import CommandParser
from interestlab.data.datamodule import InterestData


def open_data(command: str, description: str, args: list[str]) -> InterestData:
    """Return the data that ``--data`` options and configs describe.

    Args:
        command: name of the command, for its help.
        description: description of the command.
        args: its options.

    Raises:
        DataError: the options or the data cannot be used.
        PluginError: a plugin is unknown, or does not import.
    """
    parser = CommandParser(f"interestlab {command}", description=description, config_keys=("data",))
    parser.add_argument("-c", "--config", action="config", help="a config of `fit`; only its data is read")
    parser.add_class_arguments(InterestData, "data")
    data: InterestData = parser.instantiate(parser.parse_args(args)).data
    return data
