"""A small simulated shop, small models, fits in this process, and a virtual environment for installations."""

import json
import os
import string
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import settings

from interestlab.cli.main import run
from interestlab.training.lightning_cli import InterestCLI

settings.register_profile("quick", max_examples=15, deadline=None)
settings.register_profile("thorough", max_examples=150, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

SHOP = [
    "--data.source=simulated",
    "--data.source.users=30",
    "--data.source.items=40",
    "--data.source.events=6",
    "--data.max_history=8",
]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a two-layer text model with random weights, whose tokens are single letters."""
    pytest.importorskip("transformers")  # a dependency of the plugins; the core is also tested without them
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    letters = [f"{start}{letter}" for letter in string.ascii_lowercase + string.digits for start in ("", "##")]
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    tokenizer = Tokenizer(models.WordPiece({token: i for i, token in enumerate(special + letters)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    folder = tmp_path_factory.mktemp("bert")
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    size = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    torch.manual_seed(0)
    config = BertConfig(vocab_size=len(special + letters), max_position_embeddings=64, initializer_range=0.3, **size)
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def vit(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of a one-layer vision model with random weights."""
    pytest.importorskip("PIL")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("vit")
    size = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    transformers.ViTModel(transformers.ViTConfig(image_size=16, patch_size=8, **size)).save_pretrained(folder)
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 16, "width": 16}}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return str(folder)


@pytest.fixture(autouse=True)
def isolate_working_directory(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("INTERESTLAB_CACHE", str(cache))
    monkeypatch.setenv("WANDB_MODE", "offline")


@pytest.fixture
def fit(tmp_path):
    """Return a function that fits on the small shop: ``fit("--model.encoder=id", ...)``."""

    def run_fit(*args: str, steps: int = 1, folder: str = "run") -> InterestCLI:
        defaults = {"--recipe": "none", "--model.objective": "next_item"}
        more = [f"{key}={value}" for key, value in defaults.items() if not any(a.startswith(f"{key}=") for a in args)]
        return run(["fit", *SHOP, *QUIET, *more, f"--trainer.max_steps={steps}", f"--run_dir={tmp_path / folder}", *args])

    return run_fit


@pytest.fixture(scope="session")
def run_cache(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[tuple[str, ...], Path], Path]:
    """Return the runs of :func:`fitted` by their options, and the folder for new ones."""
    return {}, tmp_path_factory.mktemp("runs")


@pytest.fixture
def fitted(fit: Callable[..., InterestCLI], run_cache: tuple[dict[tuple[str, ...], Path], Path]) -> Callable[..., Path]:
    """Return a function that returns the folder of a run with the given options, which is fitted once per session."""
    runs, root = run_cache

    def get_folder(*options: str) -> Path:
        if options not in runs:
            runs[options] = root / str(len(runs))
            fit(*options, "--test_after_fit=false", steps=2, folder=str(runs[options]))
        return runs[options]

    return get_folder


@pytest.fixture
def environment(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str], Path], str]:
    """Return a function that runs a command in a new virtual environment: ``environment(["pip", "install", ...], cwd)``.

    The environment also sees the packages installed here. pip installs only into it, and downloads nothing.
    """
    pytest.importorskip("pip")
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    site = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    # Unlike a bare path, addsitedir also processes the .pth files of editable installs.
    site_lines = [f"import site; site.addsitedir({path!r})" for path in sys.path if path.endswith("site-packages")]
    (Path(site) / "here.pth").write_text("\n".join(site_lines))

    def run(arguments: list[str], cwd: Path) -> str:
        variables = dict(word.split("=", 1) for word in arguments[:1] if "=" in word)
        program, *rest = arguments[len(variables) :]
        command = [python, *rest] if program == "python" else [python, "-m", program, *rest]
        if program == "pip":
            command += ["--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check"]
        completed = subprocess.run(command, cwd=cwd, env=os.environ | variables, capture_output=True, text=True, check=False)
        assert completed.returncode == 0, f"{arguments}\n{completed.stdout}{completed.stderr}"
        return completed.stdout

    return run
