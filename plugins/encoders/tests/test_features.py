from typing import ClassVar

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from interestlab.errors import DataError
from interestlab.testing import EncoderTests, pad_rows
from interestlab_encoders import vectors
from interestlab_encoders.features import Features

KEYS = ["b", "a", "红", "d"]
VECTORS = np.array([[1, 2, 3], [4, 5, 6], [-1, 0, 1], [9, 9, 9]], np.float32)


@pytest.fixture
def files(tmp_path):
    """The same vectors in every form, by a name."""
    frame = pl.DataFrame({"item_id": KEYS, "vector": VECTORS.tolist()})
    forms = {
        "list": frame,
        "array": frame.with_columns(pl.col("vector").cast(pl.Array(pl.Float64, 3))),
        "columns": pl.DataFrame({"x": VECTORS[:, 0], "item_id": KEYS, "y": VECTORS[:, 1], "z": VECTORS[:, 2]}),
        "mixed": pl.DataFrame({"item_id": KEYS, "x": VECTORS[:, 0].astype(int), "rest": VECTORS[:, 1:].tolist()}),
    }
    for name, form in forms.items():
        form.write_parquet(tmp_path / f"{name}.parquet")
    np.save(tmp_path / "npy.npy", VECTORS.astype(np.float16))
    (tmp_path / "npy.keys").write_text("\n".join(KEYS) + "\n", "utf-8")
    return {name: str(tmp_path / f"{name}.parquet") for name in forms} | {"npy": str(tmp_path / "npy.npy")}


FORMS = ["list", "array", "columns", "mixed", "npy"]


class Kit(EncoderTests):
    plugin = Features
    values = ("a", "", "红", "nobody", "b")
    options_of_it: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _file(self, files):
        self.file = files[self.form]

    @property
    def init_args(self):
        return {"file": self.file} | self.options_of_it


class TestLists(Kit):
    form = "list"


class TestColumns(Kit):
    form = "columns"
    options_of_it: ClassVar = {"field": "event.clip", "columns": ["z", "x"], "standardize": True}


class TestNpy(Kit):
    form = "npy"


def looked_up(encoder, *values):
    encoder.build({}, dim=8)
    return encoder(pad_rows(encoder.preprocess(values))).numpy()


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_vectors(files, form):
    encoder = Features(files[form])
    assert encoder.out_dim == 3
    assert not list(encoder.parameters())
    assert looked_up(encoder, "a", "红", "b", "a").tolist() == VECTORS[[1, 2, 0, 1]].tolist()


def test_a_value_without_a_vector_is_missing(files):
    found, none = Features(files["list"]).preprocess(["a", "nobody"])
    assert (found.shape, none.shape) == ((1, 3), (0, 3))
    assert found.dtype == none.dtype == np.float32


def test_columns_choose(files):
    assert looked_up(Features(files["columns"], columns=["z", "x"]), "a").tolist() == [[6, 4]]
    assert looked_up(Features(files["mixed"], columns=["rest"]), "a").tolist() == [[5, 6]]


def test_keys_are_text(tmp_path):
    pl.DataFrame({"id": [7, 8], "v": [[1.0], [2.0]]}).write_parquet(tmp_path / "v.parquet")
    assert looked_up(Features(str(tmp_path / "v.parquet"), key="id"), "8", "7").tolist() == [[2], [1]]


def test_a_row_without_a_number_has_no_vector(tmp_path):
    pl.DataFrame({"item_id": ["a", "b"], "v": [None, [2.0]]}).write_parquet(tmp_path / "v.parquet")
    assert [len(row) for row in Features(str(tmp_path / "v.parquet")).preprocess(["a", "b"])] == [0, 1]


@pytest.mark.parametrize("form", ["list", "npy"])
def test_standardized(files, form, monkeypatch):
    monkeypatch.setattr(vectors, "CHUNK", 3)
    found = looked_up(Features(files[form], standardize=True), *KEYS)
    np.testing.assert_allclose(found, (VECTORS - VECTORS.mean(0)) / VECTORS.std(0), atol=1e-6)


def test_a_dimension_that_never_varies_becomes_zero(tmp_path):
    pl.DataFrame({"item_id": ["a", "b"], "v": [[1.0, 5.0], [3.0, 5.0]]}).write_parquet(tmp_path / "v.parquet")
    assert looked_up(Features(str(tmp_path / "v.parquet"), standardize=True), "a", "b").tolist() == [[-1, 0], [1, 0]]


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(st.text("abc红 \n", max_size=3).map(str.strip), st.integers(-5, 5), min_size=1, max_size=6),
    st.lists(st.text("abc红", max_size=3), max_size=6),
)
def test_what_is_found_is_what_was_written(tmp_path_factory, written, wanted):
    file = tmp_path_factory.mktemp("vectors") / "v.parquet"
    pl.DataFrame({"item_id": list(written), "v": [[v, -v] for v in written.values()]}).write_parquet(file)
    rows = Features(str(file)).preprocess([*wanted, *written])
    expected = [[[written[w], -written[w]]] if w in written else [] for w in [*wanted, *written]]
    assert [row.tolist() for row in rows] == expected


def test_the_key_names_contents_and_options_and_not_the_place(files, tmp_path):
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


def test_a_checkpoint_knows_its_file(files, tmp_path):
    state = Features(files["list"]).state_dict()
    torch.save(state, tmp_path / "c.pt")
    state = torch.load(tmp_path / "c.pt", weights_only=True)
    Features(files["list"], standardize=True).load_state_dict(state)
    with pytest.raises(DataError, match=r"columns.parquet: the model was trained with vectors of sha256 \w{12}…, and these"):
        Features(files["columns"]).load_state_dict(state)


BAD = [
    ({"item_id": ["a", "b", "a"], "v": [[1.0]] * 3}, {}, "the key 'a' stands there twice"),
    ({"item_id": ["a", "b"], "v": [[1.0], [float("nan")]]}, {}, "the vector of 'b' holds a number that is not finite"),
    ({"item_id": ["a", "b"], "v": [[1.0, 2.0], [1.0, None]]}, {}, "the vector of 'b' holds a number that is not finite"),
    ({"item_id": ["a", "b"], "x": [1.0, 2.0], "y": [None, 2.0]}, {}, "the vector of 'a' holds a number that is not finite"),
    ({"item_id": ["a", "b"], "v": [[1e300], [1.0]]}, {}, "the vector of 'a' holds a number that is not finite"),
    ({"item_id": ["a", "b", "c"], "v": [[1.0], [1.0], [1.0, 2.0]]}, {}, "the vector of 'c' has 2 numbers in v, where others"),
    ({"item_id": ["a", None], "v": [[1.0], [1.0]]}, {}, "row 2 has a vector and no item_id"),
    ({"item_id": ["a", None, "c"], "v": [None, [1.0], [1.0]]}, {}, "row 2 has a vector and no item_id"),
    ({"item_id": [["a"]], "v": [[1.0]]}, {}, r"the column item_id is List\(String\); name in `key` one of texts"),
    ({"id": ["a"], "v": [[1.0]]}, {}, "no column item_id; it has id, v"),
    ({"item_id": ["a"], "v": [[1.0]]}, {"columns": ["w"]}, "no column w; it has item_id, v"),
    ({"item_id": ["a"], "v": [[1.0]], "title": ["A"]}, {}, "title of neither numbers nor lists of them; name in `columns`"),
    ({"item_id": ["a"]}, {}, "no vectors"),
    ({"item_id": [], "v": []}, {}, "of neither numbers|there is no vector in it"),
    ({"item_id": ["a"], "v": pl.Series([None], dtype=pl.List(pl.Float32))}, {}, "there is no vector in it"),
]


@pytest.mark.parametrize(("columns", "arguments", "told"), BAD)
def test_a_bad_file_is_told_in_one_line(tmp_path, columns, arguments, told):
    file = tmp_path / "v.parquet"
    pl.DataFrame(columns).write_parquet(file)
    with pytest.raises(DataError, match=told) as raised:
        Features(str(file), **arguments)
    assert str(raised.value).startswith(str(file))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "name",
    ["absent.parquet", "text.parquet", "absent.npy", "text.npy", "void.npy", "zip.npy", "lone.npy", "flat.npy", "few.npy"],
)
def test_what_cannot_be_read_is_told_in_one_line(tmp_path, name):
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
