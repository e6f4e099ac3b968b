"""The store on disk."""

import sqlite3

import pytest

from interestlab.errors import DataError
from interestlab.serving.errors import StoreError
from interestlab.serving.state_format import StateFormat
from interestlab.serving.store.commit_time import measure_commit
from interestlab.serving.store.events import StoredEvent
from interestlab.serving.store.lock import sole_user
from interestlab.serving.store.states import StoredState
from interestlab.serving.store.store import Store


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "a.sqlite")


def stored(event_id, user="u", number=0, time=10):
    return StoredEvent(event_id, user, number, time, "i", b"{}")


def test_an_event_and_a_state_are_written_together_or_not_at_all(store):
    def write_twice():
        with store.transaction():
            store.events.add([stored("a")])
            store.states.put("1", {"u": StoredState(1, True, 10, b"x")})
            store.events.add([stored("a", "v")])

    with pytest.raises(StoreError, match="UNIQUE"):
        write_twice()
    assert store.events.all_counts() == {}
    assert store.states.all("1") == {}
    with store.transaction():
        store.events.add([stored("a"), stored("b", "u", 1, 5)])
        store.states.put("1", {"u": StoredState(2, True, 10, b"x")})
    again = Store(store.file)
    assert [event.event_id for event in again.events.of_user("u")] == ["a", "b"]
    assert again.states.find("1", ["u", "v"]) == {"u": StoredState(2, True, 10, b"x")}
    assert (again.events.latest_before("u", 2), again.events.latest_before("u", 0)) == (10, None)
    assert again.events.counts(["u", "v"]) == {"u": 2}


def test_a_store_that_is_locked_reports_it(store, monkeypatch):
    monkeypatch.setattr("interestlab.serving.store.database.BUSY_SECONDS", 0.01)
    other = Store(store.file)
    with store.transaction(), pytest.raises(StoreError, match="locked"), other.transaction():
        pass


def test_two_servers_never_share_a_store(tmp_path):
    with (
        sole_user(tmp_path / "a.sqlite"),
        pytest.raises(DataError, match=r"another server uses .*a\.sqlite"),
        sole_user(tmp_path / "a.sqlite"),
    ):
        pass
    with sole_user(tmp_path / "a.sqlite"):
        pass
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="give another --store"), sole_user(tmp_path / "file" / "a.sqlite"):
        pass


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "a.sqlite").write_text("no database" * 100)
    with pytest.raises(DataError, match=r"a.sqlite cannot be opened .* give another --store"):
        Store(tmp_path / "a.sqlite")


@pytest.mark.parametrize(("durable", "level"), [(False, 1), (True, 2)])
def test_a_durable_store_waits_for_the_disk(tmp_path, durable, level):
    store = Store(tmp_path / "a.sqlite", durable=durable)
    assert store._connection.execute("PRAGMA synchronous").fetchone() == (level,)
    assert store._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_the_cost_of_a_commit_is_measured_in_a_scratch_file(tmp_path):
    assert 0 < measure_commit(tmp_path, durable=False, commits=2) < 5
    assert not list(tmp_path.iterdir())


def test_states_of_the_last_two_models_are_kept(store):
    for version in ("1", "2", "1", "3"):
        with store.transaction():
            store.states.begin_model(version, f"header {version}", "run")
            store.states.put(version, {"u": StoredState(1, True, 10, version.encode())})
            store.items.put_vector(version, "i", b"v")
    assert [version for version in "123" if store.states.all(version)] == ["1", "3"]
    assert [version for version in "123" if store.items.vectors(version)] == ["1", "3"]
    with store.transaction():
        store.states.begin_model("1", "another header", "run")
    assert store.states.all("1") == {}


def test_a_state_is_tensors_and_the_hash_of_its_header(store):
    import torch

    state = {
        "z": torch.arange(6.0).reshape(3, 2),
        "seen": torch.tensor([True, False, True]),
        "n": torch.tensor([[7], [8], [9]]),
    }
    formats = [StateFormat(state, version, "some.Dynamics") for version in ("1", "2")]
    blobs = formats[0].pack(state, 3)
    assert {len(blob) for blob in blobs} == {8 + 2 * 4 + 1 + 8}
    for name, tensor in formats[0].unpack(blobs[::-1]).items():
        assert torch.equal(tensor, state[name].flip(0))
        assert tensor.dtype == state[name].dtype
    assert '"dtype": "float32", "shape": [2]' in formats[0].header
    assert '"version": "1"' in formats[0].header
    with pytest.raises(DataError, match="belongs to another model"):
        formats[1].unpack(blobs)


def test_the_database_contains_no_pickle(make_core, signals_run):
    from serving_events import walk

    from interestlab.serving.core.apply_events import apply_events

    core = make_core(signals_run)
    apply_events(core, walk("u", 1))
    with sqlite3.connect(core.store.file) as db:
        ((header,),) = db.execute("SELECT header FROM model")
        ((tensors,),) = db.execute("SELECT tensors FROM state")
    assert '"dynamics": "interestlab.dynamics.momentum"' in header
    assert len(tensors) == len(core.served.model.stepper.initial)
