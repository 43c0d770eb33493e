"""The keeper: what one process of all does for everybody.

Whoever holds the advisory lock of the database is it; the others ask for the lock once a second, and it goes with the
holder's connection. For moments there may be two: all that a keeper does may be done twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import structlog

from app import metrics
from app.db.engine import Connection, Database, connect
from app.live.bus import Bus
from app.live.cursor import Position
from app.settings import Settings

LOCK = 0x0C4C
#: How often others ask for the lock, and a keeper that lost its connection tries again.
RETRY_S = 1.0
#: A keeper that is silent for so long has hung: the server ends its session, and another takes over.
SILENCE_S = 10
MARKS_EVERY_S = 10
CLEARING_EVERY_S = 3600
#: After a failure, such as a lock that was not given in time.
CLEARING_AGAIN_S = 60
#: Longer than any transaction of ours: contracts that it made may have come into force before it ended.
SIGHT_OVERLAP = timedelta(minutes=5)

MAKE = "select make_partition($1::text::regclass, $2, $3)"
DROP = "select drop_partition($1::text::regclass, $2, now() - make_interval(days => $3))"

Duty = Callable[[Database, datetime], Awaitable[Any]]

log = structlog.get_logger("ochub.keeper")


async def keep(dsn: str, settings: Settings, bus: Bus, duties: Sequence[Duty] = ()) -> None:
    """Be the keeper whenever no other process is. Ends only when it is cancelled.

    `duties` are done once a second, besides the keeper's own.
    """
    while True:
        try:
            await _keep_once(dsn, settings, bus, duties)
        except* Exception as group:  # whatever it is: without a keeper nothing is told any more
            log.warning("the keeper was interrupted", error=_words(group))
        await asyncio.sleep(RETRY_S)


async def _keep_once(dsn: str, settings: Settings, bus: Bus, duties: Sequence[Duty]) -> None:
    """Wait for the lock, then do all duties until the connection that holds it fails."""
    connection = await connect(dsn, settings, "ochub keeper", idle_session_timeout=str(SILENCE_S * 1000))
    try:
        await _win(connection)
        log.info("this process is the keeper now")
        metrics.KEEPER.set(1)
        async with _opened(dsn, settings) as database, asyncio.TaskGroup() as tasks:
            await _take_over(database)
            tasks.create_task(relay(connection, bus, settings.relay_interval_s))
            tasks.create_task(_do_duties(database, (*duties, *_own_duties(settings))))
    finally:
        metrics.KEEPER.set(0)
        connection.terminate()


async def _win(connection: asyncpg.Connection) -> None:
    """Return once this connection holds the lock. Asked for again and again: to wait for it would look like a hang."""
    while True:
        if await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return
        await asyncio.sleep(RETRY_S)


async def relay(connection: asyncpg.Connection, bus: Bus, interval_s: float) -> None:
    """Look again and again whether the log has new complete rows, and wake its readers when it has."""
    horizon, last = 0, None
    while True:
        before, horizon = horizon, await connection.fetchval("select log_horizon()")
        if horizon != before:
            row = await connection.fetchrow(
                "select transaction, id from change where transaction < $1 order by transaction desc, id desc limit 1",
                horizon,
            )
            if row is not None and row != last:
                last = row
                await bus.wake(Position(*row))
        await asyncio.sleep(interval_s)


async def _do_duties(database: Database, duties: Sequence[Duty]) -> None:
    """Do each duty once a second; one that fails is told of, and done again the next time."""
    while True:
        for duty in duties:
            try:
                await duty(database, datetime.now(UTC))
            except Exception as error:
                log.warning("a duty failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(1)


async def _take_over(database: Database) -> None:
    """Look at what nobody may have looked after, or what a restore has left."""

    async def work(connection: Connection) -> None:
        await connection.execute("select renew_log()")
        await connection.execute("select refresh_sights(null)")

    await database.write(work)


def _own_duties(settings: Settings) -> tuple[Duty, ...]:
    async def clear(database: Database, _now: datetime) -> None:
        await clear_log(database, settings)

    return _refresh_sights, _Every(MARKS_EVERY_S, mark), _Every(CLEARING_EVERY_S, clear, CLEARING_AGAIN_S)


class _Every:
    """A duty that is done less often than once a second: again after so long, or sooner when it failed."""

    def __init__(self, seconds: float, duty: Duty, after_failure_s: float = 1) -> None:
        self._seconds, self._duty, self._after_failure_s = seconds, duty, after_failure_s
        self._next: datetime | None = None

    async def __call__(self, database: Database, now: datetime) -> None:
        if self._next is not None and now < self._next:
            return
        self._next = now + timedelta(seconds=self._after_failure_s)
        await self._duty(database, now)
        self._next = now + timedelta(seconds=self._seconds)


async def _refresh_sights(database: Database, now: datetime) -> None:
    """Contracts come into force, and cease, by the clock."""
    await _write(database, "select refresh_sights($1)", now - SIGHT_OVERLAP)


async def mark(database: Database, _now: datetime) -> None:
    """Note how far the log is complete now: for who asks for changes since an instant."""
    await _write(database, "insert into log_mark values (clock_timestamp(), log_horizon())")


async def clear_log(database: Database, settings: Settings) -> None:
    """Make partitions ahead, drop those that are old, each in a transaction of its own: their locks are short.

    Raises: the driver's error when a lock was not given in time; then it is to be called again.
    """
    for table, days, ahead, kept in (
        ("change", 1, 3, max(1, settings.change_days)),
        ("status_history", 7, 1, max(1, settings.status_history_days)),
    ):
        for number in range(ahead + 1):
            await _write(database, "select make_partition($1::text::regclass, $2, $3)", table, days, number)
        while await _write(
            database,
            "select drop_partition($1::text::regclass, $2, now() - make_interval(days => $3))",
            table,
            days,
            kept,
        ):
            pass
    await _write(database, "delete from log_mark where transaction < (select floor from log_state)")


async def _write(database: Database, sql: str, *args: Any) -> Any:
    async def work(connection: Connection) -> Any:
        return await connection.fetchval(sql, *args)

    return await database.write(work)


@asynccontextmanager
async def _opened(dsn: str, settings: Settings) -> AsyncGenerator[Database]:
    """Give the keeper connections of its own: its work is not in the way of requests, nor they of it."""
    database = await Database.open(dsn, replace(settings, pool_size=1))
    try:
        yield database
    finally:
        database.terminate()


def _words(group: BaseExceptionGroup[Any]) -> str:
    return "; ".join(f"{type(error).__name__}: {error}" for error in group.exceptions)
