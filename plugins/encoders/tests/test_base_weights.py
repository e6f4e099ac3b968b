import copy
import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from interestlab.testing import pad_rows
from interestlab_encoders.base_weights import KEY
from interestlab_encoders.pretrained import load_pretrained
from interestlab_encoders.text import Frozen, Full

TEXTS = ["strings for a guitar", "", "red"]
MODIFIES_THE_BASE = {"r": 2, "target_modules": ["query"]}


@pytest.fixture(scope="session")
def other(bert, tmp_path_factory):
    """Return the folder of a model with the same shape and other weights."""
    folder = Path(shutil.copytree(bert, tmp_path_factory.mktemp("other") / "model"))
    model = load_pretrained(folder)
    torch.manual_seed(1)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
    model.save_pretrained(folder)
    return str(folder)


@torch.no_grad()
def vectors(encoder):
    encoder.eval()
    return encoder(pad_rows(encoder.preprocess(TEXTS)))


@torch.no_grad()
def perturb(encoder):
    """Change all trained parameters, as training does."""
    for p in encoder.parameters():
        if p.requires_grad:
            p.add_(torch.randn_like(p), alpha=0.1)
    return encoder


def save_and_load(encoder):
    """Return the state dict after saving it to a file."""
    file = io.BytesIO()
    torch.save(encoder.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def frozen_names(encoder):
    """Return the names of the frozen base weights."""
    base = {id(p) for p in encoder.base.parameters}
    return {name for name, p in encoder.named_parameters() if id(p) in base and not p.requires_grad}


def state_dict_without_hash(encoder):
    """Return a state dict with all weights and without the hash of the base."""
    all_weights = {name: p.detach() for name, p in encoder.named_parameters(remove_duplicate=False)} | save_and_load(encoder)
    return {name: tensor for name, tensor in all_weights.items() if not name.endswith(KEY)}


def test_state_dict_contains_the_trained_parameters_and_the_hash_of_the_base(build, folder, method):
    encoder = perturb(build(method, folder))
    state = encoder.state_dict()
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained <= state.keys()
    assert not frozen_names(encoder) & state.keys()
    storages = {p.untyped_storage().data_ptr() for name, p in encoder.named_parameters() if name in frozen_names(encoder)}
    tensors = {name: t for name, t in state.items() if isinstance(t, torch.Tensor)}
    assert not [name for name, t in tensors.items() if t.untyped_storage().data_ptr() in storages]
    assert bytes(state[KEY].tolist()).hex() == encoder.base.sha256


def test_state_dict_restores_the_vectors(build, folder, method):
    encoder = perturb(build(method, folder))
    reloaded = build(method, folder)
    assert method == "frozen" or not torch.equal(vectors(reloaded), vectors(encoder))
    reloaded.load_state_dict(save_and_load(encoder))
    assert torch.equal(vectors(reloaded), vectors(encoder))


@pytest.mark.parametrize("method", ["lora", "frozen", "side"])
def test_state_dict_of_a_fine_tuned_model_is_small(build, bert, method):
    size = sum(p.numel() for p in load_pretrained(bert).parameters())
    state = build(method, bert).state_dict()
    assert sum(t.numel() for name, t in state.items() if name != KEY) < size / 5


def test_full_saves_all_weights(build, folder):
    encoder = build("full", folder)
    assert {name for name, _ in encoder.named_parameters()} <= encoder.state_dict().keys()
    assert frozen_names(encoder) == set()


def test_other_base_weights_are_rejected_with_both_hashes(build, bert, other, method):
    encoder, other_encoder = build(method, bert), build(method, other)
    assert encoder.base.sha256 != other_encoder.base.sha256
    with pytest.raises(RuntimeError) as raised:
        other_encoder.load_state_dict(save_and_load(encoder))
    message = " ".join(str(raised.value).split())
    assert f"base weights with sha256 {encoder.base.sha256[:12]}…" in message
    assert f"'{other}' has {other_encoder.base.sha256[:12]}…; use the model that it was trained from" in message
    assert bytes(other_encoder.base_sha256.tolist()).hex() == other_encoder.base.sha256


def test_hash_does_not_depend_on_the_folder(build, bert, tmp_path):
    moved = str(shutil.copytree(bert, tmp_path / "elsewhere"))
    encoder, reloaded = perturb(build("lora", bert)), build("lora", moved)
    reloaded.load_state_dict(save_and_load(encoder))
    assert torch.equal(vectors(reloaded), vectors(encoder))


@pytest.mark.parametrize("method", ["frozen", "full", "full-top", "lora"])
def test_state_dict_without_hash_loads(build, bert, method):
    encoder, reloaded = perturb(build(method, bert)), build(method, bert)
    reloaded.load_state_dict(state_dict_without_hash(encoder))
    assert torch.equal(vectors(reloaded), vectors(encoder))


def test_other_weights_from_a_state_dict_without_hash_count_as_changed(build, bert, other):
    """Otherwise their output would be cached under the hash of this base."""
    for method in ("frozen", "full-top"):
        encoder, reloaded = build(method, other), build(method, bert)
        assert reloaded.frozen_trunk() is not None
        reloaded.load_state_dict(state_dict_without_hash(encoder))
        assert reloaded.frozen_trunk() is None
        assert torch.equal(vectors(reloaded), vectors(encoder))
        third = build(method, bert)
        third.load_state_dict(save_and_load(reloaded))
        assert torch.equal(vectors(third), vectors(encoder))


def test_missing_trained_parameters_are_an_error(build, bert):
    state = {name: t for name, t in save_and_load(build("lora", bert)).items() if "lora_A" not in name}
    with pytest.raises(RuntimeError, match="Missing key"):
        build("lora", bert).load_state_dict(state)


def test_deep_copies_and_pickles_keep_their_base(build, bert, other, method):
    encoder = perturb(build(method, bert))
    theirs = save_and_load(build(method, other))
    for copied in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert copied.state_dict().keys() == encoder.state_dict().keys()
        assert torch.equal(vectors(copied), vectors(encoder))
        fresh = build(method, bert)
        fresh.load_state_dict(save_and_load(copied))
        assert torch.equal(vectors(fresh), vectors(encoder))
        copied.load_state_dict(save_and_load(perturb(fresh)))
        assert torch.equal(vectors(copied), vectors(fresh))
        with pytest.raises(RuntimeError, match="base weights with sha256"):
            copied.load_state_dict(theirs)


def test_a_deep_copy_loads_from_its_own_base(build, bert):
    encoder = build("lora", bert)
    copied = copy.deepcopy(encoder)
    originals = {id(p) for p in encoder.parameters()}
    assert not originals & {id(p) for p in copied.base.parameters}
    with torch.no_grad():
        for p in copied.base.parameters:
            p.add_(1.0)
    copied.load_state_dict(save_and_load(encoder))
    assert not torch.equal(vectors(copied), vectors(encoder))


@pytest.mark.parametrize("initialisation", ["pissa", "olora"])
def test_weights_modified_at_initialisation_are_saved(build, bert, initialisation):
    """PiSSA and OLoRA move a part of each weight into their own parameters."""
    options = {"method": "lora", "config": MODIFIES_THE_BASE | {"init_lora_weights": initialisation}}
    encoder = perturb(build("vera", bert, **options))
    state = save_and_load(encoder)
    queries = {name for name in frozen_names(encoder) if name.endswith("query.base_layer.weight")}
    assert len(queries) == 2
    assert frozen_names(encoder) & state.keys() == queries
    reloaded = build("vera", bert, **options)
    with torch.no_grad():  # another linear algebra library may give other signs
        for name, p in reloaded.named_parameters():
            if name in queries:
                p.zero_()
    reloaded.load_state_dict(state)
    assert torch.equal(vectors(reloaded), vectors(encoder))


def test_precision_does_not_affect_the_keys(build, bert):
    encoder = build("lora", bert)
    names = set(encoder.state_dict())
    assert set(encoder.double().state_dict()) == names
    assert encoder.state_dict()[KEY].dtype == torch.uint8


def test_the_error_names_the_encoder_within_a_model(build, bert, other):
    model, other_encoder = (torch.nn.ModuleDict({"main": build("lora", base)}) for base in (bert, other))
    model.load_state_dict(save_and_load(model))
    with pytest.raises(RuntimeError, match="main was trained from base weights with sha256"):
        other_encoder.load_state_dict(save_and_load(model))


@torch.no_grad()
def test_weights_that_were_trainable_at_any_time_are_saved(build, bert):
    """Training may unfreeze layers and freeze them again."""
    layer = {"full": 0, "frozen": 1}
    for method, number in layer.items():
        encoder = build(method, bert)
        part = encoder.pretrained_model.encoder.layer[number]
        part.requires_grad_(True)
        encoder.frozen_trunk()  # called before each use
        for p in part.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
        encoder.requires_grad_(False)
        state = save_and_load(encoder)
        assert {name for name in encoder.state_dict() if f"layer.{number}." in name} <= state.keys()
        reloaded = build(method, bert).requires_grad_(False)
        reloaded.load_state_dict(state)
        assert torch.equal(vectors(reloaded), vectors(encoder))


@torch.no_grad()
def test_weights_that_were_trainable_at_any_time_are_not_in_the_trunk(build, bert):
    """Otherwise their output would be cached under the hash of the base."""
    encoder = build("frozen", bert)
    initial = encoder.frozen_trunk().key
    encoder.pretrained_model.encoder.layer[1].requires_grad_(True)
    middle = encoder.frozen_trunk().key
    encoder.pretrained_model.encoder.layer[1].requires_grad_(False)
    assert encoder.frozen_trunk().key == middle != initial
    full = build("full", bert)
    full.requires_grad_(False)
    assert full.frozen_trunk() is None
    lora = build("lora-top", bert)
    before = lora.frozen_trunk().key
    lora.requires_grad_(False)
    assert lora.frozen_trunk().key == before


def test_state_dict_is_complete_before_build(bert):
    encoder = Full(model=bert, layers=1)
    assert {name for name, _ in encoder.named_parameters()} == set(encoder.state_dict())


def test_another_config_gives_another_hash(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 1}))
    encoder, changed = (build_encoder(Frozen, model) for model in (bert, str(folder)))
    assert not torch.allclose(vectors(encoder), vectors(changed))
    with pytest.raises(RuntimeError, match="sha256"):
        changed.load_state_dict(encoder.state_dict())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "4.0"}))
    assert build_encoder(Frozen, str(folder)).base.sha256 == encoder.base.sha256


def build_encoder(cls, model):
    encoder = cls(model=model)
    encoder.build({}, dim=8)
    return encoder
