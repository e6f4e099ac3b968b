import os
import sys
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from transformers import (
    CLIPConfig,
    CLIPModel,
    CLIPVisionConfig,
    CLIPVisionModel,
    ConvNextConfig,
    ConvNextModel,
    ViTConfig,
    ViTModel,
)

from interestlab.testing import EncoderTests, pad_rows
from interestlab_encoders import image as module
from interestlab_encoders.image import Image

pillow = pytest.importorskip("PIL.Image")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
SIGHT = {"image_size": 16, "patch_size": 8}
PROCESSOR = """{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16},
"do_rescale": true, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"""


def saved(folder, model, processor=PROCESSOR):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(processor)
    return str(folder)


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    torch.manual_seed(0)
    return saved(tmp_path_factory.mktemp("vit"), ViTModel(ViTConfig(**SMALL, **SIGHT, initializer_range=0.3)))


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    return saved(tmp_path_factory.mktemp("clip"), CLIPVisionModel(CLIPVisionConfig(**SMALL, **SIGHT)))


@pytest.fixture(scope="session")
def convnext(tmp_path_factory):
    torch.manual_seed(0)
    config = ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2, initializer_range=0.3)
    return saved(tmp_path_factory.mktemp("convnext"), ConvNextModel(config))


def paint(file, seed, size=(20, 30), mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    pillow.fromarray(pixels, mode if mode == "RGB" else "L").convert(mode).save(file)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A folder of images, good and bad."""
    folder = tmp_path_factory.mktemp("images")
    paint(folder / "a.png", 0)
    paint(folder / "下" / "b 1.jpg", 1)
    paint(folder / "grey.png", 2, size=(9, 9), mode="L")
    paint(folder / "palette.gif", 3, mode="P")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:900])
    (folder / "text.png").write_text("<html>404</html>")
    (folder / "empty.png").touch()
    return str(folder)


class Kit(EncoderTests):
    plugin = Image
    values = ("a.png", "", "下/b 1.jpg", "no such.png", "grey.png")
    options_of_it: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _files(self, request, root):
        self.args = {"model": request.getfixturevalue(self.model), "root": root}

    @property
    def init_args(self):
        return self.args | self.options_of_it


class TestViT(Kit):
    model = "vit"


class TestViTWithEveryOption(Kit):
    model = "vit"
    options_of_it: ClassVar = {"fields": ["item.front", "event.photo"], "pooling": "mean", "normalize": True}


class TestClip(Kit):
    model = "clip"


class TestConvNext(Kit):
    model = "convnext"


def seen(encoder, *paths):
    encoder.build({}, dim=8)
    return encoder(pad_rows(encoder.preprocess(paths)))


@pytest.mark.parametrize("model", ["vit", "clip", "convnext"])
def test_an_image_has_the_model_s_own_vector(model, root, request):
    from transformers import AutoModel
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    folder = request.getfixturevalue(model)
    picture = pillow.open(Path(root) / "a.png")
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=picture, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = AutoModel.from_pretrained(folder).eval()(pixels)
    expected = out.last_hidden_state[:, 0] if model == "vit" else out.pooler_output
    torch.testing.assert_close(seen(Image(folder, root), "a.png"), expected.flatten(1))


def test_poolings(vit, convnext, root):
    first, mean = (seen(Image(vit, root, pooling=p), "a.png") for p in ("cls", "mean"))
    torch.testing.assert_close(first, seen(Image(vit, root), "a.png"))
    assert not torch.allclose(first, mean)
    assert seen(Image(convnext, root, pooling="mean"), "a.png").shape == (1, 8)
    with pytest.raises(ValueError, match="has no class token; set pooling to auto or mean"):
        Image(convnext, root, pooling="cls")


def test_any_number_of_images_and_any_kind(vit, root, monkeypatch):
    paths = ["a.png", "下/b 1.jpg", "grey.png", "palette.gif", "a.png"]
    whole = seen(Image(vit, root), *paths)
    monkeypatch.setattr(module, "BATCH", 2)
    torch.testing.assert_close(seen(Image(vit, root), *paths), whole)
    assert torch.equal(whole[0], whole[4])
    assert len({tuple(row) for row in whole.tolist()}) == 4


@pytest.mark.parametrize(
    "path",
    ["", "no.png", "text.png", "empty.png", "下", "https://shop.com/a.png", "a\0.png", "../{name}/a.png", "{root}/a.png"],
)
def test_what_is_no_image_below_the_root_is_missing(vit, root, path):
    path = path.format(root=root, name=Path(root).name)
    none, there = Image(vit, root).preprocess([path, "a.png"])
    assert none.shape == (0,)
    assert there.tobytes() == b"a.png"


def test_an_image_that_breaks_off_is_zero_and_told(vit, root):
    encoder = Image(vit, root)
    with pytest.warns(UserWarning, match=r"1 images cannot be read to their end, 'broken.png' the first"):
        found = seen(encoder, "broken.png", "a.png")
    assert not found[0].any()
    assert found[1].any()


def test_an_image_that_left_since_is_zero_and_told(vit, tmp_path):
    paint(tmp_path / "a.png", 0)
    encoder = Image(vit, str(tmp_path))
    rows = pad_rows(encoder.preprocess(["a.png"]))
    (tmp_path / "a.png").unlink()
    encoder.build({}, dim=8)
    with pytest.warns(UserWarning, match="'a.png' the first"):
        assert not encoder(rows).any()


def test_it_is_a_constant_and_its_checkpoint_holds_no_base(vit, root):
    encoder = Image(vit, root).train()
    encoder.build({}, dim=8)
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.backbone.training
    assert sum(tensor.numel() for tensor in encoder.state_dict().values()) < 100


def test_turned_as_the_camera_says(vit, tmp_path):
    paint(tmp_path / "upright.png", 0, size=(20, 30))
    turned = pillow.open(tmp_path / "upright.png").transpose(pillow.Transpose.ROTATE_90)
    exif = pillow.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.png", exif=exif)
    upright, other = seen(Image(vit, str(tmp_path)), "upright.png", "turned.png")
    torch.testing.assert_close(upright, other)


def test_the_key_names_what_lies_below_the_root(vit, tmp_path):
    paint(tmp_path / "x" / "a.png", 0)
    paint(tmp_path / "y" / "a.png", 0)
    for folder in "xy":
        os.utime(tmp_path / folder / "a.png", (1, 1))
    key = Image(vit, str(tmp_path / "x")).preprocess_key
    assert Image(vit, str(tmp_path / "y")).preprocess_key == key
    os.utime(tmp_path / "y" / "a.png", (2, 2))
    changed = Image(vit, str(tmp_path / "y")).preprocess_key
    (tmp_path / "y" / "link.png").symlink_to("nowhere")
    assert len({key, changed, Image(vit, str(tmp_path / "y")).preprocess_key}) == 3


def test_the_key_and_the_base_name_what_makes_pixels(root, tmp_path):
    model = ViTModel(ViTConfig(**SMALL, **SIGHT))
    first = Image(saved(tmp_path, model), root)
    again = Image(saved(tmp_path, model), root)
    other = Image(saved(tmp_path, model, PROCESSOR.replace("0.5", "0.4")), root)
    assert (first.preprocess_key, first.base.sha256) == (again.preprocess_key, again.base.sha256)
    assert first.preprocess_key != other.preprocess_key
    assert first.base.sha256 != other.base.sha256


def test_what_is_no_image_by_its_ending_is_not_read_and_changes_no_key(vit, tmp_path):
    paint(tmp_path / "a.PNG", 0)
    encoder = Image(vit, str(tmp_path))
    (tmp_path / "runs").mkdir()
    for name in ("last.ckpt", "metrics.jsonl"):
        (tmp_path / "runs" / name).write_bytes((tmp_path / "a.PNG").read_bytes())
    assert Image(vit, str(tmp_path)).preprocess_key == encoder.preprocess_key
    assert [len(row) for row in encoder.preprocess(["a.PNG", "runs/last.ckpt"])] == [5, 0]
    (tmp_path / "without an ending").write_bytes((tmp_path / "a.PNG").read_bytes())
    assert Image(vit, str(tmp_path)).preprocess_key != encoder.preprocess_key
    assert encoder.preprocess(["without an ending"])[0].size


def test_a_pooling_that_is_none(vit, root):
    with pytest.raises(ValueError, match="pooling is 'max'; it must be auto, cls or mean"):
        Image(vit, root, pooling="max")


def test_of_a_model_of_texts_and_images_it_is_the_half_that_sees(root, tmp_path):
    torch.manual_seed(0)
    words = SMALL | {"vocab_size": 20, "max_position_embeddings": 8}
    both = CLIPModel(CLIPConfig(text_config=words, vision_config=SMALL | SIGHT, projection_dim=4)).eval()
    encoder = Image(saved(tmp_path, both), root)
    assert not any("text" in name for name, _ in encoder.named_parameters())
    pixels = encoder.pixels([pillow.open(Path(root) / "a.png")])
    with torch.no_grad():
        expected = both.vision_model(pixel_values=pixels).pooler_output
    torch.testing.assert_close(seen(encoder, "a.png"), expected)


def test_a_text_model_is_refused(bert, root):
    with pytest.raises(ValueError, match="is no vision model: it reads input_ids"):
        Image(bert, root)


def test_images_of_many_sizes_are_refused(root, tmp_path):
    varied = PROCESSOR.replace("ViTImageProcessor", "CLIPImageProcessor")
    varied = varied.replace('{"height": 16, "width": 16}', '{"shortest_edge": 16}, "do_center_crop": false')
    folder = saved(tmp_path, ViTModel(ViTConfig(**SMALL, **SIGHT)), varied)
    with pytest.raises(ValueError, match="gives each image a size of its own"):
        Image(folder, root)


def test_what_is_not_there_is_told_in_one_line(vit, root, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"absent is no folder; set the root of item.image"):
        Image(vit, str(tmp_path / "absent"))
    ViTModel(ViTConfig(**SMALL, **SIGHT)).save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="no image processor can be read from") as told:
        Image(str(tmp_path / "bare"), root)
    assert "\n" not in str(told.value)
    (tmp_path / "bare" / "preprocessor_config.json").write_text(PROCESSOR.replace('"ViTImageProcessor"', "3"))
    with pytest.raises(ValueError, match=r"no image processor can be read from .*: AttributeError: "):
        Image(str(tmp_path / "bare"), root)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ValueError, match=r"pip install 'interestlab-encoders\[image\]'"):
        Image(vit, root)
