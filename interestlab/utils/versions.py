"""Versions of Python, of the libraries and of the distributions that provide plugins."""

import platform
from collections.abc import Iterable
from importlib.metadata import version

from interestlab.registry import REGISTRIES

RUN_PACKAGES = ("interestlab", "torch", "lightning", "torchmetrics", "jsonargparse", "polars", "numpy")
"""Packages that can change what a run computes."""


def package_versions(packages: Iterable[str]) -> dict[str, str]:
    """Return the version of Python and of installed packages.

    Args:
        packages: names of distributions.

    Returns:
        Version by name, ``python`` first.

    Raises:
        importlib.metadata.PackageNotFoundError: a package is not installed.
    """
    return {"python": platform.python_version()} | {name: version(name) for name in packages}


def run_versions() -> dict[str, str]:
    """Return the versions that a run depends on: :data:`RUN_PACKAGES` and every distribution that provides a plugin.

    Returns:
        Version by name, ``python`` first.
    """
    plugins = {ep.dist.name for r in REGISTRIES.values() for name in r.names() for ep in r.entry_points(name) if ep.dist}
    return package_versions((*RUN_PACKAGES, *sorted(plugins)))
