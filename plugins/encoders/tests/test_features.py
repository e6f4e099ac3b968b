from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.errors import DataError
from interestlab.testing import EncoderTests, pad_rows
from interestlab_encoders import vector_file
from interestlab_encoders.features import Features

KEYS = ["b", "a", "红", "d"]
VECTORS = np.array([[1, 2, 3], [4, 5, 6], [-1, 0, 1], [9, 9, 9]], np.float32)


@pytest.fixture
def files(tmp_path):
    """The same vectors in every file format, by name."""
    frame = pl.DataFrame({"item_id": KEYS, "vector": VECTORS.tolist()})
    formats = {
        "list": frame,
        "array": frame.with_columns(pl.col("vector").cast(pl.Array(pl.Float64, 3))),
        "columns": pl.DataFrame({"x": VECTORS[:, 0], "item_id": KEYS, "y": VECTORS[:, 1], "z": VECTORS[:, 2]}),
        "mixed": pl.DataFrame({"item_id": KEYS, "x": VECTORS[:, 0].astype(int), "rest": VECTORS[:, 1:].tolist()}),
    }
    for name, frame in formats.items():
        frame.write_parquet(tmp_path / f"{name}.parquet")
    np.save(tmp_path / "npy.npy", VECTORS.astype(np.float16))
    (tmp_path / "npy.keys").write_text("\n".join(KEYS) + "\n", "utf-8")
    return {name: str(tmp_path / f"{name}.parquet") for name in formats} | {"npy": str(tmp_path / "npy.npy")}


FORMATS = ["list", "array", "columns", "mixed", "npy"]


class FeaturesTests(EncoderTests):
    plugin = Features
    values = ("a", "", "红", "nobody", "b")
    extra_args: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _file(self, files):
        self.file = files[self.format]

    @property
    def init_args(self):
        return {"file": self.file} | self.extra_args


class TestLists(FeaturesTests):
    format = "list"


class TestColumns(FeaturesTests):
    format = "columns"
    extra_args: ClassVar = {"field": "event.clip", "columns": ["z", "x"], "standardize": True}


class TestNpy(FeaturesTests):
    format = "npy"


def encode(encoder, *values):
    encoder.build({}, dim=8)
    return encoder(pad_rows(encoder.preprocess(values))).numpy()


@pytest.mark.parametrize("format", FORMATS)
def test_every_format_gives_the_same_vectors(files, format):
    encoder = Features(files[format])
    assert encoder.out_dim == 3
    assert not list(encoder.parameters())
    assert encode(encoder, "a", "红", "b", "a").tolist() == VECTORS[[1, 2, 0, 1]].tolist()


def test_a_value_without_a_vector_is_missing(files):
    row, missing = Features(files["list"]).preprocess(["a", "nobody"])
    assert (row.shape, missing.shape) == ((1, 3), (0, 3))
    assert row.dtype == missing.dtype == np.float32


def test_columns_option(files):
    assert encode(Features(files["columns"], columns=["z", "x"]), "a").tolist() == [[6, 4]]
    assert encode(Features(files["mixed"], columns=["rest"]), "a").tolist() == [[5, 6]]


def test_keys_are_compared_as_text(tmp_path):
    pl.DataFrame({"id": [7, 8], "v": [[1.0], [2.0]]}).write_parquet(tmp_path / "v.parquet")
    assert encode(Features(str(tmp_path / "v.parquet"), key="id"), "8", "7").tolist() == [[2], [1]]


def test_null_rows_have_no_vector(tmp_path):
    pl.DataFrame({"item_id": ["a", "b"], "v": [None, [2.0]]}).write_parquet(tmp_path / "v.parquet")
    assert [len(row) for row in Features(str(tmp_path / "v.parquet")).preprocess(["a", "b"])] == [0, 1]


@pytest.mark.parametrize("format", ["list", "npy"])
def test_standardize(files, format, monkeypatch):
    monkeypatch.setattr(vector_file, "CHUNK", 3)
    actual = encode(Features(files[format], standardize=True), *KEYS)
    np.testing.assert_allclose(actual, (VECTORS - VECTORS.mean(0)) / VECTORS.std(0), atol=1e-6)


def test_a_constant_dimension_becomes_zero(tmp_path):
    pl.DataFrame({"item_id": ["a", "b"], "v": [[1.0, 5.0], [3.0, 5.0]]}).write_parquet(tmp_path / "v.parquet")
    assert encode(Features(str(tmp_path / "v.parquet"), standardize=True), "a", "b").tolist() == [[-1, 0], [1, 0]]


@settings(deadline=None)
@given(
    st.dictionaries(st.text("abc红 \n", max_size=3).map(str.strip), st.integers(-5, 5), min_size=1, max_size=6),
    st.lists(st.text("abc红", max_size=3), max_size=6),
)
def test_look_up_returns_the_written_vectors(tmp_path_factory, vectors, keys):
    file = tmp_path_factory.mktemp("vectors") / "v.parquet"
    pl.DataFrame({"item_id": list(vectors), "v": [[v, -v] for v in vectors.values()]}).write_parquet(file)
    rows = Features(str(file)).preprocess([*keys, *vectors])
    expected = [[[vectors[k], -vectors[k]]] if k in vectors else [] for k in [*keys, *vectors]]
    assert [row.tolist() for row in rows] == expected


def test_preprocess_key_depends_on_contents_and_options_only(files, tmp_path):
    key = Features(files["list"]).preprocess_key
    moved = tmp_path / "moved.parquet"
    moved.write_bytes((tmp_path / "list.parquet").read_bytes())
    assert Features(str(moved)).preprocess_key == key
    others = [
        Features(files["npy"]),
        Features(files["list"], standardize=True),
        Features(files["mixed"]),
        Features(files["mixed"], columns=["x"]),
    ]
    assert len({key, *(other.preprocess_key for other in others)}) == 5
    (tmp_path / "npy.keys").write_text("a\nb\nc\nd")
    assert Features(files["npy"]).preprocess_key != others[0].preprocess_key


def test_a_checkpoint_rejects_another_file(files, tmp_path):
    state = Features(files["list"]).state_dict()
    torch.save(state, tmp_path / "c.pt")
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    Features(files["list"], standardize=True).load_state_dict(state)
    with pytest.raises(DataError, match=r"columns.parquet: the model was trained with vectors whose sha256 is \w{12}…"):
        Features(files["columns"]).load_state_dict(state)


BAD = [
    ({"item_id": ["a", "b", "a"], "v": [[1.0]] * 3}, {}, "the key 'a' appears twice"),
    ({"item_id": ["a", "b"], "v": [[1.0], [float("nan")]]}, {}, "the vector of 'b' contains a number that is not finite"),
    ({"item_id": ["a", "b"], "v": [[1.0, 2.0], [1.0, None]]}, {}, "the vector of 'b' contains a number that is not finite"),
    ({"item_id": ["a", "b"], "x": [1.0, 2.0], "y": [None, 2.0]}, {}, "the vector of 'a' contains a number that is not finite"),
    ({"item_id": ["a", "b"], "v": [[1e300], [1.0]]}, {}, "the vector of 'a' contains a number that is not finite"),
    ({"item_id": ["a", "b", "c"], "v": [[1.0], [1.0], [1.0, 2.0]]}, {}, "the vector of 'c' has 2 numbers in v, but others"),
    ({"item_id": ["a", None], "v": [[1.0], [1.0]]}, {}, "row 2 has a vector but no item_id"),
    ({"item_id": ["a", None, "c"], "v": [None, [1.0], [1.0]]}, {}, "row 2 has a vector but no item_id"),
    ({"item_id": [["a"]], "v": [[1.0]]}, {}, r"the key column item_id is List\(String\); set `key`"),
    ({"id": ["a"], "v": [[1.0]]}, {}, "no column item_id; it has id, v"),
    ({"item_id": ["a"], "v": [[1.0]]}, {"columns": ["w"]}, "no column w; it has item_id, v"),
    ({"item_id": ["a"], "v": [[1.0]], "title": ["A"]}, {}, "title contain neither numbers nor lists of numbers; set `columns`"),
    ({"item_id": ["a"]}, {}, "there are no vectors"),
    ({"item_id": [], "v": []}, {}, "contain neither numbers|there is no vector in it"),
    ({"item_id": ["a"], "v": pl.Series([None], dtype=pl.List(pl.Float32))}, {}, "there is no vector in it"),
]


@pytest.mark.parametrize(("columns", "arguments", "message"), BAD)
def test_invalid_parquet_files(tmp_path, columns, arguments, message):
    file = tmp_path / "v.parquet"
    pl.DataFrame(columns).write_parquet(file)
    with pytest.raises(DataError, match=message) as raised:
        Features(str(file), **arguments)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["absent.parquet", "text.parquet", "absent.npy", "text.npy", "void.npy", "zip.npy", "lone.npy", "flat.npy", "few.npy"],
)
def test_unreadable_files(tmp_path, name):
    for text in ("text.parquet", "text.npy", "flat.keys", "text.keys"):
        (tmp_path / text).write_text("no vectors\n")
    (tmp_path / "void.npy").touch()
    (tmp_path / "zip.npy").write_bytes(b"PK\x03\x04 broken off")
    (tmp_path / "few.keys").write_text("a\n")
    for array, shape in {"lone": (1, 2), "flat": (1,), "few": (2, 2)}.items():
        np.save(tmp_path / f"{array}.npy", np.zeros(shape))
    with pytest.raises(DataError, match=rf"^{tmp_path}/{name.partition('.')[0]}\.") as raised:
        Features(str(tmp_path / name))
    assert "\n" not in str(raised.value)
