"""Wake-up: a process announces its commits, and the readers of all processes look at once, not a second later.

It wakes, it never carries truth: readers look once a second besides, so that losing the bus costs that second and no
change. LISTEN/NOTIFY of the database by default; NATS where OCHUB_NATS_URL is set.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncpg
import structlog

from app.db.engine import connect
from app.settings import Settings

CHANNEL = "ochub_log"
SUBJECT = "ochub.log"
RETRY_S = 1.0
#: A connection that was silent for so long is checked.
SILENCE_S = 10.0
#: Commits of one process are announced together: notifying transactions queue for one lock of the server.
ANNOUNCED_EVERY_S = 0.02

log = structlog.get_logger("ochub.bus")


class Bus(ABC):
    """A way to wake the log's readers in all processes. One reader per process waits."""

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._committed = asyncio.Event()
        #: Whether wake-ups of other processes arrive here.
        self.connected = False

    @staticmethod
    @asynccontextmanager
    async def open(dsn: str, settings: Settings) -> "AsyncGenerator[Bus]":
        """Connect, in the background and again whenever the connection is lost, until the end of the block."""
        bus = NatsBus(settings.nats_url) if settings.nats_url else PostgresBus(dsn, settings)
        tasks = [asyncio.create_task(bus.stay_connected()), asyncio.create_task(bus.keep_announcing())]
        try:
            yield bus
        finally:
            for task in tasks:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    async def wait(self, timeout_s: float) -> bool:
        """Return once the readers were woken since the last wait, or after so long; return whether they were."""
        woken = await _is_set(self._woken, timeout_s)
        if woken:
            self._woken.clear()
        return woken

    def announce(self) -> None:
        """Wake the readers of all processes: this one committed a transaction. It may get lost."""
        self.hear()
        self._committed.set()

    async def keep_announcing(self) -> None:
        """Announce commits to other processes, those of a moment together. Ends when it is cancelled."""
        while True:
            await self._committed.wait()
            self._committed.clear()
            with suppress(Exception):  # the driver's own faults too: without this task no process is woken again
                await self._send()
            await asyncio.sleep(ANNOUNCED_EVERY_S)

    def hear(self) -> None:
        """Wake the reader of this process."""
        self._woken.set()

    def _begin(self) -> None:
        """Mark the bus as connected, and wake the reader once for what happened before."""
        self.connected = True
        self.hear()

    async def stay_connected(self) -> None:
        """Listen; when the connection is lost connect again, for as long as it takes. Ends when it is cancelled."""
        while True:
            try:
                await self._listen()
            except Exception as error:
                # Whatever it was: without the bus everything goes on, a second later.
                log.warning("the bus is away", error=f"{type(error).__name__}: {error}")
            self.connected = False
            self.hear()
            await asyncio.sleep(RETRY_S)

    @abstractmethod
    async def _listen(self) -> None:
        """Connect, and hear until the connection ends."""

    @abstractmethod
    async def _send(self) -> None:
        """Wake the other processes, if there is a connection."""


async def _is_set(event: asyncio.Event, within_s: float) -> bool:
    """Wait for an event for so long; return whether it came."""
    try:
        async with asyncio.timeout(within_s):
            return await event.wait()
    except TimeoutError:
        return False


class PostgresBus(Bus):
    """LISTEN and NOTIFY on a connection that does nothing else."""

    def __init__(self, dsn: str, settings: Settings) -> None:
        super().__init__()
        self._dsn, self._settings = dsn, settings
        self._connection: asyncpg.Connection | None = None
        #: A connection says one thing at a time.
        self._speaking = asyncio.Lock()

    async def _listen(self) -> None:
        connection = await connect(self._dsn, self._settings, "ochub bus")
        ended = asyncio.Event()
        connection.add_termination_listener(lambda _: ended.set())
        try:
            await connection.add_listener(CHANNEL, self._hear_notification)
            self._connection = connection
            self._begin()
            while not await _is_set(ended, SILENCE_S):
                async with self._speaking:
                    await connection.fetchval("select 1")
            raise ConnectionError("the database ended the connection")
        finally:
            self._connection = None
            connection.terminate()

    def _hear_notification(self, connection: Any, sender: int, *_: object) -> None:
        if sender != connection.get_server_pid():
            self.hear()

    async def _send(self) -> None:
        async with self._speaking:
            if self._connection is not None:
                await self._connection.execute("select pg_notify($1, '')", CHANNEL)


class NatsBus(Bus):
    """One subject of a NATS server: for many processes, none of which should hold a database connection for it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self._url = url
        self._client: Any = None

    async def _listen(self) -> None:
        import nats  # only where it is used: loading it takes as long as the rest of this room

        ended = asyncio.Event()

        async def hear(_: Any) -> None:
            self.hear()

        async def end() -> None:
            ended.set()

        client: Any = await nats.connect(  # pyright: ignore[reportUnknownMemberType]
            self._url,
            allow_reconnect=False,
            connect_timeout=5,
            no_echo=True,
            ping_interval=int(SILENCE_S),
            closed_cb=end,
        )
        try:
            await client.subscribe(SUBJECT, cb=hear)
            await client.flush()
            self._client = client
            self._begin()
            await ended.wait()
            raise ConnectionError("the NATS server ended the connection")
        finally:
            self._client = None
            with suppress(Exception):
                await client.close()

    async def _send(self) -> None:
        if self._client is not None:
            with suppress(Exception):
                await self._client.publish(SUBJECT, b"")
                await self._client.flush(timeout=1)
