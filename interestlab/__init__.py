"""interestlab: how shoppers' interests migrate and evolve, learnt from what they write and what they do.

Importing this package imports no plugin and no torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from interestlab.inference.load import load

__all__ = ["load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name == "load":
        from interestlab.inference.load import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
