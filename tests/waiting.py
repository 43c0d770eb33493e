"""For tests of what happens at once: go on when something has happened, or when others wait for a lock.

Only those of one's own database count; the others of the server belong to tests that run beside.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import asyncpg

from app.db.engine import Connection, Database

T = TypeVar("T")

PATIENCE_S = 60
LOCKED_OUT = """
select count(*) from pg_stat_activity
where datname = current_database() and wait_event_type = 'Lock' and backend_type = 'client backend'
"""


async def eventually(look: Callable[[], Awaitable[T]]) -> T:
    """Look again and again until the answer is true, and return it."""
    async with asyncio.timeout(PATIENCE_S):
        while not (answer := await look()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        return answer


async def until_locked_out(
    watcher: asyncpg.Connection | Connection, count: int = 1, task: asyncio.Task[Any] | None = None
) -> None:
    """Go on when so many wait for a lock, or the task is done that might have had to."""
    async with asyncio.timeout(PATIENCE_S):
        while not (task and task.done()) and await watcher.fetchval(LOCKED_OUT) < count:
            await watcher.execute("select pg_sleep(0.01)")
            # Within a transaction the server would go on showing what it showed first.
            await watcher.execute("select pg_stat_clear_snapshot()")


async def deadlocks(database: Database) -> int:
    """Count deadlocks in this database: `write` would hide them by trying again."""
    for pool in (database.writes, database.sessions):
        async with AsyncExitStack() as stack:
            connections = [await stack.enter_async_context(pool.acquire()) for _ in range(pool.get_max_size())]
            for connection in connections:  # each counts by itself, and reports now and then
                await connection.execute("select pg_stat_force_next_flush()")
    [row] = await database.fetch("select deadlocks from pg_stat_database where datname = current_database()")
    return row["deadlocks"]
