"""Plugin names -> classes, through entry points. A plugin is imported only when its name is used.

Listing reads installed metadata and nothing else: it imports no plugin and no torch. ``INTERESTLAB_PLUGINS``, names of
distributions with commas between them, limits it to what those bring.
"""

from __future__ import annotations

import difflib
import importlib
import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version

from interestlab.errors import PluginError
from interestlab.install_hints import distribution_of, library_hint

LIMIT = "INTERESTLAB_PLUGINS"
"""The environment variable that names the distributions whose plugins are seen; empty or unset: all."""


@dataclass(frozen=True)
class Registry:
    """The plugins of one kind.

    Args:
        kind: namespace and entry-point group, e.g. ``encoders``: group ``interestlab.encoders``.
        base: name of the kind's base class in :mod:`interestlab.contract`, kept as text so that listing needs no torch.
    """

    kind: str
    base: str
    _loaded: dict[type, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def group(self) -> str:
        """Entry-point group of this kind."""
        return f"interestlab.{self.kind}"

    @cached_property
    def _found(self) -> dict[str, list[EntryPoint]]:
        found: dict[str, list[EntryPoint]] = defaultdict(list)
        limit = limited_to()
        for ep in entry_points(group=self.group):
            if limit and not (ep.dist and normal(ep.dist.name) in limit):
                continue
            # One distribution can be seen twice (an editable install beside a build folder): the same claim counts once.
            if all(distribution(ep) != distribution(other) for other in found[ep.name]):
                found[ep.name].append(ep)
        return dict(found)

    def names(self) -> list[str]:
        """Every claimed name, sorted, whether or not its plugin imports."""
        return sorted(self._found)

    def entry_points(self, name: str) -> list[EntryPoint]:
        """All claims to ``name``: one when all is well."""
        return self._found.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._found

    def load(self, name: str) -> type:
        """Import the plugin called ``name`` and return its class.

        Raises:
            PluginError: the name is unknown, not an identifier, claimed by two distributions, does not import, or is
                not a subclass of the kind's base.
        """
        claims = self.entry_points(name)
        if not claims:
            bringer = distribution_of(self.kind, name)
            if bringer and not installed(bringer):
                raise PluginError(f"{self.group} plugin '{name}' is not installed: pip install {bringer}")
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            told = f"no {self.group} plugin is called '{name}'.{hint} Installed: {', '.join(self.names()) or 'none'}."
            raise PluginError(f"{told} {limit_note()}".rstrip())
        if not name.isidentifier():
            raise PluginError(
                f"plugin name '{name}' (from {distribution(claims[0])}) is not a Python identifier; rename its entry point."
            )
        if len(claims) > 1:
            who = " and ".join(f"{distribution(ep)} ({ep.value})" for ep in claims)
            raise PluginError(f"{self.group} name '{name}' is claimed by {who}; uninstall one, or give the class path instead.")
        (ep,) = claims
        try:
            cls = ep.load()
        except Exception as err:
            why = " ".join(f"{type(err).__name__}: {err}".split())  # some libraries explain an import over many lines
            raise PluginError(
                f"plugin '{name}' ({ep.value}, from {distribution(ep)}) does not import: {why}{library_hint(err)}"
            ) from err
        base = getattr(importlib.import_module("interestlab.contract"), self.base)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise PluginError(
                f"plugin '{name}' ({ep.value}, from {distribution(ep)}) is not a subclass of interestlab.contract.{self.base}."
            )
        self._loaded[cls] = name
        return cls

    def attribute(self, name: str) -> type:
        """:meth:`load` for a module's ``__getattr__``: an absent name is AttributeError, a broken one ImportError."""
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.load(name)
        except PluginError as err:
            raise (ImportError if name in self else AttributeError)(str(err)) from err

    def path(self, cls: type) -> str | None:
        """``interestlab.<kind>.<name>`` for a class loaded by name, else None."""
        name = self._loaded.get(cls)
        return name and f"{self.group}.{name}"


def distribution(ep: EntryPoint) -> str:
    """``name version`` of the distribution that brings an entry point."""
    return f"{ep.dist.name} {ep.dist.version}" if ep.dist else "an unknown distribution"


def normal(name: str) -> str:
    """The name of a distribution as it is compared: ``My_Plugin`` and ``my-plugin`` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def limited_to() -> list[str]:
    """Distributions that plugins are limited to; empty: there is no limit."""
    return [normal(name) for name in os.environ.get(LIMIT, "").split(",") if name.strip()]


def limit_note() -> str:
    """A sentence that says what plugins are limited to, and which of it is not installed; empty without a limit."""
    limit = limited_to()
    absent = [name for name in limit if not installed(name)]
    told = f", of which {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed" if absent else ""
    return f"{LIMIT} limits plugins to those of {', '.join(limit)}{told}." if limit else ""


def installed(name: str) -> bool:
    """Whether a distribution is."""
    try:
        return bool(version(name))
    except PackageNotFoundError:
        return False


ENCODERS = Registry("encoders", "Encoder")
FUSION = Registry("fusion", "FusionHead")
DYNAMICS = Registry("dynamics", "Dynamics")
OBJECTIVES = Registry("objectives", "Objective")
SOURCES = Registry("sources", "Source")

REGISTRIES = {registry.base: registry for registry in (ENCODERS, FUSION, DYNAMICS, OBJECTIVES, SOURCES)}
