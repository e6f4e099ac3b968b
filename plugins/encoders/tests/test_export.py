import json
import shutil
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModel

from interestlab.testing import pad_rows
from interestlab_encoders.pooling import POOLINGS
from interestlab_encoders.text import Frozen, Full

TEXTS = ["strings for a guitar", "", "red", "wireless headphones"]
WITH_ADAPTER = [
    "lora",
    "lora-top",
    "rsdora",
    "adalora",
    "adalora-top",
    "ia3",
    "ia3-top",
    "houlsby",
    "pfeiffer-top",
    "vera",
    "prompt",
]
MERGEABLE = ["full", "full-top", "bitfit", "lora", "lora-top", "rsdora", "adalora", "ia3", "vera"]


@torch.no_grad()
def vectors(encoder):
    return encoder.eval()(pad_rows(encoder.preprocess(TEXTS)))


def perturb(encoder):
    """Change all trained parameters, as training does, and mask ranks of AdaLoRA."""
    torch.manual_seed(2)
    with torch.no_grad():
        for p in encoder.parameters():
            if p.requires_grad:
                p.add_(torch.randn_like(p), alpha=0.2)
    if hasattr(encoder, "ranks"):
        allocator = encoder.tuner.rankallocator
        for name, p in encoder.tuner.model.named_parameters():
            if "lora_" in name and p.requires_grad:
                p.grad = torch.rand_like(p)
        for _ in range(2):
            allocator.update_ipt(encoder.tuner.model)
        encoder.tuner.peft_config["default"].rank_pattern = allocator.mask_to_budget(encoder.tuner.model, allocator.target_bgt)
        encoder.zero_grad()
        assert sum(encoder.ranks().values()) == allocator.target_bgt
    return encoder


def encode_with_peft(base, folder, encoder):
    """Encode texts with an exported adapter loaded by PEFT."""
    model = PeftModel.from_pretrained(AutoModel.from_pretrained(base), folder).eval()
    inputs = pad_rows(encoder.preprocess(TEXTS))
    with torch.no_grad():
        hidden = model(input_ids=inputs.values.long(), attention_mask=inputs.mask.long()).last_hidden_state
    pooling = POOLINGS["mean" if model.config.model_type == "bert" else "last"]
    return pooling(hidden[:, hidden.shape[1] - inputs.values.shape[1] :], inputs)


@pytest.mark.parametrize("method", WITH_ADAPTER)
def test_peft_loads_an_exported_adapter(build, folder, method, tmp_path):
    encoder = perturb(build(method, folder))
    before = vectors(encoder)
    assert not torch.allclose(before, vectors(build("frozen", folder)), atol=1e-3)
    encoder.export(tmp_path, merged=False)
    torch.testing.assert_close(encode_with_peft(folder, tmp_path, encoder), before, rtol=1e-4, atol=1e-5)
    assert torch.equal(vectors(encoder), before)


def test_an_exported_adapter_contains_no_base_weights(build, bert, tmp_path):
    build("lora", bert).export(tmp_path, merged=False)
    assert {"adapter_config.json", "adapter_model.safetensors"} <= {file.name for file in tmp_path.iterdir()}
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert len(tensors) == 8
    assert all(".lora_" in name for name in tensors)


def test_an_exported_adapter_names_its_base_model(build, bert, tmp_path):
    build("lora", bert).export(tmp_path, merged=False)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["base_model_name_or_path"] == bert


def test_masked_ranks_of_adalora_are_omitted(build, bert, tmp_path):
    encoder = perturb(build("adalora", bert))
    encoder.export(tmp_path, merged=False)
    tensors = load_file(tmp_path / "adapter_model.safetensors")
    assert sum(len(t) for name, t in tensors.items() if "lora_E" in name) == sum(encoder.ranks().values()) == 4


@pytest.mark.parametrize("method", MERGEABLE)
@pytest.mark.parametrize("encoder_class", [Frozen, Full])
def test_a_merged_model_can_be_the_model_of_another_encoder(build, folder, method, encoder_class, tmp_path):
    encoder = perturb(build(method, folder))
    before = vectors(encoder)
    encoder.export(tmp_path, merged=True)
    merged = encoder_class(model=str(tmp_path))
    merged.build({}, dim=8)
    assert [row.tolist() for row in merged.preprocess(TEXTS)] == [row.tolist() for row in encoder.preprocess(TEXTS)]
    torch.testing.assert_close(vectors(merged), before, rtol=1e-4, atol=1e-4)


def test_a_frozen_model_is_exported_unchanged(build, folder, tmp_path):
    encoder = build("frozen", folder)
    encoder.export(tmp_path, merged=True)
    merged = Frozen(model=str(tmp_path))
    merged.build({}, dim=8)
    assert torch.equal(vectors(merged), vectors(encoder))


def test_a_merged_model_has_tokenizer_and_pooling_and_one_weights_file(build, bert, tmp_path):
    base, out = Path(shutil.copytree(bert, tmp_path / "base")), tmp_path / "out"
    (base / "1_Pooling").mkdir()
    (base / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (base / "README.md").write_text("about the model")
    out.mkdir()
    encoder = perturb(build("lora", str(base)))
    encoder.export(out, merged=True)
    assert (out / "1_Pooling" / "config.json").read_text() == '{"pooling_mode_cls_token": true}'
    assert (out / "tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert [file.name for file in out.glob("*.safetensors*")] == ["model.safetensors"]
    assert not (out / "README.md").exists()
    base_names = {name for name, _ in AutoModel.from_pretrained(base, add_pooling_layer=False).named_parameters()}
    assert load_file(out / "model.safetensors").keys() == base_names  # without PEFT's names
    assert json.loads((out / "config.json").read_text())["model_type"] == "bert"


@pytest.mark.parametrize("method", ["houlsby", "pfeiffer-top"])
def test_bottlenecks_cannot_be_merged(build, folder, method, tmp_path):
    encoder = perturb(build(method, folder))
    before = vectors(encoder)
    with pytest.raises(ValueError, match="not linear and cannot be merged") as raised:
        encoder.export(tmp_path, merged=True)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(vectors(encoder), before)


@pytest.mark.parametrize("merged", [True, False])
def test_a_side_network_cannot_be_exported(build, bert, merged, tmp_path):
    with pytest.raises(ValueError, match=r"side cannot be exported.*use the checkpoint") as raised:
        build("side", bert).export(tmp_path, merged=merged)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("method", ["frozen", "full", "bitfit"])
def test_methods_without_an_adapter(build, bert, method, tmp_path):
    with pytest.raises(ValueError, match=r"no separate adapter.*--merged") as raised:
        build(method, bert).export(tmp_path, merged=False)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_prompt_cannot_be_merged(build, bert, tmp_path):
    with pytest.raises(ValueError, match=r"peft does not change weights of '.*'") as raised:
        build("prompt", bert).export(tmp_path, merged=True)
    assert "\n" not in str(raised.value)
    assert list(tmp_path.iterdir()) == []


def test_a_merged_model_has_the_pooling_option(build, bert, tmp_path):
    encoder = build("lora", bert, pooling="cls")
    encoder.export(tmp_path, merged=True)
    assert Frozen(model=str(tmp_path)).pooling == "cls"
