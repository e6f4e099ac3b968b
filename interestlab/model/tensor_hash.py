"""Hash a tensor."""

import hashlib

import torch


def hash_tensor(tensor: torch.Tensor) -> str:
    """Hash the elements of a tensor.

    Args:
        tensor: tensor of any shape, dtype and device.

    Returns:
        The dtype and the SHA-256 of the bytes, with a space between them.
    """
    # A copy: FSDP frees sharded weights by resizing their storage, which torch refuses for memory that NumPy shares.
    data = tensor.detach().to("cpu", copy=True).contiguous().view(-1).view(torch.uint8).numpy().data
    return f"{dtype_name(tensor)} {hashlib.sha256(data).hexdigest()}"


def dtype_name(tensor: torch.Tensor) -> str:
    """Return the name of a tensor's dtype, such as ``float32``.

    Args:
        tensor: tensor of any shape.
    """
    return str(tensor.dtype).removeprefix("torch.")
