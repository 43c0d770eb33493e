"""Reading the log in tests: all rows since a position, in one snapshot."""

from collections.abc import Sequence

from app.db.engine import Database
from app.live.log.cursor import Position
from app.live.log.rows import LogRow, read_position, read_rows
from app.vocabulary import LogKind

ALL_KINDS = [kind.value for kind in LogKind]


async def read_since(database: Database, start: Position, limit: int = 500) -> list[LogRow]:
    """Return all rows that are committed now and that a position does not have."""
    rows: list[LogRow] = []
    async with database.reading() as reader:
        target = (await read_position(reader)).snapshot
        after: tuple[int, int] | None = (0, 0)
        while after is not None:
            batch = await read_rows(reader, start.snapshot, target, after, ALL_KINDS, limit)
            rows, after = rows + list(batch.rows), batch.upto
    return rows


def ids(rows: Sequence[LogRow]) -> list[str]:
    return [row.entity_id for row in rows]
