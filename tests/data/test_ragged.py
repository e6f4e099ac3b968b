"""Ragged arrays are read as written, padded with zeros."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.data.ragged import RaggedArray, allocate, write

LENGTHS = st.lists(st.integers(0, 6), max_size=9)
SHAPES = st.sampled_from([(), (1,), (3,), (2, 2)])


@st.composite
def lengths_and_codes(draw, lengths=LENGTHS):
    """Sample lengths of values, and codes of some of them in any order."""
    sampled = draw(lengths)
    codes = draw(st.permutations(range(len(sampled))))
    return np.array(sampled, np.int64), np.array(codes[: draw(st.integers(0, len(codes)))], np.int64)


def random_rows(lengths, shape, dtype=np.float32):
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((length, *shape)) * 1000).astype(dtype) for length in lengths]


def padded(rows, shape, dtype):
    """Return the rows padded with zeros, as they are expected to be read."""
    out = np.zeros((len(rows), max(map(len, rows), default=0), *shape), dtype)
    for padded_row, row in zip(out, rows, strict=True):
        padded_row[: len(row)] = row
    return torch.from_numpy(out)


@settings(deadline=None)
@given(lengths_and_codes(), SHAPES, st.sampled_from([np.int32, np.int64, np.float32, np.int16]), st.integers(1, 4))
def test_written_rows_are_read_back(chosen, shape, dtype, size):
    lengths, codes = chosen
    rows = random_rows(lengths, shape, dtype)
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), (rows[i : i + size] for i in range(0, len(rows), size)))
        array = RaggedArray(Path(folder))
        assert array.lengths.tolist() == lengths.tolist()
        inputs = array.inputs(codes)
    assert inputs.lengths.tolist() == lengths[codes].tolist()
    assert inputs.lengths.dtype == torch.int64
    row_shape = shape if len(rows) else ()  # without values the shape is unknown
    assert torch.equal(inputs.values, padded([rows[c] for c in codes], row_shape, dtype if len(rows) else np.int32))


@settings(deadline=None)
@given(
    lengths_and_codes(), SHAPES, st.sampled_from(["float32", "bfloat16"]), st.integers(1, 4), st.randoms(use_true_random=False)
)
def test_rows_filled_in_any_order_are_read_back(chosen, shape, dtype, size, random):
    lengths, codes = chosen
    rows = random_rows(lengths, shape)
    order = list(range(len(rows)))
    random.shuffle(order)
    with tempfile.TemporaryDirectory() as folder:
        array = allocate(Path(folder), lengths, shape, dtype)
        for first in range(0, len(order), size):
            part = np.array(order[first : first + size], np.int64)
            values = padded([rows[c] for c in part], shape, np.float32)
            values[~(torch.arange(values.shape[1]) < torch.from_numpy(lengths[part])[:, None])] = 7.0  # padding is not stored
            array.fill(part, values)
        array.flush()
        inputs = RaggedArray(Path(folder)).inputs(codes)
    expected = padded([rows[c] for c in codes], shape, np.float32).to(getattr(torch, dtype))
    assert inputs.values.dtype == expected.dtype
    assert torch.equal(inputs.values, expected)
    assert torch.equal(inputs.mask, torch.arange(inputs.values.shape[1]) < inputs.lengths[:, None])


@pytest.mark.parametrize("source_dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("stored_dtype", ["float32", "bfloat16"])
def test_values_of_any_precision_are_converted_to_the_stored_one(tmp_path, source_dtype, stored_dtype):
    values = torch.linspace(-2, 2, 12).view(2, 3, 2).to(source_dtype)
    array = allocate(tmp_path, np.array([3, 2]), (2,), stored_dtype)
    array.fill(np.array([0, 1]), values)
    stored = array.inputs(np.array([0, 1])).values
    assert stored.dtype == getattr(torch, stored_dtype)
    values[1, 2] = 0
    torch.testing.assert_close(stored.double(), values.double(), rtol=1e-6 if stored_dtype == "float32" else 1e-2, atol=1e-7)


@pytest.mark.parametrize(("dtype", "width"), [("float32", 4), ("bfloat16", 2)])
def test_file_size(tmp_path, dtype, width):
    allocate(tmp_path, np.array([3, 0, 4]), (5,), dtype)
    assert (tmp_path / "data.bin").stat().st_size == 7 * 5 * width


@pytest.mark.parametrize("lengths", [[], [0], [0, 0]])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_empty_arrays(tmp_path, lengths, dtype):
    array = allocate(tmp_path, np.array(lengths, np.int64), (4,), dtype)
    codes = np.arange(len(lengths))
    array.fill(codes, torch.zeros(len(lengths), 0, 4))
    array.flush()
    inputs = RaggedArray(tmp_path).inputs(codes)
    assert inputs.values.shape == (len(lengths), 0, 4)
    assert inputs.lengths.tolist() == lengths


def test_arrays_are_read_only(tmp_path):
    allocate(tmp_path, np.array([2]), (), "float32")
    with pytest.raises(ValueError, match="read-only"):
        RaggedArray(tmp_path).fill(np.array([0]), torch.ones(1, 2))
