"""Checkpoints that run code, were cut or were altered are refused in a line that names the file."""

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
    """Touches a file where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    return tmp_path_factory.mktemp("kept") / "run"


@pytest.fixture
def run_folder(fit, kept, tmp_path):
    if not kept.exists():
        fit("--model.encoder=id", "--model.dynamics=ewma", "--test_after_fit=false", f"--run_dir={kept}")
    return shutil.copytree(kept, tmp_path / "run")


def poisoned(file: Path, mark: Path) -> None:
    found = torch.load(file, weights_only=True)
    torch.save(found | {"callbacks": Payload(mark)}, file)
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


@pytest.mark.parametrize("how", ["poisoned", "cut", "flipped"])
def test_no_command_uses_a_checkpoint_that_is_not_as_it_was_written(run_folder, tmp_path, capsys, how):
    file, mark = run_folder / "checkpoints" / "best.ckpt", tmp_path / "touched"
    raw = file.read_bytes()
    if how == "poisoned":
        poisoned(file, mark)
    elif how == "cut":
        file.write_bytes(raw[: len(raw) // 2])
    else:
        file.write_bytes(raw[:3000] + bytes([raw[3000] ^ 1]) + raw[3001:])
    for name, command in commands(run_folder).items():
        with pytest.raises(SystemExit) as done:
            main(command)
        result = capsys.readouterr().err.strip().splitlines()[-1]
        assert done.value.code == 2, name
        assert str(file) in result, name
        assert "cannot be loaded" in result, name
    with pytest.raises(DataError, match=r"best\.ckpt cannot be loaded"):
        load(run_folder)
    assert not mark.exists()


def test_the_payload_would_have_run(tmp_path):
    torch.save(Payload(tmp_path / "touched"), tmp_path / "a.ckpt")
    torch.load(tmp_path / "a.ckpt", weights_only=False)
    assert (tmp_path / "touched").exists()


def test_every_bit_counts(tmp_path):
    file, rng = tmp_path / "a.ckpt", random.Random(0)
    HashedCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(500)}, "hyper_parameters": {"dynamics": {}}}, file)
    assert read_checkpoint(file)["state_dict"]["w"].sum() == 500
    raw = file.read_bytes()
    tail = range(len(raw) - 110, len(raw))
    for at in [*rng.sample(range(len(raw)), 150), *tail]:
        for broken in (raw[:at] + bytes([raw[at] ^ (1 << rng.randrange(8))]) + raw[at + 1 :], raw[:at]):
            file.write_bytes(broken)
            with pytest.raises(DataError, match=r"a\.ckpt cannot be loaded"):
                read_checkpoint(file)


def test_lightning_reads_no_checkpoint_that_was_altered(tmp_path):
    file = tmp_path / "a.ckpt"
    HashedCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(500)}}, file)
    assert HashedCheckpointIO().load_checkpoint(file)["state_dict"]["w"].sum() == 500
    raw = file.read_bytes()
    at = raw.index(torch.ones(500).numpy().tobytes())
    file.write_bytes(raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :])
    with pytest.raises(DataError, match=r"a\.ckpt cannot be loaded: it was altered"):
        HashedCheckpointIO().load_checkpoint(file)


def test_one_without_a_hash_passes(tmp_path):
    torch.save({"a": 1}, tmp_path / "a.ckpt")
    verify_hash(tmp_path / "a.ckpt")


def test_a_checkpoint_goes_where_it_is_copied_and_renamed(run_folder, tmp_path):
    copy = tmp_path / "elsewhere.ckpt"
    shutil.copyfile(run_folder / "checkpoints" / "last.ckpt", copy)
    assert read_checkpoint(copy)["hyper_parameters"]["dynamics"]["class_path"] == "interestlab.dynamics.ewma"


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    file = tmp_path / "last.ckpt"
    HashedCheckpointIO().save_checkpoint({"epoch": 1}, file)
    before = file.read_bytes()

    def full(_: object, out) -> None:
        out.write(b"PK half")
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(
        DataError, match=r"last\.ckpt cannot be written \(No space left on device\); the previous file is unchanged"
    ):
        HashedCheckpointIO().save_checkpoint({"epoch": 2}, file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]
