"""Reading the log in tests, in a cluster whose other databases have transactions of their own."""

import asyncio
from collections.abc import Sequence

from app.db.engine import Connection, Database
from app.live.cursor import Position
from app.live.log import LogRow, read_log, read_state


async def complete(database: Database) -> None:
    """Wait until all that is committed now lies below the horizon: other tests' transactions hold it back as well."""

    async def number(connection: Connection) -> int:
        return await connection.fetchval("select pg_current_xact_id()::text::bigint")

    last = await database.write(number)
    async with asyncio.timeout(60):
        while (await read_state(database)).horizon <= last:
            await database.fetch("select pg_sleep(0.01)")


async def read_complete(database: Database, after: Position, limit: int = 500) -> list[LogRow]:
    """Read all that is committed now."""
    await complete(database)
    rows: list[LogRow] = []
    more = True
    while more:
        batch = await read_log(database, after, limit)
        rows, after, more = rows + list(batch.rows), batch.upto, batch.more
    return rows


async def head(database: Database) -> Position:
    """Give where a reader begins who has seen all that is committed now."""
    await complete(database)
    return (await read_state(database)).head


def ids(rows: Sequence[LogRow]) -> list[str]:
    return [row.entity_id for row in rows]
