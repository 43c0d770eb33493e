"""Connections and bodies, byte by byte: whatever a client leaves unfinished has an end, and a code."""

import json
import select
import socket
import time
import zlib
from collections.abc import Iterator

import pytest

from app.http.uvicorn_limits import MAXIMUM_HEAD_BYTES, MAXIMUM_WAITING
from tests.hub import JSON, Hub, locked, serve
from tests.schema.graphql_values import CORE, whole_selection
from tests.schema.test_endpoint import HELLO, code_of
from tests.world import World

SOON_S = 0.3
GENEROUS_S = 30
EVSE = CORE.type_map["Evse"]


@pytest.fixture(scope="module")
def hasty(world: World) -> Iterator[Hub]:
    """A hub with short timeouts."""
    with serve(world.dsn, body_timeout_s=SOON_S, read_timeout_s=4 * SOON_S) as hub:
        yield hub


def connect(hub: Hub) -> socket.socket:
    host, port = hub.url.removeprefix("http://").split(":")
    return socket.create_connection((host, int(port)), GENEROUS_S)


def is_answered(connection: socket.socket) -> bool:
    return bool(select.select([connection], [], [], 0)[0])


def answer(connection: socket.socket) -> bytes:
    """Return one response, or the part of it that comes before the hub closes the connection."""
    received = b""
    while b"\r\n\r\n" not in received or not received.endswith(b"}"):
        part = connection.recv(65536)
        if not part:
            break
        received += part
    return received


def rest_of(connection: socket.socket) -> bytes:
    """Return what comes until the hub closes the connection."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass  # the hub had closed it already when the last bytes arrived there
    return received


def dribble(connection: socket.socket, part: bytes) -> bytes:
    """Send the same again and again; give what comes until the hub closes the connection."""
    until = time.monotonic() + GENEROUS_S
    received = b""
    try:
        while time.monotonic() < until:
            connection.sendall(part)
            if select.select([connection], [], [], SOON_S / 10)[0]:
                got = connection.recv(65536)
                if not got:
                    return received
                received += got
    except (ConnectionResetError, BrokenPipeError):
        return received
    raise AssertionError("the hub waits for ever")


def refusal_in(received: bytes) -> tuple[int, str]:
    """Return status and code of the one answer received."""
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)["errors"][0]["extensions"]["code"]


# ---------------------------------------------------------------- heads

HEAD = b"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\n"
ASKED = json.dumps({"query": HELLO}).encode()
WHOLE = HEAD + b"Content-Length: %d\r\n\r\n" % len(ASKED) + ASKED


def test_refuses_what_is_no_http_with_a_code(hub: Hub) -> None:
    for nonsense in (b"\x16\x03\x01\x02\x00\x01\x00", b"hello\r\n\r\n", HEAD + b"Content-Length: -5\r\n\r\n"):
        with connect(hub) as connection:
            connection.sendall(nonsense)
            assert refusal_in(rest_of(connection)) == (400, "BAD_REQUEST")


def test_refuses_a_request_that_says_its_length_in_two_ways(hub: Hub) -> None:
    with connect(hub) as connection:
        connection.sendall(HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
        assert refusal_in(rest_of(connection)) == (400, "BAD_REQUEST")


@pytest.mark.parametrize("part", [b"a" * 10_000, b"a: b\r\n" * 2_000], ids=["one long header", "many headers"])
def test_refuses_a_head_that_never_ends(hub: Hub, part: bytes) -> None:
    with connect(hub) as connection:
        connection.sendall(HEAD + b"X-Long: ")
        assert refusal_in(dribble(connection, part)) == (431, "BAD_REQUEST")


@pytest.mark.parametrize("name", [b"X-Long: ", b"a: b\r\n" * 20_000 + b"X-Long: "], ids=["one long", "many"])
def test_refuses_a_head_that_is_too_long(hub: Hub, name: bytes) -> None:
    with connect(hub) as connection:
        connection.sendall(HEAD + name + b"a" * MAXIMUM_HEAD_BYTES + b"\r\n\r\n")
        assert refusal_in(rest_of(connection)) == (431, "BAD_REQUEST")


def test_takes_a_long_head(hub: Hub) -> None:
    long = HEAD + b"X-Long: " + b"a" * (MAXIMUM_HEAD_BYTES - 1_000) + b"\r\nConnection: close\r\n"
    with connect(hub) as connection:
        connection.sendall(long + WHOLE.removeprefix(HEAD))
        assert rest_of(connection).endswith(b'{"data":{"__typename":"Query"}}')


def test_counts_each_head_of_a_connection_anew(hub: Hub) -> None:
    with connect(hub) as connection:
        for _ in range(30):
            for part in (HEAD, b"X-Long: " + b"a" * 4_000 + b"\r\n", WHOLE.removeprefix(HEAD)):
                connection.sendall(part)
            assert answer(connection).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first", "later"])
def test_waits_for_a_head_only_so_long(hasty: Hub, before: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(before + HEAD)
        if before:
            assert answer(connection).startswith(b"HTTP/1.1 200 ")
        assert refusal_in(dribble(connection, b"X: a\r\n")) == (408, "BAD_REQUEST")


def test_closes_a_connection_that_says_nothing(hasty: Hub) -> None:
    with connect(hasty) as connection:
        assert rest_of(connection) == b""


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first", "later"])
def test_closes_a_connection_that_says_nothing_but_line_ends(hasty: Hub, before: bytes) -> None:
    with connect(hasty) as connection:
        connection.sendall(before)
        dribble(connection, b"\r\n")


def test_cuts_off_nobody_who_waits_for_an_answer(hasty: Hub, world: World) -> None:
    asked = json.dumps({"query": '{ evse(evseId: "DE*SON*E1") { evseId } }'}).encode()
    with locked(world.dsn, "evse"), connect(hasty) as connection:
        connection.sendall(HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(asked) + asked)
        assert b'"TIMEOUT"' in rest_of(connection)


def test_answers_requests_that_are_sent_ahead_in_their_order(hub: Hub) -> None:
    queries = [f"{{ a{number}: __typename }}" for number in range(20)]
    bodies = [json.dumps({"query": query}).encode() for query in queries]
    requests = [HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body for body in bodies]
    requests[-1] = requests[-1].replace(b"Host: hub", b"Host: hub\r\nConnection: close")
    with connect(hub) as connection:
        connection.sendall(b"".join(requests))
        answers = rest_of(connection)
    places = [answers.index(b'{"data":{"a%d":' % number) for number in range(20)]
    assert places == sorted(places)


def test_refuses_to_queue_requests_without_end(hub: Hub) -> None:
    with connect(hub) as connection:
        connection.sendall(b"GET /nothing HTTP/1.1\r\nHost: hub\r\n\r\n" * (2 * MAXIMUM_WAITING))
        received = rest_of(connection)
    assert f"more than {MAXIMUM_WAITING} requests wait".encode() in received
    assert received.count(b"HTTP/1.1 404 ") <= MAXIMUM_WAITING


def test_holds_no_answers_for_who_does_not_take_them(world: World) -> None:
    several = "{" + " ".join(f"a{number}: evses {{ nodes {whole_selection(EVSE, 2)} }}" for number in range(10)) + "}"
    asked = json.dumps({"query": several}).encode()
    with serve(world.dsn, send_timeout_s=SOON_S) as hub, connect(hub) as connection:
        connection.sendall((HEAD + b"Content-Length: %d\r\n\r\n" % len(asked) + asked) * 40)
        until = time.monotonic() + GENEROUS_S
        while time.monotonic() < until and not is_cut(connection):
            time.sleep(SOON_S / 10)
        assert is_cut(connection)


def is_cut(connection: socket.socket) -> bool:
    """Return whether the hub has closed the connection, without taking any of what it sent."""
    try:
        connection.sendall(b"\r\n")
    except (ConnectionResetError, BrokenPipeError):
        return True
    return False


# ---------------------------------------------------------------- bodies


def talk(hub: Hub, *parts: bytes) -> bytes:
    """Send raw bytes in pieces; give what comes back until the connection is closed or an answer is complete."""
    with connect(hub) as connection:
        for part in parts:
            if is_answered(connection):
                break
            connection.sendall(part)
        return answer(connection)


def test_takes_a_body_in_chunks_without_a_length(hub: Hub) -> None:
    chunks = b"".join(b"1\r\n" + bytes([byte]) + b"\r\n" for byte in ASKED)
    received = talk(hub, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunks + b"0\r\n\r\n")
    assert received.startswith(b"HTTP/1.1 200 ")
    assert received.endswith(b'{"data":{"__typename":"Query"}}')


def test_refuses_a_body_without_a_length_that_grows_too_large(hub: Hub) -> None:
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    received = talk(hub, HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk] * 4)
    assert received.startswith(b"HTTP/1.1 413 ")
    assert b'"BAD_REQUEST"' in received


def test_waits_for_a_slow_body_only_so_long(hasty: Hub) -> None:
    with connect(hasty) as connection:
        connection.sendall(HEAD + b"Content-Length: 100000\r\n\r\n")
        received = dribble(connection, b" ")
    assert refusal_in(received) == (408, "BAD_REQUEST")
    assert b"connection: close" in received
    assert b"did not arrive within 0.3 s" in received
    assert talk(hasty, WHOLE).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PUT /graphql HTTP/1.1\r\nHost: hub\r\nContent-Length: 100000\r\n\r\n", 405),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", 413),
        (HEAD + b"Accept: text/html\r\nTransfer-Encoding: chunked\r\n\r\n" + b"FFFFF\r\n", 406),
        (HEAD + b"Authorization: x\r\nContent-Length: 1000\r\n\r\n", 401),
    ],
    ids=["405", "413", "406", "401"],
)
def test_listens_only_so_long_to_who_is_refused(hasty: Hub, head: bytes, status: int) -> None:
    with connect(hasty) as connection:
        connection.sendall(head)
        assert refusal_in(dribble(connection, b"a"))[0] == status


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "gzip, identity", "nonsense", ""])
def test_takes_no_compressed_body(hub: Hub, encoding: str) -> None:
    headers = {**JSON, "Content-Encoding": encoding}
    response = hub.client.post("/graphql", headers=headers, content=zlib.compress(ASKED))
    assert (response.status_code, code_of(response)) == (415, "BAD_REQUEST")


def test_takes_a_body_that_says_it_is_not_compressed(hub: Hub) -> None:
    headers = {**JSON, "Content-Encoding": "Identity"}
    assert hub.client.post("/graphql", headers=headers, content=ASKED).status_code == 200


@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", '"latin1"', "utf-8x"])
def test_takes_no_other_charset(hub: Hub, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    response = hub.client.post("/graphql", headers=headers, content=ASKED)
    assert (response.status_code, code_of(response)) == (415, "BAD_REQUEST")


@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_takes_utf_8_by_every_spelling(hub: Hub, charset: str) -> None:
    headers = {"Content-Type": f"application/json; charset={charset}"}
    assert hub.client.post("/graphql", headers=headers, content=ASKED).status_code == 200
