"""Switch a module to evaluation mode for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """Run a block with a module in evaluation mode, and restore the mode of each submodule, also after an error.

    Args:
        module: the module; its submodules may be in different modes, such as a frozen one in evaluation mode.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, is_training in modes:
            part.training = is_training
