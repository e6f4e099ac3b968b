"""A small text model with a mask token, and a log whose validation and test events have texts of their own."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from interestlab import encoders, sources
from interestlab.batch import Inputs
from interestlab.data.datamodule import InterestData
from interestlab.pretraining.run import pretrain
from interestlab.pretraining.settings import PretrainSettings
from interestlab.training.optimizers import Optim, Rates

TITLES = ["red lamp", "blue lamp", "warm light", "oak desk", "pine desk", "tall chair", "red chair", "soft rug", "zz only test"]
QUIET = {"enable_progress_bar": False, "accelerator": "cpu", "log_every_n_steps": 1, "enable_model_summary": False}
FAST = Optim(lr=0.01, schedule="cosine", pretrained=Rates(lr=3e-3), peft=Rates(lr=1e-2))


@pytest.fixture(scope="session")
def masked_bert(bert, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the folder of the small text model with a mask token."""
    from transformers import AutoModel, AutoTokenizer

    folder: Path = tmp_path_factory.mktemp("masked_bert")
    tokenizer = AutoTokenizer.from_pretrained(bert)
    tokenizer.add_special_tokens({"mask_token": "[MASK]"})
    model = AutoModel.from_pretrained(bert, add_pooling_layer=False)
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="session")
def shop_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the files of a log: each user's last two events, and only they, have a text or an item with ``zz``."""
    rows = [
        {
            "user_id": f"u{user}",
            "item_id": "i8" if place == 7 else f"i{(user + place) % 8}",
            "timestamp": 1_700_000_000 + 86_400 * place,
            "text": f"zz{user}{place}" if place > 5 else f"{TITLES[user]} bought on {place}",
        }
        for user in range(8)
        for place in range(8)
    ]
    folder = tmp_path_factory.mktemp("shop")
    pl.DataFrame(rows).write_csv(folder / "events.csv")
    pl.DataFrame({"item_id": [f"i{i}" for i in range(9)], "title": TITLES}).write_csv(folder / "items.csv")
    return {"interactions": str(folder / "events.csv"), "items": str(folder / "items.csv")}


@pytest.fixture(scope="session")
def shop(shop_files, cache) -> InterestData:
    return InterestData(source=sources.files(**shop_files), cache_dir=str(cache))


@pytest.fixture(scope="session")
def settings(masked_bert) -> Callable[..., PretrainSettings]:
    """Return a function that makes settings for the small model."""

    def make(**changes: Any) -> PretrainSettings:
        small = {"text": ["event.text"], "base": masked_bert, "max_length": 24, "batch_tokens": 256, "heldout": 0.2}
        return PretrainSettings(**(small | {"optim": FAST} | changes))

    return make


@pytest.fixture
def run_pretrain(shop, settings, tmp_path) -> Callable[..., tuple[Path, dict[str, Any]]]:
    """Return a function that pretrains on the shop, and returns the folder and its metrics."""

    def run(out: str = "out", data: InterestData = shop, **changes: Any) -> tuple[Path, dict[str, Any]]:
        folder = tmp_path / out
        pretrain(settings(**changes), data, folder, QUIET)
        return folder, json.loads((folder / "metrics.json").read_text())

    return run


@pytest.fixture(scope="session")
def embed() -> Callable[..., torch.Tensor]:
    """Return a function that embeds texts with a text encoder."""

    def run(folder: str | Path, *texts: str, name: str = "frozen") -> torch.Tensor:
        torch.manual_seed(0)
        encoder = getattr(encoders, name)(fields=["item.title"], model=str(folder), max_length=24)
        encoder.build({"item.title": len(texts)}, 8)
        rows = [torch.from_numpy(row) for row in encoder.eval().preprocess(list(texts))]
        lengths = torch.tensor([len(row) for row in rows])
        with torch.no_grad():
            return encoder(Inputs(torch.nn.utils.rnn.pad_sequence(rows, batch_first=True), lengths))

    return run
