"""``interestlab baselines``, and the baselines beside the metrics of a test."""

import json

import pytest

from interestlab.cli.main import main, run

SHOP = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]


def test_the_command_prints_every_baseline_and_writes_them(tmp_path, cache, capsys):
    out = tmp_path / "out"
    run(["baselines", *SHOP, f"--data.cache_dir={cache}", f"--out={out}", "--ks=[10]", "--ease.l2=3"])
    printed = capsys.readouterr().out
    for text in ("popularity", "cooccurrence", "ease", "recall@10", "source=simulated", "cold: 0", "seconds to build"):
        assert text in printed
    content = json.loads((out / "baselines.json").read_text())
    assert content["split"] == "test"
    assert content["settings"]["ease"]["l2"] == 3
    assert content["fingerprint"]["source"] == "simulated"
    for baseline in content["baselines"].values():
        low, high = baseline["test/recall@10/ci95"]
        assert low <= baseline["test/recall@10"] <= high
        assert baseline["build_seconds"] > 0


def test_a_skipped_baseline_is_reported_with_its_reason(tmp_path, cache, capsys):
    options = [*SHOP, f"--data.cache_dir={cache}", f"--out={tmp_path}", "--split=validation", "--ease.max_items=5"]
    run(["baselines", *options])
    assert "ease was skipped" in capsys.readouterr().out
    content = json.loads((tmp_path / "baselines.json").read_text())
    assert "max_items=5" in content["baselines"]["ease"]["skipped"]
    assert "val/recall@10" in content["baselines"]["popularity"]


def test_wrong_settings_are_one_line(tmp_path, cache, capsys):
    with pytest.raises(SystemExit):
        main(["baselines", *SHOP, f"--data.cache_dir={cache}", f"--out={tmp_path}", "--cooccurrence.window=0"])
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "window" in line


def test_a_test_shows_the_baselines_of_the_command(fit, tmp_path, capsys):
    cli = fit("--model.encoder=id", "--model.dynamics=ewma")
    printed = capsys.readouterr().out
    assert "popularity" in printed
    assert "cooccurrence" in printed
    metrics = json.loads((tmp_path / "run" / "metrics.json").read_text())
    assert sum(metrics[f"test/{group}/users"] for group in ("cold", "rare", "frequent")) == len(cli.model.ranks.gather().users)
    assert "test/frequent/recall@10" in metrics
    run(["baselines", f"--config={tmp_path / 'run' / 'config.yaml'}", f"--out={tmp_path}"])
    alone = json.loads((tmp_path / "baselines.json").read_text())["baselines"]
    for name, values in metrics["baselines"].items():
        assert {key: alone[name][key] for key in values} == values
    assert set(metrics["baselines"]) == {"popularity", "cooccurrence"}
