import copy
import io
import json
import pickle
import shutil
from pathlib import Path

import pytest
import torch

from interestlab.testing import pad_rows
from interestlab_encoders.base import KEY
from interestlab_encoders.pretrained import load
from interestlab_encoders.text import Frozen, Full

TEXTS = ["strings for a guitar", "", "red"]
MOVES_THE_BASE = {"r": 2, "target_modules": ["query"]}


@pytest.fixture(scope="session")
def other(bert, tmp_path_factory):
    """A model of the same shape and other weights."""
    folder = Path(shutil.copytree(bert, tmp_path_factory.mktemp("other") / "model"))
    model = load(folder)
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
def stir(encoder):
    """As after some training."""
    for p in encoder.parameters():
        if p.requires_grad:
            p.add_(torch.randn_like(p), alpha=0.1)
    return encoder


def saved(encoder):
    """Its state dict, through a file."""
    file = io.BytesIO()
    torch.save(encoder.state_dict(), file)
    file.seek(0)
    return torch.load(file, weights_only=True)


def frozen(encoder):
    """What of the base is frozen and as it was, by name."""
    base = {id(p) for p in encoder.base.parameters}
    return {name for name, p in encoder.named_parameters() if id(p) in base and not p.requires_grad}


def of_before(encoder):
    """The state dict of a time when bases were not named: all of the weights."""
    everything = {name: p.detach() for name, p in encoder.named_parameters(remove_duplicate=False)} | saved(encoder)
    return {name: tensor for name, tensor in everything.items() if not name.endswith(KEY)}


def test_a_state_dict_holds_what_is_trained_and_the_name_of_its_base(build, folder, method):
    encoder = stir(build(method, folder))
    held = encoder.state_dict()
    trained = {name for name, p in encoder.named_parameters() if p.requires_grad}
    assert trained <= held.keys()
    assert not frozen(encoder) & held.keys()
    places = {p.untyped_storage().data_ptr() for name, p in encoder.named_parameters() if name in frozen(encoder)}
    tensors = {name: t for name, t in held.items() if isinstance(t, torch.Tensor)}
    assert not [name for name, t in tensors.items() if t.untyped_storage().data_ptr() in places]
    assert bytes(held[KEY].tolist()).hex() == encoder.base.sha256


def test_a_state_dict_restores_the_vectors(build, folder, method):
    encoder = stir(build(method, folder))
    again = build(method, folder)
    assert method == "frozen" or not torch.equal(vectors(again), vectors(encoder))
    again.load_state_dict(saved(encoder))
    assert torch.equal(vectors(again), vectors(encoder))


@pytest.mark.parametrize("method", ["lora", "frozen", "side"])
def test_a_state_dict_of_a_tuned_model_is_small(build, bert, method):
    size = sum(p.numel() for p in load(bert).parameters())
    held = build(method, bert).state_dict()
    assert sum(t.numel() for name, t in held.items() if name != KEY) < size / 5


def test_full_keeps_all_of_its_weights(build, folder):
    encoder = build("full", folder)
    assert {name for name, _ in encoder.named_parameters()} <= encoder.state_dict().keys()
    assert frozen(encoder) == set()


def test_another_base_is_refused_by_both_hashes(build, bert, other, method):
    encoder, stranger = build(method, bert), build(method, other)
    assert encoder.base.sha256 != stranger.base.sha256
    with pytest.raises(RuntimeError) as raised:
        stranger.load_state_dict(saved(encoder))
    said = " ".join(str(raised.value).split())
    assert f"base of sha256 {encoder.base.sha256[:12]}…" in said
    assert f"'{other}' is {stranger.base.sha256[:12]}…; give the model that it was trained on" in said
    assert bytes(stranger.base_sha256.tolist()).hex() == stranger.base.sha256


def test_a_base_is_known_by_its_weights_not_by_its_place(build, bert, tmp_path):
    moved = str(shutil.copytree(bert, tmp_path / "elsewhere"))
    encoder, again = stir(build("lora", bert)), build("lora", moved)
    again.load_state_dict(saved(encoder))
    assert torch.equal(vectors(again), vectors(encoder))


@pytest.mark.parametrize("method", ["frozen", "full", "full-top", "lora"])
def test_a_state_dict_of_before_bases_were_named_loads(build, bert, method):
    encoder, again = stir(build(method, bert)), build(method, bert)
    again.load_state_dict(of_before(encoder))
    assert torch.equal(vectors(again), vectors(encoder))


def test_a_state_dict_of_before_brings_its_own_weights_which_are_then_no_longer_the_base_s(build, bert, other):
    """Else what they give would be kept on disk under the name of this base."""
    for method in ("frozen", "full-top"):
        encoder, again = build(method, other), build(method, bert)
        assert again.frozen_trunk() is not None
        again.load_state_dict(of_before(encoder))
        assert again.frozen_trunk() is None
        assert torch.equal(vectors(again), vectors(encoder))
        third = build(method, bert)
        third.load_state_dict(saved(again))
        assert torch.equal(vectors(third), vectors(encoder))


def test_a_lack_that_the_base_does_not_fill_is_an_error(build, bert):
    held = {name: t for name, t in saved(build("lora", bert)).items() if "lora_A" not in name}
    with pytest.raises(RuntimeError, match="Missing key"):
        build("lora", bert).load_state_dict(held)


def test_copies_and_pickles_keep_their_base(build, bert, other, method):
    encoder = stir(build(method, bert))
    theirs = saved(build(method, other))
    for again in (copy.deepcopy(encoder), pickle.loads(pickle.dumps(encoder))):
        assert again.state_dict().keys() == encoder.state_dict().keys()
        assert torch.equal(vectors(again), vectors(encoder))
        fresh = build(method, bert)
        fresh.load_state_dict(saved(again))
        assert torch.equal(vectors(fresh), vectors(encoder))
        again.load_state_dict(saved(stir(fresh)))
        assert torch.equal(vectors(again), vectors(fresh))
        with pytest.raises(RuntimeError, match="base of sha256"):
            again.load_state_dict(theirs)


def test_a_copy_is_filled_from_its_own_base(build, bert):
    encoder = build("lora", bert)
    again = copy.deepcopy(encoder)
    originals = {id(p) for p in encoder.parameters()}
    assert not originals & {id(p) for p in again.base.parameters}
    with torch.no_grad():
        for p in again.base.parameters:
            p.add_(1.0)
    again.load_state_dict(saved(encoder))
    assert not torch.equal(vectors(again), vectors(encoder))


@pytest.mark.parametrize("how", ["pissa", "olora"])
def test_what_a_method_moves_of_the_base_at_its_start_is_kept(build, bert, how):
    """PiSSA and OLoRA take a part of each weight into their own."""
    options = {"method": "lora", "config": MOVES_THE_BASE | {"init_lora_weights": how}}
    encoder = stir(build("vera", bert, **options))
    held = saved(encoder)
    queries = {name for name in frozen(encoder) if name.endswith("query.base_layer.weight")}
    assert len(queries) == 2
    assert frozen(encoder) & held.keys() == queries
    again = build("vera", bert, **options)
    with torch.no_grad():  # as where another library of linear algebra has other signs
        for name, p in again.named_parameters():
            if name in queries:
                p.zero_()
    again.load_state_dict(held)
    assert torch.equal(vectors(again), vectors(encoder))


def test_moving_to_another_precision_changes_nothing_of_what_is_kept(build, bert):
    encoder = build("lora", bert)
    names = set(encoder.state_dict())
    assert set(encoder.double().state_dict()) == names
    assert encoder.state_dict()[KEY].dtype == torch.uint8


def test_an_encoder_inside_a_model_is_named_in_the_error(build, bert, other):
    inside, stranger = (torch.nn.ModuleDict({"main": build("lora", base)}) for base in (bert, other))
    inside.load_state_dict(saved(inside))
    with pytest.raises(RuntimeError, match="main was trained on a base of sha256"):
        stranger.load_state_dict(saved(inside))


@torch.no_grad()
def test_weights_that_were_ever_trained_are_kept(build, bert):
    """Training may free layers and freeze them again while it goes on."""
    layer = {"full": 0, "frozen": 1}
    for method, number in layer.items():
        encoder = build(method, bert)
        part = encoder.backbone.encoder.layer[number]
        part.requires_grad_(True)
        encoder.frozen_trunk()  # is asked before each use
        for p in part.parameters():
            p.add_(torch.randn_like(p), alpha=0.1)
        encoder.requires_grad_(False)
        held = saved(encoder)
        assert {name for name in encoder.state_dict() if f"layer.{number}." in name} <= held.keys()
        again = build(method, bert).requires_grad_(False)
        again.load_state_dict(held)
        assert torch.equal(vectors(again), vectors(encoder))


@torch.no_grad()
def test_weights_that_were_ever_trained_are_in_no_prefix(build, bert):
    """Else what they give would be kept on disk under the name of the base."""
    encoder = build("frozen", bert)
    untouched = encoder.frozen_trunk().key
    encoder.backbone.encoder.layer[1].requires_grad_(True)
    middle = encoder.frozen_trunk().key
    encoder.backbone.encoder.layer[1].requires_grad_(False)
    assert encoder.frozen_trunk().key == middle != untouched
    full = build("full", bert)
    full.requires_grad_(False)
    assert full.frozen_trunk() is None
    lora = build("lora-top", bert)
    before = lora.frozen_trunk().key
    lora.requires_grad_(False)
    assert lora.frozen_trunk().key == before


def test_before_it_is_built_a_state_dict_is_whole(bert):
    encoder = Full(model=bert, layers=1)
    assert {name for name, _ in encoder.named_parameters()} == set(encoder.state_dict())


def test_the_same_tensors_under_another_config_are_another_base(bert, tmp_path):
    folder = Path(shutil.copytree(bert, tmp_path / "model"))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"num_attention_heads": 1}))
    encoder, changed = (built(Frozen, model) for model in (bert, str(folder)))
    assert not torch.allclose(vectors(encoder), vectors(changed))
    with pytest.raises(RuntimeError, match="sha256"):
        changed.load_state_dict(encoder.state_dict())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "4.0"}))
    assert built(Frozen, str(folder)).base.sha256 == encoder.base.sha256


def built(cls, model):
    encoder = cls(model=model)
    encoder.build({}, dim=8)
    return encoder
