"""Find the plugin that a name on the command line refers to, whatever its kind."""

import difflib

from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES, Registry, limit_note


def find(name: str) -> tuple[Registry, str]:
    """Return the registry of a plugin, and the plugin's name in it.

    Args:
        name: ``NAME`` or ``KIND.NAME``.

    Raises:
        PluginError: no kind has the name, or several do.
    """
    matches, short = registries_with(name), name.rpartition(".")[2]
    if len(matches) > 1:
        raise PluginError(f"several kinds have a '{name}'; write {' or '.join(f'{r.kind}.{short}' for r in matches)}.")
    if not matches:
        known = [n for r in REGISTRIES.values() for n in r.names()]
        near = difflib.get_close_matches(short, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise PluginError(f"no plugin is called '{name}'.{hint} `interestlab plugins` lists them. {limit_note()}".rstrip())
    return matches[0], short


def registries_with(name: str) -> list[Registry]:
    """Return the registries that have a plugin.

    Args:
        name: ``NAME`` or ``KIND.NAME``, the kind in the plural or in the singular: ``encoders.id`` or ``encoder.id``.
    """
    kind, _, short = name.rpartition(".")
    registries = REGISTRIES.values()
    return [r for r in registries if short in r and kind in ("", r.kind, r.kind.removesuffix("s"))]
