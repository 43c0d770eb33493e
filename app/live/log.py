"""Reading the change log: in the order of positions, and only what is complete.

A row's position is (transaction, id). Transactions below the horizon (`pg_snapshot_xmin`) have all ended, so nothing is
ever added below it: who reads rows in order up to the horizon, and goes on from there, misses none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from app.db.engine import Database
from app.live.cursor import CursorExpired, Position
from app.vocabulary import LogKind


class LogRow(NamedTuple):
    """A row of the log; what its columns mean is said in app/db/tables/log.py."""

    transaction: int
    id: int
    at: datetime
    kind: LogKind
    entity_id: str
    existed: bool
    operator_nos: Sequence[int] | None
    longitudes: Sequence[float] | None
    latitudes: Sequence[float] | None
    was_available: bool | None
    role_id: int | None

    @property
    def position(self) -> Position:
        """Where a reader stands that has read this row."""
        return Position(self.transaction, self.id)

    def within(self, entity: str) -> Position:
        """Give where a reader stands that has read, of this row, the entities up to `entity`."""
        return Position(self.transaction, self.id - 1, entity)


@dataclass(frozen=True, slots=True)
class LogBatch:
    """Rows of the log, in order, with the state of the log when they were read.

    `upto`: where the next read goes on. `more`: there are complete rows after these.
    """

    rows: Sequence[LogRow]
    upto: Position
    more: bool
    epoch: str
    floor: int
    horizon: int


@dataclass(frozen=True, slots=True)
class LogState:
    """How the log stands now. `head`: where a reader begins who wants only what comes."""

    epoch: str
    floor: int
    head: Position
    horizon: int


@dataclass(frozen=True, slots=True)
class LogHealth:
    """How far the log's readers are behind its writers, in seconds, and who holds them up.

    `lag_s`: the age of the oldest change that cannot be read yet. `oldest_writer_s`: that of the oldest transaction
    under way in this cluster that writes, as far as the database's owner sees others' (pg_read_all_stats).
    """

    lag_s: float
    oldest_writer_s: float


STATE = "select log_epoch(), least(floor, log_horizon()), log_head(), log_horizon() from log_state"

#: The state is worked out once, not for every row.
BATCH = """
with state as materialized (
    select log_epoch() as epoch, least(floor, log_horizon()) as floor, log_horizon() as horizon from log_state
)
select state.epoch, state.floor, state.horizon, page.* from state left join lateral (
    select transaction, id, at, kind, entity_id, existed, operator_nos, longitudes, latitudes, was_available, role_id
    from change where (transaction, id) > ($1, $2) and transaction < state.horizon
    order by transaction, id limit $3
) as page on true
order by page.transaction, page.id
"""

SIGHT_ROWS = "select id from change where kind = 'SIGHT' and (transaction, id) > ($1, $2)"

#: What is committed after a mark has a transaction that had not ended when the mark was set.
SINCE = "select transaction from log_mark where at <= $1 order by at desc limit 1"


async def read_state(database: Database) -> LogState:
    """Give the state of the log, to begin to read it."""
    [(epoch, floor, head, horizon)] = await database.fetch(STATE)
    return LogState(epoch, floor, Position(head), horizon)


async def read_health(database: Database) -> LogHealth:
    """Give the health of the log."""
    [values] = await database.fetch("select lag_s, oldest_writer_s from log_health()")
    return LogHealth(*values)


async def read_log(database: Database, after: Position, limit: int, epoch: str | None = None) -> LogBatch:
    """Read at most `limit` rows after a position. With `epoch`: only if that is still the log's.

    Raises: CursorExpired when rows after the position may be lost: it is of another epoch, older than what is kept, or
    from a future that this database has not seen.
    """
    records = await database.fetch(BATCH, after.transaction, after.row, limit + 1)
    of_epoch, floor, horizon = records[0][:3]
    if epoch is not None and epoch != of_epoch:
        raise CursorExpired("the log was restored, copied or replaced since")
    if after.transaction < floor:
        raise CursorExpired("changes since then are not kept any more")
    if after.transaction > horizon:
        raise CursorExpired("it is ahead of the log")
    rows = [_row(record[3:]) for record in records if record[3] is not None]
    more = len(rows) > limit
    return LogBatch(rows[:limit], _upto(after, rows[:limit], more), more, of_epoch, floor, horizon)


async def fetch_sight_rows(database: Database, after: Position) -> frozenset[int]:
    """Give the numbers of the rows about sight behind a position that are committed, complete or not."""
    return frozenset(row[0] for row in await database.fetch(SIGHT_ROWS, after.transaction, after.row))


async def position_since(database: Database, instant: datetime) -> Position:
    """Give a position with every change after it that was committed after `instant`; a few earlier ones come along.

    Raises: CursorExpired when changes since then are not kept any more.
    """
    marks = await database.fetch(SINCE, instant)
    if not marks:
        raise CursorExpired(f"changes since {instant.isoformat()} are not kept any more")
    return Position(marks[0][0])


def _row(values: Sequence[object]) -> LogRow:
    row = LogRow._make(values)
    return row._replace(kind=LogKind(row.kind))


def _upto(after: Position, rows: Sequence[LogRow], more: bool) -> Position:
    """Give where to go on: after the last row, and where nothing followed it after its transaction.

    Not at the horizon, although nothing comes below it any more: a server that crashes forgets which numbers it gave to
    transactions that left nothing behind, and gives them again. Those up to one that was committed it remembers.
    """
    if not rows:
        return after
    return rows[-1].position if more else Position(rows[-1].transaction + 1)
