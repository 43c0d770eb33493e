"""A hub that serves on a real socket, in a thread of its own, and what it said to its database meanwhile."""

import asyncio
import socket
import threading
import time
from asyncio import new_event_loop
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import asyncpg
import httpx
import msgspec
import pytest
import uvicorn

from app.db.cluster import Cluster
from app.db.engine import Database
from app.formats.irve.static import IrveStatic
from app.ingest.registers import import_register
from app.settings import Settings
from tests.databases import cloning, make_template, only_one_process, url_of
from tests.length import sampled
from tests.world import World, make_world

T = TypeVar("T")

JSON = {"Content-Type": "application/json"}

#: Tests ask a lot; budgets have tests of their own.
UNLIMITED = dict.fromkeys(
    (
        *("partner_requests_per_s", "partner_cost_per_s", "anonymous_requests_per_s", "anonymous_cost_per_s"),
        "database_cost_per_s",  # what a slow machine takes would be charged
    ),
    0.0,
)

#: Tables of the default world.
UNWRITTEN = (
    *("partner", "partner_role", "contract", "audit_log", "operator", "refusal"),
    *("location", "evse", "parking_spot", "evse_parking_spot", "upload_list"),
)

#: What surrounds a read of private tables.
IDENTIFYING = (
    "select set_config('hub.partner', $1, true), set_config('hub.administrator', $2, true), "
    "set_config('hub.role', $3, true), "
    "case when current_setting('synchronous_commit') = 'off' then set_config('synchronous_commit', 'local', true) end"
)
AROUND_PRIVATE = ("BEGIN READ ONLY;", IDENTIFYING, "COMMIT;")
AUTHENTICATING = "select * from authenticate($1)"

#: The default world as a template, and what is noted of it: the callers' secrets and the partners' ids.
FILLED = "ochub_world"
NOTED = tuple[dict[str, str], dict[str, UUID]]

#: What is known of France, and the template that holds it.
FRENCH_REGISTER, FRANCE = "irve/irve-static-fr.csv.gz", "ochub_france"
IMPORTED_AT = datetime(2026, 9, 1, tzinfo=UTC)

#: How the driver learns about types that it meets for the first time on a connection.
LEARNING_TYPES = ("current_setting('jit')", "typeinfo_tree", "set_config('jit'")


class Hub:
    """A running hub with one database connection of each kind, so that every statement is seen, in order."""

    def __init__(
        self,
        url: str,
        database: Database,
        loop: asyncio.AbstractEventLoop,
        client: httpx.Client,
        server: uvicorn.Server,
    ) -> None:
        self.url = url
        self.database = database
        self.loop = loop
        self.client = client
        self.server = server
        self.statements: list[str] = []
        self.listeners: dict[str, Callable[[Any], None]] = {}

    def __repr__(self) -> str:
        return f"the hub at {self.url}"

    def post(
        self, query: str, variables: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> httpx.Response:
        """Send a request as JSON over HTTP."""
        asked = {"query": query, **({} if variables is None else {"variables": variables}), **more}
        return self.client.post("/graphql", json=asked, headers=headers)

    def ask(
        self, query: str, variables: Any = None, headers: dict[str, str] | None = None, **more: Any
    ) -> dict[str, Any]:
        """Send a request that must succeed; return `data`."""
        answer = self.post(query, variables, headers, **more).json()
        assert "errors" not in answer, answer["errors"]
        return answer["data"]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something where the hub runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def cut(self) -> None:
        """Cut every connection, as a broken line would."""

        async def work() -> None:
            for connection in list(self.server.server_state.connections):
                connection.transport.abort()

        self.run(work())

    @contextmanager
    def occupied(self, pool: asyncpg.Pool) -> Iterator[None]:
        """Hold the one connection of a pool during the block."""

        async def take() -> Any:
            return await pool.acquire()

        connection = self.run(take())
        try:
            yield
        finally:
            self.run(pool.release(connection))

    def until(self, condition: Callable[[], bool], patience_s: float = 30) -> None:
        """Wait for what must happen sooner or later."""
        ends = time.monotonic() + patience_s
        while not condition():
            assert time.monotonic() < ends, "it never happened"
            time.sleep(0.01)

    @contextmanager
    def recording(self) -> Iterator[list[str]]:
        """Yield a list that holds, after the block, the statements that were sent inside it."""
        self.run(_listen(self))  # again: the driver has a new connection where the old one had nothing to do for long
        self.statements.clear()
        seen: list[str] = []
        yield seen
        self.run(asyncio.sleep(0))  # the driver reports a statement in the loop's next iteration
        seen += [statement for statement in self.statements if _is_ours(statement)]


def _is_ours(statement: str) -> bool:
    return statement != AUTHENTICATING and not any(mark in statement for mark in LEARNING_TYPES)


@contextmanager
def serve(
    dsn: str, profile: str = "PRODUCTION", api: Mapping[str, Any] | None = None, port: int = 0, **settings: Any
) -> Iterator[Hub]:
    """Serve the database at `dsn` until the end of the block; `api`: another schema and what feeds it."""
    # Not at the top: tests of single rooms load this file too, and need not the whole hub.
    from app.http.uvicorn_limits import Server, cut_off_silent_peers, server_config
    from app.main import Profile, create_app

    told = Settings(**{"pool_size": 1, **UNLIMITED, **settings})
    app = create_app(dsn, told, Profile(profile), **({} if api is None else api))
    listener = socket.create_server(("127.0.0.1", port), backlog=2048)
    # As production's uvloop does; asyncio leaves it out for such a listener, and each answer then waits 40 ms.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    cut_off_silent_peers(listener, told)
    config = server_config(app, told, log_level="error")
    server = Server(config, app.stop)
    loop = new_event_loop()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve([listener]),), daemon=True)
    thread.start()
    try:
        _wait(server, thread)
        with httpx.Client(base_url=url, timeout=30) as client:
            hub = Hub(url, app.state.database, loop, client, server)
            hub.run(_listen(hub))
            yield hub
    finally:
        server.should_exit = True
        thread.join(30)
        loop.close()


def _wait(server: uvicorn.Server, thread: threading.Thread) -> None:
    while not server.started:
        thread.join(0.01)
        assert thread.is_alive(), "the hub did not start"


async def _listen(hub: Hub) -> None:
    """Record every statement of a request, with a mark unless it runs on the ordinary connection."""
    pools = {name: pool for name, pool in hub.database.pools.items() if name != "sessions"}
    for name in pools.keys() - hub.listeners.keys():
        note = "" if name == "reads" else f"-- on a connection of the pool `{name}`\n"
        hub.listeners[name] = lambda record, note=note: hub.statements.append(note + record.query)
    for name, pool in pools.items():
        async with pool.acquire() as connection:
            connection.add_query_logger(hub.listeners[name])
    await asyncio.sleep(0)


@contextmanager
def heartbeat(hub: Hub) -> Iterator[list[float]]:
    """Beat every millisecond where the hub runs; gives a list that has, afterwards, the longest pause in seconds.

    In the time of that thread, which counts what the hub itself does, not what other processes do meanwhile.
    """
    stop = threading.Event()

    async def beat() -> float:
        longest, last = 0.0, time.thread_time()
        while not stop.is_set():
            await asyncio.sleep(0.001)
            now = time.thread_time()
            longest, last = max(longest, now - last), now
        return longest

    beating = asyncio.run_coroutine_threadsafe(beat(), hub.loop)
    found: list[float] = []
    try:
        yield found
    finally:
        stop.set()
        found.append(beating.result(30))


@contextmanager
def scratch_database(server_dsn: str, template: str, name: str) -> Iterator[str]:
    """Make a database for longer than one test; gives its DSN."""
    _administer(server_dsn, cloning(name, template))
    try:
        yield url_of(server_dsn, name)
    finally:
        _administer(server_dsn, f"drop database {name} with (force)")


@contextmanager
def locked(dsn: str, table: str) -> Iterator[None]:
    """Hold a table, as a migration would."""
    with closing(new_event_loop()) as loop:
        connection = loop.run_until_complete(asyncpg.connect(dsn))
        try:
            loop.run_until_complete(connection.execute(f"begin; lock table {table} in access exclusive mode"))
            yield
        finally:
            loop.run_until_complete(connection.close())


def _administer(dsn: str, statement: str) -> None:
    async def work() -> None:
        connection = await asyncpg.connect(dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    with closing(new_event_loop()) as loop:
        loop.run_until_complete(work())


# ---------------------------------------------------------------- fixtures, shared by the whole run


@pytest.fixture(scope="session")
def filled(cluster: Cluster, template: str) -> World:
    """The default world as a template, made once per run; no test can connect to it."""
    note = cluster.home / "world.json"

    async def fill(dsn: str) -> None:
        world = await make_world(dsn)
        note.write_bytes(msgspec.json.encode((world.secrets, world.partner_ids)))

    with only_one_process(cluster), closing(new_event_loop()) as loop:
        loop.run_until_complete(make_template(cluster.dsn, FILLED, fill, template))
    return World(url_of(cluster.dsn, FILLED), *msgspec.json.decode(note.read_bytes(), type=NOTED))


@pytest.fixture(scope="session")
def world(cluster: Cluster, filled: World) -> Iterator[World]:
    """The default world in a database of its own. No test may write to it: tests run in any order."""
    with scratch_database(cluster.dsn, FILLED, f"world_{uuid4().hex}") as dsn, closing(new_event_loop()) as loop:
        made = loop.run_until_complete(_content(dsn))
        yield World(dsn, filled.secrets, filled.partner_ids)
        left = loop.run_until_complete(_content(dsn))
        written = {table for table, content in left.items() if content != made[table]}
        assert not written, f"tests wrote to these tables of the default world: {written}"


@pytest.fixture(scope="module")
def own_world(cluster: Cluster, filled: World) -> Iterator[World]:
    """The default world in a database of the test file's own, which may be written to."""
    with scratch_database(cluster.dsn, FILLED, f"own_world_{uuid4().hex}") as dsn:
        yield World(dsn, filled.secrets, filled.partner_ids)


@pytest.fixture(scope="session")
def french_register(cluster: Cluster, template: str, real_data: Callable[[str], Path]) -> str:
    """The name of a template into which the French register was imported once per run: a sample, or all of it."""

    async def fill(dsn: str) -> None:
        database = await Database.open(dsn, Settings())
        try:
            register = IrveStatic(sampled(real_data(FRENCH_REGISTER), cluster.home), IMPORTED_AT)
            await import_register(database, register, IMPORTED_AT)
        finally:
            await database.close()

    with only_one_process(cluster), closing(new_event_loop()) as loop:
        loop.run_until_complete(make_template(cluster.dsn, FRANCE, fill, template))
    return FRANCE


async def _content(dsn: str) -> dict[str, str]:
    """Digest the tables of which a hub does not write by itself."""
    connection = await asyncpg.connect(dsn)
    digest = "select md5(string_agg(row::text, ' ' order by row::text)) from {} as row"
    try:
        return {table: await connection.fetchval(digest.format(table)) for table in UNWRITTEN}
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def hub(world: World) -> Iterator[Hub]:
    """The hub of the default world."""
    with serve(world.dsn) as hub:
        yield hub
