"""Arguments and text models that a fine-tuning method does not fit."""

import shutil
from pathlib import Path

import pytest
from method_helpers import LAYERS, base_name, inputs, trained_names
from transformers import AlbertConfig, AlbertModel, LlamaConfig, LlamaModel

from interestlab_encoders.bitfit import BitFit
from interestlab_encoders.ia3 import Ia3
from interestlab_encoders.lora import Lora
from interestlab_encoders.peft_by_name import Peft
from interestlab_encoders.text import Frozen, Full


def assert_one_line(raised, *words):
    message = str(raised.value)
    assert "\n" not in message
    for word in words:
        assert word in message


@pytest.fixture(scope="session")
def llama(bert, tmp_path_factory):
    """A model without biases, with the tokenizer of another model."""
    folder = Path(shutil.copytree(bert, tmp_path_factory.mktemp("llama") / "model"))
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1}
    LlamaModel(LlamaConfig(vocab_size=200, intermediate_size=20, max_position_embeddings=80, **size)).save_pretrained(folder)
    return str(folder)


@pytest.mark.parametrize("method", ["full", "bitfit", "lora", "adalora", "ia3", "houlsby", "side", "vera"])
@pytest.mark.parametrize("layers", [0, 9])
def test_layers_out_of_range(build, bert, method, layers):
    with pytest.raises(ValueError, match=f"layers={layers}: this 'bert' model has 2; use 1 to 2, or all") as raised:
        build(method, bert, layers=layers)
    assert_one_line(raised)


@pytest.mark.parametrize(
    ("method", "arguments", "words"),
    [
        ("lora", {"targets": ["querry"]}, ["lora does not support", "no module is named querry", "key, query, value"]),
        ("lora", {"targets": "nothing"}, ["no module is named nothing"]),
        ("lora", {"r": 0}, ["lora does not support", "`r`"]),
        ("adalora", {"targets": "nothing"}, ["adalora does not support", "no module is named nothing"]),
        ("adalora", {"target_r": 3}, ["target_r=3 must be at least 1 and less than init_r=3"]),
        ("adalora", {"target_r": 0}, ["target_r=0 must be at least 1"]),
        ("adalora", {"warmup": 0.5, "final": 0.5}, ["warmup=0.5 and final=0.5 leave no steps"]),
        ("adalora", {"warmup": -0.1}, ["warmup=-0.1"]),
        ("ia3", {"targets": ["nothing"]}, ["ia3 does not support", "no module is named nothing"]),
        ("houlsby", {"style": "neither"}, ["adapter does not support", "style='neither'"]),
        ("houlsby", {"reduction": 100}, ["adapter does not support", "reduction=100 is more than the output width"]),
        ("houlsby", {"nonlinearity": "wavy"}, ["adapter does not support", "no nonlinearity 'wavy'"]),
        ("vera", {"config": {"colour": 1}}, ["peft does not support", "colour"]),
        ("vera", {"config": {"target_modules": ["nothing"]}}, ["peft does not support", "no module is named nothing"]),
        ("prompt", {"layers": 1}, ["'prompt_tuning' affects every layer, so layers=1 is not possible"]),
    ],
)
def test_invalid_arguments(build, bert, method, arguments, words):
    with pytest.raises(ValueError, match=r".") as raised:
        build(method, bert, **arguments)
    assert_one_line(raised, *words)


def test_unknown_method_lists_the_available_ones(bert):
    with pytest.raises(ValueError, match=r"PEFT has no method 'lorra'; it has .*ia3.*lora.*vera") as raised:
        Peft(method="lorra", model=bert).build({}, dim=8)
    assert_one_line(raised)


def test_method_without_default_modules(bert):
    with pytest.raises(ValueError, match="ln_tuning has no default modules for a 'bert' model; set target_modules") as raised:
        Peft(method="ln_tuning", model=bert).build({}, dim=8)
    assert_one_line(raised)
    encoder = Peft(method="ln_tuning", config={"target_modules": ["LayerNorm"]}, model=bert, layers=1)
    encoder.build({}, dim=8)
    assert {base_name(name) for name in trained_names(encoder)} == {
        f"{LAYERS['bert'][1]}{norm}.LayerNorm.ln_tuning_layers.default.{kind}"
        for norm in ("attention.output", "output")
        for kind in ("weight", "bias")
    }


def test_bitfit_needs_biases(llama):
    with pytest.raises(ValueError, match="has no bias to train") as raised:
        BitFit(model=llama).build({}, dim=8)
    assert_one_line(raised)


def test_other_methods_work_without_biases(build, llama, method):
    if method.startswith("bitfit"):
        pytest.skip("needs biases")
    encoder = build(method, llama)
    assert encoder(inputs(encoder)).isfinite().all()


def test_ia3_without_default_modules(bert, monkeypatch):
    encoder = Ia3(model=bert)
    encoder.layer_stack.model.config.model_type = "unknown"
    with pytest.raises(ValueError, match="no default modules for a 'unknown' model; set targets and feedforward") as raised:
        encoder.build({}, dim=8)
    assert_one_line(raised)


def test_lora_without_default_modules_targets_all_linear_ones(bert):
    encoder = Lora(model=bert)
    encoder.layer_stack.model.config.model_type = "unknown"
    encoder.build({}, dim=8)
    assert {name.rpartition(".lora_")[0].rpartition(".")[2] for name in trained_names(encoder)} == {
        "query",
        "key",
        "value",
        "dense",
    }


def test_a_model_without_a_layer_sequence_has_no_trunk(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "albert"))
    size = {"embedding_size": 12, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 20}
    AlbertModel(AlbertConfig(vocab_size=200, max_position_embeddings=80, **size), add_pooling_layer=False).save_pretrained(
        folder
    )
    for encoder in (Frozen(model=str(folder)), Full(model=str(folder)), Lora(model=str(folder), targets=["query"])):
        encoder.build({}, dim=8)
        assert encoder.frozen_trunk() is None
        assert encoder(inputs(encoder)).isfinite().all()
    with pytest.raises(ValueError, match="the layers of a 'albert' model do not form a sequence"):
        Full(model=str(folder), layers=1).build({}, dim=8)


def test_parameters_shared_by_all_layers_leave_no_trunk(bert):
    encoder = Peft(model=bert, method="unilora", config={"target_modules": ["query"]})
    encoder.build({}, dim=8)
    assert encoder.frozen_trunk() is None


def test_adalora_by_name_is_rejected(bert):
    with pytest.raises(ValueError, match="encoder of its own"):
        Peft(model=bert, method="adalora", config={"total_step": 9}).build({}, dim=8)
