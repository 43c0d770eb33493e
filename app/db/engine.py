"""The hub's connections, all as the runtime role, which owns nothing: two pools that only read, two that write.

A prepared statement is planned once for all its arguments, or again for each call. The planner's own guess which is
better goes wrong both ways (the nearest EVSEs 70 times slower, boxes 500 times), so each search states its choice.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from asyncpg import DeadlockDetectedError, InternalServerError, SerializationError

from app.db.lending import Connection, Lender, Loan
from app.errors import HubError
from app.settings import Settings

T = TypeVar("T")
WRITE_ATTEMPTS = 4

#: How long a write waits for what it must not disturb, and how long between two looks.
PATIENCE_S = 60.0
LOOK_AGAIN_S = 0.05

#: How long one who reads, or writes, waits for a connection: twice as long as a reading statement may take, and as long
#: as a writing one.
READS_WAIT_S = 10.0
WRITES_WAIT_S = 30.0

#: How much longer than a statement may take the server is waited for.
ANSWERS_WITHIN_S = 1.0

#: PostGIS takes a place for nearer than its index said, by the last bit: at exactly 0 degrees and at the antimeridian,
#: which is -180 and 180. The same statement finds and then sorts, where it may not walk the index in order.
WRONG_ORDER = "index returned tuples in wrong order"
#: What the statements have that may walk an index in this order.
BY_DISTANCE = "<->"


class Busy(HubError):
    """Another upload of the same party takes longer than a minute."""

    code = "BUSY"


class Later(Exception):
    """Another transaction must end first. Nothing was written; the work is repeated when it has ended."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection for several short transactions. What it locks for the session is free again at its end."""

    database: "Database"
    connection: Connection
    partner: UUID | None
    role: int | None = None

    async def write(self, work: Callable[[Connection], Awaitable[T]]) -> T:
        """Run `work` in one short transaction, as `Database.write` does."""
        attempt = 1
        while True:
            try:
                async with self.connection.transaction():
                    await identify(self.connection, self.partner, administrator=False, role=self.role)
                    result = await work(self.connection)
                self.database.committed()
                return result
            except (SerializationError, DeadlockDetectedError):
                if attempt == WRITE_ATTEMPTS:
                    raise
                attempt += 1


class Reading:
    """Several reading statements of one snapshot; read like `Database`."""

    __slots__ = ("_connection", "database")

    def __init__(self, connection: Connection, database: "Database") -> None:
        self._connection = connection
        self.database = database

    async def fetch(self, sql: str, *args: Any, planned: bool = False) -> list[asyncpg.Record]:
        """Run one reading statement in the transaction, as `Database.fetch`."""
        if BY_DISTANCE not in sql:
            return await self._fetch(sql, args, planned)
        try:
            async with self._connection.transaction():  # a savepoint, to which a failure goes back
                return await self._fetch(sql, args, planned)
        except InternalServerError as error:
            if WRONG_ORDER not in str(error):
                raise
        await self._connection.execute("set local enable_indexscan = off")
        rows = await self._fetch(sql, args, planned=True)
        await self._connection.execute("set local enable_indexscan = on")
        return rows

    async def _fetch(self, sql: str, args: Sequence[Any], planned: bool) -> list[asyncpg.Record]:
        if not planned:
            return await self._connection.fetch(sql, *args)
        await self._connection.execute("set local plan_cache_mode = force_custom_plan")
        rows = await self._connection.fetch(sql, *args)
        # Not after a failure: the transaction is over, and a second error would hide the first one.
        await self._connection.execute("set local plan_cache_mode = force_generic_plan")
        return rows

    async def fetch_private(
        self, partner: UUID | None, administrator: bool, sql: str, *args: Any, role: int | None = None
    ) -> list[asyncpg.Record]:
        """Run one reading statement on private tables, as `Database.fetch_private`."""
        await identify(self._connection, partner, administrator, role)
        return await self._connection.fetch(sql, *args)


class Database:
    """Read sets, write in short transactions."""

    def __init__(
        self,
        reads: asyncpg.Pool,
        planned: asyncpg.Pool,
        writes: asyncpg.Pool,
        sessions: asyncpg.Pool,
        most_each: int,
    ) -> None:
        self.reads = reads
        self.planned = planned
        self.writes = writes
        self.sessions = sessions
        self._reads = Lender(reads, READS_WAIT_S, most_each)
        self._planned = Lender(planned, READS_WAIT_S, most_each)
        self._writes = Lender(writes, WRITES_WAIT_S, most_each)
        self._sessions = Lender(sessions, PATIENCE_S, most_each)
        #: Called after each transaction that was committed.
        self.committed: Callable[[], None] = _nothing

    @classmethod
    async def open(cls, dsn: str, settings: Settings) -> "Database":
        """Open the pools; connections are made as they are needed."""
        return cls(
            await _pool(dsn, settings, reads_only=True, plans="force_generic_plan"),
            await _pool(dsn, settings, reads_only=True, plans="force_custom_plan"),
            await _pool(dsn, settings, reads_only=False, plans="auto"),
            await _pool(dsn, settings, reads_only=False, plans="force_custom_plan"),
            max(1, round(settings.pool_size * settings.caller_share)),
        )

    @property
    def pools(self) -> Mapping[str, asyncpg.Pool]:
        """The pools by name."""
        return {"reads": self.reads, "planned": self.planned, "writes": self.writes, "sessions": self.sessions}

    @property
    def database(self) -> "Database":
        """Return itself: a `Reading` has one too."""
        return self

    async def close(self) -> None:
        """Close the pools once their connections are released."""
        for pool in self.pools.values():
            await pool.close()

    def terminate(self) -> None:
        """Close the pools at once."""
        for pool in self.pools.values():
            pool.terminate()

    async def fetch(self, sql: str, *args: Any, planned: bool = False) -> list[asyncpg.Record]:
        """Run one reading statement on its own, with its one plan for all arguments or `planned` for these.

        Raises: Overloaded, TookTooLong.
        """
        async with Loan(self._planned if planned else self._reads) as connection:
            try:
                return await connection.fetch(sql, *args)
            except InternalServerError as error:
                if WRONG_ORDER not in str(error):
                    raise
        async with Loan(self._planned) as connection, connection.transaction(readonly=True):
            await connection.execute("set local enable_indexscan = off")
            return await connection.fetch(sql, *args)

    @asynccontextmanager
    async def reading(self) -> AsyncGenerator[Reading]:
        """Open a transaction in which every statement reads the same snapshot. Raises: Overloaded, TookTooLong."""
        async with (
            Loan(self._reads) as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            yield Reading(connection, self)

    async def fetch_private(
        self, partner: UUID | None, administrator: bool, sql: str, *args: Any, role: int | None = None
    ) -> list[asyncpg.Record]:
        """Run one reading statement on private tables, with the caller known to row-level security.

        Raises: Overloaded, TookTooLong.
        """
        async with Loan(self._reads) as connection, connection.transaction(readonly=True):
            await identify(connection, partner, administrator, role)
            return await connection.fetch(sql, *args)

    async def write(
        self,
        work: Callable[[Connection], Awaitable[T]],
        partner: UUID | None = None,
        administrator: bool = False,
        role: int | None = None,
    ) -> T:
        """Run `work` in one short transaction; it is run again when it lost a race, so it must have no other effects.

        Raises: what `work` raises; the driver's error after three retries; Busy; Overloaded; TookTooLong.
        """
        attempt, until = 1, time.monotonic() + PATIENCE_S
        while True:
            try:
                async with Loan(self._writes) as connection, connection.transaction():
                    await identify(connection, partner, administrator, role)
                    result = await work(connection)
                self.committed()
                return result
            except (SerializationError, DeadlockDetectedError):
                if attempt == WRITE_ATTEMPTS:
                    raise
                attempt += 1
            except Later as reason:
                await look_again(until, reason)

    @asynccontextmanager
    async def session(self, partner: UUID | None = None, role: int | None = None) -> AsyncGenerator[Session]:
        """Lend a connection for several transactions; never two to one caller, or callers deadlock.

        From a pool of its own: long work must not delay short writes. Raises: Overloaded, TookTooLong.
        """
        async with Loan(self._sessions) as connection:
            yield Session(self, connection, partner, role)


def _nothing() -> None:
    pass


#: What runs reading statements: each in a snapshot of its own, or all in one.
Reader = Database | Reading


async def look_again(until: float, reason: Later) -> None:
    """Wait a moment, without a connection, or give up. Raises: Busy."""
    if time.monotonic() > until:
        raise Busy(str(reason), "try again in a minute") from reason
    await asyncio.sleep(LOOK_AGAIN_S)


async def connect(dsn: str, settings: Settings, name: str, **server_settings: str) -> asyncpg.Connection:
    """Open one connection as the runtime role, for long use. Nothing on it waits longer than 10 s.

    `name` is how the server's own views call it.
    """
    connection: asyncpg.Connection = await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=10,
        server_settings={"role": settings.runtime_role, "application_name": name, "jit": "off", **server_settings},
    )
    return connection


async def identify(connection: Connection, partner: UUID | None, administrator: bool, role: int | None = None) -> None:
    """Set the caller for row-level security until the transaction ends: its partner and its role, by their ids.

    The commit waits for the disk: a number of a transaction that a crash loses is used again, and cursors hold numbers.
    """
    await connection.fetchval(
        "select set_config('hub.partner', $1, true), set_config('hub.administrator', $2, true), "
        "set_config('hub.role', $3, true), "
        "case when current_setting('synchronous_commit') = 'off'"
        " then set_config('synchronous_commit', 'local', true) end",
        str(partner) if partner else "",
        "on" if administrator else "",
        "" if role is None else str(role),
    )


async def _pool(dsn: str, settings: Settings, *, reads_only: bool, plans: str) -> asyncpg.Pool:
    timeout_s = settings.read_timeout_s if reads_only else settings.write_timeout_s
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=settings.pool_size,
        # A server that hangs keeps to no timeout of its own.
        command_timeout=timeout_s + ANSWERS_WITHIN_S,
        init=_prepare_connection,
        # A read leaves nothing behind, so nothing needs resetting: that saves a round trip per request.
        reset=_no_reset if reads_only else None,
        server_settings={
            "role": settings.runtime_role,
            "application_name": "ochub",
            "timezone": "UTC",
            "jit": "off",
            "plan_cache_mode": plans,
            "statement_timeout": str(int(timeout_s * 1000)),
            "idle_in_transaction_session_timeout": "10000",
            "default_transaction_read_only": "on" if reads_only else "off",
        },
    )


async def _prepare_connection(connection: Connection | asyncpg.Connection) -> None:
    for name in ("json", "jsonb"):
        await connection.set_type_codec(
            name, schema="pg_catalog", encoder=_dump_json, decoder=orjson.loads, format="text"
        )


def _dump_json(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()


async def _no_reset(connection: Connection | asyncpg.Connection) -> None:
    pass
