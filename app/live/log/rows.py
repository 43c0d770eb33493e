"""Reading the change log: the rows that one snapshot shows and an earlier one does not.

Transactions that are in progress in the reader's own snapshot are never visited, however many rows they wrote; their
rows come when they commit.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from app.db.engine import Reader
from app.live.log.cursor import Cursor, CursorExpired, Position, Snapshot
from app.vocabulary import LogKind


class Place(NamedTuple):
    """Where an entity is, or was, and the operator through which that is known; 0: the PSO itself."""

    operator_no: int
    longitude: float
    latitude: float


class LogRow(NamedTuple):
    """A row of the log; app/db/tables/log.py says what its columns mean."""

    transaction: int
    id: int
    at: datetime
    kind: str
    entity_id: str
    existed: bool
    places: tuple[Place, ...]
    was_available: bool | None
    role_ids: tuple[int, ...]
    recipients: tuple[str, ...]
    said_by: tuple[int, ...] | None


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows in the order (transaction, id). `upto`: the last row that was looked at; None: all of them were."""

    rows: Sequence[LogRow]
    upto: tuple[int, int] | None


POSITION: Final = "select log_position()"

#: Cursors of an earlier timeline are good up to where it was left.
LEFT_AT: Final = "select timeline_left_at($1)"

ROWS: Final = """
select transaction, id, at, kind, entity_id, existed, operator_nos, longitudes, latitudes, was_available, role_ids,
    recipients, said_by
from log_rows($1, $2, $3, $4, $5, $6, $7, $8)
"""

#: An entity's first row since a snapshot says how it was then. By id: of two transactions that overlap the second
#: waited for the first, whatever their numbers.
FIRST_ROWS: Final = """
select entity_id, existed, operator_nos, longitudes, latitudes, role_ids
from unnest($1::text[]) as wanted (id) cross join lateral (
    select * from change where kind = '{kind}' and entity_id = wanted.id
    and (transaction >= $2 or transaction = any($3)) order by id limit 1
) as row
"""

#: The same of all entities in a range of ids; several rows of one stand together, the first one first.
ROWS_OF_RANGE: Final = """
select entity_id, existed, operator_nos, longitudes, latitudes, role_ids from change
where kind = '{kind}' and entity_id > $1 and entity_id <= $2 and (transaction >= $3 or transaction = any($4))
order by entity_id, id limit $5
"""

SINCE: Final = "select position from log_mark where at <= $1 order by at desc limit 1"

#: Rows looked at in one statement, wanted or not.
MOST_LOOKED: Final = 100_000


async def read_position(reader: Reader) -> Position:
    """Return the position of the reader's snapshot."""
    [[text]] = await reader.fetch(POSITION)
    return Position.of(text)


async def check_cursor(reader: Reader, cursor: Cursor, present: Position, kept: timedelta) -> None:
    """Check that nothing after a cursor is lost. `present`: the reader's position; `kept`: how long cursors live.

    Raises: CursorExpired.
    """
    for position in (cursor.base, cursor.target):
        if position is not None:
            await _check_position(reader, position, present, kept)


async def _check_position(reader: Reader, position: Position, present: Position, kept: timedelta) -> None:
    if position.epoch != present.epoch:
        raise CursorExpired("it is from another log, which was restored, copied or replaced since")
    if position.at < present.at - kept:
        raise CursorExpired("changes since then are not kept any more")
    if position.snapshot.xmax < present.floor:
        raise CursorExpired("changes since then are not kept any more")
    if position.timeline > present.timeline or position.snapshot.xmax > present.snapshot.xmax:
        raise CursorExpired("it is ahead of the log")
    if position.timeline < present.timeline:
        [[left_at]] = await reader.fetch(LEFT_AT, position.timeline)
        if left_at is None or position.lsn > left_at:
            raise CursorExpired("the database failed over since, and what the cursor saw may not have come along")


async def position_since(reader: Reader, instant: datetime) -> Position:
    """Return a position with every change after it that was committed after `instant`; a few earlier ones come along.

    Raises: CursorExpired when changes since then are not kept any more.
    """
    marks = await reader.fetch(SINCE, instant)
    if not marks:
        raise CursorExpired(f"changes since {instant.isoformat()} are not kept any more")
    return Position.of(marks[0][0])


def gaps(base: Snapshot, target: Snapshot) -> list[tuple[int, int]]:
    """Return the ranges of transactions, end exclusive, that `target` shows and `base` does not, in order."""
    ranges = [(running, running + 1) for running in sorted(base.xip) if target.sees(running)]
    low = base.xmax
    for running in sorted(target.xip):
        if running >= low:
            if low < running:
                ranges.append((low, running))
            low = running + 1
    if low < target.xmax:
        ranges.append((low, target.xmax))
    return ranges


async def read_rows(
    reader: Reader,
    base: Snapshot,
    target: Snapshot,
    after: tuple[int, int],
    kinds: Collection[str],
    limit: int,
    without_parties: Collection[str] = (),
) -> Batch:
    """Read at most `limit` rows between two snapshots, behind a row."""
    ranges = [(low, high) for low, high in gaps(base, target) if high > after[0]]
    if not ranges or not kinds:
        return Batch((), None)
    lows, highs = [low for low, _ in ranges], [high for _, high in ranges]
    records = await reader.fetch(ROWS, lows, highs, *after, list(kinds), list(without_parties), limit, MOST_LOOKED)
    rows = [_row(record) for record in records if record[3] is not None]
    is_cut = len(rows) == limit or len(rows) < len(records)
    return Batch(rows, (records[-1][0], records[-1][1]) if is_cut else None)


@dataclass(frozen=True, slots=True)
class Former:
    """How an entity was at a snapshot; no places where it did not exist. `role_ids`: of the roles of a private one."""

    existed: bool
    places: tuple[Place, ...] = ()
    role_ids: tuple[int, ...] = ()


async def read_formers(reader: Reader, kind: LogKind, ids: Collection[str], base: Snapshot) -> Mapping[str, Former]:
    """Return how those of the entities were at a snapshot that changed since, by their rows of `kind`."""
    if not ids:
        return {}
    records = await reader.fetch(FIRST_ROWS.format(kind=kind.value), list(ids), base.xmax, sorted(base.xip))
    return {record[0]: _former(record) for record in records}


async def read_formers_between(
    reader: Reader, kind: LogKind, after: str, upto: str, base: Snapshot, limit: int
) -> tuple[Mapping[str, Former], str]:
    """Return the same of all entities behind one id up to another, and up to which id that is, looking at few rows."""
    records = await reader.fetch(ROWS_OF_RANGE.format(kind=kind.value), after, upto, base.xmax, sorted(base.xip), limit)
    formers: dict[str, Former] = {}
    for record in records:
        if record[0] not in formers:
            formers[record[0]] = _former(record)
    return formers, records[-1][0] if len(records) == limit else upto


def _former(record: Any) -> Former:
    _, existed, *where, role_ids = record
    return Former(existed, _places(*where), tuple(role_ids or ()))


def _row(record: Any) -> LogRow:
    transaction, id_, at, kind, entity_id, existed, *where, was_available, role_ids, recipients, said_by = record
    return LogRow(
        transaction, id_, at, kind, entity_id, existed, _places(*where), was_available, tuple(role_ids or ()),
        tuple(recipients or ()), None if said_by is None else tuple(said_by),
    )  # fmt: skip


def _places(
    operator_nos: Sequence[int] | None, longitudes: Sequence[float] | None, latitudes: Sequence[float] | None
) -> tuple[Place, ...]:
    if not operator_nos:
        return ()
    assert longitudes is not None
    assert latitudes is not None
    return tuple(map(Place, operator_nos, longitudes, latitudes))
