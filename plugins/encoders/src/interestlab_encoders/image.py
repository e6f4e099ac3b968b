"""Any Hugging Face vision model as an encoder of images."""

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
from transformers.models.auto.image_processing_auto import AutoImageProcessor  # not hidden where torchvision lacks

from interestlab.batch import Inputs
from interestlab.contract import Encoder
from interestlab_encoders.base import Base
from interestlab_encoders.pretrained import load, told
from interestlab_encoders.weights import locate

BATCH = 32
"""Images that the model reads at once: how many paths come at once has to do with their lengths, not with the images."""


class Image(Encoder):
    """A pretrained vision model as it was trained: ViT, CLIP, DINOv2, ConvNeXt and their like.

    An image is read once, its vector is kept on disk, and pixels are not. Where any image below ``root`` was changed, all
    are read again; what has an ending that Pillow does not know is no image. A value that names none counts as missing, and how
    many do is told; an image that breaks off halfway has a vector of zeros, and is told too. Nothing is downloaded: a web
    address names no image.

    Only safetensors are read, and no code that comes with a model is run.

    Args:
        model: a vision model's name on the Hugging Face hub, or its folder.
        root: folder of the images.
        fields: columns of their paths, relative to ``root``, one stream each.
        pooling: how one vector comes from those of the patches. ``auto``: the model's own pooler where that is no layer on
            top of it, as of CLIP, DINOv2 and ConvNeXt; else the class token, else the mean.
        normalize: scale the vectors to unit length.

    Raises:
        ValueError: Pillow is not installed, there is no such folder or pooling, or the model is not found or cannot be read.
    """

    preprocess_key: str

    def __init__(
        self,
        model: str,
        root: str,
        fields: Sequence[str] = ("item.image",),
        pooling: Literal["auto", "cls", "mean"] = "auto",
        normalize: bool = False,
    ) -> None:
        super().__init__()
        try:
            import PIL.Image
        except ImportError as err:
            raise ValueError("image reads images with Pillow: pip install 'interestlab-encoders[image]'") from err
        self.fields = list(fields)
        self.root, self.pooling, self.normalize = Path(root).expanduser(), pooling, normalize
        if not self.root.is_dir():
            raise ValueError(f"{self.root} is no folder; set the root of {', '.join(self.fields)}")
        if pooling not in ("auto", "cls", "mean"):
            raise ValueError(f"pooling is {pooling!r}; it must be auto, cls or mean")
        folder = locate(model)
        whole = load(folder, "vision")
        vision: Any = getattr(whole, "vision_model", whole)  # of CLIP and its like, the half that sees
        if vision is whole and whole.main_input_name != "pixel_values":
            raise ValueError(f"'{model}' is no vision model: it reads {whole.main_input_name}")
        try:
            # The other backend is torchvision's, and its pixels differ a little.
            self.processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")
        except Exception as err:  # as of the model itself
            raise ValueError(f"no image processor can be read from {folder}: {told(err)}") from err
        form = self.processor.to_json_string()  # what it makes of an image decides the vector, as the weights do
        self.base = Base(vision, model, form)
        self.backbone: nn.Module = vision.requires_grad_(False)
        self.class_token = any(name.endswith(("cls_token", "class_embedding")) for name, _ in vision.named_parameters())
        if pooling == "cls" and not self.class_token:
            raise ValueError(f"'{model}' has no class token; set pooling to auto or mean")
        wide, high = (self.pixels([PIL.Image.new("RGB", size)]) for size in ((64, 32), (32, 64)))
        if wide.shape != high.shape:
            raise ValueError(
                f"the image processor of '{model}' gives each image a size of its own; images of one size are wanted"
            )
        self.out_dim = self.vectors(wide).shape[1]
        self.preprocess_key = f"image-2-{hashlib.sha256(form.encode()).hexdigest()[:16]}-{listed(self.root)}"

    def build(self, cardinalities: Mapping[str, int], dim: int) -> None:
        self.base.leave_out_of(self)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.backbone.eval()
        return self

    def preprocess(self, values: Sequence[str]) -> list[np.ndarray]:
        """The path of each image, in bytes; nothing where there is none."""
        return [np.frombuffer(value.encode() if self.opened(value) else b"", np.uint8) for value in values]

    @torch.no_grad()
    def forward(self, inputs: Inputs) -> Tensor:
        assert inputs.lengths is not None
        rows = zip(inputs.values.cpu().numpy(), inputs.lengths.tolist(), strict=True)
        paths = [row[:length].tobytes().decode() for row, length in rows]
        like = next(self.backbone.parameters())
        out, broken = like.new_zeros(len(paths), self.out_dim), []
        for start in range(0, len(paths), BATCH):
            images = {}
            for place, path in enumerate(paths[start : start + BATCH], start):
                if image := path and self.opened(path, whole=True):
                    images[place] = image
                elif path:
                    broken.append(path)
            if images:
                out[list(images)] = self.vectors(self.pixels(list(images.values()))).to(out.dtype)
        if broken:
            rank_zero_warn(f"{self.root}: {len(broken):,} images cannot be read to their end, '{broken[0]}' the first.")
        return F.normalize(out, dim=-1) if self.normalize else out

    def opened(self, path: str, whole: bool = False) -> Any | None:
        """The image at a path below the root, its head alone unless the ``whole`` is wanted; None where there is none."""
        import PIL.Image
        import PIL.ImageOps

        if Path(path).is_absolute() or ".." in Path(path).parts or not is_image(path):
            return None
        try:
            with PIL.Image.open(self.root / path) as image:
                return PIL.ImageOps.exif_transpose(image.convert("RGB")) if whole else image
        except Exception:  # whatever a decoder makes of any bytes, it must not end a run of hours
            return None

    def pixels(self, images: Sequence[Any]) -> Tensor:
        """Images as the model wants them, ``[N, 3, H, W]``."""
        like = next(self.backbone.parameters())
        pixels = self.processor(images=list(images), return_tensors="np")["pixel_values"]
        return torch.from_numpy(np.asarray(pixels)).to(like)

    def vectors(self, pixels: Tensor) -> Tensor:
        """``[N, 3, H, W]`` -> ``[N, out_dim]``."""
        out = self.backbone(pixel_values=pixels, return_dict=True)
        if self.pooling == "auto" and getattr(out, "pooler_output", None) is not None:
            return out.pooler_output.flatten(1)
        hidden = out.last_hidden_state
        if hidden.dim() == 4:  # a map [N, D, H, W], as convolutions give
            hidden = hidden.flatten(2).transpose(1, 2)
        return hidden.mean(1) if self.pooling == "mean" or not self.class_token else hidden[:, 0]


def is_image(name: str) -> bool:
    """Whether a file can be an image by its ending: one that Pillow knows, or none."""
    import PIL.Image

    return Path(name).suffix.lower() in ("", *PIL.Image.registered_extensions())


def listed(root: Path) -> str:
    """Hash of the names, sizes and times of all images below a folder, and of no run that writes there too."""
    digest = hashlib.sha256()
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(filter(is_image, files)):
            file = Path(folder) / name
            stat = file.stat() if file.exists() else file.lstat()
            digest.update(f"{file.relative_to(root)}\0{stat.st_size}\0{stat.st_mtime_ns}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()
