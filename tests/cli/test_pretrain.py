"""``interestlab pretrain`` on the command line."""

import json

import polars as pl
import pytest

from interestlab.cli.main import main, run

pytest.importorskip("transformers")
SHOP = ["--data.source=files", "--data.source.interactions=events.csv", "--trainer.accelerator=cpu"]
SMALL = ["--max_length=16", "--steps=1", "--trainer.enable_progress_bar=false", "--objective=denoising"]


@pytest.fixture(autouse=True)
def events(tmp_path):
    frame = {"user_id": ["u", "v"] * 4, "item_id": list("abcdefgh"), "timestamp": range(1_700_000_000, 1_700_000_008)}
    texts = {"text": [f"lamp {i}" for i in range(8)], "empty": [None] * 8}
    pl.DataFrame(frame | texts).write_csv(tmp_path / "events.csv")


def test_a_model_is_written_once_and_overwritten_on_request(bert, tmp_path, capsys):
    options = ["pretrain", *SHOP, *SMALL, f"--base={bert}", "--text=[event.text]", "--out=model"]
    run(options)
    printed = capsys.readouterr().out
    for text in ("before", "heldout/perplexity", "text=event.text", "written: model"):
        assert text in printed
    first = json.loads((tmp_path / "model/metrics.json").read_text())
    with pytest.raises(SystemExit):
        main(options)
    assert "already contains a model" in capsys.readouterr().err
    run(["pretrain", "--config=model/pretrain.yaml", "--overwrite", "--seed=1", *SHOP[2:], SMALL[2], "--out=model"])
    second = json.loads((tmp_path / "model/metrics.json").read_text())
    assert first["fingerprint"] | {"seed": 1, "data_seed": 1} == second["fingerprint"]
    assert sorted(file.name for file in tmp_path.iterdir() if "model" in file.name) == ["model"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--text=[]"], "no text field"),
        (["--text=[event.words]"], "no column words"),
        (["--text=[event.empty]"], "0 distinct texts"),
        (["--text=[item.id]"], "ids are no texts"),
        (["--text=[event.text]", "--base=nowhere"], "--base=nowhere"),
        (["--text=[event.text]", "--heldout=0"], "heldout=0"),
        (["--text=[event.text]", "--out=."], "give another --out"),
        (["--text=[event.text]", "--max_length=5000"], "max_length=5000"),
    ],
)
def test_what_cannot_be_used_is_refused_in_one_line(bert, capsys, monkeypatch, options, message):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as exit_info:
        main(["pretrain", *SHOP, *SMALL, f"--base={bert}", "--out=model", *options])
    assert exit_info.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line
