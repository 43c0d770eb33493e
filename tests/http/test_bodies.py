"""Bodies are refused before they are read where that can be known, and those in memory are bounded together."""

import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest
from uvicorn.config import Config

from app.db.lending import Overloaded
from app.http.bodies import UNCOUNTED_BYTES, BodyMemory
from app.http.origins import Origins
from app.main import Hub as Application
from schema.route import GraphQLRoute
from tests.hub import JSON, Hub, serve
from tests.wire.raw import connection
from tests.world import World

HELLO = b'{"query": "{ __typename }"}'
LARGEST, MOST = 400_000, 1_000_000


@pytest.fixture(scope="module")
def bounded(world: World) -> Iterator[Hub]:
    with serve(world.dsn, max_body_bytes=LARGEST, max_bodies_bytes=MOST) as hub:
        yield hub


def free(hub: Hub) -> int:
    config: Config = hub.server.config
    assert isinstance(config.app, Application)
    assert isinstance(config.app.graphql, Origins)
    assert isinstance(config.app.graphql.app, GraphQLRoute)
    return config.app.graphql.app.admission.memory.free


@contextmanager
def begun(
    hub: Hub, key: dict[str, str], size: int, length: bool = True
) -> Iterator[tuple[socket.socket, Callable[[], int]]]:
    """Send half of a body; the second one of the pair sends the rest, and returns the status of the answer."""
    body = HELLO + b" " * (size - len(HELLO))
    halves = body[: size // 2], body[size // 2 :]
    headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": "hub", **JSON, **key}.items())
    head = f"POST /graphql HTTP/1.1\r\n{headers}"
    with connection(hub) as plug:
        if length:
            plug.sendall(head.encode() + b"Content-Length: %d\r\n\r\n" % size + halves[0])
        else:
            plug.sendall(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(halves[0]))

        def finish() -> int:
            plug.sendall(halves[1] if length else chunk(halves[1]) + b"0\r\n\r\n")
            return status(plug)

        yield plug, finish


def chunk(part: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(part), part)


def status(plug: socket.socket) -> int:
    return int(plug.recv(65_536).split()[1])


def test_refuses_a_body_of_a_role_that_uploads_nothing_before_it_is_there(bounded: Hub, world: World) -> None:
    with begun(bounded, world.authorization("wegweiser"), LARGEST) as (plug, _):
        assert status(plug) == 413
    with begun(bounded, world.authorization("sonnenstrom"), LARGEST) as (_, finish):
        assert finish() == 200


@pytest.mark.parametrize("length", [True, False], ids=["with its length", "in chunks"])
def test_bounds_what_a_caller_holds(bounded: Hub, world: World, length: bool) -> None:
    key = world.authorization("sonnenstrom")
    with begun(bounded, key, LARGEST, length) as (_, finish):
        bounded.until(lambda: free(bounded) < MOST - LARGEST / 3)
        with begun(bounded, key, LARGEST) as (plug, _):
            assert status(plug) == 503
        with begun(bounded, key, UNCOUNTED_BYTES) as (_, finish_small):
            assert finish_small() == 200
        assert finish() == 200
    bounded.until(lambda: free(bounded) == MOST)


def test_bounds_what_all_callers_hold(bounded: Hub, world: World) -> None:
    keys = [world.authorization(name) for name in ("sonnenstrom", "parkraum", "mobilstrom")]
    with ExitStack() as stack:
        for number, key in enumerate(keys[:2], 1):
            stack.enter_context(begun(bounded, key, LARGEST))
            bounded.until(lambda number=number: free(bounded) == MOST - number * LARGEST)
        with begun(bounded, keys[2], LARGEST) as (plug, _):
            assert status(plug) == 503
    bounded.until(lambda: free(bounded) == MOST)  # their connections are closed
    with begun(bounded, keys[2], LARGEST) as (_, finish):
        assert finish() == 200


def test_always_takes_one_body() -> None:
    memory = BodyMemory(10, largest=100)
    memory.take("one", 100)
    with pytest.raises(Overloaded):
        memory.take("other", 1)
