"""Work ends when its client leaves, in the hub and in the database, on every transport.

The database itself is asked: a lock keeps the statement of a request waiting until it is cancelled.
"""

import asyncio
import json
import socket
import time
from asyncio import new_event_loop
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from graphql.execution.values import VariableValues

from app.db.cluster import Cluster
from app.db.engine import Database
from app.http import disconnects
from app.http.disconnects import SCOPE_KEY, Client, ClientLeft, WhileConnected
from app.live.stream.sink import Sink
from app.read import frequencies
from schema.documents import Operation
from schema.root_fields import Context
from tests.hub import Hub, locked, scratch_database, serve
from tests.wire.counter import COUNTING, Counter, Counting
from tests.wire.raw import HANDSHAKE, connection, frame
from tests.world import World, make_world

ONE = '{ evse(evseId: "DE*SON*E1") { evseId } }'
QUERIES = {
    "compiled": ONE,
    "executed": f"{{ __schema {{ queryType {{ name }} }} {ONE[1:]}",
    "several": f"{{ __schema {{ queryType {{ name }} }} other: {ONE[1:-1]} {ONE[1:]}",
}
REMOVAL = 'mutation { removeChargePoints(evseIds: ["DE*SON*E999"]) { accepted } }'
SUBSCRIPTION = "subscription { waits }"
#: Not by the event that they wait for: a statement that looks for deadlocks waits for none in that moment. What the hub
#: does by itself meanwhile waits for other things.
AT_WORK = """
select count(*) from pg_stat_activity
where datname = current_database() and application_name = 'ochub' and state = 'active'
and (query = 'select pg_sleep(60)' or exists (
    select from pg_locks
    where pg_locks.pid = pg_stat_activity.pid and relation = 'evse'::regclass and not granted
))
"""
#: Work ends within a second of the client leaving; a busy machine is waited for.
ENDS_WITHIN_S = 10.0
LOOKED_AT = "evse"
OPERATION = "removeChargePoints"


class Slow(Counter):
    """A source whose subscriptions begin with a slow statement."""

    async def subscribe(
        self, context: Context, operation: Operation, variables: VariableValues, sink: Sink
    ) -> Counting:
        await context.database.fetch("select pg_sleep(60)")
        raise AssertionError("it was not cancelled")


#: Statements wait longer than the tests.
TIMEOUTS: dict[str, Any] = {"read_timeout_s": 60, "write_timeout_s": 60, "profile": "DEVELOPMENT"}
PATIENT: dict[str, Any] = {**TIMEOUTS, "api": {"schema": COUNTING, "source": Slow()}}


@pytest.fixture(scope="module")
def written(cluster: Cluster, template: str) -> Iterator[World]:
    """A world that may be changed."""
    with scratch_database(cluster.dsn, template, f"written_{uuid4().hex}") as dsn, closing(new_event_loop()) as loop:
        yield loop.run_until_complete(make_world(dsn))


@pytest.fixture(scope="module")
def patient(world: World) -> Iterator[Hub]:
    with serve(world.dsn, **PATIENT) as hub:
        for query in QUERIES.values():
            hub.ask(query)
        yield hub


class Watcher:
    """Reads from the database how many statements of the hub wait for a lock."""

    def __init__(self, dsn: str) -> None:
        self.loop = asyncio.new_event_loop()
        self.connection = self.loop.run_until_complete(asyncpg.connect(dsn))

    def close(self) -> None:
        self.loop.run_until_complete(self.connection.close())
        self.loop.close()

    def until(self, count: int, patience_s: float) -> bool:
        """Wait until so many wait. Return whether that happened."""
        until = time.monotonic() + patience_s
        while self.loop.run_until_complete(self.connection.fetchval(AT_WORK)) != count:
            if time.monotonic() > until:
                return False
        return True


@contextmanager
def waiting(hub: Hub, world: World, ask: Callable[[socket.socket], None]) -> Iterator[tuple[socket.socket, Watcher]]:
    """Send a request, and go on when the database works on it."""
    with (
        closing(Watcher(world.dsn)) as watcher,
        connection(hub) as plug,
        locked(world.dsn, LOOKED_AT),
    ):
        ask(plug)
        assert watcher.until(1, 30), "the database never began"
        yield plug, watcher


def post(body: bytes, key: str = "", accept: str = "application/json") -> bytes:
    head = f"POST /graphql HTTP/1.1\r\nHost: hub\r\nContent-Type: application/json\r\nAccept: {accept}\r\n{key}"
    return head.encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body


def by_http(query: str, **more: Any) -> Callable[[socket.socket], None]:
    return lambda plug: plug.sendall(post(json.dumps({"query": query}).encode(), **more))


def on_socket(query: str, authorization: str | None = None) -> Callable[[socket.socket], None]:
    def ask(plug: socket.socket) -> None:
        payload = {} if authorization is None else {"payload": {"authorization": authorization}}
        plug.sendall(HANDSHAKE)
        assert plug.recv(12) == b"HTTP/1.1 101"
        plug.sendall(frame({"type": "connection_init", **payload}))
        plug.sendall(frame({"type": "subscribe", "id": "1", "payload": {"query": query}}))

    return ask


def ahead(query: str) -> Callable[[socket.socket], None]:
    """Send a request, and more requests before its response."""
    return lambda plug: plug.sendall(2 * post(json.dumps({"query": query}).encode()) + post(b"x" * 200_000)[:150_000])


WAYS = {
    **{f"http, {name}": by_http(query) for name, query in QUERIES.items()},
    "http, more sent ahead": ahead(ONE),
    "events, a query": by_http(ONE, accept="text/event-stream"),
    "events, a subscription": by_http(SUBSCRIPTION, accept="text/event-stream"),
    "socket, a query": on_socket(ONE),
    "socket, a subscription": on_socket(SUBSCRIPTION),
}


@pytest.mark.parametrize("way", WAYS)
def test_ends_what_a_client_asked_that_left(patient: Hub, world: World, way: str) -> None:
    with waiting(patient, world, WAYS[way]) as (plug, watcher):
        plug.close()
        assert watcher.until(0, ENDS_WITHIN_S)
        patient.until(lambda: patient.run(in_use(patient)) == 0)
    patient.ask(ONE)


@pytest.mark.parametrize("way", ["events", "socket"])
def test_ends_the_reading_of_initial_pages(world: World, way: str) -> None:
    query = "subscription { changes(initial: true) { hasMore changes { id } } }"
    ask = on_socket(query) if way == "socket" else by_http(query, accept="text/event-stream")
    with serve(world.dsn, **TIMEOUTS) as hub, waiting(hub, world, ask) as (plug, watcher):
        plug.close()
        assert watcher.until(0, ENDS_WITHIN_S)


async def in_use(hub: Hub) -> int:
    """Return how many reading connections of the hub are in use."""
    return sum(pool.get_size() - pool.get_idle_size() for pool in (hub.database.reads, hub.database.planned))


def test_ends_a_query_on_a_socket_that_the_client_completes(patient: Hub, world: World) -> None:
    with waiting(patient, world, on_socket(ONE)) as (plug, watcher):
        plug.sendall(frame({"type": "complete", "id": "1"}))
        assert watcher.until(0, ENDS_WITHIN_S)


@pytest.mark.parametrize("way", ["http, compiled", "events, a subscription"])
def test_would_work_on_without_the_connection_s_word(world: World, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """The broken twin: connections that cancel nothing."""
    monkeypatch.setattr(disconnects.Client, "leave", lambda _: None)
    with (
        serve(world.dsn, **PATIENT) as hub,
        waiting(hub, world, WAYS[way]) as (plug, watcher),
    ):
        plug.close()
        assert not watcher.until(0, 1.0)


@pytest.mark.parametrize("way", ["http", "socket"])
def test_lets_a_mutation_run_to_its_end(written: World, way: str) -> None:
    key = written.authorization("sonnenstrom")["Authorization"]
    asks = {"http": by_http(REMOVAL, key=f"Authorization: {key}\r\n"), "socket": on_socket(REMOVAL, key)}
    with serve(written.dsn, **PATIENT) as hub:
        with waiting(hub, written, asks[way]) as (plug, watcher):
            plug.close()
            hub.until(lambda: not hub.run(_open_connections(hub)))
            assert watcher.until(1, 0), "it is at work"
        hub.until(lambda: hub.run(_idle(hub)))
    assert asyncio.run(refused(written.dsn)) == ["DE*SON*E999"] * (1 if way == "http" else 2)


async def refused(dsn: str) -> list[str]:
    """Return the ids whose removal was refused: the trace that the mutation leaves."""
    database = await asyncpg.connect(dsn)
    try:
        return [row[0] for row in await database.fetch("select item_id from refusal where operation = $1", OPERATION)]
    finally:
        await database.close()


async def _open_connections(hub: Hub) -> int:
    return len(hub.server.server_state.connections)


async def _idle(hub: Hub) -> bool:
    writes = hub.database.writes
    return writes.get_size() == writes.get_idle_size()


# ---------------------------------------------------------------- the block itself


async def test_raises_for_a_client_that_left() -> None:
    client = Client()
    asyncio.get_running_loop().call_soon(client.leave)
    with pytest.raises(ClientLeft), WhileConnected({SCOPE_KEY: client}):
        await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
    with pytest.raises(ClientLeft), WhileConnected({SCOPE_KEY: client}):
        raise AssertionError("it is not begun")


async def test_cancels_nothing_after_the_block() -> None:
    client = Client()
    with WhileConnected({SCOPE_KEY: client}):
        await asyncio.sleep(0)
    client.leave()
    await asyncio.sleep(0)


async def test_leaves_a_cancellation_by_another_alone() -> None:
    client = Client()

    async def work() -> None:
        with WhileConnected({SCOPE_KEY: client}):
            await asyncio.Event().wait()

    for leaves in (False, True):
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        if leaves:
            client.leave()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_reads_frequencies_again_after_a_request_that_was_cancelled(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(_: Database) -> None:
        await asyncio.Event().wait()

    read = frequencies.read_frequencies
    monkeypatch.setattr(frequencies, "read_frequencies", never)
    task = asyncio.create_task(frequencies._frequencies(database))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    seen: list[Database] = []

    async def noting(database: Database) -> frequencies.Frequencies | None:
        seen.append(database)
        return await read(database)

    monkeypatch.setattr(frequencies, "read_frequencies", noting)
    await frequencies._frequencies(database)
    assert seen == [database]
