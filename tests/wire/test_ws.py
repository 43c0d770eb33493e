"""graphql-transport-ws, message by message: every answer and every close code of the protocol."""

import json
import socket
from typing import Any

import httpx
import pytest

from app.settings import Settings
from schema.ws_messages import MAXIMUM_ID
from tests.hub import Hub, serve
from tests.wire.counter import COUNTING, Counter
from tests.wire.talk import PROTOCOL, talk
from tests.world import World

ONE = '{ evse(evseId: "DE*SON*E1") { evseId } }'
TO_THREE = "subscription { count(to: 3) }"
TICKS = "subscription { ticks }"
API = {"schema": COUNTING, "source": Counter()}


# ---------------------------------------------------------------- the handshake


def test_speaks_the_current_protocol_without_compression(counting: Hub) -> None:
    url = f"{counting.url.replace('http', 'ws', 1)}/graphql"
    with talk(counting) as client:
        assert client.socket.subprotocol == PROTOCOL
        client.init()
    head = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": f"graphql-ws, {PROTOCOL}",
        "Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits",
    }
    assert url.startswith("ws")
    with counting.client.stream("GET", "/graphql", headers=head) as response:
        assert response.status_code == 101
        assert response.headers["sec-websocket-protocol"] == PROTOCOL
        assert "sec-websocket-extensions" not in response.headers


@pytest.mark.parametrize("protocol", ["graphql-ws", "chat", "GRAPHQL-TRANSPORT-WS"])
def test_closes_a_socket_of_another_protocol(counting: Hub, protocol: str) -> None:
    with talk(counting, protocol) as client:
        assert client.socket.subprotocol is None
        assert client.end()[0] == 4406


@pytest.mark.parametrize("path", ["/", "/graphql/", "/graphiql", "/elsewhere"])
def test_has_no_sockets_elsewhere(counting: Hub, path: str) -> None:
    headers = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    headers["Sec-WebSocket-Key"] = "dGhlIHNhbXBsZSBub25jZQ=="
    assert counting.client.get(path, headers=headers).status_code == 403


# ---------------------------------------------------------------- who is asking

ROLE = "subscription { role }"


def role_on(hub: Hub, payload: Any = None, headers: dict[str, str] | None = None) -> str | None:
    with talk(hub, headers=headers) as client:
        client.init(payload)
        client.subscribe("1", ROLE)
        first, last = client.hear_of("1")
        assert last == {"id": "1", "type": "complete"}
        return first["payload"]["data"]["role"]


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_takes_the_key_from_connection_init(counting: Hub, world: World, name: str) -> None:
    assert role_on(counting, {name: world.authorization("wegweiser")["Authorization"]}) == "NSP"


def test_takes_the_key_from_the_handshake(counting: Hub, world: World) -> None:
    assert role_on(counting, headers=world.authorization("wegweiser")) == "NSP"


def test_believes_connection_init_more_than_the_handshake(counting: Hub, world: World) -> None:
    payload = {"authorization": world.authorization("nordlicht")["Authorization"]}
    assert role_on(counting, payload, world.authorization("wegweiser")) == "EVSE_OPERATOR"


@pytest.mark.parametrize("payload", [None, {}, {"something": "else"}, {"authorization": None}])
def test_lets_strangers_in_as_over_http(counting: Hub, payload: Any) -> None:
    assert role_on(counting, payload) is None


@pytest.mark.parametrize("given", ["Bearer ochub_nonsense", "", "nonsense", 7, ["Bearer x"], {}])
def test_closes_a_socket_with_a_bad_key(counting: Hub, given: Any) -> None:
    with talk(counting) as client:
        client.send("connection_init", payload={"authorization": given})
        code, reason = client.end()
    assert code == 4403
    assert "key" in reason


def test_shows_on_a_socket_what_the_key_may_see(counting: Hub, world: World) -> None:
    for name in ("wegweiser", "nordlicht"):
        with talk(counting) as client:
            client.init(world.authorization(name))
            client.subscribe("1", "{ me { role } }")
            [answer, _] = client.hear_of("1")
        assert answer["payload"] == counting.post("{ me { role } }", headers=world.authorization(name)).json()


# ---------------------------------------------------------------- the order of messages


def test_closes_a_socket_that_asks_before_it_is_acknowledged(counting: Hub) -> None:
    with talk(counting) as client:
        client.subscribe("1", ONE)
        assert client.end()[0] == 4401


def test_closes_a_socket_that_says_nothing_in_time(world: World) -> None:
    with serve(world.dsn, api=API, init_timeout_s=0.2) as hub, talk(hub) as client, talk(hub) as other:
        other.init()
        client.send("ping")
        assert client.end() == (4408, "connection initialisation timeout")
        other.subscribe("1", TO_THREE)
        assert len(other.hear_of("1")) == 4


def test_closes_a_socket_that_initialises_twice(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.send("connection_init")
        assert client.end()[0] == 4429


def test_closes_a_socket_that_initialises_twice_at_once(counting: Hub, world: World) -> None:
    with talk(counting) as client:
        for _ in range(2):
            client.send("connection_init", payload=world.authorization("wegweiser"))
        assert client.end()[0] == 4429


def test_closes_a_socket_that_uses_an_id_twice(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        for _ in range(2):
            client.subscribe("same", TICKS)
        assert client.end() == (4409, "subscriber for same already exists")


def test_cuts_long_reasons(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        for _ in range(2):
            client.subscribe("ü" * MAXIMUM_ID, TICKS)
        code, reason = client.end()
        assert code == 4409
        assert 100 <= len(reason.encode()) <= 123


def test_lets_an_id_be_used_again_after_its_end(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        for query, length in ((TO_THREE, 4), (ONE, 2), ("{ nothing }", 1), (TO_THREE, 4)):
            client.subscribe("same", query)
            assert len(client.hear_of("same")) == length


def test_answers_pings_before_and_after(counting: Hub) -> None:
    with talk(counting) as client:
        client.send("ping")
        assert client.hear() == {"type": "pong"}
        client.send("pong")
        client.init()
        client.send("ping", payload={"any": "thing"})
        assert client.hear() == {"type": "pong"}


def test_looks_by_itself_whether_the_client_is_there(world: World) -> None:
    with serve(world.dsn, api=API, keepalive_s=0.2) as hub, talk(hub, ping_interval=None) as client:
        client.init()
        # The library answers pings by itself, so the socket outlives many of them.
        client.subscribe("1", "subscription { count(to: 1) }")
        assert len(client.hear_of("1")) == 2
        host, port = hub.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), 30) as silent:
            silent.sendall(
                b"GET /graphql HTTP/1.1\r\nHost: hub\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
                b"Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n"
            )
            received = b""
            while part := silent.recv(65536):
                received += part
        assert b"\x89\x04" in received  # a ping
        assert b"\x88" in received  # and the end, for no pong came
        client.send("ping")
        assert client.hear() == {"type": "pong"}


# ---------------------------------------------------------------- what is malformed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nonsense",
        "[]",
        "null",
        "7",
        '"connection_init"',
        "{}",
        '{"type": null}',
        '{"type": 7}',
        '{"type": "start", "id": "1", "payload": {"query": "{ __typename }"}}',
        '{"type": "connection_ack"}',
        '{"type": "next", "id": "1", "payload": {}}',
        '{"type": "error", "id": "1", "payload": []}',
        '{"type": "ping", "payload": []}',
        '{"type": "pong", "payload": "x"}',
        '{"type": "complete"}',
        '{"type": "complete", "id": 1}',
        '{"type": "subscribe", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "", "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": 1, "payload": {"query": "{ __typename }"}}',
        '{"type": "subscribe", "id": "1"}',
        '{"type": "subscribe", "id": "1", "payload": null}',
        '{"type": "subscribe", "id": "1", "payload": {}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": 7}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "variables": []}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "operationName": 1}}',
        '{"type": "subscribe", "id": "1", "payload": {"query": "{ __typename }", "extensions": 1}}',
        json.dumps({"type": "complete", "id": "x" * (MAXIMUM_ID + 1)}),
        "[" * 2000,
    ],
)
def test_closes_a_socket_that_says_what_is_no_message(counting: Hub, text: str) -> None:
    with talk(counting) as client:
        client.init()
        client.socket.send(text)
        code, reason = client.end()
    assert code == 4400
    assert reason


def test_closes_a_socket_whose_init_is_malformed(counting: Hub) -> None:
    with talk(counting) as client:
        client.send("connection_init", payload="Bearer x")
        assert client.end()[0] == 4400


def test_takes_no_bytes(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.socket.send(b'{"type": "ping"}')
        assert client.end()[0] == 4400


def test_takes_no_text_that_is_not_utf_8(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.socket.send(b'{"type": "\xff"}', text=True)
        assert client.end()[0] == 1007


def test_bounds_messages(world: World) -> None:
    with serve(world.dsn, api=API, max_message_bytes=1_000) as hub:
        with talk(hub) as client:
            client.init()
            client.send("ping", payload={"x": "y" * 1_000})
            assert client.end()[0] == 1009
        with talk(hub) as client:
            client.init()
            client.socket.send(["x" * 400] * 3)
            assert client.end()[0] == 1009


# ---------------------------------------------------------------- operations


def test_gives_all_results_and_then_the_end(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("a", TO_THREE)
        results = [{"id": "a", "type": "next", "payload": {"data": {"count": n}}} for n in (1, 2, 3)]
        assert client.hear_of("a") == [*results, {"id": "a", "type": "complete"}]


def test_writes_every_id_as_it_came(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        for id_ in ('"', "\\", "a\n\u2028ü😀", '","type":"complete"}', "{}%s"):
            client.subscribe(id_, TO_THREE)
            assert [message["id"] for message in client.hear_of(id_)] == [id_] * 4


def test_runs_many_at_a_time(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        for number in range(20):
            client.subscribe(str(number), TICKS if number % 2 else TO_THREE)
        heard = dict.fromkeys(map(str, range(20)), 0)
        while min(heard.values()) < 4:
            heard[client.hear()["id"]] += 1
        for number in range(0, 20, 2):
            assert heard[str(number)] == 4


def test_answers_queries_as_over_http(counting: Hub, world: World) -> None:
    with talk(counting) as client:
        client.init()
        for number, query in enumerate((ONE, "{ __typename }", "{ contracts { nodes { id } } }")):
            client.subscribe(str(number), query)
            first, last = client.hear_of(str(number))
            assert first == {"id": str(number), "type": "next", "payload": counting.post(query).json()}
            assert last["type"] == "complete"


def test_answers_mutations_as_over_http(counting: Hub, world: World) -> None:
    mutation = 'mutation { acceptContract(contractId: "5e1c0c5a-0000-4000-8000-000000000000") { id } }'
    headers = world.authorization("nordlicht")
    with talk(counting) as client:
        client.init(headers)
        client.subscribe("1", mutation)
        first, last = client.hear_of("1")
        assert first["payload"] == counting.post(mutation, headers=headers).json()
        assert first["payload"]["errors"][0]["extensions"]["code"] == "NOT_FOUND"
        assert last["type"] == "complete"


def test_chooses_among_operations(counting: Hub) -> None:
    document = "query Q { __typename } subscription S($to: Int!) { count(to: $to) } subscription T { ticks }"
    with talk(counting) as client:
        client.init()
        client.subscribe("q", document, operationName="Q")
        assert client.hear_of("q")[0]["payload"] == {"data": {"__typename": "Query"}}
        client.subscribe("s", document, {"to": 2}, operationName="S", extensions={})
        assert len(client.hear_of("s")) == 3
        client.subscribe("n", document, operationName="N")
        [refused] = client.hear_of("n")
        assert refused["payload"][0]["extensions"]["code"] == "UNKNOWN_OPERATION"


@pytest.mark.parametrize(
    ("query", "variables", "code"),
    [
        ("{", None, "GRAPHQL_PARSE_FAILED"),
        ("", None, "GRAPHQL_PARSE_FAILED"),
        ("{ nothing }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { count }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription { ticks role }", None, "GRAPHQL_VALIDATION_FAILED"),
        ("subscription ($to: Int!) { count(to: $to) }", None, "BAD_INPUT"),
        ("subscription ($to: Int!) { count(to: $to) }", {"to": "x"}, "BAD_INPUT"),
        ("subscription ($a: Int) { ticks(after: $a) }", {"a": 2_000_000}, "NOT_POSSIBLE"),
        ("subscription { breaks }", None, "SERVER"),
        ("query { " + "a: __typename " * 21 + "}", None, "GRAPHQL_VALIDATION_FAILED"),
        ("{" * 30 + "}" * 30, None, "GRAPHQL_PARSE_FAILED"),
        ("{ " + " ".join(f"a{n}: __typename" for n in range(21)) + " }", None, "TOO_COMPLEX"),
        ("subscription ($x: [Int!]) { ticks @include(if: true) }", {"x": [1] * 9000}, "GRAPHQL_VALIDATION_FAILED"),
    ],
)
def test_answers_a_bad_operation_under_its_id_and_leaves_the_others(
    counting: Hub, query: str, variables: Any, code: str
) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("good", TICKS)
        client.subscribe("bad", query, variables)
        [refused] = client.hear_of("bad")
        assert refused["type"] == "error"
        codes = {error["extensions"]["code"] for error in refused["payload"]}
        assert codes <= {code, "TOO_COMPLEX"}
        assert "secret" not in str(refused)
        then = [client.hear() for _ in range(3)]
        assert {(message["id"], message["type"]) for message in then} == {("good", "next")}


def test_says_when_a_subscription_fails_on_its_way(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("1", "subscription { fails }")
        first, last = client.hear_of("1")
        assert (first["type"], last["type"]) == ("next", "error")
        assert last["payload"][0]["extensions"]["code"] == "NOT_POSSIBLE"
        client.send("complete", id="1")  # too late, and no harm
        client.send("ping")
        assert client.hear() == {"type": "pong"}


def test_ends_what_the_client_wants_no_more(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("1", TICKS)
        assert client.hear()["id"] == "1"
        client.send("complete", id="1")
        client.send("complete", id="unknown")
        client.send("ping")
        while (message := client.hear())["type"] != "pong":
            assert message["id"] == "1"
        client.subscribe("1", "subscription { count(after: 100, to: 102) }")
        assert [m.get("payload", {}).get("data") for m in client.hear_of("1")] == [{"count": 101}, {"count": 102}, None]


def test_ends_what_has_not_begun(counting: Hub) -> None:
    with talk(counting) as client:
        client.init()
        client.subscribe("1", "subscription { waits }")
        client.send("complete", id="1")
        client.subscribe("1", TO_THREE)
        assert len(client.hear_of("1")) == 4


def test_forgets_everything_of_a_socket_that_is_gone(world: World) -> None:
    counter = Counter()
    with serve(world.dsn, api={"schema": COUNTING, "source": counter}) as hub:
        for cut in (False, True):
            with talk(hub) as client:
                client.init()
                client.subscribe("1", TICKS)
                client.subscribe("2", "subscription { waits }")
                assert client.hear()["id"] == "1"
                if cut:
                    client.socket.socket.shutdown(socket.SHUT_RDWR)
            hub.until(lambda: all(each.task.done() for each in counter.running))
            hub.until(lambda: "ochub_sockets 0.0" in hub.client.get("/metrics").text)
        assert "ochub_subscriptions 0.0" in hub.client.get("/metrics").text


# ---------------------------------------------------------------- without a socket


def test_refuses_subscriptions_over_plain_http(counting: Hub) -> None:
    response: httpx.Response = counting.post(TO_THREE)
    assert response.status_code == 406
    [error] = response.json()["errors"]
    assert error["extensions"]["code"] == "BAD_REQUEST"
    assert "text/event-stream" in error["message"]


def test_has_defaults_that_a_client_library_can_live_with() -> None:
    settings = Settings()
    assert settings.messages_per_s * settings.budget_burst_s >= 2 * settings.max_subscriptions_per_socket
