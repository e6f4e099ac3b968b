import importlib
import json
import re
from itertools import combinations

import pytest
import torch
import transformers
from peft import PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PeftConfig, PeftModel, PeftType, get_peft_model
from peft.mapping import PEFT_TYPE_TO_PREFIX_MAPPING
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel

import interestlab_encoders.bottleneck
from interestlab_encoders.bottleneck import BottleneckConfig, BottleneckModel, find_target_modules
from interestlab_encoders.pretrained import load_pretrained

TOKENS = torch.tensor([[2, 9, 4, 7], [1, 3, 8, 0]])
TARGETS = {"bert": ["attention.output.dense", "output.dense"], "gpt": ["attn.c_proj", "mlp.c_proj"]}


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@pytest.fixture(params=TARGETS)
def base(request):
    return load_pretrained(request.getfixturevalue(request.param))


@pytest.fixture
def targets(base):
    return TARGETS["bert" if base.config.model_type == "bert" else "gpt"]


def run(model):
    with torch.no_grad():
        return model(input_ids=TOKENS).last_hidden_state


def randomize(model, adapter="default"):
    """Set random weights in one adapter, whose last layer would otherwise be zero."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            if f".{adapter}." in name:
                p.copy_(torch.randn(p.shape))
    return model


def add_adapter(base, targets, **options):
    return get_peft_model(base, BottleneckConfig(target_modules=targets, **options))


def trained_names(model):
    return {name for name, p in model.named_parameters() if p.requires_grad}


def test_initial_output_equals_the_model(base, targets):
    before = run(base)
    assert torch.equal(run(add_adapter(base, targets)), before)


def test_is_a_residual_bottleneck():
    linear = nn.Linear(5, 12)
    model = randomize(add_adapter(nn.Sequential(linear), ["0"], reduction=4, nonlinearity="tanh")).base_model.model[0]
    x = torch.randn(3, 5)
    h = linear(x)
    down, up = model.bottleneck_down["default"], model.bottleneck_up["default"]
    assert down.weight.shape == (3, 12)
    torch.testing.assert_close(model(x), h + up(torch.tanh(down(h))))


@pytest.mark.parametrize(("options", "size"), [({"reduction": 6}, 4), ({"reduction": 6, "size": 7}, 7)])
def test_only_bottlenecks_are_trainable(base, targets, options, size, capsys):
    model = add_adapter(base, targets, **options)
    assert all("bottleneck_" in name for name in trained_names(model))
    expected = 2 * len(targets) * (2 * 24 * size + size + 24)  # two layers of width 24
    assert model.get_nb_trainable_parameters()[0] == expected
    model.print_trainable_parameters()
    assert f"trainable params: {expected:,}" in capsys.readouterr().out


def test_every_adapter_parameter_has_a_gradient(base, targets):
    model = randomize(add_adapter(base, targets, size=8, nonlinearity="prelu")).train()
    frozen = {name: p.clone() for name, p in model.named_parameters() if not p.requires_grad}
    model(input_ids=TOKENS).last_hidden_state.square().sum().backward()
    with torch.no_grad():
        for name, p in model.named_parameters():
            if p.requires_grad:
                assert p.grad.abs().sum() > 0, name
                p -= p.grad
    assert all(torch.equal(p, frozen[name]) for name, p in model.named_parameters() if name in frozen)


@pytest.mark.parametrize("name", ["default", "other"])
def test_saves_and_loads(base, targets, name, tmp_path, request):
    model = randomize(add_adapter(base, targets, size=5, nonlinearity="prelu"))
    model.save_pretrained(tmp_path)
    assert json.loads((tmp_path / "adapter_config.json").read_text())["peft_type"] == "BOTTLENECK"
    assert isinstance(PeftConfig.from_pretrained(tmp_path), BottleneckConfig)
    assert not any("default" in key for key in load_file(tmp_path / "adapter_model.safetensors"))
    fresh = load_pretrained(request.getfixturevalue("bert" if base.config.model_type == "bert" else "gpt"))
    loaded = PeftModel.from_pretrained(fresh, tmp_path, adapter_name=name)
    assert not trained_names(loaded)
    assert torch.equal(run(loaded), run(model.eval()))


def test_modules_to_save_are_trained_and_saved(bert, tmp_path):
    model = randomize(add_adapter(load_pretrained(bert), TARGETS["bert"], modules_to_save=["word_embeddings"]))
    assert any("word_embeddings" in name for name in trained_names(model))
    model.save_pretrained(tmp_path)
    loaded = PeftModel.from_pretrained(load_pretrained(bert), tmp_path)
    assert torch.equal(run(loaded), run(model.eval()))


def test_disabling_adapters_restores_the_model(base, targets):
    before = run(base)
    model = randomize(add_adapter(base, targets)).eval()
    after = run(model)
    with model.disable_adapter():
        assert torch.equal(run(model), before)
    assert torch.equal(run(model), after)
    assert not torch.equal(after, before)


def test_switching_stacking_and_deleting_adapters(base, targets):
    before = run(base)
    model = randomize(add_adapter(base, targets)).eval()
    first = run(model)
    model.add_adapter("second", BottleneckConfig(target_modules=targets[1:], size=3))
    randomize(model, "second")
    assert all(".default." in name for name in trained_names(model))
    assert torch.equal(run(model), first)
    model.set_adapter("second")
    second = run(model)
    assert trained_names(model)
    assert all(".second." in name for name in trained_names(model))
    model.base_model.set_adapter(["default", "second"])
    both = run(model)
    assert not any(torch.equal(a, b) for a, b in combinations((before, first, second, both), 2))
    model.set_adapter("second")
    model.delete_adapter("default")
    assert torch.equal(run(model), second)
    assert model.get_model_status().available_adapters == ["second"]
    assert not any("default" in name for name, _ in model.named_modules())


def test_status(base, targets):
    status = add_adapter(base, targets).get_model_status()
    assert status.peft_types == {"default": "BOTTLENECK"}
    assert status.num_adapter_layers == 4
    assert status.requires_grad == {"default": True}
    assert status.enabled


@pytest.mark.parametrize("merge", ["merge_and_unload", "merge_adapter"])
def test_cannot_be_merged(base, targets, merge):
    model = randomize(add_adapter(base, targets)).eval()
    after = run(model)
    with pytest.raises(ValueError, match="not linear and cannot be merged"):
        getattr(model, merge)()
    assert torch.equal(run(model), after)


def test_unload_restores_the_model(base, targets):
    before, kinds = run(base), [type(module) for module in base.modules()]
    plain = randomize(add_adapter(base, targets)).unload()
    assert [type(module) for module in plain.modules()] == kinds
    assert torch.equal(run(plain.eval()), before)


@pytest.mark.parametrize("keep_dtype", [True, False])
def test_half_precision(base, targets, keep_dtype):
    base = base.to(torch.bfloat16)
    model = get_peft_model(base, BottleneckConfig(target_modules=targets), autocast_adapter_dtype=not keep_dtype)
    dtypes = {p.dtype for p in model.parameters() if p.requires_grad}
    assert dtypes == {torch.bfloat16 if keep_dtype else torch.float32}
    assert run(randomize(model)).dtype == torch.bfloat16


def test_adapters_are_on_the_device_of_the_model(base, targets):
    model = add_adapter(base.to("meta"), targets)
    assert {p.device.type for p in model.parameters()} == {"meta"}


def test_autocast(base, targets):
    model = randomize(add_adapter(base, targets)).eval()
    with torch.autocast("cpu", torch.bfloat16):
        model(input_ids=TOKENS).last_hidden_state.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_dropout_applies_in_training_only():
    model = randomize(add_adapter(nn.Sequential(nn.Linear(4, 4)), ["0"], size=4, dropout=0.5))
    x = torch.randn(64, 4)
    assert torch.equal(model.eval()(x), model(x))
    h = model.base_model.model[0].base_layer(x)
    nonzero = (model.train()(x) != h).float().mean()
    assert 0.2 < nonzero < 0.8


def test_full_names_select_layers(bert):
    target = "encoder.layer.1.output.dense"
    model = add_adapter(load_pretrained(bert), [target])
    assert model.base_model.targeted_module_names == [target]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"reduction": 0}, "reduction=0 must be at least 1"),
        ({"size": 0}, "size=0 must be at least 1"),
        ({"dropout": 1.0}, "dropout=1.0 must be"),
        ({"nonlinearity": "wavy"}, "no nonlinearity 'wavy'; it has .*relu"),
    ],
)
def test_invalid_options(options, message):
    with pytest.raises(ValueError, match=message):
        BottleneckConfig(target_modules=["0"], **options)


def test_unsupported_modules():
    with pytest.raises(TypeError, match="not Embedding"):
        add_adapter(nn.Sequential(nn.Embedding(3, 4)), ["0"])
    with pytest.raises(ValueError, match="reduction=16 is more than the output width 4"):
        add_adapter(nn.Sequential(nn.Linear(3, 4)), ["0"])


def test_peft_still_accepts_methods_of_another_enum():
    """PEFT registers its own methods in the same three tables and has none with this name."""
    assert "BOTTLENECK" not in PeftType.__members__
    assert not any(prefix == "bottleneck_" for name, prefix in PEFT_TYPE_TO_PREFIX_MAPPING.items() if name in list(PeftType))
    tables = [PEFT_TYPE_TO_CONFIG_MAPPING, PEFT_TYPE_TO_TUNER_MAPPING, PEFT_TYPE_TO_PREFIX_MAPPING]
    before = [dict(table) for table in tables]
    importlib.reload(interestlab_encoders.bottleneck)
    assert [dict(table) for table in tables] == before
    assert [table["BOTTLENECK"] for table in tables] == [BottleneckConfig, BottleneckModel, "bottleneck_"]


SIZES = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "vocab_size": 30, "max_position_embeddings": 20}
LLAMA = ["self_attn.o_proj", "mlp.down_proj"]
KINDS = {
    "Bert": (TARGETS["bert"], {}),
    "Roberta": (TARGETS["bert"], {}),
    "XLMRoberta": (TARGETS["bert"], {}),
    "Electra": (TARGETS["bert"], {}),
    "MPNet": (["attention.attn.o", "output.dense"], {}),
    "DistilBert": (["attention.out_lin", "ffn.lin2"], {"hidden_dim": 24}),
    "ModernBert": (["attn.Wo", "mlp.Wo"], {}),
    "GPT2": (TARGETS["gpt"], {}),
    "GPTNeoX": (["attention.dense", "mlp.dense_4h_to_h"], {}),
    "OPT": (["self_attn.out_proj", "fc2"], {"ffn_dim": 24, "word_embed_proj_dim": 16}),
    "Llama": (LLAMA, {}),
    "Qwen2": (LLAMA, {"num_key_value_heads": 1}),
    "Phi3": (LLAMA, {}),
}


def tiny_model(kind, **options):
    special = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1, "intermediate_size": 24}
    return AutoModel.from_config(getattr(transformers, f"{kind}Config")(**{**SIZES, **special, **options}))


def layers_of(model):
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == 2)


@pytest.mark.parametrize("kind", KINDS)
def test_target_modules(kind):
    targets, options = KINDS[kind]
    model = tiny_model(kind, **options).train()
    layers = layers_of(model)
    path = next(name for name, module in model.named_modules() if module is layers)
    assert find_target_modules(model, layers) == [f"{path}.{i}.{target}" for i in (0, 1) for target in targets]
    assert find_target_modules(model, [layers[1]], "pfeiffer") == [f"{path}.1.{targets[1]}"]
    assert model.training
    tuned = add_adapter(model, find_target_modules(model, layers, "pfeiffer")).base_model
    assert tuned.targeted_module_names == [f"{path}.{i}.{targets[1]}" for i in (0, 1)]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("Mamba", {}),  # no attention
        ("GraniteMoe", {"num_key_value_heads": 1}),  # no linear module in its feed-forward
        ("Ernie4_5_Moe", {"num_key_value_heads": 1, "moe_intermediate_size": 8, "moe_num_experts": 2, "moe_k": 1}),
        ("MobileBert", {"intra_bottleneck_size": 8, "embedding_size": 16}),  # attention is narrower than the model
    ],
)
def test_models_without_target_modules(kind, options):
    model = tiny_model(kind, **options)
    with pytest.raises(ValueError, match=re.escape(f"in a '{kind.lower()}' model")):
        find_target_modules(model, layers_of(model))


def test_unknown_style(bert):
    model = load_pretrained(bert)
    with pytest.raises(ValueError, match="style='other' must be houlsby or pfeiffer"):
        find_target_modules(model, model.encoder.layer, "other")
