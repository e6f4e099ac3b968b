import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from interestlab_objectives.chunked_cross_entropy import chunked_cross_entropy


def random_inputs(rows, candidates, dim, dtype=torch.float32, size=1.0):
    z = (torch.randn(rows, dim, dtype=dtype) * size).requires_grad_()
    vectors = (torch.randn(candidates, dim, dtype=dtype) * size).requires_grad_()
    return z, vectors, torch.randint(candidates, (rows,)), torch.randn(candidates, dtype=dtype)


def reference(z, vectors, targets, bias=None, scale=1.0):
    logits = scale * z @ vectors.T
    return F.cross_entropy(logits if bias is None else logits + bias, targets)


@settings(deadline=None)
@given(
    rows=st.integers(1, 12),
    candidates=st.integers(1, 15),
    dim=st.integers(1, 6),
    chunk_elements=st.integers(1, 100),
    scale=st.sampled_from([0.3, 1.0, 14.0]),
    size=st.sampled_from([0.1, 1.0, 30.0]),
    biased=st.booleans(),
    seed=st.integers(0, 99),
)
def test_equals_cross_entropy(rows, candidates, dim, chunk_elements, scale, size, biased, seed):
    torch.manual_seed(seed)
    z, vectors, targets, bias = random_inputs(rows, candidates, dim, torch.float64, size)
    bias = bias if biased else None
    loss = chunked_cross_entropy(z, vectors, targets, bias, scale=scale, chunk_elements=chunk_elements)
    expected = reference(z, vectors, targets, bias, scale)
    torch.testing.assert_close(loss, expected)
    for grad, expected_grad in zip(
        torch.autograd.grad(loss, (z, vectors)), torch.autograd.grad(expected, (z, vectors)), strict=True
    ):
        torch.testing.assert_close(grad, expected_grad)


@pytest.mark.parametrize("size", [0.5, 20.0], ids=["bounded logits", "large logits"])
def test_gradcheck(size):
    z, vectors, targets, bias = random_inputs(7, 5, 2, torch.float64, size)
    assert torch.autograd.gradcheck(
        lambda z, v: chunked_cross_entropy(z, v, targets, bias, scale=0.7, chunk_elements=10), (z, vectors), atol=1e-4
    )


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e4])
def test_extreme_logits_stay_finite(size):
    z, vectors, targets, _ = random_inputs(50, 200, 8, size=size)
    loss = chunked_cross_entropy(z, vectors, targets, scale=14, chunk_elements=1000)
    loss.backward()
    torch.testing.assert_close(loss, reference(z.double(), vectors.double(), targets, scale=14).float(), rtol=1e-4, atol=0)
    assert z.grad.isfinite().all()
    assert vectors.grad.isfinite().all()


@pytest.mark.parametrize("frozen", [0, 1])
def test_either_side_can_be_frozen(frozen):
    parts = random_inputs(6, 9, 3)
    expected = torch.autograd.grad(reference(*parts[:3]), parts[1 - frozen])[0]
    parts[frozen].requires_grad_(False)
    chunked_cross_entropy(*parts[:3]).backward()
    assert parts[frozen].grad is None
    torch.testing.assert_close(parts[1 - frozen].grad, expected)


def test_without_gradients_only_the_loss_is_computed():
    z, vectors, targets, bias = random_inputs(6, 9, 3)
    with torch.no_grad():
        loss = chunked_cross_entropy(z, vectors, targets, bias)
    assert not loss.requires_grad
    torch.testing.assert_close(loss, reference(z, vectors, targets, bias).detach())


def test_upstream_gradient_scales_both_gradients():
    z, vectors, targets, _ = random_inputs(6, 9, 3)
    loss = chunked_cross_entropy(z, vectors, targets)
    once = torch.autograd.grad(loss, (z, vectors), retain_graph=True)
    thrice = torch.autograd.grad(3 * loss, (z, vectors))
    for a, b in zip(once, thrice, strict=True):
        torch.testing.assert_close(3 * a, b)


def test_no_rows_give_zero_loss_and_gradient():
    z, vectors, targets, _ = random_inputs(0, 9, 3)
    loss = chunked_cross_entropy(z, vectors, targets)
    loss.backward()
    assert loss.item() == 0
    assert not vectors.grad.any()


def test_autocast_computes_in_float32():
    z, vectors, targets, bias = random_inputs(40, 100, 16)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = chunked_cross_entropy(z, vectors, targets, bias, scale=3)
    assert torch.equal(loss, chunked_cross_entropy(z, vectors, targets, bias, scale=3))
    assert loss.dtype == torch.float32


def test_bfloat16_inputs_get_bfloat16_gradients():
    z, vectors, targets, _ = random_inputs(5, 9, 4, torch.bfloat16)
    loss = chunked_cross_entropy(z, vectors, targets)
    loss.backward()
    assert loss.dtype == torch.float32
    assert z.grad.dtype == vectors.grad.dtype == torch.bfloat16


def test_no_tensor_exceeds_the_chunk_size():
    z, vectors, targets, _ = random_inputs(2000, 3000, 4)
    largest = 0

    class Largest(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            if isinstance(out, torch.Tensor):
                largest = max(largest, out.numel())
            return out

    with Largest():
        chunked_cross_entropy(z, vectors, targets, chunk_elements=30_000).backward()
    assert largest <= 30_000
