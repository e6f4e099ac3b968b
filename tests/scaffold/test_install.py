"""Packages of ``interestlab plugins new``: installed with pip, trained, and reloaded in another process."""

import json

import pytest

pytestmark = pytest.mark.slow

SHOP = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]
QUICK = ["--trainer.max_epochs=1", "--trainer.check_val_every_n_epoch=1", "--trainer.accelerator=cpu"]
PARTS = [
    "--model.encoder={id: id, words: my_encoder}",
    "--model.fusion=my_fusion",
    "--model.dynamics=my_dynamics",
    "--model.objective=my_objective",
]


def test_packages_are_installed_trained_and_reloaded(environment, tmp_path):
    words = ["encoder", "fusion", "dynamics", "objective", "source"]
    for word in words:
        environment(["interestlab", "plugins", "new", word, f"my_{word}"], tmp_path)
        environment(["pip", "install", f"./my_{word}"], tmp_path)
    listed = environment(["interestlab", "plugins"], tmp_path)
    assert all(f" my_{word} " in listed and f" my-{word} " in listed for word in words)
    assert "all import" in environment(["interestlab", "doctor"], tmp_path)

    environment(["interestlab", "fit", "--run_dir=run", *SHOP, *QUICK, *PARTS], tmp_path)
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert json.loads((tmp_path / "run" / "versions.json").read_text())["my-dynamics"] == "0.1.0"
    environment(["interestlab", "test", "--run_dir=run"], tmp_path)
    reloaded = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert reloaded == metrics

    rows = [f"u{u},i{u * e % 7},{1_700_000_000 + 90_000 * e}" for u in range(9) for e in range(5)]
    (tmp_path / "events.csv").write_text("\n".join(["user_id,item_id,timestamp", *rows]))
    described = environment(
        ["interestlab", "data", "describe", "--data.source=my_source", "--data.source.path=events.csv"], tmp_path
    )
    assert "45" in described
