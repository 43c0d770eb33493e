"""Databases for tests: clones of a template, made ahead of their use and dropped after it by a thread."""

import asyncio
import fcntl
import queue
import shutil
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import asyncpg

from app.db.cluster import DATABASE, Cluster

#: Where clusters are made: in memory where there is room, for cloning a database takes half the time there. Not in
#: pytest's own temporary directory: that one is private, and a server started by root could not reach it.
_MEMORY, _ROOM_BYTES = Path("/dev/shm"), 4 << 30
_HAS_ROOM = _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free > _ROOM_BYTES
CLUSTERS = _MEMORY if _HAS_ROOM else Path("/tmp")

#: Unused clones per process. Each takes 17 MB, and 30 to 60 ms of a core.
AHEAD = 2


class Databases:
    """A bounded queue of unused clones of a template, filled by a thread of its own."""

    def __init__(self, server_dsn: str, template: str) -> None:
        self._server_dsn = server_dsn
        self._template = template
        self._unused: queue.Queue[str | BaseException] = queue.Queue(AHEAD)
        self._used: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="databases", daemon=True)
        self._stopped = False

    def __repr__(self) -> str:
        return "the databases"

    @contextmanager
    def one(self) -> Iterator[str]:
        """Yield the DSN of an unused clone, which is dropped some time after the block."""
        name = self._unused.get()
        if isinstance(name, BaseException):
            self._unused.put(name)  # the thread has ended, and later tests fail at once for the same reason
            raise name
        try:
            yield url_of(self._server_dsn, name)
        finally:
            self._used.put(name)

    def __enter__(self) -> "Databases":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped = True
        while self._thread.is_alive():
            if not self._unused.empty():
                self._unused.get()
            self._thread.join(0.01)

    def _run(self) -> None:
        try:
            asyncio.run(self._make_ahead())
        except BaseException as error:
            self._unused.put(error)

    async def _make_ahead(self) -> None:
        connection = await asyncpg.connect(self._server_dsn)
        try:
            while not self._stopped:
                name = f"test_{uuid4().hex}"
                await connection.execute(cloning(name, self._template))
                self._unused.put(name)
                while not self._used.empty():
                    await connection.execute(f"drop database {self._used.get()} with (force)")
        finally:
            await connection.close()


@contextmanager
def only_one_process(cluster: Cluster) -> Iterator[None]:
    """Admit parallel workers to the block one after the other."""
    with (cluster.home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def cloning(name: str, template: str) -> str:
    """Return the statement that makes a clone; copying files takes two thirds of logging their pages."""
    return f"create database {name} template {template} strategy file_copy"


async def make_template(
    server_dsn: str, name: str, fill: Callable[[str], Awaitable[None]], origin: str = "template1"
) -> None:
    """Make a database to clone, filled by a function of its DSN, unless it is there."""
    connection = await asyncpg.connect(server_dsn)
    try:
        if await connection.fetchval("select 1 from pg_database where datname = $1", name):
            return
        unfinished = f"{name}_unfinished"
        await connection.execute(f"drop database if exists {unfinished}")
        await connection.execute(cloning(unfinished, origin))
        await fill(url_of(server_dsn, unfinished))
        await connection.execute(f"alter database {unfinished} allow_connections false")
        await connection.execute(f"alter database {unfinished} rename to {name}")
    finally:
        await connection.close()


def url_of(server_dsn: str, name: str) -> str:
    """Return the DSN of another database of the server."""
    return server_dsn.replace(f"/{DATABASE}?", f"/{name}?")
