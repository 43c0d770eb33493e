"""What counts as a header: nothing behind the head, and no second word about what is said once."""

import json
from collections.abc import Iterator

import pytest

from tests.hub import Hub, serve
from tests.wire.raw import connection
from tests.world import World

ASK = json.dumps({"query": "{ me { partner { name } } }"}).encode()
HEAD = b"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nConnection: close\r\n"


@pytest.fixture
def hub(world: World) -> Iterator[Hub]:
    with serve(world.dsn) as hub:
        yield hub


def answer(hub: Hub, request: bytes) -> tuple[int, str]:
    """Send bytes as they are; return the status and the body."""
    with connection(hub) as plug:
        plug.sendall(request)
        received = b"".join(iter(lambda: plug.recv(65_536), b""))
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()


def chunked(trailers: bytes, headers: bytes = b"") -> bytes:
    body = b"%x\r\n%s\r\n0\r\n" % (len(ASK), ASK)
    return HEAD + headers + b"Transfer-Encoding: chunked\r\n\r\n" + body + trailers + b"\r\n"


def whole(headers: bytes) -> bytes:
    return HEAD + headers + b"Content-Length: %d\r\n\r\n" % len(ASK) + ASK


def authorization(world: World, name: str = "wegweiser") -> bytes:
    return f"Authorization: {world.authorization(name)['Authorization']}\r\n".encode()


def test_takes_a_key_from_the_head_only(hub: Hub, world: World) -> None:
    key = authorization(world)
    assert "Wegweiser" in answer(hub, chunked(b"", key))[1]
    stranger = answer(hub, chunked(b""))
    assert answer(hub, chunked(key)) == stranger, "a trailer counts as a header"
    wrong = b"Authorization: Bearer wrong\r\n"
    assert "Wegweiser" in answer(hub, chunked(wrong, key))[1], "a trailer wins over a header"


@pytest.mark.parametrize(
    "twice",
    [
        "Authorization: Bearer a",
        "Host: hub",
        "Content-Type: application/json",
        "Origin: https://example.com",
    ],
)
def test_refuses_what_is_said_twice(hub: Hub, twice: str) -> None:
    line = f"{twice}\r\n".encode()
    status, body = answer(hub, whole(line + line))
    assert (status, json.loads(body)["errors"][0]["extensions"]["code"]) == (400, "BAD_REQUEST")


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 3\r\nContent-Length: 4\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    ],
)
def test_refuses_two_lengths(hub: Hub, headers: bytes) -> None:
    assert answer(hub, HEAD + headers + b"\r\n" + b"3\r\nabc\r\n0\r\n\r\n")[0] == 400
