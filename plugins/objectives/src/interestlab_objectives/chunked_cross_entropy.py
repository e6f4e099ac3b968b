"""Softmax cross-entropy over a large catalogue in chunks, without storing all logits.

The gradients of a softmax need the logits only row by row. They are therefore computed in the forward pass, while a chunk of
logits is still in the cache; the backward pass only scales them. Liger Kernel (Hsu et al. 2024, arXiv 2410.10989) and Cut
Cross-Entropy (Wijmans et al. 2024, arXiv 2411.09009) use the same idea; this is a version in plain PyTorch.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

SAFE_LOGIT = 40.0
"""Largest absolute logit whose exponential needs no shift: in float32 neither exp(±40) nor a sum of 10⁹ of them overflows
or underflows."""


def chunked_cross_entropy(
    z: Tensor,
    vectors: Tensor,
    targets: Tensor,
    bias: Tensor | None = None,
    *,
    scale: float = 1.0,
    chunk_elements: int = 2**22,
) -> Tensor:
    """Compute the mean of ``-log softmax(scale · z @ vectors.T + bias)[target]`` over M rows.

    The computation is in float32 or wider, also under autocast, because rounded logits bias the loss. Only first derivatives
    are supported.

    Args:
        z: ``[M, D]`` queries.
        vectors: ``[C, D]`` candidates.
        targets: ``[M]`` int64 index of the correct candidate of each row, from 0 to C - 1.
        bias: ``[C]`` bias of the logits; receives no gradient.
        scale: factor of the dot products, an inverse temperature.
        chunk_elements: logits in memory at once. The minimum is the number of elements of ``vectors``: with smaller chunks,
            the gradients would cause more memory traffic than the logits.

    Returns:
        scalar, float32, or float64 for float64 inputs; 0 if M is 0.
    """
    dtype = torch.promote_types(torch.promote_types(z.dtype, vectors.dtype), torch.float32)
    grad = torch.is_grad_enabled()
    with torch.autocast(z.device.type, enabled=False):
        return _ChunkedCrossEntropy.apply(  # type: ignore[no-untyped-call]
            z.to(dtype),
            vectors.to(dtype),
            targets,
            bias if bias is None else bias.detach().to(dtype),
            scale,
            max(chunk_elements // max(len(vectors), 1), z.shape[1]),
            (grad and z.requires_grad, grad and vectors.requires_grad),
        )


class _ChunkedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: FunctionCtx,
        z: Tensor,
        vectors: Tensor,
        targets: Tensor,
        bias: Tensor | None,
        scale: float,
        rows: int,
        needs: tuple[bool, bool],
    ) -> Tensor:
        z = z * scale
        grad_z = torch.empty_like(z) if needs[0] else None
        grad_vectors = torch.zeros_like(vectors) if needs[1] else None
        buffer = z.new_empty(min(rows, len(z)), len(vectors))
        needs_no_shift = _largest_logit(z, vectors, bias) < SAFE_LOGIT
        loss = z.new_zeros(())

        for start in range(0, len(z), rows):
            chunk = slice(start, start + rows)
            query = z[chunk]
            logits = buffer[: len(query)]
            if bias is None:
                torch.mm(query, vectors.T, out=logits)
            else:
                torch.addmm(bias, query, vectors.T, out=logits)
            loss -= logits.gather(1, targets[chunk, None]).sum()
            if not needs_no_shift:
                top = logits.amax(1, keepdim=True)
                loss += top.sum()
                logits.sub_(top)
            weights = logits.exp_()
            total = weights.sum(1, keepdim=True)
            loss += total.log().sum()
            # Dividing the narrow factor of each product by the total saves a pass over the wide factor.
            if grad_z is not None:
                torch.mm(weights, vectors, out=grad_z[chunk]).div_(total)
            if grad_vectors is not None:
                grad_vectors.addmm_(weights.T, query / total)

        mean = 1 / max(len(z), 1)
        if grad_z is not None:
            grad_z.sub_(vectors[targets]).mul_(scale * mean)
        if grad_vectors is not None:
            grad_vectors.index_add_(0, targets, z, alpha=-1).mul_(mean)
        ctx.grads = grad_z, grad_vectors  # type: ignore[attr-defined]
        return loss * mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_loss: Tensor) -> tuple[Tensor | None, ...]:
        grads = (None if grad is None else grad * grad_loss for grad in ctx.grads)
        return *grads, None, None, None, None, None


def _largest_logit(z: Tensor, vectors: Tensor, bias: Tensor | None) -> float:
    """Return an upper bound of the absolute logits (Cauchy-Schwarz); two cheap norms can save two passes over the logits."""
    if not (len(z) and len(vectors)):
        return 0.0
    bound = z.norm(dim=1).max() * vectors.norm(dim=1).max()
    return float(bound if bias is None else bound + bias.abs().max())
