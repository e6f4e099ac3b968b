"""From a source to an event store."""

from pathlib import Path

import polars as pl
import pytest

from interestlab.data import event_store
from interestlab.data.datamodule import InterestData, resolve_cache_dir
from interestlab.data.event_store import PreparationSettings
from interestlab.data.text_cleaning import Cleaning
from interestlab.errors import DataError

BAD = ["u1,a,1", "u1,b,soon", "u1,b,2", ",a,3", "u2,a,1"]


def test_contents_of_the_event_store(data):
    log = data(["u2,b,3", "u1,a,1", "u2,a,1", "u1,c,2"]).log
    assert log.users.to_list() == ["u1", "u2"]
    assert log.items["item_id"].to_list() == ["a", "b", "c"]
    assert log.offsets.tolist() == [0, 2, 4]
    assert log.item.tolist() == [0, 2, 0, 1]
    assert (log.time / 86_400).tolist() == [1, 2, 1, 3]
    assert log.events.collect()["text"].to_list() == ["u1 liked it"] * 2 + ["u2 liked it"] * 2
    assert {k: log.meta[k] for k in ("users", "items", "events", "rows", "quarantined")} == {
        "users": 2,
        "items": 3,
        "events": 4,
        "rows": 7,
        "quarantined": 0,
    }
    sizes = {k: log.meta["cardinalities"][k] for k in ("item.id", "item.title", "item.brand", "item.price", "event.text")}
    assert sizes == {"item.id": 3, "item.title": 3, "item.brand": 1, "item.price": 0, "event.text": 2}


@pytest.mark.parametrize("chunk_size", [1, 2, 100])
def test_counts_only_include_training_events(data, monkeypatch, chunk_size):
    monkeypatch.setattr(event_store, "USERS_PER_CHUNK", chunk_size)
    log = data([f"u{u},{item},{t + 1}" for u in (1, 2, 3) for t, item in enumerate("abac"[: 5 - u])]).log
    assert log.counts.tolist() == [3, 2, 0]


def test_quarantine(data, cache, lines):
    log = data(BAD, max_bad_fraction=0.5).log
    (file,) = (cache / "quarantine").glob("*.csv")
    assert file.stem == log.folder.name
    path = lines(BAD)
    assert pl.read_csv(file).rows() == [
        (path, 2, "timestamp is not a number of seconds: soon"),
        (path, 4, "user_id is missing"),
    ]
    assert log.meta["quarantined"] == 2
    assert log.meta["events"] == 3


def test_too_many_bad_rows(data, cache, lines):
    with pytest.raises(DataError) as error:
        data(BAD).log  # noqa: B018
    message = str(error.value)
    assert f"First: {lines(BAD)} line 2: timestamp is not a number of seconds: soon." in message
    assert "2 of 7 rows (28.57%)" in message
    assert "max_bad_fraction=0.01" in message
    assert str(next((cache / "quarantine").glob("*.csv"))) in message
    assert "\n" not in message
    assert not list((cache / "logs").glob("Tiny-????????????????"))


def test_the_limit_itself_is_allowed(data):
    assert data(BAD, max_bad_fraction=2 / 7).log.meta["quarantined"] == 2


def test_second_run_does_not_read_the_source(tiny, lines, cache):
    first, second = (InterestData(tiny(lines()), cache_dir=str(cache)).log for _ in range(2))
    assert tiny.reads == 1
    assert first.folder == second.folder
    assert first.item.tolist() == second.item.tolist()


def test_moved_and_renamed_files_reuse_the_store(tiny, lines, cache):
    for name in ("events.csv", "renamed.csv"):
        InterestData(tiny(lines(name=name)), cache_dir=str(cache)).log  # noqa: B018
    assert tiny.reads == 1


def test_a_moved_folder_reuses_the_store(tiny, tmp_path, lines, cache):
    class Folder(tiny):
        """Reads the lines of a folder.

        Args:
            path: the folder.
        """

        def __init__(self, path: str) -> None:
            super().__init__(str(Path(path) / "events.csv"))

    folders = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        lines(name=f"{name}/events.csv")
        folders.append(InterestData(Folder(str(tmp_path / name)), cache_dir=str(cache)).log.folder)
    assert folders[0] == folders[1]


def test_extension_before_gz_is_part_of_the_fingerprint(tiny, lines, cache):
    names = ("a.csv", "a.csv.gz", "a.tsv.gz")
    plain, csv, tsv = (InterestData(tiny(lines(name=name)), cache_dir=str(cache)).log.folder for name in names)
    assert csv == plain != tsv


def test_changed_files_and_source_versions_build_new_stores(tiny, lines, cache, monkeypatch):
    def folder(source):
        return InterestData(source, cache_dir=str(cache)).log.folder

    folders = {folder(tiny(lines())), folder(tiny(lines(["u1,a,1"]))), folder(tiny(lines(name="x.tsv")))}
    folders.add(folder(tiny(lines(), with_items=False)))
    monkeypatch.setattr(tiny, "version", 2)
    folders.add(folder(tiny(lines())))
    assert len(folders) == tiny.reads == 5


@pytest.mark.parametrize(
    "setting",
    [
        {"k_core": 2},
        {"min_history": 4},
        {"ties": "item"},
        {"ties": "shuffle"},
        {"split": "global_time"},
        {"clean": Cleaning(urls=False)},
    ],
)
def test_a_changed_setting_builds_a_new_store(data, setting):
    assert data().log.folder != data(**setting).log.folder


def test_settings_without_effect_reuse_the_store(data, tiny):
    folders = {
        data(seed=s, split_quantiles=c, max_history=n).log.folder for s, c, n in [(0, (0.8, 0.9), 5), (1, (0.5, 0.6), 9)]
    }
    assert len(folders) == tiny.reads == 1
    assert PreparationSettings(ties="shuffle", seed=1).effective() != PreparationSettings(ties="shuffle", seed=2).effective()
    assert (
        PreparationSettings(split="global_time", split_quantiles=(0.1, 0.2)).effective()
        != PreparationSettings(split="global_time").effective()
    )


def test_shuffled_ties_follow_the_seed(data):
    rows = [f"u,{item},1" for item in "abcdefgh"]
    first, same, other = (data(rows, ties="shuffle", seed=s).log.item.tolist() for s in (0, 0, 1))
    assert first == same
    assert first != other


def test_fingerprint(data):
    module = data(["u1,a,1", "u1,b,2", "u1,c,3"], min_history=2, clean=Cleaning(tags=False), exclude_history=False)
    fingerprint = module.fingerprint
    assert fingerprint.pop("data") == module.log.meta["data"]
    assert fingerprint == {
        "source": "Tiny",
        "users": 1,
        "items": 3,
        "events": 3,
        "k_core": 0,
        "min_history": 2,
        "ties": "file",
        "split": "leave_one_out",
        "target_events": "all",
        "clean": "entities+urls+nfkc+control+spaces",
        "max_history": 50,
        "data_seed": 0,
        "history": "included",
        "ranking": "full catalogue, ties shared",
    }


def test_fingerprint_without_cleaning(data):
    off = Cleaning(*[False] * 6)
    assert data(clean=off).fingerprint["clean"] == "none"


@pytest.mark.parametrize("split_quantiles", [(0.9, 0.8), (0.5, 0.5), (0.0, 0.5), (0.5, 1.0)])
def test_split_quantiles_must_rise(data, split_quantiles):
    with pytest.raises(DataError, match="two rising shares"):
        data(split_quantiles=split_quantiles)


@pytest.mark.parametrize("name", ["max_history", "batch_events", "eval_events"])
def test_sizes_below_one(data, name):
    with pytest.raises(ValueError, match=f"{name} must be at least 1, not 0"):
        data(**{name: 0})


def test_missing_file(tiny, tmp_path, cache):
    with pytest.raises(DataError, match=r"gone\.csv: No such file"):
        InterestData(tiny(str(tmp_path / "gone.csv")), cache_dir=str(cache)).log  # noqa: B018


def test_no_user_has_test_events(data):
    with pytest.raises(DataError, match="no user has events for test with split=leave_one_out"):
        data(["u1,a,1", "u1,b,2"]).test_dataloader()


def test_cache_dir(monkeypatch, tmp_path):
    monkeypatch.setenv("INTERESTLAB_CACHE", str(tmp_path / "env"))
    assert resolve_cache_dir(str(tmp_path / "own")) == tmp_path / "own"
    assert resolve_cache_dir(None) == tmp_path / "env"
    monkeypatch.delenv("INTERESTLAB_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_cache_dir(None) == tmp_path / ".cache" / "interestlab"
    assert resolve_cache_dir("~/here") == tmp_path / "here"


def test_loaders(data):
    module = data(batch_events=64)
    users = module.log.meta["users"]
    for split, targets in {"validation": 26, "test": 26, "predict": 0}.items():
        batches = list(module.loader(split))
        assert sum(int((b.targets >= 0).sum()) for b in batches) == targets
    assert sum(len(b.users) for b in batches) == users == 30
