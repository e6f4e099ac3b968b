"""Which parameters each fine-tuning method trains, and what its vectors depend on."""

import pytest
import torch
from method_helpers import LAYERS, TEXTS, base_name, inputs, trained_names
from torch import nn

from interestlab_encoders.peft_by_name import Peft
from interestlab_encoders.pretrained import load_pretrained
from interestlab_encoders.text import Full

ATTENTION = {"bert": ["attention.self.query", "attention.self.value"], "gpt": ["attn.c_attn"]}
LINEAR = {
    "bert": [
        *("attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"),
        *("intermediate.dense", "output.dense"),
    ],
    "gpt": ["attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"],
}
ENDS = {"bert": ["attention.output.dense", "output.dense"], "gpt": ["attn.c_proj", "mlp.c_proj"]}
# PEFT's table has output.dense for BERT, which is also a suffix of attention.output.dense.
SCALED_MODULES = {"bert": ["attention.self.key", "attention.self.value", *ENDS["bert"]], "gpt": ["attn.c_attn", "mlp.c_proj"]}
LORA = ["lora_A.default.weight", "lora_B.default.weight"]
SVD = ["lora_A.default", "lora_B.default", "lora_E.default"]
BOTTLENECK = [f"bottleneck_{way}.default.{kind}" for way in ("down", "up") for kind in ("weight", "bias")]
TRAINED_PARAMETERS = {
    "lora": (ATTENTION, LORA),
    "lora-top": (LINEAR, LORA),
    "rsdora": (ATTENTION, [*LORA, "lora_magnitude_vector.default.weight"]),
    "adalora": (ATTENTION, SVD),
    "adalora-top": (ATTENTION, SVD),
    "ia3": (SCALED_MODULES, ["ia3_l.default"]),
    "ia3-top": (SCALED_MODULES, ["ia3_l.default"]),
    "houlsby": (ENDS, BOTTLENECK),
    "pfeiffer-top": ({kind: modules[1:] for kind, modules in ENDS.items()}, BOTTLENECK),
    "vera": (ATTENTION, ["vera_lambda_b.default", "vera_lambda_d.default"]),
    "vera-top": (ATTENTION, ["vera_lambda_b.default", "vera_lambda_d.default"]),
}
"""Modules and parameters that a PEFT method trains in each layer."""

EQUAL_TO_THE_BASE_AT_START = [
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
]


@torch.no_grad()
def vectors(encoder):
    return encoder.eval()(inputs(encoder))


def train(encoder, steps=4):
    """Run a few optimiser steps."""
    encoder.train()
    torch.manual_seed(1)
    optimizer = torch.optim.AdamW([p for p in encoder.parameters() if p.requires_grad], lr=0.01, weight_decay=0.0)
    target = torch.randn(len(TEXTS), encoder.out_dim)
    for _ in range(steps):
        optimizer.zero_grad()
        (encoder(inputs(encoder)) - target).square().sum().backward()
        optimizer.step()


# ---- trained parameters


def expected(method, kind, model):
    """Return the names of the parameters that a method trains."""
    layers = LAYERS[kind][1:] if method.endswith("-top") else LAYERS[kind]
    if method in TRAINED_PARAMETERS:
        modules, parameters = TRAINED_PARAMETERS[method]
        return {f"{layer}{module}.{p}" for layer in layers for module in modules[kind] for p in parameters}
    if method.startswith("side"):
        blocks = [f"blocks.{i}.{way}.{p}" for i in range(len(layers) + 1) for way in ("down", "up") for p in ("weight", "bias")]
        return {"gates", *blocks}
    if method == "prompt":
        return {"prompt_encoder.default.embedding.weight"}
    names = {name for name, _ in model.named_parameters()}
    if method.endswith("-top"):
        names = {name for name in names if name.startswith((*layers, "ln_f."))}
    return {"full": names, "bitfit": {name for name in names if name.endswith(".bias")}, "frozen": set()}[
        method.partition("-")[0]
    ]


def test_trained_parameters(build, folder, method, request):
    kind = request.node.callspec.params["folder"]
    assert {base_name(name) for name in trained_names(build(method, folder))} == expected(method, kind, load_pretrained(folder))


@pytest.mark.parametrize("method", ["full-top", "bitfit-top"])
def test_final_norm_is_trained_with_the_top_layers(build, gpt, method):
    names = {base_name(name) for name in trained_names(build(method, gpt))}
    assert {name for name in names if not name.startswith("h.1.")} == {"ln_f.weight", "ln_f.bias"} & names != set()


@pytest.mark.parametrize("method", ["lora", "adalora", "ia3", "houlsby", "vera", "full", "bitfit", "side"])
def test_all_layers_by_number_exclude_the_embeddings(build, folder, method):
    everything, selected = trained_names(build(method, folder)), trained_names(build(method, folder, layers=2))
    assert selected == {name for name in everything if not base_name(name).startswith(("embeddings.", "wte.", "wpe."))} != set()


def test_training_changes_exactly_the_trained_parameters(build, folder, method):
    if method == "frozen":
        pytest.skip("has no trained parameters")
    encoder = build(method, folder)
    before = {name: p.detach().clone() for name, p in encoder.named_parameters()}
    train(encoder)
    changed = {name for name, p in encoder.named_parameters() if not torch.equal(p, before[name])}
    assert changed == trained_names(encoder)


def test_layers_below_the_trained_ones_are_constant(build, folder, method):
    encoder = build(method, folder)
    depth = {"frozen": 2, "side": 2, "side-top": 2}.get(method, 1 if method.endswith("-top") else 0)
    assert (encoder.frozen_trunk() is not None) == (depth > 0)
    assert encoder.num_constant_layers() == depth or method.startswith("side")


@pytest.mark.parametrize("method", EQUAL_TO_THE_BASE_AT_START)
def test_initial_vectors_equal_those_of_the_base(build, folder, method):
    encoder = build(method, folder)
    base = vectors(build("frozen", folder))
    torch.testing.assert_close(vectors(encoder), base, rtol=1e-5, atol=1e-5)
    train(encoder)
    assert not torch.allclose(vectors(encoder), base, atol=1e-3)


@pytest.mark.parametrize("method", ["side", "side-top"])
def test_initial_side_network_averages_the_states(build, bert, method):
    encoder = build(method, bert)
    states = encoder.frozen_trunk().forward(inputs(encoder)).values
    assert states.shape == (3, 3 if method == "side" else 2, 24)
    h = states[:, 0]
    for i in range(1, states.shape[1]):
        h = (h + states[:, i]) / 2
    torch.testing.assert_close(vectors(encoder), h)


def test_side_reads_the_hidden_states_of_the_model(build, folder):
    encoder = build("side", folder)
    texts = inputs(encoder)
    states = encoder.frozen_trunk().forward(texts).values
    expected_states = load_pretrained(encoder.folder)(
        input_ids=texts.values, attention_mask=texts.mask.long(), output_hidden_states=True
    ).hidden_states
    for i in (0, 1):  # the last state of GPT-2 includes its final norm
        pooled = encoder.pool(expected_states[i], texts)
        torch.testing.assert_close(states[:, i], nn.functional.layer_norm(pooled, (24,)), rtol=1e-4, atol=1e-4)


def test_side_gives_the_text_model_no_gradient(build, bert):
    encoder = build("side", bert).train()
    encoder.pretrained_model.requires_grad_(True)
    encoder(inputs(encoder)).square().sum().backward()
    assert all(p.grad is None for p in encoder.pretrained_model.parameters())
    assert all(p.grad is not None for p in encoder.blocks.parameters())


# ---- parameter groups


def test_parameter_groups_separate_pretrained_from_added(build, folder, method):
    encoder = build(method, folder)
    groups = {name: {id(p) for p in params} for name, params in encoder.parameter_groups().items()}
    group_of = {name: next((g for g, ids in groups.items() if id(p) in ids), None) for name, p in encoder.named_parameters()}
    expected_group = "pretrained" if method.startswith(("full", "bitfit")) else "peft"
    assert {group_of[name] for name in trained_names(encoder)} == (set() if method == "frozen" else {expected_group})
    original = {name for name, _ in load_pretrained(folder).named_parameters()}
    assert {base_name(name).replace(".base_layer", "") for name, group in group_of.items() if group == "pretrained"} == original
    assert {group for name, group in group_of.items() if base_name(name).replace(".base_layer", "") not in original} <= {"peft"}


# ---- options


def test_scale_of_lora(build, bert):
    def update(encoder):
        layer = encoder.pretrained_model.base_model.model.encoder.layer[0].attention.self.query
        with torch.no_grad():
            layer.lora_B["default"].weight.fill_(0.5)
        return layer.get_delta_weight("default") / (layer.lora_B["default"].weight @ layer.lora_A["default"].weight)

    torch.testing.assert_close(update(build("lora", bert, r=4, alpha=6)), torch.full((24, 24), 6 / 4))
    torch.testing.assert_close(update(build("lora", bert, r=4, alpha=6, rslora=True)), torch.full((24, 24), 6 / 2))


def test_targets_are_name_suffixes(build, bert):
    names = {
        base_name(name) for name in trained_names(build("lora", bert, targets=["attention.output.dense", "key"], layers=1))
    }
    ends = {name.removeprefix(LAYERS["bert"][1]).rpartition(".lora_")[0] for name in names}
    assert ends == {"attention.output.dense", "attention.self.key"}
    assert all(name.startswith(LAYERS["bert"][1]) for name in names)
    (end,) = {
        base_name(name).removeprefix(LAYERS["bert"][1]).rpartition(".lora_")[0]
        for name in trained_names(build("lora", bert, targets="value", layers=1))
    }
    assert end == "attention.self.value"


@pytest.mark.parametrize("method", ["lora", "adalora", "houlsby"])
def test_dropout_applies_in_training_only(build, bert, method):
    encoder = build(method, bert, dropout=0.5)
    train(encoder)
    for module in encoder.layer_stack.model.modules():
        if type(module) is nn.Dropout and module.p == 0.1:
            module.p = 0.0  # the model's own
    assert torch.equal(vectors(encoder), vectors(encoder))
    encoder.train()
    with torch.no_grad():
        assert not torch.equal(encoder(inputs(encoder)), encoder(inputs(encoder)))


def test_checkpointing_of_the_top_layers_changes_no_gradient(folder):
    gradients = []
    for checkpointing in (False, True):
        encoder = Full(model=folder, layers=1, dropout=0.0, gradient_checkpointing=checkpointing)
        encoder.build({}, dim=8)
        encoder.train()(inputs(encoder)).square().sum().backward()
        gradients.append([p.grad for p in encoder.parameters() if p.requires_grad])
    assert all(g is not None for g in gradients[1])
    torch.testing.assert_close(*gradients)


def test_options_of_any_peft_method(bert):
    encoder = Peft(method="LoHa", config={"r": 2, "target_modules": ["query"]}, model=bert, layers=1)
    encoder.build({}, dim=8)
    names = {base_name(name) for name in trained_names(encoder)}
    assert names
    assert all(name.startswith("encoder.layer.1.attention.self.query.hada_") for name in names)


def test_side_has_one_block_per_state(build, gpt):
    assert len(build("side", gpt, layers=1).blocks) == 2
    assert len(build("side", gpt, layers=2).blocks) == len(build("side", gpt).blocks) == 3
