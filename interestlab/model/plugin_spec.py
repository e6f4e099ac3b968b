"""Build a plugin from its spec."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from jsonargparse import ArgumentParser

from interestlab.config import import_policy
from interestlab.contract import Plugin
from interestlab.errors import PluginError

PluginT = TypeVar("PluginT", bound=Plugin)


def build_plugin(spec: Mapping[str, Any], base: Callable[..., PluginT]) -> PluginT:
    """Build a plugin from the plain values that :attr:`interestlab.contract.Plugin.spec` returns.

    Args:
        spec: ``{"class_path": ..., "init_args": {...}}``.
        base: the base class of its kind.

    Raises:
        PluginError: the class cannot be imported or may not be, or the arguments do not fit.
    """
    import_policy.restrict()
    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(cast(type, base), "plugin", fail_untyped=False)
    try:
        return cast(PluginT, parser.instantiate_classes(parser.parse_object({"plugin": dict(spec)}))["plugin"])
    except Exception as err:  # whatever a spec from elsewhere makes jsonargparse or the plugin raise
        raise PluginError(f"{spec.get('class_path')} cannot be built: {' '.join(str(err).split())}") from err
