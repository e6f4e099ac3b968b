"""Which plugin a name means on the command line."""

from interestlab.errors import PluginError
from interestlab.registry import REGISTRIES, Registry, limit_note


def find(name: str) -> tuple[Registry, str]:
    """The registry that holds ``NAME`` or ``KIND.NAME``.

    Raises:
        PluginError: no kind holds it, or several do.
    """
    found, short = holders(name), name.rpartition(".")[2]
    if len(found) > 1:
        raise PluginError(f"'{name}' is the name of several kinds; say {' or '.join(f'{r.kind}.{short}' for r in found)}.")
    if not found:
        import difflib

        known = [n for r in REGISTRIES.values() for n in r.names()]
        near = difflib.get_close_matches(short, known, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise PluginError(f"no plugin is called '{name}'.{hint} `interestlab plugins` lists them. {limit_note()}".rstrip())
    return found[0], short


def holders(name: str) -> list[Registry]:
    """The registries that hold ``NAME`` or ``KIND.NAME``, the kind in the plural or, as for ``new``, in the singular."""
    from interestlab.scaffold import KINDS

    said, _, short = name.rpartition(".")
    return [kind.registry for kind in KINDS if short in kind.registry and said in ("", kind.word, kind.registry.kind)]
