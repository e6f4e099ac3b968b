"""The commands and code of the page on Python, in order."""

import re
import shlex
from pathlib import Path

from interestlab.cli.main import main
from interestlab.inference.recommender import Recommender

ROOT = Path(__file__).parents[2]
SMALL = ["--data.source.users=30", "--data.source.items=40", "--data.source.events=6", "--trainer.max_steps=2"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]


def test_the_page_runs(bert, tmp_path, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    blocks = re.findall(
        r"^```(sh|python)\n(.*?)^```$", (ROOT / "docs" / "python.md").read_text("utf-8"), re.DOTALL | re.MULTILINE
    )
    assert [language for language, _ in blocks] == ["sh", "python", "python", "python"]
    names = {}
    for language, text in blocks:
        if language == "sh":
            main([*shlex.split(text)[1:], f"--model.encoder.text.model={bert}", *SMALL, *QUIET])
            capsys.readouterr()
        else:
            exec(text, names)
    assert isinstance(names["shop"], Recommender)
    assert names["state"].num_events == 3
    first, probability, second, other = re.split(r"^(0\.\d+)$", capsys.readouterr().out, flags=re.MULTILINE)[:4]
    assert "shape: (5, 3)" in first
    assert "shape: (5, 3)" in second
    assert 0 < float(probability) < 1
    assert 0 < float(other) < 1
