"""The commands and the code of the page on pretraining, in order."""

import re
import shlex
from pathlib import Path

import polars as pl
import pytest

from interestlab.cli.main import main

PAGE = Path(__file__).parents[2] / "docs" / "pretraining.md"
SMALL = {
    "pretrain": ["--steps=2", "--max_length=24", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu"],
    "fit": ["--trainer.max_steps=1", "--trainer.enable_progress_bar=false", "--trainer.accelerator=cpu", "--recipe=none"],
}


@pytest.mark.slow
def test_the_page_runs(masked_bert, shop_files, tmp_path, capsys):
    pl.read_csv(shop_files["interactions"]).write_csv(tmp_path / "events.csv")
    pl.read_csv(shop_files["items"]).with_columns(pl.lit("acme").alias("brand")).write_csv(tmp_path / "items.csv")
    (shell, python) = re.findall(r"^```(?:sh|python)\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    for line in shell.replace("\\\n", " ").splitlines():
        _, command, *options = shlex.split(line)
        base = [f"--base={masked_bert}"] if command == "pretrain" else ["--model.encoder.max_length=24"]
        main([command, *options, *base, *SMALL[command]])
    assert "test/ndcg@10" in capsys.readouterr().out
    short = python.replace("steps=500", f"steps=1, max_length=24, base={masked_bert!r}").replace("models/shop", "models/other")
    names: dict[str, object] = {}
    exec(short, names)
    assert names["metrics"]["steps"] == 1
    assert (tmp_path / "models" / "other" / "model.safetensors").is_file()
