"""The leader: the process that does what is done once for all of them.

The holder of the database's advisory lock is the leader; the others ask for the lock once a second, and it goes with
the holder's connection. For moments there may be two: every duty may be done twice.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import asyncpg
import structlog

from app import metrics
from app.db.engine import Connection, Database, connect
from app.live.log.wake_up import Bus
from app.settings import Settings

LOCK: Final = 0x0C4C
#: How often other processes ask for the lock, and a leader that lost its connection tries again.
RETRY_S: Final = 1.0
#: A leader that is silent for so long has hung: the server ends its session, and another process takes over.
SILENCE_S: Final = 10
MARKS_EVERY_S: Final = 5
CLEARING_EVERY_S: Final = 3600
#: After a failure, such as a lock that was not granted in time.
CLEARING_AGAIN_S: Final = 60
#: Longer than any transaction of ours: contracts that it wrote may have begun before it ended.
SCOPE_OVERLAP: Final = timedelta(minutes=5)

Duty = Callable[[Database, datetime], Awaitable[Any]]

log = structlog.get_logger("ochub.leader")


async def lead(dsn: str, settings: Settings, bus: Bus, duties: Sequence[Duty] = ()) -> None:
    """Be the leader whenever no other process is. Ends only when it is cancelled.

    `duties` are done once a second, besides the leader's own.
    """
    while True:
        try:
            await _lead_once(dsn, settings, bus, duties)
        except* Exception as group:  # whatever it is: without a leader nothing that expires is published
            log.warning("the leader was interrupted", error=_words(group))
        await asyncio.sleep(RETRY_S)


async def _lead_once(dsn: str, settings: Settings, bus: Bus, duties: Sequence[Duty]) -> None:
    """Wait for the lock, then do all duties until the connection that holds it fails."""
    connection = await connect(dsn, settings, "ochub leader", idle_session_timeout=str(SILENCE_S * 1000))
    try:
        await _win(connection)
        log.info("this process is the leader now")
        metrics.LEADER.set(1)
        async with _opened(dsn, settings) as database, asyncio.TaskGroup() as tasks:
            database.committed = bus.announce
            await take_over(database)
            tasks.create_task(_hold(connection))
            tasks.create_task(_do_duties(database, (*duties, *_own_duties(settings))))
    finally:
        metrics.LEADER.set(0)
        connection.terminate()


async def _win(connection: asyncpg.Connection) -> None:
    """Return once this connection holds the lock. Asked for again and again: to wait for it would look like a hang."""
    while True:
        if await connection.fetchval("select pg_try_advisory_lock($1)", LOCK):
            return
        await asyncio.sleep(RETRY_S)


async def _hold(connection: asyncpg.Connection) -> None:
    """Show once a second, until cancelled, that the process that holds the lock is alive."""
    while True:
        await connection.execute("select 1")
        await asyncio.sleep(RETRY_S)


async def _do_duties(database: Database, duties: Sequence[Duty]) -> None:
    """Do each duty once a second; one that fails is logged, and done again the next time."""
    while True:
        for duty in duties:
            try:
                await duty(database, datetime.now(UTC))
            except Exception as error:
                log.warning("a duty failed", error=f"{type(error).__name__}: {error}")
        await asyncio.sleep(1)


async def take_over(database: Database) -> None:
    """Begin a new log where a restore left that of another cluster, and bring viewer scopes up to date.

    Each in a transaction of its own: what a renewed log locks, others want who hold what a refresh waits for.
    """
    if await database.write(lambda connection: connection.fetchval("select renew_log()")):
        await database.write(lambda connection: connection.execute("select renew_spot_contracts()"))
    await database.write(lambda connection: connection.execute("select refresh_viewer_scope(null)"))


def _own_duties(settings: Settings) -> tuple[Duty, ...]:
    async def clear(database: Database, _now: datetime) -> None:
        await clear_log(database, settings)

    return RefreshViewerScope(), Every(MARKS_EVERY_S, mark), Every(CLEARING_EVERY_S, clear, CLEARING_AGAIN_S)


class Every:
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


class RefreshViewerScope:
    """Writes the viewer scopes that contracts have changed by the clock since it last succeeded; at first all."""

    def __init__(self) -> None:
        self._until: datetime | None = None

    async def __call__(self, database: Database, now: datetime) -> None:
        since = None if self._until is None else self._until - SCOPE_OVERLAP
        await _write(database, "select refresh_viewer_scope($1)", since)
        self._until = now


async def mark(database: Database, _now: datetime) -> None:
    """Note the present position: changes since an instant begin at a mark."""
    await _write(database, "insert into log_mark values (clock_timestamp(), log_position())")


async def clear_log(database: Database, settings: Settings) -> None:
    """Make partitions ahead and drop old ones, each in a transaction of its own: their locks are short.

    Rows are kept for a day longer than cursors live. Raises: the driver's error when a lock was not granted in time;
    then it is to be called again.
    """
    for table, days, ahead, kept in (
        ("change", 1, 3, settings.cursor_days + 1),
        ("status_history", 7, 1, max(1, settings.status_history_days)),
        ("authorisation_request", 7, 1, max(1, settings.authorisation_request_days)),
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
    await _write(database, "select make_present_months()")
    before = datetime.now(UTC) - timedelta(days=settings.cursor_days + 1)
    await _write(database, "delete from log_mark where at < $1", before)
    await _write(database, "select forget_viewer_scope($1)", before)


async def _write(database: Database, sql: str, *args: Any) -> Any:
    async def work(connection: Connection) -> Any:
        return await connection.fetchval(sql, *args)

    return await database.write(work)


@asynccontextmanager
async def _opened(dsn: str, settings: Settings) -> AsyncGenerator[Database]:
    """Open connections for the leader alone: its work and requests do not wait for each other."""
    database = await Database.open(dsn, replace(settings, pool_size=1))
    try:
        yield database
    finally:
        database.terminate()


def _words(group: BaseExceptionGroup[Any]) -> str:
    return "; ".join(f"{type(error).__name__}: {error}" for error in group.exceptions)
