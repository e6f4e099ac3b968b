"""`interestlab serve` as a process: under load, killed, swapped, and fed with what a schema allows."""

import contextlib
import http.client
import json
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec

import msgspec
import pytest
from serving_events import ITEMS, START, event

import interestlab
from interestlab.cli.main import main
from interestlab.errors import DataError
from interestlab.serving.core.apply_events import apply_events
from interestlab.serving.http.server import check_address
from interestlab.serving.http.tokens import Role, Tokens
from interestlab.serving.messages import Event, event_body

pytestmark = pytest.mark.skipif(find_spec("granian") is None, reason="needs granian")


def sent_events(worker, count) -> Iterator[dict]:
    for n in range(count):
        user = f"w{worker}-{n % 5}"
        yield json.loads(event_body(event(f"{worker}-{n}", user, ITEMS[(11 * n + worker) % 38], START + 60 * n, event="view")))


@pytest.mark.slow
def test_killed_under_load_it_loses_and_repeats_nothing(start, make_core, signals_run, tmp_path):
    store, count, workers = tmp_path / "killed.sqlite", 250, 4
    options = [f"--store={store}", "--import_log=false"]
    server, lock, source = [start(signals_run, *options)], threading.Lock(), random.Random(0)
    acknowledged, repeated = [], []

    def work(worker):
        for body in sent_events(worker, count):
            while True:
                try:
                    status, answer = server[0].request("POST", "/v1/events", body)
                except (OSError, http.client.HTTPException, ValueError):
                    time.sleep(0.05)  # not acknowledged: it is sent again
                    continue
                assert status == 200, answer
                with lock:
                    acknowledged.append(body["event_id"])
                    repeated.extend([body["event_id"]] if answer["status"] == "duplicate" else [])
                break

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(workers)]
    for thread in threads:
        thread.start()
    for kill in range(3):
        while len(acknowledged) < (kill + 1) * count * workers / 5:
            time.sleep(0.005)
        time.sleep(source.random() * 0.02)
        server[0].stop(signal.SIGKILL)
        server[0] = start(signals_run, *options)
    for thread in threads:
        thread.join()
    assert server[0].stop() == 0
    assert sorted(acknowledged) == sorted(f"{w}-{n}" for w in range(workers) for n in range(count))
    assert len(repeated) <= 3 * workers  # at most the events that were committed, but not acknowledged, at each kill
    replay = make_core(signals_run)
    for worker in range(workers):
        for body in sent_events(worker, count):
            assert apply_events(replay, [msgspec.convert(body, Event)])[0].status == "applied"
    killed = make_core(signals_run, file="killed.sqlite")
    version = replay.served.model.version
    assert len(replay.store.states.all(version)) == workers * 5
    assert killed.store.states.all(version) == replay.store.states.all(version)


@pytest.mark.slow
def test_a_swap_under_load_fails_no_request(start, signals_run, ids_run, tmp_path):
    server, other = start(signals_run, f"--store={tmp_path / 'a.sqlite'}"), ids_run("gru")
    versions, stop = [[] for _ in range(3)], threading.Event()

    def work(worker):
        for n in range(100_000):
            if stop.is_set():
                return
            body = json.loads(event_body(event(f"{worker}-{n}", f"w{worker}", ITEMS[n % 38], START + n))) | {"k": 3}
            status, answer = server.request("POST", "/v1/events", body)
            versions[worker].append(answer["recommendations"]["model"] if status == 200 else status)

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    status, info = server.request("POST", "/v1/models", {"run": str(other)})
    server.process.send_signal(signal.SIGHUP)  # back to the run of the command line
    while f"of {signals_run}" not in server.log.read_text().partition("serving on")[2]:
        time.sleep(0.1)
    time.sleep(0.3)
    stop.set()
    for thread in threads:
        thread.join()
    assert status == 200, info
    assert info["compared_users"] > 25
    first = versions[0][0]
    for seen in versions:
        changes = [a for a, b in zip(seen, [None, *seen], strict=False) if a != b]
        assert changes == [first, info["model"], first]
    assert server.stop() == 0


@pytest.mark.slow
def test_idle_connections_keep_nobody_out(start, signals_run, tmp_path):
    server = start(signals_run, f"--store={tmp_path / 'a.sqlite'}")
    with contextlib.ExitStack() as stack:
        for _ in range(300):
            # The time is shorter than the 30 seconds after which granian closes an idle connection.
            idle = stack.enter_context(contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)))
            idle.request("GET", "/readyz")
            assert idle.getresponse().read()
        assert server.request("GET", "/readyz")[0] == 200


@pytest.mark.slow
def test_no_request_that_the_schema_allows_or_forbids_breaks_it(start, signals_run, tmp_path):
    pytest.importorskip("schemathesis")
    server = start(signals_run, f"--store={tmp_path / 'a.sqlite'}")
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "run"]
    options = [
        f"http://127.0.0.1:{server.port}/openapi.json",
        f"--checks={checks}",
        "--max-examples=40",
        "--seed=1",
        "--request-timeout=60",
    ]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.request("GET", "/readyz")[0] == 200
    assert "Traceback" not in server.log.read_text()


# ---- the command, without a process


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.1", "::"])
def test_other_machines_reach_it_with_tokens_alone(host):
    with pytest.raises(DataError, match="can be reached from other machines; give --tokens"):
        check_address(host, 8000, Tokens({}))
    check_address(host, 8000, Tokens({"0123456789abcdef": Role.admin}))
    check_address("127.0.0.1", 8000, Tokens({}))
    with pytest.raises(DataError, match="is not an IP address"):
        check_address("localhost:80", 8000, Tokens({}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["nowhere"], "nowhere is not a folder; give the folder of a finished fit"),
        (["."], "config.yaml does not exist; give the folder of a finished fit"),
        (["run", "--explore=1"], "--explore must be from 0 to below 1"),
        (["run", "--host=0.0.0.0"], "give --tokens=FILE"),
        (["run", "--tokens=nothing"], "give the file of the tokens"),
    ],
)
def test_what_cannot_be_served_is_one_line(capsys, options, message):
    with pytest.raises(SystemExit) as stopped:
        main(["serve", *options])
    assert stopped.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert message in line


@pytest.mark.parametrize("module", ["granian", "msgspec", "prometheus_client"])
def test_without_its_packages_the_extra_is_named(monkeypatch, capsys, module):
    monkeypatch.setattr(interestlab, "serving", interestlab.serving)  # the import below replaces it
    for name in [name for name in sys.modules if name.startswith("interestlab.serving") or name.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SystemExit):
        main(["serve", "run"])
    assert "pip install 'interestlab[serve]'" in capsys.readouterr().err.strip().splitlines()[-1]
