"""For tests of what happens at once: go on when something has happened, or when others wait for a lock.

Only those of one's own database count; the others of the server belong to tests that run beside.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import asyncpg

from app.db.engine import Connection

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
