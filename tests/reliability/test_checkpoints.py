"""Checkpoints that run code, are truncated or were altered are rejected in one line that names the file."""

import os
import random
import shutil
from pathlib import Path

import pytest
import torch

from interestlab import load
from interestlab.cli.main import main
from interestlab.errors import DataError
from interestlab.training.checkpoint_io import HashedCheckpointIO, read_checkpoint, verify_hash, write_hash


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def fitted_run(tmp_path_factory):
    return tmp_path_factory.mktemp("fitted") / "run"


@pytest.fixture
def run_folder(fit, fitted_run, tmp_path):
    if not fitted_run.exists():
        fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false", f"--run_dir={fitted_run}")
    return shutil.copytree(fitted_run, tmp_path / "run")


def insert_payload(file: Path, mark: Path) -> None:
    checkpoint = torch.load(file, weights_only=True)
    torch.save(checkpoint | {"callbacks": Payload(mark)}, file)
    write_hash(file)


def commands(run: Path) -> dict[str, list[str]]:
    file = run / "checkpoints" / "best.ckpt"
    return {
        "fit": ["fit", "--config", str(run / "config.yaml"), f"--ckpt_path={file}", "--run_dir=other"],
        "validate": ["validate", f"--run_dir={run}"],
        "test": ["test", f"--run_dir={run}"],
        "predict": ["predict", f"--run_dir={run}"],
        "export": ["export", "adapter", str(run)],
        "drift": ["drift", str(run)],
    }


@pytest.mark.parametrize("damage", ["poisoned", "cut", "flipped"])
def test_no_command_uses_a_damaged_checkpoint(run_folder, tmp_path, capsys, damage):
    file, mark = run_folder / "checkpoints" / "best.ckpt", tmp_path / "touched"
    raw = file.read_bytes()
    if damage == "poisoned":
        insert_payload(file, mark)
    elif damage == "cut":
        file.write_bytes(raw[: len(raw) // 2])
    else:
        file.write_bytes(raw[:3000] + bytes([raw[3000] ^ 1]) + raw[3001:])
    for name, command in commands(run_folder).items():
        with pytest.raises(SystemExit) as exit_info:
            main(command)
        message = capsys.readouterr().err.strip().splitlines()[-1]
        assert exit_info.value.code == 2, name
        assert str(file) in message, name
        assert "cannot be loaded" in message, name
    with pytest.raises(DataError, match=r"best\.ckpt cannot be loaded"):
        load(run_folder)
    assert not mark.exists()


def test_the_payload_would_have_run(tmp_path):
    torch.save(Payload(tmp_path / "touched"), tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "touched").exists()


def test_every_changed_bit_is_detected(tmp_path):
    file, rng = tmp_path / "a.ckpt", random.Random(0)
    HashedCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(500)}, "hyper_parameters": {"dynamics": {}}}, file)
    assert read_checkpoint(file)["state_dict"]["w"].sum() == 500
    raw = file.read_bytes()
    tail = range(len(raw) - 110, len(raw))
    for position in [*rng.sample(range(len(raw)), 150), *tail]:
        for broken in (raw[:position] + bytes([raw[position] ^ (1 << rng.randrange(8))]) + raw[position + 1 :], raw[:position]):
            file.write_bytes(broken)
            with pytest.raises(DataError, match=r"a\.ckpt cannot be loaded"):
                read_checkpoint(file)


def test_lightning_rejects_an_altered_checkpoint(tmp_path):
    file = tmp_path / "a.ckpt"
    HashedCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(500)}}, file)
    assert HashedCheckpointIO().load_checkpoint(file)["state_dict"]["w"].sum() == 500
    raw = file.read_bytes()
    position = raw.index(torch.ones(500).numpy().tobytes())
    file.write_bytes(raw[:position] + bytes([raw[position] ^ 1]) + raw[position + 1 :])
    with pytest.raises(DataError, match=r"a\.ckpt cannot be loaded: it was altered"):
        HashedCheckpointIO().load_checkpoint(file)


def test_a_checkpoint_without_a_hash_is_accepted(tmp_path):
    torch.save({"a": 1}, tmp_path / "a.ckpt")
    verify_hash(tmp_path / "a.ckpt")


def test_a_checkpoint_can_be_copied_and_renamed(run_folder, tmp_path):
    copy = tmp_path / "elsewhere.ckpt"
    shutil.copyfile(run_folder / "checkpoints" / "last.ckpt", copy)
    assert read_checkpoint(copy)["hyper_parameters"]["dynamics"]["class_path"] == "interestlab.dynamics.ewma"


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path, monkeypatch):
    file = tmp_path / "last.ckpt"
    HashedCheckpointIO().save_checkpoint({"epoch": 1}, file)
    before = file.read_bytes()

    def fail_halfway(_: object, out) -> None:
        out.write(b"PK half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(torch, "save", fail_halfway)
    with pytest.raises(
        DataError, match=r"last\.ckpt cannot be written \(No space left on device\); the previous file is unchanged"
    ):
        HashedCheckpointIO().save_checkpoint({"epoch": 2}, file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
