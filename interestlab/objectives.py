"""Installed objectives by name: ``interestlab.objectives.NAME`` imports that one plugin (PEP 562)."""

from interestlab.registry import OBJECTIVES as _registry


def __getattr__(name: str) -> type:
    return _registry.attribute(name)


def __dir__() -> list[str]:
    return _registry.names()
