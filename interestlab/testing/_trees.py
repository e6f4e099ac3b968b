"""Nested tuples, lists and dicts of tensors: the inputs of a part, and the state of a dynamics."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from torch import Tensor


def leaves(tree: Any) -> Iterator[Any]:
    """Iterate over all leaves of ``tree`` from left to right."""
    if isinstance(tree, Mapping):
        tree = list(tree.values())
    if isinstance(tree, list | tuple):
        for branch in tree:
            yield from leaves(branch)
    else:
        yield tree


def map_tensors(fn: Callable[[Tensor], Tensor], tree: Any) -> Any:
    """Apply ``fn`` to each tensor of ``tree``; other leaves are unchanged."""
    if isinstance(tree, Tensor):
        return fn(tree)
    if isinstance(tree, Mapping):
        return {key: map_tensors(fn, branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        branches = [map_tensors(fn, branch) for branch in tree]
        return type(tree)(*branches) if hasattr(tree, "_fields") else type(tree)(branches)
    return tree


def structure(tree: Any) -> Any:
    """Return the containers of ``tree`` and the types of its leaves, for comparison."""
    if isinstance(tree, Mapping):
        return {key: structure(branch) for key, branch in tree.items()}
    if isinstance(tree, list | tuple):
        return [type(tree), *map(structure, tree)]
    return type(tree)
