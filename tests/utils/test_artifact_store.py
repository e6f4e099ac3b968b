import errno
import multiprocessing
import os
import time
from pathlib import Path

import numpy as np
import pytest

from interestlab.errors import DataError
from interestlab.utils import artifact_store


def write(folder):
    (folder / "done").write_text("complete")


def fail_if_called(folder):
    raise AssertionError("built again")


def test_built_once(tmp_path):
    folder = artifact_store.build_artifact(tmp_path / "a" / "b", write)
    assert (folder / "done").read_text() == "complete"
    assert artifact_store.build_artifact(folder, fail_if_called) == folder


def test_a_failed_builder_leaves_no_folder(tmp_path):
    def fail(folder):
        write(folder)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        artifact_store.build_artifact(tmp_path / "x", fail)
    assert not (tmp_path / "x").exists()
    assert (artifact_store.build_artifact(tmp_path / "x", write) / "done").exists()


def test_leftovers_of_a_killed_builder_are_rebuilt(tmp_path):
    leftover = tmp_path / "x.part"
    leftover.mkdir()
    (leftover / "half").write_text("half")
    (tmp_path / "x.lock").touch()
    folder = artifact_store.build_artifact(tmp_path / "x", write)
    assert {f.name for f in folder.iterdir()} == {"done", artifact_store.MANIFEST_NAME}
    assert not leftover.exists()


def build_slowly(folder, log):
    def write_slowly(draft):
        with log.open("a") as lines:
            lines.write(f"{os.getpid()}\n")
        time.sleep(0.3)
        write(draft)

    assert (artifact_store.build_artifact(folder, write_slowly) / "done").read_text() == "complete"


def test_concurrent_processes_build_once(tmp_path):
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=build_slowly, args=(tmp_path / "x", tmp_path / "log")) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len((tmp_path / "log").read_text().splitlines()) == 1


def check_one_line(error):
    assert "\n" not in str(error.value)
    assert "--data.cache_dir or INTERESTLAB_CACHE" in str(error.value)
    return str(error.value)


def test_cache_below_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="cannot be written") as error:
        artifact_store.build_artifact(tmp_path / "file" / "logs" / "x", write)
    assert str(tmp_path / "file") in check_one_line(error)


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() == 0, reason="root writes everywhere")
def test_read_only_cache(tmp_path):
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(DataError, match="cannot be written") as error:
            artifact_store.build_artifact(tmp_path / "logs" / "x", write)
    finally:
        tmp_path.chmod(0o700)
    check_one_line(error)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_unwritable_file_systems(tmp_path, monkeypatch, code):
    def mkdir(self, *args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(DataError, match=os.strerror(code)) as error:
        artifact_store.build_artifact(tmp_path / "x", write)
    check_one_line(error)


def test_other_errors_of_a_builder_are_not_changed(tmp_path):
    def fail(folder):
        raise FileNotFoundError(errno.ENOENT, "no such model", "model.bin")

    with pytest.raises(FileNotFoundError, match="no such model"):
        artifact_store.build_artifact(tmp_path / "x", fail)


def test_arrays_are_read_back(tmp_path):
    artifact_store.save(tmp_path, a=np.arange(5), b=np.zeros((2, 0)))
    a = artifact_store.load(tmp_path, "a")
    assert a.tolist() == [0, 1, 2, 3, 4]
    assert artifact_store.load(tmp_path, "b").shape == (2, 0)
    with pytest.raises(ValueError, match="read-only"):
        a[0] = 1


def test_no_pickle_is_written_or_read(tmp_path):
    objects = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ValueError, match=r"pickle|Object arrays"):
        artifact_store.save(tmp_path, bad=objects)
    np.save(tmp_path / "bad.npy", objects, allow_pickle=True)
    with pytest.raises(ValueError, match=r"pickle|Python objects"):
        artifact_store.load(tmp_path, "bad")


def test_fingerprints(monkeypatch):
    name = artifact_store.fingerprint(a=1, b=[1, 2])
    assert name == artifact_store.fingerprint(b=[1, 2], a=1)
    assert (
        len(
            {
                name,
                artifact_store.fingerprint(a=2, b=[1, 2]),
                artifact_store.fingerprint(a=1, b=[2, 1]),
                artifact_store.fingerprint(a=1),
            }
        )
        == 4
    )
    monkeypatch.setattr(artifact_store, "VERSION", artifact_store.VERSION + 1)
    assert artifact_store.fingerprint(a=1, b=[1, 2]) != name


def test_content_hash_depends_on_content_and_not_on_names(tmp_path):
    for name, text in {"a": "one", "b": "two", "c": "one", "d": "onetwo", "e": ""}.items():
        (tmp_path / name).write_text(text)
    a, b, c, d, e = (tmp_path / n for n in "abcde")
    assert artifact_store.content_hash([a, b]) == artifact_store.content_hash([c, b])
    assert len({artifact_store.content_hash(files) for files in ([a, b], [b, a], [d], [d, e], [a], [])}) == 6


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r"gone.csv: No such file.*check the path"):
        artifact_store.content_hash([tmp_path / "gone.csv"])
