"""The errors that a user can act on. Importing this module imports neither torch nor Lightning."""


class DataError(ValueError):
    """Data or settings that cannot be used. The message names the file or option, what is wrong and what to do, in one line.

    Stability: stable.
    """


class TrainingError(RuntimeError):
    """Training whose result cannot be trusted. The message says what happened and what to do, in one line.

    Stability: stable.
    """


class PluginError(LookupError):
    """A plugin name is unknown, claimed by two distributions, or its code does not import.

    Stability: stable.
    """
