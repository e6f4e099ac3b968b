"""Which modules a config or a checkpoint may name: a file from a stranger must not run code that nobody asked for."""

import os
import re

from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES

ALLOW = "INTERESTLAB_ALLOW"
"""The environment variable that names further modules, with commas between them."""

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
"""What the settings of a run are made of, beside the plugins."""

_LAMBDA = ("callbacks.LambdaCallback", "callbacks.lambda_function")
DENIED = ["*", *(f"{top}.{path}" for top in ("lightning.pytorch", "pytorch_lightning") for path in _LAMBDA)]
"""All else. A LambdaCallback calls whatever function its arguments name."""


_given: set[str] = set()  # jsonargparse remembers what it was given before, in one process


def restrict() -> None:
    """Let jsonargparse import what is trusted, what installed plugins bring and what the user allows; nothing else."""
    from jsonargparse import set_parsing_settings  # not above: `interestlab plugins` does not wait for it

    entries = [entry for kind in REGISTRIES.values() for name in kind.names() for entry in kind.entry_points(name)]
    now = allowed()
    set_parsing_settings(
        import_path_denylist=[*DENIED, *_given],
        import_path_allowlist=[*TRUSTED, *sorted({entry.module.partition(".")[0] for entry in entries}), *now],
        instantiate_subclass_spec_in_any=False,
    )
    _given.update(now)


def allowed() -> list[str]:
    """The modules that the user allows.

    Raises:
        PluginError: one is not the name of a module.
    """
    names = [name.strip() for name in os.environ.get(ALLOW, "").split(",") if name.strip()]
    for name in names:
        if not all(part.isidentifier() for part in name.split(".")) or name.partition(".")[0] == "jsonargparse":
            raise PluginError(f"'{name}' cannot be allowed; give {OPTION} or {ALLOW} the name of a module, such as my_parts.")
    return names


def taken(args: list[str]) -> list[str]:
    """A command line without :data:`OPTION`, which is kept in :data:`ALLOW`: no config can set it, and processes inherit it.

    Raises:
        PluginError: what is allowed is not the name of a module.
    """
    rest: list[str] = []
    names: list[str] = []
    given = iter(args)
    for arg in given:
        if arg == OPTION:
            names.append(next(given, ""))
        elif arg.startswith(f"{OPTION}="):
            names.append(arg.partition("=")[2])
        else:
            rest.append(arg)
    if names:
        os.environ[ALLOW] = ",".join([*filter(None, [os.environ.get(ALLOW)]), *names])
    allowed()
    return rest


def mended(message: str) -> str:
    """An error of jsonargparse; where it is about an import that is not allowed, one line that says how to allow it."""
    found = re.search(r"Importing '([\w.]+)' is not allowed", message)
    return refusal(found[1]) if found else message


def refusal(path: str) -> str:
    """What is said of a path that may not be imported."""
    if any(path == entry or path.startswith(f"{entry}.") for entry in DENIED[1:]):
        return f"{path} is named, which calls whatever function its arguments name, so no config may name it; write a callback."
    return (
        f"{path} is named, which is no part of interestlab, of its installed plugins or of Lightning's parts for configs, "
        f"so it is not imported; if you trust it, add {OPTION} {path.rpartition('.')[0]}, or set {ALLOW}."
    )
