"""The session with curl of the page on serving."""

import json
import re
import shlex
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

import pytest

from interestlab.cli.main import main

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "serving.md").read_text("utf-8")
SMALL = ["--data.source.users=60", "--data.source.items=40", "--data.source.events=6", "--trainer.max_steps=2", "--recipe=none"]
QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]


def parse_all(text):
    """Return the JSON values of a text, which follow each other."""
    values, decoder = [], json.JSONDecoder()
    while text := text.strip():
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:]
    return values


def without_numbers(value, key=""):
    """Return a value without what depends on the trained weights."""
    if isinstance(value, dict):
        return {k: without_numbers(v, k) for k, v in value.items() if not (key == "items" and k == "item_id")}
    if isinstance(value, list):
        return [without_numbers(v, key) for v in value]
    return type(value).__name__ if key in ("score", "model") or (key == "items") else value


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("granian") or not shutil.which("curl"), reason="needs granian and curl")
def test_the_session_runs_as_printed(bert, tmp_path, start, capsys):
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    first, *blocks = re.findall(r"^```(sh|json)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    fit, serve = (shlex.split(line) for line in first[1].replace("\\\n", " ").splitlines())
    encoder = [f"--model.encoder.title.model={bert}", "--model.encoder.title.dim=16", "--model.dim=16"]
    main([*fit[1:], "--model.objective=next_item", *encoder, *SMALL, *QUIET])
    capsys.readouterr()
    server = start(*serve[2:])
    printed = ""
    for language, text in blocks:
        if language == "sh":
            script = text.replace("127.0.0.1:8000", f"127.0.0.1:{server.port}")
            printed += subprocess.run(["sh", "-ec", script], capture_output=True, text=True, check=True).stdout
        else:
            assert without_numbers(parse_all(printed)) == without_numbers(parse_all(text))
            printed = ""
    assert len(blocks) == 14


def test_the_page_names_every_endpoint_and_status():
    from typing import get_args

    from interestlab.serving.http.endpoints import STATUS_CODES
    from interestlab.serving.http.reading import MAX_BODY
    from interestlab.serving.messages import MAX_EVENTS, Status

    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert {name: int(code) for name, code in rows.items()} == dict(STATUS_CODES)
    assert set(STATUS_CODES) == set(get_args(Status))
    assert f"{MAX_BODY // 1024} kB and a list {MAX_EVENTS:,} events" in PAGE
