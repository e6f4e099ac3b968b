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
from interestlab_encoders import image as image_module
from interestlab_encoders.image import Image

pillow = pytest.importorskip("PIL.Image")

SMALL = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 16}
VISION = {"image_size": 16, "patch_size": 8}
PROCESSOR = """{"image_processor_type": "ViTImageProcessor", "do_resize": true, "size": {"height": 16, "width": 16},
"do_rescale": true, "do_normalize": true, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}"""


def save(folder, model, processor=PROCESSOR):
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(processor)
    return str(folder)


@pytest.fixture(scope="session")
def vit(tmp_path_factory):
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("vit"), ViTModel(ViTConfig(**SMALL, **VISION, initializer_range=0.3)))


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    torch.manual_seed(0)
    return save(tmp_path_factory.mktemp("clip"), CLIPVisionModel(CLIPVisionConfig(**SMALL, **VISION)))


@pytest.fixture(scope="session")
def convnext(tmp_path_factory):
    torch.manual_seed(0)
    config = ConvNextConfig(hidden_sizes=[4, 8], depths=[1, 1], num_stages=2, initializer_range=0.3)
    return save(tmp_path_factory.mktemp("convnext"), ConvNextModel(config))


def save_noise_image(file, seed, size=(20, 30), mode="RGB"):
    file.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    pixels = np.random.default_rng(seed).integers(0, 255, shape, np.uint8)
    pillow.fromarray(pixels, mode if mode == "RGB" else "L").convert(mode).save(file)


@pytest.fixture(scope="session")
def root(tmp_path_factory):
    """A folder of valid and invalid images."""
    folder = tmp_path_factory.mktemp("images")
    save_noise_image(folder / "a.png", 0)
    save_noise_image(folder / "下" / "b 1.jpg", 1)
    save_noise_image(folder / "grey.png", 2, size=(9, 9), mode="L")
    save_noise_image(folder / "palette.gif", 3, mode="P")
    (folder / "broken.png").write_bytes((folder / "a.png").read_bytes()[:900])
    (folder / "text.png").write_text("<html>404</html>")
    (folder / "empty.png").touch()
    return str(folder)


class ImageTests(EncoderTests):
    plugin = Image
    values = ("a.png", "", "下/b 1.jpg", "no such.png", "grey.png")
    extra_args: ClassVar = {}

    @pytest.fixture(autouse=True)
    def _files(self, request, root):
        self.args = {"model": request.getfixturevalue(self.model), "root": root}

    @property
    def init_args(self):
        return self.args | self.extra_args


class TestViT(ImageTests):
    model = "vit"


class TestViTWithAllOptions(ImageTests):
    model = "vit"
    extra_args: ClassVar = {"fields": ["item.front", "event.photo"], "pooling": "mean", "normalize": True}


class TestClip(ImageTests):
    model = "clip"


class TestConvNext(ImageTests):
    model = "convnext"


def encode(encoder, *paths):
    encoder.build({}, dim=8)
    return encoder(pad_rows(encoder.preprocess(paths)))


@pytest.mark.parametrize("model", ["vit", "clip", "convnext"])
def test_vectors_equal_those_of_the_model(model, root, request):
    from transformers import AutoModel
    from transformers.models.auto.image_processing_auto import AutoImageProcessor

    folder = request.getfixturevalue(model)
    image = pillow.open(Path(root) / "a.png")
    pixels = AutoImageProcessor.from_pretrained(folder, backend="pil")(images=image, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        out = AutoModel.from_pretrained(folder).eval()(pixels)
    expected = out.last_hidden_state[:, 0] if model == "vit" else out.pooler_output
    torch.testing.assert_close(encode(Image(folder, root), "a.png"), expected.flatten(1))


def test_poolings(vit, convnext, root):
    first, mean = (encode(Image(vit, root, pooling=p), "a.png") for p in ("cls", "mean"))
    torch.testing.assert_close(first, encode(Image(vit, root), "a.png"))
    assert not torch.allclose(first, mean)
    assert encode(Image(convnext, root, pooling="mean"), "a.png").shape == (1, 8)
    with pytest.raises(ValueError, match="has no class token; set pooling to auto or mean"):
        Image(convnext, root, pooling="cls")


def test_batches_and_image_modes(vit, root, monkeypatch):
    paths = ["a.png", "下/b 1.jpg", "grey.png", "palette.gif", "a.png"]
    expected = encode(Image(vit, root), *paths)
    monkeypatch.setattr(image_module, "BATCH", 2)
    torch.testing.assert_close(encode(Image(vit, root), *paths), expected)
    assert torch.equal(expected[0], expected[4])
    assert len({tuple(row) for row in expected.tolist()}) == 4


@pytest.mark.parametrize(
    "path",
    ["", "no.png", "text.png", "empty.png", "下", "https://shop.com/a.png", "a\0.png", "../{name}/a.png", "{root}/a.png"],
)
def test_values_that_name_no_image_are_missing(vit, root, path):
    path = path.format(root=root, name=Path(root).name)
    missing, row = Image(vit, root).preprocess([path, "a.png"])
    assert missing.shape == (0,)
    assert row.tobytes() == b"a.png"


def test_a_truncated_image_has_a_zero_vector_and_a_warning(vit, root):
    encoder = Image(vit, root)
    with pytest.warns(UserWarning, match=r"1 images are truncated or missing, the first is 'broken.png'"):
        vectors = encode(encoder, "broken.png", "a.png")
    assert not vectors[0].any()
    assert vectors[1].any()


def test_an_image_deleted_after_preprocess_has_a_zero_vector_and_a_warning(vit, tmp_path):
    save_noise_image(tmp_path / "a.png", 0)
    encoder = Image(vit, str(tmp_path))
    rows = pad_rows(encoder.preprocess(["a.png"]))
    (tmp_path / "a.png").unlink()
    encoder.build({}, dim=8)
    with pytest.warns(UserWarning, match="the first is 'a.png'"):
        assert not encoder(rows).any()


def test_is_constant_and_its_checkpoint_contains_no_base_weights(vit, root):
    encoder = Image(vit, root).train()
    encoder.build({}, dim=8)
    assert not any(p.requires_grad for p in encoder.parameters())
    assert not encoder.pretrained_model.training
    assert sum(tensor.numel() for tensor in encoder.state_dict().values()) < 100


def test_exif_orientation_is_applied(vit, tmp_path):
    save_noise_image(tmp_path / "upright.png", 0, size=(20, 30))
    rotated = pillow.open(tmp_path / "upright.png").transpose(pillow.Transpose.ROTATE_90)
    exif = pillow.Exif()
    exif[0x0112] = 6
    rotated.save(tmp_path / "rotated.png", exif=exif)
    upright, other = encode(Image(vit, str(tmp_path)), "upright.png", "rotated.png")
    torch.testing.assert_close(upright, other)


def test_preprocess_key_depends_on_the_images_below_the_root(vit, tmp_path):
    save_noise_image(tmp_path / "x" / "a.png", 0)
    save_noise_image(tmp_path / "y" / "a.png", 0)
    for folder in "xy":
        os.utime(tmp_path / folder / "a.png", (1, 1))
    key = Image(vit, str(tmp_path / "x")).preprocess_key
    assert Image(vit, str(tmp_path / "y")).preprocess_key == key
    os.utime(tmp_path / "y" / "a.png", (2, 2))
    changed = Image(vit, str(tmp_path / "y")).preprocess_key
    (tmp_path / "y" / "link.png").symlink_to("nowhere")
    assert len({key, changed, Image(vit, str(tmp_path / "y")).preprocess_key}) == 3


def test_key_and_hash_depend_on_the_image_processor(root, tmp_path):
    model = ViTModel(ViTConfig(**SMALL, **VISION))
    first = Image(save(tmp_path, model), root)
    same = Image(save(tmp_path, model), root)
    other = Image(save(tmp_path, model, PROCESSOR.replace("0.5", "0.4")), root)
    assert (first.preprocess_key, first.base.sha256) == (same.preprocess_key, same.base.sha256)
    assert first.preprocess_key != other.preprocess_key
    assert first.base.sha256 != other.base.sha256


def test_files_with_other_extensions_are_ignored(vit, tmp_path):
    save_noise_image(tmp_path / "a.PNG", 0)
    encoder = Image(vit, str(tmp_path))
    (tmp_path / "runs").mkdir()
    for name in ("last.ckpt", "metrics.jsonl"):
        (tmp_path / "runs" / name).write_bytes((tmp_path / "a.PNG").read_bytes())
    assert Image(vit, str(tmp_path)).preprocess_key == encoder.preprocess_key
    assert [len(row) for row in encoder.preprocess(["a.PNG", "runs/last.ckpt"])] == [5, 0]
    (tmp_path / "no extension").write_bytes((tmp_path / "a.PNG").read_bytes())
    assert Image(vit, str(tmp_path)).preprocess_key != encoder.preprocess_key
    assert encoder.preprocess(["no extension"])[0].size


def test_unknown_pooling(vit, root):
    with pytest.raises(ValueError, match="pooling is 'max'; it must be auto, cls or mean"):
        Image(vit, root, pooling="max")


def test_vision_tower_of_a_text_and_image_model(root, tmp_path):
    torch.manual_seed(0)
    text = SMALL | {"vocab_size": 20, "max_position_embeddings": 8}
    both = CLIPModel(CLIPConfig(text_config=text, vision_config=SMALL | VISION, projection_dim=4)).eval()
    encoder = Image(save(tmp_path, both), root)
    assert not any("text" in name for name, _ in encoder.named_parameters())
    pixels = encoder.to_pixels([pillow.open(Path(root) / "a.png")])
    with torch.no_grad():
        expected = both.vision_model(pixel_values=pixels).pooler_output
    torch.testing.assert_close(encode(encoder, "a.png"), expected)


def test_text_model_is_rejected(bert, root):
    with pytest.raises(ValueError, match="is not a vision model: its input is input_ids"):
        Image(bert, root)


def test_variable_image_sizes_are_rejected(root, tmp_path):
    varied = PROCESSOR.replace("ViTImageProcessor", "CLIPImageProcessor")
    varied = varied.replace('{"height": 16, "width": 16}', '{"shortest_edge": 16}, "do_center_crop": false')
    folder = save(tmp_path, ViTModel(ViTConfig(**SMALL, **VISION)), varied)
    with pytest.raises(ValueError, match="gives images of different sizes"):
        Image(folder, root)


def test_missing_files_and_packages(vit, root, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"absent is not a folder; set root"):
        Image(vit, str(tmp_path / "absent"))
    ViTModel(ViTConfig(**SMALL, **VISION)).save_pretrained(tmp_path / "bare")
    with pytest.raises(ValueError, match="cannot load an image processor from") as raised:
        Image(str(tmp_path / "bare"), root)
    assert "\n" not in str(raised.value)
    (tmp_path / "bare" / "preprocessor_config.json").write_text(PROCESSOR.replace('"ViTImageProcessor"', "3"))
    with pytest.raises(ValueError, match=r"cannot load an image processor from .*: AttributeError: "):
        Image(str(tmp_path / "bare"), root)
    monkeypatch.setitem(sys.modules, "PIL", None)
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    with pytest.raises(ValueError, match=r"pip install 'interestlab-encoders\[image\]'"):
        Image(vit, root)
