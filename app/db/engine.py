"""The hub's connections: one pool that only reads, one that writes, both as the runtime role, which owns nothing."""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar
from uuid import UUID

import asyncpg
import orjson
from asyncpg import DeadlockDetectedError, SerializationError

from app.errors import HubError
from app.settings import Settings

T = TypeVar("T")
Connection = asyncpg.pool.PoolConnectionProxy
WRITE_ATTEMPTS = 4


class StatementTimeout(HubError):
    """A statement took longer than it may."""

    code = "TIMEOUT"


class Database:
    """Read sets, write in short transactions."""

    def __init__(self, reads: asyncpg.Pool, writes: asyncpg.Pool) -> None:
        self.reads = reads
        self.writes = writes

    @classmethod
    async def open(cls, dsn: str, settings: Settings) -> "Database":
        """Open both pools; connections are made as they are needed."""
        return cls(
            await _pool(dsn, settings, settings.read_timeout_s, reads_only=True),
            await _pool(dsn, settings, settings.write_timeout_s, reads_only=False),
        )

    async def close(self) -> None:
        await self.reads.close()
        await self.writes.close()

    async def fetch(self, sql: str, *args: Any) -> list[asyncpg.Record]:
        """Run one reading statement on its own."""
        async with self.reads.acquire() as connection:
            return await connection.fetch(sql, *args)

    async def fetch_private(
        self, partner: UUID | None, administrator: bool, sql: str, *args: Any
    ) -> list[asyncpg.Record]:
        """Run one reading statement on private tables: row-level security sees who is asking."""
        async with self.reads.acquire() as connection, connection.transaction(readonly=True):
            await identify(connection, partner, administrator)
            return await connection.fetch(sql, *args)

    async def write(
        self,
        work: Callable[[Connection], Awaitable[T]],
        partner: UUID | None = None,
        administrator: bool = False,
    ) -> T:
        """Run `work` in one short transaction; it is run again when it lost a race, so it must have no other effects.

        Raises: what `work` raises; the driver's error after three retries.
        """
        attempt = 1
        while True:
            try:
                async with self.writes.acquire() as connection, connection.transaction():
                    await identify(connection, partner, administrator)
                    return await work(connection)
            except (SerializationError, DeadlockDetectedError):
                if attempt == WRITE_ATTEMPTS:
                    raise
                attempt += 1


async def identify(connection: Connection, partner: UUID | None, administrator: bool) -> None:
    """Tell row-level security, for this transaction, who is asking."""
    await connection.fetchval(
        "select set_config('hub.partner', $1, true), set_config('hub.administrator', $2, true)",
        str(partner) if partner else "",
        "on" if administrator else "",
    )


async def _pool(dsn: str, settings: Settings, timeout_s: float, reads_only: bool) -> asyncpg.Pool:
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=settings.pool_size,
        init=_prepare_connection,
        # A read leaves nothing behind, so nothing needs resetting: that saves a round trip per request.
        reset=_no_reset if reads_only else None,
        server_settings={
            "role": settings.runtime_role,
            "application_name": "ochub",
            "timezone": "UTC",
            "jit": "off",
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
