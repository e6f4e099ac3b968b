"""Limit the modules that a config or a checkpoint may name: a file from a stranger must not run code on its own."""

import os
import re

from interestlab.config.arguments import extract
from interestlab.config.logs import plugin_modules
from interestlab.errors import DataError, PluginError

ALLOW = "INTERESTLAB_ALLOW"
"""Environment variable with the names of further modules, separated by commas."""

OPTION = "--allow_import"

_LIGHTNING = ("callbacks", "loggers", "strategies", "profilers", "plugins", "accelerators", "cli.instantiate_module")
TRUSTED = (
    "interestlab",
    *(f"{top}.{part}" for top in ("lightning.pytorch", "pytorch_lightning") for part in _LIGHTNING),
    *(f"{top}.{part}" for top in ("lightning.fabric", "lightning_fabric") for part in ("plugins", "accelerators")),
    "torch.nn",
    "torch.optim",
    "torch.distributed.fsdp",
)
"""Modules that every config may name, besides those of the installed plugins."""

_LAMBDA = ("callbacks.LambdaCallback", "callbacks.lambda_function")
DENIED = ["*", *(f"{top}.{path}" for top in ("lightning.pytorch", "pytorch_lightning") for path in _LAMBDA)]
"""Everything else. A LambdaCallback calls any function that its arguments name."""


_allowed_before: set[str] = set()  # jsonargparse remembers earlier calls of one process


def restrict() -> None:
    """Let jsonargparse import only trusted modules, those of installed plugins and those that the user allows."""
    from jsonargparse import set_parsing_settings  # not at the top: `interestlab plugins` starts without it

    modules = allowed()
    set_parsing_settings(
        import_path_denylist=[*DENIED, *_allowed_before],
        import_path_allowlist=[*TRUSTED, *plugin_modules(), *modules],
        instantiate_subclass_spec_in_any=False,
    )
    _allowed_before.update(modules)


def is_allowed(path: str) -> bool:
    """Return whether a config may name a class path. The longest matching entry decides, as in jsonargparse.

    Args:
        path: the class path.
    """
    entries = dict.fromkeys((*TRUSTED, *plugin_modules(), *allowed()), True) | dict.fromkeys(DENIED, False)
    parts = path.split(".")
    prefixes = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((entries[prefix] for prefix in prefixes if prefix in entries), False)


def allowed() -> list[str]:
    """Return the modules that the user allows.

    Raises:
        PluginError: one is not the name of a module.
    """
    names = [name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip()]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")) or name.partition(".")[0] == "jsonargparse":
            raise PluginError(f"'{name}' cannot be allowed; give {OPTION} or {ALLOW} the name of a module, such as my_parts.")
    return names


def take_option(args: list[str]) -> list[str]:
    """Move :data:`OPTION` from a command line to :data:`ALLOW`: no config can set it, and child processes inherit it.

    Args:
        args: the command line.

    Returns:
        The rest of the command line.

    Raises:
        PluginError: its value is not the name of a module.
    """
    try:
        pairs, rest = extract(args, {OPTION})
    except DataError as err:
        raise PluginError(str(err)) from err
    if pairs:
        os.environ[ALLOW] = ",".join([*filter(None, [os.environ.get(ALLOW)]), *(value for _, value in pairs)])
    allowed()
    return rest


def explain(message: str) -> str:
    """Return an error of jsonargparse; for one about a denied import, a line that says how to allow it.

    Args:
        message: the error message.
    """
    match = re.search(r"Importing '([\w.]+)' is not allowed", message)
    return refusal(match[1]) if match else message


def refusal(path: str) -> str:
    """Return the error message for a class path that a config may not name.

    Args:
        path: the class path.
    """
    if any(path == entry or path.startswith(f"{entry}.") for entry in DENIED[1:]):
        return f"{path} calls any function that its arguments name, so no config may name it; write a callback instead."
    return (
        f"{path} is not part of interestlab, its installed plugins or Lightning's configurable parts, so it is not imported; "
        f"if you trust it, add {OPTION} {path.rpartition('.')[0]}, or set {ALLOW}."
    )
