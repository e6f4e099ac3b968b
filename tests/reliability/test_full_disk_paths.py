"""Unusual paths of data, caches and runs, unwritable disks, and services that do not answer."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from interestlab import load
from interestlab.cli.main import main
from interestlab.errors import DataError
from interestlab.utils import artifact_store
from interestlab.utils.atomic_files import write_text_atomic

QUIET = ["--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false", "--trainer.accelerator=cpu"]
MODEL = ["--model.encoder=id", "--model.dynamics=ewma", "--model.objective=next_item", "--trainer.max_steps=1"]
SHOP = ["--data.source=simulated", "--data.source.users=30", "--data.source.items=40", "--data.source.events=6"]


def write_events(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        {"user_id": f"u{u}", "item_id": f"i{(u + e) % 5}", "timestamp": 1_700_000_000 + e} for u in range(8) for e in range(4)
    ]
    pl.DataFrame(rows).write_csv(folder / "events.csv")
    return folder / "events.csv"


@pytest.mark.parametrize(
    "name", [pytest.param("with blanks and 'quotes'", marks=pytest.mark.slow), "目录 ünïcode [1] {2} $HOME %s"]
)
def test_folders_of_any_name(tmp_path, name):
    file, cache, folder = write_events(tmp_path / name), tmp_path / name / "the cache", tmp_path / name / "a run"
    main(
        [
            "fit",
            *MODEL,
            *QUIET,
            "--data.source=files",
            f"--data.source.interactions={file}",
            f"--data.cache_dir={cache}",
            f"--run_dir={folder}",
        ]
    )
    main(["test", f"--run_dir={folder}", *QUIET])
    assert load(folder).recommend(["i0"], k=2).height == 2
    assert json.loads((folder / "metrics.json").read_text())["fingerprint"]["users"] == 8


def test_symbolic_links_to_files_and_folders(tmp_path):
    real = write_events(tmp_path / "real")
    for name in ("cache", "runs"):
        (tmp_path / f"real-{name}").mkdir()
        (tmp_path / name).symlink_to(tmp_path / f"real-{name}")
    (tmp_path / "events.csv").symlink_to(real)
    (tmp_path / "loop.csv").symlink_to(tmp_path / "loop.csv")
    files = ["--data.source=files", f"--data.cache_dir={tmp_path / 'cache'}"]
    main(
        [
            "fit",
            *MODEL,
            *QUIET,
            *files,
            f"--data.source.interactions={tmp_path / 'events.csv'}",
            f"--run_dir={tmp_path / 'runs' / 'a'}",
        ]
    )
    assert (tmp_path / "real-runs" / "a" / "checkpoints" / "best.ckpt").is_file()
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *MODEL, *QUIET, *files, f"--data.source.interactions={tmp_path / 'loop.csv'}"])
    assert exit_info.value.code == 2


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EDQUOT, errno.EFBIG])
def test_a_store_that_cannot_be_written_is_reported_and_leaves_nothing(tmp_path, number):
    def write(draft: Path) -> None:
        (draft / "half").write_text("half")
        raise OSError(number, os.strerror(number))

    with pytest.raises(DataError, match=r"cannot be written .*make room, or set --data\.cache_dir") as error:
        artifact_store.build_artifact(tmp_path / "logs" / "one", write)
    assert str(tmp_path / "logs") in str(error.value)
    assert [path.name for path in (tmp_path / "logs").iterdir() if not path.name.endswith(".lock")] == []
    artifact_store.build_artifact(tmp_path / "logs" / "one", lambda draft: artifact_store.save(draft, a=np.ones(3)))
    assert artifact_store.load(tmp_path / "logs" / "one", "a").sum() == 3


def test_an_error_outside_a_run_does_not_mention_resuming(tmp_path):
    with pytest.raises(DataError, match=r"a\.json cannot be written \(No such file .*; make room, or give another folder\.$"):
        write_text_atomic(tmp_path / "none" / "a.json", "{}")


LIMITED = """
import resource, sys
from interestlab.cli.main import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
main(sys.argv[2:])
"""


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1_000, 20_000])  # reached by the store, by the checkpoint
def test_a_full_disk(tmp_path, limit):
    data = ["--data.source=files", f"--data.source.interactions={write_events(tmp_path)}", "--data.cache_dir=cache"]
    prepare, fit = ["data", "prepare", *data], ["fit", *MODEL, *QUIET, *data, "--model.dim=512", "--run_dir=run"]
    if limit == 20_000:
        main(prepare)
    command = [sys.executable, "-c", LIMITED, str(limit), *(fit if limit == 20_000 else prepare)]
    completed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert completed.returncode == 2, completed.stderr
    message = completed.stderr.strip().splitlines()[-1]
    assert message.startswith("interestlab: ")
    assert "cannot be written" in message
    assert "make room" in message
    assert not list(tmp_path.rglob("*.part"))
    assert not list((tmp_path / "run").rglob("*.ckpt"))
    assert limit == 20_000 or not list((tmp_path / "cache").rglob("*.npy"))


def test_a_damaged_store_is_rejected_and_a_restored_one_accepted(tmp_path, capsys):
    file = write_events(tmp_path)
    command = ["data", "describe", "--data.source=files", f"--data.source.interactions={file}", "--data.cache_dir=cache"]
    main(command)
    (folder,) = (path for path in (tmp_path / "cache" / "logs").iterdir() if path.is_dir())
    for name in ("item.npy", "meta.json", "items.parquet", artifact_store.MANIFEST_NAME):
        raw = (folder / name).read_bytes()
        for broken in (raw[:-1], raw[:5] + bytes([raw[5] ^ 1]) + raw[6:], b""):
            (folder / name).write_bytes(broken)
            with pytest.raises(SystemExit) as exit_info:
                main(command)
            assert exit_info.value.code == 2
            message = capsys.readouterr().err.strip().splitlines()[-1]
            assert f"{folder.name}: " in message
            assert (
                name if name != artifact_store.MANIFEST_NAME else ""
            ) + " is missing or corrupted; delete the folder" in message
            (folder / name).write_bytes(raw)
    main(command)


def test_large_files_are_checked_by_size_and_hashed_by_doctor(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(artifact_store, "HASH_ON_OPEN_BYTES", 100)
    folder = artifact_store.build_artifact(tmp_path / "logs" / "one", lambda draft: artifact_store.save(draft, a=np.ones(300)))
    main(["doctor", "--store", str(tmp_path)])
    assert "1 stores" in capsys.readouterr().out
    raw = (folder / "a.npy").read_bytes()
    (folder / "a.npy").write_bytes(raw[:-1] + b"\1")
    artifact_store.build_artifact(folder, lambda draft: None)  # its size is unchanged
    with pytest.raises(SystemExit) as exit_info:
        main(["doctor", "--store", str(tmp_path)])
    assert exit_info.value.code == 2
    assert "a.npy is missing or corrupted; delete the folder" in capsys.readouterr().err
    (folder / "a.npy").write_bytes(raw[:-1])
    with pytest.raises(DataError, match=r"a\.npy is missing or corrupted"):
        artifact_store.build_artifact(folder, lambda draft: None)


def test_an_array_of_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match=r"a\.npy is missing or corrupted"):
        artifact_store.load(tmp_path, "a")


def test_an_unreachable_hub_is_reported_with_the_model_and_advice(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(SystemExit) as exit_info:
        main(["fit", *MODEL, *QUIET, *SHOP, "--model.encoder={class_path: frozen, init_args: {model: nobody/has-this-model}}"])
    assert exit_info.value.code == 2
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert "nobody/has-this-model" in message
    assert "give the path of a downloaded folder" in message


@pytest.mark.slow
@pytest.mark.parametrize("service", ["own", "inherited"])
def test_training_continues_without_an_answer_from_wandb(tmp_path, service, monkeypatch):
    wandb = pytest.importorskip("wandb")
    wandb.teardown()  # the service of other tests
    monkeypatch.delenv(wandb.env.SERVICE, raising=False)
    if service == "inherited":  # as in the trial of a sweep that logs to W&B itself
        wandb.setup().ensure_service()
        assert wandb.env.SERVICE in os.environ
    command = ["fit", *MODEL, *QUIET, *SHOP, "--loggers=[jsonl,wandb]", "--run_dir=run"]
    unreachable_wandb = {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9", "WANDB_MODE": "online"}
    start = time.monotonic()
    code = "import sys; from interestlab.cli.main import main; main(sys.argv[1:])"
    completed = subprocess.run(
        [sys.executable, "-c", code, *command],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | unreachable_wandb,
        timeout=300,
    )
    if service == "inherited":
        wandb.teardown()
    assert completed.returncode == 0, completed.stderr[-2000:]
    assert (tmp_path / "run" / "metrics.json").exists()
    assert "wandb" in completed.stderr.lower()
    assert time.monotonic() - start < 240
