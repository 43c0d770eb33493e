"""An endpoint stands on app.http alone: key, budget, limits and statuses without GraphQL."""

import asyncio
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import orjson
import pytest
from starlette.types import Receive, Scope, Send

from app.auth import Keys, new_secret
from app.budget import Budgets
from app.db.engine import Database
from app.errors import BadInput, Forbidden, NotFound
from app.http.admission import Admission, Admitted
from app.http.answers import Answer
from app.http.route import Route
from app.http.uvicorn_limits import Server, server_config
from app.settings import Settings
from tests.hub import UNLIMITED
from tests.world import World

BYTES = {"Content-Type": "application/octet-stream"}
CAUSES = {b"forbidden": Forbidden, b"absent": NotFound, b"unreadable": BadInput}
WITHIN_S = 0.2


class Application:
    """A server of one endpoint: bytes in, JSON out."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        self.dsn, self.settings = dsn, settings
        self.route: Route | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.live(receive, send)
        else:
            assert self.route is not None
            await self.route(scope, receive, send)

    async def live(self, receive: Receive, send: Send) -> None:
        await receive()
        self.database = await Database.open(self.dsn, self.settings)
        admission = Admission(Keys(self.database, 1), Budgets(self.settings), self.settings)
        self.route = Route(admission, self.answer, body_type="application/octet-stream", timeout_s=WITHIN_S)
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.database.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def answer(self, scope: Scope, admitted: Admitted) -> Answer:
        match admitted.body:
            case b"slow":
                await self.database.fetch("select pg_sleep(60)")
            case b"broken":
                raise ZeroDivisionError("a secret of the insides")
            case cause if cause in CAUSES:
                raise CAUSES[cause]("not so")
            case _:
                pass
        caller = admitted.caller
        shown = {"bytes": len(admitted.body), "caller": caller and caller.partner_name, "padding": "x" * 5_000}
        return Answer(orjson.dumps(shown))


@contextmanager
def endpoint(dsn: str, **settings: Any) -> Iterator[httpx.Client]:
    """Serve the endpoint on a real socket."""
    told = Settings(**{"pool_size": 1, **UNLIMITED, **settings})
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    server = Server(server_config(Application(dsn, told), told, log_level="error"), lambda: None)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve([listener]),), daemon=True)
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)
        loop.close()


@pytest.fixture(scope="module")
def client(world: World) -> Iterator[httpx.Client]:
    with endpoint(world.dsn, body_timeout_s=WITHIN_S) as client:
        yield client


def test_answers_bytes_with_json(client: httpx.Client, world: World) -> None:
    stranger = client.post("/", content=b"12345", headers=BYTES)
    assert stranger.status_code == 200
    assert (stranger.json()["bytes"], stranger.json()["caller"]) == (5, None)
    assert (stranger.headers["content-encoding"], stranger.headers["x-content-type-options"]) == ("gzip", "nosniff")
    caller = client.post("/", content=b"", headers=BYTES | world.authorization("wegweiser"))
    assert caller.json()["caller"] == "Wegweiser"


@pytest.mark.parametrize(
    ("content", "headers", "status", "code"),
    [
        (b"x", {"Content-Type": "text/plain"}, 415, "BAD_REQUEST"),
        (b"x", BYTES | {"Content-Encoding": "gzip"}, 415, "BAD_REQUEST"),
        (b"x", BYTES | {"Authorization": "Bearer nonsense"}, 401, "UNAUTHENTICATED"),
        (b"x", BYTES | {"Authorization": f"Bearer {new_secret()}"}, 401, "UNAUTHENTICATED"),
        (b"x" * 256_001, BYTES, 413, "BAD_REQUEST"),
        (b"slow", BYTES, 503, "TIMEOUT"),
        (b"broken", BYTES, 500, "SERVER"),
        (b"forbidden", BYTES, 403, "FORBIDDEN"),
        (b"absent", BYTES, 404, "NOT_FOUND"),
        (b"unreadable", BYTES, 400, "BAD_INPUT"),
    ],
)
def test_refuses_with_a_status_and_a_code(
    client: httpx.Client, content: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    response = client.post("/", content=content, headers=headers)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert "insides" not in response.text


def test_names_the_methods_that_are_possible(client: httpx.Client) -> None:
    response = client.get("/")
    assert (response.status_code, response.headers["allow"]) == (405, "POST")


def test_accepts_a_larger_body_with_a_key(client: httpx.Client, world: World) -> None:
    headers = BYTES | world.authorization("nordlicht")
    assert client.post("/", content=b"x" * 256_001, headers=headers).json()["bytes"] == 256_001


def test_refuses_a_body_that_does_not_arrive(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port or 0), 30) as connection:
        head = b"POST / HTTP/1.1\r\nHost: hub\r\nContent-Type: application/octet-stream\r\nContent-Length: 10\r\n\r\n"
        connection.sendall(head + b"part")
        assert connection.recv(12) == b"HTTP/1.1 408"


def test_answers_again_after_a_slow_one(client: httpx.Client) -> None:
    """The one connection of the pool is free: its statement was cancelled."""
    assert client.post("/", content=b"slow", headers=BYTES).status_code == 503
    assert (
        client.post("/", content=b"x", headers=BYTES | {"Authorization": f"Bearer {new_secret()}"}).status_code == 401
    )


def test_charges_the_budget(world: World) -> None:
    with endpoint(world.dsn, anonymous_requests_per_s=0.1, budget_burst_s=20.0) as client:
        statuses = [client.post("/", content=b"x", headers=BYTES).status_code for _ in range(4)]
        refused = client.post("/", content=b"x", headers=BYTES)
        assert (statuses[0], refused.status_code, refused.json()["code"]) == (200, 429, "RATE_LIMITED")
        assert int(refused.headers["retry-after"]) >= 1
        assert client.post("/", content=b"x", headers=BYTES | world.authorization("wegweiser")).status_code == 200


@pytest.mark.process
def test_needs_no_graphql() -> None:
    modules = "app.http.route, app.http.open_streams, app.http.send_queue, app.http.uvicorn_limits"
    script = (
        f"import sys, {modules}; print([each for each in ('graphql', 'strawberry', 'schema') if each in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "[]"
