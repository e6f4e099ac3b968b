"""Map plugin names to classes through entry points, importing a plugin only when its name is used.

Listing reads installed metadata only: it imports neither a plugin nor torch. ``INTERESTLAB_PLUGINS``, a comma-separated list of
distributions, restricts the listing to their plugins.
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
from interestlab.install_hints import DISTRIBUTIONS, library_hint

LIMIT = "INTERESTLAB_PLUGINS"
"""Environment variable with the distributions whose plugins are visible; empty or unset: all."""


@dataclass(frozen=True)
class Registry:
    """The plugins of one kind.

    Args:
        kind: namespace and end of the entry-point group: ``encoders`` for ``interestlab.encoders``.
        base: name of the kind's base class in :mod:`interestlab.contract`, as text so that listing needs no torch.
    """

    kind: str
    base: str
    _loaded: dict[type, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def group(self) -> str:
        """Entry-point group of this kind."""
        return f"interestlab.{self.kind}"

    @cached_property
    def _claims(self) -> dict[str, list[EntryPoint]]:
        claims: dict[str, list[EntryPoint]] = defaultdict(list)
        limit = _visible_distributions()
        for ep in entry_points(group=self.group):
            if limit and not (ep.dist and _canonical(ep.dist.name) in limit):
                continue
            # An editable install next to a build folder lists a distribution twice; the same claim counts once.
            if all(distribution(ep) != distribution(other) for other in claims[ep.name]):
                claims[ep.name].append(ep)
        return dict(claims)

    def names(self) -> list[str]:
        """Return every claimed name, sorted, whether or not its plugin imports."""
        return sorted(self._claims)

    def entry_points(self, name: str) -> list[EntryPoint]:
        """Return all entry points with a name.

        Args:
            name: name of a plugin.

        Returns:
            One entry point, several if distributions compete for the name, or none.
        """
        return self._claims.get(name, [])

    def __contains__(self, name: str) -> bool:
        return name in self._claims

    def load(self, name: str) -> type:
        """Import a plugin.

        Args:
            name: name of the plugin.

        Returns:
            The plugin's class.

        Raises:
            PluginError: the name is unknown, not an identifier, or claimed by two distributions; or the plugin does not
                import or is not a subclass of the kind's base.
        """
        ep = self._only_claim(name)
        plugin = f"plugin '{name}' ({ep.value}, from {distribution(ep)})"
        try:
            cls = ep.load()
        except Exception as err:
            reason = " ".join(f"{type(err).__name__}: {err}".split())  # some libraries explain an import over many lines
            raise PluginError(f"{plugin} does not import: {reason}{library_hint(err)}") from err
        base = getattr(importlib.import_module("interestlab.contract"), self.base)
        if not (isinstance(cls, type) and issubclass(cls, base)):
            raise PluginError(f"{plugin} is not a subclass of interestlab.contract.{self.base}.")
        self._loaded[cls] = name
        return cls

    def _only_claim(self, name: str) -> EntryPoint:
        claims = self.entry_points(name)
        if not claims:
            package = DISTRIBUTIONS.get(self.kind)
            if package and not _is_installed(package):
                raise PluginError(
                    f"no {self.group} plugin is called '{name}', and {package}, which provides those of the project, "
                    f"is not installed: pip install {package}"
                )
            similar = difflib.get_close_matches(name, self.names(), n=1)
            hint = f" Did you mean '{similar[0]}'?" if similar else ""
            message = f"no {self.group} plugin is called '{name}'.{hint} Installed: {', '.join(self.names()) or 'none'}."
            raise PluginError(f"{message} {limit_note()}".rstrip())
        if not name.isidentifier():
            raise PluginError(
                f"plugin name '{name}' (from {distribution(claims[0])}) is not a Python identifier; rename its entry point."
            )
        if len(claims) > 1:
            rivals = " and ".join(f"{distribution(ep)} ({ep.value})" for ep in claims)
            raise PluginError(
                f"{self.group} name '{name}' is claimed by {rivals}; uninstall one, or give the class path instead."
            )
        return claims[0]

    def attribute(self, name: str) -> type:
        """Load a plugin as a module's ``__getattr__`` must: with the errors of an attribute and of an import.

        Args:
            name: name of the plugin.

        Returns:
            The plugin's class.

        Raises:
            AttributeError: there is no such plugin.
            ImportError: the plugin exists but cannot be loaded.
        """
        if name.startswith("__"):
            raise AttributeError(name)
        try:
            return self.load(name)
        except PluginError as err:
            raise (ImportError if name in self else AttributeError)(str(err)) from err

    def path(self, cls: type) -> str | None:
        """Return the import path of a plugin in the kind's namespace.

        Args:
            cls: class of the plugin.

        Returns:
            ``interestlab.<kind>.<name>`` for a class that was loaded by name, else None.
        """
        name = self._loaded.get(cls)
        return name and f"{self.group}.{name}"


def distribution(ep: EntryPoint) -> str:
    """Return the name and version of the distribution that provides an entry point.

    Args:
        ep: the entry point.
    """
    return f"{ep.dist.name} {ep.dist.version}" if ep.dist else "an unknown distribution"


def limit_note() -> str:
    """Return a sentence that names the visible distributions, and which of them are not installed; empty without a limit."""
    limit = _visible_distributions()
    absent = [name for name in limit if not _is_installed(name)]
    addition = f", of which {', '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed" if absent else ""
    return f"{LIMIT} limits plugins to those of {', '.join(limit)}{addition}." if limit else ""


def _visible_distributions() -> list[str]:
    """Return the distributions that :data:`LIMIT` names; an empty list means no limit."""
    return [_canonical(name) for name in os.environ.get(LIMIT, "").split(",") if name.strip()]


def _canonical(name: str) -> str:
    """Return a distribution's name in the form that is compared: ``My_Plugin`` and ``my-plugin`` are one."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def _is_installed(name: str) -> bool:
    """Return whether a distribution is installed."""
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
