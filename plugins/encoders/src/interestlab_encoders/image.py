"""Pretrained vision models as encoders of images."""

import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.nn import functional as F
from transformers.models.auto.image_processing_auto import AutoImageProcessor  # importable without torchvision from here only

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab_encoders.base_weights import BaseWeights
from interestlab_encoders.model_folder import resolve_model_folder
from interestlab_encoders.pretrained import load_pretrained, one_line

BATCH = 32
"""Images per forward pass: the model's batch size is in paths, whose lengths do not reflect the size of images."""


class Image(Encoder):
    """A frozen pretrained vision model (ViT, CLIP, DINOv2, ConvNeXt and others) over image files.

    Each image is read once and its vector is stored on disk; pixels are not. If any image below ``root`` changes, all images
    are read again. Files with an extension that Pillow does not know are not images. A value that names no image counts as
    missing, and the number of missing values is logged. A truncated image has a vector of zeros and causes a warning. Nothing
    is downloaded: a web address names no image.

    Only safetensors are loaded, and code that comes with a model is not run.

    Args:
        model: name of a vision model on the Hugging Face hub, or its folder.
        root: folder of the images.
        fields: columns of their paths, relative to ``root``; one stream each.
        pooling: ``cls`` token, ``mean`` of the patches, or ``auto``: the pooler of the model where it has no extra layer, as
            in CLIP, DINOv2 and ConvNeXt; else the class token, else the mean.
        normalize: scale the vectors to unit length.
        whiten: map the vectors to the width of the model by PCA and scale each component to variance 1 over the distinct
            values of the data, instead of by a learnt layer.

    Raises:
        ValueError: Pillow is not installed, ``root`` or ``pooling`` does not exist, or the model cannot be found or loaded.
    """

    preprocess_key: str

    def __init__(
        self,
        model: str,
        root: str,
        fields: Sequence[str] = ("item.image",),
        pooling: Literal["auto", "cls", "mean"] = "auto",
        normalize: bool = False,
        whiten: bool = False,
    ) -> None:
        super().__init__()
        try:
            import PIL.Image
        except ImportError as err:
            raise ValueError("image needs Pillow: pip install 'interestlab-encoders[image]'") from err
        self.fields, self.whiten = list(fields), whiten
        self.root, self.pooling, self.normalize = Path(root).expanduser(), pooling, normalize
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is not a folder; set root to the folder of the images of {', '.join(self.fields)}")
        if pooling not in ("auto", "cls", "mean"):
            raise ValueError(f"pooling is {pooling!r}; it must be auto, cls or mean")
        folder = resolve_model_folder(model)
        pretrained = load_pretrained(folder, "vision")
        vision: Any = getattr(pretrained, "vision_model", pretrained)  # the vision tower of CLIP and similar models
        if vision is pretrained and pretrained.main_input_name != "pixel_values":
            raise ValueError(f"'{model}' is not a vision model: its input is {pretrained.main_input_name}")
        try:
            # The pixels of the other backend, torchvision's, differ slightly.
            self.processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        except Exception as err:  # a config can be wrong in many ways, each with its own type of error
            raise ValueError(f"cannot load an image processor from {folder}: {one_line(err)}") from err
        processor_config = self.processor.to_json_string()  # determines the vectors as the weights do
        self.base = BaseWeights(vision, model, processor_config)
        self.pretrained_model: nn.Module = vision.requires_grad_(False)
        self.has_class_token = any(name.endswith(("cls_token", "class_embedding")) for name, _ in vision.named_parameters())
        if pooling == "cls" and not self.has_class_token:
            raise ValueError(f"'{model}' has no class token; set pooling to auto or mean")
        wide, high = (self.to_pixels([PIL.Image.new("RGB", size)]) for size in ((64, 32), (32, 64)))
        if wide.shape != high.shape:
            raise ValueError(
                f"the image processor of '{model}' gives images of different sizes; use a model with a fixed image size"
            )
        self.out_dim = self.encode_pixels(wide).shape[1]
        config_hash = hashlib.sha256(processor_config.encode()).hexdigest()[:16]
        self.preprocess_key = f"image-2-{config_hash}-{hash_image_list(self.root)}"

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        self.base.exclude_from_state_dict(self)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.pretrained_model.eval()
        return self

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """Return the path of each image as UTF-8 bytes, empty where there is no image.

        Args:
            values: paths relative to ``root``.

        Returns:
            ``[length]`` uint8 per value.
        """
        return [np.frombuffer(value.encode() if self.open_image(value) else b"", np.uint8) for value in values]

    @torch.no_grad()
    def forward(self, inputs: Inputs) -> Tensor:
        assert inputs.lengths is not None
        rows = zip(inputs.values.cpu().numpy(), inputs.lengths.tolist(), strict=True)
        paths = [row[:length].tobytes().decode() for row, length in rows]
        like = next(self.pretrained_model.parameters())
        out, unreadable = like.new_zeros(len(paths), self.out_dim), []
        for start in range(0, len(paths), BATCH):
            images = {}
            for i, path in enumerate(paths[start : start + BATCH], start):
                if image := path and self.open_image(path, decode=True):
                    images[i] = image
                elif path:
                    unreadable.append(path)
            if images:
                out[list(images)] = self.encode_pixels(self.to_pixels(list(images.values()))).to(out.dtype)
        if unreadable:
            rank_zero_warn(
                f"{self.root}: {len(unreadable):,} images are truncated or missing, the first is '{unreadable[0]}'; "
                "they have vectors of zeros."
            )
        return F.normalize(out, dim=-1) if self.normalize else out

    def open_image(self, path: str, decode: bool = False) -> Any | None:
        """Open an image below the root.

        Args:
            path: path relative to the root.
            decode: decode the pixels; otherwise only the header is read.

        Returns:
            the image, or None if there is no readable image.
        """
        import PIL.Image
        import PIL.ImageOps

        if Path(path).is_absolute() or ".." in Path(path).parts or not has_image_extension(path):
            return None
        try:
            with PIL.Image.open(self.root / path) as image:
                return PIL.ImageOps.exif_transpose(image.convert("RGB")) if decode else image
        except Exception:  # a decoder can raise anything on arbitrary bytes, and must not end a run of hours
            return None

    def to_pixels(self, images: Sequence[Any]) -> Tensor:
        """Convert images to the input of the model.

        Args:
            images: N images.

        Returns:
            ``[N, 3, H, W]``.
        """
        like = next(self.pretrained_model.parameters())
        pixels = self.processor(images=list(images), return_tensors="np")["pixel_values"]
        return torch.from_numpy(np.asarray(pixels)).to(like)

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Run the vision model and pool its output.

        Args:
            pixels: ``[N, 3, H, W]``.

        Returns:
            ``[N, out_dim]``.
        """
        out = self.pretrained_model(pixel_values=pixels, return_dict=True)
        if self.pooling == "auto" and getattr(out, "pooler_output", None) is not None:
            return out.pooler_output.flatten(1)
        hidden = out.last_hidden_state
        if hidden.dim() == 4:  # a feature map [N, D, H, W] of a convolutional network
            hidden = hidden.flatten(2).transpose(1, 2)
        return hidden.mean(1) if self.pooling == "mean" or not self.has_class_token else hidden[:, 0]


def has_image_extension(name: str) -> bool:
    """Return whether a file may be an image: its extension is known to Pillow, or it has none.

    Args:
        name: name or path of the file.

    Returns:
        True if it may be an image.
    """
    import PIL.Image

    return Path(name).suffix.lower() in ("", *PIL.Image.registered_extensions())


def hash_image_list(root: Path) -> str:
    """Hash the names, sizes and modification times of all images below a folder; other files have no effect.

    Args:
        root: the folder.

    Returns:
        sha256 in hexadecimal.
    """
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(filter(has_image_extension, files)):
            file = Path(folder) / name
            stat = file.stat() if file.exists() else file.lstat()
            digest.update(f"{file.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()
