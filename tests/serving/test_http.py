"""The application through ASGI, in this process."""

import json
import re

import pytest
from asgi_client import Client
from serving_events import ITEMS, START

from interestlab.errors import DataError
from interestlab.serving.core_thread import CoreThread
from interestlab.serving.http.app import App
from interestlab.serving.http.endpoints import ENDPOINTS
from interestlab.serving.http.reading import MAX_BODY
from interestlab.serving.http.tokens import Role, Tokens, read_tokens
from interestlab.serving.service import Service

TOKENS = {"read-token-0123456": Role.read, "write-token-012345": Role.write, "admin-token-012345": Role.admin}


def row(event_id="a", user_id="u", item_id=ITEMS[0], timestamp=START, **more):
    return {"event_id": event_id, "user_id": user_id, "item_id": item_id, "timestamp": timestamp} | more


@pytest.fixture
def requests(core, run_async):
    """Return a function that runs ``await work(client)`` against a new application."""

    def run(work, tokens=None, **limits):
        async def inside():
            service = Service(core, CoreThread(core.metrics, **limits))
            async with Client(App(service, Tokens(tokens or {}))) as client:
                return await work(client)

        return run_async(inside())

    return run


def test_one_event_is_answered_by_its_status(requests):
    async def work(client):
        answers = [
            await client("POST", "/v1/events", row(k=3)),
            await client("POST", "/v1/events", row(k=3)),
            await client("POST", "/v1/events", row(item_id=ITEMS[1])),
            await client("POST", "/v1/events", row("b", item_id="unknown")),
            await client("POST", "/v1/events", row("c", columns={"colour": "red"})),
            await client("POST", "/v1/events", row("d", timestamp=START - 9)),
        ]
        return [(answer.status, answer.json["status"]) for answer in answers], answers[0].json

    statuses, first = requests(work)
    expected = [(200, "applied"), (200, "duplicate"), (409, "conflict"), (422, "unknown_item"), (422, "invalid"), (200, "late")]
    assert statuses == expected
    assert len(first["recommendations"]["items"]) == 3
    assert first["recommendations"]["basis"] == "state"


def test_a_list_of_events_is_answered_one_by_one(requests):
    async def work(client):
        events = [row(f"{n}", f"u{n % 40}", ITEMS[n % 30], START + n) for n in range(200)]
        answer = await client("POST", "/v1/events", [*events, row("x", item_id="unknown"), events[3]])
        return answer.status, [result["status"] for result in answer.json["results"]], await client("GET", "/v1/users/u3")

    status, statuses, user = requests(work)
    assert (status, statuses) == (200, ["applied"] * 200 + ["unknown_item", "duplicate"])
    assert user.json["num_events"] == 5
    assert user.json["last_time"] == START + 163


def test_ids_may_contain_a_slash_or_chinese(requests):
    async def work(client):
        await client("POST", "/v1/events", row(user_id="a/b 茶?"))
        path = "/v1/users/a%2Fb%20%E8%8C%B6%3F"
        found = await client("GET", path)
        lists = [await client("GET", f"{path}/recommendations?k=2&at={START + 99}") for _ in range(2)]
        erased = await client("DELETE", path)
        return found, lists, erased, await client("GET", path), await client("GET", "/v1/users/%FF")

    found, lists, erased, gone, broken = requests(work)
    assert found.json["user_id"] == "a/b 茶?"
    assert lists[0] == lists[1]
    assert len(lists[0].json["items"]) == 2
    assert (erased.status, erased.body) == (204, b"")
    assert (gone.status, broken.status) == (404, 400)


def test_items_and_questions(requests):
    async def work(client):
        return [
            await client("PUT", "/v1/items/new", {"title": "Steel kettle"}),
            await client("PUT", "/v1/items/new", {"title": "Copper kettle"}),
            await client("DELETE", "/v1/items/new"),
            await client("DELETE", "/v1/items/unknown"),
            await client("POST", "/v1/whatif", {"user_id": "u", "add": [{"item_id": ITEMS[3], "timestamp": START}], "k": 2}),
            await client("POST", "/v1/whatif", {"user_id": "u", "remove": ["nothing"]}),
            await client("GET", "/v1/models"),
            await client("POST", "/v1/models", {"run": "nowhere"}),
            await client("GET", "/v1/users/nobody/recommendations?words=warm%20lamp"),
        ]

    answers = requests(work)
    assert [answer.status for answer in answers] == [200, 409, 200, 404, 200, 404, 200, 422, 200]
    assert answers[4].json["after"]["basis"] == "state"
    assert answers[6].json["index"] == "exact"
    assert answers[8].json["basis"] == "words"


REFUSED = [
    (400, "POST", "/v1/events", b"{", {}),
    (400, "GET", "/v1/users/u/recommendations?k=1&k=2", None, {}),
    (404, "GET", "/v1/nothing", None, {}),
    (404, "GET", "/v1/users//recommendations/x", None, {}),
    (405, "GET", "/v1/events", None, {}),
    (405, "POST", "/healthz", {}, {}),
    (413, "POST", "/v1/events", b" " * (MAX_BODY + 1), {}),
    (413, "POST", "/v1/events", b"{}", {"content_length": str(MAX_BODY + 1)}),
    (415, "POST", "/v1/events", b"{}", {"content_type": "text/plain"}),
    (422, "POST", "/v1/events", [], {}),
    (422, "POST", "/v1/events", [{"event_id": "1"}] * 1001, {}),
    (422, "POST", "/v1/events", {"event_id": "a"}, {}),
    (422, "POST", "/v1/events", row(colour="red"), {}),
    (422, "POST", "/v1/events", row(timestamp="2025-01-01"), {}),
    (422, "POST", "/v1/events", row(timestamp=1e12), {}),
    (422, "POST", "/v1/events", row(event_id="x" * 201), {}),
    (422, "GET", "/v1/users/u/recommendations?k=0", None, {}),
    (422, "GET", "/v1/users/u/recommendations?at=soon", None, {}),
    (422, "GET", f"/v1/users/{'x' * 201}", None, {}),
    (422, "PUT", "/v1/items/%20", {"title": "lamp"}, {}),
]


def test_what_cannot_be_read_is_refused(requests):
    async def work(client):
        return [await client(method, path, body, **headers) for _, method, path, body, headers in REFUSED]

    for case, answer in zip(REFUSED, requests(work), strict=True):
        assert answer.status == case[0], case
        assert set(answer.json) == {"error"}, case
        assert ("allow" in answer.headers) == (answer.status == 405), case


def test_each_role_reaches_its_endpoints(requests):
    paths = {endpoint: re.sub(r"{\w+}", "u", endpoint.path) for endpoint in ENDPOINTS if endpoint.role}

    async def work(client):
        for endpoint, path in paths.items():
            body = {} if endpoint.body is not None else None
            assert (await client(endpoint.method, path, body)).status == 401
            assert (await client(endpoint.method, path, body, token="unknown-token-0123")).status == 401
            for token, role in TOKENS.items():
                status = (await client(endpoint.method, path, body, token=token)).status
                assert (status == 403) == (role < endpoint.role), (endpoint.path, role)
                assert status != 401
        basic = await client("GET", "/v1/users/u", authorization="Basic read-token-0123456")
        assert (basic.status, basic.headers["www-authenticate"]) == (401, "Bearer")
        assert (await client("GET", "/metrics")).status == 401
        for path in ("/healthz", "/readyz", "/openapi.json"):
            assert (await client("GET", path)).status == 200

    requests(work, TOKENS)


def test_a_busy_server_asks_to_try_again(requests, core):
    core.served = None  # nothing is asked of the model

    async def work(client):
        thread = client.app.service.thread
        thread.admit(2)
        return await client("POST", "/v1/events", row()), await client("GET", "/v1/users/u")

    for answer in requests(work, max_queue=1):
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"


def test_an_error_inside_tells_nothing_of_the_user(requests, core, caplog):
    core.served.users.load = lambda users: (_ for _ in ()).throw(RuntimeError(f"{users} are broken"))
    answer = requests(lambda client: client("GET", "/v1/users/someone-secret"))
    assert answer.status == 500
    assert "RuntimeError" in caplog.text
    assert "someone-secret" not in caplog.text + answer.body.decode()


def test_metrics_name_no_user_and_no_item(requests):
    async def work(client):
        await client("POST", "/v1/events", row(user_id="someone-secret", k=3))
        await client("GET", "/v1/users/someone-secret/recommendations")
        await client("BREW", "/v1/someone-secret")
        return await client("GET", "/metrics")

    answer = requests(work)
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.body.decode()
    assert "someone-secret" not in text
    assert not any(item in text for item in ITEMS)
    for line in (
        'interestlab_events_total{status="applied"} 1.0',
        'interestlab_lists_total{basis="state"} 2.0',
        'interestlab_requests_total{method="other",status="404"} 1.0',
        "interestlab_index_recall NaN",
        "interestlab_queue 0.0",
    ):
        assert line in text
    for stage in ("queue", "load", "step", "commit", "rank"):
        assert f'interestlab_stage_seconds_count{{stage="{stage}"}}' in text


def test_the_openapi_document_describes_every_endpoint(requests):
    document = requests(lambda client: client("GET", "/openapi.json")).json
    described = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    assert described == {(endpoint.method, endpoint.path) for endpoint in ENDPOINTS}
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert references <= document["components"]["schemas"].keys()
    event = document["components"]["schemas"]["Event"]
    assert event["required"] == ["event_id", "user_id", "item_id", "timestamp"]
    assert not event["additionalProperties"]


def test_a_file_of_tokens_is_read(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# of the shop\n\nread read-token-0123456\nadmin  admin-token-012345\n")
    tokens = read_tokens(file)
    assert tokens.role_of("Bearer read-token-0123456") == Role.read
    assert tokens.role_of("bearer admin-token-012345") == Role.admin
    assert tokens.role_of("Bearer other") is None
    assert not tokens.is_open


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("owner 0123456789abcdef", "line 1 is not ROLE TOKEN, where the role is read, write, admin"),
        ("read short", "line 1 has fewer than 16 characters"),
        ("# nothing", "contains no token"),
        (None, "give the file of the tokens"),
    ],
)
def test_a_wrong_file_of_tokens_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "tokens").write_text(text)
    with pytest.raises(DataError, match=message):
        read_tokens(tmp_path / "tokens")
