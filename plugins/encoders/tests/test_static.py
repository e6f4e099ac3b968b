import numpy as np
import pytest
import torch

from interestlab.batch import Inputs
from interestlab.testing import EncoderTests, pad_rows
from interestlab_encoders import token_table
from interestlab_encoders.static import Static
from interestlab_encoders.text import Frozen

TEXTS = ["strings for a guitar", "", "red guitar red"]


@pytest.fixture(autouse=True)
def _cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path_factory.getbasetemp() / "static_cache"))


def build(folder, **arguments):
    encoder = Static(model=folder, **arguments)
    encoder.build({}, dim=8)
    return encoder


class StaticTests(EncoderTests):
    plugin = Static
    extra_args = {"dim": None}

    @pytest.fixture(autouse=True)
    def _configure(self, folder):
        self.init_args = {"model": folder} | self.extra_args


class TestStatic(StaticTests):
    pass


class TestStaticConstant(StaticTests):
    extra_args = {"trainable": False, "sif": None, "dim": 5, "max_length": 3}


def test_a_vector_is_the_mean_of_the_rows_of_its_tokens(folder):
    encoder = build(folder)
    rows = encoder.preprocess(TEXTS)
    expected = torch.stack([encoder.table.weight[torch.from_numpy(row).long()].mean(0) for row in rows])
    torch.testing.assert_close(encoder(pad_rows(rows)), expected)


def test_special_tokens_are_not_part_of_a_text(bert):
    assert build(bert).preprocess(["red"])[0].tolist() == Frozen(model=bert).preprocess(["red"])[0].tolist()[1:-1]
    assert build(bert).preprocess_key != Frozen(model=bert).preprocess_key


def test_a_token_is_encoded_as_a_text_of_its_own(folder):
    frozen, static = Frozen(model=folder), Static(model=folder)
    frozen.build({}, dim=8)
    (row,) = static.preprocess(["a"])
    assert len(row) == 1
    (expected,) = frozen(pad_rows(frozen.preprocess(["a"])))
    np.testing.assert_allclose(static._token_vectors[row[0]], expected, rtol=1e-4, atol=1e-5)


def test_the_table_is_computed_once(bert, monkeypatch):
    expected = build(bert).table.weight
    monkeypatch.setattr(token_table, "compute_token_vectors", None)  # a call would fail
    assert torch.equal(build(bert).table.weight, expected)


def test_trainable(bert):
    inputs = pad_rows(Static(model=bert).preprocess(TEXTS))
    trained, constant = build(bert), build(bert, trainable=False)
    assert [p.requires_grad for p in trained.parameters()] == [True]
    assert not any(p.requires_grad for p in constant.parameters())
    trained(inputs).sum().backward()
    used = set(inputs.values[inputs.mask].tolist())
    assert set(trained.table.weight.grad.abs().sum(1).nonzero().flatten().tolist()) == used


def test_frequent_tokens_have_small_weights():
    vectors = np.random.default_rng(0).normal(size=(500, 6)).astype("f4")
    plain, weighted = (token_table.make_table(vectors, 6, sif).norm(dim=1) for sif in (None, 1e-3))
    ratio = weighted / plain
    assert (ratio.diff() > 0).all()
    assert ratio[0] < ratio[-1] / 20
    torch.testing.assert_close(weighted.square().mean(), torch.tensor(1.0))


def test_pca_keeps_distances_of_all_components():
    vectors = np.random.default_rng(0).normal(size=(50, 6)).astype("f4")
    table = token_table.make_table(vectors, 6, None)
    distances, expected = torch.pdist(table), torch.pdist(torch.from_numpy(vectors))
    torch.testing.assert_close(distances / distances.mean(), expected / expected.mean())
    assert torch.equal(table, token_table.make_table(vectors, 6, None))
    torch.testing.assert_close(table[:, :2] / table[0, 0], (w := token_table.make_table(vectors, 2, None)) / w[0, 0])


@pytest.mark.parametrize("arguments", [{"dim": 0}, {"sif": 0.0}, {"max_length": 0}])
def test_numbers_must_be_positive(bert, arguments):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"{name}=0.* is not positive"):
        Static(model=bert, **arguments)


def test_dim_is_limited_by_the_model(bert):
    with pytest.raises(ValueError, match="dim=25 is more than the width 24"):
        build(bert, dim=25)


def test_bfloat16_weights_train(bert):
    encoder = build(bert).bfloat16()
    out = encoder(Inputs(torch.tensor([[5, 6], [7, 0]]), torch.tensor([2, 1])))
    out.sum().backward()
    assert out.dtype == encoder.table.weight.grad.dtype == torch.bfloat16


def test_a_cache_that_cannot_be_written_is_reported_in_one_line(bert, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path / "file"))
    with pytest.raises(ValueError, match=r"tokens: cannot be written \(.*\); set INTERESTLAB_CACHE$"):
        build(bert)
