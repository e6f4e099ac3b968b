"""Images, precomputed vectors and behaviour, fitted from the command line on a log of files."""

import json

import numpy as np
import polars as pl
import pytest

from interestlab.cli.main import run

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
ITEMS = [f"i{n}" for n in range(8)]


@pytest.fixture
def shop(tmp_path):
    """Write the files of a small shop, and return a function that fits and tests a model on them."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "user_id": f"u{u}",
            "item_id": ITEMS[int(rng.integers(8))],
            "timestamp": 1_700_000_000 + u + int(rng.integers(1, 90)) * 3600 * (t + 1),
            "event": ["view", "purchase"][t % 2],
            "rating": None if t % 2 else float(rng.integers(1, 6)),
        }
        for u in range(12)
        for t in range(6)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "events.csv")
    items = {"item_id": ITEMS, "price": [1.5 * n + 1 for n in range(8)], "image": [f"img/{i}.png" for i in ITEMS]}
    pl.DataFrame(items).write_csv(tmp_path / "items.csv")
    log = ["--data.source=files", "--data.source.interactions=events.csv", "--data.source.items=items.csv"]

    def fit(*args):
        parts = ["--model.dynamics=ewma", "--model.objective=next_item", "--model.dim=8", *args]
        cli = run(["fit", *log, *QUIET, *parts, "--trainer.max_steps=2", "--run_dir=run"])
        result = json.loads((tmp_path / "run" / "metrics.json").read_text())
        run(["test", "--run_dir=run", "--trainer.enable_progress_bar=false"])
        assert json.loads((tmp_path / "run" / "metrics.json").read_text()) == result
        return cli

    return fit


def test_precomputed_vectors(shop, tmp_path, capsys):
    pl.DataFrame({"item_id": ITEMS[1:], "vector": [[float(n), 1.0] for n in range(7)]}).write_parquet("audio.parquet")
    audio = "audio: {class_path: features, init_args: {file: audio.parquet, standardize: true}}"
    with pytest.warns(UserWarning, match="Features finds nothing in 1 of 8 values, such as 'i0'"):
        cli = shop(f"--model.encoder={{id: id, {audio}}}", "--model.fusion=gated", "--model.fusion.modality_dropout=0.3")
    assert cli.model.backbone.fusion["item"].modality_dropout == 0.3
    assert (cli.model.backbone.features["audio"].codes == -1).sum() == 1

    pl.DataFrame({"item_id": ITEMS, "vector": [[1.0, 2.0]] * 8}).write_parquet("audio.parquet")
    with pytest.raises(SystemExit):
        run(["test", "--run_dir=run", "--trainer.enable_progress_bar=false"])
    assert "audio.parquet: the model was trained with vectors whose sha256" in capsys.readouterr().err


def test_an_invalid_vector_file_is_reported(shop, capsys):
    pl.DataFrame({"item_id": ["a", "a"], "vector": [[1.0], [1.0]]}).write_parquet("audio.parquet")
    with pytest.raises(SystemExit):
        shop("--model.encoder=features", "--model.encoder.file=audio.parquet")
    assert "audio.parquet: the key 'a' appears twice; keep one vector for each key.\n" in capsys.readouterr().err


def test_images(shop, vit, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    (tmp_path / "img").mkdir()
    for seed, item in enumerate(ITEMS[2:]):
        pixels = np.random.default_rng(seed).integers(0, 255, (12, 12, 3), np.uint8)
        pillow.fromarray(pixels).save(f"img/{item}.png")
    arguments = f"init_args: {{model: {vit}, root: .}}"
    with pytest.warns(UserWarning, match=r"field item.image: Image finds nothing in 2 of 8 values, such as 'img/i0.png'"):
        cli = shop(f"--model.encoder={{id: id, look: {{class_path: image, {arguments}}}}}", "--model.fusion=bottleneck")
    vector_files = list(cli.model.backbone.features["look"].folder.glob("vectors-*/vectors.npy"))
    assert np.load(vector_files[0]).shape == (8, 16)
    checkpoint = tmp_path / "run" / "checkpoints" / "best.ckpt"
    assert checkpoint.stat().st_size < 100_000


def test_all_six_signals_of_behaviour(shop):
    signals = {
        "kind": "event.event",
        "stars": "event.rating",
        "price": "item.price",
        "hour": "event.hour",
        "day": "event.weekday",
        "away": "event.elapsed",
    }
    mapping = ", ".join(f"{k}: {{class_path: behaviour, init_args: {{field: {f}}}}}" for k, f in signals.items())
    cli = shop(f"--model.encoder={{id: id, {mapping}}}", "--model.fusion=film")
    assert cli.model.backbone.fusion["event"].streams == ["item", "kind", "stars", "hour", "day", "away"]
    assert cli.model.backbone.fusion["item"].streams == ["id", "price"]
    features = cli.model.backbone.features
    assert (features["stars"].codes == -1).mean() == 0.5
    assert (features["away"].codes == -1).sum() == 12
    assert all((features[name].codes >= 0).all() for name in ("kind", "price", "hour", "day"))
