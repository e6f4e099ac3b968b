"""Find plugins by name, through entry points. A plugin is imported only when its name is used.

Listing reads only the metadata of installed distributions: it imports no plugin and no torch. ``INTERESTLAB_PLUGINS``, names of
distributions separated by commas, limits the plugins to theirs.
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
"""Environment variable with the distributions whose plugins may be used; empty or unset: all."""


@dataclass(frozen=True)
class Registry:
    """The plugins of one kind.

    Args:
        kind: namespace and last part of the entry-point group, e.g. ``encoders`` for ``interestlab.encoders``.
        base: name of the base class in :mod:`interestlab.contract`, as text so that listing needs no torch.
    """

    kind: str
    base: str
    _loaded: dict[type, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def group(self) -> str:
        """Return the entry-point group of this kind."""
        return f"interestlab.{self.kind}"

    @cached_property
    def _claims(self) -> dict[str, list[EntryPoint]]:
        claims: dict[str, list[EntryPoint]] = defaultdict(list)
        limit = allowed_distributions()
        for ep in entry_points(group=self.group):
            if limit and not (ep.dist and normalise(ep.dist.name) in limit):
                continue
            # A distribution may be listed twice (an editable install beside a build folder): the same claim counts once.
            if all(distribution(ep) != distribution(other) for other in claims[ep.name]):
                claims[ep.name].append(ep)
        return dict(claims)

    def names(self) -> list[str]:
        """Return every name, sorted, whether or not its plugin imports."""
        return sorted(self._claims)

    def entry_points(self, name: str) -> list[EntryPoint]:
        """Return the entry points of a name: one, unless two distributions claim it.

        Args:
            name: of a plugin.
        """
        return self._claims.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._claims

    def load(self, name: str) -> type:
        """Import a plugin and return its class.

        Args:
            name: of the plugin.

        Raises:
            PluginError: the name is unknown, is not an identifier or is claimed by two distributions; or the plugin does not
                import, or is not a subclass of the base class of its kind.
        """
        claims = self.entry_points(name)
        if not claims:
            absent = distribution_of(self.kind, name)
            if absent and not is_installed(absent):
                raise PluginError(f"{self.group} plugin '{name}' is not installed: pip install {absent}")
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            message = f"no {self.group} plugin is called '{name}'.{hint} Installed: {', '.join(self.names()) or 'none'}."
            raise PluginError(f"{message} {limit_note()}".rstrip())
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
            why = " ".join(f"{type(err).__name__}: {err}".split())  # some libraries write many lines
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
        """Return a plugin for ``__getattr__`` of a namespace.

        Args:
            name: of the plugin.

        Raises:
            AttributeError: there is no such plugin.
            ImportError: it does not import.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.load(name)
        except PluginError as err:
            raise (ImportError if name in self else AttributeError)(str(err)) from err

    def path(self, cls: type) -> str | None:
        """Return ``interestlab.KIND.NAME`` for a class that was loaded by name, or None.

        Args:
            cls: class of a plugin.
        """
        name = self._loaded.get(cls)
        return name and f"{self.group}.{name}"


def distribution(ep: EntryPoint) -> str:
    """Return name and version of the distribution of an entry point.

    Args:
        ep: the entry point.
    """
    return f"{ep.dist.name} {ep.dist.version}" if ep.dist else "an unknown distribution"


def normalise(name: str) -> str:
    """Return the normalised name of a distribution: ``My_Plugin`` and ``my-plugin`` are the same.

    Args:
        name: of the distribution.
    """
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def allowed_distributions() -> list[str]:
    """Return the distributions that plugins are limited to; empty without a limit."""
    return [normalise(name) for name in os.environ.get(LIMIT, "").split(",") if name.strip()]


def limit_note() -> str:
    """Return a sentence about the limit on plugins, with the distributions that are not installed; empty without a limit."""
    limit = allowed_distributions()
    absent = [name for name in limit if not is_installed(name)]
    note = f", of which {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed" if absent else ""
    return f"{LIMIT} limits plugins to those of {', '.join(limit)}{note}." if limit else ""


def is_installed(name: str) -> bool:
    """Return whether a distribution is installed.

    Args:
        name: of the distribution.
    """
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
