"""Items that came after training get embeddings from every encoder, and those of the log keep every bit of theirs."""

import numpy as np
import polars as pl
import pytest
import torch

from interestlab import dynamics, fusion, objectives, sources
from interestlab.data.datamodule import InterestData
from interestlab.model.amortized import Amortization
from interestlab.registry import ENCODERS, FUSION
from interestlab.training.lightning_module import InterestModel

QUICK = ("static", "lora", "id", "features")

VARIANTS = [
    *(pytest.param(name, {}, marks=[pytest.mark.slow] * (name not in QUICK)) for name in ENCODERS.names()),
    ("frozen", {"whiten": True}),
    ("static", {"whiten": True}),
    ("static", {"trainable": False}),
    ("lora", {"cache": "off"}),
    ("lora", {"whiten": True}),
]


@pytest.fixture
def data():
    """Return a function that opens a small shop, with tables of added items."""
    return lambda *files: InterestData(sources.simulated(users=20, items=32, events=5), added_items=[*map(str, files)])


@pytest.fixture
def brands(vit, tmp_path_factory):
    """Return a folder with an image and a vector for every brand of the shop."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("brands")
    names = InterestData(sources.simulated(users=20, items=32, events=5)).log.items["brand"].unique().sort().to_list()
    vectors = np.random.default_rng(0).normal(size=(len(names), 3))
    pl.DataFrame({"item_id": names, "vector": vectors.tolist()}).write_parquet(folder / "vectors.parquet")
    for name, pixel in zip(names, vectors, strict=True):
        Image.fromarray(np.full((9, 9, 3), 40 * pixel + 128, np.uint8)).save(folder / name, "png")
    return folder


@pytest.fixture
def make_encoder(bert, vit, brands):
    text = {"model": bert, "max_length": 24}
    arguments = dict.fromkeys(ENCODERS.names(), text) | {
        "behaviour": {"field": "item.brand"},
        "features": {"file": str(brands / "vectors.parquet"), "field": "item.brand"},
        "id": {"field": "item.brand"},
        "image": {"model": vit, "root": str(brands), "fields": ["item.brand"]},
        "peft": text | {"method": "vera", "config": {"r": 4}},
    }
    return lambda name, **more: ENCODERS.load(name)(**arguments[name] | more)


@pytest.fixture
def copied(data, tmp_path):
    """Return a file with a copy of item 3 of the shop under a new id."""
    file = tmp_path / "new.parquet"
    data().log.items[[3]].with_columns(item_id=pl.lit("copy")).write_parquet(file)
    return file


def build_model(main, data, head="delta"):
    torch.manual_seed(0)
    encoders = {"id": ENCODERS.load("id")(), "main": main}
    model = InterestModel(
        encoders,
        dynamics.ewma(dim=8),
        objectives.next_item(),
        data.cardinalities,
        fusion=getattr(fusion, head)(dim=8),
        dim=8,
        amortize=Amortization(share=0.5) if main.preprocess_key else Amortization(),
    )
    model.attach(data)
    return model.eval()


def words_alone(model, item):
    """Return the embedding of an item whose id counts as missing."""
    streams = {s.name: model.backbone.embed_rows(s, np.array([item])) for s in model.backbone.item_streams}
    vectors, present = streams["id"]
    return model.backbone.fuse_items(streams | {"id": (vectors.zero_(), present.zero_())})


@pytest.mark.parametrize(("name", "arguments"), VARIANTS, ids=lambda v: v if isinstance(v, str) else "-".join(v))
@torch.no_grad()
def test_every_encoder_embeds_a_new_item_by_its_words(data, make_encoder, copied, name, arguments):
    model = build_model(make_encoder(name, **arguments), data())
    before = model.freeze_catalogue().items
    model.attach(data(copied))
    after = model.freeze_catalogue().items
    assert torch.equal(after[:-1], before)
    assert len(after) == len(before) + 1
    assert after.isfinite().all()
    torch.testing.assert_close(after[-1:].float(), words_alone(model, 3), rtol=1e-4, atol=1e-5)
    assert not torch.allclose(after[-1], before[3])  # since that has an id too


@pytest.mark.parametrize("head", FUSION.names())
@torch.no_grad()
def test_every_fusion_head_represents_an_item_without_an_id(data, make_encoder, copied, head):
    model = build_model(make_encoder("static"), data(copied), head)
    items = model.freeze_catalogue().items
    assert items.isfinite().all()
    torch.testing.assert_close(items[-1:].float(), words_alone(model, 3), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_an_existing_id_keeps_its_place_and_its_id_vector(data, make_encoder, tmp_path):
    items = data().log.items
    changed = items[[3]].with_columns(title=pl.lit(items["title"][5]))
    changed.write_csv(tmp_path / "changed.csv")
    model = build_model(make_encoder("static"), data(tmp_path / "changed.csv"))
    both, log = model.freeze_catalogue().items, data(tmp_path / "changed.csv")
    assert both.shape[0] == items.height
    assert log.catalogue["title"][3] == items["title"][5]
    streams = {
        s.name: model.backbone.embed_rows(s, np.array([{"id": 3, "main": 5}[s.name]])) for s in model.backbone.item_streams
    }
    torch.testing.assert_close(both[3:4].float(), model.backbone.fuse_items(streams), rtol=1e-4, atol=1e-5)


def test_a_value_that_the_log_does_not_have_counts_as_missing_for_an_encoder_of_indices(data, make_encoder, tmp_path):
    new = data().log.items[[3]].with_columns(item_id=pl.lit("copy"), brand=pl.lit("unknown"))
    new.write_ndjson(tmp_path / "new.jsonl")
    model = build_model(make_encoder("id"), data(tmp_path / "new.jsonl"))
    assert model.added_items[0].is_readable.tolist() == [False]
